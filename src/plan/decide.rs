//! The decision for one entry: DESIGN's table, row by row.

use std::time::Duration;

use jiff::Timestamp;

use super::{Action, Decision, Reason};
use crate::digest::Digest;
use crate::manifest::Check;

/// What is known of an entry's place on disk, as a plain value.
#[derive(Clone, Debug, PartialEq)]
pub struct OnDisk {
    /// What the walk found there.
    pub found: Found,
    /// What natsync noted when it last wrote or confirmed a file there.
    pub record: Option<Record>,
    /// When upstream last said that there is no such file.
    pub missing_since: Option<Timestamp>,
    /// The digest of the file there, once somebody has read it.
    pub digest: Option<Digest>,
}

/// What stands at an entry's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A regular file.
    File,
    /// Something that natsync neither replaces nor goes through.
    Obstacle(Obstacle),
}

/// What stands in the way of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The final name is a symbolic link.
    Symlink,
    /// The final name is a directory.
    Directory,
    /// The final name is a pipe, socket or device.
    Special,
    /// A folder of the path is no real directory.
    Parent,
    /// It cannot be read, so nothing is known of it.
    Unreadable,
}

impl Obstacle {
    /// What people read.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Symlink => "a symbolic link stands at this path",
            Self::Directory => "a directory stands at this path",
            Self::Special => "something that is no regular file stands at this path",
            Self::Parent => "a folder of this path is a file or a symbolic link",
            Self::Unreadable => "what stands at this path cannot be read",
        }
    }
}

/// What the state notes of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Whether the file on disk still looks as it did when it was noted.
    pub stat: StatMatch,
    /// Whether the file came from the URL that the manifest declares now.
    pub same_url: bool,
    /// The digest that it had.
    pub digest: Digest,
    /// When upstream last served or confirmed it.
    pub checked: Timestamp,
}

/// How a file's size and times compare with the noted ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatMatch {
    /// They agree and can be trusted.
    Same,
    /// They differ, or were noted too soon after the last change to be trusted.
    Doubtful,
}

/// What the user asks of one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How long a file without a pin counts as fresh.
    pub check: Check,
    /// How long a file that upstream does not have is not asked for again.
    pub missing_ttl: Duration,
    /// Get everything anew.
    pub force: bool,
    /// Believe no size and time.
    pub rehash: bool,
    /// The instant of the run.
    pub now: Timestamp,
}

/// The answer of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// So it is.
    Decided(Decision),
    /// Something stands in the way: the entry fails, whatever is asked.
    Obstructed(Obstacle),
    /// The digest of the file on disk decides: ask again with it.
    NeedsDigest,
}

/// Decides what to do with one entry.
#[must_use]
pub fn decide(disk: &OnDisk, policy: &Policy) -> Verdict {
    let decided = |action, reason| Verdict::Decided(Decision::new(action, reason));
    match disk.found {
        Found::Obstacle(obstacle) => return Verdict::Obstructed(obstacle),
        Found::Nothing => {
            let noted = disk
                .missing_since
                .is_some_and(|since| is_younger(since, policy.missing_ttl, policy.now));
            return if noted && !policy.force {
                decided(Action::Absent, Reason::MissingUpstream)
            } else {
                decided(Action::Fetch, Reason::NotOnDisk)
            };
        }
        Found::File => {}
    }
    if policy.force {
        return decided(Action::Replace, Reason::Forced);
    }
    let Some(record) = &disk.record else {
        return decided(Action::Revalidate, Reason::Stale);
    };
    if !record.same_url {
        return decided(Action::Replace, Reason::UrlChanged);
    }
    if record.stat == StatMatch::Doubtful || policy.rehash {
        match &disk.digest {
            None => return Verdict::NeedsDigest,
            Some(digest) if *digest != record.digest => {
                return decided(Action::Replace, Reason::ModifiedLocally);
            }
            Some(_) => {}
        }
    }
    let fresh = match policy.check {
        Check::Always => false,
        Check::Never => true,
        Check::Age(age) => is_younger(record.checked, age, policy.now),
    };
    if fresh {
        decided(Action::Keep, Reason::Fresh)
    } else {
        decided(Action::Revalidate, Reason::Stale)
    }
}

/// Whether `then` lies less than `age` before `now`. An instant in the future proves nothing: the
/// clock was wrong then or is wrong now.
fn is_younger(then: Timestamp, age: Duration, now: Timestamp) -> bool {
    let elapsed = now.duration_since(then);
    !elapsed.is_negative() && elapsed.unsigned_abs() < age
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn policy() -> Policy {
        Policy {
            check: Check::Always,
            missing_ttl: Duration::ZERO,
            force: false,
            rehash: false,
            now: at(NOW),
        }
    }

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn nothing() -> OnDisk {
        OnDisk { found: Found::Nothing, record: None, missing_since: None, digest: None }
    }

    fn file(record: Option<Record>) -> OnDisk {
        OnDisk { found: Found::File, record, missing_since: None, digest: None }
    }

    fn record(stat: StatMatch) -> Record {
        Record { stat, same_url: true, digest: digest(1), checked: at(NOW - 3600) }
    }

    #[track_caller]
    fn check(disk: &OnDisk, policy: &Policy, action: Action, reason: Reason) {
        assert_eq!(decide(disk, policy), Verdict::Decided(Decision::new(action, reason)));
    }

    #[test]
    fn a_file_that_is_not_there_is_fetched() {
        check(&nothing(), &policy(), Action::Fetch, Reason::NotOnDisk);
        let deleted = OnDisk { record: Some(record(StatMatch::Doubtful)), ..nothing() };
        check(&deleted, &policy(), Action::Fetch, Reason::NotOnDisk);
    }

    #[test]
    fn a_missing_file_is_not_asked_for_within_its_time() {
        let disk = OnDisk { missing_since: Some(at(NOW - 59)), ..nothing() };
        let minute = Policy { missing_ttl: Duration::from_mins(1), ..policy() };
        check(&disk, &minute, Action::Absent, Reason::MissingUpstream);
        check(&disk, &policy(), Action::Fetch, Reason::NotOnDisk);
        check(&disk, &Policy { force: true, ..minute }, Action::Fetch, Reason::NotOnDisk);
        let older = OnDisk { missing_since: Some(at(NOW - 60)), ..nothing() };
        check(&older, &minute, Action::Fetch, Reason::NotOnDisk);
        let future = OnDisk { missing_since: Some(at(NOW + 5)), ..nothing() };
        check(&future, &minute, Action::Fetch, Reason::NotOnDisk);
    }

    #[test]
    fn a_file_that_natsync_did_not_write_is_asked_about() {
        check(&file(None), &policy(), Action::Revalidate, Reason::Stale);
        let never = Policy { check: Check::Never, ..policy() };
        check(&file(None), &never, Action::Revalidate, Reason::Stale);
    }

    #[test]
    fn freshness_follows_check() {
        let disk = file(Some(record(StatMatch::Same)));
        check(&disk, &policy(), Action::Revalidate, Reason::Stale);
        check(&disk, &Policy { check: Check::Never, ..policy() }, Action::Keep, Reason::Fresh);
        let age = |seconds| Policy { check: Check::Age(Duration::from_secs(seconds)), ..policy() };
        check(&disk, &age(3601), Action::Keep, Reason::Fresh);
        check(&disk, &age(3600), Action::Revalidate, Reason::Stale);
    }

    #[test]
    fn a_doubtful_file_is_read_first() {
        let never = Policy { check: Check::Never, ..policy() };
        let disk = file(Some(record(StatMatch::Doubtful)));
        assert_eq!(decide(&disk, &never), Verdict::NeedsDigest);
        let same = OnDisk { digest: Some(digest(1)), ..disk.clone() };
        check(&same, &never, Action::Keep, Reason::Fresh);
        check(&same, &policy(), Action::Revalidate, Reason::Stale);
        let other = OnDisk { digest: Some(digest(2)), ..disk };
        check(&other, &never, Action::Replace, Reason::ModifiedLocally);
    }

    #[test]
    fn rehash_believes_no_stat() {
        let rehash = Policy { rehash: true, check: Check::Never, ..policy() };
        let disk = file(Some(record(StatMatch::Same)));
        assert_eq!(decide(&disk, &rehash), Verdict::NeedsDigest);
        let decayed = OnDisk { digest: Some(digest(2)), ..disk };
        check(&decayed, &rehash, Action::Replace, Reason::ModifiedLocally);
    }

    #[test]
    fn another_url_replaces() {
        let moved = Record { same_url: false, ..record(StatMatch::Same) };
        let never = Policy { check: Check::Never, ..policy() };
        check(&file(Some(moved)), &never, Action::Replace, Reason::UrlChanged);
    }

    #[test]
    fn force_replaces_what_is_there() {
        let force = Policy { force: true, check: Check::Never, ..policy() };
        check(&file(Some(record(StatMatch::Same))), &force, Action::Replace, Reason::Forced);
        check(&file(None), &force, Action::Replace, Reason::Forced);
        check(&nothing(), &force, Action::Fetch, Reason::NotOnDisk);
    }

    #[test]
    fn an_obstacle_is_never_replaced() {
        let force = Policy { force: true, ..policy() };
        for obstacle in [
            Obstacle::Symlink,
            Obstacle::Directory,
            Obstacle::Special,
            Obstacle::Parent,
            Obstacle::Unreadable,
        ] {
            let disk = OnDisk { found: Found::Obstacle(obstacle), ..nothing() };
            assert_eq!(decide(&disk, &force), Verdict::Obstructed(obstacle));
        }
    }
}
