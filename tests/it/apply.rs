//! `natsync apply` without failures: which files it downloads, checks and keeps.

use std::time::Duration;

use crate::origin::{Answer, File, first_modified};
use crate::world::{World, numbered};

fn three() -> World {
    World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"])
}

#[test]
fn missing_files_are_downloaded() {
    let world = three();
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, downloaded 3");
    world.assert_files(&[("1.txt", "file 1\n"), ("2.txt", "file 2\n"), ("3.txt", "file 3\n")]);
    world.origin.assert_requests(&["GET /1.txt", "GET /2.txt", "GET /3.txt"]);
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn a_second_apply_transfers_nothing() {
    let world = three();
    world.apply().success();
    world.origin.forget();
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, unchanged 3");
    assert_eq!(run.summary()["bytes"], 0);
    assert_eq!(world.origin.bytes_sent(), 0);
    assert!(world.origin.requests().iter().all(|request| request.status == 304));
    assert_eq!(world.origin.requests().len(), 3);
}

#[test]
fn a_file_with_an_etag_is_asked_for_by_it() {
    let world =
        World::new().serve("/a.csv", File::new("1,2").etag("\"x-1\"")).source("$BASE/a.csv", &[]);
    world.apply().success();
    world.apply().success();
    let requests = world.origin.requests();
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(requests[1].header("if-none-match"), Some("\"x-1\""));
    assert_eq!(requests[1].status, 304);
}

#[test]
fn a_file_without_an_etag_is_asked_for_by_its_date() {
    let world = World::new().serve("/a.csv", File::new("1,2").no_etag()).source("$BASE/a.csv", &[]);
    world.apply().success();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    let second = &world.origin.requests()[1];
    assert_eq!(second.header("if-none-match"), None);
    assert_eq!(second.header("if-modified-since"), Some("Mon, 17 Aug 2009 12:00:00 GMT"));
    assert_eq!((second.status, second.sent), (304, 0));
}

#[test]
fn a_weak_etag_is_used_for_conditional_requests() {
    let world = World::new()
        .serve("/a.csv", File::new("1,2").weak_etag().no_last_modified())
        .source("$BASE/a.csv", &[]);
    world.apply().success();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    let second = &world.origin.requests()[1];
    assert!(second.header("if-none-match").is_some_and(|tag| tag.starts_with("W/\"")));
    assert_eq!(second.status, 304);
}

#[test]
fn a_file_without_validators_is_fetched_and_compared() {
    let world = World::new()
        .serve("/a.csv", File::new("1,2").no_etag().no_last_modified())
        .source("$BASE/a.csv", &[]);
    world.apply().success();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.origin.serve("/a.csv", File::new("3,4").no_etag().no_last_modified());
    assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
    world.assert_files(&[("a.csv", "3,4")]);
    let sent = world.origin.requests();
    assert!(sent.iter().all(|request| request.header("if-none-match").is_none()));
}

#[test]
fn the_same_bytes_under_a_new_etag_are_unchanged() {
    let world = World::new().serve("/a.csv", "1,2").source("$BASE/a.csv", &[]);
    world.apply().success();
    world.origin.serve("/a.csv", "1,2");
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.origin.requests()[0].status, 304, "the new ETag is remembered");
}

#[test]
fn a_file_that_changed_upstream_is_updated() {
    let world = three();
    world.apply().success();
    world.origin.serve("/2.txt", "new\n");
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, updated 1, unchanged 2");
    assert_eq!(run.result("2.txt")["bytes"], 4);
    world.assert_files(&[("1.txt", "file 1\n"), ("2.txt", "new\n"), ("3.txt", "file 3\n")]);
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 3");
}

#[test]
fn the_mtime_becomes_last_modified() {
    let world = three();
    world.apply().success();
    assert_eq!(world.mtime("out/1.txt"), first_modified());
    world.origin.serve("/1.txt", "changed");
    world.apply().success();
    assert_eq!(world.mtime("out/1.txt"), first_modified() + Duration::from_hours(24));
}

#[test]
fn impossible_last_modified_times_are_harmless() {
    let dates = ["Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "yesterday", ""];
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 0..3}"]);
    for (n, date) in dates.iter().enumerate() {
        let path = format!("/{n}.txt");
        world.origin.serve(&path, File::new("1").no_etag().no_last_modified());
        world.origin.always(&path, Answer::file().header("Last-Modified", date));
    }
    assert_eq!(world.apply().success().counts(), "entries 4, downloaded 4");
    assert_eq!(world.apply().success().counts(), "entries 4, unchanged 4");
}

#[test]
fn requests_accept_only_the_identity_coding() {
    let world = World::new().serve("/a.csv", "1,2").source("$BASE/a.csv", &[]);
    world.apply().success();
    let request = &world.origin.requests()[0];
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    assert_eq!(request.header("range"), None);
    assert_eq!(
        request.header("host").map(str::to_owned),
        Some(format!("127.0.0.1:{}", world.origin.port()))
    );
    assert!(
        request.header("user-agent").is_some_and(|agent| agent.contains("natsync")),
        "{}",
        request.text()
    );
    assert!(request.header("referer").is_none() && request.header("cookie").is_none());
}

#[test]
fn headers_and_user_agent_of_the_manifest_are_sent() {
    let world = World::new().serve("/a.csv", "1,2").source(
        "$BASE/a.csv",
        &["headers: {X-Kind: table, Accept: text/csv}", "http: {user_agent: fetcher/2}"],
    );
    world.apply().success();
    let request = &world.origin.requests()[0];
    assert_eq!(request.header("x-kind"), Some("table"));
    assert_eq!(request.header("accept"), Some("text/csv"));
    assert_eq!(request.header("user-agent"), Some("fetcher/2"));
}

#[test]
fn folders_of_a_path_are_made() {
    let world = World::new()
        .serve_numbered(2)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "path: \"{n}/deep/er/{filename}\""]);
    world.apply().success();
    world.assert_files(&[("1/deep/er/1.txt", "file 1\n"), ("2/deep/er/2.txt", "file 2\n")]);
}

#[test]
fn check_never_makes_no_request() {
    let world = World::new()
        .serve_numbered(3)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "check: never"]);
    world.apply().success();
    world.origin.forget();
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);
}

#[test]
fn a_file_is_asked_for_again_when_its_check_is_over() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &["check: 1d"]);
    world.apply().success();
    world.origin.forget();
    world.age_state(Duration::from_hours(23));
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    world.origin.assert_requests(&[]);
    world.age_state(Duration::from_hours(2));
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    world.origin.assert_requests(&["GET /1.txt"]);
    world.origin.forget();
    assert_eq!(
        world.apply().success().counts(),
        "entries 1, kept 1",
        "having asked makes it fresh"
    );
    world.origin.assert_requests(&[]);
}

#[test]
fn force_downloads_every_file_again() {
    let world = three();
    world.apply().success();
    world.origin.forget();
    let summary = world.run(["apply", "--json", "--force"]).success().summary();
    assert_eq!(summary["updated"].as_u64().unwrap() + summary["unchanged"].as_u64().unwrap(), 3);
    let requests = world.origin.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!((request.method.as_str(), request.status), ("GET", 200));
        assert_eq!(request.header("if-none-match").or(request.header("if-modified-since")), None);
    }
}

#[test]
fn offline_keeps_existing_files_and_makes_no_request() {
    let world = three();
    world.run(["apply", "--only", "1.txt"]).success();
    world.origin.forget();
    let run = world.run(["apply", "--json", "--offline"]).code(1);
    assert_eq!(run.counts(), "entries 3, kept 1, failed 2");
    assert_eq!(run.failure("2.txt").0, "offline");
    world.origin.assert_requests(&[]);
    assert_eq!(world.names(), ["1.txt"]);
}

#[test]
fn entries_can_be_chosen_by_path() {
    let world = three();
    let run = world.run(["apply", "--json", "--only", "[12].txt"]).success();
    assert_eq!(run.counts(), "entries 2, downloaded 2");
    assert_eq!(world.names(), ["1.txt", "2.txt"]);
}

#[test]
fn entries_can_be_chosen_by_source_and_by_tag() {
    let world = World::new().serve_numbered(4).manifest(
        "sources:
  - {name: odd, url: \"$BASE/{n}.txt\", vars: {n: [1, 3]}, tags: [few]}
  - {name: two, url: $BASE/2.txt, tags: [few, small]}
  - {name: four, url: $BASE/4.txt}
",
    );
    let chosen = |only: &[&str]| {
        let mut args = vec!["plan", "--json"];
        args.extend(only.iter().flat_map(|only| ["--only", only]));
        world.run(args).success().actions().into_keys().collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["odd"]), ["1.txt", "3.txt"]);
    assert_eq!(chosen(&["tag:few"]), ["1.txt", "2.txt", "3.txt"]);
    assert_eq!(chosen(&["tag:small", "four"]), ["2.txt", "4.txt"]);
    let run = world.run(["plan", "--only", "five*"]).code(2);
    assert!(run.stderr.contains("five*"), "{}", run.stderr);
}

#[test]
fn a_star_stays_in_its_folder() {
    let world = World::new()
        .serve_numbered(2)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "path: \"d{n}/{filename}\""]);
    assert_eq!(world.run(["plan", "--only", "*.txt"]).status, 2);
    let actions = world.run(["plan", "--json", "--only", "d*/*.txt"]).success().actions();
    assert_eq!(actions.len(), 2);
}

#[test]
fn variables_can_be_set_from_outside() {
    let world = World::new().serve_numbered(5).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    world.run(["apply", "--set", "n=3..5"]).success();
    assert_eq!(world.names(), ["3.txt", "4.txt", "5.txt"]);
    let run = world.run(["apply", "--set", "m=1"]).code(2);
    assert!(run.stderr.contains("`m`"), "{}", run.stderr);
}

#[test]
fn variables_are_set_in_the_forms_of_the_manifest() {
    let world = World::new().source("$BASE/{n}", &["vars: {n: 1..2}", "path: \"{n}\""]);
    let list = |value: &str| {
        let run = world.run(["list", "--format", "urls", "--set", &format!("n={value}")]);
        run.success().stdout.replace(&world.origin.url("/"), "")
    };
    world.write("ids.txt", "x\ny\n");
    for (value, names) in [
        ("[7..8, z]", "7\n8\nz\n"),
        ("{from: 1, to: 3, step: 2}", "1\n3\n"),
        ("{value: \"1-3\"}", "1-3\n"),
        ("[{value: \"a..b\"}, {file: ids.txt}]", "a..b\nx\ny\n"),
        ("2024-05", "2024-05\n"),
    ] {
        assert_eq!(list(value), names, "{value}");
    }
    for (value, told) in [
        ("1-3", "for a range, write `1..3`"),
        ("[a-c]", "for a range, write `a..c`"),
        ("a..", "`{value: \"a..\"}`"),
        ("{value: a", "a text that begins with a bracket"),
        ("[]", "has no value"),
    ] {
        let run = world.run(["list", "--set", &format!("n={value}")]).code(2);
        assert!(run.stderr.contains(told), "{value}: {}", run.stderr);
        assert!(value == "[]" || run.stderr.contains("`--set n="), "{value}: {}", run.stderr);
    }
}

#[test]
fn today_can_be_set_from_outside() {
    let world = World::new()
        .serve("/2026-01-30.txt", "30")
        .serve("/2026-01-31.txt", "31")
        .source("$BASE/{day}.txt", &["vars: {day: today-1d..today}"]);
    world.run(["apply", "--today", "2026-01-31"]).success();
    world.assert_files(&[("2026-01-30.txt", "30"), ("2026-01-31.txt", "31")]);
}

#[test]
fn the_destination_can_be_set_from_outside() {
    let world = three();
    world.run(["apply", "--dest", "else/where"]).success();
    assert_eq!(world.files("else/where").len(), 3);
    assert!(!world.exists("out"));
}

#[test]
fn a_destination_is_relative_to_its_manifest() {
    let world = three();
    let text = String::from_utf8(world.read("natsync.yaml")).unwrap();
    world.write("deep/m.yaml", text.replace("dest: out", "dest: ../beside"));
    world.run(["apply", "deep/m.yaml"]).success();
    assert_eq!(world.files("beside").len(), 3);
}

#[test]
fn several_manifests_run_one_after_the_other() {
    let world = World::new().serve_numbered(2);
    world.set_manifest("a.yaml", "dest: a\nsources: [{url: $BASE/1.txt}]\n");
    world.set_manifest("b.yaml", "dest: b\nsources: [{url: $BASE/2.txt}]\n");
    let run = world.run(["apply", "--json", "a.yaml", "b.yaml"]).success();
    let names: Vec<_> = run.lines("summary").iter().map(|line| line["manifest"].clone()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(world.read("a/1.txt"), numbered(1).into_bytes());
    assert_eq!(world.read("b/2.txt"), numbered(2).into_bytes());
}

#[test]
fn a_failing_manifest_does_not_stop_the_next() {
    let world = World::new().serve_numbered(2);
    world.set_manifest("a.yaml", "dest: a\nsources: [{url: $BASE/gone.txt}]\n");
    world.set_manifest("b.yaml", "dest: b\nsources: [{url: $BASE/2.txt}]\n");
    world.run(["apply", "a.yaml", "b.yaml"]).code(1);
    assert_eq!(world.files("b").len(), 1);
}

#[test]
fn one_failure_stops_no_other_entry() {
    let world = three();
    world.origin.remove("/2.txt");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, downloaded 2, failed 1");
    assert_eq!(world.names(), ["1.txt", "3.txt"]);
}

#[test]
fn fail_fast_starts_nothing_after_a_failure() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..20}", "http: {retries: 0}"]);
    let run = world.run(["apply", "--json", "--fail-fast", "-j", "1"]).code(1);
    assert_eq!(run.counts(), "entries 20, failed 1, skipped 19");
    assert_eq!(world.origin.requests().len(), 1);
}

#[test]
fn wrong_command_lines_exit_2_and_touch_nothing() {
    let world = three();
    std::fs::create_dir(world.path("empty")).unwrap();
    for args in [
        &["apply", "--no-such-flag"][..],
        &["apply", "absent.yaml"],
        &["no-such-command"],
        &["apply", "-j", "0"],
        &["apply", "--today", "soon"],
        &["apply", "--rewrite", "nonsense"],
        &["apply", "empty"],
        &[],
    ] {
        let run = world.run(args).code(2);
        assert!(!run.stderr.is_empty() && run.stdout.is_empty(), "{args:?}\n{}", run.output());
    }
    assert!(world.run(["apply", "absent.yaml"]).stderr.contains("absent.yaml"));
    assert!(!world.exists("out"));
    world.origin.assert_requests(&[]);
}

#[test]
fn a_missing_default_manifest_is_named_in_the_error() {
    let run = World::new().run(["apply"]).code(2);
    assert!(run.stderr.contains("natsync.yaml"), "{}", run.stderr);
}

#[test]
fn one_wrong_manifest_of_two_touches_nothing() {
    let world = World::new().serve_numbered(1);
    world.set_manifest("a.yaml", "dest: a\nsources: [{url: $BASE/1.txt}]\n");
    world.set_manifest("b.yaml", "dest: b\nsources: [{ulr: $BASE/1.txt}]\n");
    world.run(["apply", "a.yaml", "b.yaml"]).code(2);
    assert!(!world.exists("a") && !world.exists("b"));
    world.origin.assert_requests(&[]);
}

#[test]
fn a_destination_that_is_a_file_exits_5() {
    let world = three();
    world.write("out", "I am a file");
    let run = world.run(["apply"]).code(5);
    assert!(run.stderr.contains("out"), "{}", run.stderr);
    assert_eq!(world.read("out"), b"I am a file");
}

#[test]
fn files_with_no_pattern_are_listed_one_by_one() {
    let world = World::new().serve_numbered(2).manifest(
        "sources:
  - name: some
    files:
      - {url: $BASE/1.txt, path: one.txt, size: 7}
      - {url: $BASE/2.txt}
",
    );
    world.run(["apply"]).success();
    world.assert_files(&[("2.txt", "file 2\n"), ("one.txt", "file 1\n")]);
}

#[test]
fn a_file_of_another_size_than_declared_is_an_error() {
    let world = World::new()
        .serve_numbered(1)
        .manifest("sources: [{files: [{url: $BASE/1.txt, size: 8}], http: {retries: 0}}]\n");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 1, failed 1");
    world.assert_files(&[]);
}
