//! The commands `summary` and `plan`.

use crate::args::{PlanArgs, SummaryArgs};
use crate::failure::{Failure, say};
use crate::network::Network;
use crate::plugins::Plugins;
use serde::Serialize;
use varflow::ops::{PartialShape, Shape};
use varflow::symbol::{BindOptions, Executor, Graph, infer_partial_shapes, infer_shapes, summary as table};
use varflow::{Error, Runtime};

/// Prints the table of layers.
pub(crate) fn summary(args: &SummaryArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (_, graph, known) = resolve(args, plugins)?;
    let shapes = infer(&graph, &known)?;
    let inputs: Vec<&str> = known.iter().map(|(name, _)| &name[..]).chain(["data"]).collect();
    table(&graph, &shapes, &inputs).to_string().lines().try_for_each(say)
}

/// What the plan of one mode comes to.
#[derive(Serialize)]
struct Line<'a> {
    network: &'a str,
    batch_size: usize,
    mode: &'static str,
    naive_bytes: usize,
    planned_bytes: usize,
    lower_bound_bytes: usize,
}

/// Prints the memory plans.
pub(crate) fn plan(args: &PlanArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (rt, graph, known) = resolve(&args.network, plugins)?;
    let network = args.network.network.to_string();
    let given = given(&graph, &known)?;
    let data = given.iter().find(|(name, _)| name == "data").or(given.first());
    let batch_size = data.and_then(|(_, shape)| shape.dims().first().copied()).unwrap_or(1);
    if !args.json {
        say(&format!("{network}, batches of {batch_size} — bytes of intermediate results"))?;
        say(&format!("{:<10} {:>15} {:>15} {:>15}", "mode", "naive", "planned", "lower bound"))?;
    }
    for (mode, for_training) in [("training", true), ("inference", false)] {
        let options = BindOptions { for_training, ..BindOptions::default() };
        let plan = *Executor::bind_graph(&rt, &graph, &given, &options)?.plan();
        let line = Line {
            network: &network,
            batch_size,
            mode,
            naive_bytes: plan.naive_bytes,
            planned_bytes: plan.planned_bytes,
            lower_bound_bytes: plan.lower_bound_bytes,
        };
        if args.json {
            let text = serde_json::to_string(&line).map_err(|e| Error::Data(format!("the plan is no JSON: {e}")))?;
            say(&text)?;
        } else {
            let Line { naive_bytes, planned_bytes, lower_bound_bytes, .. } = line;
            say(&format!("{mode:<10} {naive_bytes:>15} {planned_bytes:>15} {lower_bound_bytes:>15}"))?;
        }
    }
    Ok(())
}

/// The network, and what the command line and its own sizes say of the shapes of its inputs.
fn resolve(args: &SummaryArgs, plugins: &Plugins) -> Result<(Runtime, Graph, Known), Failure> {
    let rt = plugins.runtime(1)?;
    let (symbol, sample) = args.network.build(&args.sizes)?;
    let graph = symbol.resolve(&rt.registry)?;
    let known = known(args, &graph, sample)?;
    Ok((rt, graph, known))
}

/// Inputs and what is known of their shapes.
type Known = Vec<(String, PartialShape)>;

fn known(args: &SummaryArgs, graph: &Graph, sample: Option<Shape>) -> Result<Known, Failure> {
    let mut known: Known = Vec::new();
    for (name, shape) in &args.input_shapes {
        if matches!(args.network, Network::Zoo(_)) {
            let told = format!("--input-shape {name} is for symbol files: {} has sizes of its own", args.network);
            return Err(Failure::Usage(told));
        }
        if known.iter().any(|(other, _)| other == name) {
            return Err(Failure::Usage(format!("--input-shape {name} is given twice")));
        }
        known.push((name.clone(), shape.clone()));
    }
    let batch_size = args.batch_size.map(|n| n as usize);
    if known.iter().any(|(name, _)| name == "data") {
        if sample.is_some() || batch_size.is_some() {
            let told = "--input-shape gives the whole shape of data: wanted no --data-shape and --batch-size beside it";
            return Err(Failure::Usage(told.to_string()));
        }
        return Ok(known);
    }
    let of_batch = |n: usize, rest: Vec<Option<usize>>| PartialShape::new(std::iter::once(Some(n)).chain(rest));
    if let Some(sample) = sample {
        let rest = sample.dims().iter().copied().map(Some).collect();
        known.push(("data".to_string(), of_batch(batch_size.unwrap_or(1), rest)));
    } else if let Some(data) = graph.nodes.iter().position(|n| n.op.is_none() && n.name == "data") {
        // The file or its operators may know more of the shape, and the batch too.
        let shapes = infer_partial_shapes(graph, &known)?;
        if let Some([own, rest @ ..]) = shapes[data][0].dims()
            && let Some(n) = batch_size.or(if own.is_none() { Some(1) } else { None })
        {
            known.push(("data".to_string(), of_batch(n, vec![None; rest.len()])));
        }
    }
    Ok(known)
}

fn infer(graph: &Graph, known: &Known) -> Result<Vec<Vec<Shape>>, Failure> {
    infer_shapes(graph, known).map_err(|error| {
        let is_open = |shapes: Vec<Vec<PartialShape>>| shapes.iter().flatten().any(|shape| shape.known().is_none());
        if infer_partial_shapes(graph, known).is_ok_and(is_open) {
            let options = "--data-shape gives that of one sample of data, --input-shape NAME=EXTENTS that of any input";
            Failure::Usage(format!("{error}; {options}"))
        } else {
            error.into()
        }
    })
}

/// The shapes of inputs and labels, which have no gradients.
fn given(graph: &Graph, known: &Known) -> Result<Vec<(String, Shape)>, Failure> {
    let shapes = infer(graph, known)?;
    let is_input = |name: &str| name == "data" || name.ends_with("_label") || known.iter().any(|(n, _)| n == name);
    let variables = graph.arguments().into_iter().filter(|i| is_input(&graph.nodes[*i].name));
    Ok(variables.map(|i| (graph.nodes[i].name.clone(), shapes[i][0].clone())).collect())
}
