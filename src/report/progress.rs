//! The progress display of a terminal: one line for the run, and a few lines for current files.

use std::fmt::Write as _;
use std::time::Duration;

use super::escape::Untrusted;
use super::meter::{Held, Meter, Retry, Stage, Transfer};
use super::names::Names;
use super::text::{Paint, fit, width_of};
use super::units::{Bytes, Count, Left, Rate};
use crate::event::Phase;
use crate::manifest::entry::EntryIndex;

/// Decides when and what to draw. Of a hundred transfers it shows four, and many tiny files only in
/// the line for the run, so that the display does not flicker.
#[derive(Debug, Default)]
pub(super) struct Progress {
    drawn: Option<Duration>,
    frames: usize,
    slots: [Option<EntryIndex>; SLOTS],
    /// Width of the longest path shown so far, so that the columns after it do not move.
    column: usize,
}

/// Number of current files that are shown.
const SLOTS: usize = 4;
/// A shorter run shows no display.
const BEFORE_FIRST: Duration = Duration::from_millis(250);
/// At most ten frames per second.
const BETWEEN_FRAMES: Duration = Duration::from_millis(100);
/// A faster transfer gets no line: it would vanish before anyone could read it.
const BEFORE_LINE: Duration = Duration::from_millis(500);
/// A narrower bar shows too little and is left out; a wider one shows no more.
const LEAST_BAR: usize = 10;
const MOST_BAR: usize = 30;
/// The label is not cut below this width.
const LEAST_LABEL: usize = 8;

impl Progress {
    /// The lines of the next frame, if it is due.
    pub(super) fn poll(&mut self, view: &View<'_>) -> Option<String> {
        let due = self.drawn.map_or(BEFORE_FIRST, |drawn| drawn + BETWEEN_FRAMES);
        if view.now < due {
            return None;
        }
        self.drawn = Some(view.now);
        self.frames += 1;
        Some(self.draw(view))
    }

    fn draw(&mut self, view: &View<'_>) -> String {
        if let Some(stage) = view.meter.stage() {
            let wheel = ['-', '\\', '|', '/'][self.frames % 4];
            let line = format!("{}  {wheel} {}", view.label, describe_stage(stage));
            return fit(&line, view.room()).into_owned();
        }
        self.refill(view);
        let mut display = view.whole();
        let shown: Vec<_> = self
            .slots
            .iter()
            .flatten()
            .filter_map(|&entry| Some((view.path(entry), view.meter.transfer(entry)?)))
            .collect();
        for (path, _) in &shown {
            self.column = self.column.max(width_of(path));
        }
        for (path, transfer) in &shown {
            display.push('\n');
            display.push_str(&view.file(path, self.column, transfer));
        }
        if let Some(held) = view.meter.held(view.now) {
            display.push('\n');
            display.push_str(&view.pause(held));
        }
        display
    }

    /// Fills free lines with the transfers that have been running longest. A file keeps its line
    /// until it is done.
    fn refill(&mut self, view: &View<'_>) {
        for slot in &mut self.slots {
            *slot = slot.filter(|&entry| view.meter.transfer(entry).is_some());
        }
        if self.slots.iter().all(Option::is_some) {
            return;
        }
        let shown = self.slots;
        let mut waiting: Vec<_> = view
            .meter
            .active()
            .filter(|(entry, transfer)| {
                BEFORE_LINE <= view.now.saturating_sub(transfer.since)
                    && !shown.contains(&Some(*entry))
            })
            .map(|(entry, transfer)| (transfer.since, entry))
            .collect();
        waiting.sort_unstable();
        let mut next = waiting.into_iter();
        for slot in self.slots.iter_mut().filter(|slot| slot.is_none()) {
            *slot = next.next().map(|(_, entry)| entry);
        }
    }
}

/// The input of a frame.
pub(super) struct View<'a> {
    pub(super) label: &'a str,
    pub(super) meter: &'a Meter,
    pub(super) names: &'a Names<'a>,
    pub(super) now: Duration,
    pub(super) width: usize,
    pub(super) paint: Paint,
}

impl View<'_> {
    /// Columns to use: some terminals wrap a line that fills the last column.
    fn room(&self) -> usize {
        self.width.saturating_sub(1)
    }

    /// `natgeo  [=======>      ]  120/338 files   45.1 MB   12.3 MB/s  12 s left`
    fn whole(&self) -> String {
        let meter = self.meter;
        let (done, total) = (meter.done(), meter.total());
        let digits = total.to_string().len();
        let mut files = format!("  {done:>digits$}/{total} files");
        if 0 < meter.failed() {
            let _ = write!(files, ", {} failed", meter.failed());
        }
        let bytes = format!("  {:>8}", Bytes(meter.bytes()));
        let rate =
            meter.rate(self.now).map_or_else(String::new, |rate| format!("  {:>10}", Rate(rate)));
        let left = meter.eta(self.now).map_or_else(String::new, |eta| format!("  {}", Left(eta)));
        // On a narrow terminal first the label is cut, then the bar is left out, then the rate, the
        // bytes, and the remaining time.
        let fixed = width_of(&files) + BYTES_WIDTH + RATE_WIDTH + LEFT_WIDTH;
        let mut line =
            fit(self.label, self.room().saturating_sub(fixed).max(LEAST_LABEL)).into_owned();
        let bar = self.room().saturating_sub(fixed + width_of(&line) + 4).min(MOST_BAR);
        if LEAST_BAR <= bar {
            let _ = write!(line, "  [{}]", bar_of(done, total, bar));
        }
        let fits = |parts: &[&str]| {
            width_of(&line) + parts.iter().map(|part| width_of(part)).sum::<usize>() <= self.room()
        };
        let choices: [&[&str]; 4] = [
            &[&files, &bytes, &rate, &left],
            &[&files, &bytes, &left],
            &[&files, &left],
            &[&files],
        ];
        let chosen = choices.into_iter().find(|parts| fits(parts)).unwrap_or_default();
        line.push_str(&chosen.concat());
        line
    }

    fn path(&self, entry: EntryIndex) -> String {
        Untrusted(&self.names.path(entry)).to_string()
    }

    /// `  0817wallpaper-1_1600.jpg     45 %   1.2 MB of 2.6 MB`
    fn file(&self, path: &str, column: usize, transfer: &Transfer) -> String {
        if let Some(retry) = &transfer.retry {
            return self.waiting(path, retry);
        }
        let received = Bytes(transfer.here);
        let (percent, bytes) = match (transfer.percent(), transfer.size) {
            (Some(percent), Some(size)) => {
                (format!("{percent:>3} %"), format!("{received:>8} of {}", Bytes(size)))
            }
            _ => (String::new(), format!("{received:>8}")),
        };
        let room = column.min(self.room().saturating_sub(FILE_FIGURES_WIDTH).max(8));
        let path = fit(path, room);
        let padding = " ".repeat(room - width_of(&path));
        let dim = self.paint.dim();
        format!("{dim}  {path}{padding}  {percent:>5}  {bytes}{dim:#}")
    }

    /// `  0817wallpaper-1_1600.jpg  retry 2 of 4, 3 s left: the server answers 503`
    fn waiting(&self, path: &str, retry: &Retry) -> String {
        let left = retry.at.saturating_sub(self.now);
        let at = if left.is_zero() { String::new() } else { format!(", {}", Left(left)) };
        let Retry { number, most, reason, .. } = retry;
        let text = format!("  {path}  retry {number} of {most}{at}: {}", Untrusted(reason));
        self.dim(&text)
    }

    /// `  http://ngm.example asks for a pause, 20 s left`
    fn pause(&self, held: &Held) -> String {
        let left = Left(held.until.saturating_sub(self.now));
        self.dim(&format!("  {} asks for a pause, {left}", Untrusted(&held.origin)))
    }

    fn dim(&self, text: &str) -> String {
        let dim = self.paint.dim();
        format!("{dim}{}{dim:#}", fit(text, self.room()))
    }
}

/// Width of `  59 min 59 s left`. Reserved even without an estimate, so that the bar keeps its
/// width.
const LEFT_WIDTH: usize = 18;
/// Widths of `  999.9 MB` and `  999.9 MB/s`.
const BYTES_WIDTH: usize = 10;
const RATE_WIDTH: usize = 12;
/// Width of the indent, `100 %` and `999.9 MB of 999.9 MB`, with the blanks.
const FILE_FIGURES_WIDTH: usize = 31;

fn bar_of(done: u64, total: u64, width: usize) -> String {
    let filled = if total == 0 { 0 } else { u128::from(done) * width as u128 / u128::from(total) };
    let filled = usize::try_from(filled).unwrap_or(width).min(width);
    let head = if filled < width { ">" } else { "" };
    format!("{:<width$}", format!("{}{head}", "=".repeat(filled)))
}

/// A phase before the transfers with its count: `hashing, 120/338 files`.
pub(super) fn describe_stage(stage: Stage) -> String {
    let (doing, entries) = match stage.phase {
        Phase::Expanding => ("expanding", true),
        Phase::Scanning => ("scanning", false),
        Phase::Hashing => ("hashing", false),
        Phase::Refreshing => ("asking upstream", true),
        Phase::Transferring => ("transferring", false),
        Phase::Lists => ("reading checksum lists", false),
        Phase::Verifying => ("verifying", false),
    };
    let count = if entries { Count::entries } else { Count::files };
    match stage.total {
        Some(total) => format!("{doing}, {}/{}", stage.done, count(total)),
        None if stage.done == 0 => doing.to_owned(),
        None => format!("{doing}, {}", count(stage.done)),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::{Event, Outcome};
    use crate::plan::Counts;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn millis(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    struct Run {
        meter: Meter,
        progress: Progress,
        manifest: crate::manifest::Manifest,
    }

    impl Run {
        fn new() -> Self {
            let mut meter = Meter::default();
            let counts = Counts { fetch: 338, ..Counts::default() };
            meter.event(&Event::Planned { counts, known_bytes: 0, unknown_sizes: 338 }, millis(0));
            meter.event(&Event::Phase { phase: Phase::Transferring, total: None }, millis(0));
            Self { meter, progress: Progress::default(), manifest: manifest(WALLPAPERS) }
        }

        fn poll(&mut self, now: u64, width: usize) -> Option<String> {
            self.meter.sample(millis(now));
            let names = Names::new(&self.manifest);
            let paint = Paint::new(false);
            let view = View {
                label: "natgeo",
                meter: &self.meter,
                names: &names,
                now: millis(now),
                width,
                paint,
            };
            self.progress.poll(&view)
        }

        fn start(&mut self, entry: u64, now: u64, size: Option<u64>) {
            let entry = EntryIndex(entry);
            self.meter.event(&Event::Started { entry }, millis(now));
            if let Some(size) = size {
                self.meter.event(&Event::Sized { entry, size, here: 0 }, millis(now));
            }
            self.meter.event(&Event::Received { entry, bytes: 1_200_000 }, millis(now));
        }

        fn finish(&mut self, entry: u64, now: u64) {
            let (entry, outcome) = (EntryIndex(entry), Outcome::Unchanged);
            self.meter
                .event(&Event::Finished { entry, outcome, attempts: 1, received: 0 }, millis(now));
        }
    }

    #[test]
    fn the_first_frame_is_delayed_and_frames_are_limited() {
        let mut run = Run::new();
        assert_eq!(run.poll(249, 80), None);
        assert!(run.poll(250, 80).is_some());
        assert_eq!(run.poll(349, 80), None);
        assert!(run.poll(350, 80).is_some());
    }

    #[test]
    fn a_whole_frame() {
        let mut run = Run::new();
        for entry in 0..12 {
            run.start(entry, 100 * entry, (entry % 3 != 0).then_some(2_600_000));
        }
        for entry in 0..6 {
            run.finish(entry, 3000 + entry);
        }
        let frame = run.poll(4000, 80).unwrap();
        assert!(frame.lines().all(|line| width_of(line) < 80));
        assert_snapshot!(frame, @r"
        natgeo  [>             ]    6/338 files   14.4 MB    3.6 MB/s  3 min 42 s left
          0817-7.jpg            1.2 MB
          0817-8.jpg    46 %    1.2 MB of 2.6 MB
          0817-9.jpg    46 %    1.2 MB of 2.6 MB
          0817-10.jpg           1.2 MB
        ");
        assert_snapshot!(run.poll(5000, 120).unwrap(), @r"
        natgeo  [>                             ]    6/338 files   14.4 MB    2.9 MB/s  4 min 37 s left
          0817-7.jpg            1.2 MB
          0817-8.jpg    46 %    1.2 MB of 2.6 MB
          0817-9.jpg    46 %    1.2 MB of 2.6 MB
          0817-10.jpg           1.2 MB
        ");
        assert_snapshot!(run.poll(6000, 44).unwrap(), @r"
        natgeo    6/338 files  5 min 32 s left
          0817-7.jpg            1.2 MB
          0817-8.jpg    46 %    1.2 MB of 2.6 MB
          0817-9.jpg    46 %    1.2 MB of 2.6 MB
          0817-10.jpg           1.2 MB
        ");
    }

    #[test]
    fn a_file_keeps_its_line() {
        let mut run = Run::new();
        for entry in 1..=9 {
            run.start(entry, entry, None);
        }
        let shown = |frame: Option<String>| -> Vec<String> {
            frame
                .unwrap()
                .lines()
                .skip(1)
                .map(|line| line.split_whitespace().next().unwrap().to_owned())
                .collect()
        };
        assert_eq!(
            shown(run.poll(600, 80)),
            ["0817-2.jpg", "0817-3.jpg", "0817-4.jpg", "0817-5.jpg"]
        );
        run.finish(2, 700);
        assert_eq!(
            shown(run.poll(800, 80)),
            ["0817-2.jpg", "0817-6.jpg", "0817-4.jpg", "0817-5.jpg"]
        );
    }

    #[test]
    fn tiny_files_have_no_lines() {
        let mut run = Run::new();
        for entry in 0..300 {
            run.start(entry, 10 * entry, Some(100));
            run.finish(entry, 10 * entry + 5);
        }
        run.start(300, 2990, None);
        assert_eq!(run.poll(3000, 80).unwrap().lines().count(), 1);
    }

    #[test]
    fn stages_are_named_with_their_count() {
        let mut run = Run::new();
        run.meter.event(&Event::Phase { phase: Phase::Scanning, total: None }, millis(0));
        run.meter.event(&Event::Advanced { done: 1 }, millis(0));
        assert_eq!(run.poll(300, 80).unwrap(), r"natgeo  \ scanning, 1 file");
        run.meter.event(&Event::Phase { phase: Phase::Refreshing, total: Some(338) }, millis(0));
        run.meter.event(&Event::Advanced { done: 120 }, millis(0));
        assert_eq!(run.poll(400, 80).unwrap(), "natgeo  | asking upstream, 120/338 entries");
    }

    #[test]
    fn a_bar_is_full_at_the_end() {
        assert_eq!(bar_of(0, 0, 10), ">         ");
        assert_eq!(bar_of(5, 10, 10), "=====>    ");
        assert_eq!(bar_of(10, 10, 10), "==========");
    }
}
