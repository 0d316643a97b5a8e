//! Looks up the pin of an entry in the manifest, the lock and the checksum lists, in that order.

use crate::digest::{Algorithm, Digest};
use crate::failure::Failure;
use crate::manifest::entry::Entry;
use crate::manifest::{KeptUrl, Manifest, OnMissing};
use crate::pin::checksum_lists::Lists;
use crate::pin::lock::{Content, DigestFrom, Lock, LockLine, LockProblem};
use crate::pin::{Pin, PinFrom, Pinned, Validators};
use crate::rel_path::path_hash;

/// How a run changes the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pinning {
    /// The lock is only read, or there is none.
    #[default]
    Nothing,
    /// `apply` adds lines for entries that are not pinned yet.
    Extending,
    /// `lock` also replaces the lines that contradict the manifest. Entries that are already pinned
    /// need neither a request nor a look at the disk.
    Completing,
    /// `lock --upgrade` pins all selected entries anew.
    Upgrading,
}

/// The pins of a run.
#[derive(Debug)]
pub(crate) struct Pins<'a> {
    manifest: &'a Manifest,
    lock: Option<&'a Lock>,
    pinning: Pinning,
    lists: Lists<'a>,
}

impl<'a> Pins<'a> {
    pub(crate) fn new(manifest: &'a Manifest, lock: Option<&'a Lock>) -> Self {
        Self { manifest, lock, pinning: Pinning::default(), lists: Lists::default() }
    }

    /// Sets how the run changes the lock. [`Pinning::Upgrading`] ignores the old pins.
    pub(crate) fn pinning(self, pinning: Pinning) -> Self {
        let lock = self.lock.filter(|_| pinning != Pinning::Upgrading);
        Self { lock, pinning, ..self }
    }

    pub(crate) fn with_lists<'b>(&self, lists: Lists<'b>) -> Pins<'b>
    where
        'a: 'b,
    {
        Pins { manifest: self.manifest, lock: self.lock, pinning: self.pinning, lists }
    }

    /// True if a fetched checksum list decides about an entry: neither the manifest nor the lock
    /// pins it.
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

    /// True if the pin of an entry comes from a fetched list. Such a pin may be older than the
    /// file.
    pub(crate) fn is_listed(&self, entry: &Entry<'_>) -> bool {
        let path = entry.path();
        self.wants_list(entry, path.as_str()).unwrap_or(false)
            && self.of(entry, path.as_str()).is_ok_and(|pinned| pinned.pin().is_some())
    }

    /// The reason why the checksum list of an entry cannot be used.
    pub(crate) fn list_failure(&self, entry: &Entry<'_>) -> Option<Failure> {
        self.lists.failure(entry)
    }

    /// True if a look-up needed a list that no run has fetched yet.
    pub(crate) fn lacked_lists(&self) -> bool {
        self.lists.lacked_some()
    }

    pub(crate) fn has_lock(&self) -> bool {
        self.lock.is_some()
    }

    /// The pin of an entry that `natsync lock` need not examine, because its line in the lock is
    /// complete.
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
        // A line has only SHA-256. Digests of other algorithms in the manifest can be checked only
        // against the file.
        let is_comparable = |pinned: &Pinned| {
            *pinned == Pinned::Missing
                || entry.checksums().iter().all(|stated| stated.algorithm() == Algorithm::Sha256)
        };
        Ok(locked.filter(is_comparable))
    }

    /// True if this run writes a new line for an entry. The content upstream must then be known for
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

    /// True if `apply` adds lines to the lock.
    pub(crate) fn is_extending(&self) -> bool {
        self.pinning == Pinning::Extending
    }

    /// True for `natsync lock`, whose only purpose is the lock.
    pub(crate) fn is_for_lock(&self) -> bool {
        matches!(self.pinning, Pinning::Completing | Pinning::Upgrading)
    }

    /// The pin of an entry. The manifest takes precedence over the lock, and the lock over lists.
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
        // If the source allows missing files, a lock line that pins the entry as missing takes
        // precedence over a digest in the manifest.
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

    /// The pinned size of an entry in bytes.
    pub(crate) fn size(&self, entry: &Entry<'_>) -> Option<u64> {
        match self.of(entry, entry.path().as_str()) {
            Ok(Pinned::To(pin)) => pin.size,
            _ => None,
        }
    }

    fn line(&self, path: &str) -> Result<Option<LockLine>, LockProblem> {
        Ok(self.lock.map(|lock| lock.find(path)).transpose()?.flatten())
    }

    /// The pin in the lock, unless it contradicts the manifest.
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

    /// The URL that served an entry, and the validators of its response, if the line of the lock
    /// has this digest and certainly the declared URL. The lock has shown forms alone, so a value
    /// from the environment in the host or path makes that uncertain.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn validators(
        &self,
        entry: &Entry<'_>,
        path: &str,
        digest: Digest,
    ) -> Result<Option<(KeptUrl, Validators)>, LockProblem> {
        let declared = |line: &LockLine| KeptUrl::of_shown(line.url.clone()).is(&entry.identity());
        let line = self.line(path)?.filter(declared);
        Ok(line.and_then(|line| match line.content {
            Content::File { sha256, served, validators, .. } if sha256 == digest => {
                Some((KeptUrl::of_shown(served.unwrap_or(line.url)), validators))
            }
            _ => None,
        }))
    }
}
