//! A registry file of pooch: each line has a name, a digest and optionally a URL.

use super::urls::{at_line, given, named, path, shown};
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::ops::error::RunError;

/// Reads a registry. `base` is the URL of the folder of files without a URL of their own.
///
/// # Errors
/// When a line is malformed, or a line has no URL and there is no `base`.
pub(super) fn read(text: &str, base: Option<&str>) -> Result<Input, RunError> {
    let mut input = Input::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let given = at_line(number, read_line(line, base))?;
        input.files.push(Given { line: number, ..given });
    }
    Ok(input)
}

fn read_line(line: &str, base: Option<&str>) -> Result<Given, RunError> {
    let form = "a line is `NAME DIGEST` or `NAME DIGEST URL`";
    let words = words(line);
    let (name, digest, url) = match &words[..] {
        [name, digest] => (name, digest, None),
        [name, digest, url] => (name, digest, Some(url)),
        _ => return Err(wrong("this is not a line of a pooch registry", form)),
    };
    let (algorithm, digits) = match digest.split_once(':') {
        Some((name, digits)) => (Algorithm::named(name), digits),
        None => (Some(Algorithm::Sha256), digest.as_str()),
    };
    let checksum = algorithm.and_then(|algorithm| Checksum::from_hex(algorithm, digits));
    let checksum = checksum.ok_or_else(|| {
        wrong(format!("`{}` is not a digest that natsync can check", shown(digest)), form)
    })?;
    let mut given = match (url, base) {
        (Some(url), _) => Given { path: Some(path(name)?), ..given(url)? },
        (None, Some(base)) => named(base, name)?,
        (None, None) => {
            return Err(wrong(
                format!("`{}` has no URL", shown(name)),
                "pass the URL of their folder: `--base-url URL`",
            ));
        }
    };
    given.add(checksum)?;
    Ok(given)
}

/// Splits a line at white space; a word in single or double quotes may contain white space.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|first| matches!(first, '"' | '\''));
        let end = match quote {
            Some(quote) => rest[1..].find(quote).map(|end| (1, end + 1, end + 2)),
            None => None,
        };
        let blank = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (start, end, next) = end.unwrap_or((0, blank, blank));
        words.push(rest[start..end].to_owned());
        rest = rest[next..].trim_start();
    }
    words
}
