//! Several reporters of one run, and the tally that decides its exit status.

use crate::event::{Event, Outcome, Reporter, Summary};
use crate::failure::ErrorKind;
use crate::ops::error::ExitStatus;

/// Hands each event to several reporters, in order.
pub(crate) struct Tee<'a, 'r>(pub &'a mut [&'r mut dyn Reporter]);

impl Reporter for Tee<'_, '_> {
    fn event(&mut self, event: &Event) {
        for reporter in &mut *self.0 {
            reporter.event(event);
        }
    }

    fn tick(&mut self) {
        for reporter in &mut *self.0 {
            reporter.tick();
        }
    }
}

/// A reporter that writes its end when the run has returned a `T`.
pub(crate) trait Closing<T>: Reporter {
    /// Writes the end of the report.
    fn close(&mut self, value: &T);
}

/// Facts of a run that affect its exit status and are not part of its summary.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    failed: bool,
    source_failed: bool,
    disk_full: bool,
}

impl Tally {
    /// Exit status of a run that applied a manifest, unless a signal ended it.
    #[must_use]
    pub(crate) fn applied(self, summary: &Summary) -> ExitStatus {
        if self.disk_full {
            ExitStatus::Storage
        } else if self.source_failed || !summary.is_success() {
            ExitStatus::Failed
        } else {
            ExitStatus::Ok
        }
    }

    /// Whether the plan is incomplete because something failed, such as a request of `--refresh`. A
    /// path conflict is a result of planning, not a failure.
    #[must_use]
    pub(crate) fn plan_failed(self) -> bool {
        self.failed || self.source_failed
    }
}

impl Reporter for Tally {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { outcome: Outcome::Failed(failure), .. } => {
                self.disk_full |= failure.kind == ErrorKind::NoSpace;
                self.failed |= failure.kind != ErrorKind::PathConflict;
            }
            Event::SourceFailed { .. } | Event::Unpruned { .. } => self.source_failed = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;
    use crate::manifest::entry::EntryIndex;

    fn tally(kinds: &[ErrorKind]) -> Tally {
        let mut tally = Tally::default();
        for &kind in kinds {
            let outcome = Outcome::Failed(Failure::new(kind, "no"));
            tally.event(&Event::Finished {
                entry: EntryIndex(0),
                outcome,
                attempts: 1,
                received: 0,
            });
        }
        tally
    }

    #[test]
    fn the_exit_status_follows_what_happened() {
        let whole = Summary { entries: 2, kept: 2, ..Summary::default() };
        let failed = Summary { entries: 2, kept: 1, failed: 1, ..Summary::default() };
        let lost = Summary { entries: 2, kept: 1, ..Summary::default() };
        assert_eq!(Tally::default().applied(&whole), ExitStatus::Ok);
        assert_eq!(Tally::default().applied(&lost), ExitStatus::Failed);
        assert_eq!(tally(&[ErrorKind::Connect]).applied(&failed), ExitStatus::Failed);
        assert_eq!(
            tally(&[ErrorKind::NoSpace, ErrorKind::Io]).applied(&failed),
            ExitStatus::Storage
        );
        let mut dead_source = Tally::default();
        let failure = Failure::new(ErrorKind::HttpStatus, "too many");
        dead_source.event(&Event::SourceFailed { source: 0, failure });
        assert_eq!(dead_source.applied(&whole), ExitStatus::Failed);
    }

    #[test]
    fn a_conflict_does_not_fail_a_plan() {
        assert!(!tally(&[ErrorKind::PathConflict]).plan_failed());
        assert!(tally(&[ErrorKind::PathConflict, ErrorKind::Connect]).plan_failed());
    }
}
