//! Random access to single lines of a file, through a small cache of blocks.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::threads::lock;
/// Bytes to read at a time. The next line wanted is probably in the same block.
const BLOCK: usize = 64 * 1024;
/// The number of cached blocks. Entries come nearly in the order of the lines, but several threads
/// work at different places, and numeric order differs from the text order of the lines.
const KEPT: usize = 16;

/// A file with a cache of the blocks read last.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    kept: [Mutex<Block>; KEPT],
    oldest: AtomicUsize,
    /// The longest accepted line in bytes.
    longest: usize,
}

#[derive(Debug, Default)]
struct Block {
    start: u64,
    bytes: Vec<u8>,
}

impl Blocks {
    pub(super) fn new(file: File, longest: usize) -> Self {
        Self { file, kept: Default::default(), oldest: AtomicUsize::new(0), longest }
    }

    /// Passes the line at `offset`, without its newline, to `take`.
    ///
    /// # Errors
    /// When the file cannot be read, or the line is too long.
    pub(super) fn line<T>(&self, offset: u64, take: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        for kept in &self.kept {
            if let Ok(block) = kept.try_lock()
                && let Some(line) = block.line(offset)
            {
                return Ok(take(line));
            }
        }
        let oldest = self.oldest.fetch_add(1, Ordering::Relaxed) % KEPT;
        let mut block = lock(&self.kept[oldest]);
        let mut wanted = BLOCK;
        loop {
            let is_end = block.read(&self.file, offset, wanted)?;
            if let Some(line) = block.line(offset) {
                return Ok(take(line));
            }
            if is_end {
                return Ok(take(&block.bytes));
            }
            if self.longest < wanted {
                return Err(io::Error::other("a line has no end"));
            }
            wanted *= 2;
        }
    }
}

impl Block {
    /// The line at `offset`, if the block contains all of it.
    fn line(&self, offset: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let rest = self.bytes.get(from..)?;
        memchr::memchr(b'\n', rest).map(|end| &rest[..end])
    }

    /// Reads `wanted` bytes at `offset`. Returns true if the end of the file comes first.
    fn read(&mut self, file: &File, offset: u64, wanted: usize) -> io::Result<bool> {
        self.start = offset;
        self.bytes.resize(wanted, 0);
        let mut read = 0;
        while read < wanted {
            match file.read_at(&mut self.bytes[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.bytes.clear();
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(read);
        Ok(read < wanted)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn several_threads_find_lines_in_any_order() {
        let mut text = String::new();
        let mut places = Vec::new();
        for n in 0..40_000 {
            places.push((text.len() as u64, n));
            let _ = writeln!(text, "{n}");
        }
        let long = "x".repeat(3 * BLOCK);
        places.push((text.len() as u64, 40_000));
        text.push_str(&long);
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(text.as_bytes(), 0).unwrap();
        let blocks = Blocks::new(file, 1 << 20);
        std::thread::scope(|scope| {
            for step in [1, 7, 111, 9973] {
                let (blocks, places, long) = (&blocks, &places, &long);
                scope.spawn(move || {
                    for n in 0..places.len() {
                        let (offset, number) = places[n * step % places.len()];
                        let line =
                            blocks.line(offset, |line| String::from_utf8(line.to_vec()).unwrap());
                        let expected =
                            if number == 40_000 { long.clone() } else { number.to_string() };
                        assert_eq!(line.unwrap(), expected);
                    }
                });
            }
        });
        let short = Blocks::new(blocks.file, BLOCK);
        assert!(short.line(places[40_000].0, |_| ()).is_err());
    }
}
