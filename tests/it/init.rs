//! `natsync init`: two commands mirror a set of URLs, for each supported list format.

use std::process::Stdio;
use std::time::Duration;

use crate::world::{Run, World, numbered, sha256_of};

/// Runs with a list on standard input.
fn piped(world: &World, args: &[&str], list: &str) -> Run {
    world.write("list.txt", list);
    let mut command = world.command();
    let file = std::fs::File::open(world.path("list.txt")).unwrap();
    let output = command.args(args).stdin(Stdio::from(file)).output().unwrap();
    world.delete("list.txt");
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run {
        status: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        elapsed: Duration::ZERO,
    }
}

#[test]
fn two_commands_mirror_a_numbered_set() {
    let world = World::new().serve_numbered(12);
    let run = world.run(["init", &world.origin.url("/[1-12].txt")]).success();
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr.contains("natsync.yaml declares 12 entries, which go to mirror"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("`natsync apply` fetches it"), "{}", run.stderr);
    world.run(["apply"]).success();
    for n in 1..=12 {
        assert_eq!(world.read(&format!("mirror/{n}.txt")), numbered(n).as_bytes());
    }
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 12, unchanged 12");
}

#[test]
fn a_list_of_urls_becomes_a_template() {
    let world = World::new().serve_numbered(26);
    let list: String = (1..=26).map(|n| world.origin.url(&format!("/{n}.txt")) + "\n").collect();
    let run = piped(&world, &["init", "-"], &format!("# a comment\n\n{list}{list}"));
    assert!(run.stderr.contains("26 repeated URLs were left out"), "{}", run.stderr);
    assert!(run.stderr.contains("/{n}.txt with n: 1..26"), "{}", run.stderr);
    assert!(String::from_utf8(world.read("natsync.yaml")).unwrap().contains("n: 1..26"));
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 26, downloaded 26");
}

#[test]
fn a_manifest_is_not_replaced() {
    let world = World::new();
    world.write("natsync.yaml", "mine");
    let url = "http://h.example/[1-3]";
    let run = world.run(["init", url]).code(2);
    assert_eq!(
        run.stderr,
        "error: `natsync.yaml` already exists\nhint: `--force` replaces it; `-o FILE` writes another one\n"
    );
    assert_eq!(world.read("natsync.yaml"), b"mine");
    world.run(["init", url, "-o", "other.yaml", "--dest", "../there", "--name", "set"]).success();
    let other = String::from_utf8(world.read("other.yaml")).unwrap();
    assert!(other.contains("name: set\ndest: ../there\n"), "{other}");
    world.run(["init", url, "--force"]).success();
    assert!(String::from_utf8(world.read("natsync.yaml")).unwrap().contains("n: 1..3"));
    world.run(["init", url, "-o", "no/such/folder.yaml"]).code(5);
}

#[test]
fn standard_output_gets_only_the_manifest() {
    let world = World::new();
    let run = world.run(["init", "http://h.example/{a,b}", "-o", "-"]).success();
    assert!(
        run.stdout.contains("\nsources:\n  - url: http://h.example/{name}\n"),
        "{}",
        run.stdout
    );
    assert!(!world.exists("natsync.yaml"));
}

#[test]
fn json_output_is_one_object() {
    let world = World::new();
    let run = world.run(["init", "http://h.example/[1-5]", "--json"]).success();
    let lines = run.json();
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["type"], &lines[0]["file"]), (&"init".into(), &"natsync.yaml".into()));
    assert_eq!((&lines[0]["entries"], &lines[0]["sources"]), (&5.into(), &1.into()));
}

#[test]
fn digests_of_a_list_are_pins() {
    let world = World::new().serve_numbered(3);
    let list = |line: &dyn Fn(usize, String) -> String| {
        (1..=3).map(|n| line(n, sha256_of(numbered(n)))).collect::<Vec<_>>().join("\n")
    };
    let sums = list(&|n, digest| format!("{digest}  {n}.txt"));
    world.write("SHA256SUMS", &sums);
    let base = world.origin.base();
    world.run(["init", "--from", "SHA256SUMS", "--base-url", &base]).success();
    world.run(["apply"]).success();
    world.origin.forget();
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);
    let run = world.run(["init", "--from", "SHA256SUMS", "--force"]).code(2);
    assert!(run.stderr.contains("`--base-url URL`"), "{}", run.stderr);

    let registry = list(&|n, digest| format!("{n}.txt sha256:{digest}"));
    world.write("registry.txt", registry);
    world
        .run(["init", "--from", "registry.txt", "--base-url", &base, "--force", "--dest", "pooch"])
        .success();
    assert_eq!(world.run(["apply", "--json"]).success().counts(), "entries 3, downloaded 3");
}

/// `init` turns each export of the wallpaper manifest back into a few lines with the same entries.
#[test]
fn init_reads_the_exports_of_list() {
    let world = World::new();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/manifests/natgeo.yaml");
    let listed = |world: &World, manifest: &str| -> Vec<String> {
        let run = world.run(["list", manifest, "--format", "urls"]).success();
        let mut urls: Vec<_> = run.stdout.lines().map(str::to_owned).collect();
        urls.sort_unstable();
        urls
    };
    let declared = listed(&world, manifest);
    assert_eq!(declared.len(), 338);
    for format in ["urls", "aria2", "metalink"] {
        let export = world.run(["list", manifest, "--format", format]).success().stdout;
        piped(&world, &["init", "-", "-o", "back.yaml", "--force"], &export);
        let back = String::from_utf8(world.read("back.yaml")).unwrap();
        assert!(back.lines().count() <= 9, "{format}:\n{back}");
        assert!(back.contains("n2: 1..26"), "{format}:\n{back}");
        assert_eq!(back.contains("{+url}"), format != "urls", "{format}:\n{back}");
        assert_eq!(listed(&world, "back.yaml"), declared, "{format}");
    }
}

#[test]
fn invalid_lists_are_errors_without_secrets() {
    let world = World::new();
    for (list, why) in [
        ("http://h.example/a\nnonsense\n", "line 2: `nonsense` is not an http or https URL"),
        ("http://user:c4n4ry@h.example/a\n", "line 1: a URL contains a password"),
        ("", "no URL was given"),
    ] {
        let run = piped(&world, &["init", "-"], list).code(2);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(!run.stderr.contains("c4n4ry"), "{}", run.stderr);
    }
    world.run(["init"]).code(2);
    world.run(["init", "--from", "no-such-file"]).code(2);
    world.run(["init", "http://h.example/[3-1]"]).code(2);
    assert!(!world.exists("natsync.yaml"));
}
