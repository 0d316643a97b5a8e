//! Decides whether a request is repeated, and when. The caller waits, so this needs no clock.

use std::time::Duration;

use super::validators::http_date;
use crate::failure::{ErrorKind, Failure};

/// The first pause, doubled with each attempt: long enough to relieve a server, short enough that a
/// lost packet is hardly noticed.
const FIRST: Duration = Duration::from_millis(500);
/// The longest pause that a server did not ask for.
const LONGEST: Duration = Duration::from_secs(30);

/// What to do after a failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The failure is final.
    GiveUp(Failure),
    /// Repeat the request after a pause of this entry.
    Again { after: Duration },
    /// Repeat the request after a pause of the whole origin.
    HoldOrigin { wait: Duration },
}

/// `Retry-After` (RFC 9110, section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct RetryAfter(pub(crate) Duration);

impl RetryAfter {
    /// Reads a number of seconds or a date. A date is compared with the `Date` of the response, so
    /// that a wrong clock on this machine does not matter, or else with `now`. Other texts are
    /// ignored.
    pub(crate) fn parse(text: &str, date: Option<&str>, now: i64) -> Option<Self> {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is longer than any `max_retry_after`.
            return Some(Self(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        let until = http_date(text)?;
        let from = date.and_then(http_date).unwrap_or(now);
        Some(Self(Duration::from_secs(u64::try_from(until.saturating_sub(from)).unwrap_or(0))))
    }
}

/// The pause that a server asked for, if it is at most `most` (`max_retry_after`).
///
/// # Errors
/// The failure of a request whose server asks for a longer one. It is permanent: a request before
/// the end of the pause would disregard the server.
pub(crate) fn bounded(
    failure: Failure,
    retry_after: Option<RetryAfter>,
    most: Duration,
) -> Result<(Failure, Option<RetryAfter>), Failure> {
    let Some(RetryAfter(wait)) = retry_after.filter(|&RetryAfter(wait)| most < wait) else {
        return Ok((failure, retry_after));
    };
    let asked = if wait == Duration::from_secs(u64::MAX) {
        "very long".to_owned()
    } else {
        format!("{} s", wait.as_secs())
    };
    let message = format!(
        "{failure}; the server asks to wait {asked}, longer than `max_retry_after` ({} s)",
        most.as_secs()
    );
    Err(Failure { message, ..failure }.lasting())
}

/// Decides about a transient failure after `tries` attempts, with `retries` further ones allowed.
/// `chance` in 0..1 is the jitter: it spreads the pause over its whole length (full jitter), so that
/// clients do not return at the same time.
pub(crate) fn judge(
    failure: Failure,
    retry_after: Option<RetryAfter>,
    tries: u32,
    retries: u32,
    chance: f64,
) -> Verdict {
    if retries < tries {
        return Verdict::GiveUp(failure);
    }
    match retry_after {
        Some(RetryAfter(wait)) => Verdict::HoldOrigin { wait },
        None => Verdict::Again { after: pause(tries, chance) },
    }
}

/// The pause after that many attempts: exponential backoff with full jitter.
pub(crate) fn pause(tries: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1 << tries.saturating_sub(1).min(16));
    doubled.min(LONGEST).mul_f64(chance.clamp(0.0, 1.0))
}

/// Whether a failure of that kind may be transient.
pub(crate) fn is_transient(kind: ErrorKind) -> bool {
    use ErrorKind::{Connect, Protocol, Stalled, Timeout, Truncated};
    matches!(kind, Connect | Timeout | Stalled | Truncated | Protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRIES: u32 = 2;

    fn failure() -> Failure {
        Failure::new(ErrorKind::HttpStatus, "the server answers 503").with_status(503)
    }

    #[test]
    fn pauses_double_and_are_spread() {
        assert_eq!(
            judge(failure(), None, 1, RETRIES, 0.5),
            Verdict::Again { after: Duration::from_millis(250) }
        );
        assert_eq!(
            judge(failure(), None, 2, RETRIES, 0.5),
            Verdict::Again { after: Duration::from_millis(500) }
        );
        assert_eq!(judge(failure(), None, 3, RETRIES, 0.5), Verdict::GiveUp(failure()));
        assert_eq!(pause(60, 1.0), LONGEST);
    }

    #[test]
    fn retry_after_is_followed_up_to_a_limit() {
        let after = |seconds| Some(RetryAfter(Duration::from_secs(seconds)));
        assert_eq!(
            judge(failure(), after(7), 1, RETRIES, 0.1),
            Verdict::HoldOrigin { wait: Duration::from_secs(7) }
        );
        let most = Duration::from_mins(2);
        assert_eq!(bounded(failure(), after(120), most), Ok((failure(), after(120))));
        assert_eq!(bounded(failure(), None, most), Ok((failure(), None)));
        let told = bounded(failure(), after(3600), most).unwrap_err();
        assert!(told.message.contains("3600 s") && told.lasting, "{told}");
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
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
