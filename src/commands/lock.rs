//! `natsync lock`

use super::{Target, for_each, load, rewrites};
use crate::cli::LockArgs;
use crate::error::{ExitStatus, RunError};
use crate::event::Summary;
use crate::report::{
    Closing, Console, Lines, Outcomes, Talk, Tally, Tee, print_drift, print_error,
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
    let targets = match load(&args.manifests, console) {
        Ok(targets) => targets,
        Err(status) => return status,
    };
    let stop = Stop::on_signals();
    for_each(targets, Some(&stop), console, |target| {
        if args.check {
            check(target, console)
        } else {
            lock(args, &rewrites, target, &stop, console)
        }
    })
}

fn lock(
    args: &LockArgs,
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
    let done = workspace::lock(
        &manifest,
        &options,
        stop,
        &mut Tee(&mut [&mut tally, &mut *results, &mut talk]),
    )?;
    talk.finish();
    results.close(&done);
    let status = tally.applied(&done.0);
    Ok(if status == ExitStatus::Ok && done.1.lost != 0 { ExitStatus::Failed } else { status })
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
