//! The files of `examples/scale` by what their engines promise: the environment, the exit statuses
//! and the order of steps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{assert_same, file, find, foreign, mirrored, natsync, python, skipped};
use crate::world::World;

/// The commands of an engine's example: for the plan, for each shard and for the merge.
struct Steps {
    plan: Vec<String>,
    shard: Vec<String>,
    merge: Vec<String>,
}

impl Steps {
    /// Runs all steps in the directory `many`. The engine sets these variables for the task with
    /// this number, which counts from 0.
    fn run(
        &self,
        world: &World,
        shards: usize,
        variables: impl Fn(usize) -> Vec<(String, String)>,
    ) {
        let run = |args: &[String], env: &[(String, String)]| {
            let args: Vec<_> = args.iter().map(String::as_str).collect();
            let env: Vec<_> =
                env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            natsync(world, "many", &args, &env)
        };
        run(&self.plan, &[]).success();
        for task in 0..shards {
            run(&self.shard, &variables(task)).success();
        }
        run(&self.merge, &[]).success();
        assert_same(world);
    }

    /// The number that follows a flag.
    fn number(args: &[String], flag: &str) -> usize {
        let place = args.iter().position(|arg| arg == flag).unwrap_or_else(|| panic!("no {flag}"));
        args[place + 1].parse().unwrap()
    }
}

fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list of arguments");
    list.iter().map(|word| word.as_str().expect("a text").to_owned()).collect()
}

fn documents(path: &str, text: &str) -> Vec<Value> {
    serde_yaml::from_multiple(text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_kubernetes_jobs_keep_the_contract_of_indexed_jobs() {
    let text = file("examples/scale/kubernetes.yaml").replace("400", "5");
    let jobs = documents("kubernetes.yaml", &text);
    let container = |name: &str| {
        let job = jobs.iter().find(|job| job["kind"] == "Job" && job["metadata"]["name"] == name);
        &job.unwrap()["spec"]["template"]["spec"]["containers"][0]
    };
    let steps = Steps {
        plan: words(&container("mirror-plan")["args"]),
        shard: words(&container("mirror")["args"]),
        merge: words(&container("mirror-merge")["args"]),
    };
    let spec = &jobs.iter().find(|job| job["metadata"]["name"] == "mirror" && job["kind"] == "Job");
    let spec = &spec.unwrap()["spec"];
    assert_eq!(spec["completions"], Steps::number(&steps.plan, "--shards"));
    assert_eq!(spec["completions"], Steps::number(&steps.merge, "--shards"));
    assert_eq!(spec["parallelism"], Steps::number(&steps.shard, "--shard-concurrency"));
    assert_eq!(spec["podFailurePolicy"]["rules"][0]["onExitCodes"]["values"], json!([2]));

    let world = mirrored();
    steps.run(&world, 5, |task| vec![("JOB_COMPLETION_INDEX".to_owned(), task.to_string())]);
    // The policy fails the whole Job on exit status 2: an index beyond the plan is such an error.
    let shard: Vec<_> = steps.shard.iter().map(String::as_str).collect();
    natsync(&world, "many", &shard, &[("JOB_COMPLETION_INDEX", "5")]).code(2);
}

#[test]
fn the_aws_batch_script_submits_what_an_array_job_runs() {
    let world = mirrored();
    let (steps, calls) = aws(&world, "5", "2");
    assert_eq!(calls[1]["--array-properties"], "size=5");
    assert_eq!(calls[1]["--depends-on"], "jobId=job-1");
    assert_eq!(calls[2]["--depends-on"], "jobId=job-2");
    steps.run(&world, 5, |task| {
        vec![
            ("AWS_BATCH_JOB_ARRAY_INDEX".to_owned(), task.to_string()),
            ("AWS_BATCH_JOB_ARRAY_SIZE".to_owned(), "5".to_owned()),
        ]
    });
}

/// What the script says to `aws`: the steps, and each call's flags with their values.
fn aws(world: &World, shards: &str, at_a_time: &str) -> (Steps, Vec<Value>) {
    world.write(
        "bin/aws",
        "#!/bin/bash\nprintf '%s\\x1f' \"$@\" >> ../calls\necho >> ../calls\necho \"job-$(wc -l < ../calls)\"\n",
    );
    fs::set_permissions(world.path("bin/aws"), fs::Permissions::from_mode(0o755)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scale/aws-batch.sh");
    let run = foreign(world, script.to_str().unwrap(), &[shards, at_a_time], &[]).success();
    assert_eq!(run.stdout, "job-3\n");
    let log = String::from_utf8(world.read("calls")).unwrap();
    let calls: Vec<Value> = log
        .lines()
        .map(|line| {
            let words: Vec<_> = line.trim_end_matches('\u{1f}').split('\u{1f}').collect();
            assert_eq!(words[..2], ["batch", "submit-job"]);
            words[2..].chunks(2).map(|pair| (pair[0], pair[1])).collect()
        })
        .collect();
    let command = |number: usize| {
        let overrides = calls[number]["--container-overrides"].as_str().unwrap();
        words(&serde_json::from_str::<Value>(overrides).unwrap()["command"])
    };
    (Steps { plan: command(0), shard: command(1), merge: command(2) }, calls)
}

#[test]
fn the_cloud_run_job_keeps_the_contract_of_its_tasks() {
    let text = file("examples/scale/cloud-run.yaml").replace("400", "5");
    let spec = &documents("cloud-run.yaml", &text)[0]["spec"]["template"]["spec"];
    let given = |command: &str| {
        let line = text.lines().find(|line| line.contains(&format!("--args={command},"))).unwrap();
        let args = line.split_once("--args=").unwrap().1;
        args.split(',').map(str::to_owned).collect()
    };
    let container = &spec["template"]["spec"]["containers"][0];
    let steps =
        Steps { plan: given("plan"), shard: words(&container["args"]), merge: given("merge") };
    assert_eq!(spec["taskCount"], Steps::number(&steps.plan, "--shards"));
    assert_eq!(spec["taskCount"], Steps::number(&steps.merge, "--shards"));
    assert_eq!(spec["parallelism"], Steps::number(&steps.shard, "--shard-concurrency"));
    let world = mirrored();
    steps.run(&world, 5, |task| {
        vec![
            ("CLOUD_RUN_TASK_INDEX".to_owned(), task.to_string()),
            ("CLOUD_RUN_TASK_COUNT".to_owned(), "5".to_owned()),
        ]
    });
}

/// Runs each shard in a directory of its own, as jobs without a common file system do, copies
/// their destinations into one, and merges there.
fn apart(world: &World, shard: impl Fn(usize) -> (String, Vec<(String, String)>), merge: &str) {
    // The example applies a lock that is complete.
    world.write("many/mirror.lock", world.read("one/mirror.lock"));
    let shell = |dir: &str, line: &str, env: &[(String, String)]| {
        let words: Vec<_> = line.split(' ').map(|word| word.trim_matches('"')).collect();
        assert_eq!(words[0], "natsync", "{line}");
        let env: Vec<_> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        natsync(world, dir, &words[1..], &env).success();
    };
    for number in 1..=4 {
        let dir = format!("job-{number}");
        for name in ["mirror.yaml", "mirror.lock"] {
            world.write(&format!("{dir}/{name}"), world.read(&format!("many/{name}")));
        }
        let (line, env) = shard(number);
        shell(&dir, &line, &env);
        let target = world.path("many/mirror");
        fs::create_dir_all(&target).unwrap();
        let copied = Command::new("cp")
            .args(["--recursive", &format!("{}/.", world.path(&dir).join("mirror").display())])
            .arg(&target)
            .status();
        assert!(copied.unwrap().success());
    }
    shell("many", merge, &[]);
    assert_same(world);
    assert!(world.exists("many/natsync.xml"));
    // The merged state knows the files, so the next run makes no request.
    world.origin.forget();
    natsync(world, "many", &["apply", "mirror.yaml"], &[]).success();
    world.origin.assert_requests(&[]);
}

#[test]
fn the_github_matrix_mirrors_on_runners_that_share_nothing() {
    let text = file("examples/scale/github.yml");
    let jobs = &documents("github.yml", &text)[0]["jobs"];
    assert_eq!(jobs["shard"]["strategy"]["matrix"]["shard"], json!([1, 2, 3, 4]));
    let line = |job: &str| {
        let steps = jobs[job]["steps"].as_array().unwrap();
        steps.iter().find_map(|step| step["run"].as_str()).unwrap().to_owned()
    };
    let world = mirrored();
    let shard = |number: usize| {
        (line("shard").replace("${{ matrix.shard }}", &number.to_string()), Vec::new())
    };
    apart(&world, shard, &line("merge"));
}

#[test]
fn the_gitlab_job_mirrors_on_runners_that_share_nothing() {
    let pipeline = &documents("gitlab.yml", &file("examples/scale/gitlab.yml"))[0];
    assert_eq!(pipeline["shard"]["parallel"], 4);
    let line = |job: &str| pipeline[job]["script"][0].as_str().unwrap().to_owned();
    let world = mirrored();
    let shard = |number: usize| {
        let index = ("CI_NODE_INDEX".to_owned(), number.to_string());
        (line("shard"), vec![index, ("CI_NODE_TOTAL".to_owned(), "4".to_owned())])
    };
    apart(&world, shard, &line("merge"));
}

#[test]
fn the_examples_have_the_schemas_of_their_engines() {
    let kubernetes = documents("kubernetes.yaml", &file("examples/scale/kubernetes.yaml"));
    python::has_schema("kubernetes", &json!(kubernetes), "kubernetes");
    for engine in ["github", "gitlab"] {
        let path = format!("examples/scale/{engine}.yml");
        let document = &documents(&path, &file(&path))[0];
        python::has_schema(engine, document, "check-jsonschema");
    }
    let world = mirrored();
    let (_, calls) = aws(&world, "5", "2");
    let flags: Vec<_> = calls.iter().flat_map(|call| call.as_object().unwrap().keys()).collect();
    let definition: Value = serde_json::from_str(&file("examples/scale/aws-batch.json")).unwrap();
    python::has_schema("aws", &json!({"definition": definition, "flags": flags}), "botocore");
}

#[test]
fn the_scripts_pass_shellcheck() {
    let Some(shellcheck) = find("shellcheck") else { return skipped("there is no shellcheck") };
    for script in ["slurm.sh", "aws-batch.sh"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scale").join(script);
        let read = Command::new(&shellcheck).arg(path).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stdout));
    }
}
