//! Which manifest may prune what, over moves, renames and copies of manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::*;
use crate::dest::Dest;
use crate::dest::inventory::Inventory;
use crate::dest::state::{FileRecord, Note, Provenance};
use crate::digest::{Digest, Digests};
use crate::pin::Validators;
use crate::rel_path::RelPath;

/// A folder with manifests and a destination.
struct Place {
    top: tempfile::TempDir,
}

/// A manifest of these tests: its file is empty, since only its path matters.
#[derive(Clone, Copy)]
struct Text<'a> {
    file: Option<&'a str>,
    name: &'a str,
    declares: &'a [&'a str],
}

/// What happens to a manifest between two runs.
type Change<'a> = &'a dyn Fn(&Place);

/// What a run could prune, and what it must ask about.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    own: Vec<String>,
    unclear: Vec<String>,
}

impl Place {
    fn new() -> Self {
        Self { top: tempfile::tempdir().unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn write(&self, name: &str) {
        std::fs::create_dir_all(self.file(name).parent().unwrap()).unwrap();
        std::fs::write(self.file(name), "").unwrap();
    }

    fn dest(&self) -> Dest {
        Dest::create(&self.file("out")).unwrap()
    }

    fn with<T>(&self, text: Text<'_>, take: bool, act: impl FnOnce(&Claim<'_>, &Dest) -> T) -> T {
        let mut hashes: Vec<_> = text.declares.iter().map(|path| path_hash(path)).collect();
        hashes.sort_unstable();
        let declared = PathHashes::new(hashes);
        let file = text.file.map(|file| self.file(file));
        let claim = Claim {
            name: text.name,
            file: file.as_deref(),
            declared: Some(&declared),
            is_part: false,
            take,
        };
        act(&claim, &self.dest())
    }

    fn scan(state: &State, claim: &Claim<'_>, dest: &Dest) -> Found {
        let scan = Inventory::scan(dest, Some(state), claim.declared.unwrap(), |_| {}, || true);
        assert!(!scan.damaged);
        let paths = |files: &[crate::dest::inventory::Owned]| {
            let mut paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
            paths.sort();
            paths
        };
        let unclear: Vec<_> = scan.unclear.into_iter().flat_map(|unclear| unclear.files).collect();
        Found { own: paths(&scan.owned), unclear: paths(&unclear) }
    }

    /// What `plan` sees.
    fn look(&self, text: Text<'_>, take: bool) -> Found {
        self.with(text, take, |claim, dest| {
            let state = State::look(dest, claim).value;
            state.map(|state| Self::scan(&state, claim, dest)).unwrap_or_default()
        })
    }

    /// A run that downloads what is declared and not there yet.
    fn run(&self, text: Text<'_>, take: bool) -> Found {
        let planned = self.look(text, take);
        self.with(text, take, |claim, dest| {
            let state = State::open(dest, claim).unwrap().value;
            let found = Self::scan(&state, claim, dest);
            assert_eq!(planned, found, "a run finds what a plan finds");
            for path in text.declares {
                if !self.file("out").join(path).exists() {
                    download(&state, dest, path);
                }
            }
            state.close();
            found
        })
    }
}

fn download(state: &State, dest: &Dest, path: &str) {
    std::fs::write(dest.path().join(path), path).unwrap();
    let stat = dest.stat(&RelPath::parse(path).unwrap()).unwrap();
    let record = FileRecord {
        url: crate::manifest::KeptUrl::of_shown("http://h/x".to_owned()),
        served: crate::manifest::KeptUrl::of_shown("http://h/x".to_owned()),
        size: stat.size,
        stamp: stat.stamp(),
        racy: false,
        digests: Digests::new(Digest::of(path.as_bytes()), Vec::new()),
        provenance: Provenance::Downloaded,
        checked: None,
        changed: Some(jiff::Timestamp::UNIX_EPOCH),
        validators: Validators::default(),
    };
    state.note(&[Note::File { path: path.to_owned(), record: Box::new(record) }]).unwrap();
}

fn found(own: &[&str], unclear: &[&str]) -> Found {
    let owned = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    Found { own: owned(own), unclear: owned(unclear) }
}

/// A first run of `x/m.yaml`, which declares a, b, c and d; then `change`; then what a run of another
/// text finds.
fn after(change: impl FnOnce(&Place), text: Text<'_>, take: bool) -> Found {
    let place = Place::new();
    place.write("x/m.yaml");
    let first = Text { file: Some("x/m.yaml"), name: "m", declares: &["a", "b", "c", "d"] };
    assert_eq!(place.run(first, false), found(&[], &[]));
    change(&place);
    if let Some(file) = text.file
        && !place.file(file).exists()
    {
        place.write(file);
    }
    place.run(text, take)
}

fn text<'a>(file: &'a str, name: &'a str, declares: &'a [&'a str]) -> Text<'a> {
    Text { file: (!file.is_empty()).then_some(file), name, declares }
}

#[test]
fn a_manifest_is_recognised_by_its_path_and_else_by_its_name() {
    let stays = |_: &Place| {};
    let goes = |place: &Place| std::fs::remove_file(place.file("x/m.yaml")).unwrap();
    let becomes_a_folder = |place: &Place| {
        std::fs::remove_file(place.file("x/m.yaml")).unwrap();
        std::fs::create_dir(place.file("x/m.yaml")).unwrap();
    };
    let is_linked = |place: &Place| {
        std::os::unix::fs::symlink(place.file("x"), place.file("link")).unwrap();
    };
    let most: &[&str] = &["a", "b", "c"];
    let half: &[&str] = &["a", "b"];
    let few: &[&str] = &["a", "new"];
    let none: &[&str] = &["new"];
    let rest = |count: usize| &["a", "b", "c", "d"][count..];
    let table: &[(&str, Change<'_>, Text<'_>, Found)] = &[
        ("unchanged", &stays, text("x/m.yaml", "m", most), found(&["d"], &[])),
        ("another name", &stays, text("x/m.yaml", "n", none), found(rest(0), &[])),
        ("through a link", &is_linked, text("link/m.yaml", "m", few), found(rest(1), &[])),
        ("moved", &goes, text("y/m.yaml", "m", half), found(rest(2), &[])),
        (
            "moved, a folder instead",
            &becomes_a_folder,
            text("y/m.yaml", "m", half),
            found(rest(2), &[]),
        ),
        ("moved and changed", &goes, text("y/m.yaml", "m", few), found(&[], rest(1))),
        ("moved and all new", &goes, text("y/m.yaml", "m", none), found(&[], rest(0))),
        ("renamed", &goes, text("x/n.yaml", "n", half), found(&[], rest(2))),
        ("renamed and changed", &goes, text("x/n.yaml", "n", few), found(&[], &[])),
        ("copied", &stays, text("y/m.yaml", "m", most), found(&[], &[])),
        ("copied and renamed", &stays, text("x/n.yaml", "n", most), found(&[], &[])),
        ("another one", &stays, text("x/n.yaml", "n", none), found(&[], &[])),
        ("another one of that name", &stays, text("y/m.yaml", "m", none), found(&[], &[])),
        ("standard input", &stays, text("", "m", few), found(rest(1), &[])),
        ("standard input, another name", &stays, text("", "n", few), found(&[], &[])),
    ];
    for (what, change, text, expected) in table {
        assert_eq!(after(change, *text, false), *expected, "{what}");
    }
}

#[test]
fn ownership_is_taken_where_it_is_unclear() {
    let goes = |place: &Place| std::fs::remove_file(place.file("x/m.yaml")).unwrap();
    let stays = |_: &Place| {};
    let few: &[&str] = &["a", "new"];
    let most: &[&str] = &["a", "b", "c"];
    let table: &[(&str, Change<'_>, Text<'_>, Found)] = &[
        ("moved and changed", &goes, text("y/m.yaml", "m", few), found(&["b", "c", "d"], &[])),
        ("renamed", &goes, text("x/n.yaml", "n", most), found(&["d"], &[])),
        ("a copy of that name", &stays, text("y/m.yaml", "m", most), found(&["d"], &[])),
        ("another one", &stays, text("x/n.yaml", "n", most), found(&[], &[])),
        ("another one of that name", &stays, text("y/m.yaml", "m", few), found(&[], &[])),
    ];
    for (what, change, text, expected) in table {
        assert_eq!(after(change, *text, true), *expected, "{what}");
    }
}

#[test]
fn two_owners_that_it_may_be_are_both_left_alone() {
    let place = Place::new();
    for file in ["x/m.yaml", "y/m.yaml"] {
        place.write(file);
    }
    assert_eq!(place.run(text("x/m.yaml", "m", &["a", "b"]), false), found(&[], &[]));
    assert_eq!(place.run(text("y/m.yaml", "m", &["c", "d"]), false), found(&[], &[]));
    for file in ["x/m.yaml", "y/m.yaml"] {
        std::fs::remove_file(place.file(file)).unwrap();
    }
    place.write("z/m.yaml");
    let third = text("z/m.yaml", "m", &["a", "c"]);
    assert_eq!(place.run(third, false), found(&[], &["b", "d"]));
    assert_eq!(place.run(third, false), found(&[], &["b", "d"]), "it stays unclear");
    assert_eq!(place.run(third, true), found(&["b", "d"], &[]));
    assert_eq!(place.run(third, false), found(&["b", "d"], &[]), "taking it once is enough");
}

#[test]
fn a_path_that_another_manifest_declares_is_not_pruned() {
    let place = Place::new();
    for file in ["x.yaml", "y.yaml"] {
        place.write(file);
    }
    let x = |declares| text("x.yaml", "x", declares);
    let y = |declares| text("y.yaml", "y", declares);
    place.run(x(&["a", "b"]), false);
    // y claims `b`, which x wrote, and x claims `c`, which y wrote.
    place.run(y(&["b", "c"]), false);
    place.run(x(&["a", "b", "c"]), false);
    assert_eq!(place.run(x(&["a"]), false), found(&[], &[]), "y declares `b`, and wrote `c`");
    assert_eq!(place.run(y(&["d"]), false), found(&["c"], &[]), "x wrote `b`");
    assert_eq!(place.run(x(&["a"]), false), found(&["b"], &[]), "the claim of y has ended");
    // A path that no run could fetch is claimed, too.
    place.with(y(&["d", "e"]), false, |claim, dest| {
        State::open(dest, claim).unwrap().value.close();
    });
    place.run(x(&["a", "e"]), false);
    assert_eq!(place.run(x(&["a"]), false), found(&["b"], &[]));
}

#[test]
fn a_run_over_a_part_of_the_variables_withdraws_no_claim() {
    let place = Place::new();
    for file in ["x.yaml", "y.yaml"] {
        place.write(file);
    }
    let claims_of = |is_part: bool, declares: &[&str]| {
        place.with(text("x.yaml", "x", declares), false, |claim, dest| {
            State::open(dest, &Claim { is_part, ..*claim }).unwrap().value.close();
        });
        place.with(text("y.yaml", "y", &[]), false, |claim, dest| {
            let state = State::look(dest, claim).value.unwrap();
            let mut count = 0;
            state.claims_of_others(|_, _| count += 1);
            count
        })
    };
    assert_eq!(claims_of(false, &["a", "b"]), 2);
    assert_eq!(claims_of(true, &["b", "c"]), 3);
    assert_eq!(claims_of(false, &["c"]), 1);
}

#[test]
fn claims_of_many_paths_are_read_back_and_rewritten_in_pieces() {
    let place = Place::new();
    let dest = place.dest();
    let connection = |dest: &Dest| Connection::open(super::super::file_of(dest)).unwrap();
    let mut kept = BTreeSet::new();
    for (count, pieces) in [(0, 0), (10, 1), (3 * PIECE, 4), (3 * PIECE + 1, 4), (5, 1)] {
        let paths: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        let mut hashes: Vec<_> = paths.iter().map(|path| path_hash(path)).collect();
        hashes.sort_unstable();
        let declared = PathHashes::new(hashes);
        let claim = Claim { declared: Some(&declared), ..Claim::named("m") };
        State::open(&dest, &claim).unwrap().value.close();
        let connection = connection(&dest);
        let rows: i64 =
            connection.query_row("SELECT count(*) FROM claims", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, pieces, "{count}");
        kept.clear();
        read_claims(&connection, 1, |half| {
            kept.insert(half);
        })
        .unwrap();
        assert!(kept.iter().copied().eq(declared.halves()), "{count}");
    }
}

/// A manifest in the property below: where it is, what it declares, and what it wrote.
#[derive(Clone, Default)]
struct Individual {
    file: String,
    /// Where it was in its last run. Another manifest at that path would be taken for it, as an
    /// edited manifest is.
    ran_at: String,
    declares: BTreeSet<String>,
    wrote: BTreeSet<String>,
    claimed: BTreeSet<String>,
}

#[test]
fn whatever_happens_to_manifests_none_prunes_what_another_one_wrote_or_declares() {
    for seed in 0..8 {
        let mut dice = fastrand::Rng::with_seed(seed);
        let place = Place::new();
        let mut all: BTreeMap<u32, Individual> = BTreeMap::new();
        let mut next = 0;
        for step in 0..40 {
            let file =
                format!("{}/{}.yaml", ["x", "y"][dice.usize(..2)], ["m", "n"][dice.usize(..2)]);
            let is_taken =
                all.values().any(|manifest| manifest.file == file || manifest.ran_at == file);
            let chosen =
                (!all.is_empty()).then(|| *all.keys().nth(dice.usize(..all.len())).unwrap());
            match (dice.u8(..6), chosen) {
                // A new manifest, or a copy.
                (0, chosen) if !is_taken => {
                    let declares = chosen.map(|id| all[&id].declares.clone()).unwrap_or_default();
                    place.write(&file);
                    all.insert(next, Individual { file, declares, ..Individual::default() });
                    next += 1;
                }
                // It is moved or renamed.
                (1, Some(id)) if !is_taken => {
                    let manifest = all.get_mut(&id).unwrap();
                    place.write(&file);
                    std::fs::remove_file(place.file(&manifest.file)).unwrap();
                    manifest.file = file;
                }
                // It is edited.
                (2, Some(id)) => {
                    let manifest = all.get_mut(&id).unwrap();
                    for path in ["a", "b", "c", "d", "e", "f"] {
                        if dice.bool() {
                            manifest.declares.insert(path.to_owned());
                        } else {
                            manifest.declares.remove(path);
                        }
                    }
                }
                (_, Some(id)) => {
                    run_one(&place, &mut all, id, &format!("seed {seed}, step {step}"));
                }
                _ => {}
            }
        }
    }
}

fn run_one(place: &Place, all: &mut BTreeMap<u32, Individual>, id: u32, when: &str) {
    let manifest = all[&id].clone();
    let declares: Vec<_> = manifest.declares.iter().map(String::as_str).collect();
    let there: BTreeSet<_> =
        declares.iter().filter(|path| place.file("out").join(path).exists()).copied().collect();
    let name = Path::new(&manifest.file).file_stem().unwrap().to_str().unwrap();
    // A manifest that has moved since its last run may be taken for another one of its old name.
    for other in all.values_mut() {
        if other.file != other.ran_at && Path::new(&other.ran_at).file_stem() == Some(name.as_ref())
        {
            (other.wrote, other.claimed) = <_>::default();
        }
    }
    all.get_mut(&id).unwrap().clone_from(&manifest);
    let found = place.run(text(&manifest.file, name, &declares), false);
    for path in &found.own {
        assert!(!manifest.declares.contains(path), "{when}: {path} is declared");
        for (_, other) in all.iter().filter(|(other, _)| **other != id) {
            assert!(!other.wrote.contains(path), "{when}: {} wrote {path}", other.file);
            assert!(!other.claimed.contains(path), "{when}: {} declares {path}", other.file);
        }
        std::fs::remove_file(place.file("out").join(path)).unwrap();
    }
    let manifest = all.get_mut(&id).unwrap();
    // With another path and another name it is a new one: what it wrote before stays with the old
    // one, until ownership is taken.
    if manifest.file != manifest.ran_at
        && Path::new(&manifest.ran_at).file_stem() != Some(name.as_ref())
    {
        manifest.wrote.clear();
    }
    manifest.wrote.retain(|path| !found.own.contains(path));
    manifest.wrote.extend(
        declares.iter().filter(|path| !there.contains(*path)).map(|path| (*path).to_owned()),
    );
    manifest.ran_at.clone_from(&manifest.file);
    manifest.claimed = manifest.declares.clone();
}
