//! The lock: `lock` pins the upstream files, and `apply` makes the directory equal to the lock.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::origin::{Answer, Gate, Origin};
use crate::world::World;

const LOCK: &str = "natsync.lock";

fn three() -> World {
    World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"])
}

fn locked() -> World {
    let world = three();
    world.run(["lock"]).success();
    world.origin.forget();
    world
}

fn text(world: &World) -> String {
    String::from_utf8(world.read(LOCK)).unwrap()
}

fn lines(world: &World) -> Vec<serde_json::Value> {
    text(world).lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn after_everything_is_pinned_no_request_is_made() {
    let world = three();
    let run = world.run(["lock", "--json"]).success();
    assert_eq!(run.counts(), "entries 3, downloaded 3");
    let summary = run.summary();
    assert_eq!((&summary["command"], &summary["pinned"]), (&"lock".into(), &3.into()));
    let text = text(&world);
    assert!(text.starts_with(
        "{\"natsync_lock\":1,\"manifest\":\"natsync\"}\n{\"path\":\"1.txt\",\"url\":\"http://"
    ));
    assert_eq!(lines(&world)[1]["size"], 7);
    assert_eq!(lines(&world)[1]["digest_from"], "first_use");

    world.origin.forget();
    let run = world.run(["lock", "--json"]).success();
    assert_eq!((run.counts().as_str(), &run.summary()["pinned"]), ("entries 3, kept 3", &3.into()));
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.run(["lock", "--check"]).success();
    world.run(["apply", "--locked"]).success();
    world.origin.assert_requests(&[]);
}

#[test]
fn a_fresh_clone_with_a_warm_directory_sends_nothing() {
    let world = locked();
    // Like a fresh clone: the same files, but no state.
    fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    for n in 1..=3 {
        world.touch(&format!("out/{n}.txt"));
    }
    let run = world.run(["apply", "--json", "-v", "--locked"]).success();
    assert_eq!(run.counts(), "entries 3, kept 3");
    assert_eq!(world.run(["plan", "--json", "-v"]).decision("1.txt").1, "pinned");
    world.origin.assert_requests(&[]);
    // An empty directory gets the pinned files.
    fs::remove_dir_all(world.path("out")).unwrap();
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
}

#[test]
fn two_locks_from_scratch_are_the_same_bytes() {
    let world = World::new()
        .serve_numbered(40)
        .source("$BASE/{n}.txt", &["vars: {n: 60..1}", "on_missing: skip"]);
    world.run(["lock", "-j", "1"]).success();
    let first = text(&world);
    world.delete(LOCK);
    world.run(["lock", "-j", "16", "--dest", "elsewhere"]).success();
    assert_eq!(text(&world), first);
    // A third time with files that already exist.
    world.delete(LOCK);
    fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    world.run(["lock"]).success();
    assert_eq!(text(&world), first);
    let paths: Vec<_> =
        lines(&world).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
    assert!(paths.is_sorted() && paths.len() == 60);
    assert_eq!(lines(&world).iter().filter(|line| line["missing"] == true).count(), 20);
}

#[test]
fn a_change_upstream_is_kept_out_until_it_is_accepted() {
    let world = locked();
    world.origin.serve("/2.txt", "changed upstream\n");
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    // The difference is noticed only when a file must be downloaded.
    world.write("out/2.txt", "edited");
    let run = world.apply().code(1);
    assert_eq!(run.failure("2.txt").0, "checksum_mismatch");
    assert!(run.failure("2.txt").1.contains("the lock says sha256:"), "{}", run.output());
    assert_eq!(world.read("out/2.txt"), b"edited");
    let command = "`natsync lock --upgrade --only 2.txt`";
    assert!(run.failure("2.txt").1.contains(command), "{}", run.output());
    let run = world.run(["apply"]).code(1);
    assert!(run.stderr.contains(command), "{}", run.output());

    let before = text(&world);
    let run = world.run(["lock", "--upgrade", "--only", "2.txt", "--json"]).success();
    assert_eq!(run.counts(), "entries 1, updated 1");
    let after = text(&world);
    let changed = before.lines().zip(after.lines()).filter(|(one, other)| one != other).count();
    assert_eq!((before.lines().count(), after.lines().count(), changed), (4, 4, 1));
    assert_eq!(world.read("out/2.txt"), b"changed upstream\n");
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);
}

#[test]
fn a_body_of_the_pinned_length_is_still_held_against_its_digest() {
    let world = locked();
    world.origin.serve("/2.txt", "FILE 2\n");
    world.delete("out/2.txt");
    assert_eq!(world.apply().code(1).failure("2.txt").0, "checksum_mismatch");
    assert_eq!(world.names(), ["1.txt", "3.txt"]);
}

#[test]
fn upgrading_moves_all_pins_and_asks_on_condition() {
    let world = locked();
    world.origin.serve("/2.txt", "changed upstream\n");
    let run = world.run(["lock", "--upgrade", "--json"]).success();
    assert_eq!(run.counts(), "entries 3, updated 1, unchanged 2");
    assert_eq!(world.origin.bytes_sent(), "changed upstream\n".len());
    let before = text(&world);
    world.run(["lock", "--upgrade"]).success();
    assert_eq!(text(&world), before);
}

#[test]
fn new_entries_are_pinned_as_they_come() {
    let world = locked();
    let world = world.serve_numbered(4).source("$BASE/{n}.txt", &["vars: {n: 1..4}"]);
    world.origin.forget();
    let run = world.run(["apply", "--json", "--locked"]).code(2);
    assert!(run.stderr.contains("does not pin 4.txt"), "{}", run.output());
    assert_eq!(run.lines("error")[0]["kind"], "lock");
    world.origin.assert_requests(&[]);
    let run = world.run(["lock", "--check"]).code(3);
    assert!(run.stdout.contains("4.txt"), "{}", run.output());

    assert_eq!(world.apply().success().counts(), "entries 4, downloaded 1, kept 3");
    assert_eq!(lines(&world).len(), 4);
    world.run(["lock", "--check"]).success();
    world.run(["apply", "--locked"]).success();
}

#[test]
fn without_a_lock_apply_makes_none() {
    let world = three();
    world.apply().success();
    assert!(!world.exists(LOCK));
    let run = world.run(["apply", "--locked"]).code(2);
    assert!(run.stderr.contains("there is no lock"), "{}", run.output());
}

#[test]
fn only_lock_drops_lines_that_are_no_longer_declared() {
    let world = locked();
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 2..4}"]).serve_numbered(4);
    world.apply().success();
    let paths = |world: &World| -> Vec<String> {
        lines(world).iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(&world), ["1.txt", "2.txt", "3.txt", "4.txt"]);
    world.run(["lock", "--check"]).code(3);
    world.run(["lock", "--only", "2.txt"]).success();
    assert_eq!(paths(&world).len(), 4, "a choice says nothing of the rest");
    world.run(["lock"]).success();
    assert_eq!(paths(&world), ["2.txt", "3.txt", "4.txt"]);
    world.run(["lock", "--check"]).success();
}

#[test]
fn a_missing_entry_is_pinned_as_missing() {
    let world = World::new()
        .serve_numbered(1)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "on_missing: skip"]);
    world.run(["lock"]).success();
    assert_eq!(lines(&world)[1]["missing"], true);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 2, kept 1, absent 1");
    world.origin.assert_requests(&[]);
    world.origin.serve("/2.txt", "late");
    assert_eq!(world.apply().success().counts(), "entries 2, kept 1, absent 1");
    world.run(["lock", "--upgrade"]).success();
    assert_eq!(lines(&world)[1]["size"], 4);
}

#[test]
fn a_pinned_file_that_is_gone_upstream_fails() {
    let world = World::new()
        .serve_numbered(2)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "on_missing: skip"]);
    world.run(["lock"]).success();
    world.origin.remove("/2.txt");
    world.delete("out/2.txt");
    let run = world.apply().code(1);
    assert_eq!(run.failure("2.txt").0, "http_status");
    assert_eq!(run.result("2.txt")["error"]["status"], 404);
    world.run(["lock", "--upgrade"]).success();
    assert_eq!(lines(&world)[1]["missing"], true);
}

#[test]
fn an_entry_that_failed_keeps_its_pin() {
    let world = locked();
    let before = text(&world);
    world.origin.serve("/3.txt", "new");
    world.origin.always("/2.txt", Answer::status(403));
    let run = world.run(["lock", "--upgrade", "--json"]).code(1);
    assert_eq!(run.counts(), "entries 3, updated 1, unchanged 1, failed 1");
    assert_eq!(text(&world).lines().nth(2), before.lines().nth(2));
    assert_ne!(text(&world).lines().nth(3), before.lines().nth(3));
    world.delete(LOCK);
    world.run(["lock"]).code(1);
    assert_eq!(lines(&world).len(), 2, "and without one it gets none");
}

#[test]
fn the_lock_records_the_server_and_the_source_of_the_digest() {
    let mirror = Origin::new();
    mirror.serve("/a.txt", "abc");
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let world = World::new().source(
        "$BASE/a.txt",
        &[&format!("mirrors: [\"{}/a.txt\"]", mirror.base()), &format!("sha256: {sha}")],
    );
    world.origin.always("/a.txt", Answer::status(500));
    world.run(["lock", "--retries", "0"]).success();
    let line = &lines(&world)[0];
    assert_eq!(line["served"], format!("{}/a.txt", mirror.base()));
    assert_eq!((&line["digest_from"], &line["sha256"]), (&"publisher".into(), &sha.into()));
}

#[test]
fn the_manifests_digest_stands_above_the_lock() {
    let world = World::new().serve("/a.txt", "abc").source("$BASE/a.txt", &[]);
    world.run(["lock"]).success();
    let other = "a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9"; // abd
    world.origin.serve("/a.txt", "abd");
    let world = world.source("$BASE/a.txt", &[&format!("sha256: {other}")]);
    let run = world.run(["apply", "--locked"]).code(2);
    assert!(run.stderr.contains("states something else for a.txt"), "{}", run.output());
    world.run(["lock", "--check"]).code(3);
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    world.run(["lock"]).success();
    assert_eq!(lines(&world)[0]["sha256"], other);
    world.run(["apply", "--locked"]).success();
}

#[test]
fn the_same_bytes_for_many_names_are_worth_a_warning() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..5}"]);
    for n in 1..=4 {
        world.origin.serve(&format!("/{n}.txt"), "sorry, try later\n");
    }
    world.origin.serve("/5.txt", "right");
    let run = world.run(["lock"]).success();
    assert!(run.stderr.contains("4 entries were pinned to the same bytes"), "{}", run.output());
    assert!(!world.run(["lock"]).success().stderr.contains("same bytes"));
}

#[test]
fn a_lock_that_is_wrong_ends_the_run_before_it_begins() {
    let world = locked();
    let whole = text(&world);
    for (damaged, word) in [
        (whole.replace("natsync\"}", "other\"}"), "manifest `other`"),
        (whole.replace("_lock\":1", "_lock\":9"), "newer natsync"),
        (format!("{whole}=======\n"), "natsync.lock:5: the lock has merge markers"),
        (whole[..whole.len() - 10].to_owned(), "natsync.lock:4: the lock is cut short"),
        (String::new(), "empty"),
    ] {
        world.write(LOCK, &damaged);
        world.write("out/1.txt", "edited");
        for command in ["apply", "plan", "lock", "verify"] {
            let run = world.run([command, "--json"]).code(2);
            assert!(run.stderr.contains(word), "{command}: {word}\n{}", run.output());
            assert_eq!(run.lines("error")[0]["kind"], "lock");
        }
        assert_eq!(text(&world), damaged);
        assert_eq!(world.read("out/1.txt"), b"edited");
    }
    world.origin.assert_requests(&[]);
}

#[test]
fn a_lock_that_cannot_be_written_is_an_error_and_stays() {
    let world = three();
    fs::create_dir(world.path("ro")).unwrap();
    world.set_manifest("ro/m.yaml", "dest: ../out\nsources: [{url: $BASE/1.txt}]\n");
    fs::set_permissions(world.path("ro"), fs::Permissions::from_mode(0o555)).unwrap();
    let is_root = fs::write(world.path("ro/probe"), "").is_ok();
    if !is_root {
        let run = world.run(["lock", "ro/m.yaml"]).code(5);
        assert!(run.stderr.contains("cannot write the lock"), "{}", run.output());
    }
    fs::set_permissions(world.path("ro"), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_interrupted_lock_leaves_the_old_one() {
    let world = locked();
    let before = text(&world);
    let gate = Gate::new();
    world.origin.serve("/1.txt", "new 1");
    world.origin.always("/2.txt", Answer::file().gate(&gate));
    let running = world.spawn(["lock", "--upgrade"]);
    world.origin.wait_for(3);
    running.signal(rustix::process::Signal::INT);
    running.wait().code(130);
    gate.open();
    assert_eq!(text(&world), before);
    assert_eq!(fs::read_dir(world.dir()).unwrap().count(), 3, "manifest, lock and destination");
}

#[test]
fn a_locked_file_costs_no_request_after_its_url_moved() {
    let world = locked();
    let world = world.source("$BASE/moved/{n}.txt", &["vars: {n: 1..3}"]);
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.run(["lock", "--check"]).code(3);
    world.run(["lock"]).success();
    assert!(lines(&world)[0]["url"].as_str().unwrap().contains("/moved/1.txt"));
    world.run(["lock", "--check"]).success();
    world.origin.assert_requests(&[]);
}

#[test]
fn secrets_do_not_reach_the_lock() {
    let world = World::new()
        .serve_numbered(1)
        .env("NATSYNC_KEY", "s3cr3t")
        .source("$BASE/1.txt?key=${NATSYNC_KEY}", &["path: a"]);
    world.run(["lock"]).success();
    assert!(!text(&world).contains("s3cr3t"));
    assert!(text(&world).contains("key=${NATSYNC_KEY}"));
}

#[test]
fn plan_knows_the_sizes_that_are_pinned() {
    let world = locked();
    world.delete("out/2.txt");
    let run = world.plan().success();
    let line = &run.lines("action")[0];
    assert_eq!((&line["path"], &line["size"]), (&"2.txt".into(), &7.into()));
}

#[test]
fn the_text_output_says_which_digests_were_trusted() {
    let world = World::new()
        .serve_numbered(2)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "on_missing: skip"]);
    let run = world.run(["lock"]).success();
    world.filters().bind(|| {
        insta::assert_snapshot!(run.stdout, @r"
        natsync: 2 downloaded, 1 absent in TIME (14 B at RATE)
        natsync.lock: 3 entries pinned, 3 of them now: 2 on first use, 1 as missing
        ");
    });
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 2..5}", "on_missing: skip"]);
    let run = world.run(["lock", "--check"]).code(3);
    insta::assert_snapshot!(run.stdout, @r"
    natsync.lock: 2 entries not pinned: 4.txt, 5.txt
    natsync.lock: 1 entry pinned but not declared: 1.txt
    ");
}

#[test]
fn an_alternate_that_is_pinned_is_still_found() {
    let world = World::new()
        .serve("/a.csv.zip", "zipped")
        .source("$BASE/a.zip", &["alternates: [$BASE/a.csv.zip]", "path: a.zip"]);
    world.run(["lock"]).success();
    assert!(lines(&world)[0]["served"].as_str().unwrap().ends_with("/a.csv.zip"));
    world.delete("out/a.zip");
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    world.delete("out/a.zip");
    world.origin.remove("/a.csv.zip");
    let message = world.apply().code(1).failure("a.zip").1;
    assert!(message.contains("natsync lock --upgrade --only a.zip"), "{message}");
}
