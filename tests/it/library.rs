//! natsync as a library: what a program gets without the features of the binary, the example in
//! `examples/library.rs`, and errors that `main` returns.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::world::World;

fn cargo(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(args);
    command.output().expect("cargo runs")
}

fn succeeded(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Without default features the library builds, and none of the crates that serve the terminal is
/// among its dependencies.
#[test]
fn the_library_builds_without_the_crates_of_the_command_line() {
    let tree = ["tree", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--offline"];
    let crates_of = |further: &[&str]| succeeded(&cargo(&[&tree, further].concat()));
    let edge = [
        "clap v",
        "clap_complete v",
        "clap_mangen v",
        "indicatif v",
        "minijinja v",
        "anstream v",
        "terminal_size v",
        "mimalloc v",
        "quick-xml v",
    ];
    let (with, without) = (crates_of(&[]), crates_of(&["--no-default-features"]));
    for name in edge {
        assert!(with.lines().any(|line| line.starts_with(name)), "{name} is not in:\n{with}");
        assert!(!without.lines().any(|line| line.starts_with(name)), "{name} is in:\n{without}");
    }
    let build = ["build", "--lib", "--no-default-features", "--offline", "--quiet"];
    let built = cargo(&build);
    succeeded(&built);
    let warnings = String::from_utf8_lossy(&built.stderr);
    assert!(!warnings.contains("warning"), "{warnings}");
}

/// Runs the example `library`. `cargo test` has built it already; a single test may have to.
fn example(world: &World, manifest: &str) -> Output {
    succeeded(&cargo(&["build", "--example", "library", "--offline", "--quiet"]));
    let programs = Path::new(env!("CARGO_BIN_EXE_natsync")).parent().expect("a folder");
    let program: PathBuf = programs.join("examples/library");
    Command::new(program).arg(world.path(manifest)).env_clear().output().expect("it runs")
}

#[test]
fn the_example_mirrors_and_prints_each_path() {
    let world = World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    let printed = succeeded(&example(&world, "natsync.yaml"));
    let mut lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.remove(0), "3 to fetch");
    lines.sort_unstable();
    assert_eq!(lines, ["1.txt downloaded", "2.txt downloaded", "3.txt downloaded"]);
    assert_eq!(world.files("out").len(), 3);
}

/// What `main` prints for an error that it returns: the message and the hint, and no Rust syntax.
#[test]
fn errors_that_main_returns_are_readable() {
    let world = World::new();
    let stderr = |name: &str, text: &str| {
        world.set_manifest(name, text);
        let output = example(&world, name);
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let slip = stderr("slip.yaml", "sources:\n  - url: http://h/x\n    on_mising: skip\n");
    assert!(slip.contains("did you mean `on_missing`?") && !slip.contains("Problem"), "{slip}");
    world.write("held.lock", "{\"natsync_lock\":99,\"manifest\":\"held\"}\n");
    let lock = stderr("held.yaml", "sources:\n  - url: http://h/x\n");
    assert!(lock.starts_with("Error: ") && lock.contains("held.lock"), "{lock}");
    for text in [&slip, &lock] {
        assert!(!text.contains("LockProblem") && !text.contains("RunError"), "{text}");
    }
    let (usage, failure) = (
        natsync::RunError::usage("no entry matches `--only x`"),
        natsync::Failure::new(natsync::ErrorKind::Dns, "the host does not exist")
            .with_hint("check the URL"),
    );
    assert_eq!(format!("{usage:?}"), "no entry matches `--only x`");
    assert_eq!(format!("{failure:?}"), "dns: the host does not exist; check the URL");
}
