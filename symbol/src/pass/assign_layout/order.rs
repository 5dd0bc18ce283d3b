//! Orders of axes, of which most are as they are.

use varflow_ops::Permutation;

/// In which order the axes of a tensor are; `None`: as they were, never a permutation that changes nothing.
pub(super) type Order = Option<Permutation>;

/// One order, and after it another.
pub(super) fn then(first: &Order, next: &Order) -> Order {
    match (first, next) {
        (None, order) | (order, None) => order.clone(),
        (Some(first), Some(next)) => Some(first.then(next)).filter(|order| !order.is_identity()),
    }
}

/// What has to come after `from` to give `to`.
pub(super) fn between(from: &Order, to: &Order) -> Order {
    then(&from.as_ref().map(Permutation::inverse), to)
}
