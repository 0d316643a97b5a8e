//! The values of variables. A value is computed from its index, so that a range of ten million
//! values needs no more memory than a range of two.

mod dates;
mod find;
mod letters;
mod numbers;
mod range;
mod range_error;
mod texts;

pub(crate) use dates::{Moment, is_impossible_date, parse_moment};
pub(crate) use find::{Finder, Run};
pub(crate) use range::{parse_range, range_of};
pub(crate) use range_error::RangeError;
pub(crate) use texts::Texts;

use std::fmt::Write as _;

use find::{Key, Progression};

/// The values of one variable, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values {
    segments: Vec<Segment>,
    /// For each segment, the number of values up to its end.
    ends: Vec<u64>,
}

/// A run of values of one kind.
#[derive(Clone, Debug)]
pub(crate) enum Segment {
    /// Texts, as they were written.
    Texts(Texts),
    /// Whole numbers.
    Numbers(numbers::Numbers),
    /// Letters, like the column names of a spreadsheet.
    Letters(letters::Letters),
    /// Dates, with or without a time.
    Dates(dates::Dates),
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    /// A text, as it was written.
    Text(&'a str),
    /// A number, written with at least `width` digits.
    Number { value: i64, width: usize },
    /// Letters, as their number in bijective base 26.
    Letters { number: u64, upper: bool },
    /// A date, with or without a time.
    Date(Moment),
}

impl Values {
    pub(crate) fn push(&mut self, segment: Segment) {
        match (&mut self.segments[..], segment) {
            // The scalars of a list are pushed one by one: merge them into one segment.
            ([.., Segment::Texts(texts)], Segment::Texts(more)) => {
                texts.append(&more);
                self.ends.pop();
            }
            (_, segment) => self.segments.push(segment),
        }
        let before = self.ends.last().copied().unwrap_or(0);
        let added = self.segments.last().map_or(0, Segment::len);
        self.ends.push(before.saturating_add(added));
    }

    pub(crate) fn len(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Panics if `index` is not below [`Self::len`].
    pub(crate) fn get(&self, index: u64) -> Value<'_> {
        let segment = match &self.ends[..] {
            [_] => 0,
            ends => ends.partition_point(|&end| end <= index).min(self.segments.len() - 1),
        };
        let before = if segment == 0 { 0 } else { self.ends[segment - 1] };
        self.segments[segment].get(index - before)
    }

    /// Whether some values are texts, which need not have the same type as the first value.
    pub(crate) fn has_texts(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Texts(_)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The segments, each with the number of values before it.
    fn placed(&self) -> impl Iterator<Item = (&Segment, u64)> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        self.segments.iter().zip(starts)
    }
}

impl Segment {
    fn len(&self) -> u64 {
        match self {
            Self::Texts(texts) => texts.len() as u64,
            Self::Numbers(numbers) => numbers.len(),
            Self::Letters(letters) => letters.len(),
            Self::Dates(dates) => dates.len(),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "texts are in memory")]
    fn get(&self, index: u64) -> Value<'_> {
        match self {
            Self::Texts(texts) => Value::Text(texts.get(index as usize)),
            Self::Numbers(numbers) => {
                Value::Number { value: numbers.get(index), width: numbers.width() }
            }
            Self::Letters(letters) => {
                Value::Letters { number: letters.get(index), upper: letters.is_upper() }
            }
            Self::Dates(dates) => Value::Date(dates.get(index)),
        }
    }

    /// The segment as numbers at equal distances. None for texts, and for months, which differ in
    /// length.
    fn progression(&self) -> Option<Progression> {
        match self {
            Self::Texts(_) => None,
            Self::Numbers(numbers) => Some(numbers.progression()),
            Self::Letters(letters) => Some(letters.progression()),
            Self::Dates(dates) => dates.progression(),
        }
    }

    /// The index of the value of a range that is equal to `key`. Not for texts.
    fn find(&self, key: &Key<'_>) -> Option<u64> {
        match (self, key) {
            (Self::Numbers(numbers), Key::Number(number)) => {
                numbers.progression().index_of(*number)
            }
            (Self::Dates(dates), Key::Moment(seconds)) => dates.find(*seconds),
            (Self::Letters(letters), Key::Text(text)) => letters.find(text),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// Appends its text.
    pub(crate) fn write(&self, into: &mut String) {
        match *self {
            Self::Text(text) => into.push_str(text),
            Self::Number { value, width } => numbers::write(value, width, into),
            Self::Letters { number, upper } => letters::write(number, upper, into),
            Self::Date(moment) => {
                let _ = write!(into, "{moment}");
            }
        }
    }

    /// Its number, if it is a number or a text of one.
    pub(crate) fn as_number(&self) -> Option<i64> {
        match *self {
            Self::Number { value, .. } => Some(value),
            Self::Text(text) => numbers::parse(text),
            _ => None,
        }
    }

    /// Its date, if it is a date or a text of one.
    pub(crate) fn as_moment(&self, today: jiff::civil::Date) -> Option<Moment> {
        match *self {
            Self::Date(moment) => Some(moment),
            Self::Text(text) => parse_moment(text, today),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: jiff::civil::Date = jiff::civil::date(2026, 1, 31);

    fn values(texts: &[&str]) -> Values {
        let mut values = Values::default();
        for text in texts {
            values.push(
                parse_range(text, TODAY)
                    .unwrap()
                    .unwrap_or_else(|| Segment::Texts(Texts::from([*text]))),
            );
        }
        values
    }

    fn all(values: &Values) -> Vec<String> {
        let written = values.iter().map(|value| {
            let mut text = String::new();
            value.write(&mut text);
            text
        });
        written.collect()
    }

    #[test]
    fn the_ranges_of_a_list_follow_each_other() {
        let values = values(&["1..3", "7", "x", "9..12"]);
        assert_eq!(all(&values), ["1", "2", "3", "7", "x", "9", "10", "11", "12"]);
        assert_eq!(values.len(), 9);
    }

    #[test]
    fn scalars_stay_as_they_were_written() {
        assert_eq!(
            all(&values(&["1.10", "0810", "no", "~", "0x10"])),
            ["1.10", "0810", "no", "~", "0x10"]
        );
    }

    #[test]
    fn values_are_compared_as_numbers_dates_or_texts() {
        let contains = |texts: &[&str], text: &str| {
            let (all, one) = (values(texts), values(&[text]));
            !Finder::new(&all, TODAY).find(&all, &one).0.is_empty()
        };
        assert!(contains(&["1..5"], "003"));
        assert!(contains(&["001..010..3"], "7"));
        assert!(!contains(&["001..010..3"], "8"));
        assert!(contains(&["2009-08-17..2009-08-31..7d"], "2009-08-24"));
        assert!(!contains(&["2009-08-17..2009-08-31..7d"], "2009-08-25"));
        assert!(contains(&["2009-08-17T00:00..2009-08-18..6h"], "2009-08-18"));
        assert!(contains(&["a..e"], "c"));
        assert!(contains(&["0810"], "810"));
        assert!(!contains(&["b"], "B"));
    }
}
