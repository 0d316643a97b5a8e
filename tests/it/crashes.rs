//! Killed at any system call that writes: a path holds whole old bytes or whole new ones, and the next plain
//! run puts everything right.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use crate::world::{World, content};

const FILES: usize = 8;
/// No call is killed at more of its occurrences than these.
const MOST: usize = 60;

/// Small files and a larger one, in folders.
fn size(n: usize) -> usize {
    if n == 0 { 700_000 } else { 1000 + n }
}

fn path(n: usize) -> String {
    format!("{}/{n}.bin", n % 3)
}

fn bytes(n: usize, version: usize) -> Vec<u8> {
    content((version * 100 + n) as u64, size(n))
}

/// A world whose files are in some version, some of them already there.
struct Crashes {
    world: World,
    version: usize,
}

impl Crashes {
    fn new() -> Self {
        let world = World::new();
        world.set_manifest("natsync.yaml", &manifest(&world));
        let mut crashes = Self { world, version: 0 };
        crashes.change();
        crashes.world.apply().success();
        crashes
    }

    /// Every file changes upstream, and a folder of them is not there each time.
    fn change(&mut self) {
        self.version += 1;
        for n in 0..FILES {
            self.world.origin.serve(&format!("/{}", path(n)), bytes(n, self.version));
        }
        let gone = self.world.path("out").join((self.version % 3).to_string());
        let _ = std::fs::remove_dir_all(gone);
    }

    /// Whole old bytes, or whole new ones, and nothing else.
    #[track_caller]
    fn assert_whole(&self, which: &str) {
        let wanted: BTreeMap<_, _> = (0..FILES).map(|n| (path(n), n)).collect();
        for (path, got) in self.world.files("out") {
            let n = wanted.get(&path).unwrap_or_else(|| panic!("{which}: {path} is no entry"));
            let is_whole = got == bytes(*n, self.version) || got == bytes(*n, self.version - 1);
            assert!(is_whole, "{which}: {path} has {} bytes of neither version", got.len());
        }
    }

    #[track_caller]
    fn heal(&self, which: &str) {
        let run = self.world.apply();
        assert_eq!(run.status, 0, "{which}: {}", run.output());
        for n in 0..FILES {
            let got = self.world.read(&format!("out/{}", path(n)));
            assert!(got == bytes(n, self.version), "{which}: {} was not put right", path(n));
        }
        assert_eq!(self.world.partial_files(), [""; 0], "{which}");
        let other: Vec<_> = self
            .world
            .files("out/.natsync")
            .into_keys()
            .filter(|name| name.contains("corrupt"))
            .collect();
        assert_eq!(other, [""; 0], "{which}: the state was set aside");
    }
}

fn manifest(world: &World) -> String {
    let mut text = "http: {retries: 1}\nsources:\n  - files:\n".to_owned();
    for n in 0..FILES {
        let path = path(n);
        let url = world.origin.url(&format!("/{path}"));
        let _ = writeln!(text, "      - {{url: \"{url}\", path: \"{path}\"}}");
    }
    text
}

/// Whether system calls can be seen here; if not, a line says so.
fn is_traceable() -> bool {
    let mut strace = Command::new("strace");
    let is_there = strace.arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        // Written past the capture of the test harness, which would hide it.
        let _ = writeln!(std::io::stderr(), "skipped: strace is not installed");
    }
    is_there
}

/// Kills a run at each occurrence of a call, one after the other, until a run gets through.
fn killed_at(call: &str) {
    if !is_traceable() {
        return;
    }
    let mut crashes = Crashes::new();
    let mut kills = 0;
    for when in 1..=MOST {
        crashes.change();
        let which = format!("{call} {when}");
        let inject = format!("inject={call}:signal=KILL:when={when}");
        let status = crashes
            .world
            .command_under(
                "strace",
                &["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}"), "-e", &inject],
            )
            .args(["apply", "-q"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("strace runs");
        crashes.assert_whole(&which);
        crashes.heal(&which);
        if status.success() {
            break;
        }
        kills += 1;
    }
    assert!(0 < kills, "no run came to a {call}");
}

macro_rules! kills {
    ($($name:ident: $call:expr),+) => {
        $(#[test]
        fn $name() {
            killed_at($call);
        })+
    };
}

kills! {
    at_write: "write", at_pwrite: "pwrite64", at_receive: "recvfrom", at_syncfs: "syncfs",
    at_rename: "renameat2", at_replace: "renameat", at_mkdir: "mkdirat", at_open: "openat", at_utimens: "utimensat",
    at_close: "close", at_truncate: "ftruncate", at_stat: "newfstatat"
}

#[test]
fn at_random_moments() {
    let mut crashes = Crashes::new();
    let mut dice = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..60 {
        crashes.change();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let running = crashes.world.spawn(["apply", "-q"]);
        std::thread::sleep(Duration::from_micros(dice % 60_000));
        running.signal(Signal::KILL);
        running.wait();
        crashes.assert_whole(&format!("round {round}"));
        crashes.heal(&format!("round {round}"));
    }
}

/// The bytes are durable before they get their names, and names before the state tells of them: read from the
/// system calls of a real run.
#[test]
fn bytes_then_names_then_notes() {
    if !is_traceable() {
        return;
    }
    let mut crashes = Crashes::new();
    crashes.change();
    let trace = crashes.world.path("trace");
    let output = trace.display().to_string();
    let calls = "trace=syncfs,renameat,renameat2,pwrite64";
    let status = crashes
        .world
        .command_under("strace", &["-f", "-qq", "-y", "-o", &output, "-e", calls])
        .args(["apply", "-q"])
        .status()
        .expect("strace runs");
    assert!(status.success());
    let text = std::fs::read_to_string(trace).expect("the trace");
    let calls: Vec<_> = text.lines().filter(|line| !line.contains("resumed")).collect();
    let is = |line: &str, call: &str| line.contains(&format!(" {call}("));
    let renames: Vec<_> = (0..calls.len())
        .filter(|&at| is(calls[at], "renameat2") || is(calls[at], "renameat"))
        .collect();
    assert_eq!(renames.len(), FILES, "{text}");
    for &rename in &renames {
        assert!(calls[..rename].iter().any(|line| is(line, "syncfs")), "bytes first\n{text}");
        let note = calls[rename..]
            .iter()
            .position(|line| is(line, "pwrite64") && line.contains("state.db-wal"));
        let note = rename + note.expect("the state tells of it");
        assert!(calls[rename..note].iter().any(|line| is(line, "syncfs")), "names first\n{text}");
    }
}
