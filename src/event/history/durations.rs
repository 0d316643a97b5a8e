//! How long the shards of a job took, and which of them were slow.

/// A shard is a straggler if it took more than this many times the median.
const STRAGGLING: u64 = 2;
/// Runs that differ by less than this many milliseconds are alike.
const ALIKE: u64 = 1000;

/// The times of the shards of a job, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Durations {
    pub(crate) shortest: u64,
    pub(crate) median: u64,
    pub(crate) longest: u64,
}

impl Durations {
    /// `None` without shards.
    pub(crate) fn of(times: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut times: Vec<_> = times.into_iter().collect();
        times.sort_unstable();
        let (&shortest, &longest) = (times.first()?, times.last()?);
        Some(Self { shortest, median: times[times.len() / 2], longest })
    }

    /// Whether all shards took about the same time.
    pub(crate) fn is_even(self) -> bool {
        self.longest - self.shortest < ALIKE
    }

    pub(crate) fn is_straggler(self, elapsed: u64) -> bool {
        self.straggling() < elapsed
    }

    /// The longest time of a shard that is no straggler.
    pub(crate) fn straggling(self) -> u64 {
        self.median.saturating_mul(STRAGGLING).max(self.median.saturating_add(ALIKE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straggler_takes_more_than_twice_the_median() {
        let times = Durations::of([9000, 2000, 2500, 2000]).unwrap();
        assert_eq!(times, Durations { shortest: 2000, median: 2500, longest: 9000 });
        assert_eq!(
            [2500, 5000, 5001].map(|elapsed| times.is_straggler(elapsed)),
            [false, false, true]
        );
        assert!(!times.is_even());
        assert!(Durations::of([]).is_none());
    }

    #[test]
    fn a_second_more_or_less_is_no_difference() {
        let times = Durations::of([10, 10, 900]).unwrap();
        assert!(times.is_even() && !times.is_straggler(900));
    }
}
