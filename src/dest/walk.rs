//! Walks a destination on several threads.

mod queue;

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType};

use super::folder::Folder;
use super::{CONTROL, Dest, Stat};
use queue::Queue;

/// What a walk found at one path.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// A regular file.
    File(Stat),
    /// A folder, which the walk goes into.
    Folder,
    /// A symbolic link, which the walk does not follow.
    Symlink,
    /// A pipe, socket or device.
    Special,
    /// It could not be examined, so nothing is known of anything below it.
    Unreadable(io::Error),
}

/// A walk over everything below the destination except natsync's own files. Any thread may take
/// part.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    dest: &'a Dest,
    queue: Queue,
}

impl Walk<'_> {
    /// Takes part in the walk until it ends. Calls `visit` for each path, in no order. Skips names
    /// that are not UTF-8: no entry can have one. The walk ends early when `go_on` returns false.
    pub(crate) fn help(&self, visit: impl Fn(&str, Sighting), go_on: impl Fn() -> bool) {
        while let Some(path) = self.queue.pop() {
            if go_on() {
                self.dest.visit_folder(&path, &self.queue, &visit);
            }
            self.queue.finish();
        }
    }
}

impl Dest {
    /// Begins a walk.
    pub(crate) fn walk(&self) -> Walk<'_> {
        let queue = Queue::default();
        queue.push(String::new());
        Walk { dest: self, queue }
    }

    fn visit_folder(&self, path: &str, queue: &Queue, visit: &impl Fn(&str, Sighting)) {
        let listed = self.open_for_walk(path).and_then(|folder| {
            let items = Dir::read_from(&folder)?;
            Ok((folder, items))
        });
        let (folder, items) = match listed {
            Ok(listed) => listed,
            // The name was deleted since it was listed: skip it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return visit(path, Sighting::Unreadable(error)),
        };
        let mut full = String::from(path);
        if !path.is_empty() {
            full.push('/');
        }
        let stem = full.len();
        for item in items {
            let item = match item {
                Ok(item) => item,
                Err(errno) => return visit(path, Sighting::Unreadable(errno.into())),
            };
            let Ok(name) = item.file_name().to_str() else {
                continue;
            };
            if name == "." || name == ".." || (path.is_empty() && name == CONTROL) {
                continue;
            }
            full.truncate(stem);
            full.push_str(name);
            let sighting = match item.file_type() {
                FileType::Directory => Sighting::Folder,
                FileType::Symlink => Sighting::Symlink,
                FileType::RegularFile | FileType::Unknown => look(&folder, name),
                _ => Sighting::Special,
            };
            match sighting {
                Sighting::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {}
                Sighting::Folder => {
                    visit(&full, Sighting::Folder);
                    queue.push(full.clone());
                }
                other => visit(&full, other),
            }
        }
    }

    fn open_for_walk(&self, path: &str) -> io::Result<Folder> {
        let mut folder = self.root.open(OsStr::new("."))?;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            folder = folder.open(OsStr::from_bytes(name.as_bytes()))?;
        }
        Ok(folder)
    }
}

fn look(folder: &Folder, name: &str) -> Sighting {
    match folder.stat(name) {
        Ok(stat) if stat.is_file() => Sighting::File(stat),
        Ok(stat) if stat.is_dir() => Sighting::Folder,
        Ok(stat) if stat.is_symlink() => Sighting::Symlink,
        Ok(_) => Sighting::Special,
        Err(error) => Sighting::Unreadable(error),
    }
}
