//! Receiving a body into a staged file.

use std::cell::RefCell;
use std::io;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use tokio::time::Instant;

use super::classify::{Length, check_length};
use super::connection::Connection;
use super::exchange::explain_body;
use super::pace::Pace;
use crate::dest::{Begun, Beside, PartNote, SMALL, Staged, keep_edges};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Expect;

/// Pieces are gathered up to this size: one write instead of many, and still no memory to speak of.
const BLOCK: usize = 256 * 1024;
/// How much of both ends is kept to tell a file's kind.
pub(crate) const EDGE: usize = 512;
/// Less than this is not worth keeping when the rest does not come.
const WORTH: u64 = 1024;
/// After so many bytes they are made to outlast the process, which costs a second file.
const SECURED: u64 = 16 * 1024 * 1024;
/// So long nothing comes before what is there is made so, too.
const LULL: Duration = Duration::from_millis(200);
/// `min_rate` is an average over this time.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules<'a> {
    /// The declared length of the whole file.
    pub(crate) length: Option<u64>,
    /// What the manifest expects.
    pub(crate) expect: &'a Expect,
    /// What is known of the file's length.
    pub(crate) known: Length,
    /// How long no byte may come.
    pub(crate) stall: Duration,
    /// The slowest rate, in bytes a second averaged over a minute; 0 for any.
    pub(crate) min_rate: u64,
}

/// Where the bytes of a body go.
pub(crate) trait Receiver {
    /// Bytes of the file so far, those of earlier attempts included.
    fn received(&self) -> u64;

    /// Takes the next bytes.
    ///
    /// # Errors
    /// When the disk fails.
    fn take(&mut self, piece: &[u8]) -> io::Result<()>;

    /// Nothing came for a while.
    fn lull(&mut self) {}

    /// Whether what follows is not wanted any more.
    fn is_full(&self) -> bool {
        false
    }
}

/// A short text in memory.
impl Receiver for Vec<u8> {
    fn received(&self) -> u64 {
        self.len() as u64
    }

    fn take(&mut self, piece: &[u8]) -> io::Result<()> {
        self.extend_from_slice(piece);
        Ok(())
    }
}

/// Receives a body. `progress` is told of each piece's bytes. What arrived before a failure is where it
/// was to go.
///
/// # Errors
/// When the body is cut, stalls, drips, is too long or too short, or the disk fails.
pub(crate) async fn receive(
    connection: &mut Connection,
    mut body: Incoming,
    rules: &BodyRules<'_>,
    paces: &[&Pace],
    to: &mut impl Receiver,
    mut progress: impl FnMut(u64),
) -> Result<(), Failure> {
    let mut window = Window::new(rules.min_rate);
    let most = rules.known.most(rules.expect);
    while !to.is_full() {
        let received = to.received();
        let piece = next_piece(connection, &mut body, rules, received, || to.lull()).await?;
        let Some(piece) = piece else {
            return check_end(to.received(), rules);
        };
        let bytes = piece.len() as u64;
        to.take(&piece).map_err(|error| Failure::disk("write the file", &error))?;
        if let Some(most) = most
            && most < to.received()
        {
            let too_large = || {
                let message = format!("the file has more than {most} bytes");
                Failure::new(ErrorKind::TooLarge, message)
            };
            let explained = check_length(to.received(), rules.expect, rules.known);
            return Err(explained.err().unwrap_or_else(too_large));
        }
        progress(bytes);
        window.add(bytes)?;
        if !paces.is_empty() {
            let before = Instant::now();
            for pace in paces {
                pace.take(bytes).await;
            }
            // Our own pauses are no slowness of the server's.
            window.since += before.elapsed();
        }
    }
    Ok(())
}

/// Whether a body that is over is whole.
fn check_end(received: u64, rules: &BodyRules<'_>) -> Result<(), Failure> {
    match rules.length {
        Some(length) if length != received => {
            let message = format!("the file ended at {received} of {length} bytes");
            Err(Failure::new(ErrorKind::Truncated, message))
        }
        _ => check_length(received, rules.expect, rules.known),
    }
}

/// The next bytes of a body, of which so many came before. None at its end. `lull` is called when nothing
/// came for a while.
async fn next_piece(
    connection: &mut Connection,
    body: &mut Incoming,
    rules: &BodyRules<'_>,
    received: u64,
    mut lull: impl FnMut(),
) -> Result<Option<Bytes>, Failure> {
    let quiet = LULL.min(rules.stall);
    loop {
        let frame = match tokio::time::timeout(quiet, connection.frame(body)).await {
            Ok(frame) => Ok(frame),
            Err(_) => {
                lull();
                let rest = rules.stall.saturating_sub(quiet);
                tokio::time::timeout(rest, connection.frame(body)).await
            }
        };
        match frame {
            Ok(Some(Ok(frame))) => {
                // What is no data are trailers.
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(Some(Err(error))) => return Err(explain_body(&error, received, rules.length)),
            Ok(None) if connection.is_over(body) => return Ok(None),
            Ok(None) => {
                let message = format!("the stream was broken off after {received} bytes");
                return Err(Failure::new(ErrorKind::Truncated, message));
            }
            Err(_) => {
                let seconds = rules.stall.as_secs_f32();
                let message = format!("no byte for {seconds} s after {received} bytes");
                return Err(Failure::new(ErrorKind::Stalled, message));
            }
        }
    }
}

/// Makes a staged file.
pub(crate) type Stage<'a> = Box<dyn Fn() -> io::Result<Staged> + Send + 'a>;

/// Says what the bytes are the beginning of, where a beginning is worth something.
pub(crate) type MakeNote<'a> = Box<dyn Fn() -> Option<PartNote> + Send + 'a>;

/// Gathers pieces into blocks and writes them. Dropped unfinished, it keeps what arrived, where there is
/// a way to get only the rest.
pub(crate) struct Sink<'a> {
    block: Vec<u8>,
    staged: Option<Staged>,
    beginning: Vec<u8>,
    end: Vec<u8>,
    /// Bytes so far, those of earlier attempts included.
    received: u64,
    /// Bytes that are kept for certain.
    secured: u64,
    stage: Stage<'a>,
    note: Note<'a>,
}

/// All bytes of a file.
pub(crate) enum Whole {
    Staged(Box<Begun>),
    /// They were never written.
    Small(Vec<u8>),
}

/// What the bytes of a sink are the beginning of.
enum Note<'a> {
    /// Few transfers ever need it.
    Unwritten(MakeNote<'a>),
    Written(PartNote),
    /// A beginning is worth nothing.
    None,
}

impl<'a> Sink<'a> {
    /// A sink for a body of so many bytes, where they are known.
    pub(crate) fn new(length: Option<u64>, stage: Stage<'a>, note: MakeNote<'a>) -> Self {
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

    /// A sink for the rest of a file that was begun.
    pub(crate) fn resume(begun: Begun, stage: Stage<'a>) -> Self {
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

    /// Sees to it that what arrived so far is there for another attempt, and for another run.
    fn secure(&mut self) -> io::Result<()> {
        if self.received < WORTH || self.received <= self.secured || self.note().is_none() {
            return Ok(());
        }
        self.flush()?;
        if let (Some(staged), Note::Written(note)) = (&mut self.staged, &self.note) {
            staged.keep_as(note)?;
        }
        self.secured = self.received;
        Ok(())
    }

    /// What its bytes are the beginning of, where a beginning is worth something.
    pub(crate) fn note(&mut self) -> Option<&PartNote> {
        if let Note::Unwritten(make) = &self.note {
            self.note = make().map_or(Note::None, Note::Written);
        }
        match &self.note {
            Note::Written(note) => Some(note),
            _ => None,
        }
    }

    /// A way to write to the same file at other places.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn beside(&mut self) -> io::Result<Beside> {
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert((self.stage)()?),
        };
        staged.beside()
    }

    /// Takes over what was written beside it, up to that place.
    ///
    /// # Errors
    /// When the disk fails, or `go_on` says no.
    pub(crate) async fn absorb(
        &mut self,
        upto: u64,
        go_on: impl Fn() -> bool + Send + 'static,
    ) -> io::Result<()> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        if upto <= self.received {
            return Ok(());
        }
        let Some(mut staged) = self.staged.take() else { return Ok(()) };
        let (mut beginning, mut end) =
            (std::mem::take(&mut self.beginning), std::mem::take(&mut self.end));
        // It may be long: not on the event loop.
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

    /// All of it: also an empty file is a file.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn finish(mut self) -> io::Result<Whole> {
        if self.staged.is_none() && self.block.len() <= SMALL {
            self.note = Note::None;
            return Ok(Whole::Small(std::mem::take(&mut self.block)));
        }
        if !self.block.is_empty() || self.staged.is_none() {
            self.flush()?;
        }
        // There is nothing to keep any more.
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

    /// Gives the bytes up.
    pub(crate) fn discard(mut self) {
        self.note = Note::None;
        if let Some(staged) = self.staged.take() {
            staged.discard();
        }
    }

    /// What arrived before a failure, to go on from there. None where there is nothing to keep.
    pub(crate) fn keep(mut self) -> Option<Begun> {
        if self.received < WORTH || self.note().is_none() {
            self.discard();
            return None;
        }
        self.secure().ok()?;
        self.note = Note::None;
        let staged = self.staged.take()?;
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
            self.secure()?;
        }
        Ok(())
    }

    fn lull(&mut self) {
        // What cannot be kept is no failure of the transfer.
        let _ = self.secure();
    }
}

impl Drop for Sink<'_> {
    fn drop(&mut self) {
        // The transfer was called off in the middle.
        let _ = self.secure();
        let mut block = std::mem::take(&mut self.block);
        if block.capacity() == BLOCK {
            block.clear();
            SPARE.with_borrow_mut(|spare| spare.push(block));
        }
    }
}

thread_local! {
    /// Blocks of transfers that are over: fresh memory would have to be made by the system each time. There are as many
    /// as transfers were under way on this thread.
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Memory for so many bytes, or for a block.
fn block(room: usize) -> Vec<u8> {
    if room <= SMALL {
        return Vec::with_capacity(room);
    }
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(BLOCK))
}

/// Holds `min_rate` against what came within the last minute.
struct Window {
    min_rate: u64,
    since: Instant,
    bytes: u64,
}

impl Window {
    fn new(min_rate: u64) -> Self {
        Self { min_rate, since: Instant::now(), bytes: 0 }
    }

    fn add(&mut self, bytes: u64) -> Result<(), Failure> {
        self.bytes += bytes;
        if self.min_rate == 0 || self.since.elapsed() < RATE_WINDOW {
            return Ok(());
        }
        let rate = self.bytes / self.since.elapsed().as_secs().max(1);
        if rate < self.min_rate {
            let message = format!(
                "{rate} bytes a second over the last minute, less than `min_rate` ({})",
                self.min_rate
            );
            return Err(Failure::new(ErrorKind::Stalled, message));
        }
        *self = Self::new(self.min_rate);
        Ok(())
    }
}
