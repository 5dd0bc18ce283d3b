//! The command `plan`.

mod table;

use crate::args::SummaryArgs;
use crate::budget::BudgetArgs;
use crate::failure::{Failure, say};
use crate::graph::passes;
use crate::optimizer::OptimizerArgs;
use crate::plugins::Plugins;
use crate::shapes::inputs;
use clap::Args;
use serde::Serialize;
use std::path::{Path, PathBuf};
use varflow::Error;
use varflow::ops::{Registry, Result as OpsResult, Shape};
use varflow::optimizer::Optimizer;
use varflow::symbol::plan::{Edge, Timeline, arena_svg, edges, human_bytes, occupant_name};
use varflow::symbol::{BindOptions, Graph, Passes, PlanReport, PlannedNetwork, planned};

pub(crate) const EXAMPLES: &str = "\
Examples:
  varflow plan --network resnet-50 --batch-size 32
  varflow plan --network net.json --data-shape 3,32,32 --batch-size 64 --inference
  varflow plan --network inception-bn --batch-size 32 --training --recompute cheap --compare
  varflow plan --network resnet-50 --batch-size 32 --training --memory-budget 2GiB --svg arena.svg

Nothing is run, and no memory is taken for the network. Intermediate results and kernels' scratch memory (workspaces) share
one arena. Naive is what they would take each for itself, the lower bound the most that is alive at a time. Tensors
begin at multiples of 64 bytes, so that a plan of tiny ones may exceed their sum. Edges are pairs of nodes of which
one waits for the other because they share memory. Extra time is predicted, not measured.";

/// How many of those alive at the peak are told.
const MOST_ALIVE: usize = 10;

#[derive(Args)]
pub(crate) struct PlanArgs {
    /// The plan for training only.
    #[arg(long, conflicts_with = "inference")]
    training: bool,
    /// The plan for inference only.
    #[arg(long)]
    inference: bool,
    #[command(flatten)]
    budget: BudgetArgs,
    /// How many samples inference takes through the network at a time; by default as many as keep results in cache.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    samples_at_a_time: Option<u32>,
    /// How much may be made to wait so that memory can be shared: nodes that do not need each other's results only wait for each
    /// other if they are further apart than so many steps. 0, the default, gives the smallest plan, max the most concurrent. It is 0
    /// where anything is recomputed.
    #[arg(long, value_name = "N|max", default_value = "0", value_parser = distance)]
    reuse_distance: usize,
    /// Passes to run over the graph first, separated by commas, or all, or none.
    #[arg(long, value_name = "LIST", default_value = "all", value_parser = passes)]
    passes: Passes,
    #[command(flatten)]
    optimizer: OptimizerArgs,
    /// Print every edge between nodes that do not need each other's results: who waits for whom, and over what.
    #[arg(long, conflicts_with = "json")]
    edges: bool,
    /// Print the plan beside that without --recompute, --memory-budget, --samples-at-a-time, --reuse-distance and --passes.
    #[arg(long)]
    compare: bool,
    /// Write a picture of the arena over time: of training, or with --inference of that.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print one JSON object a mode. Of intermediate results and workspaces: naive_bytes, planned_bytes, lower_bound_bytes,
    /// and workspace_bytes, the largest workspace. Of all else: parameter_bytes, gradient_bytes, auxiliary_bytes, optimizer_bytes,
    /// constant_bytes, data_bytes and output_bytes. Further network, batch_size, mode, extra_flops_ratio and extra_time_ratio of what is
    /// recomputed, peak (node, step, alive_bytes, and alive: name and bytes of the largest) and edges (added, and beyond_data: those
    /// between nodes that do not need each other's results; null for a graph too large).
    #[arg(long, conflicts_with = "compare")]
    json: bool,
    // The last, since the heading that it brings holds for what follows.
    #[command(flatten)]
    network: SummaryArgs,
}

/// What the plan of one mode comes to.
#[derive(Serialize)]
struct Told<'a> {
    network: &'a str,
    batch_size: usize,
    mode: &'static str,
    naive_bytes: usize,
    planned_bytes: usize,
    lower_bound_bytes: usize,
    workspace_bytes: usize,
    parameter_bytes: usize,
    gradient_bytes: usize,
    auxiliary_bytes: usize,
    optimizer_bytes: usize,
    constant_bytes: usize,
    data_bytes: usize,
    output_bytes: usize,
    extra_flops_ratio: f64,
    extra_time_ratio: f64,
    peak: Option<Peak>,
    edges: Option<Edges>,
}

/// The happens-before edges that sharing memory adds.
#[derive(Clone, Copy, Serialize)]
struct Edges {
    added: usize,
    beyond_data: usize,
}

/// The step in which most is alive, and who is.
#[derive(Serialize)]
struct Peak {
    node: String,
    step: usize,
    steps: usize,
    alive_bytes: usize,
    /// How many are alive in all.
    alive_count: usize,
    alive: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    name: String,
    bytes: usize,
}

/// The network to be planned.
struct Subject<'a> {
    registry: &'a Registry,
    graph: Graph,
    given: Vec<(String, Shape)>,
    network: String,
    batch_size: usize,
    /// How many states the optimizer keeps of each parameter.
    num_states: usize,
}

/// Prints the memory plans.
pub(crate) fn run(args: &PlanArgs, plugins: &Plugins) -> Result<(), Failure> {
    let rt = plugins.runtime(1)?;
    let (graph, known) = args.network.shapes.resolve(&args.network.network, &rt.registry)?;
    let given = inputs(&graph, &known)?;
    let data = given.iter().find(|(name, _)| name == "data").or(given.first());
    let batch_size = data.and_then(|(_, shape)| shape.dims().first().copied()).unwrap_or(1);
    let num_states = args.optimizer.rule(&rt.registry, 0.1)?.states().len();
    let network = args.network.network.to_string();
    let subject = Subject { registry: &rt.registry, graph, given, network, batch_size, num_states };

    let modes: Vec<bool> =
        [true, false].into_iter().filter(|m| !(if *m { args.inference } else { args.training })).collect();
    let (mut told, mut waits) = (Vec::new(), Vec::new());
    for &for_training in &modes {
        let planned = subject.planned(&args.options(for_training, num_states))?;
        let timeline = Timeline::new(&planned.input(), &planned.plan)?;
        told.push(subject.told(&planned, &timeline, for_training));
        if args.edges {
            waits.push((mode(for_training), edge_lines(&planned)));
        }
        if let Some(path) = args.svg.as_deref().filter(|_| for_training == modes[0]) {
            subject.draw(path, &planned, &timeline, for_training)?;
        }
    }
    if args.json {
        for told in &told {
            let text = serde_json::to_string(told).map_err(|e| Error::Data(format!("the plan is no JSON: {e}")))?;
            say(&text)?;
        }
        return Ok(());
    }
    say(&format!("{}, batches of {batch_size}", subject.network))?;
    if !args.compare {
        let columns: Vec<(&str, &Told<'_>)> = told.iter().map(|told| (told.mode, told)).collect();
        table::print(&columns, false)?;
        told.iter().try_for_each(table::print_peak)?;
        return waits.iter().try_for_each(|(mode, lines)| table::print_edges(mode, lines));
    }
    for (told, for_training) in told.iter().zip(modes) {
        let optimizer_states = subject.num_states;
        let plain = subject.planned(&BindOptions { for_training, optimizer_states, ..BindOptions::default() })?;
        let timeline = Timeline::new(&plain.input(), &plain.plan)?;
        let plain = subject.told(&plain, &timeline, for_training);
        say("")?;
        say(&format!("{}:", told.mode))?;
        table::print(&[("by default", &plain), ("with these options", told)], true)?;
        table::print_peak(told)?;
    }
    waits.iter().try_for_each(|(mode, lines)| table::print_edges(mode, lines))
}

impl PlanArgs {
    fn options(&self, for_training: bool, optimizer_states: usize) -> BindOptions {
        BindOptions {
            for_training,
            optimizer_states,
            passes: self.passes.clone(),
            recompute: self.budget.recompute(),
            memory_budget: self.budget.memory_budget,
            samples_at_a_time: self.samples_at_a_time.map(|n| n as usize),
            reuse_distance: self.reuse_distance,
            ..BindOptions::default()
        }
    }
}

impl Subject<'_> {
    fn planned(&self, options: &BindOptions) -> OpsResult<PlannedNetwork> {
        let mode = mode(options.for_training);
        planned(self.registry, &self.graph, &self.given, options).map_err(|e| e.at(mode))
    }

    fn told(&self, net: &PlannedNetwork, timeline: &Timeline, for_training: bool) -> Told<'_> {
        let PlanReport { naive_bytes, planned_bytes, lower_bound_bytes, data_bytes, output_bytes, .. } = net.report;
        let PlanReport { parameter_bytes, gradient_bytes, auxiliary_bytes, constant_bytes, optimizer_bytes, .. } =
            net.report;
        let PlanReport { extra_flops_ratio, extra_time_ratio, .. } = net.report;
        Told {
            network: &self.network,
            batch_size: self.batch_size,
            mode: mode(for_training),
            naive_bytes,
            planned_bytes,
            lower_bound_bytes,
            workspace_bytes: net.workspace_bytes.iter().copied().max().unwrap_or(0),
            parameter_bytes,
            gradient_bytes,
            auxiliary_bytes,
            optimizer_bytes,
            constant_bytes,
            data_bytes,
            output_bytes,
            extra_flops_ratio,
            extra_time_ratio,
            peak: peak(net, timeline),
            edges: edges(&net.input(), &net.plan).map(|edges| Edges {
                added: edges.len(),
                beyond_data: edges.iter().filter(|edge| edge.is_beyond_data).count(),
            }),
        }
    }

    fn draw(&self, path: &Path, net: &PlannedNetwork, timeline: &Timeline, for_training: bool) -> Result<(), Failure> {
        let arena = human_bytes(net.plan.planned_bytes);
        let heading =
            format!("{}, batches of {}, {}: an arena of {arena}", self.network, self.batch_size, mode(for_training));
        let text = arena_svg(&net.graph, &net.plan, timeline, &heading);
        let failed = |e| Error::io(format!("cannot write {}", path.display()), e);
        Ok(std::fs::write(path, text).map_err(failed)?)
    }
}

/// The value of `--reuse-distance`.
fn distance(text: &str) -> Result<usize, String> {
    match text {
        "max" => Ok(usize::MAX),
        _ => text.parse().map_err(|_| format!("\"{text}\", wanted a number of steps, or max")),
    }
}

/// The edges between nodes that do not need each other's results. `None`: there are too many.
fn edge_lines(net: &PlannedNetwork) -> Option<Vec<String>> {
    let name = |node: usize| &net.graph.nodes[node].name;
    let line = |Edge { first, then, over, .. }: Edge| {
        format!("{} waits for {}: {}", name(then), name(first), occupant_name(&net.graph, over))
    };
    let found = edges(&net.input(), &net.plan)?;
    Some(found.into_iter().filter(|edge| edge.is_beyond_data).map(line).collect())
}

fn mode(for_training: bool) -> &'static str {
    if for_training { "training" } else { "inference" }
}

fn peak(net: &PlannedNetwork, timeline: &Timeline) -> Option<Peak> {
    let step = timeline.peak()?;
    let alive = timeline.alive_at(step);
    let held = |bytes: usize, holder| Held { name: occupant_name(&net.graph, holder), bytes };
    Some(Peak {
        node: net.graph.nodes[timeline.order[step]].name.clone(),
        step: step + 1,
        steps: timeline.order.len(),
        alive_bytes: timeline.alive_bytes[step],
        alive_count: alive.len(),
        alive: alive.iter().take(MOST_ALIVE).filter_map(|b| Some(held(b.bytes.len(), b.holder(step)?))).collect(),
    })
}
