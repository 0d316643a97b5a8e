//! Folders that are moved while a run goes on: files are put where their paths lead, never into a
//! folder that is elsewhere by now.

use std::time::Instant;

use crate::origin::{Answer, Gate, PATIENCE};
use crate::world::{Running, World, numbered};

/// Two files of one folder; the second one comes when the gate opens.
fn world(gate: &Gate) -> World {
    let world = World::new().serve_numbered(2).source(
        "$BASE/{n}.txt",
        &["vars: {n: 1..2}", "path: \"sub/deep/{n}.txt\"", "http: {retries: 0}"],
    );
    world.origin.attempts("/2.txt", [Answer::file().gate(gate)]);
    world
}

/// A run whose first file is in place, and whose second one waits.
fn begun(world: &World) -> Running {
    let running = world.spawn(["apply", "--json"]);
    let end = Instant::now() + PATIENCE;
    while !world.exists("out/sub/deep/1.txt") {
        assert!(Instant::now() < end, "waited in vain for the first file");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    running
}

#[test]
fn a_moved_folder_gets_no_more_files() {
    for (from, to) in [("out/sub/deep", "elsewhere"), ("out/sub", "out/other")] {
        let gate = Gate::new();
        let world = world(&gate);
        let running = begun(&world);
        std::fs::rename(world.path(from), world.path(to)).unwrap();
        gate.open();
        let run = running.wait().success();
        assert_eq!(run.counts(), "entries 2, downloaded 2");
        assert_eq!(world.read("out/sub/deep/2.txt"), numbered(2).as_bytes());
        let moved = world.files(to);
        assert_eq!(moved.len(), 1, "{moved:?}");
        let verified = world.run(["verify", "--json"]).code(1);
        assert!(verified.stdout.contains("\"gone\":1"), "{}", verified.stdout);
    }
}

#[test]
fn a_moved_destination_gets_no_more_files() {
    for made_anew in [false, true] {
        let gate = Gate::new();
        let world = world(&gate);
        let running = begun(&world);
        std::fs::rename(world.path("out"), world.path("old")).unwrap();
        if made_anew {
            std::fs::create_dir(world.path("out")).unwrap();
        }
        gate.open();
        let run = running.wait().code(1);
        let (kind, message) = run.failure("sub/deep/2.txt");
        assert_eq!(kind, "io");
        assert!(message.contains("the destination was moved"), "{message}");
        assert!(!world.exists("old/sub/deep/2.txt") && !world.exists("out/sub"));
    }
}

#[test]
fn a_file_that_was_moved_away_is_not_unchanged() {
    let gate = Gate::new();
    let world = world(&gate);
    gate.open();
    world.apply().success();
    let gate = Gate::new();
    world.origin.attempts("/2.txt", [Answer::file().gate(&gate)]);
    world.origin.forget();
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(2);
    std::fs::rename(world.path("out/sub"), world.path("elsewhere")).unwrap();
    gate.open();
    running.wait().success();
    assert_eq!(world.read("out/sub/deep/2.txt"), numbered(2).as_bytes());
}
