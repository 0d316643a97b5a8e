//! Receiving a file: the body to the staging area, the proof, and on its way to its place.

use std::sync::atomic::Ordering;

use hyper::HeaderMap;
use jiff::Timestamp;

use super::Run;
use super::ask::{Refusal, Response};
use super::content::check_content;
use super::job::Job;
use super::publish::{Message, Parcel};
use super::resume;
use super::segments::{self, File};
use super::transfer::{Attempt, served};
use super::want::Want;
use crate::dest::state::{FileRecord, Note, Provenance};
use crate::dest::{Begun, PartNote, Proven, Small, Stat};
use crate::digest::Digest;
use crate::event::{Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    BodyRules, EDGE, Receiver as _, Sink, Whole, http_date, is_html, is_transient, receive,
    upstream_validators,
};
use crate::manifest::entry::{Entry, Form};
use crate::pin::Validators;
use crate::plan::{Action, Step};

/// Puts in place what an earlier run received whole and came no further with.
pub(super) fn publish_kept(
    run: &Run<'_>,
    job: &Job,
    entry: &Entry<'_>,
    want: &Want,
    lane: usize,
    begun: Begun,
    held: Option<&FileRecord>,
) -> Result<Attempt, Refusal> {
    let Begun { staged, beginning, end } = begun;
    let failed = |failure| Refusal::Failed { lane, failure, again: false, after: None };
    let note = staged.note().cloned().unwrap_or_default();
    let nothing = HeaderMap::new();
    let proof = want.proof(&nothing, None);
    let bytes = staged.length();
    let modified = note.validators.last_modified.as_deref().and_then(http_date);
    let verified = staged
        .verify(&proof.checksums(), modified)
        .map_err(|error| failed(proof.explain(error, bytes, is_html(&beginning))))?;
    check_content(entry, want, &nothing, &beginning, &end).map_err(failed)?;
    let PartNote { url: served, validators, .. } = note;
    settle_file(run, job, entry, Proven::Staged(verified), served, validators, held);
    Ok(Attempt::Settled)
}

/// What is coming, and what is here of it.
pub(super) struct Coming {
    /// The length of the whole, where it is known.
    pub(super) total: Option<u64>,
    pub(super) begun: Option<Begun>,
}

impl Coming {
    pub(super) fn all(total: Option<u64>) -> Self {
        Self { total, begun: None }
    }
}

/// Receives the body and sends it on its way to its place.
pub(super) async fn receive_file<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    response: Response<'r>,
    coming: Coming,
    held: Option<&FileRecord>,
) -> Result<Attempt, Refusal> {
    let Response { mut slot, headers, body, .. } = response;
    let Coming { total, begun } = coming;
    let lane = slot.lane;
    let origin = job.target.origin.to_string();
    let failed = |failure: Failure| {
        let again = is_transient(failure.kind);
        Refusal::Failed { lane, failure: failure.at_origin(&origin), again, after: None }
    };
    let here = begun.as_ref().map_or(0, |begun| begun.staged.length());
    if let Some(total) = total {
        run.ledger.tell(Event::Sized { entry: job.entry, size: total - here });
        // Who announces more than there is room for says nothing of other files.
        check_space(run, total - here).map_err(failed)?;
    }
    let failed = |failure: Failure| {
        if failure.kind == ErrorKind::NoSpace {
            run.full.store(true, Ordering::Release);
        }
        failed(failure)
    };
    let http = run.settings(job);
    let rules = BodyRules {
        length: total,
        expect: &entry.source().expect,
        known: want.length(),
        stall: http.stall_timeout,
        min_rate: http.min_rate,
    };
    let Some(mut connection) = slot.connection.take() else {
        return Err(failed(Failure::new(ErrorKind::Connect, "the connection was lost")));
    };
    let paces = run.paces(entry.source_index());
    let progress = |bytes| run.ledger.tell(Event::Received { entry: job.entry, bytes });
    let served = served(job, entry);
    let proof = want.proof(&headers, begun.as_ref().map(|begun| &begun.staged));
    let algorithms = proof.algorithms();
    let stage = Box::new(move || run.dest().stage(algorithms));
    let mut sink = match begun {
        Some(begun) => Sink::resume(begun, stage),
        None => {
            let note = || resume::note(&served, entry, want, &headers, total);
            Sink::new(total, stage, Box::new(note))
        }
    };
    let segmented = total
        .filter(|total| {
            1 < http.segments
                && !job.whole
                && http.segment_min_size <= total - here
                && segments::are_allowed(&headers, 0 < here)
        })
        .and_then(|total| Some((total, sink.note()?.clone())));
    let received = match &segmented {
        None => receive(&mut connection, body, &rules, &paces, &mut sink, progress).await,
        Some((total, note)) => {
            let (job, rules, paces) = (&*job, &rules, &paces[..]);
            let file = File { run, job, entry, want, note, total: *total, rules, paces };
            Box::pin(segments::receive_all(&file, &mut connection, body, &mut sink, progress)).await
        }
    };
    if let Err(failure) = received {
        // Who does not send ranges as they were asked for is not asked for them again.
        job.whole |= segmented.is_some() && failure.kind == ErrorKind::Protocol;
        keep(run, job, sink, &failure);
        return Err(failed(failure));
    }
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    let received = sink.received() - here;
    run.dispatch.succeeded(lane, received);
    drop(slot);
    // Others ask first, so that the server has something to do while this file is put away.
    tokio::task::yield_now().await;
    let whole = sink.finish().map_err(|error| failed(Failure::disk("write the file", &error)))?;
    let validators = upstream_validators(&headers);
    let modified = validators.last_modified.as_deref().and_then(http_date);
    let expected = proof.checksums();
    let explain = |error, bytes, html| failed(proof.explain(error, bytes, html));
    let check = |beginning: &[u8], end: &[u8]| {
        check_content(entry, want, &headers, beginning, end).map_err(failed)
    };
    let proven = match whole {
        Whole::Small(bytes) => {
            let (length, edge) = (bytes.len(), bytes.len().min(EDGE));
            let html = is_html(&bytes[..edge]);
            let small = Small::prove(bytes, algorithms, &expected, modified)
                .map_err(|error| explain(error, length as u64, html))?;
            check(&small.bytes()[..edge], &small.bytes()[length - edge..])?;
            Proven::Small(small)
        }
        Whole::Staged(begun) => {
            let Begun { staged, beginning, end } = *begun;
            let length = staged.length();
            let verified = staged
                .verify(&expected, modified)
                .map_err(|error| explain(error, length, is_html(&beginning)))?;
            check(&beginning, &end)?;
            Proven::Staged(verified)
        }
    };
    settle_file(run, job, entry, proven, served, validators, held);
    Ok(Attempt::Settled)
}

/// Less than this is written without a look at the room that is left.
const LARGE: u64 = 1024 * 1024;

/// What cannot fit is not begun.
fn check_space(run: &Run<'_>, bytes: u64) -> Result<(), Failure> {
    if bytes < LARGE {
        return Ok(());
    }
    match run.dest().free_space() {
        Some(free) if free < bytes => {
            let message = format!("{bytes} bytes are to come, and the disk has room for {free}");
            Err(Failure::new(ErrorKind::NoSpace, message))
        }
        _ => Ok(()),
    }
}

/// From so many bytes on that no attempt had brought before, one that failed is not counted.
const PROGRESS: u64 = 1024 * 1024;

/// Keeps what arrived for the next attempt, where what came so far can be believed.
fn keep(run: &Run<'_>, job: &mut Job, sink: Sink<'_>, failure: &Failure) {
    use ErrorKind::{Connect, Stalled, Timeout, Truncated};
    if !matches!(failure.kind, Connect | Stalled | Timeout | Truncated) {
        return sink.discard();
    }
    let Some(begun) = sink.keep() else { return };
    if job.reached + PROGRESS <= begun.staged.length() {
        job.reached = begun.staged.length();
        job.tries = 0;
    }
    job.kept = run.places.keep(begun);
}

/// Sends a proven file on its way to its place, or leaves the one that is there, if it is the same.
fn settle_file(
    run: &Run<'_>,
    job: &Job,
    entry: &Entry<'_>,
    proven: Proven,
    served: String,
    validators: Validators,
    held: Option<&FileRecord>,
) {
    let path = entry.path();
    let bytes = proven.length();
    let (replaces, asks) = match run.work.plan.step(job.entry) {
        Step::Do(decision) => {
            (decision.action != Action::Fetch, decision.action == Action::Revalidate)
        }
        _ => (true, false),
    };
    let same = match held {
        Some(held) => held.digests.sha256() == proven.digests().sha256(),
        // Of a file that natsync did not write, only reading it tells.
        None => asks && run.local(&path).is_some_and(|local| local.size == bytes),
    };
    // What is recorded must be what is there now, not what was there when the run began.
    let still = |_: &Stat| {
        let read = run.dest().read(&path).and_then(|file| Digest::of_reader(file, || true));
        read.is_ok_and(|(digest, _)| digest == proven.digests().sha256())
    };
    if same && let Some(stat) = run.local(&path).filter(still) {
        // The server could not tell, but the bytes do: the file stays as it is.
        let now = Timestamp::now();
        let is_own = held.is_some_and(|held| held.provenance.is_downloaded());
        let record = FileRecord {
            url: entry.url(Form::Shown),
            served,
            size: stat.size,
            stamp: stat.stamp(),
            racy: stat.is_racy(now),
            digests: proven.digests().clone(),
            provenance: if is_own { Provenance::Downloaded } else { Provenance::Confirmed },
            checked: Some(now),
            changed: None,
            validators,
        };
        let path = path.as_str().to_owned();
        let outcome = Outcome::Unchanged { bytes };
        return run.publish(Message::Note(
            Box::new(Note::File { path, record: Box::new(record) }),
            Some((job.entry, outcome, job.attempts)),
        ));
    }
    let parcel = Parcel {
        entry: job.entry,
        path,
        replaces,
        attempts: job.attempts,
        url: entry.url(Form::Shown),
        served,
        validators,
    };
    run.publish(Message::Publish(Box::new(parcel), proven));
}
