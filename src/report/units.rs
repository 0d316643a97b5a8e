//! Numbers with units, for people.

use std::fmt;
use std::time::Duration;

/// A number of bytes: `812 B`, `1.2 MB`. A kilobyte is 1000 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes(pub(crate) u64);

impl fmt::Display for Bytes {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1000.0;
        let mut units = ["kB", "MB", "GB", "TB", "PB", "EB"].iter().peekable();
        let mut unit = "kB";
        while let Some(next) = units.next() {
            unit = next;
            // With one decimal, 999.96 would be printed as 1000.0.
            if value < 999.95 || units.peek().is_none() {
                break;
            }
            value /= 1000.0;
        }
        f.pad(&format!("{value:.1} {unit}"))
    }
}

/// Bytes per second: `1.2 MB/s`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate(pub(crate) f64);

impl Rate {
    /// The average rate. Times below a millisecond count as a millisecond.
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    pub(crate) fn of(bytes: u64, elapsed: Duration) -> Self {
        Self(bytes as f64 / elapsed.as_secs_f64().max(0.001))
    }
}

impl fmt::Display for Rate {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is a positive number of bytes"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/s", Bytes(self.0.round() as u64)))
    }
}

/// A time span: `0.9 s`, `12 s`, `3 min 5 s`, `2 h 5 min`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Elapsed(pub(crate) Duration);

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.0.as_secs_f64();
        if exact < 9.95 {
            return f.pad(&format!("{exact:.1} s"));
        }
        let seconds = self.0.as_secs() + u64::from(500 <= self.0.subsec_millis());
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let text = match (hours, minutes) {
            (0, 0) => format!("{seconds} s"),
            (0, _) => format!("{minutes} min {} s", seconds % 60),
            _ => format!("{hours} h {minutes} min"),
        };
        f.pad(&text)
    }
}

/// A remaining time, as [`Elapsed`] but in whole seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Left(pub(crate) Duration);

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded up, so that `0 s left` means that the time is over.
        let seconds = self.0.as_secs() + u64::from(self.0.subsec_nanos() != 0);
        if seconds < 60 {
            write!(f, "{seconds} s left")
        } else {
            write!(f, "{} left", Elapsed(Duration::from_secs(seconds)))
        }
    }
}

/// A number with its noun: `1 entry`, `338 entries`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64, pub(crate) &'static str, pub(crate) &'static str);

impl Count {
    pub(crate) fn entries(number: u64) -> Self {
        Self(number, "entry", "entries")
    }

    pub(crate) fn files(number: u64) -> Self {
        Self(number, "file", "files")
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(number, one, many) = self;
        write!(f, "{number} {}", if *number == 1 { one } else { many })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_one_decimal_and_thousands() {
        let shown = [0, 999, 1000, 1234, 999_949, 999_950, 1_200_000, 45_100_000_000, u64::MAX];
        let shown = shown.map(|bytes| Bytes(bytes).to_string());
        assert_eq!(
            shown,
            [
                "0 B", "999 B", "1.0 kB", "1.2 kB", "999.9 kB", "1.0 MB", "1.2 MB", "45.1 GB",
                "18.4 EB"
            ]
        );
    }

    #[test]
    fn times_lose_precision_as_they_grow() {
        let shown = [0, 940, 9_949, 9_960, 12_400, 59_600, 185_000, 7_500_000];
        let shown = shown.map(|millis| Elapsed(Duration::from_millis(millis)).to_string());
        assert_eq!(
            shown,
            ["0.0 s", "0.9 s", "9.9 s", "10 s", "12 s", "1 min 0 s", "3 min 5 s", "2 h 5 min"]
        );
    }

    #[test]
    fn estimates_are_whole_seconds() {
        let shown = [0, 1, 8_900, 59_001, 221_000]
            .map(|millis| Left(Duration::from_millis(millis)).to_string());
        assert_eq!(
            shown,
            ["0 s left", "1 s left", "9 s left", "1 min 0 s left", "3 min 41 s left"]
        );
    }

    #[test]
    fn rates_of_no_time_are_finite() {
        assert_eq!(Rate::of(1_300_000, Duration::from_secs(1)).to_string(), "1.3 MB/s");
        assert_eq!(Rate::of(5, Duration::ZERO).to_string(), "5.0 kB/s");
    }

    #[test]
    fn nouns_agree_with_their_number() {
        assert_eq!(Count::entries(1).to_string(), "1 entry");
        assert_eq!(Count::files(0).to_string(), "0 files");
    }
}
