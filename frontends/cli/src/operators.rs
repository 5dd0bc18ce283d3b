//! The command `ops`.

use crate::args::{OpsArgs, OpsCommand, Sort};
use crate::failure::{Failure, say};
use crate::plugins::Plugins;
use crate::show::show;
use varflow::ops::Registry;

/// Looks into what providers bring.
pub(crate) fn run(args: &OpsArgs, plugins: &Plugins) -> Result<(), Failure> {
    let (registry, libraries) = plugins.registry()?;
    match &args.command {
        OpsCommand::List { kind, all } => list(&registry, *kind, *all),
        OpsCommand::Show { name } => show(&registry, &libraries, name),
    }
}

fn list(registry: &Registry, sort: Sort, all: bool) -> Result<(), Failure> {
    let shown: Vec<(&str, &str)> = match sort {
        Sort::Operators => {
            let shown = registry.operators().filter(|op| all || !op.is_hidden());
            shown.map(|op| (op.name(), op.doc())).collect()
        }
        Sort::Iterators => registry.iterators().map(|(kind, _)| (kind.name(), kind.doc())).collect(),
        Sort::Reductions => registry.reductions().map(|(reduction, _)| (reduction.name(), reduction.doc())).collect(),
        Sort::Optimizers => registry.update_rules().map(|(rule, _)| (&rule.name[..], &rule.doc[..])).collect(),
    };
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown.iter().try_for_each(|(name, doc)| {
        let first = doc.split_once(". ").map_or(*doc, |(first, _)| first);
        say(&format!("{name:<width$}  {}", first.trim_end_matches('.')))
    })
}
