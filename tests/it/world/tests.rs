//! Tests of `World` itself, without the program.

use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::{Running, World, natsync};
use crate::origin::first_modified;

fn shell(script: &str) -> Running {
    let mut command = Command::new("sh");
    command.arg("-c");
    Running::start(command, [script])
}

#[test]
fn manifests_get_the_origins_url_and_the_common_keys() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    let text = String::from_utf8(world.read("natsync.yaml")).unwrap();
    let base = world.origin.base();
    assert_eq!(
        text,
        format!(
            "version: 1\ndest: out\nsources:\n  - url: {base}/{{n}}.txt\n    vars: {{n: 1..3}}\n"
        )
    );
}

#[test]
fn files_are_listed_without_the_control_folder() {
    let world = World::new();
    world.write("out/a/b.txt", "1");
    world.write("out/c.txt", "2");
    world.write("out/.natsync/state.db", "3");
    world.write("out/.natsync/partial/x", "45");
    world.assert_files(&[("a/b.txt", "1"), ("c.txt", "2")]);
    assert_eq!(world.partial_files(), ["x"]);
    assert_eq!(world.state_bytes().len(), 3);
    world.set_mtime("out/c.txt", first_modified());
    assert_eq!(world.mtime("out/c.txt"), first_modified());
}

#[test]
fn a_run_tells_its_status_and_its_output() {
    let summary = r#"{"type":"summary","command":"plan","entries":2,"fetch":1,"replace":0,"revalidate":0,"keep":1,"absent":0}"#;
    let run = shell(&format!("echo '{summary}'; echo oh >&2; exit 7")).wait().code(7);
    assert_eq!(
        (run.counts().as_str(), run.stderr.as_str()),
        ("entries 2, fetch 1, keep 1", "oh\n")
    );
    let running = shell("echo ready >&2; exec sleep 60");
    running.wait_stderr_contains("ready");
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, -15);
}

#[test]
#[should_panic(expected = "not finished within")]
fn a_run_that_hangs_fails_its_test() {
    shell("exec sleep 60").wait_at_most(Duration::from_millis(50));
}

#[test]
fn the_program_runs_in_the_world() {
    let run = World::new().run(["--version"]);
    assert_eq!(run.status, 0, "{}", run.output());
}

#[test]
fn the_program_runs_anywhere() {
    let world = World::new();
    let output = natsync(&["--version"], world.dir());
    assert_eq!((output.status, output.stderr.as_str()), (0, ""));
    assert!(!output.stdout.contains("error"));
}

#[test]
fn snapshots_hide_values_that_differ_between_runs() {
    let world = World::new();
    let text = format!(
        "{}: 3 files of {} in 1.2 s (3 kB at 12.5 kB/s), {{\"elapsed_ms\":95}}",
        world.dir().display(),
        world.origin.base()
    );
    world.filters().bind(|| {
        insta::assert_snapshot!(text, @r#"DIR: 3 files of http://127.0.0.1:PORT in TIME (3 kB at RATE), {"elapsed_ms":0}"#);
    });
}
