//! Transfers of bodies: concurrency, connections, and incomplete bodies.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::origin::{Answer, File, Gate, Origin};
use crate::world::{Run, World, numbered};

/// Two entries without retries: `a.txt` gets this answer, `b.txt` a correct one.
fn answered(answer: Answer) -> World {
    answered_with(answer, &[])
}

fn answered_with(answer: Answer, settings: &[&str]) -> World {
    let mut lines = vec!["vars: {n: [a, b]}", "http: {retries: 0}"];
    lines.extend(settings);
    let world = World::new()
        .serve("/a.txt", "0123456789")
        .serve("/b.txt", "the other")
        .source("$BASE/{n}.txt", &lines);
    world.origin.always("/a.txt", answer);
    world
}

/// Checks that `a.txt` fails with one of these kinds and leaves no files, and that `b.txt` exists.
#[track_caller]
fn fails(world: &World, kinds: &[&str]) -> Run {
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 2, downloaded 1, failed 1");
    let (kind, message) = run.failure("a.txt");
    assert!(kinds.contains(&kind.as_str()), "{kind}: {message}");
    assert!(!message.is_empty());
    world.assert_files(&[("b.txt", "the other")]);
    run
}

fn gated(count: usize, gate: &Gate, http: &str) -> World {
    let world = World::new().serve_numbered(count).manifest(&format!(
        "http: {http}\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n"
    ));
    for n in 1..=count {
        world.origin.always(&format!("/{n}.txt"), Answer::file().gate(gate));
    }
    world
}

#[test]
fn transfers_run_side_by_side_up_to_the_bound_and_never_beyond() {
    let gate = Gate::new();
    let world = gated(60, &gate, "{connections: 3}");
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(3);
    gate.open();
    let run = running.wait().success();
    assert_eq!(run.counts(), "entries 60, downloaded 60");
    assert_eq!(world.origin.most_in_flight(), 3);
    assert_eq!(world.origin.most_connections(), 3);
}

#[test]
fn jobs_on_the_command_line_are_the_bound() {
    let gate = Gate::new();
    let world = gated(20, &gate, "{connections: 8}");
    let running = world.spawn(["apply", "--json", "-j", "2"]);
    world.origin.wait_in_flight(2);
    gate.open();
    running.wait().success();
    assert_eq!((world.origin.most_in_flight(), world.origin.most_connections()), (2, 2));
}

#[test]
fn by_default_ten_transfers_run_side_by_side() {
    let gate = Gate::new();
    let world = gated(40, &gate, "{}");
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(10);
    gate.open();
    running.wait().success();
    assert!(world.origin.most_in_flight() <= 64);
}

#[test]
fn each_host_has_its_own_bound() {
    let (gate, other) = (Gate::new(), Origin::new());
    let world = World::new().serve_numbered(12);
    for n in 1..=12 {
        other.serve(&format!("/{n}.dat"), numbered(n));
        other.always(&format!("/{n}.dat"), Answer::file().gate(&gate));
        world.origin.always(&format!("/{n}.txt"), Answer::file().gate(&gate));
    }
    let world = world.manifest(&format!(
        "http: {{connections: 20, connections_per_host: 2}}
sources:
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..12}}}}
  - {{url: \"{}/{{n}}.dat\", vars: {{n: 1..12}}}}
",
        other.base()
    ));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(2);
    other.wait_in_flight(2);
    gate.open();
    assert_eq!(running.wait().success().counts(), "entries 24, downloaded 24");
    for origin in [&world.origin, &other] {
        assert_eq!((origin.most_in_flight(), origin.most_connections()), (2, 2));
    }
}

#[test]
fn a_slow_host_does_not_hold_up_another() {
    let (gate, slow) = (Gate::new(), Origin::new());
    for n in 1..=20 {
        slow.serve(&format!("/{n}.dat"), numbered(n));
        slow.always(&format!("/{n}.dat"), Answer::file().gate(&gate));
    }
    let world = World::new().serve_numbered(20).manifest(&format!(
        "http: {{connections: 8, connections_per_host: 4}}
sources:
  - {{url: \"{}/{{n}}.dat\", vars: {{n: 1..20}}}}
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..20}}}}
",
        slow.base()
    ));
    let running = world.spawn(["apply"]);
    slow.wait_in_flight(4);
    world.origin.wait_for(20);
    gate.open();
    running.wait().success();
}

#[test]
fn connections_are_used_again() {
    let world = World::new().serve_numbered(50).manifest(
        "http: {connections: 4}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..50}}]\n",
    );
    world.apply().success();
    assert!(
        world.origin.connections_used() <= 4,
        "{} connections",
        world.origin.connections_used()
    );
    world.origin.forget();
    world.apply().success();
    assert!(world.origin.connections_used() <= 4, "304s keep connections too");
}

#[test]
fn a_kept_connection_that_the_server_has_closed_costs_no_attempt() {
    let world = World::new()
        .serve_numbered(40)
        .source("$BASE/{n}.txt", &["vars: {n: 1..40}", "http: {retries: 0, connections: 3}"]);
    world.origin.everywhere(Answer::file().close_after());
    assert_eq!(world.apply().success().counts(), "entries 40, downloaded 40");
}

#[test]
fn a_large_body_arrives_whole_with_its_digest() {
    let body: Vec<u8> =
        (0..3_000_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let world = World::new().serve("/big.bin", body.clone()).source("$BASE/big.bin", &[]);
    for answer in [Answer::file(), Answer::file().chunked()] {
        world.origin.always("/big.bin", answer);
        let run = world.run(["apply", "--json", "--force"]).success();
        assert!(world.read("out/big.bin") == body);
        let digest: Vec<_> =
            Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        let result = run.result("big.bin");
        assert_eq!(result["bytes"], body.len());
        assert!(
            result["sha256"] == digest.concat() || result["outcome"] == "unchanged",
            "{result}"
        );
    }
}

#[test]
fn a_body_is_never_seen_before_it_is_whole() {
    let gate = Gate::new();
    let world = World::new().serve("/a.txt", "0123456789").source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", Answer::file().gate_at(5, &gate));
    let running = world.spawn(["apply"]);
    world.origin.wait_in_flight(1);
    world.assert_files(&[]);
    gate.open();
    running.wait().success();
    world.assert_files(&[("a.txt", "0123456789")]);
}

#[test]
fn a_short_body_is_no_file() {
    for offset in [0, 1, 9] {
        fails(&answered(Answer::file().cut_at(offset)), &["truncated"]);
    }
}

#[test]
fn a_reset_body_is_no_file() {
    fails(&answered(Answer::file().rst_at(4)), &["truncated", "connect", "protocol"]);
}

#[test]
fn a_cut_chunked_body_is_no_file() {
    fails(&answered(Answer::file().no_final_chunk()), &["truncated"]);
    fails(&answered(Answer::file().chunked().cut_at(6)), &["truncated"]);
}

#[test]
fn wrong_chunk_sizes_are_no_file() {
    for size in ["zz", "-1", "10000000000000000", "ffffffffffffffff", ""] {
        let body = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{size}\r\n0123456789\r\n0\r\n\r\n"
        );
        // The largest size is a valid one.
        let kind = if size == "ffffffffffffffff" { "truncated" } else { "protocol" };
        fails(&answered(Answer::raw(body)), &[kind]);
    }
}

#[test]
fn a_chunked_body_is_a_file() {
    let world = answered(Answer::file().chunked());
    world.apply().success();
    world.assert_files(&[("a.txt", "0123456789"), ("b.txt", "the other")]);
}

#[test]
fn contradicting_lengths_are_an_error() {
    for lengths in [&["10", "11"][..], &["10, 11"], &["ten"], &["-1"], &["99999999999999999999999"]]
    {
        fails(
            &answered(Answer::file().content_lengths(lengths)),
            &["protocol", "truncated", "too_large"],
        );
    }
}

#[test]
fn bytes_beyond_the_announced_length_are_rejected() {
    let world = World::new()
        .serve_numbered(6)
        .source("$BASE/{n}.txt", &["vars: {n: 1..6}", "http: {connections: 1}"]);
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhacked\n";
    world.origin.everywhere(Answer::file().surplus(evil));
    world.apply();
    for (name, bytes) in world.files("out") {
        let n: usize = name.trim_end_matches(".txt").parse().unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes), numbered(n), "{name}");
    }
}

#[test]
fn an_unrequested_compressed_body_is_rejected() {
    for encoding in ["gzip", "x-gzip", "br", "zstd", "gzip, gzip", "unheard-of"] {
        fails(
            &answered(Answer::file().header("Content-Encoding", encoding)),
            &["unexpected_content", "protocol"],
        );
    }
    answered(Answer::file().header("Content-Encoding", "identity")).apply().success();
}

#[test]
fn an_empty_body_is_no_file_unless_it_is_expected() {
    fails(&answered(Answer::status(200).body("")), &["unexpected_content"]);
    let world = answered_with(Answer::status(200).body(""), &["expect: {min_size: 0}"]);
    world.apply().success();
    world.assert_files(&[("a.txt", ""), ("b.txt", "the other")]);
}

#[test]
fn a_body_ended_by_the_connection_alone_comes_twice_unless_it_is_expected() {
    for (settings, requests) in [(&[][..], 2), (&["expect: {unframed: true}"], 1)] {
        let world = answered_with(Answer::file().until_close(), settings);
        world.apply().success();
        world.assert_files(&[("a.txt", "0123456789"), ("b.txt", "the other")]);
        assert_eq!(world.origin.count("/a.txt"), requests);
    }
}

#[test]
fn an_unframed_body_that_is_reset_is_no_file_even_where_it_is_expected() {
    let world =
        answered_with(Answer::file().until_close().rst_at(4), &["expect: {unframed: true}"]);
    fails(&world, &["truncated", "connect", "protocol"]);
}

#[test]
fn expectations_are_held() {
    let html = || Answer::file().header("Content-Type", "text/html");
    for (expect, answer, kind) in [
        ("{content_type: image/*}", html(), "unexpected_content"),
        (
            "{content_type: image/jpeg}",
            Answer::file().header("Content-Type", "image/png"),
            "unexpected_content",
        ),
        ("{min_size: 11}", Answer::file(), "unexpected_content"),
        ("{max_size: 9}", Answer::file(), "too_large"),
        ("{max_size: 9}", Answer::file().chunked(), "too_large"),
        ("{kind: jpeg}", Answer::file(), "unexpected_content"),
        ("{kind: zip}", Answer::status(200).body("PK"), "unexpected_content"),
    ] {
        let world = World::new()
            .serve("/a.txt", "0123456789")
            .source("$BASE/a.txt", &["http: {retries: 0}", &format!("expect: {expect}")]);
        world.origin.always("/a.txt", answer);
        let run = world.apply().code(1);
        assert_eq!(run.failure("a.txt").0, kind, "{expect}");
        world.assert_files(&[]);
    }
}

#[test]
fn a_body_that_meets_its_expectations_is_accepted() {
    let picture = [&b"\xff\xd8\xff\xe0"[..], &[7; 96]].concat();
    let world =
        World::new().serve("/a.jpg", File::new(picture).content_type("Image/JPEG; q=1")).source(
            "$BASE/a.jpg",
            &["expect: {content_type: image/*, min_size: 100, max_size: 100, kind: jpeg}"],
        );
    world.apply().success();
    assert_eq!(world.names(), ["a.jpg"]);
}

#[test]
fn an_endless_body_is_stopped() {
    let world =
        World::new().source("$BASE/a.txt", &["http: {retries: 0}", "expect: {max_size: 1kB}"]);
    world.origin.always("/a.txt", Answer::status(200).body(vec![0; 1 << 24]).chunked());
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.txt").0, "too_large");
    assert_eq!(world.partial_files(), [""; 0], "what is too large is not kept");
}

#[test]
fn old_content_stays_where_new_content_fails() {
    for answer in [
        Answer::file().cut_at(3),
        Answer::file().no_final_chunk(),
        Answer::file().gzip_label(),
        Answer::status(200).body(""),
        Answer::status(500),
        Answer::close(),
        Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n"),
    ] {
        let world = answered(Answer::file());
        world.apply().success();
        let before = world.mtime("out/a.txt");
        world.origin.serve("/a.txt", "9876543210");
        world.origin.always("/a.txt", answer.clone());
        world.apply().code(1);
        world.assert_files(&[("a.txt", "0123456789"), ("b.txt", "the other")]);
        assert_eq!(world.mtime("out/a.txt"), before);
        world.origin.behave();
        assert_eq!(
            world.apply().success().counts(),
            "entries 2, updated 1, unchanged 1",
            "after {answer:?}"
        );
        world.assert_files(&[("a.txt", "9876543210"), ("b.txt", "the other")]);
    }
}

#[test]
fn an_interrupted_body_is_fetched_to_its_end() {
    let body = (0..20_000).map(|n| format!("{n},")).collect::<Vec<_>>().concat();
    let world = World::new().serve("/a.txt", body.clone()).source("$BASE/a.txt", &[]);
    world.origin.attempts("/a.txt", [Answer::file().cut_at(50_000), Answer::file().cut_at(20_000)]);
    let run = world.apply().success();
    assert_eq!(run.result("a.txt")["attempts"], 3);
    assert!(world.read("out/a.txt") == body.as_bytes());
    for request in world.origin.requests() {
        let (range, condition) = (request.header("range"), request.header("if-range"));
        assert_eq!(
            range.is_some(),
            condition.is_some(),
            "a range is asked for under a condition: {}",
            request.text()
        );
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn two_contents_are_never_mixed() {
    let world = World::new().serve("/a.txt", "BBBBBBBBBB").source("$BASE/a.txt", &[]);
    for etag in ["\"old\"", "W/\"old\"", ""] {
        let first = Answer::status(200).body("AAAAAAAAAA").header("ETag", etag).cut_at(5);
        world.origin.attempts("/a.txt", [first]);
        world.run(["apply", "--force"]).success();
        world.assert_files(&[("a.txt", "BBBBBBBBBB")]);
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up() {
    let gate = Gate::new();
    for answer in
        [Answer::file().gate(&gate), Answer::file().stall_at(0), Answer::file().stall_at(5)]
    {
        let world = answered_with(answer, &[]);
        let text = String::from_utf8(world.read("natsync.yaml")).unwrap();
        world.write(
            "natsync.yaml",
            text.replace("{retries: 0}", "{retries: 0, stall_timeout: 300ms}"),
        );
        fails(&world, &["stalled", "timeout"]);
    }
}

#[test]
fn a_slow_server_that_goes_on_is_waited_for() {
    let (pause, settings) = (Duration::from_millis(220), "http: {retries: 0, stall_timeout: 2s}");
    let world = World::new().serve("/a.txt", "0123456789").source("$BASE/a.txt", &[settings]);
    world.origin.always("/a.txt", Answer::file().delay(pause).drip(1, pause));
    let run = world.run(["apply"]).success();
    assert!(Duration::from_secs(2) < run.elapsed, "longer than the time for a stall");
    world.assert_files(&[("a.txt", "0123456789")]);
}

#[test]
fn an_answer_that_is_not_http_is_an_error() {
    for noise in [
        "SSH-2.0-OpenSSH_9.9\r\n",
        "\0\u{1}\u{2}\u{3}\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/9.9 200 OK\r\nContent-Length: 1\r\n\r\nx",
    ] {
        fails(&answered(Answer::raw(noise)), &["protocol", "truncated", "connect"]);
    }
    fails(&answered(Answer::close()), &["protocol", "truncated", "connect"]);
}

#[test]
fn a_head_without_end_is_an_error() {
    let flood = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX-Flood: {}\r\n\r\nx",
        "x".repeat(2 << 20)
    );
    fails(&answered(Answer::raw(flood)), &["protocol", "too_large", "truncated", "connect"]);
    let many = (0..20_000).map(|n| format!("X-{n}: x\r\n")).collect::<Vec<_>>().concat();
    fails(
        &answered(Answer::raw(format!("HTTP/1.1 200 OK\r\n{many}\r\n"))),
        &["protocol", "too_large", "truncated", "connect"],
    );
}

#[test]
fn an_unrequested_304_is_an_error() {
    fails(&answered(Answer::status(304)), &["protocol", "http_status", "unexpected_content"]);
}

#[test]
fn an_unrequested_206_is_rejected() {
    let part = Answer::status(206).body("01234").header("Content-Range", "bytes 0-4/10");
    fails(&answered(part), &["protocol", "http_status", "truncated", "unexpected_content"]);
    let part = Answer::status(200).body("56789").header("Content-Range", "bytes 5-9/10");
    fails(&answered(part), &["protocol", "http_status", "truncated", "unexpected_content"]);
}

#[test]
fn interim_responses_are_skipped() {
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let world = answered(Answer::raw(hints));
    world.apply().success();
    world.assert_files(&[("a.txt", "ok"), ("b.txt", "the other")]);
}
