//! The state is a cache: damage to it costs time, but never makes the result of a run wrong.

use std::fs;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags};

use crate::origin::{Answer, Gate, PATIENCE};
use crate::world::World;

fn applied() -> World {
    let world = World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    world.apply().success();
    world.origin.forget();
    world
}

/// Checks after any change of the state: `plan` works, `apply` downloads what changed upstream, and
/// the next run transfers nothing.
#[track_caller]
fn costs_time_alone(world: &World) {
    world.run(["plan"]).success();
    world.origin.serve("/2.txt", "changed upstream\n");
    let run = world.apply().success();
    assert_eq!(run.summary()["entries"], 3);
    world.assert_files(&[
        ("1.txt", "file 1\n"),
        ("2.txt", "changed upstream\n"),
        ("3.txt", "file 3\n"),
    ]);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 3");
    assert_eq!(world.origin.bytes_sent(), 0, "the state works again");
}

#[test]
fn a_deleted_state_costs_time_alone() {
    let world = applied();
    fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    costs_time_alone(&world);
}

#[test]
fn a_deleted_state_lets_files_be_adopted_without_a_body() {
    let world = applied();
    fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 3");
    assert_eq!(world.origin.bytes_sent(), 0);
}

#[test]
fn a_state_of_garbage_costs_time_alone() {
    let long = vec![0xa5; 100_000];
    for garbage in [&b""[..], b"garbage", b"SQLite format 3\0 and then not", &long] {
        let world = applied();
        forget_side_files(&world);
        fs::write(world.state(), garbage).unwrap();
        costs_time_alone(&world);
    }
}

#[test]
fn a_truncated_state_costs_time_alone() {
    for length in [1, 100, 4096, 5000] {
        let world = applied();
        forget_side_files(&world);
        let file = fs::File::options().write(true).open(world.state()).unwrap();
        let whole = file.metadata().unwrap().len();
        file.set_len(whole.min(length)).unwrap();
        costs_time_alone(&world);
    }
}

#[test]
fn a_state_with_damage_inside_costs_time_alone() {
    let world = applied();
    forget_side_files(&world);
    let mut bytes = fs::read(world.state()).unwrap();
    for byte in bytes.iter_mut().skip(100) {
        *byte ^= 0x5a;
    }
    fs::write(world.state(), bytes).unwrap();
    costs_time_alone(&world);
}

#[test]
fn a_state_that_turns_out_to_be_damaged_is_kept_aside() {
    let world = World::new()
        .serve_numbered(200)
        .source("$BASE/{n}.txt", &["vars: {n: 1..200}", "check: never"]);
    world.apply().success();
    // The header with version and schema stays intact; the rows after it are damaged.
    let mut bytes = fs::read(world.state()).unwrap();
    for byte in bytes.iter_mut().skip(3 * 4096) {
        *byte ^= 0x5a;
    }
    fs::write(world.state(), bytes).unwrap();
    let run = world.run(["apply"]).success();
    assert!(run.stderr.contains("kept as `.natsync/state.db.corrupt-"), "{}", run.output());
    world.origin.forget();
    let run = world.run(["apply", "--json"]).success();
    assert_eq!((run.counts().as_str(), run.stderr.as_str()), ("entries 200, kept 200", ""));
    world.origin.assert_requests(&[]);
}

#[test]
fn a_state_that_is_a_directory_costs_time_alone() {
    let world = applied();
    forget_side_files(&world);
    fs::remove_file(world.state()).unwrap();
    fs::create_dir(world.state()).unwrap();
    fs::write(world.state().join("x"), "x").unwrap();
    world.run(["plan"]).success();
    world.origin.serve("/2.txt", "changed upstream\n");
    world.apply().success();
    world.assert_files(&[
        ("1.txt", "file 1\n"),
        ("2.txt", "changed upstream\n"),
        ("3.txt", "file 3\n"),
    ]);
}

#[test]
fn a_state_of_another_version_costs_time_alone() {
    for version in [0, 1_000_000, -1] {
        let world = applied();
        world.set_state_version(version);
        costs_time_alone(&world);
    }
}

#[test]
fn a_state_with_other_tables_costs_time_alone() {
    let world = applied();
    let state = rusqlite::Connection::open(world.state()).unwrap();
    let names: Vec<String> = {
        let mut tables =
            state.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
        tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for name in names.iter().filter(|name| !name.starts_with("sqlite_")) {
        state
            .execute_batch(&format!(
                "DROP TABLE \"{name}\"; CREATE TABLE \"{name}\" (something TEXT);"
            ))
            .unwrap();
    }
    drop(state);
    costs_time_alone(&world);
}

#[test]
fn the_state_of_another_destination_is_harmless() {
    let world = applied();
    world.origin.serve("/new/1.txt", "other content");
    world.set_manifest("other.yaml", "dest: other\nsources: [{url: $BASE/new/1.txt}]\n");
    world.run(["apply", "other.yaml"]).success();
    // The record of `1.txt` in this state belongs to another file.
    for name in fs::read_dir(world.path("out/.natsync")).unwrap().map(|entry| entry.unwrap().path())
    {
        if name.is_file() {
            fs::copy(&name, world.path("other/.natsync").join(name.file_name().unwrap())).unwrap();
        }
    }
    world.run(["plan", "other.yaml"]).success();
    world.run(["apply", "other.yaml"]).success();
    assert_eq!(world.read("other/1.txt"), b"other content");
}

#[test]
fn a_destination_that_was_copied_is_right() {
    let world = applied();
    copy(&world.path("out"), &world.path("copy"));
    world.write("copy/1.txt", "FILE 1\n");
    world.run(["apply", "--dest", "copy"]).success();
    assert_eq!(world.files("copy"), world.files("out"));
}

#[test]
fn a_destination_that_was_moved_is_right() {
    let world = applied();
    fs::rename(world.path("out"), world.path("moved")).unwrap();
    let run = world.run(["apply", "--json", "--dest", "moved"]).success();
    assert_eq!(run.counts(), "entries 3, unchanged 3");
    assert_eq!(world.origin.bytes_sent(), 0);
}

#[test]
fn leftovers_in_the_control_folder_are_harmless() {
    let world = applied();
    world.write("out/.natsync/partial/1.txt", "half of");
    world.write("out/.natsync/partial/whatever", "old");
    world.delete("out/1.txt");
    world.apply().success();
    world.assert_files(&[("1.txt", "file 1\n"), ("2.txt", "file 2\n"), ("3.txt", "file 3\n")]);
}

#[test]
fn two_manifests_may_share_a_destination() {
    let world = World::new().serve_numbered(2);
    world.set_manifest("a.yaml", "sources: [{url: $BASE/1.txt}]\n");
    world.set_manifest("b.yaml", "sources: [{url: $BASE/2.txt}]\n");
    world.run(["apply", "a.yaml", "b.yaml"]).success();
    world.origin.forget();
    world.run(["apply", "a.yaml", "b.yaml"]).success();
    assert_eq!(world.origin.bytes_sent(), 0);
    world.assert_files(&[("1.txt", "file 1\n"), ("2.txt", "file 2\n")]);
}

/// Deletes the write-ahead log, the shared memory and the journal of the database.
fn forget_side_files(world: &World) {
    for suffix in ["-wal", "-shm", "-journal"] {
        let mut name = world.state().into_os_string();
        name.push(suffix);
        let _ = fs::remove_file(name);
    }
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Files are recorded soon after they are in place, also while nothing else arrives: a killed run
/// must not forget which files are natsync's.
#[test]
fn a_record_waits_for_no_other_file() {
    let gate = Gate::new();
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    world.origin.always("/2.txt", Answer::file().gate_at(3, &gate));
    let running = world.spawn(["apply"]);
    let recorded = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let state = Connection::open_with_flags(world.state(), flags).ok()?;
        let find = "SELECT path FROM files WHERE path = '1.txt'";
        state.query_row(find, [], |row| row.get::<_, String>(0)).ok()
    };
    let end = Instant::now() + PATIENCE;
    while recorded().is_none() {
        assert!(Instant::now() < end, "the first file is not recorded while the second one comes");
        std::thread::sleep(Duration::from_millis(20));
    }
    gate.open();
    running.wait().success();
}
