//! Owner, group, mode and access control list (ACL) of a file that gets its final name.
//!
//! Bytes are staged outside of their folder, so what the kernel gives to a file on creation has to
//! be given to it here. A new file looks as if it was created in its folder; a file that replaces
//! another one takes over that one's attributes, as far as the process may set them.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{AtFlags, Gid, Mode, Uid};
use rustix::io::Errno;

use super::Stat;

/// What is to differ from the attributes of a new file in the staging area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    owner: Option<u32>,
    group: Option<u32>,
    mode: Option<u32>,
    /// The value of the extended attribute that holds the ACL, as the kernel stores it.
    acl: Option<Vec<u8>>,
    /// The ACL could not be read, so that the group bits of the mode may be its mask.
    has_unknown_acl: bool,
}

/// The attributes that a file got when it was created in the staging area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Created {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) permissions: u32,
}

impl Attributes {
    /// What a file that is created in a folder gets from it: the group of a folder with the setgid
    /// bit, and the default ACL, which then replaces the umask (acl(5), "Object creation").
    pub(super) fn given_by(folder: BorrowedFd<'_>) -> io::Result<Self> {
        let stat = Stat::from(rustix::fs::fstat(folder)?);
        let group = stat.gives_its_group().then_some(stat.group);
        let inherited = acl::default_of(folder).as_deref().and_then(acl::inherited);
        let (mode, acl) = match inherited {
            Some(acl::Inherited::Mode(mode)) => (Some(mode), None),
            Some(acl::Inherited::List(list)) => (None, Some(list)),
            None => (None, None),
        };
        Ok(Self { owner: None, group, mode, acl, has_unknown_acl: false })
    }

    /// Those of a file that is replaced.
    pub(super) fn of(folder: BorrowedFd<'_>, name: &str, stat: &Stat) -> Self {
        let acl = acl::of_file(folder, name);
        Self {
            owner: Some(stat.owner),
            group: Some(stat.group),
            mode: Some(stat.permissions()),
            has_unknown_acl: acl.is_err(),
            acl: acl.unwrap_or_default(),
        }
    }

    /// Gives them to a staged file. An attribute that the process may not set stays as it is; then
    /// the file is no more accessible than it would be with all of them.
    pub(super) fn give_to(
        &self,
        staging: BorrowedFd<'_>,
        name: &str,
        created: Created,
    ) -> io::Result<()> {
        let owner = self.owner.filter(|owner| *owner != created.owner);
        let group = self.group.filter(|group| *group != created.group);
        let mut set = Set::default();
        if owner.is_some() || group.is_some() {
            set = set_owner(staging, name, owner, group)?;
        }
        let has_group = group.is_none() || set.group;
        if has_group
            && let Some(list) = &self.acl
            && acl::set(staging, name, list)?
        {
            return Ok(());
        }
        let mut mode = self.mode.unwrap_or(created.permissions);
        // The bits of the group are meant for another group, or are the mask of a lost ACL. Those
        // of a new file are what the umask gives to any group.
        let may_be_mask = self.acl.is_some() || self.has_unknown_acl;
        if self.mode.is_some() && (!has_group || may_be_mask) {
            mode = no_more_for_the_group(mode);
        }
        // The kernel may take bits away when the owner changes.
        if set.owner || set.group || mode != created.permissions {
            rustix::fs::chmodat(staging, name, Mode::from_raw_mode(mode), AtFlags::empty())?;
        }
        Ok(())
    }
}

/// Permissions with no right for the group that others do not have.
fn no_more_for_the_group(mode: u32) -> u32 {
    mode & !0o070 | mode & ((mode & 0o007) << 3)
}

/// Which of owner and group were set.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    owner: bool,
    group: bool,
}

fn set_owner(
    staging: BorrowedFd<'_>,
    name: &str,
    owner: Option<u32>,
    group: Option<u32>,
) -> io::Result<Set> {
    let group = group.map(Gid::from_raw);
    let set = |owner: Option<Uid>, group| match rustix::fs::chownat(
        staging,
        name,
        owner,
        group,
        AtFlags::SYMLINK_NOFOLLOW,
    ) {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(io::Error::from(errno)),
    };
    if set(owner.map(Uid::from_raw), group)? {
        return Ok(Set { owner: owner.is_some(), group: group.is_some() });
    }
    // A process that may not give files away may still choose among its own groups.
    let is_set = owner.is_some() && group.is_some() && set(None, group)?;
    Ok(Set { owner: false, group: is_set })
}

#[cfg(target_os = "linux")]
mod acl {
    //! POSIX ACLs as extended attributes: a version, then entries of a tag, permissions and an id,
    //! all in little endian (`linux/posix_acl_xattr.h`).

    use std::io;
    use std::os::fd::BorrowedFd;

    use rustix::fs::{Mode, OFlags, XattrFlags};
    use rustix::io::Errno;

    const DEFAULT: &str = "system.posix_acl_default";
    const ACCESS: &str = "system.posix_acl_access";
    const HEAD: usize = 4;
    const ENTRY: usize = 8;
    const OWNER: u16 = 0x01;
    const GROUP: u16 = 0x04;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    /// Files are created readable and writable for all, before the ACL restricts that.
    const CREATED: u16 = 0o6;
    /// The largest value of an extended attribute (`XATTR_SIZE_MAX`).
    const LONGEST: usize = 64 * 1024;

    /// What a default ACL makes of a new file.
    #[derive(Debug, PartialEq, Eq)]
    pub(super) enum Inherited {
        /// An ACL that says no more than a mode.
        Mode(u32),
        List(Vec<u8>),
    }

    pub(super) fn default_of(folder: BorrowedFd<'_>) -> Option<Vec<u8>> {
        let mut value = vec![0; LONGEST];
        let length = rustix::fs::fgetxattr(folder, DEFAULT, value.as_mut_slice()).ok()?;
        value.truncate(length);
        Some(value)
    }

    /// The ACL of a file, if it has one.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn of_file(
        folder: BorrowedFd<'_>,
        name: &str,
    ) -> rustix::io::Result<Option<Vec<u8>>> {
        use std::os::fd::AsRawFd as _;
        let mut value = vec![0; LONGEST];
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let length = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
            Ok(file) => rustix::fs::fgetxattr(&file, ACCESS, value.as_mut_slice()),
            Err(_) => {
                // A file that may not be read. No system call reads the attribute of a name
                // relative to an open folder.
                let path = format!("/proc/self/fd/{}/{name}", folder.as_raw_fd());
                rustix::fs::lgetxattr(path, ACCESS, value.as_mut_slice())
            }
        };
        match length {
            Ok(length) => {
                value.truncate(length);
                Ok(Some(value))
            }
            Err(Errno::NODATA | Errno::NOTSUP | Errno::NOSYS) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Reports whether the ACL was set.
    pub(super) fn set(staging: BorrowedFd<'_>, name: &str, list: &[u8]) -> io::Result<bool> {
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(staging, name, flags, Mode::empty())?;
        match rustix::fs::fsetxattr(&file, ACCESS, list, XattrFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::PERM | Errno::ACCESS | Errno::NOTSUP | Errno::INVAL) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The ACL of a file that is created in a folder with that default ACL. None if the value
    /// cannot be read.
    pub(super) fn inherited(default: &[u8]) -> Option<Inherited> {
        let (_, entries) = default.split_at_checked(HEAD)?;
        if entries.is_empty() || !entries.len().is_multiple_of(ENTRY) {
            return None;
        }
        let tag_of = |entry: &[u8]| u16::from_le_bytes([entry[0], entry[1]]);
        let has_mask = entries.chunks_exact(ENTRY).any(|entry| tag_of(entry) == MASK);
        let mut list = default.to_vec();
        let mut mode = 0;
        for entry in list[HEAD..].chunks_exact_mut(ENTRY) {
            let tag = tag_of(entry);
            // With a mask, the entry of the group is limited by it and keeps its own bits.
            let shift = match tag {
                OWNER => 6,
                MASK => 3,
                GROUP if !has_mask => 3,
                OTHER => 0,
                _ => continue,
            };
            let permissions = u16::from_le_bytes([entry[2], entry[3]]) & CREATED;
            entry[2..4].copy_from_slice(&permissions.to_le_bytes());
            mode |= u32::from(permissions) << shift;
        }
        let plain = entries.len() == 3 * ENTRY && !has_mask;
        Some(if plain { Inherited::Mode(mode) } else { Inherited::List(list) })
    }

    /// Removes what a folder would give to new files.
    pub(super) fn forget_default(folder: BorrowedFd<'_>) {
        // Most folders have none, and some file systems know none.
        let _ = rustix::fs::fremovexattr(folder, DEFAULT);
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
            let mut list = 2_u32.to_le_bytes().to_vec();
            for (tag, permissions, id) in entries {
                list.extend(tag.to_le_bytes());
                list.extend(permissions.to_le_bytes());
                list.extend(id.to_le_bytes());
            }
            list
        }

        #[test]
        fn a_default_acl_is_limited_to_what_files_are_created_with() {
            let none = u32::MAX;
            let plain = list(&[(OWNER, 7, none), (GROUP, 5, none), (OTHER, 0, none)]);
            assert_eq!(inherited(&plain), Some(Inherited::Mode(0o640)));
            let user = 0x02;
            let named = |owner, group, mask| {
                list(&[
                    (OWNER, owner, none),
                    (user, 7, 1000),
                    (GROUP, group, none),
                    (MASK, mask, none),
                    (OTHER, 4, none),
                ])
            };
            assert_eq!(inherited(&named(7, 5, 7)), Some(Inherited::List(named(6, 5, 6))));
            for damaged in [&b""[..], b"\x02\0\0", b"\x02\0\0\0", b"\x02\0\0\0\x01\0"] {
                assert_eq!(inherited(damaged), None);
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod acl {
    //! Systems without the extended attributes of Linux: ACLs are left alone.

    use std::io;
    use std::os::fd::BorrowedFd;

    pub(super) enum Inherited {
        Mode(u32),
        List(Vec<u8>),
    }

    pub(super) fn default_of(_: BorrowedFd<'_>) -> Option<Vec<u8>> {
        None
    }

    pub(super) fn of_file(_: BorrowedFd<'_>, _: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    pub(super) fn set(_: BorrowedFd<'_>, _: &str, _: &[u8]) -> io::Result<bool> {
        Ok(false)
    }

    pub(super) fn inherited(_: &[u8]) -> Option<Inherited> {
        None
    }

    pub(super) fn forget_default(_: BorrowedFd<'_>) {}
}

/// Makes a folder give nothing to the files in it, so that all files in the staging area begin
/// alike.
pub(super) fn make_neutral(folder: BorrowedFd<'_>) -> io::Result<()> {
    acl::forget_default(folder);
    if Stat::from(rustix::fs::fstat(folder)?).gives_its_group() {
        rustix::fs::fchmod(folder, Mode::RWXU)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_that_cannot_be_read_gives_the_group_nothing() {
        use std::os::fd::AsFd as _;
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        std::fs::write(&path, "").unwrap();
        let mode_of =
            |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o664)).unwrap();
        let open = std::fs::File::open(folder.path()).unwrap();
        let stat = Stat::from(rustix::fs::stat(&path).unwrap());
        let created = Created { owner: stat.owner, group: stat.group, permissions: 0o600 };
        for (name, mode) in [("gone", 0o644), ("new", 0o664)] {
            let attributes = Attributes::of(open.as_fd(), name, &stat);
            attributes.give_to(open.as_fd(), "new", created).unwrap();
            assert_eq!(mode_of(&path), mode, "{name}");
        }
    }

    #[test]
    fn another_group_gets_no_more_than_others() {
        for (before, after) in
            [(0o640, 0o600), (0o664, 0o644), (0o604, 0o604), (0o777, 0o777), (0o751, 0o711)]
        {
            assert_eq!(no_more_for_the_group(before), after, "{before:o}");
        }
    }
}
