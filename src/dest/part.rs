//! Parts: the first bytes of files whose transfer was interrupted, kept so that only the rest is
//! needed.
//!
//! A note beside the bytes says which file they begin and, line by line, how many of them have
//! which digest. Only the bytes of its last complete line are trusted, so a killed run, a power cut
//! and a damaged file are one case.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::sync::{Mutex, MutexGuard};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::folder::Folder;
use crate::manifest::KeptUrl;
use crate::pin::Validators;
use crate::threads::lock;

/// The suffix of the name of a note.
const NOTE: &str = ".part";
/// The largest note, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Which file a part begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartNote {
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

/// The parts of earlier runs, by path.
#[derive(Debug, Default)]
pub(crate) struct Parts(Mutex<HashMap<String, Part>>);

/// A part of an earlier run.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(super) name: String,
    pub(super) note: PartNote,
    pub(super) written: Written,
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
        let mut text = String::new();
        File::from(note).take(LONGEST).read_to_string(&mut text).ok()?;
        // A line without an end was cut by the end of the process.
        let whole = &text[..=text.rfind('\n')?];
        let mut lines = whole.lines();
        let note = serde_json::from_str(lines.next()?).ok()?;
        let written = serde_json::from_str(lines.next_back()?).ok()?;
        Some(Self { name: name.to_owned(), note, written })
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
        let mut parts: HashMap<String, Part> = HashMap::new();
        for name in &texts {
            let Some(stem) = name.strip_suffix(NOTE).filter(|stem| texts.contains(stem)) else {
                continue;
            };
            let Some(part) = Part::read(staging, stem) else { continue };
            let longer = |other: &Part| part.written.length < other.written.length;
            if !parts.get(&part.note.path).is_some_and(longer) {
                parts.insert(part.note.path.clone(), part);
            }
        }
        let kept: HashSet<_> = parts.values().map(|part| part.name.as_str()).collect();
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

    /// Takes the part of a path, if it is the wanted one. No other transfer gets it afterwards.
    pub(crate) fn take(&self, path: &str, wanted: impl Fn(&PartNote) -> bool) -> Option<Part> {
        let mut parts = self.lock();
        if parts.get(path).is_some_and(|part| wanted(&part.note)) {
            parts.remove(path)
        } else {
            None
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Part>> {
        lock(&self.0)
    }

    /// Removes the parts that no transfer took.
    pub(super) fn clear(&self, staging: &Folder) {
        for (_, part) in self.lock().drain() {
            part.remove(staging);
        }
    }
}

/// Removes the note of a part.
pub(super) fn remove_note(staging: &Folder, name: &str) {
    let _ = staging.remove(note_of(name).as_str());
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
            dest.clear_parts(&dest.parts().unwrap());
            assert_eq!(names(&dest), [""; 0]);
        }
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
}
