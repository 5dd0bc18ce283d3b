//! Operators that nobody provides, told all at once.

use crate::symbol::{Head, SymbolNode};
use std::collections::HashSet;
use std::sync::Arc;
use varflow_ops::{Error, Registry};

/// How many are told by name.
const TOLD: usize = 20;

/// The error of a network that uses several operators that nobody provides, each with the first node of it. `None` if they
/// are less than two.
pub(super) fn several(heads: &[Head], registry: &Registry) -> Option<Error> {
    let (mut seen, mut names) = (HashSet::new(), HashSet::new());
    let mut missing: Vec<String> = Vec::new();
    // Inputs come first; a node is met again, to be told, when they are done.
    let mut stack: Vec<(&Arc<SymbolNode>, bool)> = heads.iter().rev().map(|head| (&head.node, false)).collect();
    while let Some((node, is_done)) = stack.pop() {
        if !is_done {
            if seen.insert(Arc::as_ptr(node)) {
                stack.push((node, true));
                stack.extend(node.inputs.iter().rev().map(|input| (&input.from.node, false)));
            }
            continue;
        }
        let Some(op) = &node.op else { continue };
        if names.insert(op) && !registry.has_operator(op) {
            missing.push(node.place());
        }
    }
    if missing.len() < 2 {
        return None;
    }
    let more = missing.len().saturating_sub(TOLD);
    missing.truncate(TOLD);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let text = "nobody provides these operators, each with its first node: ";
    let hint = "; if a plug-in brings them, load that with --plugin FILE or VARFLOW_PLUGIN_PATH";
    Some(Error::Registry(format!("{text}{}{more}{hint}", missing.join(", "))))
}
