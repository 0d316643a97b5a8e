//! `merge`: the destination, its state and the lock are as after a single run, or nothing is changed
//! and the message says which shards must run (again).

use std::fmt::Write as _;

use rusqlite::Connection;
use serde_json::Value;

use crate::origin::{Answer, File};
use crate::shards::{control, job, numbered_files, paths, run};
use crate::world::{Run, World, numbered, sha256_of};

/// Two folders with the same manifest.
const ONE: &str = "one/natsync.yaml";
const MANY: &str = "many/natsync.yaml";

/// A manifest with much of what a state and a lock know of. `plain` is a range.
fn rich(plain: &str) -> String {
    format!(
        "sources:
  - name: plain
    url: $BASE/p/{{n}}.txt
    path: \"plain/{{n}}.txt\"
    vars: {{n: {plain}}}
    overrides:
      - {{when: {{n: 3}}, url: $BASE/p/three.txt}}
      - {{when: {{n: 4}}, skip: true, reason: not wanted}}
  - name: gaps
    url: $BASE/g/{{n}}.txt
    path: \"gaps/{{n}}.txt\"
    vars: {{n: 1..8}}
    on_missing: skip
    missing_ttl: 1d
  - name: listed
    url: $BASE/l/{{n}}.txt
    path: \"listed/{{n}}.txt\"
    vars: {{n: 1..6}}
    checksums: {{url: $BASE/l/SHA256SUMS}}
  - name: secret
    url: $BASE/s/{{n}}.txt?key=${{KEY}}
    path: \"secret/{{n}}.txt\"
    vars: {{n: 1..6}}
"
    )
}

fn serve_rich(world: &World, version: usize) {
    let body = |kind: &str, n: usize| format!("{kind} {n} {version}\n");
    for n in 1..=14 {
        world.origin.serve(&format!("/p/{n}.txt"), body("p", n));
    }
    world.origin.serve("/p/three.txt", body("three", 3));
    for n in [1, 4, 5] {
        world.origin.serve(&format!("/g/{n}.txt"), body("g", n));
    }
    let mut sums = String::new();
    for n in 1..=6 {
        world.origin.serve(&format!("/l/{n}.txt"), body("l", n));
        let _ = writeln!(sums, "{}  {n}.txt", sha256_of(body("l", n)));
        world.origin.serve(&format!("/s/{n}.txt"), body("s", n));
    }
    world.origin.serve("/l/SHA256SUMS", sums);
}

fn twins() -> World {
    let world = World::in_memory().env("KEY", "k3y");
    serve_rich(&world, 1);
    world.set_manifest(ONE, &rich("1..14"));
    world.set_manifest(MANY, &rich("1..14"));
    world
}

/// All rows of a state but times, stamps, ids and keyed digests.
fn rows(world: &World, dest: &str) -> Vec<String> {
    let state = Connection::open(world.path(dest).join(".natsync/state.db")).unwrap();
    let mut rows = Vec::new();
    for query in [
        "SELECT 'file', path, (SELECT name || coalesce(path, '') FROM owners WHERE id = owner), written,
            url, identity IS NULL, served, served_identity IS NULL, size, hex(sha256), others,
            provenance, checked IS NULL, changed IS NULL, etag, last_modified FROM files ORDER BY path",
        "SELECT 'missing', m.path, o.name, m.url, m.identity IS NULL FROM missing m
            LEFT JOIN owners o ON o.id = m.owner ORDER BY m.path",
        "SELECT 'announced', path FROM announced ORDER BY path",
        "SELECT 'owner', name, path FROM owners ORDER BY name",
        "SELECT 'claims', piece, hex(hashes) FROM claims ORDER BY owner, piece",
        "SELECT 'list', url, etag, last_modified, hex(content) FROM lists ORDER BY url, identity",
        "SELECT 'setting', name FROM settings ORDER BY name",
        "SELECT 'run', o.name FROM runs r LEFT JOIN owners o ON o.id = r.owner",
    ] {
        let mut statement = state.prepare(query).unwrap();
        let count = statement.column_count();
        let found = statement
            .query_map([], |row| {
                (0..count).map(|place| row.get(place)).collect::<Result<Vec<rusqlite::types::Value>, _>>()
            })
            .unwrap();
        rows.extend(found.map(|row| format!("{:?}", row.unwrap())));
    }
    rows
}

#[track_caller]
fn assert_twins(world: &World, which: &str) {
    assert_eq!(world.files("many/out"), world.files("one/out"), "{which}");
    assert_eq!(world.exists("many/natsync.lock"), world.exists("one/natsync.lock"), "{which}");
    if world.exists("one/natsync.lock") {
        let text = |name: &str| String::from_utf8(world.read(name)).unwrap();
        assert_eq!(text("many/natsync.lock"), text("one/natsync.lock"), "{which}");
    }
    let (many, one) = (rows(world, "many/out"), rows(world, "one/out"));
    let only = |rows: &[String], others: &[String]| -> Vec<String> {
        rows.iter().filter(|row| !others.contains(row)).cloned().collect()
    };
    assert_eq!(only(&many, &one), only(&one, &many), "{which}: rows of one state alone");
    assert_eq!(many.len(), one.len(), "{which}");
    let control =
        |dest: &str| world.files(&format!("{dest}/.natsync")).into_keys().collect::<Vec<_>>();
    assert_eq!(control("many/out"), control("one/out"), "{which}");
}

fn results(run: &Run) -> Vec<String> {
    let mut lines: Vec<_> = run
        .results()
        .iter()
        .map(|line| {
            let part = |name: &str| line[name].to_string();
            ["path", "source", "outcome", "size", "sha256", "url", "attempts"].map(part).join(" ")
        })
        .collect();
    lines.sort();
    lines
}

/// Runs a command over all entries in one folder and as a job in the other, and compares all that is
/// left.
#[track_caller]
fn both(world: &World, args: &[&str], total: usize, which: &str) {
    let of = |manifest: &'static str| args.iter().copied().chain([manifest, "--json"]);
    let single = world.run(of(ONE));
    let shards = job(world, &of(MANY).collect::<Vec<_>>(), total);
    let failed = shards.iter().any(|run| run.status != 0);
    assert_eq!(failed, single.status != 0, "{which}: {}", single.output());
    let merged = world.run(["merge", MANY, "--json"]).code(single.status);
    assert_eq!(merged.counts(), single.counts(), "{which}");
    assert_eq!(results(&merged), results(&single), "{which}");
    let summary = merged.summary();
    assert_eq!((&summary["command"], &summary["shards"]), (&"merge".into(), &total.into()));
    assert_twins(world, which);
}

/// A further run is the same in both folders.
#[track_caller]
fn both_rest(world: &World, which: &str) {
    world.origin.forget();
    let single = world.run(["apply", ONE, "--json"]).success();
    let asked = world.origin.requests().len();
    let merged = world.run(["apply", MANY, "--json"]).success();
    assert_eq!(merged.counts(), single.counts(), "{which}");
    let requests = world.origin.requests();
    assert_eq!(requests.len(), 2 * asked, "{which}");
    assert!(requests.iter().all(|request| request.status == 304), "{which}: {requests:#?}");
}

#[test]
fn apply_by_shards_is_as_one_run() {
    for total in [1, 3, 16] {
        let world = twins();
        let which = format!("{total} shards");
        both(&world, &["apply"], total, &which);
        both_rest(&world, &which);
        serve_rich(&world, 2);
        both(&world, &["apply"], total, &format!("{which}, changed"));
        both_rest(&world, &which);
    }
}

#[test]
fn lock_by_shards_is_as_one_run() {
    for total in [1, 3, 16] {
        let world = twins();
        let which = format!("{total} shards");
        both(&world, &["lock"], total, &which);
        both_rest(&world, &which);
        // New entries, dropped entries, and changed content that the lock does not have.
        serve_rich(&world, 2);
        world.set_manifest(ONE, &rich("3..10"));
        world.set_manifest(MANY, &rich("3..10"));
        both(&world, &["lock", "--upgrade"], total, &format!("{which}, upgraded"));
        world.set_manifest(ONE, &rich("5..14"));
        world.set_manifest(MANY, &rich("5..14"));
        both(&world, &["lock"], total, &format!("{which}, completed"));
        // `apply` adds to a lock.
        world.set_manifest(ONE, &rich("1..14"));
        world.set_manifest(MANY, &rich("1..14"));
        both(&world, &["apply"], total, &format!("{which}, extended"));
        both_rest(&world, &which);
    }
}

#[test]
fn a_failing_job_is_as_a_failing_run() {
    let world = twins();
    world.origin.always("/p/7.txt", Answer::status(404));
    world.origin.always("/s/2.txt", Answer::status(500));
    both(&world, &["apply", "--retries", "0"], 3, "failing");
    world.origin.behave();
    both(&world, &["apply"], 3, "healed");
}

#[test]
fn lock_by_shards_prunes_nothing() {
    for (settings, gone) in [(&["on_missing: prune"][..], true), (&[], false)] {
        let world = numbered_files(6, settings);
        world.apply().success();
        let text = String::from_utf8(world.read("natsync.yaml")).unwrap();
        world.write("natsync.yaml", format!("prune: managed\n{}", text.replace("1..6", "1..5")));
        if gone {
            world.origin.remove("/2.txt");
        }
        for done in job(&world, &["lock"], 2) {
            done.success();
        }
        let merged = world.run(["merge", "--json"]).success();
        assert_eq!(merged.summary()["pruned"], 0, "{}", merged.output());
        assert_eq!(world.names().len(), 6);
    }
}

// Missing shards.

#[test]
fn missing_shards_are_named() {
    let world = numbered_files(12, &[]);
    for number in [1, 3] {
        run(&world, &["apply"], number, 6).success();
    }
    let (files, before) = (world.files("out"), control(&world));
    let missing = world.run(["merge"]).code(1);
    assert!(missing.stderr.contains("missing: 2,4-6 of 6"), "{}", missing.output());
    assert_eq!(missing.stdout, "");
    let missing = world.run(["merge", "--shards", "6", "--json"]).code(1);
    let error = &missing.lines("error")[0];
    assert_eq!(error["kind"], "shards_missing");
    assert_eq!(error["message"], "`natsync` is not complete: missing: 2,4-6 of 6");
    let array = world.run(["merge", "--array"]).code(1);
    assert_eq!((array.stdout.as_str(), array.stderr.as_str()), ("2,4-6\n", ""));
    assert_eq!((world.files("out"), control(&world)), (files, before), "nothing was changed");
    for number in [2, 4, 5, 6] {
        run(&world, &["apply"], number, 6).success();
    }
    let array = world.run(["merge", "--array"]).success();
    assert_eq!((array.stdout.as_str(), array.stderr.as_str()), ("", ""));
    world.run(["merge"]).success();
    assert_eq!(world.names().len(), 12);
}

#[test]
fn merge_without_a_result_says_so_and_creates_nothing() {
    let world = numbered_files(4, &[]);
    for args in [&["merge"][..], &["merge", "--array"], &["merge", "--json"]] {
        let refused = world.run(args).code(2);
        assert!(refused.stderr.contains("no shard has run"), "{}", refused.stderr);
        assert!(!world.exists("out"), "{args:?}");
    }
    let refused = world.run(["merge", "--shards", "3"]).code(1);
    assert!(refused.stderr.contains("missing: 1-3 of 3"), "{}", refused.stderr);
    assert!(!world.exists("out"));
    assert_eq!(world.run(["merge", "--shards", "3", "--array"]).code(1).stdout, "1-3\n");
    world.apply().success();
    let before = control(&world);
    assert!(world.run(["merge"]).code(2).stderr.contains("no shard has run"));
    assert_eq!(control(&world), before);
}

#[test]
fn failed_shards_are_named_on_request() {
    let world = numbered_files(12, &[]);
    let bad = paths(&world, &[], Some((2, 4)))[0].clone();
    world.origin.always(&format!("/{bad}"), Answer::status(404));
    for number in [1, 2, 3] {
        run(&world, &["apply"], number, 4);
    }
    assert_eq!(world.run(["merge", "--array", "--failed"]).code(1).stdout, "2,4\n");
    assert_eq!(world.run(["merge", "--array"]).code(1).stdout, "4\n");
    run(&world, &["apply"], 4, 4).success();
    assert_eq!(world.run(["merge", "--array"]).success().stdout, "");
    assert_eq!(world.run(["merge", "--array", "--failed"]).code(1).stdout, "2\n");
    world.run(["merge"]).code(1);
}

#[test]
fn shards_of_another_manifest_version_date_or_command_are_missing() {
    let dated = "sources: [{url: \"$BASE/{n}.txt\", path: \"{today}/{n}.txt\", vars: {n: 1..8, today: today..today}}]\n";
    let world = World::in_memory().serve_numbered(8).manifest(dated);
    let yesterday = &["apply", "--today", "2026-03-01"][..];
    let today = &["apply", "--today", "2026-03-02"][..];
    run(&world, today, 1, 3).success();
    run(&world, yesterday, 2, 3).success();
    run(&world, today, 3, 3).success();
    let missing = world.run(["merge"]).code(1);
    let told = missing.stderr.replace("\n  ", " ").replace('\n', " ");
    assert!(told.contains("missing: 2 of 3; 2 ran with another date"), "{told}");
    run(&world, today, 2, 3).success();
    run(&world, &["lock", "--today", "2026-03-02"], 1, 3).success();
    let missing = world.run(["merge"]).code(1);
    let told = missing.stderr.replace("\n  ", " ").replace('\n', " ");
    assert!(told.contains("missing: 1 of 3; 1 ran with another command or --only"), "{told}");
    run(&world, today, 1, 3).success();
    // A folder of an older job with another total decides nothing.
    run(&world, yesterday, 1, 2).success();
    let unclear = world.run(["merge"]).code(2);
    assert!(unclear.stderr.contains("jobs of 2 shards and of 3 shards"), "{}", unclear.stderr);
    assert!(unclear.stderr.contains("--shards N"), "{}", unclear.stderr);
    world.set_manifest("natsync.yaml", &format!("# changed\n{dated}"));
    let missing = world.run(["merge", "--shards", "3"]).code(1);
    let told = missing.stderr.replace("\n  ", " ").replace('\n', " ");
    assert!(
        told.contains("missing: 1-3 of 3; 1-3 ran with another version of the manifest"),
        "{told}"
    );
    world.set_manifest("natsync.yaml", dated);
    world.run(["merge", "--shards", "3"]).success();
    assert!(
        world.exists("out/.natsync/shards/1-of-2") && !world.exists("out/.natsync/shards/1-of-3")
    );
    for (args, set) in [(&["apply", "--set", "n=1..4"][..], "n=1..4")] {
        let world = numbered_files(8, &[]);
        for done in job(&world, args, 2) {
            done.success();
        }
        let missing = world.run(["merge"]).code(1);
        assert!(missing.stderr.contains("values of --set"), "{}", missing.stderr);
        let merged = world.run(["merge", "--json", "--set", set]).success();
        assert_eq!(merged.counts(), "entries 4, downloaded 4");
    }
}

#[test]
fn a_part_of_a_job_may_be_merged_first() {
    let world = numbered_files(12, &[]);
    world.write("natsync.lock", "{\"natsync_lock\":1,\"manifest\":\"natsync\"}\n");
    run(&world, &["lock"], 1, 3).success();
    run(&world, &["lock"], 2, 3).success();
    let part = world.run(["merge", "--partial", "--json"]).code(1);
    assert_eq!(part.summary()["missing"], "3");
    assert!(world.exists("out/.natsync/shards/1-of-3/result.json"));
    let known = paths(&world, &[], Some((1, 3))).len() + paths(&world, &[], Some((2, 3))).len();
    let text = String::from_utf8(world.read("natsync.lock")).unwrap();
    assert_eq!(text.lines().count(), 1 + known);
    run(&world, &["lock"], 3, 3).success();
    world.run(["merge", "--json"]).success();
    assert!(!world.exists("out/.natsync/shards"));
    world.run(["merge"]).code(2);
    world.run(["lock", "--check"]).success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 12, kept 12");
    world.origin.assert_requests(&[]);
}

// Pruning.

/// Files 1 to 9 are here; the manifest declares 1 to `to`. Both shards of a job have run.
fn shrunk(top: &str, settings: &str, to: usize, prepare: impl Fn(&World)) -> World {
    let text = |to: usize, top: &str| {
        format!("{top}sources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{to}}}{settings}}}]\n")
    };
    let world = World::in_memory().serve_numbered(9).manifest(&text(9, ""));
    world.apply().success();
    world.set_manifest("natsync.yaml", &text(to, top));
    prepare(&world);
    for done in job(&world, &["apply", "--retries", "0"], 2) {
        assert!(done.status < 2, "{}", done.output());
    }
    assert_eq!(world.names().len(), 9, "shards delete nothing");
    world
}

#[test]
fn merge_prunes_what_a_single_run_would() {
    let nothing = |_: &World| {};
    let world = shrunk("prune: managed\n", "", 7, nothing);
    let merged = world.run(["merge", "--json"]).success();
    assert_eq!(merged.counts(), "entries 7, unchanged 7, pruned 2");
    assert_eq!(merged.result("9.txt")["outcome"], "pruned");
    assert_eq!(world.names().len(), 7);

    let world = shrunk("", "", 7, nothing);
    world.run(["merge"]).success();
    assert_eq!(world.names().len(), 9);
    let world = shrunk("", "", 7, nothing);
    assert_eq!(world.run(["merge", "--prune", "--json"]).success().summary()["pruned"], 2);
    let world = shrunk("prune: managed\n", "", 7, nothing);
    world.run(["merge", "--no-prune"]).success();
    assert_eq!(world.names().len(), 9);

    let world = shrunk("prune: managed\nmax_delete: 1\n", "", 7, nothing);
    let refused = world.run(["merge", "--json"]).code(1);
    assert_eq!(refused.lines("error")[0]["kind"], "prune_refused");
    assert_eq!(world.names().len(), 9);
    let world = shrunk("prune: managed\nmax_delete: 1\n", "", 7, nothing);
    world.run(["merge", "--max-delete", "2"]).success();
    assert_eq!(world.names().len(), 7);

    let world = shrunk("", ", on_missing: prune", 9, |world| world.origin.remove("/4.txt"));
    let merged = world.run(["merge", "--json"]).success();
    assert_eq!(merged.counts(), "entries 9, unchanged 8, absent 1, pruned 1");
    assert!(!world.exists("out/4.txt"));
}

#[test]
fn a_failure_or_a_missing_shard_prevents_pruning() {
    let world = shrunk("prune: managed\n", "", 7, |world| {
        world.origin.always("/3.txt", Answer::status(404));
    });
    assert_eq!(world.run(["merge", "--json"]).code(1).summary()["pruned"], 0);
    assert_eq!(world.names().len(), 9);

    let world = shrunk("prune: managed\n", "", 7, |_| {});
    std::fs::remove_dir_all(world.path("out/.natsync/shards/2-of-2")).unwrap();
    world.run(["merge"]).code(1);
    world.run(["merge", "--partial", "--shards", "2"]).code(1);
    assert_eq!(world.names().len(), 9);
    run(&world, &["apply"], 2, 2).success();
    world.run(["merge"]).success();
    assert_eq!(world.names().len(), 7);

    // A choice of entries prunes nothing, whatever it is.
    let world = shrunk("prune: managed\n", "", 7, |_| {});
    for done in job(&world, &["apply", "--only", "[1-6].txt"], 2) {
        done.success();
    }
    world.run(["merge", "--prune"]).success();
    assert_eq!(world.names().len(), 9);
}

#[test]
fn nothing_is_pruned_in_a_destination_that_was_moved() {
    let world = shrunk("prune: managed\n", "", 7, |_| {});
    std::fs::rename(world.path("out"), world.path("moved")).unwrap();
    let merged = world.run(["merge", "--dest", "moved", "--json"]).code(1);
    assert_eq!(merged.lines("error")[0]["kind"], "prune_refused");
    assert_eq!(world.files("moved").len(), 9);
}

// What merge says and leaves.

#[test]
fn the_reports_of_a_job() {
    let world = numbered_files(10, &["name: numbers"]);
    world.origin.always("/4.txt", Answer::status(404));
    for done in job(&world, &["apply"], 3) {
        assert!(done.status < 2, "{}", done.output());
    }
    let flags = ["--junit", "j.xml", "--metrics", "m.prom", "--failed", "f.jsonl"];
    let merged = world.run(["merge", "-v"].iter().chain(&flags)).code(1);
    assert!(merged.stdout.contains("3 shards merged"), "{}", merged.output());
    assert!(merged.output().contains("4.txt"), "{}", merged.output());
    let junit = String::from_utf8(world.read("j.xml")).unwrap();
    assert!(junit.contains("tests=\"10\"") && junit.contains("failures=\"1\""), "{junit}");
    let metrics = String::from_utf8(world.read("m.prom")).unwrap();
    assert!(metrics.contains("command=\"merge\""), "{metrics}");
    world.origin.behave();
    world.origin.forget();
    let retried = world.run(["apply", "--retry", "f.jsonl", "--json"]).success();
    assert_eq!(retried.counts(), "entries 1, downloaded 1");
    world.origin.assert_requests(&["GET /4.txt"]);
    world.run(["report", "--html", "r.html"]).success();
}

#[test]
fn a_run_after_merge_makes_conditional_requests_for_urls_with_secrets() {
    let world = World::in_memory()
        .env("KEY", "k3y-c4n4ry")
        .source("$BASE/{n}.txt?key=${KEY}", &["vars: {n: 1..8}", "headers: {X-Token: \"${KEY}\"}"]);
    for n in 1..=8 {
        world.origin.serve(&format!("/{n}.txt"), File::new(numbered(n)));
    }
    world.origin.always("/5.txt", Answer::status(500));
    for done in job(&world, &["apply", "--retries", "0"], 4) {
        assert!(done.status < 2, "{}", done.output());
    }
    let bytes = world.state_bytes();
    assert!(!bytes.windows(10).any(|part| part == b"k3y-c4n4ry"), "a secret below .natsync");
    let merged = world.run(["merge", "--json", "--failed", "f.jsonl"]).code(1);
    assert!(!merged.output().contains("k3y-c4n4ry"));
    assert!(!String::from_utf8(world.read("f.jsonl")).unwrap().contains("k3y-c4n4ry"));
    world.origin.behave();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 8, downloaded 1, unchanged 7");
    let requests = world.origin.requests();
    assert_eq!(requests.iter().filter(|request| request.status == 304).count(), 7);
}

#[test]
fn parts_of_a_job_are_resumed_by_a_whole_run() {
    let world = World::in_memory().source("$BASE/{n}.txt", &["vars: {n: 1..4}"]);
    for n in 1..=4 {
        world.origin.serve(&format!("/{n}.txt"), crate::world::content(n, 400_000));
    }
    world.origin.always("/2.txt", Answer::file().cut_at(300_000));
    for done in job(&world, &["apply", "--retries", "0"], 2) {
        assert!(done.status < 2, "{}", done.output());
    }
    world.run(["merge"]).code(1);
    assert!(!world.partial_files().is_empty());
    world.origin.behave();
    world.origin.forget();
    world.apply().success();
    let request = &world.origin.requests_for("/2.txt")[0];
    assert!(request.header("range").is_some(), "{}", request.text());
    assert_eq!(world.read("out/2.txt"), crate::world::content(2, 400_000));
    assert_eq!(world.partial_files(), [""; 0]);
}

/// Another manifest's records that are newer than those with which a shard began.
#[test]
fn records_that_others_made_meanwhile_stay() {
    let other = "sources: [{url: \"$BASE/o/{n}.txt\", path: \"o/{n}.txt\", vars: {n: 1..6}}]\n";
    let world = numbered_files(6, &[]);
    world.set_manifest("other.yaml", other);
    for n in 1..=6 {
        world.origin.serve(&format!("/o/{n}.txt"), format!("old {n}"));
    }
    world.run(["apply", "other.yaml"]).success();
    run(&world, &["apply"], 1, 2).success();
    for n in 1..=6 {
        world.origin.serve(&format!("/o/{n}.txt"), format!("new {n}"));
    }
    world.run(["apply", "other.yaml"]).success();
    run(&world, &["apply"], 2, 2).success();
    world.run(["merge"]).success();
    world.origin.forget();
    let again = world.run(["apply", "other.yaml", "--json"]).success();
    assert_eq!(again.counts(), "entries 6, unchanged 6");
    assert!(world.origin.requests().iter().all(|request| request.status == 304));
}

// Damage.

/// A job of three shards of which the second is damaged by `damage`.
#[track_caller]
fn damaged(damage: impl Fn(&World, &str)) {
    let world = numbered_files(12, &[]);
    for done in job(&world, &["lock"], 3) {
        done.success();
    }
    damage(&world, "out/.natsync/shards/2-of-3");
    let merged = world.run(["merge", "--json"]);
    assert!([1, 5].contains(&merged.status), "{}", merged.output());
    let error = &merged.lines("error")[0];
    let message = error["message"].as_str().unwrap_or_default();
    let names = message.contains("2 of 3") || message.contains("2/3");
    assert!(names, "the message names the shard: {message}");
    assert!(merged.stderr.contains("run"), "it says what to do: {}", merged.stderr);
    assert!(!merged.output().contains("panic"), "{}", merged.output());
    run(&world, &["lock"], 2, 3).success();
    world.run(["merge"]).success();
    world.run(["lock", "--check"]).success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 12, kept 12");
}

#[test]
fn a_damaged_result_names_its_shard() {
    damaged(|world, folder| world.write(&format!("{folder}/result.json"), "{\"natsync_shard\":1,"));
    damaged(|world, folder| world.write(&format!("{folder}/result.json"), ""));
    damaged(|world, folder| {
        world.delete(&format!("{folder}/result.json"));
        std::fs::create_dir(world.path(folder).join("result.json")).unwrap();
        std::fs::remove_dir(world.path(folder).join("result.json")).unwrap();
    });
}

#[test]
fn damaged_outcomes_name_their_shard() {
    damaged(|world, folder| {
        world.write(&format!("{folder}/outcomes.jsonl"), "{\"entry\":1,\"outc");
    });
    damaged(|world, folder| world.delete(&format!("{folder}/outcomes.jsonl")));
    damaged(|world, folder| {
        let name = format!("{folder}/outcomes.jsonl");
        let whole = world.read(&name);
        world.write(&name, &whole[..whole.len() / 2]);
    });
    damaged(|world, folder| {
        let name = format!("{folder}/outcomes.jsonl");
        let mut whole = world.read(&name);
        let last = whole.iter().rposition(|byte| *byte == b'{').unwrap();
        whole.truncate(last);
        world.write(&name, whole);
    });
}

#[test]
fn a_damaged_state_or_lock_names_its_shard() {
    damaged(|world, folder| world.write(&format!("{folder}/state.db"), "not a database, but text"));
    damaged(|world, folder| world.delete(&format!("{folder}/state.db")));
    damaged(|world, folder| {
        let name = format!("{folder}/state.db");
        let mut state = world.read(&name);
        let middle = state.len() / 4;
        state[4096..].fill(0xa5);
        state.truncate(state.len() - middle.min(4096));
        world.write(&name, state);
    });
    damaged(|world, folder| {
        world.write(&format!("{folder}/new.lock"), "{\"natsync_lock\":1,\"man");
    });
    damaged(|world, folder| {
        let name = format!("{folder}/new.lock");
        let whole = world.read(&name);
        world.write(&name, &whole[..whole.len() - 20]);
    });
}

#[test]
fn a_job_of_very_many_shards_is_merged_with_few_descriptors() {
    const TOTAL: usize = 300;
    let world = numbered_files(4, &[]);
    world.write("natsync.lock", "{\"natsync_lock\":1,\"manifest\":\"natsync\"}\n");
    let mut command = world.command_under("sh", &["-c", &format!(
        "for k in $(seq {TOTAL}); do \"$0\" apply --quiet --shard $k/{TOTAL} || exit 9; done; ulimit -n 64; exec \"$0\" merge"
    )]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(world.names().len(), 4);
    world.run(["lock", "--check"]).success();
}

#[test]
fn a_merge_that_fails_may_be_repeated() {
    let world = numbered_files(8, &[]);
    world.write("natsync.lock", "{\"natsync_lock\":1,\"manifest\":\"natsync\"}\n");
    for done in job(&world, &["apply"], 2) {
        done.success();
    }
    // A folder cannot be replaced by a lock.
    let lock = world.read("natsync.lock");
    world.delete("natsync.lock");
    std::fs::create_dir(world.path("natsync.lock")).unwrap();
    let failed = world.run(["merge", "--json"]);
    assert!([2, 5].contains(&failed.status), "{}", failed.output());
    std::fs::remove_dir(world.path("natsync.lock")).unwrap();
    world.write("natsync.lock", lock);
    world.run(["merge"]).success();
    world.run(["lock", "--check"]).success();
    let overview: Vec<Value> = world.apply().success().json();
    assert!(!overview.is_empty());
}
