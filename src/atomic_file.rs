//! A file that appears whole or not at all, outside of destinations: locks, saved plans, reports.
//!
//! The bytes go into a temporary file in the same directory, whose name is random: two processes with
//! one id (in two containers) or two threads never share it. A file that a program reads, changes and
//! replaces needs a [`ReplaceGuard`] as well.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

/// The most bytes of a file's name that its temporary file has in its name.
const NAMED: usize = 100;

/// The interval between attempts to take a guard, and the most attempts.
const STEP: Duration = Duration::from_millis(20);
const STEPS: u32 = 3000;

/// The right to replace files of a folder, held by one process at a time: an advisory lock of the
/// kernel on the folder itself, so that no further file appears beside them.
#[derive(Debug)]
pub(crate) struct ReplaceGuard {
    /// None if the file system has no such locks. A concurrent change may then be lost.
    _folder: Option<File>,
}

impl ReplaceGuard {
    /// Takes the guard of the folder of `place`. Waits for other holders, since they only replace a
    /// file. None when `go_on` answers false.
    ///
    /// # Errors
    /// When the folder cannot be opened, or the guard is held for a minute.
    pub(crate) fn acquire(place: &Path, go_on: impl Fn() -> bool) -> io::Result<Option<Self>> {
        let place = fs::canonicalize(place).unwrap_or_else(|_| place.to_owned());
        let folder = File::open(folder_of(&place))?;
        for _ in 0..STEPS {
            match folder.try_lock() {
                Ok(()) => return Ok(Some(Self { _folder: Some(folder) })),
                Err(TryLockError::Error(_)) => return Ok(Some(Self { _folder: None })),
                Err(TryLockError::WouldBlock) if !go_on() => return Ok(None),
                Err(TryLockError::WouldBlock) => std::thread::sleep(STEP),
            }
        }
        let message = "another process has held a lock on its folder for a minute";
        Err(io::Error::new(io::ErrorKind::TimedOut, message))
    }
}

/// A file on its way to its place. Dropped unpublished, it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct AtomicFile {
    place: PathBuf,
    file: NamedTempFile,
}

impl AtomicFile {
    /// Begins a file that is to replace `place`. A symbolic link at `place` stays, and its target is
    /// replaced.
    ///
    /// # Errors
    /// When `place` is a directory or a special file, or nothing can be created beside it.
    #[expect(clippy::disallowed_methods, reason = "the other place that may write files")]
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
        // A name of full length leaves no room for random characters.
        let name = &name[..name.floor_char_boundary(NAMED)];
        // Opened here, since the errors of `tempfile` have the temporary file's absolute path in
        // their text. The permissions are those of a file that is created in place: the umask
        // decides.
        let file = tempfile::Builder::new()
            .prefix(&format!(".{name}."))
            .make_in(folder_of(&place), |path| File::create_new(path))?;
        Ok(Self { place, file })
    }

    /// Where the file is to be.
    pub(crate) fn place(&self) -> &Path {
        &self.place
    }

    /// Puts the file in place, durably, with the permissions of the file that it replaces.
    ///
    /// # Errors
    /// When the disk fails. Then the old file stays.
    pub(crate) fn publish(self) -> io::Result<()> {
        if let Ok(metadata) = fs::metadata(&self.place) {
            self.file.as_file().set_permissions(metadata.permissions())?;
        }
        self.put()
    }

    /// Puts the file in place, durably and readable for all users.
    ///
    /// # Errors
    /// When the disk fails. Then the old file stays.
    pub(crate) fn publish_readable(self) -> io::Result<()> {
        self.file.as_file().set_permissions(Permissions::from_mode(0o644))?;
        self.put()
    }

    fn put(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let folder = folder_of(&self.place).to_owned();
        self.file.persist(&self.place).map_err(|error| error.error)?;
        // If a power cut undoes the rename, the next run writes the file again.
        let _ = File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    }
}

fn folder_of(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.as_file_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn writers_of_one_place_do_not_share_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("x.lock");
        let mut one = AtomicFile::create(&place).unwrap();
        let mut two = AtomicFile::create(&place).unwrap();
        one.write_all(b"one").unwrap();
        two.write_all(b"two").unwrap();
        two.publish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"two");
        one.publish().unwrap();
        assert_eq!(fs::read(&place).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["x.lock"]);
    }

    #[test]
    fn one_process_at_a_time_replaces_files_of_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let guard = |name: &str, go_on: bool| {
            ReplaceGuard::acquire(&folder.path().join(name), || go_on).unwrap()
        };
        let held = guard("a.lock", true);
        assert!(held.is_some() && guard("b.lock", false).is_none());
        drop(held);
        assert!(guard("b.lock", false).is_some());
        assert_eq!(names(folder.path()), [""; 0]);
        assert!(ReplaceGuard::acquire(&folder.path().join("none/a.lock"), || true).is_err());
    }

    #[test]
    fn a_name_may_have_full_length() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x".repeat(255), "é".repeat(127)] {
            let mut file = AtomicFile::create(&folder.path().join(&name)).unwrap();
            file.write_all(b"new").unwrap();
            file.publish().unwrap();
            assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"new");
        }
    }

    #[test]
    fn errors_do_not_name_the_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = AtomicFile::create(&folder.path().join("none/x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOENT.raw_os_error()), "{error}");
        // The temporary file is replaced by a device that is always full.
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut file = AtomicFile::create(&folder.path().join("x")).unwrap();
        *file.file.as_file_mut() = full;
        let error = file.write_all(b"new").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::NOSPC.raw_os_error()), "{error}");
    }

    #[test]
    fn an_unpublished_file_leaves_nothing_and_a_published_one_keeps_the_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("plan");
        fs::write(&place, "old").unwrap();
        fs::set_permissions(&place, Permissions::from_mode(0o640)).unwrap();
        drop(AtomicFile::create(&place).unwrap());
        assert_eq!(names(folder.path()), ["plan"]);
        assert_eq!(fs::read(&place).unwrap(), b"old");
        let mut file = AtomicFile::create(&place).unwrap();
        file.write_all(b"new").unwrap();
        file.publish().unwrap();
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o640);
    }
}
