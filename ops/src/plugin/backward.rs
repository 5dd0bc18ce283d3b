//! The operator that a plug-in's backward kernel computes.

use super::operator::PluginOperator;
use super::tables::BackwardTable;
use crate::infer::{DTypes, Shapes};
use crate::operator::{Entry, Gradient, Operator};
use crate::schema::{Attrs, Params, Schema};
use crate::{ALIGN_BYTES, PartialShape, Result};
use std::sync::Arc;

/// The name of the backward operator.
pub(super) fn name(forward: &str) -> String {
    format!("_backward_{forward}")
}

/// From the gradients of the forward outputs, and what it asks for of the forward inputs and outputs, the gradients of the forward
/// inputs.
pub(super) struct Backward {
    forward: Arc<PluginOperator>,
    name: String,
    doc: String,
    table: BackwardTable,
}

/// Positions of the forward operator, in the order of the backward operator's inputs and outputs.
struct Layout {
    /// Outputs whose gradients it is given: all that users see.
    out_grads: usize,
    /// Inputs that it is given.
    inputs: Vec<usize>,
    /// Outputs that it is given.
    outputs: Vec<usize>,
    /// Inputs whose gradients it computes.
    in_grads: Vec<usize>,
}

impl Layout {
    fn new(forward: &PluginOperator, table: &BackwardTable, params: &Params) -> Layout {
        let names = forward.names(params);
        let num_inputs = names.inputs.len();
        let (all_inputs, all_outputs) = (num_inputs + names.auxiliaries.len(), names.outputs.len());
        Layout {
            out_grads: forward.num_visible_outputs(params),
            inputs: table.inputs.iter().copied().filter(|i| *i < all_inputs).collect(),
            outputs: table.outputs.iter().copied().filter(|o| *o < all_outputs).collect(),
            in_grads: (0..num_inputs).filter(|i| !table.no_gradient.contains(i)).collect(),
        }
    }
}

/// Adds the node that computes the gradients of the forward operator's inputs.
///
/// # Errors
/// When nodes cannot be added.
pub(super) fn gradient(
    forward: &PluginOperator,
    table: &BackwardTable,
    grad: &mut Gradient<'_>,
) -> Result<Vec<Option<Entry>>> {
    let layout = Layout::new(forward, table, grad.params);
    let mut inputs = Vec::new();
    for o in 0..layout.out_grads {
        // The kernel is given a gradient of every output; where nothing flows it is zero.
        inputs.push(match grad.out_grads.get(o).copied().flatten() {
            Some(entry) => entry,
            None => {
                let name = format!("{}_backward_zeros{o}", grad.node);
                grad.graph.add("zeros_like", &name, Attrs::new(), &[grad.outputs[o]])?
            }
        });
    }
    inputs.extend(layout.inputs.iter().map(|i| grad.inputs[*i]));
    inputs.extend(layout.outputs.iter().map(|o| grad.outputs[*o]));
    let found = grad.backward(&name(forward.name()), &inputs, layout.in_grads.len())?;
    let mut grads = vec![None; grad.inputs.len()];
    for (i, entry) in layout.in_grads.into_iter().zip(found) {
        grads[i] = entry;
    }
    Ok(grads)
}

impl Backward {
    pub(super) fn new(forward: Arc<PluginOperator>, table: BackwardTable) -> Backward {
        let (name, doc) = (name(forward.name()), format!("The gradient of {}.", forward.name()));
        Backward { forward, name, doc, table }
    }

    fn layout(&self, params: &Params) -> Layout {
        Layout::new(&self.forward, &self.table, params)
    }

    /// Which input of the forward operator (or output, likewise) each of the backward operator's stands for, as pairs
    /// (its own position, the forward position).
    fn positions(layout: &Layout) -> Positions {
        let (n, i) = (layout.out_grads, layout.inputs.len());
        let out_grads = (0..n).map(|o| (o, o));
        let outputs = layout.outputs.iter().enumerate().map(|(k, o)| (n + i + k, *o));
        Positions {
            inputs: layout.inputs.iter().enumerate().map(|(k, i)| (n + k, *i)).collect(),
            outputs: out_grads.chain(outputs).collect(),
            in_grads: layout.in_grads.iter().copied().enumerate().collect(),
        }
    }
}

/// Pairs (position in the backward operator, position in the forward operator) of what is alike.
struct Positions {
    /// A backward input that is as a forward input.
    inputs: Vec<(usize, usize)>,
    /// A backward input that is as a forward output.
    outputs: Vec<(usize, usize)>,
    /// A backward output that is as a forward input.
    in_grads: Vec<(usize, usize)>,
}

impl Operator for Backward {
    fn name(&self) -> &str {
        &self.name
    }

    fn doc(&self) -> &str {
        &self.doc
    }

    fn schema(&self) -> &Schema {
        self.forward.schema()
    }

    fn check(&self, params: &Params) -> Result<()> {
        self.forward.check(params)
    }

    fn inputs(&self, params: &Params) -> Vec<String> {
        let (names, layout) = (self.forward.names(params), self.layout(params));
        let all_inputs: Vec<_> = names.inputs.iter().chain(&names.auxiliaries).collect();
        let out_grads = names.outputs[..layout.out_grads].iter().map(|name| format!("d_{name}"));
        let inputs = layout.inputs.iter().map(|i| all_inputs[*i].clone());
        let outputs = layout.outputs.iter().map(|o| names.outputs[*o].clone());
        out_grads.chain(inputs).chain(outputs).collect()
    }

    fn outputs(&self, params: &Params) -> Vec<String> {
        let names = self.forward.names(params);
        self.layout(params).in_grads.iter().map(|i| format!("d_{}", names.inputs[*i])).collect()
    }

    /// By the forward operator's rule, over what is known of its inputs and outputs here.
    fn infer_shape(&self, params: &Params, shapes: &mut Shapes) -> Result<()> {
        let (names, at) = (self.forward.names(params), Backward::positions(&self.layout(params)));
        let unknown = |name: String| (name, PartialShape::unknown());
        let inputs = names.inputs.into_iter().chain(names.auxiliaries).map(unknown).collect();
        let mut forward = Shapes::new(inputs, names.outputs.into_iter().map(unknown).collect());
        for (own, i) in &at.inputs {
            forward.set_input(*i, shapes.input(*own).clone(), "")?;
        }
        for (own, o) in &at.outputs {
            forward.set_output(*o, shapes.input(*own).clone(), "from its gradient")?;
        }
        for (own, i) in &at.in_grads {
            forward.set_input(*i, shapes.output(*own).clone(), "from its gradient")?;
        }
        self.forward.infer_shape(params, &mut forward)?;
        for (own, i) in &at.inputs {
            shapes.set_input(*own, forward.input(*i).clone(), "")?;
        }
        for (own, o) in &at.outputs {
            shapes.set_input(*own, forward.output(*o).clone(), "")?;
        }
        for (own, i) in &at.in_grads {
            shapes.set_output(*own, forward.input(*i).clone(), "")?;
        }
        Ok(())
    }

    /// As [`infer_shape`](Self::infer_shape).
    fn infer_dtype(&self, params: &Params, dtypes: &mut DTypes) -> Result<()> {
        let (names, at) = (self.forward.names(params), Backward::positions(&self.layout(params)));
        let unknown = |name: String| (name, None);
        let inputs = names.inputs.into_iter().chain(names.auxiliaries).map(unknown).collect();
        let mut forward = DTypes::new(inputs, names.outputs.into_iter().map(unknown).collect());
        for (own, i) in &at.inputs {
            dtypes.input(*own).map_or(Ok(()), |d| forward.set_input(*i, d))?;
        }
        for (own, o) in &at.outputs {
            dtypes.input(*own).map_or(Ok(()), |d| forward.set_output(*o, d))?;
        }
        for (own, i) in &at.in_grads {
            dtypes.output(*own).map_or(Ok(()), |d| forward.set_input(*i, d))?;
        }
        self.forward.infer_dtype(params, &mut forward)?;
        for (own, i) in &at.inputs {
            forward.input(*i).map_or(Ok(()), |d| dtypes.set_input(*own, d))?;
        }
        for (own, o) in &at.outputs {
            forward.output(*o).map_or(Ok(()), |d| dtypes.set_input(*own, d))?;
        }
        for (own, i) in &at.in_grads {
            forward.input(*i).map_or(Ok(()), |d| dtypes.set_output(*own, d))?;
        }
        Ok(())
    }

    fn inplace(&self, params: &Params) -> Vec<(usize, usize)> {
        let layout = self.layout(params);
        let inputs = layout.out_grads + layout.inputs.len() + layout.outputs.len();
        let fits = |p: &(usize, usize)| p.0 < inputs && p.1 < layout.in_grads.len();
        let mut pairs: Vec<(usize, usize)> = Vec::with_capacity(self.table.inplace.len());
        for pair in self.table.inplace.iter().filter(|p| fits(p)) {
            if !pairs.contains(pair) {
                pairs.push(*pair);
            }
        }
        pairs
    }

    fn is_deterministic(&self) -> bool {
        self.forward.is_deterministic()
    }

    fn align_bytes(&self) -> usize {
        ALIGN_BYTES
    }
}
