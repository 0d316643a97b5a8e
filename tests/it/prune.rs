//! Pruning: at the end of a run, within limits and without failures, natsync deletes undeclared
//! files that it wrote itself and that have not changed.

use crate::origin::Answer;
use crate::world::World;

const MANAGED: &str = "prune: managed\n";

fn manifest(numbers: &str, top: &str) -> String {
    format!(
        "{top}sources:\n  - url: $BASE/{{n}}.txt\n    path: \"d/{{n}}.txt\"\n    vars: {{n: {numbers}}}\n"
    )
}

/// Five files that an apply has written, in a folder.
fn five() -> World {
    let world = World::new().serve_numbered(9).manifest(&manifest("1..5", MANAGED));
    assert_eq!(world.apply().success().counts(), "entries 5, downloaded 5");
    world
}

/// The same world, but the manifest now declares only some of the files.
fn shrunk(numbers: &str) -> World {
    let world = five();
    world.set_manifest("natsync.yaml", &manifest(numbers, MANAGED));
    world
}

#[track_caller]
fn names_are(world: &World, numbers: &[usize]) {
    let expected: Vec<_> = numbers.iter().map(|n| format!("d/{n}.txt")).collect();
    assert_eq!(world.names(), expected);
}

#[test]
fn undeclared_files_are_pruned() {
    let world = shrunk("1..3");
    let plan = world.plan().success();
    assert_eq!(plan.summary()["prune"], 2);
    let actions: Vec<_> = plan.lines("action");
    let prune = actions.iter().find(|line| line["action"] == "prune").unwrap();
    assert_eq!((&prune["reason"], &prune["path"]), (&"not_in_manifest".into(), &"d/4.txt".into()));
    assert_eq!((&prune["source"], &prune["url"]), (&().into(), &().into()));
    world.run(["plan", "--exit-code"]).code(3);
    names_are(&world, &[1, 2, 3, 4, 5]);

    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, unchanged 3, pruned 2");
    assert_eq!(run.result("d/5.txt")["outcome"], "pruned");
    names_are(&world, &[1, 2, 3]);
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 3");
}

#[test]
fn without_pruning_they_stay_and_are_reported() {
    let world = shrunk("1..3");
    let run = world.run(["apply", "--no-prune"]).success();
    assert!(run.stderr.contains("2 files are no longer declared and are kept"), "{}", run.output());
    world.set_manifest("natsync.yaml", &manifest("1..3", ""));
    world.apply().success();
    names_are(&world, &[1, 2, 3, 4, 5]);
    let run = world.run(["apply", "--prune", "-v"]).success();
    assert!(run.stdout.contains("- pruned      d/4.txt"), "{}", run.output());
    names_are(&world, &[1, 2, 3]);
}

#[test]
fn folders_that_are_empty_then_go_too_and_others_stay() {
    let world = five();
    world.set_manifest("natsync.yaml", &manifest("6..7", MANAGED).replace("d/{n}", "e/f/{n}"));
    world.apply().success();
    assert!(!world.exists("out/d") && world.exists("out/e/f/6.txt"));
    world.write("out/e/f/mine.txt", "mine");
    world.set_manifest("natsync.yaml", &manifest("8", MANAGED));
    world.apply().success();
    assert_eq!(world.names(), ["d/8.txt", "e/f/mine.txt"]);
}

#[test]
fn files_written_or_changed_by_others_stay() {
    let world = five();
    world.write("out/d/mine.txt", "mine");
    // Edited to another size; edited to the same size; rewritten with the same bytes, which does
    // not count as a change.
    world.write("out/d/3.txt", "edited and longer\n");
    world.write("out/d/4.txt", "FILE 4\n");
    world.touch("out/d/5.txt");
    world.set_manifest("natsync.yaml", &manifest("1..2", MANAGED));
    let run = world.apply().success();
    assert_eq!(run.summary()["pruned"], 1);
    assert_eq!(world.names(), ["d/1.txt", "d/2.txt", "d/3.txt", "d/4.txt", "d/mine.txt"]);
}

#[test]
fn adopted_files_stay() {
    // The file is adopted, by its length and time or by its bytes.
    let world = World::new().serve_numbered(3);
    world.write("out/d/1.txt", "FILE 1\n");
    let world = world.manifest(&manifest("1..2", MANAGED));
    assert_eq!(world.apply().success().counts(), "entries 2, downloaded 1, unchanged 1");
    world.set_manifest("natsync.yaml", &manifest("3", MANAGED));
    world.apply().success();
    assert_eq!(world.names(), ["d/1.txt", "d/3.txt"]);
}

#[test]
fn nothing_goes_when_anything_failed() {
    for answer in [Answer::status(404), Answer::status(500), Answer::close()] {
        let world = shrunk("1..3");
        world.origin.always("/2.txt", answer);
        let run = world.run(["apply", "--json", "--retries", "0"]).code(1);
        assert_eq!(run.summary()["pruned"], 0);
        names_are(&world, &[1, 2, 3, 4, 5]);
        world.origin.behave();
        world.apply().success();
        names_are(&world, &[1, 2, 3]);
    }
}

#[test]
fn nothing_goes_when_a_checksum_list_failed() {
    let world = five();
    let lists = manifest("1..3", MANAGED) + "    checksums: {url: $BASE/SUMS, optional: true}\n";
    world.set_manifest("natsync.yaml", &lists);
    world.origin.always("/SUMS", Answer::status(500));
    world.run(["apply", "--retries", "0"]).code(1);
    names_are(&world, &[1, 2, 3, 4, 5]);
}

#[test]
fn a_choice_of_entries_prunes_nothing() {
    let world = shrunk("1..3");
    world.run(["apply", "--only", "d/1.txt"]).success();
    world.run(["apply", "--only", "d/1.txt", "--prune"]).success();
    names_are(&world, &[1, 2, 3, 4, 5]);
}

#[test]
fn beyond_max_delete_nothing_is_deleted() {
    let world = shrunk("1..3");
    for args in [vec!["--max-delete", "1"], vec!["--max-delete", "0"]] {
        let run = world.run([&["apply", "--json"][..], &args[..]].concat()).code(1);
        let error = &run.lines("error")[0];
        assert_eq!(error["kind"], "prune_refused", "{}", run.output());
        assert_eq!(run.summary()["pruned"], 0);
        names_are(&world, &[1, 2, 3, 4, 5]);
    }
    world.set_manifest("natsync.yaml", &manifest("1..3", "prune: managed\nmax_delete: 30%\n"));
    world.apply().code(1);
    names_are(&world, &[1, 2, 3, 4, 5]);
    world.set_manifest("natsync.yaml", &manifest("1..3", "prune: managed\nmax_delete: 40%\n"));
    world.apply().success();
    names_are(&world, &[1, 2, 3]);
}

#[test]
fn a_new_version_of_all_names_is_refused_at_a_hundred() {
    let world = World::new();
    for n in 1..=240 {
        world.origin.serve(&format!("/{n}.txt"), format!("{n}"));
    }
    let world = world.manifest(&manifest("1..120", MANAGED));
    world.apply().success();
    world.set_manifest("natsync.yaml", &manifest("121..240", MANAGED));
    let run = world.apply().code(1);
    assert_eq!(run.lines("error")[0]["kind"], "prune_refused");
    assert_eq!(world.names().len(), 240);
    world.run(["apply", "--max-delete", "120"]).success();
    assert_eq!(world.names().len(), 120);
}

#[test]
fn a_destination_that_is_somewhere_else_is_not_pruned_at_once() {
    let world = shrunk("1..3");
    std::fs::rename(world.path("out"), world.path("moved")).unwrap();
    let run = world.run(["apply", "--json", "--dest", "moved"]).code(1);
    assert_eq!(run.lines("error")[0]["kind"], "prune_refused");
    assert_eq!(world.files("moved").len(), 5);
    world.run(["apply", "--dest", "moved"]).success();
    assert_eq!(world.files("moved").len(), 3);
}

#[test]
fn without_the_state_nothing_is_pruned() {
    let world = shrunk("1..3");
    world.delete("out/.natsync/state.db");
    world.apply().success();
    names_are(&world, &[1, 2, 3, 4, 5]);
}

#[test]
fn another_manifest_of_the_same_destination_keeps_its_files() {
    let world = five();
    world
        .set_manifest("other.yaml", "name: other\nprune: managed\nsources: [{url: $BASE/9.txt}]\n");
    world.run(["apply", "other.yaml"]).success();
    assert_eq!(world.names().len(), 6);
    world
        .set_manifest("other.yaml", "name: other\nprune: managed\nsources: [{url: $BASE/8.txt}]\n");
    world.run(["apply", "other.yaml"]).success();
    assert_eq!(world.names().len(), 6);
    assert!(world.exists("out/8.txt") && !world.exists("out/9.txt"));
}

#[test]
fn links_and_folders_in_its_place_stay() {
    let world = five();
    std::fs::remove_file(world.path("out/d/4.txt")).unwrap();
    std::os::unix::fs::symlink(world.path("natsync.yaml"), world.path("out/d/4.txt")).unwrap();
    std::fs::remove_file(world.path("out/d/5.txt")).unwrap();
    std::fs::create_dir(world.path("out/d/5.txt")).unwrap();
    world.set_manifest("natsync.yaml", &manifest("1..3", MANAGED));
    world.apply().success();
    assert!(
        world.exists("out/d/4.txt") && world.exists("out/d/5.txt") && world.exists("natsync.yaml")
    );
}

#[test]
fn a_folder_that_became_a_link_is_not_gone_through() {
    let world = five();
    std::fs::rename(world.path("out/d"), world.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("out/d")).unwrap();
    world.set_manifest("natsync.yaml", &manifest("6", MANAGED).replace("d/{n}", "e/{n}"));
    world.apply().success();
    assert_eq!(world.files("elsewhere").len(), 5);
}

#[test]
fn a_failed_deletion_is_an_error_and_the_others_happen() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        // Skipped for root, because permissions do not apply to root.
        return;
    }
    let world = shrunk("1..3");
    let folder = world.path("out/d");
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o555)).unwrap();
    let run = world.apply();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(run.code(1).lines("error")[0]["kind"], "io");
}

#[test]
fn the_text_output_lists_files_to_prune() {
    let world = shrunk("1..3");
    let run = world.run(["plan"]).success();
    assert!(run.stdout.contains("  - prune       d/4.txt"), "{}", run.output());
    assert!(
        run.stdout.contains("3 entries: 3 to revalidate (stale), 2 to prune"),
        "{}",
        run.output()
    );
    let run = world.run(["apply"]).success();
    assert!(run.stdout.contains("3 unchanged, 2 pruned"), "{}", run.output());
}

#[test]
fn odd_names_that_are_declared_stay() {
    let world = World::new();
    for name in ["UPPER.TXT", "%C3%84rger.txt", "a%20b.txt"] {
        world.origin.serve(&format!("/{name}"), "x");
    }
    let text = "prune: managed\nsources:\n  - url: $BASE/{n}\n    vars: {n: [UPPER.TXT, Ärger.txt, a b.txt]}\n";
    let world = world.manifest(text);
    world.apply().success();
    assert_eq!(world.apply().success().summary()["pruned"], 0);
    assert_eq!(world.names().len(), 3);
}

#[test]
fn variables_of_the_command_line_are_no_reason_to_delete() {
    let world = five();
    world.run(["apply", "--set", "n=1..2"]).success();
    names_are(&world, &[1, 2, 3, 4, 5]);
    world.run(["apply", "--set", "n=1..2", "--prune"]).success();
    names_are(&world, &[1, 2]);
}

#[test]
fn an_interrupted_run_deletes_nothing() {
    let world = shrunk("1..3");
    let gate = crate::origin::Gate::new();
    world.origin.always("/3.txt", Answer::file().gate(&gate));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(1);
    running.signal(rustix::process::Signal::INT);
    running.wait().code(130);
    gate.open();
    names_are(&world, &[1, 2, 3, 4, 5]);
}

#[test]
fn a_run_without_network_may_delete_when_all_is_there() {
    let world = shrunk("1..3");
    let run = world.run(["apply", "--json", "--offline"]).success();
    assert_eq!(run.summary()["pruned"], 2);
    names_are(&world, &[1, 2, 3]);
    // With `--offline`, an entry that is not on disk fails, so nothing is pruned.
    let world = shrunk("1..6");
    world.set_manifest("natsync.yaml", &manifest("4..6", MANAGED));
    world.run(["apply", "--offline"]).code(1);
    names_are(&world, &[1, 2, 3, 4, 5]);
}

#[test]
fn a_lock_deletes_nothing() {
    let world = shrunk("1..3");
    world.run(["lock"]).success();
    world.run(["lock", "--upgrade"]).success();
    names_are(&world, &[1, 2, 3, 4, 5]);
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3, pruned 2");
}

/// Five files of a source with `on_missing: prune`; upstream then loses some of them.
fn vanished(numbers: &[usize], more: &str) -> World {
    let text = manifest("1..5", "") + "    on_missing: prune\n" + more;
    let world = World::new().serve_numbered(5).manifest(&text);
    assert_eq!(world.apply().success().counts(), "entries 5, downloaded 5");
    for n in numbers {
        world.origin.remove(&format!("/{n}.txt"));
    }
    world
}

#[test]
fn on_missing_prune_deletes_files_missing_upstream() {
    let world = vanished(&[2, 4], "");
    let plan = world.run(["plan", "--refresh", "--json"]).success();
    let prune = plan.lines("action").into_iter().find(|line| line["action"] == "prune").unwrap();
    assert_eq!((&prune["reason"], &prune["path"]), (&"missing_upstream".into(), &"d/2.txt".into()));
    assert_eq!(plan.summary()["prune"], 2);
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 5, unchanged 3, absent 2, pruned 2");
    names_are(&world, &[1, 3, 5]);
    assert_eq!(world.apply().success().counts(), "entries 5, unchanged 3, absent 2");

    // Only the selected entry was requested.
    let world = vanished(&[2, 4], "");
    world.run(["apply", "--only", "d/2.txt"]).success();
    names_are(&world, &[1, 3, 4, 5]);
}

#[test]
fn files_missing_upstream_stay_in_case_of_doubt() {
    let stays = |world: &World, args: &[&str]| {
        world.run([&["apply", "--retries", "0"], args].concat());
        names_are(world, &[1, 2, 3, 4, 5]);
    };
    stays(&vanished(&[2], ""), &["--no-prune"]);
    stays(&vanished(&[2, 4], ""), &["--max-delete", "1"]);
    stays(&vanished(&[2, 4], "    max_missing: 1\n"), &[]);
    stays(&vanished(&[2], ""), &["--offline"]);
    let failing = vanished(&[2], "");
    failing.origin.always("/3.txt", Answer::status(500));
    stays(&failing, &[]);
    let edited = vanished(&[2], "");
    edited.write("out/d/2.txt", "mine\n");
    stays(&edited, &[]);
    let stateless = vanished(&[2], "");
    std::fs::remove_dir_all(stateless.path("out/.natsync")).unwrap();
    stays(&stateless, &[]);
    let locking = vanished(&[2], "");
    locking.run(["lock"]).success();
    names_are(&locking, &[1, 2, 3, 4, 5]);
}

#[test]
fn on_missing_prune_deletes_files_pinned_as_missing() {
    let world = vanished(&[2], "");
    world.run(["lock"]).success();
    names_are(&world, &[1, 2, 3, 4, 5]);
    let asked = world.origin.requests().len();
    assert_eq!(world.plan().success().summary()["prune"], 1);
    assert_eq!(world.apply().success().summary()["pruned"], 1);
    names_are(&world, &[1, 3, 4, 5]);
    assert_eq!(world.origin.requests().len(), asked, "a request for a pinned file");
}
