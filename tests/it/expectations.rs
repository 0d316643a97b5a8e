//! `expect` holds for files that are kept as well as for files that are fetched.

use std::time::Duration;

use crate::origin::{Answer, File};
use crate::world::World;

const JPEG: &[u8] = b"\xff\xd8\xff\xe0 a picture";
const PAGE: &str = "<!DOCTYPE html><title>sign in</title>";

fn world(settings: &[&str]) -> World {
    World::new()
        .serve("/a.jpg", JPEG)
        .source("$BASE/a.jpg", &[&["http: {retries: 0}"], settings].concat())
}

/// Serves other bytes, whose length and date are those of the local file.
fn with_local(settings: &[&str], local: &[u8]) -> World {
    let world = world(settings);
    world.write("out/a.jpg", local);
    world
}

#[test]
fn an_adopted_file_meets_what_a_fetched_one_must_meet() {
    // Each row: the expectation, and bytes that do not meet it. The server sends the same bytes, so
    // only the refusal is right.
    let rows: [(&str, &[u8], &str); 5] = [
        ("{kind: jpeg}", b"no picture at all", "unexpected_content"),
        ("{min_size: 100}", JPEG, "unexpected_content"),
        ("{max_size: 3}", JPEG, "too_large"),
        ("{min_size: 1}", b"", "unexpected_content"),
        ("{content_type: image/jpeg}", JPEG, "unexpected_content"),
    ];
    for (expect, bytes, kind) in rows {
        let world = with_local(&[&format!("expect: {expect}")], bytes);
        world.origin.serve("/a.jpg", bytes);
        let run = world.apply().code(1);
        assert_eq!(run.failure("a.jpg").0, kind, "{expect}");
        assert_eq!(world.read("out/a.jpg"), bytes, "the file stays");
    }
    let world = with_local(&[], PAGE.as_bytes());
    world.origin.serve("/a.jpg", File::new(PAGE).content_type("text/html"));
    assert_eq!(world.apply().code(1).failure("a.jpg").0, "unexpected_content");
    // A page under another name is doubtful whatever type the server states.
    let mut page = PAGE.as_bytes().to_vec();
    page.resize(JPEG.len().max(page.len()), b' ');
    let good = [JPEG, &vec![b'.'; page.len() - JPEG.len()][..]].concat();
    let world = with_local(&[], &page);
    world.origin.serve("/a.jpg", good.clone());
    world.apply().success();
    assert_eq!(world.read("out/a.jpg"), good);
    // A good answer replaces it.
    let same_length = vec![b'x'; JPEG.len()];
    let world = with_local(&["expect: {kind: jpeg}"], &same_length);
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    assert_eq!(world.read("out/a.jpg"), JPEG);
}

/// A file that an earlier manifest, without the expectation, allowed.
#[test]
fn a_file_that_is_revalidated_or_kept_meets_the_expectations_of_today() {
    let rows: [(&str, &[u8]); 4] = [
        ("{kind: jpeg}", b"no picture at all"),
        ("{min_size: 100}", b"short"),
        ("{max_size: 20}", b"longer than twenty bytes, it seems"),
        ("{min_size: 1}", b""),
    ];
    for check in ["always", "never", "30d"] {
        for (expect, bytes) in rows {
            let world = World::new().serve("/a.jpg", bytes);
            let source = |expect: &str| {
                format!(
                    "sources:\n  - url: $BASE/a.jpg\n    check: {check}\n    expect: {expect}\n"
                )
            };
            world.set_manifest("natsync.yaml", &source("{min_size: 0}"));
            world.apply().success();
            world.set_manifest("natsync.yaml", &source(expect));
            // Upstream has the same bytes still: they are refused, and stay.
            world.apply().code(1);
            assert_eq!(world.read("out/a.jpg"), bytes, "{check} {expect}");
            // Upstream has good ones.
            let good = [JPEG, &vec![b'.'; 100 - JPEG.len()][..]].concat();
            let good = if expect.contains("max") { JPEG.to_vec() } else { good };
            world.origin.serve("/a.jpg", good.clone());
            let plan = world.plan().success();
            assert_ne!(plan.decision("a.jpg").0, "keep", "{check} {expect}");
            world.apply().success();
            assert_eq!(world.read("out/a.jpg"), good, "{check} {expect}");
            world.origin.forget();
            world.apply().success();
            assert_eq!(world.origin.bytes_sent(), 0, "{check} {expect}: once is enough");
        }
    }
}

#[test]
fn a_not_modified_that_states_another_type_is_no_confirmation() {
    let world = world(&["expect: {content_type: image/jpeg}"]);
    world.origin.serve("/a.jpg", File::new(JPEG).content_type("image/jpeg"));
    world.apply().success();
    let page = Answer::status(304).header("Content-Type", "text/html");
    world.origin.attempts("/a.jpg", [page]);
    world.apply().success();
    assert_eq!(world.origin.count("/a.jpg"), 3);
}

#[test]
fn a_refreshed_plan_says_that_a_kept_file_does_not_meet_its_expectation() {
    let bytes = vec![b'x'; JPEG.len()];
    let world = with_local(&["expect: {kind: jpeg}"], &bytes);
    let refreshed = || world.run(["plan", "--refresh", "--json"]).success();
    assert_eq!(refreshed().decision("a.jpg"), ("replace".to_owned(), "unexpected".to_owned()));
    world.write("out/a.jpg", JPEG);
    assert_eq!(refreshed().counts(), "entries 1, keep 1");
}

#[test]
fn a_good_file_is_kept_without_a_request() {
    let world = world(&["expect: {kind: jpeg, max_size: 1kB}", "check: never"]);
    world.apply().success();
    world.age_state(Duration::from_hours(24 * 400));
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    world.origin.assert_requests(&[]);
}
