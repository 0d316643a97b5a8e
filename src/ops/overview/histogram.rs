//! Histograms of file sizes and ages, in constant memory.

/// Counts numbers by their first three decimal digits, which is exact enough for the round
/// scales of [`Sizes::bars`].
#[derive(Clone, Debug)]
pub(crate) struct Sizes {
    counts: Vec<u64>,
}

/// The number of values in `from..to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) count: u64,
}

/// Buckets per decade: the leading digits 100 to 999.
const STEPS: u64 = 900;
/// The wanted maximum number of bars; growing steps may need up to four more.
const MOST: usize = 12;

impl Default for Sizes {
    fn default() -> Self {
        // One bucket for each number below 100, then 18 decades, enough for every `u64`.
        Self { counts: vec![0; 100 + 18 * 900] }
    }
}

impl Sizes {
    pub(crate) fn add(&mut self, size: u64) {
        if let Some(count) = self.counts.get_mut(place(size)) {
            *count += 1;
        }
    }

    /// The bars of a histogram with round bounds, from the least to the greatest number.
    pub(crate) fn bars(&self) -> Vec<Bar> {
        let filled = |(place, &count): (usize, &u64)| (0 < count).then_some(place);
        let mut places = self.counts.iter().enumerate().filter_map(filled);
        let Some(first) = places.next() else { return Vec::new() };
        let (least, greatest) = (begin(first), begin(places.next_back().unwrap_or(first)));
        let bounds = bounds(least, greatest);
        let mut bars: Vec<Bar> =
            bounds.windows(2).map(|pair| Bar { from: pair[0], to: pair[1], count: 0 }).collect();
        for (place, &count) in self.counts.iter().enumerate().filter(|(_, count)| 0 < **count) {
            let at = begin(place);
            if let Some(bar) = bars.iter_mut().find(|bar| bar.from <= at && at < bar.to) {
                bar.count += count;
            }
        }
        bars
    }
}

/// Round bounds that enclose both numbers: equal steps if they are within a factor of 20, otherwise
/// growing steps.
fn bounds(least: u64, greatest: u64) -> Vec<u64> {
    let mut step = 1_u64;
    'powers: loop {
        for factor in [1, 2, 5] {
            let step = step.saturating_mul(factor);
            let (from, to) = (least / step * step, (greatest / step).saturating_add(1));
            let count = to - from / step;
            // The step must not be finer than the three digits that were counted.
            if count <= MOST as u64 && greatest / 1000 < step {
                if greatest / 20 <= least || greatest < 100 {
                    return (from / step..=to).map(|number| number.saturating_mul(step)).collect();
                }
                break 'powers;
            }
        }
        if u64::MAX / 10 < step {
            break;
        }
        step *= 10;
    }
    for factors in [&[1, 2, 5][..], &[1]] {
        let bounds = growing(least, greatest, factors);
        if bounds.len() <= MOST + 4 {
            return bounds;
        }
    }
    let decades = growing(least, greatest, &[1]);
    let every = decades.len().div_ceil(MOST);
    let mut bounds: Vec<_> = decades.iter().copied().step_by(every).collect();
    bounds.push(u64::MAX);
    bounds
}

/// Bounds at `factors` times each power of ten.
fn growing(least: u64, greatest: u64, factors: &[u64]) -> Vec<u64> {
    let mut all = vec![0];
    let mut power = 1_u64;
    'powers: loop {
        for factor in factors {
            let bound = power.saturating_mul(*factor);
            all.push(bound);
            if greatest < bound || bound == u64::MAX {
                break 'powers;
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => {
                all.push(u64::MAX);
                break;
            }
        }
    }
    let first = all.iter().rposition(|&bound| bound <= least).unwrap_or(0);
    all.split_off(first)
}

/// The bucket of a number.
fn place(size: u64) -> usize {
    let mut decade = 0;
    let mut digits = size;
    while 1000 <= digits {
        digits /= 10;
        decade += 1;
    }
    let place = if digits < 100 { digits } else { digits + decade * STEPS };
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The least number of a bucket.
fn begin(place: usize) -> u64 {
    let place = place as u64;
    if place < 100 {
        return place;
    }
    let (decade, digits) = ((place - 100) / STEPS, (place - 100) % STEPS + 100);
    (0..decade).fold(digits, |number, _| number.saturating_mul(10))
}

/// The number of files in each class of age.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ages {
    counts: [u64; AGES.len() + 1],
    unknown: u64,
}

/// Upper bounds in seconds, with the name of the class below each bound.
const AGES: [(i64, &str); 8] = [
    (3_600, "less than an hour"),
    (86_400, "less than a day"),
    (7 * 86_400, "less than a week"),
    (30 * 86_400, "less than a month"),
    (91 * 86_400, "less than 3 months"),
    (182 * 86_400, "less than 6 months"),
    (365 * 86_400, "less than a year"),
    (3 * 365 * 86_400, "less than 3 years"),
];

impl Ages {
    /// Counts a file of this age in seconds; `None` if the age is unknown.
    pub(crate) fn add(&mut self, seconds: Option<i64>) {
        let Some(seconds) = seconds else {
            self.unknown += 1;
            return;
        };
        let place = AGES.iter().position(|(bound, _)| seconds < *bound).unwrap_or(AGES.len());
        self.counts[place] += 1;
    }

    /// The name and count of each class, from the youngest to the oldest.
    pub(crate) fn bars(&self) -> Vec<(&'static str, u64)> {
        let names = AGES.iter().map(|(_, name)| *name).chain(["3 years or more"]);
        let mut bars: Vec<_> = names.zip(self.counts).collect();
        let last = bars.iter().rposition(|(_, count)| 0 < *count);
        let first = bars.iter().position(|(_, count)| 0 < *count).unwrap_or(0);
        bars.truncate(last.map_or(0, |last| last + 1));
        let mut bars = bars.split_off(first.min(bars.len()));
        if 0 < self.unknown {
            bars.push(("not known", self.unknown));
        }
        bars
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(sizes: &[u64]) -> Vec<(u64, u64, u64)> {
        let mut counted = Sizes::default();
        for &size in sizes {
            counted.add(size);
        }
        counted.bars().iter().map(|bar| (bar.from, bar.to, bar.count)).collect()
    }

    #[test]
    fn similar_sizes_have_equal_steps() {
        assert_eq!(bars(&[]), []);
        assert_eq!(bars(&[0]), [(0, 1, 1)]);
        assert_eq!(bars(&[3, 3, 5]), [(3, 4, 2), (4, 5, 0), (5, 6, 1)]);
        assert_eq!(
            bars(&[9_100, 9_900, 10_500, 12_345]),
            [
                (9_000, 9_500, 1),
                (9_500, 10_000, 1),
                (10_000, 10_500, 0),
                (10_500, 11_000, 1),
                (11_000, 11_500, 0),
                (11_500, 12_000, 0),
                (12_000, 12_500, 1)
            ]
        );
    }

    #[test]
    fn very_different_sizes_have_growing_steps() {
        let found = bars(&[700, 45_000, 46_000]);
        assert_eq!(found[0], (500, 1_000, 1));
        assert_eq!(found.last(), Some(&(20_000, 50_000, 2)));
        for sizes in [&[0, u64::MAX][..], &[1, 1 << 40], &[12, 99_999_999, 5]] {
            let found = bars(sizes);
            assert!(found.len() <= MOST + 4, "{found:?}");
            assert_eq!(found.iter().map(|bar| bar.2).sum::<u64>(), sizes.len() as u64, "{found:?}");
        }
    }

    #[test]
    fn every_size_has_a_bucket() {
        let mut power = 1_u64;
        while let Some(next) = power.checked_mul(3) {
            let begin = begin(place(power));
            assert!(begin <= power && power - begin <= power / 100, "{power}: {begin}");
            power = next;
        }
        assert!(place(u64::MAX) < Sizes::default().counts.len());
    }

    #[test]
    fn ages_have_names() {
        let mut ages = Ages::default();
        for age in [Some(-5), Some(7_000), Some(8_000), None] {
            ages.add(age);
        }
        assert_eq!(
            ages.bars(),
            [("less than an hour", 1), ("less than a day", 2), ("not known", 1)]
        );
        assert_eq!(Ages::default().bars(), []);
    }
}
