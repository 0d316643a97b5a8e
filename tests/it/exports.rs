//! Feeds the formats of `list` for other programs to these programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::world::World;

/// Names that need care, two folders and a mirror.
fn locked(last: &str) -> World {
    let world = World::new();
    let mut files = String::new();
    let paths = ["plain.bin", "two words.bin", "dir/back\\slash", "b\u{fc}cher", last];
    for (n, path) in paths.iter().enumerate() {
        world.origin.serve(&format!("/{n}"), format!("content of {path}"));
        let quoted = path.replace('\'', "''");
        let _ = writeln!(files, "      - {{url: $BASE/{n}, path: '{quoted}'}}");
    }
    let world = world.manifest(&format!(
        "portable: false\nsources:\n  - mirrors: [\"$BASE/m{{+url}}\"]\n    files:\n{files}"
    ));
    world.run(["lock"]).success();
    world
}

fn export(world: &World, format: &str) -> String {
    let run = world.run(["list", "--format", format]).success();
    assert_eq!(run.stderr, "");
    run.stdout
}

fn program(name: &str, folder: &Path, args: &[&str]) -> Option<Output> {
    match Command::new(name).args(args).current_dir(folder).output() {
        Ok(output) => Some(output),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "skipped: {name} cannot be run: {error}");
            None
        }
    }
}

#[test]
fn sha256sum_accepts_the_export() {
    let world = locked("*star <\"'&'\">");
    world.write("SUMS", export(&world, "sha256sums"));
    let check =
        || program("sha256sum", &world.path("out"), &["--strict", "-c", "../SUMS"]).unwrap();
    let output = check();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).matches(": OK").count(), 5);
    world.write("out/two words.bin", "other");
    assert!(!check().status.success());
}

#[test]
fn aria2_downloads_the_export() {
    for (format, flag) in [("aria2", "--input-file"), ("metalink", "--metalink-file")] {
        // Without further special characters, because aria2 replaces some of them in names.
        let world = locked("it's (that) one");
        let text = export(&world, format);
        world.write("list", &text);
        std::fs::remove_dir_all(world.path("out")).unwrap();
        std::fs::create_dir(world.path("out")).unwrap();
        let list = format!("{flag}=list");
        // aria2 runs elsewhere: its option names the destination.
        let args =
            ["--no-conf", "--dir=out", "--check-integrity=true", "--allow-overwrite=true", &list];
        let Some(output) = program("aria2c", world.dir(), &args) else { return };
        assert!(output.status.success(), "{format}\n{}", String::from_utf8_lossy(&output.stdout));
        let run = world.run(["verify", "--json"]).success();
        assert_eq!(run.lines("summary")[0]["ok"], 5, "{format}\n{}", run.output());
        // With other bytes upstream, aria2 must fail, which shows that it checks the digests.
        world.origin.serve("/0", "Content of plain.bin");
        std::fs::remove_file(world.path("out/plain.bin")).unwrap();
        let output = program("aria2c", world.dir(), &args).unwrap();
        assert!(!output.status.success(), "{format}");
    }
}

#[test]
fn unknown_digests_are_reported() {
    let world = World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]);
    let run = world.run(["list", "--format", "sha256sums"]).success();
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("2 entries left out"), "{}", run.output());
    world.run(["lock", "--only", "1.txt"]).success();
    let run = world.run(["list", "--format", "sha256sums"]).success();
    assert_eq!(run.stdout.lines().count(), 1);
    let entries = world.run(["list", "--json"]).success().json();
    assert_eq!(entries[0]["sha256"].as_str().unwrap().len(), 64);
    assert!(entries[1]["sha256"].is_null());
}

#[test]
fn secrets_are_in_no_export() {
    let world = World::new()
        .serve_numbered(1)
        .env("NATSYNC_KEY", "s3cr3t")
        .source("$BASE/1.txt?key=${NATSYNC_KEY}", &["path: a"]);
    for format in ["aria2", "metalink"] {
        let run = world.run(["list", "--format", format]).success();
        assert!(!run.stdout.contains("s3cr3t") && run.stdout.contains("key=${NATSYNC_KEY}"));
        assert!(run.stderr.contains("are not exported"), "{}", run.output());
    }
}

#[test]
fn missing_files_are_not_exported() {
    let world = World::new()
        .serve_numbered(1)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "on_missing: skip"]);
    world.run(["lock"]).success();
    for format in ["sha256sums", "aria2", "metalink"] {
        assert!(!export(&world, format).contains("2.txt"), "{format}");
    }
}

/// An export is used on other machines and with other destinations.
#[test]
fn no_export_has_a_path_of_the_machine() {
    let world = World::new().serve_numbered(1);
    let dest = world.path("far/away");
    let manifest =
        format!("dest: {}\nsources:\n  - {{url: $BASE/1.txt, path: a/b.txt}}\n", dest.display());
    let world = world.manifest(&manifest);
    world.run(["lock"]).success();
    for format in ["sha256sums", "aria2", "metalink", "urls", "table", "json"] {
        let text = export(&world, format);
        let folder = world.dir().to_string_lossy().into_owned();
        assert!(!text.contains(&folder) && !text.contains("away"), "{format}\n{text}");
        assert!(text.contains("a/b.txt") || format == "urls", "{format}\n{text}");
    }
}
