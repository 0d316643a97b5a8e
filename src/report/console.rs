//! The two streams of the process, and what the user asked of them.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::io::{self, IsTerminal, Write};

use anstream::{AutoStream, ColorChoice};

use super::output::Output;
use super::screen::Screen;
use super::text::Paint;
use super::workflow::{Annotation, Level, Workflow, harmless};
use crate::ops::error::RunError;

/// What the user asked of the output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// For people or for programs.
    pub format: Format,
    /// How much.
    pub verbosity: Verbosity,
    /// Whether in colour.
    pub color: When,
    /// Whether progress is shown.
    pub progress: When,
}

/// Whom results are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// People.
    #[default]
    Human,
    /// Programs: JSON lines.
    Json,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors alone.
    Quiet,
    /// Results in short.
    #[default]
    Normal,
    /// A line for each entry.
    Verbose,
}

/// When something is done that depends on there being a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Where a terminal shows it
    #[default]
    Auto,
    /// Also where there is no terminal
    Always,
    /// Not at all
    Never,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgressKind {
    /// Not at all.
    Off,
    /// A line now and then.
    Lines,
    /// A display that is redrawn.
    Display,
}

/// Where results and talk go: the one place that writes to stdout and stderr.
///
/// While a progress display stands on the terminal, what is written waits for the next
/// [`Console::tick`], so that display and lines do not get mixed up.
pub struct Console {
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

/// How many columns a stream has.
#[derive(Clone, Copy, Debug)]
enum Width {
    /// No terminal: lines are as long as they are.
    Unlimited,
    /// Always this many.
    Fixed(usize),
    /// As many as the terminal of stdout has.
    OfStdout,
    /// As many as the terminal of stderr has.
    OfStderr,
}

/// A terminal that does not tell its width gets this, and so does a display without a terminal.
const USUAL_WIDTH: usize = 80;
/// Below this nothing is laid out any more: lines may wrap.
const LEAST_WIDTH: usize = 40;
/// So much talk waits at most for the next tick.
const MOST_WAITING: usize = 16 * 1024;

impl Width {
    fn columns(self) -> Option<usize> {
        let measured = |stream: Option<(terminal_size::Width, terminal_size::Height)>| {
            let columns = stream.map_or(USUAL_WIDTH, |(width, _)| usize::from(width.0));
            // Some terminals say that they have no columns.
            Some(if columns == 0 { USUAL_WIDTH } else { columns.max(LEAST_WIDTH) })
        };
        match self {
            Self::Unlimited => None,
            Self::Fixed(columns) => Some(columns),
            Self::OfStdout => measured(terminal_size::terminal_size_of(io::stdout())),
            Self::OfStderr => measured(terminal_size::terminal_size_of(io::stderr())),
        }
    }
}

impl Console {
    /// The streams of this process.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the kind of terminal")]
    pub fn new(settings: Settings) -> Self {
        let out_terminal = io::stdout().is_terminal();
        let err_terminal = io::stderr().is_terminal();
        let json = settings.format == Format::Json;
        let out_color = !json && is_colored(settings.color, &io::stdout());
        let err_color = is_colored(settings.color, &io::stderr());
        let redraws = err_terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let progress = match settings.progress {
            _ if settings.verbosity == Verbosity::Quiet => ProgressKind::Off,
            When::Never => ProgressKind::Off,
            When::Always => ProgressKind::Display,
            // The display and the objects would stand in each other's way on one terminal, and
            // programs that read objects count them without our help.
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
            workflow: Workflow::of_environment(),
        }
    }

    /// Streams that somebody else reads, as terminals of that width or as none, without progress.
    #[must_use]
    pub fn of(
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

    /// The same in a step of a workflow.
    #[cfg(test)]
    pub(super) fn in_workflow(self, workflow: Workflow) -> Self {
        Self { workflow: Some(workflow), ..self }
    }

    /// Whether results are JSON lines.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.settings.format == Format::Json
    }

    /// Whether errors alone are wanted.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.settings.verbosity == Verbosity::Quiet
    }

    /// Whether a line for each entry is wanted.
    #[must_use]
    pub fn is_verbose(&self) -> bool {
        self.settings.verbosity == Verbosity::Verbose
    }

    /// The styles of stdout.
    #[must_use]
    pub fn out_paint(&self) -> Paint {
        self.out_paint
    }

    /// The columns of stdout, where it is a terminal.
    #[must_use]
    pub fn out_width(&self) -> Option<usize> {
        self.out_width.columns()
    }

    /// The styles of stderr.
    #[must_use]
    pub fn err_paint(&self) -> Paint {
        self.err_paint
    }

    /// The columns of stderr, where it is a terminal.
    #[must_use]
    pub fn err_width(&self) -> Option<usize> {
        self.err_width.columns()
    }

    /// Writes whole lines of results to stdout.
    pub fn result(&self, lines: &str) {
        let lines = self.harmless(lines);
        self.results(|writer| writer.write_all(lines.as_bytes()));
    }

    /// Writes to stdout what `write` writes, which is whole lines for programs: they reach it as they are.
    pub fn results(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        // On a terminal the two streams are one text: what was said first comes first.
        if !self.err_waiting.borrow().is_empty() {
            self.release();
        }
        self.out.borrow_mut().attempt(write);
        if !self.screen.borrow().is_shown() {
            self.out.borrow_mut().line_done();
        }
    }

    /// Whether results still arrive somewhere.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.out.borrow().is_open()
    }

    /// Writes whole lines of talk to stderr. What cannot be said is lost: there is no better place
    /// to complain.
    pub fn say(&self, lines: &str) {
        self.utter(&self.harmless(lines));
    }

    /// Shows a remark beside a line of a file, where somebody shows such remarks.
    pub(super) fn annotate(&self, annotation: &Annotation<'_>) {
        let is_wanted = annotation.level == Level::Error || !self.is_quiet();
        if let Some(workflow) = self.workflow.as_ref().filter(|_| is_wanted)
            && let Some(command) = workflow.command(annotation)
        {
            self.utter(&command);
        }
    }

    /// Whether somebody shows remarks beside lines of files.
    pub(crate) fn is_in_workflow(&self) -> bool {
        self.workflow.is_some()
    }

    /// How many such remarks of a level will still be shown; none where nobody shows them.
    pub(super) fn annotations_left(&self, level: Level) -> usize {
        self.workflow.as_ref().map_or(0, |workflow| workflow.left(level))
    }

    /// The lines so that nobody takes one for a command.
    fn harmless<'t>(&self, lines: &'t str) -> Cow<'t, str> {
        if self.workflow.is_some() { harmless(lines) } else { Cow::Borrowed(lines) }
    }

    fn utter(&self, lines: &str) {
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

    /// Says it unless errors alone are wanted.
    pub fn remark(&self, lines: &str) {
        if !self.is_quiet() {
            self.say(lines);
        }
    }

    /// Hands over all that waits. To be called several times a second while work goes on.
    pub fn tick(&self) {
        self.release();
    }

    /// How progress is to be shown.
    pub(super) fn progress(&self) -> ProgressKind {
        self.progress
    }

    /// The columns that a progress display may fill.
    pub(super) fn display_width(&self) -> usize {
        self.err_width().unwrap_or(USUAL_WIDTH)
    }

    /// Shows these lines as the progress display, in place of the ones before.
    pub(super) fn show(&self, display: &str) {
        self.screen.borrow_mut().show(self.harmless(display).into_owned());
    }

    /// Takes the progress display away.
    pub(super) fn hide(&self) {
        self.screen.borrow_mut().clear();
        self.release();
    }

    /// Takes the progress display away after a panic, which may have left anything behind.
    pub fn abandon_display(&self) {
        if let Ok(mut screen) = self.screen.try_borrow_mut() {
            screen.clear();
        }
    }

    /// Hands everything over at the end of a run.
    ///
    /// # Errors
    /// When results got lost, otherwise than by a reader that went away.
    pub fn finish(&self) -> Result<(), RunError> {
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

/// Whether that stream shows colour: as asked, else by the stream and the usual variables.
fn is_colored(when: When, raw: &impl anstream::stream::RawStream) -> bool {
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => AutoStream::choice(raw) != ColorChoice::Never,
    }
}

/// The stream itself: with colour by way of what older Windows consoles need for it.
fn stream<S>(raw: S, colored: bool) -> Box<dyn Write>
where
    S: anstream::stream::RawStream + anstream::stream::AsLockedWrite + 'static,
{
    if colored { Box::new(AutoStream::always(raw)) } else { Box::new(raw) }
}
