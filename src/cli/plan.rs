//! `natsync plan`

use std::io::{self, BufWriter, IntoInnerError};
use std::path::Path;

use jiff::Timestamp;

use super::reports::Reports;
use super::{Target, rewrites, told, worst};
use crate::atomic_file::AtomicFile;
use crate::cli::args::PlanArgs;
use crate::http::rewrite::Rewrites;
use crate::manifest::select::shell_word;
use crate::ops::error::{ExitStatus, RunError};
use crate::ops::saved_plan::Recipe;
use crate::ops::{self, Options};
use crate::plan::Plan;
use crate::report::{Account, Closing, Console, Lines, Listing, Talk, Tally, Tee, Untrusted};
use crate::stop::Stop;

pub(super) fn run(args: &PlanArgs, console: &Console) -> Result<ExitStatus, ExitStatus> {
    let told = |error: RunError| told(console, &error);
    let rewrites = rewrites(&args.transfer).map_err(told)?;
    let reports = Reports::begin("plan", None, None, console)?;
    let targets = match reports.load(&args.manifests) {
        Ok(targets) => targets,
        Err(status) => return Err(reports.finish(status)),
    };
    let count = targets.len();
    let mut out = args.out.as_deref().map(Saving::begin).transpose().map_err(told)?;
    let stop = Stop::on_signals();
    let status = reports.each(targets, &stop, |target, reports| {
        plan(args, &rewrites, target, &stop, out.as_mut(), reports, console)
    });
    Ok(match out.map(|out| out.finish(count, console)) {
        Some(Err(error)) => worst(status, told(error)),
        _ => status,
    })
}

/// The file of `--out`.
struct Saving<'a> {
    file: &'a Path,
    to: BufWriter<AtomicFile>,
    /// How many manifests have their plan in it.
    plans: usize,
}

impl<'a> Saving<'a> {
    fn begin(file: &'a Path) -> Result<Self, RunError> {
        let to = BufWriter::new(AtomicFile::create(file).map_err(unwritable)?);
        Ok(Self { file, to, plans: 0 })
    }

    /// Puts it in its place, if it has the plans of so many manifests: half of a plan is none.
    fn finish(self, wanted: usize, console: &Console) -> Result<(), RunError> {
        if self.plans < wanted {
            return Ok(());
        }
        let draft = self.to.into_inner().map_err(IntoInnerError::into_error);
        draft.and_then(AtomicFile::publish).map_err(unwritable)?;
        let (shown, word) = (Untrusted::path(self.file), shell_word(&self.file.to_string_lossy()));
        let word = Untrusted(&word);
        console
            .remark(&format!("saved in {shown}; `natsync apply --plan {word}` does just that\n"));
        Ok(())
    }
}

fn unwritable(source: io::Error) -> RunError {
    RunError::Unwritable { what: "the plan", source }
}

fn plan(
    args: &PlanArgs,
    rewrites: &Rewrites,
    target: Target,
    stop: &Stop,
    out: Option<&mut Saving<'_>>,
    reports: &Reports<'_>,
    console: &Console,
) -> Result<ExitStatus, RunError> {
    let Target { manifest, .. } = target;
    let recipe = Recipe {
        file: manifest.file().to_owned(),
        dest: args.manifests.dest.clone(),
        set: args.manifests.set.clone(),
        today: manifest.today,
        only: args.manifests.only.clone(),
        force: args.trust.force,
        rehash: args.trust.rehash,
        locked: args.locked,
        prune: args.prune.decided(&args.manifests),
        max_delete: args.prune.max_delete,
        now: Timestamp::now(),
    };
    // Made as it would be made again.
    let options = Options {
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        refresh: args.refresh,
        report_kept: console.is_verbose(),
        report_actions: !console.is_quiet() || console.is_json(),
        ..recipe.options(&manifest)?
    };
    let mut tally = Tally::default();
    let mut talk = Talk::of_plan(console, &manifest);
    let mut results: Box<dyn Closing<Plan>> = if console.is_json() {
        Box::new(Lines::of_plan(console, &manifest))
    } else {
        Box::new(Listing::new(console, &manifest))
    };
    reports.follow(&manifest, &options.selection, stop, |reports| {
        let mut reporter = Tee(&mut [&mut tally, &mut *results, &mut talk, reports]);
        let plan = ops::plan(&manifest, &options, stop, &mut reporter)?;
        if let Some(out) = out
            && !stop.is_requested()
        {
            ops::save_plan(&recipe, &manifest, &plan, &mut out.to)?;
            out.plans += 1;
        }
        talk.finish();
        results.close(&plan);
        let counts = plan.counts();
        let status = match tally.plan_failed() {
            true => ExitStatus::Failed,
            false if args.exit_code && counts.is_drift() => ExitStatus::Drift,
            false => ExitStatus::Ok,
        };
        Ok((Account::Planned(counts), status))
    })
}
