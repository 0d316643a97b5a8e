//! Parts: the first bytes of files whose transfer was interrupted, kept so that only the rest is
//! needed.
//!
//! A note beside the bytes says which file they begin and, line by line, how many of them have
//! which digest. Only the bytes of its last complete line are trusted, so a killed run, a power cut
//! and a damaged file are one case.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::manifest::KeptUrl;
use crate::pin::Validators;
use crate::threads::lock;

/// The suffix of the name of a note.
const NOTE: &str = ".part";
/// The longest first line of a note, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;
/// The last complete line of a note is within this many bytes before its end.
const TAIL: u64 = 4096;
/// How long a part of another manifest is kept, which may never run again.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Which file a part begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartNote {
    /// The owner in the state whose run received it; 0 in notes of older versions.
    #[serde(default)]
    pub(crate) owner: i64,
    /// Below the destination.
    pub(crate) path: String,
    /// The URL that served it.
    #[serde(flatten)]
    pub(crate) url: KeptUrl,
    /// The pinned digests of the whole file.
    pub(crate) pin: Vec<String>,
    /// A weak `ETag` is left out.
    #[serde(flatten)]
    pub(crate) validators: Validators,
    /// Whether `Last-Modified` is as good as a strong `ETag`.
    pub(crate) dated: bool,
    /// The length of the whole file, if the server sent it.
    pub(crate) total: Option<u64>,
}

/// How many bytes of the part have which digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) length: u64,
    pub(super) sha256: String,
}

/// The parts of earlier runs, by path. Each owner has at most one part of a path.
#[derive(Debug, Default)]
pub(crate) struct Parts(Mutex<HashMap<String, Vec<Part>>>);

/// A part of an earlier run.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(super) name: String,
    pub(super) note: PartNote,
    pub(super) written: Written,
    /// The last change of the note; none if the system does not tell.
    modified: Option<SystemTime>,
}

impl PartNote {
    /// Writes the first line of the note of a part.
    pub(super) fn begin(&self, staging: &Folder, name: &str) -> io::Result<()> {
        append(staging, name, OFlags::TRUNC, self)
    }

    /// The value for `If-Range`, if there is a strong validator (RFC 9110, section 13.1.5).
    pub(crate) fn validator(&self) -> Option<&str> {
        let date = self.validators.last_modified.as_deref().filter(|_| self.dated);
        self.validators.etag.as_deref().or(date)
    }
}

impl Written {
    /// Appends a line to the note of a part.
    pub(super) fn add(&self, staging: &Folder, name: &str) -> io::Result<()> {
        append(staging, name, OFlags::APPEND, self)
    }
}

fn append(staging: &Folder, name: &str, how: OFlags, line: &impl Serialize) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    let note = rustix::fs::openat(staging, note_of(name), flags, Mode::from_raw_mode(0o600))?;
    let mut text = serde_json::to_vec(line)?;
    text.push(b'\n');
    File::from(note).write_all(&text)
}

impl Part {
    /// None if the part has no valid note.
    fn read(staging: &Folder, name: &str) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let note = rustix::fs::openat(staging, note_of(name), flags, Mode::empty()).ok()?;
        let mut file = File::from(note);
        let mut first = Vec::new();
        BufReader::new(&file).take(LONGEST).read_until(b'\n', &mut first).ok()?;
        let note = serde_json::from_slice(&first).ok()?;
        let metadata = file.metadata().ok()?;
        let modified = metadata.modified().ok();
        // A transfer of many hours adds many lines; only the last one counts.
        let (begin, length) = (first.len() as u64, metadata.len());
        file.seek(SeekFrom::Start(begin.max(length.saturating_sub(TAIL)))).ok()?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail).ok()?;
        // A line without an end was cut by the end of the process.
        let end = tail.iter().rposition(|byte| *byte == b'\n')?;
        let last = tail[..end].rsplit(|byte| *byte == b'\n').next()?;
        let written = serde_json::from_slice(last).ok()?;
        Some(Self { name: name.to_owned(), note, written, modified })
    }

    pub(crate) fn note(&self) -> &PartNote {
        &self.note
    }

    /// Removes the part and its note.
    pub(super) fn remove(&self, staging: &Folder) {
        let _ = staging.remove(self.name.as_str());
        remove_note(staging, &self.name);
    }
}

impl Parts {
    /// Reads the parts in the staging area. Removes every file that is not a part with a valid
    /// note.
    pub(super) fn collect(staging: &Folder) -> io::Result<Self> {
        let names = staging.names()?;
        let texts: HashSet<_> = names.iter().filter_map(|name| name.to_str()).collect();
        let mut parts: HashMap<String, Vec<Part>> = HashMap::new();
        for name in &texts {
            let Some(stem) = name.strip_suffix(NOTE).filter(|stem| texts.contains(stem)) else {
                continue;
            };
            let Some(part) = Part::read(staging, stem) else { continue };
            let same = parts.entry(part.note.path.clone()).or_default();
            match same.iter_mut().find(|other| other.note.owner == part.note.owner) {
                Some(other) if other.written.length < part.written.length => *other = part,
                Some(_) => {}
                None => same.push(part),
            }
        }
        let kept: HashSet<_> = parts.values().flatten().map(|part| part.name.as_str()).collect();
        for name in &names {
            let text = name.to_str().unwrap_or_default();
            if !kept.contains(text.strip_suffix(NOTE).unwrap_or(text)) {
                staging.remove(name)?;
            }
        }
        Ok(Self(Mutex::new(parts)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Takes the longest wanted part of a path. No other transfer gets it afterwards.
    pub(crate) fn take(&self, path: &str, wanted: impl Fn(&PartNote) -> bool) -> Option<Part> {
        let mut parts = self.lock();
        let same = parts.get_mut(path)?;
        let wanted = same.iter().enumerate().filter(|(_, part)| wanted(&part.note));
        let (longest, _) = wanted.max_by_key(|(_, part)| part.written.length)?;
        Some(same.swap_remove(longest))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Part>>> {
        lock(&self.0)
    }

    /// Removes the parts that no transfer took, but for those of files that are `wanted`. A part of
    /// an owner that is another manifest stays for the next run of that, if it is not too old.
    pub(super) fn clear(
        &self,
        staging: &Folder,
        is_other: impl Fn(i64) -> bool,
        wanted: impl Fn(&str) -> bool,
    ) {
        for part in self.lock().drain().flat_map(|(_, parts)| parts) {
            let age = part.modified.and_then(|modified| modified.elapsed().ok());
            let is_old = age.is_some_and(|age| KEPT < age);
            let PartNote { owner, path, .. } = &part.note;
            let stays = if is_other(*owner) { !is_old } else { wanted(path) };
            if !stays {
                part.remove(staging);
            }
        }
    }
}

/// Removes the note of a part.
pub(super) fn remove_note(staging: &Folder, name: &str) {
    let _ = staging.remove(note_of(name).as_str());
}

/// Renames the note of a part.
pub(super) fn rename_note(staging: &Folder, from: &str, to: &str) -> io::Result<()> {
    Ok(rustix::fs::renameat(staging, note_of(from), staging, note_of(to))?)
}

fn note_of(name: &str) -> String {
    format!("{name}{NOTE}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dest::Dest;
    use crate::digest::Algorithms;

    fn note(path: &str) -> PartNote {
        let validators = Validators { etag: Some("\"a\"".to_owned()), last_modified: None };
        PartNote { path: path.to_owned(), validators, ..PartNote::default() }
    }

    fn staging(dest: &Dest) -> std::path::PathBuf {
        dest.path().join(crate::dest::CONTROL).join("partial")
    }

    fn names(dest: &Dest) -> Vec<String> {
        let names = std::fs::read_dir(staging(dest)).unwrap();
        let name = |entry: io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<_> = names.map(|entry| name(entry).into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn fresh() -> (tempfile::TempDir, Dest) {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(&folder.path().join("out")).unwrap();
        (folder, dest)
    }

    fn leave(dest: &Dest, path: &str, pieces: &[&[u8]]) {
        let mut staged = dest.stage(Algorithms::default()).unwrap();
        for piece in pieces {
            staged.write(piece).unwrap();
            staged.keep_as(&note(path)).unwrap();
        }
    }

    fn take_up(dest: &Dest, path: &str, upto: u64) -> Option<(u64, Vec<u8>)> {
        let part = dest.parts().unwrap().take(path, |_| true)?;
        let found = dest.take_up(&part).unwrap();
        let begun = found.read(Algorithms::default(), 4, upto, || true).unwrap()?;
        Some((begun.staged.length(), begun.end))
    }

    #[test]
    fn what_was_left_is_taken_up() {
        let (_folder, dest) = fresh();
        leave(&dest, "a", &[b"abc", b"defg"]);
        assert_eq!(names(&dest).len(), 2);
        assert_eq!(take_up(&dest, "a", u64::MAX), Some((7, b"defg".to_vec())));
        // Dropping it unfinished kept it again.
        assert_eq!(take_up(&dest, "a", 5), Some((5, b"bcde".to_vec())));
        assert_eq!(take_up(&dest, "b", 5), None);
    }

    #[test]
    fn bytes_that_no_line_vouches_for_are_not_believed() {
        let (_folder, dest) = fresh();
        for (damage, left) in [
            (
                &(|path: &std::path::Path| {
                    let mut file = File::options().append(true).open(path).unwrap();
                    file.write_all(b"more").unwrap();
                }) as &dyn Fn(&std::path::Path),
                Some(7),
            ),
            (&|path| std::fs::write(path, b"abcdefX").unwrap(), None),
            (&|path| std::fs::write(path, b"abc").unwrap(), None),
            (&|path| std::fs::write(path, b"").unwrap(), None),
            (&|path| std::fs::write(path.with_extension("part"), b"{}").unwrap(), None),
            (&|path| std::fs::write(path.with_extension("part"), b"").unwrap(), None),
            (
                &|path| {
                    let path = path.with_extension("part");
                    let text = std::fs::read_to_string(&path).unwrap();
                    std::fs::write(&path, &text[..text.len() - 3]).unwrap();
                },
                Some(3),
            ),
        ] {
            leave(&dest, "a", &[b"abc", b"defg"]);
            let part = names(&dest).into_iter().find(|name| !name.ends_with(NOTE)).unwrap();
            damage(&staging(&dest).join(part));
            assert_eq!(take_up(&dest, "a", u64::MAX).map(|(length, _)| length), left);
            dest.clear_parts(&dest.parts().unwrap(), |_| false, |_| false);
            assert_eq!(names(&dest), [""; 0]);
        }
    }

    #[test]
    fn the_note_of_a_transfer_of_many_hours_is_read_from_its_end() {
        let (_folder, dest) = fresh();
        let pieces = vec![b"ab".as_slice(); 500];
        leave(&dest, "a", &pieces);
        assert_eq!(take_up(&dest, "a", u64::MAX).unwrap().0, 1000);
    }

    #[test]
    fn of_several_parts_of_one_path_the_longest_stays() {
        let (_folder, dest) = fresh();
        leave(&dest, "a", &[b"abc"]);
        leave(&dest, "a", &[b"abcdef"]);
        leave(&dest, "a", &[b"ab"]);
        std::fs::write(staging(&dest).join("stranger"), b"x").unwrap();
        std::fs::write(staging(&dest).join("stranger.part"), b"x").unwrap();
        assert_eq!(take_up(&dest, "a", u64::MAX).unwrap().0, 6);
    }

    /// A part outlasts a run that is interrupted or killed while it reads it, and one that cannot read
    /// it.
    #[test]
    fn a_part_that_is_being_read_is_still_a_part() {
        type End = fn(crate::dest::stage::Found);
        let ends: [(&str, End); 4] = [
            ("killed before", |found| std::mem::forget(found)),
            ("not read", drop),
            ("interrupted", |found| {
                let read = found.read(Algorithms::default(), 4, u64::MAX, || false);
                assert!(read.is_err());
            }),
            ("killed after", |found| {
                std::mem::forget(found.read(Algorithms::default(), 4, 5, || true).unwrap());
            }),
        ];
        for (name, end) in ends {
            let (_folder, dest) = fresh();
            leave(&dest, "a", &[b"abc", b"defg"]);
            let part = dest.parts().unwrap().take("a", |_| true).unwrap();
            end(dest.take_up(&part).unwrap());
            assert_eq!(names(&dest).len(), 2, "{name}");
            let length = if name == "killed after" { 5 } else { 7 };
            assert_eq!(
                take_up(&dest, "a", u64::MAX).map(|(length, _)| length),
                Some(length),
                "{name}"
            );
        }
    }

    #[test]
    fn one_of_two_runs_takes_a_part() {
        let (_folder, dest) = fresh();
        leave(&dest, "a", &[b"abc"]);
        let part = dest.parts().unwrap().take("a", |_| true).unwrap();
        let first = dest.take_up(&part).unwrap();
        assert!(dest.take_up(&part).is_err());
        drop(first);
        assert_eq!(take_up(&dest, "a", u64::MAX).unwrap().0, 3);
    }

    #[test]
    fn wanted_parts_stay() {
        let (_folder, dest) = fresh();
        leave(&dest, "a", &[b"abc"]);
        leave(&dest, "b", &[b"abc"]);
        dest.clear_parts(&dest.parts().unwrap(), |_| false, |path| path == "b");
        assert!(take_up(&dest, "a", u64::MAX).is_none());
        assert_eq!(take_up(&dest, "b", u64::MAX).unwrap().0, 3);
    }

    #[test]
    fn each_owner_keeps_its_part_of_a_path() {
        let (_folder, dest) = fresh();
        for owner in [1, 2, 2] {
            let mut staged = dest.stage(Algorithms::default()).unwrap();
            staged.write(b"abc").unwrap();
            staged.keep_as(&PartNote { owner, ..note("a") }).unwrap();
        }
        let parts = dest.parts().unwrap();
        let taken = parts.take("a", |note| note.owner == 1).unwrap();
        assert!(parts.take("a", |note| note.owner == 1).is_none() && taken.note().owner == 1);
        dest.clear_parts(&parts, |owner| owner == 2, |_| false);
        assert_eq!(dest.parts().unwrap().lock()["a"].len(), 2, "taken, and of another owner");
    }
}
