//! Benchmarks of the pure functions and the parsers: `cargo bench --bench micro`.

#![allow(clippy::disallowed_methods, reason = "a benchmark writes its own files")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use natsync::event::{Event, Reporter};
use natsync::manifest::entry::Form;
use natsync::manifest::{Check, LoadOptions, Manifest, Sizes};
use natsync::ops::{Options, apply, plan, verify};
use natsync::path_hash;
use natsync::plan::{Found, OnDisk, Policy, Record, StatMatch, decide};
use natsync::stop::Stop;
use natsync::{Digest, Digests, Pinned};

fn main() {
    divan::main();
}

const FOLDERS: usize = 100;
const ENTRIES: usize = 100 * FOLDERS;

struct Silent;

impl Reporter for Silent {
    fn event(&mut self, _: &Event) {}
}

fn manifest(folder: &Path) -> Manifest {
    let text = "version: 1
dest: out
sources:
  - url: http://example.org/data/{folder:03}/{file:02}.bin
    vars: {folder: 0..99, file: 0..99}
    path: \"{folder:03}/{file:02}.bin\"
";
    let options =
        LoadOptions { env: &|_| None, today: jiff::civil::date(2026, 1, 1), dest: None, set: &[] };
    Manifest::parse(&folder.join("natsync.yaml"), text, &options).expect("it is valid")
}

/// A folder with all files, and a lock that pins them.
fn mirror() -> (tempfile::TempDir, Manifest) {
    let folder = tempfile::tempdir().expect("there is room");
    let manifest = manifest(folder.path());
    let mut lock = String::from("{\"natsync_lock\":1,\"manifest\":\"natsync\"}\n");
    let digest = Digest::of(b"x");
    let mut paths: Vec<_> = manifest.entries().iter().collect();
    paths.sort_by_key(|entry| entry.path().as_str().to_owned());
    for entry in paths {
        let (path, url) = (entry.path(), entry.url(Form::Shown));
        let file = manifest.dest().join(path.as_str());
        fs::create_dir_all(file.parent().expect("it has one")).expect("there is room");
        fs::write(file, "x").expect("there is room");
        let path = path.as_str();
        let _ = writeln!(
            lock,
            "{{\"path\":\"{path}\",\"url\":\"{url}\",\"size\":1,\"sha256\":\"{digest}\"}}"
        );
    }
    fs::write(folder.path().join("natsync.lock"), lock).expect("there is room");
    // A file younger than two seconds is read again in every run, because its times prove nothing.
    std::thread::sleep(Duration::from_millis(2100));
    let options = Options { offline: true, ..Options::default() };
    let summary = apply(&manifest, &options, &Stop::default(), &mut Silent).expect("it can");
    assert!(summary.is_success());
    (folder, manifest)
}

#[divan::bench]
fn every_path_checked(bencher: Bencher<'_, '_>) {
    let manifest = manifest(Path::new("/nowhere"));
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| manifest.check().is_ok());
}

#[divan::bench]
fn urls_rendered(bencher: Bencher<'_, '_>) {
    let manifest = manifest(Path::new("/nowhere"));
    let mut url = String::new();
    bencher.counter(ItemsCount::new(ENTRIES)).bench_local(|| {
        for entry in manifest.entries().iter() {
            url.clear();
            entry.write_url(Form::Sent, &mut url);
            black_box(&url);
        }
    });
}

#[divan::bench]
fn paths_hashed(bencher: Bencher<'_, '_>) {
    bencher
        .counter(ItemsCount::new(ENTRIES))
        .bench(|| (0..ENTRIES).map(|_| path_hash(black_box("0817/wallpaper-1_1600.jpg"))).max());
}

#[divan::bench]
fn decided(bencher: Bencher<'_, '_>) {
    let record = Record {
        stat: StatMatch::Same,
        same_url: true,
        digests: Digests::new(Digest::of(b"x"), Vec::new()),
        checked: None,
    };
    let disk =
        OnDisk { found: Found::File(1), record: Some(record), missing_since: None, digests: None };
    let policy = Policy {
        check: Check::Always,
        missing_ttl: Duration::ZERO,
        force: false,
        rehash: false,
        sizes: Sizes { min: 1, max: None },
        now: jiff::Timestamp::UNIX_EPOCH,
    };
    bencher.bench(|| decide(black_box(&Pinned::Free), black_box(&disk), black_box(&policy)));
}

#[divan::bench(args = [4096, 1 << 20])]
fn hashed(bencher: Bencher<'_, '_>, size: usize) {
    let bytes = vec![7; size];
    bencher.counter(BytesCount::new(size)).bench(|| Digest::of(black_box(&bytes)));
}

/// Reads and joins directory, state and lock.
#[divan::bench(sample_count = 20)]
fn planned_with_state_and_lock(bencher: Bencher<'_, '_>) {
    let (_folder, manifest) = mirror();
    let options = Options::default();
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        plan(&manifest, &options, &Stop::default(), &mut Silent).map(|plan| plan.counts().keep)
    });
}

/// Reads state and lock, and compares the files by `stat`.
#[divan::bench(sample_count = 20)]
fn verified_by_stat(bencher: Bencher<'_, '_>) {
    let (_folder, manifest) = mirror();
    let options = Options::default();
    bencher.counter(ItemsCount::new(ENTRIES)).bench(|| {
        verify(&manifest, &options, true, &Stop::default(), &mut Silent).map(|found| found.ok)
    });
}
