//! Local files that natsync did not write, and that may be current.

use super::files::Fetch;
use crate::dest::Stat;
use crate::dest::state::{FileRecord, Note, Provenance};
use crate::digest::{Digest, Digests};
use crate::event::Outcome;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Content, Headers, Length, Method, http_date};
use crate::pin::Validators;
use crate::plan::{Action, Decision, Step};
use crate::rel_path::RelPath;
use crate::transfer::ask::{Question, finish_body};
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
    /// Asks by HEAD whether a file that natsync did not write could be what upstream has. A
    /// conditional request would prove nothing, since the origin of the local file is unknown.
    pub(super) async fn look<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let none = Validators::default();
        let source = attempt.entry.source();
        let question = Question::about(source, Method::Head, &none, Length::Unknown);
        let mut response = attempt.ask(slot, &question).await?;
        finish_body(&mut response.slot, response.body).await;
        drop(response.slot);
        if let Content::Whole { length } = response.content {
            attempt.job.learned.gets = true;
            if let Some(local) = self.local(&attempt.entry.path())
                && self.could_be(attempt, &local, length, &response.headers)
            {
                self.adopted(attempt, local, &response.headers).await;
                return Ok(Ended::Settled);
            }
        }
        Ok(Ended::Further)
    }

    /// Whether the local file may be taken for a copy of the remote one.
    pub(super) fn may_adopt(&self, attempt: &Attempt<'_, '_, '_>) -> bool {
        let step = self.files.plan.step(attempt.job.entry);
        matches!(step, Step::Do(Decision { action: Action::Revalidate, .. }))
            && !attempt.job.outdated
            && attempt.want.adopts()
    }

    /// Whether a local file could be what a response describes, and is what the manifest expects.
    pub(super) fn could_be(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        local: &Stat,
        length: Option<u64>,
        headers: &Headers,
    ) -> bool {
        length.is_some_and(|length| could_be(local, length, headers))
            && self.is_expected(attempt, local, headers, false)
    }

    /// Takes a local file for a copy of the remote one.
    pub(super) async fn adopted(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        local: Stat,
        headers: &Headers,
    ) {
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
            Err(failure) => run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts()),
        }
    }

    /// The digest of a local file, provided that it does not change meanwhile. Reading may take
    /// long, so it does not run on the event loop.
    pub(super) async fn read_local(
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
