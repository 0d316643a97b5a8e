//! Judges one entry for the overview: compares the file on disk with its state row, its pin and its
//! last failure. Pure: nothing here reads the disk.

use jiff::Timestamp;

use crate::digest::{Checksum, Digest};
use crate::pin::Pinned;
use crate::plan::{Found, OnDisk, PinMatch, compare_with_pin};

/// The condition of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// The file is on disk.
    Present,
    /// The file is on disk, and the newest run downloaded it.
    Fresh,
    /// Upstream has no such file.
    Absent,
    /// The last attempt to get the file failed.
    Failed,
    /// The file on disk differs from its state row or its pin, or its path has an obstacle, such as
    /// a directory.
    Differs,
    /// The file was on disk before, and is no longer.
    Gone,
    /// The file is not on disk, and no run has tried to get it.
    Untried,
}

impl Condition {
    /// All conditions, in display order.
    pub(crate) const ALL: [Self; 7] = [
        Self::Present,
        Self::Fresh,
        Self::Absent,
        Self::Failed,
        Self::Differs,
        Self::Gone,
        Self::Untried,
    ];
}

/// The number of entries in each condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) [u64; 7]);

impl Tally {
    pub(crate) fn add(&mut self, condition: Condition) {
        self.0[condition as usize] += 1;
    }

    pub(crate) fn of(&self, condition: Condition) -> u64 {
        self.0[condition as usize]
    }

    /// The number of all entries.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The number of entries whose file is on disk and right.
    pub(crate) fn present(&self) -> u64 {
        self.of(Condition::Present) + self.of(Condition::Fresh)
    }

    /// The number of entries that need attention.
    pub(crate) fn trouble(&self) -> u64 {
        self.of(Condition::Failed) + self.of(Condition::Differs) + self.of(Condition::Gone)
    }

    /// True if every entry is present, or absent upstream.
    pub(crate) fn is_right(&self) -> bool {
        self.present() + self.of(Condition::Absent) == self.total()
    }
}

/// The judgement about an entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    pub(crate) condition: Condition,
    /// An explanation of the condition, for people.
    pub(crate) remark: Option<String>,
    /// Bytes on disk.
    pub(crate) size: Option<u64>,
    /// When natsync last wrote the file.
    pub(crate) changed: Option<Timestamp>,
    /// When upstream last served or confirmed the file, or answered that it does not exist.
    pub(crate) checked: Option<Timestamp>,
    /// The digest of the file on disk if known, otherwise the pinned one.
    pub(crate) digest: Option<Digest>,
    /// True if a digest is pinned.
    pub(crate) pinned: bool,
}

/// The evidence about an entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) disk: &'a OnDisk,
    pub(crate) pinned: &'a Pinned,
    /// When natsync last wrote the file.
    pub(crate) changed: Option<Timestamp>,
    /// The message of its last failure, if no later run has dealt with it.
    pub(crate) failure: Option<&'a str>,
    /// The start of the newest run.
    pub(crate) newest: Option<Timestamp>,
}

pub(crate) fn judge(look: Look<'_>) -> Facts {
    let Look { disk, pinned, changed, failure, newest } = look;
    let size = match disk.found {
        Found::File(size) => Some(size),
        _ => None,
    };
    let record = disk.record.as_ref();
    let (condition, remark) = match failure {
        Some(failure) => {
            let copy = if size.is_some() { "; an older copy is on disk" } else { "" };
            (Condition::Failed, Some(format!("{failure}{copy}")))
        }
        None => {
            let (condition, remark) = compare(look, size);
            (condition, remark.map(str::to_owned))
        }
    };
    let checked = record.and_then(|record| record.checked);
    let record_of_file = record.filter(|_| size.is_some());
    let is_fresh = changed.is_some_and(|changed| newest.is_some_and(|began| began <= changed));
    let pinned_digest =
        pinned.pin().and_then(|pin| pin.checksums.iter().find_map(Checksum::sha256));
    Facts {
        condition: if condition == Condition::Present && is_fresh {
            Condition::Fresh
        } else {
            condition
        },
        remark,
        size,
        changed: changed.filter(|_| size.is_some()),
        checked: disk.missing_since.or(checked),
        digest: record_of_file
            .filter(|record| record.stat.looks_same())
            .map(|record| record.digests.sha256())
            .or(pinned_digest),
        pinned: matches!(pinned, Pinned::To(pin) if !pin.checksums.is_empty()),
    }
}

fn compare(look: Look<'_>, size: Option<u64>) -> (Condition, Option<&'static str>) {
    let Look { disk, pinned, .. } = look;
    let record = disk.record.as_ref();
    let is_absent = *pinned == Pinned::Missing || disk.missing_since.is_some();
    let Some(size) = size else {
        return match disk.found {
            Found::Obstacle(obstacle) => (Condition::Differs, Some(obstacle.describe())),
            _ if is_absent => (Condition::Absent, None),
            _ if record.is_some() => (Condition::Gone, Some("it was on disk before")),
            _ => (Condition::Untried, None),
        };
    };
    if is_absent {
        return (Condition::Absent, Some("the copy on disk is kept"));
    }
    let against_pin = |digests| pinned.pin().map(|pin| compare_with_pin(pin, size, digests));
    if against_pin(None) == Some(PinMatch::SizeDiffers) {
        return (Condition::Differs, Some("its size differs from its pin"));
    }
    let Some(record) = record else {
        return (Condition::Present, Some("natsync has not checked it yet"));
    };
    if !record.stat.looks_same() {
        return (
            Condition::Differs,
            Some("its size or times changed since natsync recorded it; `natsync verify` reads it"),
        );
    }
    match against_pin(Some(&record.digests)) {
        Some(PinMatch::DigestDiffers) => {
            (Condition::Differs, Some("its digest differs from its pin"))
        }
        Some(PinMatch::Meets) => (Condition::Present, None),
        _ if !record.same_url => (Condition::Differs, Some("it came from another URL")),
        _ => (Condition::Present, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digests;
    use crate::pin::{Pin, PinFrom};
    use crate::plan::{Obstacle, Record, StatMatch};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen() -> Record {
        let digests = Digests::new(Digest::of(b"x"), Vec::new());
        Record { stat: StatMatch::Same, same_url: true, digests, checked: Some(at(50)) }
    }

    fn pin(content: &[u8], size: u64) -> Pinned {
        let checksums = vec![Checksum::from(Digest::of(content))];
        Pinned::To(Pin { size: Some(size), checksums, from: PinFrom::Lock, published: false })
    }

    #[track_caller]
    fn check(disk: &OnDisk, pinned: &Pinned, expected: Condition) -> Facts {
        let look =
            Look { disk, pinned, changed: Some(at(50)), failure: None, newest: Some(at(100)) };
        let facts = judge(look);
        assert_eq!(facts.condition, expected, "{disk:?} {pinned:?}");
        facts
    }

    fn disk(found: Found, record: Option<Record>, missing_since: Option<Timestamp>) -> OnDisk {
        OnDisk { found, record, missing_since, digests: None }
    }

    #[test]
    fn the_evidence_decides_the_condition() {
        use Condition::{Absent, Differs, Gone, Present, Untried};
        let (file, none) = (Found::File(1), Found::Nothing);
        let free = &Pinned::Free;
        check(&disk(file, Some(seen()), None), free, Present);
        check(&disk(file, None, None), free, Present);
        check(&disk(none, None, None), free, Untried);
        check(&disk(none, Some(seen()), None), free, Gone);
        check(&disk(none, None, Some(at(3))), free, Absent);
        check(&disk(none, None, None), &Pinned::Missing, Absent);
        check(&disk(file, Some(seen()), Some(at(3))), free, Absent);
        check(&disk(Found::Obstacle(Obstacle::Directory), None, None), free, Differs);
        let touched = Record { stat: StatMatch::Differs, ..seen() };
        check(&disk(file, Some(touched), None), free, Differs);
        let moved = Record { same_url: false, ..seen() };
        check(&disk(file, Some(moved.clone()), None), free, Differs);
        check(&disk(file, Some(moved), None), &pin(b"x", 1), Present);
        check(&disk(file, Some(seen()), None), &pin(b"y", 1), Differs);
        check(&disk(file, Some(seen()), None), &pin(b"x", 2), Differs);
    }

    #[test]
    fn a_file_of_the_newest_run_is_fresh() {
        let disk = disk(Found::File(1), Some(seen()), None);
        let look = Look {
            disk: &disk,
            pinned: &Pinned::Free,
            changed: Some(at(100)),
            failure: None,
            newest: Some(at(100)),
        };
        assert_eq!(judge(look).condition, Condition::Fresh);
        assert_eq!(judge(Look { newest: None, ..look }).condition, Condition::Present);
        assert_eq!(judge(Look { changed: None, ..look }).condition, Condition::Present);
    }

    #[test]
    fn a_failure_overrides_an_older_copy() {
        let disk = disk(Found::File(1), Some(seen()), None);
        let look = Look {
            disk: &disk,
            pinned: &Pinned::Free,
            changed: None,
            failure: Some("it answered 503"),
            newest: None,
        };
        let facts = judge(look);
        assert_eq!(facts.condition, Condition::Failed);
        assert_eq!(facts.remark.as_deref(), Some("it answered 503; an older copy is on disk"));
        assert_eq!((facts.size, facts.checked), (Some(1), Some(at(50))));
    }
}
