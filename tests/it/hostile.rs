//! Names and planted files that could lead a run out of its destination. A tree beside the
//! destination must stay unchanged.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use natsync::ops::Options;
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use crate::inside::run;
use crate::world::World;

/// The metadata and content of a file, without the access time.
type Looks = (u64, u32, u64, i64, i64, Option<Vec<u8>>);

/// The files beside the destination.
fn canaries(world: &World) -> BTreeMap<PathBuf, Looks> {
    fn look(path: &Path, seen: &mut BTreeMap<PathBuf, Looks>) {
        let stat = fs::symlink_metadata(path).expect("it is there");
        let content = stat.is_file().then(|| fs::read(path).expect("it can be read"));
        let looks =
            (stat.ino(), stat.mode(), stat.nlink(), stat.mtime(), stat.mtime_nsec(), content);
        seen.insert(path.to_owned(), looks);
        if stat.is_dir() {
            for item in fs::read_dir(path).expect("it can be listed") {
                look(&item.expect("an item").path(), seen);
            }
        }
    }
    let mut seen = BTreeMap::new();
    look(&world.path("canary"), &mut seen);
    let beside = fs::read_dir(world.path("")).expect("the world");
    for item in beside.map(|item| item.expect("an item").path()) {
        let name = item.file_name().expect("a name").to_string_lossy().into_owned();
        if name != "out" && name != "natsync.yaml" {
            look(&item, &mut seen);
        }
    }
    seen
}

fn world() -> World {
    let world = World::in_memory();
    world.write("canary/secret.txt", "secret");
    world.write("canary/sub/evil.txt", "precious");
    world.write("canary/sub/deeper/evil.txt", "precious too");
    world.origin.everywhere(crate::origin::Answer::status(200).body("bytes of the origin"));
    world
}

/// Names that a hostile value, a list or a typing error may contain.
fn names(world: &World) -> Vec<String> {
    let canary = world.path("canary").display().to_string();
    let mut names: Vec<String> = [
        "",
        " ",
        ".",
        "..",
        "...",
        "/",
        "//",
        "./a",
        "a/.",
        "a/..",
        "../a",
        "a/../b",
        "a//b",
        "a/",
        "/a",
        "//a",
        "../canary/secret.txt",
        "../../canary/secret.txt",
        "a/../../canary/secret.txt",
        "./../canary/secret.txt",
        "sub/../../canary/secret.txt",
        "..\\canary\\secret.txt",
        "..%2fcanary%2fsecret.txt",
        "%2e%2e/canary/secret.txt",
        "%2e%2e%2fcanary",
        "%252e%252e%252fcanary",
        "....//canary",
        "..;/canary",
        "..\u{0}/canary",
        ".. /canary",
        "../canary/sub/evil.txt",
        "canary/../../canary/x",
        "out/../../canary/secret.txt",
        "\u{2025}/canary",
        "\u{ff0e}\u{ff0e}/canary",
        "\u{2024}\u{2024}/canary",
        "..\u{200b}/canary",
        "\u{202e}../canary",
        "~",
        "~/x",
        "~root/x",
        "$HOME/x",
        "${HOME}/x",
        "`touch x`",
        "$(touch x)",
        ";touch x",
        "|touch x",
        "&",
        "*",
        "?",
        "[a]",
        "C:\\x",
        "C:/x",
        "C:x",
        "\\\\host\\x",
        "\\\\?\\C:\\x",
        "\\x",
        "file:///etc/x",
        "/dev/fd/1",
        "/proc/self/cwd/x",
        "/etc/cron.d/x",
        "/tmp/x",
        "con",
        "CON.txt",
        "nul",
        "aux.c",
        "com1",
        "lpt9.x",
        "a.",
        "a ",
        " a",
        "a:b",
        "a:$DATA",
        "a|b",
        "a<b",
        "a>b",
        "a\"b",
        "a\u{0}b",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\u{1b}[31mb",
        "a\u{7f}b",
        "a\u{85}b",
        "a\u{9b}b",
        "\u{feff}a",
        "a\u{202e}b",
        "a\u{2066}b",
        "e\u{301}.txt",
        "\u{e9}.txt",
        "\u{1f600}.txt",
        "\u{fffd}",
        "-rf",
        "--help",
        "-",
        ".hidden",
        "a'b",
        ".natsync",
        ".natsync/x",
        ".natsync/state.db",
        ".natsync/run.lock",
        ".natsync/partial/x",
        ".NATSYNC/x",
        ".NatSync/state.db",
        ".natsync./x",
        ".natsync /x",
        "a/.natsync/x",
        ".natsync\u{200c}/x",
        ".natsync/../x",
        "sub",
        "sub/evil.txt",
        "sub/deeper/evil.txt",
        "evil.txt",
        "sub/deeper/still/evil.txt",
    ]
    .into_iter()
    .map(str::to_owned)
    .collect();
    names.push(format!("{canary}/secret.txt"));
    names.push("x".repeat(255));
    names.push("x".repeat(256));
    names.push("\u{1f600}".repeat(63));
    names.push("\u{1f600}".repeat(64));
    names.push("d/".repeat(1000) + "x");
    names.push("d/".repeat(20) + "x");
    names.push(format!("{}/x", "y".repeat(5000)));
    names
}

/// A child process that another test forks inherits the run guard's descriptor until its `exec`, so
/// a run may have to wait for it.
fn waiting() -> Options {
    Options { wait: true, ..Options::default() }
}

fn quoted(name: &str) -> String {
    serde_json::to_string(name).expect("text")
}

/// The kinds of files planted at the path of an entry, or at one of its parents.
const PLANTINGS: [&str; 10] = [
    "nothing",
    "a folder that is a link to one outside",
    "a link to a file outside",
    "a link to nothing outside",
    "a link to itself",
    "a pipe",
    "a folder that is not empty",
    "another name of a file outside",
    "a file where a folder is needed",
    "a link to the folder above",
];

fn plant(world: &World, planting: &str, name: &str) {
    let out = world.path("out");
    let _ = fs::remove_dir_all(&out);
    let at = out.join(name);
    let first = out.join(name.split('/').next().unwrap_or_default());
    let canary = world.path("canary");
    fs::create_dir_all(at.parent().unwrap_or(&out)).expect("a folder");
    let instead_of_the_folder = |plant: &dyn Fn(&Path)| {
        if first != at {
            fs::remove_dir_all(&first).expect("it was made just now");
            plant(&first);
        }
    };
    match planting {
        "nothing" => {}
        "a folder that is a link to one outside" => {
            instead_of_the_folder(&|first| symlink(canary.join("sub"), first).expect("a link"));
        }
        "a link to a file outside" => symlink(canary.join("secret.txt"), &at).expect("a link"),
        "a link to nothing outside" => symlink(canary.join("new.txt"), &at).expect("a link"),
        "a link to itself" => symlink(&at, &at).expect("a link"),
        "a pipe" => {
            mknodat(CWD, &at, FileType::Fifo, Mode::from_raw_mode(0o644), 0).expect("a pipe");
        }
        "a folder that is not empty" => {
            fs::create_dir_all(at.join("mine")).expect("a folder");
            fs::write(at.join("mine/too"), "mine").expect("a file");
        }
        "another name of a file outside" => {
            fs::hard_link(canary.join("secret.txt"), &at).expect("another name");
        }
        "a file where a folder is needed" => {
            instead_of_the_folder(&|first| fs::write(first, "mine").expect("a file"));
        }
        "a link to the folder above" => {
            instead_of_the_folder(&|first| symlink("..", first).expect("a link"));
        }
        other => panic!("no code plants `{other}`"),
    }
}

/// Tests every third name, and all plantings if natsync accepts the name.
fn third_leads_nowhere(third: usize) {
    let world = world();
    let names = names(&world);
    assert!(100 <= names.len(), "{}", names.len());
    let mut accepted = 0;
    for name in names.iter().skip(third).step_by(3) {
        let _ = fs::remove_dir_all(world.path("out"));
        let url = world.origin.url("/file");
        let before = canaries(&world);
        world.set_manifest(
            "natsync.yaml",
            &format!(
                "http: {{retries: 0}}\nsources: [{{files: [{{url: \"{url}\", path: {}}}]}}]\n",
                quoted(name)
            ),
        );
        let is_accepted = run(&world, &waiting()).is_ok_and(|(done, _)| done.is_success());
        assert_eq!(canaries(&world), before, "{name:?} as a path");
        if is_accepted {
            accepted += 1;
            for planting in PLANTINGS {
                // Taken after planting, because a planted hard link changes the link count.
                plant(&world, planting, name);
                let before = canaries(&world);
                let outcome = run(&world, &waiting());
                let mut after = canaries(&world);
                if planting.starts_with("another name") {
                    // The run replaced the planted hard link, so the link count goes back to 1.
                    let secret =
                        after.get_mut(&world.path("canary/secret.txt")).expect("it is there");
                    assert_eq!(secret.2, 1, "{name:?}: {planting}: {outcome:?}");
                    secret.2 = 2;
                }
                assert_eq!(after, before, "{name:?}: {planting}: {outcome:?}");
                if planting == "a folder that is not empty" {
                    let mine = world.path("out").join(name).join("mine/too");
                    assert_eq!(fs::read(mine).expect("a file"), b"mine", "{name:?}");
                }
            }
        }
    }
    assert!(8 < accepted, "only {accepted} names were tried with what is planted");
}

#[test]
fn no_name_of_the_first_third_leads_outside() {
    third_leads_nowhere(0);
}

#[test]
fn no_name_of_the_second_third_leads_outside() {
    third_leads_nowhere(1);
}

#[test]
fn no_name_of_the_last_third_leads_outside() {
    third_leads_nowhere(2);
}

/// The same names as values of a variable and as the last part of a URL.
#[test]
fn no_value_and_no_url_leads_outside() {
    let world = world();
    let names = names(&world);
    let before = canaries(&world);
    for name in &names {
        let value = quoted(name);
        for source in [
            format!("{{url: \"$BASE/file\", path: \"{{v}}\", vars: {{v: [{value}]}}}}"),
            format!("{{url: \"$BASE/file\", path: \"d/{{v}}.bin\", vars: {{v: [{value}]}}}}"),
            format!("{{url: \"$BASE/{{v}}\", vars: {{v: [{value}]}}}}"),
            format!("{{files: [{}]}}", quoted(&format!("{}/{name}", world.origin.base()))),
        ] {
            let _ = fs::remove_dir_all(world.path("out"));
            world.set_manifest(
                "natsync.yaml",
                &format!("http: {{retries: 0}}\nsources: [{source}]\n"),
            );
            let outcome = run(&world, &waiting());
            assert_eq!(canaries(&world), before, "{source}: {outcome:?}");
        }
    }
}

/// Names in checksum lists select entries and never become paths.
#[test]
fn no_listed_name_leads_outside() {
    let world = world();
    let names = names(&world);
    let before = canaries(&world);
    let digest = crate::world::sha256_of("bytes of the origin");
    let mut list = format!("{digest}  file\n");
    for name in names.iter().filter(|name| !name.contains(['\n', '\r'])) {
        let _ = write!(list, "{digest}  {name}\n{digest} *{name}\nSHA256 ({name}) = {digest}\n");
    }
    world.origin.behave();
    world.origin.serve("/file", "bytes of the origin");
    world.origin.serve("/SUMS", list);
    world.set_manifest(
        "natsync.yaml",
        "sources: [{url: $BASE/file, checksums: {url: $BASE/SUMS}}]\n",
    );
    let outcome = run(&world, &waiting());
    assert_eq!(canaries(&world), before, "{outcome:?}");
    let names = world.names();
    assert!(names.is_empty() || names == ["file"], "{names:?}: {outcome:?}");
}

/// While runs write, a folder and a file of the destination are repeatedly exchanged for links to
/// the outside.
#[test]
fn ten_thousand_exchanges_lead_nowhere() {
    let world = world();
    world.set_manifest(
        "natsync.yaml",
        "prune: managed\nhttp: {retries: 0}\nsources: [{url: \"$BASE/{n}\", path: \"sub/{n}/evil.txt\", vars: {n: 1..8}}]\n",
    );
    let first = run(&world, &waiting()).expect("a run");
    assert!(first.0.is_success(), "{first:?}");
    let canary = world.path("canary");
    let swaps = world.path("swaps");
    fs::create_dir(&swaps).expect("a folder");
    let pairs = [
        (world.path("out/sub"), swaps.join("folder"), canary.join("sub")),
        (world.path("out/sub/3/evil.txt"), swaps.join("file"), canary.join("secret.txt")),
        (world.path("out/sub/5"), swaps.join("deeper"), canary.join("sub/deeper")),
    ];
    for (_, spare, target) in &pairs {
        symlink(target, spare).expect("a link");
    }
    let before: BTreeMap<_, _> =
        canaries(&world).into_iter().filter(|(path, _)| path.starts_with(&canary)).collect();
    let (exchanged, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut runs = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                for (place, spare, _) in &pairs {
                    if renameat_with(CWD, place, CWD, spare, RenameFlags::EXCHANGE).is_ok() {
                        exchanged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        });
        let options = Options { force: true, ..waiting() };
        let end = Instant::now() + Duration::from_secs(100);
        while (exchanged.load(Ordering::Relaxed) < 10_000 || runs < 20) && Instant::now() < end {
            // Some entries fail because they find a link; no run follows it.
            let _ = run(&world, &options);
            runs += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(10_000 <= exchanged.load(Ordering::Relaxed), "the exchanges came to an end");
    let after: BTreeMap<_, _> =
        canaries(&world).into_iter().filter(|(path, _)| path.starts_with(&canary)).collect();
    assert_eq!(after, before, "after {runs} runs");
}
