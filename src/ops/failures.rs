//! Groups the unresolved failures by cause. A failure is unresolved until a later run deals with
//! its entry.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::event::history::{Failed, Past, Standing, standing};
use crate::manifest::Manifest;
use crate::manifest::select::Selection;
use crate::rel_path::path_hash;

/// The maximum number of groups; failures beyond that are only counted.
const GROUPS: usize = 64;

/// The unresolved failures.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    told: Vec<Group>,
    /// Failures of entries, by the hash of the path. [`Groups::claim`] moves a failure to its group
    /// once the entry is known to be declared and unresolved.
    waiting: HashMap<u128, Waiting>,
    /// The number of further failures, of which only the count is known.
    pub(crate) unnamed: u64,
}

#[derive(Debug)]
struct Waiting {
    failed: Failed,
    run: i64,
    unless_noted_since: Option<i64>,
}

/// The unresolved failure of a declared entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The start of the run in which it failed, in milliseconds since 1970.
    pub(crate) run: i64,
    /// The stable name of the error kind.
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// Failures of one cause.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// The stable name of the error kind.
    pub(crate) kind: String,
    /// The origin, the source, or "the destination".
    pub(crate) at: String,
    /// The HTTP status, for failures of that kind.
    pub(crate) status: Option<u16>,
    /// What the user can do next.
    pub(crate) hint: Option<String>,
    /// The message, if it is the same for all members.
    pub(crate) message: Option<String>,
    /// The start of the newest run with such a failure, in milliseconds since 1970.
    pub(crate) run: i64,
    /// The path and the message of each failure; the failure of a whole source has no path.
    pub(crate) members: Vec<(Option<String>, String)>,
}

impl Groups {
    /// `standing` are the failures that may be unresolved; `unnamed` is the number of further ones.
    pub(crate) fn new(standing: Vec<Standing<'_>>, unnamed: u64) -> Self {
        let mut groups = Self { unnamed, ..Self::default() };
        for Standing { failed, run, unless_noted_since } in standing {
            let failed = failed.clone();
            match &failed.path {
                Some(path) if !failed.source.is_empty() => {
                    let hash = path_hash(path);
                    groups.waiting.insert(hash, Waiting { failed, run, unless_noted_since });
                }
                // A failed source or a failed prune belongs to no entry.
                _ => groups.add(failed, run),
            }
        }
        groups
    }

    /// Takes the failure of a declared entry and adds it to its group, if it is unresolved. `noted`
    /// is the time of the last note about the entry in the state, in milliseconds since 1970.
    pub(crate) fn claim(&mut self, path: &str, noted: Option<i64>) -> Option<Claimed> {
        if self.waiting.is_empty() {
            return None;
        }
        let Waiting { failed, run, unless_noted_since } = self.waiting.remove(&path_hash(path))?;
        if unless_noted_since.is_some_and(|since| noted.is_some_and(|noted| since <= noted)) {
            return None;
        }
        let claimed = Claimed { run, kind: failed.kind.clone(), message: failed.message.clone() };
        self.add(failed, run);
        Some(claimed)
    }

    /// The groups, the largest first.
    pub(crate) fn sorted(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.told.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.members.len()));
        groups
    }

    fn add(&mut self, failed: Failed, run: i64) {
        let Failed { path, source, kind, status, message, hint, origin } = failed;
        let at = origin.unwrap_or_else(|| match source.as_str() {
            "" => "the destination".to_owned(),
            source => format!("source {source}"),
        });
        let own = self.told.iter_mut().find(|group| {
            group.kind == kind && group.at == at && group.status == status && group.hint == hint
        });
        if let Some(group) = own {
            group.run = group.run.max(run);
            if group.message.as_ref() != Some(&message) {
                group.message = None;
            }
            group.members.push((path, message));
        } else if self.told.len() < GROUPS {
            let members = vec![(path, message.clone())];
            let message = Some(message);
            self.told.push(Group { kind, at, status, hint, message, run, members });
        } else {
            self.unnamed += 1;
        }
    }
}

/// The last millisecond of the second of a time, since 1970: the state stores whole seconds.
pub(super) fn end_of_second(noted: Timestamp) -> i64 {
    noted.as_millisecond().saturating_add(999)
}

/// The unresolved failures of the last runs.
pub(super) fn failures(manifest: &Manifest, runs: &[Past]) -> Groups {
    let sources: HashMap<_, _> =
        manifest.sources().iter().map(|source| (source.name.as_str(), source)).collect();
    let partial = runs.iter().filter(|run| !run.only.is_empty());
    let selections: Vec<_> = partial
        .filter_map(|run| Some((&run.only[..], Selection::new(&run.only, manifest).ok()?)))
        .collect();
    let chooses = |only: &[String], failed: &Failed| {
        let selection = selections.iter().find(|(other, _)| *other == only);
        let path = failed.path.as_deref().unwrap_or_default();
        let source = sources.get(failed.source.as_str());
        source.zip(selection).is_some_and(|(source, (_, chosen))| chosen.matches(source, path))
    };
    let (standing, unnamed) = standing(runs, manifest.entries().bound(), chooses);
    Groups::new(standing, unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(path: &str, message: &str) -> Failed {
        Failed {
            path: Some(path.to_owned()),
            source: "s".to_owned(),
            kind: "http_status".to_owned(),
            status: Some(503),
            message: message.to_owned(),
            hint: None,
            origin: Some("http://h".to_owned()),
        }
    }

    fn groups(failed: &[Failed], unless_noted_since: Option<i64>) -> Groups {
        let standing =
            failed.iter().map(|failed| Standing { failed, run: 10, unless_noted_since }).collect();
        Groups::new(standing, 0)
    }

    #[test]
    fn failures_of_one_cause_are_one_group() {
        let all = [failed("a", "x"), failed("b", "x"), failed("c", "y"), failed("gone", "x")];
        let mut groups = groups(&all[..], None);
        assert_eq!(
            groups.claim("a", None).map(|claimed| (claimed.kind, claimed.message)),
            Some(("http_status".to_owned(), "x".to_owned()))
        );
        assert_eq!(groups.claim("a", None), None, "a failure is claimed once");
        assert_eq!(groups.claim("other", None), None);
        groups.claim("b", Some(99));
        assert_eq!(groups.sorted()[0].message.as_deref(), Some("x"));
        groups.claim("c", None);
        let sorted = groups.sorted();
        assert_eq!(
            (sorted.len(), sorted[0].members.len()),
            (1, 3),
            "entries that are not declared are left out"
        );
        assert_eq!(sorted[0].message, None);
    }

    #[test]
    fn a_later_note_resolves_a_failure() {
        let all = [failed("a", "x"), failed("b", "x"), failed("c", "x")];
        let mut groups = groups(&all, Some(20));
        assert_eq!(groups.claim("a", Some(20)), None);
        assert!(groups.claim("b", Some(19)).is_some() && groups.claim("c", None).is_some());
    }

    #[test]
    fn failed_sources_and_prunes_belong_to_no_entry() {
        let source = Failed { path: None, ..failed("", "too many are missing") };
        let prune = Failed { source: String::new(), origin: None, ..failed("old", "it stays") };
        let groups = groups(&[source, prune], None);
        let places: Vec<_> = groups.sorted().iter().map(|group| group.at.clone()).collect();
        assert_eq!(places, ["http://h", "the destination"]);
    }
}
