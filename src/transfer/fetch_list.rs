//! Getting checksum lists, which are kept in the state.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ask::{Question, Response, finish_body};
use super::attempt::{Attempt, Ended, Refusal};
use super::errand::{Errand, Fate};
use super::fetch::unproven;
use super::job::{Job, Repeated};
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
        let find = move |mut among: Range<u64>| {
            among.find_map(|position| {
                let index = *lists.of.get(usize::try_from(position).ok()?)?;
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

    fn failed(&self, run: &Run<'_>, mut job: Job, failure: Failure) -> Fate {
        // Bytes are damaged on the way now and then, and caches hold old copies.
        if failure.kind == ErrorKind::ChecksumMismatch && !std::mem::replace(&mut job.anew, true) {
            return Fate::at_once(job);
        }
        let failure = failure.at_origin(&job.target.origin.to_string());
        self.give_up(run, job.entry, failure, job.attempts());
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
        let is_plain = attempt.job.anew || attempt.job.learned.plain;
        let known = url.as_ref().filter(|_| !is_plain);
        let known = known.and_then(|url| self.lists.state.list_validators(url));
        let conditions = known.unwrap_or_default();
        // The sizes, types and kinds that the manifest expects of files do not hold for lists.
        let Expect { unframed, header_digests, .. } = entry.source().expect;
        let (min_size, max_size) = (0, Some(LARGEST));
        let expect = Expect { min_size, max_size, unframed, header_digests, ..Expect::default() };
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
            Content::Rest { .. } | Content::Unclear => {
                finish_body(&mut response.slot, response.body).await;
                Ok(Ended::Further)
            }
            Content::Whole { length } => {
                let received = receive_list(attempt, response, length, &expect).await?;
                let Some((headers, content)) = received else { return Ok(Ended::Further) };
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

/// Receives a list. None if it has to come twice, since nothing proves that it is whole.
async fn receive_list(
    attempt: &mut Attempt<'_, '_, '_>,
    response: Response<'_>,
    length: Option<u64>,
    expect: &Expect,
) -> Result<Option<(Headers, Vec<u8>)>, Refusal> {
    let Response { mut slot, headers, mut body, framed, .. } = response;
    let (lane, origin) = (slot.lane, attempt.job.target.origin.to_string());
    let failed = |failure: Failure| Refusal::by_kind(lane, failure.at_origin(&origin));
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
    let length = content.len() as u64;
    run.dispatch.succeeded(lane, length);
    check_label(&headers, &[&attempt.job.target.file_name()], &content).map_err(failed)?;
    let is_stated = expect.header_digests && check_digests(&headers, &content).map_err(failed)?;
    if !framed && !expect.unframed && !is_stated {
        match attempt.job.learned.repeated(Digest::of(&content), length) {
            Repeated::Same => {}
            Repeated::First => return Ok(None),
            Repeated::Other(before) => return Err(failed(unproven(before, length))),
        }
    }
    Ok(Some((headers, content)))
}

/// Whether a source goes on without its list if the server does not have it.
fn may_be_missing(entry: Entry<'_>) -> bool {
    entry.source().published.as_ref().is_some_and(|published| {
        published.optional || matches!(published.place, ListPlace::Sidecar(_))
    })
}
