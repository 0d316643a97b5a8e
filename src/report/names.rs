//! What people call an entry that events know by its index.

use crate::manifest::entry::{Entries, Entry, EntryIndex};
use crate::manifest::{Manifest, Source};

/// Makes entries again from their index, to name them.
pub struct Names<'m> {
    manifest: &'m Manifest,
    entries: Entries<'m>,
}

impl<'m> Names<'m> {
    /// The names in that manifest.
    #[must_use]
    pub fn new(manifest: &'m Manifest) -> Self {
        Self { manifest, entries: manifest.entries() }
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &'m Manifest {
        self.manifest
    }

    /// The entry itself.
    ///
    /// # Panics
    /// When the manifest has no such entry: an event about one is a bug.
    #[must_use]
    pub fn entry(&self, index: EntryIndex) -> Entry<'m> {
        self.entries.get(index).expect("an event names an entry of the manifest")
    }

    /// The path below the destination, as it is: print it through [`super::Untrusted`].
    #[must_use]
    pub fn path(&self, index: EntryIndex) -> String {
        let mut path = String::new();
        self.entry(index).write_path(&mut path);
        path
    }

    /// The source's position in the manifest.
    #[must_use]
    pub fn source_index(&self, index: EntryIndex) -> usize {
        self.entries.source_of(index)
    }

    /// The source.
    #[must_use]
    pub fn source(&self, index: EntryIndex) -> &'m Source {
        &self.manifest.sources()[self.source_index(index)]
    }
}
