//! Getting files: conditional requests, resumed transfers, segments, adopted files, and the proof.

mod adopt;
mod answer;
mod content;
mod files;
mod get;
mod receive;
mod resume;
mod segments;

use std::collections::HashSet;

pub(super) use adopt::could_be;
pub(super) use content::is_expected;
pub(super) use files::Fetch;
pub(crate) use files::{Disputed, Files};
pub(super) use get::conditions;
pub(super) use receive::unproven;

use super::ask::{Question, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::job::Job;
use super::missing::Missing;
use super::planned::{self, Planned};
use super::publish::Publisher;
use super::run::Run;
use super::slot::Slot;
use super::want::Want;
use crate::dest::state::Note;
use crate::event::{Event, Outcome, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Content, Length, Method};
use crate::manifest::entry::{Entry, EntryIndex};
use crate::pin::Validators;
use crate::plan::{Action, Decision, Step};
use crate::threads::{into_inner, lock};

impl Errand for Fetch<'_> {
    async fn attempt<'r>(
        &self,
        run: &'r Run<'_>,
        job: &mut Job,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        run.ledger.tell(Event::Started { entry: job.entry });
        let (entry, lane) = (run.entry(job.entry), slot.lane);
        let want = match job.want.take() {
            Some(want) => want,
            None => Want::of(run.work.pins, &entry)
                .map_err(|failure| Refusal::lasting(lane, failure))?,
        };
        let mut attempt = Attempt { run, entry, want: &want, job };
        let ended = self.begin(&mut attempt, slot).await;
        job.want = Some(want);
        ended
    }

    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate {
        planned::missing(self, run, job, status)
    }

    fn failed(&self, run: &Run<'_>, job: Job, failure: Failure) -> Fate {
        let (job, failure) = match planned::elsewhere(run, job, failure) {
            Ok(fate) => return fate,
            Err(failed) => failed,
        };
        let (entry, attempts) = (job.entry, job.attempts());
        if self.is_disputed(run, entry, &failure) {
            let received = run.ledger.received(entry);
            lock(&self.disputed).push(Disputed { entry, failure, attempts, received });
        } else {
            self.give_up(run, entry, failure, attempts);
        }
        Fate::Done
    }

    fn give_up(&self, run: &Run<'_>, entry: EntryIndex, failure: Failure, attempts: u32) {
        run.fail(entry, failure, attempts);
    }

    fn conclude(&self, run: &Run<'_>) {
        planned::conclude(self, run);
    }

    fn publisher(&self) -> Option<&Publisher<'_>> {
        Some(&self.publisher)
    }
}

impl Planned for Fetch<'_> {
    fn tally(&self) -> &Missing {
        &self.tally
    }

    fn absent(&self, run: &Run<'_>, entry: &Entry<'_>, attempts: u32) {
        let note = Note::Missing {
            path: entry.path().as_str().to_owned(),
            url: entry.kept_at(0, 0, self.files.state.key()),
            since: run.work.clock.timestamp(),
        };
        let finished = Some((entry.index(), Outcome::Absent, attempts));
        self.publisher.put(super::publish::Message::Note(Box::new(note), finished));
    }
}

impl Fetch<'_> {
    /// Makes the request that the plan and the local file ask for.
    async fn begin<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let want = attempt.want;
        if want.is_unvouched() {
            return self.refuse(attempt, slot).await;
        }
        let step = self.files.plan.step(attempt.job.entry);
        let revalidates = matches!(step, Step::Do(Decision { action: Action::Revalidate, .. }));
        let entry = attempt.entry;
        let none = Validators::default();
        let ended = if revalidates && !attempt.job.outdated {
            match self.held(&entry.path()).filter(|held| want.believes(held)) {
                Some(held) => {
                    let conditions = conditions(&held, &attempt.identity());
                    self.get(attempt, slot, &conditions, Some(held)).await
                }
                None if want.adopts() && !attempt.job.learned.gets => {
                    self.look(attempt, slot).await
                }
                None => self.get(attempt, slot, &none, None).await,
            }
        } else {
            self.get(attempt, slot, &none, None).await
        };
        ended.map_err(|refusal| {
            refusal.map(|_, failure| match failure.kind {
                ErrorKind::ChecksumMismatch => {
                    want.advise(failure, &entry.path(), attempt.run.work.manifest.file())
                }
                _ => failure,
            })
        })
    }

    /// Finds out whether upstream has a file whose sidecar does not exist: it may be missing, but
    /// it must not be fetched.
    async fn refuse<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let none = Validators::default();
        let source = attempt.entry.source();
        let method = if attempt.job.learned.gets { Method::Get } else { Method::Head };
        let question = Question::about(source, method, &none, Length::Unknown);
        let mut response = attempt.ask(slot, &question).await?;
        finish_body(&mut response.slot, response.body).await;
        let lane = response.slot.lane;
        attempt.run.dispatch.succeeded(lane, 0);
        match response.content {
            Content::Missing { status } => return Ok(Ended::Missing { status }),
            Content::Whole { .. } => {}
            _ => return Ok(Ended::Further),
        }
        let failure = Failure::new(ErrorKind::Unlisted, "its sidecar does not exist")
            .with_hint("`checksums: {optional: true}` allows files without a digest");
        Err(Refusal::lasting(lane, failure))
    }

    /// Whether a checksum list contradicts the bytes, and may be fetched again.
    fn is_disputed(&self, run: &Run<'_>, entry: EntryIndex, failure: &Failure) -> bool {
        self.files.disputing
            && failure.kind == ErrorKind::ChecksumMismatch
            && run.entries.get(entry).is_some_and(|entry| run.work.pins.is_listed(&entry))
    }

    /// Reports the entries that an early end left untried.
    pub(super) fn skip_rest(&self, run: &Run<'_>, reporter: &mut dyn Reporter) {
        if !(run.work.stop.is_requested() || run.halted.is_requested()) {
            return;
        }
        let disputed: HashSet<_> =
            lock(&self.disputed).iter().map(|disputed| disputed.entry).collect();
        for (index, step) in self.files.plan.steps() {
            let wanted = matches!(step, Step::Do(decision) if decision.action.asks_upstream());
            if wanted && !run.ledger.is_finished(index) && !disputed.contains(&index) {
                let outcome = Outcome::Skipped;
                reporter.event(&Event::Finished {
                    entry: index,
                    outcome,
                    attempts: 0,
                    received: 0,
                });
            }
        }
    }

    /// The entries that were left open.
    pub(super) fn into_disputed(self) -> Vec<Disputed> {
        into_inner(self.disputed)
    }
}
