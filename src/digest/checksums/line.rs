//! Parser for one line of a checksum list.

use super::foreign::{Title, foreign};
use crate::digest::{Algorithm, Checksum};

/// A parsed line.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    /// The name of the file; `None` if the line has a digest only.
    pub(super) name: Option<Vec<u8>>,
    pub(super) digest: Stated,
    /// Whether backslashes of the name were escaped, so that a backslash is part of the name.
    pub(super) escaped: bool,
    /// The algorithm of a foreign digest.
    pub(super) foreign: Option<String>,
}

/// The digest of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stated {
    /// A digest that natsync can check.
    Known(Checksum),
    /// A digest of an algorithm that natsync does not compute, or another value such as `SIZE`.
    Foreign,
}

/// How the algorithm of a digest without a tag is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Untagged {
    /// The algorithm that the manifest names. It takes precedence.
    pub(super) wanted: Option<Algorithm>,
    /// What the name of the list says.
    pub(super) title: Option<Title>,
}

/// Parses a line.
pub(super) fn read(line: &[u8], untagged: Untagged) -> Result<Said, String> {
    // coreutils writes a backslash before a line whose name it had to escape.
    let (escaped, rest) = match line.strip_prefix(b"\\") {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let mut said = match tagged(rest) {
        Some(tagged) => tagged?,
        None => digest_first(rest, untagged)?,
    };
    if escaped {
        said.escaped = true;
        said.name = said.name.map(|name| unescape(&name)).transpose()?;
    }
    Ok(said)
}

/// Whether a line has the format of BSD or OpenSSL.
pub(super) fn is_tagged(line: &[u8]) -> bool {
    tagged(line).is_some()
}

/// Parses a line of BSD, `SHA256 (name) = HEX`, or OpenSSL, `SHA2-256(name)= HEX`. `None` if it has
/// another format.
fn tagged(line: &[u8]) -> Option<Result<Said, String>> {
    let open = line.iter().position(|&byte| byte == b'(')?;
    let tag = std::str::from_utf8(&line[..open]).ok()?;
    let tag = tag.strip_suffix(' ').unwrap_or(tag);
    let is_tag = !tag.is_empty()
        && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-/_".contains(&byte))
        && tag.starts_with(|first: char| first.is_ascii_alphabetic());
    if !is_tag {
        return None;
    }
    // Search from the end: the name may contain these characters, the digest cannot.
    let (name, digest) = [&b") = "[..], b")= ", b")="].iter().find_map(|mark| {
        let at = line.windows(mark.len()).rposition(|window| window == *mark)?;
        (open < at).then(|| (&line[open + 1..at], &line[at + mark.len()..]))
    })?;
    let digest = digest.trim_ascii_end();
    let name = Some(name.to_vec());
    let algorithm = match tag.strip_prefix("SHA2-") {
        Some(bits) => ["256", "512"]
            .contains(&bits)
            .then(|| Algorithm::named(&format!("SHA{bits}")))
            .flatten(),
        None => Algorithm::named(tag),
    };
    let Some(algorithm) = algorithm else {
        // Other tags, such as `SIZE`, are not about digests.
        let foreign = foreign(tag).map(|_| tag.to_owned());
        return Some(Ok(Said { name, digest: Stated::Foreign, escaped: false, foreign }));
    };
    Some(
        match std::str::from_utf8(digest).ok().and_then(|hex| Checksum::from_hex(algorithm, hex)) {
            Some(checksum) => {
                let digest = Stated::Known(checksum);
                Ok(Said { name, digest, escaped: false, foreign: None })
            }
            None => Err(format!("`{}` is not a {algorithm} digest", excerpt(digest))),
        },
    )
}

/// Parses a line of coreutils, `HEX  name` or `HEX *name`, or `HEX` alone. The digits may have a
/// prefix such as `sha256:`.
fn digest_first(line: &[u8], untagged: Untagged) -> Result<Said, String> {
    let end = line.iter().position(u8::is_ascii_whitespace).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    if !looks_like_digest(word) {
        return Err(nonsense(line));
    }
    let (digest, foreign) = digest_of(word, untagged)?;
    let name = match rest {
        [b' ', b' ' | b'*', name @ ..] => name,
        [b' ' | b'\t', name @ ..] => name.trim_ascii_start(),
        _ => rest,
    };
    let name = (!name.trim_ascii().is_empty()).then(|| name.to_vec());
    Ok(Said { name, digest, escaped: false, foreign })
}

fn looks_like_digest(word: &[u8]) -> bool {
    let hex = word.splitn(2, |&byte| byte == b':').last().unwrap_or(word);
    !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit)
}

/// Parses hexadecimal digits. Their algorithm is that of the prefix, else that of `untagged`, else
/// the usual one of their number. The second part is the name of an algorithm that natsync does not
/// compute.
pub(super) fn digest_of(
    word: &[u8],
    untagged: Untagged,
) -> Result<(Stated, Option<String>), String> {
    let text = std::str::from_utf8(word).map_err(|_| nonsense(word))?;
    let (algorithm, hex) = match text.split_once(':') {
        Some((name, hex)) => match Algorithm::named(name) {
            Some(algorithm) => (Some(algorithm), hex),
            None if foreign(name).is_some() => {
                return Ok((Stated::Foreign, Some(name.to_owned())));
            }
            None => return Err(nonsense(word)),
        },
        None => (untagged.wanted, text),
    };
    let digits = hex.len();
    if digits == 0 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(nonsense(word));
    }
    let algorithm = match (algorithm, untagged.title) {
        (Some(algorithm), _) => algorithm,
        (None, Some(Title::Foreign(name))) => {
            return Err(format!(
                "by its name, the digests of this list are {name}, which natsync does not compute"
            ));
        }
        (None, Some(Title::Known(algorithm))) if digits == 2 * algorithm.length() => algorithm,
        // A list that is named for SHA-256 is not taken as one of MD5.
        (None, Some(Title::Known(algorithm))) if digits < 2 * algorithm.length() => {
            return Err(format!(
                "by its name, the digests of this list are {algorithm}, and this one has {digits} digits"
            ));
        }
        _ => Algorithm::of_hex_length(digits)
            .ok_or_else(|| format!("no algorithm has digests of {digits} digits"))?,
    };
    let digest = Checksum::from_hex(algorithm, hex)
        .ok_or_else(|| format!("a digest of {digits} digits is not a {algorithm}"))?;
    Ok((Stated::Known(digest), None))
}

/// The error for a line of no known format.
pub(super) fn nonsense(line: &[u8]) -> String {
    format!(
        "`{}` is not a line of a checksum list, which is `DIGEST  NAME`, `ALGORITHM (NAME) = DIGEST`, `NAME: DIGEST` or `DIGEST`",
        excerpt(line)
    )
}

fn unescape(name: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.iter();
    while let Some(&byte) = bytes.next() {
        plain.push(match (byte, byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'\\') => b'\\',
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                _ => return Err("the name is not escaped as coreutils does it".to_owned()),
            },
            (byte, false) => byte,
        });
    }
    Ok(plain)
}

/// The beginning of a text, for a message.
pub(super) fn excerpt(text: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.into_owned(),
    }
}
