//! Templates in a manifest: parsing, and binding them to the variables of their source.

use std::collections::{HashMap, HashSet};

use super::fields::Fields;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::slips::range_in_brackets;
use super::values::{Declared, Place};
use crate::manifest::problem::Span;
use crate::manifest::template::{
    Builtin, Case, Format, FormatError, Forms, Insert, Piece, Template, Use, encode_literal, parse,
};
use crate::manifest::vars::Finder;

/// A source's variables, and whether a template uses each.
pub(super) struct Uses {
    pub(super) declared: Declared,
    pub(super) used: Vec<bool>,
    pub(super) forms: Forms,
    /// For each variable that a condition is about.
    pub(super) finders: HashMap<usize, Finder>,
    /// What the conditions took so far.
    pub(super) steps: u64,
}

impl Uses {
    pub(super) fn new(declared: Declared, today: jiff::civil::Date) -> Self {
        let used = vec![false; declared.places.len()];
        Self { declared, used, forms: Forms::new(today), finders: HashMap::new(), steps: 0 }
    }
}

impl Reader<'_> {
    pub(super) fn templates(
        &mut self,
        fields: &Fields<'_>,
        key: &str,
        place: Use,
        uses: &mut Uses,
    ) -> Option<Vec<(Template, Span)>> {
        let Some(node) = fields.get(key) else {
            return Some(Vec::new());
        };
        let template = |item| Some((self.template(item, key, place, uses)?, item.at));
        let templates: Vec<_> = node.items().iter().map(template).collect();
        templates.into_iter().collect()
    }

    /// The names in all templates below a node that have a date format.
    pub(super) fn dated(node: &Node, names: &mut HashSet<String>) {
        match &node.kind {
            Kind::Scalar(text) if text.contains('%') => {
                let inserts = parse(text, false).unwrap_or_default().into_iter();
                names.extend(inserts.filter_map(|piece| match piece {
                    Piece::Insert(insert) => {
                        matches!(insert.format, Format::Date(_)).then_some(insert.name)
                    }
                    _ => None,
                }));
            }
            Kind::Empty | Kind::Scalar(_) => {}
            Kind::List(items) => items.iter().for_each(|item| Self::dated(item, names)),
            Kind::Mapping(items) => items.iter().for_each(|(_, item)| Self::dated(item, names)),
        }
    }

    /// Parses a template and binds it to the source's variables.
    pub(super) fn template(
        &mut self,
        node: &Node,
        what: &str,
        place: Use,
        uses: &mut Uses,
    ) -> Option<Template> {
        let text = self.text(node, what)?;
        if place != Use::Path
            && let Some((start, range)) = range_in_brackets(text)
        {
            let at = self.within(node, start, range.len());
            let hint = "declare a variable, `vars: {n: 1..26}`, and write `{n}`; a bracket itself is \
                        written `%5B`";
            self.problem(at, format!("`{range}` is not a range here"), Some(hint.to_owned()));
            return None;
        }
        let pieces = match parse(text, place != Use::Path) {
            Ok(pieces) => pieces,
            Err(error) => {
                let at = self.within(node, error.at, error.len);
                self.problem(at, error.message, error.hint);
                return None;
            }
        };
        let before = self.problems.len();
        let mut template = Template::default();
        for piece in pieces {
            match piece {
                Piece::Text(text) if place == Use::Path => template.push_text(&text, None),
                Piece::Text(text) => {
                    let mut encoded = String::new();
                    encode_literal(&text, &mut encoded);
                    template.push_text(&encoded, None);
                }
                Piece::Environment { name, default, at, len } => {
                    if let Some(value) = self.environment(node, &name, default.as_deref(), at, len)
                    {
                        let mut encoded = String::new();
                        encode_literal(&value, &mut encoded);
                        template.push_text(&encoded, Some(&format!("${{{name}}}")));
                    }
                }
                Piece::Insert(insert) => self.insert(node, &insert, place, uses, &mut template),
            }
        }
        (before == self.problems.len()).then_some(template)
    }

    fn insert(
        &mut self,
        node: &Node,
        insert: &Insert,
        place: Use,
        uses: &mut Uses,
        template: &mut Template,
    ) {
        let at = self.within(node, insert.at, insert.len);
        let space = &uses.declared.space;
        if let Some(variable) = space.find(&insert.name) {
            uses.used[variable] = true;
            if let Err((index, error)) =
                template.push_value(space, variable, insert, place, &mut uses.forms)
            {
                let (message, hint) = explain_format(&insert.name, &error);
                self.wrong_value(&uses.declared.places[variable].files, index, at, message, hint);
            }
            return;
        }
        match Builtin::named(&insert.name) {
            None => self.undeclared(at, &insert.name, space),
            Some(builtin) if place == Use::Url && builtin != Builtin::Index => {
                let message =
                    format!("`{{{}}}` comes from the URL, so it cannot be part of it", insert.name);
                self.problem(
                    at,
                    message,
                    Some("declare a variable of that name, or leave it out".to_owned()),
                );
            }
            Some(_) if insert.format != Format::Plain => {
                self.problem(at, format!("`{{{}}}` cannot have a format", insert.name), None);
            }
            Some(builtin) => template.push_builtin(builtin, insert, place),
        }
    }

    pub(super) fn unused(&mut self, uses: &Uses) {
        for (variable, used) in uses.used.iter().enumerate() {
            let Place { at, needed, .. } = uses.declared.places[variable];
            if !used && needed {
                let name = &uses.declared.space.variable(variable).name;
                self.problem(
                    at,
                    format!("variable `{name}` is not used"),
                    Some(format!("insert it with `{{{name}}}`, or remove it")),
                );
            }
        }
    }
}

/// The default of `path`: `{filename}`.
pub(super) fn default_path() -> Template {
    let insert = Insert {
        name: "filename".to_owned(),
        reserved: false,
        format: Format::Plain,
        case: Case::Kept,
        at: 0,
        len: 0,
    };
    let mut template = Template::default();
    template.push_builtin(Builtin::Filename, &insert, Use::Path);
    template
}

fn explain_format(name: &str, error: &FormatError) -> (String, String) {
    let hint = match error {
        FormatError::NoNumber(_) => "`{n:03}` is for whole numbers".to_owned(),
        FormatError::NoDate(_) | FormatError::ImpossibleDate(_) => {
            "a date is written 2009-08-17".to_owned()
        }
        FormatError::BadFormat(_) => "it is a strftime format, such as `%Y-%m-%d`".to_owned(),
        FormatError::Slash(_) => format!("`{{+{name}}}` allows slashes, which make folders"),
    };
    (format!("`{name}` cannot be inserted: {error}"), hint)
}
