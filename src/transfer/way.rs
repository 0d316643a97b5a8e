//! Names the proxy in a failure: the proxy may be its cause.

use super::attempt::Refusal;
use super::job::Job;
use super::run::Run;
use super::slot::LaneId;
use crate::failure::{ErrorKind, Failure};

impl Run<'_> {
    /// The same refusal, whose failure names the proxy of the request.
    pub(super) fn by_way(&self, job: &Job, refusal: Refusal) -> Refusal {
        refusal.map(|lane, failure| self.through(job, lane, failure))
    }

    fn through(&self, job: &Job, lane: LaneId, failure: Failure) -> Failure {
        if !may_be_of_a_proxy(&failure) || failure.message.contains("the proxy") {
            return failure;
        }
        let origin = self.dispatch.origin_of(lane);
        match origin.and_then(|origin| self.dialer(job).proxy_of(&origin)) {
            Some(proxy) => {
                let message = format!("{failure} (through the proxy {proxy})");
                Failure { message, ..failure }
            }
            None => failure,
        }
    }
}

fn may_be_of_a_proxy(failure: &Failure) -> bool {
    use ErrorKind::{Connect, HttpStatus, Protocol, Stalled, Timeout, Tls, Truncated};
    match failure.kind {
        Connect | Protocol | Stalled | Timeout | Tls | Truncated => true,
        HttpStatus => matches!(failure.status, Some(403 | 407 | 500..=599)),
        _ => false,
    }
}
