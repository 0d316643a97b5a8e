//! Progress of a run, as every kind of progress display shows it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::event::{Event, Outcome, Phase};
use crate::manifest::entry::EntryIndex;

/// Counts files and bytes from the events of one run. Pure: the caller passes the time, as the
/// duration since the run began.
#[derive(Debug, Default)]
pub(super) struct Meter {
    stage: Option<Stage>,
    total: u64,
    done: u64,
    failed: u64,
    bytes: u64,
    known_bytes: u64,
    unknown_sizes: u64,
    /// Bytes of finished and current files that are here: what failed attempts lost is taken back,
    /// and what earlier runs received is counted.
    here: u64,
    active: HashMap<EntryIndex, Transfer>,
    held: Vec<Held>,
    samples: VecDeque<Sample>,
}

/// Progress of a phase before the transfers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stage {
    pub(super) phase: Phase,
    pub(super) total: Option<u64>,
    pub(super) done: u64,
}

/// A transfer in progress.
#[derive(Clone, Debug)]
pub(super) struct Transfer {
    pub(super) since: Duration,
    /// Bytes of the file that are here.
    pub(super) here: u64,
    pub(super) size: Option<u64>,
    /// Set between a failed attempt and the next one.
    pub(super) retry: Option<Retry>,
}

/// A retry that waits for its time.
#[derive(Clone, Debug)]
pub(super) struct Retry {
    pub(super) at: Duration,
    pub(super) number: u32,
    pub(super) most: u32,
    pub(super) reason: String,
}

/// An origin that asked for a pause.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) origin: String,
    pub(super) until: Duration,
}

impl Transfer {
    /// The received part, in percent. `None` if the size is unknown or zero.
    pub(super) fn percent(&self) -> Option<u64> {
        let size = self.size.filter(|&size| 0 < size)?;
        Some(u64::try_from(u128::from(self.here.min(size)) * 100 / u128::from(size)).unwrap_or(100))
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    done: u64,
    bytes: u64,
}

/// Rates are averages over this window: short enough to follow changes, long enough not to flicker.
const WINDOW: Duration = Duration::from_secs(8);
/// Least distance between samples, which bounds their number.
const BETWEEN_SAMPLES: Duration = Duration::from_millis(250);
/// Number of paused origins that are kept.
const MOST_HELD: usize = 16;
/// Over a shorter window than this, an estimate would be too inaccurate to show.
const LEAST_FOR_ETA: Duration = Duration::from_secs(2);

impl Meter {
    /// Counts an event.
    pub(super) fn event(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Phase { phase: Phase::Transferring, .. } => {
                self.stage = None;
                self.samples.clear();
                self.sample(now);
            }
            Event::Phase { phase, total } => {
                self.stage = Some(Stage { phase: *phase, total: *total, done: 0 });
            }
            Event::Advanced { done } => {
                if let Some(stage) = &mut self.stage {
                    stage.done = *done;
                }
            }
            Event::Planned { counts, known_bytes, unknown_sizes } => {
                self.total = counts.fetch + counts.replace + counts.revalidate;
                self.known_bytes = *known_bytes;
                // A revalidation may become a download of unknown size.
                self.unknown_sizes = *unknown_sizes + counts.revalidate;
            }
            Event::Started { entry } => {
                let new = Transfer { since: now, here: 0, size: None, retry: None };
                self.active.entry(*entry).or_insert(new).retry = None;
            }
            Event::Sized { entry, size, here } => {
                if let Some(transfer) = self.active.get_mut(entry) {
                    self.here = self.here.saturating_sub(transfer.here) + here;
                    (transfer.size, transfer.here) = (Some(*size), *here);
                }
            }
            Event::Received { entry, bytes } => {
                self.bytes += bytes;
                self.here += bytes;
                if let Some(transfer) = self.active.get_mut(entry) {
                    transfer.here += bytes;
                }
            }
            Event::Retrying { entry, retry, retries, wait, failure, .. } => {
                if let Some(transfer) = self.active.get_mut(entry) {
                    transfer.retry = Some(Retry {
                        at: now + *wait,
                        number: *retry,
                        most: *retries,
                        reason: failure.message.clone(),
                    });
                }
            }
            Event::OriginHeld { origin, wait } => {
                self.held.retain(|held| held.origin != *origin && now < held.until);
                if self.held.len() < MOST_HELD {
                    self.held.push(Held { origin: origin.clone(), until: now + *wait });
                }
            }
            Event::Finished { entry, outcome, attempts, .. } => {
                let transfer = self.active.remove(entry);
                if let (Outcome::Failed(_), Some(transfer)) = (outcome, transfer) {
                    self.here = self.here.saturating_sub(transfer.here);
                }
                // Entries without a request are not part of the total.
                let planned_away =
                    *attempts == 0 && matches!(outcome, Outcome::Kept | Outcome::Absent);
                if !planned_away {
                    self.done += 1;
                }
                self.failed += u64::from(matches!(outcome, Outcome::Failed(_)));
            }
            _ => {}
        }
    }

    /// Records the current counts for rates and estimates. Call it several times a second.
    pub(super) fn sample(&mut self, now: Duration) {
        if self.samples.back().is_some_and(|last| now.saturating_sub(last.at) < BETWEEN_SAMPLES) {
            return;
        }
        while 1 < self.samples.len()
            && self.samples.get(1).is_some_and(|next| WINDOW < now.saturating_sub(next.at))
        {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at: now, done: self.done, bytes: self.bytes });
    }

    /// The current phase, unless transfers are running.
    pub(super) fn stage(&self) -> Option<Stage> {
        self.stage
    }

    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Number of files that need a request.
    pub(super) fn total(&self) -> u64 {
        self.total.max(self.done)
    }

    /// Bytes received.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes per second over the last [`WINDOW`].
    #[expect(clippy::cast_precision_loss, reason = "a rate is shown with one decimal")]
    pub(super) fn rate(&self, now: Duration) -> Option<f64> {
        let (since, elapsed) = self.window(now)?;
        Some((self.bytes - since.bytes) as f64 / elapsed.as_secs_f64())
    }

    /// Remaining time at the current rate: by bytes if all sizes are known, else by files.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(super) fn eta(&self, now: Duration) -> Option<Duration> {
        let (since, elapsed) = self.window(now)?;
        if elapsed < LEAST_FOR_ETA {
            return None;
        }
        let by_bytes = self.unknown_sizes == 0 && self.here < self.known_bytes;
        let (left, lately) = if by_bytes {
            (self.known_bytes - self.here, self.bytes - since.bytes)
        } else {
            (self.total() - self.done, self.done - since.done)
        };
        if lately == 0 {
            return None;
        }
        // More than a century is not worth showing.
        let seconds = elapsed.as_secs_f64() * left as f64 / lately as f64;
        (seconds < 3e9).then(|| Duration::from_secs_f64(seconds))
    }

    /// The transfers in progress, in no particular order.
    pub(super) fn active(&self) -> impl Iterator<Item = (EntryIndex, &Transfer)> {
        self.active.iter().map(|(&entry, transfer)| (entry, transfer))
    }

    pub(super) fn transfer(&self, entry: EntryIndex) -> Option<&Transfer> {
        self.active.get(&entry)
    }

    /// The origin whose pause ends last.
    pub(super) fn held(&self, now: Duration) -> Option<&Held> {
        self.held.iter().filter(|held| now < held.until).max_by_key(|held| held.until)
    }

    fn window(&self, now: Duration) -> Option<(Sample, Duration)> {
        let since = *self.samples.front()?;
        let elapsed = now.saturating_sub(since.at);
        (BETWEEN_SAMPLES <= elapsed).then_some((since, elapsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Counts;

    fn seconds(number: u64) -> Duration {
        Duration::from_secs(number)
    }

    fn planned(fetch: u64, known_bytes: u64, unknown_sizes: u64) -> Event {
        Event::Planned {
            counts: Counts { fetch, keep: 7, ..Counts::default() },
            known_bytes,
            unknown_sizes,
        }
    }

    /// A run that receives one file of 1000 bytes per second, sampled once per second.
    fn run(planned: &Event, until: u64) -> Meter {
        let mut meter = Meter::default();
        meter.event(planned, seconds(0));
        meter.event(&Event::Phase { phase: Phase::Transferring, total: None }, seconds(0));
        for second in 1..=until {
            let (entry, now) = (EntryIndex(second), seconds(second));
            meter.event(&Event::Started { entry }, now);
            meter.event(&Event::Received { entry, bytes: 1000 }, now);
            meter.event(
                &Event::Finished { entry, outcome: Outcome::Unchanged, attempts: 1, received: 0 },
                now,
            );
            meter.sample(now);
        }
        meter
    }

    #[test]
    fn rate_and_eta_follow_the_last_seconds() {
        let meter = run(&planned(100, 0, 100), 40);
        assert_eq!((meter.done(), meter.total(), meter.bytes()), (40, 100, 40_000));
        assert!((meter.rate(seconds(40)).unwrap() - 1000.0).abs() < 1.0);
        assert_eq!(meter.eta(seconds(40)), Some(seconds(60)));
        assert!(meter.samples.len() < 12);
    }

    #[test]
    fn known_sizes_make_the_better_estimate() {
        let meter = run(&planned(100, 50_000, 0), 40);
        assert_eq!(meter.eta(seconds(40)), Some(seconds(10)));
    }

    #[test]
    fn there_is_no_estimate_too_early_or_without_progress() {
        let meter = run(&planned(100, 0, 100), 1);
        assert_eq!(meter.eta(seconds(1)), None);
        let mut still = Meter::default();
        still.event(&planned(5, 0, 5), seconds(0));
        still.event(&Event::Phase { phase: Phase::Transferring, total: None }, seconds(0));
        assert_eq!(still.eta(seconds(9)), None);
        assert_eq!(still.rate(seconds(9)), Some(0.0));
    }

    #[test]
    fn entries_without_a_request_are_not_counted() {
        let mut meter = Meter::default();
        meter.event(&planned(1, 0, 1), seconds(0));
        meter.event(
            &Event::Finished {
                entry: EntryIndex(0),
                outcome: Outcome::Kept,
                attempts: 0,
                received: 0,
            },
            seconds(0),
        );
        meter.event(
            &Event::Finished {
                entry: EntryIndex(1),
                outcome: Outcome::Absent,
                attempts: 0,
                received: 0,
            },
            seconds(0),
        );
        assert_eq!((meter.done(), meter.total()), (0, 1));
        meter.event(
            &Event::Finished {
                entry: EntryIndex(2),
                outcome: Outcome::Absent,
                attempts: 1,
                received: 0,
            },
            seconds(0),
        );
        assert_eq!((meter.done(), meter.total()), (1, 1));
    }

    /// Attempts that go on, and attempts that begin anew: the position is that of the file.
    #[test]
    fn a_resumed_transfer_goes_on_where_it_was_and_stays_below_its_size() {
        let entry = EntryIndex(0);
        let mut meter = Meter::default();
        let failure = crate::failure::Failure::new(crate::failure::ErrorKind::Truncated, "short");
        let retrying = || Event::Retrying {
            entry,
            attempts: 1,
            retry: 1,
            retries: 4,
            wait: seconds(1),
            failure: failure.clone(),
        };
        let steps = [
            (Event::Started { entry }, None),
            (Event::Sized { entry, size: 200, here: 50 }, Some(25)),
            (Event::Received { entry, bytes: 40 }, Some(45)),
            (retrying(), Some(45)),
            (Event::Started { entry }, Some(45)),
            (Event::Sized { entry, size: 200, here: 90 }, Some(45)),
            (Event::Received { entry, bytes: 90 }, Some(90)),
            (retrying(), Some(90)),
            (Event::Sized { entry, size: 200, here: 0 }, Some(0)),
            (Event::Received { entry, bytes: 200 }, Some(100)),
        ];
        for (event, percent) in steps {
            let waits = matches!(event, Event::Retrying { .. });
            meter.event(&event, seconds(1));
            let transfer = meter.transfer(entry).unwrap();
            assert_eq!(transfer.percent(), percent, "{event:?}");
            assert!(!waits || transfer.retry.as_ref().is_some_and(|retry| retry.at == seconds(2)));
        }
        assert_eq!((meter.bytes(), meter.here), (330, 200));
        let empty = Transfer { since: seconds(0), here: 1, size: Some(0), retry: None };
        assert_eq!(empty.percent(), None);
    }

    #[test]
    fn a_pause_is_shown_until_it_is_over() {
        let mut meter = Meter::default();
        let held = |origin: &str, wait| Event::OriginHeld {
            origin: origin.to_owned(),
            wait: seconds(wait),
        };
        meter.event(&held("http://a", 20), seconds(0));
        meter.event(&held("http://b", 5), seconds(0));
        assert_eq!(meter.held(seconds(1)).unwrap().origin, "http://a");
        meter.event(&held("http://a", 3), seconds(1));
        assert_eq!(meter.held(seconds(2)).unwrap().origin, "http://b");
        assert!(meter.held(seconds(5)).is_none());
    }
}
