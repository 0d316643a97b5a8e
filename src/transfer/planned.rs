//! What runs over the entries of a plan have in common: their jobs, and what follows when an entry
//! is missing or fails at one of its places.

use std::ops::Range;

use super::errand::{Errand, Fate};
use super::job::Job;
use super::missing::{Chosen, Missing, Ruling};
use super::run::{Run, Work};
use super::supply::{Jobs, Supply};
use super::targets::target_of;
use super::want::Want;
use crate::event::{Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::OnMissing;
use crate::manifest::entry::Entry;
use crate::plan::{Action, Plan, Step};
use crate::stop::StopReason;

/// An errand over the entries of a plan.
pub(super) trait Planned: Errand {
    fn tally(&self) -> &Missing;

    /// Upstream does not have the entry, and need not have it.
    fn absent(&self, run: &Run<'_>, entry: &Entry<'_>, attempts: u32);
}

/// A job for each entry of a plan that needs a request, in order.
pub(super) fn supply<'a>(work: &Work<'a>, plan: &'a Plan) -> Supply<'a> {
    let (entries, rewrites) = (work.manifest.entries(), work.rewrites);
    let jobs_of = |source: usize| {
        let range = entries.source_range(source);
        let find = move |among: Range<u64>| {
            plan.steps_in(among).find_map(|(index, step)| {
                let asks = matches!(step, Step::Do(decision) if decision.action.asks_upstream());
                let entry = entries.get(index).filter(|_| asks)?;
                let job = target_of(&entry, 0, 0, rewrites).map(|target| Job::new(index, target));
                Some((index.0, job.map_err(|failure| (index, failure))))
            })
        };
        Jobs::new(range, Box::new(find))
    };
    Supply::new((0..work.manifest.sources().len()).map(jobs_of))
}

/// The bounds of missing entries that hold for a plan.
pub(super) fn tally(work: &Work<'_>, plan: &Plan) -> Missing {
    let entries = work.manifest.entries();
    let mut chosen = vec![Chosen::default(); work.manifest.sources().len()];
    for (source, chosen) in chosen.iter_mut().enumerate() {
        for (_, step) in plan.steps_in(entries.source_range(source)) {
            chosen.entries += 1;
            let absent = matches!(step, Step::Do(decision) if decision.action == Action::Absent);
            chosen.absent += u64::from(absent);
        }
    }
    Missing::new(work.manifest, &chosen)
}

/// Tries a failed entry at its next place: a mirror, an alternate name, or once more from the
/// start. If there is none, the failure at its own origin counts.
#[expect(clippy::result_large_err, reason = "both sides hold the job")]
pub(super) fn elsewhere(
    run: &Run<'_>,
    mut job: Job,
    failure: Failure,
) -> Result<Fate, (Job, Failure)> {
    job.mismatched |= failure.kind == ErrorKind::ChecksumMismatch;
    let failure = job.failure.take().unwrap_or(failure);
    let is_local =
        matches!(failure.kind, ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::PathConflict);
    let next = run.entries.get(job.entry).filter(|_| !is_local).and_then(|entry| {
        let (name, place) = (job.name, job.place + 1);
        if place < entry.places() {
            return Some(go_to(run, &mut job, &entry, name, place));
        }
        // The locked bytes may be those of an alternate.
        if failure.kind == ErrorKind::ChecksumMismatch
            && name + 1 < entry.names()
            && job.want.as_ref().is_some_and(Want::is_locked)
        {
            return Some(go_to(run, &mut job, &entry, name + 1, 0));
        }
        // Bytes are damaged on the way now and then, and caches hold old copies.
        (job.mismatched && !std::mem::replace(&mut job.anew, true))
            .then(|| go_to(run, &mut job, &entry, 0, 0))
    });
    match next {
        Some(Ok(())) => {
            job.failure = Some(failure);
            Ok(Fate::at_once(job))
        }
        Some(Err(_)) | None => {
            let failure = match job.older.take() {
                Some(older) => Failure { message: format!("{failure}; {older}"), ..failure }
                    .with_hint("delete the local file to take the copy of the mirror"),
                None => failure,
            };
            Err((job, failure))
        }
    }
}

/// Decides about an entry that upstream does not have under the requested name.
pub(super) fn missing(errand: &impl Planned, run: &Run<'_>, mut job: Job, status: u16) -> Fate {
    let Some(entry) = run.entries.get(job.entry) else {
        return Fate::Done;
    };
    if 0 < job.place {
        // A mirror may be incomplete, so it cannot prove that a file is missing.
        let failure = Failure::new(ErrorKind::HttpStatus, format!("a mirror answers {status}"))
            .with_status(status);
        return errand.failed(run, job, failure);
    }
    let name = job.name + 1;
    if name < entry.names() && go_to(run, &mut job, &entry, name, 0).is_ok() {
        return Fate::at_once(job);
    }
    job.forget();
    if let Some(failure) = unless_absent(run, &mut job, &entry, status) {
        errand.give_up(run, job.entry, failure, job.attempts());
        return Fate::Done;
    }
    let source = entry.source_index();
    match errand.tally().add(source, job.entry, job.attempts()) {
        Ruling::Absent => errand.absent(run, &entry, job.attempts()),
        Ruling::Held => {}
        Ruling::TooMany(held, failure) => {
            let origin = job.target.origin.to_string();
            let failure = failure.with_status(status).at_origin(&origin);
            if errand.tally().is_first_failure(source) {
                run.ledger.tell(Event::SourceFailed { source, failure: failure.clone() });
            }
            for (index, attempts) in held {
                run.ledger.finish(index, Outcome::Failed(failure.clone()), attempts);
            }
            if run.work.fail_fast {
                run.halted.request(StopReason::Halted);
            }
        }
    }
    Fate::Done
}

/// Why a missing entry is a failure; none if it may be missing.
fn unless_absent(run: &Run<'_>, job: &mut Job, entry: &Entry<'_>, status: u16) -> Option<Failure> {
    if job.mismatched
        && let Some(failure) = job.failure.take()
    {
        // Another of its names exists, with bytes that do not match the pin.
        return Some(failure);
    }
    let origin = job.target.origin.to_string();
    if let Some(want) = job.want.as_ref().filter(|want| want.is_locked()) {
        let message = format!("upstream does not have it any more ({status})");
        let failure = Failure::new(ErrorKind::HttpStatus, message).with_status(status);
        let failure = failure.at_origin(&origin);
        return Some(want.advise(failure, &entry.path(), run.work.manifest.file()));
    }
    if entry.source().on_missing != OnMissing::Fail {
        return None;
    }
    let what = if status == 404 || status == 410 {
        format!("the server has no such file ({status})")
    } else {
        format!("the answer counts as missing ({status})")
    };
    let failure = Failure::new(ErrorKind::HttpStatus, what)
        .with_status(status)
        .with_hint("`on_missing: skip` allows files that do not exist")
        .at_origin(&origin);
    Some(failure)
}

/// After the last job, missing entries within the bounds are absent.
pub(super) fn conclude(errand: &impl Planned, run: &Run<'_>) {
    for (index, attempts) in errand.tally().settle() {
        if let Some(entry) = run.entries.get(index) {
            errand.absent(run, &entry, attempts);
        }
    }
}

fn go_to(
    run: &Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    name: usize,
    place: usize,
) -> Result<(), Failure> {
    job.go_to(target_of(entry, name, place, run.work.rewrites)?, name, place);
    Ok(())
}
