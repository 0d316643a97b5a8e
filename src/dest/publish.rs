//! Giving a verified file its final name.

use std::io;
use std::os::fd::AsFd as _;

use rustix::fs::RenameFlags;

use super::attributes::Attributes;
use super::folder::Folder;
use super::{Dest, Stat, Verified};
use crate::rel_path::RelPath;

/// Why a verified file could not be published.
#[derive(Debug)]
pub(crate) enum PublishError {
    /// Something that natsync does not replace is at the path.
    Conflict(&'static str),
    /// The folder was moved while the file got its name in it.
    Moved,
    /// The disk failed.
    Disk(io::Error),
}

impl From<io::Error> for PublishError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
                Self::Conflict("a folder of this path is a file or a symbolic link")
            }
            _ => Self::Disk(error),
        }
    }
}

impl Dest {
    /// Gives a verified file its final name. With `replace`, it replaces a regular file and takes
    /// over its attributes; nothing else is replaced.
    ///
    /// # Errors
    /// When something else is at the path, or the disk fails. Then the final name is unchanged. Also
    /// when the folder was moved in that moment.
    pub(crate) fn publish(
        &self,
        verified: &Verified,
        path: &RelPath,
        replace: bool,
    ) -> Result<Stat, PublishError> {
        let staging = self.staging();
        let (parent, name) = (path.parent(), path.file_name());
        let folder = self.folder(parent, true)?;
        let replaced = if replace { to_replace(&folder, name)? } else { None };
        match &replaced {
            Some(old) => old.give_to(staging.as_fd(), verified.name(), verified.created())?,
            None => {
                folder.gives()?.give_to(staging.as_fd(), verified.name(), verified.created())?;
            }
        }
        if replaced.is_some() {
            rustix::fs::renameat(&**staging, verified.name(), &*folder, name)
                .map_err(io::Error::from)?;
        } else {
            rename_new(staging, verified.name(), &folder, name)?;
        }
        verified.disarm();
        let stat = folder.stat(name)?;
        match parent {
            Some(parent) if !folder.is_at(&self.root, parent) => Err(PublishError::Moved),
            _ => Ok(stat),
        }
    }
}

/// The attributes of a regular file at the name, which is to be replaced. None if nothing is there.
fn to_replace(folder: &Folder, name: &str) -> Result<Option<Attributes>, PublishError> {
    match folder.stat(name) {
        Ok(old) if old.is_file() => Ok(Some(Attributes::of(folder.as_fd(), name, &old))),
        Ok(old) => Err(PublishError::Conflict(old.describe())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Renames to a free name, and fails if the name exists.
fn rename_new(
    staging: &Folder,
    staged: &str,
    folder: &Folder,
    name: &str,
) -> Result<(), PublishError> {
    use rustix::io::Errno;
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(staging, staged, folder, name, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {
            let there = folder.stat(name)?;
            let what = if there.is_file() {
                "a file appeared at this path during the run"
            } else {
                there.describe()
            };
            return Err(PublishError::Conflict(what));
        }
        // Some file systems do not support the flag.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        Err(errno) => return Err(io::Error::from(errno).into()),
    }
    match folder.stat(name) {
        Ok(there) => Err(PublishError::Conflict(there.describe())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(rustix::fs::renameat(staging, staged, folder, name).map_err(io::Error::from)?)
        }
        Err(error) => Err(error.into()),
    }
}
