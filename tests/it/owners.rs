//! Several manifests of one destination: none deletes what another one wrote or declares, and where it
//! is unclear whose files they are, none are deleted.

use rusqlite::Connection;

use crate::origin::Answer;
use crate::world::{Run, World, sha256_of};

/// A manifest that downloads these files into `out` and prunes.
fn declares(world: &World, file: &str, paths: &[&str]) {
    let mut text =
        format!("dest: {}\nprune: managed\nsources:\n  - files:\n", world.path("out").display());
    for path in paths {
        text.push_str("      - url: $BASE/");
        text.push_str(path);
        text.push('\n');
    }
    world.write(file, "");
    world.set_manifest(file, &text);
}

fn world() -> World {
    World::new().serve_numbered(9)
}

fn apply(world: &World, file: &str) -> Run {
    world.run(["apply", "--json", file])
}

#[track_caller]
fn names_are(world: &World, numbers: &[usize]) {
    let expected: Vec<_> = numbers.iter().map(|n| format!("{n}.txt")).collect();
    assert_eq!(world.names(), expected);
}

#[test]
fn manifests_of_one_name_do_not_prune_each_other() {
    let world = world();
    declares(&world, "x/m.yaml", &["1.txt", "2.txt"]);
    declares(&world, "y/m.yaml", &["3.txt", "4.txt"]);
    for file in ["x/m.yaml", "y/m.yaml", "x/m.yaml", "y/m.yaml"] {
        apply(&world, file).success();
        world.run(["plan", "--exit-code", "--refresh", file]).success();
    }
    names_are(&world, &[1, 2, 3, 4]);
    declares(&world, "y/m.yaml", &["3.txt"]);
    assert_eq!(apply(&world, "y/m.yaml").success().counts(), "entries 1, unchanged 1, pruned 1");
    names_are(&world, &[1, 2, 3]);
    // Each has a history of its own.
    world.run(["report", "x/m.yaml", "--html", "x.html"]).success();
    let page = String::from_utf8(world.read("x.html")).unwrap();
    assert!(!page.contains("pruned 1"), "the run of y pruned");
}

#[test]
fn a_path_that_two_manifests_declare_is_pruned_by_neither() {
    let world = world();
    declares(&world, "a.yaml", &["1.txt", "2.txt"]);
    declares(&world, "b.yaml", &["2.txt", "3.txt"]);
    apply(&world, "a.yaml").success();
    for command in ["plan", "apply"] {
        let run = world.run([command, "b.yaml"]).success();
        let text = "`2.txt` is declared by two manifests of this destination: `b` (b.yaml) and `a` (`../a.yaml` from the destination)";
        assert!(run.stderr.contains(text), "{}", run.output());
    }
    declares(&world, "a.yaml", &["1.txt"]);
    let run = apply(&world, "a.yaml").success();
    assert!(!run.stderr.contains("two manifests"), "{}", run.output());
    names_are(&world, &[1, 2, 3]);
    declares(&world, "b.yaml", &["3.txt"]);
    apply(&world, "b.yaml").success();
    names_are(&world, &[1, 2, 3]);
    apply(&world, "a.yaml").success();
    names_are(&world, &[1, 3]);
}

#[test]
fn a_file_that_is_missing_upstream_stays_if_another_manifest_declares_it() {
    let world = world();
    for file in ["a.yaml", "b.yaml"] {
        let text = format!(
            "dest: out\nsources: [{{url: {}/1.txt, on_missing: prune}}]\n",
            world.origin.base()
        );
        world.set_manifest(file, &text);
        apply(&world, file).success();
    }
    world.origin.remove("/1.txt");
    apply(&world, "a.yaml").success();
    names_are(&world, &[1]);
}

#[test]
fn a_manifest_that_moved_prunes_what_it_wrote() {
    let world = world();
    declares(&world, "x/m.yaml", &["1.txt", "2.txt", "3.txt"]);
    apply(&world, "x/m.yaml").success();
    std::fs::remove_file(world.path("x/m.yaml")).unwrap();
    declares(&world, "y/m.yaml", &["1.txt", "2.txt"]);
    apply(&world, "y/m.yaml").success();
    names_are(&world, &[1, 2]);
}

#[test]
fn what_is_unclear_stays_until_ownership_is_taken() {
    let world = world();
    declares(&world, "a.yaml", &["1.txt", "2.txt", "3.txt"]);
    apply(&world, "a.yaml").success();
    std::fs::remove_file(world.path("a.yaml")).unwrap();
    declares(&world, "b.yaml", &["1.txt", "2.txt"]);
    for _ in 0..2 {
        let plan = world.run(["plan", "b.yaml"]).success();
        assert!(plan.stderr.contains("--take-ownership"), "{}", plan.output());
        let run = apply(&world, "b.yaml").code(1);
        let refused = run.lines("error");
        assert_eq!(refused[0]["kind"], "prune_refused");
        let message = refused[0]["message"].as_str().unwrap();
        assert!(
            message.contains("`3.txt` is not declared any more, but written for the manifest `a`"),
            "{message}"
        );
        assert!(run.output().contains("--take-ownership"), "{}", run.output());
        names_are(&world, &[1, 2, 3]);
    }
    world.run(["apply", "b.yaml", "--no-prune"]).success();
    let plan = world.run(["plan", "--json", "b.yaml", "--take-ownership", "--out", "p"]).success();
    assert_eq!(plan.summary()["prune"], 1);
    names_are(&world, &[1, 2, 3]);
    world.run(["apply", "--plan", "p"]).success();
    names_are(&world, &[1, 2]);
    apply(&world, "b.yaml").success();
}

#[test]
fn a_file_that_is_adopted_again_is_still_ones_own() {
    let world = world();
    declares(&world, "m.yaml", &["1.txt", "2.txt"]);
    apply(&world, "m.yaml").success();
    // The same bytes at another URL, pinned, and with another mtime: they are read and recorded anew.
    let text = |paths: &str| format!("prune: managed\nsources:\n  - files:\n{paths}");
    let sha256 = sha256_of(crate::world::numbered(1).as_bytes());
    let moved = format!(
        "      - {{url: $BASE/moved/1.txt, path: 1.txt, sha256: {sha256}}}\n      - url: $BASE/2.txt\n"
    );
    world.set_manifest("m.yaml", &text(&moved));
    world.set_mtime("out/1.txt", std::time::SystemTime::UNIX_EPOCH);
    let run = apply(&world, "m.yaml").success();
    assert_eq!(run.counts(), "entries 2, unchanged 1, kept 1");
    world.set_manifest("m.yaml", &text("      - url: $BASE/2.txt\n"));
    apply(&world, "m.yaml").success();
    names_are(&world, &[2]);
}

#[test]
fn a_file_that_was_replaced_by_hand_is_not_ones_own() {
    let world = world();
    declares(&world, "m.yaml", &["1.txt", "2.txt"]);
    apply(&world, "m.yaml").success();
    let mine = "mine, and pinned by now";
    world.write("out/1.txt", mine);
    let sha256 = sha256_of(mine.as_bytes());
    world.set_manifest(
        "m.yaml",
        &format!("prune: managed\nsources:\n  - files:\n      - {{url: $BASE/1.txt, sha256: {sha256}}}\n      - url: $BASE/2.txt\n"),
    );
    apply(&world, "m.yaml").success();
    declares(&world, "m.yaml", &["2.txt"]);
    apply(&world, "m.yaml").success();
    names_are(&world, &[1, 2]);
}

#[test]
fn parts_of_another_manifest_are_kept() {
    let body = crate::world::content(1, 300_000);
    let world = World::new().serve("/big.bin", body.clone()).serve_numbered(1);
    declares(&world, "a.yaml", &["big.bin"]);
    declares(&world, "b.yaml", &["1.txt", "big.bin"]);
    world.origin.always("/big.bin", Answer::file().cut_at(120_000));
    world.run(["apply", "a.yaml", "--retries", "0"]).code(1);
    declares(&world, "b.yaml", &["1.txt"]);
    apply(&world, "b.yaml").success();
    assert_eq!(world.partial_files().len(), 2, "bytes and note");
    world.origin.behave();
    world.origin.forget();
    apply(&world, "a.yaml").success();
    assert!(world.origin.requests_for("/big.bin")[0].header("range").is_some());
    assert_eq!(world.read("out/big.bin"), body);
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn the_share_of_max_delete_is_of_files_that_exist() {
    let world = world();
    let text = |numbers: &str| {
        format!(
            "prune: managed\nmax_delete: 50%\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: {numbers}}}}}]\n"
        )
    };
    world.set_manifest("natsync.yaml", &text("1..8"));
    world.apply().success();
    for n in 5..=8 {
        world.delete(&format!("out/{n}.txt"));
    }
    // Three of the four files that exist, and three of the eight that were ever written.
    world.set_manifest("natsync.yaml", &text("1"));
    let run = world.apply().code(1);
    assert!(run.output().contains("3 files of 4"), "{}", run.output());
    names_are(&world, &[1, 2, 3, 4]);
    world.set_manifest("natsync.yaml", &text("1..2"));
    world.apply().success();
    names_are(&world, &[1, 2]);
}

/// Rewrites the state as natsync's schema 6 had it.
fn downgrade(world: &World) {
    let new = Connection::open(world.path("out/.natsync/state.db")).unwrap();
    let old = Connection::open(world.path("old.db")).unwrap();
    old.execute_batch(
        "CREATE TABLE files (
            path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL, url TEXT NOT NULL,
            served TEXT NOT NULL, size INTEGER NOT NULL, stamp INTEGER NOT NULL,
            racy INTEGER NOT NULL, sha256 BLOB NOT NULL CHECK (length(sha256) = 32), others TEXT,
            provenance INTEGER NOT NULL, checked INTEGER, changed INTEGER, etag TEXT,
            last_modified TEXT
         ) STRICT, WITHOUT ROWID;
         CREATE TABLE missing (path TEXT PRIMARY KEY NOT NULL, manifest TEXT NOT NULL,
            url TEXT NOT NULL, since INTEGER NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE announced (path TEXT PRIMARY KEY NOT NULL) STRICT, WITHOUT ROWID;
         CREATE TABLE place (path TEXT NOT NULL) STRICT;
         CREATE TABLE lists (url TEXT PRIMARY KEY NOT NULL, etag TEXT, last_modified TEXT,
            content BLOB) STRICT, WITHOUT ROWID;
         CREATE TABLE runs (id INTEGER PRIMARY KEY NOT NULL, manifest TEXT NOT NULL,
            record TEXT NOT NULL) STRICT;
         PRAGMA application_id = 1851880563; PRAGMA user_version = 6;",
    )
    .unwrap();
    drop((new, old));
    let new = Connection::open(world.path("out/.natsync/state.db")).unwrap();
    new.execute("ATTACH ?1 AS old", [world.path("old.db").to_str().unwrap()]).unwrap();
    new.execute_batch(
        "INSERT INTO old.files SELECT files.path, name, url, served, size, stamp, racy, sha256, others,
            provenance, checked, changed, etag, last_modified
         FROM files JOIN owners ON owners.id = owner;
         INSERT INTO old.runs SELECT runs.id, name, record FROM runs JOIN owners ON owners.id = owner;",
    )
    .unwrap();
    let place = std::fs::canonicalize(world.path("out")).unwrap();
    new.execute("INSERT INTO old.place VALUES (?1)", [place.to_str().unwrap()]).unwrap();
    drop(new);
    std::fs::rename(world.path("old.db"), world.path("out/.natsync/state.db")).unwrap();
}

#[test]
fn an_older_state_is_migrated_and_keeps_what_natsync_wrote() {
    let world = world();
    declares(&world, "m.yaml", &["1.txt", "2.txt", "3.txt"]);
    apply(&world, "m.yaml").success();
    downgrade(&world);
    let before = world.read("out/.natsync/state.db");
    declares(&world, "m.yaml", &["1.txt", "2.txt"]);
    let plan = world.run(["plan", "--json", "m.yaml"]).success();
    assert_eq!(plan.counts(), "entries 2, revalidate 2, prune 1");
    assert_eq!(plan.stderr, "");
    assert_eq!(world.read("out/.natsync/state.db"), before, "a plan writes nothing");
    let run = apply(&world, "m.yaml").success();
    assert_eq!(run.counts(), "entries 2, unchanged 2, pruned 1");
    assert!(!run.stderr.contains("state"), "{}", run.stderr);
    names_are(&world, &[1, 2]);
}

#[test]
fn a_later_state_is_set_aside_and_its_files_are_still_known() {
    let world = world();
    declares(&world, "m.yaml", &["1.txt", "2.txt"]);
    apply(&world, "m.yaml").success();
    let state = Connection::open(world.path("out/.natsync/state.db")).unwrap();
    state
        .execute_batch("ALTER TABLE files ADD COLUMN later TEXT; PRAGMA user_version = 99;")
        .unwrap();
    drop(state);
    declares(&world, "m.yaml", &["1.txt"]);
    let run = apply(&world, "m.yaml").success();
    assert!(run.stderr.contains("a newer natsync wrote it"), "{}", run.stderr);
    assert_eq!(run.counts(), "entries 1, unchanged 1, pruned 1");
    names_are(&world, &[1]);
}
