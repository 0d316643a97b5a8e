//! Tables of a plan by source and by host.

use super::table::{Table, count};
use super::text::Paint;
use crate::manifest::Manifest;
use crate::plan::{Share, Shares};
use crate::report::units::Bytes;

/// The tables of a plan. A table with fewer than two rows is left out.
pub(super) fn render(shares: &Shares, manifest: &Manifest, paint: Paint) -> String {
    let sources = manifest.sources().iter().map(|source| source.name.as_str());
    let mut tables = table("source", sources.zip(&shares.sources).collect(), paint);
    let others = [("(others)", &shares.other_hosts)];
    let hosts = shares.hosts.iter().map(|(host, share)| (host.as_str(), share));
    tables.push_str(&table("host", hosts.chain(others).collect(), paint));
    tables
}

fn table(title: &str, mut rows: Vec<(&str, &Share)>, paint: Paint) -> String {
    rows.retain(|(_, share)| share.counts.entries() != 0);
    // Most work first; the sort is stable, so equal rows keep the order of the manifest.
    rows.sort_by_key(|(_, share)| {
        let counts = share.counts;
        std::cmp::Reverse(counts.fetch + counts.replace + counts.revalidate)
    });
    let columns = ["fetch", "replace", "revalidate", "keep", "absent", "conflict", "size"];
    let mut table = Table::new(title, columns);
    for (name, share) in rows {
        let counts = share.counts;
        let counts = [
            counts.fetch.saturating_sub(share.conflicts),
            counts.replace,
            counts.revalidate,
            counts.keep,
            counts.absent,
            share.conflicts,
        ];
        table.add(name, counts.into_iter().map(count).chain([size(share)]).collect());
    }
    table.render(paint)
}

/// The known number of bytes to transfer.
fn size(share: &Share) -> String {
    match (share.known_bytes, share.unknown_sizes) {
        (0, _) => String::new(),
        (known, 0) => Bytes(known).to_string(),
        (known, _) => format!(">= {}", Bytes(known)),
    }
}
