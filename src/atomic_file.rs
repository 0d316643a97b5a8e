//! A file that appears whole or not at all, outside of destinations: locks, saved plans, reports.

#![expect(
    clippy::disallowed_methods,
    reason = "this module is the way to write outside of a destination"
)]

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A private file beside the place where it is to be. Dropped unfinished, it leaves no trace.
#[derive(Debug)]
pub(crate) struct Draft {
    place: PathBuf,
    path: PathBuf,
    file: File,
}

impl Draft {
    /// Begins a file that is to be at `place`. One that is linked to stays a link.
    ///
    /// # Errors
    /// When no file can be made beside it.
    pub(crate) fn create(place: &Path) -> io::Result<Self> {
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        match fs::metadata(&place) {
            Ok(there) if there.is_dir() => {
                return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory"));
            }
            // A device must not be replaced by a file.
            Ok(there) if !there.is_file() => {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
            }
            _ => {}
        }
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let path = place.with_file_name(format!(".{name}.{}", std::process::id()));
        // What is left of a killed run with the same number may be taken.
        let _ = fs::remove_file(&path);
        let file = File::options().write(true).create_new(true).open(&path)?;
        Ok(Self { place, path, file })
    }

    /// Where it is to be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts it in its place, durably, with the permissions of what is there.
    ///
    /// # Errors
    /// When the disk fails. What was there stays.
    pub(crate) fn publish(self) -> io::Result<()> {
        if let Ok(metadata) = fs::metadata(&self.place) {
            self.file.set_permissions(metadata.permissions())?;
        }
        self.put()
    }

    /// The same, and everybody may read it.
    ///
    /// # Errors
    /// When the disk fails. What was there stays.
    #[cfg(unix)]
    pub(crate) fn publish_readable(self) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        self.file.set_permissions(fs::Permissions::from_mode(0o644))?;
        self.put()
    }

    fn put(self) -> io::Result<()> {
        self.file.sync_all()?;
        // The draft has that name no more when it is dropped.
        fs::rename(&self.path, &self.place)?;
        if let Some(folder) = self.place.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            // A name that is lost with the power is written again by the next run.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
