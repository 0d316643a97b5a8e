//! A GET, conditional or for the rest of a file, and what its response makes of the entry.

use super::files::Fetch;
use super::receive::Coming;
use super::resume::Rest;
use crate::dest::Stat;
use crate::dest::state::{Answered, Note};
use crate::event::Outcome;
use crate::failure::{ErrorKind, Failure};
use crate::http::{Content, Headers, Method, http_date};
use crate::manifest::{Check, Identity};
use crate::pin::Validators;
use crate::transfer::ask::{Question, Response, finish_body};
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
            let lane = slot.lane;
            drop(slot);
            return self.publish_kept(attempt, lane, kept.begun, held.as_ref()).await;
        }
        let none = Validators::default();
        let (conditions, rest) = if attempt.job.learned.plain {
            (&none, None)
        } else {
            (conditions, Rest::of(attempt.job, want))
        };
        let question = Question {
            rest: rest.as_ref().map(|rest| (&rest.range, rest.here())),
            ..Question::about(attempt.entry.source(), Method::Get, conditions, want.length())
        };
        let mut response = attempt.ask(slot, &question).await?;
        match response.content {
            Content::NotModified => {
                finish_body(&mut response.slot, response.body).await;
                run.dispatch.succeeded(response.slot.lane, 0);
                drop(response.slot);
                let local = self.local(&attempt.entry.path());
                let Some((held, local)) =
                    held.zip(local).filter(|(held, local)| held.stamp == local.stamp())
                else {
                    // The response is about a local file that was edited or deleted meanwhile.
                    return Ok(Ended::Outdated);
                };
                let is_witnessed = held.provenance.is_witnessed();
                if !self.is_expected(attempt, &local, &response.headers, is_witnessed) {
                    attempt.job.learned.plain = true;
                    return Ok(Ended::Further);
                }
                self.unchanged(attempt, &held, &response.headers);
                Ok(Ended::Settled)
            }
            Content::Missing { status } => {
                finish_body(&mut response.slot, response.body).await;
                run.dispatch.succeeded(response.slot.lane, 0);
                Ok(Ended::Missing { status })
            }
            Content::Unclear => {
                finish_body(&mut response.slot, response.body).await;
                Ok(Ended::Further)
            }
            Content::Rest { length } => {
                self.refuse_older(attempt, &mut response)?;
                let Some(kept) = attempt.job.kept.take() else { return Ok(Ended::Further) };
                let total = kept.begun.staged.length() + length;
                let coming = Coming { total: Some(total), begun: Some(kept.begun) };
                self.receive_file(attempt, response, coming, held.as_ref()).await
            }
            Content::Whole { length } => {
                let local = self.local(&attempt.entry.path());
                if let Some((held, local)) = held.as_ref().zip(local)
                    && is_same(held, &local, conditions, (length, &response.headers))
                    && self.is_expected(
                        attempt,
                        &local,
                        &response.headers,
                        held.provenance.is_witnessed(),
                    )
                {
                    finish_body(&mut response.slot, response.body).await;
                    run.dispatch.succeeded(response.slot.lane, 0);
                    self.unchanged(attempt, held, &response.headers);
                    return Ok(Ended::Settled);
                }
                if held.is_none()
                    && let Some(local) = local.filter(|_| self.may_adopt(attempt))
                    && self.could_be(attempt, &local, length, &response.headers)
                {
                    finish_body(&mut response.slot, response.body).await;
                    drop(response.slot);
                    self.adopted(attempt, local, &response.headers).await;
                    return Ok(Ended::Settled);
                }
                self.refuse_older(attempt, &mut response)?;
                attempt.job.begin_anew(&response.headers.validators(), want.is_pinned());
                self.receive_file(attempt, response, Coming::all(length), held.as_ref()).await
            }
        }
    }

    /// Fails if a mirror has a copy that is older than the local file. Its bytes are not taken,
    /// unless a pin says that they are the right ones.
    fn refuse_older(
        &self,
        attempt: &mut Attempt<'_, '_, '_>,
        response: &mut Response<'_>,
    ) -> Result<(), Refusal> {
        let path = attempt.entry.path();
        let date = |sent: Validators| sent.last_modified.as_deref().and_then(http_date);
        let Some((theirs, local)) = date(response.headers.validators())
            .zip(self.local(&path))
            .filter(|_| 0 < attempt.job.place && !attempt.want.is_pinned())
        else {
            return Ok(());
        };
        let ours = match self.held(&path) {
            Some(held) => date(held.validators),
            None => Some(local.modified.div_euclid(1_000_000_000)),
        };
        if ours.is_none_or(|ours| ours <= theirs) {
            return Ok(());
        }
        let mirror = attempt.job.target.origin.to_string();
        let message = format!("the copy of the mirror {mirror} is older than the local file");
        let message = format!("{message}, which stays");
        attempt.job.older = Some(message.clone());
        let failure = Failure::new(ErrorKind::UnexpectedContent, message).at_origin(&mirror);
        // Its body is not read.
        response.slot.connection = None;
        Err(Refusal::lasting(response.slot.lane, failure))
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
            run.ledger.finish(job.entry, outcome, job.attempts());
        }
    }
}

/// Whether a 200 to a conditional request is about the local file all the same: the strong entity tag
/// that was sent, and its length.
fn is_same(
    held: &Answered,
    local: &Stat,
    conditions: &Validators,
    (length, headers): (Option<u64>, &Headers),
) -> bool {
    let sent = headers.validators();
    conditions.strong_etag().is_some_and(|tag| sent.strong_etag() == Some(tag))
        && length == Some(local.size)
        && held.stamp == local.stamp()
}

/// The validators after a confirmation, if it changes them (RFC 9111, section 4.3.4).
fn renewed(held: &Validators, headers: &Headers) -> Option<Validators> {
    let Validators { etag, last_modified } = headers.validators();
    let renewed = Validators {
        etag: etag.or_else(|| held.etag.clone()),
        last_modified: last_modified.or_else(|| held.last_modified.clone()),
    };
    (renewed != *held).then_some(renewed)
}
