//! stdout and stderr, with the user's settings for them. The only place that writes to either.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::output::Output;
use super::screen::Screen;
use super::text::Paint;
use super::workflow::{Annotation, Level, Workflow, harmless};
use crate::ops::error::RunError;

/// Output settings from the command line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settings {
    pub format: Format,
    pub verbosity: Verbosity,
    pub color: When,
    pub progress: When,
}

/// Format of the results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    #[default]
    Human,
    /// JSON Lines for programs.
    Json,
}

/// Amount of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verbosity {
    /// Only errors.
    Quiet,
    /// Summaries.
    #[default]
    Normal,
    /// A line for each entry.
    Verbose,
}

/// When to do something that by default depends on the stream being a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    /// Only on a terminal.
    #[default]
    Auto,
    /// Also without a terminal.
    Always,
    /// Never.
    Never,
}

/// Form of the progress display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressKind {
    Off,
    /// A line every few seconds, for a log.
    Lines,
    /// Lines at the bottom of the terminal that are redrawn.
    Display,
}

/// Writes results to stdout and messages to stderr.
///
/// While a progress display is shown, output is buffered until the next [`Console::tick`], so that
/// the display and the lines do not overwrite each other.
pub(crate) struct Console {
    settings: Settings,
    out: RefCell<Output>,
    out_paint: Paint,
    out_width: Width,
    err: RefCell<Box<dyn Write>>,
    err_waiting: RefCell<String>,
    err_paint: Paint,
    err_width: Width,
    screen: RefCell<Screen>,
    progress: ProgressKind,
    workflow: Option<Workflow>,
}

/// Columns of a stream.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// Not a terminal: lines are neither cut nor wrapped.
    Unlimited,
    #[cfg(test)]
    Fixed(usize),
    /// Measured at each use, because a terminal can be resized.
    OfStdout,
    /// Measured at each use.
    OfStderr,
}

/// Columns of a terminal whose width is unknown, and of a progress display without a terminal.
const USUAL_WIDTH: usize = 80;
/// Narrower terminals are treated as this wide, and wrap the lines themselves.
const LEAST_WIDTH: usize = 40;
/// Buffered messages above this size, in bytes, are written without waiting for the next tick.
const MOST_WAITING: usize = 16 * 1024;

impl Width {
    fn columns(self) -> Option<usize> {
        let measured = |stream: Option<(terminal_size::Width, terminal_size::Height)>| {
            let columns = stream.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
            // Some terminals report zero columns.
            Some(if columns == 0 { USUAL_WIDTH } else { columns.max(LEAST_WIDTH) })
        };
        match self {
            Self::Unlimited => None,
            #[cfg(test)]
            Self::Fixed(columns) => Some(columns),
            Self::OfStdout => measured(terminal_size::terminal_size_of(io::stdout())),
            Self::OfStderr => measured(terminal_size::terminal_size_of(io::stderr())),
        }
    }
}

impl Console {
    /// A console on the streams of this process. `env` looks up environment variables: the kind of
    /// terminal, and whether the process runs in a step of GitHub Actions.
    #[must_use]
    pub(crate) fn new(settings: Settings, env: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let out_terminal = io::stdout().is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let json = settings.format == Format::Json;
        let out_color = !json && is_colored(settings.color, &io::stdout());
        let err_color = is_colored(settings.color, &io::stderr());
        let redraws = err_terminal && env("TERM").is_none_or(|term| term != "dumb");
        let progress = match settings.progress {
            _ if settings.verbosity == Verbosity::Quiet => ProgressKind::Off,
            When::Never => ProgressKind::Off,
            When::Always => ProgressKind::Display,
            // On one terminal, the display and the JSON lines would overwrite each other. A program
            // that reads JSON lines from a pipe needs no progress lines on stderr.
            When::Auto if json && (out_terminal || !redraws) => ProgressKind::Off,
            When::Auto if redraws => ProgressKind::Display,
            When::Auto => ProgressKind::Lines,
        };
        Self {
            settings,
            out: RefCell::new(Output::new(stream(io::stdout(), out_color), out_terminal)),
            out_paint: Paint::new(out_color),
            out_width: if out_terminal { Width::OfStdout } else { Width::Unlimited },
            err: RefCell::new(stream(io::stderr(), err_color)),
            err_waiting: RefCell::default(),
            err_paint: Paint::new(err_color),
            err_width: if err_terminal { Width::OfStderr } else { Width::Unlimited },
            screen: RefCell::new(Screen::new(redraws)),
            progress,
            workflow: Workflow::of(env),
        }
    }

    /// A console on the given streams, without progress. With `width`, they are treated as
    /// terminals of that many columns.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn of(
        settings: Settings,
        out: Box<dyn Write>,
        err: Box<dyn Write>,
        width: Option<usize>,
    ) -> Self {
        let width = width.map_or(Width::Unlimited, Width::Fixed);
        Self {
            settings,
            out: RefCell::new(Output::new(out, true)),
            out_paint: Paint::new(settings.color == When::Always),
            out_width: width,
            err: RefCell::new(err),
            err_waiting: RefCell::default(),
            err_paint: Paint::new(settings.color == When::Always),
            err_width: width,
            screen: RefCell::new(Screen::new(false)),
            progress: ProgressKind::Off,
            workflow: None,
        }
    }

    /// This console as part of a GitHub Actions step.
    #[cfg(test)]
    pub(super) fn in_workflow(self, workflow: Workflow) -> Self {
        Self { workflow: Some(workflow), ..self }
    }

    /// Whether `--json` was given.
    #[must_use]
    pub(crate) fn is_json(&self) -> bool {
        self.settings.format == Format::Json
    }

    /// Whether `--quiet` was given.
    #[must_use]
    pub(crate) fn is_quiet(&self) -> bool {
        self.settings.verbosity == Verbosity::Quiet
    }

    /// Whether `--verbose` was given.
    #[must_use]
    pub(crate) fn is_verbose(&self) -> bool {
        self.settings.verbosity == Verbosity::Verbose
    }

    #[must_use]
    pub(crate) fn out_paint(&self) -> Paint {
        self.out_paint
    }

    /// Columns of stdout, if it is a terminal.
    #[must_use]
    pub(crate) fn out_width(&self) -> Option<usize> {
        self.out_width.columns()
    }

    #[must_use]
    pub(crate) fn err_paint(&self) -> Paint {
        self.err_paint
    }

    /// Columns of stderr, if it is a terminal.
    #[must_use]
    pub(crate) fn err_width(&self) -> Option<usize> {
        self.err_width.columns()
    }

    /// Writes complete lines of results to stdout.
    pub(crate) fn result(&self, lines: &str) {
        let lines = self.harmless(lines);
        self.results(|writer| writer.write_all(lines.as_bytes()));
    }

    /// Lets `write` write complete lines for programs to stdout, unchanged.
    pub(crate) fn results(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        // On a terminal both streams are read as one text, so keep the order of the writes.
        if !self.err_waiting.borrow().is_empty() {
            self.release();
        }
        self.out.borrow_mut().attempt(write);
        if !self.screen.borrow().is_shown() {
            self.out.borrow_mut().line_done();
        }
    }

    /// False once a write to stdout failed: later results are discarded.
    #[must_use]
    pub(crate) fn is_open(&self) -> bool {
        self.out.borrow().is_open()
    }

    /// Writes complete lines of messages to stderr. Errors are ignored: there is no other stream to
    /// report them on.
    pub(crate) fn say(&self, lines: &str) {
        self.write_err(&self.harmless(lines));
    }

    /// Writes an annotation for GitHub Actions. Does nothing elsewhere.
    pub(super) fn annotate(&self, annotation: &Annotation<'_>) {
        let is_wanted = annotation.level == Level::Error || !self.is_quiet();
        if let Some(workflow) = self.workflow.as_ref().filter(|_| is_wanted)
            && let Some(command) = workflow.command(annotation)
        {
            self.write_err(&command);
        }
    }

    /// Whether the process is part of a GitHub Actions step.
    pub(crate) fn is_in_workflow(&self) -> bool {
        self.workflow.is_some()
    }

    /// The number of annotations of a level that GitHub will still show in this step.
    pub(super) fn annotations_left(&self, level: Level) -> usize {
        self.workflow.as_ref().map_or(0, |workflow| workflow.left(level))
    }

    /// The lines with everything escaped that GitHub Actions would read as a workflow command.
    fn harmless<'t>(&self, lines: &'t str) -> Cow<'t, str> {
        if self.workflow.is_some() { harmless(lines) } else { Cow::Borrowed(lines) }
    }

    fn write_err(&self, lines: &str) {
        if lines.is_empty() {
            return;
        }
        if self.out.borrow().has_waiting() {
            self.release();
        }
        let mut waiting = self.err_waiting.borrow_mut();
        waiting.push_str(lines);
        let must_go = !self.screen.borrow().is_shown() || MOST_WAITING < waiting.len();
        drop(waiting);
        if must_go {
            self.release();
        }
    }

    /// Like [`Console::say`], but silent with `--quiet`.
    pub(crate) fn remark(&self, lines: &str) {
        if !self.is_quiet() {
            self.say(lines);
        }
    }

    /// Writes what is buffered. Call it several times a second while work goes on.
    pub(crate) fn tick(&self) {
        self.release();
    }

    pub(super) fn progress(&self) -> ProgressKind {
        self.progress
    }

    /// Columns that a progress display may fill.
    pub(super) fn display_width(&self) -> usize {
        self.err_width().unwrap_or(USUAL_WIDTH)
    }

    /// Replaces the lines of the progress display.
    pub(super) fn show(&self, display: &str) {
        self.screen.borrow_mut().show(self.harmless(display).into_owned());
    }

    /// Removes the progress display.
    pub(super) fn hide(&self) {
        self.screen.borrow_mut().clear();
        self.release();
    }

    /// Removes the progress display after a panic. The panic may have happened while the display
    /// was borrowed; then it stays.
    pub(crate) fn abandon_display(&self) {
        if let Ok(mut screen) = self.screen.try_borrow_mut() {
            screen.clear();
        }
    }

    /// Flushes everything at the end of a run.
    ///
    /// # Errors
    /// When results were lost, other than by a closed pipe.
    pub(crate) fn finish(&self) -> Result<(), RunError> {
        self.hide();
        match self.out.borrow_mut().error() {
            Some(error) => Err(RunError::Output(error)),
            None => Ok(()),
        }
    }

    fn release(&self) {
        let waiting = std::mem::take(&mut *self.err_waiting.borrow_mut());
        let screen = self.screen.borrow();
        let mut out = self.out.borrow_mut();
        if waiting.is_empty() && !out.has_waiting() {
            return;
        }
        screen.suspend(|| {
            out.flush();
            let mut err = self.err.borrow_mut();
            let _ = err.write_all(waiting.as_bytes()).and_then(|()| err.flush());
        });
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Whether a stream gets colour: by the user's setting, else by the kind of the stream and the
/// variables `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM`.
fn is_colored(when: When, raw: &impl anstream::stream::RawStream) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => AutoStream::choice(raw) != ColorChoice::Never,
    }
}

/// The stream. With colour, through an adapter for consoles that do not know escape sequences.
fn stream<S>(raw: S, colored: bool) -> Box<dyn Write>
where
    S: anstream::stream::RawStream + anstream::stream::AsLockedWrite + 'static,
{
    if colored { Box::new(AutoStream::always(raw)) } else { Box::new(raw) }
}
