//! Digests that a manifest states (`sha256` and others), and the key `checksums`.

use std::sync::Arc;

use regex::bytes::Regex;

use super::fields::Fields;
use super::node::{Key, Node};
use super::reader::Reader;
use super::templates::Uses;
use crate::digest::checksums::{LARGEST, List, ListProblem, Rules};
use crate::digest::{Algorithm, Checksum};
use crate::manifest::tables::CHECKSUMS;
use crate::manifest::template::Use;
use crate::manifest::types::{ListPlace, Matching, Published};

impl Reader<'_> {
    /// Reads all digests that a mapping states.
    pub(super) fn checksums(&mut self, fields: &Fields<'_>) -> Vec<Checksum> {
        Algorithm::DECLARED
            .into_iter()
            .filter_map(|algorithm| {
                let node = fields.get(algorithm.as_str())?;
                let digits = 2 * algorithm.length();
                let wanted = format!("{digits} hexadecimal digits");
                self.parsed(node, algorithm.as_str(), &wanted, |text| {
                    Checksum::from_hex(algorithm, text.trim())
                })
            })
            .collect()
    }

    /// The first key that states a digest.
    #[expect(clippy::unused_self, reason = "called like the other reading methods")]
    pub(super) fn stated<'n>(&self, fields: &Fields<'n>) -> Option<(&'n Key, &'n Node)> {
        Algorithm::DECLARED.into_iter().find_map(|algorithm| fields.item(algorithm.as_str()))
    }

    /// Reads `checksums`.
    pub(super) fn published(&mut self, node: &Node, uses: &mut Uses) -> Option<Published> {
        let fields = Fields::open(self, node, CHECKSUMS, "`checksums`")?;
        let places: Vec<_> =
            ["file", "url", "sidecar"].iter().filter_map(|key| fields.item(key)).collect();
        let [(place, value)] = places[..] else {
            let message = if places.is_empty() {
                "`checksums` needs one of `file`, `url` and `sidecar`"
            } else {
                "`checksums` can have only one of `file`, `url` and `sidecar`"
            };
            let hint = "such as `checksums: {sidecar: \"{+url}.sha256\"}`";
            self.problem(node.at, message, Some(hint.to_owned()));
            return None;
        };
        let before = self.problems.len();
        let algorithm = fields.get("algorithm").and_then(|node| {
            self.parsed(
                node,
                "algorithm",
                "`sha256`, `sha512`, `sha1`, `md5` or `blake3`",
                Algorithm::named,
            )
        });
        let matching = fields.get("match").and_then(|node| {
            self.parsed(node, "match", "`relative`, `path` or `name`", Matching::named)
        });
        let pattern = fields.get("pattern").and_then(|node| self.pattern(node));
        let optional = fields.get("optional").map(|node| self.flag(node, "optional"));
        let rules = Rules { algorithm, pattern, whole: place.name == "sidecar" };
        if before < self.problems.len() {
            return None;
        }
        let place = match place.name.as_str() {
            "file" => self.checksum_file(value, &rules)?,
            "url" => ListPlace::Url(self.template(value, "checksums", Use::Mirror, uses)?),
            _ => ListPlace::Sidecar(self.template(value, "checksums", Use::Mirror, uses)?),
        };
        Some(Published {
            place,
            rules,
            matching: matching.unwrap_or_default(),
            optional: optional.flatten().unwrap_or(false),
        })
    }

    fn pattern(&mut self, node: &Node) -> Option<Regex> {
        let text = self.text(node, "pattern")?;
        match Regex::new(text) {
            Ok(regex) if regex.capture_names().flatten().any(|name| name == "digest") => {
                Some(regex)
            }
            Ok(_) => {
                let hint = "write `(?<digest>[0-9a-f]{64})` in the place of the digest";
                self.problem(node.at, "`pattern` has no group `digest`", Some(hint.to_owned()));
                None
            }
            Err(error) => {
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("`pattern` is not a valid regular expression: {why}");
                self.problem(node.at, message, None);
                None
            }
        }
    }

    fn checksum_file(&mut self, node: &Node, rules: &Rules) -> Option<ListPlace> {
        let content = self.read_beside(node, "file", LARGEST)?;
        let name = self.text(node, "file")?.to_owned();
        let path = self.path_of(node, &name)?;
        match List::parse(&content, &name, rules) {
            Ok(list) => Some(ListPlace::File { path, list: Arc::new(list) }),
            Err(problem) => {
                let hint = Some(ListProblem::HINT.to_owned());
                self.problem(node.at, format!("`{name}` cannot be used: {problem}"), hint);
                None
            }
        }
    }
}
