//! Private files for bytes whose digests are not confirmed yet, and their verification.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};

use super::attributes::Created;
use super::folder::Shared;
use super::part::{Part, PartNote, Written, remove_note, rename_note};
use super::proof::{VerifyError, confirm};
use super::small::Small;
use super::stat::Stat;
use crate::digest::{Algorithms, Checksum, Digests, Hasher};

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file that only this transfer writes to. Dropping it removes the file, unless it is kept as a
/// part.
#[derive(Debug)]
pub(crate) struct Staged {
    file: File,
    name: Option<Name>,
    hasher: Hasher,
    length: u64,
    /// The note under which it is kept, and how many of its bytes the note covers.
    kept: Option<(PartNote, u64)>,
}

/// A staged file whose length and digests are confirmed. Only such a file can be published.
/// Dropping it unpublished removes the file.
#[derive(Debug)]
pub(crate) struct Verified {
    name: Name,
    length: u64,
    digests: Digests,
    created: Created,
    modified: i64,
}

impl Staged {
    pub(super) fn create(staging: &Shared, run: u64, algorithms: Algorithms) -> io::Result<Self> {
        let (file, name) = create(staging, run)?;
        let hasher = Hasher::new(algorithms);
        Ok(Self { file, name: Some(name), hasher, length: 0, kept: None })
    }

    /// Writes and hashes the next bytes.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// A second handle on the file, to write beyond the bytes received in order.
    ///
    /// # Errors
    /// When there are too many open files.
    pub(crate) fn beside(&self) -> io::Result<Beside> {
        Ok(Beside(self.file.try_clone()?))
    }

    /// Reads and hashes the bytes that another handle wrote, up to that offset. Keeps `edge` bytes
    /// of both ends.
    ///
    /// # Errors
    /// When the disk fails, or `go_on` returns false.
    pub(crate) fn absorb(
        &mut self,
        upto: u64,
        beginning: &mut Vec<u8>,
        end: &mut Vec<u8>,
        edge: usize,
        go_on: impl Fn() -> bool,
    ) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.length))?;
        // An interrupted read leaves the file as it was, so that it can be kept.
        let hasher = self.hasher.clone();
        let (first, last) = (std::mem::take(beginning), std::mem::take(end));
        let mut reading = Reading { hasher, edge, beginning: first, end: last };
        let whole = reading.read(&mut self.file, upto.saturating_sub(self.length), &go_on)?;
        self.hasher = reading.hasher;
        (*beginning, *end) = (reading.beginning, reading.end);
        if !whole {
            return Err(io::Error::other("the staged file is shorter than what was written"));
        }
        self.length = upto;
        Ok(())
    }

    /// Keeps the written bytes as a part under that note, even if this process is killed.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub(crate) fn keep_as(&mut self, note: &PartNote) -> io::Result<()> {
        let Some(name) = &self.name else { return Ok(()) };
        if self.kept.is_none() {
            name.noted.set(true);
            note.begin(&name.folder, &name.text)?;
        }
        let (_, kept) = self.kept.get_or_insert_with(|| (note.clone(), 0));
        if *kept < self.length {
            let sha256 = self.hasher.clone().finish().sha256().to_string();
            Written { length: self.length, sha256 }.add(&name.folder, &name.text)?;
            *kept = self.length;
        }
        Ok(())
    }

    /// The note under which it is kept, if it is.
    #[must_use]
    pub(crate) fn note(&self) -> Option<&PartNote> {
        self.kept.as_ref().map(|(note, _)| note)
    }

    /// Discards the bytes.
    pub(crate) fn discard(mut self) {
        self.kept = None;
    }

    /// The digests so far.
    #[must_use]
    pub(crate) fn digests(&self) -> Digests {
        self.hasher.clone().finish()
    }

    /// Bytes written so far.
    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Completes the file and verifies it: the disk holds as many bytes as were hashed, and they
    /// have all of these digests. `modified` becomes its mtime, in seconds since 1970, if the file
    /// system accepts it.
    ///
    /// # Errors
    /// When a digest differs, the lengths differ or the disk fails.
    pub(crate) fn verify(
        mut self,
        expected: &[Checksum],
        modified: Option<i64>,
    ) -> Result<Verified, VerifyError> {
        // From here on the file is complete and no longer a part.
        self.kept = None;
        let stat = end(&self.file, self.length, modified)?;
        let digests = std::mem::take(&mut self.hasher).finish();
        confirm(&digests, expected)?;
        let name = self.name.take().ok_or_else(|| io::Error::other("it was verified before"))?;
        Ok(Verified::new(name, digests, &stat))
    }
}

fn create(staging: &Shared, run: u64) -> io::Result<(File, Name)> {
    let text = private_name(run);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&**staging, &text, flags, Mode::from_raw_mode(0o666))?;
    Ok((File::from(file), Name::new(staging, text)))
}

/// Sets the mtime of a complete file, and checks that the disk holds `length` bytes.
fn end(file: &File, length: u64, modified: Option<i64>) -> io::Result<Stat> {
    if let Some(seconds) = modified {
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        // A time that the file system cannot store does not make the bytes wrong.
        let _ =
            rustix::fs::futimens(file, &Timestamps { last_access: time, last_modification: time });
    }
    let stat = Stat::from(rustix::fs::fstat(file)?);
    if stat.size != length {
        let there = stat.size;
        let message = format!("the staged file has {there} bytes after {length} were written");
        return Err(io::Error::other(message));
    }
    Ok(stat)
}

impl Verified {
    fn new(name: Name, digests: Digests, stat: &Stat) -> Self {
        let Stat { owner, group, modified, .. } = *stat;
        let created = Created { owner, group, permissions: stat.permissions() };
        Self { name, length: stat.size, digests, created, modified }
    }

    /// Writes a file whose digests are confirmed already.
    pub(super) fn write(staging: &Shared, run: u64, small: Small) -> io::Result<Self> {
        let Small { bytes, digests, modified } = small;
        let (mut file, name) = create(staging, run)?;
        file.write_all(&bytes)?;
        let stat = end(&file, bytes.len() as u64, modified)?;
        Ok(Self::new(name, digests, &stat))
    }

    #[must_use]
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    #[must_use]
    pub(crate) fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Whether a published file is still the one that was staged.
    #[must_use]
    pub(crate) fn is_still(&self, stat: &Stat) -> bool {
        stat.size == self.length && stat.modified == self.modified
    }

    pub(super) fn name(&self) -> &str {
        &self.name.text
    }

    pub(super) fn created(&self) -> Created {
        self.created
    }

    /// The file has its final name: dropping `self` must not remove it.
    pub(super) fn disarm(&self) {
        self.name.armed.set(false);
        if self.name.noted.get() {
            remove_note(&self.name.folder, &self.name.text);
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if let Some((note, _)) = self.kept.clone() {
            // If the note cannot be written, the next run does not trust the bytes.
            let _ = self.keep_as(&note);
            if let Some(name) = &self.name {
                name.armed.set(false);
            }
        }
    }
}

/// A handle on a staged file for bytes that arrive out of order.
#[derive(Debug)]
pub(crate) struct Beside(File);

impl Beside {
    /// Writes at that offset.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
}

/// A part with its hasher: the rest of the file is appended to it.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) staged: Staged,
    /// The first bytes.
    pub(crate) beginning: Vec<u8>,
    /// The last bytes.
    pub(crate) end: Vec<u8>,
}

/// A part of an earlier run whose bytes have not been read yet.
#[derive(Debug)]
pub(crate) struct Found {
    file: File,
    name: Name,
    part: Part,
}

impl Found {
    pub(super) fn open(staging: &Shared, run: u64, part: &Part) -> io::Result<Self> {
        let name = Name::taken_over(staging, private_name(run), &part.name)?;
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&**staging, &name.text, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        Ok(Self { file, name, part: part.clone() })
    }

    /// Reads and hashes at most `upto` bytes, which may take long. Keeps `edge` bytes of both ends.
    /// None if the bytes do not match the note: then the part is removed. Otherwise it stays one,
    /// whenever the process ends.
    ///
    /// # Errors
    /// When the disk fails, or `go_on` returns false.
    pub(crate) fn read(
        mut self,
        algorithms: Algorithms,
        edge: usize,
        upto: u64,
        go_on: impl Fn() -> bool,
    ) -> io::Result<Option<Begun>> {
        let written = &self.part.written;
        let upto = upto.min(written.length);
        let mut begun = Reading { edge, ..Reading::new(algorithms) };
        let complete = begun.read(&mut self.file, upto, &go_on)?;
        let mut proof = Reading { hasher: begun.hasher.clone(), ..Reading::default() };
        let proven = complete && proof.read(&mut self.file, written.length - upto, &go_on)?;
        if upto == 0 || !proven || proof.hasher.finish().sha256().to_string() != written.sha256 {
            self.name.armed.set(true);
            return Ok(None);
        }
        let Reading { hasher, beginning, end, .. } = begun;
        if upto < written.length {
            // The note vouches for the shorter part before the file becomes one.
            let sha256 = hasher.clone().finish().sha256().to_string();
            Written { length: upto, sha256 }.add(&self.name.folder, &self.name.text)?;
        }
        self.file.set_len(upto)?;
        self.file.seek(SeekFrom::Start(upto))?;
        let Self { file, name, part } = self;
        name.armed.set(true);
        let staged =
            Staged { file, name: Some(name), hasher, length: upto, kept: Some((part.note, upto)) };
        Ok(Some(Begun { staged, beginning, end }))
    }
}

/// The bytes to read and hash.
#[derive(Default)]
struct Reading {
    hasher: Hasher,
    edge: usize,
    beginning: Vec<u8>,
    end: Vec<u8>,
}

impl Reading {
    fn new(algorithms: Algorithms) -> Self {
        Self { hasher: Hasher::new(algorithms), ..Self::default() }
    }

    /// Reads exactly `length` further bytes. Returns false if the file ends before.
    fn read(
        &mut self,
        file: &mut File,
        mut bytes: u64,
        go_on: &impl Fn() -> bool,
    ) -> io::Result<bool> {
        let mut block = vec![0; 256 * 1024];
        while 0 < bytes {
            if !go_on() {
                return Err(io::Error::from(io::ErrorKind::Interrupted));
            }
            let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(block.len());
            let read = match file.read(&mut block[..most]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            bytes -= read as u64;
            let piece = &block[..read];
            self.hasher.update(piece);
            keep_edges(&mut self.beginning, &mut self.end, piece, self.edge);
        }
        Ok(true)
    }
}

/// Keeps `edge` bytes of both ends of a stream.
pub(crate) fn keep_edges(beginning: &mut Vec<u8>, end: &mut Vec<u8>, piece: &[u8], edge: usize) {
    if beginning.len() < edge {
        beginning.extend_from_slice(&piece[..piece.len().min(edge - beginning.len())]);
    }
    end.extend_from_slice(&piece[piece.len().saturating_sub(edge)..]);
    end.drain(..end.len().saturating_sub(edge));
}

fn private_name(run: u64) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{run:016x}-{number:x}")
}

/// A name in the staging area. Dropping it removes the file, unless that was published or is kept.
#[derive(Debug)]
struct Name {
    folder: Shared,
    text: String,
    armed: Cell<bool>,
    /// Whether the file has a note.
    noted: Cell<bool>,
}

impl Name {
    fn new(staging: &Shared, text: String) -> Self {
        let (armed, noted) = (Cell::new(true), Cell::new(false));
        Self { folder: Shared::clone(staging), text, armed, noted }
    }

    /// Gives a part and its note that name. At every moment a valid note stands beside the bytes, if
    /// the file system has hard links. Another run that does the same at the same time gets none.
    fn taken_over(staging: &Shared, text: String, part: &str) -> io::Result<Self> {
        let name = Self::new(staging, text);
        let linked = rustix::fs::linkat(&**staging, part, &**staging, &name.text, AtFlags::empty());
        if linked.is_err() {
            rustix::fs::renameat(&**staging, part, &**staging, &name.text)?;
        }
        rename_note(staging, part, &name.text)?;
        if linked.is_ok() {
            // A name without a note is no part: the next run removes it.
            let _ = rustix::fs::unlinkat(&**staging, part, AtFlags::empty());
        }
        name.armed.set(false);
        name.noted.set(true);
        Ok(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        if self.armed.get() {
            let _ = rustix::fs::unlinkat(&*self.folder, &self.text, AtFlags::empty());
            if self.noted.get() {
                remove_note(&self.folder, &self.text);
            }
        }
    }
}
