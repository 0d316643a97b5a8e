//! A URL template with its variables, before it is written as YAML.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use jiff::civil::Date;

use super::escape::escaped;

/// A value of a variable, in the syntax of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// A range of numbers, dates or letters: `FROM..TO` or `FROM..TO..STEP`.
    Range(String),
    Text(String),
}

pub(crate) type Values = Vec<Value>;

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// Literal text, not escaped.
    Text(String),
    Variable {
        /// The index in [`Pattern::variables`].
        index: usize,
        /// The strftime format of a date.
        format: Option<&'static str>,
        /// True if a value contains characters that a template would percent-encode; it is then
        /// inserted with `{+name}`.
        reserved: bool,
    },
}

impl Piece {
    pub(super) fn variable(index: usize, values: &Values) -> Self {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let reserved = values.iter().any(|value| match value {
            Value::Range(_) => false,
            Value::Text(text) => !text.bytes().all(is_plain),
        });
        Self::Variable { index, format: None, reserved }
    }
}

/// A template with its variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pattern {
    pub(crate) pieces: Vec<Piece>,
    pub(crate) variables: Vec<(String, Values)>,
}

impl Pattern {
    /// A single URL.
    pub(super) fn of_url(url: String) -> Self {
        Self { pieces: vec![Piece::Text(url)], variables: Vec::new() }
    }

    /// The template in the syntax of a manifest.
    pub(crate) fn template(&self) -> String {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(plain) => text.push_str(&escaped(plain)),
                Piece::Variable { index, format, reserved } => {
                    let plus = if *reserved { "+" } else { "" };
                    let format = format.map(|format| format!(":{format}")).unwrap_or_default();
                    let _ = write!(text, "{{{plus}{}{format}}}", self.variables[*index].0);
                }
            }
        }
        text
    }

    /// The number of URLs it expands to; saturates.
    pub(crate) fn count(&self) -> u64 {
        let count = |values: &Values| values.iter().map(count_of).fold(0, u64::saturating_add);
        self.variables.iter().map(|(_, values)| count(values)).fold(1, u64::saturating_mul)
    }

    /// The first URL it expands to.
    pub(crate) fn first(&self) -> String {
        let firsts: Vec<_> = self
            .variables
            .iter()
            .map(|(_, values)| values.iter().flat_map(texts_of).next().unwrap_or_default())
            .collect();
        self.render(&firsts)
    }

    /// All URLs it expands to, in the order of curl: the last variable changes fastest.
    pub(crate) fn expand(&self) -> Vec<String> {
        let all: Vec<Vec<String>> = self
            .variables
            .iter()
            .map(|(_, values)| values.iter().flat_map(texts_of).collect())
            .collect();
        let mut rows: Vec<Vec<String>> = vec![Vec::new()];
        for values in &all {
            rows = rows
                .iter()
                .flat_map(|row| {
                    values.iter().map(|value| {
                        let mut row = row.clone();
                        row.push(value.clone());
                        row
                    })
                })
                .collect();
        }
        rows.iter().map(|row| self.render(row)).collect()
    }

    fn render(&self, row: &[String]) -> String {
        let mut url = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => url.push_str(text),
                Piece::Variable { index, .. } => url.push_str(&row[*index]),
            }
        }
        url
    }
}

/// The number of values that a range expands to; a text is one.
fn count_of(value: &Value) -> u64 {
    match value {
        Value::Text(_) => 1,
        Value::Range(text) => match numbers_of(text) {
            Some((first, last, step, _)) => last.saturating_sub(first) / step + 1,
            None => texts_of(value).count() as u64,
        },
    }
}

/// First, last, step and zero-padded width of a range of numbers.
fn numbers_of(text: &str) -> Option<(u64, u64, u64, usize)> {
    let mut parts = text.split("..");
    let (from, to) = (parts.next()?, parts.next()?);
    let step: u64 = parts.next().map_or(Some(1), |step| step.parse().ok())?;
    let width = if from.starts_with('0') { from.len() } else { 0 };
    Some((from.parse().ok()?, to.parse().ok()?, step.max(1), width))
}

/// Expands a value: a text gives itself, a range its numbers, dates or letters.
fn texts_of(value: &Value) -> Box<dyn Iterator<Item = String>> {
    let text = match value {
        Value::Text(text) => return Box::new(std::iter::once(text.clone())),
        Value::Range(text) => text,
    };
    if let Some((first, last, step, width)) = numbers_of(text) {
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        return Box::new(
            (first..=last).step_by(step).map(move |number| format!("{number:0width$}")),
        );
    }
    let mut parts = text.split("..");
    let (from, to) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let step = parts.next().unwrap_or("1");
    if let (Ok(first), Ok(last)) = (from.parse::<Date>(), to.parse::<Date>()) {
        let digits: i64 = step.trim_end_matches(char::is_alphabetic).parse().unwrap_or(1);
        let span = jiff::Span::new();
        let span = if step.ends_with("mo") { span.months(digits) } else { span.days(digits) };
        let dates = first.series(span).take_while(move |date| *date <= last);
        return Box::new(dates.map(|date| date.to_string()));
    }
    match (from.chars().next(), to.chars().next()) {
        (Some(first), Some(last)) => Box::new((first..=last).map(String::from)),
        _ => Box::new(std::iter::empty()),
    }
}

/// A variable name that is not taken yet: `n`, then `n2`, `n3`.
pub(super) fn free_name<'a>(stem: &str, taken: impl Iterator<Item = &'a str>) -> String {
    let taken: BTreeSet<&str> = taken.collect();
    if !taken.contains(stem) {
        return stem.to_owned();
    }
    let mut number = 2;
    while taken.contains(format!("{stem}{number}").as_str()) {
        number += 1;
    }
    format!("{stem}{number}")
}
