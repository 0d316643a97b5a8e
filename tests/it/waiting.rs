//! What other runs change while a run waits, and while it works: nothing of it is lost.

use std::fs::{self, File};

use crate::origin::{Answer, Gate};
use crate::world::{Running, World, numbered};

/// The manifest, and a lock that pins the first file.
fn world(count: usize) -> World {
    let world = World::new().serve_numbered(count);
    world.set_manifest("natsync.yaml", "sources: [{url: $BASE/1.txt}]\n");
    world.run(["lock"]).success();
    world.set_manifest(
        "natsync.yaml",
        &format!("sources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n"),
    );
    world.origin.forget();
    world
}

fn lock(world: &World) -> String {
    String::from_utf8(world.read("natsync.lock")).unwrap()
}

/// Starts a run that waits, because the destination is held until the result is dropped.
fn waiting(world: &World, args: &[&str]) -> (Running, File) {
    let guard = File::options().write(true).open(world.path("out/.natsync/run.lock")).unwrap();
    guard.lock().unwrap();
    let running = world.spawn_waiting(args.iter().copied().chain(["--wait"]));
    (running, guard)
}

#[test]
fn pins_that_are_written_while_a_run_waits_hold_for_it() {
    let world = world(2);
    let (running, guard) = waiting(&world, &["apply"]);
    let line = lock(&world).lines().nth(1).unwrap().replace("/1.txt", "/2.txt");
    let line = line.replace("\"1.txt\"", "\"2.txt\"");
    let text = format!("{}{line}\n", lock(&world));
    world.write("natsync.lock", &text);
    drop(guard);
    let run = running.wait().code(1);
    assert!(run.output().contains("checksum"), "{}", run.output());
    assert_eq!(lock(&world), text);
    assert!(!world.exists("out/2.txt"));
}

#[test]
fn a_manifest_that_changes_while_a_run_waits_ends_it() {
    for command in ["apply", "lock"] {
        let world = world(2);
        let (running, guard) = waiting(&world, &[command]);
        world.set_manifest("natsync.yaml", "sources: [{url: $BASE/2.txt}]\n");
        drop(guard);
        let run = running.wait().code(2);
        assert!(
            run.stderr.contains("`natsync.yaml` has changed since this run began"),
            "{}",
            run.stderr
        );
        world.origin.assert_requests(&[]);
    }
}

#[test]
fn a_manifest_or_input_that_is_deleted_while_a_run_waits_ends_it() {
    for deleted in ["natsync.yaml", "ids.txt"] {
        let world = world(2);
        world.write("ids.txt", "1\n2\n");
        world.set_manifest(
            "natsync.yaml",
            "sources: [{url: \"$BASE/{n}.txt\", vars: {n: {file: ids.txt}}}]\n",
        );
        let (running, guard) = waiting(&world, &["apply"]);
        world.delete(deleted);
        drop(guard);
        let run = running.wait().code(2);
        let message = format!("{deleted}` has changed since this run began");
        assert!(run.stderr.contains(&message), "{}", run.stderr);
        world.origin.assert_requests(&[]);
    }
}

#[test]
fn lines_of_another_run_win_over_those_of_a_run_that_began_earlier() {
    let world = world(3);
    let gate = Gate::new();
    world.origin.always("/2.txt", Answer::file().gate(&gate));
    let first = world.spawn(["apply", "--dest", "a"]);
    world.wait_for_file("a/3.txt");
    world.origin.serve("/3.txt", "another text");
    world.run(["apply", "--dest", "b", "--only", "3.txt"]).success();
    let with_three = lock(&world);
    assert_eq!(with_three.lines().count(), 3);
    gate.open();
    let run = first.wait().success();
    assert!(
        run.stderr.contains("1 files were pinned to other content by another run"),
        "{}",
        run.stderr
    );
    let all = lock(&world);
    assert_eq!(all.lines().count(), 4);
    assert!(with_three.lines().all(|line| all.contains(line)), "{all}");
    let run = world.run(["apply", "--dest", "a", "--json"]).success();
    assert_eq!(run.counts(), "entries 3, updated 1, kept 2");
    assert_eq!(world.read("a/3.txt"), b"another text");
}

#[test]
fn many_runs_extend_one_lock() {
    let count = 9;
    let world = world(count);
    let runs: Vec<_> = (2..=count)
        .map(|n| {
            let (dest, only) = (format!("d{n}"), format!("{n}.txt"));
            world.spawn(["apply", "--dest", &dest, "--only", &only])
        })
        .collect();
    for run in runs {
        run.wait().success();
    }
    let text = lock(&world);
    assert_eq!(text.lines().count(), count + 1, "{text}");
    let names: Vec<_> = fs::read_dir(world.dir()).unwrap().flatten().collect();
    assert_eq!(names.len(), 2 + 1 + count - 1, "manifest, lock, and destinations");
}

#[test]
fn a_saved_plan_that_is_refused_leaves_the_state_alone() {
    let world = world(3);
    world.run(["apply", "--offline"]).code(1);
    world.run(["plan", "--out", "p"]).success();
    world.write("out/2.txt", numbered(2));
    world.write("out/.natsync/state.db", "not a state, and long enough to look like a file");
    let names = || {
        let names = fs::read_dir(world.path("out/.natsync")).unwrap().flatten();
        let mut names: Vec<_> = names.map(|item| item.file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    world.run(["apply", "--plan", "p"]).code(2);
    assert_eq!(names(), before);
    let state = world.read("out/.natsync/state.db");
    assert!(state.starts_with(b"not a state"));
}
