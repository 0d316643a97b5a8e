//! The decision for one entry: an ordered list of rules over its pin, its state row and the file on
//! disk.

use std::time::Duration;

use jiff::Timestamp;

use super::judge::{PinMatch, StatMatch, compare_with_pin};
use super::{Action, Decision, Reason};
use crate::digest::Digests;
use crate::manifest::{Check, Sizes};
use crate::pin::{Pin, PinFrom, Pinned};

/// The evidence about the path of an entry, as a plain value.
#[derive(Clone, Debug, PartialEq)]
pub struct OnDisk {
    /// What the scan of the destination found at the path.
    pub found: Found,
    /// The state row of the file that natsync last wrote or confirmed at the path.
    pub record: Option<Record>,
    /// When upstream last answered that the file does not exist.
    pub missing_since: Option<Timestamp>,
    /// The digests of the file on disk, if it has been read in this run.
    pub digests: Option<Digests>,
}

/// The kind of object at the path of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing exists at the path.
    Nothing,
    /// A regular file, with its size in bytes.
    File(u64),
    /// An object that natsync neither replaces nor follows.
    Obstacle(Obstacle),
}

/// The reason why an entry cannot be written, whatever upstream has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// The final name is a symbolic link.
    Symlink,
    /// The final name is a directory.
    Directory,
    /// The final name is a pipe, socket or device.
    Special,
    /// A parent of the path is not a real directory.
    Parent,
    /// The object at the path cannot be inspected.
    Unreadable,
    /// The required checksum list does not name the entry.
    Unlisted,
    /// The checksum list has several files that match the entry, with different digests.
    Ambiguous,
    /// The checksum list cannot be used.
    NoList,
}

impl Obstacle {
    /// The text for people.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Symlink => "a symbolic link stands at this path",
            Self::Directory => "a directory stands at this path",
            Self::Special => "something that is no regular file stands at this path",
            Self::Parent => "a folder of this path is a file or a symbolic link",
            Self::Unreadable => "what stands at this path cannot be read",
            Self::Unlisted => "no checksum list names this file",
            Self::Ambiguous => {
                "the checksum list has several files of this name, with different digests"
            }
            Self::NoList => "its checksum list cannot be used",
        }
    }
}

/// The parts of a state row that matter for the decision.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The comparison of the size and times of the file with the recorded ones.
    pub stat: StatMatch,
    /// True if the file came from the URL that the manifest declares now.
    pub same_url: bool,
    /// The recorded digests of the file.
    pub digests: Digests,
    /// When upstream last served or confirmed the file; `None` if upstream was never asked.
    pub checked: Option<Timestamp>,
}

/// The settings of the user for one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How long a file without a pin counts as fresh.
    pub check: Check,
    /// How long a missing file counts as missing before it is requested again.
    pub missing_ttl: Duration,
    /// Download every file again (`--force`).
    pub force: bool,
    /// Trust no size and times: read every file (`--rehash`).
    pub rehash: bool,
    /// The sizes that a file may have, unless its pin says more.
    pub sizes: Sizes,
    /// The instant of the run.
    pub now: Timestamp,
}

/// The answer of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The decision is final.
    Decided(Decision),
    /// An obstacle: the entry fails without a request.
    Obstructed(Obstacle),
    /// The decision depends on the digest of the file on disk: read the file and call [`decide`]
    /// again.
    NeedsDigest,
}

/// Decides what to do with one entry.
#[must_use]
pub fn decide(pinned: &Pinned, disk: &OnDisk, policy: &Policy) -> Verdict {
    let pin = match pinned {
        Pinned::Unlisted => return Verdict::Obstructed(Obstacle::Unlisted),
        Pinned::Ambiguous => return Verdict::Obstructed(Obstacle::Ambiguous),
        Pinned::NoList => return Verdict::Obstructed(Obstacle::NoList),
        // The lock has precedence, even if a file is on disk.
        Pinned::Missing => return decided(Action::Absent, Reason::MissingUpstream),
        Pinned::Free | Pinned::Unvouched => None,
        Pinned::To(pin) => Some(pin),
    };
    let size = match disk.found {
        Found::Obstacle(obstacle) => return Verdict::Obstructed(obstacle),
        Found::Nothing => {
            // If the lock has a digest for the entry, the file did exist upstream: the lock is
            // newer than the note, or comes from a machine that could download the file.
            let is_locked = pin.is_some_and(|pin| pin.from == PinFrom::Lock);
            let noted = disk
                .missing_since
                .is_some_and(|since| is_younger(since, policy.missing_ttl, policy.now));
            return if noted && !is_locked && !policy.force {
                decided(Action::Absent, Reason::MissingUpstream)
            } else {
                decided(Action::Fetch, Reason::NotOnDisk)
            };
        }
        Found::File(size) => size,
    };
    if policy.force {
        return decided(Action::Replace, Reason::Forced);
    }
    match pin {
        Some(pin) if compare_with_pin(pin, size, None) == PinMatch::SizeDiffers => {
            decided(Action::Replace, Reason::SizeDiffers)
        }
        Some(pin) if pin.size.is_none() && policy.sizes.max.is_some_and(|max| max < size) => {
            decided(Action::Replace, Reason::Unexpected)
        }
        Some(pin) if !pin.checksums.is_empty() => decide_pinned(pin, size, disk, policy),
        // The manifest requires a sidecar, but there is none: do not trust the file without a
        // check.
        _ if *pinned == Pinned::Unvouched => decided(Action::Revalidate, Reason::Stale),
        pin => match decide_free(disk, policy) {
            Verdict::Decided(Decision { action: Action::Keep | Action::Revalidate, .. })
                if pin.is_none() && !policy.sizes.allow(size) =>
            {
                decided(Action::Replace, Reason::Unexpected)
            }
            verdict => verdict,
        },
    }
}

/// Decides about a file with pinned digests. No request is needed to judge it.
fn decide_pinned(pin: &Pin, size: u64, disk: &OnDisk, policy: &Policy) -> Verdict {
    let trusted = disk.record.as_ref().filter(|record| record.stat.is_proof() && !policy.rehash);
    let known = disk.digests.as_ref().or(trusted.map(|record| &record.digests));
    match compare_with_pin(pin, size, known) {
        PinMatch::Unknown => Verdict::NeedsDigest,
        PinMatch::SizeDiffers => decided(Action::Replace, Reason::SizeDiffers),
        PinMatch::DigestDiffers => decided(Action::Replace, Reason::DigestDiffers),
        PinMatch::Meets if disk.record.is_none() => decided(Action::Keep, Reason::Adopted),
        PinMatch::Meets => decided(Action::Keep, Reason::Pinned),
    }
}

/// Decides about a file without pinned digests, which follows upstream.
fn decide_free(disk: &OnDisk, policy: &Policy) -> Verdict {
    let Some(record) = &disk.record else {
        return decided(Action::Revalidate, Reason::Stale);
    };
    if !record.same_url {
        return decided(Action::Replace, Reason::UrlChanged);
    }
    if !record.stat.is_proof() || policy.rehash {
        match &disk.digests {
            None => return Verdict::NeedsDigest,
            Some(digests) if digests.sha256() != record.digests.sha256() => {
                return decided(Action::Replace, Reason::ModifiedLocally);
            }
            Some(_) => {}
        }
    }
    let fresh = match policy.check {
        Check::Always => false,
        Check::Never => true,
        Check::Age(age) => {
            record.checked.is_some_and(|checked| is_younger(checked, age, policy.now))
        }
    };
    if fresh {
        decided(Action::Keep, Reason::Fresh)
    } else {
        decided(Action::Revalidate, Reason::Stale)
    }
}

const fn decided(action: Action, reason: Reason) -> Verdict {
    Verdict::Decided(Decision::new(action, reason))
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
    use crate::digest::{Algorithm, Checksum, Digest};

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
            sizes: Sizes { min: 1, max: None },
            now: at(NOW),
        }
    }

    fn digest(byte: u8) -> Digests {
        Digests::new(Digest::from_bytes([byte; 32]), Vec::new())
    }

    fn nothing() -> OnDisk {
        OnDisk { found: Found::Nothing, record: None, missing_since: None, digests: None }
    }

    fn file(record: Option<Record>) -> OnDisk {
        OnDisk { found: Found::File(10), record, missing_since: None, digests: None }
    }

    fn record(stat: StatMatch) -> Record {
        Record { stat, same_url: true, digests: digest(1), checked: Some(at(NOW - 3600)) }
    }

    #[track_caller]
    fn check(disk: &OnDisk, policy: &Policy, action: Action, reason: Reason) {
        assert_eq!(
            decide(&Pinned::Free, disk, policy),
            Verdict::Decided(Decision::new(action, reason))
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_fetched() {
        check(&nothing(), &policy(), Action::Fetch, Reason::NotOnDisk);
        let deleted = OnDisk { record: Some(record(StatMatch::Differs)), ..nothing() };
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

    /// A file of 10 bytes; each row is a pin, the bounds, and whether the file may stay.
    #[test]
    fn a_file_that_is_kept_has_an_allowed_size() {
        let disk = || file(Some(record(StatMatch::Same)));
        for (pinned, min, max, stays) in [
            (Pinned::Free, 10, Some(10), true),
            (Pinned::Free, 11, None, false),
            (Pinned::Free, 1, Some(9), false),
            (pin(Some(10), 1), 11, Some(9), true),
            (pin(None, 1), 11, None, true),
            (pin(None, 1), 1, Some(9), false),
        ] {
            for check in [Check::Never, Check::Always] {
                let policy = Policy { check, sizes: Sizes { min, max }, ..policy() };
                let replaced = Verdict::Decided(Decision::new(Action::Replace, Reason::Unexpected));
                let is_replaced = decide(&pinned, &disk(), &policy) == replaced;
                assert_eq!(is_replaced, !stays, "{pinned:?} {min} {max:?}");
            }
        }
    }

    #[test]
    fn a_doubtful_file_is_read_first() {
        let never = Policy { check: Check::Never, ..policy() };
        let disk = file(Some(record(StatMatch::Differs)));
        assert_eq!(decide(&Pinned::Free, &disk, &never), Verdict::NeedsDigest);
        let same = OnDisk { digests: Some(digest(1)), ..disk.clone() };
        check(&same, &never, Action::Keep, Reason::Fresh);
        check(&same, &policy(), Action::Revalidate, Reason::Stale);
        let other = OnDisk { digests: Some(digest(2)), ..disk };
        check(&other, &never, Action::Replace, Reason::ModifiedLocally);
    }

    #[test]
    fn rehash_believes_no_stat() {
        let rehash = Policy { rehash: true, check: Check::Never, ..policy() };
        let disk = file(Some(record(StatMatch::Same)));
        assert_eq!(decide(&Pinned::Free, &disk, &rehash), Verdict::NeedsDigest);
        let decayed = OnDisk { digests: Some(digest(2)), ..disk };
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
            assert_eq!(decide(&Pinned::Free, &disk, &force), Verdict::Obstructed(obstacle));
        }
    }

    fn pin(size: Option<u64>, byte: u8) -> Pinned {
        let checksums = vec![Checksum::from(Digest::from_bytes([byte; 32]))];
        Pinned::To(Pin { size, checksums, from: PinFrom::Lock, published: false })
    }

    fn read(disk: OnDisk, byte: u8) -> OnDisk {
        OnDisk { digests: Some(digest(byte)), ..disk }
    }

    /// Each row is a pin, the evidence on disk and the expected decision. `None` means that the
    /// file must be read first.
    #[test]
    fn a_pin_decides_alone() {
        let same = || file(Some(record(StatMatch::Same)));
        let doubtful = || file(Some(record(StatMatch::Differs)));
        let moved = || file(Some(Record { same_url: false, ..record(StatMatch::Same) }));
        let keep = |reason| Some((Action::Keep, reason));
        let replace = |reason| Some((Action::Replace, reason));
        let rows = [
            ("row holds it", pin(None, 1), same(), keep(Reason::Pinned)),
            ("size agrees too", pin(Some(10), 1), same(), keep(Reason::Pinned)),
            ("another size", pin(Some(11), 1), same(), replace(Reason::SizeDiffers)),
            ("another size, stranger", pin(Some(9), 1), file(None), replace(Reason::SizeDiffers)),
            ("row has another", pin(Some(10), 2), same(), replace(Reason::DigestDiffers)),
            ("stat is doubtful", pin(Some(10), 1), doubtful(), None),
            ("read, equal", pin(Some(10), 1), read(doubtful(), 1), keep(Reason::Pinned)),
            ("read, differs", pin(None, 1), read(doubtful(), 2), replace(Reason::DigestDiffers)),
            ("read against an old row", pin(None, 2), read(doubtful(), 2), keep(Reason::Pinned)),
            ("stranger", pin(None, 1), file(None), None),
            ("stranger, equal", pin(None, 1), read(file(None), 1), keep(Reason::Adopted)),
            (
                "stranger, differs",
                pin(None, 1),
                read(file(None), 3),
                replace(Reason::DigestDiffers),
            ),
            ("from another URL", pin(None, 1), moved(), keep(Reason::Pinned)),
            ("not there", pin(None, 1), nothing(), Some((Action::Fetch, Reason::NotOnDisk))),
        ];
        for (name, pinned, disk, expected) in rows {
            let expected = expected.map_or(Verdict::NeedsDigest, |(action, reason)| {
                Verdict::Decided(Decision::new(action, reason))
            });
            for check in [Check::Always, Check::Never] {
                let policy = Policy { check, ..policy() };
                assert_eq!(decide(&pinned, &disk, &policy), expected, "{name}");
            }
        }
    }

    #[test]
    fn rehash_reads_a_pinned_file_too() {
        let rehash = Policy { rehash: true, ..policy() };
        let disk = file(Some(record(StatMatch::Same)));
        assert_eq!(decide(&pin(None, 1), &disk, &rehash), Verdict::NeedsDigest);
        let decayed = decide(&pin(None, 1), &read(disk, 2), &rehash);
        assert_eq!(decayed, decided(Action::Replace, Reason::DigestDiffers));
    }

    #[test]
    fn a_row_that_lacks_the_algorithm_is_read() {
        let md5 = Checksum::from_bytes(Algorithm::Md5, &[7; 16]).unwrap();
        let pinned = |checksums| {
            Pinned::To(Pin { size: None, checksums, from: PinFrom::List, published: true })
        };
        let disk = file(Some(record(StatMatch::Same)));
        assert_eq!(decide(&pinned(vec![md5]), &disk, &policy()), Verdict::NeedsDigest);
        // One differing digest is enough: the file need not be read for the other one.
        let other = Checksum::from(Digest::from_bytes([9; 32]));
        let verdict = decide(&pinned(vec![md5, other]), &disk, &policy());
        assert_eq!(verdict, decided(Action::Replace, Reason::DigestDiffers));
    }

    #[test]
    fn a_size_alone_is_no_proof() {
        let sized = |size| {
            Pinned::To(Pin {
                size: Some(size),
                checksums: Vec::new(),
                from: PinFrom::Manifest,
                published: true,
            })
        };
        let disk = file(Some(record(StatMatch::Same)));
        let verdict = decide(&sized(10), &disk, &policy());
        assert_eq!(verdict, decided(Action::Revalidate, Reason::Stale));
        let verdict = decide(&sized(11), &disk, &policy());
        assert_eq!(verdict, decided(Action::Replace, Reason::SizeDiffers));
    }

    #[test]
    fn an_entry_pinned_as_missing_is_not_requested() {
        let absent = decided(Action::Absent, Reason::MissingUpstream);
        let force = Policy { force: true, ..policy() };
        for disk in [nothing(), file(None), file(Some(record(StatMatch::Same)))] {
            assert_eq!(decide(&Pinned::Missing, &disk, &policy()), absent);
            assert_eq!(decide(&Pinned::Missing, &disk, &force), absent);
        }
    }

    #[test]
    fn a_pin_in_the_lock_overrides_a_missing_note() {
        let policy = Policy { missing_ttl: Duration::from_hours(1), ..policy() };
        let noted = OnDisk { missing_since: Some(at(NOW - 60)), ..nothing() };
        let absent = decided(Action::Absent, Reason::MissingUpstream);
        assert_eq!(decide(&Pinned::Free, &noted, &policy), absent);
        let fetch = decided(Action::Fetch, Reason::NotOnDisk);
        assert_eq!(decide(&pin(None, 1), &noted, &policy), fetch);
    }

    #[test]
    fn without_a_sidecar_the_file_itself_is_asked_for() {
        let fetch = decided(Action::Fetch, Reason::NotOnDisk);
        assert_eq!(decide(&Pinned::Unvouched, &nothing(), &policy()), fetch);
        let stale = decided(Action::Revalidate, Reason::Stale);
        assert_eq!(decide(&Pinned::Unvouched, &file(None), &policy()), stale);
        let fresh = Policy { check: Check::Never, ..policy() };
        let known = file(Some(record(StatMatch::Same)));
        assert_eq!(decide(&Pinned::Unvouched, &known, &fresh), stale);
    }

    #[test]
    fn unlisted_entries_are_obstructed() {
        let force = Policy { force: true, ..policy() };
        for (pinned, obstacle) in [
            (Pinned::Unlisted, Obstacle::Unlisted),
            (Pinned::Ambiguous, Obstacle::Ambiguous),
            (Pinned::NoList, Obstacle::NoList),
        ] {
            assert_eq!(decide(&pinned, &nothing(), &force), Verdict::Obstructed(obstacle));
        }
    }
}
