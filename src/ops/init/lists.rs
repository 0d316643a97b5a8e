//! The formats of lists, and how a format is recognised.

use super::urls::{checked, is_url};
use super::{Input, aria2, metalink, other, pooch, sums, urls, wrong};
use crate::digest::checksums::{List, Rules, is_digest};
use crate::ops::error::RunError;

/// The format of a list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One URL a line, or one name below a base URL.
    Urls,
    /// An input file of aria2c.
    Aria2,
    /// A Metalink document (RFC 5854).
    Metalink,
    /// A checksum list, such as SHA256SUMS.
    Sums,
    /// A registry of pooch.
    Pooch,
}

/// Reads a list of files. Without `format`, the format is guessed from the content. `base` is the
/// URL of the folder of the files, for lists that have names instead of URLs. `name` is the file name
/// of the list, which may state the algorithm of its digests.
///
/// # Errors
/// When a line is malformed, or the list needs a `base` and there is none.
pub(crate) fn read_list(
    content: &[u8],
    name: &str,
    format: Option<Format>,
    base: Option<&str>,
) -> Result<Input, RunError> {
    let text = other::text(content)?;
    let base = base.map(checked_base).transpose()?;
    let base = base.as_deref();
    match format.unwrap_or_else(|| recognise(text)) {
        Format::Urls => urls::read(text, base),
        Format::Aria2 => aria2::read(text),
        Format::Metalink => metalink::read(text),
        Format::Sums => {
            let base = base.ok_or_else(|| {
                wrong(
                    "this list has names, not URLs",
                    "pass the URL of their folder: `--base-url URL`",
                )
            })?;
            sums::read(text, name, base)
        }
        Format::Pooch => pooch::read(text, base),
    }
}

fn checked_base(base: &str) -> Result<String, RunError> {
    let hint = "it is the URL of the folder that holds the files";
    if base.contains('?') {
        return Err(wrong("`--base-url` has a query", hint));
    }
    checked(base).map_err(|error| wrong(format!("`--base-url`: {error}"), hint))
}

/// Guesses the format of a list from its first lines.
fn recognise(text: &str) -> Format {
    if text.trim_start().starts_with('<') {
        return Format::Metalink;
    }
    let lines = || text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let first = lines().next().unwrap_or_default();
    if is_url(first.trim_start()) {
        let is_option = |line: &str| {
            let is_name = |name: &str| {
                !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            };
            line.starts_with([' ', '\t'])
                && line.trim().split_once('=').is_some_and(|(name, _)| is_name(name))
        };
        let has_mirrors =
            |line: &str| line.split('\t').filter(|word| is_url(word.trim())).nth(1).is_some();
        let is_aria2 = lines().any(|line| is_option(line) || has_mirrors(line));
        return if is_aria2 { Format::Aria2 } else { Format::Urls };
    }
    let words = pooch::words(first);
    let digest_at = |place: usize| words.get(place).is_some_and(|word| is_digest(word.as_bytes()));
    let begins_as_sums = digest_at(0)
        || [") = ", ")= "].iter().any(|mark| first.contains(mark))
        || first.starts_with("-----BEGIN PGP")
        || words.first().is_some_and(|word| word.ends_with(':') && digest_at(1));
    match begins_as_sums {
        true => Format::Sums,
        false if digest_at(1) => Format::Pooch,
        // The digests of gpg are in groups.
        false if List::parse(text.as_bytes(), "", &Rules::default()).is_ok() => Format::Sums,
        false => Format::Urls,
    }
}
