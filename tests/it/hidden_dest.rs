//! A value from the environment in `dest` is printed and stored nowhere: not in messages of
//! destinations that are busy or cannot be used, and not in natsync's own files.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::origin::Answer;
use crate::world::World;

const SECRET: &str = "cnry-dest-7f3a";

fn world() -> World {
    let world = World::new()
        .env("WHERE", SECRET)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", "summary.md")
        .serve_numbered(3);
    world.set_manifest(
        "natsync.yaml",
        "name: m\ndest: ${WHERE}/out\nsources:\n  - {url: \"$BASE/{n}.txt\", vars: {n: 1..3}}\n",
    );
    world
}

fn dest(world: &World) -> PathBuf {
    world.path(SECRET).join("out")
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] })
        .collect()
}

/// Runs a command, and searches its output and all files for the value. Returns the exit status.
#[track_caller]
fn run(world: &World, args: &[&str]) -> i32 {
    let run = world.run(args);
    assert!(!run.output().contains(SECRET), "{args:?}: {}", run.output());
    for file in files(world.dir()) {
        let bytes = fs::read(&file).expect("the file can be read");
        let has = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!has, "{args:?}: {}", file.display());
    }
    run.status
}

const COMMANDS: [&[&str]; 22] = [
    &["plan", "-v"],
    &["plan", "--json", "-v"],
    &["apply", "-v"],
    &["apply", "--json", "-v"],
    &["plan", "--refresh", "--out", "saved.plan"],
    &["apply", "--plan", "saved.plan"],
    &["apply", "--force", "--junit", "j.xml", "--metrics", "m.prom", "--failed", "f.jsonl"],
    &["apply", "--retry", "f.jsonl", "-v"],
    &["apply", "--prune", "-v"],
    &["apply", "--rehash"],
    &["lock", "-v"],
    &["lock", "--json"],
    &["lock", "--check"],
    &["verify", "-v"],
    &["verify", "--json"],
    &["explain", "natsync.yaml", "1.txt"],
    &["explain", "natsync.yaml", "1.txt", "--json"],
    &["report", "--html", "page.html"],
    &["list", "--json"],
    &["list", "--format", "aria2"],
    &["list", "--format", "sha256sums"],
    &["list", "--format", "metalink"],
];

#[test]
fn no_command_prints_or_stores_it() {
    let world = world();
    for args in COMMANDS {
        let status = run(&world, args);
        assert!(status == 0 || args.contains(&"--retry"), "{args:?}: {status}");
    }
    world.origin.everywhere(Answer::status(500));
    world.delete(&format!("{SECRET}/out/2.txt"));
    assert_eq!(run(&world, &["apply", "-v", "--retries", "0", "--junit", "j.xml"]), 1);
}

#[test]
fn a_busy_destination_does_not_print_it() {
    let world = world();
    assert_eq!(run(&world, &["apply"]), 0);
    let guard = File::open(dest(&world).join(".natsync/run.lock")).unwrap();
    guard.lock().unwrap();
    for args in [&["apply"][..], &["apply", "--json"], &["lock"], &["lock", "--json"]] {
        let busy = world.run(args);
        assert_eq!(run(&world, args), 4, "{args:?}");
        assert!(busy.output().contains("${WHERE}/out"), "{}", busy.output());
    }
}

#[test]
fn an_unusable_destination_does_not_print_it() {
    let folder = |path: PathBuf| {
        fs::create_dir_all(path.join("x")).unwrap();
    };
    let file = |path: PathBuf| {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    };
    for (case, status) in [
        ("parent", Some(5)),
        ("dest", Some(5)),
        ("control", Some(5)),
        ("partial", Some(5)),
        ("run.lock", Some(5)),
        ("state", None),
        ("damaged", None),
        ("log", None),
        ("entry", Some(1)),
    ] {
        let world = world();
        let dest = dest(&world);
        match case {
            "parent" => file(world.path(SECRET)),
            "dest" => file(dest),
            "control" => file(dest.join(".natsync")),
            "partial" => file(dest.join(".natsync/partial")),
            "run.lock" => folder(dest.join(".natsync/run.lock")),
            "state" => folder(dest.join(".natsync/state.db")),
            "damaged" => file(dest.join(".natsync/state.db")),
            "log" => folder(dest.join(".natsync/state.db-wal")),
            _ => folder(dest.join("1.txt")),
        }
        for args in [
            &["plan"][..],
            &["verify"],
            &["explain", "natsync.yaml", "1.txt"],
            &["report", "--html", "page.html"],
            &["apply"],
            &["apply", "--json"],
            &["lock"],
        ] {
            let got = run(&world, args);
            if let Some(status) = status
                && args[0] == "apply"
            {
                assert_eq!(got, status, "{case}: {args:?}");
            }
        }
    }
}

#[test]
fn a_destination_that_was_moved_is_known_without_it() {
    let world = world();
    assert_eq!(run(&world, &["apply"]), 0);
    fs::rename(world.path(SECRET), world.path("moved")).unwrap();
    world.set_manifest(
        "natsync.yaml",
        "name: m\ndest: moved/out\nsources:\n  - {url: \"$BASE/{n}.txt\", vars: {n: 1..2}}\n",
    );
    let refused = world.run(["apply", "--prune"]).code(1);
    assert!(refused.output().contains("not where it was"), "{}", refused.output());
    world.run(["apply", "--prune"]).success();
    assert!(!world.exists("moved/out/3.txt"));
}
