//! The syntax of ranges: `1..26`, `001..100`, `a..z`, `2009-08-17..today..7d`.

use jiff::civil::Date;

use super::Segment;
use super::dates::{Dates, parse_moment};
use super::letters::Letters;
use super::numbers::{self, Numbers};
use super::range_error::RangeError;

/// Parses a range. `None` if the text has no `..` and is therefore a literal value.
pub(crate) fn parse_range(text: &str, today: Date) -> Result<Option<Segment>, RangeError> {
    let Some((start, rest)) = text.split_once("..") else {
        return Ok(None);
    };
    let (end, step) = match rest.split_once("..") {
        Some((end, step)) => (end, Some(step)),
        None => (rest, None),
    };
    if step.is_some_and(|step| step.contains("..")) {
        return Err(RangeError::Parts);
    }
    range_of(start.trim(), end.trim(), step.map(str::trim), today).map(Some)
}

/// Makes a range from its parts, whose types determine that of the range.
pub(crate) fn range_of(
    start: &str,
    end: &str,
    step: Option<&str>,
    today: Date,
) -> Result<Segment, RangeError> {
    if start.is_empty() || end.is_empty() || step.is_some_and(str::is_empty) {
        return Err(RangeError::Open);
    }
    if let (Some(start), Some(end)) = (parse_moment(start, today), parse_moment(end, today)) {
        return Dates::new(start, end, step).map(Segment::Dates);
    }
    let whole_step = || step.map(|step| numbers::parse(step).ok_or(RangeError::Step)).transpose();
    if is_number(start) && is_number(end) {
        let width = width(start, end)?;
        let parse = |text| numbers::parse(text).ok_or(RangeError::TooLong);
        return Numbers::new(parse(start)?, parse(end)?, whole_step()?, width)
            .map(Segment::Numbers);
    }
    let step = whole_step();
    match Letters::new(start, end, step.unwrap_or(None)) {
        Some(letters) => step.and(letters).map(Segment::Letters),
        None => Err(RangeError::Ends),
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// The padding of a range: the number of digits of an end with leading zeros, or 0. Both ends must
/// be written as the range would write them.
fn width(start: &str, end: &str) -> Result<usize, RangeError> {
    let digits = |text: &str| text.trim_start_matches('-').len();
    let padded = |text: &str| {
        let text = text.trim_start_matches('-');
        1 < text.len() && text.starts_with('0')
    };
    let (a, b) = (digits(start), digits(end));
    match (padded(start), padded(end)) {
        (false, false) => Ok(0),
        (true, true) if a == b => Ok(a),
        (true, false) if a <= b => Ok(a),
        (false, true) if b <= a => Ok(b),
        _ => Err(RangeError::Padding),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 1, 31);

    fn ends(text: &str) -> (u64, String, String) {
        let mut values = super::super::Values::default();
        values.push(parse_range(text, TODAY).unwrap().unwrap());
        let written = |index| {
            let mut text = String::new();
            values.get(index).write(&mut text);
            text
        };
        (values.len(), written(0), written(values.len() - 1))
    }

    #[test]
    fn every_form_is_parsed() {
        for (text, count, first, last) in [
            ("1..26", 26, "1", "26"),
            ("0..100..10", 11, "0", "100"),
            ("0..100..7", 15, "0", "98"),
            ("26..1", 26, "26", "1"),
            ("26..1..-5", 6, "26", "1"),
            ("001..100", 100, "001", "100"),
            ("01..100", 100, "01", "100"),
            ("100..01", 100, "100", "01"),
            ("-05..05", 11, "-05", "05"),
            ("-3..-1", 3, "-3", "-1"),
            ("5..5", 1, "5", "5"),
            ("a..z", 26, "a", "z"),
            ("aa..zz", 676, "aa", "zz"),
            ("2009-08-17..2009-11-09..7d", 13, "2009-08-17", "2009-11-09"),
            ("today-30d..today", 31, "2026-01-01", "2026-01-31"),
            (" 1 .. 3 ", 3, "1", "3"),
        ] {
            assert_eq!(ends(text), (count, first.to_owned(), last.to_owned()), "{text}");
        }
        assert!(parse_range("plain", TODAY).unwrap().is_none());
    }

    #[test]
    fn invalid_ranges_are_rejected() {
        for (text, error) in [
            ("a..9", RangeError::Ends),
            ("1..", RangeError::Open),
            ("..5", RangeError::Open),
            ("..", RangeError::Open),
            ("1..5..", RangeError::Open),
            ("1..5..1..1", RangeError::Parts),
            ("1..5..x", RangeError::Step),
            ("a..z..x", RangeError::Step),
            ("1..5..0", RangeError::ZeroStep),
            ("1..5..-1", RangeError::WrongWay),
            ("1..010", RangeError::Padding),
            ("01..0100", RangeError::Padding),
            ("1.5..2", RangeError::Ends),
            ("2024-01-01..5", RangeError::Ends),
            ("2024-01-01..2024-02-01..7", RangeError::DateStep),
            ("1..99999999999999999999", RangeError::TooLong),
        ] {
            assert_eq!(parse_range(text, TODAY).unwrap_err(), error, "{text}");
        }
    }
}
