//! Variables: `vars`, `rows`, `combine`, `exclude`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;

use super::fields::{Fields, nearest};
use super::lists::FromFile;
use super::node::{self, Key, Kind, Node};
use super::reader::Reader;
use super::slips::{explain_range, range_with_a_dash};
use crate::manifest::problem::{Span, Text};
use crate::manifest::tables::{COMBINE, LIST_FILE, LITERAL, RANGE};
use crate::manifest::template::{Space, Variable};
use crate::manifest::vars::{Segment, Texts, Values, parse_moment, parse_range, range_of};

/// A source's variables with the places where they are declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) space: Space,
    pub(super) places: Vec<Place>,
    /// The place of the longest variable, or of the list of files.
    pub(super) cause: Span,
}

/// Where a variable is declared.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) at: Span,
    /// Whether a template must use it.
    pub(super) needed: bool,
    pub(super) files: Vec<FromFile>,
}

/// A variable as it was read.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) values: Values,
    /// The place of its name.
    pub(super) at: Span,
    /// The place of its values.
    pub(super) cause: Span,
    pub(super) needed: bool,
    pub(super) files: Vec<FromFile>,
}

impl Reader<'_> {
    /// Reads `vars`, `rows` and `combine`: the combinations of a source's variables.
    pub(super) fn space(&mut self, fields: &Fields<'_>, source: &str) -> Option<Declared> {
        let before = self.problems.len();
        let rows = fields.get("rows").map(|node| self.rows(node)).unwrap_or_default();
        let mut variables: Vec<Column> = Vec::new();
        if let Some(node) = fields.get("vars") {
            self.vars(node, source, &mut variables);
        }
        let places: HashMap<_, _> =
            variables.iter().map(|column| (column.name.clone(), column.at)).collect();
        for row in &rows {
            if let Some(&at) = places.get(&row.name) {
                self.problem(
                    at,
                    format!("variable `{}` is also a column of `rows`", row.name),
                    Some("give one of them another name".to_owned()),
                );
            }
            if row.values.len() == 0 {
                self.problem(fields.node.at, format!("`{}` has no value", row.name), None);
            }
        }
        let zip = fields
            .get("combine")
            .and_then(|node| self.word(node, "combine", COMBINE))
            .map(|word| word == "zip");
        if zip == Some(true) {
            self.zipped(&variables);
        }
        if before < self.problems.len() {
            return None;
        }
        // Rows are the first dimension, which varies slowest. Zipped variables share one dimension.
        let mut lengths: Vec<u64> = rows.first().map(|row| row.values.len()).into_iter().collect();
        let first = lengths.len();
        let mut all = Vec::new();
        let mut places = Vec::new();
        let mut longest = (0, fields.node.at);
        for (column, is_row) in rows
            .into_iter()
            .map(|row| (row, true))
            .chain(variables.into_iter().map(|own| (own, false)))
        {
            let Column { name, values, at, cause, needed, files } = column;
            if longest.0 < values.len() {
                longest = (values.len(), cause);
            }
            if !is_row && (zip != Some(true) || lengths.len() == first) {
                lengths.push(values.len());
            }
            let dimension = if is_row { 0 } else { lengths.len() - 1 };
            all.push(Variable { name, values, dimension });
            places.push(Place { at, needed, files });
        }
        let space = Space::new(all, &lengths);
        let Some(space) = space else {
            self.problem(
                longest.1,
                format!("source `{source}` expands to more entries than can be counted"),
                Some("narrow its ranges".to_owned()),
            );
            return None;
        };
        Some(Declared { space, places, cause: longest.1 })
    }

    fn zipped(&mut self, variables: &[Column]) {
        let Some((first, rest)) = variables.split_first() else {
            return;
        };
        for column in rest {
            if column.values.len() != first.values.len() {
                let message = format!(
                    "`{}` has {} values and `{}` has {}, but `combine: zip` pairs them",
                    column.name,
                    column.values.len(),
                    first.name,
                    first.values.len()
                );
                let hint = "give both the same number of values, or use `combine: product`";
                self.problem(column.at, message, Some(hint.to_owned()));
            }
        }
    }

    fn vars(&mut self, node: &Node, source: &str, variables: &mut Vec<Column>) {
        let Kind::Mapping(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`vars` must be a mapping, this is {}", node.describe()),
                Some("it has names with their values, such as `n: 1..26`".to_owned()),
            );
            return;
        };
        // The last `--set` of a name wins.
        let set: HashMap<_, _> =
            self.options.set.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        for (key, value) in items {
            if !crate::manifest::template::is_name(&key.name) {
                let hint =
                    "names have letters, digits, `_` and `-`, and begin with a letter or `_`";
                let message = format!("`{}` is not a valid variable name", key.name);
                self.problem(key.at, message, Some(hint.to_owned()));
                continue;
            }
            let read = match set.get(key.name.as_str()) {
                Some(text) => self.set_values(text, &key.name, key.at),
                None => self.values(value, &key.name),
            };
            let Some((values, files)) = read else { continue };
            if values.len() == 0 {
                self.problem(
                    value.at,
                    format!("variable `{}` has no value", key.name),
                    Some(format!(
                        "source `{source}` would have no entry; give it one, or remove the source"
                    )),
                );
                continue;
            }
            let (name, at, cause) = (key.name.clone(), key.at, value.at);
            variables.push(Column { name, values, at, cause, needed: true, files });
        }
    }

    /// Parses the value of `--set`, which has the forms of the manifest. `at` is the place of the
    /// variable there.
    fn set_values(&mut self, text: &str, name: &str, at: Span) -> Option<(Values, Vec<FromFile>)> {
        let node = if text.trim_start().starts_with(['[', '{']) {
            match node::parse(&Text::new(Path::new("--set"), text)) {
                Ok(node) => node.moved(at),
                Err(problems) => {
                    let why = problems.iter().next().map(|problem| problem.message.as_str());
                    let message = format!("`--set {name}={text}`: {}", why.unwrap_or_default());
                    let hint = "a text that begins with a bracket is written `{value: \"..\"}`";
                    self.problem(at, message, Some(hint.to_owned()));
                    return None;
                }
            }
        } else {
            Node { at, kind: Kind::Scalar(text.to_owned()) }
        };
        let before = self.problems.len();
        let values = self.values(&node, name);
        self.problems.begin_with(before, &format!("`--set {name}={text}`: "));
        values
    }

    /// Reads the values of a variable: a scalar, a range, a mapping, or a list of these.
    pub(super) fn values(&mut self, node: &Node, name: &str) -> Option<(Values, Vec<FromFile>)> {
        let mut values = Values::default();
        let mut files = Vec::new();
        for item in node.items() {
            let first = values.len();
            values.push(self.segment(item, name)?);
            if let Kind::Mapping(keys) = &item.kind
                && let [(Key { name, .. }, file)] = &keys[..]
                && name == "file"
            {
                let file = self.path_of(file, file.text()?)?;
                files.push(FromFile { first, file, is_csv: false });
            }
        }
        Some((values, files))
    }

    fn segment(&mut self, node: &Node, name: &str) -> Option<Segment> {
        match &node.kind {
            Kind::Empty => {
                self.problem(
                    node.at,
                    format!("variable `{name}` has an empty value"),
                    Some("an empty text is written `\"\"`".to_owned()),
                );
                None
            }
            Kind::Scalar(text) => match parse_range(text, self.options.today) {
                Ok(Some(segment)) => Some(segment),
                Ok(None) => {
                    if let Some(range) = range_with_a_dash(text) {
                        let message =
                            format!("`{text}` as a value of `{name}` is not a range here");
                        let hint = format!(
                            "for a range, write `{range}`; for this text, `{{value: \"{text}\"}}`"
                        );
                        self.problem(node.at, message, Some(hint));
                        return None;
                    }
                    Some(Segment::Texts(Texts::from([&*self.lone_date(name, text)])))
                }
                Err(error) => {
                    let (why, hint) = explain_range(error, text, self.options.today);
                    let message = format!("`{text}` cannot be the value of `{name}`: {why}");
                    self.problem(node.at, message, Some(hint));
                    None
                }
            },
            Kind::List(_) => {
                self.problem(
                    node.at,
                    format!("variable `{name}` has a list within a list"),
                    Some("write one list".to_owned()),
                );
                None
            }
            Kind::Mapping(items) => match items.first().map(|(key, _)| key.name.as_str()) {
                Some("value") => {
                    let fields =
                        Fields::open(self, node, LITERAL, &format!("the value of `{name}`"))?;
                    let text = self.text(fields.get("value")?, "value")?;
                    Some(Segment::Texts(Texts::from([text])))
                }
                Some("file") => {
                    let fields =
                        Fields::open(self, node, LIST_FILE, &format!("the value of `{name}`"))?;
                    self.list_file(fields.get("file")?, name)
                }
                _ => self.range_mapping(node, items, name),
            },
        }
    }

    fn range_mapping(&mut self, node: &Node, items: &[(Key, Node)], name: &str) -> Option<Segment> {
        let keys = ["from", "to", "step", "file", "value"];
        if let Some((key, _)) = items.first()
            && !items.iter().any(|(key, _)| keys.contains(&key.name.as_str()))
        {
            let hint = match nearest(&key.name, keys) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "it can have `from`, `to` and `step`, or `file`, or `value`".to_owned(),
            };
            let message = format!("unknown field `{}` in the value of `{name}`", key.name);
            self.problem(key.at, message, Some(hint));
            return None;
        }
        let fields = Fields::open(self, node, RANGE, &format!("the range of `{name}`"))?;
        let before = self.problems.len();
        let mut part = |key: &str| match fields.get(key) {
            Some(node) => self.text(node, key).map(str::to_owned),
            None => None,
        };
        let (from, to, step) = (part("from"), part("to"), part("step"));
        if before < self.problems.len() {
            return None;
        }
        let (Some(from), Some(to)) = (from, to) else {
            self.problem(
                node.at,
                format!("the range of `{name}` needs `from` and `to`"),
                Some("such as `{from: 1, to: 26}`".to_owned()),
            );
            return None;
        };
        match range_of(&from, &to, step.as_deref(), self.options.today) {
            Ok(segment) => Some(segment),
            Err(error) => {
                let text = match step {
                    Some(step) => format!("{from}..{to}..{step}"),
                    None => format!("{from}..{to}"),
                };
                let (why, hint) = explain_range(error, &text, self.options.today);
                let message = format!("the range of `{name}` cannot be used: {why}");
                self.problem(node.at, message, Some(hint));
                None
            }
        }
    }

    /// A text of a variable that a template formats as a date: a date relative to today becomes
    /// the date that it stands for. Other texts stay as they are.
    pub(super) fn lone_date<'t>(&self, name: &str, text: &'t str) -> Cow<'t, str> {
        if text.starts_with("today")
            && self.dated.contains(name)
            && let Some(moment) = parse_moment(text, self.options.today)
        {
            return Cow::Owned(moment.to_string());
        }
        Cow::Borrowed(text)
    }

    /// Reports a variable that is used but not declared.
    pub(super) fn undeclared(&mut self, at: Span, name: &str, space: &Space) {
        let declared = || space.variables().iter().map(|variable| variable.name.as_str());
        let near = self.wants_hints().then(|| nearest(name, declared())).flatten();
        let hint = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if declared().next().is_none() => {
                "no variable is declared: add it under `vars`".to_owned()
            }
            None => format!(
                "declared are {}",
                declared().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
        };
        self.problem(at, format!("variable `{name}` is not declared"), Some(hint));
    }
}
