//! One large file over several connections: its own response from the beginning, and ranges from
//! the end, until they meet.
//!
//! The digest covers the whole file all the same: bytes that ranges brought are read back from the
//! disk once the beginning reaches them. A range that fails is requested again.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::dest::{Beside, PartNote};
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    Body, BodyRules, Connection, Content, Headers, Here, Method, Pace, Range, Receiver, RetryAfter,
    is_transient, pause, receive,
};
use crate::pin::Validators;
use crate::threads::lock;
use crate::transfer::ask::{Question, Response};
use crate::transfer::attempt::{Attempt, Refusal};
use crate::transfer::sink::Sink;
use crate::transfer::slot::Slot;

/// A range is the remaining bytes divided by the connections and by this number, so that slow
/// connections leave more ranges to fast ones.
const PARTS: u64 = 4;
/// Bounds of the length of a range, in bytes.
const LEAST: u64 = 64 * 1024;
const MOST: u64 = 64 * 1024 * 1024;
/// How often a helper looks for a free place at the origin.
const LOOK: Duration = Duration::from_millis(50);

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

/// Whether a response allows ranges of its file to be requested. `is_rest`: it is a range itself.
pub(super) fn are_allowed(headers: &Headers, is_rest: bool) -> bool {
    is_rest || headers.accepts_ranges()
}

/// Receives the rest of a file: over the connection of its response, and over further ones as far
/// as there are places.
///
/// # Errors
/// Those of its parts. The sink has the bytes that came without a gap.
pub(super) async fn receive_all(
    file: &File<'_, '_, '_, '_>,
    connection: &mut Connection,
    body: Body,
    sink: &mut Sink<'_>,
    progress: impl Fn(u64) + Copy,
) -> Result<(), Failure> {
    let disk = |error| Failure::disk("write the file", &error);
    let count = file.attempt.settings().segments as u64;
    let pieces = Pieces::new(sink.received(), file.total, count);
    let beside = sink.beside().map_err(disk)?;
    let from_the_front = async {
        let mut front = Front { sink: &mut *sink, pieces: &pieces };
        let received =
            receive(connection, body, file.rules, file.paces, &mut front, progress).await;
        if pieces.front_ended(front.received(), received.err()) {
            help(file, &pieces, &beside, progress).await;
        }
    };
    let from_the_end = async {
        let mut helpers: FuturesUnordered<_> =
            (1..count).map(|_| help(file, &pieces, &beside, progress)).collect();
        while helpers.next().await.is_some() {}
    };
    join(from_the_front, from_the_end).await;
    let stop = file.attempt.run.work.stop.clone();
    sink.absorb(pieces.reached(), move || !stop.is_requested()).await.map_err(disk)?;
    if sink.received() == file.total {
        return Ok(());
    }
    let cut = || Failure::new(ErrorKind::Truncated, "a range of the file did not come");
    Err(pieces.lock().failure.take().unwrap_or_else(cut))
}

/// Brings ranges from the end while there are some.
async fn help(
    file: &File<'_, '_, '_, '_>,
    pieces: &Pieces,
    beside: &Beside,
    progress: impl Fn(u64) + Copy,
) {
    let (run, job) = (file.attempt.run, &*file.attempt.job);
    let mut kept: Option<Slot<'_>> = None;
    while pieces.has_more() {
        let slot = kept.take().or_else(|| run.dispatch.spare(&job.target.origin, job));
        let Some(slot) = slot else {
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let Some(range) = pieces.claim() else {
            drop(slot);
            break;
        };
        let mut piece = Piece { beside, pieces, at: range.start, end: range.end };
        match bring(file, slot, &mut piece, progress).await {
            Ok(slot) => kept = Some(slot),
            Err(Lost { failure, again }) => {
                let failures = pieces.failed(piece.at, piece.end, failure, again);
                if file.attempt.settings().retries < failures {
                    pieces.give_up();
                }
                tokio::time::sleep(pause(failures, run.chance())).await;
            }
        }
    }
    drop(kept);
    run.dispatch.wake();
}

/// Why a range did not come, and whether the failure may be transient.
struct Lost {
    failure: Failure,
    again: bool,
}

impl From<Failure> for Lost {
    fn from(failure: Failure) -> Self {
        Self { again: is_transient(failure.kind), failure }
    }
}

/// Requests one range and receives it.
async fn bring<'r>(
    file: &File<'_, '_, 'r, '_>,
    slot: Slot<'r>,
    piece: &mut Piece<'_>,
    progress: impl Fn(u64),
) -> Result<Slot<'r>, Lost> {
    let Attempt { run, entry, want, job } = file.attempt;
    let (run, entry, note) = (*run, *entry, file.note);
    let range = Range {
        from: piece.at,
        upto: Some(piece.end),
        validator: note.validator().map(str::to_owned),
    };
    let here = Here {
        length: piece.at,
        upto: Some(piece.end),
        total: Some(file.total),
        validators: &note.validators,
        pinned: want.is_pinned(),
    };
    let none = Validators::default();
    let question = Question {
        rest: Some((&range, here)),
        ..Question::about(entry.source(), Method::Get, &none, want.length())
    };
    let mut attempt = Attempt { run, entry, want, job: &mut job.beside() };
    let response = match attempt.ask(slot, &question).await {
        Ok(response) => response,
        Err(Refusal::Failed { lane, failure, again, after }) => {
            match after {
                Some(RetryAfter(wait)) => run.dispatch.hold(lane, wait),
                None if matches!(failure.status, Some(429 | 503)) => run.dispatch.objected(lane),
                None => {}
            }
            return Err(Lost { failure, again });
        }
        Err(Refusal::Unreachable { failure, .. }) => return Err(Lost::from(failure)),
        Err(Refusal::Waits) => {
            let failure = Failure::new(ErrorKind::Connect, "there is no place for a range");
            return Err(Lost::from(failure));
        }
    };
    let Response { mut slot, content, body, .. } = response;
    let connection = slot.connection.take();
    let (Content::Rest { length }, Some(mut connection)) = (content, connection) else {
        piece.pieces.refused();
        let message = "the server does not send ranges of the file";
        return Err(Lost::from(Failure::new(ErrorKind::Protocol, message)));
    };
    let rules = BodyRules { length: Some(piece.end), ..*file.rules };
    receive(&mut connection, body, &rules, file.paces, piece, progress).await?;
    run.dispatch.succeeded(slot.lane, length);
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    Ok(slot)
}

/// The ranges of a file: which came, which are claimed, and which are left.
struct Pieces(Mutex<State>);

struct State {
    size: u64,
    total: u64,
    /// The front may write up to this offset.
    granted: u64,
    /// All bytes from this offset on are claimed.
    back: u64,
    /// Claimed ranges that did not come.
    holes: Vec<std::ops::Range<u64>>,
    /// Ranges that came.
    done: Vec<std::ops::Range<u64>>,
    /// The offset that the front reached.
    front: u64,
    failures: u32,
    failure: Option<Failure>,
    given_up: bool,
    refused: bool,
}

impl Pieces {
    fn new(from: u64, total: u64, count: u64) -> Self {
        let size = ((total - from) / (count * PARTS).max(1)).clamp(LEAST, MOST);
        Self(Mutex::new(State {
            size,
            total,
            granted: from.saturating_add(size).min(total),
            back: total,
            holes: Vec::new(),
            done: Vec::new(),
            front: from,
            failures: 0,
            failure: None,
            given_up: false,
            refused: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }

    /// The offset up to which the front, which is at `at`, may write.
    fn grant(&self, at: u64) -> u64 {
        let mut state = self.lock();
        if at == state.granted {
            state.granted = state.granted.saturating_add(state.size).min(state.back);
        }
        state.granted
    }

    /// Whether there is something left to claim.
    fn has_more(&self) -> bool {
        let state = self.lock();
        !state.given_up && !state.refused && (!state.holes.is_empty() || state.granted < state.back)
    }

    /// The next range to bring.
    fn claim(&self) -> Option<std::ops::Range<u64>> {
        let mut state = self.lock();
        if state.given_up || state.refused {
            return None;
        }
        if let Some(hole) = state.holes.pop() {
            return Some(hole);
        }
        let start = state.back.saturating_sub(state.size).max(state.granted);
        let range = start..state.back;
        state.back = start;
        (!range.is_empty()).then_some(range)
    }

    fn came(&self, range: std::ops::Range<u64>) {
        let mut state = self.lock();
        match state.done.iter_mut().find(|done| done.end == range.start) {
            Some(before) => before.end = range.end,
            None => state.done.push(range),
        }
    }

    /// Records that a range did not come completely. Reports how many failed so far.
    fn failed(&self, at: u64, end: u64, failure: Failure, again: bool) -> u32 {
        let mut state = self.lock();
        state.give_back(at..end);
        state.given_up |= !again;
        state.failure = Some(failure);
        state.failures += 1;
        state.failures
    }

    /// Records how far the front came. If it failed, the bytes that were left to it become ranges
    /// like all others; reports whether to go on with those.
    fn front_ended(&self, at: u64, failure: Option<Failure>) -> bool {
        let mut state = self.lock();
        state.front = at;
        let Some(failure) = failure else { return false };
        let left = at..state.granted;
        // Without a front, no connection would bring the unclaimed bytes, so they are a hole, too.
        let unclaimed = state.granted..state.back;
        state.granted = state.back;
        for hole in [left, unclaimed] {
            if !hole.is_empty() {
                state.holes.push(hole);
            }
        }
        state.given_up |= !is_transient(failure.kind);
        state.failure = Some(failure);
        state.failures += 1;
        !state.given_up
    }

    fn give_up(&self) {
        self.lock().given_up = true;
    }

    /// Records that the server does not send ranges of this file.
    fn refused(&self) {
        self.lock().refused = true;
    }

    /// The end of the bytes that came without a gap.
    fn reached(&self) -> u64 {
        let mut state = self.lock();
        state.done.sort_by_key(|range| range.start);
        let mut reached = state.front;
        for range in &state.done {
            if range.start <= reached {
                reached = reached.max(range.end);
            }
        }
        reached.min(state.total)
    }
}

impl State {
    fn give_back(&mut self, range: std::ops::Range<u64>) {
        if range.is_empty() {
            return;
        }
        // The front receives it anyway, if it is still before it.
        if range.start == self.back && self.granted < self.back {
            self.back = range.end;
        } else {
            self.holes.push(range);
        }
    }
}

/// Receives from the front until it meets a claimed range.
struct Front<'a, 's> {
    sink: &'a mut Sink<'s>,
    pieces: &'a Pieces,
}

impl Receiver for Front<'_, '_> {
    fn received(&self) -> u64 {
        self.sink.received()
    }

    fn take(&mut self, mut piece: &[u8]) -> std::io::Result<()> {
        while !piece.is_empty() {
            let at = self.sink.received();
            let room = usize::try_from(self.pieces.grant(at) - at).unwrap_or(usize::MAX);
            if room == 0 {
                return Ok(());
            }
            let (now, later) = piece.split_at(piece.len().min(room));
            self.sink.take(now)?;
            piece = later;
        }
        Ok(())
    }

    fn lull(&mut self) {
        self.sink.lull();
    }

    fn is_full(&self) -> bool {
        let at = self.sink.received();
        let granted = self.pieces.grant(at);
        // At the end of the file, the end of the body has to be read, too.
        granted == at && granted < self.pieces.lock().total
    }
}

/// A range on its way into the file.
struct Piece<'a> {
    beside: &'a Beside,
    pieces: &'a Pieces,
    at: u64,
    end: u64,
}

impl Receiver for Piece<'_> {
    fn received(&self) -> u64 {
        self.at
    }

    fn take(&mut self, piece: &[u8]) -> std::io::Result<()> {
        let room = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let piece = &piece[..piece.len().min(room)];
        self.beside.write_at(piece, self.at)?;
        let next = self.at + piece.len() as u64;
        self.pieces.came(self.at..next);
        self.at = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: u64 = 1024;

    fn failure() -> Failure {
        Failure::new(ErrorKind::Truncated, "cut")
    }

    #[test]
    fn both_ends_meet() {
        let pieces = Pieces::new(0, 1024 * K, 2);
        assert_eq!(pieces.grant(0), 128 * K);
        assert_eq!(pieces.claim(), Some(896 * K..1024 * K));
        for n in 1..7 {
            assert_eq!(pieces.grant(n * 128 * K), (n + 1) * 128 * K);
        }
        assert_eq!(pieces.grant(896 * K), 896 * K, "the rest is claimed");
        assert_eq!(pieces.claim(), None);
        assert!(!pieces.has_more());
        pieces.front_ended(896 * K, None);
        assert_eq!(pieces.reached(), 896 * K);
        pieces.came(896 * K..1024 * K);
        assert_eq!(pieces.reached(), 1024 * K);
    }

    #[test]
    fn a_failed_range_is_claimed_again() {
        let pieces = Pieces::new(0, 1024 * K, 2);
        let (last, before) = (pieces.claim().unwrap(), pieces.claim().unwrap());
        pieces.came(last.start..last.start + 10);
        assert_eq!(pieces.failed(last.start + 10, last.end, failure(), true), 1);
        assert_eq!(pieces.claim(), Some(last.start + 10..last.end));
        // The foremost range goes back to the front.
        assert_eq!(pieces.failed(before.start, before.end, failure(), true), 2);
        assert_eq!(pieces.claim(), Some(before));
        pieces.front_ended(100, Some(failure()));
        assert_eq!(pieces.claim(), Some(128 * K..768 * K));
        assert_eq!(pieces.claim(), Some(100..128 * K));
        assert_eq!(pieces.reached(), 100);
    }

    #[test]
    fn a_lasting_failure_ends_the_claims() {
        let pieces = Pieces::new(0, 1024 * K, 2);
        let range = pieces.claim().unwrap();
        pieces.failed(range.start, range.end, failure(), false);
        assert!(!pieces.has_more());
        assert_eq!(pieces.claim(), None);
    }
}
