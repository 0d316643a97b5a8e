//! `natsync plan`

use std::io::{self, BufWriter, IntoInnerError};
use std::path::Path;

use jiff::Timestamp;

use super::environment;
use super::exit::{fail, worst};
use super::outputs;
use super::reports::Reports;
use super::rewrites::rewrites;
use super::targets::{Target, load};
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

pub(super) fn run(args: &PlanArgs, console: &Console) -> Result<ExitStatus, RunError> {
    let rewrites = rewrites(&args.transfer)?;
    let reports = Reports::begin("plan", None, None, console)?;
    let targets = load(&args.manifests, console);
    let mut out = match (&args.out, &targets) {
        (Some(file), Ok(targets)) => {
            for target in targets {
                outputs::check("--out", file, &target.manifest)?;
            }
            Some(Saving::begin(file, targets.len())?)
        }
        _ => None,
    };
    let status = reports.run(targets, |target, stop, reports| {
        plan(args, &rewrites, target, stop, out.as_mut(), reports, console)
    });
    Ok(match out.map(|out| out.finish(console)) {
        Some(Err(error)) => worst(status, fail(console, &error)),
        _ => status,
    })
}

/// The file of `--out`.
struct Saving<'a> {
    file: &'a Path,
    to: BufWriter<AtomicFile>,
    /// The number of manifests that the command plans.
    manifests: usize,
    /// The number of manifests whose plan is written.
    plans: usize,
}

impl<'a> Saving<'a> {
    fn begin(file: &'a Path, manifests: usize) -> Result<Self, RunError> {
        let to = BufWriter::new(AtomicFile::create(file).map_err(unwritable)?);
        Ok(Self { file, to, manifests, plans: 0 })
    }

    /// Publishes the file if it has the plan of every manifest. An incomplete plan is discarded:
    /// applying it would leave some manifests out without notice.
    fn finish(self, console: &Console) -> Result<(), RunError> {
        if self.plans < self.manifests {
            return Ok(());
        }
        let draft = self.to.into_inner().map_err(IntoInnerError::into_error);
        draft.and_then(AtomicFile::publish).map_err(unwritable)?;
        let (shown, word) = (Untrusted::path(self.file), shell_word(&self.file.to_string_lossy()));
        let word = Untrusted(&word);
        console
            .remark(&format!("saved in {shown}; `natsync apply --plan {word}` carries it out\n"));
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
        take_ownership: args.prune.take_ownership,
        now: Timestamp::now(),
    };
    // `apply --plan` makes its options from the same recipe, so that both decide alike.
    let options = Options {
        environment: environment(),
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
