//! The JSON objects that natsync prints. Plain data: `write` writes them.
//!
//! Names and order of the fields are a promise to users. New fields may be added; existing ones
//! never change.

use std::collections::BTreeMap;

use serde::Serialize;

/// An output line. The `type` field is the snake-case name of the variant, unless renamed.
#[derive(Serialize)]
#[expect(clippy::large_enum_variant, reason = "a line is made, written and dropped at once")]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line<'a> {
    Action(ActionLine<'a>),
    Total(TotalLine<'a>),
    Result(ResultLine<'a>),
    Verified(VerifiedLine<'a>),
    Entry(EntryLine<'a>),
    Explanation(ExplanationLine<'a>),
    Init(InitLine<'a>),
    Failed(FailedLine<'a>),
    Error(ErrorLine<'a>),
    #[serde(rename = "summary")]
    PlanSummary(PlanSummaryLine<'a>),
    Summary(SummaryLine<'a>),
    #[serde(rename = "summary")]
    Drift(DriftLine<'a>),
    #[serde(rename = "summary")]
    VerifySummary(VerifySummaryLine<'a>),
    #[serde(rename = "summary")]
    ReportSummary(ReportSummaryLine<'a>),
}

/// An action of `plan`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ActionLine<'a> {
    pub(super) action: &'static str,
    pub(super) reason: &'static str,
    /// The source that declares the entry; null for a file that is no longer declared.
    pub(super) source: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    pub(super) size: Option<u64>,
}

/// The summary of `plan`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PlanSummaryLine<'a> {
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) fetch: u64,
    pub(super) replace: u64,
    pub(super) revalidate: u64,
    pub(super) keep: u64,
    pub(super) absent: u64,
    pub(super) prune: u64,
}

/// The part of a plan about one source or one host. Printed before the summary of the plan, if
/// there are several sources or hosts.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct TotalLine<'a> {
    pub(super) manifest: &'a str,
    /// The source; null in a total of a host.
    pub(super) source: Option<&'a str>,
    /// The host, with its port unless that is the default one; null in a total of a source. An
    /// empty name stands for all hosts beyond the first thousand.
    pub(super) host: Option<&'a str>,
    pub(super) fetch: u64,
    pub(super) replace: u64,
    pub(super) revalidate: u64,
    pub(super) keep: u64,
    pub(super) absent: u64,
    /// Bytes to transfer, without the entries of unknown size.
    pub(super) bytes: u64,
    /// Number of entries to transfer whose size is unknown.
    pub(super) unknown_sizes: u64,
}

/// The outcome of an entry, or of a pruned file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ResultLine<'a> {
    pub(super) outcome: &'static str,
    /// The source that declares the entry; null for a file that is no longer declared.
    pub(super) source: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) url: Option<&'a str>,
    /// Body bytes received in this run.
    pub(super) bytes: u64,
    /// The size of the file that was put in place.
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
    pub(super) attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// Why an entry failed.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailureObject<'a> {
    pub(super) kind: &'static str,
    pub(super) status: Option<u16>,
    pub(super) message: &'a str,
}

/// The summary of `apply`, `lock` or `merge`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct SummaryLine<'a> {
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) downloaded: u64,
    pub(super) updated: u64,
    pub(super) unchanged: u64,
    pub(super) kept: u64,
    pub(super) absent: u64,
    pub(super) pruned: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pinned: Option<u64>,
    pub(super) bytes: u64,
    pub(super) elapsed_ms: u64,
    /// The number of shards of the job that was merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) shards: Option<u32>,
    /// The shards that are missing, as ranges of their numbers; left out if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<&'a str>,
}

/// The summary of `lock --check`: how a lock and its manifest differ.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct DriftLine<'a> {
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) pinned: u64,
    pub(super) unpinned: u64,
    pub(super) differing: u64,
    pub(super) undeclared: u64,
}

/// The finding of `verify` about a file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerifiedLine<'a> {
    pub(super) result: &'static str,
    pub(super) path: &'a str,
    pub(super) sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// The summary of `verify`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct VerifySummaryLine<'a> {
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) ok: u64,
    pub(super) modified: u64,
    pub(super) gone: u64,
    pub(super) unknown: u64,
    pub(super) absent: u64,
    pub(super) bytes: u64,
    pub(super) elapsed_ms: u64,
}

/// The summary of `report`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ReportSummaryLine<'a> {
    pub(super) command: &'static str,
    pub(super) manifest: &'a str,
    pub(super) entries: u64,
    pub(super) present: u64,
    pub(super) absent: u64,
    pub(super) failed: u64,
    pub(super) changed: u64,
    pub(super) deleted: u64,
    pub(super) untried: u64,
    pub(super) file: &'a str,
    pub(super) bytes: u64,
}

/// An entry of `list`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct EntryLine<'a> {
    pub(super) source: &'a str,
    pub(super) path: &'a str,
    pub(super) url: &'a str,
    pub(super) mirrors: &'a [String],
    pub(super) sha256: Option<String>,
}

/// A manifest that `init` made.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct InitLine<'a> {
    /// The path of the manifest.
    pub(super) file: &'a str,
    pub(super) sources: u64,
    pub(super) entries: u64,
    /// Remarks for people: what was recognised, and what was left out.
    pub(super) notes: &'a [String],
}

/// An error, with its place in a file if it has one.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorLine<'a> {
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
    pub(super) file: Option<&'a str>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<&'a str>,
}

/// An entry that failed or was not tried (`--failed`).
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailedLine<'a> {
    pub(super) manifest: &'a str,
    pub(super) source: &'a str,
    pub(super) path: &'a str,
    pub(super) url: &'a str,
    pub(super) outcome: &'static str,
    /// Left out if the entry was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<FailureObject<'a>>,
}

/// An entry with everything that is known about it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ExplanationLine<'a> {
    pub(super) manifest: &'a str,
    /// The path of the manifest. `line` is the line where the source begins.
    pub(super) file: String,
    pub(super) line: usize,
    pub(super) source: &'a str,
    /// The entry's number in the manifest, from 0.
    pub(super) entry: u64,
    pub(super) path: String,
    /// Values of the variables.
    pub(super) variables: BTreeMap<&'a str, String>,
    pub(super) url: String,
    pub(super) alternates: Vec<String>,
    pub(super) mirrors: Vec<String>,
    /// The required content; null if any content is accepted.
    pub(super) pin: Option<PinObject>,
    /// The entry in the lock: `pinned`, `missing` or `unpinned`; null if there is no lock.
    pub(super) lock: Option<&'static str>,
    /// The entry in its checksum list: `listed`, `unlisted`, `ambiguous`, `unusable` or
    /// `unfetched`; null if there is no list.
    pub(super) checksums: Option<&'static str>,
    /// What is at the path: `file`, `nothing` or `obstacle`.
    pub(super) on_disk: &'static str,
    pub(super) size: Option<u64>,
    /// When the file's content last changed, in RFC 3339.
    pub(super) modified: Option<String>,
    /// Digest of the file on disk; null unless the file had to be read.
    pub(super) sha256: Option<String>,
    /// The record of the file in the state; null if there is none.
    pub(super) state: Option<StateObject<'a>>,
    /// When upstream last answered that the file does not exist, in RFC 3339.
    pub(super) missing_since: Option<String>,
    /// The last failure; null if the entry was served, confirmed or missing since, or never failed.
    pub(super) failed: Option<FailedObject<'a>>,
    /// The planned action; null if there is an obstacle.
    pub(super) action: Option<&'static str>,
    pub(super) reason: Option<&'static str>,
    /// What prevents the action, for example a directory at the path.
    pub(super) obstacle: Option<&'static str>,
}

/// The required content of an entry.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct PinObject {
    /// The origin of the pin: `manifest`, `lock` or `list`.
    pub(super) from: &'static str,
    pub(super) size: Option<u64>,
    /// Digests as `algorithm:hexadecimal`.
    pub(super) checksums: Vec<String>,
}

/// The record of a file in the state.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct StateObject<'a> {
    /// The URL that was declared when the record was made.
    pub(super) url: &'a str,
    /// The URL that served the file.
    pub(super) served: &'a str,
    pub(super) size: u64,
    pub(super) sha256: String,
    /// True if natsync wrote the file.
    pub(super) written: bool,
    /// True if upstream served or confirmed the content; false if an existing file was adopted.
    pub(super) witnessed: bool,
    /// When upstream last served or confirmed the file, in RFC 3339.
    pub(super) checked: Option<String>,
    pub(super) etag: Option<&'a str>,
    pub(super) last_modified: Option<&'a str>,
    /// True if size, times and inode of the file on disk are as recorded.
    pub(super) looks_the_same: bool,
}

/// The failure of an entry in an earlier run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct FailedObject<'a> {
    /// When the run began, in RFC 3339.
    pub(super) run: String,
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
}
