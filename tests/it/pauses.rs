//! Statuses that ask for another attempt, and how long a server may let a run wait.

use std::time::Duration;

use crate::origin::{Answer, Gate, Origin};
use crate::world::{Run, World, content};

const YEAR: &str = "31536000";

fn world(count: usize, http: &str) -> World {
    World::new().serve_numbered(count).manifest(&format!(
        "http: {{{http}}}\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n"
    ))
}

#[test]
fn transient_statuses_are_asked_again() {
    let statuses = [
        408, 421, 425, 429, 500, 502, 503, 504, 509, 520, 521, 522, 523, 524, 525, 526, 527, 529,
        530, 598, 599,
    ];
    let world = world(statuses.len(), "retries: 1");
    for (n, status) in statuses.iter().enumerate() {
        world.origin.attempts(&format!("/{}.txt", n + 1), [Answer::status(*status)]);
    }
    let run = world.apply().success();
    for (n, status) in statuses.iter().enumerate() {
        let result = run.result(&format!("{}.txt", n + 1));
        assert_eq!(result["attempts"], 2, "{status}");
    }
}

#[test]
fn accepted_and_forbidden_are_asked_again_if_they_name_a_pause() {
    let world = world(2, "retries: 1");
    for (n, status) in [202, 403].into_iter().enumerate() {
        world
            .origin
            .attempts(&format!("/{}.txt", n + 1), [Answer::status(status).retry_after("0")]);
    }
    assert_eq!(world.apply().success().counts(), "entries 2, downloaded 2");
    // Without a pause they are final.
    let world = self::world(2, "retries: 1");
    for (n, status) in [202, 403].into_iter().enumerate() {
        world.origin.attempts(&format!("/{}.txt", n + 1), [Answer::status(status)]);
    }
    assert_eq!(world.apply().code(1).counts(), "entries 2, failed 2");
}

#[test]
fn a_forbidden_that_names_a_pause_does_not_mean_missing() {
    let settings = ["missing_when: {status: [403]}", "on_missing: prune", "http: {retries: 1}"];
    let world = World::new().serve("/a.txt", "a").source("$BASE/a.txt", &settings);
    world.apply().success();
    world.origin.attempts("/a.txt", [Answer::status(403).retry_after("0")]);
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.assert_files(&[("a.txt", "a")]);
}

/// Fails unless the run gave up because of the pause.
#[track_caller]
fn gave_up(run: &Run) {
    assert!(run.stderr.contains("`max_retry_after`"), "{}", run.output());
}

#[test]
fn no_request_of_any_kind_waits_longer_than_allowed() {
    let busy = || Answer::status(503).retry_after(YEAR);
    // A file.
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", busy());
    gave_up(&world.apply().code(1));
    // The target of a redirect.
    let other = Origin::new();
    other.everywhere(busy());
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", Answer::redirect(302, &other.url("/a.txt")));
    gave_up(&world.apply().code(1));
    // HEAD and GET for a file that natsync did not write.
    let world = World::new().source("$BASE/a.txt", &[]);
    world.write("out/a.txt", "mine");
    world.origin.always("/a.txt", busy());
    gave_up(&world.apply().code(1));
    // HEAD and GET of a plan.
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", busy());
    gave_up(&world.run(["plan", "--refresh"]));
    // A checksum list, and a sidecar.
    for checksums in ["{url: $BASE/SUMS}", "{sidecar: \"{+url}.sha256\"}"] {
        let setting = format!("checksums: {checksums}");
        let world = World::new().serve("/a.txt", "a").source("$BASE/a.txt", &[&setting]);
        world.origin.always("/SUMS", busy());
        world.origin.always("/a.txt.sha256", busy());
        gave_up(&world.run(["apply"]));
    }
}

#[test]
fn the_pause_of_a_range_does_not_stop_its_origin() {
    let bytes = content(1, 3_000_000);
    let world = World::new().serve("/a.bin", bytes.clone()).serve("/b.bin", "b").manifest(
        "http: {segments: 2, segment_min_size: 1MB, connections: 3}
sources: [{url: \"$BASE/{n}.bin\", vars: {n: [a, b]}}]
",
    );
    let slowly = Answer::file().drip(20_000, Duration::from_millis(4));
    world.origin.attempts("/a.bin", [slowly]);
    // The second file has to be requested again after a range was refused.
    let gate = Gate::new();
    world.origin.attempts("/b.bin", [Answer::status(500).gate(&gate)]);
    world.origin.decide(move |request| {
        let is_range = request.header("range").is_some();
        if is_range {
            gate.open();
        }
        is_range.then(|| Answer::status(503).retry_after(YEAR))
    });
    let run = world.spawn(["apply", "--json"]).wait().success();
    assert_eq!(run.counts(), "entries 2, downloaded 2");
    assert!(world.read("out/a.bin") == bytes);
}
