//! The network that an executor runs: with as much recomputed as was asked for, and as its memory budget takes.

use super::network::Network;
use super::options::BindOptions;
use super::planned::Planned;
use super::report::PlanReport;
use crate::Graph;
use crate::recompute::{Extra, Recomputation, Recompute};
use varflow_ops::{Error, Registry, Result, Shape};

/// How often a lower peak is aimed at because the packing takes more than the peak.
const MAX_AIMS: usize = 4;

/// A network that keeps to its budget.
pub(super) struct Fitted {
    pub(super) planned: Planned,
    pub(super) report: PlanReport,
}

/// # Errors
/// What [`Network::new`] and [`Planned::new`] say; a budget that cannot be kept to.
pub(super) fn fit(
    registry: &Registry,
    graph: &Graph,
    given: &[(String, Shape)],
    options: &BindOptions,
) -> Result<Fitted> {
    let is_cheap = options.recompute == Recompute::Cheap;
    let is_bounded = options.memory_budget.is_some() || options.arena_budget.is_some();
    if !is_cheap && (!is_bounded || options.reuse_distance > 0) {
        let fit = Fit { registry, given, options };
        let plain = fit.planned(Network::new(graph, registry, given, options)?, Extra::default())?;
        if fit.excess_bytes(&plain.report) == 0 {
            return Ok(plain);
        }
    }
    // What is computed again needs nothing of what surrounds it: unless it may be made to wait, nothing is saved.
    let options = &BindOptions { reuse_distance: 0, ..options.clone() };
    let net = Network::new(graph, registry, given, options)?;
    let fit = Fit { registry, given, options };
    let mut recomputation = Recomputation::new(&net.graph, &net.descs, &net.views, &net.phases, registry)?;
    if is_cheap {
        recomputation.make_cheap();
    }
    let (rewritten, extra) = recomputation.rewritten(0);
    let moved = rewritten.moved.clone();
    let first = fit.planned(net.rewritten(rewritten, options)?, extra)?;
    if fit.excess_bytes(&first.report) == 0 {
        return Ok(first);
    }
    let workspace = |new: &Option<usize>| new.map_or(0, |i| first.planned.workspace_bytes[i]);
    recomputation.set_workspaces(&moved.iter().map(workspace).collect::<Vec<_>>());
    recomputation.make_cheap();
    let mut aim = fit.arena_bytes(&first.report);
    for _ in 0..MAX_AIMS {
        let peak = recomputation.shrink(aim);
        if peak > aim {
            break;
        }
        let (rewritten, extra) = recomputation.rewritten(aim);
        let fitted = fit.planned(net.rewritten(rewritten, options)?, extra)?;
        match fit.excess_bytes(&fitted.report) {
            0 => return Ok(fitted),
            excess => aim = aim.saturating_sub(excess),
        }
    }
    let least = recomputation.shrink(0);
    let (rewritten, extra) = recomputation.rewritten(least);
    let smallest = fit.planned(net.rewritten(rewritten, options)?, extra)?;
    if fit.excess_bytes(&smallest.report) == 0 {
        return Ok(smallest);
    }
    let smallest = if smallest.report.planned_bytes < first.report.planned_bytes { smallest } else { first };
    Err(fit.refusal(&smallest.report))
}

struct Fit<'a> {
    registry: &'a Registry,
    given: &'a [(String, Shape)],
    options: &'a BindOptions,
}

impl Fit<'_> {
    fn planned(&self, net: Network, extra: Extra) -> Result<Fitted> {
        let planned = Planned::new(self.registry, net, self.options)?;
        let Extra { time_ratio, flops_ratio } = extra;
        let report = planned.report(self.given, self.options.optimizer_states);
        let report = PlanReport { extra_time_ratio: time_ratio, extra_flops_ratio: flops_ratio, ..report };
        Ok(Fitted { planned, report })
    }

    /// How large the arena may be.
    fn arena_bytes(&self, report: &PlanReport) -> usize {
        let of_all = self.options.memory_budget.map(|budget| budget.saturating_sub(report.own_bytes()));
        let alone = self.options.arena_budget.unwrap_or(usize::MAX);
        of_all.unwrap_or(usize::MAX).min(alone)
    }

    /// By how many bytes a plan is above the budget.
    fn excess_bytes(&self, report: &PlanReport) -> usize {
        let of_all = self.options.memory_budget.map_or(0, |budget| report.total_bytes().saturating_sub(budget));
        let alone = self.options.arena_budget.map_or(0, |budget| report.planned_bytes.saturating_sub(budget));
        of_all.max(alone)
    }

    /// `smallest` is the least that the network can do with.
    fn refusal(&self, smallest: &PlanReport) -> Error {
        let PlanReport { planned_bytes: arena, lower_bound_bytes: alive, .. } = *smallest;
        if let Some(budget) = self.options.arena_budget.filter(|budget| arena > *budget) {
            let text = format!(
                "arena_budget is {budget} bytes, wanted at least {arena}, into which intermediate results and workspaces can \
                 be brought by recomputation ({alive} are alive at once)"
            );
            return Error::Param(text);
        }
        let budget = self.options.memory_budget.unwrap_or(usize::MAX);
        let (own, total) = (smallest.own_bytes(), smallest.total_bytes());
        let PlanReport { parameter_bytes, gradient_bytes, auxiliary_bytes, data_bytes, output_bytes, .. } = *smallest;
        let told = |bytes: usize, what: &str| if bytes > 0 { format!("{bytes} of {what}, ") } else { String::new() };
        let optimizer = told(smallest.optimizer_bytes, "the optimizer's states");
        let constants = told(smallest.constant_bytes, "constants");
        let fixed = if budget < own { format!("; what is not recomputed alone takes {own}") } else { String::new() };
        Error::Param(format!(
            "memory_budget is {budget} bytes, wanted at least {total}: {parameter_bytes} of parameters, {gradient_bytes} of \
             gradients, {optimizer}{constants}{auxiliary_bytes} of auxiliary states, {data_bytes} of data, {output_bytes} of outputs, and {arena} \
             into which intermediate results and workspaces can be brought by recomputation{fixed}"
        ))
    }
}
