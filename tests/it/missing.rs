//! Files that upstream does not have.

use std::time::Duration;

use crate::origin::{Answer, File};
use crate::world::World;

fn some_of_four(settings: &[&str]) -> World {
    let mut lines = vec!["vars: {n: 1..4}"];
    lines.extend(settings);
    World::new().serve_numbered(1).source("$BASE/{n}.txt", &lines)
}

#[test]
fn a_missing_file_fails_by_default() {
    let world = World::new().source("$BASE/gone.txt", &[]);
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 1, failed 1");
    assert_eq!(run.failure("gone.txt").0, "http_status");
    let result = run.result("gone.txt");
    assert_eq!((&result["error"]["status"], &result["attempts"]), (&404.into(), &1.into()));
    assert_eq!(world.origin.count("/gone.txt"), 1, "404 is no reason to ask again");
}

#[test]
fn a_missing_file_can_be_skipped() {
    let world = some_of_four(&["on_missing: skip"]);
    world.origin.always("/3.txt", Answer::status(410));
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 4, downloaded 1, absent 3");
    assert_eq!(run.result("3.txt")["outcome"], "absent");
    assert_eq!(world.names(), ["1.txt"]);
    assert_eq!(world.origin.requests().len(), 4);
}

#[test]
fn a_file_that_vanished_upstream_stays_here() {
    let world = some_of_four(&["on_missing: skip"]);
    world.apply().success();
    world.origin.remove("/1.txt");
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 4, absent 4");
    assert_eq!(world.names(), ["1.txt"]);
}

#[test]
fn a_missing_file_that_appears_is_downloaded() {
    let world = some_of_four(&["on_missing: skip"]);
    world.apply().success();
    world.origin.serve("/2.txt", "late");
    assert_eq!(world.apply().success().counts(), "entries 4, downloaded 1, unchanged 1, absent 2");
}

#[test]
fn other_refusals_are_not_missing() {
    let world = some_of_four(&["on_missing: skip", "http: {retries: 0}"]);
    world.origin.always("/2.txt", Answer::status(403));
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 4, downloaded 1, absent 2, failed 1");
    assert_eq!(world.origin.count("/2.txt"), 1);
}

#[test]
fn statuses_that_count_as_missing_can_be_set() {
    let world =
        some_of_four(&["on_missing: skip", "missing_when: {status: [403]}", "http: {retries: 0}"]);
    world.origin.always("/2.txt", Answer::status(403));
    let run = world.apply().code(1);
    assert_eq!(run.result("2.txt")["outcome"], "absent");
    assert_eq!(run.result("3.txt")["outcome"], "failed");
}

#[test]
fn an_error_page_with_status_200_can_count_as_missing() {
    let world = World::new()
        .serve("/1.bin", "data")
        .serve("/2.bin", File::new("<html>sorry</html>").content_type("text/html; charset=utf-8"))
        .source(
            "$BASE/{n}.bin",
            &["vars: {n: 1..2}", "on_missing: skip", "missing_when: {content_type: text/html}"],
        );
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 2, downloaded 1, absent 1");
    world.assert_files(&[("1.bin", "data")]);
}

#[test]
fn a_missing_file_is_not_requested_within_its_ttl() {
    let world = some_of_four(&["on_missing: skip", "missing_ttl: 1d", "check: never"]);
    world.apply().success();
    world.origin.forget();
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 4, kept 1, absent 3");
    world.origin.assert_requests(&[]);
    let plan = world.plan().success();
    assert_eq!(plan.decision("2.txt"), ("absent".to_owned(), "missing_upstream".to_owned()));

    world.age_state(Duration::from_hours(25));
    assert_eq!(world.apply().success().counts(), "entries 4, kept 1, absent 3");
    world.origin.assert_requests(&["GET /2.txt", "GET /3.txt", "GET /4.txt"]);
    world.origin.forget();
    world.apply().success();
    world.origin.assert_requests(&[]);
}

#[test]
fn more_missing_files_than_allowed_fail_the_source() {
    for (limit, status) in [("2", 1), ("3", 0), ("50%", 1), ("75%", 0)] {
        let world = some_of_four(&["on_missing: skip", &format!("max_missing: {limit}")]);
        let run = world.apply().code(status);
        assert_eq!(run.summary()["downloaded"], 1, "max_missing {limit}");
        assert_eq!(world.names(), ["1.txt"], "what is there is fetched all the same");
        assert_eq!(run.lines("error").len(), usize::from(status == 1), "{}", run.output());
    }
}

#[test]
fn an_alternate_is_asked_for_when_the_name_before_is_missing() {
    let world = World::new().serve("/2.csv.zip", "zipped").serve("/1.zip", "first").source(
        "$BASE/{n}.zip",
        &["vars: {n: 1..3}", "alternates: [\"$BASE/{n}.csv.zip\"]", "on_missing: skip"],
    );
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, downloaded 2, absent 1");
    world.assert_files(&[("1.zip", "first"), ("2.zip", "zipped")]);
    assert_eq!((world.origin.count("/1.csv.zip"), world.origin.count("/3.csv.zip")), (0, 1));
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 2, absent 1");
}

#[test]
fn an_alternate_is_no_mirror() {
    let world = World::new()
        .serve("/b.zip", "other")
        .source("$BASE/a.zip", &["alternates: [$BASE/b.zip]", "http: {retries: 0}"]);
    world.origin.always("/a.zip", Answer::status(500));
    world.apply().code(1);
    assert_eq!(world.origin.count("/b.zip"), 0);
}

#[test]
fn very_many_missing_entries_are_held_back_and_then_absent() {
    // More entries than the event channel can buffer: the task that settles them must not be the
    // one that forwards the events (deadlock).
    let world = World::new().source(
        "$BASE/{n}.txt",
        &[
            "vars: {n: 1..70000}",
            "on_missing: skip",
            "max_missing: 100%",
            "http: {connections_per_host: 32}",
        ],
    );
    world.origin.everywhere(Answer::status(404));
    let run = world.run(["apply"]).success();
    assert!(run.stdout.contains("70000 absent"), "{}", run.output());
}

#[test]
fn known_missing_files_count_too() {
    let world = some_of_four(&["on_missing: skip", "max_missing: 3", "missing_ttl: 1d"]);
    assert_eq!(world.apply().success().counts(), "entries 4, downloaded 1, absent 3");
    world.origin.remove("/1.txt");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 4, absent 3, failed 1");
    assert!(run.failure("1.txt").1.contains("max_missing"), "{}", run.output());
}
