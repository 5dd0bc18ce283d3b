//! The command `plugin`: for who writes plug-ins.

mod check;
mod new;

use crate::failure::Failure;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Subcommand)]
enum PluginCommand {
    /// Make a project that builds a plug-in and passes `plugin check`, to begin from.
    New(new::NewArgs),
    /// Check that plug-ins keep the contract: schema, inference, access, memory, threads, gradients.
    Check {
        /// Print one JSON object a check, with keys file, plugin, subject, check, outcome (ok, failed or skipped) and message.
        #[arg(long)]
        json: bool,
        /// The plug-ins.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Run checks in this process, and tell the parent of them.
    #[command(hide = true)]
    CheckChild {
        /// The first check to run.
        #[arg(long)]
        from: usize,
        /// A check that has failed in an earlier child.
        #[arg(long, value_name = "N")]
        failed: Vec<usize>,
        file: PathBuf,
    },
}

/// Runs the subcommand.
pub(crate) fn run(args: &PluginArgs) -> Result<(), Failure> {
    match &args.command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Check { json, files } => check::run(files, *json),
        PluginCommand::CheckChild { from, failed, file } => check::run_child(file, *from, failed),
    }
}
