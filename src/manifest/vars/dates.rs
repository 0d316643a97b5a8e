//! Ranges of dates and of dates with a time, in the Gregorian calendar, without time zones.

use std::fmt;

use jiff::Span;
use jiff::civil::{Date, DateTime};

use super::RangeError;
use super::find::{Kind, Progression};

/// A date, or a date with a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    at: DateTime,
    timed: bool,
}

impl Moment {
    pub(crate) fn datetime(self) -> DateTime {
        self.at
    }

    /// Seconds since 1970, without a time zone.
    pub(super) fn seconds(self) -> i64 {
        minutes(self.at) * 60 + i64::from(self.at.second())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at;
        if self.timed && at.second() != 0 {
            return write!(
                f,
                "{}T{:02}:{:02}:{:02}",
                at.date(),
                at.hour(),
                at.minute(),
                at.second()
            );
        }
        if self.timed {
            return write!(f, "{}T{:02}:{:02}", at.date(), at.hour(), at.minute());
        }
        write!(f, "{}", at.date())
    }
}

/// Dates at equal distances. Each is computed from the first one: a range of months from the 31st
/// has the last day of shorter months, and the 31st again after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dates {
    start: Moment,
    unit: Unit,
    step: i64,
    count: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Months,
    Days,
    Minutes,
}

impl Dates {
    /// A range from `start` to `end`. If one of them has a time of day, all values have one.
    pub(super) fn new(start: Moment, end: Moment, step: Option<&str>) -> Result<Self, RangeError> {
        let timed = start.timed || end.timed;
        let (mut step, unit) = parse_step(step.unwrap_or("1d"))?;
        if unit == Unit::Minutes && !timed {
            return Err(RangeError::TimeStep);
        }
        if step == 0 {
            return Err(RangeError::ZeroStep);
        }
        let down = end.at < start.at;
        if step < 0 && !down {
            return Err(RangeError::WrongWay);
        }
        if down {
            step = -step.abs();
        }
        let mut range = Self { start: Moment { at: start.at, timed }, unit, step, count: 0 };
        range.count = range.steps_to(end.at).ok_or(RangeError::TooLong)? + 1;
        Ok(range)
    }

    pub(super) fn len(&self) -> u64 {
        self.count
    }

    pub(super) fn get(&self, index: u64) -> Moment {
        // Cannot fail: the value is between two valid dates.
        let at = self.at(index).unwrap_or(self.start.at);
        Moment { at, timed: self.start.timed }
    }

    /// The index of a moment, in seconds as [`Moment::seconds`] has them.
    pub(super) fn find(&self, seconds: i64) -> Option<u64> {
        if let Some(progression) = self.progression() {
            return progression.index_of(seconds);
        }
        let epoch = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);
        let moment = epoch.checked_add(Span::new().try_seconds(seconds).ok()?).ok()?;
        let steps = self.steps_to(moment)?;
        (steps < self.count && self.at(steps) == Some(moment)).then_some(steps)
    }

    /// None for months, which differ in length.
    pub(super) fn progression(&self) -> Option<Progression> {
        let unit = match self.unit {
            Unit::Months => return None,
            Unit::Days => 86_400,
            Unit::Minutes => 60,
        };
        // A range of one value may have any step.
        let step = if self.count == 1 { 0 } else { self.step.checked_mul(unit)? };
        let start = self.start.seconds();
        Some(Progression { kind: Kind::Moment, start, step, count: self.count })
    }

    fn at(&self, steps: u64) -> Option<DateTime> {
        let amount = i64::try_from(steps).ok()?.checked_mul(self.step)?;
        let span = match self.unit {
            Unit::Months => Span::new().try_months(amount),
            Unit::Days => Span::new().try_days(amount),
            Unit::Minutes => Span::new().try_minutes(amount),
        };
        self.start.at.checked_add(span.ok()?).ok()
    }

    /// The largest number of steps that does not pass a moment. `None` if the start is already
    /// past it.
    fn steps_to(&self, end: DateTime) -> Option<u64> {
        let up = 0 < self.step;
        let passed = |at: DateTime| if up { end < at } else { at < end };
        if passed(self.start.at) {
            return None;
        }
        let apart = match self.unit {
            Unit::Months => months(end) - months(self.start.at),
            Unit::Days => days(end) - days(self.start.at),
            Unit::Minutes => minutes(end) - minutes(self.start.at),
        };
        let mut steps = apart.unsigned_abs() / self.step.unsigned_abs();
        // The estimate ignores smaller units, so the last step may be incomplete.
        while 0 < steps && self.at(steps).is_none_or(passed) {
            steps -= 1;
        }
        Some(steps)
    }
}

fn months(at: DateTime) -> i64 {
    i64::from(at.year()) * 12 + i64::from(at.month())
}

fn days(at: DateTime) -> i64 {
    i64::from(jiff::civil::date(1970, 1, 1).until(at.date()).map_or(0, |span| span.get_days()))
}

fn minutes(at: DateTime) -> i64 {
    days(at) * 1440 + i64::from(at.hour()) * 60 + i64::from(at.minute())
}

fn parse_step(text: &str) -> Result<(i64, Unit), RangeError> {
    let split =
        text.find(|character: char| character.is_ascii_alphabetic()).ok_or(RangeError::DateStep)?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| RangeError::DateStep)?;
    let (factor, unit) = match unit {
        "d" => (1, Unit::Days),
        "w" => (7, Unit::Days),
        "mo" => (1, Unit::Months),
        "y" => (12, Unit::Months),
        "h" => (60, Unit::Minutes),
        "min" => (1, Unit::Minutes),
        _ => return Err(RangeError::DateStep),
    };
    Ok((number.checked_mul(factor).ok_or(RangeError::TooLong)?, unit))
}

/// Parses `2009-08-17`, `2024-02-28T22:00`, `today` or `today-30d`.
pub(crate) fn parse_moment(text: &str, today: Date) -> Option<Moment> {
    if let Some(rest) = text.strip_prefix("today") {
        let start = Moment { at: today.to_datetime(jiff::civil::Time::midnight()), timed: false };
        if rest.is_empty() {
            return Some(start);
        }
        if !rest.starts_with(['-', '+']) {
            return None;
        }
        let (step, unit) = parse_step(rest).ok()?;
        let timed = unit == Unit::Minutes;
        let range = Dates { start, unit, step, count: 2 };
        return range.at(1).map(|at| Moment { at, timed });
    }
    if has_shape(text, "0000-00-00") {
        let date: Date = text.parse().ok()?;
        return Some(Moment { at: date.to_datetime(jiff::civil::Time::midnight()), timed: false });
    }
    let at = if has_shape(text, "0000-00-00T00:00") {
        format!("{text}:00").parse()
    } else if has_shape(text, "0000-00-00T00:00:00") {
        text.parse()
    } else {
        return None;
    };
    at.ok().map(|at| Moment { at, timed: true })
}

/// Whether a text is written like a date, but is not one: 30 February, or the 13th month.
pub(crate) fn is_impossible_date(text: &str, today: Date) -> bool {
    let shapes = ["0000-00-00", "0000-00-00T00:00", "0000-00-00T00:00:00"];
    shapes.iter().any(|shape| has_shape(text, shape)) && parse_moment(text, today).is_none()
}

/// Compares a text with a pattern in which `0` stands for any digit.
fn has_shape(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape.bytes()).all(|(byte, expected)| match expected {
            b'0' => byte.is_ascii_digit(),
            _ => byte == expected,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = jiff::civil::date(2026, 1, 31);

    fn range(start: &str, end: &str, step: Option<&str>) -> Vec<String> {
        let moment = |text| parse_moment(text, TODAY).unwrap();
        let dates = Dates::new(moment(start), moment(end), step).unwrap();
        (0..dates.len()).map(|index| dates.get(index).to_string()).collect()
    }

    #[test]
    fn steps_of_weeks() {
        let weeks = range("2009-08-17", "2009-11-09", Some("7d"));
        assert_eq!(
            (weeks.len(), weeks[0].as_str(), weeks[12].as_str()),
            (13, "2009-08-17", "2009-11-09")
        );
        assert_eq!(
            range("2009-08-17", "2009-09-01", Some("1w")),
            ["2009-08-17", "2009-08-24", "2009-08-31"]
        );
    }

    #[test]
    fn months_from_the_last_day() {
        assert_eq!(
            range("2024-01-31", "2024-05-31", Some("1mo")),
            ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]
        );
        assert_eq!(
            range("2024-01-31", "2024-04-29", Some("1mo")),
            ["2024-01-31", "2024-02-29", "2024-03-31"]
        );
        assert_eq!(range("2020-02-29", "2024-03-01", Some("1y")).last().unwrap(), "2024-02-29");
    }

    #[test]
    fn backwards_and_today() {
        assert_eq!(
            range("2024-03-03", "2024-03-01", None),
            ["2024-03-03", "2024-03-02", "2024-03-01"]
        );
        assert_eq!(range("today-2d", "today", None), ["2026-01-29", "2026-01-30", "2026-01-31"]);
        assert_eq!(range("2026-01-30", "today+1mo", Some("29d")), ["2026-01-30", "2026-02-28"]);
        assert_eq!(
            range("2024-05-31", "2024-01-31", Some("2mo")),
            ["2024-05-31", "2024-03-31", "2024-01-31"]
        );
    }

    #[test]
    fn steps_of_hours_and_minutes() {
        assert_eq!(
            range("2024-02-28T22:00", "2024-02-29T01:00", Some("1h")),
            ["2024-02-28T22:00", "2024-02-28T23:00", "2024-02-29T00:00", "2024-02-29T01:00"]
        );
        assert_eq!(
            range("2024-01-01T00:00", "2024-01-03", None),
            ["2024-01-01T00:00", "2024-01-02T00:00", "2024-01-03T00:00"]
        );
        assert_eq!(
            range("2024-01-01T00:00:30", "2024-01-01T00:30", Some("15min")),
            ["2024-01-01T00:00:30", "2024-01-01T00:15:30"]
        );
    }

    #[test]
    fn invalid_ranges_and_dates_are_rejected() {
        let moment = |text| parse_moment(text, TODAY).unwrap();
        let (a, b) = (moment("2024-01-01"), moment("2024-02-01"));
        assert_eq!(Dates::new(a, b, Some("0d")).unwrap_err(), RangeError::ZeroStep);
        assert_eq!(Dates::new(a, b, Some("1h")).unwrap_err(), RangeError::TimeStep);
        assert_eq!(Dates::new(a, b, Some("-1d")).unwrap_err(), RangeError::WrongWay);
        for step in ["7", "d", "1.5d", "1x", ""] {
            assert_eq!(Dates::new(a, b, Some(step)).unwrap_err(), RangeError::DateStep, "{step}");
        }
        for text in [
            "2024-13-01",
            "2024-02-30",
            "2024-1-1",
            "tomorrow",
            "today-",
            "today-x",
            "2024-01-01T25:00",
            "2024-01-01 10:00",
        ] {
            assert_eq!(parse_moment(text, TODAY), None, "{text}");
        }
    }

    #[test]
    fn it_finds_only_its_own_values() {
        let moment = |text| parse_moment(text, TODAY).unwrap();
        let dates = Dates::new(moment("2024-01-31"), moment("2024-12-31"), Some("1mo")).unwrap();
        let find = |text| dates.find(moment(text).seconds());
        assert_eq!(find("2024-02-29"), Some(1));
        assert_eq!(find("2024-02-28"), None);
        assert_eq!(find("2025-01-31"), None);
        assert_eq!(find("2023-12-31"), None);
    }
}
