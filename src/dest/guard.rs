//! The run guard: one run at a time for each destination.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};

use super::{CONTROL, Dest, DestError};

/// Holds a destination for one run, by an advisory lock that the kernel releases when the process
/// ends, however it ends. The content of the file is only for the message of another run.
#[derive(Debug)]
pub(crate) struct RunGuard {
    _file: File,
}

impl RunGuard {
    /// Takes the destination.
    ///
    /// # Errors
    /// [`DestError::Busy`] when another run holds it, [`DestError::Unusable`] when the file cannot
    /// be created.
    pub(crate) fn acquire(dest: &Dest) -> Result<Self, DestError> {
        let path = dest.path().join(CONTROL).join("run.lock");
        let storage = |source| dest.error("lock", ".natsync/run.lock", source);
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
            options.custom_flags(flags.bits().cast_signed());
        }
        let mut file = options.open(&path).map_err(storage)?;
        match file.try_lock() {
            Ok(()) => {
                // Without this text, the message of the other run lacks a detail.
                let _ = sign(&mut file);
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = (&mut file).take(200).read_to_string(&mut holder);
                let holder = Some(holder.trim().to_owned()).filter(|text| !text.is_empty());
                Err(DestError::Busy { dest: dest.at.shown().to_owned(), holder })
            }
            Err(TryLockError::Error(source)) => Err(storage(source)),
        }
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let now = jiff::Timestamp::now();
    writeln!(file, "process {} since {now:.0}", std::process::id())
}
