//! Ranges of letters: a, b, .. z, aa, ab, like the column names of a spreadsheet.

use super::RangeError;
use super::find::{Kind, Progression};

/// Letters at equal distances. A text stands for a number in bijective base 26: its digits are 1 to
/// 26.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letters {
    start: u64,
    step: u64,
    down: bool,
    count: u64,
    upper: bool,
}

/// Largest accepted length. The number of a text with 14 letters would not fit into 64 bits.
const LONGEST: usize = 12;

impl Letters {
    /// A range between two ends of the same case. `None` if the ends are not letters of one case.
    pub(super) fn new(
        start: &str,
        end: &str,
        step: Option<i64>,
    ) -> Option<Result<Self, RangeError>> {
        let upper = start.starts_with(|first: char| first.is_ascii_uppercase());
        let (start, end) = (parse(start, upper)?, parse(end, upper)?);
        let step = step.unwrap_or(1);
        if step == 0 {
            return Some(Err(RangeError::ZeroStep));
        }
        if step < 0 && start <= end {
            return Some(Err(RangeError::WrongWay));
        }
        let step = step.unsigned_abs();
        Some(Ok(Self {
            start,
            step,
            down: end < start,
            count: start.abs_diff(end) / step + 1,
            upper,
        }))
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn is_upper(&self) -> bool {
        self.upper
    }

    pub(super) fn get(&self, index: u64) -> u64 {
        let away = self.step * index;
        if self.down { self.start - away } else { self.start + away }
    }

    /// The index of a text.
    pub(super) fn find(&self, text: &str) -> Option<u64> {
        let number = parse(text, self.upper)?;
        self.progression().index_of(number.cast_signed())
    }

    /// Twelve letters and a step fit into 63 bits; a larger step is never taken.
    pub(super) fn progression(&self) -> Progression {
        let step = if self.count == 1 { 0 } else { self.step.cast_signed() };
        Progression {
            kind: if self.upper { Kind::Upper } else { Kind::Lower },
            start: self.start.cast_signed(),
            step: if self.down { -step } else { step },
            count: self.count,
        }
    }
}

fn parse(text: &str, upper: bool) -> Option<u64> {
    let first = if upper { b'A' } else { b'a' };
    if text.is_empty() || LONGEST < text.len() {
        return None;
    }
    text.bytes().try_fold(0u64, |number, byte| {
        let digit = byte.checked_sub(first).filter(|&digit| digit < 26)?;
        Some(number * 26 + u64::from(digit) + 1)
    })
}

/// Appends the letters with that number.
pub(super) fn write(number: u64, upper: bool, into: &mut String) {
    let first = if upper { b'A' } else { b'a' };
    let mut letters = [0; 16];
    let mut at = letters.len();
    let mut rest = number;
    while 0 < rest {
        at -= 1;
        letters[at] = first + u8::try_from((rest - 1) % 26).unwrap_or(0);
        rest = (rest - 1) / 26;
    }
    into.extend(letters[at..].iter().map(|&letter| char::from(letter)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: &str, end: &str, step: Option<i64>) -> Vec<String> {
        let letters = Letters::new(start, end, step).unwrap().unwrap();
        let written = (0..letters.len()).map(|index| {
            let mut text = String::new();
            write(letters.get(index), letters.is_upper(), &mut text);
            assert_eq!(letters.find(&text), Some(index));
            text
        });
        written.collect()
    }

    #[test]
    fn ranges_go_up_and_down() {
        assert_eq!(range("a", "e", Some(2)), ["a", "c", "e"]);
        assert_eq!(range("C", "A", None), ["C", "B", "A"]);
        assert_eq!(range("y", "ab", None), ["y", "z", "aa", "ab"]);
        let pairs = range("aa", "zz", None);
        assert_eq!((pairs.len(), pairs[26].as_str()), (676, "ba"));
    }

    #[test]
    fn other_texts_are_not_a_range() {
        assert!(Letters::new("a", "9", None).is_none());
        assert!(Letters::new("a", "Z", None).is_none());
        assert!(Letters::new("a", &"z".repeat(13), None).is_none());
        assert!(matches!(Letters::new("a", "z", Some(0)), Some(Err(RangeError::ZeroStep))));
    }
}
