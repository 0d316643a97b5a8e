//! Asking about an entry without getting it: what `plan --refresh` does.

use super::Run;
use super::adopt::could_be;
use super::ask::{Question, Refusal, Response, Verdict, ask, finish_body, place_for_get};
use super::dispatch::Slot;
use super::job::Job;
use super::transfer::{Attempt, conditions, served};
use crate::http::{Conditions, Length, Method};
use crate::manifest::entry::Entry;
use crate::plan::{Action, Decision, Reason, Step};

/// What upstream told of an entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Probed {
    /// What is to be done, now that it is known.
    pub(crate) decision: Decision,
    /// Its length in bytes, where it was told.
    pub(crate) size: Option<u64>,
}

/// Asks about one entry.
pub(super) async fn probe<'r>(run: &'r Run<'_>, job: &mut Job, slot: Slot<'r>) -> Attempt {
    let entry = run.entry(job.entry);
    match look(run, job, &entry, slot).await {
        Ok(Some(probed)) => {
            run.probed(job.entry, probed);
            Attempt::Settled
        }
        Ok(None) => Attempt::Missing { status: 404 },
        Err(refusal) => Attempt::Refused(refusal),
    }
}

async fn look<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
) -> Result<Option<Probed>, Refusal> {
    let Step::Do(planned) = run.work.plan.step(job.entry) else {
        return Ok(None);
    };
    let path = entry.path();
    let held = (planned.action == Action::Revalidate).then(|| run.held(&path)).flatten();
    let known = held.is_some();
    let conditions =
        held.map_or_else(Conditions::default, |held| conditions(&held, &served(job, entry)));
    let response = head(run, job, entry, slot, &conditions).await?;
    let length = match response.verdict {
        Verdict::NotModified => {
            return Ok(Some(Probed {
                decision: Decision::new(Action::Keep, Reason::Fresh),
                size: None,
            }));
        }
        Verdict::Missing { .. } => return Ok(None),
        Verdict::Whole { length } => length,
        // Nothing was asked for in part.
        Verdict::Rest { .. } | Verdict::Restart => None,
    };
    if planned.action != Action::Revalidate {
        return Ok(Some(Probed { decision: planned, size: length }));
    }
    let local = run.local(&path);
    let decision = match (length, local) {
        (Some(length), Some(local)) if local.size != length => {
            Decision::new(Action::Replace, Reason::SizeDiffers)
        }
        (Some(length), Some(local)) if !known && could_be(&local, length, &response.headers) => {
            Decision::new(Action::Keep, Reason::Adopted)
        }
        // Nothing could be asked on condition: only the bytes can tell.
        _ if known && conditions.is_empty() => planned,
        _ => Decision::new(Action::Replace, Reason::Stale),
    };
    Ok(Some(Probed { decision, size: length }))
}

/// HEAD, and where that is refused GET without its body.
async fn head<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
    conditions: &Conditions,
) -> Result<Response<'r>, Refusal> {
    let slot = if job.goes_on_with(Method::Get) {
        slot
    } else {
        match ask(
            run,
            job,
            entry,
            slot,
            &Question::about(entry.source(), Method::Head, conditions, Length::Unknown),
        )
        .await
        {
            Ok(response) if !matches!(response.verdict, Verdict::Missing { .. }) => {
                return Ok(response);
            }
            Ok(mut response) => finish_body(&mut response.slot, response.body).await,
            Err(Refusal::Failed { failure, .. }) if !matches!(failure.status, Some(429 | 503)) => {}
            Err(refusal) => return Err(refusal),
        }
        place_for_get(run, job)?
    };
    let mut response = ask(
        run,
        job,
        entry,
        slot,
        &Question::about(entry.source(), Method::Get, conditions, Length::Unknown),
    )
    .await?;
    if !matches!(response.verdict, Verdict::NotModified) {
        response.slot.connection = None;
    }
    Ok(response)
}
