//! Open folders below a destination, and a small cache of them.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::Stat;
use super::attributes::Attributes;
use crate::dest::descriptors;

/// A folder that may still be in use when the cache drops it.
pub(super) type Shared = Arc<Folder>;

/// An open directory.
#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
    gives: OnceLock<Attributes>,
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

fn directory() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC
}

impl Folder {
    /// Opens a directory that the user named. Symbolic links in that path are followed: the user
    /// chose them.
    pub(super) fn open_ambient(path: &Path) -> io::Result<Self> {
        Ok(Self::new(rustix::fs::open(path, directory(), Mode::empty())?))
    }

    fn new(descriptor: OwnedFd) -> Self {
        Self { descriptor, gives: OnceLock::new() }
    }

    /// What a new file in this folder gets from it.
    pub(super) fn gives(&self) -> io::Result<&Attributes> {
        if let Some(gives) = self.gives.get() {
            return Ok(gives);
        }
        let gives = Attributes::given_by(self.as_fd())?;
        Ok(self.gives.get_or_init(|| gives))
    }

    /// Whether a path below `root` still leads to this folder. The path is compared by what it leads
    /// to, so that a link in it does no harm here.
    pub(super) fn is_at(&self, root: &Self, path: &str) -> bool {
        let own = rustix::fs::fstat(self).map(Stat::from);
        let there = rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).map(Stat::from);
        own.is_ok_and(|own| there.is_ok_and(|there| own.is_same_file(&there)))
    }

    /// Opens a folder in this one without following a symbolic link.
    pub(super) fn open(&self, name: &OsStr) -> io::Result<Self> {
        let flags = directory() | OFlags::NOFOLLOW;
        Ok(Self::new(rustix::fs::openat(self, name, flags, Mode::empty())?))
    }

    /// Opens a folder in this one, and creates it if it does not exist.
    pub(super) fn make(&self, name: &str, mode: Mode) -> io::Result<Self> {
        match self.open(OsStr::new(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened,
        }
        match rustix::fs::mkdirat(self, name, mode) {
            Ok(()) | Err(Errno::EXIST) => self.open(OsStr::new(name)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Opens a folder anywhere below this one. The kernel resolves the whole path if it supports
    /// `openat2`.
    fn open_beneath(&self, path: &str) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let beneath =
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(self, path, directory(), Mode::empty(), beneath) {
                Ok(opened) => return Ok(Self::new(opened)),
                // An old kernel, a sandbox that forbids the call, or a race that the call reports
                // in this way.
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        self.walk_beneath(path, Self::open_name)
    }

    fn open_name(&self, name: &str) -> io::Result<Self> {
        self.open(OsStr::new(name))
    }

    fn make_name(&self, name: &str) -> io::Result<Self> {
        self.make(name, Mode::from_raw_mode(0o777))
    }

    fn walk_beneath(
        &self,
        path: &str,
        step: fn(&Self, &str) -> io::Result<Self>,
    ) -> io::Result<Self> {
        let mut names = path.split('/');
        let mut folder = step(self, names.next().unwrap_or_default())?;
        for name in names {
            folder = step(&folder, name)?;
        }
        Ok(folder)
    }

    /// Examines a name in this folder without following a symbolic link.
    pub(super) fn stat(&self, name: impl rustix::path::Arg) -> io::Result<Stat> {
        Ok(Stat::from(rustix::fs::statat(self, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }

    /// The names in this folder.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for item in rustix::fs::Dir::read_from(self)? {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        Ok(names)
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: impl rustix::path::Arg) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self, name, AtFlags::empty())?)
    }

    /// Flushes its file system (`syncfs`).
    pub(super) fn sync_file_system(&self) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(self)?);
        #[cfg(not(target_os = "linux"))]
        {
            rustix::fs::sync();
            Ok(())
        }
    }
}

/// Recently opened folders, by path.
#[derive(Debug)]
pub(super) struct Folders {
    open: HashMap<String, Shared>,
    /// Entries come in order, so a few are enough; each costs a descriptor.
    most: usize,
}

impl Default for Folders {
    fn default() -> Self {
        Self { open: HashMap::new(), most: descriptors::folders() }
    }
}

impl Folders {
    /// The folder at that path below `root`; the empty path is `root` itself. A folder that was
    /// moved or deleted since it was opened is opened anew.
    pub(super) fn get(&mut self, root: &Folder, path: &str, create: bool) -> io::Result<Shared> {
        if let Some(folder) = self.open.get(path)
            && (path.is_empty() || folder.is_at(root, path))
        {
            return Ok(Arc::clone(folder));
        }
        let opened = if path.is_empty() {
            Folder::new(rustix::io::dup(root)?)
        } else {
            match root.open_beneath(path) {
                Err(error) if create && error.kind() == io::ErrorKind::NotFound => {
                    root.walk_beneath(path, Folder::make_name)?
                }
                opened => opened?,
            }
        };
        if self.most <= self.open.len() {
            self.open.clear();
        }
        let folder = Arc::new(opened);
        self.open.insert(path.to_owned(), Arc::clone(&folder));
        Ok(folder)
    }
}
