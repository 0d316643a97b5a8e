//! A helper: it brings ranges of the file while its origin has places to spare.

use std::time::Duration;

use super::ranges::{End, HelperId, Loss};
use super::{File, Shared, loss};
use crate::http::{BodyRules, Receiver};
use crate::transfer::dispatch::Spare;
use crate::transfer::slot::Slot;

/// How often a helper looks for a free place at the origin. Nothing waits for a helper that looks.
const LOOK: Duration = Duration::from_millis(50);

/// Adds a helper, and brings ranges while there are some.
pub(super) async fn help(
    file: &File<'_, '_, '_, '_>,
    shared: &Shared<'_>,
    progress: impl Fn(u64) + Copy,
) {
    let (run, job) = (file.attempt.run, &*file.attempt.job);
    let id = shared.ranges.borrow_mut().add();
    let mut kept: Option<Slot<'_>> = None;
    while shared.ranges.borrow_mut().looks(id) {
        let slot =
            match kept.take().and_then(|slot| run.dispatch.spare_again(slot, &job.target.origin)) {
                Some(slot) => slot,
                None => match run.dispatch.spare(&job.target.origin, job) {
                    Spare::Place(slot) => slot,
                    Spare::Later => {
                        tokio::time::sleep(LOOK).await;
                        continue;
                    }
                    Spare::NotUp => {
                        shared.ranges.borrow_mut().end(id, End::LaneNotUp);
                        break;
                    }
                },
            };
        let Some(range) = shared.ranges.borrow_mut().claim(id) else { break };
        let mut piece = Piece { shared, id, at: range.start };
        let brought = bring(file, slot, range.end, &mut piece, progress).await;
        {
            let mut ranges = shared.ranges.borrow_mut();
            match brought {
                Ok(slot) => {
                    ranges.ended_with_range(id);
                    kept = Some(slot);
                }
                Err(loss) => ranges.lost(id, loss),
            }
        }
        if kept.is_none() {
            // Its place may serve another job.
            run.dispatch.wake();
        }
        shared.changed.notify_one();
    }
    drop(kept);
    run.dispatch.wake();
}

/// Requests a range that ends at `end`, and receives it.
async fn bring<'r>(
    file: &File<'_, '_, 'r, '_>,
    slot: Slot<'r>,
    end: u64,
    piece: &mut Piece<'_, '_>,
    progress: impl Fn(u64),
) -> Result<Slot<'r>, Loss> {
    let (mut answer, length) = file.ask(slot, piece.at, Some(end)).await?;
    let rules = BodyRules { length: Some(end), ..*file.rules };
    let received = answer.receive(&rules, file.paces, piece, progress).await;
    received.map_err(|failure| loss(&failure))?;
    let slot = answer.into_slot().await;
    file.attempt.run.dispatch.succeeded(slot.lane, length);
    Ok(slot)
}

/// A range on its way into the file.
struct Piece<'a, 'b> {
    shared: &'a Shared<'b>,
    id: HelperId,
    at: u64,
}

impl Receiver for Piece<'_, '_> {
    fn received(&self) -> u64 {
        self.at
    }

    fn take(&mut self, piece: &[u8]) -> std::io::Result<()> {
        let mut ranges = self.shared.ranges.borrow_mut();
        let room = usize::try_from(ranges.room(self.id)).unwrap_or(usize::MAX);
        let piece = &piece[..piece.len().min(room)];
        self.shared.beside.write_at(piece, self.at)?;
        ranges.brought(self.id, piece.len() as u64);
        self.at += piece.len() as u64;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.shared.ranges.borrow().is_withdrawn(self.id)
    }
}
