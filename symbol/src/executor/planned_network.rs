//! Planning without binding: what an executor would take of memory, without taking it.

use super::fit::{Fitted, fit};
use super::options::BindOptions;
use super::report::PlanReport;
use crate::Graph;
use crate::plan::{EntryMap, Plan, PlanInput, View};
use std::collections::HashSet;
use varflow_ops::{Entry, Registry, Result, Shape, TensorDesc};

/// A network as an executor would run it, and where everything would lie.
pub struct PlannedNetwork {
    /// What runs: with gradients when planned for training, once passes have run, and with what is recomputed.
    pub graph: Graph,
    /// Shape and dtype of every entry.
    pub descs: EntryMap<TensorDesc>,
    /// The results that are the bytes of others.
    pub views: EntryMap<Option<View>>,
    /// Scratch bytes of every node's kernel.
    pub workspace_bytes: Vec<usize>,
    /// The group of every node.
    pub groups: Vec<usize>,
    /// The nodes that run: forward, and for training backward.
    pub phases: Vec<Vec<usize>>,
    /// The outputs whose memory may hold other results first.
    pub hosts: HashSet<Entry>,
    /// How much may be made to wait so that memory can be shared.
    pub reuse_distance: usize,
    /// Where everything lies.
    pub plan: Plan,
    /// What it takes of memory.
    pub report: PlanReport,
}

impl PlannedNetwork {
    /// What the plan was made for.
    #[must_use]
    pub fn input(&self) -> PlanInput<'_> {
        let PlannedNetwork { graph, descs, views, workspace_bytes, groups, phases, hosts, .. } = self;
        PlanInput { graph, descs, views, workspace_bytes, groups, phases, hosts, reuse_distance: self.reuse_distance }
    }
}

/// Plans a network as [`Executor::bind_graph`](super::Executor::bind_graph) does, and takes no memory for its tensors.
///
/// # Errors
/// As [`Executor::bind_graph`](super::Executor::bind_graph), but for tensors; a budget that cannot be kept to, with the
/// smallest that can.
pub fn planned(
    registry: &Registry,
    graph: &Graph,
    given: &[(String, Shape)],
    options: &BindOptions,
) -> Result<PlannedNetwork> {
    let Fitted { planned, report } = fit(registry, graph, given, options)?;
    let net = planned.net;
    Ok(PlannedNetwork {
        graph: net.graph,
        descs: net.descs,
        views: net.views,
        workspace_bytes: planned.workspace_bytes,
        groups: net.groups,
        phases: net.phases,
        hosts: planned.hosts,
        reuse_distance: planned.reuse_distance,
        plan: planned.plan,
        report,
    })
}
