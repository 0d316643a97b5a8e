//! `natsync apply`

use std::env;
use std::path::Path;

use super::environment;
use super::manifests;
use super::reports::{Chosen, Reports};
use super::retry::Retry;
use super::rewrites::rewrites;
use super::shards::shard;
use super::targets::{Refused, Target, load};
use crate::cli::args::ApplyArgs;
use crate::event::Summary;
use crate::http::rewrite::Rewrites;
use crate::manifest::select::Selection;
use crate::manifest::{Manifest, Quota};
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::find_manifests::Candidate;
use crate::ops::saved_plan::{self, SavedPlan};
use crate::ops::{self, Options};
use crate::report::{Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee};
use crate::stop::Stop;

pub(super) fn run(args: &ApplyArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let rewrites = rewrites(&args.transfer)?;
    let reports = Reports::begin("apply", Some(&args.reports), args.failed.as_ref(), console)?;
    Ok(reports.run(tasks(args, console), |task, stop, reports| {
        apply(args, &rewrites, task, stop, reports, console)
    }))
}

/// A manifest to apply, with the options that depend on it.
struct Task {
    manifest: Manifest,
    options: Options,
    /// The plan that `--plan` names.
    saved: Option<SavedPlan>,
}

impl Chosen for Task {
    fn chosen(&self) -> (&Manifest, &Selection) {
        (&self.manifest, &self.options.selection)
    }
}

/// The tasks of the command line, or those of the saved plan that it names.
fn tasks(args: &ApplyArgs, console: &Console) -> Result<Vec<Task>, Refused> {
    if let Some(file) = &args.plan {
        return Ok(planned(args, file, console)?);
    }
    let retry = args.retry.as_deref().map(Retry::read).transpose()?;
    let shard = shard(&args.shard, None)?;
    let targets = load(&args.manifests, shard, console)?.into_iter();
    let chosen = targets.map(|Target { manifest, selection }| Task {
        options: Options {
            selection: match &retry {
                Some(retry) => retry.choose(selection, &manifest, console),
                None => selection,
            },
            force: args.trust.force,
            rehash: args.trust.rehash,
            locked: args.locked,
            offline: args.offline,
            prune: args.prune.decided(&args.manifests),
            max_delete: args.prune.max_delete.map(Quota::Count),
            take_ownership: args.prune.take_ownership,
            ..Options::default()
        },
        manifest,
        saved: None,
    });
    Ok(chosen.collect())
}

/// The tasks of a saved plan.
fn planned(args: &ApplyArgs, file: &Path, console: &Console) -> Result<Vec<Task>, RunError> {
    let plans = saved_plan::read(file)?;
    let named = &args.manifests.manifests;
    let is_of = |files: &[Candidate]| {
        plans.iter().map(|plan| &plan.recipe.file).eq(files.iter().map(|file| &file.path))
    };
    if !named.is_empty() && !is_of(&manifests::named(named, console)) {
        let planned: Vec<_> =
            plans.iter().map(|plan| format!("`{}`", plan.recipe.file.display())).collect();
        let planned = planned.join(", ");
        return Err(RunError::Usage {
            message: format!("`{}` is a plan of {planned}", file.display()),
            hint: Some("leave the manifests out: the plan names them".to_owned()),
        });
    }
    let env = |name: &str| env::var(name).ok();
    let task = |saved: SavedPlan| {
        // Checked before the manifest is read: if it changed, that is the error to show, not a
        // mistake in its new content.
        saved.check_inputs()?;
        let shard = shard(&args.shard, saved.recipe.shards)?;
        let manifest = saved.recipe.manifest(&env)?;
        let options = saved.recipe.options(&manifest)?;
        let options = Options { selection: options.selection.of_shard(shard), ..options };
        Ok(Task { manifest, options, saved: Some(saved) })
    };
    plans.into_iter().map(task).collect()
}

fn apply(
    args: &ApplyArgs,
    rewrites: &Rewrites,
    Task { manifest, options, saved }: Task,
    stop: &Stop,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let options = Options {
        environment: environment(),
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        fail_fast: args.fail_fast,
        wait: args.wait,
        report_kept: console.is_verbose(),
        shard_concurrency: args.crowd.shard_concurrency,
        ..options
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<Summary>> = if console.is_json() {
        Box::new(Lines::of_apply(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest).of_shard(options.selection.shard()))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut tally, &mut *results, &mut talk, reports]);
        let summary = match &saved {
            Some(saved) => ops::apply_saved(saved, &manifest, &options, stop, &mut reporter)?,
            None => ops::apply(&manifest, &options, stop, &mut reporter)?,
        };
        talk.finish();
        results.close(&summary);
        Ok((Account::Applied(summary), tally.applied(&summary)))
    })
}
