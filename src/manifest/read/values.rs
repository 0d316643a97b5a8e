//! Variables: `vars`, `rows`, `combine`, `exclude`.

use super::fields::{Fields, nearest};
use super::node::{Kind, Node};
use super::reader::{LIMIT_HINT, Reader};
use crate::manifest::problem::Span;
use crate::manifest::tables::{COMBINE, LIST_FILE, LITERAL, RANGE};
use crate::manifest::template::{Matcher, Space, Variable};
use crate::manifest::vars::{RangeError, Segment, Texts, Values, parse_range, range_of};

/// Largest accepted file with values or rows, in bytes.
const LARGEST_LIST: u64 = 1 << 30;

/// A source's variables with the places where they are declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub(super) space: Space,
    /// Where each variable is declared, and whether a template must use it.
    pub(super) places: Vec<(Span, bool)>,
}

impl Reader<'_> {
    /// Reads `vars`, `rows` and `combine`: the combinations of a source's variables.
    pub(super) fn space(&mut self, fields: &Fields<'_>, source: &str) -> Option<Declared> {
        let before = self.problems.len();
        let rows = fields.get("rows").map(|node| self.rows(node)).unwrap_or_default();
        let mut variables: Vec<(String, Values, Span, bool)> = Vec::new();
        if let Some(node) = fields.get("vars") {
            self.vars(node, source, &mut variables);
        }
        for (name, values, ..) in &rows {
            if let Some((.., at, _)) = variables.iter().find(|(other, ..)| other == name) {
                self.problem(
                    *at,
                    format!("variable `{name}` is also a column of `rows`"),
                    Some("give one of them another name".to_owned()),
                );
            }
            if values.len() == 0 {
                self.problem(fields.node.at, format!("`{name}` has no value"), None);
            }
        }
        let zip = fields
            .get("combine")
            .and_then(|node| self.word(node, "combine", COMBINE))
            .map(|word| word == "zip");
        if zip == Some(true) {
            self.zipped(fields, &variables);
        }
        if before < self.problems.len() {
            return None;
        }
        // Rows are the first dimension, which varies slowest. Zipped variables share one dimension.
        let mut lengths: Vec<u64> =
            rows.first().map(|(_, values, ..)| values.len()).into_iter().collect();
        let first = lengths.len();
        let mut all = Vec::new();
        let mut places = Vec::new();
        for (name, values, at, needed) in rows {
            all.push(Variable { name, values, dimension: 0 });
            places.push((at, needed));
        }
        for (name, values, at, needed) in variables {
            if zip != Some(true) || lengths.len() == first {
                lengths.push(values.len());
            }
            all.push(Variable { name, values, dimension: lengths.len() - 1 });
            places.push((at, needed));
        }
        let space = Space::new(all, &lengths);
        let Some(space) = space else {
            self.problem(
                fields.node.at,
                format!("source `{source}` expands to more entries than can be counted"),
                Some("narrow its ranges".to_owned()),
            );
            return None;
        };
        Some(Declared { space, places })
    }

    fn zipped(&mut self, fields: &Fields<'_>, variables: &[(String, Values, Span, bool)]) {
        let Some((first, rest)) = variables.split_first() else {
            return;
        };
        for (name, values, at, _) in rest {
            if values.len() != first.1.len() {
                let message = format!(
                    "`{name}` has {} values and `{}` has {}, but `combine: zip` pairs them",
                    values.len(),
                    first.0,
                    first.1.len()
                );
                self.problem(
                    *at,
                    message,
                    Some(
                        "give both the same number of values, or use `combine: product`".to_owned(),
                    ),
                );
            }
        }
        let _ = fields;
    }

    fn vars(
        &mut self,
        node: &Node,
        source: &str,
        variables: &mut Vec<(String, Values, Span, bool)>,
    ) {
        let Kind::Mapping(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`vars` must be a mapping, this is {}", node.describe()),
                Some("it has names with their values, such as `n: 1..26`".to_owned()),
            );
            return;
        };
        for (key, value) in items {
            if !crate::manifest::template::is_name(&key.name) {
                self.problem(
                    key.at,
                    format!("`{}` is not a valid variable name", key.name),
                    Some(
                        "names have letters, digits, `_` and `-`, and begin with a letter or `_`"
                            .to_owned(),
                    ),
                );
                continue;
            }
            let set = self.options.set.iter().rev().find(|(name, _)| *name == key.name);
            let values = match set {
                Some((_, text)) => self.set_values(text, &key.name, key.at),
                None => self.values(value, &key.name),
            };
            let Some(values) = values else { continue };
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
            variables.push((key.name.clone(), values, key.at, true));
        }
    }

    /// Parses the value of `--set`: a scalar, a range, or a list in brackets.
    fn set_values(&mut self, text: &str, name: &str, at: Span) -> Option<Values> {
        let inner = text.trim().strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        let items: Vec<&str> = match inner {
            Some(inner) if inner.trim().is_empty() => Vec::new(),
            Some(inner) => inner.split(',').map(str::trim).collect(),
            None => vec![text],
        };
        let mut values = Values::default();
        for item in items {
            match parse_range(item, self.options.today) {
                Ok(Some(segment)) => values.push(segment),
                Ok(None) => values.push(Segment::Texts(Texts::from([item]))),
                Err(error) => {
                    self.problem(at, format!("`--set {name}={text}`: {error}"), None);
                    return None;
                }
            }
        }
        Some(values)
    }

    /// Reads the values of a variable: a scalar, a range, a mapping, or a list of these.
    pub(super) fn values(&mut self, node: &Node, name: &str) -> Option<Values> {
        let mut values = Values::default();
        match &node.kind {
            Kind::List(items) => {
                for item in items {
                    let segment = self.segment(item, name)?;
                    values.push(segment);
                }
            }
            _ => values.push(self.segment(node, name)?),
        }
        Some(values)
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
                Ok(None) => Some(Segment::Texts(Texts::from([text.as_str()]))),
                Err(error) => {
                    self.problem(
                        node.at,
                        format!("`{text}` cannot be the value of `{name}`: {error}"),
                        Some(range_hint(error, text)),
                    );
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
                _ => self.range_mapping(node, name),
            },
        }
    }

    fn range_mapping(&mut self, node: &Node, name: &str) -> Option<Segment> {
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
                self.problem(
                    node.at,
                    format!("the range of `{name}` cannot be used: {error}"),
                    None,
                );
                None
            }
        }
    }

    fn list_file(&mut self, node: &Node, name: &str) -> Option<Segment> {
        let content = self.read_text(node, "file")?;
        let mut texts = Texts::default();
        let lines = content.trim_start_matches('\u{feff}').lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            texts.push(line);
            if self.limit < texts.len() as u64 {
                self.problem(
                    node.at,
                    format!("the file of `{name}` has more than {} values", self.limit),
                    Some(LIMIT_HINT.to_owned()),
                );
                return None;
            }
        }
        if texts.len() == 0 {
            self.problem(node.at, format!("the file of `{name}` has no value"), None);
            return None;
        }
        Some(Segment::Texts(texts))
    }

    /// Reads a file with values or rows that the manifest names. It must be UTF-8.
    pub(super) fn read_text(&mut self, node: &Node, key: &str) -> Option<String> {
        let content = self.read_beside(node, key, LARGEST_LIST)?;
        let text = String::from_utf8(content);
        if text.is_err() {
            let name = node.text().unwrap_or_default();
            let message = format!("cannot read `{name}`: it is not UTF-8");
            self.problem(node.at, message, Some("save it as UTF-8".to_owned()));
        }
        text.ok()
    }

    /// Reads a condition on variables (`exclude`, `when`).
    pub(super) fn matcher(&mut self, node: &Node, space: &Space, place: &str) -> Option<Matcher> {
        let Kind::Mapping(items) = &node.kind else {
            self.problem(
                node.at,
                format!(
                    "{place} must be a mapping of variables to values, this is {}",
                    node.describe()
                ),
                None,
            );
            return None;
        };
        if items.is_empty() {
            self.problem(
                node.at,
                format!("{place} names no variable, so it would match every entry"),
                None,
            );
            return None;
        }
        let mut matcher = Matcher::default();
        let mut complete = true;
        for (key, value) in items {
            let Some(variable) = space.find(&key.name) else {
                self.undeclared(key.at, &key.name, space);
                complete = false;
                continue;
            };
            let Some(named) = self.values(value, &key.name) else {
                complete = false;
                continue;
            };
            // A condition that matches no value is allowed: on another day, or with `--set`, it may
            // match some.
            matcher.add(space, variable, &named, self.options.today);
        }
        complete.then_some(matcher)
    }

    /// Reports a variable that is used but not declared.
    pub(super) fn undeclared(&mut self, at: Span, name: &str, space: &Space) {
        let declared = || space.variables().iter().map(|variable| variable.name.as_str());
        let hint = match nearest(name, declared()) {
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

fn range_hint(error: RangeError, text: &str) -> String {
    match error {
        RangeError::Ends | RangeError::Open | RangeError::Parts => {
            format!(
                "a range is START..END or START..END..STEP; a text with `..` is written `{{value: \"{text}\"}}`"
            )
        }
        RangeError::ZeroStep => "a step of 0 would never end".to_owned(),
        RangeError::WrongWay => {
            "the direction follows from the ends; leave out the sign".to_owned()
        }
        RangeError::Padding => {
            "write as many digits as the values should have, such as `001..100`".to_owned()
        }
        RangeError::TooLong => "narrow the range".to_owned(),
        RangeError::Step => "such as `0..100..10`".to_owned(),
        RangeError::DateStep | RangeError::TimeStep => {
            "such as `2009-08-17..2009-11-09..7d`".to_owned()
        }
    }
}
