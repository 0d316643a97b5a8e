//! Writes sets of numbers and dates as ranges.

use jiff::civil::Date;

use super::pattern::Value;

/// A run of fewer consecutive numbers is written number by number.
const SHORTEST_RUN: usize = 3;
/// Longer runs of digits are treated as text, because they may not fit in a `u64`.
const MOST_DIGITS: usize = 18;

/// Writes distinct numbers as few values: as ranges where they are consecutive or have equal steps.
pub(super) fn ranges(digits: &[&str]) -> Vec<Value> {
    let texts = || digits.iter().map(|&text| Value::Text(text.to_owned())).collect();
    let is_padded = digits.iter().any(|text| 1 < text.len() && text.starts_with('0'));
    let shortest = digits.iter().map(|text| text.len()).min().unwrap_or(0);
    let width = if is_padded { shortest } else { 0 };
    // A number that is longer than the padded width must not start with zero.
    let fits = |text: &&str| {
        text.len() <= MOST_DIGITS && (text.len() <= width.max(1) || !text.starts_with('0'))
    };
    if !digits.iter().all(fits) {
        return texts();
    }
    let numbers: Option<Vec<u64>> = digits.iter().map(|text| text.parse().ok()).collect();
    let Some(mut numbers) = numbers else { return texts() };
    numbers.sort_unstable();
    let write = |number: u64| format!("{number:0width$}");
    let single = |number: u64| Value::Text(write(number));
    if let [first, second, .., last] = numbers[..]
        && let step = second - first
        && 1 < step
        && numbers.windows(2).all(|pair| pair[1] - pair[0] == step)
    {
        return vec![Value::Range(format!("{}..{}..{step}", write(first), write(last)))];
    }
    let mut values = Vec::new();
    let mut rest = &numbers[..];
    while let Some(&first) = rest.first() {
        let run = rest.windows(2).take_while(|pair| pair[1] == pair[0] + 1).count() + 1;
        if SHORTEST_RUN <= run {
            values.push(Value::Range(format!("{}..{}", write(first), write(rest[run - 1]))));
        } else {
            values.extend(rest[..run].iter().map(|&number| single(number)));
        }
        rest = &rest[run..];
    }
    values
}

/// Writes dates as one range, with a step in months if `monthly` and otherwise in days. `None` if
/// the steps are not equal or there are too few dates.
pub(super) fn date_range(dates: &[Date], monthly: bool) -> Option<Value> {
    let mut dates = dates.to_vec();
    dates.sort_unstable();
    dates.dedup();
    let (&first, &last) = (dates.first()?, dates.last()?);
    if dates.len() < SHORTEST_RUN {
        return None;
    }
    if monthly {
        let number = |date: &Date| i32::from(date.year()) * 12 + i32::from(date.month());
        let step = number(&dates[1]) - number(&dates[0]);
        let even = dates.windows(2).all(|pair| number(&pair[1]) - number(&pair[0]) == step);
        return even.then(|| Value::Range(format!("{first}..{last}..{step}mo")));
    }
    let days = |one: Date, other: Date| one.until(other).ok().map(|span| span.get_days());
    let step = days(dates[0], dates[1])?;
    let even = dates.windows(2).all(|pair| days(pair[0], pair[1]) == Some(step));
    let step = if step == 1 { String::new() } else { format!("..{step}d") };
    even.then(|| Value::Range(format!("{first}..{last}{step}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(digits: &[&str]) -> String {
        let values = ranges(digits);
        let texts: Vec<_> = values
            .iter()
            .map(|value| match value {
                Value::Range(text) => text.clone(),
                Value::Text(text) => format!("{text:?}"),
            })
            .collect();
        texts.join(" ")
    }

    #[test]
    fn numbers_become_ranges() {
        assert_eq!(written(&["2", "1", "3"]), "1..3");
        assert_eq!(written(&["01", "02", "10", "09", "03"]), "01..03 \"09\" \"10\"");
        assert_eq!(written(&["8", "9", "10", "11"]), "8..11");
        assert_eq!(written(&["08", "09", "10", "100"]), "08..10 \"100\"");
        assert_eq!(written(&["0", "10", "20", "30"]), "0..30..10");
        assert_eq!(written(&["1", "2", "3", "7", "9", "10", "11"]), "1..3 \"7\" 9..11");
        assert_eq!(written(&["01", "2"]), "\"01\" \"2\"", "mixed padding");
        assert_eq!(written(&["12345678901234567890123", "1"]), "\"12345678901234567890123\" \"1\"");
    }

    #[test]
    fn dates_become_ranges() {
        let range = |dates: &[&str], monthly| {
            let dates: Vec<Date> = dates.iter().map(|date| date.parse().unwrap()).collect();
            date_range(&dates, monthly).map(|value| match value {
                Value::Range(text) | Value::Text(text) => text,
            })
        };
        let weeks = ["2009-08-17", "2009-08-24", "2009-08-31", "2009-09-07"];
        assert_eq!(range(&weeks, false).as_deref(), Some("2009-08-17..2009-09-07..7d"));
        let days = ["2024-02-28", "2024-02-29", "2024-03-01"];
        assert_eq!(range(&days, false).as_deref(), Some("2024-02-28..2024-03-01"));
        let months = ["2024-01-01", "2024-02-01", "2024-03-01"];
        assert_eq!(range(&months, true).as_deref(), Some("2024-01-01..2024-03-01..1mo"));
        assert_eq!(range(&["2024-01-01", "2024-01-02", "2024-01-04"], false), None);
    }
}
