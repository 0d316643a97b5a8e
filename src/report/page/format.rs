//! Texts, numbers and instants in the form in which the page shows them.

use jiff::Timestamp;

use crate::report::escape::Untrusted;

/// Escapes control characters in an untrusted text. The template of the page escapes HTML.
pub(super) fn text(text: &str) -> String {
    Untrusted(text).to_string()
}

/// A number with a noun: `1 entry`, `12 entries`. `format_number` formats any number but 1.
pub(super) fn entries(count: u64, format_number: impl Fn(u64) -> String) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{} entries", format_number(count)) }
}

/// A number with a thin space between thousands, from five digits on.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) && 4 < digits.len() {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// An instant in UTC, to the minute.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// An instant as the `datetime` attribute of HTML requires it.
pub(super) fn iso(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Formats an instant, given in milliseconds since 1970: first as [`minute`], then as [`iso`].
pub(super) fn moment(milliseconds: i64) -> (String, String) {
    Timestamp::from_millisecond(milliseconds).map_or_else(
        |_| ("at an unknown time".to_owned(), String::new()),
        |at| (minute(at), iso(at)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_have_groups() {
        let shown = [0, 999, 1234, 12_345, 1_234_567].map(grouped);
        assert_eq!(shown, ["0", "999", "1234", "12\u{202f}345", "1\u{202f}234\u{202f}567"]);
    }
}
