//! What a shard leaves for `natsync merge`, in its control folder.
//!
//! - `state.db`: the rows of its entries (`dest/state`)
//! - `new.lock`: the lines that it adds to the lock or changes in it (`ops/lock`)
//! - `outcomes.jsonl`: the outcome of each entry that was not simply kept
//! - `result.json`: what the run was, and its counts. It is written last and atomically, so its
//!   presence says that the shard is complete.
//!
//! A shard changes nothing else below `.natsync`, and deletes no file.

mod outcomes;
mod result;

use std::io;
use std::path::PathBuf;

pub(super) use outcomes::{Outcomes, replay};
use result::Sizes;
pub(super) use result::{Foreign, ShardResult, TheRun};

use crate::dest::{Dest, state};
use crate::event::Event;
use crate::manifest::{Manifest, Shard};
use crate::ops::error::RunError;

const RESULT: &str = "result.json";
const OUTCOMES: &str = "outcomes.jsonl";

/// The file with the lines that a shard adds to the lock or changes in it.
pub(super) const NEW_LOCK: &str = "new.lock";

/// The record of a shard's run while it goes on.
pub(super) struct Record {
    result: PathBuf,
    outcomes: Outcomes,
    /// The first error of writing an outcome.
    error: Option<io::Error>,
}

impl Record {
    /// Begins the record of a run, and removes that of an earlier one. None for a run over all
    /// entries.
    ///
    /// # Errors
    /// When the shard has results of another manifest that are not merged, or nothing can be written.
    pub(super) fn begin(dest: &Dest, manifest: &Manifest) -> Result<Option<Self>, RunError> {
        let Some(shard) = dest.shard() else { return Ok(None) };
        let result = dest.control_path(RESULT);
        if let Ok(Some(before)) = ShardResult::read(&result)
            && before.manifest != manifest.name()
        {
            return Err(unmerged(shard, &before.manifest));
        }
        let begin = || {
            for name in [RESULT, OUTCOMES, NEW_LOCK] {
                dest.remove_control(name)?;
            }
            Ok(Outcomes::new(dest.create_control(OUTCOMES)?))
        };
        let outcomes = begin().map_err(|source| unwritable(&result, source))?;
        Ok(Some(Self { result, outcomes, error: None }))
    }

    pub(super) fn event(&mut self, event: &Event) {
        if self.error.is_none() {
            self.error = self.outcomes.event(event).err();
        }
    }

    /// Completes the record: from now on the shard counts as run. Call it when all other files of
    /// the shard are complete.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn finish(self, run: &TheRun<'_>) -> Result<(), RunError> {
        let Self { result, outcomes, error } = self;
        let written = error.map_or_else(|| outcomes.finish(), Err).and_then(|()| {
            let folder = result.parent().unwrap_or(&result);
            ShardResult::of(run, Sizes::of(folder)?).write(&result)
        });
        written.map_err(|source| unwritable(&result, source))
    }
}

/// The results of one shard, as `merge` reads them.
pub(super) struct Left {
    pub(super) shard: Shard,
    folder: PathBuf,
    pub(super) result: ShardResult,
}

/// Reads what a shard left; none if it is not complete.
///
/// # Errors
/// When its files cannot be read; of the kind `InvalidData` when they are damaged.
pub(super) fn left(dest: &Dest, shard: Shard) -> io::Result<Option<Left>> {
    let folder = dest.folder_of_shard(shard)?;
    let Some(result) = ShardResult::read(&folder.join(RESULT))? else { return Ok(None) };
    if Sizes::of(&folder)? != result.sizes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the files have another length"));
    }
    Ok(Some(Left { shard, folder, result }))
}

impl Left {
    pub(super) fn outcomes(&self) -> PathBuf {
        self.folder.join(OUTCOMES)
    }

    /// The lines that it adds to the lock or changes in it.
    pub(super) fn new_lock(&self) -> PathBuf {
        self.folder.join(NEW_LOCK)
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.join(state::FILE)
    }
}

fn unwritable(result: &std::path::Path, source: io::Error) -> RunError {
    RunError::Storage { doing: "write the result of the shard", path: result.to_owned(), source }
}

fn unmerged(shard: Shard, other: &str) -> RunError {
    RunError::Usage {
        message: format!(
            "shard {shard} of this destination has results of the manifest `{other}` that are not merged yet"
        ),
        hint: Some(format!(
            "run `natsync merge` for `{other}` first, or use another number of shards"
        )),
    }
}
