//! Learning about entries without getting them (`plan --refresh`).

use std::sync::Mutex;

use super::ask::{Question, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::fetch::{conditions, could_be, is_expected};
use super::job::Job;
use super::missing::Missing;
use super::planned::{self, Planned};
use super::run::{Run, Work};
use super::slot::Slot;
use super::want::Want;
use crate::dest::state::State;
use crate::dest::{Dest, Stat};
use crate::failure::Failure;
use crate::http::{Content, Length, Method, contradict};
use crate::manifest::entry::{Entry, EntryIndex};
use crate::pin::Validators;
use crate::plan::{Action, Decision, Plan, Reason, Step};
use crate::threads::{into_inner, lock};

/// The entries to learn about, and what is known of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Questions<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) dest: Option<&'a Dest>,
    pub(crate) state: Option<&'a State>,
}

/// What upstream told about an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Probed {
    /// The decision with that knowledge.
    pub(crate) decision: Decision,
    /// Its length in bytes, if it was declared.
    pub(crate) size: Option<u64>,
}

/// What one request told.
enum Answer {
    Probed(Probed),
    Missing { status: u16 },
    Unclear,
}

/// Learns about entries.
pub(super) struct Probe<'w> {
    questions: Questions<'w>,
    tally: Missing,
    probed: Mutex<Vec<(EntryIndex, Probed)>>,
}

impl<'w> Probe<'w> {
    pub(super) fn new(work: &Work<'w>, questions: Questions<'w>) -> Self {
        let tally = planned::tally(work, questions.plan);
        Self { questions, tally, probed: Mutex::default() }
    }

    pub(super) fn into_probed(self) -> Vec<(EntryIndex, Probed)> {
        into_inner(self.probed)
    }

    fn add(&self, entry: EntryIndex, probed: Probed) {
        lock(&self.probed).push((entry, probed));
    }
}

impl Errand for Probe<'_> {
    async fn attempt<'r>(
        &self,
        run: &'r Run<'_>,
        job: &mut Job,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let (entry, lane) = (run.entry(job.entry), slot.lane);
        let want = match job.want.take() {
            Some(want) => want,
            None => Want::of(run.work.pins, &entry)
                .map_err(|failure| Refusal::lasting(lane, failure))?,
        };
        let mut attempt = Attempt { run, entry, want: &want, job };
        let looked = self.look(&mut attempt, slot).await;
        job.want = Some(want);
        Ok(match looked? {
            Answer::Probed(probed) => {
                self.add(job.entry, probed);
                Ended::Settled
            }
            Answer::Missing { status } => Ended::Missing { status },
            Answer::Unclear => Ended::Further,
        })
    }

    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate {
        planned::missing(self, run, job, status)
    }

    fn failed(&self, run: &Run<'_>, job: Job, failure: Failure) -> Fate {
        planned::elsewhere(run, job, failure).unwrap_or_else(|(job, failure)| {
            self.give_up(run, job.entry, failure, job.attempts());
            Fate::Done
        })
    }

    fn give_up(&self, run: &Run<'_>, entry: EntryIndex, failure: Failure, attempts: u32) {
        run.fail(entry, failure, attempts);
    }

    fn conclude(&self, run: &Run<'_>) {
        planned::conclude(self, run);
    }
}

impl Planned for Probe<'_> {
    fn tally(&self) -> &Missing {
        &self.tally
    }

    fn absent(&self, _: &Run<'_>, entry: &Entry<'_>, _: u32) {
        let decision = Decision::new(Action::Absent, Reason::MissingUpstream);
        self.add(entry.index(), Probed { decision, size: None });
    }
}

impl Probe<'_> {
    /// Asks upstream about an entry: by HEAD, by a GET where that is refused, and by a plain GET where
    /// that is refused, too. At most a small body is read, to keep the connection.
    async fn look<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Answer, Refusal> {
        let Questions { plan, dest, state } = self.questions;
        let Step::Do(planned) = plan.step(attempt.job.entry) else {
            return Ok(Answer::Missing { status: 404 });
        };
        let path = attempt.entry.path();
        let held = state.filter(|_| planned.action == Action::Revalidate);
        let held = held.and_then(|state| state.answered(path.as_str()));
        let known = held.is_some();
        let is_witnessed = held.as_ref().is_some_and(|held| held.provenance.is_witnessed());
        let validators =
            held.map_or_else(Validators::default, |held| conditions(&held, &attempt.identity()));
        let (gets, plain) = (attempt.job.learned.gets, attempt.job.learned.plain);
        let conditions = if plain { Validators::default() } else { validators.clone() };
        let method = if gets { Method::Get } else { Method::Head };
        let source = attempt.entry.source();
        let question = Question::about(source, method, &conditions, Length::Unknown);
        let mut response = attempt.ask(slot, &question).await?;
        finish_body(&mut response.slot, response.body).await;
        drop(response.slot);
        let local = dest.and_then(|dest| dest.stat(&path).ok()).filter(Stat::is_file);
        let is_expected = dest.zip(local.as_ref()).is_none_or(|(dest, local)| {
            is_expected(dest, attempt, (local, &response.headers), is_witnessed)
        });
        let kept = |reason| {
            if is_expected {
                Decision::new(Action::Keep, reason)
            } else {
                Decision::new(Action::Replace, Reason::Unexpected)
            }
        };
        let length = match response.content {
            Content::NotModified => {
                let decision = kept(Reason::Fresh);
                return Ok(Answer::Probed(Probed { decision, size: None }));
            }
            Content::Missing { status } => return Ok(Answer::Missing { status }),
            Content::Whole { length } => length,
            // The request had no range.
            Content::Rest { .. } | Content::Unclear => return Ok(Answer::Unclear),
        };
        if planned.action != Action::Revalidate {
            return Ok(Answer::Probed(Probed { decision: planned, size: length }));
        }
        let sent = response.headers.validators();
        let is_same = validators.strong_etag().is_some_and(|tag| sent.strong_etag() == Some(tag));
        let decision = match (length, local) {
            (Some(length), Some(local)) if local.size != length => {
                Decision::new(Action::Replace, Reason::SizeDiffers)
            }
            (Some(length), Some(local))
                if !known && could_be(&local, length, &response.headers) =>
            {
                kept(Reason::Adopted)
            }
            (Some(_), Some(_)) if is_same => kept(Reason::Fresh),
            // Without validators only the bytes can tell.
            _ if known && conditions.is_empty() && !contradict(&validators, &sent) => planned,
            _ => Decision::new(Action::Replace, Reason::Stale),
        };
        Ok(Answer::Probed(Probed { decision, size: length }))
    }
}
