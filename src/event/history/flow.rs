//! Bytes and files over time, in a bounded number of equal intervals for a run of any length.

use serde::{Deserialize, Serialize};

/// The maximum number of intervals.
const PARTS: usize = 200;
/// The shortest interval in milliseconds; several times the time between two readings of the clock.
const SHORTEST: u32 = 100;

/// Bytes and files in each interval. When there would be too many intervals, each two are merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flow {
    /// The length of an interval in milliseconds.
    width: u32,
    /// Bytes and finished files of each interval.
    parts: Vec<(u64, u64)>,
}

impl Default for Flow {
    fn default() -> Self {
        Self { width: SHORTEST, parts: Vec::new() }
    }
}

impl Flow {
    /// Adds bytes and finished files at the time `at`, in milliseconds since the start of the run.
    pub(super) fn add(&mut self, at: u32, bytes: u64, files: u64) {
        let mut part = (at / self.width) as usize;
        while PARTS <= part {
            self.halve();
            part = (at / self.width) as usize;
        }
        if self.parts.len() <= part {
            self.parts.resize(part + 1, (0, 0));
        }
        if let Some((all_bytes, all_files)) = self.parts.get_mut(part) {
            *all_bytes = all_bytes.saturating_add(bytes);
            *all_files = all_files.saturating_add(files);
        }
    }

    fn halve(&mut self) {
        let sum = |pair: &[(u64, u64)]| {
            pair.iter().fold((0_u64, 0_u64), |(bytes, files), part| {
                (bytes.saturating_add(part.0), files.saturating_add(part.1))
            })
        };
        self.parts = self.parts.chunks(2).map(sum).collect();
        self.width = self.width.saturating_mul(2);
    }

    /// The length of an interval in milliseconds.
    pub(crate) fn width(&self) -> u32 {
        self.width.max(1)
    }

    /// Bytes and files of each interval, from the start of the run.
    pub(crate) fn parts(&self) -> &[(u64, u64)] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_exact_for_any_duration() {
        for last in [0, 30, 4_999, 5_000, 60_000, 3_600_000, u32::MAX] {
            let mut flow = Flow::default();
            let step = (last / 1000).max(1);
            let mut count = 0;
            for at in (0..=last).step_by(step as usize) {
                flow.add(at, 3, 1);
                count += 1;
            }
            flow.add(last, 0, 0);
            assert!(flow.parts().len() <= PARTS, "{last}");
            let bytes: u64 = flow.parts().iter().map(|part| part.0).sum();
            let files: u64 = flow.parts().iter().map(|part| part.1).sum();
            assert_eq!((bytes, files), (3 * count, count), "{last}");
            let end = u64::from(flow.width()) * flow.parts().len() as u64;
            assert!(u64::from(last) < end, "{last}");
        }
    }

    #[test]
    fn merging_intervals_keeps_their_order() {
        let mut flow = Flow::default();
        flow.add(0, 1, 1);
        flow.add(39_999, 2, 1);
        assert_eq!(flow.width(), 200);
        assert_eq!((flow.parts()[0], flow.parts()[199]), ((1, 1), (2, 1)));
    }
}
