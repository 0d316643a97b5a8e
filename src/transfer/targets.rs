//! The targets of an entry: its URLs, after rewriting.

use std::borrow::Cow;

use crate::failure::Failure;
use crate::http::Target;
use crate::http::rewrite::Rewrites;
use crate::manifest::entry::{Entry, Form};

/// The target of one of an entry's names at one of its places.
pub(super) fn target_of(
    entry: &Entry<'_>,
    name: usize,
    place: usize,
    rewrites: &Rewrites,
) -> Result<Target, Failure> {
    let shown = || entry.candidate(name, place, Form::Shown);
    target_for(&entry.candidate(name, place, Form::Sent), shown, rewrites)
}

/// The target of a checksum list.
pub(super) fn list_target(
    entry: &Entry<'_>,
    rewrites: &Rewrites,
) -> Option<Result<Target, Failure>> {
    let sent = entry.list_url(Form::Sent)?;
    Some(target_for(&sent, || entry.list_url(Form::Shown).unwrap_or_default(), rewrites))
}

/// The target of a URL or of its rewritten form. `shown` gives the form that may be printed.
fn target_for(
    sent: &str,
    shown: impl FnOnce() -> String,
    rewrites: &Rewrites,
) -> Result<Target, Failure> {
    match rewrites.apply(sent) {
        Cow::Borrowed(sent) => Target::parse_shown(sent, &shown()),
        Cow::Owned(rewritten) => Target::parse(&rewritten),
    }
}

/// Applies the rewrites to a redirect target.
pub(super) fn rewritten(target: Target, rewrites: &Rewrites) -> Result<Target, Failure> {
    match rewrites.apply(&target.to_url()) {
        Cow::Borrowed(_) => Ok(target),
        Cow::Owned(url) => Target::parse(&url),
    }
}
