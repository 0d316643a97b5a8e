//! The commands. Each one turns its arguments into options, calls the operation in `ops`, and picks
//! the exit status.
//!
//! A command that cannot go on returns its [`RunError`], and [`fail`] is the one place that prints
//! such an error. Nothing here does the work itself.

#![expect(
    clippy::disallowed_methods,
    reason = "this room is the edge to the process and its environment"
)]

mod apply;
pub mod args;
mod explain;
mod init;
mod list;
mod lock;
mod manifests;
mod plan;
mod report;
mod reports;
mod retry;
pub(crate) mod run;
mod schema;
mod shell;
mod verify;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::cli::args::{Command, ManifestArgs, TransferArgs};
use crate::dest::descriptors;
use crate::http::rewrite::{Rewrite, Rewrites};
use crate::manifest::select::Selection;
use crate::manifest::{LoadOptions, Manifest};
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::find_manifests::Candidate;
use crate::report::{Console, Untrusted, annotate_warning, print_error};
use crate::stop::Stop;

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

/// Prints an error. Returns the exit status that it stands for.
fn fail(console: &Console, error: &RunError) -> ExitStatus {
    print_error(console, error);
    error.exit_status()
}

/// A manifest with the entries that the command line chooses.
struct Target {
    manifest: Manifest,
    selection: Selection,
}

/// The errors that keep a command from starting: one for each manifest that cannot be used, or one
/// about the command line. Never empty.
#[derive(Debug)]
struct Refused(Vec<Refusal>);

#[derive(Debug)]
struct Refusal {
    /// The manifest that cannot be used.
    file: Option<PathBuf>,
    error: RunError,
}

impl From<RunError> for Refused {
    fn from(error: RunError) -> Self {
        Self(vec![Refusal { file: None, error }])
    }
}

impl Refused {
    /// Prints the errors. Returns the most severe of their exit statuses.
    fn fail(&self, console: &Console) -> ExitStatus {
        let statuses = self.0.iter().map(|refusal| fail(console, &refusal.error));
        statuses.fold(ExitStatus::Ok, worst)
    }
}

/// Reads all manifests of the command line. Reads on after an error, so that one run shows what is
/// wrong with each of them.
fn load(args: &ManifestArgs, console: &Console) -> Result<Vec<Target>, Refused> {
    // All manifests of a run agree on the date, even if the run begins just before midnight.
    let today = args.today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    let env = |name: &str| env::var(name).ok();
    let options = LoadOptions { today, set: &args.set, env: &env, dest: args.dest.as_deref() };
    let mut targets: Vec<Target> = Vec::new();
    let mut refusals: Vec<Refusal> = Vec::new();
    // The place in `targets` of the manifest that each lock belongs to.
    let mut locks: HashMap<PathBuf, usize> = HashMap::new();
    for Candidate { path: file, result } in manifests::named(&args.manifests, console) {
        match result.and_then(|()| load_one(&file, args, &options)) {
            Ok(target) => {
                match locks.entry(crate::pin::lock::file_of(&manifests::place(&file))) {
                    Entry::Vacant(lock) => _ = lock.insert(targets.len()),
                    // `a.yaml` and `a.yml`: a manifest is here only once.
                    Entry::Occupied(lock) => {
                        let one = targets[*lock.get()].manifest.file().display();
                        let error = RunError::Usage {
                            message: format!(
                                "`{one}` and `{}` would share one lock",
                                file.display()
                            ),
                            hint: Some("rename one of them".to_owned()),
                        };
                        refusals.push(Refusal { file: Some(file), error });
                        break;
                    }
                }
                targets.push(target);
            }
            Err(error) => refusals.push(Refusal { file: Some(file), error }),
        }
    }
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    warn_of_open_netrcs(&targets, console);
    Ok(targets)
}

/// Warns once about each netrc file that other users of this machine can read.
fn warn_of_open_netrcs(targets: &[Target], console: &Console) {
    let files = targets.iter().flat_map(|target| target.manifest.open_netrcs());
    // Manifests may name one file by different paths.
    let files: BTreeSet<_> =
        files.map(|file| file.canonicalize().unwrap_or_else(|_| file.to_owned())).collect();
    for file in files {
        let file = file.display().to_string();
        warn(
            console,
            &format!("other users can read `{}`: `chmod 600` makes it private", Untrusted(&file)),
        );
    }
}

/// Prints a message that is not a warning. The caller escapes text from outside.
fn note(console: &Console, message: &str) {
    let note = console.err_paint().note();
    console.remark(&format!("{note}note:{note:#} {message}\n"));
}

fn warn(console: &Console, message: &str) {
    let warning = console.err_paint().warning();
    console.remark(&format!("{warning}warning:{warning:#} {message}\n"));
    annotate_warning(console, message);
}

fn load_one(file: &Path, args: &ManifestArgs, options: &LoadOptions) -> Result<Target, RunError> {
    let manifest = Manifest::load(file, options)?;
    let selection = Selection::new(&args.only, &manifest)?;
    Ok(Target { manifest, selection })
}

/// Runs a command on manifests, one after the other, and returns the most severe exit status.
///
/// An error ends the work on one manifest, and the next one follows. A signal ends the whole loop:
/// the iterator then still holds the manifests that have not begun.
fn for_each<T>(
    targets: Result<impl IntoIterator<Item = T>, Refused>,
    stop: Option<&Stop>,
    console: &Console,
    mut run: impl FnMut(T) -> Result<ExitStatus, RunError>,
) -> ExitStatus {
    let targets = match targets {
        Ok(targets) => targets,
        Err(refused) => return refused.fail(console),
    };
    let mut status = ExitStatus::Ok;
    for target in targets {
        let one = run(target).unwrap_or_else(|error| fail(console, &error));
        status = worst(status, one);
        if let Some(reason) = stop.and_then(Stop::reason) {
            return reason.into();
        }
    }
    status
}

/// The more severe of two exit statuses. The order is `Ok`, `Drift`, `Failed`, the statuses of a
/// run that could not go on, and those of a signal. Of two equally severe ones the first counts.
fn worst(first: ExitStatus, second: ExitStatus) -> ExitStatus {
    let weight = |status| match status {
        ExitStatus::Ok => 0,
        ExitStatus::Drift => 1,
        ExitStatus::Failed => 2,
        ExitStatus::Interrupted | ExitStatus::Terminated => 4,
        _ => 3,
    };
    if weight(first) < weight(second) { second } else { first }
}

const REWRITE_VARIABLE: &str = "NATSYNC_REWRITE";

/// The rewrite rules of `--rewrite`, then those of the environment variable.
fn rewrites(args: &TransferArgs) -> Result<Rewrites, RunError> {
    let variable = match env::var(REWRITE_VARIABLE) {
        Ok(variable) => variable,
        Err(env::VarError::NotPresent) => String::new(),
        Err(env::VarError::NotUnicode(_)) => {
            return Err(RunError::usage(format!("{REWRITE_VARIABLE} is not UTF-8 text")));
        }
    };
    let given = args.rewrite.iter().map(|text| ("--rewrite", text.as_str()));
    let inherited = variable
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| (REWRITE_VARIABLE, text));
    let rules = given.chain(inherited).map(|(place, text)| {
        // The message must not quote the rule: it may hold a password.
        Rewrite::parse(text)
            .map_err(|error| RunError::usage(format!("a rule of {place} is wrong: {error}")))
    });
    Ok(Rewrites::new(rules.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_status_wins() {
        use ExitStatus::{Busy, Drift, Failed, Interrupted, Ok, Storage, Usage};
        let of =
            |statuses: &[ExitStatus]| statuses.iter().fold(Ok, |one, &other| worst(one, other));
        assert_eq!(of(&[]), Ok);
        assert_eq!(of(&[Ok, Drift, Ok]), Drift);
        assert_eq!(of(&[Failed, Drift]), Failed);
        assert_eq!(of(&[Failed, Busy, Storage]), Busy);
        assert_eq!(of(&[Usage, Failed]), Usage);
        assert_eq!(of(&[Storage, Interrupted, Usage]), Interrupted);
    }
}
