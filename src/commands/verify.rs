//! `natsync verify`

use std::path::Path;

use super::reports::Reports;
use super::{Target, for_each, load_telling};
use crate::cli::VerifyArgs;
use crate::error::{ExitStatus, RunError};
use crate::report::{Account, Closing, Console, Lines, Talk, Tee, Verdicts, print_error};
use crate::stop::Stop;
use crate::workspace::{self, Findings, Options};

pub(super) fn run(args: &VerifyArgs, console: &Console) -> ExitStatus {
    let reports = match Reports::begin("verify", Some(&args.reports), None, console) {
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
        verify(args, target, &stop, &reports, console)
    });
    for target in targets {
        reports.pass_over(&target.manifest, &target.selection, status);
    }
    reports.finish(status)
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
        let findings = workspace::verify(&manifest, &options, args.quick, stop, &mut reporter)?;
        talk.finish();
        results.close(&findings);
        let is_success = findings.is_success();
        let status = if is_success { ExitStatus::Ok } else { ExitStatus::Failed };
        Ok((Account::Verified(findings), status))
    })
}
