//! Summarises a manifest, its destination and its last runs as plain data for the HTML page.
//!
//! A [`Survey`] visits every entry once and keeps counts, grid cells and a few examples. Its memory
//! must not grow with the number of entries.

mod condition;
mod histogram;
mod layout;

use jiff::Timestamp;

use crate::ops::failures::Groups;
pub(crate) use condition::{Condition, Facts, Look, Tally, judge};
pub(crate) use histogram::{Ages, Bar, Sizes};
pub(crate) use layout::Layout;

use crate::event::history::Past;
use crate::event::history::sample::Spread;
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, Form};

/// Only the first sources, up to this number, have a grid.
const GRIDS: usize = 40;
/// The maximum number of cells in one grid.
const CELLS: usize = 4000;
/// The maximum number of cells in all grids, shared equally.
const ALL_CELLS: usize = 6000;
/// Each grid may have at least this many cells, even if [`ALL_CELLS`] is then exceeded.
const LEAST_CELLS: usize = 100;
/// The maximum number of pictures on the page.
const PICTURES: usize = 60;

/// The summary of one manifest.
#[derive(Debug)]
pub(crate) struct Overview {
    pub(crate) name: String,
    /// The shown form of the destination, without secrets.
    pub(crate) dest: String,
    /// When the summary was made.
    pub(crate) made: Timestamp,
    pub(crate) tally: Tally,
    /// Bytes of the declared files on disk.
    pub(crate) bytes: u64,
    /// The number of entries with a pinned digest.
    pub(crate) pinned: u64,
    /// In the order of the manifest.
    pub(crate) sources: Vec<SourceView>,
    /// The sizes of the files on disk.
    pub(crate) sizes: Sizes,
    /// Time since natsync wrote each file.
    pub(crate) arrived: Ages,
    /// Time since upstream last served or confirmed each file.
    pub(crate) confirmed: Ages,
    /// The failures that no later run has dealt with.
    pub(crate) failures: Groups,
    /// The paths of some pictures.
    pub(crate) pictures: Vec<String>,
    /// The number of all pictures.
    pub(crate) all_pictures: u64,
    /// Newest first.
    pub(crate) runs: Vec<Past>,
    pub(crate) warnings: Vec<String>,
}

/// The summary of one source.
#[derive(Debug)]
pub(crate) struct SourceView {
    pub(crate) name: String,
    /// The shown form of the URL of the first entry.
    pub(crate) example: Option<String>,
    pub(crate) tally: Tally,
    /// Bytes of its files on disk.
    pub(crate) bytes: u64,
    /// `None` for sources after the first [`GRIDS`].
    pub(crate) grid: Option<Grid>,
}

/// The entries of a source as cells.
#[derive(Debug)]
pub(crate) struct Grid {
    pub(crate) layout: Layout,
    pub(crate) cells: Vec<Cell>,
}

/// A cell of a grid. It stands for one entry or for a block of entries.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    pub(crate) tally: Tally,
    /// The path of its first entry.
    pub(crate) path: String,
    /// The facts of its entry, if it has exactly one.
    pub(crate) facts: Option<Box<Facts>>,
    /// Bytes on disk.
    pub(crate) bytes: u64,
}

/// Gathers an [`Overview`], entry by entry.
pub(crate) struct Survey {
    overview: Overview,
    fresh: Spread<String>,
    others: Spread<String>,
}

impl Survey {
    /// `runs` come newest first.
    pub(crate) fn new(
        manifest: &Manifest,
        failures: Groups,
        runs: Vec<Past>,
        made: Timestamp,
    ) -> Self {
        let drawn = manifest.sources().len().min(GRIDS);
        let most = (ALL_CELLS / drawn.max(1)).clamp(LEAST_CELLS, CELLS);
        let view = |(number, source): (usize, &crate::manifest::Source)| {
            let grid = (number < GRIDS).then(|| {
                let layout = Layout::of(source, most as u64);
                let cells = (0..layout.cells()).map(|_| Cell::default()).collect();
                Grid { layout, cells }
            });
            let name = source.name.clone();
            SourceView { name, example: None, tally: Tally::default(), bytes: 0, grid }
        };
        let overview = Overview {
            name: manifest.name().to_owned(),
            dest: manifest.shown_dest().to_owned(),
            made,
            tally: Tally::default(),
            bytes: 0,
            pinned: 0,
            sources: manifest.sources().iter().enumerate().map(view).collect(),
            sizes: Sizes::default(),
            arrived: Ages::default(),
            confirmed: Ages::default(),
            failures,
            pictures: Vec::new(),
            all_pictures: 0,
            runs,
            warnings: Vec::new(),
        };
        Self { overview, fresh: Spread::new(4 * PICTURES), others: Spread::new(4 * PICTURES) }
    }

    pub(crate) fn warn(&mut self, warning: String) {
        self.overview.warnings.push(warning);
    }

    /// The failure of an entry, if no later run has dealt with it. See [`Groups::claim`].
    pub(crate) fn claim(&mut self, path: &str, noted: Option<i64>) -> Option<String> {
        let claimed = self.overview.failures.claim(path, noted)?;
        Some(format!("{} ({})", claimed.message, claimed.kind))
    }

    /// Adds an entry to the summary.
    pub(crate) fn see(&mut self, entry: &Entry<'_>, path: &str, facts: Facts) {
        let Self { overview, fresh, others } = self;
        let condition = facts.condition;
        overview.tally.add(condition);
        overview.pinned += u64::from(facts.pinned);
        let bytes = facts.size.unwrap_or(0);
        overview.bytes = overview.bytes.saturating_add(bytes);
        if let Some(size) = facts.size {
            overview.sizes.add(size);
            let age =
                |at: Option<Timestamp>| at.map(|at| overview.made.as_second() - at.as_second());
            overview.arrived.add(age(facts.changed));
            overview.confirmed.add(age(facts.checked));
            if is_picture(path) {
                let chosen = if condition == Condition::Fresh { fresh } else { others };
                chosen.push(|| path.to_owned());
            }
        }
        let Some(source) = overview.sources.get_mut(entry.source_index()) else { return };
        source.tally.add(condition);
        source.bytes = source.bytes.saturating_add(bytes);
        source.example.get_or_insert_with(|| entry.url(Form::Shown));
        let Some(Grid { layout, cells }) = &mut source.grid else { return };
        let Some(cell) = cells.get_mut(layout.cell(entry.position())) else { return };
        let is_first = cell.tally.total() == 0;
        cell.tally.add(condition);
        cell.bytes = cell.bytes.saturating_add(bytes);
        if is_first {
            path.clone_into(&mut cell.path);
        }
        cell.facts = is_first.then(|| Box::new(facts));
    }

    pub(crate) fn finish(self) -> Overview {
        let Self { mut overview, fresh, others } = self;
        overview.all_pictures = fresh.seen() + others.seen();
        // Pictures of the newest run first, then an even sample of the others.
        let mut pictures = evenly(fresh.into_kept(), PICTURES);
        pictures.extend(evenly(others.into_kept(), PICTURES - pictures.len()));
        overview.pictures = pictures;
        overview
    }
}

/// An even sample of at most `most` items.
fn evenly(all: Vec<String>, most: usize) -> Vec<String> {
    let (count, most) = (all.len(), most.min(all.len()));
    let is_chosen = |place: &usize| place * most / count != (place + 1) * most / count;
    let chosen = all.into_iter().enumerate().filter(|(place, _)| is_chosen(place));
    chosen.map(|(_, path)| path).collect()
}

fn is_picture(path: &str) -> bool {
    let ending = path.rsplit_once('.').map(|(_, ending)| ending).unwrap_or_default();
    ["jpg", "jpeg", "png", "webp", "gif", "avif", "svg"]
        .iter()
        .any(|known| ending.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use crate::report::testing::manifest;

    fn facts(condition: Condition) -> Facts {
        Facts {
            condition,
            remark: None,
            size: (condition == Condition::Present).then_some(100),
            changed: None,
            checked: None,
            digest: None,
            pinned: false,
        }
    }

    fn overview(text: &str, condition: impl Fn(u64) -> Condition) -> Overview {
        let manifest = manifest(text);
        let mut survey = Survey::new(&manifest, Groups::default(), Vec::new(), Timestamp::now());
        for entry in manifest.entries().iter() {
            let path = entry.path();
            survey.see(&entry, path.as_str(), facts(condition(entry.index().0)));
        }
        survey.finish()
    }

    #[test]
    fn every_entry_is_in_a_cell() {
        let overview = overview(
            "version: 1\ndest: out\nsources:\n  - url: http://h/{a}-{b}.jpg\n    vars: {a: 1..13, b: 1..26}\n    exclude: [{a: 13, b: 20..26}]\n",
            |index| if index % 26 == 25 { Condition::Absent } else { Condition::Present },
        );
        let grid = overview.sources[0].grid.as_ref().unwrap();
        let counts: Vec<_> = grid.cells.iter().map(|cell| cell.tally.total()).collect();
        assert_eq!((counts.len(), counts.iter().sum::<u64>()), (338, 331));
        assert_eq!(counts[13 * 26 - 1], 0, "an excluded combination is not an entry");
        let last = &grid.cells[25];
        assert_eq!((last.path.as_str(), last.tally.of(Condition::Absent)), ("1-26.jpg", 1));
        assert_eq!(overview.tally.present(), 331 - 12);
        assert!(overview.tally.is_right());
        assert_eq!((overview.bytes, overview.all_pictures), (31_900, 319));
        assert_eq!(overview.pictures.len(), PICTURES);
    }

    #[test]
    fn the_number_of_cells_is_bounded() {
        let overview = overview(
            "version: 1\ndest: out\nsources:\n  - url: http://h/{a}\n    vars: {a: 1..100000}\n",
            |index| if index == 7 { Condition::Failed } else { Condition::Present },
        );
        let grid = overview.sources[0].grid.as_ref().unwrap();
        assert_eq!(grid.cells.len(), 2000);
        let first = &grid.cells[0];
        assert_eq!((first.tally.of(Condition::Failed), first.tally.total()), (1, 50));
        assert!(first.facts.is_none() && first.path == "1");
    }

    #[test]
    fn the_number_of_grids_is_bounded() {
        let mut text = "version: 1\ndest: out\nsources:\n".to_owned();
        for number in 0..1000 {
            let _ = writeln!(text, "  - url: http://h/{number}-{{n}}\n    vars: {{n: 1..9}}");
        }
        let overview = overview(&text, |_| Condition::Untried);
        assert_eq!(overview.sources.len(), 1000);
        let grids = overview.sources.iter().filter_map(|source| source.grid.as_ref());
        let cells: Vec<_> = grids.map(|grid| grid.cells.len()).collect();
        assert_eq!(cells, [9; GRIDS]);
    }
}
