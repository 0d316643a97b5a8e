//! What the content of a file must satisfy, and which responses mean that a file is missing.

use std::fmt;

/// What the content of a file must satisfy (the key `expect`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The media type that the server must declare.
    pub content_type: Option<MediaType>,
    /// The smallest size in bytes. 1 by default: an empty response is nearly always a mistake.
    pub min_size: u64,
    /// The largest size in bytes.
    pub max_size: Option<u64>,
    /// The file format that the content must have.
    pub kind: Option<Kind>,
    /// Whether to accept a response whose body ends only where the connection closes (RFC 9112,
    /// section 6.3, rule 8). A truncated one cannot be told from a complete one.
    pub unframed: bool,
    /// Whether the digests in the header fields of a response must be those of its bytes.
    pub header_digests: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            content_type: None,
            min_size: 1,
            max_size: None,
            kind: None,
            unframed: false,
            header_digests: true,
        }
    }
}

impl Expect {
    /// The sizes that a file may have, unless its pin says more.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes { min: self.min_size, max: self.max_size }
    }
}

/// Bounds of a size, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The least.
    pub min: u64,
    /// The most; none for no bound.
    pub max: Option<u64>,
}

impl Sizes {
    /// Whether a size is within the bounds.
    #[must_use]
    pub fn allow(self, size: u64) -> bool {
        self.min <= size && self.max.is_none_or(|max| size <= max)
    }
}

/// Which responses mean that the file does not exist (the key `missing_when`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingWhen {
    /// Responses with one of these statuses.
    pub status: Vec<u16>,
    /// A successful response with this media type: some servers send an error page with status 200.
    pub content_type: Option<MediaType>,
}

impl Default for MissingWhen {
    fn default() -> Self {
        Self { status: vec![404, 410], content_type: None }
    }
}

/// A media type such as `image/jpeg`, or all subtypes of a type: `image/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Parses a media type. `None` if the text is not one, or has parameters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, subtype) = text.split_once('/')?;
        let is_token = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
        };
        (is_token(kind) && (subtype == "*" || is_token(subtype)))
            .then(|| Self(text.to_ascii_lowercase()))
    }

    /// Whether the value of a `Content-Type` header matches. Its parameters are ignored.
    #[must_use]
    pub fn matches(&self, content_type: &str) -> bool {
        let declared =
            content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match self.0.strip_suffix('*') {
            Some(kind) => declared.starts_with(kind) && kind.len() < declared.len(),
            None => declared == self.0,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file format that is recognized by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    name: &'static str,
    /// Alternatives: an offset and the bytes that must be there.
    marks: &'static [(usize, &'static [u8])],
    /// Bytes with which the content must also end.
    end: Option<&'static [u8]>,
}

const fn kind(name: &'static str, marks: &'static [(usize, &'static [u8])]) -> Kind {
    Kind { name, marks, end: None }
}

/// Every kind that a manifest can name.
const KINDS: [Kind; 25] = [
    kind("jpeg", &[(0, b"\xff\xd8\xff")]),
    kind("png", &[(0, b"\x89PNG\r\n\x1a\n")]),
    kind("gif", &[(0, b"GIF87a"), (0, b"GIF89a")]),
    kind("webp", &[(8, b"WEBP")]),
    kind("tiff", &[(0, b"II*\0"), (0, b"MM\0*")]),
    kind("pdf", &[(0, b"%PDF-")]),
    kind("zip", &[(0, b"PK\x03\x04"), (0, b"PK\x05\x06")]),
    kind("gzip", &[(0, b"\x1f\x8b")]),
    kind("bzip2", &[(0, b"BZh")]),
    kind("xz", &[(0, b"\xfd7zXZ\0")]),
    kind("zstd", &[(0, b"\x28\xb5\x2f\xfd")]),
    kind("7z", &[(0, b"7z\xbc\xaf\x27\x1c")]),
    kind("tar", &[(257, b"ustar")]),
    Kind { name: "parquet", marks: &[(0, b"PAR1")], end: Some(b"PAR1") },
    kind("hdf5", &[(0, b"\x89HDF\r\n\x1a\n")]),
    kind("netcdf", &[(0, b"CDF\x01"), (0, b"CDF\x02"), (0, b"CDF\x05"), (0, b"\x89HDF\r\n\x1a\n")]),
    kind("grib", &[(0, b"GRIB")]),
    kind("sqlite", &[(0, b"SQLite format 3\0")]),
    kind("elf", &[(0, b"\x7fELF")]),
    kind("mp3", &[(0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xf3"), (0, b"\xff\xf2")]),
    kind("mp4", &[(4, b"ftyp")]),
    kind("ogg", &[(0, b"OggS")]),
    kind("flac", &[(0, b"fLaC")]),
    kind("wav", &[(8, b"WAVE")]),
    kind("wasm", &[(0, b"\0asm")]),
];

/// A kind is recognized by at most this many bytes of both ends.
pub(crate) const EDGE: usize = 512;

impl Kind {
    /// The format with that name in a manifest.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// All names that [`Self::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }

    /// Whether content with that beginning and end has the format.
    #[must_use]
    pub fn matches(&self, beginning: &[u8], end: &[u8]) -> bool {
        let begins = self.marks.iter().any(|(place, mark)| {
            beginning.get(*place..).is_some_and(|rest| rest.starts_with(mark))
        });
        begins && self.end.is_none_or(|mark| end.ends_with(mark))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_media_type_matches_whatever_its_case_and_parameters() {
        let matches =
            |pattern: &str, declared: &str| MediaType::parse(pattern).unwrap().matches(declared);
        assert!(matches("image/jpeg", "Image/JPEG; charset=x"));
        assert!(matches("image/*", "image/png"));
        assert!(!matches("image/*", "image/"));
        assert!(!matches("image/jpeg", "image/jpeg2000"));
        for bad in ["image", "*/*", "image/", "a b/c", "/x"] {
            assert_eq!(MediaType::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn kinds_are_recognized_by_their_bytes() {
        let matches = |name: &str, bytes: &[u8]| Kind::named(name).unwrap().matches(bytes, bytes);
        assert!(matches("jpeg", b"\xff\xd8\xff\xe0"));
        assert!(matches("parquet", b"PAR1....PAR1"));
        assert!(!matches("parquet", b"PAR1...."));
        assert!(!matches("zip", b"PK"));
        assert!(!matches("tar", b"ustar"));
        assert!(Kind::named("word").is_none());
    }
}
