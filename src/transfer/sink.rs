//! Where the bytes of a file go while they are received: blocks, then a staged file.

use std::cell::RefCell;
use std::io;

use crate::dest::{Begun, Beside, PartNote, SMALL, Staged, keep_edges};
use crate::http::Receiver;
use crate::manifest::EDGE;

/// Pieces are gathered up to this size, in bytes, so that few writes suffice.
const BLOCK: usize = 256 * 1024;
/// Fewer bytes than this are not kept after a failure.
const WORTH: u64 = 1024;
/// At most this many bytes are lost with the process. Smaller files that come within a second need no
/// note, which is a second file.
const SECURED: u64 = 16 * 1024 * 1024;

pub(super) type Stage<'a> = Box<dyn Fn() -> io::Result<Staged> + Send + 'a>;

/// Makes the note that identifies an incomplete file; none if nothing could prove later that the
/// rest belongs to it.
pub(super) type MakeNote<'a> = Box<dyn Fn() -> Option<PartNote> + Send + 'a>;

/// Gathers pieces into blocks and writes these to a staged file. A sink that is dropped before its
/// end keeps the bytes for a later range request, if one is possible.
pub(super) struct Sink<'a> {
    block: Vec<u8>,
    staged: Option<Staged>,
    beginning: Vec<u8>,
    end: Vec<u8>,
    /// Bytes so far, including those of earlier attempts.
    received: u64,
    /// Bytes that outlast the process.
    secured: u64,
    stage: Stage<'a>,
    note: Note<'a>,
}

/// All bytes of a file.
pub(super) enum Whole {
    Staged(Box<Begun>),
    /// Not written to the disk yet.
    Small(Vec<u8>),
}

/// What identifies the bytes of a sink.
enum Note<'a> {
    /// Not made yet: few transfers need it.
    Unwritten(MakeNote<'a>),
    Written(PartNote),
    /// The bytes cannot be completed later.
    None,
}

impl<'a> Sink<'a> {
    /// A sink for a body of `length` bytes, if that is known.
    pub(super) fn new(length: Option<u64>, stage: Stage<'a>, note: MakeNote<'a>) -> Self {
        let room = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        Self {
            block: block(room),
            staged: None,
            beginning: Vec::new(),
            end: Vec::new(),
            received: 0,
            secured: 0,
            stage,
            note: Note::Unwritten(note),
        }
    }

    /// A sink for the rest of an incomplete file.
    pub(super) fn resume(begun: Begun, stage: Stage<'a>) -> Self {
        let Begun { staged, beginning, end } = begun;
        let received = staged.length();
        let note = staged.note().cloned().map_or(Note::None, Note::Written);
        let (block, secured, staged) = (block(BLOCK), received, Some(staged));
        Self { block, staged, beginning, end, received, secured, stage, note }
    }

    fn flush(&mut self) -> io::Result<()> {
        keep_edges(&mut self.beginning, &mut self.end, &self.block, EDGE);
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert((self.stage)()?),
        };
        staged.write(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Makes the bytes so far outlast the process, so that another attempt or run can go on. If
    /// their note cannot be written, only that is lost: the transfer goes on.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    fn persist(&mut self) -> io::Result<()> {
        if self.received < WORTH || self.received <= self.secured || self.note().is_none() {
            return Ok(());
        }
        self.flush()?;
        if let (Some(staged), Note::Written(note)) = (&mut self.staged, &self.note) {
            let _ = staged.keep_as(note);
        }
        self.secured = self.received;
        Ok(())
    }

    /// What identifies its bytes, if they can be completed later.
    pub(super) fn note(&mut self) -> Option<&PartNote> {
        if let Note::Unwritten(make) = &self.note {
            self.note = make().map_or(Note::None, Note::Written);
        }
        match &self.note {
            Note::Written(note) => Some(note),
            _ => None,
        }
    }

    /// A handle that writes to the same file at other offsets.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn beside(&mut self) -> io::Result<Beside> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert((self.stage)()?),
        };
        staged.beside()
    }

    /// Hashes the bytes up to offset `upto` that [`Beside`] handles wrote, and counts them as
    /// received. They outlast the process step by step.
    ///
    /// # Errors
    /// When the disk fails, or `go_on` is false.
    pub(super) async fn absorb(
        &mut self,
        upto: u64,
        go_on: impl Fn() -> bool + Clone + Send + 'static,
    ) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        while self.received < upto {
            self.secure();
            let step = upto.min(self.received + SECURED);
            self.absorb_step(step, go_on.clone()).await?;
        }
        Ok(())
    }

    async fn absorb_step(
        &mut self,
        upto: u64,
        go_on: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<()> {
        let Some(mut staged) = self.staged.take() else {
            return Err(io::Error::other("the staged file was lost with an interrupted read"));
        };
        let (mut beginning, mut end) =
            (std::mem::take(&mut self.beginning), std::mem::take(&mut self.end));
        // Reading may take long, so it does not run on the event loop.
        let absorbed = tokio::task::spawn_blocking(move || {
            let read = staged.absorb(upto, &mut beginning, &mut end, EDGE, go_on);
            read.map(|()| Begun { staged, beginning, end })
        });
        let absorbed = absorbed.await;
        let begun =
            absorbed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        (self.beginning, self.end) = (begun.beginning, begun.end);
        self.received = begun.staged.length();
        self.staged = Some(begun.staged);
        Ok(())
    }

    /// All of the bytes. An empty file is a file, too.
    ///
    /// # Errors
    /// When the disk fails.
    pub(super) fn finish(mut self) -> io::Result<Whole> {
        if self.staged.is_none() && self.block.len() <= SMALL {
            self.note = Note::None;
            return Ok(Whole::Small(std::mem::take(&mut self.block)));
        }
        if !self.block.is_empty() || self.staged.is_none() {
            self.flush()?;
        }
        // Dropping the sink must not keep anything from here on.
        self.note = Note::None;
        let staged = self.staged.take().map_or_else(&self.stage, Ok)?;
        if staged.length() != self.received {
            let (there, received) = (staged.length(), self.received);
            let message = format!("{there} bytes were written of {received} that came");
            return Err(io::Error::other(message));
        }
        let (beginning, end) = (std::mem::take(&mut self.beginning), std::mem::take(&mut self.end));
        Ok(Whole::Staged(Box::new(Begun { staged, beginning, end })))
    }

    /// Drops the bytes.
    pub(super) fn discard(mut self) {
        self.note = Note::None;
        if let Some(staged) = self.staged.take() {
            staged.discard();
        }
    }

    /// The bytes that came before a failure, or none if they cannot be completed later.
    pub(super) fn keep(mut self) -> Option<Begun> {
        if self.received < WORTH || self.note().is_none() {
            self.discard();
            return None;
        }
        self.persist().ok()?;
        self.note = Note::None;
        let staged = self.staged.take().filter(|staged| staged.note().is_some())?;
        let (beginning, end) = (std::mem::take(&mut self.beginning), std::mem::take(&mut self.end));
        Some(Begun { staged, beginning, end })
    }
}

impl Receiver for Sink<'_> {
    fn received(&self) -> u64 {
        self.received
    }

    fn take(&mut self, mut piece: &[u8]) -> io::Result<()> {
        self.received += piece.len() as u64;
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            piece = later;
            if self.block.len() == BLOCK {
                self.flush()?;
            }
        }
        if SECURED <= self.received - self.secured {
            self.persist()?;
        }
        Ok(())
    }

    fn secure(&mut self) {
        // Bytes that cannot be written fail the next write, too.
        let _ = self.persist();
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        // The transfer was cancelled.
        self.secure();
        let mut block = std::mem::take(&mut self.block);
        if block.capacity() == BLOCK {
            block.clear();
            SPARE.with_borrow_mut(|spare| spare.push(block));
        }
    }
}

thread_local! {
    /// Blocks of finished transfers, for reuse: each fresh block would cost page faults. At most as
    /// many as there were transfers at a time on this thread.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for `room` bytes if they are few, or for a block.
fn block(room: usize) -> Vec<u8> {
    if room <= SMALL {
        return Vec::with_capacity(room);
    }
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BLOCK))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::dest::Dest;
    use crate::digest::Algorithms;
    use crate::pin::Validators;

    fn note() -> PartNote {
        let validators = Validators { etag: Some("\"a\"".to_owned()), last_modified: None };
        PartNote { path: "a".to_owned(), validators, ..PartNote::default() }
    }

    /// The length of the part that the next run finds.
    fn left(dest: &Dest) -> Option<u64> {
        let part = dest.parts().unwrap().take("a", |_| true)?;
        let found = dest.take_up(&part).unwrap();
        let begun = found.read(Algorithms::default(), EDGE, u64::MAX, || true).unwrap()?;
        let length = begun.staged.length();
        begun.staged.discard();
        Some(length)
    }

    fn sink(dest: &Dest) -> Sink<'_> {
        let stage = Box::new(|| dest.stage(Algorithms::default()));
        Sink::new(Some(2 * SECURED), stage, Box::new(|| Some(note())))
    }

    #[test]
    fn a_kill_loses_at_most_16_mib() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let mut sink = sink(&dest);
        let piece = vec![7; 1024 * 1024];
        for _ in 0..20 {
            sink.take(&piece).unwrap();
        }
        // A process that is killed runs no destructor.
        std::mem::forget(sink);
        assert_eq!(left(&dest), Some(SECURED));
    }

    #[test]
    fn a_note_that_cannot_be_written_does_not_end_the_transfer() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let mut sink = sink(&dest);
        let piece = vec![7; 1024 * 1024];
        sink.take(&piece).unwrap();
        let staging = folder.path().join(crate::dest::CONTROL).join("partial");
        let name = std::fs::read_dir(&staging).unwrap().next().unwrap().unwrap().path();
        std::fs::create_dir(name.with_extension("part")).unwrap();
        for _ in 1..20 {
            sink.take(&piece).unwrap();
        }
        assert!(
            matches!(sink.finish(), Ok(Whole::Staged(begun)) if begun.staged.length() == 20 << 20)
        );
    }

    #[tokio::test]
    async fn an_interrupted_read_of_what_helpers_brought_keeps_what_was_read() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let mut sink = sink(&dest);
        sink.take(&[1; 5000]).unwrap();
        sink.beside().unwrap().write_at(&vec![2; 40 * 1024 * 1024], 5000).unwrap();
        let looks = Arc::new(AtomicU32::new(0));
        let go_on = move || looks.fetch_add(1, Ordering::Relaxed) < 100;
        let upto = 5000 + 40 * 1024 * 1024;
        let error = sink.absorb(upto, go_on).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Interrupted);
        drop(sink);
        assert_eq!(left(&dest), Some(5000 + SECURED));
    }
}
