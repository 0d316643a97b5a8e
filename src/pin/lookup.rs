//! Gathers what is said about each entry: by the manifest, the lock and checksum lists.

use crate::digest::{Algorithm, Digest};
use crate::failure::Failure;
use crate::manifest::entry::{Entry, Form};
use crate::manifest::{Manifest, OnMissing};
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::{Content, DigestFrom, Lock, LockLine, LockProblem};
use crate::pin::{Pin, PinFrom, Pinned, Validators};
use crate::rel_path::path_hash;

/// What a run does to the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pinning {
    /// Nothing: it is only read, or there is none.
    #[default]
    Nothing,
    /// `apply` adds the entries that it does not pin yet.
    Extending,
    /// `lock` does that too, and corrects the lines that the manifest contradicts. What is pinned
    /// needs no look at all.
    Completing,
    /// `lock --upgrade` pins all that is chosen anew.
    Upgrading,
}

/// Where pins come from in this run.
#[derive(Debug)]
pub(crate) struct Pins<'a> {
    manifest: &'a Manifest,
    lock: Option<&'a Lock>,
    pinning: Pinning,
    lists: Lists<'a>,
}

impl<'a> Pins<'a> {
    /// Pins of a manifest and its lock.
    pub(crate) fn new(manifest: &'a Manifest, lock: Option<&'a Lock>) -> Self {
        Self { manifest, lock, pinning: Pinning::default(), lists: Lists::default() }
    }

    /// Those of a run that does this to the lock. When all is pinned anew, the old pins say nothing.
    pub(crate) fn pinning(self, pinning: Pinning) -> Self {
        let lock = self.lock.filter(|_| pinning != Pinning::Upgrading);
        Self { lock, pinning, ..self }
    }

    /// The same with checksum lists.
    pub(crate) fn with_lists<'b>(&self, lists: Lists<'b>) -> Pins<'b>
    where
        'a: 'b,
    {
        Pins { manifest: self.manifest, lock: self.lock, pinning: self.pinning, lists }
    }

    /// Whether a checksum list decides on an entry: nothing that stands above it does.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn wants_list(&self, entry: &Entry<'_>, path: &str) -> Result<bool, LockProblem> {
        let is_fetched = entry
            .source()
            .published
            .as_ref()
            .is_some_and(|published| published.place.template().is_some());
        Ok(is_fetched && entry.checksums().is_empty() && self.locked(entry, path)?.is_none())
    }

    /// Whether the pin of an entry comes from a list that was fetched, and so may be older than the
    /// file.
    pub(crate) fn is_listed(&self, entry: &Entry<'_>) -> bool {
        let path = entry.path();
        self.wants_list(entry, path.as_str()).unwrap_or(false)
            && self.of(entry, path.as_str()).is_ok_and(|pinned| pinned.pin().is_some())
    }

    /// Why the list of an entry cannot be used.
    pub(crate) fn list_failure(&self, entry: &Entry<'_>) -> Option<Failure> {
        self.lists.failure(entry)
    }

    /// Whether a list was wanted that nobody has fetched yet.
    pub(crate) fn lacked_lists(&self) -> bool {
        self.lists.lacked_some()
    }

    /// Whether there is a lock.
    pub(crate) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether nothing need be known of an entry, whatever is on disk.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn settled(
        &self,
        entry: &Entry<'_>,
        path: &str,
    ) -> Result<Option<Pinned>, LockProblem> {
        if self.pinning != Pinning::Completing {
            return Ok(None);
        }
        let locked = self.locked(entry, path)?;
        // A line has one digest alone; what the manifest states under others, only the file can tell.
        let is_comparable = |pinned: &Pinned| {
            *pinned == Pinned::Missing
                || entry.checksums().iter().all(|stated| stated.algorithm() == Algorithm::Sha256)
        };
        Ok(locked.filter(is_comparable))
    }

    /// Whether this run writes a new line for an entry, so that what upstream has must be known for
    /// certain.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn writes(&self, entry: &Entry<'_>, path: &str) -> Result<bool, LockProblem> {
        Ok(match self.pinning {
            Pinning::Nothing => false,
            Pinning::Extending => !self.lock.is_some_and(|lock| lock.has(path_hash(path))),
            Pinning::Completing => self.settled(entry, path)?.is_none(),
            Pinning::Upgrading => true,
        })
    }

    /// Whether the run is there for the lock alone.
    pub(crate) fn is_for_lock(&self) -> bool {
        matches!(self.pinning, Pinning::Completing | Pinning::Upgrading)
    }

    /// What is said about an entry. The manifest stands above the lock, and the lock above lists.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn of(&self, entry: &Entry<'_>, path: &str) -> Result<Pinned, LockProblem> {
        let size = entry.size();
        let checksums = entry.checksums();
        let stated = |checksums: &[_]| {
            let checksums = checksums.to_vec();
            Pinned::To(Pin { size, checksums, from: PinFrom::Manifest, published: true })
        };
        // Nobody has what is pinned as missing, whatever digest it would have.
        let may_lack = entry.source().on_missing != OnMissing::Fail;
        let locked =
            if checksums.is_empty() || may_lack { self.locked(entry, path)? } else { None };
        match locked {
            Some(Pinned::Missing) => return Ok(Pinned::Missing),
            _ if !checksums.is_empty() => return Ok(stated(checksums)),
            Some(locked) => return Ok(locked),
            None => {}
        }
        if let Some(listed) = self.lists.of(self.manifest, entry, path) {
            return Ok(listed);
        }
        Ok(if size.is_some() { stated(&[]) } else { Pinned::Free })
    }

    /// The size that an entry must have, where somebody says it.
    pub(crate) fn size(&self, entry: &Entry<'_>) -> Option<u64> {
        match self.of(entry, entry.path().as_str()) {
            Ok(Pinned::To(pin)) => pin.size,
            _ => None,
        }
    }

    fn line(&self, path: &str) -> Result<Option<LockLine>, LockProblem> {
        Ok(self.lock.map(|lock| lock.find(path)).transpose()?.flatten())
    }

    /// What the lock says, unless the manifest says something else.
    fn locked(&self, entry: &Entry<'_>, path: &str) -> Result<Option<Pinned>, LockProblem> {
        let line = self.line(path)?;
        let line = line.filter(|line| !line.is_contradicted(entry));
        Ok(line.map(|line| match line.content {
            Content::Missing => Pinned::Missing,
            Content::File { size, sha256, from, .. } => Pinned::To(Pin {
                size: Some(size),
                checksums: vec![sha256.into()],
                from: PinFrom::Lock,
                published: from == DigestFrom::Publisher,
            }),
        }))
    }

    /// The URL that served these bytes of an entry, and its validators, as the lock has them.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn validators(
        &self,
        entry: &Entry<'_>,
        path: &str,
        digest: Digest,
    ) -> Result<Option<(String, Validators)>, LockProblem> {
        let line = self.line(path)?.filter(|line| line.url == entry.url(Form::Shown));
        Ok(line.and_then(|line| match line.content {
            Content::File { sha256, served, validators, .. } if sha256 == digest => {
                Some((served.unwrap_or(line.url), validators))
            }
            _ => None,
        }))
    }
}
