//! `natsync merge`

use super::environment;
use super::reports::Reports;
use super::targets::{Target, load};
use crate::cli::args::{ManifestArgs, MergeArgs};
use crate::manifest::Quota;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::{self, MergeOptions, MergeReport, Options};
use crate::report::{Account, Closing, Console, Lines, Outcomes, Talk, Tally, Tee};
use crate::stop::Stop;

pub(super) fn run(args: &MergeArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let merge = MergeOptions { shards: args.shards, partial: args.partial };
    let failed = args.failed.as_ref().filter(|file| !file.as_os_str().is_empty());
    if args.array {
        return array(args, merge, console);
    }
    if args.failed.is_some() && failed.is_none() {
        return Err(RunError::usage("--failed needs the name of a file, unless --array is given"));
    }
    let reports = Reports::begin("merge", Some(&args.reports), failed, console)?;
    let target = target(args, console).map(|target| vec![target]);
    Ok(reports
        .run(target, |target, stop, reports| combine(args, merge, target, stop, reports, console)))
}

/// The manifest with the date and the variables of the shards' runs.
fn target(args: &MergeArgs, console: &Console) -> Result<Target, super::targets::Refused> {
    let read = |today| {
        let manifests = ManifestArgs {
            manifests: args.manifest.iter().cloned().collect(),
            dest: args.dest.clone(),
            only: Vec::new(),
            set: args.set.clone(),
            today,
        };
        load(&manifests, None, console)
    };
    let one = |targets: Vec<Target>| match <[Target; 1]>::try_from(targets) {
        Ok([target]) => Ok(target),
        Err(_) => Err(RunError::usage("merge is about one manifest: name only one")),
    };
    let target = one(read(args.today)?)?;
    match ops::date(&target.manifest, args.shards) {
        // The shards may have run yesterday.
        Some(today) if args.today.is_none() && today != target.manifest.today => {
            Ok(one(read(Some(today))?)?)
        }
        _ => Ok(target),
    }
}

/// Prints the numbers of the shards that must run again, as Slurm's `--array` reads them.
fn array(args: &MergeArgs, merge: MergeOptions, console: &Console) -> Result<ExitStatus, RunError> {
    let target = match target(args, console) {
        Ok(target) => target,
        Err(refused) => return Ok(refused.fail(console)),
    };
    let numbers = ops::missing_shards(&target.manifest, merge, args.failed.is_some())?;
    if numbers.is_empty() {
        return Ok(ExitStatus::Ok);
    }
    console.result(&format!("{numbers}\n"));
    Ok(ExitStatus::Failed)
}

fn combine(
    args: &MergeArgs,
    merge: MergeOptions,
    target: Target,
    stop: &Stop,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, selection } = target;
    let options = Options {
        selection,
        environment: environment(),
        prune: match (args.prune.prune, args.prune.no_prune, args.set.is_empty()) {
            (false, false, true) => None,
            (prune, ..) => Some(prune),
        },
        max_delete: args.prune.max_delete.map(Quota::Count),
        take_ownership: args.prune.take_ownership,
        wait: args.wait,
        report_kept: console.is_verbose(),
        ..Options::default()
    };
    let mut tally = Tally::default();
    let mut talk = Talk::new(console, &manifest);
    let mut results: Box<dyn Closing<MergeReport>> = if console.is_json() {
        Box::new(Lines::of_merge(console, &manifest))
    } else {
        Box::new(Outcomes::new(console, &manifest))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut tally, &mut *results, &mut talk, reports]);
        let report = ops::merge(&manifest, &options, merge, stop, &mut reporter)?;
        talk.finish();
        results.close(&report);
        let status = match tally.applied(&report.summary) {
            ExitStatus::Ok if !report.missing.is_empty() => ExitStatus::Failed,
            status => status,
        };
        Ok((Account::Merged(report), status))
    })
}
