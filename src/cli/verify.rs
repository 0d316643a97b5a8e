//! `natsync verify`

use super::reports::Reports;
use super::shards::shard;
use super::targets::{Target, load};
use crate::cli::args::VerifyArgs;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::{self, Findings, Options};
use crate::report::{Account, Closing, Console, Lines, Talk, Tee, Verdicts};
use crate::stop::Stop;

pub(super) fn run(args: &VerifyArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let reports = Reports::begin("verify", Some(&args.reports), None, console)?;
    let shard = shard(&args.shard, None)?;
    Ok(reports.run(load(&args.manifests, shard, console), |target, stop, reports| {
        verify(args, target, stop, reports, console)
    }))
}

fn verify(
    args: &VerifyArgs,
    target: Target,
    stop: &Stop,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options { selection, ..Options::default() };
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<Findings>> = if console.is_json() {
        Box::new(Lines::of_verify(console, &manifest))
    } else {
        Box::new(Verdicts::new(console, &manifest))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut *results, &mut talk, reports]);
        let findings = ops::verify(&manifest, &options, args.quick, stop, &mut reporter)?;
        talk.finish();
        results.close(&findings);
        let is_success = findings.is_success();
        let status = if is_success { ExitStatus::Ok } else { ExitStatus::Failed };
        Ok((Account::Verified(findings), status))
    })
}
