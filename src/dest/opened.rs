//! A file of the destination, open for reading.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;

use super::stat::Stat;

/// An open regular file with its metadata.
#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    stat: Stat,
    read: u64,
    ended: bool,
}

impl Opened {
    pub(super) fn new(file: File, stat: Stat) -> Self {
        Self { file, stat, read: 0, ended: false }
    }

    /// Its first and last bytes, up to `most` of each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn edges(&self, most: usize) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let length = usize::try_from(self.stat.size).unwrap_or(usize::MAX).min(most);
        let (mut beginning, mut end) = (vec![0; length], vec![0; length]);
        self.file.read_exact_at(&mut beginning, 0)?;
        self.file.read_exact_at(&mut end, self.stat.size - length as u64)?;
        Ok((beginning, end))
    }

    /// Its metadata when it was opened.
    #[must_use]
    pub(crate) fn stat(&self) -> &Stat {
        &self.stat
    }
}

impl Read for Opened {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended {
            return Ok(0);
        }
        let bytes = self.file.read(buffer)?;
        self.read += bytes as u64;
        // A short read at the known size is EOF; skip the extra `read`.
        self.ended = bytes < buffer.len() && self.read == self.stat.size;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(content: &[u8]) -> (Opened, File) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(content, 0).unwrap();
        let stat = Stat::from(rustix::fs::fstat(&file).unwrap());
        (Opened::new(file.try_clone().unwrap(), stat), file)
    }

    #[test]
    fn it_is_read_to_its_end() {
        for length in [0, 1, 9, 10, 11, 20, 25] {
            let content: Vec<u8> = (0..length).collect();
            let (mut file, _) = opened(&content);
            let (mut read, mut block) = (Vec::new(), [0; 10]);
            while let bytes @ 1.. = file.read(&mut block).unwrap() {
                read.extend_from_slice(&block[..bytes]);
            }
            assert_eq!(read, content);
        }
    }

    #[test]
    fn what_grew_or_shrank_meanwhile_is_read_as_it_is() {
        let (mut opened_file, file) = opened(b"short");
        file.write_all_at(b"longer than before", 0).unwrap();
        let mut read = Vec::new();
        opened_file.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"longer than before");
        let (mut opened_file, file) = opened(b"longer than before");
        file.set_len(4).unwrap();
        read.clear();
        opened_file.read_to_end(&mut read).unwrap();
        assert_eq!(read, b"long");
    }
}
