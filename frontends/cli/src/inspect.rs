//! The commands `summary` and `plan`.

use crate::args::{PlanArgs, SummaryArgs};
use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use serde::Serialize;
use varflow::ops::{PartialShape, Shape};
use varflow::symbol::{BindOptions, Executor, Graph, infer_shapes, summary as table};
use varflow::{Error, Runtime};

/// Prints the table of layers.
pub(crate) fn summary(args: &SummaryArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (_, graph, shape) = resolve(args, plugins)?;
    let shapes = infer_shapes(&graph, &[("data", PartialShape::from(shape))])?;
    say(table(&graph, &shapes, &["data"]).to_string().trim_end())
}

/// What the plan of one mode comes to.
#[derive(Serialize)]
struct Line<'a> {
    network: &'a str,
    batch_size: u32,
    mode: &'static str,
    naive_bytes: usize,
    planned_bytes: usize,
    lower_bound_bytes: usize,
}

/// Prints the memory plans.
pub(crate) fn plan(args: &PlanArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (rt, graph, shape) = resolve(&args.network, plugins)?;
    let network = args.network.network.to_string();
    if !args.json {
        say(&format!("{network}, batches of {} — bytes of intermediate results", args.network.batch_size))?;
        say(&format!("{:<10} {:>15} {:>15} {:>15}", "mode", "naive", "planned", "lower bound"))?;
    }
    for (mode, for_training) in [("training", true), ("inference", false)] {
        let options = BindOptions { for_training, ..BindOptions::default() };
        let given = given(&graph, &shape)?;
        let plan = *Executor::bind_graph(&rt, &graph, &given, &options)?.plan();
        let line = Line {
            network: &network,
            batch_size: args.network.batch_size,
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

/// The network, and the shape of a batch of its data.
fn resolve(args: &SummaryArgs, plugins: &Plugins) -> Result<(Runtime, Graph, Shape), Failure> {
    let rt = plugins.runtime(1)?;
    let (symbol, sample) = args.network.build(&args.sizes)?;
    let graph = symbol.resolve(&rt.registry)?;
    let sample = sample.unwrap_or_else(|| Shape::new(&[1, 28, 28]));
    let batch = std::iter::once(args.batch_size as usize);
    let shape = batch.chain(sample.dims().iter().copied()).collect();
    Ok((rt, graph, shape))
}

/// The shapes of data and labels, which have no gradients.
pub(crate) fn given(graph: &Graph, data: &Shape) -> Result<Vec<(String, Shape)>, Error> {
    let shapes = infer_shapes(graph, &[("data", PartialShape::from(data))])?;
    let labels = graph.labels();
    let is_input = |i: &usize| graph.nodes[*i].name == "data" || labels.binary_search(i).is_ok();
    let variables = graph.arguments().into_iter().filter(is_input);
    Ok(variables.map(|i| (graph.nodes[i].name.clone(), shapes[i][0].clone())).collect())
}
