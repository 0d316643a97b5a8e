//! `natsync explain`: one entry with every piece of evidence and the decision.

use insta::assert_snapshot;

use crate::origin::{Answer, File};
use crate::world::{Run, World, sha256_of};

fn three(settings: &[&str]) -> World {
    let mut lines = vec!["vars: {n: 1..3}"];
    lines.extend(settings);
    World::new().serve_numbered(3).source("$BASE/{n}.txt", &lines)
}

fn explain(world: &World, entry: &str) -> Run {
    world.origin.forget();
    let run = world.run(["explain", "natsync.yaml", entry]).success();
    world.origin.assert_requests(&[]);
    run
}

#[track_caller]
fn says(world: &World, entry: &str, text: &str) {
    let run = explain(world, entry);
    assert!(run.stdout.contains(text), "no {text:?} in:\n{}", run.stdout);
}

#[test]
fn an_entry_that_was_never_tried() {
    let world = World::new().source(
        "$BASE/{date:%Y}/{n}.txt",
        &[
            "vars: {date: 2024-02-28..2024-03-01, n: [a, b]}",
            "mirrors: [\"http://mirror.example/{+dir}/{filename}\"]",
            "path: \"{date}-{n}.txt\"",
            "on_missing: skip",
            "tags: [small]",
        ],
    );
    let run = explain(&world, "2024-02-29-b.txt");
    world.filters().bind(|| {
        assert_snapshot!(run.stdout, @r"
        2024-02-29-b.txt
          declared   natsync.yaml:4, source natsync, entry 3
          variables  date = 2024-02-29, n = b
          url        http://127.0.0.1:PORT/2024/b.txt
          mirror     http://mirror.example/2024/b.txt
          policy     check: always, on_missing: skip, tags: small
          pin        none: any content that upstream serves is accepted
          on disk    nothing
          state      no file is recorded
          decision   fetch, not_on_disk: there is no such file on disk
        ");
    });
    assert!(!world.exists("out"), "nothing was made");
}

#[test]
fn a_file_that_was_fetched() {
    let world = three(&[]);
    world.apply().success();
    says(&world, "2.txt", "state      natsync wrote it; 7 bytes, sha256:");
    says(&world, "2.txt", "size, times and inode are as recorded, so the file was not read");
    says(&world, "2.txt", "decision   revalidate, stale: it has no pin, and `check: always` asks");
    world.write("out/2.txt", "edited");
    says(&world, "2.txt", "decision   replace, modified_locally: the file was changed since");
    says(&world, "2.txt", &format!("read: sha256:{}", sha256_of("edited")));
    world.delete("out/2.txt");
    std::fs::create_dir(world.path("out/2.txt")).unwrap();
    says(&world, "2.txt", "decision   fail, a directory stands at this path");
}

#[test]
fn the_origin_of_the_pin_is_shown() {
    let world = three(&[]);
    world.run(["lock", "--only", "1.txt"]).success();
    says(&world, "1.txt", "lock       7 bytes, sha256:");
    says(&world, "1.txt", "as first downloaded");
    says(&world, "1.txt", "7 bytes, from the lock");
    says(
        &world,
        "1.txt",
        "decision   keep, pinned: the file on disk matches its pin, so no request is needed",
    );
    says(&world, "2.txt", "lock       does not pin it");
    let world = World::new()
        .serve("/a.txt", File::new("a"))
        .serve("/SUMS", File::new(format!("{}  a.txt\n", sha256_of("a"))))
        .source("$BASE/{n}.txt", &["vars: {n: [a, b]}", "checksums: {url: $BASE/SUMS}"]);
    says(&world, "a.txt", "/SUMS: not fetched by any run yet");
    world.apply().code(1);
    says(&world, "a.txt", "from the checksum list");
    says(&world, "b.txt", "decision   fail, no checksum list names this file");
}

#[test]
fn missing_files_are_shown() {
    let world = three(&["on_missing: skip", "missing_ttl: 1d"]);
    world.origin.remove("/3.txt");
    world.apply().success();
    says(&world, "3.txt", "missing upstream at ");
    says(&world, "3.txt", "decision   absent, missing_upstream: it was missing upstream less than");
}

#[test]
fn the_last_failure_is_shown_until_a_success() {
    let world = three(&[]);
    world.origin.always("/2.txt", Answer::status(403));
    world.apply().code(1);
    says(&world, "2.txt", "failed     in the run of ");
    says(&world, "2.txt", "the server answers 403 Forbidden (http_status)");
    assert!(!explain(&world, "1.txt").stdout.contains("  failed  "));
    world.origin.always("/2.txt", Answer::file());
    world.apply().success();
    assert!(!explain(&world, "2.txt").stdout.contains("  failed  "));
}

#[test]
fn an_entry_has_several_names() {
    let world = three(&[]);
    for name in ["2.txt".to_owned(), "out/2.txt".to_owned(), world.origin.url("/2.txt")] {
        says(&world, &name, "2.txt\n  declared   natsync.yaml:4, source natsync, entry 1\n");
    }
    let run = world.run(["explain", "natsync.yaml", "img/2.txt"]).code(2);
    assert_eq!(
        run.stderr,
        "error: `natsync` declares no entry `img/2.txt`\nhint: did you mean `2.txt`?\n"
    );
    let run = world.run(["explain", "natsync.yaml", "7.txt"]).code(2);
    assert!(run.stderr.contains("`natsync list` names all entries"), "{}", run.stderr);
}

#[test]
fn programs_get_an_object() {
    let world = three(&[]);
    world.apply().success();
    let run = world.run(["explain", "natsync.yaml", "2.txt", "--json"]).success();
    let lines = run.json();
    assert_eq!(lines.len(), 1);
    let told = &lines[0];
    assert_eq!(told["type"], "explanation");
    assert_eq!((&told["action"], &told["reason"]), (&"revalidate".into(), &"stale".into()));
    assert_eq!(told["state"]["sha256"], sha256_of(world.read("out/2.txt")));
    assert_eq!(told["variables"]["n"], "2");
    world.run(["explain", "natsync.yaml", "7", "--json"]).code(2);
}

#[test]
fn it_tells_no_secret() {
    let world = World::new()
        .serve("/a.txt?key=c4n4ry", File::new("a"))
        .env("CANARY", "c4n4ry")
        .source("$BASE/a.txt?key=${CANARY}", &["path: a.txt"]);
    world.apply().success();
    for args in
        [&["explain", "natsync.yaml", "a.txt"][..], &["explain", "natsync.yaml", "a.txt", "--json"]]
    {
        let run = world.run(args).success();
        assert!(!run.output().contains("c4n4ry"), "{}", run.output());
    }
}

/// A list that was never fetched is not treated as a list without this entry, even if it is
/// optional.
#[test]
fn an_optional_list_is_fetched_before_it_is_believed() {
    let world = World::new()
        .serve("/a.txt", File::new("a"))
        .serve("/SUMS", File::new(format!("{}  b.txt\n", sha256_of("b"))))
        .source("$BASE/a.txt", &["checksums: {url: $BASE/SUMS, optional: true}"]);
    says(&world, "a.txt", "/SUMS: not fetched by any run yet");
    world.apply().success();
    says(&world, "a.txt", "/SUMS: does not name it");
}

#[test]
fn a_list_that_was_refused_is_told_with_the_reason() {
    let world = World::new().serve_numbered(1);
    let world =
        world.source("$BASE/1.txt", &["checksums: {url: \"$BASE/SUMS\"}", "http: {retries: 0}"]);
    world.origin.serve("/SUMS", "this is no list\n");
    world.run(["apply"]).code(1);
    let told = world.run(["explain", "natsync.yaml", "1.txt"]).success().stdout;
    assert!(told.contains("no run has fetched a list that can be used; see `failed`"), "{told}");
    assert!(told.contains("line 1") && !told.contains("any content"), "{told}");
    world.origin.serve("/SUMS", format!("{}  1.txt\n", sha256_of("x")));
    world.origin.always("/SUMS", Answer::status(500));
    world.run(["apply"]).code(1);
    let told = world.run(["explain", "natsync.yaml", "1.txt"]).success().stdout;
    assert!(told.contains("500"), "{told}");
}
