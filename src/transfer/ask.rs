//! Asking for one entry: the hops from its URL to an answer, each at its own origin's place.

use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::body::Incoming;

use super::Run;
use super::dispatch::Slot;
use super::job::{Job, OnTheWay};
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    Answer, Asked, Conditions, Connection, Exchange, Head, Here, Hop, Length, Method, Range,
    RequestPlan, RetryAfter, Target, Wanted, classify, exchange, is_transient, next_hop,
};
use crate::manifest::entry::Entry;
use crate::manifest::{Expect, MissingWhen, Source};

/// What came back, with the place and the connection that it came over.
#[derive(Debug)]
pub(super) struct Response<'r> {
    pub(super) slot: Slot<'r>,
    pub(super) verdict: Verdict,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
}

/// An answer that is no failure.
#[derive(Debug)]
pub(super) enum Verdict {
    /// The body is the file.
    Whole { length: Option<u64> },
    /// The body is the rest of the file.
    Rest { length: u64 },
    /// What is here is of no use.
    Restart,
    /// What is on disk is what upstream has.
    NotModified,
    /// Upstream has no such file.
    Missing { status: u16 },
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No connection could be made in an attempt that began then; or one could, a request was sent,
    /// and an origin that never answered anybody said nothing.
    Unreachable { lane: usize, began: Instant, failure: Failure, asked: bool },
    /// It failed. `again` says whether that may pass.
    Failed { lane: usize, failure: Failure, again: bool, after: Option<RetryAfter> },
    /// There is no place yet where the attempt goes on: the job knows where that is.
    Waits,
}

/// What is asked, and what is known of the answer beforehand.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) conditions: &'q Conditions,
    /// What is here already, and how only the rest is asked for.
    pub(super) rest: Option<(&'q Range, Here<'q>)>,
    pub(super) length: Length,
    pub(super) expect: &'q Expect,
    pub(super) missing: &'q MissingWhen,
}

impl<'q> Question<'q> {
    /// About a file of a source.
    pub(super) fn about(
        source: &'q Source,
        method: Method,
        conditions: &'q Conditions,
        length: Length,
    ) -> Self {
        let (expect, missing) = (&source.expect, &source.missing_when);
        Self { method, conditions, rest: None, length, expect, missing }
    }
}

/// Asks, and follows redirects. A job that had to wait goes on where it was.
pub(super) async fn ask<'r>(
    run: &'r Run<'_>,
    job: &mut Job,
    entry: &Entry<'_>,
    slot: Slot<'r>,
    question: &Question<'_>,
) -> Result<Response<'r>, Refusal> {
    let &Question { method, conditions, rest, length, expect, missing } = question;
    let (mut target, mut way) = match job.on_the_way.take() {
        Some(waited) => (waited.target, waited.hops),
        None => (job.target.clone(), Hop::default()),
    };
    if way.count() == 0 {
        job.attempts += 1;
    }
    let source = entry.source();
    let http = run.settings(job);
    let mut asked_first = job.target.clone();
    // What a source is known by is for its own origin: no mirror, alternate or override elsewhere
    // gets it.
    let own = job.place == 0
        && (!source.headers.is_empty() || source.netrc.is_some())
        && Target::parse(&run.work.rewrites.apply(&entry.home_url()))
            .is_ok_and(|home| home.origin == asked_first.origin);
    let headers: &[_] = if own { &source.headers } else { &[] };
    if own && let Some(credentials) = &source.netrc {
        let found = || credentials.netrc.credentials(asked_first.origin.bare_host());
        asked_first.user = asked_first.user.take().or_else(found);
    }
    let user_agent = http.user_agent.as_deref().unwrap_or(crate::USER_AGENT);
    let past_caches = job.anew;
    let range = rest.map(|(range, _)| range);
    let home = &asked_first;
    let plan = RequestPlan { method, conditions, range, headers, home, user_agent, past_caches };
    let mut asked = Asked {
        conditional: !conditions.is_empty(),
        head_only: method == Method::Head,
        expect,
        missing,
        length,
        here: rest.map(|(_, here)| here),
        now: 0,
    };
    let mut slot = slot;
    loop {
        let lane = slot.lane;
        let (response, returned) = hop(run, job, slot, &plan, &target, way.count()).await?;
        slot = returned;
        run.dispatch.reached(&mut slot);
        let (parts, body) = response.into_parts();
        // HTTP/2 marks the end of a body itself.
        let framed = parts.version == hyper::Version::HTTP_2
            || hyper::body::Body::size_hint(&body).exact().is_some()
            || parts.headers.get(hyper::header::TRANSFER_ENCODING).is_some_and(|coding| {
                coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
            });
        let head = Head { status: parts.status, headers: &parts.headers, framed };
        let redirected = 0 < way.count();
        let failed = |failure: Failure, again, after| {
            let failure = if redirected { via(failure, &target) } else { failure };
            Refusal::Failed {
                lane,
                failure: failure.at_origin(&target.origin.to_string()),
                again,
                after,
            }
        };
        asked.now = jiff::Timestamp::now().as_second();
        let verdict = match classify(&asked, &head) {
            Answer::Whole { length } => Verdict::Whole { length },
            Answer::Rest { length } => Verdict::Rest { length },
            Answer::Restart => Verdict::Restart,
            Answer::NotModified => Verdict::NotModified,
            Answer::Missing { status } => Verdict::Missing { status },
            Answer::Retry { failure, after } => {
                finish_body(&mut slot, body).await;
                return Err(failed(failure, true, after));
            }
            Answer::Fail(failure) if failure.kind == ErrorKind::Protocol => {
                // Where one answer ends and the next begins is not certain any more.
                slot.connection = None;
                return Err(failed(failure, false, None));
            }
            Answer::Fail(failure) => {
                finish_body(&mut slot, body).await;
                return Err(failed(failure, false, None));
            }
            Answer::Redirect { location } => {
                finish_body(&mut slot, body).await;
                let next = next_hop(&mut way, &target, &location, http.redirects)
                    .map_err(|failure| failed(failure, false, None))?;
                // A company's proxy of an upstream is asked also where the upstream itself leads.
                let next = run.rewritten(next).map_err(|failure| failed(failure, false, None))?;
                target = next;
                let Some(place) = run.dispatch.go_on(slot, &target.origin, job) else {
                    job.on_the_way = Some(Box::new(OnTheWay { target, hops: way, method }));
                    return Err(Refusal::Waits);
                };
                slot = place;
                continue;
            }
        };
        return Ok(Response { slot, verdict, headers: parts.headers, body });
    }
}

/// A place to ask the job's own origin once more, with GET. The caller holds no other.
pub(super) fn place_for_get<'r>(run: &'r Run<'_>, job: &mut Job) -> Result<Slot<'r>, Refusal> {
    run.dispatch.place(&job.target.origin, job).ok_or_else(|| {
        let (target, hops) = (job.target.clone(), Hop::default());
        job.on_the_way = Some(Box::new(OnTheWay { target, hops, method: Method::Get }));
        Refusal::Waits
    })
}

/// One request at one origin, over an idle connection or a new one.
async fn hop<'r>(
    run: &'r Run<'_>,
    job: &Job,
    mut slot: Slot<'r>,
    plan: &RequestPlan<'_>,
    target: &Target,
    hops: usize,
) -> Result<(hyper::Response<Incoming>, Slot<'r>), Refusal> {
    let lane = slot.lane;
    let origin = target.origin.to_string();
    let failed = |failure: Failure, again| Refusal::Failed {
        lane,
        failure: failure.at_origin(&origin),
        again,
        after: None,
    };
    for lost in 0..MOST_LOST {
        let began = Instant::now();
        let (mut connection, fresh) = connect(run, job, &mut slot, target, hops).await?;
        let request = plan.build(target, &connection).map_err(|failure| failed(failure, false))?;
        match exchange(&mut connection, request, run.settings(job).stall_timeout).await {
            Exchange::Answered(response) => {
                if !fresh {
                    run.dispatch.took(lane, began.elapsed());
                }
                slot.connection = Some(connection);
                return Ok((response, slot));
            }
            Exchange::Stale => run.dispatch.retire(lane, &connection),
            Exchange::Refused => tokio::time::sleep(BREATH * (1 << lost)).await,
            Exchange::Throttled(failure) => {
                run.dispatch.retire(lane, &connection);
                run.dispatch.objected(lane);
                return Err(failed(failure, true));
            }
            Exchange::Failed(failure)
                if fresh && failure.kind == ErrorKind::Timeout && !run.dispatch.answers(lane) =>
            {
                let failure = failure.at_origin(&origin);
                return Err(Refusal::Unreachable { lane, began, failure, asked: true });
            }
            Exchange::Failed(failure) => {
                let again = is_transient(failure.kind);
                return Err(failed(failure, again));
            }
        }
    }
    let failure = Failure::new(
        ErrorKind::Connect,
        "the request was lost again and again before it was heard",
    );
    Err(failed(failure, true))
}

/// So often a request may be lost before it is heard. HTTP/1.1 never comes near.
const MOST_LOST: u32 = 8;
/// What a server that refuses a request gets before the next, doubled each time.
const BREATH: Duration = Duration::from_millis(10);

/// An idle connection, a place in a shared one, or a new one. Answers also whether it is new.
async fn connect<'r>(
    run: &'r Run<'_>,
    job: &Job,
    slot: &mut Slot<'r>,
    target: &Target,
    hops: usize,
) -> Result<(Connection, bool), Refusal> {
    let lane = slot.lane;
    if let Some(mut connection) = slot.connection.take()
        && connection.is_reusable().await
    {
        return Ok((connection, false));
    }
    let dialer = run.dialer(job);
    let may_share = dialer.may_share(&target.origin);
    if may_share && let Some(shared) = run.dispatch.shared(lane) {
        return Ok((shared, false));
    }
    let turn = may_share.then(|| run.dispatch.turn(lane)).flatten();
    let mut waited = match &turn {
        Some(turn) => Some(turn.lock().await),
        None => None,
    };
    if waited.is_some() {
        // Who was before us may have opened one, or found out that there is nothing to wait for.
        if let Some(shared) = run.dispatch.shared(lane) {
            return Ok((shared, false));
        }
        waited = waited.filter(|_| run.dispatch.turn(lane).is_some());
    }
    let began = Instant::now();
    let wanted = if hops == 0 { Wanted::Declared } else { Wanted::Redirected };
    let within = run.settings(job).connect_timeout;
    // Large, and seldom needed: not within the future of each transfer.
    let dialed = Box::pin(dialer.dial(&target.origin, wanted, within)).await;
    if may_share {
        match &dialed {
            Ok(connection) => run.dispatch.opened(lane, connection),
            Err(_) => run.dispatch.not_opened(lane),
        }
    }
    drop(waited);
    let connection = dialed.map_err(|failure| not_reached(lane, began, failure))?;
    Ok((connection, true))
}

/// No connection: which says something of the origin, but not where a redirect led to what may not
/// be asked.
fn not_reached(lane: usize, began: Instant, failure: Failure) -> Refusal {
    if failure.kind == ErrorKind::Redirect {
        Refusal::Failed { lane, failure, again: false, after: None }
    } else {
        Refusal::Unreachable { lane, began, failure, asked: false }
    }
}

/// Reads what little follows a head that is no file, so that the connection serves again; a longer
/// body is not worth that.
pub(super) async fn finish_body(slot: &mut Slot<'_>, mut body: Incoming) {
    const SMALL: u64 = 64 * 1024;
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(1);
    let Some(mut connection) = slot.connection.take() else {
        return;
    };
    let drained = tokio::time::timeout(PATIENCE, async {
        let mut read = 0;
        while let Some(frame) = connection.frame(&mut body).await {
            let Ok(frame) = frame else { return false };
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if SMALL < read {
                return false;
            }
        }
        true
    })
    .await;
    drop(body);
    if drained == Ok(true) && connection.is_reusable().await {
        slot.connection = Some(connection);
    }
}

fn via(failure: Failure, target: &Target) -> Failure {
    let message = format!("{failure} (redirected to {})", target.origin);
    Failure { message, ..failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forbidden_address_says_nothing_of_an_origin() {
        let refusal = |kind| not_reached(0, Instant::now(), Failure::new(kind, "no"));
        assert!(matches!(
            refusal(ErrorKind::Redirect),
            Refusal::Failed { again: false, after: None, .. }
        ));
        assert!(matches!(refusal(ErrorKind::Connect), Refusal::Unreachable { asked: false, .. }));
    }
}
