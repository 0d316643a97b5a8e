//! Grids of cells as the template draws them.

use std::fmt::Write as _;

use serde::Serialize;

use super::charts::{Rect, class_of, tally};
use super::view::{entries, grouped};
use super::{Links, minute, text};
use crate::ops::overview::{Cell, Condition, Facts, Grid, SourceView, Tally};
use crate::report::Bytes;

/// So many sources without a grid are named.
const LISTED: usize = 200;
/// In a grid of so many cells one looks for a path.
const SEARCHED: usize = 60;
/// Labels are at most so long.
const LABEL: usize = 28;
/// The first sources of many are open, and those that deserve a look.
const OPEN: usize = 4;

/// The sources.
#[derive(Debug, Serialize)]
pub(super) struct Coverage {
    sources: Vec<Source>,
    /// Those that have no grid.
    listed: Vec<Listed>,
    /// What there is to say of those that are not even named.
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
    /// Whether it has so many cells that looking for a path helps.
    searched: bool,
    note: String,
    tables: Vec<Table>,
}

#[derive(Debug, Serialize)]
struct Table {
    name: String,
    /// What rows and columns are.
    caption: String,
    /// Empty where a row simply goes on.
    columns: Vec<String>,
    corner: String,
    /// How the cells are drawn.
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
    /// Empty where no entry is.
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
        // What deserves a look comes first, else the manifest's order stays.
        others.sort_by_key(|source| std::cmp::Reverse(source.tally.trouble()));
        let rest = &others[others.len().min(LISTED)..];
        let rest = (!rest.is_empty()).then(|| {
            let mut sum = Tally::default();
            for source in rest {
                for condition in Condition::ALL {
                    sum.0[condition as usize] += source.tally.of(condition);
                }
            }
            format!("and {} sources more: {}", grouped(rest.len() as u64), counts(&sum))
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
        "A cell is a file.".to_owned()
    } else {
        format!(
            "A cell stands for up to {} files; its fill is the share that is present.",
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

/// One for the share that is present, in tenths, and one for the worst of the rest. What there is of is never rounded
/// away.
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
        // All are present, some of them new.
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
        let what = if *condition == Condition::Absent { "said so" } else { "confirmed" };
        let _ = write!(title, "\n{what} {}", minute(*checked));
    }
    if let Some(digest) = digest {
        let _ = write!(title, "\nsha256 {digest}");
    }
    title
}

/// What a condition is called.
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

/// As in `308 present, 30 absent upstream`.
fn counts(tally: &Tally) -> String {
    let filled = Condition::ALL.into_iter().filter(|&condition| 0 < tally.of(condition));
    let all: Vec<_> = filled
        .map(|condition| format!("{} {}", grouped(tally.of(condition)), name(condition)))
        .collect();
    if all.is_empty() { "no entries".to_owned() } else { all.join(", ") }
}

/// A label that leaves room for the cells.
fn short(label: &str) -> String {
    crate::report::fit(&text(label), LABEL).into_owned()
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
    fn what_there_is_of_is_never_rounded_away() {
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
