//! Jobs of shards under kills, full disks, damage and runs of others at the wrong moment. Whatever
//! happens, the message says what to do, and after it was done all is as declared.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Output;

use rustix::process::Signal;

use crate::origin::{Answer, Gate};
use crate::reference::is_traceable;
use crate::shards::{control, job, numbered_files, run, spawn};
use crate::world::World;

/// A command under strace, which disturbs some of its system calls.
fn injected(world: &World, args: &[&str], calls: &str, inject: &str) -> Output {
    let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:{inject}"));
    let under =
        ["-s", "KILL", "60", "strace", "-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject];
    world.command_under("timeout", &under).args(args).output().expect("strace runs")
}

/// Files whose content changes, and their lock.
fn change(world: &World, version: usize) {
    for n in 1..=FILES {
        world.origin.serve(&format!("/{n}.txt"), format!("{version} of {n}"));
    }
}

const FILES: usize = 12;

/// All files and their pins are of this version, and nothing of a job is left.
#[track_caller]
fn assert_done(world: &World, version: usize, which: &str) {
    for n in 1..=FILES {
        assert_eq!(
            world.read(&format!("out/{n}.txt")),
            format!("{version} of {n}").as_bytes(),
            "{which}"
        );
    }
    assert!(!world.exists("out/.natsync/shards"), "{which}");
    world.origin.forget();
    let counts = world.apply().success().counts();
    assert_eq!(counts, format!("entries {FILES}, kept {FILES}"), "{which}");
    world.origin.assert_requests(&[]);
}

const UPGRADE: [&str; 3] = ["lock", "--upgrade", "--json"];

/// Merges that are disturbed at each occurrence of a call, and then repeated.
fn disturbed_merges(calls: &str, inject: &str, most: usize) {
    if !is_traceable() {
        return;
    }
    let world = numbered_files(FILES, &[]);
    change(&world, 0);
    world.run(UPGRADE).success();
    let mut disturbed = 0;
    for when in 1..=most {
        let which = format!("{calls} {inject} {when}");
        change(&world, when);
        for done in job(&world, &UPGRADE, 2) {
            done.success();
        }
        let output =
            injected(&world, &["merge", "--json"], calls, &format!("{inject}:when={when}"));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!stderr.contains("panicked"), "{which}: {stderr}");
        let status = output.status.code();
        assert!(matches!(status, None | Some(0 | 1 | 2 | 4 | 5)), "{which}: {status:?} {stderr}");
        if status != Some(0) {
            disturbed += 1;
            assert!(status.is_none() || !stderr.is_empty(), "{which}: without a word");
        }
        let again = world.run(["merge", "--json"]);
        // The results may be merged already, and their folders removed.
        let was_merged = again.stderr.contains("no shard has run");
        assert!(again.status == 0 || was_merged, "{which}: {stderr}\n{}", again.output());
        if status != Some(0) && again.status == 0 {
            assert_eq!(again.summary()["entries"], FILES, "{which}");
        }
        let _ = std::fs::remove_dir_all(world.path("out/.natsync/shards"));
        assert_done(&world, when, &which);
    }
    assert!(0 < disturbed, "no merge came to {calls}");
}

#[test]
fn a_merge_killed_at_a_rename_is_repeated() {
    disturbed_merges("rename,renameat,renameat2", "signal=KILL", 4);
}

#[test]
fn a_merge_killed_at_a_removal_is_repeated() {
    disturbed_merges("unlink,unlinkat,rmdir", "signal=KILL", 12);
}

#[test]
fn a_merge_killed_at_a_write_is_repeated() {
    disturbed_merges("pwrite64", "signal=KILL", 10);
}

#[test]
fn a_merge_on_a_full_disk_is_repeated() {
    for calls in ["pwrite64", "write", "fsync,fdatasync", "rename,renameat,renameat2"] {
        disturbed_merges(calls, "error=ENOSPC", 4);
    }
}

#[test]
fn a_shard_on_a_failing_disk_is_repeated() {
    if !is_traceable() {
        return;
    }
    let world = numbered_files(FILES, &[]);
    let mut version = 0;
    for (calls, error, whens) in [
        ("pwrite64", "ENOSPC", &["1", "3", "8", "1+", "6+"][..]),
        ("fsync,fdatasync,syncfs", "EIO", &["1", "2", "1+"]),
        ("rename,renameat,renameat2", "EIO", &["1", "4", "2+"]),
        ("mkdirat,mkdir", "EROFS", &["1", "1+"]),
        ("flock,fcntl", "ENOLCK", &["1", "2", "3"]),
    ] {
        for when in whens {
            version += 1;
            change(&world, version);
            let which = format!("{calls} {error} {when}");
            let mut args = UPGRADE.to_vec();
            args.push("--shard=1/2");
            let output = injected(&world, &args, calls, &format!("error={error}:when={when}"));
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked"), "{which}: {stderr}");
            let status = output.status.code();
            assert!(matches!(status, Some(0 | 1 | 4 | 5)), "{which}: {status:?} {stderr}");
            run(&world, &UPGRADE, 2, 2).success();
            if status != Some(0) {
                assert!(!stderr.is_empty(), "{which}");
                let early = world.run(["merge", "--json"]);
                // The shard may be complete, with entries that failed.
                assert!(early.status == 1, "{which}: {}", early.output());
            }
            if status != Some(0) {
                for done in job(&world, &UPGRADE, 2) {
                    done.success();
                }
            }
            world.run(["merge", "--json"]).success();
            assert_done(&world, version, &which);
        }
    }
}

#[test]
fn a_stopped_shard_is_missing() {
    let gate = Gate::new();
    let world = numbered_files(FILES, &[]);
    world.origin.everywhere(Answer::file().gate(&gate));
    let running = spawn(&world, &["apply"], 1, 2);
    world.origin.wait_in_flight(1);
    running.signal(Signal::TERM);
    running.wait().code(143);
    gate.open();
    run(&world, &["apply"], 2, 2).success();
    let missing = world.run(["merge"]).code(1);
    assert!(missing.stderr.contains("missing: 1 of 2"), "{}", missing.stderr);
    run(&world, &["apply"], 1, 2).success();
    world.run(["merge"]).success();
}

#[test]
fn a_stopped_merge_keeps_the_results() {
    let world = numbered_files(FILES, &[]);
    for done in job(&world, &["lock"], 2) {
        done.success();
    }
    // Locks are replaced one at a time in a folder.
    let folder = std::fs::File::open(world.dir()).unwrap();
    folder.lock().unwrap();
    let merging = world.spawn(["merge"]);
    world.wait_for_file("out/.natsync/state.db");
    merging.signal(Signal::TERM);
    merging.wait().code(143);
    folder.unlock().unwrap();
    assert!(!world.exists("natsync.lock"));
    world.run(["merge"]).success();
    world.run(["lock", "--check"]).success();
    let state = rusqlite::Connection::open(world.state()).unwrap();
    let runs: i64 = state.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(runs, 1, "the history has the job once");
}

#[test]
fn jobs_of_different_totals_at_once() {
    let world = numbered_files(FILES, &[]);
    let running: Vec<_> = [(1, 2), (2, 2), (1, 3), (2, 3), (3, 3)]
        .map(|(number, total)| spawn(&world, &["apply"], number, total))
        .into_iter()
        .collect();
    for one in running {
        // Two runs may want to create one file, and one of them then fails.
        let run = one.wait();
        assert!(run.status == 0 || run.stderr.contains("path_conflict"), "{}", run.output());
    }
    for done in job(&world, &["apply"], 2).into_iter().chain(job(&world, &["apply"], 3)) {
        done.success();
    }
    world.run(["merge", "--shards", "3"]).success();
    assert!(world.exists("out/.natsync/shards/1-of-2/result.json"));
    world.run(["merge"]).success();
    assert!(!world.exists("out/.natsync/shards"));
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 12, unchanged 12");
    assert!(world.origin.requests().iter().all(|request| request.status == 304));
}

#[test]
fn a_whole_run_between_a_shard_and_the_merge_is_not_undone() {
    let world = numbered_files(FILES, &[]);
    run(&world, &["apply"], 1, 2).success();
    change(&world, 2);
    // The records of shard 1 have another second than those of the run.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    world.apply().success();
    run(&world, &["apply"], 2, 2).success();
    world.run(["merge"]).success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 12, unchanged 12");
    assert!(world.origin.requests().iter().all(|request| request.status == 304));
}

#[test]
fn the_clock_of_another_machine_does_not_matter() {
    let world = numbered_files(FILES, &[]);
    world.apply().success();
    let state = rusqlite::Connection::open(world.state()).unwrap();
    state.execute("UPDATE files SET checked = checked + 86400", []).unwrap();
    drop(state);
    change(&world, 2);
    for done in job(&world, &["apply"], 2) {
        done.success();
    }
    world.run(["merge"]).success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 12, unchanged 12");
    assert!(world.origin.requests().iter().all(|request| request.status == 304));
}

#[test]
fn max_missing_holds_for_the_whole_job() {
    // Three of twelve are too many, though no shard sees more than two.
    for limit in ["2", "20%"] {
        let world = numbered_files(
            FILES,
            &["on_missing: prune", "missing_ttl: 1d", &format!("max_missing: {limit}")],
        );
        world.apply().success();
        for n in [2, 5, 9] {
            world.origin.remove(&format!("/{n}.txt"));
        }
        for done in job(&world, &["apply"], 6) {
            done.success();
        }
        let merged = world.run(["merge", "--json"]).code(1);
        assert_eq!(merged.counts(), "entries 12, unchanged 9, failed 3", "{limit}");
        let (_, message) = merged.failure("5.txt");
        let expected =
            "3 of the source's 12 entries are missing upstream, more than `max_missing` allows (2)";
        assert_eq!(message, expected);
        assert_eq!(world.names().len(), FILES, "nothing is deleted");
        let again = world.apply().code(1);
        assert_eq!(again.counts(), "entries 12, unchanged 9, failed 3", "{limit}");
        // Two are not too many, though they are more than a fifth of their shards.
        world.origin.serve("/9.txt", "back");
        for done in job(&world, &["apply"], 6) {
            done.success();
        }
        let merged = world.run(["merge", "--json"]).success();
        assert_eq!(merged.summary()["pruned"], 2, "{limit}: {}", merged.output());
    }
}

/// A state of the destination that is damaged inside costs reads and requests alone.
#[test]
fn a_damaged_state_of_the_destination_does_not_stop_a_job() {
    for before in [true, false] {
        let files = 400;
        let world = numbered_files(files, &[]);
        world.apply().success();
        let damage = || {
            let mut state = world.read("out/.natsync/state.db");
            let (begin, end) = (4096 * 8, state.len() - 4096);
            state[begin..end].fill(0xa5);
            std::fs::write(world.state(), state).unwrap();
            for log in ["-wal", "-shm"] {
                let _ = std::fs::remove_file(world.path(&format!("out/.natsync/state.db{log}")));
            }
        };
        if before {
            damage();
        }
        for done in job(&world, &["apply"], 2) {
            done.success();
        }
        if !before {
            damage();
        }
        let merged = world.run(["merge", "--json"]).success();
        assert!(merged.stderr.contains("the state is begun anew"), "{}", merged.output());
        world.origin.forget();
        let run = world.apply().success();
        assert_eq!(run.summary()["unchanged"], files, "{}", run.stderr);
        assert!(world.origin.requests().iter().all(|request| request.status == 304));
    }
}

#[test]
fn a_destination_whose_name_is_not_utf8() {
    let world = numbered_files(FILES, &[]);
    let dest = OsStr::from_bytes(b"o\xffut");
    let text = |args: &[&str]| -> Vec<std::ffi::OsString> {
        let given = args.iter().map(std::ffi::OsString::from);
        given.chain(["--dest".into(), dest.to_owned()]).collect()
    };
    if world.run(text(&["apply"])).status != 0 {
        return;
    }
    for number in 1..=2 {
        world.run(text(&["apply", &format!("--shard={number}/2")])).success();
    }
    world.run(text(&["merge"])).success();
}

#[test]
fn merging_twice_changes_nothing() {
    let world = numbered_files(FILES, &[]);
    for done in job(&world, &["apply"], 2) {
        done.success();
    }
    world.run(["merge"]).success();
    let before = control(&world);
    let again = world.run(["merge", "--json"]).code(2);
    assert!(again.stderr.contains("no shard has run for `natsync`"), "{}", again.stderr);
    let missing = world.run(["merge", "--shards", "2"]).code(1);
    assert!(missing.stderr.contains("missing: 1-2 of 2"), "{}", missing.stderr);
    assert_eq!(control(&world), before);
}

#[test]
fn results_of_another_format_are_missing() {
    let world = numbered_files(FILES, &[]);
    for done in job(&world, &["apply"], 2) {
        done.success();
    }
    let name = "out/.natsync/shards/2-of-2/result.json";
    let text = String::from_utf8(world.read(name)).unwrap();
    world.write(name, text.replacen("\"natsync_shard\":1", "\"natsync_shard\":99", 1));
    let missing = world.run(["merge"]).code(1);
    assert!(missing.stderr.contains("missing: 2 of 2"), "{}", missing.stderr);
    // Numbers that no entry has, and an outcome that a later version may know.
    for outcomes in [
        "{\"entry\":18446744073709551615,\"outcome\":\"unchanged\"}\n",
        "{\"entry\":1,\"outcome\":\"news\"}\n",
    ] {
        for done in job(&world, &["apply"], 2) {
            done.success();
        }
        let name = "out/.natsync/shards/2-of-2/outcomes.jsonl";
        let length = world.read(name).len();
        let mut text = outcomes.to_owned();
        text.push_str(&"\n".repeat(length.saturating_sub(text.len())));
        world.write(name, &text[..length.max(outcomes.len())]);
        let merged = world.run(["merge"]);
        assert!([0, 1].contains(&merged.status), "{}", merged.output());
    }
}
