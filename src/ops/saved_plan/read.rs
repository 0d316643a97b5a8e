//! Reading a saved plan.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::line::{ActionLine, End, FORMAT, Head, Line, read_stamp};
use super::{Recipe, Saved, SavedPlan, refused};
use crate::digest::{Algorithm, Checksum, Digest};
use crate::manifest::Input;
use crate::manifest::entry::EntryIndex;
use crate::ops::error::RunError;
use crate::plan::{Action, Counts, Decision, Prune, Reason};

/// Reads a file that `plan --out` saved. It has one plan for each manifest.
///
/// # Errors
/// When the file cannot be read, is not a saved plan, is truncated, or was saved by another version
/// of natsync.
pub fn read(file: &Path) -> Result<Vec<SavedPlan>, RunError> {
    let name = file.display();
    let open = File::open(file).map_err(|error| {
        RunError::usage(format!("cannot read the saved plan `{name}`: {error}"))
    })?;
    parse(BufReader::new(open), &name.to_string())
}

/// Reads saved plans from text; messages use `name` for the file.
pub(crate) fn parse(from: impl BufRead, name: &str) -> Result<Vec<SavedPlan>, RunError> {
    let mut plans = Vec::new();
    let mut open: Option<SavedPlan> = None;
    for (number, line) in (1u64..).zip(from.lines()) {
        let wrong = |why: &str| refused(format!("line {number} of `{name}` {why}"));
        let malformed = "is not a line of a saved plan";
        let line = line.map_err(|_| wrong("cannot be read"))?;
        check_version(&line, name)?;
        match (serde_json::from_str(&line).map_err(|_| wrong(malformed))?, &mut open) {
            (Line::Head(head), None) => {
                open = Some(begin(*head).ok_or_else(|| wrong(malformed))?);
            }
            (Line::Action(line), Some(plan)) => {
                add(plan, &line).ok_or_else(|| wrong(malformed))?;
            }
            (Line::End(end), Some(plan)) => {
                plan.counts = counts(&end);
                if !is_whole(plan, &end) {
                    return Err(wrong("does not match the lines before it"));
                }
                plans.extend(open.take());
            }
            _ => return Err(wrong("is out of place")),
        }
    }
    if open.is_some() || plans.is_empty() {
        return Err(refused(format!("`{name}` is not a saved plan, or is cut short")));
    }
    Ok(plans)
}

/// Refuses a plan of another version, which may have given its actions another meaning.
fn check_version(line: &str, name: &str) -> Result<(), RunError> {
    #[derive(serde::Deserialize)]
    struct Version {
        natsync_plan: u32,
        natsync: String,
    }
    if !line.starts_with("{\"natsync_plan\"") {
        return Ok(());
    }
    let this = env!("CARGO_PKG_VERSION");
    match serde_json::from_str::<Version>(line) {
        Ok(version) if version.natsync_plan == FORMAT && version.natsync == this => Ok(()),
        Ok(Version { natsync, .. }) => {
            Err(refused(format!("natsync {natsync} saved `{name}`, but this is natsync {this}")))
        }
        Err(_) => Ok(()),
    }
}

fn sha256(text: &str) -> Option<Digest> {
    Checksum::from_hex(Algorithm::Sha256, text)?.sha256()
}

fn begin(head: Head) -> Option<SavedPlan> {
    let inputs = head
        .inputs
        .into_iter()
        .map(|input| Some(Input { file: input.file, sha256: sha256(&input.sha256)? }));
    Some(SavedPlan {
        name: head.manifest,
        inputs: inputs.collect::<Option<_>>()?,
        lock: match head.lock {
            Some(digest) => Some(sha256(&digest)?),
            None => None,
        },
        key: head.identity_key,
        dest: head.dest_identity,
        recipe: Recipe {
            file: head.file,
            dest: head.dest,
            set: head.set,
            today: head.today,
            only: head.only,
            force: head.force,
            rehash: head.rehash,
            locked: head.locked,
            prune: head.prune,
            max_delete: head.max_delete,
            take_ownership: head.take_ownership,
            shards: head.shards,
            now: head.now,
        },
        steps: Vec::new(),
        prunes: Vec::new(),
        counts: Counts::default(),
    })
}

fn add(plan: &mut SavedPlan, line: &ActionLine) -> Option<()> {
    let action = |text: &str| Action::ALL.into_iter().find(|action| action.as_str() == text);
    let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == line.reason)?;
    let stamp = match &line.stamp {
        Some(text) => Some(read_stamp(text)?),
        None => None,
    };
    let decision = Decision::new(action(&line.action)?, reason);
    match (decision.action, line.entry) {
        (Action::Prune, None) => {
            plan.prunes.push(Prune { path: line.path.clone(), reason, stamp: stamp? });
        }
        (Action::Prune, _) | (_, None) => return None,
        (_, Some(entry)) => {
            let entry = EntryIndex(entry);
            if plan.steps.last().is_some_and(|last| entry <= last.entry) {
                return None;
            }
            let unasked = match &line.unasked {
                Some(unasked) => action(unasked)?,
                None => decision.action,
            };
            let (obstructed, places) = (line.obstructed, line.identity);
            plan.steps.push(Saved { entry, decision, unasked, obstructed, stamp, places });
        }
    }
    Some(())
}

fn counts(end: &End) -> Counts {
    let &End { fetch, replace, revalidate, keep, absent, prune, .. } = end;
    Counts { fetch, replace, revalidate, keep, absent, prune }
}

/// True if the lines match the counts of the summary line. Kept entries have no line unless
/// upstream was asked about them.
fn is_whole(plan: &SavedPlan, end: &End) -> bool {
    let saved =
        |action| plan.steps.iter().filter(|step| step.decision.action == action).count() as u64;
    end.manifest == plan.name
        && saved(Action::Fetch) == end.fetch
        && saved(Action::Replace) == end.replace
        && saved(Action::Revalidate) == end.revalidate
        && saved(Action::Absent) == end.absent
        && saved(Action::Keep) <= end.keep
        && plan.prunes.len() as u64 == end.prune
}
