//! The command `varflow`: train, score, run and look into networks.
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Errors are one paragraph on standard error.

mod args;
mod budget;
mod convert;
mod data;
mod doctor;
mod failure;
mod graph;
mod inspect;
mod network;
mod operators;
mod optimizer;
mod pictures;
mod plan;
mod plugin;
mod plugins;
mod predict;
mod progress;
mod run;
mod score;
mod shapes;
mod show;
mod size;
mod source;
mod train;

use args::{Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;
use failure::usage_paragraph;
use plugins::Plugins;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help) if help.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = help.print();
            return ExitCode::from(2);
        }
        Err(e) if e.use_stderr() => {
            eprintln!("varflow: {}", usage_paragraph(&e));
            return ExitCode::from(2);
        }
        Err(help) => {
            // A closed pipe is no failure of help.
            let _ = help.print();
            return ExitCode::SUCCESS;
        }
    };
    let plugins = Plugins(cli.plugins);
    let done = match cli.command {
        Command::Train(args) => train::run(&args, &plugins),
        Command::Data(args) => data::run(&args),
        Command::Score(args) => score::run(&args, &plugins),
        Command::Predict(args) => predict::run(&args, &plugins),
        Command::Run(args) => run::run(&args, &plugins),
        Command::Networks { json } => network::list(json),
        Command::Convert(args) => convert::run(&args, &plugins),
        Command::Summary(args) => inspect::summary(&args, &plugins),
        Command::Graph(args) => graph::run(&args, &plugins),
        Command::Plan(args) => plan::run(&args, &plugins),
        Command::Ops(args) => operators::run(&args, &plugins),
        Command::Plugin(args) => plugin::run(&args),
        Command::Doctor => doctor::run(&plugins),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
