//! Receiving a body into a staged file.

use std::io;
use std::time::Duration;

use hyper::body::{Bytes, Incoming};
use tokio::time::Instant;

use super::classify::{Length, check_length};
use super::connection::Connection;
use super::exchange::explain_body;
use super::pace::Pace;
use crate::dest::Staged;
use crate::error::{ErrorKind, Failure};
use crate::manifest::Expect;

/// Pieces are gathered up to this size: one write instead of many, and still no memory to speak of.
const BLOCK: usize = 256 * 1024;
/// How much of both ends is kept to tell a file's kind.
const EDGE: usize = 512;
/// `min_rate` is an average over this time.
const RATE_WINDOW: Duration = Duration::from_mins(1);

/// What a body must keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyRules<'a> {
    /// Its declared length.
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

/// A body that arrived whole.
#[derive(Debug)]
pub(crate) struct Received {
    /// Its bytes, staged.
    pub(crate) staged: Staged,
    /// Its first bytes.
    pub(crate) beginning: Vec<u8>,
    /// Its last bytes.
    pub(crate) end: Vec<u8>,
}

/// Receives a body. `progress` is told of each piece's bytes.
///
/// # Errors
/// When the body is cut, stalls, drips, is too long or too short, or the disk fails.
pub(crate) async fn receive(
    connection: &mut Connection,
    mut body: Incoming,
    rules: &BodyRules<'_>,
    paces: &[&Pace],
    stage: impl Fn() -> io::Result<Staged>,
    mut progress: impl FnMut(u64),
) -> Result<Received, Failure> {
    let mut sink = Sink::new(rules.length);
    let mut window = Window::new(rules.min_rate);
    let most = rules.known.most(rules.expect);
    while let Some(piece) = next_piece(connection, &mut body, rules, sink.received).await? {
        let bytes = piece.len() as u64;
        sink.take(&piece, &stage).map_err(|error| Failure::disk("write the file", &error))?;
        if let Some(most) = most
            && most < sink.received
        {
            return Err(check_length(sink.received, rules.expect, rules.known)
                .err()
                .unwrap_or_else(|| {
                    Failure::new(
                        ErrorKind::TooLarge,
                        format!("the file has more than {most} bytes"),
                    )
                }));
        }
        progress(bytes);
        window.add(bytes)?;
        for pace in paces {
            pace.take(bytes).await;
        }
    }
    if let Some(length) = rules.length
        && length != sink.received
    {
        let message = format!("the file ended at {} of {length} bytes", sink.received);
        return Err(Failure::new(ErrorKind::Truncated, message));
    }
    check_length(sink.received, rules.expect, rules.known)?;
    sink.finish(&stage).map_err(|error| Failure::disk("write the file", &error))
}

/// Receives a short text into memory.
///
/// # Errors
/// When the body is cut, stalls, drips, or is too long.
pub(crate) async fn receive_text(
    connection: &mut Connection,
    mut body: Incoming,
    rules: &BodyRules<'_>,
    paces: &[&Pace],
) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let mut window = Window::new(rules.min_rate);
    while let Some(piece) = next_piece(connection, &mut body, rules, text.len() as u64).await? {
        text.extend_from_slice(&piece);
        if let Some(most) = rules.known.most(rules.expect)
            && most < text.len() as u64
        {
            let message = format!("it has more than {most} bytes");
            return Err(Failure::new(ErrorKind::TooLarge, message));
        }
        window.add(piece.len() as u64)?;
        for pace in paces {
            pace.take(piece.len() as u64).await;
        }
    }
    match rules.length {
        Some(length) if length != text.len() as u64 => {
            let message = format!("it ended at {} of {length} bytes", text.len());
            Err(Failure::new(ErrorKind::Truncated, message))
        }
        _ => Ok(text),
    }
}

/// The next bytes of a body, of which so many came before. None at its end.
async fn next_piece(
    connection: &mut Connection,
    body: &mut Incoming,
    rules: &BodyRules<'_>,
    received: u64,
) -> Result<Option<Bytes>, Failure> {
    loop {
        match tokio::time::timeout(rules.stall, connection.frame(body)).await {
            Ok(Some(Ok(frame))) => {
                // What is no data are trailers.
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
            Ok(Some(Err(error))) => return Err(explain_body(&error, received, rules.length)),
            Ok(None) => return Ok(None),
            Err(_) => {
                let seconds = rules.stall.as_secs_f32();
                let message = format!("no byte for {seconds} s after {received} bytes");
                return Err(Failure::new(ErrorKind::Stalled, message));
            }
        }
    }
}

/// Gathers pieces into blocks and writes them.
struct Sink {
    block: Vec<u8>,
    staged: Option<Staged>,
    beginning: Vec<u8>,
    received: u64,
}

impl Sink {
    fn new(length: Option<u64>) -> Self {
        let room = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(0).min(BLOCK);
        Self { block: Vec::with_capacity(room), staged: None, beginning: Vec::new(), received: 0 }
    }

    fn take(
        &mut self,
        mut piece: &[u8],
        stage: &impl Fn() -> io::Result<Staged>,
    ) -> io::Result<()> {
        self.received += piece.len() as u64;
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            piece = later;
            if self.block.len() == BLOCK {
                self.flush(stage)?;
                self.block.clear();
            }
        }
        Ok(())
    }

    fn flush(&mut self, stage: &impl Fn() -> io::Result<Staged>) -> io::Result<()> {
        if self.staged.is_none() {
            self.beginning = self.block[..self.block.len().min(EDGE)].to_vec();
        }
        let staged = match &mut self.staged {
            Some(staged) => staged,
            none => none.insert(stage()?),
        };
        staged.write(&self.block)
    }

    fn finish(mut self, stage: &impl Fn() -> io::Result<Staged>) -> io::Result<Received> {
        // Also an empty file is a file.
        if !self.block.is_empty() || self.staged.is_none() {
            self.flush(stage)?;
        }
        let end = self.block[self.block.len().saturating_sub(EDGE)..].to_vec();
        let staged = match self.staged {
            Some(staged) => staged,
            None => stage()?,
        };
        Ok(Received { staged, beginning: self.beginning, end })
    }
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
