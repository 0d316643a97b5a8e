//! YAML as a tree of nodes with their places in the text.
//!
//! A scalar keeps its text as it was written: `1.10` stays `1.10` and `no` stays `no`, because
//! YAML's implicit types are ignored. This is the only file that uses the YAML library.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::NonFiniteFloatPolicy;
use serde_yaml::{DuplicateKeyPolicy, Spanned};

use crate::manifest::problem::{Found, Problem, Problems, Span, Text};

/// Largest accepted scalar, in bytes: a longer one cannot be a useful URL, path or word.
const LONGEST_SCALAR: usize = 64 * 1024;

/// A node with its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Span,
    pub(super) kind: Kind,
}

/// The content of a node.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// No value, as after `key:`.
    Empty,
    /// A scalar, as it was written.
    Scalar(String),
    List(Vec<Node>),
    /// A mapping, in the order of the text.
    Mapping(Vec<(Key, Node)>),
}

/// A key with its place.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Span,
    pub(super) name: String,
}

impl Node {
    /// What the node is, for messages.
    pub(super) fn describe(&self) -> &'static str {
        match self.kind {
            Kind::Empty => "empty",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Mapping(_) => "a mapping",
        }
    }

    /// The items of a list; of anything else, the node itself.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The same node of another text, as one place in this one.
    pub(super) fn moved(self, at: Span) -> Self {
        let kind = match self.kind {
            Kind::List(items) => Kind::List(items.into_iter().map(|item| item.moved(at)).collect()),
            Kind::Mapping(items) => {
                let moved = |(key, node): (Key, Self)| (Key { at, ..key }, node.moved(at));
                Kind::Mapping(items.into_iter().map(moved).collect())
            }
            other => other,
        };
        Self { at, kind }
    }

    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            _ => None,
        }
    }
}

/// Parses a text that has one YAML document.
///
/// # Errors
/// When the text is not YAML, has more than one document, repeats a key in a mapping, or exceeds a
/// limit, as with aliases that expand exponentially.
pub(super) fn parse(text: &Text<'_>) -> Result<Node, Problems> {
    let raw: Spanned<Raw> = serde_yaml::from_str_with_options(text.source, options())
        .map_err(|error| Problems::new(vec![explain(text, &error)]))?;
    let mut problems = Found::default();
    let node = resolve(text, raw, &mut problems);
    if problems.is_empty() { Ok(node) } else { Err(problems.into_problems(text)) }
}

/// Reads all documents of a text within the bounds of [`parse`]. `T` decides what is kept of them.
/// Documents without content are left out.
///
/// # Errors
/// The first place that is not YAML, or where a bound is exceeded.
#[cfg(feature = "cli")]
pub(super) fn documents<'t, T: Deserialize<'t>>(text: &Text<'t>) -> Result<Vec<T>, Problems> {
    serde_yaml::from_multiple_with_options(text.source, options())
        .map_err(|error| Problems::new(vec![explain(text, &error)]))
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_nodes: 2_000_000,
            max_events: 20_000_000,
            max_depth: 32,
            max_total_scalar_bytes: 256 * 1024 * 1024,
            max_recorded_anchor_events: 100_000,
            max_recorded_anchor_bytes: 4 * 1024 * 1024,
            max_aliases: 10_000,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        // The text of a number is read from the source, also of one that overflows a float.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    }
}

/// A node as the library delivers it.
enum Raw {
    Empty,
    /// A scalar that the library takes for a number or a boolean. Its text must be read from the
    /// source.
    Plain,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Mapping(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Empty)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut mapping = Vec::new();
        while let Some(item) = items.next_entry()? {
            mapping.push(item);
        }
        Ok(Raw::Mapping(mapping))
    }
}

fn resolve(text: &Text<'_>, raw: Spanned<Raw>, problems: &mut Found) -> Node {
    let at = span(text, raw.referenced);
    let written = || {
        let defined = span(text, raw.defined);
        text.source[defined.start..defined.end].trim().to_owned()
    };
    if let Raw::Text(value) = &raw.value
        && LONGEST_SCALAR < value.len()
    {
        let message = format!("this value has {} bytes, more than {LONGEST_SCALAR}", value.len());
        problems.add(Span { start: at.start, end: at.start }, message, None);
        return Node { at, kind: Kind::Empty };
    }
    let kind = match raw.value {
        // `~` and `null` keep their text. Only a value that is not written at all is empty.
        Raw::Empty => {
            Some(written()).filter(|text| !text.is_empty()).map_or(Kind::Empty, Kind::Scalar)
        }
        Raw::Plain => Kind::Scalar(written()),
        Raw::Text(text) => Kind::Scalar(text),
        Raw::List(items) => {
            Kind::List(items.into_iter().map(|item| resolve(text, item, problems)).collect())
        }
        Raw::Mapping(items) => Kind::Mapping(resolve_mapping(text, items, problems)),
    };
    Node { at, kind }
}

fn resolve_mapping(
    text: &Text<'_>,
    items: Vec<(Spanned<Raw>, Spanned<Raw>)>,
    problems: &mut Found,
) -> Vec<(Key, Node)> {
    let mut mapping: Vec<(Key, Node)> = Vec::with_capacity(items.len());
    let mut seen = std::collections::HashMap::new();
    for (key, value) in items {
        let key = resolve(text, key, problems);
        let value = resolve(text, value, problems);
        let Kind::Scalar(name) = key.kind else {
            problems.add(key.at, "a key must be a single value".to_owned(), None);
            continue;
        };
        if let Some(first) = seen.insert(name.clone(), key.at) {
            let line = text.line_of(first.start);
            let hint = format!("the first is on line {line}; remove one of them");
            problems.add(key.at, format!("`{name}` is there twice"), Some(hint));
            continue;
        }
        mapping.push((Key { at: key.at, name }, value));
    }
    mapping
}

fn span(text: &Text<'_>, location: serde_yaml::Location) -> Span {
    let length = text.source.len();
    let span = location.span();
    let to_offset = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok());
    match to_offset(span.byte_offset()) {
        Some(start) if start <= length => {
            let end = start.saturating_add(to_offset(span.byte_len()).unwrap_or(0)).min(length);
            text.clip(start, end)
        }
        _ => {
            let line = usize::try_from(location.line()).unwrap_or(1).max(1);
            let column = usize::try_from(location.column()).unwrap_or(1).max(1);
            text.at(line, column)
        }
    }
}

fn explain(text: &Text<'_>, error: &serde_yaml::Error) -> Problem {
    let at = error.location().map_or(Span { start: 0, end: 0 }, |location| span(text, location));
    let words = error.without_snippet().to_string();
    if words.contains("multiple YAML documents") {
        let hint = "keep one, and remove the line `---`";
        return text.problem(at, "the manifest has more than one document").hint(hint);
    }
    if words.contains("budget") {
        let hint = "write out what its aliases stand for, or split the manifest";
        return text.problem(at, "the manifest expands beyond all bounds from here on").hint(hint);
    }
    if words.contains("tab")
        && let Some(tab) = indenting_tab(text.source, at.start)
    {
        let hint = "indent with spaces, as many as for the keys beside it";
        return text
            .problem(text.clip(tab, tab + 1), "a tab cannot indent a line of YAML")
            .hint(hint);
    }
    if let Some(brace) = unquoted_brace(text.source, at.start) {
        let at = text.clip(brace, brace + 1);
        return text
            .problem(at, "this is not YAML that can be read: `{` begins a mapping")
            .hint(QUOTE);
    }
    // The first line of the library's message says what is wrong; an excerpt may follow.
    let words = words.lines().next().unwrap_or_default();
    let message = match words.rfind(" at line ") {
        Some(place) => &words[..place],
        None => words,
    };
    let message = message.split(": line ").next().unwrap_or(message).trim_end_matches(['.', ':']);
    text.problem(at, format!("this is not YAML that can be read: {message}"))
}

/// The hint for a template that is not quoted.
pub(super) const QUOTE: &str = "a value that begins with `{` needs quotes: put the value in quotes, \
                                such as `path: \"{n}.jpg\"`";

/// The first tab that indents a line, from the line of an error on. The YAML library may report such
/// a tab at the line before, or behind the tab.
fn indenting_tab(source: &str, error: usize) -> Option<usize> {
    let first = source[..error].rfind('\n').map_or(0, |newline| newline + 1);
    let mut line = first;
    for text in source[first..].split_inclusive('\n').take(64) {
        let blank = text.len() - text.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = text[..blank].find('\t') {
            return Some(line + tab);
        }
        line += text.len();
    }
    None
}

/// The brace that begins a value such as `{n}.jpg`, if an error stands just behind its `}`.
fn unquoted_brace(source: &str, error: usize) -> Option<usize> {
    let line = &source[source[..error].rfind('\n').map_or(0, |newline| newline + 1)..error];
    let inner = line.trim_end().strip_suffix('}')?;
    let brace = inner.rfind('{')?;
    let is_value = inner[..brace].trim_end().ends_with([':', '-', '[', ',']);
    (is_value && !inner[brace..].contains('}')).then(|| error - line.len() + brace)
}
