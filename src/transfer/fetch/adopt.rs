//! Local files that natsync did not write, and that may be current.

use super::files::Fetch;
use super::receive::Coming;
use crate::dest::Stat;
use crate::dest::state::{FileRecord, Note, Provenance};
use crate::digest::{Digest, Digests};
use crate::event::Outcome;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Content, Headers, Length, Method, http_date};
use crate::pin::Validators;
use crate::rel_path::RelPath;
use crate::transfer::ask::{Question, Response, finish_body};
use crate::transfer::attempt::{Attempt, Ended, Refusal};
use crate::transfer::run::Run;
use crate::transfer::slot::Slot;

/// Whether a local file could be a copy of a remote one: as long, and not older.
pub(in crate::transfer) fn could_be(local: &Stat, length: u64, headers: &Headers) -> bool {
    let modified = headers.validators().last_modified;
    let not_older = modified
        .and_then(|date| http_date(&date))
        .is_some_and(|date| date <= local.modified.div_euclid(1_000_000_000));
    local.size == length && not_older
}

impl Fetch<'_> {
    /// Decides about a file that natsync did not write by its length and age. A conditional request
    /// would prove nothing, since the origin of the local file is unknown.
    pub(super) async fn adopt<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let none = Validators::default();
        let (run, source) = (attempt.run, attempt.entry.source());
        let local = self.local(&attempt.entry.path());
        // A job that waited may hold a place at another origin than its own.
        let own = attempt.job.on_the_way.is_none().then_some(slot.lane);
        let slot = if attempt.job.goes_on_with(Method::Get) {
            Some(slot)
        } else {
            let question = Question::about(source, Method::Head, &none, Length::Unknown);
            match attempt.ask(slot, &question).await {
                Ok(mut response) => {
                    finish_body(&mut response.slot, response.body).await;
                    if let Content::Whole { length: Some(length) } = response.content
                        && let Some(local) = local
                        && could_be(&local, length, &response.headers)
                    {
                        drop(response.slot);
                        self.adopted(attempt, local, &response.headers).await;
                        return Ok(Ended::Settled);
                    }
                    let own = own == Some(response.slot.lane);
                    Some(response.slot)
                        .filter(|_| own)
                        .and_then(|slot| run.dispatch.once_more(slot))
                }
                // An overloaded server gets no second request at once.
                Err(Refusal::Failed { lane, failure, again, after })
                    if matches!(failure.status, Some(429 | 503)) =>
                {
                    return Err(Refusal::Failed { lane, failure, again, after });
                }
                // Servers answer HEAD wrongly, or refuse it: GET decides.
                Err(Refusal::Failed { .. }) => None,
                Err(refusal) => return Err(refusal),
            }
        };
        let slot = match slot {
            Some(slot) => slot,
            None => attempt.place_for_get()?,
        };
        let question = Question::about(source, Method::Get, &none, attempt.want.length());
        let response = attempt.ask(slot, &question).await?;
        match response.content {
            Content::Whole { length: Some(length) }
                if local.is_some_and(|local| could_be(&local, length, &response.headers)) =>
            {
                let Response { mut slot, headers, body, .. } = response;
                // Its body is not read, so the connection cannot be used again.
                slot.connection = None;
                drop((slot, body));
                if let Some(local) = local {
                    self.adopted(attempt, local, &headers).await;
                }
                Ok(Ended::Settled)
            }
            Content::Whole { length } => {
                self.receive_file(attempt, response, Coming::all(length), None).await
            }
            Content::Missing { status } => {
                let mut slot = response.slot;
                finish_body(&mut slot, response.body).await;
                Ok(Ended::Missing { status })
            }
            // The request had neither conditions nor a range.
            Content::NotModified | Content::Rest { .. } | Content::Restart => Ok(Ended::Again),
        }
    }

    /// Takes a local file for a copy of the remote one.
    async fn adopted(&self, attempt: &Attempt<'_, '_, '_>, local: Stat, headers: &Headers) {
        let (run, job, path) = (attempt.run, &*attempt.job, attempt.entry.path());
        // The caller gave its place back, and the read may take long: another worker can use it.
        run.dispatch.wake();
        match self.read_local(run, &path, local).await {
            Ok(digest) => {
                let (now, key) = (run.work.clock.timestamp(), self.files.state.key());
                let record = Box::new(FileRecord {
                    url: attempt.entry.kept_at(0, 0, key),
                    served: attempt.served(key),
                    size: local.size,
                    stamp: local.stamp(),
                    racy: local.is_racy(now),
                    digests: Digests::new(digest, Vec::new()),
                    provenance: Provenance::Adopted,
                    checked: Some(now),
                    changed: None,
                    validators: headers.validators(),
                });
                let path = path.as_str().to_owned();
                self.record(job, Note::File { path, record }, Outcome::Unchanged);
            }
            Err(failure) => run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts),
        }
    }

    /// The digest of a local file, provided that it does not change meanwhile. Reading may take
    /// long, so it does not run on the event loop.
    async fn read_local(
        &self,
        run: &Run<'_>,
        path: &RelPath,
        local: Stat,
    ) -> Result<Digest, Failure> {
        let stop = run.work.stop.clone();
        let read = match self.files.dest.read(path) {
            Ok(file) => tokio::task::spawn_blocking(move || {
                Digest::of_reader(file, || !stop.is_requested())
            })
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
            Err(error) => Err(error),
        };
        match read {
            Ok((digest, _)) if self.local(path) == Some(local) => Ok(digest),
            Ok(_) => Err(Failure::new(ErrorKind::Io, "the local file changed while it was read")),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                Err(Failure::new(ErrorKind::Interrupted, "interrupted"))
            }
            Err(error) => Err(Failure::disk("read the local file", &error)),
        }
    }
}
