//! Finds the unresolved failures in the history: those that no later run has resolved.

use std::collections::HashSet;

use super::{Exit, Failed, Past};
use crate::manifest::select::AMONG;

/// A failure that is unresolved, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing<'a> {
    pub(crate) failed: &'a Failed,
    /// The start of the run in which it failed, in milliseconds since 1970.
    pub(crate) run: i64,
    /// The start of the first later run that may have dealt with the entry. The failure is resolved
    /// if the state has a note about the entry since then.
    pub(crate) unless_noted_since: Option<i64>,
}

/// Returns the unresolved failures, and the number of further failures that were counted but not
/// recorded. `runs` come newest first, `bound` is the present [`Past::bound`], and `chooses` tells
/// whether `--only` patterns select the entry of a failure.
pub(crate) fn standing(
    runs: &[Past],
    bound: u64,
    chooses: impl Fn(&[String], &Failed) -> bool,
) -> (Vec<Standing<'_>>, u64) {
    let mut found = Vec::new();
    let mut unnamed = 0;
    let mut seen = HashSet::new();
    let mut partial: Vec<&Past> = Vec::new();
    let mut unsure: Option<i64> = None;
    for run in runs {
        for failed in &run.failures {
            // Of repeated failures of one entry, report only the newest.
            let is_new = seen.insert((failed.path.as_deref(), failed.source.as_str()));
            let was_chosen = || partial.iter().any(|later| chooses(&later.only, failed));
            if is_new && !was_chosen() {
                found.push(Standing { failed, run: run.began, unless_noted_since: unsure });
            }
        }
        unnamed += run.failed.saturating_sub(run.failures.len() as u64);
        // For a run over a list of paths (`AMONG`), the history does not record which entries it
        // selected; only the notes in the state tell.
        let is_known = run.only.iter().all(|only| only != AMONG);
        let is_whole =
            is_known && run.exit != Exit::Stopped && run.counts.skipped == 0 && run.bound == bound;
        match (is_whole, run.only.is_empty()) {
            (true, true) => break,
            (true, false) => partial.push(run),
            (false, _) => unsure = Some(run.began),
        }
    }
    (found, unnamed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::history::Counts;

    fn run(began: i64, only: &[&str], exit: Exit, failed: &[&str]) -> Past {
        let fail = |path: &&str| Failed {
            path: Some((*path).to_owned()),
            source: "s".to_owned(),
            kind: "connect".to_owned(),
            status: None,
            message: format!("in run {began}"),
            hint: None,
            origin: None,
        };
        Past {
            began,
            elapsed: 1,
            command: "apply".to_owned(),
            only: only.iter().map(|&only| only.to_owned()).collect(),
            bound: 9,
            exit,
            counts: Counts::default(),
            failed: failed.len() as u64,
            failures: failed.iter().map(fail).collect(),
            timeline: None,
            shards: Vec::new(),
        }
    }

    #[track_caller]
    fn check(runs: &[Past], expected: &[(&str, i64, Option<i64>)]) {
        let chooses = |only: &[String], failed: &Failed| {
            only.iter().any(|only| failed.path.as_deref() == Some(only))
        };
        let (found, unnamed) = standing(runs, 9, chooses);
        let found: Vec<_> = found
            .iter()
            .map(|standing| {
                let path = standing.failed.path.as_deref().unwrap_or_default();
                (path, standing.run, standing.unless_noted_since)
            })
            .collect();
        assert_eq!((&found[..], unnamed), (expected, 0));
    }

    #[test]
    fn the_newest_complete_run_decides() {
        use Exit::{Failed, Ok};
        check(&[], &[]);
        check(&[run(2, &[], Ok, &[]), run(1, &[], Failed, &["a"])], &[]);
        check(&[run(2, &[], Failed, &["b"]), run(1, &[], Failed, &["a", "b"])], &[("b", 2, None)]);
    }

    #[test]
    fn a_partial_run_decides_its_own_entries() {
        use Exit::{Failed, Ok};
        let first = run(1, &[], Failed, &["a", "b"]);
        check(&[run(2, &["a"], Ok, &[]), first.clone()], &[("b", 1, None)]);
        check(&[run(2, &["a"], Failed, &["a"]), first], &[("a", 2, None), ("b", 1, None)]);
    }

    #[test]
    fn a_stopped_run_decides_entries_noted_since() {
        use Exit::{Failed, Stopped};
        let first = run(1, &[], Failed, &["a", "b"]);
        check(&[run(2, &[], Stopped, &["a"]), first.clone()], &[("a", 2, None), ("b", 1, Some(2))]);
        let other = Past { bound: 8, ..run(2, &[], Failed, &[]) };
        check(&[other, first], &[("a", 1, Some(2)), ("b", 1, Some(2))]);
    }
}
