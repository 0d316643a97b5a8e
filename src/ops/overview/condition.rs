//! How one entry is: what stands at its path, held against what is known and what was tried.

use jiff::Timestamp;

use crate::dest::inventory::Sight;
use crate::digest::{Checksum, Digest, Digests};
use crate::pin::Pinned;
use crate::plan::Found;

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
    pub(crate) sight: &'a Sight,
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
    let Look { sight, pinned, changed, failure, newest } = look;
    let size = match sight.found {
        Found::File(size) => Some(size),
        _ => None,
    };
    let noted = sight.noted.as_ref();
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
    // A file that was taken as it was found has never been asked about.
    let checked = noted.map(|noted| noted.checked).filter(|at| Timestamp::UNIX_EPOCH < *at);
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
        checked: sight.missing_since.or(checked),
        digest: here.filter(|noted| noted.looks_the_same).map(|noted| noted.digest).or(pin),
        pinned: matches!(pinned, Pinned::To(pin) if !pin.checksums.is_empty()),
    }
}

fn compare(look: Look<'_>, size: Option<u64>) -> (Condition, Option<&'static str>) {
    let Look { sight, pinned, .. } = look;
    let noted = sight.noted.as_ref();
    let is_absent = *pinned == Pinned::Missing || sight.missing_since.is_some();
    let Some(size) = size else {
        return match sight.found {
            Found::Obstacle(obstacle) => (Condition::Differs, Some(obstacle.describe())),
            _ if is_absent => (Condition::Absent, None),
            _ if noted.is_some() => (Condition::Gone, Some("it was here")),
            _ => (Condition::Untried, None),
        };
    };
    if is_absent {
        return (Condition::Absent, Some("the copy that is here stays"));
    }
    let pin = pinned.pin();
    if pin.and_then(|pin| pin.size).is_some_and(|pinned| pinned != size) {
        return (Condition::Differs, Some("its size is not that of its pin"));
    }
    let Some(noted) = noted else {
        return (Condition::Present, Some("natsync has not looked at it yet"));
    };
    if !noted.looks_the_same {
        return (
            Condition::Differs,
            Some("its size or times changed since natsync noted it; `natsync verify` reads it"),
        );
    }
    let holds = pin.and_then(|pin| pin.holds(&Digests::new(noted.digest, Vec::new())));
    match holds {
        Some(false) => (Condition::Differs, Some("its digest is not that of its pin")),
        None if !noted.same_url => (Condition::Differs, Some("it came from another URL")),
        _ => (Condition::Present, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dest::inventory::Seen;
    use crate::pin::{Pin, PinFrom};
    use crate::plan::Obstacle;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn seen() -> Seen {
        let digest = Digest::of(b"x");
        Seen { looks_the_same: true, same_url: true, digest, checked: at(50) }
    }

    fn pin(content: &[u8], size: u64) -> Pinned {
        let checksums = vec![Checksum::from(Digest::of(content))];
        Pinned::To(Pin { size: Some(size), checksums, from: PinFrom::Lock, published: false })
    }

    #[track_caller]
    fn check(sight: &Sight, pinned: &Pinned, expected: Condition) -> Facts {
        let look =
            Look { sight, pinned, changed: Some(at(50)), failure: None, newest: Some(at(100)) };
        let facts = judge(look);
        assert_eq!(facts.condition, expected, "{sight:?} {pinned:?}");
        facts
    }

    fn sight(found: Found, noted: Option<Seen>, missing_since: Option<Timestamp>) -> Sight {
        Sight { found, noted, missing_since }
    }

    #[test]
    fn what_is_there_decides() {
        use Condition::{Absent, Differs, Gone, Present, Untried};
        let (file, none) = (Found::File(1), Found::Nothing);
        let free = &Pinned::Free;
        check(&sight(file, Some(seen()), None), free, Present);
        check(&sight(file, None, None), free, Present);
        check(&sight(none, None, None), free, Untried);
        check(&sight(none, Some(seen()), None), free, Gone);
        check(&sight(none, None, Some(at(3))), free, Absent);
        check(&sight(none, None, None), &Pinned::Missing, Absent);
        check(&sight(file, Some(seen()), Some(at(3))), free, Absent);
        check(&sight(Found::Obstacle(Obstacle::Directory), None, None), free, Differs);
        let touched = Seen { looks_the_same: false, ..seen() };
        check(&sight(file, Some(touched), None), free, Differs);
        let moved = Seen { same_url: false, ..seen() };
        check(&sight(file, Some(moved.clone()), None), free, Differs);
        check(&sight(file, Some(moved), None), &pin(b"x", 1), Present);
        check(&sight(file, Some(seen()), None), &pin(b"y", 1), Differs);
        check(&sight(file, Some(seen()), None), &pin(b"x", 2), Differs);
    }

    #[test]
    fn what_came_with_the_newest_run_is_fresh() {
        let sight = sight(Found::File(1), Some(seen()), None);
        let look = Look {
            sight: &sight,
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
        let sight = sight(Found::File(1), Some(seen()), None);
        let look = Look {
            sight: &sight,
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
