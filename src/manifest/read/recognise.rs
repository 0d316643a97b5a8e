//! Whether a YAML file is a manifest: `version` and `sources` are among its top-level keys.

use std::fmt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::node;
use super::text::{read_text, without_mark};
use crate::manifest::problem::{Problems, Text};

/// Whether the file is a manifest, right or wrong, and not some other YAML.
///
/// Reads the whole file within the bounds of [`Manifest::load`](crate::Manifest::load), and keeps
/// none of its values.
///
/// # Errors
/// When the file cannot be read as YAML.
pub(crate) fn is_manifest(file: &Path) -> Result<bool, Problems> {
    let text = read_text(file)?;
    let text = Text::new(file, without_mark(&text));
    // Several documents are an error of `load`, which is the place to say so.
    let documents: Vec<Seen> = node::documents(&text)?;
    Ok(documents.iter().any(|document| matches!(document, Seen::Manifest)))
}

/// What a document or a key is.
enum Seen {
    Manifest,
    Version,
    Sources,
    Other,
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode)
    }
}

struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Seen, A::Error> {
        let (mut has_version, mut has_sources) = (false, false);
        while let Some((key, IgnoredAny)) = items.next_entry::<Seen, IgnoredAny>()? {
            has_version |= matches!(key, Seen::Version);
            has_sources |= matches!(key, Seen::Sources);
        }
        Ok(if has_version && has_sources { Seen::Manifest } else { Seen::Other })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Seen, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Seen::Other)
    }

    fn visit_str<E>(self, text: &str) -> Result<Seen, E> {
        Ok(match text {
            "version" => Seen::Version,
            "sources" => Seen::Sources,
            _ => Seen::Other,
        })
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        Seen::deserialize(deserializer)
    }

    fn visit_none<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Seen, E> {
        Ok(Seen::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<bool>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        std::fs::write(&file, text).unwrap();
        let seen = is_manifest(&file);
        assert_eq!(seen.as_ref().ok().copied(), expected, "{text:?}: {seen:?}");
    }

    #[test]
    fn a_manifest_has_version_and_sources_at_its_top_level() {
        check("version: 1\nsources: []\n", Some(true));
        check("\u{feff}{\"sources\": wrong, 'version': 9}", Some(true));
        check("version: 1\nsources: 1\nsources: 2\nother: ~\n", Some(true));
        check("version: 1\n", Some(false));
        check("all: {version: 1, sources: []}\n", Some(false));
        check("- version: 1\n  sources: []\n", Some(false));
        check("? {version: 1, sources: 2}\n: 3\n", Some(false));
        check("", Some(false));
        check("# nothing\n", Some(false));
        for scalar in ["x", "1", "-1", "1.5", "true", "~", "99999999999999999999", "version"] {
            check(scalar, Some(false));
        }
    }

    #[test]
    fn other_yaml_is_not_an_error() {
        check("a: 1\n---\nb: 2\n", Some(false));
        check("a: 1\n---\nversion: 1\nsources: []\n", Some(true));
        check("Bucket: !Ref Name\nList: !GetAtt [a, b]\nMap: !Sub {a: b}\n", Some(false));
        check("a: &x {b: 1}\nc: {<<: *x, d: 2}\n1: [yes, 2]\n? [k]\n: v\n", Some(false));
    }

    #[test]
    fn yaml_that_cannot_be_read_is_an_error() {
        check("a: [1\n", None);
        check("{{- if .Values.a }}\na: 1\n", None);
        check("version: 1\nsources: []\n  x\n- y\n", None);
        check(&"[".repeat(100_000), None);
        let bomb = (0..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
            text + &format!("a{0}: &a{0} [{1}]\n", n + 1, vec![format!("*a{n}"); 9].join(", "))
        });
        check(&bomb, None);
    }
}
