//! docs/tour.md shows real output: this test runs its commands in order, against a server.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use regex::Regex;

use crate::origin::{Answer, File};
use crate::world::World;

const SITE: &str = "https://pictures.example.org/";

fn picture(name: &str, version: u64) -> File {
    let bytes: Vec<u8> = format!("{name} {version} ").into_bytes().repeat(2000);
    // 2026-01-31 10:00:00, plus one hour for each version.
    let modified = UNIX_EPOCH + Duration::from_secs(1_769_853_600 + 3600 * version);
    File::new(bytes)
        .etag(&format!("\"{version}-{name}\""))
        .modified(modified)
        .content_type("image/jpeg")
}

/// Replaces values that differ from run to run.
fn steady(text: &str, world: &World) -> String {
    let filters = [
        (r"\bin [0-9.]+ s", "in 0.1 s"),
        (r"\bat [0-9.]+ [kMG]?B/s", "at 1.2 MB/s"),
        (
            r"20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{8} UTC \([^)]* ago\)",
            "2026-02-01 12:00:00 UTC (0.1 s ago)",
        ),
        (r"\([0-9.]+ [kM]?B\)$", "(64.0 kB)"),
    ];
    let mut text = text.replace(&world.origin.base(), SITE.trim_end_matches('/'));
    for (pattern, steady) in filters {
        text =
            Regex::new(&format!("(?m){pattern}")).unwrap().replace_all(&text, steady).into_owned();
    }
    text
}

/// Changes upstream or the directory, as a comment in the page says.
fn change(world: &World, what: &str) {
    let (verb, name) = what.split_once(' ').unwrap();
    let path = format!("/{name}");
    match verb {
        "change" => world.origin.serve(&path, picture(name, 2)),
        "delete" => world.delete(&format!("mirror/{name}")),
        "refuse" => world.origin.always(&path, Answer::status(403)),
        "serve" => world.origin.always(&path, Answer::file()),
        "pass" => world.age_state_of("mirror", Duration::from_hours(1)),
        "edit" => world.write(&format!("mirror/{name}"), "edited by hand"),
        other => panic!("the tour knows no `{other}`"),
    }
}

#[test]
fn the_tour_shows_real_output() {
    let world = World::new();
    for n in 1..=12 {
        let name = format!("img{n:02}.jpg");
        world.origin.serve(&format!("/{name}"), picture(&name, 1));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/tour.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let mut told = String::new();
    let mut status = 0;
    let mut in_transcript = false;
    for line in page.lines() {
        if in_transcript && !line.starts_with("$ ") && !line.starts_with("```") {
            // The output in the page.
            continue;
        }
        let _ = writeln!(told, "{line}");
        match line {
            "```console" => in_transcript = true,
            "```" => in_transcript = false,
            _ => {}
        }
        if let Some(what) =
            line.strip_prefix("<!-- tour: ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            change(&world, what);
        }
        let Some(command) = line.strip_prefix("$ ").filter(|_| in_transcript) else { continue };
        let natsync = world.command();
        let program = natsync.get_program().to_str().unwrap().to_owned();
        let script = format!("natsync() {{ {program} \"$@\"; }}; (exit {status}); {command}");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]).current_dir(world.dir()).env_clear();
        shell.envs(natsync.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.env("NATSYNC_REWRITE", format!("{SITE}={}/", world.origin.base()));
        // Both streams as a terminal shows them.
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut child = shell.stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
        drop(shell);
        let mut printed = String::new();
        std::io::Read::read_to_string(&mut reader, &mut printed).unwrap();
        status = child.wait().unwrap().code().unwrap();
        told.push_str(&steady(&printed, &world));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&file, &told).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(
        written == told,
        "docs/tour.md is not what natsync prints; `UPDATE=1 cargo test the_tour_is` writes it anew:\n{told}"
    );
}
