//! The commands. Each one turns its arguments into options, calls the operation in `ops`, and picks
//! the exit status.
//!
//! A command that cannot go on returns its error, and [`exit::fail`] is the one place that prints
//! such an error. Nothing here does the work itself.

#![expect(
    clippy::disallowed_methods,
    reason = "this room is the edge to the process and its environment"
)]
#![expect(clippy::unnecessary_wraps, reason = "all commands have one signature")]

mod apply;
pub(crate) mod args;
mod exit;
mod explain;
mod init;
mod list;
mod lock;
mod manifests;
mod outputs;
mod plan;
mod report;
mod reports;
mod retry;
mod rewrites;
pub(crate) mod run;
mod schema;
mod shell;
mod targets;
mod values;
mod verify;

use std::time::Duration;

use exit::fail;
pub(crate) use exit::worst;

use crate::cli::args::Command;
use crate::dest::descriptors;
use crate::ops::Environment;
use crate::ops::error::ExitStatus;
use crate::report::Console;

/// After a signal the process ends at the latest after this time, so that it is gone within two
/// seconds whatever it was doing.
const END: Duration = Duration::from_millis(1800);

/// Runs a command and prints the error that ends it, if any.
pub(crate) fn run(command: &Command, console: &Console) -> ExitStatus {
    descriptors::raise();
    let result = match command {
        Command::Apply(args) => apply::run(args, console),
        Command::Plan(args) => plan::run(args, console),
        Command::Lock(args) => lock::run(args, console),
        Command::Explain(args) => explain::run(args, console),
        Command::List(args) => list::run(args, console),
        Command::Verify(args) => verify::run(args, console),
        Command::Init(args) => init::run(args, console),
        Command::Schema => schema::run(console),
        Command::Completions(args) => shell::completions(*args, console),
        Command::Man(args) => shell::man(args, console),
        Command::Report(args) => report::run(args, console),
    };
    result.unwrap_or_else(|error| fail(console, &error))
}

/// The environment of this process, for the proxy variables.
fn environment() -> Environment {
    Environment::new(|name| std::env::var(name).ok())
}
