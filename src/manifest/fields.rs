//! Mappings with known keys: each table is the one place that says which there are.

use super::node::{Key, Kind, Node};
use super::read::Reader;

/// The keys of a mapping with what they are for.
pub(super) type Table = &'static [(&'static str, &'static str)];

/// The top level.
pub(super) const MANIFEST: Table = &[
    ("version", "the version of the manifest language: 1"),
    ("name", "the manifest's name; the file's stem by default"),
    ("dest", "the destination directory, relative to the manifest"),
    ("sources", "what the destination holds"),
    ("http", "transport settings for all sources"),
    ("prune", "what becomes of files that are no longer declared: off or managed"),
    ("max_delete", "how many files a run may prune: a number or a share"),
    ("limits", "bounds on the manifest itself"),
    ("portable", "whether names must work on every system"),
];

/// A source.
pub(super) const SOURCE: Table = &[
    ("name", "its name"),
    ("url", "the URL template"),
    ("files", "instead of `url`: a list of files"),
    ("mirrors", "URL templates of the same file elsewhere"),
    ("alternates", "URL templates of the same thing under other names"),
    ("vars", "variables and their values"),
    ("rows", "variables that go together, a row at a time"),
    ("combine", "how variables combine: product or zip"),
    ("exclude", "combinations to leave out"),
    ("path", "the path template, below the destination"),
    ("on_missing", "what a missing file means: fail, skip or prune"),
    ("max_missing", "how many entries may be missing: a number or a share"),
    ("missing_when", "what counts as missing"),
    ("missing_ttl", "how long a missing file is not asked for again"),
    ("check", "how long a file counts as fresh: always, never, or an age"),
    ("expect", "what the content must be like"),
    ("overrides", "single entries that differ"),
    ("tags", "words that `--only tag:NAME` chooses by"),
    ("checksums", "where the publisher lists digests: a file, a URL, or sidecars"),
    ("sha256", "the SHA-256 of its only file"),
    ("sha512", "the SHA-512 of its only file"),
    ("sha1", "the SHA-1 of its only file"),
    ("md5", "the MD5 of its only file"),
    ("blake3", "the BLAKE3 of its only file"),
    ("headers", "header fields for the source's own origin"),
    ("netrc", "whether users and passwords come from ~/.netrc, or from which file"),
    ("http", "transport settings"),
];

/// One file of `files`.
pub(super) const FILE: Table = &[
    ("url", "its URL"),
    ("path", "where it goes"),
    ("size", "its length in bytes"),
    ("sha256", "its SHA-256"),
    ("sha512", "its SHA-512"),
    ("sha1", "its SHA-1"),
    ("md5", "its MD5"),
    ("blake3", "its BLAKE3"),
];

/// `http`.
pub(super) const HTTP: Table = &[
    ("connections", "connections in all"),
    ("connections_per_host", "connections to one origin: a number or auto"),
    ("requests_per_second", "requests a second to one origin"),
    ("rate_limit", "bytes a second"),
    ("retries", "further attempts after a failed one"),
    ("max_retry_after", "the longest pause that a server may ask for"),
    ("connect_timeout", "how long a connection may take to be made"),
    ("stall_timeout", "how long no byte may come"),
    ("min_rate", "the slowest rate, averaged over a minute"),
    ("redirects", "how many redirects are followed"),
    ("user_agent", "the User-Agent header"),
    ("proxy", "the URL of a proxy, or none"),
    ("ca_file", "certificates to trust, instead of the system's"),
    ("segments", "ranges of one large file at a time"),
    ("segment_min_size", "files smaller than this are not segmented"),
    ("http2", "whether HTTP/2 is spoken: auto, never or always"),
];

/// `expect`.
pub(super) const EXPECT: Table = &[
    ("content_type", "the media type, such as image/jpeg or image/*"),
    ("min_size", "bytes at least"),
    ("max_size", "bytes at most"),
    ("kind", "what the first bytes must be, such as jpeg or zip"),
    ("unframed", "whether an answer without a length is taken"),
];

/// `missing_when`.
pub(super) const MISSING_WHEN: Table = &[
    ("status", "HTTP statuses"),
    ("content_type", "the media type of an error page that comes with success"),
];

/// `limits`.
pub(super) const LIMITS: Table = &[("entries", "how many entries the manifest may expand to")];

/// One of `overrides`.
pub(super) const OVERRIDE: Table = &[
    ("when", "the values of the entries that it is about"),
    ("url", "another URL template"),
    ("path", "another path template"),
    ("skip", "whether they are left out"),
    ("sha256", "its SHA-256"),
    ("sha512", "its SHA-512"),
    ("sha1", "its SHA-1"),
    ("md5", "its MD5"),
    ("blake3", "its BLAKE3"),
    ("reason", "why"),
];

/// `checksums`.
pub(super) const CHECKSUMS: Table = &[
    ("file", "a checksum list, relative to the manifest"),
    ("url", "the URL template of a checksum list"),
    ("sidecar", "the URL template of the list of a single file, such as {+url}.sha256"),
    ("algorithm", "sha256, sha512, sha1, md5 or blake3, where the list does not say it"),
    ("pattern", "a regular expression with a group `digest`, and maybe `name`"),
    ("optional", "whether an entry may be missing in the list"),
];

/// A range as a mapping.
pub(super) const RANGE: Table =
    &[("from", "the first value"), ("to", "the last value"), ("step", "the distance")];
/// A literal.
pub(super) const LITERAL: Table = &[("value", "a text that is no range, whatever it looks like")];
/// A list in a file.
pub(super) const LIST_FILE: Table = &[("file", "a file with one value a line")];
/// Rows in a file.
pub(super) const ROWS_FILE: Table = &[("csv", "a CSV file with a header line")];

/// A mapping whose keys are known.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    pub(super) node: &'n Node,
    items: Vec<(&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Opens a mapping. Keys that the table does not have are problems; `place` says where, such as
    /// the source's name.
    pub(super) fn open(
        reader: &mut Reader<'_>,
        node: &'n Node,
        table: Table,
        place: &str,
    ) -> Option<Self> {
        let Kind::Mapping(items) = &node.kind else {
            let keys: Vec<_> = table.iter().take(4).map(|(key, _)| format!("`{key}`")).collect();
            reader.problem(
                node.at,
                format!("{place} must be a mapping, this is {}", node.describe()),
                Some(format!("it takes keys such as {}", keys.join(", "))),
            );
            return None;
        };
        for (key, _) in items {
            if table.iter().any(|(known, _)| *known == key.name) {
                continue;
            }
            let hint = match nearest(&key.name, table.iter().map(|(known, _)| *known)) {
                Some(known) => format!("did you mean `{known}`?"),
                None => {
                    let keys: Vec<_> = table.iter().map(|(key, _)| format!("`{key}`")).collect();
                    format!("{place} takes {}", keys.join(", "))
                }
            };
            reader.problem(key.at, format!("unknown field `{}` in {place}", key.name), Some(hint));
        }
        Some(Self { node, items: items.iter().map(|(key, value)| (key, value)).collect() })
    }

    /// The value of a key.
    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.item(name).map(|(_, value)| value)
    }

    /// A key with its value.
    pub(super) fn item(&self, name: &str) -> Option<(&'n Key, &'n Node)> {
        self.items.iter().find(|(key, _)| key.name == name).copied()
    }
}

/// The known word that a wrong one is most likely meant to be.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let known: Vec<_> = known.into_iter().collect();
    // A word that was cut short is nearer than one with other letters.
    let stem = wrong.to_lowercase();
    let stem = stem.strip_suffix('y').unwrap_or(&stem);
    if 3 <= stem.len()
        && let Some(word) = known.iter().find(|word| word.starts_with(stem))
    {
        return Some(word);
    }
    let near =
        known.into_iter().map(|word| (distance(&wrong.to_lowercase(), &word.to_lowercase()), word));
    let (distance, word) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= 1 + wrong.len() / 4).then_some(word)
}

/// How many letters must be changed, added, dropped or swapped with the next (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (row, cells) in rows.iter_mut().enumerate() {
        cells[0] = row;
    }
    for (column, cell) in rows[0].iter_mut().enumerate() {
        *cell = column;
    }
    for row in 1..=a.len() {
        for column in 1..=b.len() {
            let changed = usize::from(a[row - 1] != b[column - 1]);
            let mut best = (rows[row - 1][column] + 1)
                .min(rows[row][column - 1] + 1)
                .min(rows[row - 1][column - 1] + changed);
            if 1 < row && 1 < column && a[row - 1] == b[column - 2] && a[row - 2] == b[column - 1] {
                best = best.min(rows[row - 2][column - 2] + 1);
            }
            rows[row][column] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_understood() {
        let keys = || SOURCE.iter().map(|(key, _)| *key);
        for (wrong, meant) in [
            ("on_mising", "on_missing"),
            ("Url", "url"),
            ("pahts", "path"),
            ("var", "vars"),
            ("mirror", "mirrors"),
            ("exlcude", "exclude"),
        ] {
            assert_eq!(nearest(wrong, keys()), Some(meant), "{wrong}");
        }
        assert_eq!(nearest("frobnicate", keys()), None);
    }
}
