//! `natsync schema`: the schema for editors, tested with an independent validator.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::world::World;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    serde_json::from_str(&World::new().run(["schema"]).success().stdout).unwrap()
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&schema()).unwrap()
}

/// A manifest as an editor reads it: plain YAML, with anchors and merge keys resolved.
fn value_of(yaml: &str) -> Result<Value, String> {
    serde_yaml::from_str(yaml).map_err(|error| error.to_string())
}

fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(project().join(folder)).unwrap();
    let mut found: Vec<_> = found.map(|file| file.unwrap().path()).collect();
    found.retain(|file| file.extension().is_some_and(|extension| extension == ending));
    found.sort();
    found
}

#[test]
fn the_committed_schema_equals_the_printed_one() {
    let printed = World::new().run(["schema"]).success().stdout;
    let file = project().join("docs/manifest.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&file, &printed).unwrap();
    }
    assert!(
        fs::read_to_string(&file).unwrap_or_default() == printed,
        "docs/manifest.schema.json is not what `natsync schema` prints; write it anew with \
         `cargo run -- schema > docs/manifest.schema.json`"
    );
}

#[test]
fn every_example_manifest_is_valid_and_names_the_schema() {
    let validator = validator();
    let manifests = files("manifests", "yaml");
    assert!(7 <= manifests.len());
    for file in manifests {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            text.lines().next(),
            Some("# yaml-language-server: $schema=../docs/manifest.schema.json"),
            "{}",
            file.display()
        );
        let value = value_of(&text).unwrap();
        let problems: Vec<_> = validator
            .iter_errors(&value)
            .map(|problem| format!("{}: {problem}", problem.instance_path()))
            .collect();
        assert!(problems.is_empty(), "{}: {problems:#?}", file.display());
    }
}

/// Complete manifests in the pages are valid. Fragments of manifests have no `version`, and are
/// skipped.
#[test]
fn every_manifest_of_the_pages_is_valid() {
    let validator = validator();
    let mut pages = files("docs", "md");
    pages.push(project().join("README.md"));
    let mut seen = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if !block.lines().any(|line| line.starts_with("version: 1")) {
                continue;
            }
            seen += 1;
            let value = value_of(block).unwrap_or_else(|why| panic!("{}: {why}", page.display()));
            let problems: Vec<_> =
                validator.iter_errors(&value).map(|problem| problem.to_string()).collect();
            assert!(problems.is_empty(), "{}: {problems:#?}\n{block}", page.display());
        }
    }
    assert!(5 <= seen, "{seen} manifests in the pages");
}

/// The schema refuses those invalid manifests whose error does not depend on expanding templates
/// and ranges, or on reading files.
#[test]
fn the_schema_finds_errors_that_need_no_expansion() {
    let validator = validator();
    let (mut refused, mut parsed) = (0, 0);
    for (_, text) in crate::malformed::manifests() {
        let Ok(value) = value_of(&text) else { continue };
        parsed += 1;
        refused += usize::from(!validator.is_valid(&value));
    }
    assert!(48 <= refused, "{refused} of {parsed} malformed manifests");
}
