//! The reports of a command beside its results: which there are, and when each is begun, told and written.

use std::cell::RefCell;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Target, for_each, load_telling, told, warn, worst};
use crate::cli::args::{ManifestArgs, ReportFileArgs};
use crate::event::Reporter;
use crate::manifest::Manifest;
use crate::manifest::select::Selection;
use crate::ops::error::{ExitStatus, RunError};
use crate::report::{
    Account, Annotations, Closing, Console, Ended, EndedWith, FailedFile, Junit, Metrics,
    StepSummary, Tee, Untrusted,
};
use crate::stop::Stop;

/// The reports of one command. Those that are files stand in their places when [`Reports::finish`] returns.
pub(super) struct Reports<'c> {
    console: &'c Console,
    files: RefCell<Files>,
}

/// A manifest with the entries that are chosen of it.
pub(super) trait Chosen {
    fn chosen(&self) -> (&Manifest, &Selection);
}

impl Chosen for Target {
    fn chosen(&self) -> (&Manifest, &Selection) {
        (&self.manifest, &self.selection)
    }
}

/// The reports that outlast a manifest.
#[derive(Default)]
struct Files {
    failed: Option<FailedFile>,
    junit: Option<Junit>,
    metrics: Option<Metrics>,
    summary: Option<StepSummary>,
    /// Whether there was something to tell of.
    has_told: bool,
    /// Whether a manifest had its turn.
    has_begun: bool,
}

/// A report about one manifest.
type Part<'p> = Box<dyn for<'e> Closing<Ended<'e>> + 'p>;

const SUMMARY_VARIABLE: &str = "GITHUB_STEP_SUMMARY";

impl<'c> Reports<'c> {
    /// Begins the reports that the command line and the environment ask for.
    ///
    /// # Errors
    /// When a file cannot be where it is wanted, which is told: nothing has been touched then.
    pub(super) fn begin(
        command: &'static str,
        args: Option<&ReportFileArgs>,
        failed: Option<&PathBuf>,
        console: &'c Console,
    ) -> Result<Self, ExitStatus> {
        let files = Files::begin(command, args, failed).map_err(|error| told(console, &error))?;
        Ok(Self { console, files: RefCell::new(files) })
    }

    /// Reads the manifests, and tells of those that are wrong.
    pub(super) fn load(&self, args: &ManifestArgs) -> Result<Vec<Target>, ExitStatus> {
        load_telling(args, self.console, |file, error| self.refuse(file, error))
    }

    /// Goes through manifests one after the other, and tells of those that had no turn before a signal. Then the
    /// files are put in their places.
    pub(super) fn each<T: Chosen>(
        self,
        targets: Vec<T>,
        stop: &Stop,
        mut run: impl FnMut(T, &Self) -> Result<ExitStatus, RunError>,
    ) -> ExitStatus {
        let mut targets = targets.into_iter();
        let status = for_each(&mut targets, Some(stop), self.console, |target| run(target, &self));
        for target in targets {
            let (manifest, selection) = target.chosen();
            self.pass_over(manifest, selection, status);
        }
        self.finish(status)
    }

    /// Carries out the command on one manifest, and has the reports listen.
    pub(super) fn follow(
        &self,
        manifest: &Manifest,
        selection: &Selection,
        stop: &Stop,
        run: impl FnOnce(&mut dyn Reporter) -> Result<(Account, ExitStatus), RunError>,
    ) -> Result<ExitStatus, RunError> {
        let began = Instant::now();
        let mut files = self.files.borrow_mut();
        let mut parts = files.parts(manifest, selection, self.console);
        let mut listening: Vec<_> =
            parts.iter_mut().map(|part| &mut **part as &mut dyn Reporter).collect();
        let result = run(&mut Tee(&mut listening));
        let (with, status) = match &result {
            Ok((account, status)) => (EndedWith::Account(*account), *status),
            Err(error) => (EndedWith::Error(error), error.exit_status()),
        };
        let status = stop.reason().map_or(status, ExitStatus::from);
        let ended = Ended { status, elapsed: began.elapsed(), with };
        for part in &mut parts {
            part.close(&ended);
        }
        result.map(|(_, status)| status)
    }

    /// Tells of a manifest that had no turn, since the run ended before.
    fn pass_over(&self, manifest: &Manifest, selection: &Selection, status: ExitStatus) {
        let mut files = self.files.borrow_mut();
        let with = EndedWith::NotBegun;
        let ended = Ended { status, elapsed: std::time::Duration::ZERO, with };
        let mut parts = files.parts(manifest, selection, self.console);
        for part in &mut parts {
            part.close(&ended);
        }
    }

    /// Tells of a manifest that is wrong.
    fn refuse(&self, file: &Path, error: &RunError) {
        let mut files = self.files.borrow_mut();
        files.has_told = true;
        if let Some(junit) = &mut files.junit {
            junit.refused(file, error);
        }
        if let Some(metrics) = &mut files.metrics {
            metrics.refused(file, error.exit_status());
        }
        if let Some(summary) = &mut files.summary {
            summary.refused(file, error);
        }
    }

    /// Puts the files in their places. Returns what the command is to end with.
    pub(super) fn finish(self, status: ExitStatus) -> ExitStatus {
        let files = self.files.into_inner();
        let Files { failed, junit, metrics, summary, has_told, has_begun } = files;
        // Where nothing was tried, what failed before is still to be done.
        let failed = failed.filter(|_| has_begun);
        let (junit, metrics) = (junit.filter(|_| has_told), metrics.filter(|_| has_told));
        let written = [
            ("the file of --failed", failed.map(FailedFile::publish)),
            ("the file of --junit", junit.map(Junit::publish)),
            ("the file of --metrics", metrics.map(Metrics::publish)),
        ];
        let mut status = status;
        for (what, written) in written {
            if let Some(Err(source)) = written {
                let error = RunError::Unwritable { what, source };
                status = worst(status, told(self.console, &error));
            }
        }
        if let Some(error) = summary.and_then(StepSummary::finish) {
            let message = format!("the file of {SUMMARY_VARIABLE} cannot be written: {error}");
            warn(self.console, &message);
        }
        status
    }
}

impl Files {
    fn begin(
        command: &'static str,
        args: Option<&ReportFileArgs>,
        failed: Option<&PathBuf>,
    ) -> Result<Self, RunError> {
        let junit = args.and_then(|args| args.junit.as_ref());
        let metrics = args.and_then(|args| args.metrics.as_ref());
        check([("--failed", failed), ("--junit", junit), ("--metrics", metrics)])?;
        Ok(Self {
            failed: create("--failed", failed, FailedFile::create)?,
            junit: create("--junit", junit, |file| Junit::create(file, command))?,
            metrics: create("--metrics", metrics, |file| Metrics::create(file, command))?,
            summary: env::var_os(SUMMARY_VARIABLE)
                .filter(|file| !file.is_empty())
                .map(|file| StepSummary::new(file.into(), command)),
            has_told: false,
            has_begun: false,
        })
    }

    fn parts<'p>(
        &'p mut self,
        manifest: &'p Manifest,
        selection: &'p Selection,
        console: &'p Console,
    ) -> Vec<Part<'p>> {
        (self.has_told, self.has_begun) = (true, true);
        let mut parts: Vec<Part<'p>> = Vec::new();
        if let Some(failed) = &mut self.failed {
            parts.push(Box::new(failed.of(manifest, selection)));
        }
        if let Some(junit) = &mut self.junit {
            parts.push(Box::new(junit.of(manifest)));
        }
        if let Some(metrics) = &mut self.metrics {
            parts.push(Box::new(metrics.of(manifest)));
        }
        if let Some(summary) = &mut self.summary {
            parts.push(Box::new(summary.of(manifest)));
        }
        if let Some(annotations) = Annotations::new(console, manifest) {
            parts.push(Box::new(annotations));
        }
        parts
    }
}

/// Refuses what must be a slip.
fn check<const N: usize>(files: [(&str, Option<&PathBuf>); N]) -> Result<(), RunError> {
    let given: Vec<_> =
        files.iter().filter_map(|(flag, file)| Some((*flag, file.as_deref()?))).collect();
    for (number, &(flag, file)) in given.iter().enumerate() {
        let is_manifest =
            file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if is_manifest {
            return Err(RunError::Usage {
                message: format!("{flag} would write over `{}`", file.display()),
                hint: Some(format!("a file of its own follows {flag}, and no manifest")),
            });
        }
        if let Some((other, _)) = given[..number].iter().find(|(_, other)| *other == file) {
            let message = format!("{other} and {flag} would both write `{}`", file.display());
            return Err(RunError::usage(message));
        }
    }
    Ok(())
}

fn create<T>(
    flag: &str,
    file: Option<&PathBuf>,
    create: impl FnOnce(&Path) -> io::Result<T>,
) -> Result<Option<T>, RunError> {
    let Some(file) = file else { return Ok(None) };
    create(file).map(Some).map_err(|error| {
        let place = Untrusted::path(file);
        RunError::Usage {
            message: format!("{flag} cannot write `{place}`: {error}"),
            hint: match error.kind() {
                io::ErrorKind::NotFound => Some("its folder must be there before".to_owned()),
                _ => None,
            },
        }
    })
}
