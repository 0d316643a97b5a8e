//! The commands: each reads its arguments, calls the library and picks the exit status.

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
mod plan;
mod report;
mod reports;
mod retry;
pub(crate) mod run;
mod schema;
mod shell;
mod verify;

use std::collections::BTreeSet;
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
use crate::report::{Console, Untrusted, annotate_warning, print_error};
use crate::stop::Stop;

/// Carries out a command and tells its errors.
pub(crate) fn run(command: &Command, console: &Console) -> ExitStatus {
    descriptors::raise();
    let ended = match command {
        Command::Apply(args) => apply::run(args, console),
        Command::Plan(args) => plan::run(args, console),
        Command::Lock(args) => lock::run(args, console),
        Command::Explain(args) => explain::run(args, console),
        Command::List(args) => Ok(list::run(args, console)),
        Command::Verify(args) => verify::run(args, console),
        Command::Init(args) => init::run(args, console).map_err(|error| told(console, &error)),
        Command::Schema => Ok(schema::run(console)),
        Command::Completions(args) => Ok(shell::completions(*args, console)),
        Command::Man(args) => shell::man(args, console).map_err(|error| told(console, &error)),
        Command::Report(args) => report::run(args, console),
    };
    ended.unwrap_or_else(|status| status)
}

/// Tells of an error. Answers what the process ends with.
fn told(console: &Console, error: &RunError) -> ExitStatus {
    print_error(console, error);
    error.exit_status()
}

/// A manifest with the entries that the command line chooses of it.
struct Target {
    manifest: Manifest,
    selection: Selection,
}

const DEFAULT_MANIFEST: &str = "natsync.yaml";

/// Reads all manifests, and tells of every one that is wrong. Nothing is touched before all of them
/// are right.
fn load(args: &ManifestArgs, console: &Console) -> Result<Vec<Target>, ExitStatus> {
    load_telling(args, console, |_, _| {})
}

/// The same, for those who want to know what is wrong with which.
fn load_telling(
    args: &ManifestArgs,
    console: &Console,
    mut tell: impl FnMut(&Path, &RunError),
) -> Result<Vec<Target>, ExitStatus> {
    // One instant for all manifests of a run.
    let today = args.today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    let env = |name: &str| env::var(name).ok();
    let options = LoadOptions { today, set: &args.set, env: &env, dest: args.dest.as_deref() };
    let default = [PathBuf::from(DEFAULT_MANIFEST)];
    let files = if args.manifests.is_empty() { &default[..] } else { &args.manifests };
    let mut targets: Vec<Target> = Vec::new();
    let mut status = ExitStatus::Ok;
    for file in files {
        let is_default = args.manifests.is_empty();
        match load_one(file, is_default, args, &options) {
            Ok(target) => {
                if let Some(other) =
                    targets.iter().find(|other| share_lock(other.manifest.file(), file))
                {
                    let (one, two) = (other.manifest.file().display(), file.display());
                    let error = RunError::Usage {
                        message: format!("`{one}` and `{two}` would share one lock"),
                        hint: Some("rename one of them".to_owned()),
                    };
                    print_error(console, &error);
                    tell(file, &error);
                    return Err(error.exit_status());
                }
                targets.push(target);
            }
            Err(error) => {
                print_error(console, &error);
                tell(file, &error);
                status = worst(status, error.exit_status());
            }
        }
    }
    if status != ExitStatus::Ok {
        return Err(status);
    }
    warn_of_open_netrcs(&targets, console);
    Ok(targets)
}

/// Passwords that others on this machine can read are told of once a file.
fn warn_of_open_netrcs(targets: &[Target], console: &Console) {
    let files = targets.iter().flat_map(|target| target.manifest.open_netrcs());
    // Two ways may lead to the same file.
    let files: BTreeSet<_> =
        files.map(|file| file.canonicalize().unwrap_or_else(|_| file.to_owned())).collect();
    for file in files {
        let file = file.display().to_string();
        warn(
            console,
            &format!("others can read `{}`: `chmod 600` keeps it private", Untrusted(&file)),
        );
    }
}

fn warn(console: &Console, message: &str) {
    let warning = console.err_paint().warning();
    console.remark(&format!("{warning}warning:{warning:#} {message}\n"));
    annotate_warning(console, message);
}

/// Whether two manifests differ in nothing but their ending.
fn share_lock(one: &Path, other: &Path) -> bool {
    one != other && crate::pin::lock::file_of(one) == crate::pin::lock::file_of(other)
}

fn load_one(
    file: &Path,
    is_default: bool,
    args: &ManifestArgs,
    options: &LoadOptions,
) -> Result<Target, RunError> {
    if is_default && !file.exists() {
        return Err(RunError::Usage {
            message: format!("there is no `{DEFAULT_MANIFEST}` here, and no manifest is named"),
            hint: Some("write `natsync COMMAND MANIFEST`".to_owned()),
        });
    }
    let manifest = Manifest::load(file, options)?;
    let selection = Selection::new(&args.only, &manifest)?;
    Ok(Target { manifest, selection })
}

/// Goes through the manifests one after the other. What goes wrong with one does not keep the next
/// from its turn; a signal does: those that have not begun are left in the iterator then.
fn for_each<T>(
    targets: impl IntoIterator<Item = T>,
    stop: Option<&Stop>,
    console: &Console,
    mut run: impl FnMut(T) -> Result<ExitStatus, RunError>,
) -> ExitStatus {
    let mut status = ExitStatus::Ok;
    for target in targets {
        let result = run(target);
        let one = result.unwrap_or_else(|error| {
            print_error(console, &error);
            error.exit_status()
        });
        status = worst(status, one);
        if let Some(reason) = stop.and_then(Stop::reason) {
            return reason.into();
        }
    }
    status
}

/// The status that tells more of two: that of a signal before all, and the milder ones last. Of two
/// that end a run the first stays.
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

/// The rewrites of the command line, then those of the environment.
fn rewrites(args: &TransferArgs) -> Result<Rewrites, RunError> {
    let variable = match env::var(REWRITE_VARIABLE) {
        Ok(variable) => variable,
        Err(env::VarError::NotPresent) => String::new(),
        Err(env::VarError::NotUnicode(_)) => {
            return Err(RunError::usage(format!("{REWRITE_VARIABLE} is no UTF-8 text")));
        }
    };
    let given = args.rewrite.iter().map(|text| ("--rewrite", text.as_str()));
    let inherited = variable
        .split(',')
        .map(str::trim)
        .filter(|text| !text.is_empty())
        .map(|text| (REWRITE_VARIABLE, text));
    let rules = given.chain(inherited).map(|(place, text)| {
        // The text is not repeated: it may hold a password.
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
