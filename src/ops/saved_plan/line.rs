//! The lines of a saved plan as serde types.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::manifest::{IdentityKey, UrlDigest};

/// The version of the format.
pub(super) const FORMAT: u32 = 2;

/// The first line of the plan of a manifest.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) natsync_plan: u32,
    pub(super) natsync: String,
    pub(super) manifest: String,
    pub(super) file: PathBuf,
    pub(super) now: Timestamp,
    pub(super) today: Date,
    pub(super) dest: Option<PathBuf>,
    pub(super) only: Vec<String>,
    pub(super) set: Vec<(String, String)>,
    pub(super) force: bool,
    pub(super) rehash: bool,
    pub(super) locked: bool,
    pub(super) prune: Option<bool>,
    pub(super) max_delete: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) take_ownership: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<u32>,
    /// The digest of the lock, or `None` without a lock.
    pub(super) lock: Option<String>,
    /// The key of the digests `dest_identity` and [`ActionLine::identity`].
    pub(super) identity_key: IdentityKey,
    /// A digest of the destination, if it has a value from the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dest_identity: Option<UrlDigest>,
    /// The manifest, then the files from which it reads values, rows and digests.
    pub(super) inputs: Vec<InputLine>,
}

/// An input file of the manifest with its digest.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputLine {
    pub(super) file: PathBuf,
    pub(super) sha256: String,
}

/// The action for an entry, or for a file to delete.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct ActionLine {
    pub(super) r#type: String,
    pub(super) action: String,
    pub(super) reason: String,
    pub(super) source: Option<String>,
    pub(super) path: String,
    pub(super) url: Option<String>,
    /// A digest of the places of the entry, if they have values from the environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<UrlDigest>,
    pub(super) size: Option<u64>,
    /// The index of the entry; `None` for a file to delete.
    pub(super) entry: Option<u64>,
    /// The action before upstream was asked, if it differs from `action`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unasked: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) obstructed: bool,
    /// The stamp of the file at the path, as 16 hexadecimal digits: many JSON parsers cannot
    /// represent every `u64`.
    pub(super) stamp: Option<String>,
}

/// The last line of the plan of a manifest.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct End {
    pub(super) r#type: String,
    pub(super) command: String,
    pub(super) manifest: String,
    pub(super) entries: u64,
    pub(super) fetch: u64,
    pub(super) replace: u64,
    pub(super) revalidate: u64,
    pub(super) keep: u64,
    pub(super) absent: u64,
    pub(super) prune: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Line {
    Head(Box<Head>),
    Action(ActionLine),
    End(End),
}

pub(super) fn stamp_text(stamp: u64) -> String {
    format!("{stamp:016x}")
}

pub(super) fn read_stamp(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}
