use std::fmt::Write as _;

use super::*;
use crate::manifest::Manifest;
use crate::report::testing::manifest;

fn source(vars: &str) -> Manifest {
    let mut uses = String::new();
    for name in ["a", "b", "c", "d"].iter().filter(|name| vars.contains(&format!("{name}:"))) {
        let _ = write!(uses, "-{{{name}}}");
    }
    manifest(&format!(
        "version: 1\ndest: out\nsources:\n  - url: http://h/x{uses}\n    vars: {{{vars}}}\n"
    ))
}

fn layout(vars: &str) -> Layout {
    Layout::of(&source(vars).sources()[0], 4000)
}

/// Checks the shape, and that every entry has a cell and the fullest cell has `block` entries.
#[track_caller]
fn check(vars: &str, shape: (usize, usize, usize), block: u64) -> Layout {
    let manifest = source(vars);
    let layout = Layout::of(&manifest.sources()[0], 4000);
    assert_eq!((layout.facets.len(), layout.rows.len(), layout.columns.len()), shape, "{vars}");
    assert_eq!(layout.block, block, "{vars}");
    let mut filled = vec![0; layout.cells()];
    for position in 0..manifest.entries().bound() {
        filled[layout.cell(position)] += 1;
    }
    assert_eq!(filled.iter().max(), Some(&block), "{vars}");
    assert!(layout.cells() <= 4000, "{vars}: {}", layout.cells());
    layout
}

#[test]
fn two_variables_become_a_table() {
    let weeks = "2009-08-17..2009-10-05..7d, 2009-10-13, 2009-10-19..2009-11-09..7d";
    let layout = check(&format!("a: [{weeks}], b: 1..26"), (1, 13, 26), 1);
    assert_eq!((layout.row_name.as_str(), layout.column_name.as_str()), ("a", "b"));
    assert_eq!((layout.rows[8].as_str(), layout.columns[25].as_str()), ("2009-10-13", "26"));
    assert_eq!(layout.cell(8 * 26 + 25), 8 * 26 + 25);
}

#[test]
fn one_variable_becomes_a_wrapped_strip() {
    check("a: 1..7", (1, 1, 7), 1);
    let layout = check("a: 1..120", (1, 3, 40), 1);
    assert_eq!(layout.rows, ["1", "41", "81"]);
    let layout = check("a: 1..100000", (1, 40, 50), 50);
    assert_eq!(layout.rows[1], "2501");
    check("a: 1..1000000", (1, 40, 50), 500);
}

#[test]
fn days_become_a_calendar() {
    let layout = check("a: 2026-01-01..2026-03-31", (1, 7, 14), 1);
    assert_eq!(layout.facets, ["2026"]);
    // The first of January 2026 is a Thursday.
    assert_eq!(layout.cell(0), 3 * 14);
    assert_eq!(layout.columns.iter().filter(|name| !name.is_empty()).count(), 3);
    let layout = check("a: 2025-03-01..2026-02-28", (1, 7, 53), 1);
    assert_eq!(layout.facets, [""]);
    let months: Vec<_> = layout.columns.iter().filter(|name| !name.is_empty()).collect();
    assert_eq!((months[0].as_str(), months[10].as_str()), ("Mar 2025", "Jan 2026"));
    let layout = check("a: 2024-06-01..2026-01-31", (3, 7, 54), 1);
    assert_eq!(layout.facets, ["2024", "2025", "2026"]);
    let layout = check("a: 1990-01-01..2025-12-31", (1, 36, 12), 31);
    assert_eq!((layout.rows[0].as_str(), layout.columns[1].as_str()), ("1990", "Feb"));
}

#[test]
fn months_and_hours_become_tables() {
    check("a: 2020-01-31..2025-12-31..1mo", (1, 6, 12), 1);
    check("a: 2026-01-01T00:00..2026-01-10T23:00..1h", (1, 10, 24), 1);
    check("a: 2026-01-01T00:00..2026-01-10T23:30..30min", (1, 10, 24), 2);
    check("a: 2025-01-01T00:00..2025-12-31T23:00..1h", (1, 7, 53), 24);
    check("a: 2020-01-06..2020-06-30..7d", (1, 1, 26), 1);
    check("a: [2020-01-06, 1900-01-01, 2026-07-01]", (1, 1, 3), 1);
}

#[test]
fn more_variables_become_several_tables_or_share_one() {
    let layout = check("a: 1..10, b: [x, y], c: 1..20", (2, 10, 20), 1);
    assert_eq!(layout.facets, ["b x", "b y"]);
    check("a: 1..10, b: 1..40, c: 1..30", (1, 40, 30), 10);
}

#[test]
fn many_combinations_share_cells() {
    let layout = check("a: 1..50, b: 1..40, c: 1..30", (1, 50, 40), 30);
    assert_eq!((layout.row_name.as_str(), layout.column_name.as_str()), ("a", "b"));
    check("a: 1..500, b: 1..400", (1, 100, 40), 50);
}

#[test]
fn a_long_variable_with_few_combinations_is_stacked() {
    let layout = check("a: [x, y], b: 1..1000", (2, 20, 50), 1);
    assert_eq!(layout.facets, ["a x", "a y"]);
    assert_eq!(layout.cell(1000), 1000);
}

#[test]
fn sources_of_files_become_strips() {
    let manifest = manifest(
        "version: 1\ndest: out\nsources:\n  - files: [{url: http://h/a}, {url: http://h/b}]\n  - url: http://h/c\n",
    );
    let layout = Layout::of(&manifest.sources()[0], 4000);
    assert_eq!((layout.cells(), layout.rows[0].as_str()), (2, "1"));
    assert_eq!(Layout::of(&manifest.sources()[1], 4000).cells(), 1);
}

#[test]
fn block_sizes_are_round_numbers() {
    assert_eq!(
        [1, 2, 3, 6, 11, 21, 26, 51, 101, 2001].map(round),
        [1, 2, 5, 10, 20, 25, 50, 100, 200, 2500]
    );
    assert!(u64::MAX / 2 <= round(u64::MAX / 2));
    assert_eq!(layout("a: 1..9").cells(), 9);
}
