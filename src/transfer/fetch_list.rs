//! Getting checksum lists, which are kept in the state.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::{Question, Response, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::job::Job;
use super::publish::{Message, Publisher};
use super::run::{Run, Work};
use super::slot::Slot;
use super::supply::{Jobs, Supply};
use super::targets::list_target;
use super::want::Want;
use crate::dest::Dest;
use crate::dest::state::{Note, State};
use crate::digest::checksums::{LARGEST, List};
use crate::event::Event;
use crate::failure::{ErrorKind, Failure};
use crate::http::{BodyRules, Content, Headers, Length, Method, check_digests, receive};
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::{Expect, ListPlace, MissingWhen};
use crate::pin::Validators;
use crate::pin::checksum_lists::Lost;
use crate::threads::{into_inner, lock};

/// The checksum lists to get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lists<'a> {
    pub(crate) dest: &'a Dest,
    pub(crate) state: &'a State,
    /// One entry for each list.
    pub(crate) of: &'a [EntryIndex],
    /// Past all caches, unconditionally.
    pub(crate) anew: bool,
}

/// Gets checksum lists.
pub(super) struct ListFetch<'w> {
    lists: Lists<'w>,
    publisher: Publisher<'w>,
    lost: Mutex<Lost>,
    /// Lists that came, are missing, or failed.
    settled: AtomicU64,
}

impl<'w> ListFetch<'w> {
    pub(super) fn new(work: &Work<'w>, lists: Lists<'w>) -> Self {
        let publisher = Publisher::new(lists.dest, lists.state, work.clock);
        Self { lists, publisher, lost: Mutex::default(), settled: AtomicU64::new(0) }
    }

    /// A job for each list.
    pub(super) fn supply(work: &Work<'w>, lists: Lists<'w>) -> Supply<'w> {
        let (entries, rewrites) = (work.manifest.entries(), work.rewrites);
        let find = move |from: u64| {
            let rest = (from..).zip(lists.of.iter().skip(usize::try_from(from).ok()?));
            rest.filter_map(|(position, &index)| {
                let target = list_target(&entries.get(index)?, rewrites)?;
                let job = target.map(|target| Job { anew: lists.anew, ..Job::new(index, target) });
                Some((position, job.map_err(|failure| (index, failure))))
            })
            .next()
        };
        Supply::new([Jobs::new(0..lists.of.len() as u64, Box::new(find))])
    }

    /// The lists that cannot be had, and why.
    pub(super) fn into_lost(self) -> Lost {
        into_inner(self.lost)
    }
}

impl Errand for ListFetch<'_> {
    async fn attempt<'r>(
        &self,
        run: &'r Run<'_>,
        job: &mut Job,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        // The pin of the entry is not one of its list.
        let want = Want::default();
        let entry = run.entry(job.entry);
        let mut attempt = Attempt { run, entry, want: &want, job };
        self.get(&mut attempt, slot).await
    }

    /// A missing sidecar means that its file is not listed.
    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate {
        let entry = run.entry(job.entry);
        let published = entry.source().published.as_ref();
        if published.is_some_and(|published| matches!(published.place, ListPlace::Sidecar(_))) {
            let url = entry.list_url(Form::Shown).unwrap_or_default();
            let validators = Validators::default();
            self.note(run, Note::List { url, validators, content: None });
            return Fate::Done;
        }
        let message = format!("the server has no such file ({status})");
        let failure = Failure::new(ErrorKind::HttpStatus, message);
        self.failed(run, job, failure.with_status(status))
    }

    fn failed(&self, run: &Run<'_>, job: Job, failure: Failure) -> Fate {
        let failure = failure.at_origin(&job.target.origin.to_string());
        self.give_up(run, job.entry, failure, job.attempts);
        Fate::Done
    }

    fn give_up(&self, run: &Run<'_>, entry: EntryIndex, failure: Failure, _: u32) {
        let entry = run.entry(entry);
        let list = (entry.source_index(), entry.list_url(Form::Shown).unwrap_or_default());
        lock(&self.lost).insert(list, failure);
        self.settled(run);
    }

    fn publisher(&self) -> Option<&Publisher<'_>> {
        Some(&self.publisher)
    }
}

impl ListFetch<'_> {
    async fn get<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        slot: Slot<'r>,
    ) -> Result<Ended, Refusal> {
        let (run, entry, lane) = (attempt.run, attempt.entry, slot.lane);
        let url = entry.list_url(Form::Shown).unwrap_or_default();
        let known = if attempt.job.anew { None } else { self.lists.state.list_validators(&url) };
        let conditions = known.unwrap_or_default();
        // What the manifest expects of files does not hold for lists.
        let expect = Expect { min_size: 0, max_size: Some(LARGEST), ..Expect::default() };
        let question = Question {
            method: Method::Get,
            conditions: &conditions,
            rest: None,
            length: Length::Unknown,
            expect: &expect,
            missing: &MissingWhen::default(),
        };
        let mut response = attempt.ask(slot, &question).await?;
        match response.content {
            Content::NotModified => {
                finish_body(&mut response.slot, response.body).await;
                self.settled(run);
                Ok(Ended::Settled)
            }
            Content::Missing { status } => {
                finish_body(&mut response.slot, response.body).await;
                Ok(Ended::Missing { status })
            }
            // The request had no range.
            Content::Rest { .. } | Content::Restart => Ok(Ended::Again),
            Content::Whole { length } => {
                let (headers, content) = receive_list(attempt, response, length, &expect).await?;
                // An unreadable list must not replace the kept one.
                let rules = entry.source().published.as_ref().map(|published| &published.rules);
                if let Some(Err(problem)) = rules.map(|rules| List::parse(&content, rules)) {
                    let failure = Failure::new(ErrorKind::UnexpectedContent, problem.to_string());
                    return Err(Refusal::lasting(lane, failure));
                }
                let validators = headers.validators();
                self.note(run, Note::List { url, validators, content: Some(content) });
                Ok(Ended::Settled)
            }
        }
    }

    fn note(&self, run: &Run<'_>, note: Note) {
        self.publisher.put(Message::Note(Box::new(note), None));
        self.settled(run);
    }

    fn settled(&self, run: &Run<'_>) {
        let done = 1 + self.settled.fetch_add(1, Ordering::Relaxed);
        run.ledger.tell(Event::Advanced { done });
    }
}

async fn receive_list(
    attempt: &Attempt<'_, '_, '_>,
    response: Response<'_>,
    length: Option<u64>,
    expect: &Expect,
) -> Result<(Headers, Vec<u8>), Refusal> {
    let Response { mut slot, headers, body, .. } = response;
    let lane = slot.lane;
    let failed = |failure: Failure| {
        let origin = attempt.job.target.origin.to_string();
        Refusal::by_kind(lane, failure.at_origin(&origin))
    };
    let Some(mut connection) = slot.connection.take() else {
        let lost = Failure::new(ErrorKind::Connect, "the connection was lost");
        return Err(failed(lost));
    };
    let (run, http) = (attempt.run, attempt.settings());
    let rules = BodyRules {
        length,
        expect,
        known: Length::Unknown,
        stall: http.stall_timeout,
        min_rate: http.min_rate,
    };
    let paces = run.paces(attempt.entry.source_index());
    let mut content = Vec::new();
    receive(&mut connection, body, &rules, &paces, &mut content, |_| {}).await.map_err(failed)?;
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    run.dispatch.succeeded(lane, content.len() as u64);
    check_digests(&headers, &content).map_err(failed)?;
    Ok((headers, content))
}
