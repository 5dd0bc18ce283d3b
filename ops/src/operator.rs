//! What an operator means, apart from any device: names, parameters, inference, gradient.

use crate::infer::{DTypes, Shapes};
use crate::kernel::KernelCall;
use crate::layout::Permutation;
use crate::recompute::Recompute;
use crate::schema::{Attrs, Params, Schema};
use crate::{Error, Result, TensorDesc};
use std::fmt::Debug;

/// An operator: a value that says what it means. How it is computed is said by the kernels that providers install for it.
///
/// Inputs come first, then auxiliary states; outputs that users see come first, then hidden ones. Positions below count
/// so.
pub trait Operator: Send + Sync {
    /// The name, as in symbol JSON.
    fn name(&self) -> &str;

    /// Other names that stand for it.
    fn aliases(&self) -> &[&str] {
        &[]
    }

    /// What it computes: formula, shapes, source.
    fn doc(&self) -> &str;

    /// Its parameters.
    fn schema(&self) -> &Schema;

    /// Checks what the schema cannot say, such as two parameters that must be of one length.
    ///
    /// # Errors
    /// [`Error::Param`] with names, values and what is wanted.
    fn check(&self, _params: &Params) -> Result<()> {
        Ok(())
    }

    /// The names of its inputs. Inputs left out in a symbol become variables named `<node>_<input>`.
    fn inputs(&self, _params: &Params) -> Vec<String> {
        vec!["data".to_string()]
    }

    /// The names of its auxiliary states: inputs that it updates and that have no gradient.
    fn auxiliaries(&self, _params: &Params) -> Vec<String> {
        Vec::new()
    }

    /// The names of its outputs. The first is `output` unless there is a better one.
    fn outputs(&self, _params: &Params) -> Vec<String> {
        vec!["output".to_string()]
    }

    /// How many of its outputs users see.
    fn num_visible_outputs(&self, params: &Params) -> usize {
        self.outputs(params).len()
    }

    /// Whether it takes any number of inputs; then their number is the parameter `num_args`.
    fn is_variadic(&self) -> bool {
        false
    }

    /// Adds to what is known of the shapes of inputs and outputs, in either direction. Called until nothing is news.
    ///
    /// # Errors
    /// A contradiction: which tensor, what it has, what is wanted and why.
    fn infer_shape(&self, params: &Params, shapes: &mut Shapes) -> Result<()>;

    /// Adds to what is known of the dtypes. By default all inputs and outputs have the same.
    ///
    /// # Errors
    /// A contradiction.
    fn infer_dtype(&self, _params: &Params, dtypes: &mut DTypes) -> Result<()> {
        dtypes.all_same()
    }

    /// Pairs (input, output) that may share memory, best first. Kernels reach them through `KernelCtx::pair`.
    ///
    /// Those of which sizes or dtypes differ are not used. What else must hold of them is said at
    /// [`check_inplace`](crate::check_inplace).
    fn inplace(&self, _params: &Params) -> Vec<(usize, usize)> {
        Vec::new()
    }

    /// Where in the bytes of its first input its only output lies, if it is a part of that input, or all of it, under another
    /// shape: then nothing need be computed. `None` where it is not, as by default.
    fn view(&self, _params: &Params, _input: &TensorDesc, _output: &TensorDesc) -> Option<usize> {
        None
    }

    /// What the addresses of its inputs are multiples of, as its kernels want it: a power of two up to
    /// [`ALIGN_BYTES`](crate::ALIGN_BYTES). By default each may be wherever an element may.
    fn align_bytes(&self) -> usize {
        1
    }

    /// Inputs that it changes. By default its auxiliary states.
    fn mutates(&self, params: &Params) -> Vec<usize> {
        let n = self.inputs(params).len();
        (n..n + self.auxiliaries(params).len()).collect()
    }

    /// Whether its output depends on nothing but its inputs; not so if it draws random numbers.
    fn is_deterministic(&self) -> bool {
        true
    }

    /// Whether it is a loss: its gradient does not depend on one that comes from outside, and starts backward passes.
    fn is_loss(&self, _params: &Params) -> bool {
        false
    }

    /// Builds the gradients of its inputs as graph nodes. `None` for an input without gradient (labels, indices).
    ///
    /// Each has the shape and dtype of its input: inference is told so by who calls this, and a backward operator is
    /// given the input itself only if it needs the values.
    ///
    /// # Errors
    /// [`Error::Contract`] by default: the operator has no gradient.
    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        Err(Error::Contract(format!("{} \"{}\" has no gradient", self.name(), grad.node)))
    }

    /// The inputs that hold samples along their first axis, if it works on samples one by one in inference: sample `i` of each
    /// output then comes from sample `i` of these, which all have as many samples as the outputs, and from all of the other
    /// inputs. `None` where samples meet or it is not known, as by default.
    fn per_sample(&self, _params: &Params, _inputs: &[TensorDesc]) -> Option<Vec<usize>> {
        None
    }

    /// The parameters to be changed, as texts, so that it computes the same of tensors with their axes in another order: of all inputs
    /// and outputs that have as many axes as `order`, while the others stay as they are. No parameters where it cares for no order,
    /// such as an elementwise function. `None` where it cannot or it is not known, as by default, and where it would draw other random
    /// numbers for an element.
    fn permuted(&self, _params: &Params, _inputs: &[TensorDesc], _order: &Permutation) -> Option<Attrs> {
        None
    }

    /// Whether computing it takes about as long as reading its inputs and writing its outputs, so that computing it twice costs
    /// little beside what surrounds it.
    fn is_cheap(&self, _params: &Params) -> bool {
        false
    }

    /// Appends the nodes that compute its outputs once more, and returns for each output, hidden ones included, what has the
    /// same bits: an output of these nodes, or the forward pass's own, which then stays in memory. `None`: it cannot be
    /// computed twice. By default it is computed as at first, if it is deterministic and changes nothing.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    fn recompute(&self, again: &mut Recompute<'_>) -> Result<Option<Vec<Entry>>> {
        again.again(self)
    }

    /// Floating-point operations of one forward pass, if known: for summaries.
    fn flops(&self, _call: &KernelCall<'_>) -> Option<f64> {
        None
    }

    /// Whether users should see it in lists; backward operators are hidden, and those that only passes make.
    fn is_hidden(&self) -> bool {
        self.name().starts_with("_backward_") || self.name().starts_with("_Fused")
    }
}

impl Debug for dyn Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Operator({})", self.name())
    }
}

/// One output of one graph node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Entry {
    /// The node's number.
    pub node: usize,
    /// The output's number.
    pub output: usize,
}

/// Adds nodes to a graph.
pub trait GraphBuilder {
    /// Adds a node of operator `op` and returns its first output; the others follow.
    ///
    /// # Errors
    /// When nobody provides the operator, or its parameters do not parse.
    fn add(&mut self, op: &str, name: &str, attrs: Attrs, inputs: &[Entry]) -> Result<Entry>;
}

/// What [`Operator::gradient`] works with.
pub struct Gradient<'a> {
    /// The forward node's name; backward nodes are named `<node>_backward`.
    pub node: &'a str,
    /// Its parameters.
    pub params: &'a Params,
    /// Its parameters as texts, to hand on to a backward operator of the same schema.
    pub attrs: &'a Attrs,
    /// Its inputs, auxiliary states last.
    pub inputs: &'a [Entry],
    /// Its outputs, hidden ones included.
    pub outputs: &'a [Entry],
    /// The gradients of its outputs. `None`: zero, nothing flows.
    pub out_grads: &'a [Option<Entry>],
    /// The graph.
    pub graph: &'a mut dyn GraphBuilder,
}

impl Gradient<'_> {
    /// Adds one backward node named `<node>_backward` with the forward node's attributes, and returns its `n` outputs.
    ///
    /// # Errors
    /// As [`GraphBuilder::add`].
    pub fn backward(&mut self, op: &str, inputs: &[Entry], n: usize) -> Result<Vec<Option<Entry>>> {
        let attrs = self.attrs.clone();
        let first = self.graph.add(op, &format!("{}_backward", self.node), attrs, inputs)?;
        Ok((0..n).map(|output| Some(Entry { node: first.node, output })).collect())
    }

    /// The gradient of the only output that has one.
    ///
    /// # Errors
    /// [`Error::Contract`] when nothing flows into it; passes do not ask then.
    pub fn out_grad(&self, output: usize) -> Result<Entry> {
        let grad = self.out_grads.get(output).copied().flatten();
        grad.ok_or_else(|| Error::Contract(format!("no gradient flows into output {output} of \"{}\"", self.node)))
    }
}
