//! Shards: a job is divided into parts by the hashes of the entries' paths.
//!
//! Membership depends on the path alone: not on the order of sources, on other entries or on the
//! machine. So runs that know nothing of each other never work on one entry. What a run does with
//! its part is not decided here.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::manifest::first_half;
use crate::rel_path::path_hash;

/// One part of a job: the shard `number` of `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    number: u32,
    total: u32,
}

/// The most shards of a job.
pub const MOST_SHARDS: u32 = 1_000_000;

/// Why a text or two numbers are not a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardError {
    /// The text is not `K/N` with two whole numbers.
    Malformed,
    /// The total is 0 or more than [`MOST_SHARDS`].
    Total(u64),
    /// The number is not in 1 to the total.
    Number {
        /// The number.
        number: u64,
        /// The total.
        total: u64,
    },
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("a shard is written K/N, as in 3/16"),
            Self::Total(total) => {
                write!(f, "a job has 1 to {MOST_SHARDS} shards, and {total} is not such a number")
            }
            Self::Number { number, total } => {
                write!(
                    f,
                    "the shards of this job are 1 to {total}, and {number} is not one of them"
                )
            }
        }
    }
}

impl std::error::Error for ShardError {}

impl Shard {
    /// The shard `number` (from 1) of `total`.
    ///
    /// # Errors
    /// When `total` is not in 1 to [`MOST_SHARDS`], or `number` is not in 1 to `total`.
    pub fn new(number: u64, total: u64) -> Result<Self, ShardError> {
        let most = u32::try_from(total).ok().filter(|total| (1..=MOST_SHARDS).contains(total));
        let most = most.ok_or(ShardError::Total(total))?;
        match u32::try_from(number) {
            Ok(place) if (1..=most).contains(&place) => Ok(Self { number: place, total: most }),
            _ => Err(ShardError::Number { number, total }),
        }
    }

    /// Its number, from 1.
    #[must_use]
    pub fn number(self) -> u32 {
        self.number
    }

    /// The number of shards of the job.
    #[must_use]
    pub fn total(self) -> u32 {
        self.total
    }

    /// Whether the entry with that path belongs to it.
    #[must_use]
    pub fn has(self, path: &str) -> bool {
        self.has_hash(path_hash(path))
    }

    /// Whether the entry whose path has that hash belongs to it.
    pub(crate) fn has_hash(self, hash: u128) -> bool {
        shard_of(hash, self.total) == self.number
    }
}

/// The shard that a path belongs to: `1 + floor(h * total / 2^64)`, where `h` is the first half of the
/// path's hash.
fn shard_of(hash: u128, total: u32) -> u32 {
    let scaled = u128::from(first_half(hash)) * u128::from(total);
    // Less than `total`, since the first half is less than 2^64.
    1 + u32::try_from(scaled >> 64).unwrap_or(u32::MAX - 1)
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.total)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (number, total) = text.trim().split_once('/').ok_or(ShardError::Malformed)?;
        let read = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = is_number.then(|| digits.parse().unwrap_or(u64::MAX));
            number.ok_or(ShardError::Malformed)
        };
        Self::new(read(number)?, read(total)?)
    }
}

/// Numbers in order as ranges: `3,7-9`. Slurm reads the same form.
pub(crate) fn ranges(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some((&first, _)) = rest.split_first() {
        let length =
            rest.iter().zip(first..).take_while(|&(&number, place)| number == place).count();
        let last = rest[length - 1];
        if !text.is_empty() {
            text.push(',');
        }
        let _ = match last - first {
            0 => write!(text, "{first}"),
            _ => write!(text, "{first}-{last}"),
        };
        rest = &rest[length..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_belongs_to_exactly_one_shard() {
        for total in [1, 2, 3, 7, 16, 400, MOST_SHARDS] {
            let hashes = [0, 1, u128::MAX, u128::MAX >> 1, 1 << 127, (1 << 64) - 1, 1 << 64];
            let paths = (0..2000).map(|n| path_hash(&format!("folder/{n}.bin")));
            for hash in hashes.into_iter().chain(paths) {
                let shard = shard_of(hash, total);
                assert!((1..=total).contains(&shard), "{hash} {total}");
                for number in [1, shard.saturating_sub(1), shard, shard + 1, total] {
                    if let Ok(one) = Shard::new(number.into(), total.into()) {
                        assert_eq!(one.has_hash(hash), number == shard, "{hash} {one}");
                    }
                }
            }
        }
    }

    #[test]
    fn shards_have_about_the_same_number_of_entries() {
        let mut counts = [0_u32; 16];
        for n in 0..16_000 {
            let shard = shard_of(path_hash(&format!("2024/{:02}/{n}.jpg", n % 12)), 16);
            counts[shard as usize - 1] += 1;
        }
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_shard_is_written_as_two_numbers() {
        for (text, number, total) in [("1/1", 1, 1), ("3/16", 3, 16), (" 02/4 ", 2, 4)] {
            let shard: Shard = text.parse().unwrap();
            assert_eq!((shard.number(), shard.total()), (number, total));
        }
        assert_eq!("3/16".parse::<Shard>().unwrap().to_string(), "3/16");
        for text in ["", "3", "3/", "/3", "a/3", "3/b", "-1/3", "+1/3", "1/2/3", "1.5/3"] {
            assert_eq!(text.parse::<Shard>(), Err(ShardError::Malformed), "{text}");
        }
        assert_eq!("0/4".parse::<Shard>(), Err(ShardError::Number { number: 0, total: 4 }));
        assert_eq!("5/4".parse::<Shard>(), Err(ShardError::Number { number: 5, total: 4 }));
        assert_eq!("1/0".parse::<Shard>(), Err(ShardError::Total(0)));
        assert_eq!("1/1000001".parse::<Shard>(), Err(ShardError::Total(1_000_001)));
        let huge = "1/99999999999999999999".parse::<Shard>();
        assert_eq!(huge, Err(ShardError::Total(u64::MAX)));
    }

    #[test]
    fn numbers_become_ranges() {
        for (numbers, text) in [
            (vec![], ""),
            (vec![3], "3"),
            (vec![3, 7, 8, 9], "3,7-9"),
            (vec![1, 2], "1-2"),
            (vec![1, 3, 5], "1,3,5"),
            (vec![2, 4, 5, 6, 1_000_000], "2,4-6,1000000"),
        ] {
            assert_eq!(ranges(&numbers), text);
        }
    }
}
