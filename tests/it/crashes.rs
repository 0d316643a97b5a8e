//! Kills runs at each system call, and at random moments.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;

use crate::dice::Dice;
use crate::reference::{FILES, Reference, is_traceable};

/// The maximum number of occurrences of a system call at which runs are killed.
const MOST: usize = 60;

/// Kills one run at each occurrence of a call, until a run has no further occurrence and succeeds.
fn killed_at(call: &str, locks: bool) {
    if !is_traceable() {
        return;
    }
    let mut reference = Reference::new(locks);
    let mut kills = 0;
    for when in 1..=MOST {
        reference.change();
        let which = format!("{call} {when}");
        let output = reference.run_injected(call, &format!("signal=KILL:when={when}"));
        reference.assert_whole(&which);
        if output.status.success() {
            break;
        }
        reference.heal(&which);
        kills += 1;
    }
    assert!(0 < kills, "no run came to a {call}");
}

macro_rules! kills {
    ($($name:ident: $call:expr, $locks:expr;)+) => {
        $(#[test]
        fn $name() {
            killed_at($call, $locks);
        })+
    };
}

kills! {
    at_write: "write", true;
    at_pwrite: "pwrite64", false;
    at_pread: "pread64", false;
    at_read: "read", true;
    at_receive: "recvfrom", false;
    at_send: "writev,sendto,sendmsg", false;
    at_syncfs: "syncfs", true;
    at_fsync: "fsync,fdatasync", true;
    at_rename: "renameat2", false;
    at_replace: "renameat,rename", true;
    at_mkdir: "mkdirat", false;
    at_walk: "getdents64", false;
    at_connect: "socket,connect", false;
    at_open: "openat", true;
    at_unlink: "unlinkat,unlink", false;
    at_utimens: "utimensat", false;
    at_close: "close", false;
    at_truncate: "ftruncate", false;
    at_stat: "newfstatat,statx", false;
    at_lock: "fcntl,flock", true;
    at_wait: "epoll_wait", true;
    at_wake: "futex", false;
}

#[test]
fn at_random_moments() {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for locks in [false, true] {
        let mut reference = Reference::new(locks);
        for round in 0..40 {
            reference.change();
            let running = reference.world.spawn(reference.args());
            std::thread::sleep(Duration::from_micros(dice.roll(60_000) as u64));
            running.signal(Signal::KILL);
            running.wait();
            reference.assert_whole(&format!("round {round}"));
            reference.heal(&format!("round {round}"));
        }
    }
}

/// Checks in the system calls of a run that bytes are durable before the rename, and names before
/// the state records them.
#[test]
fn bytes_are_durable_before_names_and_names_before_the_state() {
    if !is_traceable() {
        return;
    }
    let mut reference = Reference::new(false);
    reference.change();
    let trace = reference.world.path("trace");
    let output = trace.display().to_string();
    let calls = "trace=syncfs,renameat,renameat2,pwrite64";
    let status = reference
        .world
        .command_under("strace", &["-f", "-qq", "-y", "-o", &output, "-e", calls])
        .args(reference.args())
        .stdout(Stdio::null())
        .status()
        .expect("strace runs");
    assert!(status.success());
    let text = std::fs::read_to_string(trace).expect("the trace");
    let calls: Vec<_> = text.lines().filter(|line| !line.contains("resumed")).collect();
    let is = |line: &str, call: &str| line.contains(&format!(" {call}("));
    let renames: Vec<_> = (0..calls.len())
        .filter(|&at| is(calls[at], "renameat2") || is(calls[at], "renameat"))
        .collect();
    assert_eq!(renames.len(), FILES - 1, "{text}");
    for &rename in &renames {
        assert!(calls[..rename].iter().any(|line| is(line, "syncfs")), "bytes first\n{text}");
        let note = calls[rename..]
            .iter()
            .position(|line| is(line, "pwrite64") && line.contains("state.db-wal"));
        let note = rename + note.expect("the state tells of it");
        assert!(calls[rename..note].iter().any(|line| is(line, "syncfs")), "names first\n{text}");
    }
}
