//! The reports of a command beside its results on standard output: `--junit`, `--metrics`,
//! `--failed`, and GitHub's annotations and step summary.
//!
//! Creates them before the work, has them listen to the run of each manifest, and publishes the
//! files at the end. The formats themselves are in `report`.

use std::cell::RefCell;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::exit::{fail, warn, worst};
use super::outputs;
use super::targets::{Refused, Target, for_each};
use crate::cli::args::ReportFileArgs;
use crate::event::Reporter;
use crate::manifest::Manifest;
use crate::manifest::select::Selection;
use crate::ops::error::{ExitStatus, RunError};
use crate::report::{
    Account, Annotations, Closing, Console, Ended, EndedWith, FailedFile, Junit, Metrics,
    StepSummary, Tee, Untrusted,
};
use crate::stop::Stop;

/// The reports of one command. [`Reports::run`] publishes those that are files.
pub(super) struct Reports<'c> {
    console: &'c Console,
    /// The flag and the name of each file.
    named: Vec<(&'static str, PathBuf)>,
    files: RefCell<Files>,
}

/// A manifest with its chosen entries.
pub(super) trait Chosen {
    fn chosen(&self) -> (&Manifest, &Selection);
}

impl Chosen for Target {
    fn chosen(&self) -> (&Manifest, &Selection) {
        (&self.manifest, &self.selection)
    }
}

/// The reports that cover all manifests of the command.
#[derive(Default)]
struct Files {
    failed: Option<FailedFile>,
    junit: Option<Junit>,
    metrics: Option<Metrics>,
    summary: Option<StepSummary>,
    /// Whether the reports have any content.
    has_content: bool,
    /// Whether the work on a manifest began.
    has_begun: bool,
}

/// The part of a report about one manifest.
type Part<'p> = Box<dyn for<'e> Closing<Ended<'e>> + 'p>;

const SUMMARY_VARIABLE: &str = "GITHUB_STEP_SUMMARY";

impl<'c> Reports<'c> {
    /// Creates the reports that the command line and the environment ask for.
    ///
    /// # Errors
    /// When a report file cannot be created.
    pub(super) fn begin(
        command: &'static str,
        args: Option<&ReportFileArgs>,
        failed: Option<&PathBuf>,
        console: &'c Console,
    ) -> Result<Self, RunError> {
        let junit = args.and_then(|args| args.junit.as_ref());
        let metrics = args.and_then(|args| args.metrics.as_ref());
        let named = [("--failed", failed), ("--junit", junit), ("--metrics", metrics)];
        let files = Files::begin(command, named)?;
        let named = named.into_iter().filter_map(|(flag, file)| Some((flag, file?.clone())));
        Ok(Self { console, named: named.collect(), files: RefCell::new(files) })
    }

    /// Runs the command on its manifests, one after the other, until a signal arrives. Then
    /// publishes the report files. Returns the exit status of the command.
    ///
    /// The reports also cover the manifests that could not be used, and those that had not begun
    /// when the signal arrived.
    pub(super) fn run<T: Chosen>(
        self,
        targets: Result<Vec<T>, Refused>,
        mut run: impl FnMut(T, &Stop, &Self) -> Result<ExitStatus, RunError>,
    ) -> ExitStatus {
        let targets = targets.and_then(|targets| {
            let manifests = || targets.iter().map(|target| target.chosen().0);
            for (flag, file) in &self.named {
                manifests().try_for_each(|manifest| outputs::check(flag, file, manifest))?;
            }
            Ok(targets)
        });
        let mut targets = match targets {
            Ok(targets) => targets.into_iter(),
            Err(refused) => {
                self.refuse(&refused);
                let status = refused.fail(self.console);
                return self.finish(status);
            }
        };
        // Installed only now: while manifests are read, a signal ends the process at once.
        let stop = Stop::on_signals_within(super::END);
        let status = for_each(Ok(&mut targets), Some(&stop), self.console, |target| {
            run(target, &stop, &self)
        });
        for target in targets {
            let (manifest, selection) = target.chosen();
            self.pass_over(manifest, selection, status);
        }
        self.finish(status)
    }

    /// Runs the command on one manifest while the reports listen.
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

    /// Reports a manifest that had not begun when the run ended.
    fn pass_over(&self, manifest: &Manifest, selection: &Selection, status: ExitStatus) {
        let mut files = self.files.borrow_mut();
        let with = EndedWith::NotBegun;
        let ended = Ended { status, elapsed: std::time::Duration::ZERO, with };
        let mut parts = files.parts(manifest, selection, self.console);
        for part in &mut parts {
            part.close(&ended);
        }
    }

    /// Reports the manifests that cannot be used.
    fn refuse(&self, Refused(refusals): &Refused) {
        let mut files = self.files.borrow_mut();
        let of_files = refusals.iter().filter_map(|one| Some((one.file.as_ref()?, &one.error)));
        for (file, error) in of_files {
            files.has_content = true;
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
    }

    /// Publishes the files. Returns the exit status of the command, given that of its work.
    fn finish(self, status: ExitStatus) -> ExitStatus {
        let files = self.files.into_inner();
        let Files { failed, junit, metrics, summary, has_content, has_begun } = files;
        // If no manifest was begun, the list of an earlier run is kept: it is still to be retried.
        let failed = failed.filter(|_| has_begun);
        let (junit, metrics) = (junit.filter(|_| has_content), metrics.filter(|_| has_content));
        let written = [
            ("the file of --failed", failed.map(FailedFile::publish)),
            ("the file of --junit", junit.map(Junit::publish)),
            ("the file of --metrics", metrics.map(Metrics::publish)),
        ];
        let mut status = status;
        for (what, written) in written {
            if let Some(Err(source)) = written {
                let error = RunError::Unwritable { what, source };
                status = worst(status, fail(self.console, &error));
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
        named: [(&'static str, Option<&PathBuf>); 3],
    ) -> Result<Self, RunError> {
        check(named)?;
        let [(_, failed), (_, junit), (_, metrics)] = named;
        Ok(Self {
            failed: create("--failed", failed, FailedFile::create)?,
            junit: create("--junit", junit, |file| Junit::create(file, command))?,
            metrics: create("--metrics", metrics, |file| Metrics::create(file, command))?,
            summary: env::var_os(SUMMARY_VARIABLE)
                .filter(|file| !file.is_empty())
                .map(|file| StepSummary::new(file.into(), command)),
            has_content: false,
            has_begun: false,
        })
    }

    fn parts<'p>(
        &'p mut self,
        manifest: &'p Manifest,
        selection: &'p Selection,
        console: &'p Console,
    ) -> Vec<Part<'p>> {
        (self.has_content, self.has_begun) = (true, true);
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

/// Refuses report files that would overwrite a manifest or each other.
fn check<const N: usize>(files: [(&str, Option<&PathBuf>); N]) -> Result<(), RunError> {
    let given: Vec<_> =
        files.iter().filter_map(|(flag, file)| Some((*flag, file.as_deref()?))).collect();
    for (number, &(flag, file)) in given.iter().enumerate() {
        let is_manifest =
            file.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
        if is_manifest {
            return Err(RunError::Usage {
                message: format!("{flag} would overwrite `{}`", file.display()),
                hint: Some(format!("give {flag} the name of a report file, not of a manifest")),
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
                io::ErrorKind::NotFound => Some("create its folder first".to_owned()),
                _ => None,
            },
        }
    })
}
