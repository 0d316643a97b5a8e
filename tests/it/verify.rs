//! `natsync verify`.

use std::os::unix::fs::{PermissionsExt, symlink};

use crate::world::{Run, World};

fn applied() -> World {
    let world = World::new().serve_numbered(4).source("$BASE/{n}.txt", &["vars: {n: 1..4}"]);
    world.apply().success();
    world.origin.forget();
    world
}

fn verify(world: &World) -> Run {
    world.run(["verify", "--json"])
}

/// The counts without zeros, such as `ok 3, gone 1`.
#[track_caller]
fn findings(run: &Run) -> String {
    let summaries = run.lines("summary");
    assert_eq!(summaries.len(), 1, "{}", run.output());
    assert_eq!(summaries[0]["command"], "verify");
    let told: Vec<_> = ["ok", "modified", "gone", "unknown"]
        .into_iter()
        .filter(|name| summaries[0][*name] != 0)
        .map(|name| format!("{name} {}", summaries[0][name]))
        .collect();
    for name in ["ok", "modified", "gone", "unknown"] {
        let lines = run.lines("verified").iter().filter(|line| line["result"] == name).count();
        assert_eq!(summaries[0][name], lines, "lines that say {name}");
    }
    told.join(", ")
}

#[test]
fn correct_files_are_ok() {
    let world = applied();
    let run = verify(&world).success();
    assert_eq!(findings(&run), "ok 4");
    let lines = run.lines("verified");
    let paths: Vec<_> = lines.iter().map(|line| line["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["1.txt", "2.txt", "3.txt", "4.txt"], "in the order of the entries");
    assert_eq!(lines[0]["sha256"].as_str().unwrap().len(), 64);
    world.origin.assert_requests(&[]);
}

#[test]
fn wrong_and_missing_files_are_found_and_nothing_is_changed() {
    let world = applied();
    world.write("out/1.txt", "FILE 1\n");
    world.write("out/2.txt", "longer than it was\n");
    world.delete("out/3.txt");
    let state = world.state_bytes();
    let run = verify(&world).code(1);
    assert_eq!(findings(&run), "ok 1, modified 2, gone 1");
    assert_eq!(world.state_bytes(), state);
    assert_eq!(world.names(), ["1.txt", "2.txt", "4.txt"]);
    world.origin.assert_requests(&[]);

    world.run(["apply", "--rehash"]).success();
    assert_eq!(findings(&verify(&world).success()), "ok 4");
}

#[test]
fn a_quick_look_reads_nothing() {
    let world = applied();
    assert_eq!(findings(&world.run(["verify", "--quick", "--json"]).success()), "ok 4");
    world.write("out/1.txt", "longer than it was\n");
    world.touch("out/2.txt");
    world.delete("out/3.txt");
    let run = world.run(["verify", "--quick", "--json"]).code(1);
    assert_eq!(findings(&run), "ok 1, modified 1, gone 1, unknown 1");
}

#[test]
fn unknown_files_are_not_failures() {
    let world = applied();
    std::fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    assert_eq!(findings(&verify(&world).success()), "unknown 4");
}

#[test]
fn a_destination_that_is_not_there_is_gone() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    assert_eq!(findings(&verify(&world).code(1)), "gone 2");
    assert!(!world.exists("out"));
}

#[test]
fn absent_entries_are_not_counted_as_gone() {
    let world = World::new()
        .serve_numbered(1)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "on_missing: skip"]);
    world.apply().success();
    let run = verify(&world).success();
    assert_eq!((findings(&run).as_str(), &run.lines("summary")[0]["absent"]), ("ok 1", &2.into()));
}

#[test]
fn something_else_in_its_place_is_modified() {
    let world = applied();
    world.delete("out/1.txt");
    symlink("2.txt", world.path("out/1.txt")).unwrap();
    world.delete("out/2.txt");
    std::fs::create_dir(world.path("out/2.txt")).unwrap();
    assert_eq!(findings(&verify(&world).code(1)), "ok 2, modified 2");
}

#[test]
fn unreadable_files_do_not_count_as_gone() {
    let world = applied();
    let file = world.path("out/1.txt");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&file).is_ok() {
        return; // Nothing is unreadable to root.
    }
    let run = verify(&world).code(1);
    assert_eq!(findings(&run), "ok 3, unknown 1");
    assert_eq!(run.lines("verified")[0]["error"]["kind"], "io");
}

#[test]
fn only_some_can_be_verified() {
    let world = applied();
    world.delete("out/3.txt");
    let run = world.run(["verify", "--json", "--only", "[12].txt"]).success();
    assert_eq!(findings(&run), "ok 2");
    world.run(["verify", "--only", "nothing*"]).code(2);
}

#[test]
fn pins_decide_where_there_are_some() {
    let abc = "sha1: a9993e364706816aba3e25717850c26c9cd0d89d";
    let world = World::new().serve("/a.txt", "abc").source("$BASE/a.txt", &[abc]);
    world.write("out/a.txt", "abc");
    assert_eq!(findings(&verify(&world).success()), "ok 1");
    world.write("out/a.txt", "abd");
    assert_eq!(findings(&verify(&world).code(1)), "modified 1");
}

#[test]
fn the_text_output_shows_wrong_files() {
    let world = applied();
    world.write("out/1.txt", "FILE 1\n");
    world.delete("out/3.txt");
    let run = world.run(["verify"]).code(1);
    world.filters().bind(|| {
        insta::assert_snapshot!(run.stdout, @r"
          ~ modified  1.txt
          ! gone      3.txt
        natsync: 2 ok, 1 modified, 1 gone in TIME (21 B at RATE)
        ");
    });
}
