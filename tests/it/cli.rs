//! Help, manual, completions and docs/cli.md are generated from one definition of the command line.
//! These tests check that they agree.

use std::fmt::Write as _;
use std::path::Path;

use crate::world::World;

/// The commands, as `natsync --help` lists them.
fn commands(world: &World) -> Vec<String> {
    let help = world.run(["--help"]).success().stdout;
    let list = help.split("Commands:\n").nth(1).unwrap();
    let list = list.lines().take_while(|line| !line.trim().is_empty());
    list.map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

/// The long flags that a help text names, each once.
fn flags(help: &str) -> Vec<String> {
    let mut flags: Vec<_> = help
        .lines()
        .filter_map(|line| {
            let line = line.trim_start();
            let line = line.strip_prefix("-").filter(|_| line.starts_with('-'))?;
            let long =
                line.split_once("--").map_or(line.strip_prefix('-'), |(_, long)| Some(long))?;
            let end = long.find(|c: char| c != '-' && !c.is_ascii_alphanumeric());
            Some(format!("--{}", &long[..end.unwrap_or(long.len())]))
        })
        .collect();
    flags.sort_unstable();
    flags.dedup();
    flags
}

#[test]
fn the_reference_page_equals_the_help() {
    let world = World::new();
    let mut page = String::from(
        "# The command line\n\nWhat `natsync --help` and `natsync COMMAND --help` print. `natsync man` has the same as manual \
         pages, and\n`natsync completions` for shells.\n",
    );
    let mut add = |title: &str, help: &str| {
        let lines: Vec<_> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(page, "\n## {title}\n\n```text\n{}\n```\n", lines.join("\n"));
    };
    add("natsync", &world.run(["--help"]).success().stdout);
    for command in commands(&world) {
        add(
            &format!("natsync {command}"),
            &world.run([command.as_str(), "--help"]).success().stdout,
        );
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md is not what `--help` prints; `UPDATE=1 cargo test the_reference_page` writes it anew"
    );
}

#[test]
fn every_command_has_examples_and_short_help() {
    let world = World::new();
    for command in commands(&world) {
        let long = world.run([command.as_str(), "--help"]).success().stdout;
        assert!(long.contains("Examples:\n  natsync "), "{command} has no example");
        let short = world.run([command.as_str(), "-h"]).success().stdout;
        assert!(short.lines().count() <= 70, "{command}: {} lines", short.lines().count());
        for line in long.lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn the_manual_has_every_command_and_flag() {
    let world = World::new();
    world.run(["man", "--out", "man/man1"]).success();
    let main = String::from_utf8(world.read("man/man1/natsync.1")).unwrap();
    for command in commands(&world) {
        assert!(main.contains(&format!("natsync\\-{command}(1)")), "{command}");
        let page = String::from_utf8(world.read(&format!("man/man1/natsync-{command}.1"))).unwrap();
        assert_eq!(page, world.run(["man", &command]).success().stdout);
        let help = world.run([command.as_str(), "--help"]).success().stdout;
        let flags = flags(&help);
        assert!(flags.contains(&"--help".to_owned()), "{command}: {flags:?}");
        for flag in flags {
            assert!(page.contains(&flag.replace('-', "\\-")), "{command} {flag}");
        }
    }
    let run = world.run(["man", "aply"]).code(2);
    assert!(run.stderr.contains("there is no command `aply`"), "{}", run.stderr);
}

#[test]
fn completions_know_every_command_and_flag() {
    let world = World::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = world.run(["completions", shell]).success().stdout;
        for command in commands(&world) {
            assert!(script.contains(&command), "{shell}: {command}");
            let help = world.run([command.as_str(), "--help"]).success().stdout;
            for flag in flags(&help) {
                let known = match shell {
                    "fish" => format!("-l {}", &flag[2..]),
                    _ => flag.clone(),
                };
                assert!(script.contains(&known), "{shell}: {command} {flag}");
            }
        }
    }
    world.run(["completions", "csh"]).code(2);
}

#[test]
fn verbose_and_quiet_may_be_repeated() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    for args in [&["apply", "-vv"][..], &["-v", "plan", "-v"], &["plan", "-vvv"], &["list", "-qq"]]
    {
        world.run(args).success();
    }
    let once = world.run(["plan", "-v"]).success().stdout;
    assert_eq!(world.run(["plan", "-vv"]).success().stdout, once);
    world.run(["plan", "-v", "-q"]).code(2);
}

/// Loads the completion script in bash, and checks its suggestions.
#[test]
fn bash_completes() {
    let world = World::new();
    let script = world.run(["completions", "bash"]).success().stdout;
    world.write("natsync.bash", script);
    let asked = "source ./natsync.bash; COMP_WORDS=(natsync ap); COMP_CWORD=1; _natsync natsync ap natsync; \
                 echo \"${COMPREPLY[*]}\"";
    let output = std::process::Command::new("bash")
        .args(["--norc", "-c", asked])
        .current_dir(world.dir())
        .output()
        .expect("tests run where there is bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "apply");
}
