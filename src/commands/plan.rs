//! `natsync plan`

use std::io::{self, BufWriter, IntoInnerError};
use std::path::Path;

use jiff::Timestamp;

use super::reports::Reports;
use super::{Target, for_each, load_telling, rewrites, worst};
use crate::cli::PlanArgs;
use crate::draft::Draft;
use crate::error::{ExitStatus, RunError};
use crate::manifest::Quota;
use crate::plan::Plan;
use crate::plan_file::Recipe;
use crate::report::{
    Account, Closing, Console, Lines, Listing, Talk, Tally, Tee, Untrusted, print_error,
};
use crate::rewrite::Rewrites;
use crate::select::shell_word;
use crate::stop::Stop;
use crate::workspace::{self, Options};

pub(super) fn run(args: &PlanArgs, console: &Console) -> ExitStatus {
    let rewrites = match rewrites(&args.transfer) {
        Ok(rewrites) => rewrites,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let reports = match Reports::begin("plan", None, None, console) {
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
    let count = targets.len();
    let mut out = match args.out.as_deref().map(Saving::begin).transpose() {
        Ok(out) => out,
        Err(error) => {
            print_error(console, &error);
            return error.exit_status();
        }
    };
    let stop = Stop::on_signals();
    let status = for_each(&mut targets, Some(&stop), console, |target| {
        plan(args, &rewrites, target, &stop, out.as_mut(), &reports, console)
    });
    for target in targets {
        reports.pass_over(&target.manifest, &target.selection, status);
    }
    let status = reports.finish(status);
    match out.map(|out| out.finish(count, console)) {
        Some(Err(error)) => {
            print_error(console, &error);
            worst(status, error.exit_status())
        }
        _ => status,
    }
}

/// The file of `--out`.
struct Saving<'a> {
    file: &'a Path,
    to: BufWriter<Draft>,
    /// How many manifests have their plan in it.
    plans: usize,
}

impl<'a> Saving<'a> {
    fn begin(file: &'a Path) -> Result<Self, RunError> {
        let to = BufWriter::new(Draft::create(file).map_err(unwritable)?);
        Ok(Self { file, to, plans: 0 })
    }

    /// Puts it in its place, if it has the plans of so many manifests: half of a plan is none.
    fn finish(self, wanted: usize, console: &Console) -> Result<(), RunError> {
        if self.plans < wanted {
            return Ok(());
        }
        let draft = self.to.into_inner().map_err(IntoInnerError::into_error);
        draft.and_then(Draft::publish).map_err(unwritable)?;
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
    let Target { manifest, selection } = target;
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
    let options = Options {
        selection,
        now: Some(recipe.now),
        rewrites: rewrites.clone(),
        jobs: args.transfer.jobs.map(usize::from),
        limit_rate: args.transfer.limit_rate,
        retries: args.transfer.retries,
        force: recipe.force,
        rehash: recipe.rehash,
        locked: recipe.locked,
        refresh: args.refresh,
        report_kept: console.is_verbose(),
        prune: recipe.prune,
        max_delete: recipe.max_delete.map(Quota::Count),
        report_actions: !console.is_quiet() || console.is_json(),
        ..Options::default()
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
        let plan = workspace::plan(&manifest, &options, stop, &mut reporter)?;
        if let Some(out) = out
            && !stop.is_requested()
        {
            workspace::save_plan(&recipe, &manifest, &plan, &mut out.to)?;
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
