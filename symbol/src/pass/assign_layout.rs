//! Layout assignment: the nodes of which a backend wants the tensors with their axes in another order are computed so, and as few
//! conversions as can be stand between them and the others.
//!
//! 1. Each node is shown to whoever has a [wish](varflow_ops::LayoutHook) about its operator (`wishes.rs`).
//! 2. From the last node to the first, each entry learns in which orders its readers want it (`demand.rs`). Operators to which axes
//!    mean nothing, or which can have them renamed, want what their own readers want.
//! 3. From the first node to the last, the new graph is made (`relay.rs`). An operator without a wish takes, of the orders in which
//!    its inputs are at hand, the one that moves the fewest bytes: those of inputs in another order, and those of outputs
//!    that are wanted in another. Conversions are `transpose` nodes, one for each entry, order and group; a `transpose` of the
//!    graph is a name for what it permutes, so that one after its inverse is nothing.

mod demand;
mod order;
mod relay;
mod wishes;

use super::Context;
use crate::Graph;
use demand::Demand;
use relay::Relay;
use varflow_ops::{DeviceKind, Result};
use wishes::{Role, Wishes};

/// The kind of devices whose kernels executors bind.
const KIND: DeviceKind = DeviceKind::Cpu;

/// Computes nodes in the layouts that backends want them in, with conversions at the borders. A node that gives an output in another
/// order has another name; where its first output is needed as it was, a `transpose` of the old name gives it. What somebody
/// changes is not permuted, and nothing is in another order across groups.
pub(super) fn assign_layout(graph: &mut Graph, context: &Context<'_>) -> Result<()> {
    if !context.registry.has_layouts(KIND) {
        return Ok(());
    }
    let wishes = Wishes::new(graph, context)?;
    if !wishes.roles.iter().any(|role| matches!(role, Role::Wanted(_))) {
        return Ok(());
    }
    let demand = Demand::new(&wishes)?;
    *graph = Relay::new(&wishes, &demand, context.registry)?.run()?;
    Ok(())
}
