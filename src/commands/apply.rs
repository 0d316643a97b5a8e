//! `natsync apply`

use super::{Target, for_each, load, rewrites};
use crate::cli::ApplyArgs;
use crate::error::{ExitStatus, RunError};
use crate::event::Summary;
use crate::manifest::Quota;
use crate::report::{Closing, Console, Lines, Outcomes, Talk, Tally, Tee, print_error};
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
    let targets = match load(&args.manifests, console) {
        Ok(targets) => targets,
        Err(status) => return status,
    };
    let stop = Stop::on_signals();
    for_each(targets, Some(&stop), console, |target| apply(args, &rewrites, target, &stop, console))
}

fn apply(
    args: &ApplyArgs,
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
        offline: args.offline,
        force: args.trust.force,
        rehash: args.trust.rehash,
        locked: args.locked,
        upgrade: false,
        fail_fast: args.fail_fast,
        wait: args.wait,
        refresh: false,
        report_kept: console.is_verbose(),
        prune: args.prune.decided(&args.manifests),
        max_delete: args.prune.max_delete.map(Quota::Count),
        report_actions: false,
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<Summary>> = if console.is_json() {
        Box::new(Lines::of_apply(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest))
    };
    let summary = workspace::apply(
        &manifest,
        &options,
        stop,
        &mut Tee(&mut [&mut tally, &mut *results, &mut talk]),
    )?;
    talk.finish();
    results.close(&summary);
    Ok(tally.applied(&summary))
}
