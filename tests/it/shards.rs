//! Runs over one shard of a job: which entries they process, what they leave, what they hold, and how
//! they treat the server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;

use crate::origin::{Answer, Gate};
use crate::world::{Run, Running, World, numbered};

/// The runs of all shards of a job at once.
#[track_caller]
pub(crate) fn job(world: &World, args: &[&str], total: usize) -> Vec<Run> {
    let running: Vec<_> = (1..=total).map(|number| spawn(world, args, number, total)).collect();
    running.into_iter().map(Running::wait).collect()
}

pub(crate) fn spawn(world: &World, args: &[&str], number: usize, total: usize) -> Running {
    let shard = format!("--shard={number}/{total}");
    world.spawn(args.iter().copied().chain([shard.as_str()]))
}

pub(crate) fn run(world: &World, args: &[&str], number: usize, total: usize) -> Run {
    spawn(world, args, number, total).wait()
}

/// The paths of a shard's entries, as `list` has them.
#[track_caller]
pub(crate) fn paths(world: &World, args: &[&str], shard: Option<(usize, usize)>) -> Vec<String> {
    let shard = shard.map(|(number, total)| format!("--shard={number}/{total}"));
    let args = ["list", "--json"].iter().chain(args).copied().chain(shard.as_deref());
    let run = world.run(args).success();
    run.json().iter().filter_map(|line| Some(line["path"].as_str()?.to_owned())).collect()
}

/// The numbers of the files of `numbered_files` in each shard.
fn numbers(world: &World, total: usize) -> Vec<Vec<usize>> {
    let number = |path: &String| path.trim_end_matches(".txt").parse().unwrap();
    (1..=total)
        .map(|shard| paths(world, &[], Some((shard, total))).iter().map(number).collect())
        .collect()
}

/// `1.txt` to `COUNT.txt`.
pub(crate) fn numbered_files(count: usize, settings: &[&str]) -> World {
    let vars = format!("vars: {{n: 1..{count}}}");
    let lines: Vec<_> = [vars.as_str()].into_iter().chain(settings.iter().copied()).collect();
    World::in_memory().serve_numbered(count).source("$BASE/{n}.txt", &lines)
}

#[test]
fn each_entry_is_in_exactly_one_shard() {
    let world = World::new().manifest(
        "sources:
  - {name: a, url: \"http://h/a/{n}.bin\", path: \"a/{n}.bin\", vars: {n: 1..70}, tags: [old]}
  - {name: b, url: \"http://h/b/{n}.bin\", path: \"b/{n}.bin\", vars: {n: 1..70}}
",
    );
    let choices: [&[&str]; 5] =
        [&[], &["--only", "*/1*"], &["--only", "tag:old"], &["--set", "n=5..40"], &["--only", "b"]];
    for choice in choices {
        let whole: BTreeSet<_> = paths(&world, choice, None).into_iter().collect();
        for total in [1, 2, 3, 16] {
            let shards: Vec<_> = (1..=total)
                .flat_map(|number| paths(&world, choice, Some((number, total))))
                .collect();
            assert_eq!(shards.len(), whole.len(), "{choice:?} of {total}: pairwise disjoint");
            assert_eq!(shards.into_iter().collect::<BTreeSet<_>>(), whole, "{choice:?} of {total}");
        }
    }
}

#[test]
fn a_shard_without_entries_succeeds() {
    let world = numbered_files(1, &[]);
    for run in job(&world, &["apply", "--json"], 3) {
        run.success();
    }
    world.run(["merge"]).success();
    world.assert_files(&[("1.txt", "file 1\n")]);
}

/// A write-ahead log needs shared memory, which a network file system does not have.
#[test]
fn the_state_of_a_shard_has_no_write_ahead_log() {
    let gate = Gate::new();
    let world = numbered_files(6, &[]);
    world.apply().success();
    for n in 1..=6 {
        world.origin.serve(&format!("/{n}.txt"), format!("new {n}"));
    }
    let held = numbers(&world, 1)[0][5];
    world.origin.always(&format!("/{held}.txt"), Answer::file().gate_at(2, &gate));
    let running = spawn(&world, &["apply"], 1, 1);
    world.wait_for_file("out/.natsync/shards/1-of-1/state.db");
    world.origin.wait_for(12);
    world.origin.wait_in_flight(1);
    let names: Vec<_> = world.files("out/.natsync").into_keys().collect();
    let is_log = |name: &&String| name.ends_with("-wal") || name.ends_with("-shm");
    assert_eq!(names.iter().filter(is_log).collect::<Vec<_>>(), [""; 0], "{names:?}");
    let journal_mode = |bytes: &[u8]| bytes[18];
    let state = world.read("out/.natsync/shards/1-of-1/state.db");
    assert_eq!(journal_mode(&state), 1, "a rollback journal");
    gate.open();
    running.wait().success();
}

// Which shard a run is.

#[test]
fn the_environment_names_the_shard() {
    let world = numbered_files(9, &[]);
    let ask = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = world.command();
        command.args(["list", "--json"]).args(args).envs(variables.iter().copied());
        let output = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let second = ask(&["--shard", "2/3"], &[]);
    assert_eq!(second.0, 0);
    assert_ne!(second.1, ask(&[], &[]).1);
    assert_eq!(ask(&[], &[("NATSYNC_SHARD", "2/3")]), second);
    assert_eq!(ask(&["--shard", "auto"], &[("NATSYNC_SHARD", "2/3")]), second);
    assert_eq!(ask(&["--shard", "2/3"], &[("NATSYNC_SHARD", "1/3")]), second);
    for index in [("SLURM_ARRAY_TASK_ID", "2"), ("JOB_COMPLETION_INDEX", "1")] {
        assert_eq!(ask(&["--shard", "auto"], &[index, ("NATSYNC_SHARDS", "3")]), second);
        assert_eq!(ask(&[], &[index, ("NATSYNC_SHARDS", "3")]), ask(&[], &[]), "unasked");
    }
    for (args, variables, part) in [
        (&["--shard", "auto"][..], &[][..], "no variable says which shard this run is"),
        (&["--shard", "auto"], &[("SLURM_ARRAY_TASK_ID", "1")], "NATSYNC_SHARDS=N"),
        (
            &["--shard", "auto"],
            &[("SLURM_ARRAY_TASK_ID", "1"), ("SLURM_ARRAY_TASK_COUNT", "3")],
            "Slurm counts the tasks of an attempt",
        ),
        (
            &["--shard", "auto"],
            &[("SLURM_ARRAY_TASK_ID", "0"), ("NATSYNC_SHARDS", "3")],
            "submit the array as `--array=1-3`",
        ),
        (
            &["--shard", "auto"],
            &[("JOB_COMPLETION_INDEX", "3"), ("NATSYNC_SHARDS", "3")],
            "the shards of this job are 1 to 3, and 4 is not one of them",
        ),
        (&["--shard", "0/3"], &[], "the shards of this job are 1 to 3"),
        (&["--shard", "3"], &[], "a shard is written K/N"),
        (&[], &[("NATSYNC_SHARD", "4/3")], "NATSYNC_SHARD is `4/3`"),
        (&[], &[("NATSYNC_SHARD", "auto")], "no variable says"),
    ] {
        let (status, _, stderr) = ask(args, variables);
        let told = stderr.replace('\n', " ");
        assert!(status == 2 && told.contains(part), "{args:?} {variables:?}: {status} {stderr}");
    }
}

// What shards hold.

/// Six files of which the first of shard 1 of 2 stops in the middle, and that run.
fn half(gate: &Gate, settings: &[&str]) -> (World, Running, usize) {
    let world = numbered_files(6, settings);
    let held = numbers(&world, 2)[0][0];
    world.origin.always(&format!("/{held}.txt"), Answer::file().gate_at(3, gate));
    let running = spawn(&world, &["apply", "--json"], 1, 2);
    world.origin.wait_in_flight(1);
    world.wait_for_file("out/.natsync/shards/1-of-2/state.db");
    (world, running, held)
}

#[test]
fn one_run_of_a_shard_at_a_time() {
    let gate = Gate::new();
    let (world, first, _) = half(&gate, &[]);
    let second = run(&world, &["apply"], 1, 2).code(4);
    assert!(second.stderr.contains("another run holds shard 1/2 of `out`"), "{}", second.stderr);
    assert!(second.stderr.contains("--wait"), "{}", second.stderr);
    run(&world, &["apply"], 2, 2).success();
    let mut waiting = spawn(&world, &["apply", "--wait", "--json"], 1, 2);
    // No event shows that the run is still waiting; without `--wait` it would have exited by then.
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.is_running());
    gate.open();
    first.wait().success();
    waiting.wait().success();
    world.run(["merge"]).success();
    assert_eq!(world.names().len(), 6);
}

#[test]
fn a_whole_run_and_merge_stay_away_from_running_shards() {
    let gate = Gate::new();
    let (world, first, _) = half(&gate, &[]);
    for args in
        [&["apply", "--json"][..], &["lock", "--json"], &["merge", "--shards", "2", "--json"]]
    {
        let refused = world.run(args).code(4);
        assert!(refused.stderr.contains("another run holds `out`"), "{}", refused.stderr);
        assert!(refused.stderr.contains("shards of a job"), "{}", refused.stderr);
        assert_eq!(refused.lines("error")[0]["kind"], "busy");
    }
    // Commands that only look are welcome.
    for args in [&["plan"][..], &["list"], &["verify"]] {
        let looked = world.run(args);
        assert!(looked.status < 2, "{args:?}: {}", looked.output());
    }
    let mut waiting = world.spawn(["merge", "--shards", "2", "--wait"]);
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.is_running());
    gate.open();
    first.wait().success();
    let waited = waiting.wait().code(1);
    assert!(waited.stderr.contains("missing: 2 of 2"), "{}", waited.stderr);
}

#[test]
fn shards_stay_away_from_a_whole_run() {
    let gate = Gate::new();
    let world = numbered_files(4, &[]);
    world.origin.always("/2.txt", Answer::file().gate_at(3, &gate));
    let whole = world.spawn(["apply"]);
    world.origin.wait_in_flight(1);
    let refused = run(&world, &["apply"], 1, 2).code(4);
    assert!(refused.stderr.contains("another run holds `out` (process "), "{}", refused.stderr);
    let waiting = spawn(&world, &["apply", "--wait"], 2, 2);
    gate.open();
    whole.wait().success();
    waiting.wait().success();
}

#[test]
fn a_whole_run_beside_unmerged_shards_says_so() {
    let world = numbered_files(6, &[]);
    run(&world, &["apply"], 1, 2).success();
    let whole = world.run(["apply"]).success();
    assert!(whole.stderr.contains("the results of 1 shard are not merged"), "{}", whole.stderr);
}

#[test]
fn results_of_another_manifest_are_not_overwritten() {
    let world = numbered_files(6, &[]);
    world.set_manifest(
        "other.yaml",
        "sources: [{url: \"$BASE/{n}.txt\", path: \"o/{n}\", vars: {n: 1..4}}]\n",
    );
    run(&world, &["apply"], 1, 2).success();
    let refused = run(&world, &["apply", "other.yaml"], 1, 2).code(2);
    assert!(
        refused.stderr.contains("results of the manifest `natsync` that are not merged"),
        "{}",
        refused.stderr
    );
    run(&world, &["apply", "other.yaml"], 1, 1).success();
    world.run(["merge", "other.yaml", "--shards", "1"]).success();
    run(&world, &["apply"], 2, 2).success();
    world.run(["merge"]).success();
    let both = world.apply().success();
    assert_eq!(both.counts(), "entries 6, unchanged 6");
    assert_eq!(world.run(["apply", "other.yaml", "--json"]).counts(), "entries 4, unchanged 4");
    assert!(!world.exists("out/.natsync/shards"));
}

#[test]
fn a_killed_shard_is_missing_and_its_next_run_resumes() {
    let gate = Gate::new();
    let world = World::in_memory().source("$BASE/{n}.txt", &["vars: {n: 1..6}"]);
    let bodies: BTreeMap<_, _> = (1..=6).map(|n| (n, crate::world::content(n, 300_000))).collect();
    for (n, body) in &bodies {
        world.origin.serve(&format!("/{n}.txt"), body.clone());
    }
    let held = numbers(&world, 2)[0][0];
    let target = format!("/{held}.txt");
    world.origin.always(&target, Answer::file().gate_at(200_000, &gate));
    let running = spawn(&world, &["apply"], 1, 2);
    let noted = || {
        let files = world.files("out/.natsync/shards/1-of-2/partial");
        let is_noted = |name: &str, text: &[u8]| {
            name.contains(".part") && 1 < String::from_utf8_lossy(text).lines().count()
        };
        files.iter().any(|(name, text)| is_noted(name, text))
    };
    let end = std::time::Instant::now() + crate::origin::PATIENCE;
    while !noted() {
        assert!(std::time::Instant::now() < end, "waited in vain for a part");
        std::thread::sleep(Duration::from_millis(10));
    }
    running.signal(Signal::KILL);
    assert_eq!(running.wait().status, -9);
    run(&world, &["apply"], 2, 2).success();
    let before = control(&world);
    let missing = world.run(["merge", "--json"]).code(1);
    assert!(missing.stderr.contains("missing: 1 of 2"), "{}", missing.stderr);
    assert_eq!(control(&world), before, "nothing was changed");
    gate.open();
    world.origin.behave();
    world.origin.forget();
    run(&world, &["apply"], 1, 2).success();
    let again = &world.origin.requests_for(&target)[0];
    assert!(again.header("range").is_some(), "it resumes\n{}", again.text());
    world.run(["merge"]).success();
    for (n, body) in bodies {
        assert_eq!(world.read(&format!("out/{n}.txt")), body);
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

/// natsync's own files but locks, which every attempt to hold something creates.
#[track_caller]
pub(crate) fn control(world: &World) -> BTreeMap<String, Vec<u8>> {
    let mut files = world.files("out/.natsync");
    files.retain(|name, _| !name.starts_with("run"));
    files
}

#[test]
fn a_shard_killed_anywhere_harms_nothing() {
    let mut dice = crate::dice::Dice(0x1b2c_77f1_903e_55aa);
    let world = numbered_files(40, &[]);
    let args = ["lock", "--upgrade", "--json"];
    for round in 0..8 {
        for n in 1..=40 {
            world.origin.serve(&format!("/{n}.txt"), format!("{round} {n}"));
        }
        let running: Vec<_> = (1..=3).map(|number| spawn(&world, &args, number, 3)).collect();
        std::thread::sleep(Duration::from_micros(dice.roll(120_000) as u64));
        for one in &running {
            if dice.roll(3) != 0 {
                one.signal(Signal::KILL);
            }
        }
        let ended: Vec<_> = running.into_iter().map(Running::wait).collect();
        for number in (1..=3).filter(|number| ended[number - 1].status != 0) {
            run(&world, &args, number, 3).success();
        }
        let merging = world.spawn(["merge", "--shards", "3"]);
        std::thread::sleep(Duration::from_micros(dice.roll(60_000) as u64));
        merging.signal(Signal::KILL);
        let was_killed = merging.wait().status != 0;
        let merged = world.run(["merge", "--json"]);
        // The killed merge may have come to its end.
        let has_merged = merged.stderr.contains("no shard has run");
        assert!(merged.status == 0 || has_merged, "{}", merged.output());
        assert!(was_killed || has_merged, "{}", merged.output());
        for n in 1..=40 {
            assert_eq!(world.read(&format!("out/{n}.txt")), format!("{round} {n}").as_bytes());
        }
        assert!(!world.exists("out/.natsync/shards"));
        world.origin.forget();
        assert_eq!(world.apply().success().counts(), "entries 40, kept 40", "all is pinned");
        world.origin.assert_requests(&[]);
    }
}

// Saved plans.

fn with_env(world: &World, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = world.command();
    command.args(args).envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_saved_plan_is_carried_out_by_each_engine() {
    for (index, first, total) in [
        ("JOB_COMPLETION_INDEX", 0, None),
        ("SLURM_ARRAY_TASK_ID", 1, Some("SLURM_ARRAY_TASK_COUNT")),
        ("AWS_BATCH_JOB_ARRAY_INDEX", 0, Some("AWS_BATCH_JOB_ARRAY_SIZE")),
        ("CLOUD_RUN_TASK_INDEX", 0, Some("CLOUD_RUN_TASK_COUNT")),
        ("BATCH_TASK_INDEX", 0, Some("BATCH_TASK_COUNT")),
        ("CI_NODE_INDEX", 1, Some("CI_NODE_TOTAL")),
        ("CIRCLE_NODE_INDEX", 0, Some("CIRCLE_NODE_TOTAL")),
        ("BUILDKITE_PARALLEL_JOB", 0, Some("BUILDKITE_PARALLEL_JOB_COUNT")),
    ] {
        let world = numbered_files(9, &[]);
        world.run(["plan", "--shards", "3", "--out", "p.plan"]).success();
        for place in 0..3 {
            let place = (first + place).to_string();
            // The total of the plan counts, whatever the engine says of this attempt.
            let variables: Vec<_> = [(index, place.as_str())]
                .into_iter()
                .chain(total.map(|total| (total, "7")))
                .collect();
            let args = ["apply", "--plan", "p.plan", "--shard", "auto"];
            let (status, _, stderr) = with_env(&world, &args, &variables);
            assert_eq!(status, 0, "{index} {place}: {stderr}");
        }
        let run = world.run(["merge", "--json"]).success();
        assert_eq!(run.counts(), "entries 9, downloaded 9", "{index}");
    }
}

#[test]
fn a_shard_that_contradicts_the_plan_is_refused() {
    let world = numbered_files(6, &[]);
    world.run(["plan", "--shards", "3", "--out", "p.plan"]).success();
    let refused = run(&world, &["apply", "--plan", "p.plan"], 1, 4).code(2);
    assert!(
        refused.stderr.contains("--shard is 1/4, but the saved plan is for 3 shards"),
        "{}",
        refused.stderr
    );
    let (status, _, stderr) =
        with_env(&world, &["apply", "--plan", "p.plan"], &[("NATSYNC_SHARD", "1/4")]);
    assert!(status == 2 && stderr.contains("NATSYNC_SHARD is 1/4"), "{stderr}");
    assert!(!world.exists("out"));
    // A plan without a total leaves it to the run.
    world.run(["plan", "--out", "p.plan"]).success();
    for done in job(&world, &["apply", "--plan", "p.plan"], 4) {
        done.success();
    }
    world.run(["merge"]).success();
    assert_eq!(world.names().len(), 6);
    world.run(["plan", "--shards", "3"]).code(2);
}

#[test]
fn a_shard_of_a_plan_is_decided_anew_after_a_kill() {
    let gate = Gate::new();
    let world = numbered_files(12, &[]);
    world.apply().success();
    for n in 1..=12 {
        world.origin.serve(&format!("/{n}.txt"), format!("new {n}"));
    }
    world.run(["plan", "--refresh", "--shards", "2", "--out", "p.plan"]).success();
    let own = numbers(&world, 2)[0].clone();
    let held = *own.last().unwrap();
    world.origin.always(&format!("/{held}.txt"), Answer::file().gate_at(2, &gate));
    let running = spawn(&world, &["apply", "--plan", "p.plan"], 1, 2);
    let renamed = |n: usize| world.read(&format!("out/{n}.txt")) == format!("new {n}").into_bytes();
    let end = std::time::Instant::now() + crate::origin::PATIENCE;
    while !own.iter().any(|n| renamed(*n)) {
        assert!(std::time::Instant::now() < end, "waited in vain for a rename");
        std::thread::sleep(Duration::from_millis(5));
    }
    running.signal(Signal::KILL);
    running.wait();
    gate.open();
    world.origin.behave();
    for repeated in [1, 2, 1, 2] {
        run(&world, &["apply", "--plan", "p.plan"], repeated, 2).success();
    }
    world.run(["merge"]).success();
    assert!((1..=12).all(renamed));
    world.origin.forget();
    // The whole plan may be carried out again.
    world.run(["apply", "--plan", "p.plan"]).success();
    assert_eq!(world.apply().success().counts(), "entries 12, unchanged 12");
}

#[test]
fn a_changed_manifest_or_lock_refuses_the_shards_of_a_plan() {
    let world = numbered_files(6, &[]);
    world.run(["plan", "--shards", "2", "--out", "p.plan"]).success();
    world.run(["lock"]).success();
    let refused = run(&world, &["apply", "--plan", "p.plan"], 1, 2).code(2);
    assert!(refused.stderr.contains("`natsync.lock` did not exist"), "{}", refused.stderr);
    world.run(["plan", "--shards", "2", "--out", "p.plan"]).success();
    run(&world, &["apply", "--plan", "p.plan"], 1, 2).success();
    let world = world.source("$BASE/{n}.txt", &["vars: {n: 1..5}"]);
    let refused = run(&world, &["apply", "--plan", "p.plan"], 2, 2).code(2);
    assert!(refused.stderr.contains("`natsync.yaml` has changed"), "{}", refused.stderr);
    let missing = world.run(["merge"]).code(1);
    assert!(missing.stderr.contains("missing: 1-2 of 2"), "{}", missing.stderr);
}

// What the server sees.

#[test]
fn shards_share_the_connections_of_the_job() {
    for (args, total, most) in [
        (&["apply"][..], 4, 4),
        (&["apply", "--shard-concurrency", "2"], 2, 4),
        (&["apply", "-j", "6"], 3, 6),
    ] {
        let gate = Gate::new();
        let world = numbered_files(60, &[]);
        let text = "http: {connections_per_host: 4}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..60}}]\n";
        world.set_manifest(
            "natsync.yaml",
            if most == 4 {
                text
            } else {
                "sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..60}}]\n"
            },
        );
        world.origin.everywhere(Answer::file().gate(&gate));
        let running: Vec<_> =
            (1..=total).map(|number| spawn(&world, args, number, total)).collect();
        world.origin.wait_in_flight(most);
        gate.open();
        for one in running {
            one.wait().success();
        }
        assert_eq!(world.origin.most_connections(), most, "{args:?}");
    }
    // One of four shards at a time has all connections.
    let gate = Gate::new();
    let world = World::in_memory().serve_numbered(60).manifest(
        "http: {connections_per_host: 4}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..60}}]\n",
    );
    world.origin.everywhere(Answer::file().gate(&gate));
    let running = spawn(&world, &["apply", "--shard-concurrency", "1"], 2, 4);
    world.origin.wait_in_flight(4);
    gate.open();
    running.wait().success();
    assert_eq!(world.origin.most_connections(), 4);
}

#[test]
fn shards_share_the_rate_of_requests() {
    let world = World::in_memory().serve_numbered(16).manifest(
        "http: {requests_per_second: 8, connections_per_host: 8}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..16}}]\n",
    );
    for done in job(&world, &["apply"], 2) {
        done.success();
    }
    for own in numbers(&world, 2) {
        let mut times: Vec<_> =
            own.iter().map(|n| world.origin.requests_for(&format!("/{n}.txt"))[0].at).collect();
        times.sort();
        let spread = *times.last().unwrap() - times[0];
        let least = Duration::from_millis(250) * u32::try_from(own.len() - 1).unwrap();
        // A request may be late and the next one in time.
        assert!(least.mul_f64(0.8) < spread, "{spread:?} for {} requests", own.len());
    }
}

#[test]
fn a_yaml_file_that_an_unmerged_shard_downloaded_is_no_manifest() {
    let world = World::in_memory()
        .serve("/data.yaml", "version: 1\nsources: [{url: \"http://127.0.0.1:1/evil\"}]\n")
        .serve("/late.yaml", "version: 1\nsources: [{url: \"http://127.0.0.1:1/evil\"}]\n")
        .manifest(
            "dest: .\nsources: [{url: $BASE/data.yaml}, {name: late, url: $BASE/late.yaml}]\n",
        );
    let gate = Gate::new();
    world.origin.always("/late.yaml", Answer::file().gate_at(3, &gate));
    let running = spawn(&world, &["apply"], 1, 1);
    world.wait_for_file("data.yaml");
    let listed = |args: &[&str]| {
        let run = world.run(args).success();
        run.json().iter().map(|line| line["url"].to_string()).collect::<Vec<_>>()
    };
    let declared = listed(&["list", "--json", "natsync.yaml"]);
    assert_eq!(listed(&["list", "--json", "."]), declared, "while the shard runs");
    gate.open();
    running.wait().success();
    assert_eq!(listed(&["list", "--json", "."]), declared, "before the merge");
    world.run(["merge"]).success();
    assert_eq!(listed(&["list", "--json", "."]), declared, "after the merge");
}

#[test]
fn a_link_in_place_of_the_folders_of_shards_is_not_followed() {
    let world = numbered_files(4, &[]);
    world.apply().success();
    world.write("elsewhere/1-of-1/mine", "mine");
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("out/.natsync/shards")).unwrap();
    let refused = run(&world, &["apply"], 1, 1).code(5);
    assert!(refused.stderr.contains(".natsync"), "{}", refused.stderr);
    let merged = world.run(["merge", "--shards", "1"]);
    assert!([1, 2, 5].contains(&merged.status), "{}", merged.output());
    // A result of a real shard, where the link leads.
    world.delete("out/.natsync/shards");
    run(&world, &["apply"], 1, 1).success();
    std::fs::remove_dir_all(world.path("elsewhere")).unwrap();
    std::fs::rename(world.path("out/.natsync/shards"), world.path("elsewhere")).unwrap();
    world.write("elsewhere/1-of-1/mine", "mine");
    std::os::unix::fs::symlink(world.path("elsewhere"), world.path("out/.natsync/shards")).unwrap();
    let merged = world.run(["merge", "--shards", "1"]);
    assert!([1, 2, 5].contains(&merged.status), "{}", merged.output());
    assert_eq!(world.read("elsewhere/1-of-1/mine"), b"mine");
    assert_eq!(world.read("out/1.txt"), numbered(1).as_bytes());
}
