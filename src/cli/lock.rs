//! `natsync lock`

use super::environment;
use super::reports::Reports;
use super::rewrites::rewrites;
use super::shards::shard;
use super::targets::{Target, load};
use crate::cli::args::LockArgs;
use crate::event::Summary;
use crate::http::rewrite::Rewrites;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::{self, LockReport, Options};
use crate::report::{Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee, print_drift};
use crate::stop::Stop;

pub(super) fn run(args: &LockArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let rewrites = rewrites(&args.transfer)?;
    let reports = Reports::begin("lock", Some(&args.reports), args.failed.as_ref(), console)?;
    let shard = shard(&args.shard, None)?;
    Ok(reports.run(load(&args.manifests, shard, console), |target, stop, reports| {
        if args.check {
            check(target, console)
        } else {
            lock(args, &rewrites, target, stop, reports, console)
        }
    }))
}

fn lock(
    args: &LockArgs,
    rewrites: &Rewrites,
    target: Target,
    stop: &Stop,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options {
        selection,
        environment: environment(),
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        upgrade: args.upgrade,
        fail_fast: args.fail_fast,
        wait: args.wait,
        report_kept: console.is_verbose(),
        shard_concurrency: args.crowd.shard_concurrency,
        ..Options::default()
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<(Summary, LockReport)>> = if console.is_json() {
        Box::new(Lines::of_lock(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest).of_shard(options.selection.shard()))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut tally, &mut *results, &mut talk, reports]);
        let done = ops::lock(&manifest, &options, stop, &mut reporter)?;
        talk.finish();
        results.close(&done);
        let status = tally.applied(&done.0);
        let is_lost = status == ExitStatus::Ok && done.1.lost != 0;
        Ok((Account::Applied(done.0), if is_lost { ExitStatus::Failed } else { status }))
    })
}

fn check(target: Target, console: &Console) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options { selection, ..Options::default() };
    let mut talk = Talk::new(console, &manifest);
    let drift = ops::lock_drift(&manifest, &options, &mut talk)?;
    talk.finish();
    print_drift(console, &manifest, &drift);
    Ok(if drift.is_some() { ExitStatus::Drift } else { ExitStatus::Ok })
}
