//! The data of the coverage section for the template: sources, and grids of cells.

use std::fmt::Write as _;

use serde::Serialize;

use super::charts::{Rect, class_of, tally};
use super::format::{entries, grouped, minute, text};
use super::links::Links;
use crate::ops::overview::{Cell, Condition, Facts, Grid, SourceView, Tally};
use crate::report::units::Bytes;

/// Number of sources without a grid that are listed.
const LISTED: usize = 200;
/// A grid with at least this many cells gets a search field.
const SEARCHED: usize = 60;
/// Longest label, in columns.
const LABEL: usize = 28;
/// Number of sources that are open at first, besides those with trouble.
const OPEN: usize = 4;

#[derive(Debug, Serialize)]
pub(super) struct Coverage {
    sources: Vec<Source>,
    /// Sources without a grid.
    listed: Vec<Listed>,
    /// A summary of the sources that are not listed.
    rest: Option<String>,
}

#[derive(Debug, Serialize)]
struct Source {
    name: String,
    example: Option<String>,
    entries: String,
    bytes: String,
    /// Its counts as a sentence.
    counts: String,
    share: Vec<Rect>,
    open: bool,
    /// Whether there is a search field.
    searched: bool,
    note: String,
    tables: Vec<Table>,
}

#[derive(Debug, Serialize)]
struct Table {
    name: String,
    /// The meaning of rows and columns.
    caption: String,
    /// Column labels. Empty if the columns have no meaning.
    columns: Vec<String>,
    corner: String,
    /// CSS classes of the table.
    class: String,
    rows: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    label: String,
    cells: Vec<View>,
}

#[derive(Debug, Default, Serialize)]
struct View {
    /// CSS classes. Empty if no entry is at this place of the grid.
    class: String,
    href: Option<String>,
    title: String,
}

#[derive(Debug, Serialize)]
struct Listed {
    name: String,
    entries: String,
    present: String,
    absent: String,
    failed: String,
    others: String,
    bytes: String,
}

impl Coverage {
    pub(super) fn new(sources: &[SourceView], links: Option<&Links>) -> Self {
        let drawn: Vec<_> = sources.iter().filter(|source| source.grid.is_some()).collect();
        let mut others: Vec<_> = sources.iter().filter(|source| source.grid.is_none()).collect();
        // Sources with trouble come first; the sort is stable and keeps the manifest's order.
        others.sort_by_key(|source| std::cmp::Reverse(source.tally.trouble()));
        let rest = &others[others.len().min(LISTED)..];
        let rest = (!rest.is_empty()).then(|| {
            let mut sum = Tally::default();
            for source in rest {
                for condition in Condition::ALL {
                    sum.0[condition as usize] += source.tally.of(condition);
                }
            }
            format!("and {} more sources: {}", grouped(rest.len() as u64), counts(&sum))
        });
        let source = |(number, view): (usize, &&SourceView)| source(view, number, links);
        Self {
            sources: drawn.iter().enumerate().map(source).collect(),
            listed: others.iter().take(LISTED).map(|source| listed(source)).collect(),
            rest,
        }
    }
}

fn source(view: &SourceView, number: usize, links: Option<&Links>) -> Source {
    let grid = view.grid.as_ref();
    let block = grid.map_or(1, |grid| grid.layout.block);
    let note = if block <= 1 {
        "Each cell is a file.".to_owned()
    } else {
        format!(
            "Each cell is up to {} files; it is filled by the share that is present.",
            grouped(block)
        )
    };
    Source {
        name: text(&view.name),
        example: view.example.as_deref().map(text),
        entries: entries(view.tally.total(), grouped),
        bytes: Bytes(view.bytes).to_string(),
        counts: counts(&view.tally),
        share: tally(&view.tally),
        open: number < OPEN || 0 < view.tally.trouble(),
        searched: block <= 1 && grid.is_some_and(|grid| SEARCHED <= grid.cells.len()),
        note,
        tables: grid.map(|grid| tables(grid, links)).unwrap_or_default(),
    }
}

fn listed(source: &SourceView) -> Listed {
    let tally = &source.tally;
    Listed {
        name: text(&source.name),
        entries: grouped(tally.total()),
        present: grouped(tally.present()),
        absent: grouped(tally.of(Condition::Absent)),
        failed: grouped(tally.of(Condition::Failed)),
        others: grouped(
            tally.of(Condition::Differs) + tally.of(Condition::Gone) + tally.of(Condition::Untried),
        ),
        bytes: Bytes(source.bytes).to_string(),
    }
}

fn tables(grid: &Grid, links: Option<&Links>) -> Vec<Table> {
    let layout = &grid.layout;
    let (rows, columns) = (layout.rows.len(), layout.columns.len());
    let has_columns = layout.columns.iter().any(|column| !column.is_empty());
    let is_tall = layout.columns.iter().any(|column| 3 < column.chars().count());
    let width = if columns <= 32 { " few" } else { "" };
    let labels = match (layout.by_week, is_tall) {
        (true, _) => " weeks",
        (false, true) => " tall",
        (false, false) => "",
    };
    let class = format!("grid{width}{labels}");
    let (row_name, column_name) = (text(&layout.row_name), text(&layout.column_name));
    let caption = match (row_name.as_str(), has_columns) {
        ("", _) => "the files, in order".to_owned(),
        (row, true) => format!("{row} down, {column_name} across"),
        (row, false) => format!("{row}, row by row"),
    };
    let table = |(facet, name): (usize, &String)| {
        let row = |(number, label): (usize, &String)| {
            let first = (facet * rows + number) * columns;
            let cells = grid.cells.iter().skip(first).take(columns);
            Row { label: short(label), cells: cells.map(|cell| self::cell(cell, links)).collect() }
        };
        Table {
            name: text(name),
            caption: caption.clone(),
            columns: if has_columns {
                layout.columns.iter().map(|name| short(name)).collect()
            } else {
                Vec::new()
            },
            corner: row_name.clone(),
            class: class.clone(),
            rows: layout.rows.iter().enumerate().map(row).collect(),
        }
    };
    layout.facets.iter().enumerate().map(table).collect()
}

fn cell(cell: &Cell, links: Option<&Links>) -> View {
    let total = cell.tally.total();
    if total == 0 {
        return View::default();
    }
    match &cell.facts {
        Some(facts) => View {
            class: class_of(facts.condition).to_owned(),
            href: facts.size.and(links).map(|links| links.to(&cell.path)),
            title: title(&cell.path, facts),
        },
        None => View {
            class: shared_class(&cell.tally),
            href: None,
            title: format!(
                "{} and {} more\n{}\n{} on disk",
                text(&cell.path),
                total - 1,
                counts(&cell.tally),
                Bytes(cell.bytes)
            ),
        },
    }
}

/// CSS classes of a cell for several entries: the share that is present, in tenths, and the worst
/// condition of the others. Rounding never hides that some entries are present, or that some are
/// not.
fn shared_class(tally: &Tally) -> String {
    use Condition::{Absent, Differs, Failed, Fresh, Gone, Present, Untried};
    let total = tally.total();
    if let Some(only) = Condition::ALL.into_iter().find(|&condition| tally.of(condition) == total) {
        return class_of(only).to_owned();
    }
    let present = tally.present();
    let tenths = match present * 10 / total {
        0 if 0 < present => 1,
        10 if present < total => 9,
        tenths => tenths,
    };
    let worst = [Failed, Differs, Gone, Untried, Absent].into_iter();
    let worst = worst.into_iter().find(|&condition| 0 < tally.of(condition)).map_or(
        // All are present, and some of them are new.
        class_of(if tally.of(Fresh) * 2 < total { Present } else { Fresh }),
        class_of,
    );
    let mut class = format!("b q{tenths} w{worst}");
    for condition in Condition::ALL {
        if 0 < tally.of(condition) {
            class.push_str(" h");
            class.push_str(class_of(condition));
        }
    }
    class
}

fn title(path: &str, facts: &Facts) -> String {
    let Facts { condition, remark, size, changed, checked, digest, pinned } = facts;
    let mut title = format!("{}\n{}", text(path), name(*condition));
    if let Some(size) = size {
        let _ = write!(title, ", {}", Bytes(*size));
    }
    if *pinned {
        title.push_str(", pinned");
    }
    if let Some(remark) = remark {
        let _ = write!(title, "\n{}", text(remark));
    }
    if let Some(changed) = changed {
        let _ = write!(title, "\nfetched {}", minute(*changed));
    }
    if let Some(checked) = checked {
        let what = if *condition == Condition::Absent { "last asked" } else { "confirmed" };
        let _ = write!(title, "\n{what} {}", minute(*checked));
    }
    if let Some(digest) = digest {
        let _ = write!(title, "\nsha256 {digest}");
    }
    title
}

/// The name of a condition on the page.
pub(super) fn name(condition: Condition) -> &'static str {
    match condition {
        Condition::Present => "present",
        Condition::Fresh => "new or changed in the last run",
        Condition::Absent => "absent upstream",
        Condition::Failed => "failed",
        Condition::Differs => "changed here",
        Condition::Gone => "deleted here",
        Condition::Untried => "never fetched",
    }
}

/// `308 present, 30 absent upstream`
fn counts(tally: &Tally) -> String {
    let filled = Condition::ALL.into_iter().filter(|&condition| 0 < tally.of(condition));
    let all: Vec<_> = filled
        .map(|condition| format!("{} {}", grouped(tally.of(condition)), name(condition)))
        .collect();
    if all.is_empty() { "no entries".to_owned() } else { all.join(", ") }
}

/// Shortens a label, so that the cells have room.
fn short(label: &str) -> String {
    crate::report::text::fit(&text(label), LABEL).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(counts: &[(Condition, u64)]) -> Tally {
        let mut tally = Tally::default();
        for &(condition, count) in counts {
            tally.0[condition as usize] = count;
        }
        tally
    }

    #[test]
    fn rounding_hides_no_condition() {
        use Condition::{Absent, Failed, Fresh, Present};
        let class = |counts: &[(Condition, u64)]| shared_class(&tally(counts));
        assert_eq!(class(&[(Present, 50)]), "p");
        assert_eq!(class(&[(Absent, 50)]), "a");
        assert_eq!(class(&[(Present, 999), (Failed, 1)]), "b q9 wf hp hf");
        assert_eq!(class(&[(Present, 1), (Absent, 999)]), "b q1 wa hp ha");
        assert_eq!(class(&[(Present, 5), (Fresh, 5)]), "b q10 wn hp hn");
    }

    #[test]
    fn counts_are_a_sentence() {
        let counted = tally(&[(Condition::Present, 308), (Condition::Absent, 30)]);
        assert_eq!(counts(&counted), "308 present, 30 absent upstream");
        assert_eq!(counts(&Tally::default()), "no entries");
    }
}
