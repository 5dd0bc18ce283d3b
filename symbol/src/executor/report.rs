//! What an executor takes of memory.

use serde::Serialize;

/// What an executor takes of memory, in bytes. Everything but the arena is counted as it is seen from outside, shared
/// tensors included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PlanReport {
    /// The arena, had every intermediate result and workspace memory of its own: those too that lie in the memory of an output now.
    pub naive_bytes: usize,
    /// The arena.
    pub planned_bytes: usize,
    /// The liveness lower bound of the arena (see [`Plan::lower_bound_bytes`](crate::Plan::lower_bound_bytes)).
    pub lower_bound_bytes: usize,
    /// Arguments whose shapes were given: data and labels.
    pub data_bytes: usize,
    /// The other arguments: parameters.
    pub parameter_bytes: usize,
    /// Auxiliary states.
    pub auxiliary_bytes: usize,
    /// Gradients of arguments, and those of outputs that take one.
    pub gradient_bytes: usize,
    /// What passes computed beforehand.
    pub constant_bytes: usize,
    /// What an optimizer keeps for the parameters, as [`BindOptions::optimizer_states`](super::BindOptions::optimizer_states)
    /// says. The executor takes no memory for it.
    pub optimizer_bytes: usize,
    /// Outputs that are computed; an output that is an argument takes nothing.
    pub output_bytes: usize,
    /// How much longer a step takes for what it recomputes, as a share of its time without: a prediction from operations and
    /// bytes, not a measurement.
    pub extra_time_ratio: f64,
    /// How many more floating-point operations a step takes for what it recomputes, as a share of those without.
    pub extra_flops_ratio: f64,
}

impl PlanReport {
    /// All memory that the executor uses, and its optimizer.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.planned_bytes.saturating_add(self.own_bytes())
    }

    /// All but the arena: what does not depend on the plan.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        let of_users = [
            self.data_bytes,
            self.parameter_bytes,
            self.auxiliary_bytes,
            self.gradient_bytes,
            self.constant_bytes,
            self.optimizer_bytes,
            self.output_bytes,
        ];
        of_users.into_iter().fold(0, usize::saturating_add)
    }
}
