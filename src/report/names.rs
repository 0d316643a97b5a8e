//! Paths and sources of entries, which events name only by index.

use crate::manifest::entry::{Entries, Entry, EntryIndex};
use crate::manifest::{Manifest, Source};

/// Looks up entries of one manifest by index.
pub(super) struct Names<'m> {
    manifest: &'m Manifest,
    entries: Entries<'m>,
}

impl<'m> Names<'m> {
    #[must_use]
    pub(super) fn new(manifest: &'m Manifest) -> Self {
        Self { manifest, entries: manifest.entries() }
    }

    #[must_use]
    pub(super) fn manifest(&self) -> &'m Manifest {
        self.manifest
    }

    /// # Panics
    /// When the manifest has no such entry: an event that names one is a bug.
    #[must_use]
    pub(super) fn entry(&self, index: EntryIndex) -> Entry<'m> {
        self.entries.get(index).expect("an event names an entry of the manifest")
    }

    /// The path below the destination, unescaped: print it through [`super::Untrusted`].
    #[must_use]
    pub(super) fn path(&self, index: EntryIndex) -> String {
        let mut path = String::new();
        self.entry(index).write_path(&mut path);
        path
    }

    /// Index of the entry's source in the manifest.
    #[must_use]
    pub(super) fn source_index(&self, index: EntryIndex) -> usize {
        self.entries.source_of(index)
    }

    #[must_use]
    pub(super) fn source(&self, index: EntryIndex) -> &'m Source {
        &self.manifest.sources()[self.source_index(index)]
    }
}
