//! A network with its kernels and its memory plan.

use super::network::Network;
use super::options::BindOptions;
use super::report::PlanReport;
use crate::plan::{Plan, PlanInput};
use crate::{Graph, check_plan};
use std::collections::{BTreeSet, HashSet};
use varflow_ops::{DeviceKind, Entry, Error, Kernel, KernelCall, Registry, Result, Shape, TensorDesc};

/// Up to how many nodes debug builds check the plan of each executor.
const MAX_CHECKED: usize = 100;

/// The kernels of nodes, in the order in which they run.
pub(super) type NodeKernels = Vec<(usize, Box<dyn Kernel>)>;

/// A network ready to be given memory.
pub(super) struct Planned {
    pub(super) net: Network,
    /// The kernels of each phase: those for training, or if there is none for inference.
    pub(super) train: Vec<NodeKernels>,
    /// The forward kernels for inference of a network that is bound for training.
    pub(super) score: NodeKernels,
    /// Of each node.
    pub(super) workspace_bytes: Vec<usize>,
    /// The outputs that nobody but this network writes.
    pub(super) hosts: HashSet<Entry>,
    /// How much may be made to wait so that memory can be shared.
    pub(super) reuse_distance: usize,
    pub(super) plan: Plan,
}

impl Planned {
    /// # Errors
    /// An operator without a kernel, or what its factory says.
    pub(super) fn new(registry: &Registry, net: Network, options: &BindOptions) -> Result<Planned> {
        let kernels_of = |nodes: &[usize], is_train| {
            let computes = |i: &&usize| net.views.node(**i).iter().all(Option::is_none);
            kernels_of(registry, &net, nodes.iter().filter(computes), is_train)
        };
        let train: Vec<NodeKernels> =
            (net.phases.iter()).map(|nodes| kernels_of(nodes, options.for_training)).collect::<Result<_>>()?;
        // A training executor can run its forward nodes either way.
        let score = if options.for_training { kernels_of(&net.phases[0], false)? } else { Vec::new() };
        let mut workspace_bytes = vec![0; net.graph.nodes.len()];
        for (node, kernel) in train.iter().flatten().chain(&score) {
            workspace_bytes[*node] = kernel.workspace_bytes().max(workspace_bytes[*node]);
        }
        check_workspaces(&net.graph, &workspace_bytes)?;
        let (graph, descs, phases) = (&net.graph, &net.descs, &net.phases);
        let (views, groups) = (&net.views, &net.groups);
        let (workspaces, hosts, reuse_distance) = (&workspace_bytes, net.hosts(options), options.reuse_distance);
        let input = PlanInput {
            graph,
            descs,
            views,
            workspace_bytes: workspaces,
            groups,
            phases,
            hosts: &hosts,
            reuse_distance,
        };
        let plan = Plan::new(&input)?;
        if cfg!(debug_assertions) && graph.nodes.len() <= MAX_CHECKED {
            check_plan(&input, &plan)?;
        }
        Ok(Planned { net, train, score, workspace_bytes, hosts, reuse_distance, plan })
    }

    /// What it takes of memory. `given` are the shapes of data and labels.
    pub(super) fn report(&self, given: &[(String, Shape)], optimizer_states: usize) -> PlanReport {
        let Planned { net, plan, .. } = self;
        let bytes = |node: usize| net.descs[Entry { node, output: 0 }].len_bytes();
        let is_given = |node: &usize| given.iter().any(|(n, _)| *n == net.graph.nodes[*node].name);
        let (data, parameters): (Vec<usize>, Vec<usize>) = net.arguments.iter().partition(|a| is_given(a));
        let computed: BTreeSet<Entry> =
            net.outputs.iter().copied().filter(|e| net.graph.nodes[e.node].op.is_some()).collect();
        let trained = net.grads.iter().map(|g| g.argument);
        let gradients = net.grads.iter().map(|g| g.argument).chain(net.head_grads.iter().copied().flatten());
        PlanReport {
            naive_bytes: plan.naive_bytes,
            planned_bytes: plan.planned_bytes,
            lower_bound_bytes: plan.lower_bound_bytes,
            data_bytes: data.into_iter().map(bytes).sum(),
            parameter_bytes: parameters.into_iter().map(bytes).sum(),
            auxiliary_bytes: net.auxiliaries.iter().copied().map(bytes).sum(),
            gradient_bytes: gradients.map(bytes).sum(),
            constant_bytes: net.graph.constants.values().map(|value| value.bytes.len()).sum(),
            optimizer_bytes: trained.map(bytes).fold(0, usize::saturating_add).saturating_mul(optimizer_states),
            output_bytes: computed.iter().map(|e| net.descs[*e].len_bytes()).sum(),
            ..PlanReport::default()
        }
    }
}

/// Refuses workspaces that together are too large to be counted.
fn check_workspaces(graph: &Graph, workspace_bytes: &[usize]) -> Result<()> {
    const MOST: usize = isize::MAX as usize / 4;
    let mut total = 0_usize;
    for (node, bytes) in graph.nodes.iter().zip(workspace_bytes) {
        let sum = total.checked_add(*bytes).filter(|sum| *sum <= MOST);
        let refuse = || Error::Shape(format!("wants a workspace of {bytes} bytes, more than any memory could hold"));
        total = sum.ok_or_else(|| refuse().at(node.place()))?;
    }
    Ok(())
}

fn kernels_of<'a>(
    registry: &Registry,
    net: &Network,
    nodes: impl Iterator<Item = &'a usize>,
    is_train: bool,
) -> Result<NodeKernels> {
    let mut kernels = Vec::new();
    for &i in nodes {
        let node = &net.graph.nodes[i];
        let Some(op) = &node.op else { continue };
        let inputs: Vec<TensorDesc> = node.inputs.iter().map(|e| net.descs[*e].clone()).collect();
        let call = KernelCall {
            op: &**op,
            node: &node.name,
            params: &node.params,
            inputs: &inputs,
            outputs: net.descs.node(i),
            wanted: net.wanted.node(i),
            is_train,
        };
        kernels.push((i, registry.kernel(DeviceKind::Cpu, &call)?));
    }
    Ok(kernels)
}
