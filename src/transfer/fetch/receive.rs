//! Receiving a file: its body, the proof of its bytes, and the way to its final name.

use super::answer::Answer;
use super::content::check_content;
use super::files::Fetch;
use super::resume;
use super::segments::{self, File};
use crate::dest::state::{Answered, FileRecord, Note, Provenance};
use crate::dest::{Begun, PartNote, Proven, Small, Stat};
use crate::digest::Digests;
use crate::event::{Event, Outcome};
use crate::failure::{ErrorKind, Failure};
use crate::http::{BodyRules, Headers, Length, Receiver as _, http_date, is_html};
use crate::manifest::EDGE;
use crate::pin::Validators;
use crate::plan::{Action, Decision, Step};
use crate::stop::StopReason;
use crate::threads::lock;
use crate::transfer::ask::Response;
use crate::transfer::attempt::{Attempt, Ended, Refusal};
use crate::transfer::job::{Job, PROGRESS, Repeated};
use crate::transfer::publish::{Message, Parcel};
use crate::transfer::sink::{Sink, Whole};
use crate::transfer::slot::LaneId;

/// Smaller bodies are received without a look at the free space.
const LARGE: u64 = 1024 * 1024;

/// A body, and the bytes before it that are here already.
pub(super) struct Coming {
    /// The length of the whole file, if it is known.
    pub(super) total: Option<u64>,
    pub(super) begun: Option<Begun>,
}

impl Coming {
    pub(super) fn all(total: Option<u64>) -> Self {
        Self { total, begun: None }
    }
}

/// Two bodies whose ends nothing proved, and that differ.
pub(in crate::transfer) fn unproven(before: u64, now: u64) -> Failure {
    let message = format!(
        "the server does not say how long the file is, and two transfers brought different bytes ({before} and {now} of them): one was cut, or the file changes"
    );
    Failure::new(ErrorKind::Protocol, message)
        .with_hint("`expect: {unframed: true}` accepts what one transfer brings")
}

impl Fetch<'_> {
    /// Publishes a file that an earlier run received completely.
    pub(super) async fn publish_kept(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        lane: LaneId,
        begun: Begun,
        held: Option<&Answered>,
    ) -> Result<Ended, Refusal> {
        let Begun { staged, beginning, end } = begun;
        let failed = |failure| Refusal::lasting(lane, failure);
        let note = staged.note().cloned().unwrap_or_default();
        let nothing = Headers::default();
        let proof = attempt.want.proof(&nothing, None, true);
        let bytes = staged.length();
        let PartNote { validators, .. } = note;
        let modified = validators.last_modified.as_deref().and_then(http_date);
        let same = self.same_as_local(attempt, &staged.digests(), bytes, held).await;
        let verified = staged
            .verify(&proof.checksums(), modified)
            .map_err(|error| failed(proof.explain(error, bytes, is_html(&beginning))))?;
        let (entry, target) = (&attempt.entry, &attempt.job.target);
        check_content(entry, target, attempt.want, &nothing, &beginning, &end).map_err(failed)?;
        self.put_in_place(attempt, Proven::Staged(verified), validators, (held, same));
        Ok(Ended::Settled)
    }

    /// Receives a body, proves the file, and hands it to the publisher.
    pub(super) async fn receive_file<'r>(
        &self,
        attempt: &mut Attempt<'_, 'r, '_>,
        response: Response<'r>,
        coming: Coming,
        held: Option<&Answered>,
    ) -> Result<Ended, Refusal> {
        let Response { mut slot, headers, body, framed, .. } = response;
        let Coming { total, begun } = coming;
        let (run, entry, want, lane) = (attempt.run, attempt.entry, attempt.want, slot.lane);
        let origin = attempt.job.target.origin.to_string();
        let failed = |failure: Failure| Refusal::by_kind(lane, failure.at_origin(&origin));
        let index = attempt.job.entry;
        let here = begun.as_ref().map_or(0, |begun| begun.staged.length());
        if let Some(total) = total {
            run.ledger.tell(Event::Sized { entry: index, size: total, here });
            // A single file that does not fit says nothing about the others, so the run goes on.
            let is_pinned = match want.length() {
                Length::Exactly(length) | Length::Pinned(Some(length)) => length == total,
                _ => false,
            };
            let has_mirrors = !entry.source().mirrors.is_empty();
            self.check_space(total - here, has_mirrors && !is_pinned).map_err(failed)?;
        }
        let failed = |failure: Failure| {
            if failure.kind == ErrorKind::NoSpace {
                run.halted.request(StopReason::Halted);
            }
            failed(failure)
        };
        let (http, expect) = (attempt.settings(), &entry.source().expect);
        let rules = BodyRules {
            length: total,
            expect,
            known: want.length(),
            stall: http.stall_timeout,
            min_rate: http.min_rate,
        };
        let Some(connection) = slot.connection.take() else {
            return Err(failed(Failure::new(ErrorKind::Connect, "the connection was lost")));
        };
        let paces = run.paces(entry.source_index());
        let progress = |bytes| run.ledger.tell(Event::Received { entry: index, bytes });
        let (owner, from) = (self.files.state.owner(), (attempt.job.name, attempt.job.place));
        let staged = begun.as_ref().map(|begun| &begun.staged);
        let proof = want.proof(&headers, staged, expect.header_digests);
        let algorithms = proof.algorithms();
        let stage = Box::new(move || self.files.dest.stage(algorithms));
        let mut sink = match begun {
            Some(begun) => Sink::resume(begun, stage),
            None => {
                let note = || resume::note(owner, &entry, from, want, &headers, total);
                Sink::new(total, stage, Box::new(note))
            }
        };
        let segmented = total
            .filter(|total| {
                1 < http.segments
                    && !(attempt.job.whole || attempt.job.learned.plain)
                    && http.segment_min_size <= total - here
                    && segments::are_allowed(&headers, 0 < here)
            })
            .and_then(|total| Some((total, sink.note()?.clone())));
        let mut answer = Answer { slot, connection, body };
        let received = match &segmented {
            None => match answer.receive(&rules, &paces, &mut sink, progress).await {
                Ok(()) => Ok(answer.into_slot().await),
                Err(failure) => Err(failure),
            },
            Some((total, note)) => {
                let (total, rules, paces) = (*total, &rules, &paces[..]);
                let file = File { attempt, note, total, rules, paces };
                let received =
                    Box::pin(segments::receive_all(&file, answer, &mut sink, progress)).await;
                // After a wrong range response, fetch this file over one connection.
                attempt.job.whole |= received.refused;
                received.result
            }
        };
        let slot = match received {
            Ok(slot) => slot,
            Err(failure) => {
                self.keep(attempt.job, sink, &failure);
                return Err(failed(failure));
            }
        };
        let is_whole = framed
            || expect.unframed
            || want.length() != Length::Unknown
            || !proof.checksums().is_empty();
        let length = sink.received();
        run.dispatch.succeeded(lane, length - here);
        drop(slot);
        // Other workers send their requests first, so that the server is busy while this file is
        // put away.
        tokio::task::yield_now().await;
        let whole =
            sink.finish().map_err(|error| failed(Failure::disk("write the file", &error)))?;
        let validators = headers.validators();
        let modified = validators.last_modified.as_deref().and_then(http_date);
        let expected = proof.checksums();
        let explain = |error, bytes, html| failed(proof.explain(error, bytes, html));
        let check = |beginning: &[u8], end: &[u8]| {
            let target = &attempt.job.target;
            check_content(&entry, target, want, &headers, beginning, end).map_err(failed)
        };
        let (proven, same) = match whole {
            Whole::Small(bytes) => {
                let (length, edge) = (bytes.len(), bytes.len().min(EDGE));
                let html = is_html(&bytes[..edge]);
                let small = Small::prove(bytes, algorithms, &expected, modified)
                    .map_err(|error| explain(error, length as u64, html))?;
                check(&small.bytes()[..edge], &small.bytes()[length - edge..])?;
                let small = Proven::Small(small);
                let same = self.same_as_local(attempt, small.digests(), length as u64, held).await;
                (small, same)
            }
            Whole::Staged(begun) => {
                let Begun { staged, beginning, end } = *begun;
                let length = staged.length();
                let same = self.same_as_local(attempt, &staged.digests(), length, held).await;
                let verified = staged
                    .verify(&expected, modified)
                    .map_err(|error| explain(error, length, is_html(&beginning)))?;
                check(&beginning, &end)?;
                (Proven::Staged(verified), same)
            }
        };
        if !is_whole {
            match attempt.job.learned.repeated(proven.digests().sha256(), length) {
                Repeated::Same => {}
                Repeated::First => return Ok(Ended::Further),
                Repeated::Other(before) => return Err(failed(unproven(before, length))),
            }
        }
        if let Some(field) = proof.out_of_date(proven.digests()) {
            self.tell_out_of_date(attempt, field);
        }
        self.put_in_place(attempt, proven, validators, (held, same));
        Ok(Ended::Settled)
    }

    /// Warns once for each source that a header field contradicts a pin that the bytes meet.
    fn tell_out_of_date(&self, attempt: &Attempt<'_, '_, '_>, field: &str) {
        let entry = &attempt.entry;
        if lock(&self.doubted).insert(entry.source_index()) {
            let path = entry.path();
            let message = format!(
                "the `{field}` of the server is out of date for `{}` and perhaps for other files; the files match their pins",
                path.as_str()
            );
            attempt.run.ledger.tell(Event::Warning { message });
        }
    }

    /// Fails if a body cannot fit on the disk. If a mirror may state another length, one beyond the
    /// whole file system is no matter of the disk.
    fn check_space(&self, bytes: u64, is_doubtful: bool) -> Result<(), Failure> {
        if bytes < LARGE {
            return Ok(());
        }
        if let Some(whole) = self.files.dest.whole_space()
            && whole < bytes
            && is_doubtful
        {
            let message =
                format!("the server states {bytes} bytes, and the whole file system has {whole}");
            return Err(Failure::new(ErrorKind::TooLarge, message));
        }
        match self.files.dest.free_space() {
            Some(free) if free < bytes => {
                let message =
                    format!("{bytes} bytes are to come, and the disk has room for {free}");
                Err(Failure::new(ErrorKind::NoSpace, message))
            }
            _ => Ok(()),
        }
    }

    /// Keeps the received bytes for the next attempt, unless the failure makes them doubtful.
    fn keep(&self, job: &mut Job, sink: Sink<'_>, failure: &Failure) {
        if !resume::leaves_bytes(failure.kind) {
            return sink.discard();
        }
        let Some(begun) = sink.keep() else { return };
        if job.reached + PROGRESS <= begun.staged.length() {
            job.reached = begun.staged.length();
            job.tries = 0;
            job.progressed = true;
        }
        let kept = self.shelf.keep(begun);
        job.keep(kept);
    }

    /// The local file, if it has the bytes that were received. The caller holds no place, and has
    /// not verified the bytes yet: if the run is stopped meanwhile, they stay a part.
    async fn same_as_local(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        digests: &Digests,
        length: u64,
        held: Option<&Answered>,
    ) -> Option<Stat> {
        let path = attempt.entry.path();
        let local = self.local(&path).filter(|local| local.size == length)?;
        let may_be_same = match held {
            Some(held) => held.sha256 == digests.sha256(),
            // Nothing is recorded about a file that natsync did not write: it has to be read.
            None => matches!(
                self.files.plan.step(attempt.job.entry),
                Step::Do(Decision { action: Action::Revalidate, .. })
            ),
        };
        if !may_be_same {
            return None;
        }
        attempt.run.dispatch.wake();
        // The record must describe the file that is there now, not when the run began.
        let digest = self.read_local(attempt.run, &path, local).await.ok()?;
        (digest == digests.sha256()).then_some(local)
    }

    /// Hands a proven file to the publisher, or records the local one if it is the `same`.
    fn put_in_place(
        &self,
        attempt: &Attempt<'_, '_, '_>,
        proven: Proven,
        validators: Validators,
        (held, same): (Option<&Answered>, Option<Stat>),
    ) {
        let (job, entry, key) = (&*attempt.job, &attempt.entry, self.files.state.key());
        let path = entry.path();
        let replaces = match self.files.plan.step(job.entry) {
            Step::Do(decision) => decision.action != Action::Fetch,
            _ => true,
        };
        if let Some(stat) = same {
            // The server sent all bytes again, and they are those of the local file, which stays.
            let now = attempt.run.work.clock.timestamp();
            let is_own = held.is_some_and(|held| held.provenance.is_downloaded());
            let record = Box::new(FileRecord {
                url: entry.kept_at(0, 0, key),
                served: attempt.served(key),
                size: stat.size,
                stamp: stat.stamp(),
                racy: stat.is_racy(now),
                digests: proven.digests().clone(),
                provenance: if is_own { Provenance::Downloaded } else { Provenance::Confirmed },
                checked: Some(now),
                changed: None,
                validators,
            });
            let path = path.as_str().to_owned();
            return self.record(job, Note::File { path, record }, Outcome::Unchanged);
        }
        let parcel = Parcel {
            entry: job.entry,
            path,
            replaces,
            attempts: job.attempts(),
            url: entry.kept_at(0, 0, key),
            served: attempt.served(key),
            validators,
        };
        self.publisher.put(Message::Publish(Box::new(parcel), proven));
    }
}
