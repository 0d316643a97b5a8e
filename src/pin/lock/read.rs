//! Reads a lock: one pass over all lines builds an index, then single lines are read on demand.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::VERSION;
use super::blocks::Blocks;
use super::line::{LineError, LockLine, parse_header};
use super::problem::LockProblem;
use crate::manifest::hash_index::HashIndex;
use crate::rel_path::path_hash;

/// The longest accepted line in bytes; natsync never writes a longer one.
const LONGEST: usize = 1024 * 1024;

const REMAKE: &str = "check out the last good version, or remove the lock and run `natsync lock`";

/// A lock whose lines have all been validated. It keeps 16 bytes a line in memory; the lines stay
/// in the file, which is kept open.
#[derive(Debug)]
pub(crate) struct Lock {
    path: PathBuf,
    stamp: [i64; 6],
    blocks: Blocks,
    index: Index,
    /// True if the lines are sorted by path.
    sorted: bool,
    /// The offset of the first line after the header.
    first: u64,
}

/// The hash of each path with the offset of its line.
#[derive(Debug, Default)]
struct Index {
    /// Sorted by hash, then by offset.
    places: Vec<(u64, u64)>,
    parts: HashIndex,
}

impl Index {
    fn new(mut places: Vec<(u64, u64)>) -> Self {
        places.sort_unstable();
        let mut index = Self { places, parts: HashIndex::default() };
        index.divide();
        index
    }

    /// Recomputes the parts after a change of `places`.
    fn divide(&mut self) {
        let hashes = self.places.iter().map(|&(hash, _)| hash);
        self.parts = HashIndex::new(self.places.len(), hashes);
    }

    /// The offsets of the lines whose path has this hash.
    fn find(&self, hash: u64) -> impl Iterator<Item = u64> {
        let part = &self.places[self.parts.of(hash)];
        let first = part.partition_point(|&(other, _)| other < hash);
        part[first..].iter().take_while(move |&&(other, _)| other == hash).map(|&(_, place)| place)
    }
}

/// Device, inode, size and times: what changes when a file is written or replaced.
fn stamp(metadata: &std::fs::Metadata) -> [i64; 6] {
    let [device, inode, size] = [metadata.dev(), metadata.ino(), metadata.size()];
    let changed = metadata.ctime().wrapping_mul(1_000_000_000).wrapping_add(metadata.ctime_nsec());
    let [device, inode, size] = [device, inode, size].map(u64::cast_signed);
    [device, inode, size, metadata.mtime(), metadata.mtime_nsec(), changed]
}

impl Lock {
    /// Reads and validates the lock of a manifest. `None` if there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged, was made by a newer natsync, or belongs to another
    /// manifest.
    pub(crate) fn read(path: &Path, manifest: &str) -> Result<Option<Self>, LockProblem> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unreadable(path, &error)),
        };
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let Some(metadata) = metadata else {
            return Err(LockProblem::new(path, "the lock is not a regular file"));
        };
        let mut lines = Lines::new(path, file);
        let header = loop {
            match lines.next()? {
                None => {
                    let problem = LockProblem::new(path, "the lock is empty");
                    return Err(problem.hint(REMAKE));
                }
                Some(line) if line.text.is_empty() => {}
                Some(line) => break line,
            }
        };
        check_header(path, &header, manifest)?;
        let first = lines.offset;
        let mut index = Vec::new();
        let mut sorted = true;
        let mut before = String::new();
        while let Some(line) = lines.next()? {
            if line.text.is_empty() {
                continue;
            }
            let offset = line.offset;
            let parsed = line.parse(path)?;
            // Paths are never empty, so the first path compares greater than the initial `before`.
            sorted &= before < parsed.path;
            index.push((hash(&parsed.path), offset));
            before = parsed.path;
        }
        let index = Index::new(index);
        let blocks = Blocks::new(lines.reader.into_inner(), 4 * LONGEST);
        let stamp = stamp(&metadata);
        let mut lock = Self { path: path.to_owned(), stamp, blocks, index, sorted, first };
        lock.refuse_contradictions()?;
        Ok(Some(lock))
    }

    /// Whether the file at its path is the one that was read, and unchanged.
    #[must_use]
    pub(crate) fn is_current(&self) -> bool {
        std::fs::metadata(&self.path).is_ok_and(|metadata| stamp(&metadata) == self.stamp)
    }

    /// The number of pinned entries.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.index.places.len()
    }

    /// The line of a path.
    ///
    /// # Errors
    /// When the file cannot be read, or has changed.
    pub(crate) fn find(&self, path: &str) -> Result<Option<LockLine>, LockProblem> {
        for offset in self.index.find(hash(path)) {
            let line = self.line_at(offset)?;
            if line.path == path {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }

    /// True if there is a line for a path with this hash ([`path_hash`]). Only half of the hash is
    /// compared, so another path may match.
    #[must_use]
    pub(crate) fn has(&self, hash: u128) -> bool {
        self.index.find(short(hash)).next().is_some()
    }

    /// All lines, sorted by path.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn lines(
        &self,
    ) -> Result<Box<dyn Iterator<Item = Result<LockLine, LockProblem>> + '_>, LockProblem> {
        let mut file = File::open(&self.path).map_err(|error| unreadable(&self.path, &error))?;
        file.seek(SeekFrom::Start(self.first)).map_err(|error| unreadable(&self.path, &error))?;
        let mut lines = Lines::new(&self.path, file);
        let stream = std::iter::from_fn(move || {
            loop {
                match lines.next() {
                    Err(problem) => return Some(Err(problem)),
                    Ok(None) => return None,
                    Ok(Some(line)) if line.text.is_empty() => {}
                    Ok(Some(line)) => return Some(line.parse(&self.path)),
                }
            }
        });
        if self.sorted {
            return Ok(Box::new(stream));
        }
        // An unsorted lock was merged by hand. It is sorted in memory, because that is rare and
        // such locks are small.
        let mut all = stream.collect::<Result<Vec<_>, _>>()?;
        all.sort_by(|one, other| one.path.cmp(&other.path));
        all.dedup();
        Ok(Box::new(all.into_iter().map(Ok)))
    }

    /// Refuses a lock with two different lines for one path. Identical lines are deduplicated.
    fn refuse_contradictions(&mut self) -> Result<(), LockProblem> {
        let mut repeated = std::collections::HashSet::new();
        let places = &self.index.places;
        for place in 1..places.len() {
            let hash = places[place].0;
            let same = places[..place].iter().rev().take_while(|(other, _)| *other == hash);
            for &(_, earlier) in same {
                let (one, other) = (self.line_at(earlier)?, self.line_at(places[place].1)?);
                if one == other {
                    repeated.insert(place);
                    break;
                }
                if one.path == other.path {
                    let (first, second) =
                        (self.number_of(earlier), self.number_of(places[place].1));
                    let (first, second) = (first.min(second), first.max(second));
                    let message = format!(
                        "`{}` is pinned twice, here and on line {first}, with different values",
                        other.path
                    );
                    return Err(LockProblem::new(&self.path, message)
                        .at(second)
                        .hint("keep one of the lines, or remove both and run `natsync lock`"));
                }
            }
        }
        if !repeated.is_empty() {
            let mut place = 0;
            self.index.places.retain(|_| {
                place += 1;
                !repeated.contains(&(place - 1))
            });
            self.index.divide();
        }
        Ok(())
    }

    /// The number of the line at an offset.
    fn number_of(&self, offset: u64) -> usize {
        let count = || -> io::Result<usize> {
            let mut before = BufReader::new(File::open(&self.path)?.take(offset));
            let mut lines = 1;
            let mut line = Vec::new();
            while before.read_until(b'\n', &mut line)? != 0 {
                lines += 1;
                line.clear();
            }
            Ok(lines)
        };
        count().unwrap_or(1)
    }

    fn line_at(&self, offset: u64) -> Result<LockLine, LockProblem> {
        let changed = || {
            LockProblem::new(&self.path, "the lock changed while it was read")
                .hint("run the command again")
        };
        let parse = |text: &[u8]| {
            let text = std::str::from_utf8(text).ok()?;
            LockLine::parse(trim(text, offset)).ok()
        };
        let line = self.blocks.line(offset, parse);
        line.map_err(|error| unreadable(&self.path, &error))?.ok_or_else(changed)
    }
}

/// The lines of a file, one after the other.
struct Lines<'p> {
    path: &'p Path,
    reader: BufReader<File>,
    buffer: Vec<u8>,
    offset: u64,
    number: usize,
}

struct Line<'l> {
    text: &'l str,
    offset: u64,
    number: usize,
    ended: bool,
}

impl<'p> Lines<'p> {
    fn new(path: &'p Path, file: File) -> Self {
        let reader = BufReader::with_capacity(256 * 1024, file);
        Self { path, reader, buffer: Vec::new(), offset: 0, number: 0 }
    }

    fn next(&mut self) -> Result<Option<Line<'_>>, LockProblem> {
        self.buffer.clear();
        let offset = self.offset;
        let mut bounded = (&mut self.reader).take(LONGEST as u64 + 1);
        let read = bounded
            .read_until(b'\n', &mut self.buffer)
            .map_err(|error| unreadable(self.path, &error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.offset += read as u64;
        let number = self.number;
        let problem = |message: &str| LockProblem::new(self.path, message).at(number);
        if LONGEST < read {
            return Err(problem("the line is longer than 1 MiB").hint(REMAKE));
        }
        let ended = self.buffer.last() == Some(&b'\n');
        let text = std::str::from_utf8(&self.buffer)
            .map_err(|_| problem("the line is not UTF-8").hint(REMAKE))?;
        let text = trim(text.strip_suffix('\n').unwrap_or(text), offset);
        let is_mark =
            ["<<<<<<<", "|||||||", "=======", ">>>>>>>"].iter().any(|mark| text.starts_with(mark));
        if is_mark {
            return Err(problem("the lock has merge markers")
                .hint("resolve them, or check out one side and run `natsync lock`"));
        }
        Ok(Some(Line { text, offset, number, ended }))
    }
}

impl Line<'_> {
    fn parse(&self, path: &Path) -> Result<LockLine, LockProblem> {
        LockLine::parse(self.text).map_err(|error| self.problem(path, error))
    }

    fn problem(&self, path: &Path, error: LineError) -> LockProblem {
        let message = match error {
            LineError::CutShort if !self.ended => "the lock is cut short".to_owned(),
            LineError::CutShort => "the line is cut short".to_owned(),
            LineError::Wrong(message) => message,
        };
        LockProblem::new(path, message).at(self.number).hint(REMAKE)
    }
}

fn check_header(path: &Path, header: &Line<'_>, manifest: &str) -> Result<(), LockProblem> {
    let number = header.number;
    let (version, name) = parse_header(header.text).map_err(|error| header.problem(path, error))?;
    if VERSION < version {
        let message =
            format!("a newer natsync made this lock (version {version}, this one reads {VERSION})");
        return Err(LockProblem::new(path, message).at(number).hint("use that version of natsync"));
    }
    if version != VERSION {
        let message = format!("there is no lock format of version {version}");
        return Err(LockProblem::new(path, message).at(number).hint(REMAKE));
    }
    if name != manifest {
        let message = format!("this is the lock of the manifest `{name}`, not of `{manifest}`");
        return Err(LockProblem::new(path, message)
            .at(number)
            .hint("move it back beside its manifest, or remove it and run `natsync lock`"));
    }
    Ok(())
}

/// Removes a carriage return at the end, and a byte order mark at the beginning of the file.
fn trim(text: &str, offset: u64) -> &str {
    let text = if offset == 0 { text.trim_start_matches('\u{feff}') } else { text };
    text.strip_suffix('\r').unwrap_or(text)
}

fn unreadable(path: &Path, error: &io::Error) -> LockProblem {
    LockProblem::new(path, format!("cannot read the lock: {error}"))
}

fn hash(path: &str) -> u64 {
    short(path_hash(path))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "paths with equal halves of the hash are told apart by their lines"
)]
fn short(hash: u128) -> u64 {
    hash as u64
}
