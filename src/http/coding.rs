//! `Content-Encoding` in the response to a request for the identity coding.
//!
//! Either a server applied the coding all the same, or it labels the file by the extensions of its
//! name (Apache's `AddEncoding`) and sends it as stored. Name and bytes together tell.

use hyper::header::CONTENT_ENCODING;

use super::headers::Headers;
use crate::failure::{ErrorKind, Failure};

/// A coding, the extensions of files that have it, and their first bytes.
struct Coding {
    names: &'static [&'static str],
    extensions: &'static [&'static str],
    magic: Option<&'static [u8]>,
}

const CODINGS: [Coding; 6] = [
    Coding {
        names: &["gzip", "x-gzip"],
        extensions: &["gz", "tgz", "taz", "svgz", "bgz", "emz"],
        magic: Some(b"\x1f\x8b"),
    },
    Coding {
        names: &["compress", "x-compress"],
        extensions: &["z", "taz"],
        magic: Some(b"\x1f\x9d"),
    },
    Coding { names: &["br"], extensions: &["br"], magic: None },
    Coding {
        names: &["zstd"],
        extensions: &["zst", "zstd", "tzst"],
        magic: Some(b"\x28\xb5\x2f\xfd"),
    },
    Coding {
        names: &["bzip2", "x-bzip2"],
        extensions: &["bz2", "tbz", "tbz2"],
        magic: Some(b"BZh"),
    },
    Coding { names: &["xz", "x-xz"], extensions: &["xz", "txz"], magic: Some(b"\xfd7zXZ\0") },
];

/// How a name leads a server to a label.
enum Label {
    /// By the last extension: the file has the coding.
    Last,
    /// By an inner one, as in `a.gz.sha256`: the file does not have it.
    Inner,
}

impl Coding {
    fn label(&self, name: &str) -> Option<Label> {
        let is_own =
            |extension: &str| self.extensions.iter().any(|own| own.eq_ignore_ascii_case(extension));
        let (stem, last) = name.rsplit_once('.')?;
        if is_own(last) {
            return Some(Label::Last);
        }
        stem.split('.').skip(1).any(is_own).then_some(Label::Inner)
    }

    fn is_label(&self, name: &str, beginning: Option<&[u8]>) -> bool {
        let Some(label) = self.label(name) else { return false };
        match (label, self.magic) {
            (Label::Last, None) => true,
            (Label::Inner, None) => false,
            (Label::Last, Some(magic)) => beginning.is_none_or(|bytes| bytes.starts_with(magic)),
            (Label::Inner, Some(magic)) => beginning.is_none_or(|bytes| !bytes.starts_with(magic)),
        }
    }
}

impl Headers {
    /// The content codings that the response declares, without `identity`.
    pub(crate) fn coding(&self) -> Option<String> {
        let values = self.0.get_all(CONTENT_ENCODING).iter();
        let texts: Vec<_> =
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect();
        let codings: Vec<_> = texts
            .iter()
            .flat_map(|text| text.split(','))
            .map(str::trim)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
            .collect();
        (!codings.is_empty()).then(|| codings.join(", "))
    }
}

/// Whether the coding can be a label that one of the file's names explains.
pub(crate) fn may_be_label(coding: &str, names: &[&str]) -> bool {
    is_label(coding, names, None)
}

/// Compares the label of a response with the first bytes of the file.
///
/// # Errors
/// When the bytes show that the coding was applied, so that it is no label.
pub(crate) fn check_label(
    headers: &Headers,
    names: &[&str],
    beginning: &[u8],
) -> Result<(), Failure> {
    match headers.coding() {
        Some(coding) if !is_label(&coding, names, Some(beginning)) => Err(applied(&coding)),
        _ => Ok(()),
    }
}

fn is_label(coding: &str, names: &[&str], beginning: Option<&[u8]>) -> bool {
    let known = |known: &&Coding| known.names.iter().any(|name| name.eq_ignore_ascii_case(coding));
    CODINGS
        .iter()
        .find(known)
        .is_some_and(|coding| names.iter().any(|name| coding.is_label(name, beginning)))
}

/// The failure for bytes that are not the stored ones.
pub(super) fn applied(coding: &str) -> Failure {
    let message =
        format!("the server applied `Content-Encoding: {coding}`, which was not asked for");
    Failure::new(ErrorKind::UnexpectedContent, message)
        .with_hint("if the file is stored so, its digest in the manifest or the lock says that")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_coding_and_bytes_have_to_agree() {
        let magics: [&[u8]; 6] = [
            b"\x1f\x8b\x08",
            b"\x1f\x9d\x90",
            b"plain",
            b"\x28\xb5\x2f\xfd",
            b"BZh9",
            b"\xfd7zXZ\0",
        ];
        let endings = ["gz", "Z", "br", "zst", "bz2", "xz"];
        let codings = ["x-gzip", "compress", "br", "zstd", "bzip2", "xz"];
        for (c, coding) in codings.iter().enumerate() {
            for (e, ending) in endings.iter().enumerate() {
                let name = format!("a.tar.{ending}");
                assert_eq!(may_be_label(coding, &["b", &name]), c == e, "{coding} {name}");
                let inner = format!("{name}.sha256");
                assert_eq!(may_be_label(coding, &[&inner]), c == e && *coding != "br");
                for (m, magic) in magics.iter().enumerate() {
                    let headers = Headers::of(&[("content-encoding", coding)]);
                    let is_label = |name: &str| check_label(&headers, &[name], magic).is_ok();
                    let agree = c == e && (c == m || *coding == "br");
                    assert_eq!(is_label(&name), agree, "{coding} {ending} {magic:?}");
                    let agree = c == e && c != m && *coding != "br";
                    assert_eq!(is_label(&inner), agree, "{coding} {inner} {magic:?}");
                }
            }
        }
    }

    #[test]
    fn several_codings_are_no_label() {
        for (fields, coding) in [
            (&[("content-encoding", "gzip, gzip")][..], Some("gzip, gzip")),
            (&[("content-encoding", "gzip"), ("content-encoding", "br")], Some("gzip, br")),
            (&[("content-encoding", " , identity")], None),
            (&[("content-encoding", "identity, GZIP")], Some("GZIP")),
            (&[], None),
        ] {
            let headers = Headers::of(fields);
            assert_eq!(headers.coding().as_deref(), coding);
            let is_one = coding.is_none_or(|coding| coding == "GZIP");
            assert_eq!(check_label(&headers, &["a.gz"], b"\x1f\x8b").is_ok(), is_one);
        }
    }
}
