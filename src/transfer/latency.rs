//! Whether an origin slows down under the requests that it gets: the time to the head of an answer, against the best
//! that was seen.

use std::time::Duration;

/// How much the latest time counts in the average.
const WEIGHT: f64 = 0.1;
/// Slow is what takes so many times the best.
const TIMES: f64 = 3.0;
/// And at least so much longer: on a fast line a little more is nothing.
const LONGER: Duration = Duration::from_millis(250);
/// Fewer requests at a time must bring the time down to this share of what it was, or they were not the reason.
const RELIEF: f64 = 0.8;

/// What is known of an origin's times.
#[derive(Clone, Debug, Default)]
pub(super) struct Latency {
    best: Option<f64>,
    average: f64,
    /// Answers since the number of requests at a time last changed.
    seen: usize,
    /// The average before requests were taken away, and how many there were.
    before: Option<(f64, usize)>,
    /// Fewer requests did not help: it is slow by nature.
    hopeless: bool,
}

/// What the number of requests at a time should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Advice {
    /// What it is.
    Stay,
    /// Fewer.
    Fewer,
    /// Again so many as before: fewer did not help.
    Back(usize),
}

impl Latency {
    /// An answer's head took so long, while so many requests at a time were allowed.
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
        // Long enough for the average to forget what was before.
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

    /// The first advice that is more than to stay, after at most so many answers.
    fn feed(latency: &mut Latency, time: Duration, number: usize, times: usize) -> Advice {
        let mut all = (0..times).map(|_| latency.took(time, number));
        all.find(|advice| *advice != Advice::Stay).unwrap_or(Advice::Stay)
    }

    #[test]
    fn who_slows_down_gets_fewer_requests() {
        let mut latency = Latency::default();
        assert_eq!(feed(&mut latency, FAST, 20, 200), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 20, 80), Advice::Fewer);
        // That helped.
        assert_eq!(feed(&mut latency, FAST, 15, 200), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 15, 80), Advice::Fewer);
    }

    #[test]
    fn who_is_slow_whatever_we_do_is_left_alone() {
        let mut latency = Latency::default();
        feed(&mut latency, FAST, 20, 60);
        assert_eq!(feed(&mut latency, SLOW, 20, 80), Advice::Fewer);
        assert_eq!(feed(&mut latency, SLOW, 15, 400), Advice::Back(20));
        assert_eq!(feed(&mut latency, SLOW, 20, 400), Advice::Stay);
    }

    #[test]
    fn little_is_nothing_and_few_stay_few() {
        let mut latency = Latency::default();
        feed(&mut latency, Duration::from_millis(1), 20, 60);
        assert_eq!(feed(&mut latency, Duration::from_millis(100), 20, 400), Advice::Stay);
        assert_eq!(feed(&mut latency, SLOW, 2, 400), Advice::Stay);
    }
}
