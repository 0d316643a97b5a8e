//! The key `rows`: variables whose values are paired row by row.

use std::collections::{HashMap, HashSet};

use super::fields::{Fields, nearest};
use super::lists::FromFile;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::values::Column;
use crate::manifest::problem::Span;
use crate::manifest::tables::ROWS_FILE;
use crate::manifest::vars::{Segment, Texts, Values};

impl Reader<'_> {
    /// Reads `rows`.
    pub(super) fn rows(&mut self, node: &Node) -> Vec<Column> {
        let before = self.problems.len();
        let columns = match &node.kind {
            Kind::List(items) if !items.is_empty() => self.inline_rows(items),
            Kind::Mapping(_) => Fields::open(self, node, ROWS_FILE, "`rows`").and_then(|fields| {
                match fields.get("csv") {
                    Some(csv) => self.csv_rows(csv),
                    // Such as `url`, which was reported as an unknown key.
                    None if before < self.problems.len() => None,
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

    fn inline_rows(&mut self, items: &[Node]) -> Option<Vec<Column>> {
        let mut columns: Vec<(String, Texts, Span)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
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
                places = columns.iter().map(|(name, ..)| name.clone()).zip(0..).collect();
            }
            let mut row: Vec<Option<&Node>> = vec![None; columns.len()];
            for (key, cell) in cells {
                if let Some(&place) = places.get(&key.name) {
                    row[place] = Some(cell);
                } else {
                    self.problem(
                        key.at,
                        format!("`{}` is not in the first row", key.name),
                        nearest(&key.name, columns.iter().map(|(name, ..)| name.as_str()))
                            .map(|name| format!("did you mean `{name}`?")),
                    );
                    return None;
                }
            }
            for ((name, texts, _), cell) in columns.iter_mut().zip(row) {
                let Some(cell) = cell else {
                    self.problem(
                        item.at,
                        format!("this row has no `{name}`, but the first row has"),
                        None,
                    );
                    return None;
                };
                let text = self.text(cell, name)?;
                texts.push(&self.lone_date(name, text));
            }
        }
        Some(
            columns
                .into_iter()
                .map(|(name, texts, at)| Column {
                    name,
                    values: values_of(texts),
                    at,
                    cause: at,
                    needed: true,
                    files: Vec::new(),
                })
                .collect(),
        )
    }

    fn csv_rows(&mut self, node: &Node) -> Option<Vec<Column>> {
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
        self.check_head(node, &names)?;
        let mut columns = vec![Texts::default(); names.len()];
        for record in reader.records() {
            match record {
                Ok(record) => {
                    for ((column, cell), name) in columns.iter_mut().zip(&record).zip(&names) {
                        column.push(&self.lone_date(name, cell));
                    }
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
        let file = self.path_of(node, node.text()?)?;
        let column = |(name, texts)| Column {
            name,
            values: values_of(texts),
            at: node.at,
            cause: node.at,
            needed: false,
            files: vec![FromFile { first: 0, file: file.clone(), is_csv: true }],
        };
        Some(usable.map(column).collect())
    }

    /// Refuses a head that shows another separator, or that has one variable twice.
    fn check_head(&mut self, node: &Node, names: &[String]) -> Option<()> {
        if let [name] = names
            && name.contains([';', '\t', '|'])
        {
            let message = format!("the CSV file has a single column, `{name}`");
            let hint = "columns are separated by commas; write the file anew with commas";
            self.problem(node.at, message, Some(hint.to_owned()));
            return None;
        }
        let mut seen = HashSet::new();
        let twice = names
            .iter()
            .find(|name| crate::manifest::template::is_name(name) && !seen.insert(name.as_str()));
        if let Some(name) = twice {
            let hint = "give one of them another name in the first line of the file";
            self.problem(node.at, format!("two columns are named `{name}`"), Some(hint.to_owned()));
            return None;
        }
        Some(())
    }
}

fn values_of(texts: Texts) -> Values {
    let mut values = Values::default();
    values.push(Segment::Texts(texts));
    values
}
