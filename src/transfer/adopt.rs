//! Files that natsync did not write, and that may be what upstream has.

use hyper::HeaderMap;
use jiff::Timestamp;

use super::Run;
use super::ask::{Question, Refusal, Response, Verdict, ask, finish_body, place_for_get};
use super::dispatch::Slot;
use super::job::Job;
use super::publish::Message;
use super::receive::{Coming, receive_file};
use super::transfer::{Attempt, served};
use super::want::Want;
use crate::dest::Stat;
use crate::dest::state::{FileRecord, Note, Provenance};
use crate::digest::{Digest, Digests};
use crate::event::Outcome;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Conditions, Length, Method, http_date, upstream_validators};
use crate::manifest::entry::{Entry, Form};
use crate::rel_path::RelPath;

/// Asks about a file that natsync did not write. Its length and age decide; a 304 would prove
/// nothing here, since nothing is known of what the file is a copy of.
pub(super) async fn adopt<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    slot: Slot<'r>,
) -> Result<Attempt, Refusal> {
    let none = Conditions::default();
    let local = run.local(&entry.path());
    // A place that the job waited for may be at another origin than its own.
    let own = job.on_the_way.is_none().then_some(slot.lane);
    let slot = if job.goes_on_with(Method::Get) {
        Some(slot)
    } else {
        match ask(
            run,
            job,
            entry,
            slot,
            &Question::about(entry.source(), Method::Head, &none, Length::Unknown),
        )
        .await
        {
            Ok(mut response) => {
                finish_body(&mut response.slot, response.body).await;
                if let Verdict::Whole { length: Some(length) } = response.verdict
                    && let Some(local) = local
                    && could_be(&local, length, &response.headers)
                {
                    drop(response.slot);
                    adopted(run, job, entry, local, &response.headers).await;
                    return Ok(Attempt::Settled);
                }
                let own = own == Some(response.slot.lane);
                Some(response.slot).filter(|_| own).and_then(|slot| run.dispatch.once_more(slot))
            }
            // Who has enough of us is not asked once more at once.
            Err(Refusal::Failed { lane, failure, again, after })
                if matches!(failure.status, Some(429 | 503)) =>
            {
                return Err(Refusal::Failed { lane, failure, again, after });
            }
            // Servers lie about HEAD, or refuse it: GET decides.
            Err(Refusal::Failed { .. }) => None,
            Err(refusal) => return Err(refusal),
        }
    };
    let slot = match slot {
        Some(slot) => slot,
        None => place_for_get(run, job)?,
    };
    let response = ask(
        run,
        job,
        entry,
        slot,
        &Question::about(entry.source(), Method::Get, &none, want.length()),
    )
    .await?;
    match response.verdict {
        Verdict::Whole { length: Some(length) }
            if local.is_some_and(|local| could_be(&local, length, &response.headers)) =>
        {
            let Response { mut slot, headers, body, .. } = response;
            // The body is not read: its connection goes with it.
            slot.connection = None;
            drop((slot, body));
            if let Some(local) = local {
                adopted(run, job, entry, local, &headers).await;
            }
            Ok(Attempt::Settled)
        }
        Verdict::Whole { length } => {
            receive_file(run, job, entry, want, response, Coming::all(length), None).await
        }
        Verdict::Missing { status } => {
            let mut slot = response.slot;
            finish_body(&mut slot, response.body).await;
            Ok(Attempt::Missing { status })
        }
        // Neither was asked for.
        Verdict::NotModified | Verdict::Rest { .. } | Verdict::Restart => Ok(Attempt::Again),
    }
}

/// Whether a local file could be what upstream has: as long, and not older than it.
pub(super) fn could_be(local: &Stat, length: u64, headers: &HeaderMap) -> bool {
    let modified = upstream_validators(headers).last_modified;
    let not_older = modified
        .and_then(|date| http_date(&date))
        .is_some_and(|date| date <= local.modified.div_euclid(1_000_000_000));
    local.size == length && not_older
}

/// Takes a local file for what upstream has.
async fn adopted(run: &Run<'_>, job: &Job, entry: &Entry<'_>, local: Stat, headers: &HeaderMap) {
    let path = entry.path();
    match read_local(run, &path, local).await {
        Ok(digest) => {
            let now = Timestamp::now();
            let record = FileRecord {
                url: entry.url(Form::Shown),
                served: served(job, entry),
                size: local.size,
                stamp: local.stamp(),
                racy: local.is_racy(now),
                digests: Digests::new(digest, Vec::new()),
                provenance: Provenance::Adopted,
                checked: Some(now),
                changed: None,
                validators: upstream_validators(headers),
            };
            let path = path.as_str().to_owned();
            let outcome = Outcome::Unchanged { bytes: 0 };
            run.publish(Message::Note(
                Box::new(Note::File { path, record: Box::new(record) }),
                Some((job.entry, outcome, job.attempts)),
            ));
        }
        Err(failure) => run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts),
    }
}

/// Reads a local file that looked like this, away from the event loop: it may be long.
async fn read_local(run: &Run<'_>, path: &RelPath, local: Stat) -> Result<Digest, Failure> {
    let stop = run.work.stop.clone();
    let read = match run.dest().read(path) {
        Ok(file) => {
            tokio::task::spawn_blocking(move || Digest::of_reader(file, || !stop.is_requested()))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
        Err(error) => Err(error),
    };
    match read {
        Ok((digest, _)) if run.local(path) == Some(local) => Ok(digest),
        Ok(_) => Err(Failure::new(ErrorKind::Io, "the local file changed while it was read")),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
            Err(Failure::new(ErrorKind::Interrupted, "interrupted"))
        }
        Err(error) => Err(Failure::disk("read the local file", &error)),
    }
}
