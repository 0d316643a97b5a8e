//! Group, permissions and access control lists: a new file gets what its folder gives to new files,
//! and a replaced one keeps what it had.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use rustix::fs::{XattrFlags, getxattr, setxattr};

use crate::world::World;

const DEFAULT: &str = "system.posix_acl_default";
const ACCESS: &str = "system.posix_acl_access";
/// A group and a user that exist nowhere else.
const GROUP: u32 = 54_321;
const USER: u32 = 54_322;

/// An access control list with rights of [`USER`], as the kernel stores it: owner, user, group,
/// mask, others.
fn acl(user: u8, group: u8, mask: u8, others: u8) -> Vec<u8> {
    let none = u32::MAX;
    let entries =
        [(1, 7, none), (2, user, USER), (4, group, none), (16, mask, none), (32, others, none)];
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, rights, id) in entries {
        bytes.extend(u16::to_le_bytes(tag));
        bytes.extend(u16::from(rights).to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn acl_of(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 1024];
    let length = getxattr(path, ACCESS, &mut bytes[..]).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

fn set_acl(path: &Path, name: &str, acl: &[u8]) -> bool {
    setxattr(path, name, acl, XattrFlags::empty()).is_ok()
}

/// The rights, group, owner and access control list of a file.
fn traits(path: &Path) -> (u32, u32, u32, Option<Vec<u8>>) {
    let stat = path.metadata().unwrap();
    (stat.mode() & 0o7777, stat.gid(), stat.uid(), acl_of(path))
}

fn world(settings: &[&str]) -> World {
    let world = World::new().serve("/new.txt", "new").serve("/large.bin", vec![7; 100_000]);
    let sources = "sources:\n  - files: [{url: $BASE/new.txt}, {url: $BASE/large.bin}]\n";
    let path = "    path: \"sub/{filename}\"\n";
    let settings: String = settings.iter().map(|line| format!("    {line}\n")).collect();
    world.manifest(&format!("{sources}{path}{settings}"))
}

/// Both files are as `touch` makes one in the same folder.
#[track_caller]
fn as_if_made_there(world: &World, folder: &str, what: &str) {
    let model = world.path(folder).join("model");
    // Another process, because the file must not depend on the umask of this one.
    assert!(Command::new("touch").arg(&model).status().unwrap().success());
    for name in ["new.txt", "large.bin"] {
        assert_eq!(traits(&world.path(folder).join(name)), traits(&model), "{what}: {name}");
    }
}

#[test]
fn a_new_file_is_as_if_it_was_made_in_its_folder() {
    let is_root = rustix::process::geteuid().is_root();
    for (what, dest_acl, sub_acl, setgid) in [
        ("plain", false, false, false),
        ("a default list of the folder", false, true, false),
        ("a default list of the destination alone", true, false, false),
        ("a group of the folder", false, false, true),
        ("both", false, true, true),
    ] {
        let world = world(&[]);
        let (dest, sub) = (world.path("out"), world.path("out/sub"));
        std::fs::create_dir_all(&sub).unwrap();
        let list = acl(7, 0, 5, 0);
        if sub_acl && !set_acl(&sub, DEFAULT, &list) || dest_acl && !set_acl(&dest, DEFAULT, &list)
        {
            eprintln!("skipped `{what}`: the file system has no access control lists");
            continue;
        }
        if setgid {
            if !is_root {
                eprintln!("skipped `{what}`: only root can give a folder to any group");
                continue;
            }
            chown(&sub, None, Some(GROUP)).unwrap();
            std::fs::set_permissions(&sub, std::fs::Permissions::from_mode(0o2775)).unwrap();
        }
        world.apply().success();
        as_if_made_there(&world, "out/sub", what);
    }
}

#[test]
fn a_folder_that_a_run_makes_inherits_and_gives_on() {
    let world = world(&[]);
    let dest = world.path("out");
    std::fs::create_dir_all(&dest).unwrap();
    if !set_acl(&dest, DEFAULT, &acl(7, 5, 7, 0)) {
        return eprintln!("skipped: the file system has no access control lists");
    }
    if rustix::process::geteuid().is_root() {
        chown(&dest, None, Some(GROUP)).unwrap();
        std::fs::set_permissions(&dest, std::fs::Permissions::from_mode(0o2775)).unwrap();
    }
    world.apply().success();
    let model = dest.join("model");
    assert!(Command::new("mkdir").arg(&model).status().unwrap().success());
    assert_eq!(traits(&world.path("out/sub")), traits(&model));
    as_if_made_there(&world, "out/sub", "a folder of the run");
}

#[test]
fn a_replaced_file_keeps_what_it_had() {
    let is_root = rustix::process::geteuid().is_root();
    for (what, mode, list) in [
        ("closed", 0o600, None),
        ("executable", 0o755, None),
        ("with a list", 0o640, Some(acl(6, 0, 6, 0))),
    ] {
        let world = world(&["check: always"]);
        world.apply().success();
        let mut before = Vec::new();
        for name in ["out/sub/new.txt", "out/sub/large.bin"] {
            let path = world.path(name);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            if let Some(list) = &list
                && !set_acl(&path, ACCESS, list)
            {
                return eprintln!("skipped: the file system has no access control lists");
            }
            if is_root {
                chown(&path, Some(USER), Some(GROUP)).unwrap();
            }
            before.push((path.clone(), traits(&path)));
        }
        // A default list of the folder is for new files alone.
        set_acl(&world.path("out/sub"), DEFAULT, &acl(7, 7, 7, 7));
        world.origin.serve("/new.txt", "newer");
        world.origin.serve("/large.bin", vec![8; 100_000]);
        assert_eq!(world.apply().success().counts(), "entries 2, updated 2", "{what}");
        for (path, traits_before) in before {
            assert_eq!(traits(&path), traits_before, "{what}: {}", path.display());
        }
    }
}
