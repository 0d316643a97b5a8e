//! Interrupted transfers are resumed, but only if the file is certainly still the same.

use std::os::unix::fs::PermissionsExt as _;
use std::time::SystemTime;

use rustix::process::Signal;

use crate::origin::{Answer, File, Gate, Request};
use crate::world::{World, sha256_of};

const SIZE: usize = 300_000;
const CUT: usize = 120_000;

fn content(seed: u64) -> Vec<u8> {
    crate::world::content(seed, SIZE)
}

fn world(file: impl Into<File>) -> World {
    World::new().serve("/a.bin", file).source("$BASE/a.bin", &[])
}

fn pinned(file: impl Into<File>, bytes: &[u8]) -> World {
    world(file).source("$BASE/a.bin", &[&format!("sha256: {}", sha256_of(bytes))])
}

fn cut() -> Answer {
    Answer::file().cut_at(CUT)
}

fn ranges(world: &World) -> Vec<Option<String>> {
    let range = |request: &Request| request.header("range").map(str::to_owned);
    world.origin.requests_for("/a.bin").iter().map(range).collect()
}

/// Runs one `apply`, which must end with these bytes and without partial files.
#[track_caller]
fn ends_with(world: &World, bytes: &[u8]) {
    world.apply().success();
    assert!(world.read("out/a.bin") == bytes, "the wrong bytes");
    assert_eq!(world.partial_files(), [""; 0]);
}

/// Kills a run in the middle of a body, after the received bytes are on disk.
fn killed(world: &World) {
    let gate = Gate::new();
    world.origin.attempts("/a.bin", [Answer::file().gate_at(CUT, &gate)]);
    let running = world.spawn(["apply", "--json"]);
    world.wait_for_parts(1);
    running.signal(Signal::KILL);
    running.wait();
    gate.open();
    assert!(!world.exists("out/a.bin"));
    world.origin.forget();
}

/// A run that gives up in the middle of a body.
fn given_up(world: &World) {
    world.origin.attempts("/a.bin", [cut()]);
    world.run(["apply", "--json", "--retries", "0"]).code(1);
    world.origin.forget();
}

fn part_of(world: &World) -> String {
    let parts = world.partial_files();
    parts.into_iter().find(|name| !name.contains('.')).expect("a part")
}

#[test]
fn a_retry_keeps_the_bytes_it_has() {
    let bytes = content(1);
    let world = world(bytes.clone());
    world.origin.attempts("/a.bin", [cut(), Answer::file().rst_at(50_000)]);
    ends_with(&world, &bytes);
    let from = |n| Some(format!("bytes={n}-"));
    assert_eq!(ranges(&world)[..2], [None, from(CUT)]);
    let requests = world.origin.requests();
    assert_eq!(requests[1].header("if-range"), Some("\"v1-300000\""));
    assert_eq!((requests.len(), requests[2].status), (3, 206));
    // A reset discards bytes in the receive buffer, and these are requested again.
    assert!(world.origin.bytes_sent() < SIZE + 60_000, "{}", world.origin.bytes_sent());
}

#[test]
fn the_next_run_goes_on_after_a_failure_an_interrupt_and_a_kill() {
    let bytes = content(2);
    for how in ["failed", "interrupted", "killed"] {
        let world = world(bytes.clone());
        match how {
            "failed" => given_up(&world),
            "killed" => killed(&world),
            _ => {
                let gate = Gate::new();
                world.origin.attempts("/a.bin", [Answer::file().gate_at(CUT, &gate)]);
                let running = world.spawn(["apply", "--json"]);
                world.wait_for_parts(1);
                running.signal(Signal::INT);
                running.wait().code(130);
                gate.open();
                world.origin.forget();
            }
        }
        ends_with(&world, &bytes);
        assert_eq!(ranges(&world), [Some(format!("bytes={CUT}-"))], "{how}");
        assert_eq!(world.origin.bytes_sent(), SIZE - CUT, "{how}");
    }
}

#[test]
fn another_file_at_the_same_url_is_got_whole() {
    let (old, new) = (content(3), content(4));
    let file = File::from(old);
    for is_pinned in [false, true] {
        let world = if is_pinned { pinned(file.clone(), &new) } else { world(file.clone()) };
        given_up(&world);
        world.origin.serve("/a.bin", new.clone());
        ends_with(&world, &new);
        let statuses: Vec<_> = world.origin.requests().iter().map(|r| r.status).collect();
        assert_eq!(statuses, [200]);
    }
}

#[test]
fn odd_answers_to_a_range_cost_one_whole_fetch() {
    let bytes = content(5);
    let rest = |range: &str| {
        Answer::status(206)
            .header("Content-Range", range)
            .header("ETag", "\"v1-300000\"")
            .body(content(5)[CUT..].to_vec())
    };
    let multipart = Answer::status(206)
        .header("Content-Type", "multipart/byteranges; boundary=x")
        .body("--x\r\nContent-Type: a/b\r\nContent-Range: bytes 120000-299999/300000\r\n\r\nno\r\n--x--\r\n");
    let page = Answer::status(416).header("Content-Type", "text/html").body("<html>no</html>");
    let answers = [
        ("another start", rest("bytes 119993-299999/300000")),
        ("from the beginning", rest("bytes 0-179999/300000")),
        ("past the end", rest("bytes 120000-300000/300000")),
        ("another total", rest("bytes 120000-299999/300001")),
        ("no total", rest("bytes 120000-299999/*")),
        ("another unit", rest("items 120000-299999/300000")),
        ("no range", rest("bytes 120000-299999/300000").without_header("content-range")),
        ("another tag", rest("bytes 120000-299999/300000").header("ETag", "\"other\"")),
        ("no tag", rest("bytes 120000-299999/300000").without_header("etag")),
        ("compressed", rest("bytes 120000-299999/300000").gzip_label()),
        ("several parts", multipart),
        ("416 with a page", page),
        ("416 with a total", Answer::status(416).header("Content-Range", "bytes */300000")),
        ("412", Answer::status(412)),
    ];
    for (name, answer) in answers {
        let world = world(bytes.clone());
        given_up(&world);
        world.origin.attempts("/a.bin", [answer]);
        ends_with(&world, &bytes);
        assert_eq!(ranges(&world), [Some(format!("bytes={CUT}-")), None], "{name}");
    }
}

#[test]
fn a_server_without_ranges_is_no_trouble() {
    let bytes = content(6);
    let world = world(bytes.clone());
    given_up(&world);
    let whole = Answer::status(200).header("ETag", "\"v1-300000\"").body(bytes.clone());
    world.origin.attempts("/a.bin", [whole]);
    ends_with(&world, &bytes);
    assert_eq!(world.origin.requests().len(), 1);
}

#[test]
fn a_200_with_a_part_is_never_a_file() {
    let bytes = content(6);
    let world = world(bytes.clone());
    given_up(&world);
    let part = Answer::status(200)
        .header("Content-Range", "bytes 120000-299999/300000")
        .body(bytes[CUT..].to_vec());
    world.origin.attempts("/a.bin", [part]);
    // A plain GET decides.
    ends_with(&world, &bytes);
    world.origin.forget();
    let part = Answer::status(200)
        .header("Content-Range", "bytes 120000-299999/300000")
        .body(bytes[CUT..].to_vec());
    world.origin.everywhere(part);
    world.delete("out/a.bin");
    assert_eq!(world.apply().code(1).failure("a.bin").0, "protocol");
    assert!(!world.exists("out/a.bin"));
}

#[test]
fn without_a_strong_validator_only_a_digest_allows_to_go_on() {
    let bytes = content(7);
    let now = SystemTime::now();
    let files = [
        ("nothing", File::new(bytes.clone()).no_etag().no_last_modified()),
        ("a weak tag", File::new(bytes.clone()).weak_etag().no_last_modified()),
        ("a time too near", File::new(bytes.clone()).no_etag().modified(now)),
    ];
    for (name, file) in files {
        let world = world(file.clone());
        world.origin.attempts("/a.bin", [cut()]);
        ends_with(&world, &bytes);
        assert_eq!(ranges(&world), [None, None], "{name}");

        let world = pinned(file, &bytes);
        world.origin.attempts("/a.bin", [cut()]);
        ends_with(&world, &bytes);
        assert_eq!(ranges(&world), [None, Some(format!("bytes={CUT}-"))], "{name}, pinned");
        assert_eq!(world.origin.requests()[1].header("if-range"), None);
    }
    let dated = world(File::new(bytes.clone()).no_etag());
    dated.origin.attempts("/a.bin", [cut()]);
    ends_with(&dated, &bytes);
    let request = &dated.origin.requests()[1];
    assert_eq!(request.header("if-range"), Some("Mon, 17 Aug 2009 12:00:00 GMT"));
}

#[test]
fn a_damaged_part_is_not_gone_on_with() {
    let bytes = content(8);
    for is_killed in [false, true] {
        for is_pinned in [false, true] {
            let world =
                if is_pinned { pinned(bytes.clone(), &bytes) } else { world(bytes.clone()) };
            if is_killed {
                killed(&world);
            } else {
                given_up(&world);
            }
            let part = format!("out/.natsync/partial/{}", part_of(&world));
            let mut damaged = world.read(&part);
            damaged[1000] ^= 1;
            world.write(&part, damaged);
            ends_with(&world, &bytes);
            assert_eq!(ranges(&world), [None]);
        }
    }
}

#[test]
fn bytes_without_a_recorded_digest_are_cut_off() {
    let bytes = content(9);
    let world = world(bytes.clone());
    killed(&world);
    let part = format!("out/.natsync/partial/{}", part_of(&world));
    let mut longer = world.read(&part);
    longer.resize(SIZE, 0);
    world.write(&part, longer);
    ends_with(&world, &bytes);
    assert_eq!(ranges(&world), [Some(format!("bytes={CUT}-"))]);
}

#[test]
fn a_part_belongs_to_one_path_url_and_pin() {
    let bytes = content(10);
    let digest = format!("sha256: {}", sha256_of(&bytes));
    for (name, url, settings) in [
        ("another path", "$BASE/a.bin", vec!["path: b.bin"]),
        ("another URL", "$BASE/a.bin?x=1", vec!["path: a.bin"]),
        ("another pin", "$BASE/a.bin", vec![digest.as_str()]),
    ] {
        let world = world(bytes.clone());
        given_up(&world);
        let world = world.source(url, &settings);
        world.apply().success();
        assert!(ranges(&world).iter().all(Option::is_none), "{name}");
        assert_eq!(world.partial_files(), [""; 0], "{name}");
    }
}

#[test]
fn a_whole_part_with_its_digest_needs_no_request() {
    let bytes = content(11);
    let world = pinned(bytes.clone(), &bytes);
    // Chunked without the final chunk: all bytes have arrived, but the body has not ended.
    world.origin.attempts("/a.bin", [Answer::file().no_final_chunk()]);
    world.run(["apply", "--json", "--retries", "0"]).code(1);
    world.origin.forget();
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 1, downloaded 1");
    assert!(world.read("out/a.bin") == bytes);
    world.origin.assert_requests(&[]);
    assert_eq!(world.partial_files(), [""; 0]);
    // The file has the mtime of the upstream file.
    assert_eq!(world.mtime("out/a.bin"), crate::origin::first_modified());
}

#[test]
fn a_complete_part_without_a_digest_requests_its_last_byte() {
    let bytes = content(12);
    let world = world(bytes.clone());
    let gate = Gate::new();
    // The length is known, and the run is killed when only the last byte is missing.
    world.origin.attempts("/a.bin", [Answer::file().gate_at(SIZE - 1, &gate)]);
    let running = world.spawn(["apply", "--json"]);
    world.wait_for_parts(1);
    running.signal(Signal::KILL);
    running.wait();
    gate.open();
    world.origin.forget();
    ends_with(&world, &bytes);
    assert_eq!(ranges(&world), [Some(format!("bytes={}-", SIZE - 1))]);
}

#[test]
fn an_update_that_was_cut_goes_on_and_asks_on_condition() {
    let (old, new) = (content(13), content(14));
    let world = world(old);
    world.apply().success();
    world.origin.serve("/a.bin", new.clone());
    given_up(&world);
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 1, updated 1");
    assert!(world.read("out/a.bin") == new);
    let request = &world.origin.requests()[0];
    assert_eq!(request.header("if-none-match"), Some("\"v1-300000\""));
    assert_eq!(request.header("if-range"), Some("\"v2-300000\""));
    assert_eq!(request.status, 206);
}

#[test]
fn leftover_parts_are_removed_at_the_end() {
    let world = world(content(15));
    given_up(&world);
    assert_eq!(world.partial_files().len(), 2);
    // The entry is no longer declared.
    let world = world.serve("/b.bin", "b").source("$BASE/b.bin", &[]);
    world.apply().success();
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn many_killed_runs_leave_one_part() {
    let world = world(content(16));
    for _ in 0..3 {
        killed(&world);
        assert_eq!(world.partial_files().len(), 2);
    }
}

#[test]
fn a_mismatch_after_going_on_is_got_whole() {
    // A faulty server has the same ETag for other bytes.
    let (old, new) = (content(17), content(18));
    let tagged = |bytes: &[u8]| File::new(bytes).etag("\"same\"");
    let world = pinned(tagged(&old), &new);
    given_up(&world);
    world.origin.serve("/a.bin", tagged(&new));
    ends_with(&world, &new);
    assert_eq!(ranges(&world), [Some(format!("bytes={CUT}-")), None]);
}

#[test]
fn parts_are_private() {
    let world = world(content(19));
    given_up(&world);
    let partial = world.path("out/.natsync/partial");
    assert_eq!(partial.metadata().unwrap().permissions().mode() & 0o077, 0);
}

#[test]
fn progress_is_worth_more_than_a_count_of_attempts() {
    let bytes: Vec<u8> = (0..40).flat_map(content).collect();
    let world = world(bytes.clone());
    world.origin.always("/a.bin", Answer::file().cut_at(1_500_000));
    world.run(["apply", "--json", "--retries", "1"]).success();
    assert!(world.read("out/a.bin") == bytes);
    assert_eq!(world.origin.requests().len(), bytes.len().div_ceil(1_500_000));
}

#[test]
fn a_file_too_large_for_the_disk_is_not_started() {
    let world = world("");
    let huge = Answer::status(200).content_lengths(&["4000000000000000"]).body("x");
    world.origin.always("/a.bin", huge);
    let run = world.apply().code(5);
    assert_eq!(run.failure("a.bin").0, "no_space");
    assert_eq!(world.origin.requests().len(), 1);
}

#[test]
fn a_server_that_never_resumes_is_given_up() {
    // Each attempt receives many bytes, but always the same ones.
    let bytes: Vec<u8> = (0..10).flat_map(content).collect();
    let world = world(bytes.clone());
    let whole = Answer::status(200).header("ETag", "\"a\"").body(bytes).cut_at(1_500_000);
    world.origin.always("/a.bin", whole);
    let run = world.run(["apply", "--json", "--retries", "2"]).code(1);
    assert_eq!(run.failure("a.bin").0, "truncated");
    assert_eq!(world.origin.requests().len(), 3);
}

#[test]
fn a_part_outlives_a_run_of_another_manifest() {
    let bytes = content(7);
    let world = world(bytes.clone()).serve("/b.bin", "other");
    world.set_manifest("other.yaml", "sources:\n  - url: $BASE/b.bin\n");
    // The other manifest declares the path, too, with another URL: its part is another one.
    world.set_manifest("third.yaml", "sources:\n  - {url: $BASE/c.bin, path: a.bin}\n");
    world.origin.serve("/c.bin", content(8));
    given_up(&world);
    world.run(["apply", "other.yaml"]).success();
    world.origin.attempts("/c.bin", [cut()]);
    world.run(["apply", "third.yaml", "--retries", "0"]).code(1);
    assert_eq!(world.partial_files().len(), 4);
    world.origin.forget();
    world.apply().success();
    assert!(world.read("out/a.bin") == bytes, "the wrong bytes");
    assert_eq!(ranges(&world), [Some(format!("bytes={CUT}-"))]);
    // A part of its own that a manifest does not use any more is stale.
    world.set_manifest("third.yaml", "sources:\n  - {url: $BASE/b.bin, path: b.bin}\n");
    assert_eq!(world.partial_files().len(), 2);
    world.run(["apply", "third.yaml"]).success();
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn a_part_of_another_manifest_does_not_stay_for_ever() {
    let world = world(content(9)).serve("/b.bin", "other");
    world.set_manifest("other.yaml", "sources:\n  - url: $BASE/b.bin\n");
    given_up(&world);
    let day = std::time::Duration::from_hours(24);
    for (days, parts) in [(29, 2), (31, 0)] {
        for name in world.partial_files() {
            world
                .set_mtime(&format!("out/.natsync/partial/{name}"), SystemTime::now() - days * day);
        }
        world.run(["apply", "other.yaml"]).success();
        assert_eq!(world.partial_files().len(), parts, "{days} days");
    }
}

/// The part of an entry that a run did not try, or that failed, is for the next run.
#[test]
fn parts_of_entries_that_were_not_tried_stay() {
    let world = World::new().serve("/1.bin", content(1)).serve("/2.bin", content(2));
    let world = world.source("$BASE/{n}.bin", &["vars: {n: 1..2}", "http: {retries: 0}"]);
    world.origin.attempts("/2.bin", [Answer::file().cut_at(CUT)]);
    world.run(["apply"]).code(1);
    assert_eq!(world.partial_files().len(), 2, "a part and its note");
    // Something that is no file is at the path of the first one, so nothing is requested.
    world.delete("out/1.bin");
    std::fs::create_dir(world.path("out/1.bin")).unwrap();
    world.origin.forget();
    world.run(["apply", "--fail-fast"]).code(1);
    assert_eq!(world.origin.requests().len(), 0);
    assert_eq!(world.partial_files().len(), 2);
    std::fs::remove_dir(world.path("out/1.bin")).unwrap();
    world.apply().success();
    assert_eq!(world.origin.requests_for("/2.bin")[0].header("range"), Some("bytes=120000-"));
    assert_eq!(world.partial_files(), [""; 0]);
}
