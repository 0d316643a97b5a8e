//! The control folder of a run: where natsync's own files below a destination are.
//!
//! A run over all entries has `.natsync`. A shard has a folder of its own in it, so that shards of one
//! destination share no file that they write, not even on a file system without locks.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;

use super::folder::Folder;
use crate::manifest::Shard;

/// The folder of natsync's own files below a destination.
pub(crate) const CONTROL: &str = ".natsync";

/// The folder of the shards' folders, in [`CONTROL`].
pub(crate) const SHARDS: &str = "shards";

/// The name of [`SHARDS`] while the folders of a merged job are deleted.
const MERGED: &str = "shards.merged";

/// Which control folder a run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Control(pub(super) Option<Shard>);

impl Control {
    /// Its path below the destination.
    pub(super) fn path(self) -> PathBuf {
        let mut path = PathBuf::from(CONTROL);
        if let Some(shard) = self.0 {
            path.push(SHARDS);
            path.push(folder_name(shard));
        }
        path
    }

    /// Opens it below the destination, without following a symbolic link.
    pub(super) fn open(self, root: &Folder) -> io::Result<Folder> {
        let control = root.open(CONTROL.as_ref())?;
        match self.0 {
            Some(shard) => control.open(SHARDS.as_ref())?.open(folder_name(shard).as_ref()),
            None => Ok(control),
        }
    }

    /// Opens it below the destination, and creates it if it does not exist.
    pub(super) fn make(self, root: &Folder) -> io::Result<Folder> {
        let control = root.make(CONTROL, Mode::RWXU)?;
        match self.0 {
            Some(shard) => {
                let shards = control.make(SHARDS, Mode::RWXU)?;
                shards.make(&folder_name(shard), Mode::RWXU)
            }
            None => Ok(control),
        }
    }
}

/// The shards that have a control folder below the destination, in order. No symbolic link is
/// followed.
pub(super) fn shards(root: &Folder) -> io::Result<Vec<Shard>> {
    let open = || root.open(CONTROL.as_ref())?.open(SHARDS.as_ref());
    let folder = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        folder => folder?,
    };
    let names = folder.names()?;
    let mut shards: Vec<_> =
        names.iter().filter_map(|name| name.to_str().and_then(shard_of_folder)).collect();
    shards.sort_unstable();
    Ok(shards)
}

/// Removes the folders of the shards of a job. Parts of files in them are kept for the next run.
pub(super) fn remove_shards(
    root: &Folder,
    control: &Path,
    partial: &str,
    total: u32,
) -> io::Result<()> {
    let (all, merged) = (control.join(SHARDS), control.join(MERGED));
    let (own, others): (Vec<_>, Vec<_>) =
        shards(root)?.into_iter().partition(|shard| shard.total() == total);
    for shard in &own {
        if let Ok(parts) = all.join(folder_name(*shard)).join(partial).read_dir() {
            for part in parts.flatten() {
                // The names are random, so none is taken.
                let _ = std::fs::rename(part.path(), control.join(partial).join(part.file_name()));
            }
        }
    }
    match std::fs::remove_dir_all(&merged) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if others.is_empty() {
        // One rename, so that a merge that is killed now does not leave only some of the shards.
        std::fs::rename(&all, &merged)?;
        return std::fs::remove_dir_all(merged);
    }
    for shard in own {
        std::fs::remove_dir_all(all.join(folder_name(shard)))?;
    }
    Ok(())
}

/// The name of a shard's folder.
pub(super) fn folder_name(shard: Shard) -> String {
    format!("{}-of-{}", shard.number(), shard.total())
}

/// The shard whose folder has that name.
fn shard_of_folder(name: &str) -> Option<Shard> {
    let (number, total) = name.split_once("-of-")?;
    let shard = format!("{number}/{total}").parse().ok()?;
    (folder_name(shard) == name).then_some(shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_the_name_of_its_shard() {
        let shard = Shard::new(3, 16).unwrap();
        assert_eq!(folder_name(shard), "3-of-16");
        assert_eq!(shard_of_folder("3-of-16"), Some(shard));
        for other in ["3-of-2", "03-of-16", "3-of-16.old", "key", "-of-", "3-of-16-of-2"] {
            assert_eq!(shard_of_folder(other), None, "{other}");
        }
    }
}
