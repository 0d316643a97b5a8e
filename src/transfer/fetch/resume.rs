//! Resuming: the rest of a file that an earlier attempt or run received in part.

use super::files::Fetch;
use crate::dest::PartNote;
use crate::failure::ErrorKind;
use crate::http::{Headers, Here, Range, http_date};
use crate::manifest::entry::Entry;
use crate::manifest::{EDGE, IdentityKey};
use crate::pin::Validators;
use crate::transfer::attempt::Attempt;
use crate::transfer::job::Job;
use crate::transfer::want::Want;

/// `Last-Modified` identifies the bytes only if the file had been unchanged for this many seconds
/// when the first response was made (RFC 9110, section 8.8.2.2).
const REST: i64 = 60;

/// The note that identifies an incomplete file, which came from one of the places of an entry. None
/// if nothing could prove later that the rest belongs to it.
pub(super) fn note(
    owner: i64,
    entry: &Entry<'_>,
    (name, place): (usize, usize),
    want: &Want,
    headers: &Headers,
    total: Option<u64>,
) -> Option<PartNote> {
    let sent = headers.validators();
    let etag = sent.strong_etag().map(str::to_owned);
    let validators = Validators { etag, ..sent };
    let note = PartNote {
        owner,
        path: entry.path().as_str().to_owned(),
        url: entry.kept_at(name, place, &IdentityKey::random()),
        pin: want.digests(),
        dated: was_at_rest(headers, validators.last_modified.as_deref()),
        validators,
        total,
    };
    (want.is_pinned() || note.validator().is_some()).then_some(note)
}

/// Whether the bytes before a failure of that kind are those of the file, so that only the rest is
/// requested.
pub(super) fn leaves_bytes(kind: ErrorKind) -> bool {
    use ErrorKind::{Connect, Stalled, Timeout, Truncated};
    matches!(kind, Connect | Stalled | Timeout | Truncated)
}

fn was_at_rest(headers: &Headers, last_modified: Option<&str>) -> bool {
    let modified = last_modified.and_then(http_date);
    modified
        .zip(headers.date())
        .is_some_and(|(modified, date)| REST <= date.saturating_sub(modified))
}

impl Fetch<'_> {
    /// Opens the incomplete file that an earlier run left of the entry, if it can be completed.
    pub(super) async fn take_up(&self, attempt: &mut Attempt<'_, '_, '_>) {
        if attempt.job.kept.is_some() || attempt.job.anew {
            return;
        }
        let Some(parts) = self.files.parts.filter(|parts| !parts.is_empty()) else { return };
        let (want, served) = (attempt.want, attempt.identity());
        let can_be_completed = |note: &PartNote| {
            note.url.is(&served)
                && note.pin == want.digests()
                && (want.is_pinned() || note.validator().is_some())
        };
        let path = attempt.entry.path();
        let Some(part) = parts.take(path.as_str(), can_be_completed) else { return };
        // Without a pin, the last byte of a complete file is requested again: the response proves
        // it.
        let upto = match part.note().total {
            Some(total) if !want.is_pinned() => total.saturating_sub(1),
            _ => u64::MAX,
        };
        let Ok(found) = self.files.dest.take_up(&part) else { return };
        let (algorithms, stop) = (want.algorithms(), attempt.run.work.stop.clone());
        // Reading may take long, so it does not run on the event loop.
        let read = move || found.read(algorithms, EDGE, upto, || !stop.is_requested());
        let read = tokio::task::spawn_blocking(read).await;
        if let Ok(Some(begun)) =
            read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        {
            attempt.job.kept = self.shelf.keep(begun);
        }
    }
}

/// A request for the rest of an incomplete file.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) range: Range,
    note: PartNote,
    pinned: bool,
}

impl Rest {
    /// None if no bytes were received before.
    pub(super) fn of(job: &Job, want: &Want) -> Option<Self> {
        let staged = &job.kept.as_ref()?.begun.staged;
        let note = staged.note()?.clone();
        let validator = note.validator().map(str::to_owned);
        let range = Range { from: staged.length(), upto: None, validator };
        Some(Self { range, note, pinned: want.is_pinned() })
    }

    /// What the response has to fit.
    pub(super) fn here(&self) -> Here<'_> {
        Here {
            length: self.range.from,
            upto: None,
            total: self.note.total,
            validators: &self.note.validators,
            pinned: self.pinned,
        }
    }
}
