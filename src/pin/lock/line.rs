//! One line of a lock.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::digest::{Algorithm, Checksum, Digest};
use crate::pin::Validators;
use crate::rel_path::RelPath;

/// What is pinned at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockLine {
    /// Below the destination.
    pub(crate) path: String,
    /// The declared URL, shown form.
    pub(crate) url: String,
    /// What is there.
    pub(crate) content: Content,
}

/// What upstream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Nothing.
    Missing,
    /// This file.
    File {
        /// The mirror or alternate that served it, where it was not the URL itself.
        served: Option<String>,
        /// Bytes.
        size: u64,
        /// Its digest.
        sha256: Digest,
        /// Who says that this is its digest.
        from: DigestFrom,
        /// What upstream answered with the bytes.
        validators: Validators,
    },
}

/// Who vouches for a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DigestFrom {
    /// The manifest or a checksum list states it.
    Publisher,
    /// It is that of the bytes that came when the entry was pinned.
    #[default]
    FirstUse,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    natsync_lock: u64,
    #[serde(borrow)]
    manifest: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    url: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    served: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    sha256: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest_from: Option<DigestFrom>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    etag: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    last_modified: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    missing: bool,
}

/// Why a line cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// It ends too early.
    CutShort,
    /// Something else.
    Wrong(String),
}

fn wrong(message: impl Into<String>) -> LineError {
    LineError::Wrong(message.into())
}

fn explain(error: &serde_json::Error) -> LineError {
    match error.classify() {
        serde_json::error::Category::Eof => LineError::CutShort,
        // The library's own words may quote the line.
        serde_json::error::Category::Data => wrong(format!(
            "a field is unknown, lacks, or has no such value (column {})",
            error.column()
        )),
        _ => wrong(format!("it is no JSON object (column {})", error.column())),
    }
}

/// Reads the first line: the version and the manifest's name.
pub(super) fn parse_header(text: &str) -> Result<(u64, String), LineError> {
    // A later version may have further fields: its number comes first.
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| explain(&error))?;
    let version = value.get("natsync_lock").and_then(serde_json::Value::as_u64);
    let version = version.ok_or_else(|| wrong("the first line is no header of a lock"))?;
    if version != VERSION {
        return Ok((version, String::new()));
    }
    let header: Header<'_> = serde_json::from_str(text).map_err(|error| explain(&error))?;
    Ok((version, header.manifest.into_owned()))
}

/// Writes the first line.
pub(super) fn write_header(manifest: &str, to: &mut impl Write) -> io::Result<()> {
    let header = Header { natsync_lock: VERSION, manifest: Cow::Borrowed(manifest) };
    serde_json::to_writer(&mut *to, &header)?;
    to.write_all(b"\n")
}

impl LockLine {
    /// Reads a line.
    pub(super) fn parse(text: &str) -> Result<Self, LineError> {
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| explain(&error))?;
        if let Err(error) = RelPath::parse(&raw.path) {
            return Err(wrong(format!("`path` is none below a destination: {error}")));
        }
        let content = match (raw.missing, raw.size, raw.sha256) {
            (true, None, None) => Content::Missing,
            (false, Some(size), Some(sha256)) => {
                let sha256 = Checksum::from_hex(Algorithm::Sha256, &sha256)
                    .and_then(|checksum| checksum.sha256())
                    .ok_or_else(|| wrong("`sha256` is no SHA-256 of 64 hexadecimal digits"))?;
                Content::File {
                    served: raw.served.map(Cow::into_owned),
                    size,
                    sha256,
                    from: raw.digest_from.unwrap_or_default(),
                    validators: Validators {
                        etag: raw.etag.map(Cow::into_owned),
                        last_modified: raw.last_modified.map(Cow::into_owned),
                    },
                }
            }
            _ => return Err(wrong("it needs `size` and `sha256`, or `missing` alone")),
        };
        Ok(Self { path: raw.path.into_owned(), url: raw.url.into_owned(), content })
    }

    /// Writes it, always with the same bytes.
    pub(super) fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let mut raw = Raw {
            path: Cow::Borrowed(&self.path),
            url: Cow::Borrowed(&self.url),
            served: None,
            size: None,
            sha256: None,
            digest_from: None,
            etag: None,
            last_modified: None,
            missing: true,
        };
        if let Content::File { served, size, sha256, from, validators } = &self.content {
            raw.missing = false;
            raw.served = served.as_deref().map(Cow::Borrowed);
            raw.size = Some(*size);
            raw.sha256 = Some(Cow::Owned(sha256.to_string()));
            raw.digest_from = Some(*from);
            raw.etag = validators.etag.as_deref().map(Cow::Borrowed);
            raw.last_modified = validators.last_modified.as_deref().map(Cow::Borrowed);
        }
        serde_json::to_writer(&mut *to, &raw)?;
        to.write_all(b"\n")
    }
}
