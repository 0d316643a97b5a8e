//! A plan by source and by host, as tables.

use std::fmt::Write as _;

use super::escape::Untrusted;
use super::text::{Paint, fit, width_of};
use super::units::Bytes;
use crate::manifest::Manifest;
use crate::plan::{Action, Share, Shares};

/// So many rows of a table are shown, those with most to do.
const SHOWN: usize = 12;
/// Names are at most so wide.
const MOST_NAME: usize = 40;

/// The tables of a plan; empty where a table would have but one row.
pub(super) fn render(shares: &Shares, manifest: &Manifest, paint: Paint) -> String {
    let sources = manifest.sources().iter().map(|source| source.name.as_str());
    let sources: Vec<_> = sources.zip(&shares.sources).collect();
    let mut hosts: Vec<_> =
        shares.hosts.iter().map(|(host, share)| (host.as_str(), share)).collect();
    if shares.other_hosts.counts.entries() != 0 {
        hosts.push(("(others)", &shares.other_hosts));
    }
    let mut tables = table("source", sources, paint);
    tables.push_str(&table("host", hosts, paint));
    tables
}

/// What is to be done with an entry of a share.
const COLUMNS: [(&str, Action); 5] = [
    ("fetch", Action::Fetch),
    ("replace", Action::Replace),
    ("revalidate", Action::Revalidate),
    ("keep", Action::Keep),
    ("absent", Action::Absent),
];

fn table(title: &str, mut rows: Vec<(&str, &Share)>, paint: Paint) -> String {
    rows.retain(|(_, share)| share.counts.entries() != 0);
    if rows.len() < 2 {
        return String::new();
    }
    // Those with most to do stand first; equal ones in the order of the manifest.
    rows.sort_by_key(|(_, share)| {
        let counts = share.counts;
        std::cmp::Reverse(counts.fetch + counts.replace + counts.revalidate)
    });
    let number = |number: u64| if number == 0 { "-".to_owned() } else { number.to_string() };
    let count = |share: &Share, action| match action {
        Action::Fetch => share.counts.fetch.saturating_sub(share.conflicts),
        action => share.counts.of(action),
    };
    type Cell<'a> = Box<dyn Fn(&Share) -> String + 'a>;
    let mut columns: Vec<(&str, Cell<'_>)> = Vec::new();
    for (word, action) in COLUMNS {
        if rows.iter().any(|(_, share)| count(share, action) != 0) {
            columns.push((word, Box::new(move |share| number(count(share, action)))));
        }
    }
    if rows.iter().any(|(_, share)| share.conflicts != 0) {
        columns.push(("conflict", Box::new(move |share| number(share.conflicts))));
    }
    if rows.iter().any(|(_, share)| share.known_bytes != 0) {
        columns.push(("size", Box::new(size)));
    }
    let hidden = rows.len().saturating_sub(SHOWN);
    rows.truncate(SHOWN);
    let names: Vec<String> = rows
        .iter()
        .map(|(name, _)| fit(&Untrusted(name).escaped(), MOST_NAME).into_owned())
        .collect();
    let first = names.iter().map(|name| width_of(name)).chain([title.len()]).max().unwrap_or(0);
    let (bold, dim) = (paint.bold(), paint.dim());
    let mut lines = format!("\n  {bold}{title}{bold:#}{}", " ".repeat(first - title.len()));
    let cells: Vec<Vec<String>> = columns
        .iter()
        .map(|(_, cell)| rows.iter().map(|(_, share)| cell(share)).collect())
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .zip(&cells)
        .map(|((word, _), cells)| {
            cells.iter().map(String::len).chain([word.len()]).max().unwrap_or(0)
        })
        .collect();
    for ((word, _), width) in columns.iter().zip(&widths) {
        let _ = write!(lines, "  {dim}{word:>width$}{dim:#}");
    }
    lines.push('\n');
    for (row, name) in names.iter().enumerate() {
        let _ = write!(lines, "  {name}{}", " ".repeat(first - width_of(name)));
        for (cells, width) in cells.iter().zip(&widths) {
            let _ = write!(lines, "  {:>width$}", cells[row]);
        }
        lines.push('\n');
    }
    if 0 < hidden {
        let _ = writeln!(lines, "  ... and {hidden} more");
    }
    lines
}

/// Bytes to transfer, as far as that is known.
fn size(share: &Share) -> String {
    match (share.known_bytes, share.unknown_sizes) {
        (0, 0) => "-".to_owned(),
        (0, _) => "unknown".to_owned(),
        (known, 0) => Bytes(known).to_string(),
        (known, _) => format!(">= {}", Bytes(known)),
    }
}
