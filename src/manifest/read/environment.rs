//! References to environment variables (`${NAME}`), which only some keys allow.

use super::node::Node;
use super::reader::Reader;
use crate::manifest::problem::Span;
use crate::manifest::secret::Secret;
use crate::manifest::template::{Piece, SyntaxError, parse};

/// A text with its environment variables replaced, and the form that may be printed.
#[derive(Clone, Debug)]
pub(super) struct Expanded {
    pub(super) value: Secret,
    pub(super) shown: String,
}

impl Reader<'_> {
    /// The value of an environment variable. If it is neither set nor has a default, this records a
    /// problem and returns `None`. `at` and `len` are the place of the reference in the node, in
    /// bytes.
    pub(super) fn environment(
        &mut self,
        node: &Node,
        name: &str,
        default: Option<&str>,
        at: usize,
        len: usize,
    ) -> Option<String> {
        // As in a shell, `:-` also replaces an empty value by the default.
        let found = (self.options.env)(name).filter(|value| default.is_none() || !value.is_empty());
        if let Some(value) = &found {
            self.hidden.add(value, &format!("${{{name}}}"));
        }
        let value = found.or_else(|| default.map(str::to_owned));
        if value.is_none() {
            let place = self.within(node, at, len);
            self.problem(
                place,
                format!("the environment variable `{name}` is not set"),
                Some(format!("set it, or write `${{{name}:-default}}`")),
            );
        }
        value
    }

    /// Replaces each `${NAME}` in a text. Other braces have no meaning there. `what` names the key
    /// in problems.
    pub(super) fn expand(&mut self, node: &Node, what: &str) -> Option<Expanded> {
        let text = self.text(node, what)?.to_owned();
        let mut expanded = Expanded { value: Secret::new(String::new()), shown: String::new() };
        let mut value = String::new();
        let mut rest = 0;
        while let Some(start) = text[rest..].find("${").map(|start| rest + start) {
            let end = text[start..].find('}').map_or(text.len(), |end| start + end + 1);
            value.push_str(&text[rest..start]);
            expanded.shown.push_str(&text[rest..start]);
            match parse(&text[start..end], true).as_deref() {
                Ok([Piece::Environment { name, default, .. }]) => {
                    value.push_str(&self.environment(
                        node,
                        name,
                        default.as_deref(),
                        start,
                        end - start,
                    )?);
                    expanded.shown.extend(["${", name, "}"]);
                }
                // Unreachable: a text from `${` to the next `}` is one reference or an error.
                Ok(_) => {}
                Err(SyntaxError { message, hint, .. }) => {
                    let place = self.within(node, start, end - start);
                    self.problem(place, message.clone(), hint.clone());
                    return None;
                }
            }
            rest = end;
        }
        value.push_str(&text[rest..]);
        expanded.shown.push_str(&text[rest..]);
        expanded.value = Secret::new(value);
        Some(expanded)
    }

    /// The place of a part of a scalar. If the scalar is written with escapes or on several lines,
    /// so that offsets in its value are not offsets in the file, the place is that of the whole
    /// scalar.
    pub(super) fn within(&self, node: &Node, at: usize, len: usize) -> Span {
        let Some(text) = node.text() else {
            return node.at;
        };
        let written = &self.text.source[node.at.start..node.at.end];
        let quote = usize::from(written.starts_with(['"', '\'']));
        let start = node.at.start + quote + at;
        if written.get(quote..).is_some_and(|rest| rest.starts_with(text))
            && start + len <= self.text.source.len()
        {
            return self.text.clip(start, start + len.max(1));
        }
        node.at
    }
}
