//! Scalars: durations, sizes, numbers, words.

use std::time::Duration;

use super::node::{Kind, Node, QUOTE};
use super::reader::Reader;
use crate::manifest::types::Quota;

impl Reader<'_> {
    /// The text of a node. A list or a mapping is a problem.
    pub(super) fn text<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n str> {
        match node.text() {
            Some(text) => Some(text),
            None => {
                // `path: {n}` is a mapping with a key and no value.
                let is_template = matches!(&node.kind, Kind::Mapping(items)
                    if items.iter().all(|(_, value)| matches!(value.kind, Kind::Empty)));
                let hint = is_template.then(|| QUOTE.to_owned());
                let message =
                    format!("`{what}` must be a single value, this is {}", node.describe());
                self.problem(node.at, message, hint);
                None
            }
        }
    }

    /// The value that `parse` returns. If that is `None`, the problem's hint says that the value
    /// must be `wanted`.
    pub(super) fn parsed<T>(
        &mut self,
        node: &Node,
        what: &str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node, what)?;
        let parsed = parse(text);
        if parsed.is_none() {
            self.problem(
                node.at,
                format!("`{what}` cannot be `{text}`"),
                Some(format!("it is {wanted}")),
            );
        }
        parsed
    }

    /// One of the words that `tables` lists for a key.
    pub(super) fn word(
        &mut self,
        node: &Node,
        key: &str,
        words: &[&'static str],
    ) -> Option<&'static str> {
        let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        let wanted = match quoted.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => return None,
        };
        self.parsed(node, key, &wanted, |text| words.iter().copied().find(|word| *word == text))
    }

    pub(super) fn number(&mut self, node: &Node, what: &str, least: u64, most: u64) -> Option<u64> {
        let wanted = if most == u64::MAX {
            format!("a whole number from {least}")
        } else {
            format!("a whole number from {least} to {most}")
        };
        self.parsed(node, what, &wanted, |text| {
            parse_whole(text).filter(|number| (least..=most).contains(number))
        })
    }

    pub(super) fn duration(&mut self, node: &Node, what: &str) -> Option<Duration> {
        self.parsed(node, what, "a time such as `30s`, `5min`, `1h30min` or `2d`", parse_duration)
    }

    pub(super) fn size(&mut self, node: &Node, what: &str) -> Option<u64> {
        self.parsed(node, what, "a number of bytes such as `4096`, `64MiB` or `10MB`", parse_size)
    }

    pub(super) fn flag(&mut self, node: &Node, what: &str) -> Option<bool> {
        self.parsed(node, what, "`true` or `false`", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    pub(super) fn quota(&mut self, node: &Node, what: &str) -> Option<Quota> {
        self.parsed(node, what, "a number such as `100`, or a share such as `20%`", |text| {
            match text.strip_suffix('%') {
                Some(share) => share
                    .trim()
                    .parse()
                    .ok()
                    .filter(|share| (0.0..=100.0).contains(share))
                    .map(Quota::Percent),
                None => parse_whole(text).map(Quota::Count),
            }
        })
    }
}

fn parse_whole(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Parses a duration: `30s`, `1h30min`, `500ms`, `0`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|character: char| !character.is_ascii_digit())
            .filter(|&digits| 0 < digits)?;
        let number: u64 = rest[..digits].parse().ok()?;
        let after = rest[digits..].trim_start();
        let letters =
            after.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(after.len());
        let milliseconds: u64 = match &after[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(milliseconds)?))?;
        rest = after[letters..].trim_start();
    }
    Some(total)
}

/// Parses a number of bytes: `4096`, `64MiB`, `1.5MB`. A suffix `/s` is ignored.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().strip_suffix("/s").unwrap_or(text.trim());
    let digits = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .unwrap_or(text.len());
    let unit: u64 = match text[digits..].trim() {
        "" | "B" => 1,
        "k" | "kB" | "KB" => 1000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "T" | "TB" => 1_000_000_000_000,
        "K" | "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        "Ti" | "TiB" => 1 << 40,
        _ => return None,
    };
    let (whole, fraction) = text[..digits].split_once('.').unwrap_or((&text[..digits], ""));
    let whole: u64 = parse_whole(whole).filter(|_| !whole.is_empty())?;
    let mut bytes = u128::from(whole) * u128::from(unit);
    if !fraction.is_empty() {
        let places = u32::try_from(fraction.len()).ok().filter(|&places| places <= 9)?;
        bytes += u128::from(parse_whole(fraction)?) * u128::from(unit) / 10u128.pow(places);
    }
    // Operating systems use signed 64-bit file lengths.
    u64::try_from(bytes).ok().filter(|&bytes| i64::try_from(bytes).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_parsed() {
        let seconds = |text| parse_duration(text).map(|time| time.as_secs_f64());
        for (text, expected) in [
            ("0s", 0.0),
            ("0", 0.0),
            ("500ms", 0.5),
            ("30s", 30.0),
            ("5min", 300.0),
            ("1h30min", 5400.0),
            ("1d", 86400.0),
            ("2 w", 1_209_600.0),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in
            ["", "5", "s", "-1s", "1.5h", "1x", "99999999999999999999s", "18446744073709551615w"]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_parsed() {
        for (text, expected) in [
            ("0", 0),
            ("4096", 4096),
            ("1kB", 1000),
            ("64MiB", 64 << 20),
            ("1.5MB", 1_500_000),
            ("1 GiB", 1 << 30),
            ("2MB/s", 2_000_000),
        ] {
            assert_eq!(parse_size(text), Some(expected), "{text}");
        }
        for text in ["", "MB", "-1", "1XB", "1.2.3", ".5MB", "99999999TB", "1e3"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
