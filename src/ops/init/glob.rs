//! Parses the URL globs of curl: `[1-26]`, `[001-100:5]`, `[a-z]`, `{jpg,png}`. A backslash makes
//! the next bracket, brace or backslash literal.

use super::pattern::{Pattern, Piece, Value, Values};
use super::urls::checked;
use super::wrong;
use crate::ops::error::RunError;

/// The characters that a backslash makes literal.
const SPECIAL: [char; 5] = ['[', ']', '{', '}', '\\'];

/// Removes the backslashes before [`SPECIAL`] characters.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.next_if(|next| character == '\\' && SPECIAL.contains(next)) {
            Some(next) => plain.push(next),
            None => plain.push(character),
        }
    }
    plain
}

/// Parses a URL with globs; `None` if it has no glob.
///
/// # Errors
/// When a glob is not closed or malformed, or the URL is not allowed in a manifest.
pub(super) fn parse(text: &str) -> Result<Option<Pattern>, RunError> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut variables: Vec<(String, Values)> = Vec::new();
    let mut plain = String::new();
    let mut at = 0;
    let end_of_scheme = text.find("://").map_or(0, |scheme| scheme + 3);
    while let Some(character) = text[at..].chars().next() {
        let after = at + character.len_utf8();
        let next = text[after..].chars().next();
        match character {
            '\\' if next.is_some_and(|next| SPECIAL.contains(&next)) => {
                plain.extend(next);
                at = after + 1;
            }
            // The brackets of an IPv6 address are not a glob.
            '[' if at == end_of_scheme && 0 < at => {
                plain.push(character);
                at = after;
            }
            '[' | '{' => {
                let closing = if character == '[' { ']' } else { '}' };
                let Some(length) = closing_place(&text[after..], closing) else {
                    return Err(wrong(
                        format!("`{character}` is never closed in `{text}`"),
                        "put a backslash before a literal bracket",
                    ));
                };
                let inner = &text[after..after + length];
                let values = if character == '[' { range(inner) } else { set(inner) };
                let values = values.ok_or_else(|| {
                    wrong(
                        format!("`{}` is not a glob", &text[at..=after + length]),
                        "globs are `[1-26]`, `[001-100:5]`, `[a-z]` and `{jpg,png}`",
                    )
                })?;
                let rest = &text[after + length + 1..];
                let name = name(&values, &plain, rest, &variables);
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::variable(variables.len(), &values));
                variables.push((name, values));
                at = after + length + 1;
            }
            _ => {
                plain.push(character);
                at = after;
            }
        }
    }
    if variables.is_empty() {
        return Ok(None);
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    let pattern = Pattern { pieces, variables };
    checked(&pattern.first())?;
    Ok(Some(pattern))
}

fn closing_place(text: &str, closing: char) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, character)| {
        let is_end = character == closing && !escaped;
        escaped = character == '\\' && !escaped;
        is_end.then_some(at)
    })
}

fn range(inner: &str) -> Option<Values> {
    let (ends, step) = match inner.split_once(':') {
        Some((ends, step)) => (ends, step.parse::<u64>().ok().filter(|&step| 0 < step)?),
        None => (inner, 1),
    };
    let (from, to) = ends.split_once('-')?;
    let by = if step == 1 { String::new() } else { format!("..{step}") };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(from) && is_number(to) {
        let (first, last): (u64, u64) = (from.parse().ok()?, to.parse().ok()?);
        // As in curl, leading zeros of the first number set the width of all numbers.
        let width = if from.starts_with('0') { from.len() } else { 0 };
        let last = last.max(first) - (last.max(first) - first) % step;
        return (first <= to.parse().ok()?)
            .then(|| vec![Value::Range(format!("{first:0width$}..{last:0width$}{by}"))]);
    }
    let letter = |text: &str| {
        let mut letters = text.chars();
        letters.next().filter(|letter| letter.is_ascii_alphabetic() && letters.next().is_none())
    };
    let (first, last) = (letter(from)?, letter(to)?);
    if last < first || first.is_ascii_uppercase() != last.is_ascii_uppercase() {
        return None;
    }
    if step == 1 && first != last {
        return Some(vec![Value::Range(format!("{first}..{last}"))]);
    }
    let step = usize::try_from(step).ok()?;
    Some((first..=last).step_by(step).map(|letter| Value::Text(letter.to_string())).collect())
}

fn set(inner: &str) -> Option<Values> {
    let mut values = vec![String::new()];
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => values.last_mut()?.extend(characters.next()),
            ',' => values.push(String::new()),
            '{' | '[' => return None,
            other => values.last_mut()?.push(other),
        }
    }
    Some(values.into_iter().map(Value::Text).collect())
}

/// A variable name that suits the values and their place in the URL.
fn name(values: &Values, before: &str, after: &str, taken: &[(String, Values)]) -> String {
    let is_number = |value: &Value| match value {
        Value::Range(text) | Value::Text(text) => text.starts_with(|c: char| c.is_ascii_digit()),
    };
    let stem = match &values[..] {
        [Value::Range(text)] if text.starts_with(|c: char| c.is_ascii_digit()) => "n",
        [Value::Range(_)] => "letter",
        _ if before.ends_with('.') && !after.contains(['/', '.']) => "ext",
        values if values.iter().all(is_number) => "n",
        _ => "name",
    };
    super::pattern::free_name(stem, taken.iter().map(|(name, _)| name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Vec<String> {
        parse(text).unwrap().unwrap().expand()
    }

    #[test]
    fn globs_expand_as_in_curl() {
        assert_eq!(
            expanded("http://h/[8-10].jpg"),
            ["http://h/8.jpg", "http://h/9.jpg", "http://h/10.jpg"]
        );
        assert_eq!(expanded("http://h/[08-10]"), ["http://h/08", "http://h/09", "http://h/10"]);
        assert_eq!(expanded("http://h/[0-10:5]"), ["http://h/0", "http://h/5", "http://h/10"]);
        assert_eq!(expanded("http://h/[1-8:5]"), ["http://h/1", "http://h/6"]);
        assert_eq!(expanded("http://h/[a-c]"), ["http://h/a", "http://h/b", "http://h/c"]);
        assert_eq!(expanded("http://h/[a-e:2]"), ["http://h/a", "http://h/c", "http://h/e"]);
        assert_eq!(expanded("http://h/{x,y}[1-2]").len(), 4);
        assert_eq!(expanded(r"http://h/{a\,b,c}\[1\]"), ["http://h/a,b[1]", "http://h/c[1]"]);
        assert_eq!(expanded("http://[::1]/[1-2]"), ["http://[::1]/1", "http://[::1]/2"]);
        assert_eq!(parse("http://[::1]/a").unwrap(), None);
        assert_eq!(unescaped(r"http://h/\{a\}\b"), r"http://h/{a}\b");
    }

    #[test]
    fn malformed_globs_are_errors() {
        for text in [
            "http://h/[1-",
            "http://h/{a",
            "http://h/[1]",
            "http://h/[9-1]",
            "http://h/[a-9]",
            "http://h/[1-5:0]",
            "http://h/{a,{b}}",
            "http://h/[z-a]",
            "ftp://h/[1-2]",
            "[1-2]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variable_names_suit_their_values() {
        let names = |text: &str| -> Vec<String> {
            parse(text).unwrap().unwrap().variables.into_iter().map(|(name, _)| name).collect()
        };
        assert_eq!(names("http://h/img[01-26].{jpg,png}"), ["n", "ext"]);
        assert_eq!(names("http://h/{a,b}/[1-2]/[1-3]/[a-c]"), ["name", "n", "n2", "letter"]);
    }
}
