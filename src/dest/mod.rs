//! All access to the files below a destination.
//!
//! A [`Dest`] is an open directory that no name can leave: every folder is opened beneath it
//! without following a symbolic link, and every file is named by one component relative to its
//! folder. Bytes are staged in the control directory and get a final name in one step, by
//! [`Dest::publish`], which requires a [`Verified`]. Nothing here uses the network.

#![expect(clippy::disallowed_methods, reason = "this room is the way to write below a destination")]

mod attributes;
pub(crate) mod descriptors;
mod error;
mod folder;
mod guard;
pub(crate) mod inventory;
mod location;
mod opened;
mod part;
mod proof;
mod proven;
mod publish;
mod small;
mod stage;
mod stat;
pub(crate) mod state;
mod walk;

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::{AtFlags, Mode, OFlags};

use crate::digest::Algorithms;
use crate::rel_path::RelPath;
use crate::threads::lock;
pub(crate) use error::DestError;
use folder::{Folder, Folders};
pub(crate) use guard::RunGuard;
pub(crate) use location::Location;
use opened::Opened;
pub(crate) use part::{PartNote, Parts};
pub(crate) use proof::VerifyError;
pub(crate) use proven::Proven;
pub(crate) use publish::PublishError;
pub(crate) use small::{SMALL, Small};
pub(crate) use stage::{Begun, Beside, Staged, Verified, keep_edges};
pub(crate) use stat::Stat;
pub(crate) use walk::Sighting;

/// The control directory: natsync's own files below a destination.
pub(crate) const CONTROL: &str = ".natsync";
const PARTIAL: &str = "partial";

/// A destination directory, held open.
#[derive(Debug)]
pub(crate) struct Dest {
    at: Location,
    root: Folder,
    folders: Mutex<Folders>,
    staging: Option<folder::Shared>,
    run: u64,
}

impl Dest {
    /// Opens a destination for reading. `None` if it does not exist.
    ///
    /// # Errors
    /// When it is not a directory or cannot be opened.
    pub(crate) fn open(at: impl Into<Location>) -> Result<Option<Self>, DestError> {
        let at = at.into();
        match Folder::open_ambient(at.path()) {
            Ok(root) => Ok(Some(Self::new(at, root, None))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(at.error("open the destination", "", source)),
        }
    }

    /// Opens a destination for writing, and creates it if it does not exist.
    ///
    /// # Errors
    /// When it cannot be created, opened or written to.
    pub(crate) fn create(at: impl Into<Location>) -> Result<Self, DestError> {
        let at = at.into();
        std::fs::create_dir_all(at.path())
            .map_err(|source| at.error("make the destination", "", source))?;
        let root = Folder::open_ambient(at.path())
            .map_err(|source| at.error("open the destination", "", source))?;
        let staging = root
            .make(CONTROL, Mode::RWXU)
            .and_then(|control| control.make(PARTIAL, Mode::RWXU))
            .and_then(|partial| attributes::make_neutral(partial.as_fd()).map(|()| partial))
            .map_err(|source| at.error("write to", CONTROL, source))?;
        Ok(Self::new(at, root, Some(folder::Shared::new(staging))))
    }

    fn new(at: Location, root: Folder, staging: Option<folder::Shared>) -> Self {
        // Staging names must differ from those of any other run, even on a file system without
        // locks.
        let run = fastrand::u64(..);
        Self { at, root, folders: Mutex::default(), staging, run }
    }

    /// The path by which it was opened.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        self.at.path()
    }

    /// The error of an operation on one of natsync's own files below it.
    pub(crate) fn error(&self, doing: &'static str, below: &str, source: io::Error) -> DestError {
        self.at.error(doing, below, source)
    }

    /// Whether its path still leads to it.
    #[must_use]
    pub(crate) fn is_in_place(&self) -> bool {
        let own = rustix::fs::fstat(&self.root).map(Stat::from);
        let there = rustix::fs::stat(self.path()).map(Stat::from);
        own.is_ok_and(|own| there.is_ok_and(|there| own.is_same_file(&there)))
    }

    /// The parts that earlier runs left in the staging area. All other files there are removed.
    /// Only the holder of the [`RunGuard`] may call this.
    ///
    /// # Errors
    /// When the area cannot be read or a file in it cannot be removed.
    pub(crate) fn parts(&self) -> io::Result<Parts> {
        match &self.staging {
            Some(staging) => Parts::collect(staging),
            None => Ok(Parts::default()),
        }
    }

    /// Takes a part over, so that it belongs to this transfer alone.
    ///
    /// # Errors
    /// When the disk fails.
    pub(crate) fn take_up(&self, part: &part::Part) -> io::Result<stage::Found> {
        let staging = self.staging.as_ref().expect("a destination to write to has a staging area");
        stage::Found::open(staging, self.run, part)
    }

    /// The absolute path, with links resolved.
    #[must_use]
    pub(crate) fn place(&self) -> String {
        let full = std::fs::canonicalize(self.path()).unwrap_or_else(|_| self.path().to_owned());
        full.to_string_lossy().into_owned()
    }

    /// Deletes a file if it still has that stamp, and the folders above it that become empty.
    /// Returns whether it was deleted.
    ///
    /// # Errors
    /// When the file cannot be examined or deleted.
    pub(crate) fn remove(&self, path: &RelPath, stamp: u64) -> io::Result<bool> {
        let folder = match self.folder(path.parent(), false) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        match folder.stat(path.file_name()) {
            Ok(stat) if stat.is_file() && stat.stamp() == stamp => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        folder.remove(path.file_name())?;
        self.remove_empty(path.parent());
        Ok(true)
    }

    /// Removes a folder and its parents as far as they are empty. The destination itself stays.
    fn remove_empty(&self, mut folder: Option<&str>) {
        while let Some(path) = folder {
            let (above, name) = match path.rsplit_once('/') {
                Some((above, name)) => (Some(above), name),
                None => (None, path),
            };
            let removed = self
                .folder(above, false)
                .and_then(|above| Ok(rustix::fs::unlinkat(&*above, name, AtFlags::REMOVEDIR)?));
            // The system refuses to remove a folder that is not empty.
            if removed.is_err() {
                return;
            }
            folder = above;
        }
    }

    /// Free bytes of the file system at a path, or at its nearest existing parent; none if the
    /// system does not tell.
    #[must_use]
    pub(crate) fn space_at(path: &Path) -> Option<u64> {
        let there = path.ancestors().find_map(|above| {
            let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
            rustix::fs::statvfs(above).ok()
        });
        there.as_ref().map(room)
    }

    /// Free bytes of the file system; none if the system does not tell.
    #[must_use]
    pub(crate) fn free_space(&self) -> Option<u64> {
        rustix::fs::fstatvfs(&self.root).ok().as_ref().map(room)
    }

    /// The size of the file system in bytes; none if the system does not tell.
    #[must_use]
    pub(crate) fn whole_space(&self) -> Option<u64> {
        let space = rustix::fs::fstatvfs(&self.root).ok()?;
        Some(space.f_blocks.saturating_mul(space.f_frsize))
    }

    /// Removes the parts that no transfer took over, except those of files that are `wanted`, and
    /// newer ones of owners that are another manifest.
    pub(crate) fn clear_parts(
        &self,
        parts: &Parts,
        is_other: impl Fn(i64) -> bool,
        wanted: impl Fn(&str) -> bool,
    ) {
        if let Some(staging) = &self.staging {
            parts.clear(staging, is_other, wanted);
        }
    }

    /// Creates a private file for the bytes of one entry. They are hashed as they arrive, with
    /// SHA-256 and the given algorithms.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(crate) fn stage(&self, algorithms: Algorithms) -> io::Result<Staged> {
        Staged::create(self.staging(), self.run, algorithms)
    }

    fn staging(&self) -> &folder::Shared {
        self.staging.as_ref().expect("a destination to write to has a staging area")
    }

    /// Makes everything written so far durable, with one `syncfs` for the whole file system.
    ///
    /// # Errors
    /// When something could not be written to the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.root.sync_file_system()
    }

    /// Opens a regular file for reading.
    ///
    /// # Errors
    /// When it does not exist, is not a regular file, or cannot be read.
    pub(crate) fn read(&self, path: &RelPath) -> io::Result<Opened> {
        self.open_file(path)?.ok_or_else(|| io::Error::other("it is no regular file"))
    }

    /// Opens a file for reading. None if something that is not a regular file is at the path.
    ///
    /// # Errors
    /// When it does not exist or cannot be read.
    pub(crate) fn open_file(&self, path: &RelPath) -> io::Result<Option<Opened>> {
        let folder = self.folder(path.parent(), false)?;
        // Without O_NONBLOCK a pipe at that name would hang the run.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&*folder, path.file_name(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            // A symbolic link, or a socket.
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let stat = Stat::from(rustix::fs::fstat(&file)?);
        Ok(stat.is_file().then(|| Opened::new(file, stat)))
    }

    /// Examines a path without following a symbolic link.
    ///
    /// # Errors
    /// When the path does not exist or cannot be examined.
    pub(crate) fn stat(&self, path: &RelPath) -> io::Result<Stat> {
        self.folder(path.parent(), false)?.stat(path.file_name())
    }

    /// Renames one of natsync's own files in the control directory.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(crate) fn set_aside(&self, name: &str, aside: &str) -> io::Result<()> {
        let control = self.root.open(OsStr::new(CONTROL))?;
        Ok(rustix::fs::renameat(&control, name, &control, aside)?)
    }

    /// Examines one of natsync's own files in the control directory.
    ///
    /// # Errors
    /// When it does not exist or cannot be examined.
    pub(crate) fn control_stat(&self, name: &str) -> io::Result<Stat> {
        self.root.open(OsStr::new(CONTROL))?.stat(name)
    }

    fn folder(&self, path: Option<&str>, create: bool) -> io::Result<folder::Shared> {
        let mut folders = lock(&self.folders);
        folders.get(&self.root, path.unwrap_or_default(), create)
    }
}

fn room(space: &rustix::fs::StatVfs) -> u64 {
    space.f_bavail.saturating_mul(space.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, Dest) {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path().join("out").as_path()).unwrap();
        (folder, dest)
    }

    fn staged(dest: &Dest, bytes: &[u8]) -> Verified {
        let mut staged = dest.stage(Algorithms::default()).unwrap();
        staged.write(bytes).unwrap();
        staged.verify(&[], Some(1_000_000_000)).unwrap()
    }

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    fn leftovers(dest: &Dest) -> usize {
        std::fs::read_dir(dest.path().join(CONTROL).join(PARTIAL)).unwrap().count()
    }

    #[test]
    fn a_verified_file_reaches_its_name_with_its_time() {
        let (_folder, dest) = fresh();
        let verified = staged(&dest, b"new");
        let stat = dest.publish(&verified, &path("a/b/c.bin"), false).unwrap();
        assert_eq!(std::fs::read(dest.path().join("a/b/c.bin")).unwrap(), b"new");
        assert_eq!((stat.size, stat.modified), (3, 1_000_000_000 * 1_000_000_000));
        assert!(verified.is_still(&stat));
        assert_eq!(verified.digests().sha256(), crate::digest::Digest::of(b"new"));
        assert_eq!(leftovers(&dest), 0);
    }

    #[test]
    fn what_is_not_published_leaves_nothing() {
        let (_folder, dest) = fresh();
        drop(staged(&dest, b"gone"));
        let mut unfinished = dest.stage(Algorithms::default()).unwrap();
        unfinished.write(b"half").unwrap();
        assert_eq!(leftovers(&dest), 1);
        drop(unfinished);
        assert_eq!(leftovers(&dest), 0);
    }

    #[test]
    fn a_length_that_differs_is_no_proof() {
        let (_folder, dest) = fresh();
        let mut staged = dest.stage(Algorithms::default()).unwrap();
        staged.write(b"four").unwrap();
        let expected = crate::digest::Digest::of(b"other").into();
        assert!(matches!(staged.verify(&[expected], None), Err(VerifyError::Mismatch(_))));
        assert_eq!(leftovers(&dest), 0);
    }

    #[test]
    fn only_regular_files_are_replaced_and_only_when_asked() {
        let (folder, dest) = fresh();
        let outside = folder.path().join("outside");
        std::fs::write(&outside, "mine").unwrap();
        let at = |name: &str| dest.path().join(name);
        std::os::unix::fs::symlink(&outside, at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "old").unwrap();
        for (name, replace) in
            [("link", true), ("link", false), ("folder", true), ("folder", false), ("file", false)]
        {
            let refused = dest.publish(&staged(&dest, b"new"), &path(name), replace);
            assert!(matches!(refused, Err(PublishError::Conflict(_))), "{name} {replace}");
        }
        assert_eq!(std::fs::read(at("file")).unwrap(), b"old");
        dest.publish(&staged(&dest, b"new"), &path("file"), true).unwrap();
        assert_eq!(std::fs::read(at("file")).unwrap(), b"new");
        assert_eq!(std::fs::read(&outside).unwrap(), b"mine");
        assert_eq!(leftovers(&dest), 0);
    }

    #[test]
    fn no_folder_is_entered_through_a_link() {
        let (folder, dest) = fresh();
        let outside = folder.path().join("elsewhere");
        std::fs::create_dir(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, dest.path().join("sub")).unwrap();
        for name in ["sub/a", "sub/deeper/a"] {
            let refused = dest.publish(&staged(&dest, b"new"), &path(name), false);
            assert!(matches!(refused, Err(PublishError::Conflict(_))), "{name}: {refused:?}");
        }
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert!(dest.stat(&path("sub/a")).is_err());
    }

    #[test]
    fn a_replaced_file_keeps_its_permissions_and_its_other_names() {
        use std::os::unix::fs::PermissionsExt;
        let (folder, dest) = fresh();
        let file = dest.path().join("tool");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o750)).unwrap();
        std::fs::hard_link(&file, folder.path().join("backup")).unwrap();
        dest.publish(&staged(&dest, b"new"), &path("tool"), true).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o750);
        assert_eq!(std::fs::read(folder.path().join("backup")).unwrap(), b"old");
    }

    #[test]
    fn a_pipe_is_not_read() {
        let (_folder, dest) = fresh();
        let pipe = dest.path().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RWXU, 0)
            .unwrap();
        assert!(dest.read(&path("pipe")).is_err());
    }

    #[test]
    fn a_second_run_is_told_who_holds_the_destination() {
        let (_folder, dest) = fresh();
        let guard = RunGuard::acquire(&dest).unwrap();
        let Err(DestError::Busy { holder: Some(holder), .. }) = RunGuard::acquire(&dest) else {
            panic!("two runs hold one destination")
        };
        assert!(holder.contains(&format!("process {}", std::process::id())), "{holder}");
        drop(guard);
        RunGuard::acquire(&dest).unwrap();
    }

    #[test]
    fn a_walk_sees_everything_but_natsyncs_own_files() {
        let (_folder, dest) = fresh();
        std::fs::create_dir_all(dest.path().join("a/b")).unwrap();
        std::fs::write(dest.path().join("a/b/file"), "x").unwrap();
        std::os::unix::fs::symlink("a", dest.path().join("link")).unwrap();
        let seen = Mutex::new(Vec::new());
        let note = |path: &str, sighting: Sighting| {
            let kind = match sighting {
                Sighting::File(_) => "file",
                Sighting::Folder => "folder",
                Sighting::Symlink => "link",
                Sighting::Special => "special",
                Sighting::Unreadable(_) => "unreadable",
            };
            seen.lock().unwrap().push(format!("{kind} {path}"));
        };
        dest.walk().help(note, || true);
        let mut seen = seen.into_inner().unwrap();
        seen.sort();
        assert_eq!(seen, ["file a/b/file", "folder a", "folder a/b", "link link"]);
    }
}
