//! `natsync list`: the entries in three forms, and nothing else touched.

use serde_json::json;

use crate::world::World;

fn world() -> World {
    World::new().manifest(
        "sources:
  - name: tables
    url: http://data.example/{year}/{kind}.csv
    mirrors: [\"http://mirror.example/{+url}\"]
    vars: {year: 2024..2025, kind: [a, b]}
    path: \"{kind}/{year}.csv\"
  - {name: readme, url: \"http://data.example/read%20me.txt\"}
",
    )
}

#[test]
fn urls_come_one_a_line_in_the_order_of_the_manifest() {
    let run = world().run(["list", "--format", "urls"]).success();
    let expected = "http://data.example/2024/a.csv\nhttp://data.example/2024/b.csv\n\
        http://data.example/2025/a.csv\nhttp://data.example/2025/b.csv\nhttp://data.example/read%20me.txt\n";
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (expected, ""));
}

#[test]
fn json_has_all_of_an_entry() {
    let run = world().run(["list", "--format", "json"]).success();
    let entries = run.json();
    assert_eq!(entries.len(), 5);
    assert_eq!(
        entries[0],
        json!({
            "type": "entry",
            "source": "tables",
            "path": "a/2024.csv",
            "url": "http://data.example/2024/a.csv",
            "mirrors": ["http://mirror.example/http://data.example/2024/a.csv"],
            "sha256": null,
        })
    );
    assert_eq!(entries[4]["path"], "read me.txt");
    assert_eq!(entries[4]["mirrors"], json!([]));
    assert_eq!(world().run(["list", "--json"]).success().stdout, run.stdout);
}

#[test]
fn a_table_has_path_and_url_of_each_entry() {
    let run = world().run(["list"]).success();
    let line =
        run.stdout.lines().find(|line| line.contains("b/2025.csv")).expect("a line for the entry");
    assert!(line.contains("http://data.example/2025/b.csv"), "{line}");
    assert_eq!(run.stdout, world().run(["list", "--format", "table"]).success().stdout);
}

#[test]
fn a_list_can_be_cut_down() {
    let run =
        world().run(["list", "--format", "urls", "--only", "a/*", "--set", "year=2025"]).success();
    assert_eq!(run.stdout, "http://data.example/2025/a.csv\n");
}

#[test]
fn excluded_combinations_are_not_listed() {
    let world = World::new().source(
        "http://x.example/{a}{n}",
        &["vars: {a: [x, y], n: 1..3}", "exclude: [{a: y, n: 2..3}]"],
    );
    let run = world.run(["list", "--format", "urls"]).success();
    assert_eq!(run.stdout.replace("http://x.example/", ""), "x1\nx2\nx3\ny1\n");
}

#[test]
fn a_list_makes_no_requests_and_writes_nothing() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.run(["list"]).success();
    world.origin.assert_requests(&[]);
    assert!(!world.exists("out"));
}

#[test]
fn a_closed_pipe_ends_a_list_quietly() {
    let world = World::new().source("http://x.example/{n}", &["vars: {n: 1..100000}"]);
    let mut command = world.command();
    let mut child = command
        .args(["list", "--format", "urls"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}
