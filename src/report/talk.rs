//! The messages on stderr while a command works: progress, warnings, and the failures at the end.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::Instant;

use super::console::{Console, ProgressKind};
use super::escape::Untrusted;
use super::failures::Failures;
use super::meter::Meter;
use super::names::Names;
use super::plain::Plain;
use super::progress::{Progress, View};
use super::units::{Count, Elapsed};
use super::warnings::warning;
use crate::event::{Event, Outcome, Reporter};
use crate::failure::ErrorKind;
use crate::manifest::Manifest;

/// Writes the messages of one command about one manifest.
pub(crate) struct Talk<'a> {
    console: &'a Console,
    names: Names<'a>,
    label: String,
    began: Instant,
    meter: Meter,
    display: Display,
    failures: Failures,
    conflicts_fail: bool,
    orphans: u64,
    first_orphans: Vec<String>,
    held: HashSet<String>,
}

enum Display {
    Off,
    Lines(Plain),
    Drawn(Progress),
}

/// Number of orphans that are named.
const NAMED: usize = 3;
/// Number of origins whose request for a pause is reported without `-v`.
const MOST_HELD: usize = 16;

impl<'a> Talk<'a> {
    /// Messages of a command that changes files, or reads them.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the time that a run takes")]
    pub(crate) fn new(console: &'a Console, manifest: &'a Manifest) -> Self {
        let display = match console.progress() {
            ProgressKind::Off => Display::Off,
            ProgressKind::Lines => Display::Lines(Plain::default()),
            ProgressKind::Display => Display::Drawn(Progress::default()),
        };
        Self {
            console,
            names: Names::new(manifest),
            label: Untrusted(manifest.name()).to_string(),
            began: Instant::now(),
            meter: Meter::default(),
            display,
            failures: Failures::default(),
            conflicts_fail: true,
            orphans: 0,
            first_orphans: Vec::new(),
            held: HashSet::new(),
        }
    }

    /// Messages of a command that only plans. A path conflict is then part of the results, not a
    /// failure.
    #[must_use]
    pub(crate) fn of_plan(console: &'a Console, manifest: &'a Manifest) -> Self {
        let mut talk = Self::new(console, manifest);
        talk.conflicts_fail = false;
        talk
    }

    /// Removes the progress display and prints the failures.
    pub(crate) fn finish(&mut self) {
        self.console.hide();
        self.print_orphans();
        let lines =
            self.failures.render(&self.names, self.console.err_paint(), self.console.err_width());
        self.console.say(&lines);
        self.failures = Failures::default();
    }

    fn warn(&self, message: &str) {
        let warning = self.console.err_paint().warning();
        self.console.remark(&format!("{warning}warning:{warning:#} {}\n", Untrusted(message)));
    }

    fn note(&self, message: &str) {
        let note = self.console.err_paint().note();
        self.console.remark(&format!("{note}note:{note:#} {}\n", Untrusted(message)));
    }

    fn print_orphans(&mut self) {
        if self.orphans == 0 {
            return;
        }
        let files = match self.orphans {
            1 => "1 file is no longer declared and is kept".to_owned(),
            many => format!("{many} files are no longer declared and are kept"),
        };
        let mut message = format!("{files}: {}", self.first_orphans.join(", "));
        match self.orphans - self.first_orphans.len() as u64 {
            0 => {}
            more => {
                let _ = write!(message, " and {more} more");
            }
        }
        self.note(&message);
        self.orphans = 0;
    }

    fn draw(&mut self) {
        let now = self.began.elapsed();
        self.meter.sample(now);
        match &mut self.display {
            Display::Off => {}
            Display::Lines(plain) => {
                if let Some(line) = plain.poll(&self.label, &self.meter, now) {
                    self.console.say(&line);
                }
            }
            Display::Drawn(progress) => {
                let view = View {
                    label: &self.label,
                    meter: &self.meter,
                    names: &self.names,
                    now,
                    width: self.console.display_width(),
                    paint: self.console.err_paint(),
                };
                if let Some(frame) = progress.poll(&view) {
                    self.console.show(&frame);
                }
            }
        }
    }
}

impl Reporter for Talk<'_> {
    fn event(&mut self, event: &Event) {
        if !matches!(self.display, Display::Off) {
            self.meter.event(event, self.began.elapsed());
        }
        match event {
            Event::Finished { entry, outcome: Outcome::Failed(failure), .. }
                if self.conflicts_fail || failure.kind != ErrorKind::PathConflict =>
            {
                self.failures.add(*entry, self.names.source_index(*entry), failure);
            }
            Event::Finished { outcome: Outcome::Downloaded(_) | Outcome::Updated(_), .. }
            | Event::Received { .. } => self.failures.received(),
            Event::SourceFailed { source, failure } => self.failures.add_source(*source, failure),
            Event::Warning { .. } | Event::LackingSpace { .. } => {
                if let Some(message) = warning(event) {
                    self.warn(&message);
                }
            }
            Event::LockExtended { added } => {
                self.note(&format!("{} added to the lock", Count::entries(*added)));
            }
            Event::Unpruned { path, failure } => {
                let what = path.as_ref().map_or(String::new(), |path| format!("{path}: "));
                let hint = failure.hint.as_ref().map_or(String::new(), |hint| format!("; {hint}"));
                self.warn(&format!("{what}{failure}{hint}"));
            }
            Event::Orphan { path } => {
                self.orphans += 1;
                if self.first_orphans.len() < NAMED {
                    self.first_orphans.push(path.clone());
                }
            }
            Event::OriginHeld { origin, wait } => {
                let is_new = self.held.len() < MOST_HELD && self.held.insert(origin.clone());
                if is_new || self.console.is_verbose() {
                    self.note(&format!("{origin} asks for a pause of {}", Elapsed(*wait)));
                }
            }
            Event::OriginDown { origin, failure } if self.console.is_verbose() => {
                self.note(&format!(
                    "{origin} cannot be reached, so its other entries fail now: {failure}"
                ));
            }
            Event::Retrying { entry, retry, retries, wait, failure, .. }
                if self.console.is_verbose() =>
            {
                let path = self.names.path(*entry);
                self.note(&format!(
                    "{path}: retry {retry} of {retries} in {}: {failure}",
                    Elapsed(*wait)
                ));
            }
            Event::Stopping => {
                self.note("stopping: no new transfers; a second signal ends the run at once");
            }
            _ => {}
        }
    }

    fn tick(&mut self) {
        self.draw();
        self.console.tick();
    }
}

impl Drop for Talk<'_> {
    fn drop(&mut self) {
        self.console.hide();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::failure::Failure;
    use crate::manifest::entry::EntryIndex;
    use crate::report::testing::{Captured, WALLPAPERS, manifest};
    use crate::report::{Settings, Verbosity};

    fn script() -> Vec<Event> {
        let origin = "http://ngm.example".to_owned();
        let failure = Failure::new(ErrorKind::Connect, "cannot connect to http://ngm.example")
            .at_origin(&origin);
        let wait = Duration::from_secs(20);
        let mut events = vec![
            Event::Warning { message: "the state could not be read and is made anew".into() },
            Event::OriginHeld { origin: origin.clone(), wait },
            Event::OriginHeld { origin: origin.clone(), wait },
            Event::Retrying {
                entry: EntryIndex(0),
                attempts: 1,
                retry: 1,
                retries: 4,
                wait,
                failure: failure.clone(),
            },
            Event::OriginDown { origin, failure: failure.clone() },
            Event::Finished {
                entry: EntryIndex(0),
                outcome: Outcome::Failed(failure),
                attempts: 2,
                received: 0,
            },
            Event::Stopping,
        ];
        for path in ["a.jpg", "b\u{1b}.jpg", "c.jpg", "d.jpg", "e.jpg"] {
            events.push(Event::Orphan { path: path.into() });
        }
        events
    }

    fn said(verbosity: Verbosity) -> String {
        let manifest = manifest(WALLPAPERS);
        let captured = Captured::new(Settings { verbosity, ..Settings::default() }, Some(80));
        let mut talk = Talk::new(&captured.console, &manifest);
        for event in script() {
            talk.event(&event);
        }
        talk.finish();
        assert_eq!(captured.out(), "");
        captured.err()
    }

    #[test]
    fn the_usual_messages() {
        assert_snapshot!(said(Verbosity::Normal), @r"
        warning: the state could not be read and is made anew
        note: http://ngm.example asks for a pause of 20 s
        note: stopping: no new transfers; a second signal ends the run at once
        note: 5 files are no longer declared and are kept: a.jpg, b\u{1b}.jpg, c.jpg and 2 more
        failed: 1 entry, cannot connect to http://ngm.example (connect)
            0817-1.jpg
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers)
        hint: run the command again
        ");
    }

    #[test]
    fn verbose_messages() {
        assert_snapshot!(said(Verbosity::Verbose), @r"
        warning: the state could not be read and is made anew
        note: http://ngm.example asks for a pause of 20 s
        note: http://ngm.example asks for a pause of 20 s
        note: 0817-1.jpg: retry 1 of 4 in 20 s: cannot connect to http://ngm.example
        note: http://ngm.example cannot be reached, so its other entries fail now: cannot connect to http://ngm.example
        note: stopping: no new transfers; a second signal ends the run at once
        note: 5 files are no longer declared and are kept: a.jpg, b\u{1b}.jpg, c.jpg and 2 more
        failed: 1 entry, cannot connect to http://ngm.example (connect)
            0817-1.jpg
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers)
        hint: run the command again
        ");
    }

    #[test]
    fn quiet_prints_only_failures() {
        assert_snapshot!(said(Verbosity::Quiet), @r"
        failed: 1 entry, cannot connect to http://ngm.example (connect)
            0817-1.jpg
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers)
        hint: run the command again
        ");
    }
}
