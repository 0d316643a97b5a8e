//! One attempt at one entry: what is asked, and what the answer makes of it.

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;

use super::Run;
use super::ask::{Refusal, Response, Verdict, ask, finish_body, place_for_get};
use super::dispatch::Slot;
use super::job::Job;
use super::publish::{Message, Parcel};
use crate::dest::Stat;
use crate::digest::Digest;
use crate::entry::{Entry, Form};
use crate::error::{ErrorKind, Failure};
use crate::event::{Event, Outcome};
use crate::fetch::{
    BodyRules, Conditions, Method, Received, http_date, is_html, receive, upstream_validators,
};
use crate::manifest::Check;
use crate::plan::{Action, Decision, Step};
use crate::state::{FileRow, Note, Validators};

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The entry has its outcome, or is on its way to its place.
    Settled,
    /// Upstream has no such file.
    Missing { status: u16 },
    /// It failed.
    Refused(Refusal),
}

/// What the state knows of the file that is asked about.
struct Held {
    validators: Validators,
    digest: Digest,
}

/// Makes one attempt at an entry.
pub(super) async fn attempt<'r>(run: &'r Run<'_>, job: &mut Job, slot: Slot<'r>) -> Attempt {
    let entry = run.entry(job.entry);
    run.ledger.tell(Event::Started { entry: job.entry });
    let made = match run.work.plan.step(job.entry) {
        Step::Do(Decision { action: Action::Revalidate, .. }) => {
            let path = entry.path();
            match run.validators(&path) {
                Some((validators, digest)) => {
                    revalidate(run, job, &entry, slot, Held { validators, digest }).await
                }
                None => adopt(run, job, &entry, slot).await,
            }
        }
        _ => get(run, job, &entry, slot, &Conditions::default(), None).await,
    };
    made.unwrap_or_else(Attempt::Refused)
}

/// Asks whether a file that natsync wrote is still what upstream has.
async fn revalidate<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
    held: Held,
) -> Result<Attempt, Refusal> {
    let conditions = conditions(&held.validators, &served(job, entry));
    get(run, job, entry, slot, &conditions, Some(held)).await
}

/// Validators are worth something only where they came from.
pub(super) fn conditions(validators: &Validators, url: &str) -> Conditions {
    if validators.served == url {
        Conditions {
            etag: validators.etag.clone(),
            last_modified: validators.last_modified.clone(),
        }
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
    slot: Slot<'r>,
    conditions: &Conditions,
    held: Option<Held>,
) -> Result<Attempt, Refusal> {
    let mut response = ask(run, job, entry, slot, Method::Get, conditions, entry.size()).await?;
    match response.verdict {
        Verdict::NotModified => {
            finish_body(&mut response.slot, response.body).await;
            run.dispatch.succeeded(response.slot.lane, 0);
            unchanged(run, job, entry);
            Ok(Attempt::Settled)
        }
        Verdict::Missing { status } => {
            finish_body(&mut response.slot, response.body).await;
            run.dispatch.succeeded(response.slot.lane, 0);
            Ok(Attempt::Missing { status })
        }
        Verdict::Whole { length } => receive_file(run, job, entry, response, length, held).await,
    }
}

/// The file on disk is what upstream has. When that was confirmed matters only to `check` with an age.
fn unchanged(run: &Run<'_>, job: &Job, entry: &Entry<'_>) {
    let outcome = Outcome::Unchanged { bytes: 0 };
    if matches!(entry.source().check, Check::Age(_)) {
        let note =
            Note::Checked { path: entry.path().as_str().to_owned(), checked: Timestamp::now() };
        run.publish(Message::Note(note, Some((job.entry, outcome, job.attempts))));
    } else {
        run.ledger.finish(job.entry, outcome, job.attempts);
    }
}

/// Asks about a file that natsync did not write. Its length and age decide; a 304 would prove
/// nothing here, since nothing is known of what the file is a copy of.
async fn adopt<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
) -> Result<Attempt, Refusal> {
    let none = Conditions::default();
    let local = run.local(&entry.path());
    // A place that the job waited for may be at another origin than its own.
    let own = job.on_the_way.is_none().then_some(slot.lane);
    let slot = if job.goes_on_with(Method::Get) {
        Some(slot)
    } else {
        match ask(run, job, entry, slot, Method::Head, &none, None).await {
            Ok(mut response) => {
                finish_body(&mut response.slot, response.body).await;
                if let Verdict::Whole { length: Some(length) } = response.verdict
                    && let Some(local) = local
                    && could_be(&local, length, &response.headers)
                {
                    drop(response.slot);
                    adopted(run, job, entry, &local, &response.headers);
                    return Ok(Attempt::Settled);
                }
                if own == Some(response.slot.lane) { Some(response.slot) } else { None }
            }
            // Servers lie about HEAD, or refuse it: GET decides.
            Err(Refusal::Failed { .. }) => None,
            Err(refusal) => return Err(refusal),
        }
    };
    let slot = match slot {
        Some(slot) => slot,
        None => place_for_get(run, job)?,
    };
    let response = ask(run, job, entry, slot, Method::Get, &none, entry.size()).await?;
    match response.verdict {
        Verdict::Whole { length: Some(length) }
            if local.is_some_and(|local| could_be(&local, length, &response.headers)) =>
        {
            let Response { mut slot, headers, body, .. } = response;
            // The body is not read: its connection goes with it.
            slot.connection = None;
            drop((slot, body));
            if let Some(local) = local {
                adopted(run, job, entry, &local, &headers);
            }
            Ok(Attempt::Settled)
        }
        Verdict::Whole { length } => receive_file(run, job, entry, response, length, None).await,
        Verdict::Missing { status } => {
            let mut slot = response.slot;
            finish_body(&mut slot, response.body).await;
            Ok(Attempt::Missing { status })
        }
        Verdict::NotModified => Ok(Attempt::Missing { status: 304 }),
    }
}

/// Whether a local file could be what upstream has: as long, and not older than it.
pub(super) fn could_be(local: &Stat, length: u64, headers: &HeaderMap) -> bool {
    let (_, modified) = upstream_validators(headers);
    let not_older = modified
        .and_then(|date| http_date(&date))
        .is_some_and(|date| date <= local.modified.div_euclid(1_000_000_000));
    local.size == length && not_older
}

/// Takes a local file for what upstream has.
fn adopted(run: &Run<'_>, job: &Job, entry: &Entry<'_>, local: &Stat, headers: &HeaderMap) {
    let path = entry.path();
    let read = run
        .dest()
        .read(&path)
        .and_then(|file| Digest::of_reader(file, || !run.work.stop.is_requested()));
    match read {
        Ok((digest, length)) if length == local.size => {
            let row = FileRow {
                path: path.as_str().to_owned(),
                stat: *local,
                digest,
                url: entry.url(Form::Shown),
                checked: Timestamp::now(),
                validators: validators(job, entry, headers),
            };
            let outcome = Outcome::Unchanged { bytes: 0 };
            run.publish(Message::Note(
                Note::File(Box::new(row)),
                Some((job.entry, outcome, job.attempts)),
            ));
        }
        Ok(_) => {
            let failure = Failure::new(ErrorKind::Io, "the local file changed while it was read");
            run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts);
        }
        Err(error) => {
            let failure = Failure::disk("read the local file", &error);
            run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts);
        }
    }
}

fn validators(job: &Job, entry: &Entry<'_>, headers: &HeaderMap) -> Validators {
    let (etag, last_modified) = upstream_validators(headers);
    Validators { served: served(job, entry), etag, last_modified }
}

/// Receives the body and sends it on its way to its place.
async fn receive_file<'r>(
    run: &'r Run<'_>,
    job: &Job,
    entry: &Entry<'_>,
    response: Response<'r>,
    length: Option<u64>,
    held: Option<Held>,
) -> Result<Attempt, Refusal> {
    let Response { mut slot, headers, body, .. } = response;
    let lane = slot.lane;
    let source = entry.source();
    let http = run.settings(job);
    let failed = |failure: Failure| {
        let again = crate::fetch::is_transient(failure.kind);
        Refusal::Failed {
            lane,
            failure: failure.at_origin(&job.target.origin.to_string()),
            again,
            after: None,
        }
    };
    if let Some(size) = length {
        run.ledger.tell(Event::Sized { entry: job.entry, size });
    }
    let rules = BodyRules {
        length,
        expect: &source.expect,
        size: entry.size(),
        stall: http.stall_timeout,
        min_rate: http.min_rate,
    };
    let Some(mut connection) = slot.connection.take() else {
        return Err(failed(Failure::new(ErrorKind::Connect, "the connection was lost")));
    };
    let paces = run.paces(entry.source_index());
    let progress = |bytes| run.ledger.tell(Event::Received { entry: job.entry, bytes });
    let received = receive(&mut connection, body, &rules, &paces, || run.dest().stage(), progress)
        .await
        .map_err(failed)?;
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    let bytes = received.staged.length();
    run.dispatch.succeeded(lane, bytes);
    drop(slot);
    check_content(entry, &headers, &received).map_err(failed)?;
    let validators = validators(job, entry, &headers);
    let modified = validators.last_modified.as_deref().and_then(http_date);
    let verified = received
        .staged
        .verify(bytes, modified)
        .map_err(|error| failed(Failure::disk("write the file", &error)))?;
    let path = entry.path();
    let replaces =
        !matches!(run.work.plan.step(job.entry), Step::Do(Decision { action: Action::Fetch, .. }));
    let same = held.is_some_and(|held| held.digest == verified.digest());
    // What is recorded must be what is there now, not what was there when the run began.
    let still = |_: &Stat| {
        let read = run.dest().read(&path).and_then(|file| Digest::of_reader(file, || true));
        read.is_ok_and(|(digest, _)| digest == verified.digest())
    };
    if same && let Some(stat) = run.local(&path).filter(still) {
        // The server could not tell, but the bytes do: the file stays as it is.
        let row = FileRow {
            path: path.as_str().to_owned(),
            stat,
            digest: verified.digest(),
            url: entry.url(Form::Shown),
            checked: Timestamp::now(),
            validators,
        };
        let outcome = Outcome::Unchanged { bytes };
        run.publish(Message::Note(
            Note::File(Box::new(row)),
            Some((job.entry, outcome, job.attempts)),
        ));
        return Ok(Attempt::Settled);
    }
    run.publish(Message::Publish(Box::new(Parcel {
        entry: job.entry,
        path,
        verified,
        replaces,
        attempts: job.attempts,
        url: entry.url(Form::Shown),
        validators,
    })));
    Ok(Attempt::Settled)
}

/// Holds the bytes themselves against what the manifest expects.
fn check_content(
    entry: &Entry<'_>,
    headers: &HeaderMap,
    received: &Received,
) -> Result<(), Failure> {
    let expect = &entry.source().expect;
    let looks_like = if is_html(&received.beginning) { "; it looks like a web page" } else { "" };
    if let Some(kind) = &expect.kind
        && !kind.matches(&received.beginning, &received.end)
    {
        let message = format!("the file is no `{kind}`{looks_like}");
        return Err(Failure::new(ErrorKind::UnexpectedContent, message));
    }
    // An error page with the status of success: only where both the server and the bytes say so, and
    // the name does not.
    let declared =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let says_html = declared.trim_start().to_ascii_lowercase().starts_with("text/html");
    if expect.content_type.is_none()
        && says_html
        && is_html(&received.beginning)
        && is_no_page(entry.path().file_name())
    {
        let failure = Failure::new(ErrorKind::UnexpectedContent, "the server sent a web page instead of the file")
            .with_hint("if that is what it should be, say so: `expect: {content_type: text/html}`; if it means that there is no file, `missing_when: {content_type: text/html}`");
        return Err(failure);
    }
    Ok(())
}

/// Whether a name has an ending, and one that no page has.
fn is_no_page(name: &str) -> bool {
    const PAGES: [&str; 10] =
        ["html", "htm", "xhtml", "shtml", "php", "asp", "aspx", "jsp", "cgi", "mhtml"];
    match name.rsplit_once('.') {
        Some((stem, ending)) => {
            !stem.is_empty() && !PAGES.iter().any(|page| ending.eq_ignore_ascii_case(page))
        }
        None => false,
    }
}
