//! How many transfers at a time an origin lets in, as far as it refused more.
//!
//! Hosts that limit connections reset further ones, close them without an answer, or answer 429 or
//! 503. Each refusal beside other transfers lowers the bound to the number of these. Successes
//! raise it again, since the refusal may have had another cause; each further refusal doubles the
//! number of successes that this takes.

/// The successes for each transfer at a time that raise a bound for the first time.
const FIRST: u32 = 2;
/// The bound of that number.
const MOST: u32 = 64;
/// After this many refusals the user is told.
const TELLING: u32 = 5;

/// The bound of one origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Crowd {
    most: Option<usize>,
    /// Successes since the bound was set.
    successes: usize,
    /// Whether something succeeded, or the bound was raised, since the last refusal.
    has_moved: bool,
    /// The successes for each transfer at a time that raise the bound.
    patience: u32,
    refusals: u32,
}

impl Crowd {
    /// The bound, if there is one.
    pub(super) fn most(&self) -> Option<usize> {
        self.most
    }

    /// Records that a transfer was refused while `others` were in progress and `limit` were allowed.
    /// Reports whether the user is to be told.
    pub(super) fn refused(&mut self, others: usize, limit: usize) -> bool {
        // Refusals of transfers that began together are one sign.
        if self.most.is_none() || self.has_moved {
            self.patience = (self.patience * 2).clamp(FIRST, MOST);
        }
        self.has_moved = false;
        self.successes = 0;
        self.most = Some(others.min(limit - 1).max(1));
        self.refusals += 1;
        self.refusals == TELLING
    }

    /// Records a success while `wanted` transfers at a time would be allowed without the bound.
    /// Reports whether the bound was raised.
    pub(super) fn succeeded(&mut self, wanted: usize) -> bool {
        let Some(most) = self.most else { return false };
        self.has_moved = true;
        self.successes += 1;
        if self.successes < most * self.patience as usize {
            return false;
        }
        self.successes = 0;
        self.most = Some(most * 2).filter(|&most| most < wanted);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Transfers at an origin that lets in `lets_in` at a time: after `rounds` of as many transfers
    /// as are allowed, how many succeeded and how many were refused.
    fn play(crowd: &mut Crowd, lets_in: usize, wanted: usize, rounds: usize) -> (usize, usize) {
        let (mut succeeded, mut refused) = (0, 0);
        for _ in 0..rounds {
            let limit = crowd.most().unwrap_or(wanted);
            for left in (lets_in..limit).rev() {
                crowd.refused(left, crowd.most().unwrap_or(wanted));
                refused += 1;
            }
            for _ in 0..limit.min(lets_in) {
                crowd.succeeded(wanted);
                succeeded += 1;
            }
        }
        (succeeded, refused)
    }

    #[test]
    fn the_bound_is_what_the_origin_lets_in() {
        for lets_in in [1, 2, 3, 5, 8] {
            let mut crowd = Crowd::default();
            play(&mut crowd, lets_in, 10, 1);
            assert_eq!(crowd.most(), Some(lets_in));
        }
    }

    #[test]
    fn refusals_become_rare() {
        for lets_in in [1, 2, 3, 5, 8] {
            let (succeeded, refused) = play(&mut Crowd::default(), lets_in, 10, 1000);
            assert!(lets_in * 900 < succeeded, "{lets_in}: {succeeded}");
            assert!(refused * 30 < succeeded, "{lets_in}: {refused} of {succeeded}");
        }
    }

    #[test]
    fn a_bound_without_a_cause_is_forgotten() {
        let mut crowd = Crowd::default();
        for others in (0..9).rev() {
            crowd.refused(others, crowd.most().unwrap_or(10));
        }
        assert_eq!(crowd.most(), Some(1), "the origin was restarted");
        play(&mut crowd, 64, 10, 12);
        assert_eq!(crowd.most(), None);
    }

    #[test]
    fn the_bound_never_goes_below_one() {
        let mut crowd = Crowd::default();
        for _ in 0..100 {
            crowd.refused(0, crowd.most().unwrap_or(2).max(2));
            assert_eq!(crowd.most(), Some(1));
        }
    }
}
