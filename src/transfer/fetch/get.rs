//! A GET, conditional or for the rest of a file, and what its response makes of the entry.

use super::files::Fetch;
use super::receive::Coming;
use super::resume::Rest;
use crate::dest::state::{Answered, Note};
use crate::event::Outcome;
use crate::http::{Content, Headers, Method, http_date};
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
        let without = attempt.job.without;
        let none = Validators::default();
        let conditions = if without.conditions { &none } else { conditions };
        if !without.range {
            self.take_up(attempt).await;
        }
        let is_whole = |kept: &mut Box<crate::transfer::kept::Kept>| {
            want.is_met_by(&kept.begun.staged.digests())
        };
        if let Some(kept) = attempt.job.kept.take_if(is_whole) {
            // An earlier attempt received all of it: only publishing is left.
            return self.publish_kept(attempt, slot.lane, kept.begun, held.as_ref());
        }
        let rest = if without.range { None } else { Rest::of(attempt.job, want) };
        let question = Question {
            rest: rest.as_ref().map(|rest| (&rest.range, rest.here())),
            ..Question::about(attempt.entry.source(), Method::Get, conditions, want.length())
        };
        let mut response = match attempt.ask(slot, &question).await {
            Ok(response) => response,
            Err(refusal) => {
                // An error of the server to a range may be about the range: the retry has none.
                let by_status =
                    matches!(&refusal, Refusal::Failed { failure, .. } if failure.status.is_some());
                attempt.job.without.range |= by_status && rest.is_some();
                return Err(refusal);
            }
        };
        match response.content {
            Content::NotModified => {
                finish_body(&mut response.slot, response.body).await;
                run.dispatch.succeeded(response.slot.lane, 0);
                if !is_about(conditions, &response.headers) {
                    attempt.job.without.conditions = true;
                    return Ok(Ended::Unclear);
                }
                let local = self.local(&attempt.entry.path());
                if let Some((held, local)) = held.zip(local)
                    && held.stamp == local.stamp()
                {
                    if !self.is_as_expected(attempt, &local, Some(&held)) {
                        attempt.job.without.conditions = true;
                        return Ok(Ended::Unclear);
                    }
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
            Content::Unclear => {
                finish_body(&mut response.slot, response.body).await;
                let without = &mut attempt.job.without;
                without.conditions |= !conditions.is_empty();
                without.range |= rest.is_some();
                Ok(Ended::Unclear)
            }
            Content::Rest { length } => {
                let Some(kept) = attempt.job.kept.take() else {
                    attempt.job.without.range = true;
                    return Ok(Ended::Unclear);
                };
                let total = kept.begun.staged.length() + length;
                let coming = Coming { total: Some(total), begun: Some(kept.begun), framed: true };
                self.receive_file(attempt, response, coming, held.as_ref()).await
            }
            Content::Whole { length } => {
                if let Some(held) = &held
                    && rest.is_none()
                    && self.is_same(attempt, held, conditions, &response.headers, length)
                {
                    // The server ignores conditions, and its own validator says that nothing changed.
                    response.slot.connection = None;
                    let headers = response.headers;
                    drop((response.slot, response.body));
                    self.unchanged(attempt, held, &headers);
                    return Ok(Ended::Settled);
                }
                if rest.is_some() {
                    // The server has another version than the bytes that are here.
                    attempt.job.forget();
                }
                self.receive_file(attempt, response, Coming::all(length), held.as_ref()).await
            }
            Content::Unframed => {
                if rest.is_some() {
                    attempt.job.forget();
                }
                self.receive_file(attempt, response, Coming::unframed(), held.as_ref()).await
            }
        }
    }

    /// Whether a 200 to a conditional GET brings the bytes of the local file: the same strong entity
    /// tag and the same length (RFC 9110, section 8.8.3).
    fn is_same(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        held: &Answered,
        conditions: &Validators,
        headers: &Headers,
        length: Option<u64>,
    ) -> bool {
        let sent = headers.validators();
        let same =
            conditions.strong_etag().is_some() && conditions.strong_etag() == sent.strong_etag();
        let local = self.local(&attempt.entry.path()).filter(|_| same);
        local.is_some_and(|local| {
            held.stamp == local.stamp()
                && length == Some(local.size)
                && self.is_as_expected(attempt, &local, Some(held))
        })
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

/// Whether a 304 is about the version that was asked about: its validators, as far as it has some,
/// are those of the request. A cache that mixes versions up sends others.
pub(in crate::transfer) fn is_about(asked: &Validators, headers: &Headers) -> bool {
    let sent = headers.validators();
    let weak = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let same_tag = match (&asked.etag, &sent.etag) {
        (Some(asked), Some(sent)) => weak(asked) == weak(sent),
        _ => true,
    };
    let same_date = match (&asked.last_modified, &sent.last_modified) {
        (Some(asked), Some(sent)) => asked == sent || http_date(asked) == http_date(sent),
        _ => true,
    };
    same_tag && same_date
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
