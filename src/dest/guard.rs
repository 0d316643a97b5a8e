//! The run guard: one run at a time for each destination, or one for each shard of it.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};

use super::control::folder_name;
use super::{CONTROL, Dest, DestError};
use crate::manifest::Shard;

const RUN: &str = "run.lock";

/// What the file says while shards hold it. All of them write the same bytes, so that writes at the
/// same time do no harm.
const SHARED: &str = "shards of a job";

/// Holds a destination for one run, by advisory locks that the kernel releases when the process ends,
/// however it ends. The content of the files is only for the message of another run.
///
/// A run over all entries holds `run.lock` alone. Shards share it, and each holds a file of its own
/// alone.
#[derive(Debug)]
pub(crate) struct RunGuard {
    _run: File,
    _shard: Option<File>,
}

impl RunGuard {
    /// Takes the destination, or the shard of it whose control folder this is.
    ///
    /// # Errors
    /// [`DestError::Busy`] when another run holds it, [`DestError::Unusable`] when the file cannot
    /// be created.
    pub(crate) fn acquire(dest: &Dest) -> Result<Self, DestError> {
        let alone = format!("process {} since {:.0}", std::process::id(), jiff::Timestamp::now());
        let Some(shard) = dest.shard() else {
            let run = hold(dest, RUN, None, File::try_lock, &alone)?;
            return Ok(Self { _run: run, _shard: None });
        };
        let run = hold(dest, RUN, None, File::try_lock_shared, SHARED)?;
        let own = hold(dest, &name_of(shard), Some(shard), File::try_lock, &alone)?;
        Ok(Self { _run: run, _shard: Some(own) })
    }

    /// Removes the lock files of shards. Only a run that holds the destination alone may call this:
    /// then no shard waits for one of them.
    pub(crate) fn clear(_held: &Self, dest: &Dest, shards: impl IntoIterator<Item = Shard>) {
        for shard in shards {
            let _ = std::fs::remove_file(dest.path().join(CONTROL).join(name_of(shard)));
        }
    }
}

fn name_of(shard: Shard) -> String {
    format!("run-{}.lock", folder_name(shard))
}

/// Opens a lock file, locks it, and writes `text` into it.
fn hold(
    dest: &Dest,
    name: &str,
    shard: Option<Shard>,
    lock: fn(&File) -> Result<(), TryLockError>,
    text: &str,
) -> Result<File, DestError> {
    let storage = |source| dest.error("lock", &format!("{CONTROL}/{name}"), source);
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        options.custom_flags(flags.bits().cast_signed());
    }
    let mut file = options.open(dest.path().join(CONTROL).join(name)).map_err(storage)?;
    match lock(&file) {
        Ok(()) => {
            // Without this text, the message of the other run lacks a detail.
            let _ = sign(&mut file, text);
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&mut file).take(200).read_to_string(&mut holder);
            let holder = Some(holder.trim().to_owned()).filter(|text| !text.is_empty());
            Err(DestError::Busy { dest: dest.at.shown().to_owned(), shard, holder })
        }
        Err(TryLockError::Error(source)) => Err(storage(source)),
    }
}

fn sign(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(text.len() as u64 + 1)?;
    file.rewind()?;
    file.write_all(format!("{text}\n").as_bytes())
}
