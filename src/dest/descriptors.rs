//! The limit on open file descriptors, and how many folders and transfers fit into it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The most folders of a destination that stay open.
const FOLDERS: u64 = 24;
/// Descriptors for all else: standard streams, the state, locks, event loops.
const REST: u64 = 26;
/// Descriptors of a transfer: the connection, the staged file, and the note of a part.
const TRANSFER: u64 = 3;

/// Raises the limit on open files to the hard limit. Most systems have a low soft limit for old
/// programs that use `select`.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // If the system refuses, the limit stays, and transfers keep within it.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many folders may stay open.
pub(crate) fn folders() -> usize {
    folders_within(limit())
}

/// How many transfers may run side by side; at least one.
pub(crate) fn transfers() -> usize {
    transfers_within(limit())
}

fn folders_within(limit: u64) -> usize {
    usize::try_from((limit / 16).clamp(1, FOLDERS)).unwrap_or(1)
}

fn transfers_within(limit: u64) -> usize {
    let rest = REST + folders_within(limit) as u64;
    usize::try_from((limit.saturating_sub(rest) / TRANSFER).max(1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits() {
        assert_eq!((folders_within(0), transfers_within(0)), (1, 1));
        assert_eq!((folders_within(32), transfers_within(32)), (2, 1));
        assert_eq!((folders_within(64), transfers_within(64)), (4, 11));
        assert_eq!((folders_within(1024), transfers_within(1024)), (24, 324));
        assert_eq!(folders_within(u64::MAX), 24);
        assert!(1_000_000 < transfers_within(u64::MAX));
    }
}
