//! What must hold of the outputs that take the place of an input.

use super::{Subject, meet};
use crate::Node;
use crate::plan::{InPlace, Occupant, Place};
use varflow_ops::{ALIGN_BYTES, Entry, Error, Operator, Result};

impl Subject<'_> {
    /// Whether the operator allows that `output` takes the place of `input`, as it does here: the same bytes, and no
    /// other of its tensors there. `touched` is what the node touches.
    pub(super) fn is_in_place(&self, node: &Node, touched: &[Occupant], input: Occupant, output: Occupant) -> bool {
        let (Occupant::Entry(from), Occupant::Entry(to)) = (input, output) else { return false };
        let declared = node.op.as_ref().is_some_and(|op| {
            let pairs = op.inplace(&node.params);
            pairs.iter().any(|(i, o)| node.inputs.get(*i).map(|e| self.root(*e)) == Some(from) && *o == to.output)
        });
        let bytes = self.bytes(output);
        let others = touched.iter().filter(|v| self.bytes(**v).zip(bytes.clone()).is_some_and(|(a, b)| meet(&a, &b)));
        declared && bytes == self.bytes(input) && self.descs[from].dtype == self.descs[to].dtype && others.count() == 2
    }

    /// Each output that the plan says takes the place of an input does so by a pair that the operator declares and that fits.
    pub(super) fn check_in_place(&self) -> Result<()> {
        for &InPlace { node, input, output } in &self.plan.inplace {
            let Some((op, at)) = self.graph.nodes.get(node).and_then(|n| Some((n.op.as_ref()?, n))) else {
                let text = format!("the plan computes node {node} in place, which is no operator of the graph");
                return Err(Error::Contract(text));
            };
            if let Some(wrong) = self.wrong_pair(&**op, at, input, Entry { node, output }) {
                let text = format!("output {output} is planned in the place of input {input}, {wrong}");
                return Err(Error::Contract(text).at(at.place()));
            }
        }
        Ok(())
    }

    fn wrong_pair(&self, op: &dyn Operator, node: &Node, input: usize, to: Entry) -> Option<String> {
        let pairs = op.inplace(&node.params);
        let there = self.descs.has(to) && self.plan.places.has(to);
        let (Some(from), true) = (node.inputs.get(input), there) else {
            let (inputs, outputs) = (node.inputs.len(), node.num_outputs());
            return Some(format!("and it has {inputs} inputs and {outputs} outputs"));
        };
        if !pairs.contains(&(input, to.output)) {
            return Some(format!("which the operator does not declare: its pairs (input, output) are {pairs:?}"));
        }
        if node.mutates().contains(&input) {
            return Some("which it changes".to_string());
        }
        let root = self.root(*from);
        let (input, output) = (&self.descs[root], &self.descs[to]);
        if input.dtype != output.dtype || input.len_bytes() != output.len_bytes() {
            let [input, output] = [input, output].map(|d| format!("{} bytes of {}", d.len_bytes(), d.dtype));
            return Some(format!("which has {input}, and the output has {output}: the pair does not fit here"));
        }
        let [input, output] = [root, to].map(|e| self.bytes(Occupant::Entry(e)));
        let is_there = input.is_some() && input == output;
        let [input, output] = [root, to].map(|e| self.plan.places[e]);
        (!is_there).then(|| format!("which is at {input:?}, and the output is at {output:?}"))
    }

    /// Each input lies where the operator's kernels can have it.
    pub(super) fn check_alignment(&self, node: &Node) -> Result<()> {
        let Some(op) = &node.op else { return Ok(()) };
        let wanted = op.align_bytes().clamp(1, ALIGN_BYTES);
        for entry in &node.inputs {
            if let Place::View(view) = self.plan.places[*entry]
                && !view.offset.is_multiple_of(wanted)
            {
                let text = format!("reads {entry:?} from byte {}, wanted a multiple of {wanted}", view.offset);
                return Err(Error::Contract(text).at(node.place()));
            }
        }
        Ok(())
    }
}
