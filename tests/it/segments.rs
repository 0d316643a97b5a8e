//! One large file over several connections: the same bytes and checks, and a fault costs only its
//! own range.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::origin::{Answer, File, Origin, Request};
use crate::world::{World, content, sha256_of, side_by_side};

const SIZE: usize = 4_000_000;

fn bytes(seed: u64) -> Vec<u8> {
    content(seed, SIZE)
}

fn world(file: impl Into<File>, settings: &[&str]) -> World {
    let mut lines = vec!["http: {segments: 4, segment_min_size: 1MB, retries: 4}"];
    lines.extend(settings);
    World::new().serve("/a.bin", file).source("$BASE/a.bin", &lines)
}

fn ranges(world: &World) -> Vec<String> {
    let range = |request: &Request| request.header("range").map(str::to_owned);
    world.origin.requests_for("/a.bin").iter().filter_map(range).collect()
}

/// The total length of all ranges.
fn asked(world: &World) -> usize {
    let length = |range: &String| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        Some(last.parse::<usize>().ok()? + 1 - first.parse::<usize>().ok()?)
    };
    ranges(world).iter().map(|range| length(range).unwrap_or(SIZE)).sum()
}

#[track_caller]
fn ends_with(world: &World, bytes: &[u8]) {
    let run = world.apply().success();
    assert_eq!(run.result("a.bin")["sha256"], sha256_of(bytes));
    assert!(world.read("out/a.bin") == bytes, "the wrong bytes");
    assert_eq!(world.partial_files(), [""; 0]);
}

/// The pause between the pieces of a file that arrives slowly.
const MILLISECONDS: Duration = Duration::from_millis(4);

/// A file that arrives slowly from the front, so that other connections download ranges of it.
fn slowly() -> Answer {
    Answer::file().drip(20_000, MILLISECONDS)
}

#[test]
fn ranges_from_the_end_meet_what_comes_from_the_front() {
    let bytes = bytes(1);
    let world = world(bytes.clone(), &[]);
    world.origin.attempts("/a.bin", [slowly()]);
    ends_with(&world, &bytes);
    let ranges = ranges(&world);
    assert!(3 < ranges.len(), "{ranges:?}");
    assert_eq!(ranges.iter().collect::<BTreeSet<_>>().len(), ranges.len(), "no range twice");
    let requests = world.origin.requests();
    let validator = |request: &Request| request.header("if-range").map(str::to_owned);
    assert!(requests[1..].iter().all(|r| validator(r).as_deref() == Some("\"v1-4000000\"")));
    assert!(world.origin.most_connections() <= 4);
    // Afterwards the file is kept by its digest, like any other file.
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
}

#[test]
fn a_digest_covers_the_whole_file() {
    let bytes = bytes(2);
    let digest = format!("sha256: {}", sha256_of(&bytes));
    let world = world(bytes.clone(), &[&digest]);
    world.origin.attempts("/a.bin", [slowly()]);
    ends_with(&world, &bytes);

    let world = self::world(self::bytes(3), &[&digest]);
    world.origin.always("/a.bin", slowly());
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.bin").0, "checksum_mismatch");
    assert!(!world.exists("out/a.bin"));
}

#[test]
fn a_fault_costs_its_range_alone() {
    let bytes = bytes(4);
    for (name, fault) in [
        ("cut", Answer::file().cut_at(30_000)),
        ("reset", Answer::file().rst_at(1000)),
        ("busy", Answer::status(503)),
        ("closed", Answer::close()),
    ] {
        let world = world(bytes.clone(), &[]);
        // The first answer is from the front, the second is a range.
        world.origin.attempts("/a.bin", [slowly(), fault]);
        ends_with(&world, &bytes);
        assert!(asked(&world) < SIZE * 5 / 4, "{name}: {:?}", ranges(&world));
        let whole = world.origin.requests().iter().filter(|r| r.header("range").is_none()).count();
        assert_eq!(whole, 1, "{name}");
    }
}

#[test]
fn a_front_that_is_cut_is_a_retry_that_keeps_its_beginning() {
    let bytes = bytes(5);
    let world = world(bytes.clone(), &[]);
    world.origin.attempts("/a.bin", [slowly().cut_at(100_000)]);
    ends_with(&world, &bytes);
    let whole = world.origin.requests().iter().filter(|r| r.header("range").is_none()).count();
    assert_eq!(whole, 1);
    assert!(ranges(&world).contains(&"bytes=100000-".to_owned()), "{:?}", ranges(&world));
}

#[test]
fn a_front_that_is_cut_after_much_progress_goes_on_in_its_place() {
    let bytes = content(11, 3 * SIZE);
    let world = world(bytes.clone(), &[]);
    let drip = || Answer::file().drip(20_000, std::time::Duration::from_millis(4));
    world.origin.always("/a.bin", drip());
    world.origin.attempts("/a.bin", [drip().cut_at(1_500_000)]);
    ends_with(&world, &bytes);
    let rest = ranges(&world).into_iter().filter(|range| range.ends_with('-'));
    assert_eq!(rest.collect::<Vec<_>>(), ["bytes=1500000-"]);
}

/// All answers that a server may give to requests for ranges, while it serves the file itself.
#[test]
fn no_answer_to_a_range_ends_the_entry() {
    let bytes = bytes(12);
    let faults = || {
        let other = content(13, SIZE);
        let range = |tag: &str, span: &str| {
            Answer::status(206)
                .header("ETag", tag)
                .header("Content-Range", &format!("bytes {span}"))
                .body(vec![7; 1000])
        };
        vec![
            ("401", Answer::status(401)),
            ("403", Answer::status(403)),
            ("404", Answer::status(404)),
            ("410", Answer::status(410)),
            ("412", Answer::status(412)),
            ("416", Answer::status(416)),
            ("500", Answer::status(500)),
            ("429", Answer::status(429)),
            ("503 for a year", Answer::status(503).header("Retry-After", "31536000")),
            ("503 for a while", Answer::status(503).header("Retry-After", "1")),
            (
                "a redirect to nowhere",
                Answer::status(302).header("Location", "http://127.0.0.1:1/"),
            ),
            ("a redirect without a target", Answer::status(302)),
            ("other tag", range("\"other\"", "0-999/4000000")),
            ("other range", range("\"v1-4000000\"", "0-999/4000000")),
            ("other length", range("\"v1-4000000\"", "0-999/1000")),
            (
                "an error page",
                Answer::status(200).header("Content-Type", "text/html").body("<html>"),
            ),
            ("another file", Answer::status(200).header("ETag", "\"v2\"").body(other)),
            ("close", Answer::close()),
            ("reset", Answer::file().rst_at(10)),
            ("cut", Answer::file().cut_at(1000)),
        ]
    };
    side_by_side(faults(), |(name, fault)| {
        let settings = "http: {segments: 4, segment_min_size: 1MB, retries: 0, stall_timeout: 5s}";
        let world = World::new().serve("/a.bin", bytes.clone()).source("$BASE/a.bin", &[settings]);
        world.origin.always("/a.bin", fault);
        world.origin.attempts("/a.bin", [slowly()]);
        let outcomes = world.apply().outcomes();
        assert_eq!(outcomes["a.bin"], "downloaded", "{name}: {:?}", ranges(&world));
        assert!(world.read("out/a.bin") == bytes, "{name}: the wrong bytes");
        let whole = world.origin.requests().iter().filter(|r| r.header("range").is_none()).count();
        assert!(whole <= 1, "{name}: {whole} requests for the whole file");
        assert!(!ranges(&world).is_empty(), "{name}: no range was requested");
    });
}

/// A helper that gets no byte ends; nothing waits for longer than `stall_timeout`.
#[test]
fn silence_for_a_range_ends_its_connection_alone() {
    let bytes = bytes(14);
    let settings = "http: {segments: 2, segment_min_size: 1MB, retries: 0, stall_timeout: 2s}";
    let world = World::new().serve("/a.bin", bytes.clone()).source("$BASE/a.bin", &[settings]);
    let gate = crate::origin::Gate::new();
    world.origin.always("/a.bin", Answer::file().gate_at(1000, &gate));
    world.origin.attempts("/a.bin", [slowly()]);
    ends_with(&world, &bytes);
    gate.open();
}

/// The front is cut while no further place can be had.
#[test]
fn a_cut_front_never_waits_for_a_place() {
    for setting in
        ["connections: 1", "connections_per_host: 1", "connections: 2", "requests_per_second: 50"]
    {
        let http = format!("http: {{segments: 4, segment_min_size: 1MB, retries: 4, {setting}}}");
        let world = World::new().manifest(&format!(
            "{http}\nsources: [{{url: \"$BASE/{{n}}.bin\", vars: {{n: 1..3}}}}]\n"
        ));
        for n in 1..=3 {
            let path = format!("/{n}.bin");
            world.origin.serve(&path, bytes(20 + n));
            world.origin.attempts(&path, [slowly().cut_at(100_000), slowly().cut_at(50_000)]);
        }
        assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3", "{setting}");
    }
}

#[test]
fn a_file_that_changes_meanwhile_is_never_mixed() {
    let (old, new) = (bytes(6), bytes(7));
    let world = world(old, &[]);
    let gate = crate::origin::Gate::new();
    world.origin.attempts("/a.bin", [Answer::file().gate_at(100_000, &gate)]);
    let other = Answer::status(200).header("ETag", "\"new\"").body(new.clone());
    world.origin.always("/a.bin", other);
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(2);
    world.origin.serve("/a.bin", new.clone());
    gate.open();
    running.wait();
    let now = world.files("out");
    // Either the complete old bytes or the complete new bytes.
    let file = now.get("a.bin");
    assert!(file.is_none_or(|file| *file == bytes(6) || *file == new));
    world.origin.behave();
    world.apply().success();
    assert!(world.read("out/a.bin") == new);
}

#[test]
fn without_ranges_or_a_validator_one_connection_is_enough() {
    let bytes = bytes(8);
    for (name, file, answer) in [
        ("no ranges", File::new(bytes.clone()), slowly().without_header("accept-ranges")),
        ("no validator", File::new(bytes.clone()).weak_etag().no_last_modified(), slowly()),
    ] {
        let world = world(file, &[]);
        world.origin.always("/a.bin", answer);
        ends_with(&world, &bytes);
        assert_eq!((ranges(&world).len(), world.origin.requests().len()), (0, 1), "{name}");
    }
}

#[test]
fn a_server_that_only_says_that_it_sends_ranges_is_no_trouble() {
    let bytes = bytes(9);
    let world = world(bytes.clone(), &[]);
    let whole = Answer::status(200)
        .header("ETag", "\"v1-4000000\"")
        .header("Accept-Ranges", "bytes")
        .body(bytes.clone());
    world.origin.always("/a.bin", whole.drip(20_000, std::time::Duration::from_millis(2)));
    ends_with(&world, &bytes);
}

#[test]
fn many_files_share_the_places() {
    let world = World::new().manifest(
        "http: {segments: 8, segment_min_size: 1MB, connections: 4}\nsources: [{url: \"$BASE/{n}.bin\", vars: {n: 1..6}}]\n",
    );
    for n in 1..=6 {
        world.origin.serve(&format!("/{n}.bin"), bytes(n));
    }
    assert_eq!(world.apply().success().counts(), "entries 6, downloaded 6");
    for n in 1..=6 {
        let (got, expected) = (world.read(&format!("out/{n}.bin")), bytes(n));
        let differs = got.iter().zip(&expected).position(|(one, other)| one != other);
        let last = got.iter().zip(&expected).rposition(|(one, other)| one != other);
        assert_eq!((got.len(), differs, last), (SIZE, None, None), "{n}");
    }
    assert!(world.origin.most_connections() <= 4, "{}", world.origin.most_connections());
}

#[test]
fn a_killed_run_goes_on_from_what_has_no_gap() {
    let bytes = bytes(10);
    let world = world(bytes.clone(), &[]);
    let gate = crate::origin::Gate::new();
    world.origin.attempts("/a.bin", [Answer::file().gate_at(700_000, &gate)]);
    let running = world.spawn(["apply", "--json"]);
    world.wait_for_parts(1);
    running.signal(rustix::process::Signal::KILL);
    running.wait();
    gate.open();
    world.origin.forget();
    ends_with(&world, &bytes);
    assert_eq!(ranges(&world)[0], "bytes=700000-");
}

/// A place serves requests for its own origin alone, also the place of a helper that a redirect led
/// elsewhere, and that of a front that was cut there.
#[test]
fn no_request_for_the_source_reaches_the_target_of_its_redirect() {
    let bytes = bytes(2);
    for first in [slowly(), Answer::file().drip(20_000, MILLISECONDS).cut_at(1_500_000)] {
        let target = Origin::new();
        target.serve("/cdn.bin", bytes.clone());
        target.attempts("/cdn.bin", [first]);
        let world = World::new().source(
            "$BASE/a.bin",
            &[
                "http: {segments: 4, segment_min_size: 1MB, retries: 4}",
                "headers: {Authorization: Bearer canary}",
            ],
        );
        world.origin.always("/a.bin", Answer::redirect(302, &target.url("/cdn.bin")));
        ends_with(&world, &bytes);
        let there = target.requests();
        assert!(3 < there.len(), "{}", there.len());
        for request in there {
            assert_eq!(request.path(), "/cdn.bin");
            assert_eq!(request.header("authorization"), None);
            assert_eq!(request.header("host"), Some(target.url("").trim_start_matches("http://")));
        }
        for request in world.origin.requests() {
            assert_eq!(request.path(), "/a.bin");
            assert_eq!(request.header("authorization"), Some("Bearer canary"));
        }
    }
}
