//! Writes a saved plan.

use std::io::{self, Write};

use serde::Serialize;

use super::line::{ActionLine, End, FORMAT, Head, InputLine, stamp_text};
use super::{Recipe, dest_digest, digest_of, lock_of};
use crate::manifest::entry::{Entry, EntryIndex, Form};
use crate::manifest::{IdentityKey, Manifest};
use crate::plan::{Action, Decision, Plan, Reason, Step};

/// Look-ups for values that a [`Plan`] does not contain.
pub(crate) struct Details<'a> {
    /// The [`Stat::stamp`](crate::dest::Stat::stamp) of the file at the path of an entry.
    pub(crate) stamp: &'a dyn Fn(&Entry<'_>) -> Option<u64>,
    /// The pinned size of an entry in bytes.
    pub(crate) size: &'a dyn Fn(&Entry<'_>) -> Option<u64>,
}

/// Writes the plan of one manifest.
///
/// # Errors
/// When the lock cannot be read, or writing fails.
pub(crate) fn write(
    recipe: &Recipe,
    manifest: &Manifest,
    plan: &Plan,
    details: &Details<'_>,
    to: &mut dyn Write,
) -> io::Result<()> {
    let lock = digest_of(&lock_of(recipe))?;
    let inputs = manifest.inputs().into_iter();
    let inputs = inputs
        .map(|input| InputLine { file: input.file, sha256: input.sha256.to_string() })
        .collect();
    let key = IdentityKey::random();
    let head = Head {
        natsync_plan: FORMAT,
        natsync: env!("CARGO_PKG_VERSION").to_owned(),
        manifest: manifest.name().to_owned(),
        file: recipe.file.clone(),
        now: recipe.now,
        today: recipe.today,
        dest: recipe.dest.clone(),
        only: recipe.only.clone(),
        set: recipe.set.clone(),
        force: recipe.force,
        rehash: recipe.rehash,
        locked: recipe.locked,
        prune: recipe.prune,
        max_delete: recipe.max_delete,
        take_ownership: recipe.take_ownership,
        shards: recipe.shards,
        lock: lock.map(|digest| digest.to_string()),
        identity_key: key,
        dest_identity: dest_digest(manifest, &key),
        inputs,
    };
    write_line(&head, to)?;
    let entries = manifest.entries();
    for (index, step) in plan.steps() {
        let unasked = plan.unasked(index);
        let Some(entry) = entries.get(index) else { continue };
        if let Some(line) = line_of(index, &entry, step, unasked, plan.size_told(index), details) {
            write_line(&ActionLine { identity: entry.places_digest(&key), ..line }, to)?;
        }
    }
    for prune in plan.prunes() {
        let line = ActionLine {
            r#type: "action".to_owned(),
            action: Action::Prune.as_str().to_owned(),
            reason: prune.reason.as_str().to_owned(),
            source: None,
            path: prune.path.clone(),
            url: None,
            identity: None,
            size: None,
            entry: None,
            unasked: None,
            obstructed: false,
            stamp: Some(stamp_text(prune.stamp)),
        };
        write_line(&line, to)?;
    }
    let counts = plan.counts();
    let end = End {
        r#type: "summary".to_owned(),
        command: "plan".to_owned(),
        manifest: manifest.name().to_owned(),
        entries: counts.entries(),
        fetch: counts.fetch,
        replace: counts.replace,
        revalidate: counts.revalidate,
        keep: counts.keep,
        absent: counts.absent,
        prune: counts.prune,
    };
    write_line(&end, to)
}

/// The line of an entry, or `None` for an entry that is kept and about which upstream was not
/// asked.
fn line_of(
    index: EntryIndex,
    entry: &Entry<'_>,
    step: Step,
    unasked: Option<Action>,
    told: Option<u64>,
    details: &Details<'_>,
) -> Option<ActionLine> {
    let (decision, obstructed) = match step {
        Step::None => return None,
        Step::Do(Decision { action: Action::Keep, .. }) if unasked.is_none() => return None,
        Step::Do(decision) => (decision, false),
        Step::Obstructed(_) => (Decision::new(Action::Fetch, Reason::NotOnDisk), true),
    };
    let transfers = matches!(decision.action, Action::Fetch | Action::Replace);
    Some(ActionLine {
        r#type: "action".to_owned(),
        action: decision.action.as_str().to_owned(),
        reason: decision.reason.as_str().to_owned(),
        source: Some(entry.source().name.clone()),
        path: entry.path().as_str().to_owned(),
        url: Some(entry.url(Form::Shown)),
        identity: None,
        size: told.or_else(|| transfers.then(|| (details.size)(entry)).flatten()),
        entry: Some(index.0),
        unasked: unasked
            .filter(|unasked| *unasked != decision.action)
            .map(|unasked| unasked.as_str().to_owned()),
        obstructed,
        stamp: if obstructed { None } else { (details.stamp)(entry).map(stamp_text) },
    })
}

fn write_line(line: &impl Serialize, to: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    to.write_all(b"\n")
}
