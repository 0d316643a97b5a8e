//! One large file over several connections: its own response from the beginning, and ranges from
//! the end, until they meet.
//!
//! The front is the entry's own attempt: it has the entry's place, the sink and the digest. Helpers
//! have at most one range and one place each. The front waits for a helper only while that helper
//! has a request in progress, and nothing that a helper is answered ends the entry: where helpers
//! fail, the front's own response brings their bytes. `docs/transfer.md` has all states and moves.

mod front;
mod helper;
mod ranges;

use std::cell::RefCell;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::answer::Answer;
use crate::dest::{Beside, PartNote};
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    BodyRules, Content, Headers, Here, Method, Pace, Range, Receiver, RetryAfter, is_objection,
};
use crate::pin::Validators;
use crate::transfer::ask::{Question, Response};
use crate::transfer::attempt::{Attempt, Refusal};
use crate::transfer::sink::Sink;
use crate::transfer::slot::Slot;
use front::Front;
use ranges::{Loss, Ranges};

/// What all connections for one file share.
pub(super) struct File<'a, 'b, 'r, 'w> {
    pub(super) attempt: &'a Attempt<'b, 'r, 'w>,
    /// Identifies the file.
    pub(super) note: &'a PartNote,
    /// Its length in bytes.
    pub(super) total: u64,
    pub(super) rules: &'a BodyRules<'a>,
    pub(super) paces: &'a [&'a Pace],
}

/// How a file came over several connections.
pub(super) struct Received<'r> {
    /// The place of the front, with its connection if that can be used again; or why the rest did
    /// not come. The sink has the bytes that came without a gap.
    pub(super) result: Result<Slot<'r>, Failure>,
    /// Whether the server sent something else than a range that was requested.
    pub(super) refused: bool,
}

/// What the front and the helpers share. All of them run in one task.
struct Shared<'b> {
    ranges: RefCell<Ranges>,
    /// A helper ended, or ended with a range.
    changed: Notify,
    beside: &'b Beside,
}

/// Whether a response allows ranges of its file to be requested. `is_rest`: it is a range itself.
pub(super) fn are_allowed(headers: &Headers, is_rest: bool) -> bool {
    is_rest || headers.accepts_ranges()
}

/// Receives the rest of a file: over the connection of its response, and over further ones as far
/// as there are places.
pub(super) async fn receive_all<'r>(
    file: &File<'_, '_, 'r, '_>,
    answer: Answer<'r>,
    sink: &mut Sink<'_>,
    progress: impl Fn(u64) + Copy,
) -> Received<'r> {
    let disk = |error| Failure::disk("write the file", &error);
    let beside = match sink.beside() {
        Ok(beside) => beside,
        Err(error) => return Received { result: Err(disk(error)), refused: false },
    };
    let connections = file.attempt.settings().segments as u64;
    let ranges = RefCell::new(Ranges::new(Receiver::received(sink), file.total, connections));
    let shared = Shared { ranges, changed: Notify::new(), beside: &beside };
    let result = {
        let helpers: FuturesUnordered<_> =
            (1..connections).map(|_| helper::help(file, &shared, progress)).collect();
        let front = Front::new(sink, &shared.ranges).bring(file, &shared, answer, progress);
        until_front_ends(front, helpers).await
    };
    file.attempt.run.dispatch.wake();
    let ranges = shared.ranges.into_inner();
    let stop = file.attempt.run.work.stop.clone();
    let absorbed = sink.absorb(ranges.reached(), move || !stop.is_requested()).await;
    Received { result: absorbed.map_err(disk).and(result), refused: ranges.was_refused() }
}

/// The end of the front. Helpers that are left then are dropped with their places.
async fn until_front_ends<T>(
    front: impl Future<Output = T>,
    mut helpers: FuturesUnordered<impl Future<Output = ()>>,
) -> T {
    tokio::pin!(front);
    loop {
        tokio::select! {
            biased;
            ended = &mut front => return ended,
            Some(()) = helpers.next() => {}
        }
    }
}

impl<'r> File<'_, '_, 'r, '_> {
    /// Requests the bytes from `from` up to `upto`, or to the end of the file.
    async fn ask(
        &self,
        slot: Slot<'r>,
        from: u64,
        upto: Option<u64>,
    ) -> Result<(Answer<'r>, u64), Loss> {
        let Attempt { run, entry, want, job } = self.attempt;
        let (run, entry, note) = (*run, *entry, self.note);
        let validator = note.validator().map(str::to_owned);
        let range = Range { from, upto, validator };
        let here = Here {
            length: from,
            upto,
            total: Some(self.total),
            validators: &note.validators,
            pinned: want.is_pinned(),
        };
        let none = Validators::default();
        let question = Question {
            rest: Some((&range, here)),
            ..Question::about(entry.source(), Method::Get, &none, want.length())
        };
        job.count_attempt();
        let mut attempt = Attempt { run, entry, want, job: &mut job.beside() };
        let response = match attempt.ask(slot, &question).await {
            Ok(response) => response,
            Err(Refusal::Failed { lane, failure, after, .. }) => {
                let limited = failure.status.is_some_and(is_objection);
                match after {
                    Some(RetryAfter(wait)) => run.dispatch.hold(lane, wait),
                    None if limited => run.dispatch.objected(lane),
                    None => {}
                }
                return Err(if limited { Loss::Limited } else { loss(&failure) });
            }
            Err(Refusal::Unreachable { failure, .. }) => return Err(loss(&failure)),
            Err(Refusal::Waits) => return Err(Loss::Failed),
        };
        let Response { mut slot, content, body, .. } = response;
        match (content, slot.connection.take()) {
            (Content::Rest { length }, Some(connection)) => {
                Ok((Answer { slot, connection, body }, length))
            }
            _ => Err(Loss::Refused),
        }
    }
}

/// What a failure means for a range.
fn loss(failure: &Failure) -> Loss {
    match failure.kind {
        ErrorKind::Stalled | ErrorKind::Timeout => Loss::Silent,
        ErrorKind::Connect | ErrorKind::Truncated => Loss::Cut,
        _ => Loss::Failed,
    }
}
