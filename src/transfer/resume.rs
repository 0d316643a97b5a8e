//! Going on where an earlier attempt, or an earlier run, stopped.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::DATE;

use super::Run;
use super::job::Job;
use super::transfer::served;
use super::want::Want;
use crate::dest::{Begun, PartNote};
use crate::http::{EDGE, Here, Range, http_date, single, upstream_validators};
use crate::manifest::entry::Entry;

/// So many beginnings of files are held open at a time; each costs a descriptor. Further ones are given
/// up.
const MOST: usize = 256;
/// `Last-Modified` proves that two answers are about the same bytes only where the file had been at rest
/// for so long when the first was made, in seconds.
const REST: i64 = 60;

/// The beginning of a file, kept for the next attempt.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) begun: Begun,
    _place: Arc<()>,
}

/// The places for beginnings.
#[derive(Debug, Default)]
pub(super) struct Places(Arc<()>);

impl Places {
    /// Holds a beginning until the next attempt, if there is a place for it.
    pub(super) fn keep(&self, begun: Begun) -> Option<Box<Kept>> {
        let place = Arc::clone(&self.0);
        if MOST + 1 < Arc::strong_count(&place) {
            begun.staged.discard();
            return None;
        }
        Some(Box::new(Kept { begun, _place: place }))
    }
}

/// What the beginning of a file is to be noted as. None where nothing could prove later that the rest
/// is that of the same file.
pub(super) fn note(
    served: &str,
    entry: &Entry<'_>,
    want: &Want,
    headers: &HeaderMap,
    total: Option<u64>,
) -> Option<PartNote> {
    let mut validators = upstream_validators(headers);
    // A weak tag is one that other bytes may have, too (RFC 9110, section 8.8.1).
    validators.etag.take_if(|tag| tag.starts_with("W/"));
    let note = PartNote {
        path: entry.path().as_str().to_owned(),
        url: served.to_owned(),
        pin: want.digests(),
        dated: was_at_rest(headers, validators.last_modified.as_deref()),
        validators,
        total,
    };
    (want.is_pinned() || note.validator().is_some()).then_some(note)
}

fn was_at_rest(headers: &HeaderMap, last_modified: Option<&str>) -> bool {
    let modified = last_modified.and_then(http_date);
    let date = single(headers, &DATE).and_then(http_date);
    modified.zip(date).is_some_and(|(modified, date)| REST <= date.saturating_sub(modified))
}

/// Takes up what an earlier run left of the entry, if it is of any use here.
pub(super) async fn take_up(run: &Run<'_>, job: &mut Job, entry: &Entry<'_>, want: &Want) {
    if job.kept.is_some() || job.anew {
        return;
    }
    let Some(parts) = run.work.parts.filter(|parts| !parts.is_empty()) else { return };
    let path = entry.path();
    let served = served(job, entry);
    let is_of_use = |note: &PartNote| {
        note.url == served
            && note.pin == want.digests()
            && (want.is_pinned() || note.validator().is_some())
    };
    let Some(part) = parts.take(path.as_str(), is_of_use) else { return };
    // Of a whole file that nothing proves, the last byte is asked for again: the answer proves it.
    let upto = match part.note().total {
        Some(total) if !want.is_pinned() => total.saturating_sub(1),
        _ => u64::MAX,
    };
    let Ok(found) = run.dest().take_up(&part) else { return };
    let (algorithms, stop) = (want.algorithms(), run.work.stop.clone());
    // It may be long: not on the event loop.
    let read = move || found.read(algorithms, EDGE, upto, || !stop.is_requested());
    let read = tokio::task::spawn_blocking(read).await;
    if let Ok(Some(begun)) =
        read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    {
        job.kept = run.places.keep(begun);
    }
}

/// How the rest of a kept beginning is asked for.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) range: Range,
    note: PartNote,
    pinned: bool,
}

impl Rest {
    /// None where nothing is kept.
    pub(super) fn of(job: &Job, want: &Want) -> Option<Self> {
        let staged = &job.kept.as_ref()?.begun.staged;
        let note = staged.note()?.clone();
        let validator = note.validator().map(str::to_owned);
        let range = Range { from: staged.length(), upto: None, validator };
        Some(Self { range, note, pinned: want.is_pinned() })
    }

    /// What the answer must go together with.
    pub(super) fn here(&self) -> Here<'_> {
        Here {
            length: self.range.from,
            upto: None,
            total: self.note.total,
            etag: self.note.validators.etag.as_deref(),
            last_modified: self.note.validators.last_modified.as_deref(),
            pinned: self.pinned,
        }
    }
}
