//! `result.json`: what a shard's run was.

use std::io::{self, Write as _};
use std::path::Path;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{NEW_LOCK, OUTCOMES};
use crate::atomic_file::AtomicFile;
use crate::dest::state;
use crate::event::Summary;
use crate::event::history::Past;
use crate::manifest::{Manifest, PathHashes, Shard};

/// The version of the format.
const FORMAT: u32 = 1;

/// What a shard's run was, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::ops) struct ShardResult {
    natsync_shard: u32,
    natsync: String,
    /// `K/N`
    shard: String,
    /// The name of the manifest.
    pub(in crate::ops) manifest: String,
    /// The digests of the manifest and of the files that it names, as hexadecimal text.
    inputs: Vec<String>,
    /// A digest of the paths of all entries, which depend on the date and on `--set` as well.
    paths: String,
    /// The `today` of the run.
    pub(in crate::ops) today: Date,
    /// `apply` or `lock`.
    pub(in crate::ops) command: String,
    /// `lock --upgrade`: the new lines replace those of the lock.
    pub(in crate::ops) upgrade: bool,
    /// The patterns of `--only`.
    only: Vec<String>,
    /// The digest of the lock that the run read; none if there was none.
    pub(in crate::ops) lock: Option<String>,
    /// The number of the manifest among the owners in the shard's state.
    pub(in crate::ops) owner: i64,
    pub(in crate::ops) summary: Summary,
    /// The record for the history.
    pub(in crate::ops) past: Past,
    pub(super) sizes: Sizes,
}

/// The lengths of the other files that a shard leaves, in bytes; 0 for a file that does not exist. A
/// file that was cut short or deleted is known by them without being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sizes {
    state: u64,
    outcomes: u64,
    lock: u64,
}

impl Sizes {
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let size = |name: &str| match folder.join(name).metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            metadata => metadata.map(|metadata| metadata.len()),
        };
        Ok(Self { state: size(state::FILE)?, outcomes: size(OUTCOMES)?, lock: size(NEW_LOCK)? })
    }
}

/// A finished run, from which its result is made.
pub(in crate::ops) struct TheRun<'a> {
    pub(in crate::ops) shard: Shard,
    pub(in crate::ops) manifest: &'a Manifest,
    pub(in crate::ops) hashes: &'a PathHashes,
    pub(in crate::ops) upgrade: bool,
    pub(in crate::ops) lock: Option<String>,
    pub(in crate::ops) owner: i64,
    pub(in crate::ops) summary: Summary,
    pub(in crate::ops) past: Past,
}

/// Why the result of a shard does not belong to the job that is merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ops) enum Foreign {
    /// The manifest, or a file that it names, has changed since.
    Manifest,
    /// The manifest declared other paths then: another date, or other values of `--set`.
    Paths,
    /// Another command, or other values of `--only`, than most shards.
    Command,
    /// Its files are damaged.
    Damaged,
}

impl ShardResult {
    pub(super) fn of(run: &TheRun<'_>, sizes: Sizes) -> Self {
        let &TheRun { shard, manifest, hashes, upgrade, owner, .. } = run;
        Self {
            natsync_shard: FORMAT,
            natsync: env!("CARGO_PKG_VERSION").to_owned(),
            shard: shard.to_string(),
            manifest: manifest.name().to_owned(),
            inputs: inputs(manifest),
            paths: hashes.digest().to_string(),
            today: manifest.today,
            command: run.past.command.clone(),
            upgrade,
            only: run.past.only.clone(),
            lock: run.lock.clone(),
            owner,
            summary: run.summary,
            past: run.past.clone(),
            sizes,
        }
    }

    /// Reads a result; none if there is none, or another version of natsync wrote it in another
    /// format.
    ///
    /// # Errors
    /// When the file cannot be read or is damaged.
    pub(super) fn read(file: &Path) -> io::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Version {
            natsync_shard: u32,
        }
        let text = match std::fs::read(file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let version: Version = serde_json::from_slice(&text)?;
        if version.natsync_shard != FORMAT {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&text)?))
    }

    pub(super) fn write(&self, file: &Path) -> io::Result<()> {
        let mut draft = AtomicFile::create(file)?;
        serde_json::to_writer(&mut draft, self)?;
        draft.write_all(b"\n")?;
        draft.publish()
    }

    /// Whether it is of this manifest.
    pub(in crate::ops) fn compare(
        &self,
        manifest: &Manifest,
        hashes: &PathHashes,
    ) -> Result<(), Foreign> {
        if self.manifest != manifest.name() || self.inputs != inputs(manifest) {
            Err(Foreign::Manifest)
        } else if self.paths != hashes.digest().to_string() {
            Err(Foreign::Paths)
        } else {
            Ok(())
        }
    }

    /// What all shards of a job have in common.
    pub(in crate::ops) fn job(&self) -> (&str, bool, &[String]) {
        (&self.command, self.upgrade, &self.only)
    }

    /// The patterns of `--only`.
    pub(in crate::ops) fn only(&self) -> &[String] {
        &self.only
    }

    /// Whether the job was to cover all entries of the manifest.
    pub(in crate::ops) fn covers_all(&self) -> bool {
        self.only.is_empty()
    }
}

fn inputs(manifest: &Manifest) -> Vec<String> {
    manifest.inputs().into_iter().map(|input| input.sha256.to_string()).collect()
}
