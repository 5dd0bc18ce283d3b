//! The commands `summary` and `plan`.

use crate::args::{PlanArgs, SummaryArgs};
use crate::failure::{Failure, say, say_lines};
use crate::plugins::Plugins;
use crate::shapes::{Known, infer, inputs};
use serde::Serialize;
use varflow::symbol::{BindOptions, Executor, Graph, summary as table};
use varflow::{Error, Runtime};

/// Prints the table of layers.
pub(crate) fn summary(args: &SummaryArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (_, graph, known) = resolve(args, plugins)?;
    let shapes = infer(&graph, &known)?;
    let names: Vec<&str> = known.iter().map(|(name, _)| &name[..]).chain(["data"]).collect();
    say_lines(&table(&graph, &shapes, &names).to_string())
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
    let given = inputs(&graph, &known)?;
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

fn resolve(args: &SummaryArgs, plugins: &Plugins) -> Result<(Runtime, Graph, Known), Failure> {
    let rt = plugins.runtime(1)?;
    let (graph, known) = args.shapes.resolve(&args.network, &rt.registry)?;
    Ok((rt, graph, known))
}
