//! What a run is for.

use std::time::Duration;

use super::attempt::{Ended, Refusal};
use super::job::Job;
use super::publish::Publisher;
use super::run::Run;
use super::slot::Slot;
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;

/// What a run is for: to get files, to learn about them, or to get checksum lists.
///
/// The run decides which job is tried when, and repeats attempts that failed for a passing reason.
/// The errand makes an attempt, and decides what follows from its result.
pub(super) trait Errand: Sync {
    /// Makes one attempt.
    async fn attempt<'r>(
        &self,
        run: &'r Run<'_>,
        job: &mut Job,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal>;

    /// Upstream does not have what was requested.
    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate;

    /// The job failed where it was tried, and is not repeated there.
    fn failed(&self, run: &Run<'_>, job: Job, failure: Failure) -> Fate;

    /// The job failed finally, after that many attempts.
    fn give_up(&self, run: &Run<'_>, entry: EntryIndex, failure: Failure, attempts: u32);

    /// No job is left.
    fn conclude(&self, _run: &Run<'_>) {}

    /// Takes what attempts bring to the disk, if they bring something.
    fn publisher(&self) -> Option<&Publisher<'_>> {
        None
    }
}

/// What becomes of a job after an attempt.
#[expect(clippy::large_enum_variant, reason = "it is taken apart at once and never stored")]
#[derive(Debug)]
pub(super) enum Fate {
    Done,
    /// It is tried again after a pause.
    Again(Job, Duration),
}

impl Fate {
    pub(super) fn at_once(job: Job) -> Self {
        Self::Again(job, Duration::ZERO)
    }
}
