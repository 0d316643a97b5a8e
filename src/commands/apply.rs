//! `natsync apply`

use std::env;
use std::path::Path;
use std::sync::Arc;

use super::reports::Reports;
use super::retry::Retry;
use super::{Target, for_each, load_telling, rewrites};
use crate::cli::ApplyArgs;
use crate::error::{ExitStatus, RunError};
use crate::event::Summary;
use crate::manifest::{Manifest, Quota};
use crate::plan_file::{self, SavedPlan};
use crate::report::{Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee, print_error};
use crate::rewrite::Rewrites;
use crate::stop::Stop;
use crate::workspace::{self, Options};

pub(super) fn run(args: &ApplyArgs, console: &Console) -> ExitStatus {
    let rewrites = match rewrites(&args.transfer) {
        Ok(rewrites) => rewrites,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let reports = Reports::begin("apply", Some(&args.reports), args.failed.as_ref(), console);
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let mut tasks = match tasks(args, &reports, console) {
        Ok(tasks) => tasks.into_iter(),
        Err(status) => return reports.finish(status),
    };
    let stop = Stop::on_signals();
    let status = for_each(&mut tasks, Some(&stop), console, |task| {
        apply(args, &rewrites, task, &stop, &reports, console)
    });
    for task in tasks {
        reports.pass_over(&task.manifest, &task.options.selection, status);
    }
    reports.finish(status)
}

/// A manifest with what is asked of it.
struct Task {
    manifest: Manifest,
    options: Options,
}

/// What there is to do: what the command line says, or what a saved plan does.
fn tasks(
    args: &ApplyArgs,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<Vec<Task>, ExitStatus> {
    let fail = |error: RunError| {
        print_error(console, &error);
        error.exit_status()
    };
    if let Some(file) = &args.plan {
        return planned(args, file).map_err(fail);
    }
    let retry = args.retry.as_deref().map(Retry::read).transpose().map_err(fail)?;
    let tell = |file: &Path, error: &RunError| reports.refuse(file, error);
    let targets = load_telling(&args.manifests, console, tell)?.into_iter();
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
    });
    Ok(chosen.collect())
}

/// What a saved plan says.
fn planned(args: &ApplyArgs, file: &Path) -> Result<Vec<Task>, RunError> {
    let plans = plan_file::read(file)?;
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
        let options = Options { saved: Some(Arc::new(saved)), ..options };
        Ok(Task { manifest, options })
    };
    plans.into_iter().map(task).collect()
}

fn apply(
    args: &ApplyArgs,
    rewrites: &Rewrites,
    Task { manifest, options }: Task,
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
        let summary = workspace::apply(&manifest, &options, stop, &mut reporter)?;
        talk.finish();
        results.close(&summary);
        Ok((Account::Applied(summary), tally.applied(&summary)))
    })
}
