//! `natsync plan`: its output, and that it changes nothing.

use std::collections::BTreeMap;

use crate::origin::Answer;
use crate::world::World;

fn three(settings: &[&str]) -> World {
    let mut lines = vec!["vars: {n: 1..3}"];
    lines.extend(settings);
    World::new().serve_numbered(3).source("$BASE/{n}.txt", &lines)
}

fn pair(action: &str, reason: &str) -> (String, String) {
    (action.to_owned(), reason.to_owned())
}

#[test]
fn an_empty_destination_is_all_to_fetch() {
    let world = three(&[]);
    let run = world.plan().success();
    assert_eq!(run.counts(), "entries 3, fetch 3");
    assert_eq!(run.decision("1.txt"), pair("fetch", "not_on_disk"));
    let paths: Vec<_> = run.lines("action").iter().map(|line| line["path"].clone()).collect();
    assert_eq!(paths, ["1.txt", "2.txt", "3.txt"], "in the order of the manifest");
}

#[test]
fn a_plan_writes_nothing_and_makes_no_requests() {
    let world = three(&[]);
    world.run(["plan"]).success();
    assert!(!world.exists("out"));
    world.origin.assert_requests(&[]);

    world.apply().success();
    world.write("out/2.txt", "edited");
    world.origin.forget();
    let before = everything(&world);
    for args in [
        &["plan"][..],
        &["plan", "--json"],
        &["plan", "--exit-code"],
        &["plan", "--rehash"],
        &["plan", "-v"],
    ] {
        world.run(args);
        assert_eq!(
            everything(&world).keys().collect::<Vec<_>>(),
            before.keys().collect::<Vec<_>>(),
            "{args:?}"
        );
        assert!(everything(&world) == before, "{args:?} changed a file");
    }
    world.origin.assert_requests(&[]);
}

/// Every file in the world, natsync's own included.
fn everything(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut all = world.files(".");
    all.extend(
        world
            .files("out/.natsync")
            .into_iter()
            .map(|(path, bytes)| (format!("state: {path}"), bytes)),
    );
    all
}

#[test]
fn exit_code_reports_drift() {
    let world = three(&[]);
    world.run(["plan", "--exit-code"]).code(3);
    world.run(["plan"]).success();
    world.apply().success();
    assert_eq!(
        world.run(["plan", "--exit-code", "--json"]).success().counts(),
        "entries 3, revalidate 3"
    );
    world.write("out/2.txt", "edited");
    world.run(["plan", "--exit-code"]).code(3);
    world.delete("out/2.txt");
    world.run(["plan", "--exit-code"]).code(3);
}

#[test]
fn a_file_that_is_there_is_stale_or_fresh() {
    let world = three(&[]);
    world.apply().success();
    assert_eq!(world.plan().decision("1.txt"), pair("revalidate", "stale"));
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 1..3}", "check: never"]);
    let run = world.plan().success();
    assert_eq!((run.counts().as_str(), run.actions().len()), ("entries 3, keep 3", 0));
    let run = world.run(["plan", "--json", "-v"]).success();
    assert_eq!(run.decision("1.txt"), pair("keep", "fresh"));
}

#[test]
fn force_is_a_reason() {
    let world = three(&[]);
    world.apply().success();
    let run = world.run(["plan", "--json", "--force"]).success();
    assert_eq!(run.decision("1.txt").1, "forced");
    assert_eq!(run.summary()["revalidate"], 0);
}

#[test]
fn another_url_for_a_path_is_a_reason_to_replace() {
    let world = three(&[]);
    world.apply().success();
    world.origin.serve("/new/2.txt", "other");
    let world = world.source("$BASE/new/{n}.txt", &["vars: {n: [2]}"]);
    assert_eq!(world.plan().success().decision("2.txt"), pair("replace", "url_changed"));
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    assert_eq!(world.read("out/2.txt"), b"other");
    assert_eq!(world.plan().success().decision("2.txt"), pair("revalidate", "stale"));
}

#[test]
fn refresh_settles_stale_entries_without_a_body() {
    let world = three(&[]);
    world.apply().success();
    world.origin.forget();
    let run = world.run(["plan", "--refresh", "--exit-code", "--json"]).success();
    assert_eq!(run.counts(), "entries 3, keep 3");
    assert_eq!(world.origin.bytes_sent(), 0);

    world.origin.serve("/2.txt", "changed upstream");
    world.origin.forget();
    let run = world.run(["plan", "--refresh", "--exit-code", "--json"]).code(3);
    assert_eq!(run.counts(), "entries 3, replace 1, keep 2");
    assert_eq!(run.decision("2.txt").0, "replace");
    assert_eq!(world.origin.bytes_sent(), 0, "{:#?}", world.origin.requests());
    assert_eq!(world.read("out/2.txt"), b"file 2\n");
}

#[test]
fn refresh_writes_no_file_of_the_mirror() {
    let world = three(&[]);
    world.apply().success();
    world.origin.serve("/2.txt", "changed upstream");
    let before = world.files("out");
    world.run(["plan", "--refresh"]).success();
    assert_eq!(world.files("out"), before);
    assert_eq!(world.apply().success().counts(), "entries 3, updated 1, unchanged 2");
}

#[test]
fn refresh_works_where_head_is_refused() {
    let world = three(&[]);
    world.apply().success();
    for n in 1..=3 {
        world.origin.always(&format!("HEAD /{n}.txt"), Answer::status(405));
    }
    let run = world.run(["plan", "--refresh", "--json"]).success();
    assert_eq!(run.counts(), "entries 3, keep 3");
    assert!(world.origin.requests().iter().skip(3).all(|request| request.status != 200));
}

#[test]
fn a_readable_plan_lists_the_actions() {
    let world = three(&[]);
    world.run(["apply", "--only", "1.txt"]).success();
    world.write("out/2.txt", "mine, and of another length");
    let run = world.run(["plan"]).success();
    for word in ["fetch", "3.txt", "revalidate", "1.txt"] {
        assert!(run.stdout.contains(word), "{word}\n{}", run.output());
    }
    assert!(run.stdout.lines().all(|line| line.chars().count() <= 80), "{}", run.stdout);
    assert!(!run.stdout.contains('\u{1b}'), "no colour without a terminal");
}

#[test]
fn a_long_plan_is_shortened_and_shown_whole_on_request() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..500}"]);
    let short = world.run(["plan"]).success().stdout;
    assert!(short.lines().count() < 60 && short.contains("500"), "{short}");
    let whole = world.run(["plan", "-v"]).success().stdout;
    assert!((1..=500).all(|n| whole.contains(&format!("{n}.txt"))), "{whole}");
}
