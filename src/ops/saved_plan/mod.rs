//! A plan on disk: what `plan --out` saves and `apply --plan` carries out.
//!
//! JSON Lines: for each manifest a head that tells what the plan was made of, then its actions as
//! `plan --json` prints them, then their counts. What is kept has no line: it is looked at again. A plan
//! is carried out only while everything that it was made of is as it was then.
//!
//! ```no_run
//! use std::sync::Arc;
//! use natsync::{Options, Silent, Stop, plan_file};
//!
//! for saved in saved_plan::read("natgeo.plan".as_ref())? {
//!     saved.check_inputs()?;
//!     let manifest = saved.recipe.manifest(&|name| std::env::var(name).ok())?;
//!     let options = saved.recipe.options(&manifest)?;
//!     let options = Options { saved: Some(Arc::new(saved)), ..options };
//!     natsync::apply(&manifest, &options, &Stop::default(), &mut Silent)?;
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
use crate::manifest::{Input, LoadOptions, Manifest, Quota};
use crate::ops::error::RunError;
use crate::ops::options::Options;
use crate::plan::{Action, Counts, Decision, Prune};

#[cfg(test)]
pub(crate) use read::parse;
pub use read::read;
pub(crate) use write::{Details, write};

/// What a plan was made with, so that it can be made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The manifest, as it was named.
    pub file: PathBuf,
    /// The destination, where it was not the manifest's.
    pub dest: Option<PathBuf>,
    /// Values that stood instead of those of the manifest's variables.
    pub set: Vec<(String, String)>,
    /// What `today` meant.
    pub today: Date,
    /// The patterns that chose entries.
    pub only: Vec<String>,
    /// See [`Options::force`].
    pub force: bool,
    /// See [`Options::rehash`].
    pub rehash: bool,
    /// See [`Options::locked`].
    pub locked: bool,
    /// See [`Options::prune`].
    pub prune: Option<bool>,
    /// See [`Options::max_delete`], which is a number here.
    pub max_delete: Option<u64>,
    /// When the plan was made.
    pub now: Timestamp,
}

impl Recipe {
    /// Reads the manifest.
    ///
    /// # Errors
    /// As [`Manifest::load`].
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
    /// When a pattern is no valid glob.
    pub fn options(&self, manifest: &Manifest) -> Result<Options, RunError> {
        Ok(Options {
            selection: Selection::new(&self.only, manifest)?,
            force: self.force,
            rehash: self.rehash,
            locked: self.locked,
            prune: self.prune,
            max_delete: self.max_delete.map(Quota::Count),
            now: Some(self.now),
            ..Options::default()
        })
    }
}

/// The saved plan of one manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct SavedPlan {
    /// What it was made with.
    pub recipe: Recipe,
    name: String,
    inputs: Vec<Input>,
    lock: Option<Digest>,
    steps: Vec<Saved>,
    prunes: Vec<Prune>,
    counts: Counts,
}

/// What is to be done with one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Saved {
    entry: EntryIndex,
    decision: Decision,
    /// What was to be done with it before upstream was asked.
    unasked: Action,
    /// Something stood in its way.
    obstructed: bool,
    /// [`Stat::stamp`](crate::dest::Stat::stamp) of what stood at its path; none where nothing did.
    stamp: Option<u64>,
}

impl SavedPlan {
    /// The manifest's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many entries have which action.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// Where the lock of a plan's manifest is.
fn lock_of(recipe: &Recipe) -> PathBuf {
    crate::pin::lock::file_of(&recipe.file)
}

/// The digest of a file's content, without a byte order mark; none where there is no such file.
fn digest_of(file: &Path) -> std::io::Result<Option<Digest>> {
    match std::fs::read(file) {
        Ok(content) => {
            let text = content.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&content);
            Ok(Some(Digest::of(text)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A plan that cannot be carried out.
fn refused(message: impl Into<String>) -> RunError {
    RunError::StalePlan { message: message.into() }
}
