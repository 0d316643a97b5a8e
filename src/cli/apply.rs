//! `natsync apply`

use std::env;
use std::path::Path;

use super::reports::{Chosen, Reports};
use super::retry::Retry;
use super::{Target, rewrites, told};
use crate::cli::args::ApplyArgs;
use crate::event::Summary;
use crate::http::rewrite::Rewrites;
use crate::manifest::select::Selection;
use crate::manifest::{Manifest, Quota};
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::saved_plan::{self, SavedPlan};
use crate::ops::{self, Options};
use crate::report::{Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee};
use crate::stop::Stop;

pub(super) fn run(args: &ApplyArgs, console: &Console) -> Result<ExitStatus, ExitStatus> {
    let rewrites = rewrites(&args.transfer).map_err(|error| told(console, &error))?;
    let reports = Reports::begin("apply", Some(&args.reports), args.failed.as_ref(), console)?;
    let tasks = match tasks(args, &reports, console) {
        Ok(tasks) => tasks,
        Err(status) => return Err(reports.finish(status)),
    };
    let stop = Stop::on_signals();
    Ok(reports
        .each(tasks, &stop, |task, reports| apply(args, &rewrites, task, &stop, reports, console)))
}

/// A manifest with what is asked of it.
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

/// What there is to do: what the command line says, or what a saved plan does.
fn tasks(
    args: &ApplyArgs,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<Vec<Task>, ExitStatus> {
    let told = |error: RunError| told(console, &error);
    if let Some(file) = &args.plan {
        return planned(args, file).map_err(told);
    }
    let retry = args.retry.as_deref().map(Retry::read).transpose().map_err(told)?;
    let targets = reports.load(&args.manifests)?.into_iter();
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
            ..Options::default()
        },
        manifest,
        saved: None,
    });
    Ok(chosen.collect())
}

/// What a saved plan says.
fn planned(args: &ApplyArgs, file: &Path) -> Result<Vec<Task>, RunError> {
    let plans = saved_plan::read(file)?;
    let named = &args.manifests.manifests;
    if !named.is_empty() && !plans.iter().map(|plan| &plan.recipe.file).eq(named) {
        let planned: Vec<_> =
            plans.iter().map(|plan| format!("`{}`", plan.recipe.file.display())).collect();
        let planned = planned.join(", ");
        return Err(RunError::Usage {
            message: format!("`{}` is a plan of {planned}", file.display()),
            hint: Some("with --plan no manifest need be named".to_owned()),
        });
    }
    let env = |name: &str| env::var(name).ok();
    let task = |saved: SavedPlan| {
        // Before it is read: what is wrong with a changed manifest is of no interest here.
        saved.check_inputs()?;
        let manifest = saved.recipe.manifest(&env)?;
        let options = saved.recipe.options(&manifest)?;
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
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        fail_fast: args.fail_fast,
        wait: args.wait,
        report_kept: console.is_verbose(),
        ..options
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<Summary>> = if console.is_json() {
        Box::new(Lines::of_apply(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest))
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
