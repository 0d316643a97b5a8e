//! The local directory as it is now: one walk joined with the state, then a fixed value.
//!
//! It keeps no path: a file is known by the hash of its path, in constant memory per file.
//! "Present" means that the file was there when the walk passed; it is checked again before it is
//! replaced.

mod rows;
mod url_mark;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;

use crate::dest::state::{Fingerprint, Owner, State};
use crate::dest::{Dest, Sighting};
use crate::digest::{Checksum, Digests};
use crate::manifest::{Identity, IdentityKey, PathHashes, first_half};
use crate::plan::{Found, Obstacle, OnDisk, Record, StatMatch};
use crate::rel_path::path_hash;
use crate::threads::{into_inner, lock};
use rows::{Noted, Rows};
use url_mark::UrlMark;

/// What is on disk, and what the state records of it.
#[derive(Debug, Default)]
pub(crate) struct Inventory<'h> {
    declared: Option<&'h PathHashes>,
    rows: Rows,
    there: There,
    told: Told,
}

/// What the walk found besides files at declared paths.
#[derive(Debug, Default)]
struct There {
    /// Files that the manifest does not declare.
    strangers: HashSet<u128>,
    folders: HashSet<u128>,
    obstacles: HashMap<u128, Obstacle>,
}

/// What the state records besides the rows.
#[derive(Debug)]
struct Told {
    /// The key of its digests.
    key: IdentityKey,
    missing: HashMap<u128, Missing>,
    /// Digests under other algorithms than SHA-256, by path hash. Few files have them.
    others: HashMap<u128, Vec<Checksum>>,
    /// Files that the manifest no longer declares.
    owned: Vec<Owned>,
    unclear: Vec<Unclear>,
    /// The state is damaged. What was read of it is dropped, since unread records would look as if
    /// they did not exist.
    damaged: bool,
}

/// A file that natsync downloaded for this manifest.
#[derive(Clone, Debug)]
pub(crate) struct Owned {
    /// Below the destination.
    pub(crate) path: String,
    /// What it must still be to be deleted.
    pub(crate) recorded: Fingerprint,
}

/// Files that were written for a manifest which is probably the one of this run, and that it does not
/// declare.
#[derive(Clone, Debug)]
pub(crate) struct Unclear {
    pub(crate) owner: Owner,
    pub(crate) files: Vec<Owned>,
}

#[derive(Debug)]
struct Missing {
    url: UrlMark,
    since: Timestamp,
}

/// The result of a scan.
#[derive(Debug, Default)]
pub(crate) struct Scan<'h> {
    /// What is on disk.
    pub(crate) inventory: Inventory<'h>,
    /// Files that natsync wrote for this manifest, and that no manifest declares any more.
    pub(crate) owned: Vec<Owned>,
    /// Files that no manifest declares any more, and that may be of this one.
    pub(crate) unclear: Vec<Unclear>,
    /// The number of files on disk that natsync wrote for this manifest, those that it declares
    /// included.
    pub(crate) managed: u64,
    /// The state is damaged.
    pub(crate) damaged: bool,
}

impl<'h> Inventory<'h> {
    /// Walks a destination and reads the state in parallel, and joins both. `declared` has the paths
    /// of the manifest for which the state was opened. `advanced` gets the number of files seen so
    /// far; the walk ends early when `go_on` returns false.
    #[must_use]
    pub(crate) fn scan(
        dest: &Dest,
        state: Option<&State>,
        declared: &'h PathHashes,
        advanced: impl Fn(u64) + Sync,
        go_on: impl Fn() -> bool + Sync,
    ) -> Scan<'h> {
        let rows = Rows::new(declared.len());
        let there = Mutex::new(There::default());
        let seen = AtomicU64::new(0);
        let visit = |path: &str, sighting: Sighting| {
            let hash = path_hash(path);
            match (&sighting, declared.rank(hash)) {
                (Sighting::File(stat), Some(rank)) => {
                    rows.make(rank).see(stat.stamp(), stat.size);
                }
                _ => lock(&there).see(hash, &sighting),
            }
            let seen = seen.fetch_add(1, Ordering::Relaxed) + 1;
            if seen.is_multiple_of(4096) {
                advanced(seen);
            }
        };
        let walk = dest.walk();
        let told = std::thread::scope(|scope| {
            let reading = scope.spawn(|| {
                let told = state.map(|state| Told::read(state, declared, &rows, false));
                walk.help(visit, &go_on);
                told.unwrap_or_default()
            });
            walk.help(visit, &go_on);
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        let there = into_inner(there);
        let mut inventory = Self { declared: Some(declared), rows, there, told };
        let Told { damaged, .. } = inventory.told;
        let mut owned = std::mem::take(&mut inventory.told.owned);
        let mut unclear = std::mem::take(&mut inventory.told.unclear);
        let mut managed = inventory.rows.count_own();
        managed += owned.iter().filter(|file| inventory.has_file(file.hash())).count() as u64;
        let others = unclear.iter_mut().map(|unclear| &mut unclear.files);
        for files in std::iter::once(&mut owned).chain(others) {
            files.retain(|file| {
                let hash = file.hash();
                inventory.has_file(hash) || inventory.is_unreadable(hash)
            });
        }
        if let Some(state) = state {
            spare_claimed(state, &mut owned, &mut unclear);
        }
        unclear.retain(|unclear| !unclear.files.is_empty());
        Scan { inventory, owned, unclear, managed, damaged }
    }

    /// The records of the state alone, without a walk. A damaged state gives none.
    #[must_use]
    pub(crate) fn of_state(state: Option<&State>, declared: &'h PathHashes) -> Self {
        let rows = Rows::new(declared.len());
        let told = state.map(|state| Told::read(state, declared, &rows, true));
        let (there, told) = (There::default(), told.unwrap_or_default());
        Self { declared: Some(declared), rows, there, told }
    }

    /// The key of the digests of the state; a random one without a state.
    #[must_use]
    pub(crate) fn key(&self) -> &IdentityKey {
        &self.told.key
    }

    fn row(&self, hash: u128) -> Option<&rows::Row> {
        self.rows.get(self.declared?.rank(hash)?)
    }

    /// What is at a declared path. `url` renders the URL that the manifest declares now; it is called
    /// only if there is a record. With `any_url` it is not called, because a digest decides.
    #[must_use]
    pub(crate) fn look(
        &self,
        path: &str,
        hash: u128,
        any_url: bool,
        url: impl Fn() -> Identity,
    ) -> OnDisk {
        let row = self.row(hash);
        let found = self.found(row, path, hash);
        let record = row.filter(|_| !self.told.damaged).and_then(|row| {
            let noted = row.noted()?;
            let others = self.told.others.get(&hash).cloned().unwrap_or_default();
            Some(Record {
                stat: StatMatch::of(row.matches(), noted.fingerprint.racy),
                same_url: any_url || noted.url.is(&url(), &self.told.key),
                digests: Digests::new(noted.fingerprint.sha256, others),
                checked: noted.checked.and_then(|at| Timestamp::from_second(at).ok()),
            })
        });
        OnDisk { found, record, missing_since: self.missing_since(hash, url), digests: None }
    }

    fn found(&self, row: Option<&rows::Row>, path: &str, hash: u128) -> Found {
        match row.and_then(rows::Row::found) {
            Some(size) => Found::File(size),
            None => self.obstacle(path, hash).map_or(Found::Nothing, Found::Obstacle),
        }
    }

    /// When upstream last had no file for the path, at the URL that the manifest declares now.
    fn missing_since(&self, hash: u128, url: impl Fn() -> Identity) -> Option<Timestamp> {
        let missing = self.told.missing.get(&hash)?;
        missing.url.is(&url(), &self.told.key).then_some(missing.since)
    }

    /// The record of the file at the path. Its stamp is right only in an inventory [of the
    /// state](Self::of_state).
    #[must_use]
    pub(crate) fn recorded(&self, hash: u128) -> Option<Fingerprint> {
        let row = self.row(hash).filter(|_| !self.told.damaged)?;
        Some(row.noted()?.fingerprint)
    }

    /// Whether upstream last had no file for the path, at the URL that the manifest declares now.
    #[must_use]
    pub(crate) fn is_missing(&self, hash: u128, url: impl Fn() -> Identity) -> bool {
        self.missing_since(hash, url).is_some()
    }

    /// Whether a regular file is at the path.
    #[must_use]
    pub(crate) fn has_file(&self, hash: u128) -> bool {
        self.there.strangers.contains(&hash)
            || self.row(hash).is_some_and(|row| row.found().is_some())
    }

    /// Whether the path could not be examined.
    #[must_use]
    pub(crate) fn is_unreadable(&self, hash: u128) -> bool {
        self.there.obstacles.get(&hash) == Some(&Obstacle::Unreadable)
    }

    fn obstacle(&self, path: &str, hash: u128) -> Option<Obstacle> {
        if let Some(&obstacle) = self.there.obstacles.get(&hash) {
            return Some(obstacle);
        }
        if self.there.folders.contains(&hash) {
            return Some(Obstacle::Directory);
        }
        if self.there.obstacles.contains_key(&path_hash("")) {
            return Some(Obstacle::Unreadable);
        }
        // From the nearest folder upwards: the first one that exists decides.
        let mut rest = path;
        while let Some((parent, _)) = rest.rsplit_once('/') {
            let hash = path_hash(parent);
            match self.there.obstacles.get(&hash) {
                Some(Obstacle::Unreadable) => return Some(Obstacle::Unreadable),
                Some(_) => return Some(Obstacle::Parent),
                None if self.has_file(hash) => return Some(Obstacle::Parent),
                None if self.there.folders.contains(&hash) => return None,
                None => rest = parent,
            }
        }
        None
    }
}

impl There {
    fn see(&mut self, hash: u128, sighting: &Sighting) {
        match sighting {
            Sighting::File(_) => {
                self.strangers.insert(hash);
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
}

impl Default for Told {
    fn default() -> Self {
        Self::of(IdentityKey::random())
    }
}

impl Told {
    /// Nothing is recorded yet.
    fn of(key: IdentityKey) -> Self {
        Self {
            key,
            missing: HashMap::new(),
            others: HashMap::new(),
            owned: Vec::new(),
            unclear: Vec::new(),
            damaged: false,
        }
    }

    /// Reads the state. `alone` means that no walk runs, so that the rows take the recorded sizes.
    fn read(state: &State, declared: &PathHashes, rows: &Rows, alone: bool) -> Self {
        let mut told = Self::of(*state.key());
        let Self { missing, others, owned, unclear, .. } = &mut told;
        let read = state.read(
            |row| {
                let hash = path_hash(row.path);
                let is_own = row.is_written_by(state);
                if let Some(rank) = declared.rank(hash) {
                    let noted = Noted {
                        fingerprint: row.fingerprint,
                        url: UrlMark::of(row.url, row.identity),
                        checked: row.checked,
                        own: is_own,
                    };
                    rows.make(rank).note(&noted, alone);
                    let digests = row.others();
                    if !digests.is_empty() {
                        others.insert(hash, digests);
                    }
                } else if is_own {
                    owned.push(Owned { path: row.path.to_owned(), recorded: row.fingerprint });
                } else if let Some(owner) = row.unclear_owner(state) {
                    let file = Owned { path: row.path.to_owned(), recorded: row.fingerprint };
                    match unclear.iter_mut().find(|unclear| unclear.owner == *owner) {
                        Some(unclear) => unclear.files.push(file),
                        None => {
                            unclear.push(Unclear { owner: owner.clone(), files: vec![file] });
                        }
                    }
                }
            },
            |path, (url, digest), since| {
                let url = UrlMark::of(url, digest);
                missing.insert(path_hash(path), Missing { url, since });
            },
        );
        match read {
            Ok(()) => told,
            Err(_) => Self { damaged: true, ..Self::of(*state.key()) },
        }
    }
}

impl Owned {
    fn hash(&self) -> u128 {
        path_hash(&self.path)
    }
}

/// Leaves out the files that a manifest other than their owner declares.
fn spare_claimed(state: &State, owned: &mut Vec<Owned>, unclear: &mut [Unclear]) {
    let half = |file: &Owned| first_half(file.hash());
    let all = owned.iter().chain(unclear.iter().flat_map(|unclear| &unclear.files));
    let mut claims: HashMap<u64, Vec<Owner>> = all.map(|file| (half(file), Vec::new())).collect();
    if claims.is_empty() {
        return;
    }
    state.claims_of_others(|owner, half| {
        if let Some(owners) = claims.get_mut(&half) {
            owners.push(owner.clone());
        }
    });
    owned.retain(|file| claims[&half(file)].is_empty());
    for Unclear { owner, files } in unclear {
        files.retain(|file| claims[&half(file)].iter().all(|other| other == owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dest::state::{Claim, FileRecord, Note, Provenance};
    use crate::digest::Digest;
    use crate::manifest::KeptUrl;
    use crate::pin::Validators;
    use crate::rel_path::RelPath;

    fn look(scan: &Scan<'_>, path: &str) -> OnDisk {
        scan.inventory.look(path, path_hash(path), false, || Identity::new("http://h/x".to_owned()))
    }

    fn declared(paths: &[&str]) -> PathHashes {
        let mut hashes: Vec<_> = paths.iter().map(|path| path_hash(path)).collect();
        hashes.sort_unstable();
        PathHashes::new(hashes)
    }

    fn scan<'h>(dest: &Dest, state: &State, declared: &'h PathHashes) -> Scan<'h> {
        Inventory::scan(dest, Some(state), declared, |_| {}, || true)
    }

    fn note(dest: &Dest, state: &State, path: &str, url: &str) {
        let stat = dest.stat(&RelPath::parse(path).unwrap()).unwrap();
        let record = FileRecord {
            url: KeptUrl::of_shown(url.to_owned()),
            served: KeptUrl::of_shown(url.to_owned()),
            size: stat.size,
            stamp: stat.stamp(),
            racy: stat.is_racy(Timestamp::now()),
            digests: Digests::new(Digest::of(b"x"), Vec::new()),
            provenance: Provenance::Downloaded,
            checked: None,
            changed: Some(Timestamp::now()),
            validators: Validators::default(),
        };
        state.note(&[Note::File { path: path.to_owned(), record: Box::new(record) }]).unwrap();
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
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        for path in ["known", "moved", "touched", "gone", "stranger", "orphan", "foreign"] {
            write(&dest, path, 1000);
        }
        for path in ["known", "touched", "gone", "orphan"] {
            note(&dest, &state, path, "http://h/x");
        }
        note(&dest, &state, "moved", "http://h/other");
        write(&dest, "touched", 2000);
        std::fs::remove_file(dest.path().join("gone")).unwrap();
        let declared = declared(&["known", "moved", "touched", "gone", "stranger", "never"]);
        let scan = scan(&dest, &state, &declared);
        let stat_of = |path| look(&scan, path).record.map(|record| (record.stat, record.same_url));
        assert_eq!(stat_of("known"), Some((StatMatch::Same, true)));
        assert_eq!(stat_of("moved"), Some((StatMatch::Same, false)));
        assert_eq!(stat_of("touched"), Some((StatMatch::Differs, true)));
        assert_eq!(look(&scan, "gone").found, Found::Nothing);
        assert_eq!(stat_of("gone"), Some((StatMatch::Differs, true)));
        assert_eq!((look(&scan, "stranger").found, stat_of("stranger")), (Found::File(1), None));
        assert_eq!(look(&scan, "never").found, Found::Nothing);
        assert_eq!((scan.managed, scan.owned.len()), (4, 1), "`gone` does not exist any more");
        assert_eq!(scan.owned[0].path, "orphan");
        let has_file = |path| scan.inventory.has_file(path_hash(path));
        assert!(
            has_file("orphan") && has_file("foreign") && has_file("known") && !has_file("gone")
        );
    }

    #[test]
    fn a_file_noted_right_after_its_last_change_is_doubtful() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        std::fs::write(dest.path().join("new"), "x").unwrap();
        note(&dest, &state, "new", "http://h/x");
        let declared = declared(&["new"]);
        let scan = scan(&dest, &state, &declared);
        assert_eq!(look(&scan, "new").record.unwrap().stat, StatMatch::Racy);
    }

    #[test]
    fn obstacles_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let dest = Dest::create(folder.path()).unwrap();
        let state = State::open(&dest, &Claim::named("m")).unwrap().value;
        std::fs::create_dir_all(dest.path().join("folder/deep")).unwrap();
        std::fs::write(dest.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("folder", dest.path().join("link")).unwrap();
        let declared = declared(&["link/a", "file/a/b", "folder/deep/a", "folder/new/a"]);
        let scan = scan(&dest, &state, &declared);
        let found = |path| look(&scan, path).found;
        assert_eq!(found("folder"), Found::Obstacle(Obstacle::Directory));
        assert_eq!(found("link"), Found::Obstacle(Obstacle::Symlink));
        assert_eq!(found("link/a"), Found::Obstacle(Obstacle::Parent));
        assert_eq!(found("file/a/b"), Found::Obstacle(Obstacle::Parent));
        assert_eq!(found("folder/deep/a"), Found::Nothing);
        assert_eq!(found("folder/new/a"), Found::Nothing);
    }
}
