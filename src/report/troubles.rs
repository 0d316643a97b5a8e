//! The failures, findings and refused deletions of one manifest in groups, for reports that have a
//! format of their own.

use std::collections::BTreeMap;

use super::failures::Failures;
use super::names::Names;
use super::units::Count;
use crate::event::{Event, Finding, Outcome, Reporter};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::EntryIndex;

/// Collects the troubles of one manifest from events.
pub(super) struct Troubles<'a> {
    names: Names<'a>,
    failures: Failures,
    found: BTreeMap<(Finding, usize), Found>,
    kept: Vec<Kept>,
}

/// Files of one source with the same finding of `verify`.
#[derive(Default)]
struct Found {
    first: Vec<EntryIndex>,
    count: u64,
}

/// Files that could not be pruned, for one reason.
struct Kept {
    failure: Failure,
    first: Vec<String>,
    count: u64,
}

/// Entries or files with the same trouble. The texts are untrusted.
pub(super) struct Trouble {
    /// A short title: `12 entries failed`.
    pub(super) what: String,
    /// The kind of failure, if it is one.
    pub(super) kind: Option<ErrorKind>,
    /// The reason, if all have the same.
    pub(super) why: Option<String>,
    /// The first paths, each with its own reason if the reasons differ.
    pub(super) first: Vec<(String, Option<String>)>,
    /// The number of entries or files beyond `first`.
    pub(super) more: u64,
    /// Advice.
    pub(super) hint: Option<String>,
    /// Index of the source.
    pub(super) source: Option<usize>,
}

/// Number of paths that are named per trouble.
const NAMED: usize = 3;
/// Number of different reasons for refused deletions that are kept.
const MOST_REASONS: usize = 4;

impl<'a> Troubles<'a> {
    pub(super) fn new(names: Names<'a>) -> Self {
        Self { names, failures: Failures::default(), found: BTreeMap::new(), kept: Vec::new() }
    }

    pub(super) fn names(&self) -> &Names<'a> {
        &self.names
    }

    /// All troubles: groups of failures (largest first), findings, failures beyond the groups,
    /// failed sources, refused deletions.
    pub(super) fn list(&self) -> Vec<Trouble> {
        let mut list = Vec::new();
        for group in self.failures.groups() {
            let message = |message: &String| (!group.same_message).then(|| message.clone());
            let first = group.first.iter();
            list.push(Trouble {
                what: match group.failure.kind {
                    ErrorKind::Interrupted => {
                        format!("{} interrupted", Count::entries(group.count))
                    }
                    _ => format!("{} failed", Count::entries(group.count)),
                },
                kind: Some(group.failure.kind),
                why: group.same_message.then(|| group.failure.message.clone()),
                first: first
                    .map(|(entry, text)| (self.names.path(*entry), message(text)))
                    .collect(),
                more: group.unnamed(),
                hint: group
                    .failure
                    .hint
                    .clone()
                    .or_else(|| self.failures.next_step(group, &self.names)),
                source: Some(group.source),
            });
        }
        for (&(finding, source), found) in &self.found {
            list.push(Trouble {
                what: format!("{} {}", Count::files(found.count), finding.as_str()),
                kind: None,
                why: None,
                first: found.first.iter().map(|entry| (self.names.path(*entry), None)).collect(),
                more: found.count - found.first.len() as u64,
                hint: Some("`natsync apply --rehash` repairs that".to_owned()),
                source: Some(source),
            });
        }
        if 0 < self.failures.ungrouped() {
            let entries = Count::entries(self.failures.ungrouped());
            list.push(Trouble::of(format!("{entries} failed for other reasons")));
        }
        for (source, failure) in self.failures.sources() {
            let name = &self.names.manifest().sources()[*source].name;
            let trouble = Trouble::of(format!("source {name} failed"));
            list.push(Trouble { source: Some(*source), ..trouble.because(failure) });
        }
        for kept in &self.kept {
            let trouble = match kept.first.len() as u64 {
                0 => Trouble::of("nothing was pruned".to_owned()),
                named => Trouble {
                    first: kept.first.iter().map(|path| (path.clone(), None)).collect(),
                    more: kept.count - named,
                    ..Trouble::of(format!("{} not pruned", Count::files(kept.count)))
                },
            };
            list.push(trouble.because(&kept.failure));
        }
        list
    }

    fn keep(&mut self, path: Option<&String>, failure: &Failure) {
        let known = |kept: &Kept| kept.failure.message == failure.message;
        let place = self.kept.iter().position(known).unwrap_or(self.kept.len());
        if place == MOST_REASONS {
            return;
        }
        if place == self.kept.len() {
            self.kept.push(Kept { failure: failure.clone(), first: Vec::new(), count: 0 });
        }
        let kept = &mut self.kept[place];
        kept.count += 1;
        if kept.first.len() < NAMED {
            kept.first.extend(path.cloned());
        }
    }
}

impl Trouble {
    fn of(what: String) -> Self {
        let (kind, why, hint, source) = (None, None, None, None);
        Self { what, kind, why, first: Vec::new(), more: 0, hint, source }
    }

    pub(super) fn count(&self) -> u64 {
        self.first.len() as u64 + self.more
    }

    fn because(self, failure: &Failure) -> Self {
        let (kind, why) = (Some(failure.kind), Some(failure.message.clone()));
        Self { kind, why, hint: failure.hint.clone(), ..self }
    }
}

impl Reporter for Troubles<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Finished { entry, outcome: Outcome::Failed(failure), .. } => {
                self.failures.add(*entry, self.names.source_index(*entry), failure);
            }
            Event::Finished { outcome: Outcome::Downloaded(_) | Outcome::Updated(_), .. }
            | Event::Received { .. } => self.failures.received(),
            Event::Verified { entry, verified } => {
                let source = self.names.source_index(*entry);
                if let Some(failure) = &verified.failure {
                    self.failures.add(*entry, source, failure);
                } else if matches!(verified.finding, Finding::Modified | Finding::Gone) {
                    let found = self.found.entry((verified.finding, source)).or_default();
                    found.count += 1;
                    if found.first.len() < NAMED {
                        found.first.push(*entry);
                    }
                }
            }
            Event::SourceFailed { source, failure } => self.failures.add_source(*source, failure),
            Event::Unpruned { path, failure } => self.keep(path.as_ref(), failure),
            _ => {}
        }
    }
}
