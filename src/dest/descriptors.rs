//! How many files and connections may be open at a time, and what fits into that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many folders of a destination stay open where there is room for them.
const FOLDERS: u64 = 24;
/// What is open beside transfers and folders: streams, the state, locks, event loops.
const REST: u64 = 26;
/// A connection, what it brings, and the note of how far that is.
const TRANSFER: u64 = 3;

/// Lets this process open as many files as the system allows it. Most systems allow far more than they set at first,
/// for the sake of programs that this one does not start.
pub(crate) fn raise() {
    let limit = getrlimit(Resource::Nofile);
    // What is refused leaves the limit as it was, and transfers keep within it.
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
