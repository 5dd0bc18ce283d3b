//! The command `varflow`: train, score and look into networks.
//!
//! Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted. Errors are one paragraph on standard error.

mod args;
mod data;
mod doctor;
mod failure;
mod inspect;
mod network;
mod operators;
mod plugin;
mod predict;
mod progress;
mod score;
mod train;

use args::{Cli, Command};
use clap::Parser;
use failure::usage_paragraph;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
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
    let done = match cli.command {
        Command::Train(args) => train::run(&args),
        Command::Data(args) => data::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Summary(args) => inspect::summary(&args),
        Command::Plan(args) => inspect::plan(&args),
        Command::Ops(args) => operators::run(&args),
        Command::Plugin(args) => plugin::run(&args),
        Command::Doctor => doctor::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
