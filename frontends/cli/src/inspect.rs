//! The command `summary`.

use crate::args::SummaryArgs;
use crate::failure::{Failure, say_lines};
use crate::plugins::Plugins;
use crate::shapes::infer;
use varflow::symbol::summary as table;

/// Prints the table of layers.
pub(crate) fn summary(args: &SummaryArgs, plugins: &Plugins) -> Result<(), Failure> {
    let rt = plugins.runtime(1)?;
    let (graph, known) = args.shapes.resolve(&args.network, &rt.registry)?;
    let shapes = infer(&graph, &known)?;
    let names: Vec<&str> = known.iter().map(|(name, _)| &name[..]).chain(["data"]).collect();
    say_lines(&table(&graph, &shapes, &names).to_string())
}
