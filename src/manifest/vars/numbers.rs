//! Ranges of whole numbers.

use super::RangeError;
use super::find::{Kind, Progression};

/// Numbers at equal distances. The end is included if a step reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    start: i64,
    step: i64,
    count: u64,
    width: usize,
}

impl Numbers {
    /// A range from `start` to `end`, which determine its direction. A negative `step` is an error
    /// if the range goes up.
    pub(super) fn new(
        start: i64,
        end: i64,
        step: Option<i64>,
        width: usize,
    ) -> Result<Self, RangeError> {
        let step = step.unwrap_or(1);
        if step == 0 {
            return Err(RangeError::ZeroStep);
        }
        if step < 0 && start <= end {
            return Err(RangeError::WrongWay);
        }
        let distance = step.unsigned_abs();
        let count = (start.abs_diff(end) / distance).checked_add(1).ok_or(RangeError::TooLong)?;
        // A range of one value has no step. With more values, a distance above i64::MAX is an
        // error.
        let step = if count == 1 {
            0
        } else {
            i64::try_from(distance).map_err(|_| RangeError::TooLong)?
        };
        Ok(Self { start, step: if start <= end { step } else { -step }, count, width })
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn get(&self, index: u64) -> i64 {
        // The result is between the ends, so it is correct even if the product wraps.
        self.start.wrapping_add(self.step.wrapping_mul(index.cast_signed()))
    }

    pub(super) fn progression(&self) -> Progression {
        Progression { kind: Kind::Number, start: self.start, step: self.step, count: self.count }
    }
}

/// Parses a whole decimal number. Leading zeros are allowed, a plus sign is not.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

/// Appends a number with at least `width` digits, not counting the sign.
pub(crate) fn write(value: i64, width: usize, into: &mut String) {
    let mut digits = [b'0'; 20];
    let mut rest = value.unsigned_abs();
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        into.push('-');
    }
    for _ in digits.len() - first..width {
        into.push('0');
    }
    into.extend(digits[first..].iter().map(|&digit| char::from(digit)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: i64, width: usize) -> String {
        let mut text = String::new();
        write(value, width, &mut text);
        text
    }

    #[test]
    fn the_largest_and_smallest_numbers_work() {
        assert_eq!(written(i64::MIN, 0), i64::MIN.to_string());
        assert_eq!(written(-5, 2), "-05");
        assert_eq!(written(0, 1), "0");
        assert!(matches!(Numbers::new(i64::MIN, i64::MAX, None, 0), Err(RangeError::TooLong)));
        let wide = Numbers::new(i64::MIN, i64::MAX, Some(i64::MAX), 0).unwrap();
        assert_eq!((wide.len(), wide.get(2)), (3, i64::MAX - 1));
        assert_eq!(Numbers::new(i64::MAX, i64::MAX, Some(9), 0).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn a_range_has_the_values_that_a_loop_visits(start in -200i64..200, end in -200i64..200, step in 1i64..20) {
            let numbers = Numbers::new(start, end, Some(step), 0).unwrap();
            let mut expected = Vec::new();
            let mut at = start;
            while if start <= end { at <= end } else { end <= at } {
                expected.push(at);
                at += if start <= end { step } else { -step };
            }
            let got: Vec<_> = (0..numbers.len()).map(|index| numbers.get(index)).collect();
            prop_assert_eq!(&got, &expected);
            for number in -220..220 {
                let place = expected.iter().position(|&other| other == number);
                let index = numbers.progression().index_of(number);
                prop_assert_eq!(index, place.map(|place| place as u64));
            }
        }

        #[test]
        fn written_numbers_can_be_parsed(value: i64, width in 0usize..25) {
            prop_assert_eq!(written(value, width).parse::<i64>().unwrap(), value);
        }
    }
}
