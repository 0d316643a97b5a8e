//! The checksum lists of a run: those it fetched, or those that an earlier run stored in the state.
//! Nothing here makes a request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::digest::checksums::{List, Lookup};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::{Entry, Form};
use crate::manifest::template::UrlParts;
use crate::manifest::{Identity, ListPlace, Manifest, OnMissing, Published};
use crate::pin::{Pin, PinFrom, Pinned};
use crate::rel_path::RelPath;

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
        let lookup = match &published.place {
            ListPlace::File { folder, list } => {
                // Names are relative to the folder of the list, which may be above the destination.
                let below = manifest.dest().strip_prefix(folder).ok();
                let below = below.map(|below| below.join(path).to_string_lossy().into_owned());
                let names: Vec<_> = below.into_iter().chain(names(entry, path, None)).collect();
                look_up(list, &names)
            }
            ListPlace::Url(_) | ListPlace::Sidecar(_) => {
                let url = entry.list_identity()?;
                match &*self.known(entry, &url, published) {
                    Known::List(list) => look_up(list, &names(entry, path, Some(url.expose()))),
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
            KeptList::Content(content) => match List::parse(&content, &published.rules) {
                Ok(list) => Known::List(list),
                Err(problem) => broken(&problem.to_string(), None),
            },
        }
    }
}

fn may_lack(entry: &Entry<'_>) -> bool {
    entry.source().on_missing != OnMissing::Fail
}

fn look_up(list: &List, names: &[String]) -> Lookup {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    list.find(&names)
}

/// The names under which a list may have an entry, the most specific first: the path of its URL
/// relative to the list, its path below the destination, the last component of its URL.
fn names(entry: &Entry<'_>, path: &str, list: Option<&str>) -> Vec<String> {
    let url = entry.identity();
    let url = url.expose();
    let mut names = Vec::new();
    if let Some((folder, _)) = list.and_then(|list| without_query(list).rsplit_once('/'))
        && let Some(below) = without_query(url).strip_prefix(folder)
        && let Some(below) = below.strip_prefix('/')
    {
        let decoded = percent_encoding::percent_decode_str(below).decode_utf8_lossy();
        names.push(decoded.into_owned());
    }
    names.push(path.to_owned());
    let filename = UrlParts::new(url).filename().into_owned();
    // A percent-encoded slash in the last component would name another folder.
    if RelPath::parse(&filename).is_ok() && !filename.contains('/') {
        names.push(filename);
    }
    names
}

fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}
