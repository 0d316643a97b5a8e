//! Inputs by mutation of a corpus, the same in every run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::Law;
use crate::dest::Dest;
use crate::dest::state::{Claim, State};

/// A pseudorandom generator (xorshift) with a fixed seed, so that a failure can be reproduced.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits") % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\n\r\t \"'#%&*,-./:;<=>?@[\\]^_`{|}~019aZ\x7f\x80\xc3\xff";
        if self.roll(2) == 0 {
            TELLING[self.roll(TELLING.len())]
        } else {
            self.roll(256).to_le_bytes()[0]
        }
    }

    /// Makes an input by one to five mutations of a file of the corpus.
    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.roll(corpus.len())].clone();
        for _ in 0..=self.roll(5) {
            let at = self.roll(bytes.len() + 1);
            let end = (at + self.roll(12)).min(bytes.len());
            match self.roll(9) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.insert(at, self.byte()),
                3 if at < bytes.len() => bytes[at] = self.byte(),
                4 if at < bytes.len() => bytes[at] ^= 1 << self.roll(8),
                5 => {
                    let copy = bytes[at..end].repeat(1 + self.roll(20));
                    bytes.splice(at..at, copy);
                }
                6 => {
                    let other = &corpus[self.roll(corpus.len())];
                    let from = self.roll(other.len() + 1);
                    let upto = (from + self.roll(40)).min(other.len());
                    bytes.splice(at..end, other[from..upto].to_vec());
                }
                7 => {
                    let numbers =
                        ["0", "-1", "18446744073709551615", "18446744073709551616", "1e999", "007"];
                    bytes.splice(at..end, numbers[self.roll(numbers.len())].bytes());
                }
                _ => {
                    let noise: Vec<u8> = (0..self.roll(8)).map(|_| self.byte()).collect();
                    bytes.splice(at..end, noise);
                }
            }
            bytes.truncate(1 << 16);
        }
        bytes
    }
}

/// The inputs that a law begins with.
fn corpus(law: &Law) -> Vec<Vec<u8>> {
    let mut inputs = match law.name {
        // SQLite writes other bytes in other versions.
        "states" => vec![fresh_state()],
        _ => folder(&format!("tests/corpus/{}", law.corpus)),
    };
    if law.name == "manifests" {
        inputs.extend(folder("manifests"));
    }
    assert!(!inputs.is_empty(), "an empty corpus");
    inputs
}

fn folder(path: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|item| item.expect("an item").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

fn fresh_state() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let dest = Dest::create(folder.path()).expect("a destination");
    State::open(&dest, &Claim::named("m")).expect("a state").value.close();
    std::fs::read(crate::dest::state::file_of(&dest)).expect("the state")
}

/// Checks a law with each file of its corpus and with mutations of them.
pub(super) fn feed(law: &Law) {
    let corpus = corpus(law);
    let asked = std::env::var("NATSYNC_FUZZ").ok().and_then(|count| count.parse().ok());
    let count = asked.unwrap_or(3000_u64) / law.share;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let made = (0..count).map(|_| dice.input(&corpus));
    for input in corpus.iter().cloned().chain(made) {
        let held = catch_unwind(AssertUnwindSafe(|| (law.check)(&input)));
        assert!(held.is_ok(), "after this input: {}", input.escape_ascii());
    }
}
