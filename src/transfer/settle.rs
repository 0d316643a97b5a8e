//! What follows from an attempt: the job is done, or tried again here or elsewhere.

use std::time::Duration;

use super::attempt::{Ended, Refusal};
use super::dispatch::{Crowded, Refused};
use super::errand::{Errand, Fate};
use super::job::{Job, Kind};
use super::lane::{Failed, Reach};
use super::run::Run;
use super::slot::LaneId;
use crate::event::{Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::http::{RetryAfter, Verdict, is_objection, judge, pause};
use crate::manifest::entry::EntryIndex;
use crate::stop::StopReason;

/// After each further row of this many failed entries the whole origin pauses, longer each time.
const ROW: u32 = 10;
/// The pause of an origin stops growing after this many rows.
const LONGEST_HOLD: u32 = 3;

/// The pause of a job that is refused repeatedly, while other requests to its host succeed, stops
/// growing after this many refusals.
const LONGEST_FREE: u32 = 3;

/// What an attempt was, apart from its result.
#[derive(Clone, Copy, Debug)]
struct Made {
    /// The kind of a request that proved nothing.
    kind: Option<Kind>,
    is_probe: bool,
    /// It brought many bytes before it failed.
    progressed: bool,
}

impl Run<'_> {
    /// Draws the conclusion from an attempt.
    pub(super) fn settle(&self, errand: &impl Errand, mut job: Job, ended: Result<Ended, Refusal>) {
        let made = Made {
            kind: job.open.take(),
            is_probe: std::mem::take(&mut job.is_probe),
            progressed: std::mem::take(&mut job.progressed),
        };
        let Made { kind, is_probe, progressed } = made;
        if let (Ok(_), Some(lane)) = (&ended, job.lane) {
            self.dispatch.settled(lane, job.tries);
        }
        let fate = match ended.map_err(|refusal| self.by_way(&job, refusal)) {
            Ok(Ended::Settled) => {
                job.forget();
                Fate::Done
            }
            Ok(Ended::Further) => match kind {
                Some(_) if !job.ask_more_plainly(kind) => {
                    let what = "the server gives no answer that fits the request";
                    errand.failed(self, job, Failure::new(ErrorKind::Protocol, what))
                }
                _ => Fate::at_once(job),
            },
            Ok(Ended::Outdated) => Fate::at_once(Job { outdated: true, ..job }),
            Ok(Ended::Missing { status }) => errand.missing(self, job, status),
            Err(Refusal::Waits) => return self.dispatch.wait(job),
            Err(Refusal::Unreachable { lane, began, failure, asked }) => {
                let retries = self.settings(&job).retries;
                // A single silent URL does not prove that its origin is silent: a second one has to
                // be.
                let patience = if asked { retries.max(1) } else { retries };
                job.tries += u32::from(asked);
                match self.dispatch.unreachable(lane, began, &failure, patience, self.chance()) {
                    Reach::Doubtful if retries < job.tries => {
                        if asked && job.ask_more_plainly(kind) {
                            Fate::at_once(job)
                        } else {
                            errand.failed(self, job, failure)
                        }
                    }
                    // The origin is tried again for all of its jobs, so this is no attempt of the
                    // job.
                    Reach::Doubtful => Fate::at_once(job),
                    Reach::WentDown => {
                        self.tell_down(&job, lane, &failure);
                        errand.failed(self, job, failure)
                    }
                    Reach::Down => errand.failed(self, job, failure),
                }
            }
            Err(Refusal::Failed { lane, failure, again, after })
                if !progressed
                    && (!again || is_probe || is_decided_plainly(&failure))
                    && job.ask_more_plainly(kind) =>
            {
                self.mind(&job, lane, &failure, after);
                Fate::at_once(Job { is_probe, ..job })
            }
            Err(Refusal::Failed { lane, failure, again: true, after }) => {
                match self.crowded_out(&mut job, kind, lane, &failure, after) {
                    Some(wait) => again(job, kind, wait),
                    None => self.settle_transient(errand, job, made, (lane, failure, after)),
                }
            }
            Err(Refusal::Failed { lane, failure, .. }) => {
                if failure.lasting {
                    // The server is busy for longer than the run waits.
                    self.refused(&job, made, lane, &failure);
                } else if is_an_answer(&failure) {
                    self.dispatch.answered(lane);
                }
                errand.failed(self, job, failure)
            }
        };
        self.conclude(fate);
    }

    /// Hands a job back to the dispatcher.
    pub(super) fn conclude(&self, fate: Fate) {
        match fate {
            Fate::Done => self.dispatch.finish(),
            Fate::Again(job, after) => self.dispatch.put_back(job, after),
        }
    }

    /// Takes notice of a refusal before a plainer request is made: the origin may ask for a pause.
    fn mind(&self, job: &Job, lane: LaneId, failure: &Failure, after: Option<RetryAfter>) {
        match (failure.status, after) {
            (Some(_), Some(RetryAfter(wait))) if !wait.is_zero() => self.hold(job, lane, wait),
            (Some(status), None) if is_objection(status) => self.dispatch.objected(lane),
            (Some(_), _) => self.dispatch.answered(lane),
            (None, _) => {}
        }
    }

    /// Fails a job whose origin is down.
    pub(super) fn lost(&self, errand: &impl Errand, job: Job, failure: Failure) {
        let failure = if job.is_untried() { failure.not_requested() } else { failure };
        self.conclude(errand.failed(self, job, failure));
    }

    /// If an attempt failed only because its origin serves no more requests at a time, the pause
    /// before the next one.
    fn crowded_out(
        &self,
        job: &mut Job,
        kind: Option<Kind>,
        lane: LaneId,
        failure: &Failure,
        after: Option<RetryAfter>,
    ) -> Option<Duration> {
        let by = match (failure.kind, failure.status) {
            // It may be the condition or the range that is refused.
            (ErrorKind::Connect, None) if kind == Some(Kind::Special) => Refused::Perhaps,
            (ErrorKind::Connect, None) | (_, Some(429)) => Refused::Surely,
            (_, Some(503)) => Refused::Perhaps,
            _ => return None,
        };
        let http = self.settings(job);
        if after.is_some_and(|RetryAfter(wait)| http.max_retry_after < wait) {
            return None;
        }
        let Crowded::Free { tell } = self.dispatch.refused(lane, job, by) else { return None };
        if let Some((origin, most)) = tell {
            let message = format!(
                "{origin} refuses requests while it serves others; it gets at most {most} at a \
                 time for now. `connections_per_host` in the manifest sets the number"
            );
            self.ledger.tell(Event::Warning { message });
        }
        if let Some(RetryAfter(wait)) = after {
            self.hold(job, lane, wait);
            return Some(Duration::ZERO);
        }
        if failure.status.is_some() {
            self.dispatch.objected(lane);
        }
        // Refused once, it waits for a place; refused again, its turn may not help.
        let further = job.refused - 1;
        Some(if further == 0 {
            Duration::ZERO
        } else {
            pause(further.min(LONGEST_FREE), self.chance())
        })
    }

    /// Pauses an origin for a time that it asked for.
    fn hold(&self, job: &Job, lane: LaneId, wait: Duration) {
        self.dispatch.hold(lane, wait);
        let origin = self.origin(job, lane);
        self.ledger.tell(Event::OriginHeld { origin, wait });
    }

    fn settle_transient(
        &self,
        errand: &impl Errand,
        mut job: Job,
        made: Made,
        (lane, failure, after): (LaneId, Failure, Option<RetryAfter>),
    ) -> Fate {
        let kind = made.kind;
        job.tries += 1;
        let http = self.settings(&job);
        let failed = self.refused(&job, made, lane, &failure);
        if !failed.may_retry && 0 < http.retries {
            if job.ask_more_plainly(kind) {
                return Fate::at_once(job);
            }
            let message = format!("{failure}; its host fails so often that it is not asked again");
            return errand.failed(self, job, Failure { message, ..failure });
        }
        let told = failure.clone();
        let wait = match judge(failure, after, job.tries, http.retries, self.chance()) {
            Verdict::GiveUp(failure) => {
                // A lost condition or range was repeated as it was, since that is cheaper. The last
                // attempt is a plain GET.
                if job.ask_more_plainly(kind) {
                    return Fate::at_once(job);
                }
                let failure = if 0 < job.refused { beside_others(failure) } else { failure };
                return errand.failed(self, job, failure);
            }
            Verdict::Again { after } => {
                // A server that is overloaded for a while is overloaded for all entries.
                if told.status.is_some_and(is_objection)
                    && ROW <= failed.row
                    && failed.row.is_multiple_of(ROW)
                {
                    let rows = (failed.row / ROW).min(LONGEST_HOLD);
                    self.dispatch.hold(lane, pause(rows, self.chance()));
                }
                after
            }
            Verdict::HoldOrigin { wait } => {
                self.hold(&job, lane, wait);
                Duration::ZERO
            }
        };
        self.ledger.tell(Event::Retrying {
            entry: job.entry,
            attempts: job.attempts(),
            retry: job.tries,
            retries: http.retries,
            wait,
            failure: told,
        });
        again(job, kind, wait)
    }

    /// Records what a transient failure says about its origin.
    fn refused(&self, job: &Job, made: Made, lane: LaneId, failure: &Failure) -> Failed {
        if made.progressed {
            self.dispatch.answered(lane);
            return Failed { went_down: false, may_retry: true, row: 0 };
        }
        if failure.status.is_some_and(is_objection) {
            self.dispatch.objected(lane);
        }
        let (is_first, chance) = (job.tries <= 1, self.chance());
        let failed = self.dispatch.failed(lane, failure, is_first, made.is_probe, chance);
        if failed.went_down {
            self.tell_down(job, lane, failure);
        }
        failed
    }

    fn tell_down(&self, job: &Job, lane: LaneId, failure: &Failure) {
        let origin = self.origin(job, lane);
        self.ledger.tell(Event::OriginDown { origin, failure: failure.clone() });
    }

    /// The origin of a lane in which a job failed.
    fn origin(&self, job: &Job, lane: LaneId) -> String {
        let known = self.dispatch.origin_of(lane);
        known.as_ref().unwrap_or(&job.target.origin).to_string()
    }

    /// Gives an entry its final failure.
    pub(super) fn fail(&self, entry: EntryIndex, failure: Failure, attempts: u32) {
        if self.work.fail_fast {
            self.halted.request(StopReason::Halted);
        }
        self.ledger.finish(entry, Outcome::Failed(failure), attempts);
    }
}

/// Whether a plainer request follows at once, instead of the same one: after any status, and after
/// silence, which took a whole timeout.
fn is_decided_plainly(failure: &Failure) -> bool {
    failure.status.is_some() || failure.kind == ErrorKind::Timeout
}

/// Repeats a lost request; a HEAD as a GET.
fn again(mut job: Job, kind: Option<Kind>, wait: Duration) -> Fate {
    if kind == Some(Kind::Head) {
        job.ask_more_plainly(kind);
    }
    Fate::Again(job, wait)
}

/// Whether a lasting failure shows that its origin answers: the request was understood, or the body
/// came.
fn is_an_answer(failure: &Failure) -> bool {
    use ErrorKind::{ChecksumMismatch, HttpStatus, Redirect, TooLarge, UnexpectedContent};
    matches!(failure.kind, HttpStatus | Redirect | ChecksumMismatch | UnexpectedContent | TooLarge)
}

/// Adds what may help where other requests of the host succeeded.
fn beside_others(failure: Failure) -> Failure {
    let message = format!(
        "{failure}; other requests to the host succeed, so fewer at a time may help \
         (`connections_per_host`)"
    );
    Failure { message, ..failure }
}
