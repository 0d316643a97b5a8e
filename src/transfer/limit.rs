//! The number of transfers at a time for one origin.

use std::time::Duration;

use tokio::time::Instant;

use super::crowd::Crowd;
use super::latency::{Advice, Latency};
use crate::manifest::PerHost;

/// `auto` begins with this number.
pub(crate) const FIRST: usize = 10;
/// `auto` goes up to this number.
const MOST: usize = 64;
/// A larger number is kept only if the rate grows by this factor.
const GAIN: f64 = 1.15;
/// The number stays for this time after an objection, and after a larger number brought nothing.
const CALM: Duration = Duration::from_secs(5);
/// A larger number is given up after this many bad measurements in a row: a single one may be
/// noise.
const DOUBTS: u32 = 2;
/// A body counts as one more transfer per this many bytes, so that large files are measured, too.
const BYTES_A_UNIT: u64 = 256 * 1024;

/// The number of transfers at a time for one origin. A fixed one stays while the origin lets them
/// in; `auto` grows while that raises the rate, and shrinks when the origin objects.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    now: usize,
    most: usize,
    growth: Option<Growth>,
    latency: Latency,
    crowd: Crowd,
}

/// The measurement that decides on the next number.
#[derive(Clone, Debug, Default)]
struct Growth {
    since: Option<Instant>,
    units: u64,
    /// Units per second with the number before, and that number.
    before: Option<(f64, usize)>,
    /// Bad measurements in a row.
    doubts: u32,
    calm_until: Option<Instant>,
}

impl Growth {
    /// Measures anew, not before that time.
    fn after(calm_until: Instant) -> Self {
        let calm_until = Some(calm_until);
        Self { calm_until, ..Self::default() }
    }
}

impl Limit {
    /// The declared number, but not more than `most`.
    pub(super) fn new(declared: PerHost, most: usize) -> Self {
        let from = |first: usize| (first.clamp(1, most), MOST.min(most), Some(Growth::default()));
        let (now, most, growth) = match declared {
            PerHost::Fixed(number) => (number.clamp(1, most), number.clamp(1, most), None),
            PerHost::Auto => from(FIRST),
            PerHost::AutoFrom(first) => from(first),
        };
        Self { now, most, growth, latency: Latency::default(), crowd: Crowd::default() }
    }

    pub(super) fn get(&self) -> usize {
        self.crowd.most().map_or(self.now, |most| most.min(self.now))
    }

    /// Allows at most that many.
    pub(super) fn narrow(&mut self, most: usize) {
        if most < self.most {
            let crowd = std::mem::take(&mut self.crowd);
            *self = Self { crowd, ..Self::new(PerHost::Fixed(most), most) };
        }
    }

    pub(super) fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    pub(super) fn restore(&mut self, crowd: Crowd) {
        self.crowd = crowd;
    }

    /// Records that the origin refused a transfer while `others` were in progress. Reports whether
    /// the user is to be told.
    pub(super) fn refused(&mut self, others: usize) -> bool {
        1 < self.get() && self.crowd.refused(others, self.get())
    }

    /// Records a successful transfer of that many bytes, made while a further place would have been
    /// used. Reports whether the number grew.
    pub(super) fn succeeded(&mut self, bytes: u64, now: Instant) -> bool {
        if self.crowd.most().is_some() {
            return self.crowd.succeeded(self.now);
        }
        let Some(growth) = &mut self.growth else {
            return false;
        };
        let nothing_to_try = self.now == self.most && growth.before.is_none();
        if nothing_to_try || growth.calm_until.is_some_and(|until| now < until) {
            return false;
        }
        let since = *growth.since.get_or_insert(now);
        growth.units += 1 + bytes / BYTES_A_UNIT;
        if growth.units <= self.now as u64 {
            return false;
        }
        let elapsed = now.duration_since(since).as_secs_f64().max(1e-6);
        #[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 52 bits")]
        let rate = growth.units as f64 / elapsed;
        growth.since = Some(now);
        growth.units = 0;
        if let Some((before, number)) = growth.before
            && rate < before * GAIN
        {
            growth.doubts += 1;
            if growth.doubts == DOUBTS {
                self.now = number;
                *growth = Growth::after(now + CALM);
            }
            return false;
        }
        growth.doubts = 0;
        if self.now == self.most {
            growth.before = None;
            return false;
        }
        growth.before = Some((rate, self.now));
        self.now = (self.now * 2).min(self.most);
        true
    }

    /// Records the time to the head of a response. Reports whether the number grew.
    pub(super) fn took(&mut self, time: Duration, now: Instant) -> bool {
        let Some(growth) = &mut self.growth else {
            return false;
        };
        match self.latency.took(time, self.now) {
            Advice::Stay => false,
            Advice::Fewer => {
                self.now = (self.now * 3 / 4).max(2);
                *growth = Growth::after(now + CALM);
                false
            }
            Advice::Back(number) => {
                self.now = number.min(self.most);
                true
            }
        }
    }

    /// Records that the origin objected (429, 503) or failed under the load.
    pub(super) fn objected(&mut self, now: Instant) {
        if let Some(growth) = &mut self.growth
            && growth.calm_until.is_none_or(|until| until <= now)
        {
            self.now = (self.now / 2).max(1);
            *growth = Growth::after(now + CALM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(limit: &mut Limit, now: &mut Instant, transfers: usize, each: Duration) {
        for _ in 0..transfers {
            *now += each;
            limit.succeeded(0, *now);
        }
    }

    #[test]
    fn a_fixed_number_stays() {
        let mut limit = Limit::new(PerHost::Fixed(3), 64);
        let mut now = Instant::now();
        feed(&mut limit, &mut now, 1000, Duration::from_millis(1));
        limit.objected(now);
        assert_eq!(limit.get(), 3);
        assert_eq!(Limit::new(PerHost::Fixed(100), 8).get(), 8);
    }

    #[test]
    fn it_grows_while_the_rate_grows() {
        let mut limit = Limit::new(PerHost::Auto, 64);
        let mut now = Instant::now();
        assert_eq!(limit.get(), 10);
        // Each doubling halves the time of a transfer, as over a long-distance network.
        feed(&mut limit, &mut now, 11, Duration::from_millis(5));
        assert_eq!(limit.get(), 20);
        feed(&mut limit, &mut now, 21, Duration::from_micros(2500));
        assert_eq!(limit.get(), 40);
        feed(&mut limit, &mut now, 41, Duration::from_micros(1250));
        assert_eq!(limit.get(), 64);
    }

    #[test]
    fn it_goes_back_when_more_brings_nothing() {
        let mut limit = Limit::new(PerHost::Auto, 64);
        let mut now = Instant::now();
        feed(&mut limit, &mut now, 200, Duration::from_millis(5));
        assert_eq!(limit.get(), 10);
        let mut limit = Limit::new(PerHost::Auto, 20);
        feed(&mut limit, &mut now, 200, Duration::from_millis(5));
        assert_eq!(limit.get(), 10);
        // The network may be better by now.
        feed(&mut limit, &mut now, 1, CALM);
        feed(&mut limit, &mut now, 11, Duration::from_millis(5));
        assert_eq!(limit.get(), 20);
    }

    #[test]
    fn a_single_bad_measurement_changes_nothing() {
        let mut limit = Limit::new(PerHost::Auto, 64);
        let mut now = Instant::now();
        feed(&mut limit, &mut now, 11, Duration::from_millis(5));
        feed(&mut limit, &mut now, 1, Duration::from_millis(500));
        feed(&mut limit, &mut now, 20 + 21, Duration::from_micros(2500));
        assert_eq!(limit.get(), 40);
    }

    #[test]
    fn refusals_bound_a_fixed_number_and_auto() {
        for declared in [PerHost::Fixed(10), PerHost::Auto] {
            let (mut limit, mut now) = (Limit::new(declared, 64), Instant::now());
            for others in (2..10).rev() {
                limit.refused(others);
            }
            assert_eq!(limit.get(), 2);
            feed(&mut limit, &mut now, 100, Duration::from_millis(1));
            assert!(10 <= limit.get(), "{limit:?}");
            limit.narrow(1);
            limit.refused(0);
            assert_eq!(limit.get(), 1);
        }
    }

    #[test]
    fn it_halves_once_for_a_burst_of_objections() {
        let mut limit = Limit::new(PerHost::Auto, 64);
        let now = Instant::now();
        for _ in 0..10 {
            limit.objected(now);
        }
        assert_eq!(limit.get(), 5);
        limit.objected(now + CALM);
        assert_eq!(limit.get(), 2);
    }
}
