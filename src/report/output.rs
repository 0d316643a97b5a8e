//! A buffered writer for standard output that keeps its first write error for the end of the run.

use std::fmt;
use std::io::{self, BufWriter, Write};

/// Standard output.
///
/// Writing never returns an error, because lost output must not stop the work on the files. A
/// closed pipe (`| head`) silently ends the output. Any other error is kept, and [`Output::error`]
/// returns it at the end of the run.
pub(super) struct Output {
    writer: BufWriter<Box<dyn Write>>,
    state: State,
    at_once: bool,
}

enum State {
    Open,
    Closed,
    Failed(io::Error),
}

/// Large enough that a listing of millions of lines costs few system calls.
const BUFFER: usize = 64 * 1024;

impl Output {
    /// Creates a buffer over `stream`. With `at_once`, for a terminal, each complete line is
    /// flushed.
    #[must_use]
    pub(super) fn new(stream: Box<dyn Write>, at_once: bool) -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, stream), state: State::Open, at_once }
    }

    /// False once a write failed: later output is discarded.
    #[must_use]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Writes `text` unchanged.
    #[cfg(test)]
    pub(super) fn text(&mut self, text: &str) {
        self.attempt(|writer| writer.write_all(text.as_bytes()));
    }

    /// Lets `write` write complete lines, unless the output failed before.
    pub(super) fn attempt(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.is_open() {
            let result = write(&mut self.writer);
            self.note(result);
        }
    }

    /// Flushes if the stream is a terminal. Call it after each complete line.
    pub(super) fn line_done(&mut self) {
        if self.at_once {
            self.flush();
        }
    }

    /// Whether there are buffered bytes.
    #[must_use]
    pub(super) fn has_waiting(&self) -> bool {
        self.is_open() && !self.writer.buffer().is_empty()
    }

    /// Writes the buffered bytes to the stream.
    pub(super) fn flush(&mut self) {
        if self.is_open() {
            let result = self.writer.flush();
            self.note(result);
        }
    }

    /// Takes the error that ended the output. A closed pipe is not an error. Later calls return
    /// `None`.
    pub(super) fn error(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(error) => Some(error),
            open_or_closed => {
                self.state = open_or_closed;
                None
            }
        }
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.state = match error.kind() {
                io::ErrorKind::BrokenPipe => State::Closed,
                _ => State::Failed(error),
            };
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("is_open", &self.is_open()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_not_an_error() {
        let mut output = Output::new(Box::new(Broken(io::ErrorKind::BrokenPipe)), true);
        output.text("a\n");
        output.line_done();
        assert!(!output.is_open());
        assert!(output.error().is_none());
    }

    #[test]
    fn a_full_disk_is_an_error_that_is_returned_once() {
        let mut output = Output::new(Box::new(Broken(io::ErrorKind::StorageFull)), false);
        output.text("a\n");
        assert!(output.is_open());
        output.flush();
        assert!(!output.is_open());
        assert_eq!(output.error().unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(output.error().is_none());
    }
}
