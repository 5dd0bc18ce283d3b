//! How much memory a network may take, and what may be recomputed for it.

use crate::size;
use clap::{Args, ValueEnum};
use varflow::symbol::Recompute;

#[derive(Args, Clone, Copy)]
pub(crate) struct BudgetArgs {
    /// What backward passes compute a second time, rather than keep it from the forward pass.
    #[arg(long, value_enum, default_value_t = Choice::None, value_name = "WHAT")]
    recompute: Choice,
    /// The most memory to take for data, parameters, gradients, auxiliary states, the optimizer's states, outputs and intermediate
    /// results, such as 2GiB (units: B, kB, MB, GB, KiB, MiB, GiB). As much is recomputed as that takes, convolutions too.
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    pub(crate) memory_budget: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    /// Nothing.
    None,
    /// Activations, batch normalisation, concatenation and the like, which cost little time.
    Cheap,
}

impl BudgetArgs {
    pub(crate) fn recompute(self) -> Recompute {
        match self.recompute {
            Choice::None => Recompute::None,
            Choice::Cheap => Recompute::Cheap,
        }
    }
}
