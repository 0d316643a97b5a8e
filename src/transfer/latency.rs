//! Detects that an origin slows down under load: compares the time to the head of a response with
//! the best one seen.

use std::time::Duration;

/// The weight of the latest time in the moving average.
const WEIGHT: f64 = 0.1;
/// An average above this multiple of the best time counts as slow ..
const TIMES: f64 = 3.0;
/// .. if it is also longer by this: on a fast network a small delay is insignificant.
const LONGER: Duration = Duration::from_millis(250);
/// Fewer requests at a time must reduce the average to this share, or they were not the cause.
const RELIEF: f64 = 0.8;

/// The response times of an origin.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    best: Option<f64>,
    average: f64,
    /// Responses since the number of requests at a time last changed.
    seen: usize,
    /// The average and the number of requests at a time before the latter was reduced.
    before: Option<(f64, usize)>,
    /// Fewer requests did not help: the origin is always slow.
    hopeless: bool,
}

/// What the number of requests at a time should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    Stay,
    Fewer,
    /// The number before, since fewer did not help.
    Back(usize),
}

impl Latency {
    /// Records the time to the head of a response, with `number` requests at a time allowed.
    pub(super) fn took(&mut self, time: Duration, number: usize) -> Advice {
        let time = time.as_secs_f64();
        let best = self.best.map_or(time, |best| best.min(time));
        self.best = Some(best);
        self.average = if self.seen == 0 && self.before.is_none() {
            time
        } else {
            self.average * (1.0 - WEIGHT) + time * WEIGHT
        };
        self.seen += 1;
        // By now the average has forgotten the time before the last change.
        if self.hopeless || self.seen < (2 * number).max(40) {
            return Advice::Stay;
        }
        if let Some((before, number)) = self.before.take()
            && before * RELIEF < self.average
        {
            self.hopeless = true;
            return Advice::Back(number);
        }
        self.seen = 1;
        if best * TIMES < self.average && LONGER.as_secs_f64() < self.average - best && 2 < number {
            self.before = Some((self.average, number));
            return Advice::Fewer;
        }
        Advice::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(20);
    const SLOW: Duration = Duration::from_millis(600);

    /// The first advice other than to stay, after at most `times` responses.
    fn feed(latency: &mut Latency, time: Duration, number: usize, times: usize) -> Advice {
        let mut all = (0..times).map(|_| latency.took(time, number));
        all.find(|advice| *advice != Advice::Stay).unwrap_or(Advice::Stay)
    }

    #[test]
    fn an_origin_that_slows_down_gets_fewer_requests() {
        let mut latency = Latency::default();
        assert_eq!(feed(&mut latency, FAST, 20, 200), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 20, 80), Advice::Fewer);
        // Fewer requests helped.
        assert_eq!(feed(&mut latency, FAST, 15, 200), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 15, 80), Advice::Fewer);
    }

    #[test]
    fn an_origin_that_is_always_slow_is_left_alone() {
        let mut latency = Latency::default();
        feed(&mut latency, FAST, 20, 60);
        assert_eq!(feed(&mut latency, SLOW, 20, 80), Advice::Fewer);
        assert_eq!(feed(&mut latency, SLOW, 15, 400), Advice::Back(20));
        assert_eq!(feed(&mut latency, SLOW, 20, 400), Advice::Stay);
    }

    #[test]
    fn small_delays_and_small_numbers_change_nothing() {
        let mut latency = Latency::default();
        feed(&mut latency, Duration::from_millis(1), 20, 60);
        assert_eq!(feed(&mut latency, Duration::from_millis(100), 20, 400), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 2, 400), Advice::Stay);
    }
}
