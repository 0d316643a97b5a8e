//! How one entry is: what stands at its path, held against what is known and what was tried.

use jiff::Timestamp;

use crate::digest::{Checksum, Digest};
use crate::pin::Pinned;
use crate::plan::{Found, OnDisk, PinMatch, compare_with_pin};

/// How an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    /// The file is there.
    Present,
    /// It is there, and came with the newest run.
    Fresh,
    /// Upstream has none.
    Absent,
    /// It failed when it was last tried.
    Failed,
    /// Something is there that is not what natsync noted, or not what it must be.
    Differs,
    /// It was there, and is not any more.
    Gone,
    /// It is not there, and was never tried.
    Untried,
}

impl Condition {
    /// All of them, in the order in which people read them.
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

/// How many entries are how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(pub(crate) [u64; 7]);

impl Tally {
    /// Counts one.
    pub(crate) fn add(&mut self, condition: Condition) {
        self.0[condition as usize] += 1;
    }

    /// How many are so.
    pub(crate) fn of(&self, condition: Condition) -> u64 {
        self.0[condition as usize]
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// How many are there as they should be.
    pub(crate) fn present(&self) -> u64 {
        self.of(Condition::Present) + self.of(Condition::Fresh)
    }

    /// How many deserve a look.
    pub(crate) fn trouble(&self) -> u64 {
        self.of(Condition::Failed) + self.of(Condition::Differs) + self.of(Condition::Gone)
    }

    /// Whether all is as declared.
    pub(crate) fn is_right(&self) -> bool {
        self.present() + self.of(Condition::Absent) == self.total()
    }
}

/// What is known of an entry.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Facts {
    /// How it is.
    pub(crate) condition: Condition,
    /// What there is to say about that.
    pub(crate) remark: Option<String>,
    /// Bytes on disk.
    pub(crate) size: Option<u64>,
    /// When natsync put its bytes there.
    pub(crate) changed: Option<Timestamp>,
    /// When upstream last served or confirmed it, or said that it has none.
    pub(crate) checked: Option<Timestamp>,
    /// The digest of what is there, or of what must be there.
    pub(crate) digest: Option<Digest>,
    /// Whether somebody says what it must be.
    pub(crate) pinned: bool,
}

/// What an entry is judged by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look<'a> {
    pub(crate) disk: &'a OnDisk,
    pub(crate) pinned: &'a Pinned,
    /// When natsync put its bytes there.
    pub(crate) changed: Option<Timestamp>,
    /// Why it failed, where that still stands.
    pub(crate) failure: Option<&'a str>,
    /// When the newest run began.
    pub(crate) newest: Option<Timestamp>,
}

/// Judges an entry.
pub(crate) fn judge(look: Look<'_>) -> Facts {
    let Look { disk, pinned, changed, failure, newest } = look;
    let size = match disk.found {
        Found::File(size) => Some(size),
        _ => None,
    };
    let noted = disk.record.as_ref();
    let (condition, remark) = match failure {
        Some(failure) => {
            let copy = if size.is_some() { "; an older copy is here" } else { "" };
            (Condition::Failed, Some(format!("{failure}{copy}")))
        }
        None => {
            let (condition, remark) = compare(look, size);
            (condition, remark.map(str::to_owned))
        }
    };
    let checked = noted.and_then(|noted| noted.checked);
    let here = noted.filter(|_| size.is_some());
    let is_fresh = changed.is_some_and(|changed| newest.is_some_and(|began| began <= changed));
    let pin = pinned.pin().and_then(|pin| pin.checksums.iter().find_map(Checksum::sha256));
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
        digest: here
            .filter(|noted| noted.stat.looks_same())
            .map(|noted| noted.digests.sha256())
            .or(pin),
        pinned: matches!(pinned, Pinned::To(pin) if !pin.checksums.is_empty()),
    }
}

fn compare(look: Look<'_>, size: Option<u64>) -> (Condition, Option<&'static str>) {
    let Look { disk, pinned, .. } = look;
    let noted = disk.record.as_ref();
    let is_absent = *pinned == Pinned::Missing || disk.missing_since.is_some();
    let Some(size) = size else {
        return match disk.found {
            Found::Obstacle(obstacle) => (Condition::Differs, Some(obstacle.describe())),
            _ if is_absent => (Condition::Absent, None),
            _ if noted.is_some() => (Condition::Gone, Some("it was here")),
            _ => (Condition::Untried, None),
        };
    };
    if is_absent {
        return (Condition::Absent, Some("the copy that is here stays"));
    }
    let against_pin = |digests| pinned.pin().map(|pin| compare_with_pin(pin, size, digests));
    if against_pin(None) == Some(PinMatch::SizeDiffers) {
        return (Condition::Differs, Some("its size is not that of its pin"));
    }
    let Some(noted) = noted else {
        return (Condition::Present, Some("natsync has not looked at it yet"));
    };
    if !noted.stat.looks_same() {
        return (
            Condition::Differs,
            Some("its size or times changed since natsync noted it; `natsync verify` reads it"),
        );
    }
    match against_pin(Some(&noted.digests)) {
        Some(PinMatch::DigestDiffers) => {
            (Condition::Differs, Some("its digest is not that of its pin"))
        }
        Some(PinMatch::Meets) => (Condition::Present, None),
        _ if !noted.same_url => (Condition::Differs, Some("it came from another URL")),
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
    fn what_is_there_decides() {
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
    fn what_came_with_the_newest_run_is_fresh() {
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
    fn a_failure_stands_above_an_older_copy() {
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
        assert_eq!(facts.remark.as_deref(), Some("it answered 503; an older copy is here"));
        assert_eq!((facts.size, facts.checked), (Some(1), Some(at(50))));
    }
}
