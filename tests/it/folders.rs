//! Folders of a destination: moved during a run, and with attributes that their files inherit.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use rustix::fs::XattrFlags;

use crate::origin::{Answer, Gate};
use crate::world::{Running, World};

const ACCESS: &str = "system.posix_acl_access";
const DEFAULT: &str = "system.posix_acl_default";
/// A group that no account of this machine has.
const GROUP: u32 = 54_321;

/// A run that has put `sub/1.txt` in place and waits in the middle of `sub/2.txt`.
fn half(gate: &Gate) -> (World, Running) {
    let world = World::new()
        .serve_numbered(2)
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", "path: \"sub/{n}.txt\""]);
    world.origin.always("/2.txt", Answer::file().gate_at(3, gate));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(2);
    let end = std::time::Instant::now() + crate::origin::PATIENCE;
    while !world.exists("out/sub/1.txt") {
        assert!(std::time::Instant::now() < end, "waited in vain for the first file");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    (world, running)
}

#[test]
fn a_file_is_put_where_its_path_leads_though_the_folder_was_moved() {
    let gate = Gate::new();
    let (world, running) = half(&gate);
    fs::rename(world.path("out/sub"), world.path("out/moved")).unwrap();
    gate.open();
    running.wait().success();
    assert!(world.exists("out/sub/2.txt") && !world.exists("out/moved/2.txt"));
    world.origin.behave();
    // The file that was moved away is fetched again.
    assert_eq!(world.apply().success().counts(), "entries 2, downloaded 1, unchanged 1");
    world.run(["verify"]).success();
}

#[test]
fn a_destination_that_was_moved_ends_the_run_and_nothing_is_called_downloaded_there() {
    for deleted in [false, true] {
        let gate = Gate::new();
        let (world, running) = half(&gate);
        if deleted {
            fs::remove_dir_all(world.path("out")).unwrap();
        } else {
            fs::rename(world.path("out"), world.path("elsewhere")).unwrap();
        }
        gate.open();
        let run = running.wait();
        assert!([1, 5].contains(&run.status), "{}: {}", run.status, run.output());
        assert_ne!(run.outcomes()["sub/2.txt"], "downloaded");
        assert!(run.output().contains("moved or deleted during the run"), "{}", run.output());
        assert!(!world.exists("elsewhere/sub/2.txt"));
        world.origin.behave();
        world.apply().success();
        assert!(world.exists("out/sub/1.txt") && world.exists("out/sub/2.txt"));
    }
}

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// Owner, a named user, group, mask and others.
fn with_user(owner: u16, user: u16, mask: u16, other: u16) -> Vec<u8> {
    let none = u32::MAX;
    acl(&[(1, owner, none), (2, user, 4000), (4, 5, none), (0x10, mask, none), (0x20, other, none)])
}

fn acl_of(path: &std::path::Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 1024];
    let length = rustix::fs::getxattr(path, ACCESS, value.as_mut_slice()).ok()?;
    value.truncate(length);
    Some(value)
}

/// Sets an attribute; says so and reports false where the system does not allow it.
fn set(what: &str, set: impl FnOnce() -> bool) -> bool {
    let is_set = set();
    if !is_set {
        let _ = writeln!(std::io::stderr(), "skipped: this system does not allow {what}");
    }
    is_set
}

fn set_acl(path: &std::path::Path, name: &str, list: &[u8]) -> bool {
    set("ACLs here", || rustix::fs::setxattr(path, name, list, XattrFlags::empty()).is_ok())
}

fn set_group(path: &std::path::Path) -> bool {
    set("another group", || std::os::unix::fs::chown(path, None, Some(GROUP)).is_ok())
}

/// What a file made by another program in the same folder has.
fn made_here(world: &World, folder: &str) -> (u32, u32, Option<Vec<u8>>) {
    let path = world.path(folder).join("made-by-hand");
    fs::write(&path, "x").unwrap();
    let made = attributes(&path);
    fs::remove_file(path).unwrap();
    made
}

fn attributes(path: &std::path::Path) -> (u32, u32, Option<Vec<u8>>) {
    let stat = fs::metadata(path).unwrap();
    (stat.mode() & 0o777, stat.gid(), acl_of(path))
}

/// The law: a new file has what any other program's new file has in the same folder, whatever the
/// destination, the folder or a folder above it says.
#[test]
fn new_files_are_as_if_created_in_their_folder() {
    type Prepare = fn(&World, &str) -> bool;
    let plain: Prepare = |_, _| true;
    let setgid: Prepare = |world, folder| {
        let path = world.path(folder);
        set_group(&path) && fs::set_permissions(&path, fs::Permissions::from_mode(0o2775)).is_ok()
    };
    let list: Prepare =
        |world, folder| set_acl(&world.path(folder), DEFAULT, &with_user(7, 7, 7, 0));
    let minimal: Prepare = |world, folder| {
        let none = u32::MAX;
        let list = acl(&[(1, 7, none), (4, 7, none), (0x20, 0, none)]);
        set_acl(&world.path(folder), DEFAULT, &list)
    };
    for (root_name, root) in [("plain", plain), ("setgid", setgid), ("acl", list)] {
        for (sub_name, sub) in
            [("plain", plain), ("setgid", setgid), ("acl", list), ("min", minimal)]
        {
            for large in [false, true] {
                let which = format!("{root_name}, {sub_name}, large: {large}");
                let bytes = crate::world::content(1, if large { 100_000 } else { 100 });
                let world = World::new().serve("/a.bin", bytes).manifest(
                    "sources:\n  - {url: $BASE/a.bin, path: sub/a.bin}\n  - {url: $BASE/a.bin, path: a.bin}\n  - {url: $BASE/a.bin, path: sub/new/a.bin}\n",
                );
                fs::create_dir_all(world.path("out")).unwrap();
                if !root(&world, "out") {
                    continue;
                }
                fs::create_dir_all(world.path("out/sub")).unwrap();
                if !sub(&world, "out/sub") {
                    continue;
                }
                world.run(["apply"]).success();
                for folder in ["out", "out/sub", "out/sub/new"] {
                    let file = world.path(folder).join("a.bin");
                    assert_eq!(attributes(&file), made_here(&world, folder), "{which}: {folder}");
                }
            }
        }
    }
}

#[test]
fn a_replaced_file_keeps_mode_group_owner_and_acl() {
    let world = World::new().serve("/a.bin", "old").source("$BASE/a.bin", &[]);
    world.run(["apply"]).success();
    let file = world.path("out/a.bin");
    let owned =
        set("another owner", || std::os::unix::fs::chown(&file, Some(4000), Some(GROUP)).is_ok());
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    set_acl(&file, ACCESS, &with_user(6, 4, 5, 0));
    let before = attributes(&file);
    world.origin.serve("/a.bin", "new");
    world.run(["apply"]).success();
    assert_eq!(world.read("out/a.bin"), b"new");
    assert_eq!(attributes(&file), before);
    assert!(!owned || fs::metadata(&file).unwrap().uid() == 4000);
}

#[test]
fn a_file_that_was_moved_away_is_not_unchanged() {
    let world = World::new()
        .serve_numbered(1)
        .source("$BASE/{n}.txt", &["vars: {n: 1..1}", "path: \"sub/{n}.txt\""]);
    world.apply().success();
    let gate = Gate::new();
    world.origin.attempts("/1.txt", [Answer::file().gate(&gate)]);
    world.origin.forget();
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_for(1);
    fs::rename(world.path("out/sub"), world.path("elsewhere")).unwrap();
    gate.open();
    running.wait().success();
    assert!(world.exists("out/sub/1.txt"));
}
