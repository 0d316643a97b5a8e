//! Gathers what is said about each entry: by the manifest, the lock and checksum lists.

use crate::entry::Entry;
use crate::error::{Failure, RunError};
use crate::lists::Lists;
use crate::lock::{Content, DigestFrom, Lock};
use crate::manifest::Manifest;
use crate::pin::{Pin, PinFrom, Pinned};
use crate::state::Validators;

/// Where pins come from in this run.
#[derive(Debug)]
pub(crate) struct Pins<'a> {
    manifest: &'a Manifest,
    lock: Option<&'a Lock>,
    only_for_the_lock: bool,
    lists: Lists<'a>,
}

impl<'a> Pins<'a> {
    /// Pins of a manifest and its lock.
    pub(crate) fn new(manifest: &'a Manifest, lock: Option<&'a Lock>) -> Self {
        Self { manifest, lock, only_for_the_lock: false, lists: Lists::default() }
    }

    /// The same with checksum lists.
    pub(crate) fn with_lists<'b>(&self, lists: Lists<'b>) -> Pins<'b>
    where
        'a: 'b,
    {
        Pins {
            manifest: self.manifest,
            lock: self.lock,
            only_for_the_lock: self.only_for_the_lock,
            lists,
        }
    }

    /// Whether a checksum list decides on an entry: nothing that stands above it does.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn wants_list(&self, entry: &Entry<'_>, path: &str) -> Result<bool, RunError> {
        let is_fetched = entry
            .source()
            .published
            .as_ref()
            .is_some_and(|published| published.place.template().is_some());
        Ok(is_fetched && entry.checksums().is_empty() && self.locked(path)?.is_none())
    }

    /// Whether the pin of an entry comes from a list that was fetched, and so may be older than the
    /// file.
    pub(crate) fn is_listed(&self, entry: &Entry<'_>) -> bool {
        self.wants_list(entry, entry.path().as_str()).unwrap_or(false)
    }

    /// Why the list of an entry cannot be used.
    pub(crate) fn list_failure(&self, entry: &Entry<'_>) -> Option<Failure> {
        self.lists.failure(entry)
    }

    /// Whether a list was wanted that nobody has fetched yet.
    pub(crate) fn lacked_lists(&self) -> bool {
        self.lists.lacked_some()
    }

    /// The same for a run that only completes the lock: what is pinned in it needs no look at all.
    pub(crate) fn only_for_the_lock(manifest: &'a Manifest, lock: Option<&'a Lock>) -> Self {
        Self { only_for_the_lock: true, ..Self::new(manifest, lock) }
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
    ) -> Result<Option<Pinned>, RunError> {
        if !self.only_for_the_lock || !entry.checksums().is_empty() {
            return Ok(None);
        }
        self.locked(path)
    }

    /// What is said about an entry. The manifest stands above the lock, and the lock above lists.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn of(&self, entry: &Entry<'_>, path: &str) -> Result<Pinned, RunError> {
        let size = entry.size();
        let checksums = entry.checksums();
        let stated = |checksums: &[_]| {
            let checksums = checksums.to_vec();
            Pinned::To(Pin { size, checksums, from: PinFrom::Manifest, published: true })
        };
        if !checksums.is_empty() {
            return Ok(stated(checksums));
        }
        if let Some(locked) = self.locked(path)? {
            return Ok(locked);
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

    fn locked(&self, path: &str) -> Result<Option<Pinned>, RunError> {
        let Some(line) = self.lock.map(|lock| lock.find(path)).transpose()?.flatten() else {
            return Ok(None);
        };
        Ok(Some(match line.content {
            Content::Missing => Pinned::Missing,
            Content::File { size, sha256, from, .. } => Pinned::To(Pin {
                size: Some(size),
                checksums: vec![sha256.into()],
                from: PinFrom::Lock,
                published: from == DigestFrom::Publisher,
            }),
        }))
    }

    /// What the lock knows of how upstream names the pinned bytes.
    ///
    /// # Errors
    /// When the lock cannot be read.
    pub(crate) fn validators(&self, path: &str) -> Result<Option<Validators>, RunError> {
        let line = self.lock.map(|lock| lock.find(path)).transpose()?.flatten();
        Ok(line.and_then(|line| match line.content {
            Content::Missing => None,
            Content::File { served, etag, last_modified, .. } => {
                Some(Validators { served: served.unwrap_or(line.url), etag, last_modified })
            }
        }))
    }
}
