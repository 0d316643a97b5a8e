//! `plan --out` and `apply --plan`: the saved plan is carried out exactly, or refused.

use serde_json::json;

use crate::origin::{Answer, File};
use crate::world::{World, numbered};

fn four(settings: &[&str]) -> World {
    let mut lines = vec!["vars: {n: 1..4}"];
    lines.extend(settings);
    World::new().serve_numbered(4).source("$BASE/{n}.txt", &lines)
}

fn saved(world: &World, args: &[&str]) {
    let args: Vec<_> = ["plan", "--out", "p.plan"].iter().chain(args).copied().collect();
    world.run(args).success();
}

/// Checks that a plan is refused without a request and without a change to a file.
#[track_caller]
fn refused(world: &World, args: &[&str], why: &str) {
    let before = world.files("out");
    world.origin.forget();
    let args: Vec<_> = ["apply", "--plan", "p.plan"].iter().chain(args).copied().collect();
    let run = world.run(args).code(2);
    assert!(run.stderr.contains(why), "{}", run.stderr);
    assert_eq!(world.files("out"), before);
    world.origin.assert_requests(&[]);
}

#[test]
fn a_saved_plan_is_carried_out() {
    let world = four(&[]);
    world.apply().success();
    world.delete("out/1.txt");
    world.write("out/2.txt", "edited");
    world.origin.forget();
    saved(&world, &[]);
    world.origin.assert_requests(&[]);
    let lines: Vec<serde_json::Value> = String::from_utf8(world.read("p.plan"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["natsync_plan"], 2);
    let actions: Vec<_> = lines[1..5].iter().map(|line| (&line["path"], &line["action"])).collect();
    assert_eq!(
        format!("{actions:?}").replace("String(\"", "").replace("\")", ""),
        "[(1.txt, fetch), (2.txt, replace), (3.txt, revalidate), (4.txt, revalidate)]"
    );
    assert_eq!(lines[5]["type"], "summary");
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 4, downloaded 1, updated 1, unchanged 2");
    assert_eq!(world.read("out/2.txt"), numbered(2).as_bytes());
}

#[test]
fn answers_of_upstream_are_not_requested_again() {
    let world = four(&[]);
    world.apply().success();
    world.origin.serve("/3.txt", "new");
    saved(&world, &["--refresh"]);
    world.origin.forget();
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 4, updated 1, kept 3");
    world.origin.assert_requests(&["GET /3.txt"]);
}

#[test]
fn entries_that_refresh_could_not_settle_are_revalidated() {
    let world = four(&[]);
    world.apply().success();
    world.origin.always("/2.txt", Answer::status(403));
    let run = world.run(["plan", "--refresh", "--out", "p.plan"]).code(1);
    assert!(
        run.stderr.contains("saved in p.plan; `natsync apply --plan p.plan` carries it out"),
        "{}",
        run.stderr
    );
    world.origin.always("/2.txt", Answer::file());
    world.origin.forget();
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 4, unchanged 1, kept 3");
}

#[test]
fn a_plan_may_name_its_manifests() {
    let world = four(&[]);
    saved(&world, &["natsync.yaml"]);
    world.run(["apply", "--plan", "p.plan", "natsync.yaml"]).success();
    saved(&world, &[]);
    refused(&world, &["other.yaml"], "`p.plan` is a plan of `natsync.yaml`");
}

#[test]
fn a_plan_keeps_its_options() {
    let world = four(&[]);
    saved(&world, &["--only", "[12].txt", "--set", "n=2..3", "--dest", "there"]);
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 1, downloaded 1");
    assert!(world.exists("there/2.txt") && !world.exists("out"));
}

#[test]
fn a_changed_manifest_is_refused() {
    let world = four(&[]);
    saved(&world, &[]);
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 1..4}", "check: never"]);
    refused(&world, &[], "`natsync.yaml` has changed since the plan was made");
    world.delete("natsync.yaml");
    refused(&world, &[], "`natsync.yaml` has been deleted since the plan was made");
}

#[test]
fn a_changed_list_of_values_is_refused() {
    let world = World::new().serve_numbered(4);
    world.write("n.txt", "1\n2\n");
    let world = world.source("$BASE/{n}.txt", &["vars: {n: {file: n.txt}}"]);
    saved(&world, &[]);
    world.write("n.txt", "1\n3\n");
    refused(&world, &[], "`n.txt` has changed since the plan was made");
}

#[test]
fn an_input_with_a_byte_order_mark_is_not_a_changed_one() {
    let world = World::new().serve_numbered(2);
    world.write("ids.txt", "\u{feff}1\n2\n");
    let world = world.source("$BASE/{n}.txt", &["vars: {n: {file: ids.txt}}"]);
    world.apply().success();
    saved(&world, &[]);
    world.run(["apply", "--plan", "p.plan"]).success();
}

#[test]
fn a_changed_lock_is_refused() {
    let world = four(&[]);
    saved(&world, &[]);
    world.run(["lock"]).success();
    refused(&world, &[], "`natsync.lock` did not exist when the plan was made");
    saved(&world, &[]);
    world.origin.serve("/2.txt", "new");
    world.run(["lock", "--upgrade"]).success();
    refused(&world, &[], "`natsync.lock` has changed since the plan was made");
}

#[test]
fn a_changed_file_is_refused() {
    let world = four(&["check: never"]);
    world.apply().success();
    world.write("out/1.txt", "edited");
    world.delete("out/2.txt");
    saved(&world, &[]);

    world.write("out/1.txt", "edited again");
    refused(&world, &[], "`1.txt` has changed on disk since the plan was made");
    world.delete("out/1.txt");
    refused(&world, &[], "`1.txt` was to be replaced, and would now be fetched");
    world.write("out/1.txt", "edited");
    world.write("out/2.txt", "foreign");
    world.delete("out/3.txt");
    refused(&world, &[], "`3.txt` was to be kept, and would now be fetched");
    saved(&world, &[]);
    world.run(["apply", "--plan", "p.plan"]).success();
    assert_eq!(world.read("out/3.txt"), numbered(3).as_bytes());
}

#[test]
fn a_plan_may_be_carried_out_again() {
    let world = four(&[]);
    saved(&world, &[]);
    world.run(["apply", "--plan", "p.plan"]).success();
    world.delete("out/2.txt");
    let again = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    let summary = again.summary();
    assert_eq!((&summary["unchanged"], &summary["downloaded"]), (&json!(3), &json!(1)));
    world.write("out/1.txt", "edited");
    refused(&world, &[], "`1.txt` was to be fetched, and would now be replaced");
    world.write("out/2.txt", "edited");
    world.write("out/3.txt", "edited");
    world.write("out/4.txt", "edited");
    assert!(
        world.run(["apply", "--plan", "p.plan"]).stderr.contains("and 1 more differ"),
        "the message names three differences"
    );
}

#[test]
fn freshness_is_judged_at_the_time_of_the_plan() {
    let world = four(&["check: 1d"]);
    world.apply().success();
    world.age_state(std::time::Duration::from_hours(23));
    saved(&world, &[]);
    // Makes state and plan two hours older.
    let two_hours = std::time::Duration::from_hours(2);
    world.age_state(two_hours);
    let plan = String::from_utf8(world.read("p.plan")).unwrap();
    let head: serde_json::Value = serde_json::from_str(plan.lines().next().unwrap()).unwrap();
    let then = head["now"].as_str().unwrap();
    let earlier = then.parse::<jiff::Timestamp>().unwrap() - two_hours;
    world.write("p.plan", plan.replacen(then, &earlier.to_string(), 1));
    assert_eq!(world.plan().counts(), "entries 4, revalidate 4", "now they are stale");
    world.origin.forget();
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 4, kept 4");
    world.origin.assert_requests(&[]);
}

#[test]
fn only_planned_files_are_pruned() {
    let world = four(&[]);
    world.apply().success();
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    saved(&world, &["--prune"]);
    let kept = world.read("out/4.txt");
    world.write("out/4.txt", "edited");
    refused(&world, &[], "`4.txt` would no longer be pruned");
    world.delete("out/4.txt");
    world.write("out/4.txt", kept);
    refused(&world, &[], "`4.txt` has changed on disk since the plan was made");
    saved(&world, &["--prune"]);
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.summary()["pruned"], 2);
    assert!(!world.exists("out/3.txt") && !world.exists("out/4.txt"));
    // A file that is gone already is as the plan wants it.
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.summary()["pruned"], 0);
}

#[test]
fn a_file_found_missing_stays_unless_the_plan_deletes_it() {
    let world = four(&["on_missing: prune"]);
    world.apply().success();
    saved(&world, &[]);
    world.origin.remove("/2.txt");
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.counts(), "entries 4, unchanged 3, absent 1");
    assert!(world.exists("out/2.txt"), "the plan did not delete it");
    saved(&world, &["--refresh"]);
    let run = world.run(["apply", "--plan", "p.plan", "--json"]).success();
    assert_eq!(run.summary()["pruned"], 1);
    assert!(!world.exists("out/2.txt"));
}

#[test]
fn several_manifests_are_one_plan() {
    let world = World::new().serve_numbered(4);
    for (name, range) in [("a", "1..2"), ("b", "3..4")] {
        world.set_manifest(
            &format!("{name}.yaml"),
            &format!("version: 1\ndest: {name}\nsources:\n  - url: $BASE/{{n}}.txt\n    vars: {{n: {range}}}\n"),
        );
    }
    saved(&world, &["a.yaml", "b.yaml"]);
    world.run(["apply", "--plan", "p.plan"]).success();
    assert!(world.exists("a/1.txt") && world.exists("b/4.txt"));
}

#[test]
fn an_invalid_plan_file_is_refused() {
    let world = four(&[]);
    refused(&world, &[], "cannot read the saved plan `p.plan`");
    saved(&world, &[]);
    let whole = String::from_utf8(world.read("p.plan")).unwrap();
    let lines: Vec<_> = whole.lines().collect();
    world.write("p.plan", lines[..4].join("\n"));
    refused(&world, &[], "`p.plan` is not a saved plan, or is cut short");
    world.write("p.plan", [&lines[..2], &lines[3..]].concat().join("\n"));
    refused(&world, &[], "line 5 of `p.plan` does not match the lines before it");
    world.write("p.plan", whole.replacen("\"natsync\":\"", "\"natsync\":\"99.", 1));
    refused(&world, &[], "natsync 99.");
    world.write("p.plan", "version: 1\n");
    refused(&world, &[], "line 1 of `p.plan` is not a line of a saved plan");
    world.write("p.plan", "");
    refused(&world, &[], "`p.plan` is not a saved plan");
}

#[test]
fn a_failed_save_leaves_the_older_plan() {
    let world = four(&[]);
    let run = world.run(["plan", "--out", "no/such/folder/p.plan"]).code(5);
    assert!(run.stderr.contains("cannot write the plan"), "{}", run.stderr);
    world.write("p.plan", "older");
    world.set_manifest("natsync.yaml", "version: 1\n");
    world.run(["plan", "--out", "p.plan"]).code(2);
    assert_eq!(world.read("p.plan"), b"older");
    let left = std::fs::read_dir(world.dir()).unwrap();
    let left = left.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert!(!left.into_iter().any(|name| name.starts_with('.')), "no draft is left");
}

#[test]
fn a_saved_plan_holds_no_secret() {
    let world = World::new()
        .serve("/a.txt?token=c4n4ry", File::new("a"))
        .env("CANARY", "c4n4ry")
        .source("$BASE/a.txt?token=${CANARY}", &["path: a.txt"]);
    saved(&world, &[]);
    assert!(!String::from_utf8(world.read("p.plan")).unwrap().contains("c4n4ry"));
    world.run(["apply", "--plan", "p.plan"]).success();
    assert!(world.exists("out/a.txt"));
}
