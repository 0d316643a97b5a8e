//! Retries, pauses that a server asks for, dead hosts, and rates.

use std::time::Duration;

use crate::origin::{Answer, DeadPort, Gate, Origin};
use crate::world::World;

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
fn a_failure_for_good_is_not_tried_again() {
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
    let world = World::new().serve_numbered(12).manifest(
        "http: {connections: 2}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..12}}]\n",
    );
    world.origin.attempts("/1.txt", [Answer::status(503).retry_after("1")]);
    assert_eq!(world.apply().success().counts(), "entries 12, downloaded 12");
    let requests = world.origin.requests();
    let asked = requests.iter().find(|request| request.status == 503).unwrap().at;
    let early = |request: &&crate::origin::Request| {
        let after = request.at.saturating_duration_since(asked);
        Duration::from_millis(250) < after && after < Duration::from_millis(950)
    };
    assert_eq!(requests.iter().filter(early).count(), 0, "nobody asks while the host wants peace");
    let last = requests.iter().map(|request| request.at).max().unwrap();
    assert!(Duration::from_millis(950) <= last - asked, "the one that was refused waits too");
}

#[test]
fn a_pause_of_one_host_is_none_of_another() {
    let busy = Origin::new();
    busy.serve("/a.dat", "1");
    busy.attempts("/a.dat", [Answer::status(429).retry_after("2")]);
    let world = World::new().serve_numbered(10).manifest(&format!(
        "http: {{connections: 2}}\nsources: [{{url: \"{}/a.dat\"}}, {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..10}}}}]\n",
        busy.base()
    ));
    world.apply().success();
    let again = busy.requests()[1].at;
    assert!(Duration::from_millis(1950) <= again - busy.requests()[0].at);
    assert!(world.origin.requests().iter().all(|request| request.at < again));
}

#[test]
fn a_pause_may_be_given_as_a_date() {
    let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(3));
    world.origin.attempts("/a.txt", [Answer::status(503).retry_after(&soon)]);
    world.apply().success();
    let requests = world.origin.requests();
    assert!(Duration::from_secs(1) <= requests[1].at - requests[0].at);
}

#[test]
fn a_pause_until_a_date_counts_from_the_answer() {
    let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
    let soon = httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(4));
    let late = Answer::status(503).retry_after(&soon).without_header("Date");
    world.origin.attempts("/a.txt", [late.delay(Duration::from_secs(2))]);
    world.apply().success();
    let requests = world.origin.requests();
    let between = requests[1].at - requests[0].at;
    assert!(between < Duration::from_millis(4900), "{between:?}: 2 s and at most 2 s");
}

#[test]
fn a_pause_that_is_too_long_is_a_failure_at_once_that_names_it() {
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", Answer::status(503).retry_after("3600"));
    let run = world.apply().code(1);
    assert!(run.elapsed < Duration::from_secs(10), "{:?}", run.elapsed);
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
fn senseless_pauses_hold_up_nobody() {
    for value in
        ["-1", "inf", "1e400", "NaN", "1.5", "", "soon", "Thu, 01 Jan 1970 00:00:00 GMT", "0"]
    {
        let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
        world.origin.attempts("/a.txt", [Answer::status(503).retry_after(value)]);
        let run = world.apply().success();
        assert!(run.elapsed < Duration::from_secs(15), "{value}: {:?}", run.elapsed);
    }
    for value in
        ["9999999999", "99999999999999999999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"]
    {
        let world = World::new().serve("/a.txt", "1").source("$BASE/a.txt", &[]);
        world.origin.attempts("/a.txt", [Answer::status(503).retry_after(value)]);
        let run = world.apply();
        assert!(run.elapsed < Duration::from_secs(15), "{value}: {:?}", run.elapsed);
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
    assert!(run.elapsed < Duration::from_secs(20), "{:?}", run.elapsed);
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
            "http: {{connections: 1, retries: {retries}, stall_timeout: 300ms}}
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
    assert!(run.elapsed < Duration::from_secs(50), "{:?}", run.elapsed);
}

#[test]
fn a_rate_is_kept() {
    let world = World::new().serve("/a.bin", vec![1; 300_000]).source("$BASE/a.bin", &[]);
    let run = world.run(["apply", "--json", "--limit-rate", "200kB"]).success();
    assert!(Duration::from_millis(700) <= run.elapsed, "{:?}", run.elapsed);
    assert!(run.elapsed < Duration::from_secs(10), "{:?}", run.elapsed);
}

#[test]
fn a_rate_of_requests_is_kept() {
    let world = World::new().serve_numbered(12).manifest(
        "http: {requests_per_second: 10}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..12}}]\n",
    );
    world.apply().success();
    let requests = world.origin.requests();
    let first = requests.iter().map(|request| request.at).min().unwrap();
    let last = requests.iter().map(|request| request.at).max().unwrap();
    assert!(Duration::from_millis(500) <= last - first, "{:?}", last - first);
}
