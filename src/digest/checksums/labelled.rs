//! Parser for digests after a label: `NAME: HEX`, `SHA256: HEX`, and the output of
//! `gpg --print-md`, which writes digits in groups and breaks lines.

use super::foreign::foreign;
use super::line::{Said, Stated, Untagged, digest_of, is_tagged, nonsense};
use crate::digest::{Algorithm, Checksum};

/// The fewest hexadecimal digits of a digest that a list can have.
const LEAST: usize = 32;

/// A digest that may go on in the next line.
#[derive(Debug)]
pub(super) struct Labelled<'l> {
    line: &'l [u8],
    name: Option<&'l [u8]>,
    /// The algorithm, as `gpg --print-mds` writes it.
    tag: Option<String>,
    /// Hexadecimal digits, perhaps after the name of an algorithm and a colon.
    digest: Vec<u8>,
    has_groups: bool,
}

impl<'l> Labelled<'l> {
    /// Parses the first line. `None` if it has another format.
    pub(super) fn begin(line: &'l [u8]) -> Option<Self> {
        if line.starts_with(b"\\") || is_tagged(line) {
            return None;
        }
        let line = line.trim_ascii_end();
        let (name, rest) = match line.windows(2).rposition(|pair| pair == b": ") {
            Some(colon) => (Some(&line[..colon]), line[colon + 1..].trim_ascii_start()),
            None => match line.strip_suffix(b":") {
                Some(name) => (Some(name), &b""[..]),
                None => (None, line.trim_ascii_start()),
            },
        };
        if name.is_some_and(|name| name.trim_ascii().is_empty() || is_digest(first_word(name))) {
            return None;
        }
        let (tag, rest) = tagged(rest);
        let has_groups = is_grouped(rest);
        let is_alone = !rest.is_empty() && first_word(rest).len() == rest.len() && is_digest(rest);
        let fits = if name.is_some() {
            rest.is_empty() || has_groups || is_alone
        } else {
            // A single short word is not enough to tell a digest from other text.
            has_groups && first_word(rest).len() < rest.len() && tag.is_none()
        };
        let digest = rest.iter().copied().filter(|byte| *byte != b' ').collect();
        fits.then_some(Self { line, name, tag, digest, has_groups })
    }

    /// Appends the next line, if the digest goes on there.
    pub(super) fn append(&mut self, line: &[u8]) -> bool {
        // After a long name, the digest begins in the next line.
        let line_digits = line.trim_ascii();
        let (tag, digits) =
            if self.digest.is_empty() { tagged(line_digits) } else { (None, line_digits) };
        let may = self.digest.is_empty() || (self.has_groups && line.starts_with(b" "));
        let goes_on = may && is_grouped(digits);
        if goes_on {
            self.has_groups = true;
            self.tag = self.tag.take().or(tag);
            self.digest.extend(digits.iter().filter(|byte| byte.is_ascii_hexdigit()));
        }
        goes_on
    }

    pub(super) fn finish(self, untagged: Untagged) -> Result<Said, String> {
        if self.digest.len() < LEAST {
            return Err(nonsense(self.line));
        }
        let label = self.name.and_then(|name| std::str::from_utf8(name).ok()).map(str::trim);
        let labels =
            self.tag.as_deref().or(label).and_then(|label| match Algorithm::named(label) {
                Some(algorithm) => Some(Ok(algorithm)),
                None => foreign(label)
                    .filter(|_| self.tag.is_some() || label.bytes().all(|byte| byte != b'.'))
                    .map(Err),
            });
        // If the label is an algorithm, there is no name.
        let name = self.name.filter(|_| labels.is_none() || self.tag.is_some());
        let name = name.map(<[u8]>::to_vec);
        let algorithm = match labels {
            Some(Ok(algorithm)) => algorithm,
            Some(Err(foreign)) => {
                let foreign = Some(foreign.to_owned());
                return Ok(Said { name, digest: Stated::Foreign, escaped: false, foreign });
            }
            None if self.tag.is_some() => return Err(nonsense(self.line)),
            None => {
                let (digest, foreign) = digest_of(&self.digest, untagged)?;
                return Ok(Said { name, digest, escaped: false, foreign });
            }
        };
        let text = String::from_utf8_lossy(&self.digest);
        let digest = Checksum::from_hex(algorithm, &text)
            .ok_or_else(|| format!("`{text}` is not a {algorithm} digest"))?;
        Ok(Said { name, digest: Stated::Known(digest), escaped: false, foreign: None })
    }
}

/// Splits an algorithm from its digits.
fn tagged(text: &[u8]) -> (Option<String>, &[u8]) {
    match text.windows(3).position(|part| part == b" = ") {
        Some(at) => (Some(String::from_utf8_lossy(&text[..at]).into_owned()), &text[at + 3..]),
        None => (None, text),
    }
}

fn first_word(text: &[u8]) -> &[u8] {
    text.split(u8::is_ascii_whitespace).next().unwrap_or(text)
}

/// Whether a word is a digest, perhaps with a prefix such as `sha256:`.
pub(crate) fn is_digest(word: &[u8]) -> bool {
    let hex = word.rsplit(|&byte| byte == b':').next().unwrap_or(word);
    LEAST <= hex.len() && hex.iter().all(u8::is_ascii_hexdigit)
}

/// Whether a text consists of groups of two, four or eight hexadecimal digits.
fn is_grouped(text: &[u8]) -> bool {
    let mut words = text.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).peekable();
    words.peek().is_some()
        && words
            .all(|word| matches!(word.len(), 2 | 4 | 8) && word.iter().all(u8::is_ascii_hexdigit))
}
