//! The checksum lists of a run: those it fetched, or those that an earlier run stored in the state.
//! Nothing here makes a request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::listed::{Sharing, look_up};
use crate::digest::checksums::{List, ListProblem, Lookup};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::{Entry, Form};
use crate::manifest::template::UrlParts;
use crate::manifest::{Identity, ListPlace, Manifest, OnMissing, Published};
use crate::pin::{Pin, PinFrom, Pinned};

/// The failures of lists that could not be fetched, by source index and URL.
pub(crate) type Lost = HashMap<(usize, Identity), Failure>;

/// The stored result of fetching a checksum list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeptList {
    Content(Vec<u8>),
    /// Upstream answered that the list does not exist.
    Missing,
    /// The list was never fetched.
    Unknown,
}

/// A store of the checksum lists that earlier runs fetched.
pub(crate) trait KeptLists: std::fmt::Debug + Sync {
    /// The list at a URL. A damaged store returns [`KeptList::Unknown`].
    fn kept_list(&self, url: &Identity) -> KeptList;
}

/// The lists that the sources of a manifest name.
#[derive(Debug, Default)]
pub(crate) struct Lists<'a> {
    kept: Option<&'a dyn KeptLists>,
    /// The lists that this run could not fetch.
    lost: Lost,
    /// True if this run fetched the lists that it needs.
    asked: bool,
    /// A cache of parsed lists, by source index and URL. The source is part of the key because each
    /// source has its own parsing rules.
    read: RwLock<HashMap<usize, HashMap<Identity, Arc<Known>>>>,
    /// True if a look-up needed a list that no run has fetched yet.
    unknown: AtomicBool,
    /// Computed on first use, since it takes a pass over all entries.
    sharing: OnceLock<Sharing>,
}

/// The state of a list.
#[derive(Debug)]
enum Known {
    List(List),
    /// The list could not be fetched or parsed.
    Broken(Failure),
    /// Upstream has no such list.
    Missing,
    /// The list was never fetched.
    Unknown,
}

impl<'a> Lists<'a> {
    /// The stored lists of earlier runs.
    pub(crate) fn kept(kept: Option<&'a dyn KeptLists>) -> Self {
        Self { kept, ..Self::default() }
    }

    /// The lists that this run has fetched into the store, except those in `lost`.
    pub(crate) fn fetched(kept: &'a dyn KeptLists, lost: Lost) -> Self {
        Self { kept: Some(kept), lost, asked: true, ..Self::default() }
    }

    /// The pin of an entry in its list. `None` if the source has no list, or the list is optional
    /// and does not name the entry, or was never fetched.
    pub(crate) fn of(&self, manifest: &Manifest, entry: &Entry<'_>, path: &str) -> Option<Pinned> {
        let published = entry.source().published.as_ref()?;
        let find = |list: &List| {
            look_up(list, manifest, entry, path, published, || {
                self.sharing.get_or_init(|| Sharing::of(manifest))
            })
        };
        let lookup = match &published.place {
            ListPlace::File { list, .. } => find(list),
            ListPlace::Url(_) | ListPlace::Sidecar(_) => {
                let url = entry.list_identity()?;
                match &*self.known(entry, &url, published) {
                    Known::List(list) => find(list),
                    // The file itself may be missing as well, which the source allows.
                    Known::Missing if !published.optional && may_lack(entry) => {
                        return Some(Pinned::Unvouched);
                    }
                    Known::Missing => Lookup::Unlisted,
                    Known::Broken(_) => return Some(Pinned::NoList),
                    Known::Unknown => {
                        self.unknown.store(true, Ordering::Relaxed);
                        return None;
                    }
                }
            }
        };
        Some(match lookup {
            Lookup::Listed(checksums) => Pinned::To(Pin {
                size: entry.size(),
                checksums,
                from: PinFrom::List,
                published: true,
            }),
            Lookup::Unlisted if published.optional => return None,
            Lookup::Unlisted => Pinned::Unlisted,
            Lookup::Ambiguous => Pinned::Ambiguous,
        })
    }

    /// The reason why the list of an entry cannot be used.
    pub(crate) fn failure(&self, entry: &Entry<'_>) -> Option<Failure> {
        let published = entry.source().published.as_ref()?;
        let url = entry.list_identity()?;
        match &*self.known(entry, &url, published) {
            Known::Broken(failure) => Some(failure.clone()),
            _ => None,
        }
    }

    /// True if a look-up needed a list that no run has fetched yet.
    pub(crate) fn lacked_some(&self) -> bool {
        self.unknown.load(Ordering::Relaxed)
    }

    fn known(&self, entry: &Entry<'_>, url: &Identity, published: &Published) -> Arc<Known> {
        let source = entry.source_index();
        if matches!(published.place, ListPlace::Sidecar(_)) {
            // Do not cache sidecars: each is used by a single entry.
            return Arc::new(self.fetch(entry, url, published));
        }
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = read.get(&source).and_then(|read| read.get(url)) {
            return Arc::clone(known);
        }
        drop(read);
        let known = Arc::new(self.fetch(entry, url, published));
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(read.entry(source).or_default().entry(url.clone()).or_insert(known))
    }

    fn fetch(&self, entry: &Entry<'_>, url: &Identity, published: &Published) -> Known {
        let shown = entry.list_url(Form::Shown).unwrap_or_default();
        let broken = |why: &str, failure: Option<&Failure>| {
            let message = format!("the checksum list {shown} cannot be used: {why}");
            let kind = failure.map_or(ErrorKind::UnexpectedContent, |failure| failure.kind);
            let mut broken = Failure::new(kind, message);
            broken.status = failure.and_then(|failure| failure.status);
            broken.hint = failure.and_then(|failure| failure.hint.clone());
            broken.origin = failure.and_then(|failure| failure.origin.clone());
            Known::Broken(broken)
        };
        if let Some(failure) = self.lost.get(&(entry.source_index(), url.clone())) {
            return broken(&failure.message, Some(failure));
        }
        match self.kept.map_or(KeptList::Unknown, |kept| kept.kept_list(url)) {
            // The run fetched the list, but the store does not have it. To ignore it would leave
            // its files unverified.
            KeptList::Unknown if self.asked => {
                broken("it could not be stored in the state, or not read back", None)
            }
            KeptList::Unknown => Known::Unknown,
            KeptList::Missing => Known::Missing,
            KeptList::Content(content) => {
                let name = UrlParts::new(url.expose()).filename();
                match List::parse(&content, &name, &published.rules) {
                    Ok(list) => Known::List(list),
                    Err(problem) => broken(&problem.to_string(), Some(&unreadable(&problem))),
                }
            }
        }
    }
}

fn may_lack(entry: &Entry<'_>) -> bool {
    entry.source().on_missing != OnMissing::Fail
}

/// The failure of a list that was fetched and cannot be read.
pub(crate) fn unreadable(problem: &ListProblem) -> Failure {
    Failure::new(ErrorKind::UnexpectedContent, problem.to_string()).with_hint(ListProblem::HINT)
}
