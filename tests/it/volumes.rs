//! Tests on real file systems that are full, have no free inodes, are read-only, or lose power.
//! Each test mounts them in its own namespace.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::world::{World, content, sha256_of};

/// A world with `count` files of `size` bytes; its destination is a mount point.
fn world(count: usize, size: usize) -> World {
    let world = World::new().source("$BASE/{n}.bin", &[&format!("vars: {{n: 1..{count}}}")]);
    serve(&world, count, size, 1);
    std::fs::create_dir(world.path("out")).expect("a mount point");
    world
}

fn serve(world: &World, count: usize, size: usize, version: u64) {
    for n in 1..=count {
        world.origin.serve(&format!("/{n}.bin"), content(n as u64 + 1000 * version, size));
    }
}

/// Runs a shell script in its own mount namespace, and returns its output. `None` if that is not
/// allowed; prints a line that says so. In the script, `natsync` is the program, and the current
/// directory is the world's.
fn in_namespace(world: &World, kind: &str, script: &str) -> Option<String> {
    let allowed = Command::new("unshare")
        .args([kind, "sh", "-c", "mount -t tmpfs tmpfs /mnt"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !allowed.is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "skipped: nothing can be mounted here");
        return None;
    }
    let script =
        format!("set -u; PATH=$PATH:/usr/sbin:/sbin; natsync() {{ \"$0\" \"$@\"; }}\n{script}");
    let output = world
        .command_under("unshare", &[kind, "sh", "-c", &script])
        .output()
        .expect("the shell runs");
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!stdout.contains("panicked") && !stderr.contains("panicked"), "{stdout}{stderr}");
    Some(format!("{stdout}{stderr}"))
}

#[track_caller]
fn holds(output: &str, parts: &[&str]) {
    let mut rest = output;
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("no `{part}` in\n{output}"));
        rest = &rest[at + part.len()..];
    }
}

/// Checks that each file that the script lists with `sha256sum` has one of these contents.
#[track_caller]
fn all_are_whole(output: &str, count: usize, size: usize, versions: &[u64]) -> usize {
    let mut known = std::collections::HashSet::new();
    for version in versions {
        for n in 1..=count {
            let name = format!("out/{n}.bin");
            known.insert((name, sha256_of(content(n as u64 + 1000 * version, size))));
        }
    }
    let listed = output.lines().filter_map(|line| line.split_once("  out/"));
    let mut seen = 0;
    for (digest, name) in listed {
        let whole = known.contains(&(format!("out/{name}"), digest.to_owned()));
        assert!(whole, "{name} is of no version\n{output}");
        seen += 1;
    }
    seen
}

#[test]
fn a_full_disk_ends_the_run_and_the_next_completes_it() {
    let world = world(30, 100_000);
    let Some(output) = in_namespace(
        &world,
        "-rm",
        "mount -t tmpfs -o size=1m tmpfs out
         natsync apply; echo first $?
         sha256sum out/*.bin
         mount -o remount,size=8m out
         natsync apply -q; echo second $?
         sha256sum out/*.bin; ls -A out/.natsync/partial; natsync verify; echo third $?",
    ) else {
        return;
    };
    holds(&output, &["first 5", "second 0", "third 0"]);
    assert!(output.contains("no_space"), "{output}");
    let seen = all_are_whole(&output, 30, 100_000, &[1]);
    assert!((31..60).contains(&seen), "{output}");
}

#[test]
fn a_disk_without_free_names_ends_the_run_too() {
    let world = world(40, 100);
    let Some(output) = in_namespace(
        &world,
        "-rm",
        "mount -t tmpfs -o size=8m,nr_inodes=30 tmpfs out
         natsync apply -q; echo first $?
         sha256sum out/*.bin
         mount -o remount,nr_inodes=300 out
         natsync apply -q; echo second $?
         sha256sum out/*.bin; ls -A out/.natsync/partial",
    ) else {
        return;
    };
    holds(&output, &["first 5", "second 0"]);
    assert!(40 <= all_are_whole(&output, 40, 100, &[1]), "{output}");
}

#[test]
fn a_read_only_disk_is_noticed_before_the_first_request() {
    let world = world(3, 100);
    let Some(output) = in_namespace(
        &world,
        "-rm",
        "mount -t tmpfs tmpfs out
         mount -o remount,ro out
         natsync apply; echo first $?; natsync plan; echo plan $?",
    ) else {
        return;
    };
    holds(&output, &["first 5", "plan 0"]);
    assert!(output.contains("Read-only file system"), "{output}");
    assert_eq!(world.origin.requests().len(), 0);
}

#[test]
fn entries_below_another_mount_fail_and_the_others_succeed() {
    let world = world(3, 100);
    world.set_manifest(
        "natsync.yaml",
        "sources:\n  - url: $BASE/{n}.bin\n    path: \"{d}/{n}.bin\"\n    vars: {n: 1..3, d: [here, there]}\n",
    );
    let Some(output) = in_namespace(
        &world,
        "-rm",
        "mount -t tmpfs tmpfs out
         mkdir out/there; mount -t tmpfs tmpfs out/there; echo old > out/there/1.bin
         natsync apply; echo first $?; ls out/here out/there; cat out/there/1.bin",
    ) else {
        return;
    };
    holds(&output, &["first 1", "1.bin", "2.bin", "3.bin", "old"]);
}

#[test]
fn a_disk_that_goes_away_in_between_is_not_taken_for_an_empty_one() {
    let world = world(3, 100);
    let declared = std::fs::read_to_string(world.path("natsync.yaml")).unwrap();
    world.set_manifest("fewer.yaml", &declared.replace("1..3", "1..2"));
    let Some(output) = in_namespace(
        &world,
        "-rm",
        "mkdir disk; mount -t tmpfs tmpfs disk
         mount --bind disk out; natsync apply -q; echo first $?; umount out
         echo mine > out/3.bin
         natsync apply -f fewer.yaml --prune; echo second $?; cat out/3.bin; rm -r out/* out/.natsync
         mount --bind disk out; ls out",
    ) else {
        return;
    };
    holds(&output, &["first 0", "second ", "mine", "1.bin", "2.bin", "3.bin"]);
}

/// Simulates power failures: pauses a run at various moments, copies the disk image and mounts the
/// copy. The copy must have complete files, and a state that records only these.
#[test]
fn power_may_go_at_any_moment() {
    const FILES: usize = 60;
    const SIZE: usize = 9000;
    /// Milliseconds until the simulated power failure.
    const MOMENTS: [u32; 16] =
        [20, 60, 100, 130, 160, 190, 210, 230, 250, 270, 290, 310, 340, 370, 400, 450];
    let world = World::new();
    let source = "url: $BASE/{v}/{n}.bin\n    path: \"{n}.bin\"\n    vars: {v: [0], n: 1..60}";
    world.set_manifest("natsync.yaml", &format!("sources:\n  - {source}\n"));
    std::fs::create_dir(world.path("out")).expect("a mount point");
    for version in 0..=MOMENTS.len() as u64 {
        for n in 1..=FILES {
            let bytes = content(n as u64 + 1000 * version, SIZE);
            world.origin.serve(&format!("/{version}/{n}.bin"), bytes);
        }
    }
    let mut script = "truncate -s 24M img; mkfs.ext4 -q -F img || { echo no image; exit; }
         mount -o loop img out || { echo no image; exit; }
         natsync apply -q; echo begun $?\n"
        .to_owned();
    // Each round starts with the completed directory of the previous one; all files change in each
    // round.
    for (version, moment) in (1..).zip(MOMENTS) {
        let _ = write!(
            script,
            "\"$0\" apply -q --set v={version} & run=$!
             sleep 0.{moment:03}; kill -STOP $run; cp img cut.img; kill -KILL $run; wait $run 2>/dev/null
             umount out; mount -o loop cut.img out; echo cut {version}; sha256sum out/*.bin
             natsync apply -q --set v={version}; echo healed $?
             natsync verify -q --set v={version}; echo verified $?
             find out/.natsync/partial -type f
             umount out; mv cut.img img; mount -o loop img out\n"
        );
    }
    let Some(output) = in_namespace(&world, "-m", &script) else { return };
    if output.contains("no image") {
        let _ = writeln!(std::io::stderr(), "skipped: no image of a disk can be mounted here");
        return;
    }
    assert_eq!(output.matches("healed 0").count(), MOMENTS.len(), "{output}");
    assert_eq!(output.matches("verified 0").count(), MOMENTS.len(), "{output}");
    assert!(!output.contains("partial/"), "{output}");
    let mut changed = 0;
    for (version, cut) in (1..).zip(output.split("cut ").skip(1)) {
        assert_eq!(all_are_whole(cut, FILES, SIZE, &[version - 1, version]), FILES, "{cut}");
        changed += count_of(cut, FILES, SIZE, version);
    }
    assert!(0 < changed, "no cut came after the first files\n{output}");
}

/// The number of listed files that have this version.
fn count_of(output: &str, count: usize, size: usize, version: u64) -> usize {
    let new: Vec<_> =
        (1..=count).map(|n| sha256_of(content(n as u64 + 1000 * version, size))).collect();
    let listed = output.lines().filter_map(|line| line.split_once("  out/"));
    listed.filter(|(digest, _)| new.iter().any(|new| new == digest)).count()
}
