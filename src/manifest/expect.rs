//! What a file must be like, and what counts as missing.

use std::fmt;

/// What the manifest expects of a content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The media type that the server must declare.
    pub content_type: Option<MediaType>,
    /// Bytes at least. 1 by default: an empty answer is nearly always a mistake.
    pub min_size: u64,
    /// Bytes at most.
    pub max_size: Option<u64>,
    /// What the bytes themselves must be.
    pub kind: Option<Kind>,
    /// Whether an answer is taken whose end nothing but the end of the connection tells.
    pub unframed: bool,
}

impl Default for Expect {
    fn default() -> Self {
        Self { content_type: None, min_size: 1, max_size: None, kind: None, unframed: false }
    }
}

/// What counts as "there is no such file".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingWhen {
    /// These statuses.
    pub status: Vec<u16>,
    /// A success with this media type: a page that says that there is nothing.
    pub content_type: Option<MediaType>,
}

impl Default for MissingWhen {
    fn default() -> Self {
        Self { status: vec![404, 410], content_type: None }
    }
}

/// A media type, or all of a kind: `image/jpeg`, `image/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(String);

impl MediaType {
    /// Reads one. `None` when it is none.
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

    /// Whether a `Content-Type` is of it, whatever its parameters.
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

/// A kind of file that its first bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    name: &'static str,
    /// Any of these, at these places.
    marks: &'static [(usize, &'static [u8])],
    /// What must stand at the end, too.
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

impl Kind {
    /// The kind of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The names of all kinds.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|kind| kind.name)
    }

    /// Whether a content with that beginning and end is of it.
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
    fn media_types() {
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
    fn kinds() {
        let matches = |name: &str, bytes: &[u8]| Kind::named(name).unwrap().matches(bytes, bytes);
        assert!(matches("jpeg", b"\xff\xd8\xff\xe0"));
        assert!(matches("parquet", b"PAR1....PAR1"));
        assert!(!matches("parquet", b"PAR1...."));
        assert!(!matches("zip", b"PK"));
        assert!(!matches("tar", b"ustar"));
        assert!(Kind::named("word").is_none());
    }
}
