//! Slips in values: notations of other tools, which mean nothing here and are hardly ever meant as
//! text, and ranges that are wrong.

use jiff::civil::Date;

use crate::manifest::vars::{RangeError, is_impossible_date, parse_moment};

/// For `1-26` or `a-z` as a whole value: the range that was probably meant. The ends must rise, so
/// that a year with its month, such as `2024-05`, is none.
pub(super) fn range_with_a_dash(text: &str) -> Option<String> {
    let (start, end) = text.split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok()).flatten()
    };
    let is_range = match (number(start), number(end)) {
        (Some(start), Some(end)) => start < end,
        _ => are_letters(start, end) && start < end,
    };
    is_range.then(|| format!("{start}..{end}"))
}

fn are_letters(start: &str, end: &str) -> bool {
    match (start.as_bytes(), end.as_bytes()) {
        ([a], [b]) => {
            a.is_ascii_lowercase() && b.is_ascii_lowercase()
                || a.is_ascii_uppercase() && b.is_ascii_uppercase()
        }
        _ => false,
    }
}

/// The place and the text of a range of curl in a URL: `[1-26]`, `[001-100:2]`, `[a-z]`.
pub(crate) fn range_in_brackets(url: &str) -> Option<(usize, &str)> {
    let mut from = 0;
    while let Some(start) = url[from..].find('[').map(|start| from + start) {
        let end = start + url[start..].find(']')?;
        let inner = &url[start + 1..end];
        let (range, step) = inner.split_once(':').unwrap_or((inner, "1"));
        let (a, b) = range.split_once('-').unwrap_or_default();
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if is_number(step) && (is_number(a) && is_number(b) || are_letters(a, b)) {
            return Some((start, &url[start..=end]));
        }
        from = start + 1;
    }
    None
}

/// A range between a year or a month and a date, as a range of dates: `2018..today` is
/// `2018-01-01..today..1y`.
fn as_dates(text: &str, today: Date) -> Option<String> {
    let mut parts = text.split("..").map(str::trim);
    let (start, end, step) = (parts.next()?, parts.next()?, parts.next());
    let mut unit = "1d";
    let mut whole = |part: &str| {
        let (full, own) = match part.len() {
            4 => (format!("{part}-01-01"), "1y"),
            7 => (format!("{part}-01"), "1mo"),
            _ => (part.to_owned(), unit),
        };
        if own == "1y" || unit == "1d" {
            unit = own;
        }
        parse_moment(&full, today).map(|_| full)
    };
    let (start, end) = (whole(start)?, whole(end)?);
    Some(format!("{start}..{end}..{}", step.unwrap_or(unit)))
}

/// What is wrong with a range, and what to write instead.
pub(super) fn explain_range(error: RangeError, text: &str, today: Date) -> (String, String) {
    let impossible = text.split("..").map(str::trim).find(|part| is_impossible_date(part, today));
    if let Some(date) = impossible {
        let hint = "a month has 28 to 31 days; with `mo` as the step, the last day of each is met";
        return (format!("the date `{date}` does not exist"), hint.to_owned());
    }
    if error == RangeError::Ends
        && let Some(range) = as_dates(text, today)
    {
        return (error.to_string(), format!("for dates, write `{range}`"));
    }
    (error.to_string(), range_hint(error, text))
}

fn range_hint(error: RangeError, text: &str) -> String {
    match error {
        RangeError::Ends | RangeError::Open | RangeError::Parts => {
            format!(
                "a range is START..END or START..END..STEP; a text with `..` is written `{{value: \"{text}\"}}`"
            )
        }
        RangeError::ZeroStep => "a step of 0 would never end".to_owned(),
        RangeError::WrongWay => {
            "the direction follows from the ends; leave out the sign".to_owned()
        }
        RangeError::Padding => {
            "write as many digits as the values should have, such as `001..100`".to_owned()
        }
        RangeError::TooLong => "narrow the range".to_owned(),
        RangeError::Step => "such as `0..100..10`".to_owned(),
        RangeError::DateStep | RangeError::TimeStep => {
            "such as `2009-08-17..2009-11-09..7d`".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_with_a_dash_rises() {
        for (text, range) in [
            ("1-26", Some("1..26")),
            ("001-100", Some("001..100")),
            ("a-z", Some("a..z")),
            ("B-D", Some("B..D")),
            ("2024-05", None),
            ("26-1", None),
            ("1-1", None),
            ("a-Z", None),
            ("ab-cd", None),
            ("1-2-3", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(range_with_a_dash(text).as_deref(), range, "{text}");
        }
    }

    #[test]
    fn brackets_of_curl_are_found() {
        for (url, range) in [
            ("http://h/img[1-26].txt", Some((12, "[1-26]"))),
            ("http://h/[x][001-100:2]", Some((12, "[001-100:2]"))),
            ("http://h/[a-z]", Some((9, "[a-z]"))),
            ("http://[::1]/a", None),
            ("http://h/a[1].txt", None),
            ("http://h/a[b-10].txt", None),
            ("http://h/a[1-", None),
            ("http://h/[[1-2]]", Some((10, "[1-2]"))),
        ] {
            assert_eq!(range_in_brackets(url), range, "{url}");
        }
    }

    #[test]
    fn years_and_months_become_dates() {
        let today = jiff::civil::date(2026, 1, 31);
        for (text, range) in [
            ("2018..today", Some("2018-01-01..today..1y")),
            ("2018-03..today-1d", Some("2018-03-01..today-1d..1mo")),
            ("2018-03..2020", Some("2018-03-01..2020-01-01..1y")),
            ("2018..2020-05-05..1w", Some("2018-01-01..2020-05-05..1w")),
            ("2018-13..today", None),
            ("a..9", None),
        ] {
            assert_eq!(as_dates(text, today).as_deref(), range, "{text}");
        }
    }
}
