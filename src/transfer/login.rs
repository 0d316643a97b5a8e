//! Logins by redirect: which host gets a user and a password, and the cookies of a source.

use std::sync::Mutex;

use super::attempt::Attempt;
use crate::failure::Failure;
use crate::http::{Headers, Jar, Target};
use crate::manifest::Secret;
use crate::threads::lock;

impl Attempt<'_, '_, '_> {
    /// The cookies that earlier logins of the source set in this run.
    pub(super) fn session(&self) -> Jar {
        self.jar().map(|jar| lock(jar).clone()).unwrap_or_default()
    }

    pub(super) fn keep_session(&self, from: &Target, headers: &Headers, now: i64) {
        if let Some(jar) = self.jar() {
            lock(jar).take(from, headers, now);
        }
    }

    fn jar(&self) -> Option<&Mutex<Jar>> {
        let source = self.entry.source();
        let logs_in = source.netrc.as_ref().is_some_and(|netrc| !netrc.hosts.is_empty());
        self.run.jars.get(self.entry.source_index()).filter(|_| logs_in)
    }

    /// User and password for a target to which a redirect led, if the manifest names its host.
    pub(super) fn login(&self, target: &Target, hops: usize) -> Option<(String, Secret)> {
        let credentials = self.entry.source().netrc.as_ref().filter(|_| 0 < hops)?;
        let (host, port) = (target.origin.bare_host(), target.origin.port);
        // A rewrite may lead from https to http.
        let is_safe = target.origin.secure || !self.job.target.origin.secure;
        let may_have = is_safe && credentials.is_login(host, port);
        may_have.then(|| credentials.netrc.credentials(host)).flatten()
    }

    /// Says what to do about a login host that answers 401. `sent`: it got a user and a password.
    pub(super) fn not_logged_in(&self, failure: Failure, target: &Target, sent: bool) -> Failure {
        let (host, port) = (target.origin.bare_host(), target.origin.port);
        let source = self.entry.source();
        let named = source.netrc.as_ref().is_some_and(|netrc| netrc.is_login(host, port));
        let shown = target.origin.shown_host();
        failure.with_hint(if sent {
            format!("{shown} refused the user and password of the netrc file")
        } else if named {
            format!("the netrc file has no `machine {shown}`")
        } else {
            let host = target.origin.shown_authority();
            format!("if {host} is where one logs in, `netrc: {{hosts: [{host}]}}` for the source lets it have the user and password of the netrc file")
        })
    }
}
