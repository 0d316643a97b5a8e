//! `natsync verify`

use super::{Target, for_each, load};
use crate::cli::VerifyArgs;
use crate::error::{ExitStatus, RunError};
use crate::report::{Closing, Console, Lines, Talk, Tee, Verdicts};
use crate::stop::Stop;
use crate::workspace::{self, Findings, Options};

pub(super) fn run(args: &VerifyArgs, console: &Console) -> ExitStatus {
    let targets = match load(&args.manifests, console) {
        Ok(targets) => targets,
        Err(status) => return status,
    };
    let stop = Stop::on_signals();
    for_each(targets, Some(&stop), console, |target| verify(args, target, &stop, console))
}

fn verify(
    args: &VerifyArgs,
    target: Target,
    stop: &Stop,
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
    let findings = workspace::verify(
        &manifest,
        &options,
        args.quick,
        stop,
        &mut Tee(&mut [&mut *results, &mut talk]),
    )?;
    talk.finish();
    results.close(&findings);
    Ok(if findings.is_success() { ExitStatus::Ok } else { ExitStatus::Failed })
}
