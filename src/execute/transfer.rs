//! One attempt at one entry: what is asked, and what the answer makes of it.

use std::sync::atomic::Ordering;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use jiff::Timestamp;

use super::Run;
use super::ask::{Question, Refusal, Response, Verdict, ask, finish_body, place_for_get};
use super::dispatch::Slot;
use super::job::Job;
use super::publish::{Message, Parcel};
use super::resume::{self, Rest};
use super::segments::{self, File};
use super::want::Want;
use crate::dest::{Begun, PartNote, Stat, Verified};
use crate::digest::{Digest, Digests};
use crate::entry::{Entry, Form};
use crate::error::{ErrorKind, Failure};
use crate::event::{Event, Outcome};
use crate::fetch::{
    BodyRules, Conditions, Length, Method, Sink, http_date, is_html, is_transient, receive,
    upstream_validators,
};
use crate::manifest::Check;
use crate::plan::{Action, Decision, Step};
use crate::rel_path::RelPath;
use crate::state::{FileRow, Held, Note, Validators};

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
    held: Held,
) -> Result<Attempt, Refusal> {
    let conditions = conditions(&held.validators, &served(job, entry));
    get(run, job, entry, want, slot, &conditions, Some(held)).await
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
    want: &Want,
    slot: Slot<'r>,
    conditions: &Conditions,
    held: Option<Held>,
) -> Result<Attempt, Refusal> {
    resume::take_up(run, job, entry, want).await;
    if let Some(kept) = job.kept.take_if(|kept| want.is_met_by(&kept.begun.staged.digests())) {
        // All of it came before: only its name is missing.
        return publish_kept(run, job, entry, want, slot.lane, kept.begun, held);
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
            receive_file(run, job, entry, want, response, coming, held).await
        }
        Verdict::Whole { length } => {
            job.forget();
            receive_file(run, job, entry, want, response, Coming::all(length), held).await
        }
    }
}

/// Puts in place what an earlier run received whole and came no further with.
fn publish_kept(
    run: &Run<'_>,
    job: &Job,
    entry: &Entry<'_>,
    want: &Want,
    lane: usize,
    begun: Begun,
    held: Option<Held>,
) -> Result<Attempt, Refusal> {
    let Begun { staged, beginning, end } = begun;
    let failed = |failure| Refusal::Failed { lane, failure, again: false, after: None };
    let note = staged.note().cloned().unwrap_or_default();
    let nothing = HeaderMap::new();
    let proof = want.proof(&nothing, None);
    let bytes = staged.length();
    let modified = note.last_modified.as_deref().and_then(http_date);
    let verified = staged
        .verify(&proof.checksums(), modified)
        .map_err(|error| failed(proof.explain(error, bytes, is_html(&beginning))))?;
    check_content(entry, want, &nothing, &beginning, &end).map_err(failed)?;
    let PartNote { url: served, etag, last_modified, .. } = note;
    settle_file(run, job, entry, verified, Validators { served, etag, last_modified }, held);
    Ok(Attempt::Settled)
}

/// The file on disk is what upstream has. When that was confirmed matters only to `check` with an age.
fn unchanged(run: &Run<'_>, job: &Job, entry: &Entry<'_>, held: &Held, headers: &HeaderMap) {
    let outcome = Outcome::Unchanged { bytes: 0 };
    let validators = renewed(&held.validators, headers);
    if validators.is_some() || matches!(entry.source().check, Check::Age(_)) {
        let path = entry.path().as_str().to_owned();
        let note = Note::Checked { path, checked: Timestamp::now(), validators };
        run.publish(Message::Note(Box::new(note), Some((job.entry, outcome, job.attempts))));
    } else {
        run.ledger.finish(job.entry, outcome, job.attempts);
    }
}

/// What upstream calls a file from now on, where a 304 says so (RFC 9111, section 4.3.4): another
/// entity tag than the one that was asked with would be about another file.
fn renewed(held: &Validators, headers: &HeaderMap) -> Option<Validators> {
    let (etag, last_modified) = upstream_validators(headers);
    if etag.is_some() && held.etag.is_some() && etag != held.etag {
        return None;
    }
    let renewed = Validators {
        served: held.served.clone(),
        etag: etag.or_else(|| held.etag.clone()),
        last_modified: last_modified.or_else(|| held.last_modified.clone()),
    };
    (renewed != *held).then_some(renewed)
}

/// Asks about a file that natsync did not write. Its length and age decide; a 304 would prove
/// nothing here, since nothing is known of what the file is a copy of.
async fn adopt<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    slot: Slot<'r>,
) -> Result<Attempt, Refusal> {
    let none = Conditions::default();
    let local = run.local(&entry.path());
    // A place that the job waited for may be at another origin than its own.
    let own = job.on_the_way.is_none().then_some(slot.lane);
    let slot = if job.goes_on_with(Method::Get) {
        Some(slot)
    } else {
        match ask(
            run,
            job,
            entry,
            slot,
            &Question::about(entry.source(), Method::Head, &none, Length::Unknown),
        )
        .await
        {
            Ok(mut response) => {
                finish_body(&mut response.slot, response.body).await;
                if let Verdict::Whole { length: Some(length) } = response.verdict
                    && let Some(local) = local
                    && could_be(&local, length, &response.headers)
                {
                    drop(response.slot);
                    adopted(run, job, entry, local, &response.headers).await;
                    return Ok(Attempt::Settled);
                }
                let own = own == Some(response.slot.lane);
                Some(response.slot).filter(|_| own).and_then(|slot| run.dispatch.once_more(slot))
            }
            // Who has enough of us is not asked once more at once.
            Err(Refusal::Failed { lane, failure, again, after })
                if matches!(failure.status, Some(429 | 503)) =>
            {
                return Err(Refusal::Failed { lane, failure, again, after });
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
    let response = ask(
        run,
        job,
        entry,
        slot,
        &Question::about(entry.source(), Method::Get, &none, want.length()),
    )
    .await?;
    match response.verdict {
        Verdict::Whole { length: Some(length) }
            if local.is_some_and(|local| could_be(&local, length, &response.headers)) =>
        {
            let Response { mut slot, headers, body, .. } = response;
            // The body is not read: its connection goes with it.
            slot.connection = None;
            drop((slot, body));
            if let Some(local) = local {
                adopted(run, job, entry, local, &headers).await;
            }
            Ok(Attempt::Settled)
        }
        Verdict::Whole { length } => {
            receive_file(run, job, entry, want, response, Coming::all(length), None).await
        }
        Verdict::Missing { status } => {
            let mut slot = response.slot;
            finish_body(&mut slot, response.body).await;
            Ok(Attempt::Missing { status })
        }
        // Neither was asked for.
        Verdict::NotModified | Verdict::Rest { .. } | Verdict::Restart => Ok(Attempt::Again),
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
async fn adopted(run: &Run<'_>, job: &Job, entry: &Entry<'_>, local: Stat, headers: &HeaderMap) {
    let path = entry.path();
    match read_local(run, &path, local).await {
        Ok(digest) => {
            let row = FileRow {
                path: path.as_str().to_owned(),
                stat: local,
                digests: Digests::new(digest, Vec::new()),
                witnessed: false,
                url: entry.url(Form::Shown),
                checked: Timestamp::now(),
                validators: validators(job, entry, headers),
            };
            let outcome = Outcome::Unchanged { bytes: 0 };
            run.publish(Message::Note(
                Box::new(Note::File(Box::new(row))),
                Some((job.entry, outcome, job.attempts)),
            ));
        }
        Err(failure) => run.ledger.finish(job.entry, Outcome::Failed(failure), job.attempts),
    }
}

/// Reads a local file that looked like this, away from the event loop: it may be long.
async fn read_local(run: &Run<'_>, path: &RelPath, local: Stat) -> Result<Digest, Failure> {
    let stop = run.work.stop.clone();
    let read = match run.dest().read(path) {
        Ok(file) => {
            tokio::task::spawn_blocking(move || Digest::of_reader(file, || !stop.is_requested()))
                .await
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
        }
        Err(error) => Err(error),
    };
    match read {
        Ok((digest, _)) if run.local(path) == Some(local) => Ok(digest),
        Ok(_) => Err(Failure::new(ErrorKind::Io, "the local file changed while it was read")),
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
            Err(Failure::new(ErrorKind::Interrupted, "interrupted"))
        }
        Err(error) => Err(Failure::disk("read the local file", &error)),
    }
}

fn validators(job: &Job, entry: &Entry<'_>, headers: &HeaderMap) -> Validators {
    let (etag, last_modified) = upstream_validators(headers);
    Validators { served: served(job, entry), etag, last_modified }
}

/// What is coming, and what is here of it.
struct Coming {
    /// The length of the whole, where it is known.
    total: Option<u64>,
    begun: Option<Begun>,
}

impl Coming {
    fn all(total: Option<u64>) -> Self {
        Self { total, begun: None }
    }
}

/// Receives the body and sends it on its way to its place.
async fn receive_file<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    want: &Want,
    response: Response<'r>,
    coming: Coming,
    held: Option<Held>,
) -> Result<Attempt, Refusal> {
    let Response { mut slot, headers, body, .. } = response;
    let Coming { total, begun } = coming;
    let lane = slot.lane;
    let origin = job.target.origin.to_string();
    let failed = |failure: Failure| {
        let again = is_transient(failure.kind);
        Refusal::Failed { lane, failure: failure.at_origin(&origin), again, after: None }
    };
    let here = begun.as_ref().map_or(0, |begun| begun.staged.length());
    if let Some(total) = total {
        run.ledger.tell(Event::Sized { entry: job.entry, size: total - here });
        // Who announces more than there is room for says nothing of other files.
        check_space(run, total - here).map_err(failed)?;
    }
    let failed = |failure: Failure| {
        if failure.kind == ErrorKind::NoSpace {
            run.full.store(true, Ordering::Release);
        }
        failed(failure)
    };
    let http = run.settings(job);
    let rules = BodyRules {
        length: total,
        expect: &entry.source().expect,
        known: want.length(),
        stall: http.stall_timeout,
        min_rate: http.min_rate,
    };
    let Some(mut connection) = slot.connection.take() else {
        return Err(failed(Failure::new(ErrorKind::Connect, "the connection was lost")));
    };
    let paces = run.paces(entry.source_index());
    let progress = |bytes| run.ledger.tell(Event::Received { entry: job.entry, bytes });
    let proof = want.proof(&headers, begun.as_ref().map(|begun| &begun.staged));
    let algorithms = proof.algorithms();
    let stage = Box::new(move || run.dest().stage(algorithms));
    let mut sink = match begun {
        Some(begun) => Sink::resume(begun, stage),
        None => Sink::new(total, stage, resume::note(job, entry, want, &headers, total)),
    };
    let segmented = total.zip(sink.note().cloned()).filter(|&(total, _)| {
        1 < http.segments
            && !job.whole
            && http.segment_min_size <= total - here
            && segments::are_allowed(&headers, 0 < here)
    });
    let received = match &segmented {
        None => receive(&mut connection, body, &rules, &paces, &mut sink, progress).await,
        Some((total, note)) => {
            let (job, rules, paces) = (&*job, &rules, &paces[..]);
            let file = File { run, job, entry, want, note, total: *total, rules, paces };
            Box::pin(segments::receive_all(&file, &mut connection, body, &mut sink, progress)).await
        }
    };
    if let Err(failure) = received {
        // Who does not send ranges as they were asked for is not asked for them again.
        job.whole |= segmented.is_some() && failure.kind == ErrorKind::Protocol;
        keep(run, job, sink, here, &failure);
        return Err(failed(failure));
    }
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    let staged = sink.finish().map_err(|error| failed(Failure::disk("write the file", &error)))?;
    let Begun { staged, beginning, end } = staged;
    let bytes = staged.length();
    run.dispatch.succeeded(lane, bytes - here);
    drop(slot);
    let validators = validators(job, entry, &headers);
    let modified = validators.last_modified.as_deref().and_then(http_date);
    let verified = staged
        .verify(&proof.checksums(), modified)
        .map_err(|error| failed(proof.explain(error, bytes, is_html(&beginning))))?;
    check_content(entry, want, &headers, &beginning, &end).map_err(failed)?;
    settle_file(run, job, entry, verified, validators, held);
    Ok(Attempt::Settled)
}

/// Less than this is written without a look at the room that is left.
const LARGE: u64 = 1024 * 1024;

/// What cannot fit is not begun.
fn check_space(run: &Run<'_>, bytes: u64) -> Result<(), Failure> {
    if bytes < LARGE {
        return Ok(());
    }
    match run.dest().free_space() {
        Some(free) if free < bytes => {
            let message = format!("{bytes} bytes are to come, and the disk has room for {free}");
            Err(Failure::new(ErrorKind::NoSpace, message))
        }
        _ => Ok(()),
    }
}

/// From so many new bytes on an attempt that failed was worth it, and is not counted.
const PROGRESS: u64 = 1024 * 1024;

/// Keeps what arrived for the next attempt, where what came so far can be believed.
fn keep(run: &Run<'_>, job: &mut Job, sink: Sink<'_>, here: u64, failure: &Failure) {
    use ErrorKind::{Connect, Stalled, Timeout, Truncated};
    if !matches!(failure.kind, Connect | Stalled | Timeout | Truncated) {
        return sink.discard();
    }
    let Some(begun) = sink.keep() else { return };
    if here + PROGRESS <= begun.staged.length() {
        job.tries = 0;
    }
    job.kept = run.places.keep(begun);
}

/// Sends a proven file on its way to its place, or leaves the one that is there, if it is the same.
fn settle_file(
    run: &Run<'_>,
    job: &Job,
    entry: &Entry<'_>,
    verified: Verified,
    validators: Validators,
    held: Option<Held>,
) {
    let path = entry.path();
    let bytes = verified.length();
    let (replaces, asks) = match run.work.plan.step(job.entry) {
        Step::Do(decision) => {
            (decision.action != Action::Fetch, decision.action == Action::Revalidate)
        }
        _ => (true, false),
    };
    let same = match held {
        Some(held) => held.digest == verified.digests().sha256(),
        // Of a file that natsync did not write, only reading it tells.
        None => asks && run.local(&path).is_some_and(|local| local.size == bytes),
    };
    // What is recorded must be what is there now, not what was there when the run began.
    let still = |_: &Stat| {
        let read = run.dest().read(&path).and_then(|file| Digest::of_reader(file, || true));
        read.is_ok_and(|(digest, _)| digest == verified.digests().sha256())
    };
    if same && let Some(stat) = run.local(&path).filter(still) {
        // The server could not tell, but the bytes do: the file stays as it is.
        let row = FileRow {
            path: path.as_str().to_owned(),
            stat,
            digests: verified.digests().clone(),
            witnessed: true,
            url: entry.url(Form::Shown),
            checked: Timestamp::now(),
            validators,
        };
        let outcome = Outcome::Unchanged { bytes };
        return run.publish(Message::Note(
            Box::new(Note::File(Box::new(row))),
            Some((job.entry, outcome, job.attempts)),
        ));
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
}

/// Holds the bytes themselves against what the manifest expects.
fn check_content(
    entry: &Entry<'_>,
    want: &Want,
    headers: &HeaderMap,
    beginning: &[u8],
    end: &[u8],
) -> Result<(), Failure> {
    let expect = &entry.source().expect;
    let looks_like = if is_html(beginning) { "; it looks like HTML" } else { "" };
    if let Some(kind) = &expect.kind
        && !kind.matches(beginning, end)
    {
        let message = format!("the file is no `{kind}`{looks_like}");
        return Err(Failure::new(ErrorKind::UnexpectedContent, message));
    }
    // An error page with the status of success: only where both the server and the bytes say so, and
    // the name does not.
    let declared =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let says_html = declared.trim_start().to_ascii_lowercase().starts_with("text/html");
    let is_proven = matches!(want.length(), Length::Pinned(_));
    if expect.content_type.is_none()
        && !is_proven
        && says_html
        && is_html(beginning)
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
