//! Disks that are full, failing or read-only: a run reports it and damages nothing, and the next
//! run with a working disk completes the work.

use crate::reference::{Reference, is_traceable};
use crate::world::side_by_side;

/// Runs in which a system call fails at these occurrences (`3`: the third, `3+`: the third and all
/// later ones), each followed by a normal run.
fn failing(calls: &str, error: &str, whens: &[&str]) {
    if !is_traceable() {
        return;
    }
    let mut reference = Reference::new(calls.contains("write") || calls.contains("rename"));
    for when in whens {
        reference.change();
        let which = format!("{calls} {error} {when}");
        let output = reference.run_injected(calls, &format!("error={error}:when={when}"));
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!stderr.contains("panicked"), "{which}: {stderr}");
        let status = output.status.code();
        reference.assert_whole(&which);
        if stderr.contains("the state is begun anew") {
            reference.is_lost();
        }
        let is_sync = calls.starts_with("syncfs");
        match status {
            // The bytes were already durable. The run warns that names may not be, and does not
            // record them in the state.
            Some(0) if is_sync => assert!(
                stderr.contains("the state cannot be written"),
                "{which}: what is not durable counts as done: {stderr}"
            ),
            Some(0) => reference.assert_in_sync(&which),
            // 127: the program could not even be loaded.
            Some(1 | 2 | 4 | 5 | 127) => {
                // If `write` fails, the message cannot be written either.
                assert!(
                    !stderr.is_empty() || calls == "write",
                    "{which}: without a word: {stdout}"
                );
            }
            // Injected faults also hit the `write` by which the event loop wakes itself, which
            // never fails in reality. The loop then panics or sleeps for ever.
            None if calls == "write" => {}
            Some(70)
                if calls == "write"
                    && (stderr.contains("io/driver.rs") || !stderr.contains(".rs")) => {}
            other => panic!("{which}: exit {other:?}: {stdout}{stderr}"),
        }
        reference.heal(&which);
    }
}

macro_rules! failing {
    ($($name:ident: $calls:expr, [$($error:expr),+], $whens:expr;)+) => {
        $(#[test]
        fn $name() {
            side_by_side([$($error),+], |error| failing($calls, error, $whens));
        })+
    };
}

failing! {
    at_write: "write", ["ENOSPC", "EDQUOT", "EIO"], &["1", "2", "3", "5", "8"];
    at_pwrite: "pwrite64", ["ENOSPC", "EIO"], &["1", "2", "4", "7", "1+", "4+"];
    at_sync: "syncfs,fsync,fdatasync", ["EIO", "ENOSPC", "EDQUOT"], &["1", "2", "3", "1+", "2+"];
    at_rename: "renameat,renameat2,rename", ["EIO", "ENOSPC", "EROFS", "EXDEV"], &["1", "3", "1+"];
    at_mkdir: "mkdirat,mkdir", ["ENOSPC", "EROFS", "EACCES"], &["1", "1+"];
    at_open: "openat", ["EMFILE", "ENFILE", "EROFS", "EIO", "ENOSPC", "EINTR"], &["9", "12", "14", "17", "20", "23"];
    at_stat: "newfstatat,statx", ["EIO", "EACCES"], &["4", "7", "10", "15", "20", "24"];
    at_read: "read,pread64", ["EIO", "EINTR"], &["8", "11", "15", "19", "24"];
    at_list: "getdents64", ["EIO"], &["1", "2", "1+"];
    at_truncate: "ftruncate,fallocate", ["ENOSPC", "EFBIG"], &["1", "2", "1+"];
    at_times: "utimensat", ["EPERM", "EIO"], &["1", "1+"];
    at_unlink: "unlinkat,unlink", ["EIO", "EROFS"], &["1", "1+"];
    at_lock: "fcntl,flock", ["ENOLCK", "EIO"], &["1", "2", "5", "9"];
    at_socket: "socket", ["EMFILE", "ENOBUFS"], &["1", "1+"];
    at_connect: "connect", ["EADDRNOTAVAIL", "ENETUNREACH"], &["1", "1+"];
    at_receive: "recvfrom", ["EIO", "ECONNRESET"], &["1", "4", "1+"];
    at_send: "writev,sendto,sendmsg", ["EIO", "EPIPE"], &["1", "4", "1+"];
}
