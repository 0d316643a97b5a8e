//! Standard output that remembers when it broke.

use std::fmt;
use std::io::{self, BufWriter, Write};

/// What results are written to.
///
/// Writing never fails towards the caller, since no loss of output may stop or disturb the work. A
/// reader that went away (`| head`) ends the output quietly; any other failure is kept for the end
/// of the run, where [`Output::error`] tells of it.
pub struct Output {
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
    /// Writes to that stream; `at_once` hands each line over when it is done, for a terminal.
    #[must_use]
    pub fn new(stream: Box<dyn Write>, at_once: bool) -> Self {
        Self { writer: BufWriter::with_capacity(BUFFER, stream), state: State::Open, at_once }
    }

    /// Whether what is written still arrives somewhere.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Writes a text as it is.
    pub fn text(&mut self, text: &str) {
        self.attempt(|writer| writer.write_all(text.as_bytes()));
    }

    /// Writes what `write` writes, which is whole lines.
    pub fn attempt(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.is_open() {
            let result = write(&mut self.writer);
            self.note(result);
        }
    }

    /// A line is whole: a terminal gets it now.
    pub fn line_done(&mut self) {
        if self.at_once {
            self.flush();
        }
    }

    /// Whether something is buffered.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.is_open() && !self.writer.buffer().is_empty()
    }

    /// Hands over what is buffered.
    pub fn flush(&mut self) {
        if self.is_open() {
            let result = self.writer.flush();
            self.note(result);
        }
    }

    /// The failure that ended the output, if one did; a closed pipe is none. It is told once.
    pub fn error(&mut self) -> Option<io::Error> {
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
    fn a_closed_pipe_is_no_error() {
        let mut output = Output::new(Box::new(Broken(io::ErrorKind::BrokenPipe)), true);
        output.text("a\n");
        output.line_done();
        assert!(!output.is_open());
        assert!(output.error().is_none());
    }

    #[test]
    fn a_full_disk_is_an_error_that_is_told_once() {
        let mut output = Output::new(Box::new(Broken(io::ErrorKind::StorageFull)), false);
        output.text("a\n");
        assert!(output.is_open());
        output.flush();
        assert!(!output.is_open());
        assert_eq!(output.error().unwrap().kind(), io::ErrorKind::StorageFull);
        assert!(output.error().is_none());
    }
}
