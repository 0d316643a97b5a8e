//! Single lines of a file, wherever they begin.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// So much is read at a time for a single line: the next ones lie beside it.
const BLOCK: usize = 64 * 1024;
/// So many places of the file are at hand. Entries come nearly in the order of the lines, but several threads are at
/// several places, and numbers are not in the order of their texts.
const KEPT: usize = 16;

/// A file of which the blocks that were read last are kept.
#[derive(Debug)]
pub(super) struct Blocks {
    file: File,
    kept: [Mutex<Block>; KEPT],
    oldest: AtomicUsize,
    /// No line is longer.
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

    /// Hands over the line that begins there, without its end.
    ///
    /// # Errors
    /// When it cannot be read, or does not end.
    pub(super) fn line<T>(&self, offset: u64, take: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        for kept in &self.kept {
            if let Ok(block) = kept.try_lock()
                && let Some(line) = block.line(offset)
            {
                return Ok(take(line));
            }
        }
        let oldest = self.oldest.fetch_add(1, Ordering::Relaxed) % KEPT;
        let mut block = self.kept[oldest].lock().unwrap_or_else(PoisonError::into_inner);
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
    /// The line that begins there, if all of it is here.
    fn line(&self, offset: u64) -> Option<&[u8]> {
        let from = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let rest = self.bytes.get(from..)?;
        memchr::memchr(b'\n', rest).map(|end| &rest[..end])
    }

    /// Reads so many bytes from there on. Answers whether the file ends before.
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
    fn lines_are_found_in_any_order_by_several_threads() {
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
