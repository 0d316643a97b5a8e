//! Writes a lock atomically, and only if its content changed.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use super::line::{LockLine, write_header};
use crate::atomic_file::AtomicFile;

/// Writes a new lock. If it is dropped before [`LockWriter::finish`], no file is left behind.
#[derive(Debug)]
pub(crate) struct LockWriter {
    to: BufWriter<Output>,
    lines: u64,
}

/// Writes to a private file, and compares the bytes with the existing lock.
#[derive(Debug)]
struct Output {
    /// `None` if the content is only compared.
    draft: Option<AtomicFile>,
    old: Option<BufReader<File>>,
    /// True if the new content differs so far.
    differs: bool,
    scratch: Vec<u8>,
}

impl LockWriter {
    /// Begins a new lock for `file`.
    ///
    /// # Errors
    /// When no file can be created in its folder, or the existing lock cannot be read.
    pub(crate) fn create(file: &Path, manifest: &str) -> io::Result<Self> {
        let draft = AtomicFile::create(file)?;
        let place = draft.place().to_owned();
        Self::begin(&place, Some(draft), manifest)
    }

    /// Begins a comparison with the existing lock; nothing is written.
    ///
    /// # Errors
    /// When the existing lock cannot be read.
    pub(crate) fn comparing(file: &Path, manifest: &str) -> io::Result<Self> {
        Self::begin(file, None, manifest)
    }

    fn begin(place: &Path, draft: Option<AtomicFile>, manifest: &str) -> io::Result<Self> {
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

    /// Adds the next line. The caller must pass the lines sorted by path.
    ///
    /// # Errors
    /// When writing fails.
    pub(crate) fn write(&mut self, line: &LockLine) -> io::Result<()> {
        self.lines += 1;
        line.write(&mut self.to)
    }

    /// The number of lines added.
    #[must_use]
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// Replaces the existing lock if the content differs. Returns true if it differs.
    ///
    /// # Errors
    /// When writing fails; the existing lock is then unchanged.
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
    /// True if the existing lock is longer than the new one.
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
