//! One attempt at one job.

use tokio::time::Instant;

use super::job::Job;
use super::run::Run;
use super::slot::LaneId;
use super::want::Want;
use crate::failure::Failure;
use crate::http::RetryAfter;
use crate::manifest::entry::Entry;
use crate::manifest::{Http, Identity, IdentityKey, KeptUrl, Manifest};

/// One attempt at one job: what its steps share.
pub(super) struct Attempt<'a, 'r, 'w> {
    pub(super) run: &'r Run<'w>,
    pub(super) entry: Entry<'w>,
    /// What the requested file must be.
    pub(super) want: &'a Want,
    pub(super) job: &'a mut Job,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The entry has its outcome, or the publisher will give it.
    Settled,
    /// Upstream does not have the file.
    Missing { status: u16 },
    /// The local file changed during the run: its record must be ignored.
    Outdated,
    /// Another request has to follow at once: the answer was clear and not the last word, or the
    /// question proves nothing and a plainer one will. This is no retry.
    Further,
}

/// Why an attempt brought nothing.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No connection could be made in an attempt that began at `began`. If `asked`, there was one,
    /// but the origin, which never sent any response, did not answer the request.
    Unreachable { lane: LaneId, began: Instant, failure: Failure, asked: bool },
    /// `again`: the failure may be transient. `after`: the pause that the server asked for.
    Failed { lane: LaneId, failure: Failure, again: bool, after: Option<RetryAfter> },
    /// The job has to wait for a place at the origin where it goes on.
    Waits,
}

impl Refusal {
    /// Without the values in its message and hint that must not be printed.
    pub(super) fn hiding(mut self, manifest: &Manifest) -> Self {
        if let Self::Unreachable { failure, .. } | Self::Failed { failure, .. } = &mut self {
            if let Some(message) = manifest.hide(&failure.message) {
                failure.message = message;
            }
            failure.hint = failure.hint.take().map(|hint| manifest.hide(&hint).unwrap_or(hint));
        }
        self
    }

    /// A failure that another attempt would meet, too.
    pub(super) fn lasting(lane: LaneId, failure: Failure) -> Self {
        Self::Failed { lane, failure, again: false, after: None }
    }

    /// A failure that is transient if its kind is.
    pub(super) fn by_kind(lane: LaneId, failure: Failure) -> Self {
        let again = crate::http::is_transient(failure.kind);
        Self::Failed { lane, failure, again, after: None }
    }

    /// The same with another failure.
    pub(super) fn map(self, change: impl FnOnce(LaneId, Failure) -> Failure) -> Self {
        match self {
            Self::Unreachable { lane, began, failure, asked } => {
                Self::Unreachable { lane, began, failure: change(lane, failure), asked }
            }
            Self::Failed { lane, failure, again, after } => {
                Self::Failed { lane, failure: change(lane, failure), again, after }
            }
            Self::Waits => Self::Waits,
        }
    }
}

impl<'w> Attempt<'_, '_, 'w> {
    pub(super) fn settings(&self) -> &'w Http {
        &self.run.work.settings[self.entry.source_index()]
    }

    /// The identity of the requested URL.
    pub(super) fn identity(&self) -> Identity {
        self.entry.identity_at(self.job.name, self.job.place)
    }

    /// The requested URL as a file with that key may keep it.
    pub(super) fn served(&self, key: &IdentityKey) -> KeptUrl {
        self.entry.kept_at(self.job.name, self.job.place, key)
    }
}
