//! Scopes: a name prefix and attributes for all that is composed inside.

use crate::AttrText;
use std::cell::RefCell;
use varflow_ops::Attrs;

thread_local! {
    /// The scopes that this thread is in, joined, innermost last.
    static SCOPES: RefCell<Vec<Scope>> = const { RefCell::new(Vec::new()) };
}

/// A name prefix and attributes that operators get while a closure composes them: see [`within`](Scope::within).
///
/// ```
/// use varflow_symbol::{Scope, sym};
/// # use varflow_ops::{Registry, defs};
/// # let mut registry = Registry::new();
/// # registry.install(defs::provider())?;
/// let net = Scope::new().prefix("stage1_").lr_mult(0.1).within(|| {
///     sym::fully_connected(sym::var("data")).num_hidden(8).name("fc").build()
/// });
/// let graph = net.resolve(&registry)?;
/// assert_eq!(graph.list_arguments(), ["data", "stage1_fc_weight", "stage1_fc_bias"]);
/// assert_eq!(graph.nodes[1].attrs["__lr_mult__"], "0.1");
/// # Ok::<(), varflow_ops::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Scope {
    prefix: String,
    attrs: Attrs,
}

impl Scope {
    /// No prefix and no attributes.
    pub fn new() -> Self {
        Scope::default()
    }

    /// What the names of operators begin with, automatic ones too. Variables keep their names, except for those that are
    /// made for inputs left out, which are named after their operator.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefix.push_str(prefix);
        self
    }

    /// An attribute of every operator and variable that does not set it itself.
    pub fn attr(mut self, key: &str, value: impl AttrText) -> Self {
        self.attrs.insert(key.to_string(), value.attr_text());
        self
    }

    /// The group of nodes that run on one device: see [`BindOptions::groups`](crate::BindOptions::groups).
    pub fn ctx_group(self, group: &str) -> Self {
        self.attr("__ctx_group__", group)
    }

    /// A factor on the learning rate of the parameters.
    pub fn lr_mult(self, factor: f64) -> Self {
        self.attr("__lr_mult__", factor)
    }

    /// A factor on the weight decay of the parameters.
    pub fn wd_mult(self, factor: f64) -> Self {
        self.attr("__wd_mult__", factor)
    }

    /// Whether results may be thrown away after the forward pass and computed again in the backward pass.
    pub fn force_mirroring(self, force: bool) -> Self {
        self.attr("__force_mirroring__", force)
    }

    /// Calls `compose`; what it begins with functions of [`sym`](crate::sym), on this thread, is in this scope and in those
    /// around it. Prefixes follow each other from the outside in; of attributes the innermost count.
    pub fn within<R>(&self, compose: impl FnOnce() -> R) -> R {
        let mut joined = Scope::current();
        joined.prefix.push_str(&self.prefix);
        joined.attrs.extend(self.attrs.clone());
        SCOPES.with_borrow_mut(|scopes| scopes.push(joined));
        let _leave = Leave;
        compose()
    }

    /// All scopes that this thread is in, as one.
    pub(crate) fn current() -> Scope {
        SCOPES.with_borrow(|scopes| scopes.last().cloned().unwrap_or_default())
    }

    pub(crate) fn into_parts(self) -> (String, Attrs) {
        (self.prefix, self.attrs)
    }
}

/// Leaves the innermost scope, also when composing panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        SCOPES.with_borrow_mut(Vec::pop);
    }
}
