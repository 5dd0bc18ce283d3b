//! Networks as data: an immutable graph of operator names, attributes and inputs. No registry stands behind it; names and
//! parameters are checked when it is resolved.

use std::fmt;
use std::sync::Arc;
use varflow_ops::{Attrs, Error, Registry, Result};

/// What a network computes: one or more outputs of nodes in an immutable graph. Clones share the nodes, and using a
/// symbol twice uses the same node twice.
#[derive(Clone)]
pub struct Symbol {
    pub(crate) heads: Vec<Head>,
}

/// One output of a node, or, without a number, all those that users see.
#[derive(Clone)]
pub(crate) struct Head {
    pub(crate) node: Arc<SymbolNode>,
    pub(crate) output: Option<usize>,
}

/// An input of a node: the next one in order, or one by name.
pub(crate) struct Input {
    pub(crate) slot: Option<String>,
    pub(crate) from: Head,
}

/// A variable, or one use of an operator.
pub(crate) struct SymbolNode {
    /// `None` for a variable.
    pub(crate) op: Option<String>,
    /// `None` for an operator to be named automatically.
    pub(crate) name: Option<String>,
    /// What an automatic name begins with.
    pub(crate) prefix: String,
    pub(crate) attrs: Attrs,
    pub(crate) inputs: Vec<Input>,
}

impl SymbolNode {
    /// `Convolution "conv1"`, for errors.
    pub(crate) fn place(&self) -> String {
        let op = self.op.as_deref().unwrap_or("variable");
        match &self.name {
            Some(name) => format!("{op} \"{name}\""),
            None => format!("{op} (unnamed)"),
        }
    }
}

/// Takes the graph apart node by node: the usual nested drops would overflow the stack on a deep one.
impl Drop for SymbolNode {
    fn drop(&mut self) {
        let mut rest = std::mem::take(&mut self.inputs);
        while let Some(input) = rest.pop() {
            if let Some(mut node) = Arc::into_inner(input.from.node) {
                rest.append(&mut node.inputs);
            }
        }
    }
}

impl Symbol {
    pub(crate) fn of(node: SymbolNode) -> Symbol {
        Symbol { heads: vec![Head { node: Arc::new(node), output: None }] }
    }

    /// Several symbols as one that computes all of them, in order.
    pub fn group<S: Into<Symbol>>(symbols: impl IntoIterator<Item = S>) -> Symbol {
        Symbol { heads: symbols.into_iter().flat_map(|s| s.into().heads).collect() }
    }

    /// The parts of a group; of any other symbol, the symbol itself.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = Symbol> {
        self.heads.iter().map(|head| Symbol { heads: vec![head.clone()] })
    }

    /// One output: of a group its part `i`, else output `i` of the node, which [`resolve`](Self::resolve) checks.
    ///
    /// # Errors
    /// [`Error::Param`] when a group has no such part or one output of the node is chosen already.
    pub fn output(&self, i: usize) -> Result<Symbol> {
        let head = match &self.heads[..] {
            [Head { node, output: None }] => Head { node: node.clone(), output: Some(i) },
            heads => heads
                .get(i)
                .cloned()
                .ok_or_else(|| Error::Param(format!("{self:?} has {} outputs, there is no output {i}", heads.len())))?,
        };
        Ok(Symbol { heads: vec![head] })
    }

    /// The name given to its node; `None` for a group and where the name will be automatic.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match &self.heads[..] {
            [head] => head.node.name.as_deref(),
            _ => None,
        }
    }

    /// Every output inside the network, by name as in [`Graph::internals`](crate::Graph::internals): to cut a network off
    /// at a layer.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    pub fn internals(&self, registry: &Registry) -> Result<Vec<(String, Symbol)>> {
        let graph = self.resolve(registry)?;
        let mut nodes: Vec<Arc<SymbolNode>> = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let from = |e: &varflow_ops::Entry| Head { node: nodes[e.node].clone(), output: Some(e.output) };
            let inputs = node.inputs.iter().map(|e| Input { slot: None, from: from(e) }).collect();
            let op = node.op.as_ref().map(|op| op.name().to_string());
            let (name, attrs) = (Some(node.name.clone()), Attrs::clone(&node.attrs));
            nodes.push(Arc::new(SymbolNode { op, name, prefix: String::new(), attrs, inputs }));
        }
        let symbol = |e: varflow_ops::Entry| Head { node: nodes[e.node].clone(), output: Some(e.output) };
        Ok(graph.internals().into_iter().map(|(name, e)| (name, Symbol { heads: vec![symbol(e)] })).collect())
    }
}

impl From<&Symbol> for Symbol {
    fn from(symbol: &Symbol) -> Symbol {
        symbol.clone()
    }
}

impl fmt::Debug for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heads = self.heads.iter().map(|head| match head.output {
            None => head.node.place(),
            Some(i) => format!("{}[{i}]", head.node.place()),
        });
        write!(f, "Symbol({})", heads.collect::<Vec<_>>().join(", "))
    }
}
