//! Validates the output of `--json` with docs/output.schema.json and docs/json.md, by an
//! independent validator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use crate::origin::{Answer, File};
use crate::world::World;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// The schema, changed so that unknown fields are errors.
fn strict() -> Value {
    let mut schema: Value = serde_json::from_str(&read("docs/output.schema.json")).unwrap();
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        if definition["properties"].as_object().is_some_and(|properties| !properties.is_empty()) {
            definition["additionalProperties"] = json!(false);
        }
    }
    schema
}

#[track_caller]
fn valid(validator: &jsonschema::Validator, line: &Value) {
    let problems: Vec<_> = validator.iter_errors(line).map(|problem| problem.to_string()).collect();
    assert!(problems.is_empty(), "{line}: {problems:#?}");
}

/// Lines of every kind.
fn lines() -> Vec<Value> {
    let world = World::new().serve_numbered(6).serve("/pinned.txt", File::new("a"));
    world.origin.always("/5.txt", Answer::status(403));
    let manifest = "version: 1\ndest: out\nprune: managed\nmax_delete: 1\nsources:\n\
        \x20 - name: good\n    url: $BASE/{n}.txt\n    vars: {n: 1..4}\n    mirrors: [\"$BASE/m/{filename}\"]\n    \
        on_missing: skip\n    missing_ttl: 1d\n\
        \x20 - name: bad\n    url: $BASE/{n}.txt\n    vars: {n: 5..6}\n    path: bad/{filename}\n";
    let world = world.manifest(manifest);
    world.origin.remove("/4.txt");
    let mut lines = Vec::new();
    let mut run = |args: &[&str]| lines.extend(world.run(args).json());
    run(&["plan", "--json"]);
    run(&["apply", "--json"]);
    world.origin.serve("/1.txt", "new");
    world.write("out/2.txt", "edited");
    run(&["plan", "--json", "-v", "--refresh"]);
    for entry in ["1.txt", "4.txt", "bad/5.txt"] {
        run(&["explain", "natsync.yaml", entry, "--json"]);
    }
    world.write("out/bad/5.txt", "whose?");
    run(&["verify", "--json"]);
    world.delete("out/bad/5.txt");
    world.delete("out/2.txt");
    run(&["verify", "--json"]);
    std::fs::create_dir(world.path("out/2.txt")).unwrap();
    run(&["explain", "natsync.yaml", "2.txt", "--json"]);
    run(&["verify", "--json"]);
    std::fs::remove_dir(world.path("out/2.txt")).unwrap();
    run(&["apply", "--json", "-v", "--fail-fast", "--failed", "failed.jsonl"]);
    let failed = String::from_utf8(world.read("failed.jsonl")).unwrap();
    lines.extend(failed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    let mut run = |args: &[&str]| lines.extend(world.run(args).json());
    run(&["list", "--json"]);
    run(&["lock", "--json"]);
    run(&["lock", "--check", "--json"]);
    run(&["apply", "--json", "-v"]);
    run(&["explain", "natsync.yaml", "1.txt", "--json", "--rehash"]);
    run(&["list", "--json"]);
    run(&["report", "--html", "page.html", "--json"]);
    run(&["init", "http://h.example/[1-3]", "-o", "new.yaml", "--json"]);
    world.origin.always("/5.txt", Answer::file());
    run(&["apply", "--json"]);
    run(&["apply", "--json", "--force", "--shard", "1/2"]);
    run(&["merge", "--json"]);
    run(&["merge", "--json", "--partial"]);
    run(&["apply", "--json", "--force", "--shard", "2/2"]);
    run(&["merge", "--json"]);
    // Two files are too many to delete, one is not.
    world.set_manifest("natsync.yaml", &manifest.replace("1..4", "1..2"));
    std::fs::remove_file(world.path("natsync.lock")).unwrap();
    run(&["plan", "--json"]);
    run(&["apply", "--json"]);
    run(&["apply", "--json", "--max-delete", "9"]);
    world.set_manifest("natsync.yaml", "version: 1\nsource: []\n");
    run(&["apply", "--json"]);
    run(&["apply", "--json", "no-such.yaml"]);
    run(&["apply", "--json", "--no-such-flag"]);
    lines
}

#[test]
fn everything_that_is_printed_is_in_the_schema() {
    let schema = strict();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut words: BTreeSet<String> = BTreeSet::new();
    for line in lines() {
        valid(&validator, &line);
        let fields = line.as_object().unwrap();
        let of = seen.entry(definition_of(&schema, &line)).or_default();
        of.extend(
            fields.iter().filter(|(_, value)| !value.is_null()).map(|(field, _)| field.clone()),
        );
        for field in ["action", "outcome", "result"] {
            words.extend(line[field].as_str().map(str::to_owned));
        }
    }
    // Every object and every field occurred, with a value other than null.
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        if ["FailureObject", "PinObject", "StateObject", "FailedObject"].contains(&name.as_str()) {
            continue;
        }
        let seen = seen.get(name).unwrap_or_else(|| panic!("no {name} was printed"));
        for field in definition["properties"].as_object().unwrap().keys() {
            // No source here names a list, and no disk fails.
            let is_rare = ["checksums", "size", "sha256", "modified", "host"]
                .contains(&field.as_str())
                || (name == "VerifiedLine" && field == "error");
            assert!(seen.contains(field) || is_rare, "{name} was never printed with `{field}`");
        }
    }
    for word in [
        "fetch",
        "replace",
        "revalidate",
        "keep",
        "absent",
        "prune",
        "downloaded",
        "updated",
        "unchanged",
        "kept",
        "failed",
        "pruned",
        "ok",
        "modified",
        "gone",
        "unknown",
    ] {
        assert!(words.contains(word), "`{word}` was never printed");
    }
}

/// The name of the definition that fits a line.
fn definition_of(schema: &Value, line: &Value) -> String {
    let definitions = schema["$defs"].as_object().unwrap();
    let fits = |definition: &Value| {
        let properties = &definition["properties"];
        properties["type"]["const"] == line["type"]
            && properties["command"]["enum"]
                .as_array()
                .is_none_or(|commands| commands.contains(&line["command"]))
            && definition["required"]
                .as_array()
                .unwrap()
                .iter()
                .all(|field| line.get(field.as_str().unwrap()).is_some())
    };
    let found = definitions.iter().find(|(_, definition)| fits(definition));
    found.unwrap_or_else(|| panic!("{line} is of no definition")).0.clone()
}

#[test]
fn the_page_names_every_object_and_field_with_valid_examples() {
    let schema = strict();
    let page = read("docs/json.md");
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for (field, property) in definition["properties"].as_object().unwrap() {
            assert!(
                page.contains(&format!("`{field}`")),
                "docs/json.md does not name `{field}` of {name}"
            );
            // Commands have a heading each.
            let words = if field == "command" { &Value::Null } else { &property["enum"] };
            for word in words.as_array().into_iter().flatten().filter_map(Value::as_str) {
                assert!(
                    page.contains(&format!("`{word}`")),
                    "docs/json.md does not name `{word}` of {name}"
                );
            }
        }
    }
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let mut examples = 0;
    for block in page.split("```json\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            valid(&validator, &serde_json::from_str(line).unwrap());
            examples += 1;
        }
    }
    assert!(12 <= examples, "{examples} examples");
}
