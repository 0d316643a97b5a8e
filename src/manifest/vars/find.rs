//! Finds the values of a variable that a condition names, in time that grows with the number of
//! values and conditions, not with their product.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use super::{Segment, Value, Values};

/// A variable with more segments than this is looked up like a list of texts.
const FEW: usize = 16;

/// Indices at equal distances: `start`, `start + step`, ..
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: u64,
    pub(crate) step: u64,
    pub(crate) count: u64,
}

/// What a value is compared by: as a number if it is one, as a date if it is one, else as a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key<'v> {
    Number(i64),
    /// Seconds since 1970, without a time zone.
    Moment(i64),
    Text(Cow<'v, str>),
}

/// Values at equal distances, in numbers of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progression {
    pub(super) kind: Kind,
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Moment,
    Lower,
    Upper,
}

/// An index of the values of one variable that are not found by arithmetic.
#[derive(Debug)]
pub(crate) struct Finder {
    /// The hash and the index of each such value, sorted.
    hashes: Vec<(u64, u64)>,
    /// Whether ranges are found by arithmetic, so that `hashes` has the texts alone.
    by_range: bool,
    today: jiff::civil::Date,
}

impl Run {
    fn one(index: u64) -> Self {
        Self { start: index, step: 1, count: 1 }
    }

    /// The indices, in rising order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |number| self.start + number * self.step)
    }

    pub(crate) fn contains(self, index: u64) -> bool {
        index
            .checked_sub(self.start)
            .is_some_and(|away| away.is_multiple_of(self.step) && away / self.step < self.count)
    }
}

impl Finder {
    pub(crate) fn new(values: &Values, today: jiff::civil::Date) -> Self {
        let by_range = values.segments.len() <= FEW;
        let mut hashes = Vec::new();
        for (segment, before) in values.placed() {
            if by_range && !matches!(segment, Segment::Texts(_)) {
                continue;
            }
            let hash = |index| (hash_of(&segment.get(index).key(today)), before + index);
            hashes.extend((0..segment.len()).map(hash));
        }
        hashes.sort_unstable();
        Self { hashes, by_range, today }
    }

    /// The indices of all values that are equal to one of `named`, and the number of steps that
    /// this took.
    pub(crate) fn find(&self, values: &Values, named: &Values) -> (Vec<Run>, u64) {
        let mut search = Search { finder: self, values, runs: Vec::new(), steps: 0 };
        for (segment, _) in named.placed() {
            search.segment(segment);
        }
        (search.runs, search.steps)
    }
}

struct Search<'s> {
    finder: &'s Finder,
    values: &'s Values,
    runs: Vec<Run>,
    steps: u64,
}

impl Search<'_> {
    fn segment(&mut self, named: &Segment) {
        let today = self.finder.today;
        self.steps += 1;
        if self.finder.by_range {
            let values = self.values;
            for (segment, before) in values.placed() {
                if !matches!(segment, Segment::Texts(_)) {
                    self.range(segment, before, named);
                }
            }
        }
        // Texts are looked up one by one, since they are not found by arithmetic.
        let is_text = matches!(named, Segment::Texts(_));
        if is_text || named.len() <= self.finder.hashes.len() as u64 {
            for index in 0..named.len() {
                self.look_up(&named.get(index).key(today));
            }
        } else {
            for &(_, index) in &self.finder.hashes {
                self.steps += 1;
                if named.find(&self.values.get(index).key(today)).is_some() {
                    self.runs.push(Run::one(index));
                }
            }
        }
    }

    /// Finds values of a range of the variable.
    fn range(&mut self, range: &Segment, before: u64, named: &Segment) {
        let today = self.finder.today;
        if let (Some(range), Some(named)) = (range.progression(), named.progression()) {
            if let Some(run) = range.common(named) {
                self.runs.push(Run { start: before + run.start, ..run });
            }
            return;
        }
        let is_text = matches!(named, Segment::Texts(_));
        self.steps += if is_text { named.len() } else { range.len().min(named.len()) };
        if is_text || named.len() <= range.len() {
            for index in 0..named.len() {
                if let Some(index) = range.find(&named.get(index).key(today)) {
                    self.runs.push(Run::one(before + index));
                }
            }
        } else {
            for index in 0..range.len() {
                if named.find(&range.get(index).key(today)).is_some() {
                    self.runs.push(Run::one(before + index));
                }
            }
        }
    }

    fn look_up(&mut self, key: &Key<'_>) {
        let hash = hash_of(key);
        let hashes = &self.finder.hashes;
        let first = hashes.partition_point(|&(other, _)| other < hash);
        self.steps += 1;
        for &(_, index) in hashes[first..].iter().take_while(|&&(other, _)| other == hash) {
            self.steps += 1;
            if self.values.get(index).key(self.finder.today) == *key {
                self.runs.push(Run::one(index));
            }
        }
    }
}

impl Progression {
    /// The index of a number.
    pub(super) fn index_of(self, number: i64) -> Option<u64> {
        let away = i128::from(number) - i128::from(self.start);
        let step = i128::from(self.step);
        if step == 0 {
            return (away == 0).then_some(0);
        }
        let index = u64::try_from(away / step).ok()?;
        (away % step == 0 && index < self.count).then_some(index)
    }

    /// The indices of the numbers that another progression has too.
    fn common(self, other: Self) -> Option<Run> {
        if self.kind != other.kind {
            return None;
        }
        // One value has no step, which the arithmetic below must not divide by.
        let wide = |progression: Self| match progression.step {
            0 => (i128::from(progression.start), 1, 1),
            step => {
                (i128::from(progression.start), i128::from(step), i128::from(progression.count))
            }
        };
        let (start, step, count) = wide(self);
        let (other_start, other_step, other_count) = wide(other);
        let other_end = other_start + other_step * (other_count - 1);
        // The indices whose numbers lie between the ends of the other progression.
        let (a, b) = (other_start.min(other_end) - start, other_start.max(other_end) - start);
        let (a, b) = if 0 < step { (a, b) } else { (-b, -a) };
        let distance = step.abs();
        let least = a.max(0).div_euclid(distance) + i128::from(0 < a && a % distance != 0);
        let most = b.div_euclid(distance).min(count - 1);
        if b < 0 || most < least {
            return None;
        }
        // Of those, each `period`-th one has the right remainder.
        let modulus = other_step.abs();
        let divisor = gcd(distance, modulus);
        let away = other_start - start;
        if away % divisor != 0 {
            return None;
        }
        let period = modulus / divisor;
        let inverse = inverse((step / divisor).rem_euclid(period), period);
        let first = (away / divisor).rem_euclid(period) * inverse % period;
        let first = first + (least - first).max(0).div_euclid(period) * period;
        let first = if first < least { first + period } else { first };
        let last = u64::try_from(most - first).ok()?;
        let step = u64::try_from(period).ok()?;
        Some(Run { start: u64::try_from(first).ok()?, step, count: last / step + 1 })
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The inverse of a number modulo `modulus`, which have no common divisor.
fn inverse(number: i128, modulus: i128) -> i128 {
    let (mut rest, mut next_rest) = (modulus, number);
    let (mut factor, mut next_factor) = (0, 1);
    while next_rest != 0 {
        let quotient = rest / next_rest;
        (rest, next_rest) = (next_rest, rest - quotient * next_rest);
        (factor, next_factor) = (next_factor, factor - quotient * next_factor);
    }
    if modulus == 1 { 0 } else { factor.rem_euclid(modulus) }
}

fn hash_of(key: &Key<'_>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

impl<'v> Value<'v> {
    pub(super) fn key(self, today: jiff::civil::Date) -> Key<'v> {
        if let Some(number) = self.as_number() {
            return Key::Number(number);
        }
        if let Some(moment) = self.as_moment(today) {
            return Key::Moment(moment.seconds());
        }
        match self {
            Value::Text(text) => Key::Text(Cow::Borrowed(text)),
            _ => {
                let mut text = String::new();
                self.write(&mut text);
                Key::Text(Cow::Owned(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Texts, parse_range};
    use super::*;

    const TODAY: jiff::civil::Date = jiff::civil::date(2026, 1, 31);

    fn values(texts: &[String]) -> Values {
        let mut values = Values::default();
        for text in texts {
            let segment = parse_range(text, TODAY).ok().flatten();
            values.push(segment.unwrap_or_else(|| Segment::Texts(Texts::from([text.as_str()]))));
        }
        values
    }

    fn found(values: &Values, named: &Values) -> (Vec<u64>, u64) {
        let (runs, steps) = Finder::new(values, TODAY).find(values, named);
        let mut indices: Vec<_> = runs.iter().flat_map(|run| run.iter()).collect();
        indices.sort_unstable();
        indices.dedup();
        (indices, steps)
    }

    fn item() -> impl Strategy<Value = String> {
        prop_oneof![
            (-9i64..30, -9i64..30, 1i64..7).prop_map(|(a, b, step)| format!("{a}..{b}..{step}")),
            (-9i64..30).prop_map(|number| number.to_string()),
            (0i64..30).prop_map(|number| format!("{number:03}")),
            (1u8..28, 1u8..28, 1u8..5)
                .prop_map(|(a, b, step)| format!("2026-01-{a:02}..2026-02-{b:02}..{step}d")),
            (1u8..12, 1u8..3).prop_map(|(a, step)| format!("2025-{a:02}-05..2026-11-30..{step}mo")),
            (1u8..24, 1u8..9)
                .prop_map(|(a, step)| format!("2026-01-05T{a:02}:00..2026-01-07..{step}h")),
            (1u8..28).prop_map(|day| format!("2026-01-{day:02}")),
            "today(-[1-9]d)?",
            "[a-f]\\.\\.[a-f]{1,2}",
            "[A-Ca-f]",
        ]
    }

    proptest! {
        #[test]
        fn it_finds_what_a_comparison_of_all_pairs_finds(
            of_variable in prop::collection::vec(item(), 1..40),
            of_condition in prop::collection::vec(item(), 1..6),
        ) {
            let (values, named) = (values(&of_variable), values(&of_condition));
            let keys: std::collections::HashSet<_> =
                named.iter().map(|value| value.key(TODAY)).collect();
            let expected: Vec<_> = (0..values.len())
                .filter(|&index| keys.contains(&values.get(index).key(TODAY)))
                .collect();
            prop_assert_eq!(found(&values, &named).0, expected);
        }
    }

    #[test]
    fn steps_do_not_grow_with_the_values() {
        let numbers = values(&["0..1000000".to_owned()]);
        let (indices, steps) = found(&numbers, &values(&["5..999999..7".to_owned()]));
        assert_eq!((indices.len(), indices[1]), (142_857, 12));
        assert!(steps < 10, "{steps}");
        let ids: Vec<_> = (0..1000).map(|number| format!("id{number}")).collect();
        let (indices, steps) = found(&values(&ids), &values(&ids[..10]));
        assert_eq!(indices, (0..10).collect::<Vec<_>>());
        assert!(steps <= 21, "{steps}");
    }
}
