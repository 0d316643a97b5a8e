//! The recipes of `docs/scale.md`: shards under Slurm, Dask, Ray and other engines.

mod engines;
mod python;
mod slurm;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::origin::{Answer, Gate};
use crate::world::{Run, Running, World};
use slurm::Slurm;

/// The number of entries in `mirrored`.
const ENTRIES: usize = 24;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn skipped(what: &str) {
    // Bypasses the output capture of the test harness, which would hide the line in a passing test.
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(program)).find(|program| program.is_file())
}

/// `mirror.yaml` with an empty lock in the directories `one` and `many`. A whole run has mirrored
/// the first; shards shall do the same in the second.
fn mirrored() -> World {
    let world = World::new().serve_numbered(ENTRIES);
    for folder in ["one", "many"] {
        world.set_manifest(
            &format!("{folder}/mirror.yaml"),
            &format!(
                "dest: mirror\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{ENTRIES}}}, http: {{retries: 0}}}}]\n"
            ),
        );
        world.write(
            &format!("{folder}/mirror.lock"),
            "{\"natsync_lock\":1,\"manifest\":\"mirror\"}\n",
        );
    }
    natsync(&world, "one", &["apply", "mirror.yaml"], &[]).success();
    world.origin.forget();
    world
}

/// Runs the program in a directory with these variables.
fn natsync(world: &World, dir: &str, args: &[&str], env: &[(&str, &str)]) -> Run {
    let mut command = world.command();
    command.current_dir(world.path(dir)).envs(env.iter().copied());
    Running::start(command, args).wait()
}

/// Runs a script or another program in the directory `many`, with the program under test in PATH.
fn foreign(world: &World, program: &str, args: &[&str], env: &[(&str, &str)]) -> Run {
    let mut command = Command::new(program);
    let tested = Path::new(env!("CARGO_BIN_EXE_natsync")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env_clear().envs([("HOME", world.dir()), ("TMPDIR", world.dir())]);
    command.env("PATH", format!("{}:{}:{path}", world.path("bin").display(), tested.display()));
    command.env("LANG", "C.UTF-8").envs(env.iter().copied()).current_dir(world.path("many"));
    Running::start(command, args).wait_at_most(std::time::Duration::from_mins(3))
}

/// Fails unless the shards made what the whole run made.
#[track_caller]
fn assert_same(world: &World) {
    assert_eq!(world.files("many/mirror"), world.files("one/mirror"));
    let locks = ["many/mirror.lock", "one/mirror.lock"]
        .map(|lock| String::from_utf8(world.read(lock)).unwrap());
    assert_eq!(locks[0], locks[1]);
    assert_eq!(locks[0].lines().count(), 1 + ENTRIES);
    assert!(!world.exists("many/mirror/.natsync/shards"));
}

/// A path that belongs to this shard.
fn path_of(world: &World, shard: &str) -> String {
    let list = ["list", "mirror.yaml", "--shard", shard, "--json"];
    let listed = natsync(world, "many", &list, &[]).success();
    listed.lines("entry")[0]["path"].as_str().unwrap().to_owned()
}

#[test]
fn a_slurm_array_mirrors_what_a_whole_run_does() {
    let Some(mut slurm) = Slurm::start() else { return };
    let world = mirrored();
    // Shard 2 fails. Shard 3 waits for a file until Slurm ends it.
    let [broken, held] = ["2/4", "3/4"].map(|shard| path_of(&world, shard));
    let gate = Gate::new();
    world.origin.always(&format!("/{broken}"), Answer::status(500));
    world.origin.always(&format!("/{held}"), Answer::file().gate(&gate));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scale/slurm.sh");
    let conf = slurm.conf();
    let submit = |more: &[&str]| {
        let args = [&["mirror.yaml", "4", "2"], more].concat();
        let env = [("SLURM_CONF", conf.to_str().unwrap())];
        let run = foreign(&world, script.to_str().unwrap(), &args, &env).success();
        run.stdout.trim().to_owned()
    };

    let merge = submit(&[]);
    slurm.until("shard 3", |_| world.origin.count(&format!("/{held}")) == 1);
    slurm.cancel("natsync-shard", "3");
    slurm.wait_for(&merge);
    let said = slurm::printed(&world.path("many"), &merge);
    assert_eq!(said, "shards to run again: 2-3\n");

    gate.open();
    world.origin.behave();
    let before = world.files("many/mirror");
    assert!(!before.contains_key(&broken) && !before.contains_key(&held));
    world.origin.forget();
    let merge = submit(&["again"]);
    slurm.wait_for(&merge);
    let said = slurm::printed(&world.path("many"), &merge);
    assert_same(&world);
    assert!(said.contains("4 shards merged"), "{said}");
    // The bodies of complete files were not sent again.
    let mut sent = world.origin.requests();
    sent.retain(|request| request.status == 200);
    let sent: BTreeSet<_> = sent.iter().map(|request| request.path()[1..].to_owned()).collect();
    let new = world.files("many/mirror").into_keys().filter(|path| !before.contains_key(path));
    assert_eq!(sent, new.collect());
}

#[test]
fn the_numbers_of_shards_to_run_again_are_those_of_an_array() {
    let world = mirrored();
    let broken = path_of(&world, "4/9");
    world.origin.always(&format!("/{broken}"), Answer::status(500));
    let merge =
        |more: &[&str]| natsync(&world, "many", &[&["merge", "mirror.yaml"], more].concat(), &[]);
    let apply =
        |shard: &str| natsync(&world, "many", &["apply", "mirror.yaml", "--shard", shard], &[]);
    assert_eq!(merge(&["--shards", "9", "--array"]).code(1).stdout, "1-9\n");
    for (shard, status) in [("1/9", 0), ("4/9", 1), ("5/9", 0), ("8/9", 0)] {
        apply(shard).code(status);
    }
    // Without --shards the total is that of the folders.
    for total in [&["--shards", "9"][..], &[]] {
        let array = merge(&[total, &["--array"]].concat()).code(1);
        assert_eq!((array.stdout.as_str(), array.stderr.as_str()), ("2-3,6-7,9\n", ""));
        let array = merge(&[total, &["--array", "--failed"]].concat()).code(1);
        assert_eq!((array.stdout.as_str(), array.stderr.as_str()), ("2-4,6-7,9\n", ""));
    }
    let results = || world.files("many/mirror/.natsync/shards");
    let before = results();
    let run = merge(&[]).code(1);
    assert!(run.stderr.contains("missing: 2-3,6-7,9 of 9"), "{}", run.stderr);
    assert_eq!(results(), before);
    assert!(!world.exists("many/mirror/.natsync/state.db"));

    world.origin.always(&format!("/{broken}"), Answer::file());
    for shard in ["2/9", "3/9", "4/9", "6/9", "7/9", "9/9"] {
        apply(shard).success();
    }
    let array = merge(&["--array", "--failed"]).success();
    assert_eq!((array.stdout.as_str(), array.stderr.as_str()), ("", ""));
    merge(&["--failed", "failed.jsonl"]).success();
    assert_eq!(world.read("many/failed.jsonl"), b"");
    assert_same(&world);
}

/// The variables in the table of `docs/scale.md` are exactly those that the program reads.
#[test]
fn the_page_lists_every_variable() {
    let name = regex::Regex::new(r#"["`]([A-Z]+(?:_[A-Z]+)+)(?:=K/N)?["`]"#).unwrap();
    let found = |text: &str| -> BTreeSet<String> {
        name.captures_iter(text).map(|found| found[1].to_owned()).collect()
    };
    let source = file("src/cli/shards.rs");
    let source = source.split("mod tests").next().unwrap();
    let page = file("docs/scale.md");
    let rows: String = page.lines().filter(|line| line.starts_with("| ")).collect();
    let mut told = found(&rows);
    told.insert("NATSYNC_SHARDS".to_owned());
    assert_eq!(told, found(source));
}

#[test]
fn every_snippet_of_the_page_is_that_of_an_example() {
    let page = file("docs/scale.md");
    for example in ["kubernetes.yaml", "cloud-run.yaml"] {
        let text = file(&format!("examples/scale/{example}"));
        let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        assert!(3 < commands.len(), "{example}");
        assert!(page.contains(&(commands.join("\n") + "\n")), "{example}: {commands:?}");
    }
}
