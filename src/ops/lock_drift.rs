//! How a lock and its manifest differ: `lock --check`, and the check of `--locked`. Makes no request
//! and changes nothing.

use super::{Options, Prepared, prepare};
use crate::event::Reporter;
use crate::manifest::Manifest;
use crate::ops::error::RunError;
use crate::pin::lock::{Lock, LockProblem, LockWriter, Standing, file_of};
use crate::rel_path::path_hash;

/// The most paths that a message names.
const NAMED: usize = 3;

/// How a lock and its manifest differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// Entries that the lock pins.
    pub pinned: u64,
    /// Entries that the lock does not pin.
    pub unpinned: Named,
    /// Entries whose pin contradicts the manifest.
    pub differing: Named,
    /// Lines of paths that the manifest does not declare.
    pub undeclared: Named,
    /// Whether lines are out of order, or differ from the form in which natsync writes them.
    pub untidy: bool,
}

/// A number of paths, with the names of the first ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The number of paths.
    pub count: u64,
    first: Vec<String>,
}

impl Named {
    fn add(&mut self, path: &str) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(path.to_owned());
        }
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.count - self.first.len() as u64 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl Drift {
    /// Whether `lock` would change the lock.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.untidy || self.unpinned.count + self.differing.count + self.undeclared.count != 0
    }
}

/// Compares a lock with its manifest. Makes no request and changes nothing.
///
/// # Errors
/// When the manifest's entries collide or the lock is wrong.
pub fn lock_drift(
    manifest: &Manifest,
    options: &Options,
    reporter: &mut dyn Reporter,
) -> Result<Drift, RunError> {
    let Prepared { hashes: declared, lock, .. } = prepare(manifest, options, reporter)?;
    let mut drift =
        compare(manifest, options, lock.as_ref(), |standing| *standing != Standing::Stands)?;
    if let Some(lock) = &lock {
        let is_all = options.selection.is_all();
        let file = file_of(manifest.file());
        let unreadable =
            |source| RunError::Storage { doing: "read the lock", path: file.clone(), source };
        let mut tidy = LockWriter::comparing(&file, manifest.name()).map_err(unreadable)?;
        for line in lock.lines()? {
            let line = line?;
            tidy.write(&line).map_err(unreadable)?;
            if is_all && !declared.contains(path_hash(&line.path)) {
                drift.undeclared.add(&line.path);
            }
        }
        drift.untidy = tidy.finish().map_err(unreadable)?;
    }
    Ok(drift)
}

/// The check of `--locked`: the lock must pin every selected entry, and must not contradict the
/// manifest.
///
/// # Errors
/// When an entry is not pinned, or its pin contradicts the manifest.
pub(super) fn check_locked(
    manifest: &Manifest,
    options: &Options,
    lock: Option<&Lock>,
) -> Result<(), RunError> {
    if !options.locked {
        return Ok(());
    }
    // A line with an outdated `digest_from` needs an update, but its pin is still right.
    let differs = |standing: &Standing| match standing {
        Standing::Stands => false,
        Standing::Edited { has_moved, .. } => *has_moved,
        Standing::Contradicted => true,
    };
    let drift = compare(manifest, options, lock, differs)?;
    let mut wrong = Vec::new();
    if lock.is_none() {
        wrong.push("there is no lock".to_owned());
    } else if 0 < drift.unpinned.count {
        wrong.push(format!("the lock does not pin {}", drift.unpinned));
    }
    if 0 < drift.differing.count {
        wrong.push(format!("the manifest states something else for {}", drift.differing));
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let problem = LockProblem {
        file: file_of(manifest.file()),
        line: None,
        message: wrong.join("; "),
        hint: Some("run `natsync lock`, or leave `--locked` out"),
    };
    Err(problem.into())
}

fn compare(
    manifest: &Manifest,
    options: &Options,
    lock: Option<&Lock>,
    differs: impl Fn(&Standing) -> bool,
) -> Result<Drift, RunError> {
    let mut drift = Drift::default();
    let mut path = String::new();
    for entry in manifest.entries().iter() {
        path.clear();
        entry.write_path(&mut path);
        if !options.selection.matches(entry.source(), &path) {
            continue;
        }
        let line = match lock {
            Some(lock) => lock.find(&path)?,
            None => None,
        };
        match line {
            None => drift.unpinned.add(&path),
            Some(line) => {
                drift.pinned += 1;
                if differs(&line.under(&entry)) {
                    drift.differing.add(&path);
                }
            }
        }
    }
    Ok(drift)
}
