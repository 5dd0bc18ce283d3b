//! What operators that work element by element have in common.

use crate::{Attrs, Entry, Gradient, Operator, Params, Permutation, Result, Schema, Shapes, TensorDesc};
use std::sync::LazyLock;

/// A schema without parameters.
pub(super) static NO_PARAMS: LazyLock<Schema> = LazyLock::new(Schema::new);

/// Builds the gradients of an operator's inputs.
pub(super) type GradientFn = fn(&mut Gradient<'_>) -> Result<Vec<Option<Entry>>>;

/// An operator of one output, whose inputs and output have one shape and dtype.
pub(super) struct Elementwise {
    /// The name.
    pub(super) name: &'static str,
    /// Other names.
    pub(super) aliases: &'static [&'static str],
    /// The formula.
    pub(super) doc: &'static str,
    /// The parameters.
    pub(super) schema: &'static LazyLock<Schema>,
    /// The names of the inputs.
    pub(super) inputs: &'static [&'static str],
    /// The name of the output.
    pub(super) output: &'static str,
    /// The inputs whose memory the output may take.
    pub(super) inplace: &'static [usize],
    /// Whether the output is the input as it is.
    pub(super) is_identity: bool,
    /// The gradients of the inputs; `None` for backward operators.
    pub(super) gradient: Option<GradientFn>,
    /// Whether it takes no longer than reading and writing its tensors.
    pub(super) cheap: bool,
}

impl Elementwise {
    /// An operator on `data`, which may work in place.
    pub(super) const fn unary(
        name: &'static str,
        aliases: &'static [&'static str],
        doc: &'static str,
        gradient: GradientFn,
    ) -> Self {
        Elementwise {
            name,
            aliases,
            doc,
            schema: &NO_PARAMS,
            inputs: &["data"],
            output: "output",
            inplace: &[0],
            is_identity: false,
            gradient: Some(gradient),
            cheap: true,
        }
    }

    /// An operator whose output is `data`.
    pub(super) const fn identity(
        name: &'static str,
        aliases: &'static [&'static str],
        doc: &'static str,
        gradient: GradientFn,
    ) -> Self {
        Elementwise { is_identity: true, ..Self::unary(name, aliases, doc, gradient) }
    }

    /// An operator on `lhs` and `rhs`, which may work in place on either.
    pub(super) const fn binary(
        name: &'static str,
        aliases: &'static [&'static str],
        doc: &'static str,
        gradient: GradientFn,
    ) -> Self {
        Elementwise { inputs: &["lhs", "rhs"], inplace: &[0, 1], ..Self::unary(name, aliases, doc, gradient) }
    }

    /// The backward operator of a unary one: from `out_grad`, in whose place it may work, and `data` or `output`.
    pub(super) const fn backward(name: &'static str, doc: &'static str, inputs: &'static [&'static str]) -> Self {
        Elementwise {
            name,
            aliases: &[],
            doc,
            schema: &NO_PARAMS,
            inputs,
            output: "d_data",
            inplace: &[0],
            is_identity: false,
            gradient: None,
            cheap: true,
        }
    }

    /// The same with parameters.
    pub(super) const fn with(self, schema: &'static LazyLock<Schema>) -> Self {
        Elementwise { schema, ..self }
    }

    /// The same, whose function takes longer than its tensors do.
    pub(super) const fn costly(self) -> Self {
        Elementwise { cheap: false, ..self }
    }
}

impl Operator for Elementwise {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[&str] {
        self.aliases
    }

    fn doc(&self) -> &str {
        self.doc
    }

    fn schema(&self) -> &Schema {
        self.schema
    }

    fn inputs(&self, _: &Params) -> Vec<String> {
        self.inputs.iter().map(ToString::to_string).collect()
    }

    fn outputs(&self, _: &Params) -> Vec<String> {
        vec![self.output.to_string()]
    }

    fn infer_shape(&self, _: &Params, s: &mut Shapes) -> Result<()> {
        let inputs: Vec<_> = (0..s.num_inputs()).collect();
        s.same(&inputs, &[0])
    }

    fn inplace(&self, _: &Params) -> Vec<(usize, usize)> {
        self.inplace.iter().map(|i| (*i, 0)).collect()
    }

    fn view(&self, _: &Params, _: &TensorDesc, _: &TensorDesc) -> Option<usize> {
        self.is_identity.then_some(0)
    }

    fn is_cheap(&self, _: &Params) -> bool {
        self.cheap
    }

    /// Of backward operators some sum along an axis.
    fn permuted(&self, _: &Params, _: &[TensorDesc], _: &Permutation) -> Option<Attrs> {
        self.gradient.is_some().then(Attrs::new)
    }

    fn per_sample(&self, _: &Params, _: &[TensorDesc]) -> Option<Vec<usize>> {
        Some((0..self.inputs.len()).collect())
    }

    fn gradient(&self, grad: &mut Gradient<'_>) -> Result<Vec<Option<Entry>>> {
        match self.gradient {
            Some(gradient) => gradient(grad),
            None => Err(super::no_gradient(self.name, grad.node)),
        }
    }
}
