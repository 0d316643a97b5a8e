//! Mirrors: the same file at other locations.

use crate::origin::{Answer, DeadPort, File, Origin};
use crate::world::World;

#[test]
fn a_mirror_serves_when_the_url_fails() {
    let (first, second) = (Origin::new(), Origin::new());
    second.serve("/a.txt", "from the second mirror");
    first.always("/a.txt", Answer::status(500));
    let mirrors = format!("mirrors: [\"{}/a.txt\", \"{}/a.txt\"]", first.base(), second.base());
    let world = World::new().source("$BASE/a.txt", &[&mirrors, "http: {retries: 0}"]);
    world.origin.always("/a.txt", Answer::status(503));
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 1, downloaded 1");
    world.assert_files(&[("a.txt", "from the second mirror")]);
    assert_eq!(
        (world.origin.count("/a.txt"), first.count("/a.txt"), second.count("/a.txt")),
        (1, 1, 1)
    );
    assert_eq!(
        run.result("a.txt")["url"],
        world.origin.url("/a.txt"),
        "the declared URL is reported"
    );
}

#[test]
fn a_mirror_is_not_asked_while_the_url_works() {
    let mirror = Origin::new();
    let world = World::new()
        .serve("/a.txt", "1")
        .source("$BASE/a.txt", &[&format!("mirrors: [\"{}/a.txt\"]", mirror.base())]);
    world.apply().success();
    world.apply().success();
    mirror.assert_requests(&[]);
}

#[test]
fn an_answer_that_says_missing_is_no_failure() {
    let mirror = Origin::new();
    mirror.serve("/a.txt", "never");
    let world = World::new().source(
        "$BASE/a.txt",
        &[&format!("mirrors: [\"{}/a.txt\"]", mirror.base()), "on_missing: skip"],
    );
    assert_eq!(world.apply().success().counts(), "entries 1, absent 1");
    mirror.assert_requests(&[]);
}

#[test]
fn a_mirror_serves_when_the_bytes_are_wrong() {
    let mirror = Origin::new();
    mirror.serve("/a.jpg", [&b"\xff\xd8\xff\xe0"[..], b"picture"].concat());
    let world = World::new().serve("/a.jpg", "<html>log in first</html>").source(
        "$BASE/a.jpg",
        &[
            &format!("mirrors: [\"{}/a.jpg\"]", mirror.base()),
            "expect: {kind: jpeg}",
            "http: {retries: 0}",
        ],
    );
    world.apply().success();
    assert!(world.read("out/a.jpg").ends_with(b"picture"));
}

#[test]
fn a_mirror_serves_for_a_dead_host() {
    let dead = DeadPort::new();
    let world = World::new().serve_numbered(30).source(
        &format!("{}/{{n}}.txt", dead.base()),
        &["vars: {n: 1..30}", "mirrors: [\"$BASE/{n}.txt\"]", "http: {retries: 1}"],
    );
    assert_eq!(world.apply().success().counts(), "entries 30, downloaded 30");
}

#[test]
fn headers_of_a_source_stay_with_its_own_origin() {
    let mirror = Origin::new();
    mirror.serve("/a.txt", "mirrored");
    let world = World::new().source(
        "$BASE/a.txt",
        &[
            &format!("mirrors: [\"{}/a.txt\"]", mirror.base()),
            "headers: {Authorization: Bearer s3cret, X-Key: k3y}",
            "http: {retries: 0}",
        ],
    );
    world.origin.always("/a.txt", Answer::status(500));
    world.apply().success();
    assert_eq!(world.origin.requests()[0].header("authorization"), Some("Bearer s3cret"));
    let seen = mirror.requests()[0].text();
    assert!(!seen.contains("s3cret") && !seen.contains("k3y"), "{seen}");
}

#[test]
fn validators_of_one_location_are_not_sent_to_another() {
    let mirror = Origin::new();
    mirror.serve("/a.txt", File::new("same").etag("\"of the mirror\""));
    let world = World::new().source(
        "$BASE/a.txt",
        &[&format!("mirrors: [\"{}/a.txt\"]", mirror.base()), "http: {retries: 0}"],
    );
    world.origin.attempts("/a.txt", [Answer::status(500)]);
    world.apply().success();
    world.origin.serve("/a.txt", File::new("same").etag("\"of the origin\""));
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    let second = &world.origin.requests()[1];
    assert_ne!(second.header("if-none-match"), Some("\"of the mirror\""));
}

#[test]
fn the_failure_of_all_places_is_one_failure() {
    let mirror = Origin::new();
    mirror.always("/a.txt", Answer::status(502));
    let world = World::new().source(
        "$BASE/a.txt",
        &[&format!("mirrors: [\"{}/a.txt\"]", mirror.base()), "http: {retries: 0}"],
    );
    world.origin.always("/a.txt", Answer::status(500));
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 1, failed 1");
    assert_eq!(run.failure("a.txt").0, "http_status");
}
