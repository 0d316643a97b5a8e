//! Getting checksum lists, which are kept in the state.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::{Question, Response, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::fetch::{is_about, must_be_compared};
use super::job::Job;
use super::publish::{Message, Publisher};
use super::run::{Run, Work};
use super::slot::Slot;
use super::supply::{Jobs, Supply};
use super::targets::list_target;
use super::want::Want;
use crate::dest::Dest;
use crate::dest::state::{Note, State};
use crate::digest::Digest;
use crate::digest::checksums::{LARGEST, List};
use crate::event::Event;
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    BodyRules, Content, Headers, Length, Method, check_digests, check_label, receive,
};
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::manifest::template::UrlParts;
use crate::manifest::{Expect, ListPlace, MissingWhen};
use crate::pin::Validators;
use crate::pin::checksum_lists::{Lost, unreadable};
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
            let mut rest = (from..).zip(lists.of.iter().skip(usize::try_from(from).ok()?));
            rest.find_map(|(position, &index)| {
                let target = list_target(&entries.get(index)?, rewrites)?;
                let job = target.map(|target| Job { anew: lists.anew, ..Job::new(index, target) });
                Some((position, job.map_err(|failure| (index, failure))))
            })
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

    /// Without this list, its entries are not listed.
    fn missing(&self, run: &Run<'_>, job: Job, status: u16) -> Fate {
        let entry = run.entry(job.entry);
        if may_be_missing(entry) {
            self.note(run, &entry, Validators::default(), None);
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
        if let Some(list) = entry.list_identity() {
            lock(&self.lost).insert((entry.source_index(), list), failure);
        }
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
        let url = entry.list_identity();
        let published = entry.source().published.as_ref();
        let plain = attempt.job.anew || attempt.job.without.conditions;
        let known = url.as_ref().filter(|_| !plain);
        let known = known.and_then(|url| self.lists.state.list_validators(url));
        let conditions = known.unwrap_or_default();
        // What the manifest expects of files does not hold for lists.
        let expect = Expect { min_size: 0, max_size: Some(LARGEST), ..Expect::default() };
        let usual = MissingWhen::default();
        let question = Question {
            method: Method::Get,
            conditions: &conditions,
            rest: None,
            length: Length::Unknown,
            expect: &expect,
            missing: if may_be_missing(entry) { &entry.source().missing_when } else { &usual },
        };
        let mut response = attempt.ask(slot, &question).await?;
        match response.content {
            Content::NotModified if is_about(&conditions, &response.headers) => {
                finish_body(&mut response.slot, response.body).await;
                self.settled(run);
                Ok(Ended::Settled)
            }
            Content::Missing { status } => {
                finish_body(&mut response.slot, response.body).await;
                Ok(Ended::Missing { status })
            }
            Content::NotModified | Content::Rest { .. } | Content::Unclear => {
                finish_body(&mut response.slot, response.body).await;
                attempt.job.without.conditions = true;
                Ok(Ended::Unclear)
            }
            Content::Whole { .. } | Content::Unframed => {
                // Over TLS, a body that is cut lacks the closing alert (RFC 9112, section 9.8).
                let (is_sure, length) = match response.content {
                    Content::Whole { length } => (true, length),
                    _ => (response.is_secure, None),
                };
                let (headers, content) = receive_list(attempt, response, length, &expect).await?;
                if !is_sure && must_be_compared(attempt.job, Digest::of(&content), lane)? {
                    return Ok(Ended::Twice);
                }
                // An unreadable list must not replace the kept one.
                if let Some((published, url)) = published.zip(url)
                    && let name = UrlParts::new(url.expose()).filename()
                    && let Err(problem) = List::parse(&content, &name, &published.rules)
                {
                    return Err(Refusal::lasting(lane, unreadable(&problem)));
                }
                self.note(run, &entry, headers.validators(), Some(content));
                Ok(Ended::Settled)
            }
        }
    }

    /// Records the list of an entry, or (without content) that there is none.
    fn note(
        &self,
        run: &Run<'_>,
        entry: &Entry<'_>,
        validators: Validators,
        content: Option<Vec<u8>>,
    ) {
        if let Some((url, identity)) = entry.list_url(Form::Shown).zip(entry.list_identity()) {
            let identity = self.lists.state.key().digest(identity.expose());
            let note = Note::List { url, identity, validators, content };
            self.publisher.put(Message::Note(Box::new(note), None));
        }
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
    let Response { mut slot, headers, mut body, .. } = response;
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
    receive(&mut connection, &mut body, &rules, &paces, &mut content, |_| {})
        .await
        .map_err(failed)?;
    if connection.is_reusable().await {
        slot.connection = Some(connection);
    }
    run.dispatch.succeeded(lane, content.len() as u64);
    check_digests(&headers, &content).map_err(failed)?;
    check_label(&headers, &[&attempt.job.target.file_name()], &content).map_err(failed)?;
    Ok((headers, content))
}

/// Whether a source goes on without its list if the server does not have it.
fn may_be_missing(entry: Entry<'_>) -> bool {
    entry.source().published.as_ref().is_some_and(|published| {
        published.optional || matches!(published.place, ListPlace::Sidecar(_))
    })
}
