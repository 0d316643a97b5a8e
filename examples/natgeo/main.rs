//! Runs `manifests/natgeo.yaml`, unmodified, against a local server: `cargo run --example natgeo`.
//!
//! The host in the manifest no longer exists. This program starts an origin on loopback instead,
//! which serves pictures for 308 of the 338 URLs and answers 404 for the other 30, and sends
//! natsync's requests there (`--rewrite`). It runs `plan` once and `apply` three times. After each
//! run it checks the directory and the requests that the origin received. At the end it writes the
//! HTML report.

#![allow(
    clippy::disallowed_methods,
    reason = "a program of its own, with files, variables and a clock"
)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a demo talks to its user")]

mod origin;
mod picture;

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode};

use origin::{Answer, Origin};
use picture::Picture;

const MANIFEST: &str = "manifests/natgeo.yaml";
const DECLARED: &str = "http://ngm.nationalgeographic.com/";
const DEST: &str = "target/demo/natgeo";
const PAGE: &str = "target/demo/natgeo.html";

/// The weeks of the manifest, as month and day.
const WEEKS: [(i8, i8); 13] = [
    (8, 17),
    (8, 24),
    (8, 31),
    (9, 7),
    (9, 14),
    (9, 21),
    (9, 28),
    (10, 5),
    (10, 13),
    (10, 19),
    (10, 26),
    (11, 2),
    (11, 9),
];
const NUMBERS: u8 = 26;

fn main() -> ExitCode {
    if let Some(code) = restart_in_clean_environment() {
        return code;
    }
    match demo() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("\nthe demo stopped: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), String> {
    env::set_current_dir(env!("CARGO_MANIFEST_DIR")).map_err(|error| error.to_string())?;
    remove_dir(Path::new(DEST)).map_err(|error| format!("cannot remove `{DEST}`: {error}"))?;

    let mut upstream = collection();
    let origin = Origin::start(&upstream).map_err(|error| error.to_string())?;
    let rewrite = format!("{DECLARED}={}", origin.url());
    let apply = ["apply", MANIFEST, "--dest", DEST, "--rewrite", &rewrite];

    say(&format!(
        "An origin on loopback, {}, has {} of the 338 pictures.",
        origin.url(),
        upstream.len()
    ));

    natsync(&["plan", MANIFEST, "--dest", DEST])?;
    ensure(origin.take_log().is_empty(), "a plan makes no requests")?;
    ensure(!Path::new(DEST).exists(), "a plan writes nothing")?;

    natsync(&apply)?;
    let log = origin.take_log();
    let bodies = paths_with_status(&log, 200);
    let expected: Vec<String> = upstream.keys().cloned().collect();
    ensure(bodies == expected, "the first apply fetches each picture, each once")?;
    ensure(
        paths_with_status(&log, 404).len() == 338 - upstream.len(),
        "each missing picture is requested once",
    )?;
    ensure_mirrored(&origin, &upstream)?;

    natsync(&apply)?;
    let log = origin.take_log();
    ensure(paths_with_status(&log, 200).is_empty(), "the second apply fetches nothing")?;
    ensure(paths_with_status(&log, 304) == expected, "the origin says that nothing changed")?;
    ensure_mirrored(&origin, &upstream)?;

    let changed = Picture { month: 9, day: 21, number: 7, version: 2 };
    let deleted = Picture { month: 10, day: 19, number: 3, version: 1 };
    say(&format!(
        "Now {} changes upstream, and {} is deleted here.",
        changed.file_name(),
        deleted.file_name()
    ));
    origin.publish(changed);
    upstream.insert(changed.url_path(), changed);
    fs::remove_file(Path::new(DEST).join(deleted.file_name()))
        .map_err(|error| format!("cannot delete `{}`: {error}", deleted.file_name()))?;

    natsync(&apply)?;
    let bodies = origin.take_log();
    let bodies = paths_with_status(&bodies, 200);
    ensure(
        bodies == [changed.url_path(), deleted.url_path()],
        "the third apply fetches just these two",
    )?;
    ensure_mirrored(&origin, &upstream)?;

    say(&format!(
        "The origin sent {}, then 0, then 2 pictures, and the directory equals upstream.",
        expected.len(),
    ));
    natsync(&["report", MANIFEST, "--dest", DEST, "--html", PAGE])?;
    say(&format!("Look at it: {PAGE}"));
    Ok(())
}

/// The pictures on the origin. Some weeks have a few less than 26.
fn collection() -> BTreeMap<String, Picture> {
    let weeks = (0u8..).zip(WEEKS);
    weeks
        .flat_map(|(index, (month, day))| {
            let last = NUMBERS - index * 5 % 6;
            (1..=last).map(move |number| Picture { month, day, number, version: 1 })
        })
        .map(|picture| (picture.url_path(), picture))
        .collect()
}

/// Runs natsync in this process, exactly as its binary does.
fn natsync(arguments: &[&str]) -> Result<(), String> {
    say(&format!("$ natsync {}", arguments.join(" ")));
    let arguments = ["natsync"].iter().chain(arguments).map(OsString::from);
    let code = natsync::run(arguments);
    if code == ExitCode::SUCCESS { Ok(()) } else { Err("natsync did not succeed".to_owned()) }
}

fn say(text: &str) {
    println!("\n{text}");
    // This text must appear before natsync's output. An error here recurs in the next `println`.
    let _ = io::stdout().flush();
}

fn ensure(held: bool, promise: &str) -> Result<(), String> {
    if held { Ok(()) } else { Err(format!("this did not hold: {promise}")) }
}

/// The paths answered with this status, sorted.
fn paths_with_status(log: &[Answer], status: u16) -> Vec<&str> {
    let chosen = log.iter().filter(|answer| answer.status == status);
    let mut paths: Vec<&str> = chosen.map(|answer| answer.path.as_str()).collect();
    paths.sort_unstable();
    paths
}

/// Checks that the directory has exactly the files of the origin, byte by byte. Natsync's own
/// folder `.natsync` does not count.
fn ensure_mirrored(origin: &Origin, upstream: &BTreeMap<String, Picture>) -> Result<(), String> {
    let names = fs::read_dir(DEST)
        .and_then(|entries| {
            entries.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>, _>>()
        })
        .map_err(|error| format!("cannot read `{DEST}`: {error}"))?;
    let count = names.iter().filter(|name| *name != ".natsync").count();
    ensure(count == upstream.len(), "there is one file for each picture upstream")?;
    for picture in upstream.values() {
        let name = picture.file_name();
        let bytes = fs::read(Path::new(DEST).join(&name))
            .map_err(|error| format!("cannot read `{name}`: {error}"))?;
        ensure(bytes == *origin.body(*picture), &format!("`{name}` is what upstream has"))?;
    }
    Ok(())
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// The demo must not depend on variables for natsync or a proxy in the user's environment. Removing
/// variables from the own process is `unsafe`, so the program starts itself again without them.
fn restart_in_clean_environment() -> Option<ExitCode> {
    let disturbs = |name: &OsString| {
        let name = name.to_string_lossy().to_ascii_uppercase();
        name.starts_with("NATSYNC_") || name.ends_with("_PROXY")
    };
    let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).filter(disturbs).collect();
    if names.is_empty() {
        return None;
    }
    let mut command = Command::new(env::current_exe().ok()?);
    for name in &names {
        command.env_remove(name);
    }
    let succeeded = command.status().is_ok_and(|status| status.success());
    Some(if succeeded { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
