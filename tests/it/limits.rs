//! Retries, `Retry-After`, dead hosts, and rate limits.

use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use crate::origin::{Answer, DeadPort, Gate, Origin};
use crate::world::{World, numbered};

#[test]
fn a_busy_server_is_asked_again() {
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
        world.origin.attempts("/a.txt", [Answer::status(status)]);
        let run = world.apply().success();
        assert_eq!(run.result("a.txt")["attempts"], 2, "{status}");
        world.assert_files(&[("a.txt", "1")]);
    }
}

#[test]
fn a_permanent_failure_is_not_retried() {
    for status in [400, 401, 403, 404, 405, 407, 410, 451, 501, 505] {
        let world = World::new().source("$BASE/a.txt", &[]);
        world.origin.always("/a.txt", Answer::status(status));
        let run = world.apply().code(1);
        let result = run.result("a.txt");
        assert_eq!((&result["error"]["status"], &result["attempts"]), (&status.into(), &1.into()));
        assert_eq!(world.origin.count("/a.txt"), 1, "{status}");
    }
}

#[test]
fn retries_end() {
    let world = World::new().source("$BASE/a.txt", &["http: {retries: 2}"]);
    world.origin.always("/a.txt", Answer::status(503));
    let run = world.apply().code(1);
    assert_eq!(run.result("a.txt")["attempts"], 3);
    assert_eq!(world.origin.count("/a.txt"), 3);
    world.origin.forget();
    world.run(["apply", "--retries", "0"]).code(1);
    assert_eq!(world.origin.count("/a.txt"), 1);
}

#[test]
fn broken_transfers_are_tried_again() {
    for answer in [
        Answer::file().cut_at(2),
        Answer::file().rst_at(2),
        Answer::file().no_final_chunk(),
        Answer::close(),
    ] {
        let world =
            World::new().serve("/a.txt", "1234").source("$BASE/a.txt", &["http: {retries: 2}"]);
        world.origin.attempts("/a.txt", [answer.clone()]);
        let run = world.apply().success();
        world.assert_files(&[("a.txt", "1234")]);
        assert_eq!(run.result("a.txt")["attempts"], 2, "{answer:?}");
    }
}

#[test]
fn a_pause_that_a_server_asks_for_is_kept_by_all_transfers() {
    let gate = Gate::new();
    let world = World::new().serve_numbered(12).manifest(
        "http: {connections: 2}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..12}}]\n",
    );
    world.origin.attempts("/1.txt", [Answer::status(503).retry_after("1")]);
    // The second transfer is in progress when the pause begins, and ends during the pause.
    world.origin.attempts("/2.txt", [Answer::file().gate(&gate)]);
    let running = world.spawn(["apply"]);
    running.wait_stderr_contains("asks for a pause");
    gate.open();
    running.wait().success();
    let requests = world.origin.requests();
    assert_eq!(requests.len(), 13);
    let refused = requests.iter().find(|request| request.status == 503).unwrap().at;
    for request in &requests[2..] {
        let after = request.at.saturating_duration_since(refused);
        assert!(Duration::from_secs(1) <= after, "{request} after {after:?}");
    }
}

#[test]
fn a_pause_of_one_host_is_none_of_another() {
    let busy = Origin::new();
    busy.serve("/a.dat", "1");
    busy.attempts("/a.dat", [Answer::status(429).retry_after("60")]);
    let world = World::new().serve_numbered(10).manifest(&format!(
        "http: {{connections: 2}}\nsources: [{{url: \"{}/a.dat\"}}, {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..10}}}}]\n",
        busy.base()
    ));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(10);
    busy.wait_for(1);
    running.wait_stderr_contains("asks for a pause");
    running.signal(Signal::INT);
    running.wait().code(130);
    assert_eq!(busy.requests().len(), 1, "the pause is not over");
}

#[test]
fn a_pause_may_be_given_as_a_date() {
    let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
    let soon = SystemTime::now() + Duration::from_secs(3);
    let text = httpdate::fmt_http_date(soon);
    world.origin.attempts("/a.txt", [Answer::status(503).retry_after(&text)]);
    world.apply().success();
    assert!(httpdate::parse_http_date(&text).unwrap() <= SystemTime::now());
    assert_eq!(world.origin.count("/a.txt"), 2);
}

#[test]
fn a_pause_until_a_date_counts_from_the_answer() {
    let gate = Gate::new();
    let settings = ["http: {max_retry_after: 1s}"];
    let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &settings);
    let soon = SystemTime::now() + Duration::from_secs(3);
    let late = Answer::status(503).retry_after(&httpdate::fmt_http_date(soon));
    world.origin.attempts("/a.txt", [late.without_header("Date").gate(&gate)]);
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(1);
    // When the answer arrives, the date is past. Counted from the request, it is a pause that is
    // longer than `max_retry_after`.
    std::thread::sleep(soon.duration_since(SystemTime::now()).unwrap_or_default());
    gate.open();
    running.wait().success();
    assert_eq!(world.origin.count("/a.txt"), 2);
}

#[test]
fn a_pause_that_is_too_long_is_a_failure_at_once_that_names_it() {
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", Answer::status(503).retry_after("3600"));
    let run = world.apply().code(1);
    assert_eq!(world.origin.count("/a.txt"), 1);
    let message = run.failure("a.txt").1;
    assert!(
        ["3600", "1 h", "1h", "60 min", "60min"].iter().any(|text| message.contains(text)),
        "{message}"
    );

    let world = World::new().source("$BASE/a.txt", &["http: {max_retry_after: 1s}"]);
    world.origin.always("/a.txt", Answer::status(429).retry_after("2"));
    world.apply().code(1);
    assert_eq!(world.origin.count("/a.txt"), 1);
}

#[test]
fn invalid_retry_after_values_delay_nothing() {
    for value in
        ["-1", "inf", "1e400", "NaN", "1.5", "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "0"]
    {
        let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
        world.origin.attempts("/a.txt", [Answer::status(503).retry_after(value)]);
        let run = world.apply().success();
        assert_eq!(run.result("a.txt")["attempts"], 2, "{value}");
    }
    for value in
        ["9999999999", "99999999999999999999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"]
    {
        let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
        world.origin.attempts("/a.txt", [Answer::status(503).retry_after(value)]);
        let run = world.apply().code(1);
        assert_eq!(run.result("a.txt")["attempts"], 1, "{value}");
    }
}

#[test]
fn a_dead_host_is_one_message_in_seconds() {
    let dead = DeadPort::new();
    let world = World::new().serve_numbered(1).manifest(&format!(
        "sources: [{{url: \"{}/{{n}}.jpg\", vars: {{n: 1..300}}}}, {{url: $BASE/1.txt}}]\n",
        dead.base()
    ));
    let run = world.run(["apply"]).code(1);
    assert!(run.stderr.lines().count() < 20, "{}", run.stderr);
    assert!(run.stderr.contains("300"), "{}", run.stderr);
    assert!(run.stderr.contains(&dead.base()), "{}", run.stderr);
    assert_eq!(world.names(), ["1.txt"], "the other host is served");

    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 301, unchanged 1, failed 300");
    assert_eq!(run.failure("300.jpg").0, "connect");
}

#[test]
fn a_host_that_never_answers_is_given_up() {
    for retries in [0, 1] {
        let (gate, text) =
            (Gate::new(), format!("{{connections: 2, retries: {retries}, stall_timeout: 200ms}}"));
        let world = World::new().serve_numbered(30).manifest(&format!(
            "http: {text}\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..30}}}}]\n"
        ));
        world.origin.everywhere(Answer::file().gate(&gate));
        let run = world.apply().code(1);
        assert_eq!(run.counts(), "entries 30, failed 30");
        for n in 1..=30 {
            assert_eq!(run.failure(&format!("{n}.txt")).0, "timeout");
        }
        assert!(world.origin.requests().len() <= 6, "{}", world.origin.requests().len());
    }
}

#[test]
fn a_host_that_says_nothing_to_one_request_is_not_given_up() {
    for (silent, retries) in [(1, 0), (1, 1), (12, 1)] {
        let gate = Gate::new();
        let world = World::new().serve_numbered(30).manifest(&format!(
            "http: {{connections: 1, retries: {retries}, stall_timeout: 2s}}
sources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..30}}}}]
"
        ));
        let path = format!("/{silent}.txt");
        world.origin.always(&path, Answer::file().gate(&gate));
        let run = world.apply().code(1);
        assert_eq!(run.counts(), "entries 30, downloaded 29, failed 1");
        assert_eq!(run.failure(&path[1..]).0, "timeout");
        assert_eq!(world.origin.count(&path), retries + 1, "its own attempts");
    }
}

#[test]
fn many_equal_failures_are_a_few_lines() {
    let world = World::new().source("$BASE/{n}.jpg", &["vars: {n: 1..400}"]);
    let run = world.run(["apply"]).code(1);
    assert!(run.stderr.lines().count() < 20, "{}", run.stderr);
    assert!(run.stderr.contains("400") && run.stderr.contains("404"), "{}", run.stderr);
}

#[test]
fn a_host_that_is_down_for_all_is_not_hammered() {
    let world = World::new().source("$BASE/{n}.jpg", &["vars: {n: 1..200}", "http: {retries: 4}"]);
    world.origin.everywhere(Answer::status(500));
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 200, failed 200");
    assert!(world.origin.requests().len() <= 1000, "{} requests", world.origin.requests().len());
}

#[test]
fn a_rate_is_kept() {
    let world = World::new().serve("/a.bin", vec![1; 300_000]).source("$BASE/a.bin", &[]);
    let run = world.run(["apply", "--json", "--limit-rate", "200kB"]).success();
    assert!(Duration::from_millis(700) <= run.elapsed, "{:?}", run.elapsed);
}

#[test]
fn a_rate_of_requests_is_kept() {
    let world = World::new().serve_numbered(12).manifest(
        "http: {requests_per_second: 10}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..12}}]\n",
    );
    // Twelve requests are eleven intervals of 100 ms.
    let run = world.apply().success();
    assert!(Duration::from_millis(1100) <= run.elapsed, "{:?}", run.elapsed);
}

#[test]
fn a_host_that_fails_everything_gets_few_requests() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..3000}", "http: {retries: 2}"]);
    world.origin.everywhere(Answer::status(500));
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3000, failed 3000");
    let (kind, message) = run.failure("3000.txt");
    assert_eq!(kind, "http_status");
    assert!(message.contains("500"), "the last real error: {message}");
    assert!(world.origin.requests().len() < 200, "{}", world.origin.requests().len());
    assert!(run.stderr.lines().count() < 30, "{}", run.stderr);
}

#[test]
fn a_host_that_recovers_is_asked_for_all() {
    let world = World::new()
        .serve_numbered(300)
        .source("$BASE/{n}.txt", &["vars: {n: 1..300}", "http: {retries: 8}"]);
    let mut failures = 45;
    world.origin.decide(move |_| {
        failures -= i32::from(0 < failures);
        (0 < failures).then(|| Answer::status(503))
    });
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 300, downloaded 300");
}

#[test]
fn retries_have_a_budget_for_each_host() {
    // Only every second entry fails, so that the circuit breaker stays closed.
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..1000}", "http: {retries: 4}"]);
    for n in (1..=1000).step_by(2) {
        world.origin.serve(&format!("/{n}.txt"), numbered(n));
        world.origin.always(&format!("/{}.txt", n + 1), Answer::status(500));
    }
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 1000, downloaded 500, failed 500");
    let retried = world.origin.requests().len() - 1000;
    // The first retry of each entry, and a hundred further ones. A few more are earned if many
    // successes precede the first failures.
    assert!(retried <= 650, "{retried} of 2000 that were possible");
}

#[test]
fn large_transfers_share_a_rate_and_small_ones_are_not_starved() {
    let (bytes, gate) = (vec![7; 600_000], Gate::new());
    let world = World::new()
        .serve("/1.bin", bytes.clone())
        .serve("/2.bin", bytes)
        .serve("/small.bin", "small")
        .manifest("http: {rate_limit: 600kB/s}\nsources: [{url: \"$BASE/{n}.bin\", vars: {n: [1, 2, small]}}]\n");
    // All three transfers begin at the same time.
    world.origin.everywhere(Answer::file().gate(&gate));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(3);
    gate.open();
    let run = running.wait().success();
    // In order of completion.
    let order: Vec<_> =
        run.results().iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert_eq!(order[0], "small.bin");
    let took = run.elapsed.as_secs_f64();
    assert!(1.8 < took, "1.2 MB at 600 kB/s took {took} s");
}

#[test]
fn a_head_that_is_throttled_is_not_followed_by_a_get_at_once() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.write("out/1.txt", "another\n");
    world.origin.attempts("HEAD /1.txt", [Answer::status(429).retry_after("1")]);
    world.apply().success();
    let requests = world.origin.requests();
    assert_eq!(requests[0].method, "HEAD");
    let waited = requests[1].at.duration_since(requests[0].at);
    assert!(Duration::from_millis(900) < waited, "{waited:?}");
}
