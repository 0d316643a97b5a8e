//! The front: it reads the response of the entry's own attempt, in order, into the sink.

use std::cell::RefCell;
use std::io;

use super::ranges::{self, Ranges};
use super::{File, Shared};
use crate::failure::Failure;
use crate::http::Receiver;
use crate::transfer::fetch::answer::Answer;
use crate::transfer::fetch::resume::leaves_bytes;
use crate::transfer::sink::Sink;
use crate::transfer::slot::Slot;

/// Reads from the front until all bytes behind it came.
pub(super) struct Front<'a, 's> {
    sink: &'a mut Sink<'s>,
    ranges: &'a RefCell<Ranges>,
    /// Bytes of the response beyond those that the front may write now.
    beyond: Vec<u8>,
}

impl<'a, 's> Front<'a, 's> {
    pub(super) fn new(sink: &'a mut Sink<'s>, ranges: &'a RefCell<Ranges>) -> Self {
        Self { sink, ranges, beyond: Vec::new() }
    }

    /// Brings all bytes that no helper brings.
    ///
    /// # Errors
    /// When the response fails, and a further one may not or cannot be had at once.
    pub(super) async fn bring<'r>(
        mut self,
        file: &File<'_, '_, 'r, '_>,
        shared: &Shared<'_>,
        mut answer: Answer<'r>,
        progress: impl Fn(u64) + Copy,
    ) -> Result<Slot<'r>, Failure> {
        loop {
            let received = answer.receive(file.rules, file.paces, &mut self, progress).await;
            if let Err(failure) = received {
                answer = self.ask_again(file, answer, failure).await?;
                continue;
            }
            self.sink.secure();
            if self.wait(shared).await {
                break;
            }
            let beyond = std::mem::take(&mut self.beyond);
            self.take(&beyond).map_err(|error| Failure::disk("write the file", &error))?;
        }
        Ok(answer.into_slot().await)
    }

    /// Waits until the front reads on. Reports whether all bytes came instead.
    async fn wait(&self, shared: &Shared<'_>) -> bool {
        loop {
            match self.standing() {
                ranges::Front::AtEnd | ranges::Front::Complete => return true,
                ranges::Front::Reads(_) => return false,
                ranges::Front::Waits => shared.changed.notified().await,
            }
        }
    }

    /// A response with the rest of the file, after one was cut, in the same place. Without much
    /// progress, or if the origin is not up, the whole attempt ends, and its retry is counted.
    async fn ask_again<'r>(
        &mut self,
        file: &File<'_, '_, 'r, '_>,
        answer: Answer<'r>,
        failure: Failure,
    ) -> Result<Answer<'r>, Failure> {
        let Answer { slot, connection, body } = answer;
        drop((connection, body));
        let progressed = self.ranges.borrow_mut().front_cut();
        if !progressed || !leaves_bytes(failure.kind) {
            return Err(failure);
        }
        let (run, job) = (file.attempt.run, &*file.attempt.job);
        let Some(slot) = run.dispatch.own_again(slot, job) else { return Err(failure) };
        self.beyond.clear();
        match file.ask(slot, self.sink.received(), None).await {
            Ok((answer, _)) => Ok(answer),
            Err(_) => Err(failure),
        }
    }

    fn standing(&self) -> ranges::Front {
        self.ranges.borrow_mut().front()
    }
}

impl Receiver for Front<'_, '_> {
    fn received(&self) -> u64 {
        self.sink.received()
    }

    fn take(&mut self, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            let ranges::Front::Reads(room) = self.standing() else {
                self.beyond.extend_from_slice(piece);
                return Ok(());
            };
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let (now, later) = piece.split_at(piece.len().min(room));
            self.sink.take(now)?;
            self.ranges.borrow_mut().front_took(now.len() as u64);
            piece = later;
        }
        Ok(())
    }

    fn secure(&mut self) {
        self.sink.secure();
    }

    fn is_full(&self) -> bool {
        matches!(self.standing(), ranges::Front::Waits | ranges::Front::Complete)
    }
}
