//! A GET, conditional or for the rest of a file, and what its response makes of the entry.

use super::files::Fetch;
use super::receive::Coming;
use super::resume::Rest;
use crate::dest::state::{Answered, Note};
use crate::event::Outcome;
use crate::http::{Content, Headers, Method};
use crate::manifest::{Check, Identity};
use crate::pin::Validators;
use crate::transfer::ask::{Question, finish_body};
use crate::transfer::attempt::{Attempt, Ended, Refusal};
use crate::transfer::slot::Slot;

/// The conditions of a request. Validators mean something only at the URL that sent them.
pub(in crate::transfer) fn conditions(known: &Answered, url: &Identity) -> Validators {
    if known.served.is(url) { known.validators.clone() } else { Validators::default() }
}

impl Fetch<'_> {
    /// Gets a file, unless it is still the held one.
    pub(super) async fn get<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
        conditions: &Validators,
        held: Option<Answered>,
    ) -> Result<Ended, Refusal> {
        let (run, want) = (attempt.run, attempt.want);
        self.take_up(attempt).await;
        let is_whole = |kept: &mut Box<crate::transfer::kept::Kept>| {
            want.is_met_by(&kept.begun.staged.digests())
        };
        if let Some(kept) = attempt.job.kept.take_if(is_whole) {
            // An earlier attempt received all of it: only publishing is left.
            return self.publish_kept(attempt, slot.lane, kept.begun, held.as_ref());
        }
        let rest = Rest::of(attempt.job, want);
        let question = Question {
            rest: rest.as_ref().map(|rest| (&rest.range, rest.here())),
            ..Question::about(attempt.entry.source(), Method::Get, conditions, want.length())
        };
        let mut response = attempt.ask(slot, &question).await?;
        match response.content {
            Content::NotModified => {
                finish_body(&mut response.slot, response.body).await;
                run.dispatch.succeeded(response.slot.lane, 0);
                let local = self.local(&attempt.entry.path());
                if let Some((held, local)) = held.zip(local)
                    && held.stamp == local.stamp()
                {
                    self.unchanged(attempt, &held, &response.headers);
                    return Ok(Ended::Settled);
                }
                // The response is about a local file that was edited or deleted meanwhile.
                drop(response.slot);
                Ok(Ended::Outdated)
            }
            Content::Missing { status } => {
                finish_body(&mut response.slot, response.body).await;
                run.dispatch.succeeded(response.slot.lane, 0);
                Ok(Ended::Missing { status })
            }
            Content::Restart => {
                finish_body(&mut response.slot, response.body).await;
                Ok(Ended::Again)
            }
            Content::Rest { length } => {
                let Some(kept) = attempt.job.kept.take() else { return Ok(Ended::Again) };
                let total = kept.begun.staged.length() + length;
                let coming = Coming { total: Some(total), begun: Some(kept.begun) };
                self.receive_file(attempt, response, coming, held.as_ref()).await
            }
            Content::Whole { length } => {
                attempt.job.forget();
                self.receive_file(attempt, response, Coming::all(length), held.as_ref()).await
            }
        }
    }

    /// The local file is current. The time of this confirmation matters only to `check` with an
    /// age.
    fn unchanged(&self, attempt: &Attempt<'_, '_, '_>, held: &Answered, headers: &Headers) {
        let (run, job, entry) = (attempt.run, &*attempt.job, &attempt.entry);
        let outcome = Outcome::Unchanged;
        let validators = renewed(&held.validators, headers);
        if validators.is_some() || matches!(entry.source().check, Check::Age(_)) {
            let path = entry.path().as_str().to_owned();
            let at = run.work.clock.timestamp();
            self.record(job, Note::Checked { path, at, validators }, outcome);
        } else {
            run.ledger.finish(job.entry, outcome, job.attempts);
        }
    }
}

/// The validators after a 304, if it changes them (RFC 9111, section 4.3.4). Another entity tag
/// than that of the request would be about another file.
fn renewed(held: &Validators, headers: &Headers) -> Option<Validators> {
    let Validators { etag, last_modified } = headers.validators();
    if etag.is_some() && held.etag.is_some() && etag != held.etag {
        return None;
    }
    let renewed = Validators {
        etag: etag.or_else(|| held.etag.clone()),
        last_modified: last_modified.or_else(|| held.last_modified.clone()),
    };
    (renewed != *held).then_some(renewed)
}
