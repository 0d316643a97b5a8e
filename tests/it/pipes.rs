//! Output streams that are closed, full or no longer read: only the output is lost, never the work.

use std::process::Stdio;

use crate::world::World;

/// Runs a shell command, in which `$0` is the program.
fn shell(world: &World, line: &str) -> (i32, String) {
    let output = world.command_under("sh", &["-c", line]).output().expect("the shell runs");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().expect("it ends by itself"), text.into_owned())
}

fn twenty() -> World {
    World::new().serve_numbered(20).source("$BASE/{n}.txt", &["vars: {n: 1..20}"])
}

#[test]
fn closed_and_full_output_streams() {
    // The work goes on without its output, and the exit status tells that output was lost.
    let runs = [
        ("apply", 5),
        ("apply -q", 0),
        ("apply -v", 5),
        ("apply --json", 5),
        ("plan", 5),
        ("plan --json", 5),
        ("list", 5),
        ("list --format json", 5),
        ("lock", 5),
        ("verify", 5),
        ("verify --json", 5),
        ("--help", 5),
        ("apply --help", 5),
        ("plan -h", 5),
        ("--version", 5),
        ("schema", 5),
        ("completions bash", 5),
        ("man", 5),
        ("man apply", 5),
        ("init http://h/a.txt -o -", 5),
        ("explain natsync.yaml 1.txt", 5),
    ];
    for (args, when_full) in runs {
        let world = twenty();
        world.apply().success();
        for (streams, status) in [
            ("> /dev/full", when_full),
            (">&-", 0),
            ("2> /dev/full > /dev/null", 0),
            ("2>&- > /dev/null", 0),
            (">&- 2>&-", 0),
            ("< /dev/null >&- 2>&- <&-", 0),
        ] {
            let which = format!("natsync {args} {streams}");
            let (got, text) = shell(&world, &format!("\"$0\" {args} {streams}"));
            assert_eq!(got, status, "{which}: {text}");
            assert!(!text.contains("panicked"), "{which}: {text}");
            if streams == "> /dev/full" && status == 5 {
                assert!(text.contains("cannot write to standard output"), "{which}: {text}");
            }
            if args.starts_with("apply") || args == "lock" {
                assert_eq!(world.names().len(), 20, "{which}");
            }
        }
    }
}

#[test]
fn a_reader_that_stops_early() {
    for args in
        ["apply --json", "apply -v", "plan", "plan --json", "list", "verify -v", "lock --json"]
    {
        let world = twenty();
        world.apply().success();
        let line = format!("{{ \"$0\" {args}; echo status $? >&2; }} | head -c 1 > /dev/null");
        let (_, text) = shell(&world, &line);
        assert!(text.contains("status 0"), "{args}: {text}");
        assert!(!text.to_lowercase().contains("pipe"), "{args}: {text}");
    }
}

#[test]
fn a_file_size_limit_fails_one_entry_and_not_the_process() {
    let world = World::new().source("$BASE/{n}.bin", &["vars: {n: [large, small]}"]);
    world.origin.serve("/large.bin", vec![7; 3_000_000]);
    world.origin.serve("/small.bin", vec![7; 3000]);
    // The unit of `ulimit -f` is 512 bytes.
    let (status, text) = shell(&world, "ulimit -f 2000; \"$0\" apply");
    assert!([1, 5].contains(&status), "{status}: {text}");
    assert!(text.contains("large.bin"), "{text}");
    assert_eq!(world.names(), ["small.bin"]);
    world.apply().success();
}

#[test]
fn few_descriptors_mean_fewer_connections() {
    for limit in [32, 48, 80] {
        let world = World::new()
            .serve_numbered(300)
            .source("$BASE/{n}.txt", &["vars: {n: 1..300}", "http: {connections: 200}"]);
        let (status, text) = shell(&world, &format!("ulimit -Hn {limit}; \"$0\" apply"));
        assert_eq!(status, 0, "{limit}: {text}");
        assert_eq!(world.names().len(), 300);
    }
}

/// Like a file system without working locks: two concurrent runs that do not see each other.
#[test]
fn without_file_locks_two_runs_mix_no_bytes() {
    if !crate::reference::is_traceable() {
        return;
    }
    for round in 0..6 {
        let world = World::in_memory();
        let bytes = |n: usize| crate::world::content((100 * round + n) as u64, 30_000 + n);
        for n in 1..=12 {
            world.origin.serve(&format!("/{n}.bin"), bytes(n));
        }
        let world = world.source("$BASE/{n}.bin", &["vars: {n: 1..12}"]);
        let arguments = ["-f", "-qq", "-o", "/dev/null", "-e", "trace=flock"];
        let arguments = [&arguments[..], &["-e", "inject=flock:retval=0"]].concat();
        let mut runs: Vec<_> = (0..2)
            .map(|_| {
                let mut command = world.command_under("strace", &arguments);
                command.args(["apply", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped());
                command.spawn().expect("strace runs")
            })
            .collect();
        for run in runs.drain(..) {
            let output = run.wait_with_output().expect("it ends");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(!stderr.contains("panicked"), "{stderr}");
        }
        for (path, got) in world.files("out") {
            let n: usize = path.trim_end_matches(".bin").parse().expect("a declared name");
            assert!(got == bytes(n), "{path}");
        }
        world.apply().success();
        assert_eq!(world.names().len(), 12);
        assert_eq!(world.partial_files(), [""; 0]);
    }
}
