//! What becomes of an entry after an attempt: again, elsewhere, or its outcome.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::Timestamp;

use super::ask::Refusal;
use super::dispatch::Reach;
use super::job::Job;
use super::missing::Ruling;
use super::publish::Message;
use super::transfer::Attempt;
use super::want::Want;
use crate::dest::state::Note;
use crate::event::{Event, Outcome, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Backoff, RetryAfter, Verdict as Judgement, judge, pause};
use crate::manifest::OnMissing;
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::plan::{Action, Decision, Reason, Step};
use crate::stop::StopReason;

use super::probe::Probed;
use super::run::{Disputed, Purpose, Run, target_of};

/// So many failures in a row make the next pause of a whole origin longer, up to so many times.
const ROW: u32 = 10;
const LONGEST_HOLD: u32 = 3;

impl Run<'_> {
    /// Draws the conclusion from an attempt.
    pub(super) fn settle(&self, mut job: Job, attempt: Attempt) {
        match self.by_way(&job, attempt) {
            Attempt::Settled => {
                job.forget();
                self.dispatch.finish();
            }
            Attempt::Again => {
                job.forget();
                self.dispatch.put_back(job, Duration::ZERO);
            }
            Attempt::Missing { status } if self.is_for_lists() => self.list_missing(&job, status),
            Attempt::Missing { status } => self.settle_missing(job, status),
            Attempt::Outdated => {
                self.dispatch.put_back(Job { outdated: true, ..job }, Duration::ZERO);
            }
            Attempt::Refused(Refusal::Waits) => self.dispatch.wait(job),
            Attempt::Refused(Refusal::Unreachable { lane, began, failure, asked }) => {
                let retries = self.settings(&job).retries;
                // One silent URL is no silent origin: another one has to be silent too.
                let patience = if asked { retries.max(1) } else { retries };
                job.tries += u32::from(asked);
                match self.dispatch.unreachable(lane, began, &failure, patience, self.chance()) {
                    Reach::Doubtful if retries < job.tries => self.elsewhere(job, failure),
                    Reach::Doubtful => {
                        // The origin is tried again for all; a job's own attempts are not used up.
                        self.dispatch.put_back(job, Duration::ZERO);
                    }
                    Reach::WentDown => {
                        let origin = self.dispatch.origin(lane);
                        self.ledger.tell(Event::OriginDown { origin, failure: failure.clone() });
                        self.elsewhere(job, failure);
                    }
                    Reach::Down => self.elsewhere(job, failure),
                }
            }
            Attempt::Refused(Refusal::Failed { lane, failure, again: true, after }) => {
                self.settle_transient(job, lane, failure, after);
            }
            Attempt::Refused(Refusal::Failed { lane, failure, .. }) => {
                if failure.status.is_some() {
                    self.dispatch.answered(lane);
                }
                self.elsewhere(job, failure);
            }
        }
    }

    fn settle_transient(
        &self,
        mut job: Job,
        lane: usize,
        failure: Failure,
        after: Option<RetryAfter>,
    ) {
        job.tries += 1;
        if matches!(failure.status, Some(429 | 503)) {
            self.dispatch.objected(lane);
        }
        let http = self.settings(&job);
        let failed = self.dispatch.failed(lane, &failure, http.retries, self.chance());
        if failed.went_down {
            let origin = self.dispatch.origin(lane);
            self.ledger.tell(Event::OriginDown { origin, failure: failure.clone() });
        }
        if !failed.may_retry && 0 < http.retries {
            let message = format!("{failure}; its host fails so often that it is not asked again");
            return self.elsewhere(job, Failure { message, ..failure });
        }
        let backoff = Backoff { retries: http.retries, max_retry_after: http.max_retry_after };
        let told = failure.clone();
        let wait = match judge(failure, after, job.tries, &backoff, self.chance()) {
            Judgement::GiveUp(failure) => return self.elsewhere(job, failure),
            // Who has had enough for a while has enough of all.
            Judgement::Again { after }
                if matches!(told.status, Some(429 | 503)) && ROW <= failed.row =>
            {
                // Longer only when it goes on after a pause.
                let pauses = failed.row / ROW;
                self.dispatch.hold(lane, pause(pauses.min(LONGEST_HOLD), self.chance()));
                after
            }
            Judgement::Again { after } => after,
            Judgement::HoldOrigin { wait } => {
                self.dispatch.hold(lane, wait);
                let origin = self.dispatch.origin(lane);
                self.ledger.tell(Event::OriginHeld { origin, wait });
                Duration::ZERO
            }
        };
        self.ledger.tell(Event::Retrying {
            entry: job.entry,
            attempts: job.attempts,
            wait,
            failure: told,
        });
        self.dispatch.put_back(job, wait);
    }

    /// An entry failed where it was asked for: its next mirror is asked, or it failed for good, for
    /// the reason that its own origin gave.
    pub(super) fn elsewhere(&self, mut job: Job, failure: Failure) {
        if self.is_for_lists() {
            self.list_failed(&job, failure);
            return self.dispatch.finish();
        }
        job.mismatched |= failure.kind == ErrorKind::ChecksumMismatch;
        let failure = job.failure.take().unwrap_or(failure);
        let local =
            matches!(failure.kind, ErrorKind::Io | ErrorKind::NoSpace | ErrorKind::PathConflict);
        let next = self.entries.get(job.entry).filter(|_| !local).and_then(|entry| {
            let place = job.place + 1;
            let name = job.name;
            if place < entry.places() {
                return Some(self.move_job(&mut job, &entry, name, place));
            }
            // What the lock has may be what an alternate served.
            if failure.kind == ErrorKind::ChecksumMismatch
                && name + 1 < entry.names()
                && Want::of(self, &entry).is_ok_and(|want| want.is_locked())
            {
                return Some(self.move_job(&mut job, &entry, name + 1, 0));
            }
            // Damage on the way passes, and a proxy may have kept an old copy: once more from the start.
            (job.mismatched && !std::mem::replace(&mut job.anew, true))
                .then(|| self.move_job(&mut job, &entry, 0, 0))
        });
        match next {
            Some(Ok(())) => {
                job.failure = Some(failure);
                self.dispatch.put_back(job, Duration::ZERO);
            }
            Some(Err(_)) | None if self.is_disputed(&job, &failure) => {
                let Job { entry, attempts, .. } = job;
                let mut disputed = self.disputed.lock().unwrap_or_else(PoisonError::into_inner);
                disputed.push(Disputed { entry, failure, attempts });
                drop(disputed);
                self.dispatch.finish();
            }
            Some(Err(_)) | None => self.fail(job.entry, failure, job.attempts),
        }
    }

    fn is_for_lists(&self) -> bool {
        matches!(self.work.purpose, Purpose::Lists { .. })
    }

    /// Whether it is a list that contradicts the bytes, and that may be read again.
    fn is_disputed(&self, job: &Job, failure: &Failure) -> bool {
        matches!(self.work.purpose, Purpose::Transfer { disputing: true })
            && failure.kind == ErrorKind::ChecksumMismatch
            && self.entries.get(job.entry).is_some_and(|entry| self.work.pins.is_listed(&entry))
    }

    fn settle_missing(&self, mut job: Job, status: u16) {
        job.forget();
        let Some(entry) = self.entries.get(job.entry) else {
            return self.dispatch.finish();
        };
        if 0 < job.place {
            // A mirror that lacks the file is no witness that there is none.
            let failure = Failure::new(ErrorKind::HttpStatus, format!("a mirror answers {status}"))
                .with_status(status);
            return self.elsewhere(job, failure);
        }
        let name = job.name + 1;
        if name < entry.names()
            && let Ok(()) = self.move_job(&mut job, &entry, name, 0)
        {
            return self.dispatch.put_back(job, Duration::ZERO);
        }
        let source = entry.source();
        let origin = job.target.origin.to_string();
        if job.mismatched
            && let Some(failure) = job.failure.take()
        {
            // Another of its names is there, with other bytes.
            return self.fail(job.entry, failure, job.attempts);
        }
        if let Ok(want) = Want::of(self, &entry)
            && want.is_locked()
        {
            let message = format!("upstream does not have it any more ({status})");
            let failure = Failure::new(ErrorKind::HttpStatus, message).with_status(status);
            let failure = failure.at_origin(&origin);
            let failure = want.advise(failure, &entry.path(), self.work.manifest.file());
            return self.fail(job.entry, failure, job.attempts);
        }
        if source.on_missing == OnMissing::Fail {
            let what = if status == 404 || status == 410 {
                format!("the server has no such file ({status})")
            } else {
                format!("the answer counts as missing ({status})")
            };
            let failure = Failure::new(ErrorKind::HttpStatus, what)
                .with_status(status)
                .with_hint("`on_missing: skip` allows files that do not exist")
                .at_origin(&origin);
            return self.fail(job.entry, failure, job.attempts);
        }
        match self.missing.add(entry.source_index(), job.entry, job.attempts) {
            Ruling::Absent => self.absent(&entry, job.attempts),
            Ruling::Held => {}
            Ruling::TooMany(held, failure) => {
                let failure = failure.with_status(status).at_origin(&origin);
                if self.missing.is_first_failure(entry.source_index()) {
                    let source = entry.source_index();
                    self.ledger.tell(Event::SourceFailed { source, failure: failure.clone() });
                }
                for (index, attempts) in held {
                    self.ledger.finish(index, Outcome::Failed(failure.clone()), attempts);
                }
                if self.work.fail_fast {
                    self.halted.request(StopReason::Halted);
                }
            }
        }
        self.dispatch.finish();
    }

    fn absent(&self, entry: &Entry<'_>, attempts: u32) {
        if matches!(self.work.purpose, Purpose::Probe) {
            let decision = Decision::new(Action::Absent, Reason::MissingUpstream);
            return self.probed(entry.index(), Probed { decision, size: None });
        }
        let note = Note::Missing {
            path: entry.path().as_str().to_owned(),
            url: entry.url(Form::Shown),
            since: Timestamp::now(),
        };
        self.publish(Message::Note(
            Box::new(note),
            Some((entry.index(), Outcome::Absent, attempts)),
        ));
    }

    /// Gives a job in hand its last outcome.
    pub(super) fn fail(&self, entry: EntryIndex, failure: Failure, attempts: u32) {
        if self.is_for_lists() {
            self.list_lost(entry, failure);
            return self.dispatch.finish();
        }
        if self.work.fail_fast {
            self.halted.request(StopReason::Halted);
        }
        self.ledger.finish(entry, Outcome::Failed(failure), attempts);
        self.dispatch.finish();
    }

    /// After the last worker: what was held back is absent after all.
    pub(super) fn settle_missing_rest(&self) {
        for (index, attempts) in self.missing.settle() {
            if let Some(entry) = self.entries.get(index) {
                self.absent(&entry, attempts);
            }
        }
    }

    /// At the very end: what an early end left over was never tried.
    pub(super) fn skip_rest(&self, reporter: &mut dyn Reporter) {
        let is_transfer = matches!(self.work.purpose, Purpose::Transfer { .. });
        if !is_transfer || !(self.work.stop.is_requested() || self.halted.is_requested()) {
            return;
        }
        let disputed = self.disputed.lock().unwrap_or_else(PoisonError::into_inner);
        let disputed: HashSet<_> = disputed.iter().map(|disputed| disputed.entry).collect();
        for (index, step) in self.work.plan.steps() {
            let wanted = matches!(step, Step::Do(decision) if decision.action.asks_upstream());
            if wanted && !self.ledger.is_finished(index) && !disputed.contains(&index) {
                reporter.event(&Event::Finished {
                    entry: index,
                    outcome: Outcome::Skipped,
                    attempts: 0,
                });
            }
        }
    }

    fn move_job(
        &self,
        job: &mut Job,
        entry: &Entry<'_>,
        name: usize,
        place: usize,
    ) -> Result<(), Failure> {
        job.target = target_of(entry, name, place, self.work.rewrites)?;
        // What comes from there may be another file.
        job.forget();
        job.name = name;
        job.place = place;
        job.tries = 0;
        Ok(())
    }
}
