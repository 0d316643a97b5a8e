//! Which entries a run may pin, and the resulting lock, after various earlier events.

use std::time::{Duration, SystemTime};

use crate::origin::{Answer, File};
use crate::world::{World, numbered, sha256_of};

const LOCK: &str = "natsync.lock";
/// The SHA-256 of `file 1\n`.
const FIRST: &str = "24ac67b3a60bf1ed8aefea8216c9a26fbe44c72f0bd0b8ff5b6bf5ba5a1a4a3c";

fn text(world: &World) -> String {
    String::from_utf8(world.read(LOCK)).unwrap()
}

fn line(world: &World, path: &str) -> serde_json::Value {
    let lines = text(world);
    let line = lines.lines().find(|line| line.contains(&format!("\"path\":\"{path}\"")));
    serde_json::from_str(line.unwrap_or_else(|| panic!("no line for {path} in\n{lines}"))).unwrap()
}

/// A file that natsync did not write, with the same length as the upstream file and newer.
fn with_stranger(world: &World) {
    world.write("out/1.txt", "FILE 1\n");
}

#[test]
fn only_bytes_served_by_upstream_are_pinned() {
    for command in [&["lock", "--json"][..], &["lock", "--upgrade", "--json"]] {
        let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
        with_stranger(&world);
        assert_eq!(world.run(command).success().counts(), "entries 1, updated 1");
        assert_eq!(line(&world, "1.txt")["sha256"], sha256_of(numbered(1)));
        assert_eq!(world.read("out/1.txt"), numbered(1).as_bytes());
    }
}

#[test]
fn an_adopted_file_is_not_pinned_by_a_304() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    with_stranger(&world);
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.run(["lock", "--json"]).success().counts(), "entries 1, updated 1");
    assert_eq!(line(&world, "1.txt")["sha256"], sha256_of(numbered(1)));
}

#[test]
fn an_apply_that_adds_to_the_lock_looks_as_closely() {
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 2}"]);
    world.run(["lock"]).success();
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 1..2}", "check: never"]);
    with_stranger(&world);
    assert_eq!(world.apply().success().counts(), "entries 2, updated 1, kept 1");
    assert_eq!(line(&world, "1.txt")["sha256"], sha256_of(numbered(1)));
}

#[test]
fn the_same_bytes_as_upstream_are_taken_over_by_a_lock_and_not_written_again() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.write("out/1.txt", numbered(1));
    let before = world.mtime("out/1.txt");
    assert_eq!(world.run(["lock", "--json"]).success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.mtime("out/1.txt"), before);
    assert_eq!(line(&world, "1.txt")["sha256"], sha256_of(numbered(1)));
}

#[test]
fn offline_nothing_is_added_to_a_lock() {
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    world.apply().success();
    world.run(["lock", "--only", "1.txt"]).success();
    let before = text(&world);
    world.run(["apply", "--offline"]).success();
    assert_eq!(text(&world), before);
    world.run(["apply"]).success();
    assert_eq!(text(&world).lines().count(), 3);
}

#[test]
fn an_upgrade_ignores_check() {
    let world = World::new().serve_numbered(1).source(
        "$BASE/{n}.txt",
        &["vars: {n: 1..2}", "check: never", "on_missing: skip", "missing_ttl: 1d"],
    );
    world.run(["lock"]).success();
    assert_eq!(line(&world, "2.txt")["missing"], true);
    world.origin.serve("/1.txt", "changed\n");
    world.origin.serve("/2.txt", "new\n");
    let run = world.run(["lock", "--upgrade", "--json"]).success();
    assert_eq!(run.counts(), "entries 2, downloaded 1, updated 1");
    assert_eq!(line(&world, "1.txt")["sha256"], sha256_of("changed\n"));
    assert_eq!(line(&world, "2.txt")["sha256"], sha256_of("new\n"));
}

#[test]
fn a_locked_file_is_requested_although_it_was_missing_before() {
    let world = World::new().source("$BASE/1.txt", &["on_missing: skip", "missing_ttl: 1d"]);
    assert_eq!(world.apply().success().counts(), "entries 1, absent 1");
    // On another machine the file existed upstream, and was locked.
    let world = world.serve_numbered(1);
    world.run(["lock", "--dest", "elsewhere"]).success();
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

#[test]
fn a_file_pinned_as_missing_is_not_touched() {
    let world = World::new().source("$BASE/1.txt", &["on_missing: skip"]);
    world.run(["lock"]).success();
    with_stranger(&world);
    world.origin.forget();
    for args in [&["apply", "--json"][..], &["apply", "--json", "--force"]] {
        assert_eq!(world.run(args).success().counts(), "entries 1, absent 1");
    }
    assert_eq!(world.read("out/1.txt"), b"FILE 1\n");
    world.origin.assert_requests(&[]);
}

#[test]
fn a_moved_url_takes_the_old_validators_with_it() {
    let world = World::new().serve("/a/1.txt", "x").source("$BASE/a/1.txt", &[]);
    world.run(["lock"]).success();
    assert!(line(&world, "1.txt")["etag"].is_string());
    let digest = line(&world, "1.txt")["sha256"].clone();
    let world = world.serve("/b/1.txt", "x").source("$BASE/b/1.txt", &[]);
    world.run(["lock", "--check"]).code(3);
    world.origin.forget();
    world.run(["lock"]).success();
    let moved = line(&world, "1.txt");
    assert_eq!((&moved["sha256"], &moved["etag"]), (&digest, &serde_json::Value::Null));
    assert_eq!((&moved["last_modified"], &moved["served"]), (&().into(), &().into()));
    world.origin.assert_requests(&[]);
    world.run(["lock", "--check"]).success();
}

#[test]
fn a_line_has_the_url_that_is_declared() {
    // The state has the file under its old URL; with the digest, the file is kept.
    let world = World::new().serve("/a/1.txt", numbered(1)).source("$BASE/a/1.txt", &[]);
    world.apply().success();
    let digest = format!("sha256: {}", sha256_of(numbered(1)));
    let world = world.source("$BASE/b/1.txt", &[&digest]);
    assert_eq!(world.run(["lock", "--json"]).success().counts(), "entries 1, kept 1");
    let line = line(&world, "1.txt");
    assert!(line["url"].as_str().unwrap().ends_with("/b/1.txt"), "{line}");
    assert_eq!((&line["etag"], &line["digest_from"]), (&().into(), &"publisher".into()));
    world.run(["lock", "--check"]).success();
    world.run(["apply", "--locked"]).success();
}

#[test]
fn lock_and_its_check_agree() {
    let sha = format!("sha256: {}", sha256_of(numbered(1)));
    let changes: [(&str, &[&str], bool); 5] = [
        ("nothing", &[], false),
        ("a size that is another", &["size: 9"], true),
        ("a size that is right", &["size: 7"], false),
        ("a digest that vouches for it", &[&sha], true),
        ("a policy", &["on_missing: skip"], false),
    ];
    for (name, settings, drifts) in changes {
        let world = World::new().serve_numbered(1);
        let files = |settings: &[&str]| {
            let of = |policy, indent| {
                let is_wanted = |line: &&&str| line.starts_with("on_") == policy;
                let lines = settings.iter().filter(is_wanted);
                lines.map(|line| format!("{indent}{line}\n")).collect::<Vec<_>>().concat()
            };
            let (fields, policies) = (of(false, "        "), of(true, "    "));
            format!("sources:\n  - files:\n      - url: $BASE/1.txt\n{fields}{policies}")
        };
        let world = world.manifest(&files(&[]));
        world.run(["lock"]).success();
        let before = text(&world);
        let world = world.manifest(&files(settings));
        world.run(["lock", "--check"]).code(if drifts { 3 } else { 0 });
        world.run(["lock"]).code(i32::from(name == "a size that is another"));
        let changed = text(&world) != before;
        assert_eq!(changed, drifts && name != "a size that is another", "{name}");
        if name != "a size that is another" {
            world.run(["lock", "--check"]).success();
        }
    }
}

#[test]
fn a_missing_file_with_a_digest_stays_pinned_as_missing() {
    let world =
        World::new().source("$BASE/1.txt", &[&format!("sha256: {FIRST}"), "on_missing: skip"]);
    world.run(["lock"]).success();
    assert_eq!(line(&world, "1.txt")["missing"], true);
    world.run(["lock", "--check"]).success();
    world.origin.forget();
    world.run(["apply", "--locked"]).success();
    world.run(["lock"]).success();
    world.origin.assert_requests(&[]);
}

#[test]
fn a_lock_that_was_edited_is_tidied() {
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    world.run(["lock"]).success();
    let tidy = text(&world);
    let lines: Vec<_> = tidy.lines().collect();
    for untidy in [
        tidy.replace('\n', "\r\n"),
        format!("{}\n{}\n{}\n", lines[0], lines[2], lines[1]),
        tidy.replace("\",\"", "\", \""),
    ] {
        world.write(LOCK, &untidy);
        world.run(["apply", "--locked"]).success();
        let run = world.run(["lock", "--check"]).code(3);
        assert!(run.stdout.contains("not as natsync writes them"), "{}", run.output());
        world.run(["lock"]).success();
        assert_eq!(text(&world), tidy);
        world.run(["lock", "--check"]).success();
    }
}

#[test]
fn a_file_with_the_manifests_digest_is_locked_without_a_download() {
    let digest = format!("sha256: {}", sha256_of(numbered(1)));
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[&digest]);
    world.run(["lock"]).success();
    world.origin.forget();
    let run = world.run(["lock", "--dest", "elsewhere", "--json"]).success();
    assert_eq!(run.counts(), "entries 1, kept 1");
    world.origin.assert_requests(&[]);
}

#[test]
fn a_new_name_for_the_same_bytes_does_not_change_the_lock() {
    let file = |etag: &str| File::new("same").etag(etag);
    let world = World::new().serve("/1.txt", file("\"a\"")).source("$BASE/1.txt", &[]);
    world.run(["lock"]).success();
    let before = text(&world);
    world.origin.serve("/1.txt", file("\"b\""));
    assert_eq!(
        world.run(["lock", "--upgrade", "--json"]).success().counts(),
        "entries 1, unchanged 1"
    );
    assert_eq!(text(&world), before);
}

/// A 304 may add a validator. One that contradicts the request is no answer (`answers.rs`).
#[test]
fn a_304_may_bring_a_validator_that_was_missing() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.origin.attempts("/1.txt", [Answer::file().without_header("Last-Modified")]);
    world.apply().success();
    let later = "Sun, 06 Nov 2033 08:49:37 GMT";
    world.origin.attempts("/1.txt", [Answer::status(304).header("Last-Modified", later)]);
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.origin.forget();
    world.apply().success();
    assert_eq!(world.origin.requests()[0].header("if-modified-since"), Some(later));
}

#[test]
fn two_manifests_that_would_share_a_lock_are_refused() {
    let world = World::new().serve_numbered(1);
    for name in ["m.yaml", "m.yml"] {
        world.set_manifest(name, "name: m\nsources:\n  - url: $BASE/1.txt\n");
    }
    let run = world.run(["lock", "m.yaml", "m.yml"]).code(2);
    assert!(run.stderr.contains("would share one lock"), "{}", run.output());
    assert!(!world.exists("m.lock"));
}

#[test]
fn after_a_mismatch_an_alternate_may_match() {
    let world = World::new()
        .serve("/new.txt", "the one\n")
        .source("$BASE/old.txt", &["alternates: [$BASE/new.txt]", "path: a.txt"]);
    world.run(["lock"]).success();
    world.delete("out/a.txt");
    world.origin.serve("/old.txt", "another\n");
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    assert_eq!(world.read("out/a.txt"), b"the one\n");
    world.delete("out/a.txt");
    world.origin.remove("/new.txt");
    let (kind, message) = world.apply().code(1).failure("a.txt");
    assert_eq!(kind, "checksum_mismatch", "{message}");
}

#[test]
fn a_file_known_only_by_the_lock_is_not_fresh_without_it() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &["check: 1d"]);
    world.run(["lock"]).success();
    std::fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    world.delete(LOCK);
    world.set_mtime("out/1.txt", SystemTime::now() - Duration::from_secs(100));
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.origin.requests().len(), 1);
}

#[test]
fn after_a_failure_that_is_certain_fail_fast_asks_for_nothing() {
    let world = World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    std::fs::create_dir_all(world.path("out/2.txt")).unwrap();
    let run = world.run(["apply", "--fail-fast", "--json"]).code(1);
    assert_eq!(run.counts(), "entries 3, failed 1, skipped 2");
    world.origin.assert_requests(&[]);
}
