//! The local directory as it is now: one walk joined with the state, then a fixed value.
//!
//! It keeps no path: a file is known by the hash of its path, in constant memory. "Present" means
//! that it was there when the walk passed; what may change since is checked again when it is
//! replaced.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::dest::{Dest, Sighting};
use crate::digest::{Checksum, Digest, Digests};
use crate::plan::{Found, Obstacle, OnDisk, Record, StatMatch};
use crate::prune::Written;
use crate::rel_path::path_hash;
use crate::state::State;

/// What is on disk, and what the state knows of it.
#[derive(Debug, Default)]
pub(crate) struct Inventory {
    known: HashMap<u128, Known>,
    /// Bytes of files that the state does not know.
    strangers: HashMap<u128, u64>,
    folders: HashSet<u128>,
    obstacles: HashMap<u128, Obstacle>,
    missing: HashMap<u128, Missing>,
    /// Digests under other algorithms, which few files need.
    others: HashMap<u128, Vec<Checksum>>,
}

/// What the state knows of a file.
#[derive(Debug)]
pub(crate) struct Known {
    /// [`Stat::stamp`](crate::dest::Stat::stamp) when it was noted.
    pub(crate) stamp: u64,
    /// Bytes.
    pub(crate) size: u64,
    url: u64,
    checked: i64,
    /// The digest that it had.
    pub(crate) digest: Digest,
    racy: bool,
    found: bool,
    matches: bool,
}

impl Known {
    /// What it must still be to be deleted.
    pub(crate) fn written(&self) -> Written {
        Written { stamp: self.stamp, racy: self.racy, digest: self.digest }
    }
}

#[derive(Debug)]
struct Missing {
    url: u64,
    since: Timestamp,
}

/// What was found, and what was not as it should be.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// What is on disk.
    pub(crate) inventory: Inventory,
    /// Paths in the state that belong to this manifest.
    pub(crate) owned: Vec<String>,
    /// The state turned out to be damaged while it was read.
    pub(crate) damaged: bool,
}

impl Inventory {
    /// Walks a destination and joins what is there with the state. `advanced` is told now and then
    /// how many files were seen; the walk ends early when `go_on` says no.
    #[must_use]
    pub(crate) fn scan(
        dest: &Dest,
        state: Option<&State>,
        manifest: &str,
        advanced: impl Fn(u64) + Sync,
        go_on: impl Fn() -> bool + Sync,
    ) -> Scan {
        let mut scan = Scan::default();
        if let Some(state) = state {
            scan.read_state(state, manifest);
        }
        let mut inventory = std::mem::take(&mut scan.inventory);
        let seen = AtomicU64::new(0);
        let shared = Mutex::new(&mut inventory);
        dest.walk(
            2,
            |path, sighting| {
                let hash = path_hash(path);
                shared.lock().unwrap_or_else(PoisonError::into_inner).see(hash, &sighting);
                let seen = seen.fetch_add(1, Ordering::Relaxed) + 1;
                if seen.is_multiple_of(4096) {
                    advanced(seen);
                }
            },
            go_on,
        );
        scan.inventory = inventory;
        scan
    }

    fn see(&mut self, hash: u128, sighting: &Sighting) {
        match sighting {
            Sighting::File(stat) => {
                if let Some(known) = self.known.get_mut(&hash) {
                    known.found = true;
                    known.matches = known.stamp == stat.stamp();
                    known.size = stat.size;
                } else {
                    self.strangers.insert(hash, stat.size);
                }
            }
            Sighting::Folder => {
                self.folders.insert(hash);
            }
            Sighting::Symlink => {
                self.obstacles.insert(hash, Obstacle::Symlink);
            }
            Sighting::Special => {
                self.obstacles.insert(hash, Obstacle::Special);
            }
            Sighting::Unreadable(_) => {
                self.obstacles.insert(hash, Obstacle::Unreadable);
            }
        }
    }

    /// What is at a path. `url` makes the URL that the manifest declares for it now, in its shown
    /// form; it is asked only where something is known.
    #[must_use]
    pub(crate) fn look(&self, path: &str, hash: u128, url: impl Fn() -> String) -> OnDisk {
        let known = self.known.get(&hash);
        let size = known.filter(|known| known.found).map(|known| known.size);
        let here = match size.or_else(|| self.strangers.get(&hash).copied()) {
            Some(size) => Found::File(size),
            None => self.obstacle(path, hash).map_or(Found::Nothing, Found::Obstacle),
        };
        let is_same = |noted: u64| url_hash(&url()) == noted;
        let record = known.filter(|known| known.found).map(|known| Record {
            stat: if known.matches && !known.racy { StatMatch::Same } else { StatMatch::Doubtful },
            same_url: is_same(known.url),
            digests: Digests::new(
                known.digest,
                self.others.get(&hash).cloned().unwrap_or_default(),
            ),
            checked: Timestamp::from_second(known.checked).unwrap_or(Timestamp::MIN),
        });
        let missing = self.missing.get(&hash).filter(|missing| is_same(missing.url));
        OnDisk {
            found: here,
            record,
            missing_since: missing.map(|missing| missing.since),
            digests: None,
        }
    }

    /// What the state alone tells, without a look at the directory. A damaged state tells nothing.
    #[must_use]
    pub(crate) fn of_state(state: Option<&State>) -> Self {
        let mut scan = Scan::default();
        if let Some(state) = state {
            scan.read_state(state, "");
        }
        scan.inventory
    }

    /// What the state knows of the file at the path with that hash.
    #[must_use]
    pub(crate) fn known(&self, hash: u128) -> Option<&Known> {
        self.known.get(&hash)
    }

    /// Whether upstream had no file for the path with that hash, at the URL that the manifest declares
    /// now.
    #[must_use]
    pub(crate) fn is_missing(&self, hash: u128, url: impl Fn() -> String) -> bool {
        self.missing.get(&hash).is_some_and(|missing| url_hash(&url()) == missing.url)
    }

    /// Whether a regular file is at the path with that hash.
    #[must_use]
    pub(crate) fn has_file(&self, hash: u128) -> bool {
        self.strangers.contains_key(&hash) || self.known.get(&hash).is_some_and(|known| known.found)
    }

    fn obstacle(&self, path: &str, hash: u128) -> Option<Obstacle> {
        if let Some(&obstacle) = self.obstacles.get(&hash) {
            return Some(obstacle);
        }
        if self.folders.contains(&hash) {
            return Some(Obstacle::Directory);
        }
        if self.obstacles.contains_key(&path_hash("")) {
            return Some(Obstacle::Unreadable);
        }
        // From the nearest folder upwards: the first that is there decides.
        let mut rest = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            let hash = path_hash(parent);
            match self.obstacles.get(&hash) {
                Some(Obstacle::Unreadable) => return Some(Obstacle::Unreadable),
                Some(_) => return Some(Obstacle::Parent),
                None if self.has_file(hash) => return Some(Obstacle::Parent),
                None if self.folders.contains(&hash) => return None,
                None => rest = parent,
            }
        }
        None
    }
}

impl Scan {
    fn read_state(&mut self, state: &State, manifest: &str) {
        let Self { inventory, owned, .. } = self;
        let read = state.read(
            |row| {
                if row.manifest == manifest && row.written {
                    owned.push(row.path.to_owned());
                }
                let known = Known {
                    stamp: row.stamp,
                    size: row.size,
                    url: url_hash(row.url),
                    checked: row.checked.as_second(),
                    digest: row.digest,
                    racy: row.racy,
                    found: false,
                    matches: false,
                };
                let hash = path_hash(row.path);
                inventory.known.insert(hash, known);
                if !row.others.is_empty() {
                    inventory.others.insert(hash, row.others);
                }
            },
            |path, url, since| {
                inventory.missing.insert(path_hash(path), Missing { url: url_hash(url), since });
            },
        );
        if read.is_err() {
            // Half a state is no state: what it did not tell would look as if it had never been.
            *self = Self { damaged: true, ..Self::default() };
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "half of the hash is enough to tell two URLs of one path apart"
)]
fn url_hash(url: &str) -> u64 {
    path_hash(url) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rel_path::RelPath;
    use crate::state::{FileRow, Note, Validators};

    fn look(scan: &Scan, path: &str) -> OnDisk {
        scan.inventory.look(path, path_hash(path), || "http://h/x".to_owned())
    }

    fn scan(dest: &Dest, state: &State) -> Scan {
        Inventory::scan(dest, Some(state), "m", |_| {}, || true)
    }

    fn note(dest: &Dest, state: &State, path: &str, url: &str) {
        let stat = dest.stat(&RelPath::parse(path).unwrap()).unwrap();
        let row = FileRow {
            path: path.to_owned(),
            stat,
            digests: Digests::new(Digest::of(b"x"), Vec::new()),
            witnessed: true,
            written: true,
            url: url.to_owned(),
            checked: Timestamp::UNIX_EPOCH,
            validators: Validators::default(),
        };
        state.note(&[Note::File(Box::new(row))]).unwrap();
    }

    fn write(dest: &Dest, path: &str, seconds: u64) {
        let path = dest.path().join(path);
        std::fs::write(&path, "x").unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    }

    #[test]
    fn what_is_there_is_joined_with_what_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, "m").unwrap().value;
        for path in ["known", "moved", "touched", "gone", "stranger"] {
            write(&dest, path, 1000);
        }
        for path in ["known", "touched", "gone"] {
            note(&dest, &state, path, "http://h/x");
        }
        note(&dest, &state, "moved", "http://h/other");
        write(&dest, "touched", 2000);
        std::fs::remove_file(dest.path().join("gone")).unwrap();
        let scan = scan(&dest, &state);
        let stat_of = |path| look(&scan, path).record.map(|record| (record.stat, record.same_url));
        assert_eq!(stat_of("known"), Some((StatMatch::Same, true)));
        assert_eq!(stat_of("moved"), Some((StatMatch::Same, false)));
        assert_eq!(stat_of("touched"), Some((StatMatch::Doubtful, true)));
        assert_eq!((look(&scan, "gone").found, stat_of("gone")), (Found::Nothing, None));
        assert_eq!((look(&scan, "stranger").found, stat_of("stranger")), (Found::File(1), None));
        assert_eq!(look(&scan, "never").found, Found::Nothing);
        assert_eq!(scan.owned.len(), 4);
    }

    #[test]
    fn a_file_noted_right_after_its_last_change_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, "m").unwrap().value;
        std::fs::write(dest.path().join("new"), "x").unwrap();
        note(&dest, &state, "new", "http://h/x");
        assert_eq!(look(&scan(&dest, &state), "new").record.unwrap().stat, StatMatch::Doubtful);
    }

    #[test]
    fn obstacles_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, "m").unwrap().value;
        std::fs::create_dir_all(dest.path().join("folder/deep")).unwrap();
        std::fs::write(dest.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("folder", dest.path().join("link")).unwrap();
        let scan = scan(&dest, &state);
        let found = |path| look(&scan, path).found;
        assert_eq!(found("folder"), Found::Obstacle(Obstacle::Directory));
        assert_eq!(found("link"), Found::Obstacle(Obstacle::Symlink));
        assert_eq!(found("link/a"), Found::Obstacle(Obstacle::Parent));
        assert_eq!(found("file/a/b"), Found::Obstacle(Obstacle::Parent));
        assert_eq!(found("folder/deep/a"), Found::Nothing);
        assert_eq!(found("folder/new/a"), Found::Nothing);
    }
}
