//! Hosts that limit connections, and hosts of which only some files are broken.

use std::time::Duration;

use rustix::process::Signal;

use crate::origin::{Answer, Excess, Gate, Origin};
use crate::world::{World, side_by_side};

/// A world of `count` files whose answers take a moment, so that transfers overlap.
fn overlapping(count: usize, more: &str) -> World {
    let world = World::new().serve_numbered(count).manifest(&format!(
        "sources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n{more}"
    ));
    world.origin.everywhere(Answer::file().delay(Duration::from_millis(3)));
    world
}

#[test]
fn a_host_that_limits_connections_serves_all_files() {
    let busy = |status| Excess::Answer(Box::new(Answer::status(status)));
    let pausing = Excess::Answer(Box::new(Answer::status(429).retry_after("1")));
    side_by_side([Excess::Reset, Excess::Close, busy(429), busy(503), pausing], |excess| {
        for (most, more) in [
            (2, ""),
            (1, "http: {connections_per_host: 8}\n"),
            (3, "http: {connections_per_host: 30, retries: 1}\n"),
            (2, "http: {retries: 0}\n"),
        ] {
            let world = overlapping(120, more);
            world.origin.serve_at_most(most, excess.clone());
            let run = world.apply();
            let counts = run.counts();
            assert_eq!(counts, "entries 120, downloaded 120", "{excess:?} {most} {more}");
            let requests = world.origin.requests().len();
            assert!(requests < 240, "{excess:?} {most} {more}: {requests} requests");
        }
    });
}

#[test]
fn a_user_is_told_of_a_host_that_limits_connections() {
    let world = overlapping(120, "");
    world.origin.serve_at_most(2, Excess::Reset);
    let run = world.run(["apply"]).success();
    assert!(run.stderr.contains("connections_per_host"), "{}", run.stderr);
    assert!(run.stderr.contains(&world.origin.base()), "{}", run.stderr);
    assert!(run.stderr.lines().count() < 12, "{}", run.stderr);
}

#[test]
fn a_file_that_is_refused_beside_others_is_asked_for_a_bounded_number_of_times() {
    side_by_side([Answer::close(), Answer::status(429)], |answer| {
        let world = overlapping(200, "http: {retries: 1}\n");
        world.origin.always("/3.txt", answer.clone());
        let run = world.apply().code(1);
        assert_eq!(run.counts(), "entries 200, downloaded 199, failed 1", "{answer:?}");
        let result = run.result("3.txt");
        assert!(result["attempts"].as_u64().unwrap() <= 12, "{answer:?}: {result}");
        // A request that is lost on an idle connection is sent once more on a new one.
        let asked = world.origin.count("/3.txt");
        assert!(asked <= 24, "{answer:?}: {asked} requests");
        assert!(
            result["error"]["message"].to_string().contains("connections_per_host"),
            "{result}"
        );
    });
}

#[test]
fn broken_files_do_not_condemn_the_good_files_of_a_host() {
    for (broken, count, retries, statuses) in [
        (1..=60, 460, 2, &[500, 503][..]),
        (1..=700, 1000, 2, &[500]),
        (101..=400, 500, 1, &[502]),
        (1..=100, 150, 0, &[500, 503]),
    ] {
        for &status in statuses {
            let world = World::new().serve_numbered(count).manifest(&format!(
                "http: {{retries: {retries}}}\n\
                 sources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n"
            ));
            for n in broken.clone() {
                world.origin.always(&format!("/{n}.txt"), Answer::status(status));
            }
            let run = world.apply().code(1);
            let (failed, good) = (broken.clone().count(), count - broken.clone().count());
            let expected = format!("entries {count}, downloaded {good}, failed {failed}");
            assert_eq!(run.counts(), expected, "{broken:?} {status}");
        }
    }
}

#[test]
fn entries_that_were_never_asked_for_say_so() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..2000}"]);
    world.origin.everywhere(Answer::status(500));
    let run = world.apply().code(1);
    let mut asked = 0;
    for result in run.results() {
        let path = format!("/{}", result["path"].as_str().unwrap());
        let message = result["error"]["message"].as_str().unwrap();
        assert_eq!(result["error"]["kind"], "http_status");
        let is_asked = 0 < world.origin.count(&path);
        assert_eq!(is_asked, !message.contains("was not requested"), "{result}");
        assert_eq!(is_asked, result["attempts"] != 0, "{result}");
        asked += u32::from(is_asked);
    }
    assert!((40..200).contains(&asked), "{asked}");
}

#[test]
fn good_files_that_need_a_retry_get_it_beside_broken_ones() {
    let world = World::new()
        .serve_numbered(600)
        .source("$BASE/{n}.txt", &["vars: {n: 1..600}", "http: {retries: 4}"]);
    for n in 1..=600 {
        let path = format!("/{n}.txt");
        match n % 2 {
            0 => world.origin.always(&path, Answer::status(500)),
            _ => world.origin.attempts(&path, [Answer::status(502)]),
        }
    }
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 600, downloaded 300, failed 300");
}

#[test]
fn a_host_whose_bodies_all_stall_is_given_up() {
    let world = World::new().serve_numbered(300).manifest(
        "http: {connections: 4, retries: 1, stall_timeout: 200ms}\n\
         sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..300}}]\n",
    );
    world.origin.everywhere(Answer::file().stall_at(1));
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 300, failed 300");
    assert_eq!(run.failure("300.txt").0, "stalled");
    let requests = world.origin.requests().len();
    assert!(requests < 40, "each takes a whole timeout: {requests}");
}

#[test]
fn the_pause_of_a_redirect_target_holds_back_only_what_leads_there() {
    let target = Origin::new();
    let world = World::new().manifest(
        "http: {connections_per_host: 2}\n\
         sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..60}}]\n",
    );
    for n in 1..=60 {
        let path = format!("/{n}.txt");
        if n <= 20 || n % 2 == 0 {
            world.origin.always(&path, Answer::redirect(302, &target.url(&path)));
            target.serve(&path, "redirected");
        } else {
            world.origin.serve(&path, "direct");
        }
    }
    target.attempts("/1.txt", [Answer::status(503).retry_after("60")]);
    // The second transfer of the target is in progress when the pause begins.
    let gate = Gate::new();
    target.attempts("/2.txt", [Answer::file().gate(&gate)]);
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(60);
    gate.open();
    running.wait_stderr_contains("asks for a pause");
    for n in (21..=60).step_by(2) {
        world.wait_for_file(&format!("out/{n}.txt"));
    }
    running.signal(Signal::INT);
    running.wait().code(130);
    assert_eq!(target.count("/1.txt"), 1, "the pause is not over");
}
