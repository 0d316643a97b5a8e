//! The manifests of a command line: reads them, and runs a command on one after the other.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::exit::{fail, warn, worst};
use super::manifests;
use crate::cli::args::ManifestArgs;
use crate::manifest::select::Selection;
use crate::manifest::{LoadOptions, Manifest, Shard};
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::find_manifests::Candidate;
use crate::report::{Console, Untrusted};
use crate::stop::Stop;

/// A manifest with the entries that the command line chooses.
pub(super) struct Target {
    pub(super) manifest: Manifest,
    pub(super) selection: Selection,
}

/// The errors that keep a command from starting: one for each manifest that cannot be used, or one
/// about the command line. Never empty.
#[derive(Debug)]
pub(super) struct Refused(pub(super) Vec<Refusal>);

#[derive(Debug)]
pub(super) struct Refusal {
    /// The manifest that cannot be used.
    pub(super) file: Option<PathBuf>,
    pub(super) error: RunError,
}

impl From<RunError> for Refused {
    fn from(error: RunError) -> Self {
        Self(vec![Refusal { file: None, error }])
    }
}

impl Refused {
    /// Prints the errors. Returns the most severe of their exit statuses.
    pub(super) fn fail(&self, console: &Console) -> ExitStatus {
        let statuses = self.0.iter().map(|refusal| fail(console, &refusal.error));
        statuses.fold(ExitStatus::Ok, worst)
    }
}

/// Reads all manifests of the command line, and chooses their entries of a shard. Reads on after an error, so that one run shows what is
/// wrong with each of them.
pub(super) fn load(
    args: &ManifestArgs,
    shard: Option<Shard>,
    console: &Console,
) -> Result<Vec<Target>, Refused> {
    // All manifests of a run agree on the date, even if the run begins just before midnight.
    let today = args.today.unwrap_or_else(|| Timestamp::now().to_zoned(TimeZone::UTC).date());
    let env = |name: &str| env::var(name).ok();
    let options = LoadOptions { today, set: &args.set, env: &env, dest: args.dest.as_deref() };
    let mut targets: Vec<Target> = Vec::new();
    let mut refusals: Vec<Refusal> = Vec::new();
    // The place in `targets` of the manifest that each lock belongs to.
    let mut locks: HashMap<PathBuf, usize> = HashMap::new();
    for Candidate { path: file, result } in manifests::named(&args.manifests, console) {
        match result.and_then(|()| load_one(&file, args, shard, &options)) {
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
    protect_from_each_other(&mut targets, &mut refusals);
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    for problem in targets.iter().flat_map(|target| target.manifest.warnings()) {
        let file = Untrusted::path(&problem.file);
        let (line, column) = (problem.line, problem.column);
        let message = Untrusted(&problem.message);
        warn(console, &format!("{file}:{line}:{column}: {message}"));
    }
    warn_of_open_netrcs(&targets, console);
    Ok(targets)
}

/// Refuses a manifest with an entry that would replace another manifest of this run, or its lock.
/// Only manifests below a destination need the check, which renders all paths.
fn protect_from_each_other(targets: &mut [Target], refusals: &mut Vec<Refusal>) {
    let files: Vec<_> = targets.iter().map(|target| target.manifest.file().to_owned()).collect();
    for (target, own) in targets.iter_mut().zip(&files) {
        let manifest = &mut target.manifest;
        let others = files.iter().filter(|&file| file != own && manifest.may_overwrite(file));
        let others: Vec<_> = others.cloned().collect();
        if others.is_empty() {
            continue;
        }
        manifest.protect(others);
        if let Err(problems) = manifest.check() {
            refusals.push(Refusal { file: Some(own.clone()), error: problems.into() });
        }
    }
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

fn load_one(
    file: &Path,
    args: &ManifestArgs,
    shard: Option<Shard>,
    options: &LoadOptions,
) -> Result<Target, RunError> {
    let manifest = Manifest::load(file, options)?;
    let selection = Selection::new(&args.only, &manifest)?.of_shard(shard);
    Ok(Target { manifest, selection })
}

/// Runs a command on manifests, one after the other, and returns the most severe exit status.
///
/// An error ends the work on one manifest, and the next one follows. A signal ends the whole loop:
/// the iterator then still holds the manifests that have not begun.
pub(super) fn for_each<T>(
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
