//! The Python package `natsync-cluster`, and the schemas that Python packages bring with them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{assert_same, foreign, mirrored, skipped};
use crate::origin::Answer;

/// Where Python finds our package and what `.ci/run` installed: each package has a folder of its
/// own, so that one that cannot be installed does not take the others with it.
fn path() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = ["distributed", "kubernetes", "botocore", "check-jsonschema"];
    let installed = packages.map(|package| root.join("target/tools/python").join(package));
    let folders: Vec<_> = [root.join("python")].into_iter().chain(installed).collect();
    std::env::join_paths(folders).unwrap().into_string().unwrap()
}

/// Whether Python has this module. Prints a line if it does not.
fn has(module: &str) -> bool {
    let found = Command::new("python3")
        .args(["-c", &format!("import {module}")])
        .env("PYTHONPATH", path())
        .stdin(Stdio::null())
        .output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        skipped(&format!("there is no Python with the module {module}"));
    }
    found
}

/// Fails unless a document follows the schema of its engine, which this package has.
#[track_caller]
pub(super) fn has_schema(engine: &str, document: &Value, package: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scale/schemas.py");
    let started = Command::new("python3")
        .arg(script)
        .arg(engine)
        .env("PYTHONPATH", path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        return skipped(&format!("the schema of {engine}: there is no python3"));
    };
    let mut pipe = child.stdin.take().unwrap();
    // A script that ends early, because it lacks a package, reads nothing.
    let _ = pipe.write_all(document.to_string().as_bytes());
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(0) => {}
        Some(3) => {
            skipped(&format!("the schema of {engine}: there is no Python package {package}"));
        }
        _ => panic!("{engine}: {said}"),
    }
}

#[test]
fn the_unit_tests_of_the_package_pass() {
    if !has("unittest") {
        return;
    }
    let world = mirrored();
    let args = ["-B", "-W", "error", "-m", "unittest"];
    let classes = ["test_natsync_cluster.Runs", "test_natsync_cluster.Local"];
    let args = [&args[..], &classes[..]].concat();
    foreign(&world, "python3", &args, &[("PYTHONPATH", &path())]).success();
}

/// Mirrors by eight shards, of which one fails at first, and compares with a whole run.
fn mirrors_with(engine: &str) {
    let world = mirrored();
    world.origin.attempts("/7.txt", [Answer::status(500)]);
    let args = ["-B", "-m", "natsync_cluster", "mirror.yaml", "--shards", "8", "--engine", engine];
    let path = path();
    let env = [
        ("PYTHONPATH", path.as_str()),
        ("RAY_USAGE_STATS_ENABLED", "0"),
        ("RAY_AUTH_MODE", "disabled"),
        ("RAY_TMPDIR", world.dir().to_str().unwrap()),
    ];
    let run = foreign(&world, "python3", &args, &env).success();
    let summary: Value = serde_json::from_str(run.stdout.trim()).unwrap();
    assert_eq!(summary["command"], "merge");
    assert_eq!(summary["shards"], 8);
    assert_eq!(run.stderr.matches("exit status 1").count(), 1, "{}", run.stderr);
    assert_same(&world);
    assert_eq!(world.origin.count("/7.txt"), 2);
    assert_eq!(world.origin.requests().len(), super::ENTRIES + 1);
}

#[test]
fn shards_on_threads_mirror_what_a_whole_run_does() {
    if has("natsync_cluster") {
        mirrors_with("local");
    }
}

#[test]
fn shards_on_a_dask_cluster_mirror_what_a_whole_run_does() {
    if has("dask.distributed") {
        mirrors_with("dask");
    }
}

#[test]
fn shards_on_a_ray_cluster_mirror_what_a_whole_run_does() {
    if has("ray") {
        mirrors_with("ray");
    }
}

#[test]
fn a_wrong_manifest_ends_a_run_with_its_message() {
    if !has("natsync_cluster") {
        return;
    }
    let world = mirrored();
    world.write("many/mirror.yaml", "version: 1\ndest: mirror\nsauces: []\n");
    let args = ["-B", "-m", "natsync_cluster", "mirror.yaml", "--shards", "2"];
    let run = foreign(&world, "python3", &args, &[("PYTHONPATH", &path())]).code(1);
    assert!(run.stderr.starts_with("error: natsync plan: exit status 2: "), "{}", run.stderr);
    assert!(run.stderr.contains("sauces"), "{}", run.stderr);
}
