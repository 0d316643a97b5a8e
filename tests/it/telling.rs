//! What a run tells about bytes, interruptions and failures.

use rustix::process::Signal;

use crate::origin::{Answer, Gate};
use crate::world::{World, content};

const SIZE: usize = 300_000;
const CUT: usize = 120_000;

fn world() -> World {
    World::new().serve("/a.bin", content(1, SIZE)).source("$BASE/a.bin", &[])
}

/// `bytes` and `size` of the only result, and `bytes` of the summary.
#[track_caller]
fn told(run: &crate::world::Run) -> (u64, Option<u64>, u64) {
    let result = run.result("a.bin");
    let number = |value: &serde_json::Value| value.as_u64();
    let bytes = number(&result["bytes"]).unwrap();
    (bytes, number(&result["size"]), number(&run.summary()["bytes"]).unwrap())
}

#[test]
fn bytes_are_those_received_in_this_run() {
    let (size, cut) = (SIZE as u64, CUT as u64);
    let cut_off = || Answer::file().cut_at(CUT);
    // Whole; after a failed attempt in the same run; from the beginning after a refused range.
    let world = self::world();
    assert_eq!(told(&world.apply().success()), (size, Some(size), size));
    let world = self::world();
    world.origin.attempts("/a.bin", [cut_off()]);
    assert_eq!(told(&world.apply().success()), (size, Some(size), size), "the retry resumes");
    let world = self::world();
    world.origin.attempts("/a.bin", [cut_off(), Answer::status(200).body(content(1, SIZE))]);
    assert_eq!(told(&world.apply().success()), (cut + size, Some(size), cut + size));

    // A run that fails, and the next one, which goes on.
    let world = self::world();
    world.origin.attempts("/a.bin", [cut_off()]);
    let run = world.run(["apply", "--json", "--retries", "0"]).code(1);
    assert_eq!(told(&run), (cut, None, cut));
    let run = world.apply().success();
    assert_eq!(told(&run), (size - cut, Some(size), size - cut));
    let people = {
        world.delete("out/a.bin");
        world.origin.attempts("/a.bin", [cut_off()]);
        world.run(["apply", "--retries", "0"]).code(1);
        world.run(["apply"]).success()
    };
    assert!(people.stdout.contains("120.0 kB were here already"), "{}", people.stdout);

    // Unchanged: no byte, or all of them from a server that knows no conditions.
    assert_eq!(told(&world.apply().success()), (0, None, 0));
    let world = self::world();
    world.apply().success();
    world.origin.always("/a.bin", Answer::status(200).body(content(1, SIZE)));
    let run = world.apply().success();
    assert_eq!(run.outcomes()["a.bin"], "unchanged");
    assert_eq!(told(&run), (size, None, size));
}

#[test]
fn interrupted_transfers_are_not_called_failed() {
    for json in [true, false] {
        let gate = Gate::new();
        let world = world();
        world.origin.attempts("/a.bin", [Answer::file().gate_at(CUT, &gate)]);
        let args: &[&str] = if json { &["apply", "--json"] } else { &["apply"] };
        let running = world.spawn(args);
        world.wait_for_parts(1);
        running.signal(Signal::INT);
        let run = running.wait().code(130);
        gate.open();
        if json {
            assert_eq!(run.failure("a.bin").0, "interrupted");
            assert_eq!(run.counts(), "entries 1, failed 1");
            assert_eq!(told(&run).0, CUT as u64);
        } else {
            assert!(run.stdout.contains("1 interrupted"), "{}", run.output());
            assert!(!run.output().contains("failed"), "{}", run.output());
            assert!(run.stderr.contains("complete files are not downloaded again"));
        }
    }
}

#[test]
fn a_failed_group_names_a_url_and_the_hint_fits_the_case() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..9}", "http: {retries: 0}"]);
    world.origin.everywhere(Answer::status(503));
    let run = world.run(["apply"]).code(1);
    let mut urls = (1..=9).map(|n| world.origin.url(&format!("/{n}.txt")));
    assert!(urls.any(|url| run.stderr.contains(&url)), "{}", run.stderr);
    assert!(run.stderr.contains("hint: run the command again"), "{}", run.stderr);
    assert!(!run.stderr.contains("not downloaded again"), "nothing came: {}", run.stderr);
}

#[test]
fn a_lock_that_pins_nothing_is_not_written() {
    let world = World::new().source("$BASE/a.txt", &["http: {retries: 0}"]);
    world.origin.everywhere(Answer::status(503));
    world.run(["lock"]).code(1);
    assert!(!world.exists("natsync.lock"));
}
