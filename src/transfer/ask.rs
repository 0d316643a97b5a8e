//! Requests: the hops from a URL to a response, each with a place at its own origin.

use std::time::Duration;

use super::attempt::{Attempt, Refusal};
use super::job::{Kind, OnTheWay};
use super::shared::Shared;
use super::slot::{LaneId, Slot};
use crate::failure::{ErrorKind, Failure};
use crate::http::{
    Asked, Body, Connection, Content, Exchange, Headers, Here, Hop, Length, Method, NoContent,
    Range, Request, Target, Version, Visit, Wanted, bounded, classify, drain, exchange,
    is_transient, may_be_label, next_hop,
};
use crate::manifest::{Expect, Http2, MissingWhen, Source};
use crate::pin::Validators;
use tokio::time::Instant;

/// A response that is no failure, with the place and the connection that brought it.
#[derive(Debug)]
pub(super) struct Response<'r> {
    pub(super) slot: Slot<'r>,
    pub(super) content: Content,
    /// Whether the message or its connection tells where the body ends.
    pub(super) framed: bool,
    pub(super) headers: Headers,
    pub(super) body: Body,
}

/// A request, and what is known of its response beforehand.
#[derive(Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) conditions: &'q Validators,
    /// The requested range, and the bytes that are here already.
    pub(super) rest: Option<(&'q Range, Here<'q>)>,
    pub(super) length: Length,
    pub(super) expect: &'q Expect,
    pub(super) missing: &'q MissingWhen,
}

impl<'q> Question<'q> {
    fn kind(&self) -> Kind {
        match self.method {
            Method::Head => Kind::Head,
            Method::Get if self.conditions.is_empty() && self.rest.is_none() => Kind::Plain,
            Method::Get => Kind::Special,
        }
    }

    /// A request for a whole file of a source.
    pub(super) fn about(
        source: &'q Source,
        method: Method,
        conditions: &'q Validators,
        length: Length,
    ) -> Self {
        let (expect, missing) = (&source.expect, &source.missing_when);
        Self { method, conditions, rest: None, length, expect, missing }
    }
}

impl<'r> Attempt<'_, 'r, '_> {
    /// Sends a request and follows redirects. A job that had to wait continues where it was.
    ///
    /// A failure may quote what a server sent, and a server may send back what it was sent: values
    /// that must not be printed are replaced in it.
    pub(super) async fn ask(
        &mut self,
        slot: Slot<'r>,
        question: &Question<'_>,
    ) -> Result<Response<'r>, Refusal> {
        let asked = self.ask_openly(slot, question).await;
        asked.map_err(|refusal| refusal.hiding(self.run.work.manifest))
    }

    async fn ask_openly(
        &mut self,
        slot: Slot<'r>,
        question: &Question<'_>,
    ) -> Result<Response<'r>, Refusal> {
        let &Question { method, conditions, rest, length, expect, missing } = question;
        self.job.open = Some(question.kind());
        let (mut target, mut way) = match self.job.on_the_way.take() {
            Some(waited) => (waited.target, waited.hops),
            None => (self.job.target.clone(), Hop::with(self.session())),
        };
        if way.count() == 0 {
            self.job.count_attempt();
        }
        let (run, source, http) = (self.run, self.entry.source(), self.settings());
        let (home, is_own) = self.home();
        let headers: &[_] = if is_own { &source.headers } else { &[] };
        let (home, past_caches) = (&home, self.job.anew);
        let user_agent = http.user_agent.as_deref();
        let range = rest.map(|(range, _)| range);
        let request = Request { method, conditions, range, headers, home, user_agent, past_caches };
        let mut asked = Asked {
            conditions,
            head_only: method == Method::Head,
            expect,
            missing,
            length,
            here: rest.map(|(_, here)| here),
            is_label: false,
            now: 0,
        };
        let mut slot = slot;
        loop {
            let lane = slot.lane;
            // Else a request, perhaps with credentials, would go to another server.
            debug_assert!(run.dispatch.is_of(lane, &target.origin), "a place at another origin");
            self.job.lane = Some(lane);
            self.job.is_probe |= slot.is_probe;
            let now = run.work.clock.timestamp().as_second();
            let login = self.login(&target, way.count());
            let visit = Visit { login, cookies: way.cookies(&target, now) };
            let (response, returned) =
                self.hop(slot, &request, &target, &visit, way.count()).await?;
            slot = returned;
            run.dispatch.reached(&mut slot);
            let crate::http::Response { head, body } = response;
            let is_redirected = 0 < way.count();
            let failed = |failure: Failure, again, after| {
                let failure = if is_redirected { via(failure, &target) } else { failure };
                let failure = failure.at_origin(&target.origin.to_string());
                Refusal::Failed { lane, failure, again, after }
            };
            let coding = head.headers.coding();
            asked.is_label = coding.is_some_and(|coding| self.may_be_label(&coding));
            asked.now = run.work.clock.timestamp().as_second();
            let location = match classify(&asked, &head) {
                Ok(content) => {
                    if content != Content::Unclear {
                        self.job.open = None;
                    }
                    // Over TLS, a body that is cut lacks the closing alert (RFC 9112, section 9.8).
                    let framed = head.framed || target.origin.secure;
                    let headers = head.headers;
                    return Ok(Response { slot, content, framed, headers, body });
                }
                Err(NoContent::Redirect { location }) => location,
                Err(NoContent::Retry { failure, after }) => {
                    if matches!(failure.status, Some(429 | 503)) {
                        // The origin may refuse all requests of this connection, and serve others.
                        slot.connection = None;
                    } else {
                        finish_body(&mut slot, body).await;
                    }
                    return Err(match bounded(failure, after, http.max_retry_after) {
                        Ok((failure, after)) => failed(failure, true, after),
                        Err(failure) => failed(failure, false, None),
                    });
                }
                Err(NoContent::Fail(failure)) => {
                    let failure = if is_redirected && failure.status == Some(401) {
                        self.not_logged_in(failure, &target, visit.login.is_some())
                    } else {
                        failure
                    };
                    if failure.kind == ErrorKind::Protocol {
                        // Message framing is no longer reliable; do not reuse this connection.
                        slot.connection = None;
                    } else {
                        finish_body(&mut slot, body).await;
                    }
                    return Err(failed(failure, false, None));
                }
            };
            finish_body(&mut slot, body).await;
            self.keep_session(&target, &head.headers, asked.now);
            let most = http.redirects;
            let next = next_hop(&mut way, &target, &head.headers, &location, most, asked.now)
                .and_then(|next| run.rewritten(next))
                .map_err(|failure| failed(failure, false, None))?;
            if next.origin != target.origin {
                run.dispatch.answered(lane);
            }
            target = next;
            let Some(place) = run.dispatch.go_on(slot, &target.origin, self.job) else {
                let since = run.work.clock.now();
                self.job.on_the_way = Some(Box::new(OnTheWay { target, hops: way, since }));
                return Err(Refusal::Waits);
            };
            slot = place;
        }
    }

    /// Whether a content coding may be a label that a name of the file explains.
    fn may_be_label(&self, coding: &str) -> bool {
        let (path, name) = (self.entry.path(), self.job.target.file_name());
        may_be_label(coding, &[path.file_name(), &name])
    }

    /// The first target with its credentials, and whether it belongs to the source's own origin.
    /// Header fields and credentials of the source are sent only there: no mirror, alternate or
    /// override at another origin gets them.
    fn home(&self) -> (Target, bool) {
        let mut home = self.job.target.clone();
        let source = self.entry.source();
        let is_own = self.job.place == 0
            && (!source.headers.is_empty() || source.netrc.is_some())
            && Target::parse(&self.run.work.rewrites.apply(&self.entry.home_url()))
                .is_ok_and(|own| own.origin == home.origin);
        if is_own && let Some(credentials) = &source.netrc {
            let found = || credentials.netrc.credentials(home.origin.bare_host());
            home.user = home.user.take().or_else(found);
        }
        (home, is_own)
    }

    /// One request at one origin, over an idle connection or a new one.
    async fn hop(
        &self,
        mut slot: Slot<'r>,
        request: &Request<'_>,
        target: &Target,
        visit: &Visit,
        hops: usize,
    ) -> Result<(crate::http::Response, Slot<'r>), Refusal> {
        let (run, lane) = (self.run, slot.lane);
        let origin = target.origin.to_string();
        let failed = |failure: Failure, again| {
            let failure = failure.at_origin(&origin);
            Refusal::Failed { lane, failure, again, after: None }
        };
        for lost in 0..MOST_LOST {
            let began = run.work.clock.now();
            let (mut connection, is_new) = self.connect(&mut slot, target, hops).await?;
            let message = request
                .message(target, visit, &connection)
                .map_err(|failure| failed(failure, false))?;
            match exchange(&mut connection, message, self.settings().stall_timeout).await {
                Exchange::Answered(response) => {
                    if !is_new {
                        run.dispatch.took(lane, run.work.clock.now() - began);
                    }
                    slot.connection = Some(connection);
                    return Ok((response, slot));
                }
                Exchange::Stale => run.dispatch.sharing(lane, |shared| shared.retire(&connection)),
                Exchange::Refused => tokio::time::sleep(BREATH * (1 << lost)).await,
                Exchange::OnlyHttp1 => {
                    run.dispatch.sharing(lane, |shared| shared.retire(&connection));
                    if self.settings().http2 == Http2::Always {
                        let message =
                            "the server requires HTTP/1.1, and `http2: always` excludes it";
                        let failure = Failure::new(ErrorKind::Protocol, message);
                        return Err(failed(failure.with_hint("leave `http2` at `auto`"), false));
                    }
                    let dialed = self.dial(target, hops, Version::OnlyHttp1).await;
                    let explained = |failure: Failure| {
                        let message = format!("{failure}; the server required HTTP/1.1");
                        failed(Failure { message, ..failure }, false)
                    };
                    slot.connection = Some(dialed.map_err(explained)?);
                }
                Exchange::Throttled(failure) => {
                    run.dispatch.sharing(lane, |shared| shared.retire(&connection));
                    run.dispatch.objected(lane);
                    return Err(failed(failure, true));
                }
                Exchange::Failed(failure)
                    if is_new
                        // Some servers never answer a HEAD, a condition or a range.
                        && self.job.open == Some(Kind::Plain)
                        && failure.kind == ErrorKind::Timeout
                        && !run.dispatch.answers(lane) =>
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
        let message = "the request was lost again and again before it was heard";
        Err(failed(Failure::new(ErrorKind::Connect, message), true))
    }

    async fn dial(
        &self,
        target: &Target,
        hops: usize,
        version: Version,
    ) -> Result<Connection, Failure> {
        let wanted = if hops == 0 { Wanted::Declared } else { Wanted::Redirected };
        let (dialer, within) = (self.run.dialer(self.job), self.settings().connect_timeout);
        dialer.dial(&target.origin, wanted, version, within).await
    }

    /// An idle connection, a shared one, or a new one. Reports also whether it is new.
    async fn connect(
        &self,
        slot: &mut Slot<'r>,
        target: &Target,
        hops: usize,
    ) -> Result<(Connection, bool), Refusal> {
        let (run, lane) = (self.run, slot.lane);
        if let Some(mut connection) = slot.connection.take()
            && connection.is_reusable().await
        {
            return Ok((connection, false));
        }
        let dialer = run.dialer(self.job);
        let may_share = dialer.may_share(&target.origin);
        let shared = || run.dispatch.sharing(lane, Shared::get);
        if may_share && let Some(shared) = shared() {
            return Ok((shared, false));
        }
        let turn = if may_share { run.dispatch.sharing(lane, Shared::turn) } else { None };
        let mut waited = match &turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        if waited.is_some() {
            // Meanwhile a concurrent transfer may have opened a shared connection, or found that
            // there will be none.
            if let Some(shared) = shared() {
                return Ok((shared, false));
            }
            waited = waited.filter(|_| run.dispatch.sharing(lane, Shared::turn).is_some());
        }
        let began = run.work.clock.now();
        let dialed = self.dial(target, hops, Version::Any).await;
        if may_share {
            run.dispatch.sharing(lane, |shared| match &dialed {
                Ok(connection) => shared.opened(connection),
                Err(_) => shared.not_opened(),
            });
        }
        drop(waited);
        let connection = dialed.map_err(|failure| not_reached(lane, began, failure))?;
        Ok((connection, true))
    }
}

/// How often a request may be lost before it was processed. HTTP/1.1 never comes near.
const MOST_LOST: u32 = 8;
/// The pause after a server refused a request, doubled each time.
const BREATH: Duration = Duration::from_millis(10);

/// No connection. That says something about the origin, unless a redirect led to a forbidden
/// address.
fn not_reached(lane: LaneId, began: Instant, failure: Failure) -> Refusal {
    if failure.kind == ErrorKind::Redirect {
        Refusal::lasting(lane, failure)
    } else {
        Refusal::Unreachable { lane, began, failure, asked: false }
    }
}

/// Reads and drops a body, so that the connection can be used again.
pub(super) async fn finish_body(slot: &mut Slot<'_>, body: Body) {
    let Some(mut connection) = slot.connection.take() else {
        return;
    };
    if drain(&mut connection, body).await {
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
    fn a_forbidden_address_says_nothing_about_an_origin() {
        let lane = LaneId { number: 0, generation: 0 };
        let refusal = |kind| not_reached(lane, Instant::now(), Failure::new(kind, "no"));
        assert!(matches!(
            refusal(ErrorKind::Redirect),
            Refusal::Failed { again: false, after: None, .. }
        ));
        assert!(matches!(refusal(ErrorKind::Connect), Refusal::Unreachable { asked: false, .. }));
    }
}
