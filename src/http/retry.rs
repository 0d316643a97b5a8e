//! Whether to ask again, and when: a decision apart from the waiting, so that it needs no clock.

use std::time::Duration;

use super::validators::http_date;
use crate::failure::{ErrorKind, Failure};

/// First pause, doubled with each attempt; large enough to let a server breathe, small enough that
/// one lost packet is not felt.
const FIRST: Duration = Duration::from_millis(500);
/// No pause of our own is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// What to do after a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// It failed for good, for this reason.
    GiveUp(Failure),
    /// Ask again after a pause that concerns this entry alone.
    Again { after: Duration },
    /// Ask again once the origin's own pause is over, which all its entries keep.
    HoldOrigin { wait: Duration },
}

/// What the user allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// Further attempts after the first.
    pub(crate) retries: u32,
    /// The longest pause that a server may ask for.
    pub(crate) max_retry_after: Duration,
}

/// `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RetryAfter(pub(crate) Duration);

impl RetryAfter {
    /// Reads a number of seconds or a date. A date is compared with the answer's own `Date`, so that
    /// a wrong clock on this machine does not matter; without that, with `now`. What is neither, or
    /// a negative number, is no request.
    pub(crate) fn parse(text: &str, date: Option<&str>, now: i64) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than fit are longer than anybody waits.
            return Some(Self(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        let until = http_date(text)?;
        let from = date.and_then(http_date).unwrap_or(now);
        Some(Self(Duration::from_secs(u64::try_from(until.saturating_sub(from)).unwrap_or(0))))
    }
}

/// Judges a failure that may pass, after `tries` attempts. `chance` lies in 0..1 and spreads the
/// pause over its whole length (full jitter), so that many clients do not come back together.
pub(crate) fn judge(
    failure: Failure,
    retry_after: Option<RetryAfter>,
    tries: u32,
    backoff: &Backoff,
    chance: f64,
) -> Verdict {
    if let Some(RetryAfter(wait)) = retry_after
        && backoff.max_retry_after < wait
    {
        let asked = if wait == Duration::from_secs(u64::MAX) {
            "very long".to_owned()
        } else {
            format!("{} s", wait.as_secs())
        };
        let message = format!(
            "{failure}; the server asks to wait {asked}, longer than `max_retry_after` ({} s)",
            backoff.max_retry_after.as_secs()
        );
        return Verdict::GiveUp(Failure { message, ..failure });
    }
    if backoff.retries < tries {
        return Verdict::GiveUp(failure);
    }
    match retry_after {
        Some(RetryAfter(wait)) => Verdict::HoldOrigin { wait },
        None => Verdict::Again { after: pause(tries, chance) },
    }
}

/// The pause after that many attempts.
pub(crate) fn pause(tries: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(chance.clamp(0.0, 1.0))
}

/// Whether a failure of that kind may pass when it is asked for again.
pub(crate) fn is_transient(kind: ErrorKind) -> bool {
    use ErrorKind::{Connect, Protocol, Stalled, Timeout, Truncated};
    matches!(kind, Connect | Timeout | Stalled | Truncated | Protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff { retries: 2, max_retry_after: Duration::from_mins(2) };

    fn failure() -> Failure {
        Failure::new(ErrorKind::HttpStatus, "the server answers 503").with_status(503)
    }

    #[test]
    fn pauses_double_and_are_spread() {
        assert_eq!(
            judge(failure(), None, 1, &BACKOFF, 0.5),
            Verdict::Again { after: Duration::from_millis(250) }
        );
        assert_eq!(
            judge(failure(), None, 2, &BACKOFF, 0.5),
            Verdict::Again { after: Duration::from_millis(500) }
        );
        assert_eq!(judge(failure(), None, 3, &BACKOFF, 0.5), Verdict::GiveUp(failure()));
        assert_eq!(pause(60, 1.0), LONGEST);
    }

    #[test]
    fn a_server_may_ask_for_a_pause_but_not_for_any() {
        let after = |seconds| Some(RetryAfter(Duration::from_secs(seconds)));
        assert_eq!(
            judge(failure(), after(7), 1, &BACKOFF, 0.1),
            Verdict::HoldOrigin { wait: Duration::from_secs(7) }
        );
        let Verdict::GiveUp(told) = judge(failure(), after(3600), 1, &BACKOFF, 0.1) else {
            panic!("it waits")
        };
        assert!(told.message.contains("3600 s"), "{told}");
    }

    #[test]
    fn every_form_of_retry_after() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let parse =
            |text: &str| RetryAfter::parse(text, Some(date), 0).map(|after| after.0.as_secs());
        assert_eq!(parse("2"), Some(2));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:40 GMT"), Some(3));
        assert_eq!(parse("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(parse(&"9".repeat(40)), Some(u64::MAX));
        for nothing in ["-1", "inf", "1e400", "NaN", "1.5", "", "soon"] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
        assert_eq!(
            RetryAfter::parse(date, None, 784_111_770).map(|after| after.0.as_secs()),
            Some(7)
        );
    }
}
