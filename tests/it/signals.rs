//! Signals, concurrent runs, and readers that close the output.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use natsync::{Event, Options, Stop, StopReason};
use rustix::process::Signal;

use crate::inside::run_until;
use crate::origin::{Answer, Gate, PATIENCE};
use crate::world::{World, numbered};

/// The time after a signal within which a process ends: two seconds by contract, and the time in
/// which a busy machine does not let it run.
const AFTER_SIGNAL: Duration = Duration::from_secs(10);

/// Ten files. The first three are served; the answers for the others stop in the middle of their
/// bodies.
fn held(gate: &Gate) -> World {
    let world = World::new().serve_numbered(10).manifest(
        "http: {connections: 4}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..10}}]\n",
    );
    for n in 4..=10 {
        world.origin.always(&format!("/{n}.txt"), Answer::file().gate_at(3, gate));
    }
    world
}

/// Waits until the first three files are served and all four connections wait. Four requests in
/// flight are not enough: they could include some of the first three.
#[track_caller]
fn wait_until_held(world: &World) {
    world.origin.wait_for(7);
    world.origin.wait_in_flight(4);
}

#[track_caller]
fn all_ten(world: &World) {
    let files = world.files("out");
    assert_eq!(files.len(), 10);
    for n in 1..=10 {
        assert_eq!(files[&format!("{n}.txt")], numbered(n).into_bytes());
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn a_signal_ends_a_run_in_good_order() {
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let gate = Gate::new();
        let world = held(&gate);
        let running = world.spawn(["apply", "--json"]);
        wait_until_held(&world);
        running.signal(signal);
        let run = running.wait_at_most(AFTER_SIGNAL).code(status);
        let summary = run.summary();
        assert_eq!((&summary["entries"], &summary["downloaded"]), (&10.into(), &3.into()));
        assert_eq!(world.names(), ["1.txt", "2.txt", "3.txt"]);
        assert_eq!(world.origin.requests().len(), 7, "nothing new was started");

        gate.open();
        world.origin.forget();
        assert_eq!(world.apply().success().counts(), "entries 10, downloaded 7, unchanged 3");
        all_ten(&world);
    }
}

#[test]
fn an_interrupted_run_of_very_many_entries_tells_them_all() {
    let (gate, stop) = (Gate::new(), Stop::default());
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..20000}"]);
    world.origin.everywhere(Answer::file().gate(&gate));
    let options = Options { jobs: Some(2), wait: true, ..Options::default() };
    let mut events = Vec::new();
    // Within two seconds after a signal, a process of a debug build on a busy machine cannot print
    // that many lines. The library has no such limit.
    let summary = std::thread::scope(|scope| {
        let run = scope.spawn(|| run_until(&world, &options, &stop, &mut events));
        world.origin.wait_in_flight(2);
        stop.request(StopReason::Interrupted);
        run.join().unwrap().unwrap()
    });
    gate.open();
    assert_eq!((summary.entries, summary.failed, summary.skipped), (20_000, 2, 19_998));
    let finished = events.iter().filter(|event| matches!(event, Event::Finished { .. })).count();
    assert_eq!(finished, 20_000);
}

#[test]
fn the_text_output_has_the_summary_of_an_interrupted_run() {
    let gate = Gate::new();
    let world = held(&gate);
    let running = world.spawn(["apply"]);
    wait_until_held(&world);
    running.signal(Signal::INT);
    let run = running.wait().code(130);
    assert!(run.stdout.contains("natsync") && run.stdout.contains('3'), "{}", run.output());
}

#[test]
fn a_hang_up_that_the_process_ignores_stays_ignored() {
    let gate = Gate::new();
    let world = held(&gate);
    let mut child = world
        .command_under("sh", &["-c", "trap '' HUP; exec \"$0\" apply"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until_held(&world);
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, Signal::HUP).unwrap();
    gate.open();
    assert!(child.wait().unwrap().success());
    all_ten(&world);
}

/// The process waits in a write that no signal interrupts, because its output is not read.
#[test]
fn a_signal_ends_a_run_whose_output_is_not_read() {
    const FULL: u64 = 60 * 1024;
    for (signal, status) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let world = World::new().source("http://127.0.0.1:1/{n}.txt", &["vars: {n: 1..5000}"]);
        let mut child = world
            .command()
            .args(["plan", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = child.stdout.take().unwrap();
        while rustix::io::ioctl_fionread(&output).unwrap() < FULL {
            std::thread::sleep(Duration::from_millis(5));
        }
        let asked = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).unwrap();
        let ended = child.wait().unwrap();
        assert!(asked.elapsed() < AFTER_SIGNAL, "{:?}", asked.elapsed());
        assert_eq!(ended.code(), Some(status));
        drop(output);
    }
}

#[test]
fn a_signal_interrupts_a_pause() {
    let world = World::new().source("$BASE/a.txt", &[]);
    world.origin.always("/a.txt", Answer::status(503).retry_after("60"));
    let running = world.spawn(["apply"]);
    world.origin.wait_for(1);
    running.signal(Signal::INT);
    running.wait_at_most(AFTER_SIGNAL).code(130);
}

#[test]
fn a_killed_run_leaves_no_partial_file_and_the_next_completes_it() {
    let gate = Gate::new();
    let world = held(&gate);
    let running = world.spawn(["apply"]);
    wait_until_held(&world);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().status, -9);
    for (name, bytes) in world.files("out") {
        let n: usize = name.trim_end_matches(".txt").parse().unwrap();
        assert_eq!(bytes, numbered(n).into_bytes(), "{name}");
    }
    gate.open();
    assert_eq!(world.apply().success().summary()["failed"], 0);
    all_ten(&world);
}

#[test]
fn a_second_run_of_a_destination_is_turned_away() {
    let gate = Gate::new();
    let world = held(&gate);
    let first = world.spawn(["apply"]);
    wait_until_held(&world);
    world.origin.forget();
    let second = world.run(["apply"]).code(4);
    assert!(second.stderr.contains("--wait"), "the way out is told\n{}", second.stderr);
    world.origin.assert_requests(&[]);
    gate.open();
    first.wait().success();
    all_ten(&world);
    world.run(["apply"]).success();
}

#[test]
fn a_second_run_can_wait_for_the_first() {
    let gate = Gate::new();
    let world = held(&gate);
    let first = world.spawn(["apply", "--json"]);
    wait_until_held(&world);
    let mut second = world.spawn_waiting(["apply", "--json", "--wait"]);
    assert!(second.is_running());
    gate.open();
    assert_eq!(first.wait().success().counts(), "entries 10, downloaded 10");
    assert_eq!(second.wait().success().counts(), "entries 10, unchanged 10");
}

#[test]
fn a_waiting_run_can_be_interrupted() {
    let gate = Gate::new();
    let world = held(&gate);
    let first = world.spawn(["apply"]);
    wait_until_held(&world);
    let second = world.spawn_waiting(["apply", "--wait"]);
    second.signal(Signal::TERM);
    second.wait_at_most(AFTER_SIGNAL).code(143);
    gate.open();
    first.wait().success();
}

#[test]
fn a_run_that_was_killed_holds_nothing() {
    let gate = Gate::new();
    let world = held(&gate);
    let first = world.spawn(["apply"]);
    wait_until_held(&world);
    first.signal(Signal::KILL);
    first.wait();
    gate.open();
    world.run(["apply"]).success();
}

#[test]
fn two_destinations_are_run_side_by_side() {
    let gate = Gate::new();
    let world = held(&gate);
    let first = world.spawn(["apply"]);
    wait_until_held(&world);
    world.run(["apply", "--dest", "other", "--only", "[123].txt"]).success();
    gate.open();
    first.wait().success();
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_work() {
    for args in [&["apply", "--json"][..], &["apply", "-v"]] {
        let world =
            World::new().serve_numbered(200).source("$BASE/{n}.txt", &["vars: {n: 1..200}"]);
        let mut child = world
            .command()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert!(
            !stderr.contains("panic") && !stderr.to_lowercase().contains("broken pipe"),
            "{stderr}"
        );
        assert_eq!(child.wait().unwrap().code(), Some(0), "{args:?}: {stderr}");
        assert_eq!(world.names().len(), 200);
    }
}

#[test]
fn a_plan_whose_reader_goes_away_ends_quietly() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..20000}"]);
    let mut child = world
        .command()
        .args(["plan", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut begin = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut begin).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (String::from_utf8_lossy(&output.stderr).as_ref(), output.status.code()),
        ("", Some(0))
    );
}

/// A signal in the phases without transfers.
#[test]
fn a_signal_is_heard_in_every_phase() {
    // A checksum list that does not arrive.
    let gate = Gate::new();
    let world = World::new()
        .serve("/a.txt", "file a")
        .source("$BASE/a.txt", &["checksums: {url: $BASE/SUMS}"]);
    world.origin.serve("/SUMS", "");
    world.origin.always("/SUMS", Answer::file().gate(&gate));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(1);
    ends_soon(running, 130);
    gate.open();

    // A file that takes long to read.
    for args in [&["verify", "--json"][..], &["apply", "--json", "--rehash"]] {
        let world = World::new().serve("/a.txt", "file a").source("$BASE/a.txt", &[]);
        world.run(["lock"]).success();
        let file = std::fs::File::options().write(true).open(world.path("out/a.txt")).unwrap();
        file.set_len(1 << 38).unwrap();
        // The lock gets the same length; otherwise the file would differ without being read.
        let lock = String::from_utf8(world.read("natsync.lock")).unwrap();
        let lock = lock.replace("\"size\":6,", &format!("\"size\":{},", 1_u64 << 38));
        world.write("natsync.lock", lock);
        let running = world.spawn(args);
        running.wait_until_it_reads("a.txt");
        ends_soon(running, 130);
    }

    // A server that never answers a TLS handshake.
    let world = World::new();
    let full = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = full.local_addr().unwrap().port();
    world.set_manifest(
        "natsync.yaml",
        &format!("sources: [{{url: \"https://127.0.0.1:{port}/a.txt\"}}]\n"),
    );
    let running = world.spawn(["apply", "--json"]);
    // The client connects, but its ClientHello gets no answer.
    let _stream = full.accept().unwrap();
    ends_soon(running, 130);
}

#[track_caller]
fn ends_soon(running: crate::world::Running, status: i32) {
    running.signal(Signal::INT);
    running.wait_at_most(AFTER_SIGNAL).code(status);
}

/// A run that blocks on writing, because its output is not read, ends at the second signal.
#[test]
fn a_second_signal_ends_at_once() {
    let world = World::new().source("$BASE/{n}.txt", &["vars: {n: 1..20000}"]);
    let mut child = world
        .command()
        .args(["plan", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The run has started to write, and will fill the pipe.
    let mut begin = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut begin).unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < end, "signals do not end it");
        // Signals that arrive together count as one, so the second is sent after a pause.
        let _ = rustix::process::kill_process(pid, Signal::INT);
        std::thread::sleep(Duration::from_millis(200));
    };
    assert_eq!(status.code(), Some(130));
}
