//! Builders of symbols. They turn into a [`Symbol`] wherever one is wanted, or by `build`.

use crate::symbol::{Input, Symbol, SymbolNode};
use crate::{AttrText, Scope};
use varflow_ops::{Attrs, DType};

/// One use of an operator, being written.
///
/// Nothing is checked here: [`Symbol::resolve`] knows the operators and names what is wrong.
#[must_use]
pub struct OpBuilder {
    op: String,
    name: Option<String>,
    /// Of the scopes that it is composed in.
    prefix: String,
    attrs: Attrs,
    inputs: Vec<Input>,
}

impl OpBuilder {
    pub(crate) fn new(op: &str) -> Self {
        let (prefix, attrs) = Scope::current().into_parts();
        OpBuilder { op: op.to_string(), name: None, prefix, attrs, inputs: Vec::new() }
    }

    /// The next input. A group gives several.
    pub fn input(mut self, from: impl Into<Symbol>) -> Self {
        self.inputs.extend(from.into().heads.into_iter().map(|from| Input { slot: None, from }));
        self
    }

    /// The input of this name.
    pub fn input_named(mut self, slot: &str, from: impl Into<Symbol>) -> Self {
        let inputs = from.into().heads.into_iter();
        self.inputs.extend(inputs.map(|from| Input { slot: Some(slot.to_string()), from }));
        self
    }

    /// Sets a parameter of the operator.
    pub fn set(mut self, param: &str, value: impl AttrText) -> Self {
        self.attrs.insert(param.to_string(), value.attr_text());
        self
    }

    /// Sets a hidden attribute such as `__lr_mult__`. The variables made for missing inputs get it too.
    pub fn attr(self, key: &str, value: impl AttrText) -> Self {
        self.set(key, value)
    }

    /// The node's name. Without one it is the operator's name in lower case and a number: `convolution0`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The symbol: all outputs that users see.
    #[must_use]
    pub fn build(self) -> Symbol {
        let OpBuilder { op, name, prefix, attrs, inputs } = self;
        let name = name.map(|name| format!("{prefix}{name}"));
        Symbol::of(SymbolNode { op: Some(op), name, prefix, attrs, inputs })
    }

    /// `num_hidden`: outputs a sample.
    pub fn num_hidden(self, n: usize) -> Self {
        self.set("num_hidden", n)
    }

    /// `num_filter`: output channels.
    pub fn num_filter(self, n: usize) -> Self {
        self.set("num_filter", n)
    }

    /// `num_group`: groups that the channels fall into.
    pub fn num_group(self, n: usize) -> Self {
        self.set("num_group", n)
    }

    /// `no_bias`: leave the bias out.
    pub fn no_bias(self, no_bias: bool) -> Self {
        self.set("no_bias", no_bias)
    }

    /// `kernel`: window extents, such as `[5, 5]`.
    pub fn kernel(self, extents: impl AsRef<[usize]>) -> Self {
        self.set("kernel", extents.as_ref())
    }

    /// `stride`: window steps.
    pub fn stride(self, steps: impl AsRef<[usize]>) -> Self {
        self.set("stride", steps.as_ref())
    }

    /// `pad`: zeroes on each side.
    pub fn pad(self, zeroes: impl AsRef<[usize]>) -> Self {
        self.set("pad", zeroes.as_ref())
    }

    /// `dilate`: steps between window elements.
    pub fn dilate(self, steps: impl AsRef<[usize]>) -> Self {
        self.set("dilate", steps.as_ref())
    }

    /// `pool_type`: `max`, `avg` or `sum`.
    pub fn pool_type(self, pool_type: &str) -> Self {
        self.set("pool_type", pool_type)
    }

    /// `global_pool`: pool over whole images.
    pub fn global_pool(self, global: bool) -> Self {
        self.set("global_pool", global)
    }

    /// `p`: the fraction that is dropped.
    pub fn p(self, fraction: f64) -> Self {
        self.set("p", fraction)
    }

    /// `fix_gamma`: take gamma as 1.
    pub fn fix_gamma(self, fix: bool) -> Self {
        self.set("fix_gamma", fix)
    }

    /// `eps`: what is added to a variance.
    pub fn eps(self, eps: f64) -> Self {
        self.set("eps", eps)
    }

    /// `momentum`: the part of moving statistics that is kept.
    pub fn momentum(self, part: f64) -> Self {
        self.set("momentum", part)
    }

    /// `axis`: the axis to work along.
    pub fn axis(self, axis: i64) -> Self {
        self.set("axis", axis)
    }

    /// The input called `weight`, to share or initialise it.
    pub fn weight(self, weight: impl Into<Symbol>) -> Self {
        self.input_named("weight", weight)
    }

    /// The input called `bias`.
    pub fn bias(self, bias: impl Into<Symbol>) -> Self {
        self.input_named("bias", bias)
    }

    /// The input called `label`.
    pub fn label(self, label: impl Into<Symbol>) -> Self {
        self.input_named("label", label)
    }
}

impl From<OpBuilder> for Symbol {
    fn from(op: OpBuilder) -> Symbol {
        op.build()
    }
}

/// A variable, being written.
#[must_use]
pub struct VarBuilder {
    name: String,
    attrs: Attrs,
}

impl VarBuilder {
    pub(crate) fn new(name: &str) -> Self {
        let (_, attrs) = Scope::current().into_parts();
        VarBuilder { name: name.to_string(), attrs }
    }

    /// The shape, in the form of MXNet: 0 stands for an extent to be inferred.
    pub fn shape(self, dims: impl AsRef<[usize]>) -> Self {
        self.attr("__shape__", dims.as_ref())
    }

    /// The element type. Without it, it is inferred.
    pub fn dtype(self, dtype: DType) -> Self {
        self.attr("__dtype__", dtype as i32)
    }

    /// How it is initialised, in words that the training frontend knows.
    pub fn init(self, init: &str) -> Self {
        self.attr("__init__", init)
    }

    /// A factor on the learning rate.
    pub fn lr_mult(self, factor: f64) -> Self {
        self.attr("__lr_mult__", factor)
    }

    /// A factor on the weight decay.
    pub fn wd_mult(self, factor: f64) -> Self {
        self.attr("__wd_mult__", factor)
    }

    /// Any attribute.
    pub fn attr(mut self, key: &str, value: impl AttrText) -> Self {
        self.attrs.insert(key.to_string(), value.attr_text());
        self
    }

    /// The symbol.
    #[must_use]
    pub fn build(self) -> Symbol {
        let VarBuilder { name, attrs } = self;
        Symbol::of(SymbolNode { op: None, name: Some(name), prefix: String::new(), attrs, inputs: Vec::new() })
    }
}

impl From<VarBuilder> for Symbol {
    fn from(var: VarBuilder) -> Symbol {
        var.build()
    }
}
