//! Saved plans: `plan --out` writes them and `apply --plan` carries them out.
//!
//! The format is JSON Lines. For each manifest there is a head line with the inputs of the plan,
//! then one line for each action as `plan --json` prints it, then a summary line. Entries that are
//! kept have no line; `apply` checks them again. A plan must be refused if the manifest, the lock
//! or a planned file on disk has changed since it was saved.
//!
//! ```no_run
//! use natsync::ops::{apply_saved, saved_plan};
//! use natsync::{Silent, Stop};
//!
//! for saved in saved_plan::read("natgeo.plan".as_ref())? {
//!     let manifest = saved.recipe.manifest(&|name| std::env::var(name).ok())?;
//!     let options = saved.recipe.options(&manifest)?;
//!     apply_saved(&saved, &manifest, &options, &Stop::default(), &mut Silent)?;
//! }
//! # Ok::<(), natsync::RunError>(())
//! ```

mod hold;
mod line;
mod read;
mod write;

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;

use crate::digest::Digest;
use crate::manifest::entry::EntryIndex;
use crate::manifest::select::Selection;
use crate::manifest::{IdentityKey, Input, LoadOptions, Manifest, Quota, UrlDigest};
use crate::ops::error::RunError;
use crate::ops::options::Options;
use crate::plan::{Action, Counts, Decision, Prune};

#[cfg(any(test, feature = "internals"))]
pub(crate) use read::parse;
pub use read::read;
pub(crate) use write::{Details, write};

/// The inputs and options of a plan, from which the same plan can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The path of the manifest, as given on the command line.
    pub file: PathBuf,
    /// The destination, if it overrides that of the manifest.
    pub dest: Option<PathBuf>,
    /// Names and values of variables that override those of the manifest (`--set`).
    pub set: Vec<(String, String)>,
    /// The date that `today` stands for in the manifest.
    pub today: Date,
    /// The patterns that select entries (`--only`).
    pub only: Vec<String>,
    /// See [`Options::force`].
    pub force: bool,
    /// See [`Options::rehash`].
    pub rehash: bool,
    /// See [`Options::locked`].
    pub locked: bool,
    /// See [`Options::prune`].
    pub prune: Option<bool>,
    /// See [`Options::max_delete`]; resolved to a number of files.
    pub max_delete: Option<u64>,
    /// See [`Options::take_ownership`].
    pub take_ownership: bool,
    /// The number of shards that the plan is divided into.
    pub shards: Option<u32>,
    /// The instant at which the plan was made.
    pub now: Timestamp,
}

impl Recipe {
    /// Loads the manifest with the recorded settings. `env` looks up environment variables.
    ///
    /// # Errors
    /// The same as [`Manifest::load`].
    pub fn manifest(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Manifest, crate::manifest::Problems> {
        let (today, dest) = (self.today, self.dest.as_deref());
        Manifest::load(&self.file, &LoadOptions { today, set: &self.set, env, dest })
    }

    /// The options of a run that makes the same plan.
    ///
    /// # Errors
    /// When a pattern is not a valid glob.
    pub fn options(&self, manifest: &Manifest) -> Result<Options, RunError> {
        Ok(Options {
            selection: Selection::new(&self.only, manifest)?,
            force: self.force,
            rehash: self.rehash,
            locked: self.locked,
            prune: self.prune,
            max_delete: self.max_delete.map(Quota::Count),
            take_ownership: self.take_ownership,
            now: Some(self.now),
            ..Options::default()
        })
    }
}

/// The saved plan of one manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedPlan {
    /// The inputs and options of the plan.
    pub recipe: Recipe,
    name: String,
    inputs: Vec<Input>,
    lock: Option<Digest>,
    key: IdentityKey,
    /// A digest of the destination, if it has a value from the environment.
    dest: Option<UrlDigest>,
    steps: Vec<Saved>,
    prunes: Vec<Prune>,
    counts: Counts,
}

/// The planned step of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saved {
    entry: EntryIndex,
    decision: Decision,
    /// The action before upstream was asked (`plan --refresh`); the same as in `decision`
    /// otherwise.
    unasked: Action,
    /// True if an obstacle was at the path.
    obstructed: bool,
    /// The [`Stat::stamp`](crate::dest::Stat::stamp) of the file at the path, if there was one.
    stamp: Option<u64>,
    /// See [`Entry::places_digest`](crate::manifest::entry::Entry::places_digest).
    places: Option<UrlDigest>,
}

impl SavedPlan {
    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of entries for each action.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// The path of the lock of the manifest.
fn lock_of(recipe: &Recipe) -> PathBuf {
    crate::pin::lock::file_of(&recipe.file)
}

/// A digest of the destination under the key of the plan; none unless it has a value from the
/// environment.
fn dest_digest(manifest: &Manifest, key: &IdentityKey) -> Option<UrlDigest> {
    let is_secret = manifest.shown_dest().contains("${");
    is_secret.then(|| key.digest(&manifest.dest().to_string_lossy()))
}

/// The digest of a file's content without its byte order mark, or `None` if there is no such file.
pub(crate) fn digest_of(file: &Path) -> std::io::Result<Option<Digest>> {
    match std::fs::read(file) {
        Ok(content) => {
            let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
            Ok(Some(Digest::of(text)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The error for a plan that cannot be carried out.
fn refused(message: impl Into<String>) -> RunError {
    RunError::StalePlan { message: message.into() }
}
