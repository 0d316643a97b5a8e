//! Learning about entries without getting them (`plan --refresh`).

use std::sync::Mutex;

use super::ask::{Question, Response, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::fetch::{conditions, could_be, is_about};
use super::job::Job;
use super::missing::Missing;
use super::planned::{self, Planned};
use super::run::{Run, Work};
use super::slot::Slot;
use super::want::Want;
use crate::dest::state::State;
use crate::dest::{Dest, Stat};
use crate::failure::Failure;
use crate::http::{Content, Length, Method};
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
            Some(probed) => {
                self.add(job.entry, probed);
                Ended::Settled
            }
            None => Ended::Missing { status: 404 },
        })
    }

    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate {
        planned::missing(self, run, job, status)
    }

    fn failed(&self, run: &Run<'_>, job: Job, failure: Failure) -> Fate {
        planned::elsewhere(run, job, failure).unwrap_or_else(|(job, failure)| {
            self.give_up(run, job.entry, failure, job.attempts);
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
    /// What upstream tells about an entry; none if it does not have it.
    async fn look<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Option<Probed>, Refusal> {
        let Questions { plan, dest, state } = self.questions;
        let Step::Do(planned) = plan.step(attempt.job.entry) else {
            return Ok(None);
        };
        let path = attempt.entry.path();
        let held = state.filter(|_| planned.action == Action::Revalidate);
        let held = held.and_then(|state| state.answered(path.as_str()));
        let known = held.is_some();
        let conditions =
            held.map_or_else(Validators::default, |held| conditions(&held, &attempt.identity()));
        let response = head(attempt, slot, &conditions).await?;
        let length = match response.content {
            Content::NotModified if is_about(&conditions, &response.headers) => {
                let decision = Decision::new(Action::Keep, Reason::Fresh);
                return Ok(Some(Probed { decision, size: None }));
            }
            Content::Missing { .. } => return Ok(None),
            Content::Whole { length } => length,
            Content::NotModified | Content::Unframed | Content::Rest { .. } | Content::Unclear => {
                None
            }
        };
        if planned.action != Action::Revalidate {
            return Ok(Some(Probed { decision: planned, size: length }));
        }
        let local = dest.and_then(|dest| dest.stat(&path).ok()).filter(Stat::is_file);
        let decision = match (length, local) {
            (Some(length), Some(local)) if local.size != length => {
                Decision::new(Action::Replace, Reason::SizeDiffers)
            }
            (Some(length), Some(local))
                if !known && could_be(&local, length, &response.headers) =>
            {
                Decision::new(Action::Keep, Reason::Adopted)
            }
            // Without validators only the bytes can tell.
            _ if known && conditions.is_empty() => planned,
            _ => Decision::new(Action::Replace, Reason::Stale),
        };
        Ok(Some(Probed { decision, size: length }))
    }
}

/// HEAD; where that is refused or tells nothing, a conditional GET, and then a plain one. Bodies are
/// not read.
async fn head<'r>(
    attempt: &mut Attempt<'_, 'r, '_>,
    slot: Slot<'r>,
    conditions: &Validators,
) -> Result<Response<'r>, Refusal> {
    let skips_head = attempt.job.without.head && !attempt.job.goes_on_with(Method::Head);
    let slot = if skips_head || attempt.job.goes_on_with(Method::Get) {
        slot
    } else {
        attempt.job.without.head = true;
        match told(attempt, slot, Method::Head, conditions).await {
            Ok(Some(response)) => return Ok(response),
            Err(refusal @ Refusal::Failed { after: Some(_), .. }) => return Err(refusal),
            Ok(None) | Err(Refusal::Failed { .. }) => {}
            Err(refusal) => return Err(refusal),
        }
        attempt.place_for_get()?
    };
    let slot = if conditions.is_empty() || attempt.job.without.conditions {
        slot
    } else {
        if let Some(response) = told(attempt, slot, Method::Get, conditions).await? {
            return Ok(response);
        }
        attempt.job.without.conditions = true;
        attempt.place_for_get()?
    };
    let (source, none) = (attempt.entry.source(), Validators::default());
    let question = Question::about(source, Method::Get, &none, Length::Unknown);
    let mut response = attempt.ask(slot, &question).await?;
    response.slot.connection = None;
    Ok(response)
}

/// The response to a request that is no plain GET, if it tells something about the file.
async fn told<'r>(
    attempt: &mut Attempt<'_, 'r, '_>,
    slot: Slot<'r>,
    method: Method,
    conditions: &Validators,
) -> Result<Option<Response<'r>>, Refusal> {
    let question = Question::about(attempt.entry.source(), method, conditions, Length::Unknown);
    let mut response = attempt.ask(slot, &question).await?;
    let is_told = match response.content {
        Content::NotModified => is_about(conditions, &response.headers),
        content => content != Content::Unclear,
    };
    if is_told {
        if method == Method::Get && response.content != Content::NotModified {
            // The body is not wanted.
            response.slot.connection = None;
        }
        return Ok(Some(response));
    }
    finish_body(&mut response.slot, response.body).await;
    Ok(None)
}
