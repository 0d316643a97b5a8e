//! One attempt at one entry: what is asked, and what the answer makes of it.

use hyper::HeaderMap;
use jiff::Timestamp;

use super::Run;
use super::adopt::adopt;
use super::ask::{Question, Refusal, Verdict, ask, finish_body};
use super::dispatch::Slot;
use super::job::Job;
use super::publish::Message;
use super::receive::{Coming, publish_kept, receive_file};
use super::resume::{self, Rest};
use super::want::Want;
use crate::dest::state::{FileRecord, Note};
use crate::event::{Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Conditions, Length, Method, upstream_validators};
use crate::manifest::Check;
use crate::manifest::entry::{Entry, Form};
use crate::pin::Validators;
use crate::plan::{Action, Decision, Step};

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The entry has its outcome, or is on its way to its place.
    Settled,
    /// Upstream has no such file.
    Missing { status: u16 },
    /// What was asked about changed on disk meanwhile: it is got without a question.
    Outdated,
    /// What arrived of it before is of no use: it is got from the start.
    Again,
    /// It failed.
    Refused(Refusal),
}

/// Makes one attempt at an entry.
pub(super) async fn attempt<'r>(run: &'r Run<'_>, job: &mut Job, slot: Slot<'r>) -> Attempt {
    let entry = run.entry(job.entry);
    run.ledger.tell(Event::Started { entry: job.entry });
    let lane = slot.lane;
    let want = match Want::of(run, &entry) {
        Ok(want) => want,
        Err(failure) => {
            return Attempt::Refused(Refusal::Failed { lane, failure, again: false, after: None });
        }
    };
    let made = match run.work.plan.step(job.entry) {
        _ if want.is_unvouched() => refuse(run, job, &entry, slot).await,
        Step::Do(Decision { action: Action::Revalidate, .. }) if !job.outdated => {
            let held = run.held(&entry.path());
            match held.filter(|held| want.believes(held)) {
                Some(held) => revalidate(run, job, &entry, &want, slot, held).await,
                None if want.adopts() => adopt(run, job, &entry, &want, slot).await,
                None => get(run, job, &entry, &want, slot, &Conditions::default(), None).await,
            }
        }
        _ => get(run, job, &entry, &want, slot, &Conditions::default(), None).await,
    };
    match made {
        Ok(attempt) => attempt,
        Err(Refusal::Failed { lane, failure, again, after })
            if failure.kind == ErrorKind::ChecksumMismatch =>
        {
            let failure = want.advise(failure, &entry.path(), run.work.manifest.file());
            Attempt::Refused(Refusal::Failed { lane, failure, again, after })
        }
        Err(refusal) => Attempt::Refused(refusal),
    }
}

/// Asks whether there is a file that nobody vouches for: missing it may be, but not had.
async fn refuse<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
) -> Result<Attempt, Refusal> {
    let none = Conditions::default();
    let question = Question::about(entry.source(), Method::Head, &none, Length::Unknown);
    let mut response = ask(run, job, entry, slot, &question).await?;
    finish_body(&mut response.slot, response.body).await;
    let lane = response.slot.lane;
    run.dispatch.succeeded(lane, 0);
    if let Verdict::Missing { status } = response.verdict {
        return Ok(Attempt::Missing { status });
    }
    let failure = Failure::new(ErrorKind::Unlisted, "its sidecar does not exist")
        .with_hint("`checksums: {optional: true}` allows files without a digest");
    Err(Refusal::Failed { lane, failure, again: false, after: None })
}

/// Asks whether a file that natsync wrote is still what upstream has.
async fn revalidate<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    slot: Slot<'r>,
    held: FileRecord,
) -> Result<Attempt, Refusal> {
    let conditions = conditions(&held, &served(job, entry));
    get(run, job, entry, want, slot, &conditions, Some(held)).await
}

/// Validators are worth something only where they came from.
pub(super) fn conditions(held: &FileRecord, url: &str) -> Conditions {
    if held.served == url {
        let Validators { etag, last_modified } = held.validators.clone();
        Conditions { etag, last_modified }
    } else {
        Conditions::default()
    }
}

/// The URL that is asked at, in its shown form.
pub(super) fn served(job: &Job, entry: &Entry<'_>) -> String {
    entry.candidate(job.name, job.place, Form::Shown)
}

/// Gets a file, on condition that it is another one than the held one.
async fn get<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    slot: Slot<'r>,
    conditions: &Conditions,
    held: Option<FileRecord>,
) -> Result<Attempt, Refusal> {
    resume::take_up(run, job, entry, want).await;
    if let Some(kept) = job.kept.take_if(|kept| want.is_met_by(&kept.begun.staged.digests())) {
        // All of it came before: only its name is missing.
        return publish_kept(run, job, entry, want, slot.lane, kept.begun, held.as_ref());
    }
    let rest = Rest::of(job, want);
    let question = Question {
        rest: rest.as_ref().map(|rest| (&rest.range, rest.here())),
        ..Question::about(entry.source(), Method::Get, conditions, want.length())
    };
    let mut response = ask(run, job, entry, slot, &question).await?;
    match response.verdict {
        Verdict::NotModified => {
            finish_body(&mut response.slot, response.body).await;
            run.dispatch.succeeded(response.slot.lane, 0);
            let local = run.local(&entry.path());
            if let Some((held, local)) = held.zip(local)
                && held.stamp == local.stamp()
            {
                unchanged(run, job, entry, &held, &response.headers);
                return Ok(Attempt::Settled);
            }
            // The answer was about a file that is not there any more: edited or deleted meanwhile.
            drop(response.slot);
            Ok(Attempt::Outdated)
        }
        Verdict::Missing { status } => {
            finish_body(&mut response.slot, response.body).await;
            run.dispatch.succeeded(response.slot.lane, 0);
            Ok(Attempt::Missing { status })
        }
        Verdict::Restart => {
            finish_body(&mut response.slot, response.body).await;
            Ok(Attempt::Again)
        }
        Verdict::Rest { length } => {
            let Some(kept) = job.kept.take() else { return Ok(Attempt::Again) };
            let total = kept.begun.staged.length() + length;
            let coming = Coming { total: Some(total), begun: Some(kept.begun) };
            receive_file(run, job, entry, want, response, coming, held.as_ref()).await
        }
        Verdict::Whole { length } => {
            job.forget();
            receive_file(run, job, entry, want, response, Coming::all(length), held.as_ref()).await
        }
    }
}

/// The file on disk is what upstream has. When that was confirmed matters only to `check` with an age.
fn unchanged(run: &Run<'_>, job: &Job, entry: &Entry<'_>, held: &FileRecord, headers: &HeaderMap) {
    let outcome = Outcome::Unchanged { bytes: 0 };
    let validators = renewed(&held.validators, headers);
    if validators.is_some() || matches!(entry.source().check, Check::Age(_)) {
        let path = entry.path().as_str().to_owned();
        let note = Note::Checked { path, at: Timestamp::now(), validators };
        run.publish(Message::Note(Box::new(note), Some((job.entry, outcome, job.attempts))));
    } else {
        run.ledger.finish(job.entry, outcome, job.attempts);
    }
}

/// What upstream calls a file from now on, where a 304 says so (RFC 9111, section 4.3.4): another
/// entity tag than the one that was asked with would be about another file.
fn renewed(held: &Validators, headers: &HeaderMap) -> Option<Validators> {
    let Validators { etag, last_modified } = upstream_validators(headers);
    if etag.is_some() && held.etag.is_some() && etag != held.etag {
        return None;
    }
    let renewed = Validators {
        etag: etag.or_else(|| held.etag.clone()),
        last_modified: last_modified.or_else(|| held.last_modified.clone()),
    };
    (renewed != *held).then_some(renewed)
}
