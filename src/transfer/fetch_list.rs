//! Fetching checksum lists: asked for like files, and kept in the state instead of in a place of their
//! own.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use hyper::HeaderMap;

use super::Run;
use super::ask::{Question, Refusal, Response, Verdict, ask, finish_body};
use super::dispatch::Slot;
use super::job::Job;
use super::publish::Message;
use super::transfer::Attempt;
use crate::dest::state::Note;
use crate::digest::checksums::{LARGEST, List};
use crate::event::Event;
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    BodyRules, Conditions, Length, Method, check_digests, is_transient, receive,
    upstream_validators,
};
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::manifest::{Expect, ListPlace, MissingWhen};
use crate::pin::Validators;

/// Asks for the list that names the job's entry.
pub(super) async fn fetch<'r>(run: &'r Run<'_>, job: &mut Job, slot: Slot<'r>) -> Attempt {
    let entry = run.entry(job.entry);
    match get(run, job, &entry, slot).await {
        Ok(attempt) => attempt,
        Err(refusal) => Attempt::Refused(refusal),
    }
}

async fn get<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
) -> Result<Attempt, Refusal> {
    let lane = slot.lane;
    let url = entry.list_url(Form::Shown).unwrap_or_default();
    let known = run.work.state.filter(|_| !job.anew).and_then(|state| state.list_validators(&url));
    let conditions = known.map_or_else(Conditions::default, |known| Conditions {
        etag: known.etag,
        last_modified: known.last_modified,
    });
    // What the manifest expects of files says nothing of lists.
    let expect = Expect { min_size: 0, max_size: Some(LARGEST), ..Expect::default() };
    let question = Question {
        method: Method::Get,
        conditions: &conditions,
        rest: None,
        length: Length::Unknown,
        expect: &expect,
        missing: &MissingWhen::default(),
    };
    let mut response = ask(run, job, entry, slot, &question).await?;
    match response.verdict {
        Verdict::NotModified => {
            finish_body(&mut response.slot, response.body).await;
            run.list_settled();
            Ok(Attempt::Settled)
        }
        Verdict::Missing { status } => {
            finish_body(&mut response.slot, response.body).await;
            Ok(Attempt::Missing { status })
        }
        // Nothing of it was asked for in part.
        Verdict::Rest { .. } | Verdict::Restart => Ok(Attempt::Again),
        Verdict::Whole { length } => {
            let (headers, content) = receive_list(run, job, response, length, &expect).await?;
            // What is no list must not take the place of the one that is kept.
            let rules = entry.source().published.as_ref().map(|published| &published.rules);
            if let Some(Err(problem)) = rules.map(|rules| List::parse(&content, rules)) {
                let failure = Failure::new(ErrorKind::UnexpectedContent, problem.to_string());
                return Err(Refusal::Failed { lane, failure, again: false, after: None });
            }
            let validators = upstream_validators(&headers);
            run.note_list(Note::List { url, validators, content: Some(content) });
            Ok(Attempt::Settled)
        }
    }
}

async fn receive_list(
    run: &Run<'_>,
    job: &Job,
    response: Response<'_>,
    length: Option<u64>,
    expect: &Expect,
) -> Result<(HeaderMap, Vec<u8>), Refusal> {
    let Response { mut slot, headers, body, .. } = response;
    let lane = slot.lane;
    let failed = |failure: Failure| {
        let again = is_transient(failure.kind);
        let failure = failure.at_origin(&job.target.origin.to_string());
        Refusal::Failed { lane, failure, again, after: None }
    };
    let Some(mut connection) = slot.connection.take() else {
        let lost = Failure::new(ErrorKind::Connect, "the connection was lost");
        return Err(failed(lost));
    };
    let http = run.settings(job);
    let rules = BodyRules {
        length,
        expect,
        known: Length::Unknown,
        stall: http.stall_timeout,
        min_rate: http.min_rate,
    };
    let paces = run.paces(run.entries.source_of(job.entry));
    let mut content = Vec::new();
    receive(&mut connection, body, &rules, &paces, &mut content, |_| {}).await.map_err(failed)?;
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    run.dispatch.succeeded(lane, content.len() as u64);
    check_digests(&headers, &content).map_err(failed)?;
    Ok((headers, content))
}

impl Run<'_> {
    /// A list that is not there: of a single file that means that nothing is listed.
    pub(super) fn list_missing(&self, job: &Job, status: u16) {
        let entry = self.entry(job.entry);
        let is_sidecar = entry
            .source()
            .published
            .as_ref()
            .is_some_and(|published| matches!(published.place, ListPlace::Sidecar(_)));
        if is_sidecar {
            let url = entry.list_url(Form::Shown).unwrap_or_default();
            self.note_list(Note::List { url, validators: Validators::default(), content: None });
        } else {
            let message = format!("the server has no such file ({status})");
            let failure = Failure::new(ErrorKind::HttpStatus, message);
            self.list_failed(job, failure.with_status(status));
        }
        self.dispatch.finish();
    }

    /// A list that cannot be had where it was asked for.
    pub(super) fn list_failed(&self, job: &Job, failure: Failure) {
        self.list_lost(job.entry, failure.at_origin(&job.target.origin.to_string()));
    }

    /// A list that cannot be had.
    pub(super) fn list_lost(&self, entry: EntryIndex, failure: Failure) {
        let entry = self.entry(entry);
        let list = (entry.source_index(), entry.list_url(Form::Shown).unwrap_or_default());
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).insert(list, failure);
        self.list_settled();
    }

    fn note_list(&self, note: Note) {
        self.publish(Message::Note(Box::new(note), None));
        self.list_settled();
    }

    fn list_settled(&self) {
        let done = 1 + self.settled.fetch_add(1, Ordering::Relaxed);
        self.ledger.tell(Event::Advanced { done });
    }
}
