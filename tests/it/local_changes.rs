//! Files that were created, changed or deleted by others than natsync.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::origin::{Answer, File, Gate, first_modified};
use crate::world::World;

fn one() -> World {
    World::new().serve("/a.txt", "original").source("$BASE/a.txt", &["http: {retries: 0}"])
}

fn pair(action: &str, reason: &str) -> (String, String) {
    (action.to_owned(), reason.to_owned())
}

#[test]
fn a_touched_file_is_unchanged() {
    let world = one();
    world.apply().success();
    world.touch("out/a.txt");
    assert_eq!(world.plan().success().decision("a.txt").0, "revalidate");
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.origin.bytes_sent(), 0);
}

#[test]
fn a_touched_file_that_is_fresh_is_kept() {
    let world = World::new().serve("/a.txt", "original").source("$BASE/a.txt", &["check: never"]);
    world.apply().success();
    world.touch("out/a.txt");
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    world.origin.assert_requests(&[]);
}

#[test]
fn edited_and_truncated_files_are_replaced() {
    for content in ["ORIGINAL", "orig", "", "something much longer"] {
        for check in ["always", "never"] {
            let world = World::new()
                .serve("/a.txt", "original")
                .source("$BASE/a.txt", &[&format!("check: {check}")]);
            world.apply().success();
            world.write("out/a.txt", content);
            assert_eq!(
                world.plan().success().decision("a.txt"),
                pair("replace", "modified_locally"),
                "{content}"
            );
            assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
            world.assert_files(&[("a.txt", "original")]);
        }
    }
}

#[test]
fn an_edit_is_seen_through_a_restored_time() {
    let world = one();
    world.apply().success();
    let time = world.mtime("out/a.txt");
    world.write("out/a.txt", "ORIGINAL");
    world.set_mtime("out/a.txt", time);
    assert_eq!(world.plan().success().decision("a.txt"), pair("replace", "modified_locally"));
    world.apply().success();
    world.assert_files(&[("a.txt", "original")]);
}

#[test]
fn an_edit_right_after_the_download_is_seen() {
    // The upstream file is as new as the run, so its mtime cannot distinguish an edit from a
    // download.
    let now = SystemTime::UNIX_EPOCH
        + Duration::from_secs(
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs(),
        );
    let world = World::new()
        .serve("/a.txt", File::new("original").modified(now))
        .source("$BASE/a.txt", &[]);
    world.apply().success();
    let inode = world.path("out/a.txt");
    let time = world.mtime("out/a.txt");
    fs::write(&inode, "ORIGINAL").unwrap();
    world.set_mtime("out/a.txt", time);
    world.apply().success();
    world.assert_files(&[("a.txt", "original")]);
}

#[test]
fn another_file_moved_into_place_is_seen() {
    let world = one();
    world.apply().success();
    let time = world.mtime("out/a.txt");
    world.write("other", "ORIGINAL");
    world.set_mtime("other", time);
    fs::rename(world.path("other"), world.path("out/a.txt")).unwrap();
    world.apply().success();
    world.assert_files(&[("a.txt", "original")]);
}

#[test]
fn a_deleted_file_is_fetched_again() {
    let world = one();
    world.apply().success();
    world.delete("out/a.txt");
    assert_eq!(world.plan().success().decision("a.txt"), pair("fetch", "not_on_disk"));
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    let request = &world.origin.requests()[0];
    assert_eq!(request.header("if-none-match").or(request.header("if-modified-since")), None);
    world.assert_files(&[("a.txt", "original")]);
}

#[test]
fn a_deleted_destination_is_made_again() {
    let world = one();
    world.apply().success();
    fs::remove_dir_all(world.path("out")).unwrap();
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

#[test]
fn undeclared_files_are_left_alone() {
    let world = one();
    world.write("out/mine.txt", "mine");
    world.write("out/deep/mine.txt", "mine");
    world.apply().success();
    world.assert_files(&[("a.txt", "original"), ("deep/mine.txt", "mine"), ("mine.txt", "mine")]);
}

#[test]
fn files_no_longer_declared_stay_and_are_not_counted() {
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    world.apply().success();
    let world = world.source("$BASE/{n}.txt", &["vars: {n: [1]}"]);
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.names(), ["1.txt", "2.txt"]);
}

#[test]
fn a_file_that_was_there_before_is_adopted_when_it_fits() {
    let world = one();
    world.write("out/a.txt", "original");
    assert_eq!(world.plan().success().decision("a.txt").0, "revalidate");
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.origin.assert_requests(&["HEAD /a.txt"]);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.origin.bytes_sent(), 0);
}

#[test]
fn a_file_that_was_there_before_and_does_not_fit_is_fetched() {
    let world = one();
    world.write("out/a.txt", "of another length");
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    world.assert_files(&[("a.txt", "original")]);

    let world = one();
    world.write("out/a.txt", "ORIGINAL");
    world.set_mtime("out/a.txt", first_modified() - Duration::from_hours(1));
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    world.assert_files(&[("a.txt", "original")]);
}

#[test]
fn a_file_that_was_there_before_is_adopted_where_head_is_refused() {
    for refusal in
        [Answer::status(405), Answer::status(501), Answer::file().without_header("Content-Length")]
    {
        let world = one();
        world.write("out/a.txt", "original");
        world.origin.always("HEAD /a.txt", refusal);
        assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
        let methods: Vec<_> =
            world.origin.requests().iter().map(|request| request.method.clone()).collect();
        assert_eq!(methods, ["HEAD", "GET"]);
        world.assert_files(&[("a.txt", "original")]);
    }
}

#[test]
fn a_bare_304_proves_nothing_about_a_file_that_was_there_before() {
    let world = one();
    world.write("out/a.txt", "of another length");
    world.origin.attempts("/a.txt", [Answer::status(304)]);
    world.apply();
    world.apply().success();
    world.assert_files(&[("a.txt", "original")]);
}

/// The entry is a conflict for both commands, the obstacle stays, and the other entry succeeds.
#[track_caller]
fn conflicts(world: &World) {
    let plan = world.run(["plan", "--json"]);
    assert!(
        plan.lines("error").iter().any(|line| line["kind"] == "path_conflict"),
        "{}",
        plan.output()
    );
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 2, downloaded 1, failed 1");
    assert_eq!(run.failure("deep/a.txt").0, "path_conflict");
    assert_eq!(world.read("out/b.txt"), b"file b");
}

fn deep() -> World {
    let world = World::new().serve("/a.txt", "file a").serve("/b.txt", "file b").manifest(
        "sources: [{name: a, url: $BASE/a.txt, path: deep/a.txt}, {name: b, url: $BASE/b.txt}]\n",
    );
    fs::create_dir_all(world.path("out")).unwrap();
    world
}

#[test]
fn a_symlink_is_not_replaced_and_not_followed() {
    let world = deep();
    world.write("precious.txt", "precious");
    fs::create_dir_all(world.path("out/deep")).unwrap();
    symlink(world.path("precious.txt"), world.path("out/deep/a.txt")).unwrap();
    conflicts(&world);
    assert_eq!(world.read("precious.txt"), b"precious");
    assert!(world.path("out/deep/a.txt").is_symlink());
}

#[test]
fn a_dangling_symlink_is_a_conflict_too() {
    let world = deep();
    fs::create_dir_all(world.path("out/deep")).unwrap();
    symlink(world.path("nowhere.txt"), world.path("out/deep/a.txt")).unwrap();
    conflicts(&world);
    assert!(!world.exists("nowhere.txt"));
}

#[test]
fn a_folder_that_is_a_symlink_is_a_conflict() {
    let world = deep();
    fs::create_dir_all(world.path("elsewhere")).unwrap();
    symlink(world.path("elsewhere"), world.path("out/deep")).unwrap();
    conflicts(&world);
    assert!(world.files("elsewhere").is_empty());
}

#[test]
fn a_directory_at_the_final_name_is_a_conflict() {
    let world = deep();
    world.write("out/deep/a.txt/mine", "mine");
    conflicts(&world);
    assert_eq!(world.read("out/deep/a.txt/mine"), b"mine");
}

#[test]
fn a_fifo_at_the_final_name_is_a_conflict_and_no_hang() {
    let world = deep();
    fs::create_dir_all(world.path("out/deep")).unwrap();
    let made = Command::new("mkfifo").arg(world.path("out/deep/a.txt")).status();
    assert!(made.is_ok_and(|status| status.success()), "mkfifo works");
    conflicts(&world);
}

#[test]
fn a_file_where_a_folder_is_needed_is_a_conflict() {
    let world = deep();
    world.write("out/deep", "a file");
    conflicts(&world);
    assert_eq!(world.read("out/deep"), b"a file");
}

#[test]
fn a_destination_that_is_itself_a_symlink_is_used() {
    let world = one();
    fs::create_dir_all(world.path("disk")).unwrap();
    symlink(world.path("disk"), world.path("out")).unwrap();
    world.apply().success();
    assert_eq!(world.read("disk/a.txt"), b"original");
}

#[test]
fn hard_links_of_an_old_content_keep_it() {
    let world = one();
    world.apply().success();
    fs::hard_link(world.path("out/a.txt"), world.path("snapshot.txt")).unwrap();
    world.origin.serve("/a.txt", "new");
    world.apply().success();
    assert_eq!(world.read("snapshot.txt"), b"original");
    world.assert_files(&[("a.txt", "new")]);
}

#[test]
fn names_that_are_no_text_are_left_alone() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let world = one();
    fs::create_dir_all(world.path("out")).unwrap();
    let odd = world.path("out").join(OsStr::from_bytes(b"caf\xe9 \n\x1b[31m"));
    fs::write(&odd, "mine").unwrap();
    let run = world.run(["apply", "-v"]).success();
    assert_eq!(fs::read(&odd).unwrap(), b"mine");
    assert!(!run.output().contains('\u{1b}'));
}

#[test]
fn rehash_reads_every_file() {
    let world = World::new()
        .serve_numbered(3)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "check: never"]);
    world.apply().success();
    assert_eq!(world.run(["apply", "--json", "--rehash"]).success().counts(), "entries 3, kept 3");
}

#[test]
fn an_edit_while_upstream_is_asked_is_seen() {
    for edit in ["edited", "deleted"] {
        let world = one();
        world.apply().success();
        let gate = Gate::new();
        world.origin.attempts("/a.txt", [Answer::file().gate(&gate)]);
        world.origin.forget();
        let running = world.spawn(["apply", "--json"]);
        world.origin.wait_for(1);
        match edit {
            "edited" => world.write("out/a.txt", "ORIGINAL"),
            _ => world.delete("out/a.txt"),
        }
        gate.open();
        let run = running.wait().success();
        assert_eq!(run.counts(), "entries 1, updated 1", "{edit}");
        world.assert_files(&[("a.txt", "original")]);
        assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    }
}
