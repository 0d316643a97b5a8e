//! The lines of a lock: parsing and writing.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::VERSION;
use crate::digest::{Algorithm, Checksum, Digest};
use crate::pin::Validators;
use crate::rel_path::RelPath;

/// The pin of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockLine {
    /// The path below the destination.
    pub(crate) path: String,
    /// The declared URL in its shown form.
    pub(crate) url: String,
    pub(crate) content: Content,
}

/// The pinned content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Upstream has no such file.
    Missing,
    File {
        /// The URL of the mirror or alternate that served the file, if it was not the declared URL.
        served: Option<String>,
        /// In bytes.
        size: u64,
        sha256: Digest,
        from: DigestFrom,
        /// The validators of the response that had the bytes.
        validators: Validators,
    },
}

/// The origin of a digest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DigestFrom {
    /// The manifest or a checksum list states it.
    Publisher,
    /// It was computed from the bytes that were downloaded when the entry was pinned.
    #[default]
    FirstUse,
}

/// The first line of a lock.
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

/// The reason why a line cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LineError {
    /// The JSON ends too early.
    CutShort,
    /// Any other error, with its message.
    Wrong(String),
}

fn wrong(message: impl Into<String>) -> LineError {
    LineError::Wrong(message.into())
}

fn explain(error: &serde_json::Error) -> LineError {
    match error.classify() {
        serde_json::error::Category::Eof => LineError::CutShort,
        // The messages of serde_json may quote the line.
        serde_json::error::Category::Data => wrong(format!(
            "a field is unknown, missing or has an invalid value (column {})",
            error.column()
        )),
        _ => wrong(format!("the line is not a JSON object (column {})", error.column())),
    }
}

/// Parses the first line: the version and the name of the manifest.
pub(super) fn parse_header(text: &str) -> Result<(u64, String), LineError> {
    // Check the version first: another version may have other fields.
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| explain(&error))?;
    let version = value.get("natsync_lock").and_then(serde_json::Value::as_u64);
    let version = version.ok_or_else(|| wrong("the first line is not the header of a lock"))?;
    if version != VERSION {
        return Ok((version, String::new()));
    }
    let header: Header<'_> = serde_json::from_str(text).map_err(|error| explain(&error))?;
    Ok((version, header.manifest.into_owned()))
}

pub(super) fn write_header(manifest: &str, to: &mut impl Write) -> io::Result<()> {
    let header = Header { natsync_lock: VERSION, manifest: Cow::Borrowed(manifest) };
    serde_json::to_writer(&mut *to, &header)?;
    to.write_all(b"\n")
}

impl LockLine {
    /// None if upstream has no such file.
    pub(crate) fn sha256(&self) -> Option<Digest> {
        match &self.content {
            Content::Missing => None,
            Content::File { sha256, .. } => Some(*sha256),
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, LineError> {
        let raw: Raw<'_> = serde_json::from_str(text).map_err(|error| explain(&error))?;
        if let Err(error) = RelPath::parse(&raw.path) {
            return Err(wrong(format!("`path` is not a path below a destination: {error}")));
        }
        let content = match (raw.missing, raw.size, raw.sha256) {
            (true, None, None) => Content::Missing,
            (false, Some(size), Some(sha256)) => {
                let sha256 = Checksum::from_hex(Algorithm::Sha256, &sha256)
                    .and_then(|checksum| checksum.sha256())
                    .ok_or_else(|| {
                        wrong("`sha256` is not a SHA-256 digest of 64 hexadecimal digits")
                    })?;
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
            _ => return Err(wrong("the line needs `size` and `sha256`, or `missing` alone")),
        };
        Ok(Self { path: raw.path.into_owned(), url: raw.url.into_owned(), content })
    }

    /// Writes the line. Equal lines give equal bytes.
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
