//! Samples a stream of unknown length evenly in bounded memory: keeps every n-th item, and doubles
//! n when there are too many.

/// An even sample of the pushed items.
#[derive(Clone, Debug)]
pub(crate) struct Spread<T> {
    kept: Vec<T>,
    most: usize,
    seen: u64,
    /// The distance between kept items, a power of two.
    every: u64,
}

impl<T> Spread<T> {
    /// Keeps at most `most` items, and at least half of that if enough are pushed.
    pub(crate) fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, seen: 0, every: 1 }
    }

    /// Adds an item; `make` is called only if the item is kept.
    pub(crate) fn push(&mut self, make: impl FnOnce() -> T) {
        let at = self.seen;
        self.seen += 1;
        if at & (self.every - 1) != 0 {
            return;
        }
        if self.kept.len() == self.most {
            let mut number = 0;
            self.kept.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.every *= 2;
            if at & (self.every - 1) != 0 {
                return;
            }
        }
        self.kept.push(make());
    }

    /// The number of pushed items.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// The kept items in the order in which they were pushed.
    pub(crate) fn into_kept(self) -> Vec<T> {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_items_have_equal_distances() {
        for count in [0_u64, 1, 7, 8, 9, 100, 1000, 12_345] {
            let mut spread = Spread::new(8);
            for number in 0..count {
                spread.push(|| number);
            }
            assert_eq!(spread.seen(), count);
            let kept = spread.into_kept();
            assert!(kept.len() <= 8 && count.min(4) <= kept.len() as u64, "{count}: {kept:?}");
            let steps: Vec<_> = kept.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(steps.windows(2).all(|pair| pair[0] == pair[1]), "{count}: {kept:?}");
            assert!(kept.first().is_none_or(|&first| first == 0));
        }
    }
}
