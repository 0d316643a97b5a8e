//! The JSON output: one object per line with stable fields, and nothing else on stdout.

use serde_json::Value;

use crate::origin::Answer;
use crate::world::World;

/// The names of an object's fields, sorted.
fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<_> =
        value.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[track_caller]
fn has_fields(value: &Value, expected: &str) {
    let mut expected: Vec<_> = expected.split(' ').collect();
    expected.sort_unstable();
    assert_eq!(fields(value), expected, "{value}");
}

const RESULT: &str = "type outcome source path url bytes size sha256 attempts";

/// One entry of each kind: present, missing, failing.
fn mixed() -> World {
    let world = World::new().serve_numbered(3).manifest(
        "sources:
  - {name: good, url: \"$BASE/{n}.txt\", vars: {n: 1..3}}
  - {name: gone, url: \"$BASE/gone{n}.txt\", vars: {n: 1..2}, on_missing: skip}
  - {name: bad, url: \"$BASE/bad{n}.txt\", vars: {n: 1..2}, http: {retries: 0}}
",
    );
    for n in 1..=2 {
        world.origin.always(&format!("/bad{n}.txt"), Answer::status(503));
    }
    world
}

#[test]
fn a_plan_has_these_fields() {
    let run = mixed().plan().success();
    has_fields(&run.lines("action")[0], "type action reason source path url size");
    let summary = run.summary();
    has_fields(
        &summary,
        "type command manifest entries fetch replace revalidate keep absent prune",
    );
    assert_eq!((&summary["command"], &summary["manifest"]), (&"plan".into(), &"natsync".into()));
    let totals = run.lines("total");
    has_fields(
        &totals[0],
        "type manifest source host fetch replace revalidate keep absent bytes unknown_sizes",
    );
    assert_eq!(totals.len(), 3, "one for each source, none for the only host");
    assert_eq!(run.json().len(), 7 + 3 + 1);
}

#[test]
fn an_apply_has_these_fields() {
    let run = mixed().apply().code(1);
    assert_eq!(run.counts(), "entries 7, downloaded 3, absent 2, failed 2");
    has_fields(&run.result("1.txt"), RESULT);
    has_fields(&run.result("gone1.txt"), RESULT);
    let failed = run.result("bad1.txt");
    has_fields(&failed, &format!("{RESULT} error"));
    has_fields(&failed["error"], "kind status message");
    assert_eq!(
        (&failed["error"]["kind"], &failed["error"]["status"]),
        (&"http_status".into(), &503.into())
    );
    let summary = run.summary();
    has_fields(
        &summary,
        "type command manifest entries downloaded updated unchanged kept absent pruned failed skipped bytes elapsed_ms",
    );
    assert_eq!(summary["command"], "apply");
    assert_eq!(summary["bytes"], 21);
    assert_eq!(run.json().last(), Some(&summary), "the summary ends the run");
}

#[test]
fn a_result_tells_source_path_url_and_digest() {
    let world = mixed();
    let result = world.apply().code(1).result("2.txt");
    assert_eq!(result["source"], "good");
    assert_eq!(result["url"], world.origin.url("/2.txt"));
    assert_eq!(result["bytes"], 7);
    assert_eq!(result["attempts"], 1);
    assert_eq!(result["sha256"].as_str().map(str::len), Some(64));
}

#[test]
fn a_second_run_prints_the_same_fields() {
    let world = mixed();
    world.apply().code(1);
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 7, unchanged 3, absent 2, failed 2");
    has_fields(&run.result("1.txt"), RESULT);
    assert_eq!(run.result("1.txt")["bytes"], 0);
}

#[test]
fn kept_entries_are_printed_with_v() {
    let world = World::new()
        .serve_numbered(3)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "check: never"]);
    world.apply().success();
    assert_eq!(world.apply().success().json().len(), 1);
    let run = world.run(["apply", "--json", "-v"]).success();
    assert_eq!(run.results().len(), 3);
    assert_eq!(run.result("1.txt")["outcome"], "kept");
    assert_eq!(world.plan().success().json().len(), 1);
    assert_eq!(world.run(["plan", "--json", "-v"]).success().lines("action").len(), 3);
}

#[test]
fn only_counts_selected_entries() {
    let run = mixed().run(["apply", "--json", "--only", "good"]).success();
    assert_eq!(run.counts(), "entries 3, downloaded 3");
}

#[test]
fn a_wrong_manifest_is_an_error_with_its_place() {
    let world = World::new();
    world.write(
        "natsync.yaml",
        "version: 1\ndest: out\nsources:\n  - url: http://x.example/a\n    on_mising: skip\n",
    );
    for command in ["plan", "apply", "list"] {
        let run = world.run([command, "--json"]).code(2);
        let errors = run.lines("error");
        assert_eq!((errors.len(), run.json().len()), (1, 1), "{}", run.output());
        let error = &errors[0];
        has_fields(error, "type kind message file line column");
        assert_eq!(
            (&error["kind"], &error["line"], &error["column"]),
            (&"manifest".into(), &5.into(), &5.into())
        );
        assert!(
            error["file"].as_str().is_some_and(|file| file.ends_with("natsync.yaml")),
            "{error}"
        );
        assert!(
            error["message"].as_str().is_some_and(|message| message.contains("on_mising")),
            "{error}"
        );
    }
}

#[test]
fn a_missing_manifest_is_an_error_on_one_line() {
    let run = World::new().run(["apply", "--json", "gone.yaml"]).code(2);
    assert_eq!(run.lines("error").len(), 1, "{}", run.output());
}

#[test]
fn nothing_else_is_on_stdout_even_when_much_goes_wrong() {
    let world = mixed();
    for args in [
        &["apply", "--json", "-v"][..],
        &["apply", "--json", "-q"],
        &["apply", "--json", "--progress", "always"],
        &["apply", "--json", "--color", "always"],
        &["plan", "--json", "--refresh"],
    ] {
        let run = world.run(args);
        assert!(!run.json().is_empty(), "{args:?}");
        run.summary();
        assert!(run.json().iter().all(|line| line["type"].is_string()), "{args:?}");
    }
}

#[test]
fn names_are_printed_complete_and_escaped() {
    let world =
        World::new().serve("/a", "1").source("$BASE/a", &["path: \"ä 日本 \u{202f}'q'.txt\""]);
    let run = world.apply().success();
    assert_eq!(run.results()[0]["path"].as_str(), Some("ä 日本 \u{202f}'q'.txt"));
}
