//! The index of an entry.

pub(crate) mod entry {
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub(crate) struct EntryIndex(pub(crate) u64);
}
