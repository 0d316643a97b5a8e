//! The key `rows`: variables whose values are paired row by row.

use super::fields::{Fields, nearest};
use super::node::{Kind, Node};
use super::reader::Reader;
use crate::manifest::problem::Span;
use crate::manifest::tables::ROWS_FILE;
use crate::manifest::vars::{Segment, Texts, Values};

impl Reader<'_> {
    /// Reads `rows`. Each column is a name, its values, its place, and whether a template must use
    /// it.
    pub(super) fn rows(&mut self, node: &Node) -> Vec<(String, Values, Span, bool)> {
        let columns = match &node.kind {
            Kind::List(items) if !items.is_empty() => self.inline_rows(items),
            Kind::Mapping(_) => Fields::open(self, node, ROWS_FILE, "`rows`").and_then(|fields| {
                match fields.get("csv") {
                    Some(csv) => self.csv_rows(csv),
                    None => {
                        self.problem(node.at, "`rows` needs `csv`, or is a list of mappings", None);
                        None
                    }
                }
            }),
            _ => {
                self.problem(node.at, "`rows` must be a list of mappings, or `{csv: FILE}`", None);
                None
            }
        };
        columns.unwrap_or_default()
    }

    fn inline_rows(&mut self, items: &[Node]) -> Option<Vec<(String, Values, Span, bool)>> {
        let mut columns: Vec<(String, Texts, Span)> = Vec::new();
        for (number, item) in items.iter().enumerate() {
            let Kind::Mapping(cells) = &item.kind else {
                self.problem(
                    item.at,
                    format!("a row must be a mapping, this is {}", item.describe()),
                    None,
                );
                return None;
            };
            if number == 0 {
                columns = cells
                    .iter()
                    .map(|(key, _)| (key.name.clone(), Texts::default(), key.at))
                    .collect();
                if let Some((name, _, at)) =
                    columns.iter().find(|(name, ..)| !crate::manifest::template::is_name(name))
                {
                    self.problem(*at, format!("`{name}` is not a valid variable name"), None);
                    return None;
                }
            }
            for (key, _) in cells {
                if !columns.iter().any(|(name, ..)| *name == key.name) {
                    self.problem(
                        key.at,
                        format!("`{}` is not in the first row", key.name),
                        nearest(&key.name, columns.iter().map(|(name, ..)| name.as_str()))
                            .map(|name| format!("did you mean `{name}`?")),
                    );
                    return None;
                }
            }
            for (name, texts, _) in &mut columns {
                let Some((_, cell)) = cells.iter().find(|(key, _)| key.name == *name) else {
                    self.problem(
                        item.at,
                        format!("this row has no `{name}`, but the first row has"),
                        None,
                    );
                    return None;
                };
                texts.push(self.text(cell, name)?);
            }
        }
        Some(
            columns
                .into_iter()
                .map(|(name, texts, at)| (name, values_of(texts), at, true))
                .collect(),
        )
    }

    fn csv_rows(&mut self, node: &Node) -> Option<Vec<(String, Values, Span, bool)>> {
        let content = self.read_text(node, "csv")?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(content.trim_start_matches('\u{feff}').as_bytes());
        let problem = |this: &mut Self, error: &csv::Error| {
            let line = error
                .position()
                .map(|position| format!(" on line {}", position.line()))
                .unwrap_or_default();
            let what = match error.kind() {
                csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                    format!("{len} fields instead of {expected_len}")
                }
                _ => "it is not readable CSV".to_owned(),
            };
            this.problem(node.at, format!("the rows cannot be used: {what}{line}"), None);
        };
        let names: Vec<String> = match reader.headers() {
            Ok(header) => header.iter().map(str::to_owned).collect(),
            Err(error) => {
                problem(self, &error);
                return None;
            }
        };
        if let [only] = &names[..]
            && only.contains([';', '\t', '|'])
        {
            self.problem(
                node.at,
                format!("the CSV file has the single column `{only}`"),
                Some("natsync reads files whose columns are separated by commas".to_owned()),
            );
            return None;
        }
        let usable = |name: &&String| crate::manifest::template::is_name(name);
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = names.iter().filter(usable).find(|name| !seen.insert(name.as_str())) {
            self.problem(
                node.at,
                format!("the CSV file has two columns `{twice}`"),
                Some("rename one of them in its first line".to_owned()),
            );
            return None;
        }
        let mut columns = vec![Texts::default(); names.len()];
        for record in reader.records() {
            match record {
                Ok(record) => {
                    columns.iter_mut().zip(&record).for_each(|(column, cell)| column.push(cell));
                }
                Err(error) => {
                    problem(self, &error);
                    return None;
                }
            }
        }
        if columns.first().is_none_or(|column| column.len() == 0) {
            self.problem(node.at, "the CSV file has no row", None);
            return None;
        }
        // A publisher's table may have unused columns, and columns whose names cannot be variables.
        let usable = names
            .into_iter()
            .zip(columns)
            .filter(|(name, _)| crate::manifest::template::is_name(name));
        Some(usable.map(|(name, texts)| (name, values_of(texts), node.at, false)).collect())
    }
}

fn values_of(texts: Texts) -> Values {
    let mut values = Values::default();
    values.push(Segment::Texts(texts));
    values
}
