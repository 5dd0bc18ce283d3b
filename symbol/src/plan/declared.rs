//! What operators declare, as far as a plan relies on it.

use crate::Graph;
use varflow_ops::{Result, check_inplace};

/// Checks the in-place pairs of all nodes. Which of them fit these shapes is another question, asked where they are used.
///
/// # Errors
/// As [`check_inplace`], with the node.
pub(super) fn check_declared(graph: &Graph) -> Result<()> {
    for node in &graph.nodes {
        let Some(op) = &node.op else { continue };
        let pairs = op.inplace(&node.params);
        if !pairs.is_empty() {
            check_inplace(&pairs, node.inputs.len(), node.num_outputs(), &node.mutates())
                .map_err(|e| e.at(node.place()))?;
        }
    }
    Ok(())
}
