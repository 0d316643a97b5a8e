//! Which way a failed request went: what goes wrong behind a proxy may be the proxy's own doing.

use super::ask::Refusal;
use super::job::Job;
use super::run::Run;
use super::transfer::Attempt;
use crate::failure::{ErrorKind, Failure};

impl Run<'_> {
    /// The same attempt, whose failure names the proxy that it went through.
    pub(super) fn by_way(&self, job: &Job, attempt: Attempt) -> Attempt {
        match attempt {
            Attempt::Refused(Refusal::Failed { lane, failure, again, after }) => {
                let failure = self.through(job, lane, failure);
                Attempt::Refused(Refusal::Failed { lane, failure, again, after })
            }
            Attempt::Refused(Refusal::Unreachable { lane, began, failure, asked }) => {
                let failure = self.through(job, lane, failure);
                Attempt::Refused(Refusal::Unreachable { lane, began, failure, asked })
            }
            other => other,
        }
    }

    fn through(&self, job: &Job, lane: usize, failure: Failure) -> Failure {
        if !may_be_the_proxys(&failure) || failure.message.contains("the proxy") {
            return failure;
        }
        match self.dialer(job).proxy_of(&self.dispatch.origin_of(lane)) {
            Some(proxy) => {
                let message = format!("{failure} (through the proxy {proxy})");
                Failure { message, ..failure }
            }
            None => failure,
        }
    }
}

fn may_be_the_proxys(failure: &Failure) -> bool {
    use ErrorKind::{Connect, HttpStatus, Protocol, Stalled, Timeout, Tls, Truncated};
    match failure.kind {
        Connect | Protocol | Stalled | Timeout | Tls | Truncated => true,
        HttpStatus => matches!(failure.status, Some(403 | 407 | 500..=599)),
        _ => false,
    }
}
