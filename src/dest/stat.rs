//! The metadata of a file.

use jiff::Timestamp;
use rustix::fs::FileType;

/// A file's kind, size and times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Bytes.
    pub(crate) size: u64,
    /// mtime, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// ctime, in nanoseconds since 1970. A program cannot set it back.
    pub(crate) changed: i64,
    pub(crate) inode: u64,
    /// The device that the inode number belongs to.
    pub(super) device: u64,
    pub(super) owner: u32,
    pub(super) group: u32,
    mode: u32,
}

impl Stat {
    #[must_use]
    pub(crate) fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    #[must_use]
    pub(crate) fn is_dir(&self) -> bool {
        self.kind() == FileType::Directory
    }

    #[must_use]
    pub(crate) fn is_symlink(&self) -> bool {
        self.kind() == FileType::Symlink
    }

    /// A message for people about what is at the path.
    #[must_use]
    pub(crate) fn describe(&self) -> &'static str {
        match self.kind() {
            FileType::RegularFile => "a file stands at this path",
            FileType::Directory => "a directory stands at this path",
            FileType::Symlink => "a symbolic link stands at this path",
            _ => "something that is no regular file stands at this path",
        }
    }

    /// Whether the file changed so shortly before `now` that a further change may not show in its
    /// times: the racy-timestamp rule of git's index, for clocks that tick every two seconds.
    #[must_use]
    pub(crate) fn is_racy(&self, now: Timestamp) -> bool {
        const TICK: u64 = 2_000_000_000;
        let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        now.abs_diff(self.modified) < TICK
    }

    /// A hash of size, mtime, ctime and inode: if two stamps differ, one of these does.
    #[must_use]
    pub(crate) fn stamp(&self) -> u64 {
        [self.modified.cast_unsigned(), self.changed.cast_unsigned(), self.inode].into_iter().fold(
            self.size,
            |stamp, part| {
                let mixed = (stamp ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                mixed ^ (mixed >> 29)
            },
        )
    }

    pub(super) fn permissions(&self) -> u32 {
        self.mode & 0o777
    }

    /// Whether both are the same file or folder.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether new files in this folder get its group (the setgid bit).
    pub(super) fn gives_its_group(&self) -> bool {
        self.is_dir() && self.mode & 0o2000 != 0
    }

    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }
}

impl From<rustix::fs::Stat> for Stat {
    #[allow(
        clippy::unnecessary_cast,
        clippy::cast_possible_wrap,
        clippy::cast_sign_loss,
        reason = "the fields' types differ by system"
    )]
    fn from(stat: rustix::fs::Stat) -> Self {
        let nanoseconds =
            |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            size: stat.st_size as u64,
            modified: nanoseconds(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
            changed: nanoseconds(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            inode: stat.st_ino as u64,
            device: stat.st_dev as u64,
            owner: stat.st_uid as u32,
            group: stat.st_gid as u32,
            mode: stat.st_mode as u32,
        }
    }
}
