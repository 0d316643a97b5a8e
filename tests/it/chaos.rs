//! Chaos: random faults, changes upstream, kills and signals over several runs, with segments.
//!
//! Each seed is a history: runs that are killed, interrupted or left alone, against an origin that
//! answers by dice. After each run, every file has the bytes of a version that the origin had;
//! at the end a run without faults heals everything. `NATSYNC_CHAOS=20` plays the first 20 seeds
//! instead of those in the normal run of the tests.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::dice::Dice;
use crate::origin::{Answer, Request};
use crate::world::{World, content, sha256_of};

const FILES: usize = 2000;
/// One file in this many is large enough for segments.
const LARGE: usize = 50;

/// The content of a file in its version.
fn bytes(n: usize, version: u64) -> Vec<u8> {
    let seed = (n as u64) << 8 | version;
    let size = if n.is_multiple_of(LARGE) { 300_000 + n * 100 } else { 1000 + n % 3000 };
    content(seed + 1, size)
}

fn path(n: usize) -> String {
    format!("{n}.bin")
}

/// One answer in six is a fault.
fn fault(dice: &mut Dice, request: &Request) -> Option<Answer> {
    if request.path() == "/SUMS" || dice.roll(6) != 0 {
        return None;
    }
    let at = dice.roll(200_000);
    let ranged = request.header("range").is_some();
    Some(match dice.roll(18) {
        0 => Answer::status(500),
        1 => Answer::status(503),
        2 => Answer::status(503).retry_after("0"),
        3 => Answer::status(429).retry_after("0"),
        4 => Answer::status(408),
        5 => Answer::file().cut_at(at),
        6 => Answer::file().cut_at(at % 1000),
        7 => Answer::file().rst_at(at),
        8 => Answer::close(),
        9 => Answer::file().stall_at(at % 3000),
        10 => Answer::file().no_final_chunk(),
        11 => Answer::file().close_after(),
        12 => Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        13 => Answer::file().chunked(),
        14 => Answer::file().drip(40_000, Duration::from_millis(2)),
        15 if ranged => Answer::status(416),
        16 if ranged => Answer::status(400),
        17 if ranged => Answer::status(404),
        _ => Answer::file().delay(Duration::from_millis(10)),
    })
}

/// A signal that is sent when the origin has got that many more requests.
#[derive(Default)]
struct Fuse {
    left: usize,
    signal: Option<Signal>,
    process: Option<Pid>,
}

impl Fuse {
    fn burn(&mut self) {
        self.left = self.left.saturating_sub(1);
        if self.left == 0
            && let (Some(process), Some(signal)) = (self.process, self.signal)
        {
            // The process may have ended by itself.
            let _ = kill_process(process, signal);
            self.signal = None;
        }
    }
}

/// The origin's versions of each file, the last one being the current one.
type Versions = Vec<Vec<u64>>;

fn chaos(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let world = World::new().manifest(&format!(
        "http: {{retries: 6, stall_timeout: 300ms, segments: 4, segment_min_size: 64KiB}}\nsources:\n  - {{url: \"$BASE/{{n}}.bin\", vars: {{n: 1..{}}}}}\n  - {{url: \"$BASE/{{n}}.bin\", vars: {{n: {}..{FILES}}}, checksums: {{url: $BASE/SUMS}}}}\n",
        FILES / 2,
        FILES / 2 + 1,
    ));
    let mut versions: Versions = vec![vec![0]; FILES + 1];
    for n in 1..=FILES {
        world.origin.serve(&format!("/{}", path(n)), bytes(n, 0));
    }
    publish_sums(&world, &versions);
    let fuse = Arc::<Mutex<Fuse>>::default();
    let (mut faults, burning) = (Dice(seed | 1), Arc::clone(&fuse));
    world.origin.decide(move |request| {
        burning.lock().unwrap().burn();
        fault(&mut faults, request)
    });
    for round in 0..4 {
        let which = format!("seed {seed}, round {round}");
        let end = [Some(Signal::KILL), Some(Signal::INT), Some(Signal::TERM), None][dice.roll(4)];
        *fuse.lock().unwrap() = Fuse { left: 1 + dice.roll(FILES), signal: end, process: None };
        let running = world.spawn(["apply", "--json"]);
        fuse.lock().unwrap().process = Some(running.process());
        let run = running.wait();
        let sent = end.filter(|_| fuse.lock().unwrap().signal.is_none());
        let expected: &[i32] = match sent {
            Some(Signal::KILL) => &[-9, 0, 1],
            Some(Signal::INT) => &[130, 0, 1],
            Some(_) => &[143, 0, 1],
            None => &[0, 1],
        };
        assert!(expected.contains(&run.status), "{which}: {}\n{}", run.status, run.stderr);
        if run.status != -9 {
            assert_eq!(run.summary()["entries"], FILES, "{which}");
        }
        are_versions(&world, &versions, &which);
        for _ in 0..dice.roll(60) {
            let n = 1 + dice.roll(FILES);
            let next = versions[n].len() as u64;
            versions[n].push(next);
            world.origin.serve(&format!("/{}", path(n)), bytes(n, next));
        }
        publish_sums(&world, &versions);
    }
    world.origin.behave();
    let which = format!("seed {seed}, the last run");
    let run = world.run(["apply", "--json"]);
    assert_eq!(run.status, 0, "{which}: {}", run.stderr);
    for (n, current) in current(&versions) {
        assert!(world.read(&format!("out/{}", path(n))) == bytes(n, current), "{which}: {n}");
    }
    assert_eq!(world.partial_files(), [""; 0], "{which}");
    let run = world.run(["apply", "--json"]).success();
    assert_eq!(run.summary()["downloaded"], 0, "{which}: the next run downloads nothing");
}

/// The files with their current versions.
fn current(versions: &Versions) -> impl Iterator<Item = (usize, u64)> {
    let of = |versions: &Vec<u64>| *versions.last().expect("the first version");
    versions.iter().map(of).enumerate().skip(1)
}

fn publish_sums(world: &World, versions: &Versions) {
    let mut sums = String::new();
    for (n, current) in current(versions).skip(FILES / 2) {
        let digest = sha256_of(bytes(n, current));
        let _ = writeln!(sums, "{digest}  {}", path(n));
    }
    world.origin.serve("/SUMS", sums);
}

/// Every file in the destination has the bytes of one of its versions.
#[track_caller]
fn are_versions(world: &World, versions: &Versions, which: &str) {
    if !world.exists("out") {
        return;
    }
    for (name, found) in world.files("out") {
        if name.starts_with(".natsync") {
            continue;
        }
        let n: usize = name.trim_end_matches(".bin").parse().expect("a file of the manifest");
        assert!(
            versions[n].iter().any(|&version| bytes(n, version) == found),
            "{which}: {name} has {} bytes that no version has",
            found.len()
        );
    }
}

/// Most of the time of a run is waiting, so several histories are played side by side.
const ASIDE: u64 = 4;

#[test]
fn runs_under_chaos_leave_no_wrong_byte_and_the_next_run_heals() {
    let count = std::env::var("NATSYNC_CHAOS").ok().and_then(|count| count.parse().ok());
    let count: u64 = count.unwrap_or(ASIDE);
    std::thread::scope(|scope| {
        for first in 1..=ASIDE {
            scope.spawn(move || {
                let step = usize::try_from(ASIDE).expect("a small number");
                (first..=count).step_by(step).for_each(chaos);
            });
        }
    });
}
