//! The JSON Schema of the manifest, for editors, generated from the same tables as the reader uses.
//!
//! It accepts every manifest that the reader accepts. It rejects the mistakes that show without the
//! expansion of variables: unknown keys, wrong words, wrong types. `natsync plan` reports the
//! others.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::expect::Kind;
use super::shape::{Bounds, Field, Mapping, Shape};
use super::tables::{
    ALGORITHMS, LIST_FILE_MAPPING, LITERAL_MAPPING, MANIFEST_MAPPING, RANGE_MAPPING,
    ROWS_FILE_MAPPING,
};

/// The JSON Schema (draft 2020-12) of a manifest.
#[must_use]
pub fn schema() -> Value {
    let mut definitions = Map::new();
    let mut schema = Map::new();
    schema.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".to_owned(), json!("natsync manifest"));
    let Value::Object(top) = mapping(&MANIFEST_MAPPING, &mut definitions) else {
        return Value::Object(schema);
    };
    schema.extend(top);
    definitions.insert("values".to_owned(), values(1));
    definitions.insert("chosen".to_owned(), values(0));
    for part in [&RANGE_MAPPING, &LITERAL_MAPPING, &LIST_FILE_MAPPING, &ROWS_FILE_MAPPING] {
        let made = mapping(part, &mut definitions);
        definitions.insert(part.name.to_owned(), made);
    }
    // A stable order, independent of the order in which definitions are used.
    let sorted: std::collections::BTreeMap<_, _> = definitions.into_iter().collect();
    schema.insert("$defs".to_owned(), sorted.into_iter().collect());
    Value::Object(schema)
}

fn mapping(mapping: &Mapping, definitions: &mut Map<String, Value>) -> Value {
    let mut properties = Map::new();
    for field in mapping.table {
        properties.insert(field.name.to_owned(), property(field, definitions));
    }
    let mut made = json!({
        "description": mapping.about,
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    });
    if !mapping.required.is_empty() {
        made["required"] = json!(mapping.required);
    }
    for (key, rules) in mapping.rules {
        made[*key] = serde_json::from_str(rules).unwrap_or_default();
    }
    if !mapping.one_of.is_empty() {
        let one = |key: &&str| json!({"required": [key]});
        made["oneOf"] = mapping.one_of.iter().map(one).collect();
    }
    made
}

fn property(field: &Field, definitions: &mut Map<String, Value>) -> Value {
    let mut description = sentence(field.about);
    if let Some(default) = field.default {
        let _ = write!(description, " Default: {default}.");
    }
    let mut made = Map::new();
    made.insert("description".to_owned(), json!(description));
    // A default or an example that parses as JSON keeps its JSON type; any other one is a string.
    let typed = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    if let Some(default) = field.default {
        made.insert("default".to_owned(), typed(default));
    }
    if let Some(example) = field.example {
        made.insert("examples".to_owned(), json!([typed(example)]));
    }
    if let Value::Object(shape) = shape(field.shape, definitions) {
        for (key, value) in shape {
            made.entry(key).or_insert(value);
        }
    }
    Value::Object(made)
}

/// `the URL template` becomes `The URL template.`
fn sentence(about: &str) -> String {
    let mut letters = about.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

/// A scheme and the beginning of a host, unless an insertion or an environment variable supplies
/// them.
const URL: &str = r"^([Hh][Tt][Tt][Pp][Ss]?://[^/?#]|[^:/?#]*[{$])";
const DIGITS: &str = "^[0-9]+$";
const SIZE: &str = r"^\s*[0-9]+(\.[0-9]{0,9})?\s*(B|k|kB|KB|M|MB|G|GB|T|TB|K|Ki|KiB|Mi|MiB|Gi|GiB|Ti|TiB)?\s*(/s)?\s*$";
const DURATION: &str = r"^\s*(0|([0-9]+\s*(ms|s|m|min|h|d|w)\s*)+)$";
const SHARE: &str = r"^([0-9]+|\s*([0-9]*\.)?[0-9]+\.?\s*%)$";
const MEDIA_TYPE: &str = r"^[A-Za-z0-9!#$&^_.+-]+/(\*|[A-Za-z0-9!#$&^_.+-]+)$";
const VARIABLE: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";

fn shape(shape: Shape, definitions: &mut Map<String, Value>) -> Value {
    match shape {
        Shape::Text | Shape::Template => text(),
        Shape::Url => json!({"type": "string", "pattern": URL}),
        Shape::Word(words) => word(words),
        // Case and dashes are ignored: `SHA-256`.
        Shape::Algorithm => json!({"anyOf": [
            {"enum": ALGORITHMS},
            {"type": "string", "pattern": "^-*([Ss]-*[Hh]-*[Aa]-*(2-*5-*6|5-*1-*2|1)|[Mm]-*[Dd]-*5|[Bb]-*[Ll]-*[Aa]-*[Kk]-*[Ee]-*3)-*$"},
        ]}),
        Shape::Flag => json!({"enum": [true, false, "true", "false"]}),
        Shape::FlagOrPath => json!({"type": ["boolean", "string", "number"]}),
        Shape::FlagOrPathOr(part) => json!({"anyOf": [
            self::shape(Shape::FlagOrPath, definitions),
            self::shape(Shape::Mapping(part), definitions),
        ]}),
        Shape::Number(bounds) => number(bounds),
        Shape::NumberOr(bounds, word) => {
            json!({"anyOf": [number(bounds), {"const": word}]})
        }
        Shape::Rate => json!({"anyOf": [
            {"type": "number", "minimum": 0.001},
            {"type": "string", "pattern": "^[0-9.eE+-]+$"},
        ]}),
        Shape::Duration(words) => {
            let time = json!({"type": "string", "pattern": DURATION});
            let mut forms = vec![json!({"const": 0}), time];
            if !words.is_empty() {
                forms.insert(0, json!({"enum": words}));
            }
            json!({"anyOf": forms})
        }
        Shape::Size => json!({"anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": SIZE},
        ]}),
        Shape::Quota => json!({"anyOf": [
            {"type": "integer", "minimum": 0},
            {"type": "string", "pattern": SHARE},
        ]}),
        // YAML parses a digest as a number if all of its digits are decimal.
        Shape::Digest(digits) => json!({
            "type": ["string", "number"],
            "pattern": format!(r"^\s*[0-9A-Fa-f]{{{digits}}}\s*$"),
        }),
        Shape::MediaType => json!({"type": "string", "pattern": MEDIA_TYPE}),
        Shape::Kind => json!({"enum": Kind::names().collect::<Vec<_>>()}),
        Shape::OneOrMore(one) => {
            let one = self::shape(*one, definitions);
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Shape::List(one) => {
            json!({"type": "array", "minItems": 1, "items": self::shape(*one, definitions)})
        }
        Shape::Mapping(part) => {
            if !definitions.contains_key(part.name) {
                // Insert a placeholder first, so that a recursive reference does not loop.
                definitions.insert(part.name.to_owned(), Value::Null);
                let made = mapping(part, definitions);
                definitions.insert(part.name.to_owned(), made);
            }
            reference(part.name)
        }
        Shape::Headers => json!({
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"},
            "additionalProperties": text(),
        }),
        Shape::Variables => json!({
            "type": "object",
            "propertyNames": {"pattern": VARIABLE},
            "additionalProperties": reference("values"),
        }),
        Shape::Choice => json!({
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"pattern": VARIABLE},
            "additionalProperties": reference("chosen"),
        }),
        Shape::Rows => json!({"anyOf": [
            reference("rows_file"),
            {"type": "array", "minItems": 1, "items": {
                "type": "object",
                "propertyNames": {"pattern": VARIABLE},
                "additionalProperties": text(),
            }},
        ]}),
    }
}

/// Any scalar: the reader also accepts a number or a boolean, and uses it as it is written.
fn text() -> Value {
    json!({"type": ["string", "number", "boolean"]})
}

/// One of these words. A word that YAML may parse as a number or a boolean is also accepted in that
/// form.
fn word(words: &[&str]) -> Value {
    let numbers = words.iter().filter_map(|word| word.parse::<u64>().ok()).map(Value::from);
    // `off` is a boolean in YAML 1.1, which some editors use.
    let booleans = words.contains(&"off").then_some(Value::Bool(false));
    let numbers = numbers.chain(booleans);
    json!({"enum": numbers.chain(words.iter().map(|&word| json!(word))).collect::<Vec<_>>()})
}

fn number((least, most): Bounds) -> Value {
    json!({"anyOf": [
        {"type": "integer", "minimum": least, "maximum": most},
        {"type": "string", "pattern": DIGITS},
    ]})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// The values of a variable. `least` is the smallest length of a list.
fn values(least: u64) -> Value {
    // In a list, the reader accepts `null` and `~`, and uses them as they are written.
    let one = json!({"anyOf": [
        {"type": ["string", "number", "boolean", "null"]},
        reference("range"),
        reference("literal"),
        reference("list_file"),
    ]});
    json!({
        "description": "The values of a variable: a value, a range such as 1..26, 001..100, a..z or \
                        2024-01-01..today..7d, a list of these, or a file with one value on each line.",
        "anyOf": [one, {"type": "array", "minItems": least, "items": one}],
    })
}

#[cfg(test)]
mod tests;
