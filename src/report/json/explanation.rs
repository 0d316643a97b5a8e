//! The JSON object of `explain`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::objects::{Line, write_line};
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, Form};
use crate::ops::{Explanation, FileRecord, Listed, Locked};
use crate::pin::{PinFrom, Pinned};
use crate::plan::{Found, OnDisk, Step};
use crate::report::console::Console;

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

pub(crate) fn write_explanation(
    console: &Console,
    manifest: &Manifest,
    entry: &Entry<'_>,
    explanation: &Explanation,
) {
    let OnDisk { found, record, digests, .. } = &explanation.on_disk;
    let (on_disk, size) = match found {
        Found::Nothing => ("nothing", None),
        Found::Obstacle(_) => ("obstacle", None),
        Found::File(size) => ("file", Some(*size)),
    };
    let is_file = size.is_some();
    let modified = explanation.modified.filter(|_| is_file).map(|modified| modified.to_string());
    let sha256 = digests.as_ref().filter(|_| is_file).map(|digests| digests.sha256().to_string());
    let looks_the_same = record.as_ref().is_some_and(|record| record.stat.is_proof());
    let (action, reason, obstacle) = match explanation.step {
        Step::Do(decision) => {
            (Some(decision.action.as_str()), Some(decision.reason.as_str()), None)
        }
        Step::Obstructed(obstacle) => (None, None, Some(obstacle.describe())),
        Step::None => (None, None, None),
    };
    let line = ExplanationLine {
        manifest: manifest.name(),
        file: manifest.file().display().to_string(),
        line: entry.source().line,
        source: &entry.source().name,
        entry: entry.index().0,
        path: entry.path().as_str().to_owned(),
        variables: entry.variables().into_iter().collect(),
        url: entry.url(Form::Shown),
        alternates: (1..entry.names()).map(|name| entry.candidate(name, 0, Form::Shown)).collect(),
        mirrors: (1..entry.places()).map(|place| entry.candidate(0, place, Form::Shown)).collect(),
        pin: pin(&explanation.pinned),
        lock: explanation.locked.as_ref().map(|locked| match locked {
            Locked::Unpinned => "unpinned",
            Locked::Missing => "missing",
            Locked::File { .. } => "pinned",
        }),
        checksums: explanation.listed.as_ref().map(|listed| match listed {
            Listed::Unfetched => "unfetched",
            Listed::Checksums(_) => "listed",
            Listed::Unlisted => "unlisted",
            Listed::Ambiguous => "ambiguous",
            Listed::Unusable => "unusable",
        }),
        on_disk,
        size,
        modified,
        sha256,
        state: explanation.noted.file.as_ref().map(|record| state(record, looks_the_same)),
        missing_since: explanation.noted.missing_since.map(|since| since.to_string()),
        failed: explanation.noted.failed.as_ref().map(|failed| FailedObject {
            run: failed.run.to_string(),
            kind: &failed.kind,
            message: &failed.message,
        }),
        action,
        reason,
        obstacle,
    };
    write_line(console, &Line::Explanation(line));
}

fn pin(pinned: &Pinned) -> Option<PinObject> {
    let pin = pinned.pin()?;
    Some(PinObject {
        from: match pin.from {
            PinFrom::Manifest => "manifest",
            PinFrom::Lock => "lock",
            PinFrom::List => "list",
        },
        size: pin.size,
        checksums: pin.checksums.iter().map(ToString::to_string).collect(),
    })
}

fn state(record: &FileRecord, looks_the_same: bool) -> StateObject<'_> {
    StateObject {
        url: &record.url,
        served: &record.served,
        size: record.size,
        sha256: record.digests.sha256().to_string(),
        written: record.provenance.is_downloaded(),
        witnessed: record.provenance.is_witnessed(),
        checked: record.checked.map(|checked| checked.to_string()),
        etag: record.validators.etag.as_deref(),
        last_modified: record.validators.last_modified.as_deref(),
        looks_the_same,
    }
}
