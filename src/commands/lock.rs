//! `natsync lock`

use std::path::Path;

use super::reports::Reports;
use super::{Target, for_each, load_telling, rewrites};
use crate::cli::LockArgs;
use crate::error::{ExitStatus, RunError};
use crate::event::Summary;
use crate::report::{
    Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee, print_drift, print_error,
};
use crate::rewrite::Rewrites;
use crate::stop::Stop;
use crate::workspace::{self, LockReport, Options};

pub(super) fn run(args: &LockArgs, console: &Console) -> ExitStatus {
    let rewrites = match rewrites(&args.transfer) {
        Ok(rewrites) => rewrites,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let reports = Reports::begin("lock", Some(&args.reports), args.failed.as_ref(), console);
    let reports = match reports {
        Ok(reports) => reports,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let tell = |file: &Path, error: &RunError| reports.refuse(file, error);
    let mut targets = match load_telling(&args.manifests, console, tell) {
        Ok(targets) => targets.into_iter(),
        Err(status) => return reports.finish(status),
    };
    let stop = Stop::on_signals();
    let status = for_each(&mut targets, Some(&stop), console, |target| {
        if args.check {
            check(target, console)
        } else {
            lock(args, &rewrites, target, &stop, &reports, console)
        }
    });
    for target in targets {
        reports.pass_over(&target.manifest, &target.selection, status);
    }
    reports.finish(status)
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
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        upgrade: args.upgrade,
        fail_fast: args.fail_fast,
        wait: args.wait,
        report_kept: console.is_verbose(),
        ..Options::default()
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<(Summary, LockReport)>> = if console.is_json() {
        Box::new(Lines::of_lock(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut tally, &mut *results, &mut talk, reports]);
        let done = workspace::lock(&manifest, &options, stop, &mut reporter)?;
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
    let drift = workspace::lock_drift(&manifest, &options, &mut talk)?;
    talk.finish();
    print_drift(console, &manifest, &drift);
    Ok(if drift.is_some() { ExitStatus::Drift } else { ExitStatus::Ok })
}
