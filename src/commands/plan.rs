//! `natsync plan`

use super::{Target, for_each, load, rewrites};
use crate::cli::PlanArgs;
use crate::error::{ExitStatus, RunError};
use crate::manifest::Quota;
use crate::plan::Plan;
use crate::report::{Closing, Console, Lines, Listing, Talk, Tally, Tee, print_error};
use crate::rewrite::Rewrites;
use crate::stop::Stop;
use crate::workspace::{self, Options};

pub(super) fn run(args: &PlanArgs, console: &Console) -> ExitStatus {
    let rewrites = match rewrites(&args.transfer) {
        Ok(rewrites) => rewrites,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let targets = match load(&args.manifests, console) {
        Ok(targets) => targets,
        Err(status) => return status,
    };
    let stop = Stop::on_signals();
    for_each(targets, Some(&stop), console, |target| plan(args, &rewrites, target, &stop, console))
}

fn plan(
    args: &PlanArgs,
    rewrites: &Rewrites,
    target: Target,
    stop: &Stop,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options {
        selection,
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        offline: false,
        force: args.trust.force,
        rehash: args.trust.rehash,
        locked: args.locked,
        upgrade: false,
        fail_fast: false,
        wait: false,
        refresh: args.refresh,
        report_kept: console.is_verbose(),
        prune: args.prune.decided(&args.manifests),
        max_delete: args.prune.max_delete.map(Quota::Count),
        report_actions: !console.is_quiet() || console.is_json(),
    };
    let mut tally = Tally::default();
    let mut talk = Talk::of_plan(console, &manifest);
    let mut results: Box<dyn Closing<Plan>> = if console.is_json() {
        Box::new(Lines::of_plan(console, &manifest))
    } else {
        Box::new(Listing::new(console, &manifest))
    };
    let plan = workspace::plan(
        &manifest,
        &options,
        stop,
        &mut Tee(&mut [&mut tally, &mut *results, &mut talk]),
    )?;
    talk.finish();
    results.close(&plan);
    Ok(match tally.plan_failed() {
        true => ExitStatus::Failed,
        false if args.exit_code && plan.counts().is_drift() => ExitStatus::Drift,
        false => ExitStatus::Ok,
    })
}
