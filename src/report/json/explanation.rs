//! Fills the JSON object of `explain`.

use super::objects::{ExplanationLine, FailedObject, Line, PinObject, StateObject};
use super::write::write_line;
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, Form};
use crate::ops::{Explanation, FileRecord, Listed, Locked};
use crate::pin::{PinFrom, Pinned};
use crate::plan::{Found, OnDisk, Step};
use crate::report::console::Console;

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
        url: record.url.shown(),
        served: record.served.shown(),
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
