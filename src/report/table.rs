//! A table of counts by name, for a terminal.

use std::fmt::Write as _;

use super::escape::Untrusted;
use super::text::{Paint, fit, width_of};

/// Number of rows that are printed.
const SHOWN: usize = 12;
/// Widest name, in columns.
const MOST_NAME: usize = 40;

/// A table whose rows have a name and one cell per column.
pub(super) struct Table<'a> {
    title: &'a str,
    columns: Vec<&'a str>,
    rows: Vec<(&'a str, Vec<String>)>,
}

impl<'a> Table<'a> {
    /// An empty table with these columns.
    pub(super) fn new(title: &'a str, columns: impl IntoIterator<Item = &'a str>) -> Self {
        Self { title, columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. `cells` has one cell per column; an empty cell is printed as `-`.
    pub(super) fn add(&mut self, name: &'a str, cells: Vec<String>) {
        self.rows.push((name, cells));
    }

    /// The table with an empty line before it. Columns whose cells are all empty are left out.
    ///
    /// Empty if the table has fewer than two rows: the summary beside it has the same numbers.
    pub(super) fn render(&self, paint: Paint) -> String {
        if self.rows.len() < 2 {
            return String::new();
        }
        let shown: Vec<usize> = (0..self.columns.len())
            .filter(|&column| self.rows.iter().any(|(_, cells)| !cells[column].is_empty()))
            .collect();
        let rows = &self.rows[..self.rows.len().min(SHOWN)];
        let names: Vec<String> = rows
            .iter()
            .map(|(name, _)| fit(&Untrusted(name).escaped(), MOST_NAME).into_owned())
            .collect();
        let longest = names.iter().map(|name| width_of(name)).chain([self.title.len()]).max();
        let first = longest.unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().map(|(_, cells)| cells[column].len());
            cells.chain([self.columns[column].len(), 1]).max().unwrap_or(1)
        };
        let widths: Vec<usize> = shown.iter().map(|&column| width(column)).collect();
        let (bold, dim) = (paint.bold(), paint.dim());
        let gap = " ".repeat(first - self.title.len());
        let mut lines = format!("\n  {bold}{}{bold:#}{gap}", self.title);
        for (&column, width) in shown.iter().zip(&widths) {
            let _ = write!(lines, "  {dim}{:>width$}{dim:#}", self.columns[column]);
        }
        lines.push('\n');
        for ((_, cells), name) in rows.iter().zip(&names) {
            let _ = write!(lines, "  {name}{}", " ".repeat(first - width_of(name)));
            for (&column, width) in shown.iter().zip(&widths) {
                let cell = if cells[column].is_empty() { "-" } else { &cells[column] };
                let _ = write!(lines, "  {cell:>width$}");
            }
            lines.push('\n');
        }
        match self.rows.len() - rows.len() {
            0 => {}
            hidden => {
                let _ = writeln!(lines, "  ... and {hidden} more");
            }
        }
        lines
    }
}

/// A cell with a count; empty for zero.
pub(super) fn count(number: u64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    #[test]
    fn counts_are_aligned_in_columns() {
        let mut table = Table::new("source", ["fetch", "keep", "size"]);
        assert_eq!(table.render(Paint::new(false)), "");
        table.add("写真\u{1b}", vec![count(12_345_678), count(0), "1.2 MB".to_owned()]);
        assert_eq!(table.render(Paint::new(false)), "", "one row is not printed");
        table.add("posters", vec![count(7), count(0), String::new()]);
        assert_snapshot!(table.render(Paint::new(false)), @r"

        source         fetch    size
        写真\u{1b}  12345678  1.2 MB
        posters            7       -
        ");
        for _ in 0..20 {
            table.add("more", vec![count(1), count(1), String::new()]);
        }
        let lines = table.render(Paint::new(false));
        assert_eq!(lines.lines().count(), 3 + SHOWN);
        assert!(lines.ends_with("  ... and 10 more\n"), "{lines}");
    }
}
