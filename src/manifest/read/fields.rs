//! Mappings with known keys.

use super::node::{Key, Kind, Node};
use super::reader::Reader;
use crate::manifest::shape::Table;

/// A mapping whose keys were compared with a table.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    pub(super) node: &'n Node,
    items: Vec<(&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Opens a mapping. Keys that are not in the table are problems. `place` names the mapping in
    /// messages, such as "source `a`".
    pub(super) fn open(
        reader: &mut Reader<'_>,
        node: &'n Node,
        table: Table,
        place: &str,
    ) -> Option<Self> {
        let Kind::Mapping(items) = &node.kind else {
            let keys: Vec<_> =
                table.iter().take(4).map(|field| format!("`{}`", field.name)).collect();
            reader.problem(
                node.at,
                format!("{place} must be a mapping, this is {}", node.describe()),
                Some(format!("it has keys such as {}", keys.join(", "))),
            );
            return None;
        };
        for (key, _) in items {
            if table.iter().any(|field| field.name == key.name) {
                continue;
            }
            let hint = reader.wants_hints().then(|| known_keys(&key.name, table, place));
            reader.problem(key.at, format!("unknown field `{}` in {place}", key.name), hint);
        }
        Some(Self { node, items: items.iter().map(|(key, value)| (key, value)).collect() })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'n Node> {
        self.item(name).map(|(_, value)| value)
    }

    pub(super) fn item(&self, name: &str) -> Option<(&'n Key, &'n Node)> {
        self.items.iter().find(|(key, _)| key.name == name).copied()
    }
}

/// The hint for an unknown key: the one that was probably meant, or all that there are.
fn known_keys(wrong: &str, table: Table, place: &str) -> String {
    if let Some(known) = nearest(wrong, table.iter().map(|field| field.name)) {
        return format!("did you mean `{known}`?");
    }
    let keys: Vec<_> = table.iter().map(|field| format!("`{}`", field.name)).collect();
    format!("{place} can have {}", keys.join(", "))
}

/// Words that are compared with a misspelled one. A manifest may declare any number of variables.
const COMPARED: usize = 200;

/// The known word that is most similar to a misspelled one. `None` if none is similar enough.
pub(super) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let known: Vec<_> = known.into_iter().take(COMPARED).collect();
    // An abbreviation (`var` for `vars`) is more likely than a word with other letters.
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

/// The edit distance of two words, where swapping adjacent letters counts as one edit (optimal
/// string alignment distance).
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
    use crate::manifest::tables::SOURCE;

    #[test]
    fn a_misspelled_key_gets_a_suggestion() {
        let keys = || SOURCE.iter().map(|field| field.name);
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
