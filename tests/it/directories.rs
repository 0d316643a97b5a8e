//! A directory given as manifest stands for the manifests below it.

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::process::Signal;

use crate::origin::{Answer, Gate};
use crate::world::World;

/// A manifest that a server might serve.
const EVIL: &str = "version: 1\ndest: /nowhere\nsources: [{url: http://evil.example/a}]\n";

/// Commands that accept directories, each in a form that needs a manifest that can be used.
const COMMANDS: [&[&str]; 6] =
    [&["apply"], &["plan"], &["list"], &["lock"], &["verify"], &["report", "--html", "page.html"]];

/// Writes a manifest that declares `/N.txt` below a destination of its own.
fn set(world: &World, name: &str, n: usize) {
    let dest = world.path("out").join(n.to_string());
    let dest = dest.display();
    world.set_manifest(
        name,
        &format!("dest: {dest}\nsources: [{{url: $BASE/{n}.txt, http: {{retries: 0}}}}]\n"),
    );
}

/// The URLs that `natsync list` prints, without the origin.
#[track_caller]
fn listed(world: &World, args: &[&str]) -> Vec<String> {
    let run = world.run([&["list", "--format", "urls"], args].concat()).success();
    run.stdout.lines().map(|url| url.replace(&world.origin.base(), "")).collect()
}

/// The files that were downloaded, without the control directories.
fn downloaded(world: &World) -> Vec<String> {
    world.names().into_iter().filter(|name| !name.contains(".natsync")).collect()
}

#[track_caller]
fn refused(world: &World, args: &[&str], message: &str) {
    for command in COMMANDS {
        let run = world.run([command, args].concat()).code(2);
        assert!(run.stderr.contains(message), "{command:?}: {}", run.output());
        assert_eq!(run.stdout, "", "{command:?}");
    }
    assert!(!world.exists("out") && !world.exists("page.html"), "nothing was touched");
}

#[test]
fn manifests_run_in_the_order_of_their_paths() {
    let world = World::new();
    // A folder is compared by its own name: `b` comes before `b.yaml` and `b-c`.
    for (n, name) in
        ["m/B.yml", "m/a.yaml", "m/b/z.yaml", "m/b/z/1.yaml", "m/b-c/1.yaml", "m/b.yaml", "m/é.yml"]
            .into_iter()
            .enumerate()
    {
        set(&world, name, n);
    }
    let expected =
        ["/0.txt", "/1.txt", "/3.txt", "/2.txt", "/4.txt", "/5.txt", "/6.txt"].map(str::to_owned);
    assert_eq!(listed(&world, &["m"]), expected);
    assert_eq!(listed(&world, &["m/"]), expected);
    assert_eq!(listed(&world, &["."]), expected);
    assert_eq!(listed(&world, &["m/b", "m/a.yaml"]), ["/3.txt", "/2.txt", "/1.txt"]);
    assert_eq!(world.run(["list", "m"]).success().stderr, "", "no note");
}

#[test]
fn every_command_accepts_a_directory() {
    let world = World::new().serve_numbered(2);
    set(&world, "m/1.yaml", 1);
    set(&world, "m/sub/2.yml", 2);
    let run = world.run(["plan", "m", "--json"]).success();
    let summaries = run.lines("summary");
    let names: Vec<_> = summaries.iter().map(|summary| summary["manifest"].clone()).collect();
    assert_eq!(names, ["1", "2"]);
    world.run(["lock", "m"]).success();
    assert!(world.exists("m/1.lock") && world.exists("m/sub/2.lock"));
    let run = world.run(["apply", "m", "--json"]).success();
    assert_eq!(run.lines("summary").len(), 2, "{}", run.output());
    assert_eq!(downloaded(&world), ["1/1.txt", "2/2.txt"]);
    let run = world.run(["verify", "m", "--json"]).success();
    assert_eq!(run.lines("verified").len(), 2);
    assert_eq!(world.run(["list", "m", "--json"]).success().json().len(), 2);

    world.run(["report", "m/sub", "--html", "page.html"]).success();
    for about_one in [&["report", "m", "--html", "p"][..], &["list", "m", "--format", "metalink"]] {
        let run = world.run(about_one.iter().copied()).code(2);
        assert!(run.stderr.contains("is about one manifest: name only one"), "{}", run.stderr);
    }
    let run = world.run(["explain", "m", "1.txt"]).code(2);
    assert_eq!(
        run.stderr,
        "error: `m` is a directory, not a manifest\n\
         hint: name the manifest that declares the entry\n"
    );
}

#[test]
fn a_saved_plan_may_name_its_directory() {
    let world = World::new().serve_numbered(2);
    set(&world, "m/1.yaml", 1);
    set(&world, "m/2.yaml", 2);
    world.run(["plan", "m", "--out", "p.plan"]).success();
    set(&world, "m/3.yaml", 3);
    let run = world.run(["apply", "--plan", "p.plan", "m"]).code(2);
    assert!(run.stderr.contains("is a plan of `m/1.yaml`, `m/2.yaml`"), "{}", run.stderr);
    world.delete("m/3.yaml");
    world.run(["apply", "--plan", "p.plan", "m"]).success();
    assert_eq!(downloaded(&world), ["1/1.txt", "2/2.txt"]);
}

#[test]
fn the_worst_exit_status_wins() {
    let world = World::new().serve_numbered(3);
    for n in [1, 3, 4] {
        set(&world, &format!("m/{n}.yaml"), n);
    }
    let run = world.run(["apply", "m"]).code(1);
    assert!(run.stderr.contains("4.txt"), "{}", run.stderr);
    assert_eq!(downloaded(&world), ["1/1.txt", "3/3.txt"], "the others are done");
    world.delete("m/4.yaml");
    world.run(["apply", "m"]).success();
    set(&world, "m/2.yaml", 2);
    world.run(["plan", "m", "--exit-code"]).code(3);
    world.run(["lock", "m", "--check"]).code(3);
    world.delete("out/3/3.txt");
    world.run(["verify", "m"]).code(1);
}

#[test]
fn manifests_of_one_destination_run_one_after_the_other() {
    let world = World::new().serve_numbered(3);
    for n in 1..=3 {
        world.set_manifest(
            &format!("m/{n}.yaml"),
            &format!("dest: ../out\nsources: [{{url: $BASE/{n}.txt}}]\n"),
        );
    }
    world.run(["apply", "m"]).success();
    assert_eq!(world.names(), ["1.txt", "2.txt", "3.txt"]);
}

#[test]
fn other_yaml_is_named_in_a_note() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    world.write("m/values.yml", "image: {tag: 1}\n");
    let run = world.run(["list", "m", "--json"]).success();
    assert_eq!(run.stderr, "note: 1 YAML file is not a manifest: m/values.yml\n");
    assert_eq!(run.json().len(), 1);
    for n in 0..4 {
        world.write(&format!("m/k/{n}.yaml"), "kind: List\n---\nkind: Pod\n");
    }
    let run = world.run(["list", "m", "m/k", "m/1.yaml"]).code(2);
    let note =
        "note: 5 YAML files are not manifests: m/k/0.yaml, m/k/1.yaml, m/k/2.yaml and 2 more\n";
    assert!(run.stderr.starts_with(note), "{}", run.stderr);
    assert_eq!(world.run(["list", "m", "-q"]).success().stderr, "");
    // Named itself, it is a manifest and wrong.
    let run = world.run(["list", "m/values.yml"]).code(2);
    assert!(run.stderr.contains("unknown key `image`") || run.stderr.contains("`image`"));
}

#[test]
fn yaml_that_cannot_be_parsed_is_an_error() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    world.write("m/a.yaml", "version: 1\nsources: [\n");
    world.write("m/b.yml", "{{- if .Values.a }}\na: 1\n{{- end }}\n");
    world.write("m/c.yml", b"name: \xff\n");
    world.write("m/d.yml", "version: 1\ndest: a\nsources: []\nsource: 1\n");
    for place in ["m/a.yaml:2:10", "m/b.yml:1:", "m/c.yml:1:7", "m/d.yml:"] {
        refused(&world, &["m"], place);
    }
    let run = world.run(["list", "m", "m/b.yml", "m/a.yaml"]).code(2);
    assert_eq!(run.stderr.matches("--> m/b.yml:").count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains(
            "every YAML file in a directory given as manifest may be a manifest; names that begin \
             with a dot are left out"
        ),
        "{}",
        run.stderr
    );
    let run = world.run(["list", "m", "--json"]).code(2);
    let errors = run.lines("error");
    let files: Vec<_> = errors.iter().map(|error| error["file"].clone()).collect();
    assert_eq!(files, ["m/a.yaml", "m/b.yml", "m/c.yml", "m/d.yml", "m/d.yml"]);
    assert!(errors.iter().all(|error| error["kind"] == "manifest"), "{errors:?}");
}

#[test]
fn a_large_file_is_refused_without_reading_it() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    world.write("m/dump.yaml", "");
    fs::File::options()
        .write(true)
        .open(world.path("m/dump.yaml"))
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    refused(&world, &["m"], "the manifest has more than 16777216 bytes");
}

#[test]
fn a_directory_without_manifests_is_an_error() {
    let world = World::new();
    fs::create_dir(world.path("m")).unwrap();
    world.write("n/notes.txt", "version: 1\nsources: []\n");
    world.write("n/a.YAML", "version: 1\nsources: []\n");
    world.write("n/b.yaml/c.txt", "x");
    for name in ["m", "n"] {
        refused(&world, &[name], &format!("error: there is no manifest in `{name}`\nhint: "));
    }
    let run = world.run(["apply", "m", "--json"]).code(2);
    assert_eq!(run.lines("error")[0]["kind"], "usage");
    world.write("n/a.yaml", "a: 1\n");
    refused(&world, &["n"], "note: 1 YAML file is not a manifest: n/a.yaml\nerror: there is no");
}

#[test]
fn hidden_names_are_left_out() {
    let world = World::new();
    set(&world, ".m/1.yaml", 1);
    for name in [".2.yaml", ".yaml", ".git/2.yaml", "a/.natsync/2.yaml"] {
        world.write(&format!(".m/{name}"), "[");
    }
    assert_eq!(listed(&world, &[".m"]), ["/1.txt"]);
    assert_eq!(listed(&world, &[".m/."]), ["/1.txt"]);
    // Named itself, a hidden file is a manifest.
    world.run(["list", ".m/.2.yaml"]).code(2);
}

#[test]
fn links_are_not_followed() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    set(&world, "elsewhere/2.yaml", 2);
    symlink("../elsewhere", world.path("m/outside")).unwrap();
    symlink(".", world.path("m/loop")).unwrap();
    symlink("..", world.path("m/up.yaml")).unwrap();
    symlink("../elsewhere/2.yaml", world.path("m/2.yaml")).unwrap();
    symlink("nowhere", world.path("m/gone.yml")).unwrap();
    assert_eq!(listed(&world, &["m"]), ["/1.txt"]);
    let run = world.run(["list", "m"]).success();
    assert_eq!(
        run.stderr,
        "note: 3 symbolic links are not followed: m/2.yaml, m/gone.yml, m/up.yaml\n"
    );
    // A link that is named itself is followed.
    symlink("m", world.path("link")).unwrap();
    assert_eq!(listed(&world, &["link", "m/2.yaml"]), ["/1.txt", "/2.txt"]);
}

#[test]
fn pipes_are_not_read() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    let pipe = world.path("m/pipe.yaml");
    assert!(Command::new("mkfifo").arg(pipe).status().unwrap().success());
    assert_eq!(listed(&world, &["m"]), ["/1.txt"]);
}

#[test]
fn a_manifest_that_is_found_twice_counts_once() {
    let world = World::new();
    for n in 1..=3 {
        set(&world, &format!("m/{n}.yaml"), n);
    }
    set(&world, "m/sub/4.yaml", 4);
    let all = ["/1.txt", "/2.txt", "/3.txt", "/4.txt"];
    assert_eq!(listed(&world, &["m", "m/sub", "./m", "m/../m"]), all);
    assert_eq!(listed(&world, &["m", "m/2.yaml"]), all);
    assert_eq!(
        listed(&world, &["m/sub", "m/3.yaml", "m"]),
        ["/4.txt", "/3.txt", "/1.txt", "/2.txt"]
    );
    let absolute = world.path("m/3.yaml");
    assert_eq!(listed(&world, &[absolute.to_str().unwrap(), "m"])[0], "/3.txt");
    assert_eq!(listed(&world, &[absolute.to_str().unwrap(), "m"]).len(), 4);
    symlink("m", world.path("link")).unwrap();
    assert_eq!(listed(&world, &["m", "link"]), all);

    set(&world, "m/3.yml", 5);
    refused(&world, &["m"], "`m/3.yaml` and `m/3.yml` would share one lock");
    let run = world.run(["plan", "m/3.yaml", "./m/3.yml"]).code(2);
    assert!(run.stderr.contains("would share one lock"), "{}", run.stderr);
}

/// Root reads every directory. A path that is longer than the system allows cannot be read by anyone.
#[test]
fn a_directory_that_cannot_be_read_is_an_error() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    let name = "d".repeat(200);
    let mut folder = OwnedFd::from(fs::File::open(world.path("m")).unwrap());
    for _ in 0..40 {
        mkdirat(&folder, &name, Mode::RWXU).unwrap();
        folder = openat(&folder, &name, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    refused(&world, &["m"], "error: cannot read the directory `m/ddd");
}

#[test]
fn a_directory_without_permission_is_an_error() {
    let world = World::new();
    set(&world, "m/1.yaml", 1);
    set(&world, "m/sub/2.yaml", 2);
    set(&world, "n/3.yaml", 3);
    let allow = |path: &str, mode: u32| {
        fs::set_permissions(world.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    allow("", 0o755);
    for path in ["m/sub", "n"] {
        allow(path, 0o000);
    }
    for (name, unreadable) in [("m", "m/sub"), ("n", "n")] {
        let mut command = world.command();
        command.args(["list", name]);
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        let Ok(output) = command.output() else {
            let _ = writeln!(std::io::stderr(), "skipped: another user cannot run the program");
            break;
        };
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        let message = format!("cannot read the directory `{unreadable}`: Permission denied");
        assert!(stderr.contains(&message), "{stderr}");
        assert!(!stderr.contains("there is no manifest"), "{stderr}");
    }
    for path in ["m/sub", "n"] {
        allow(path, 0o755);
    }
}

/// A server must not be able to declare downloads, nor to stop a run by a file that is not YAML.
#[test]
fn downloaded_files_are_not_manifests() {
    let world = World::new();
    let evil = "version: 1\ndest: /nowhere\nsources: [{url: http://evil.example/a}]\n";
    world.origin.serve("/evil.yaml", evil);
    world.origin.serve("/broken.yaml", "[");
    world.set_manifest(
        "m/a.yaml",
        "dest: .\nsources: [{url: \"$BASE/{n}.yaml\", vars: {n: [evil, broken]}, path: \"sub/{n}.yaml\"}]\n",
    );
    world.run(["apply", "m"]).success();
    assert_eq!(world.files("m").len(), 3);
    let run = world.run(["apply", "m"]).success();
    assert!(
        run.stderr.starts_with(
            "note: 2 downloaded YAML files are not read: m/sub/broken.yaml, m/sub/evil.yaml\n"
        ),
        "{}",
        run.stderr
    );
    refused(&world, &["m/sub"], "error: there is no manifest in `m/sub`");
    set(&world, "m/sub/own.yaml", 1);
    assert_eq!(listed(&world, &["m/sub"]), ["/1.txt"]);
    assert_eq!(listed(&world, &["m"]), ["/evil.yaml", "/broken.yaml", "/1.txt"]);
    world.write("m/.natsync/state.db", "damaged");
    let run = world.run(["list", "m"]).code(2);
    let message = "error: cannot tell which files in `m` natsync downloaded: its state cannot be used\n\
                   hint: name the manifests instead of a directory\n";
    assert_eq!(run.stderr, message);
    world.run(["apply", "m/a.yaml"]).success();
    assert_eq!(listed(&world, &["m"]).len(), 3);
}

/// The record of a file follows a moment after the file, and a run may be killed in between.
#[test]
fn a_file_of_a_killed_run_is_no_manifest() {
    let gate = Gate::new();
    let world = World::new();
    world.origin.serve("/evil.yaml", EVIL);
    world.origin.always("/held.yaml", Answer::file().gate(&gate));
    world.set_manifest(
        "m/a.yaml",
        "dest: .\nsources: [{url: \"$BASE/{n}.yaml\", vars: {n: [evil, held]}, path: \"sub/{n}.yaml\"}]\n",
    );
    let running = world.spawn(["apply", "m/a.yaml"]);
    while !world.exists("m/sub/evil.yaml") {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(listed(&world, &["m"]), ["/evil.yaml", "/held.yaml"], "during the run");
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(listed(&world, &["m"]), ["/evil.yaml", "/held.yaml"]);
    refused(&world, &["m/sub"], "error: there is no manifest in `m/sub`");
}

#[test]
fn a_state_that_was_set_aside_still_names_downloads() {
    let world = World::new();
    let declare = |names: &str| {
        world.set_manifest(
            "m/a.yaml",
            &format!("dest: .\nsources: [{{url: \"$BASE/{{n}}.yaml\", vars: {{n: [{names}]}}}}]\n"),
        );
    };
    for name in ["evil", "gone", "kept"] {
        world.origin.serve(&format!("/{name}.yaml"), EVIL);
    }
    declare("evil, gone, kept");
    world.run(["apply", "m"]).success();
    let state = rusqlite::Connection::open(world.path("m/.natsync/state.db")).unwrap();
    state.execute_batch("PRAGMA user_version = 4; DROP TABLE announced").unwrap();
    drop(state);
    // One file is no longer declared, and another one cannot be confirmed.
    declare("gone, kept");
    world.origin.always("/gone.yaml", Answer::status(500));
    let run = world.run(["apply", "m", "--retries", "0"]).code(1);
    assert!(run.stderr.contains("an older natsync wrote it"), "{}", run.stderr);
    assert_eq!(listed(&world, &["m"]), ["/gone.yaml", "/kept.yaml"]);
}

#[test]
fn reports_cover_the_manifests_of_a_directory() {
    let world = World::new().serve_numbered(2);
    set(&world, "m/1.yaml", 1);
    set(&world, "m/2.yaml", 2);
    world.run(["apply", "m", "--junit", "junit.xml"]).success();
    let junit = String::from_utf8(world.read("junit.xml")).unwrap();
    assert!(["1/1", "2/2"].iter().all(|suite| junit.contains(suite)), "{junit}");
    world.write("m/3.yaml", "[");
    world.run(["apply", "m", "--junit", "junit.xml"]).code(2);
    let junit = String::from_utf8(world.read("junit.xml")).unwrap();
    assert!(junit.contains("m/3.yaml"), "{junit}");
}

#[test]
fn the_default_is_natsync_yaml_or_natsync_yml() {
    let world = World::new();
    refused(&world, &[], "error: there is no `natsync.yaml` here, and no manifest was given\n");
    set(&world, "natsync.yml", 1);
    assert_eq!(listed(&world, &[]), ["/1.txt"]);
    let run = world.run(["init", "http://h.example/a[1-3]"]).code(2);
    assert!(run.stderr.contains("`natsync.yml` already exists"), "{}", run.stderr);
    set(&world, "natsync.yaml", 2);
    refused(
        &world,
        &[],
        "error: there are both `natsync.yaml` and `natsync.yml` here, and no manifest was given\n",
    );
    assert_eq!(listed(&world, &["natsync.yaml"]), ["/2.txt"]);
    world.delete("natsync.yml");
    assert_eq!(listed(&world, &[]), ["/2.txt"]);
}

/// A manifest of the same run is a file that no entry may replace.
#[test]
fn an_entry_that_would_replace_another_manifest_is_refused_before_anything_is_done() {
    let world = World::new().serve_numbered(1);
    world.origin.serve("/b.yaml", EVIL);
    world.origin.serve("/b.lock", "x");
    let to = |dest: &str, name: &str| {
        format!("dest: {dest}\nsources: [{{url: \"$BASE/{name}\"}}, {{url: \"$BASE/1.txt\"}}]\n")
    };
    world.set_manifest("m/b.yaml", "dest: out\nsources: [{url: \"$BASE/1.txt\"}]\n");
    let before = world.read("m/b.yaml");
    for (dest, name) in [(".", "b.yaml"), (".", "b.lock"), ("../m", "b.yaml"), (".", "a.yaml")] {
        world.set_manifest("m/a.yaml", &to(dest, name));
        for args in [
            &["apply", "m"][..],
            &["plan", "m"],
            &["list", "m"],
            &["apply", "m/b.yaml", "m/a.yaml"],
        ] {
            let run = world.run(args).code(2);
            let message = format!("the path `{name}` is that of a manifest or of its lock");
            assert!(run.stderr.contains(&message), "{args:?}: {}", run.stderr);
        }
    }
    // Case is folded where names must be portable.
    world.set_manifest("m/a.yaml", &to(".", "1.txt\", path: \"B.yaml"));
    assert!(world.run(["apply", "m"]).code(2).stderr.contains("`B.yaml` is that of a manifest"));
    // A manifest that is a symbolic link is replaced as well.
    world.delete("m/b.yaml");
    world.write("real/b.yaml", &before);
    std::os::unix::fs::symlink("../real/b.yaml", world.path("m/b.yaml")).unwrap();
    world.set_manifest("m/a.yaml", &to(".", "b.yaml"));
    world.run(["apply", "m/a.yaml", "m/b.yaml"]).code(2);
    world.origin.assert_requests(&[]);
    assert_eq!(world.read("real/b.yaml"), before);
    assert!(!world.exists("m/1.txt") && !world.exists("m/out"));
    // In a run without it, the file is an ordinary one, which is in the way.
    world.delete("m/b.yaml");
    world.run(["apply", "m/a.yaml"]).success();
}
