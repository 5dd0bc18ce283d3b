//! Table `agreement`: the numbers of varflow beside those of MXNet 1.9.1, by operator and by network. Every case crosses over:
//! varflow writes a symbol JSON file and `.params`, MXNet loads and runs them, and varflow reads what MXNet saved.

mod array;
mod case;
mod compare;
mod mxnet;
mod networks;
mod operators;
mod references;
mod row;
mod sketch;
mod table;
mod varflow;

use crate::Result;
use mxnet::Mxnet;
use references::References;
use row::{Against, Row, Verdict};
use std::path::PathBuf;

/// `varflow-bench agreement`.
#[derive(clap::Args)]
pub struct Args {
    /// Compare with MXNet itself, where it is installed, and not with what it once gave
    #[arg(long)]
    peers: bool,
    /// Compare operators [default: operators and networks]
    #[arg(long)]
    operators: bool,
    /// Compare networks
    #[arg(long)]
    networks: bool,
    /// Compare these operators and networks only
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Append one JSON object a case to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write what MXNet gives to this file, as stored references
    #[arg(long, value_name = "FILE", requires = "peers")]
    store: Option<PathBuf>,
    /// Threads that compute
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
}

impl Args {
    fn wants(&self, subject: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|o| o == subject)
    }
}

/// Compares and prints the tables.
///
/// # Errors
/// When something deviates, nothing is called what `--only` says, or results cannot be kept.
pub fn run(args: &Args) -> Result<()> {
    let rt = ::varflow::runtime(args.threads.into())?;
    let (mut against, missing) = against(args)?;
    let mut made = References::default();
    let mut all = Vec::new();
    let both = args.operators == args.networks;
    if both || args.operators {
        let cases = operators::cases(&rt.registry).filter(|(subject, ..)| args.wants(subject));
        let results = cases.map(|(_, name, case)| match case {
            Ok(case) => Row::new(&rt, &case, &mut against),
            Err(e) => (Row::failed(&name, e.to_string()), None),
        });
        let rows = made.keep(results);
        table::print_operators(&rows);
        all.extend(rows);
    }
    if both || args.networks {
        let names = networks::names().filter(|n| args.wants(n));
        // Large networks take minutes: it is told which one is at work.
        let names = names.inspect(|n| eprintln!("{n} …"));
        let rows = made.keep(names.map(|n| networks::compared(&rt, &n, &mut against)));
        table::print_networks(&rows);
        all.extend(rows);
    }
    if all.is_empty() {
        return Err(format!("no operator with an example and no network is called {}", args.only.join(" or ")).into());
    }
    if let Against::Mxnet(mxnet) = &against {
        made.origin = mxnet.version().to_string();
    }
    let origin = match &against {
        Against::Mxnet(_) => format!("mxnet {}", made.origin),
        Against::Stored(references) => format!("stored references, made by {}", references.origin),
    };
    table::print_notes(&all, &origin);
    missing.iter().for_each(|m| println!("not compared with: {m}"));
    if let Some(path) = &args.json {
        table::append_json(path, &all, &origin)?;
    }
    if let Some(path) = &args.store {
        made.origin = format!("mxnet {} of the Python package index, on x86-64 processors", made.origin);
        made.save(path)?;
    }
    match all.iter().filter(|r| matches!(r.verdict, Verdict::Deviates(_))).count() {
        0 => Ok(()),
        n => Err(format!("{n} of {} cases deviate", all.len()).into()),
    }
}

/// What to compare with, and what is missing for better.
fn against(args: &Args) -> Result<(Against, Option<String>)> {
    if !args.peers {
        return Ok((Against::Stored(References::stored()?), None));
    }
    match Mxnet::new() {
        Ok(mxnet) => Ok((Against::Mxnet(mxnet), None)),
        Err(e) if args.store.is_some() => Err(e),
        Err(e) => Ok((Against::Stored(References::stored()?), Some(e.to_string()))),
    }
}
