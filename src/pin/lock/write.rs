//! Writing a lock: whole, in one step, and only when it changed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::line::{LockLine, write_header};
use crate::atomic_file::Draft;

/// A new lock on its way. Dropped unfinished, it leaves no trace.
#[derive(Debug)]
pub(crate) struct LockWriter {
    to: BufWriter<Output>,
    lines: u64,
}

/// The bytes go to a private file, and are held against those of the lock that is there.
#[derive(Debug)]
struct Output {
    /// None where it is only compared.
    draft: Option<Draft>,
    old: Option<BufReader<File>>,
    /// Whether a byte differed so far.
    differs: bool,
    scratch: Vec<u8>,
}

impl LockWriter {
    /// Begins a lock that is to be put in place.
    ///
    /// # Errors
    /// When no file can be made beside it.
    pub(crate) fn create(file: &Path, manifest: &str) -> io::Result<Self> {
        let draft = Draft::create(file)?;
        let place = draft.place().to_owned();
        Self::begin(&place, Some(draft), manifest)
    }

    /// Begins a lock that is only compared with the one that is there.
    ///
    /// # Errors
    /// When that cannot be read.
    pub(crate) fn comparing(file: &Path, manifest: &str) -> io::Result<Self> {
        Self::begin(file, None, manifest)
    }

    fn begin(place: &Path, draft: Option<Draft>, manifest: &str) -> io::Result<Self> {
        let old = match File::open(place) {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let differs = old.is_none();
        let output = Output { draft, old, differs, scratch: Vec::new() };
        let mut to = BufWriter::with_capacity(64 * 1024, output);
        write_header(manifest, &mut to)?;
        Ok(Self { to, lines: 0 })
    }

    /// Adds the next line; paths come in order.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write(&mut self, line: &LockLine) -> io::Result<()> {
        self.lines += 1;
        line.write(&mut self.to)
    }

    /// How many lines were written.
    #[must_use]
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Puts the lock in place if it differs from the one that is there. Answers whether it does.
    ///
    /// # Errors
    /// When the disk fails. The lock that was there stays.
    pub(crate) fn finish(self) -> io::Result<bool> {
        let mut output = self.to.into_inner().map_err(io::IntoInnerError::into_error)?;
        output.differs |= output.has_more()?;
        let Output { draft, differs, .. } = output;
        if let Some(draft) = draft.filter(|_| differs) {
            draft.publish()?;
        }
        Ok(differs)
    }
}

impl Output {
    /// Whether the old lock goes on where the new one ends.
    fn has_more(&mut self) -> io::Result<bool> {
        match &mut self.old {
            Some(old) if !self.differs => Ok(old.read(&mut [0])? != 0),
            _ => Ok(false),
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let (Some(old), false) = (&mut self.old, self.differs) {
            self.scratch.resize(bytes.len(), 0);
            self.differs = match old.read_exact(&mut self.scratch) {
                Ok(()) => self.scratch != bytes,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => true,
                Err(error) => return Err(error),
            };
        }
        if let Some(draft) = &mut self.draft {
            draft.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
