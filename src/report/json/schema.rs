//! Generates docs/output.schema.json, the JSON Schema of everything that `--json` prints, from the
//! types in `objects`.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::objects::{
    ActionLine, DriftLine, EntryLine, ErrorLine, ExplanationLine, FailedLine, InitLine,
    PlanSummaryLine, ReportSummaryLine, ResultLine, SummaryLine, TotalLine, VerifiedLine,
    VerifySummaryLine,
};
use crate::plan::{Action, Reason};

/// The generator of an object, its name, its `type`, and for a summary the commands that print it.
type Object = (fn(&mut SchemaGenerator), &'static str, &'static str, &'static [&'static str]);

const OBJECTS: [Object; 14] = [
    (make::<ActionLine<'_>>, "ActionLine", "action", &[]),
    (make::<TotalLine<'_>>, "TotalLine", "total", &[]),
    (make::<ResultLine<'_>>, "ResultLine", "result", &[]),
    (make::<VerifiedLine<'_>>, "VerifiedLine", "verified", &[]),
    (make::<EntryLine<'_>>, "EntryLine", "entry", &[]),
    (make::<ExplanationLine<'_>>, "ExplanationLine", "explanation", &[]),
    (make::<InitLine<'_>>, "InitLine", "init", &[]),
    (make::<FailedLine<'_>>, "FailedLine", "failed", &[]),
    (make::<ErrorLine<'_>>, "ErrorLine", "error", &[]),
    (make::<PlanSummaryLine<'_>>, "PlanSummaryLine", "summary", &["plan"]),
    (make::<SummaryLine<'_>>, "SummaryLine", "summary", &["apply", "lock", "merge"]),
    (make::<DriftLine<'_>>, "DriftLine", "summary", &["lock"]),
    (make::<VerifySummaryLine<'_>>, "VerifySummaryLine", "summary", &["verify"]),
    (make::<ReportSummaryLine<'_>>, "ReportSummaryLine", "summary", &["report"]),
];

fn make<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) {
    generator.subschema_for::<T>();
}

/// The possible values of a field.
fn words(object: &str, field: &str) -> Option<Vec<&'static str>> {
    match (object, field) {
        ("ActionLine" | "ExplanationLine", "action") => {
            Some(Action::ALL.map(Action::as_str).to_vec())
        }
        ("ActionLine" | "ExplanationLine", "reason") => {
            Some(Reason::ALL.map(Reason::as_str).to_vec())
        }
        ("ResultLine", "outcome") => Some(vec![
            "downloaded",
            "updated",
            "unchanged",
            "kept",
            "absent",
            "pruned",
            "failed",
            "skipped",
        ]),
        ("FailedLine", "outcome") => Some(vec!["failed", "skipped"]),
        ("VerifiedLine", "result") => Some(vec!["ok", "modified", "gone", "unknown"]),
        ("ExplanationLine", "lock") => Some(vec!["pinned", "missing", "unpinned"]),
        ("ExplanationLine", "checksums") => {
            Some(vec!["listed", "unlisted", "ambiguous", "unusable", "unfetched"])
        }
        ("ExplanationLine", "on_disk") => Some(vec!["file", "nothing", "obstacle"]),
        ("PinObject", "from") => Some(vec!["manifest", "lock", "list"]),
        _ => None,
    }
}

fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    let mut generator = SchemaGenerator::new(settings);
    for (make, ..) in OBJECTS {
        make(&mut generator);
    }
    let definitions = generator.take_definitions(true);
    let mut definitions = Value::Object(definitions.into_iter().collect());
    for (name, definition) in definitions.as_object_mut().into_iter().flatten() {
        let object = OBJECTS.iter().find(|(_, object, ..)| object == name);
        if let Some((_, _, of_type, _)) = object {
            // The tag of `Line`.
            definition["properties"]["type"] = json!({"const": of_type});
            if let Some(required) = definition["required"].as_array_mut() {
                required.insert(0, json!("type"));
            }
        }
        for (field, property) in definition["properties"].as_object_mut().into_iter().flatten() {
            let fixed = match (object, field.as_str()) {
                (Some((_, _, "summary", commands)), "command") => Some(json!({"enum": commands})),
                _ => words(name, field).map(|words| {
                    // If the field may be null, its `type` is an array.
                    let null = property["type"].is_array().then_some(Value::Null);
                    let words: Vec<_> = words.into_iter().map(Value::from).chain(null).collect();
                    json!({"enum": words})
                }),
            };
            if let Some(mut fixed) = fixed {
                if let Some(description) = property.get("description") {
                    fixed["description"] = description.clone();
                }
                *property = fixed;
            }
        }
    }
    let any: Vec<_> =
        OBJECTS.iter().map(|(_, name, ..)| json!({"$ref": format!("#/$defs/{name}")})).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of natsync --json",
        "description": "New fields and new types of objects may be added; existing ones do not change.",
        "oneOf": any,
        "$defs": definitions,
    })
}

#[test]
fn the_committed_schema_is_up_to_date() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/output.schema.json");
    let made = format!("{}\n", serde_json::to_string_pretty(&schema()).unwrap());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &made).unwrap();
    }
    assert!(
        std::fs::read_to_string(&file).unwrap_or_default() == made,
        "docs/output.schema.json is out of date; `UPDATE=1 cargo test the_committed_schema_is_up_to_date` writes it"
    );
    jsonschema::meta::validate(&schema()).unwrap();
}
