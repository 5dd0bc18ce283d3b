//! Composition: a network used as a function of its variables.

use crate::symbol::{Head, Input, Symbol, SymbolNode};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use varflow_ops::{Error, Result};

impl Symbol {
    /// The same network with variables replaced: it reads `with` where it read the variable of that name. What does not
    /// depend on them is shared with this symbol; the rest is made anew, under the same names.
    ///
    /// ```
    /// use varflow_symbol::sym;
    /// let head = sym::fully_connected(sym::var("x")).num_hidden(10).name("fc").build();
    /// let body = sym::flatten(sym::var("data")).name("flat").build();
    /// let net = head.compose([("x", body)])?;
    /// assert_eq!(format!("{net:?}"), "Symbol(FullyConnected \"fc\")");
    /// # Ok::<(), varflow_ops::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Param`] for a name that no variable of the symbol has (those made for inputs left out are not there yet), one
    /// that is given twice, and a group.
    pub fn compose<'a, S: Into<Symbol>>(&self, with: impl IntoIterator<Item = (&'a str, S)>) -> Result<Symbol> {
        let mut replace: HashMap<&str, Head> = HashMap::new();
        for (name, symbol) in with {
            let symbol = symbol.into();
            let [head] = &symbol.heads[..] else {
                let n = symbol.heads.len();
                return Err(Error::Param(format!("{name} is to be a group of {n} outputs, wanted one output")));
            };
            if replace.insert(name, head.clone()).is_some() {
                return Err(Error::Param(format!("the variable \"{name}\" is given twice")));
            }
        }
        let mut names = HashSet::new();
        let mut made: HashMap<*const SymbolNode, Head> = HashMap::new();
        for node in self.nodes() {
            let whole = Head { node: node.clone(), output: None };
            let head = match (&node.op, node.name.as_deref()) {
                (None, Some(name)) => {
                    names.insert(name);
                    replace.get(name).cloned().unwrap_or(whole)
                }
                _ => rebuilt(node, &made).unwrap_or(whole),
            };
            made.insert(Arc::as_ptr(node), head);
        }
        if let Some(name) = replace.keys().find(|name| !names.contains(*name)) {
            let mut names: Vec<_> = names.into_iter().collect();
            names.sort_unstable();
            return Err(Error::Param(format!("no variable is called \"{name}\": wanted one of {}", names.join(", "))));
        }
        Ok(Symbol { heads: self.heads.iter().map(|head| moved(head, &made)).collect() })
    }

    /// The nodes, each after all that it reads.
    pub(crate) fn nodes(&self) -> Vec<&Arc<SymbolNode>> {
        let mut nodes = Vec::new();
        let mut seen = HashSet::new();
        let mut stack: Vec<(&Arc<SymbolNode>, usize)> = Vec::new();
        for head in &self.heads {
            if seen.insert(Arc::as_ptr(&head.node)) {
                stack.push((&head.node, 0));
            }
            while let Some((node, next)) = stack.last_mut() {
                match node.inputs.get(*next) {
                    None => {
                        nodes.push(*node);
                        stack.pop();
                    }
                    Some(input) => {
                        *next += 1;
                        if seen.insert(Arc::as_ptr(&input.from.node)) {
                            stack.push((&input.from.node, 0));
                        }
                    }
                }
            }
        }
        nodes
    }
}

/// The node with its inputs replaced, if any is.
fn rebuilt(node: &Arc<SymbolNode>, made: &HashMap<*const SymbolNode, Head>) -> Option<Head> {
    let is_new = |input: &Input| {
        made.get(&Arc::as_ptr(&input.from.node)).is_some_and(|head| !Arc::ptr_eq(&head.node, &input.from.node))
    };
    if !node.inputs.iter().any(is_new) {
        return None;
    }
    let input = |input: &Input| Input { slot: input.slot.clone(), from: moved(&input.from, made) };
    let node = SymbolNode {
        op: node.op.clone(),
        name: node.name.clone(),
        prefix: node.prefix.clone(),
        attrs: node.attrs.clone(),
        inputs: node.inputs.iter().map(input).collect(),
    };
    Some(Head { node: Arc::new(node), output: None })
}

/// Where a head has gone. One output of a variable is all of it.
fn moved(head: &Head, made: &HashMap<*const SymbolNode, Head>) -> Head {
    match made.get(&Arc::as_ptr(&head.node)) {
        None => head.clone(),
        Some(to) => {
            Head { node: to.node.clone(), output: if head.node.op.is_none() { to.output } else { head.output } }
        }
    }
}
