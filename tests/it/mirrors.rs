//! Mirrors: the same file at other locations.

use std::time::Duration;

use crate::origin::{Answer, DeadPort, File, Origin, first_modified};
use crate::world::{World, content};

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
fn a_length_beyond_all_disks_fails_its_attempt_alone() {
    for length in ["9223372036854775807", "18446744073709551615", "1000000000000000000"] {
        let mirror = Origin::new();
        mirror.serve("/a.txt", "right");
        let mirrors = format!("mirrors: [\"{}/a.txt\"]", mirror.base());
        let world = World::new().serve("/a.txt", "wrong").source("$BASE/a.txt", &[&mirrors]);
        let answer = || Answer::file().content_lengths(&[length]);
        world.origin.always("/a.txt", answer());
        world.apply().success();
        world.assert_files(&[("a.txt", "right")]);

        let world = World::new().serve("/a.txt", "wrong");
        let world = world.source("$BASE/a.txt", &["http: {retries: 0}"]);
        world.origin.always("/a.txt", answer());
        let (kind, message) = world.apply().failure("a.txt");
        assert!(["no_space", "protocol"].contains(&kind.as_str()), "{kind}");
        assert!(message.contains(length), "{message}");
    }
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

/// A file of today, and a mirror that has a copy of that age in days.
fn with_a_copy(age: i32, settings: &[&str]) -> (World, Origin) {
    let mirror = Origin::new();
    let day = Duration::from_hours(24);
    let then = first_modified() + 100 * day;
    let at =
        if 0 < age { then - day * age.unsigned_abs() } else { then + day * age.unsigned_abs() };
    mirror.serve("/a.txt", File::new("of that mirror").modified(at));
    let mirrors = format!("mirrors: [\"{}/a.txt\"]", mirror.base());
    let world = World::new()
        .serve("/a.txt", File::new("of the origin").modified(then))
        .source("$BASE/a.txt", &[&[mirrors.as_str(), "http: {retries: 0}"], settings].concat());
    (world, mirror)
}

#[test]
fn an_older_copy_of_a_mirror_does_not_replace_the_file() {
    for local in ["recorded", "without a state"] {
        let (world, mirror) = with_a_copy(1, &[]);
        world.apply().success();
        if local != "recorded" {
            std::fs::remove_dir_all(world.path("out/.natsync")).unwrap();
        }
        world.origin.always("/a.txt", Answer::status(500));
        let run = world.apply().code(1);
        let (kind, message) = run.failure("a.txt");
        assert_eq!(kind, "http_status", "{local}");
        assert_eq!(run.result("a.txt")["error"]["status"], 500, "the failure of the origin counts");
        assert!(message.contains("older") && message.contains(&mirror.base()), "{message}");
        world.assert_files(&[("a.txt", "of the origin")]);
        assert!(0 < mirror.count("/a.txt"));
        world.origin.behave();
        assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    }
}

#[test]
fn a_copy_of_a_mirror_that_is_not_older_replaces_the_file() {
    for age in [0, -1] {
        let (world, _mirror) = with_a_copy(age, &[]);
        world.apply().success();
        world.origin.always("/a.txt", Answer::status(500));
        assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
        world.assert_files(&[("a.txt", "of that mirror")]);
    }
}

#[test]
fn an_older_copy_of_a_mirror_is_taken_where_it_is_pinned_or_nothing_is_here() {
    let digest = crate::world::sha256_of("of that mirror");
    let (world, _mirror) = with_a_copy(1, &[&format!("sha256: {digest}")]);
    world.write("out/a.txt", "of the origin");
    world.origin.always("/a.txt", Answer::status(500));
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    let (world, _mirror) = with_a_copy(1, &[]);
    world.origin.always("/a.txt", Answer::status(500));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

#[test]
fn the_next_mirror_is_tried_after_one_with_an_older_copy() {
    let (old, new) = (Origin::new(), Origin::new());
    let day = Duration::from_hours(24);
    old.serve("/a.txt", File::new("old").modified(first_modified() - day));
    new.serve("/a.txt", File::new("new").modified(first_modified() + day));
    let mirrors = format!("mirrors: [\"{}/a.txt\", \"{}/a.txt\"]", old.base(), new.base());
    let world = World::new()
        .serve("/a.txt", "of the origin")
        .source("$BASE/a.txt", &[&mirrors, "http: {retries: 0}"]);
    world.apply().success();
    world.origin.always("/a.txt", Answer::status(500));
    world.apply().success();
    world.assert_files(&[("a.txt", "new")]);
}

#[test]
fn a_mirror_that_lacks_a_file_costs_no_byte_of_its_origin() {
    let mirror = Origin::new();
    let world = World::new().serve("/a.bin", content(1, 50_000)).source(
        "$BASE/a.bin",
        &[&format!("mirrors: [\"{}/a.bin\"]", mirror.base()), "http: {retries: 0}"],
    );
    world.origin.everywhere(Answer::file().cut_at(30_000));
    world.apply().code(1);
    assert_eq!(mirror.count("/a.bin"), 1, "it answers 404");
    world.origin.behave();
    world.origin.forget();
    world.apply().success();
    let range = world.origin.requests()[0].header("range").map(str::to_owned);
    assert_eq!(range, Some("bytes=30000-".to_owned()), "the part was kept");
}
