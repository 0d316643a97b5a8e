//! Exceptions of a source: `exclude` and `overrides`, and the conditions of both.

use super::fields::Fields;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::templates::Uses;
use crate::manifest::tables::OVERRIDE;
use crate::manifest::template::{Condition, Effect, Effects, Exceptions, MOST_STEPS, Use};
use crate::manifest::types::Override;
use crate::manifest::vars::Finder;

impl Reader<'_> {
    /// Adds the conditions of `exclude`. `None` after a problem.
    pub(super) fn excludes(
        &mut self,
        fields: &Fields<'_>,
        uses: &mut Uses,
        conditions: &mut Vec<(Condition, Effects)>,
    ) -> Option<()> {
        let Some(node) = fields.get("exclude") else {
            return Some(());
        };
        let items = node.items();
        let skip = Effects::default().with(Effect::Skip);
        for item in items {
            if let Some(condition) = self.condition(item, uses, "`exclude`") {
                conditions.push((condition, skip));
            }
        }
        (conditions.len() == items.len()).then_some(())
    }

    /// Reads `overrides`, and adds their conditions.
    pub(super) fn overrides(
        &mut self,
        fields: &Fields<'_>,
        uses: &mut Uses,
        conditions: &mut Vec<(Condition, Effects)>,
    ) -> Option<Vec<Override>> {
        let Some(node) = fields.get("overrides") else {
            return Some(Vec::new());
        };
        let Kind::List(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`overrides` must be a list, this is {}", node.describe()),
                None,
            );
            return None;
        };
        let overrides: Vec<_> =
            items.iter().map(|item| self.override_of(item, uses, conditions)).collect();
        overrides.into_iter().collect()
    }

    pub(super) fn exceptions(
        &mut self,
        fields: &Fields<'_>,
        uses: &Uses,
        conditions: &[(Condition, Effects)],
    ) -> Option<Exceptions> {
        let exceptions = Exceptions::new(&uses.declared.space, conditions);
        if MOST_STEPS < uses.steps || exceptions.is_err() {
            let key = fields.item("overrides").or_else(|| fields.item("exclude"));
            let at = key.map_or(fields.node.at, |(key, _)| key.at);
            let message = format!(
                "to find what `exclude` and `overrides` apply to takes more than {MOST_STEPS} steps"
            );
            let hint = "join conditions that do the same, or divide the source";
            self.problem(at, message, Some(hint.to_owned()));
            return None;
        }
        exceptions.ok()
    }

    fn override_of(
        &mut self,
        node: &Node,
        uses: &mut Uses,
        conditions: &mut Vec<(Condition, Effects)>,
    ) -> Option<Override> {
        let fields = Fields::open(self, node, OVERRIDE, "an override")?;
        let Some(when) = fields.get("when") else {
            self.problem(
                node.at,
                "an override needs `when`",
                Some("such as `when: {n: 7}`".to_owned()),
            );
            return None;
        };
        let when = self.condition(when, uses, "`when`");
        let url = fields.get("url").map(|node| self.template(node, "url", Use::Url, uses));
        let path = fields.get("path").map(|node| self.template(node, "path", Use::Path, uses));
        let skip = fields.get("skip").map_or(Some(false), |node| self.flag(node, "skip"));
        let reason = fields.get("reason").map(|node| self.name(node, "reason"));
        if skip == Some(true) && reason.is_none() {
            self.problem(
                node.at,
                "a skipped entry needs a `reason`",
                Some("say why it is left out".to_owned()),
            );
        }
        let stated = self.stated(&fields);
        if stated.is_some() && reason.is_none() {
            self.problem(
                node.at,
                "a digest of a single entry needs a `reason`",
                Some("say why it is stated here".to_owned()),
            );
        }
        if url.is_none() && path.is_none() && fields.get("skip").is_none() && stated.is_none() {
            self.problem(
                node.at,
                "this override changes nothing",
                Some("give it `url`, `path`, `skip` or a digest".to_owned()),
            );
        }
        let checksums = self.checksums(&fields);
        let url = match url {
            Some(url) => Some(url?),
            None => None,
        };
        let path = match path {
            Some(path) => Some(path?),
            None => None,
        };
        let effects = [
            (skip?, Effect::Skip),
            (url.is_some(), Effect::Url),
            (path.is_some(), Effect::Path),
            (!checksums.is_empty(), Effect::Pin),
        ];
        let effects = effects.into_iter().filter(|(has, _)| *has);
        let effects = effects.fold(Effects::default(), |all, (_, effect)| all.with(effect));
        conditions.push((when?, effects));
        Some(Override { url, path, checksums, at: node.at })
    }

    /// Reads a condition on variables (`exclude`, `when`).
    pub(super) fn condition(
        &mut self,
        node: &Node,
        uses: &mut Uses,
        place: &str,
    ) -> Option<Condition> {
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
        let mut condition = Condition::default();
        let mut complete = true;
        let mut is_set = false;
        for (key, value) in items {
            let Some(variable) = uses.declared.space.find(&key.name) else {
                self.undeclared(key.at, &key.name, &uses.declared.space);
                complete = false;
                continue;
            };
            let Some((named, _)) = self.values(value, &key.name) else {
                complete = false;
                continue;
            };
            is_set |= self.options.set.iter().any(|(name, _)| *name == key.name);
            let declared = uses.declared.space.variable(variable);
            let finder = uses
                .finders
                .entry(variable)
                .or_insert_with(|| Finder::new(&declared.values, self.options.today));
            // After too many steps, the rules are refused: the search need not go on.
            if uses.steps <= MOST_STEPS {
                let (runs, steps) = finder.find(&declared.values, &named);
                uses.steps += steps + condition.add(declared.dimension, runs);
            }
        }
        // `--set` may leave out the values that a condition is about.
        if complete && condition.is_never() && !is_set && uses.steps <= MOST_STEPS {
            self.warnings.add(node.at, format!("{place} matches no entry"), None);
        }
        complete.then_some(condition)
    }
}
