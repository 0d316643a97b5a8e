//! Digests that a server states beside the bytes it sends.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderName;

use super::headers::Headers;
use crate::digest::{Algorithm, Checksum, Hasher};
use crate::failure::{ErrorKind, Failure};

/// A digest that a header field states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    /// The field's name in its usual spelling.
    pub(crate) field: &'static str,
    pub(crate) checksum: Checksum,
}

impl Stated {
    /// Whether a partial response states the digest of the whole file by it.
    pub(crate) fn is_of_whole(&self) -> bool {
        !matches!(self.field, "Content-Digest" | "Content-MD5")
    }
}

/// The hint of a failure whose only evidence is a header field.
pub(crate) const OUT_OF_DATE: &str =
    "if the field is out of date, `expect: {header_digests: false}` ignores such fields";

/// The digests in `Repr-Digest` and `Content-Digest` (RFC 9530), `Digest` (RFC 3230), `Content-MD5`
/// (RFC 1864) and `x-goog-hash`. Malformed ones and those under unknown algorithms are ignored.
pub(crate) fn stated_digests(headers: &Headers) -> Vec<Stated> {
    let mut stated = Vec::new();
    for (field, name, read) in [
        ("Repr-Digest", "repr-digest", structured as Read),
        ("Content-Digest", "content-digest", structured),
        ("Digest", "digest", plain),
        ("Content-MD5", "content-md5", md5),
        ("x-goog-hash", "x-goog-hash", goog),
    ] {
        // The service hashes the stored bytes; it may store them compressed and send them expanded.
        if name == "x-goog-hash" && is_transcoded(headers) {
            continue;
        }
        for value in headers.0.get_all(HeaderName::from_static(name)) {
            let Ok(value) = value.to_str() else { continue };
            let items = value.split(',').filter_map(|item| read(item.trim()));
            stated.extend(items.map(|checksum| Stated { field, checksum }));
        }
    }
    stated
}

/// Compares bytes in memory with the digests that their response states. Reports whether there are
/// some.
///
/// # Errors
/// When one of the digests differs.
pub(crate) fn check_digests(headers: &Headers, content: &[u8]) -> Result<bool, Failure> {
    let stated = stated_digests(headers);
    let mut hasher = Hasher::new(stated.iter().map(|stated| stated.checksum.algorithm()).collect());
    hasher.update(content);
    let digests = hasher.finish();
    let differs =
        |stated: &&Stated| digests.get(stated.checksum.algorithm()) != Some(stated.checksum);
    match stated.iter().find(differs) {
        None => Ok(!stated.is_empty()),
        Some(stated) => Err(Failure::new(
            ErrorKind::ChecksumMismatch,
            format!("the bytes are not what the server's `{}` says", stated.field),
        )
        .with_hint(OUT_OF_DATE)),
    }
}

type Read = fn(&str) -> Option<Checksum>;

/// `sha-256=:BASE64:`, an item of a structured dictionary (RFC 8941, section 3.2).
fn structured(item: &str) -> Option<Checksum> {
    let (name, value) = item.split_once('=')?;
    let value = value.trim().strip_prefix(':')?.strip_suffix(':')?;
    Checksum::from_base64(http_algorithm(name.trim())?, value)
}

/// `SHA-256=BASE64`.
fn plain(item: &str) -> Option<Checksum> {
    let (name, value) = item.split_once('=')?;
    Checksum::from_base64(http_algorithm(name.trim())?, value.trim())
}

/// Base64 alone.
fn md5(item: &str) -> Option<Checksum> {
    Checksum::from_base64(Algorithm::Md5, item)
}

/// `crc32c=BASE64` and `md5=BASE64`.
fn goog(item: &str) -> Option<Checksum> {
    let (name, value) = item.split_once('=')?;
    let algorithm = match name {
        "md5" => Algorithm::Md5,
        "crc32c" => Algorithm::Crc32c,
        _ => return None,
    };
    Checksum::from_bytes(algorithm, &STANDARD.decode(value).ok()?)
}

/// Names as registered with IANA; `sha` is SHA-1.
fn http_algorithm(name: &str) -> Option<Algorithm> {
    match name.to_ascii_lowercase().as_str() {
        "sha-256" => Some(Algorithm::Sha256),
        "sha-512" => Some(Algorithm::Sha512),
        "md5" => Some(Algorithm::Md5),
        "sha" => Some(Algorithm::Sha1),
        _ => None,
    }
}

fn is_transcoded(headers: &Headers) -> bool {
    headers
        .0
        .get("x-goog-stored-content-encoding")
        .is_some_and(|stored| !stored.as_bytes().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(fields: &[(&str, &str)]) -> Vec<String> {
        let texts = stated_digests(&Headers::of(fields)).into_iter();
        texts.map(|stated| format!("{} {}", stated.field, stated.checksum)).collect()
    }

    const SHA256: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
    const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_MD5: &str = "md5:900150983cd24fb0d6963f7d28e17f72";

    #[test]
    fn all_fields_are_read() {
        let md5 = "kAFQmDzST7DWlj99KOF/cg==";
        for (name, value, expected) in [
            ("repr-digest", format!("sha-256=:{SHA256}:"), vec![format!("Repr-Digest {ABC}")]),
            (
                "content-digest",
                format!("sha-256=:{SHA256}:"),
                vec![format!("Content-Digest {ABC}")],
            ),
            (
                "digest",
                format!("SHA-256={SHA256},MD5={md5}"),
                vec![format!("Digest {ABC}"), format!("Digest {ABC_MD5}")],
            ),
            ("content-md5", md5.to_owned(), vec![format!("Content-MD5 {ABC_MD5}")]),
            (
                "x-goog-hash",
                format!("crc32c=Nks/tw==,md5={md5}"),
                vec!["x-goog-hash crc32c:364b3fb7".to_owned(), format!("x-goog-hash {ABC_MD5}")],
            ),
        ] {
            assert_eq!(stated(&[(name, &value)]), expected, "{name}");
        }
    }

    #[test]
    fn malformed_and_unknown_digests_are_ignored() {
        for (name, value) in [
            ("repr-digest", "sha-256=abc"),
            ("repr-digest", "sha-256=:AAAA:"),
            ("repr-digest", "unixsum=:30637:"),
            ("digest", "sha-256"),
            ("content-md5", "not base64 at all"),
            ("x-goog-hash", "crc32c="),
        ] {
            assert_eq!(stated(&[(name, value)]), [""; 0], "{name}: {value}");
        }
        let gzip = ("x-goog-stored-content-encoding", "gzip");
        assert_eq!(stated(&[gzip, ("x-goog-hash", "crc32c=Nks/tw==")]), [""; 0]);
    }
}
