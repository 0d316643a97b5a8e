//! Tests the steps of `action.yml` in an environment like that of a GitHub runner, and checks the
//! snippets of `docs/ci.md` with the tools that are installed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::origin::Answer;
use crate::world::World;

fn file(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn steps(action: &Value) -> &Vec<Value> {
    action["runs"]["steps"].as_array().unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

/// The expressions in `${{ }}`, and those of `if`.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => {
            let parts = text.split("${{").skip(1);
            found.extend(parts.map(|part| part.split_once("}}").unwrap().0.trim().to_owned()));
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        Value::Object(fields) => {
            if let Some(condition) = fields.get("if") {
                found.push(condition.as_str().unwrap().to_owned());
            }
            fields.values().for_each(|item| expressions(item, found));
        }
        _ => {}
    }
}

/// The names that an expression reads from a context, such as `inputs`.
fn names<'e>(expression: &'e str, context: &str) -> Vec<&'e str> {
    let is_end = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.');
    let words = expression.split(is_end);
    words.filter_map(|word| word.strip_prefix(context)?.strip_prefix('.')).collect()
}

#[test]
fn the_action_has_valid_keys_and_expressions() {
    let action = yaml(&file("action.yml"));
    let known = ["branding", "description", "inputs", "name", "outputs", "runs"];
    assert_eq!(keys(&action), known.into());
    for (name, input) in action["inputs"].as_object().unwrap() {
        assert_eq!(keys(input), ["default", "description", "required"].into(), "{name}");
        assert!(input["default"].is_string() && input["required"] == false, "{name}");
    }
    for (name, output) in action["outputs"].as_object().unwrap() {
        assert_eq!(keys(output), ["description", "value"].into(), "{name}");
    }
    assert_eq!(action["runs"]["using"], "composite");
    let mut ids = BTreeSet::new();
    for step in steps(&action) {
        let allowed =
            ["env", "id", "if", "name", "run", "shell", "uses", "with", "working-directory"];
        assert!(keys(step).is_subset(&allowed.into()), "{step}");
        assert_ne!(step["run"].is_string(), step["uses"].is_string(), "one of both: {step}");
        assert_eq!(step["run"].is_string(), step["shell"] == "bash", "{step}");
        // GitHub inserts expressions into scripts without quoting, so scripts read them from `env`.
        assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
        if let Some(id) = step["id"].as_str() {
            assert!(ids.insert(id), "{id} twice");
        }
    }
    let mut found = Vec::new();
    expressions(&action, &mut found);
    let mut used = BTreeSet::new();
    for expression in &found {
        used.extend(names(expression, "inputs"));
        for name in names(expression, "steps") {
            assert!(ids.contains(name.split('.').next().unwrap()), "{name}");
        }
    }
    assert_eq!(used, keys(&action["inputs"]), "inputs that are used, and that there are");
    let apply = steps(&action).iter().find(|step| step["id"] == "apply").unwrap();
    for name in keys(&action["outputs"]) {
        assert!(apply["run"].as_str().unwrap().contains(&format!("echo \"{name}=")), "{name}");
    }
}

/// A simulation of the parts of a GitHub runner that the action needs.
struct Runner<'w> {
    world: &'w World,
    action: Value,
    inputs: BTreeMap<String, String>,
    /// The key is `STEP.NAME`.
    outputs: BTreeMap<String, String>,
}

impl<'w> Runner<'w> {
    fn new(world: &'w World, inputs: &[(&str, &str)]) -> Self {
        let action = yaml(&file("action.yml"));
        let mut given: BTreeMap<_, _> = action["inputs"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, input)| (name.clone(), input["default"].as_str().unwrap().to_owned()))
            .collect();
        for (name, value) in inputs {
            assert!(given.insert((*name).to_owned(), (*value).to_owned()).is_some());
        }
        fs::create_dir_all(world.path("temp")).unwrap();
        Self { world, action, inputs: given, outputs: BTreeMap::new() }
    }

    fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        for (number, part) in text.split("${{").enumerate() {
            let rest = match part.split_once("}}") {
                Some((expression, rest)) if 0 < number => {
                    let name = expression.trim();
                    let input = name.strip_prefix("inputs.").and_then(|name| self.inputs.get(name));
                    let output = || {
                        let name = name.strip_prefix("steps.")?.replacen(".outputs", "", 1);
                        self.outputs.get(&name)
                    };
                    let value = input.or_else(output);
                    filled.push_str(value.unwrap_or_else(|| panic!("what is {name}?")));
                    rest
                }
                _ => part,
            };
            filled.push_str(rest);
        }
        filled
    }

    /// Runs a step in bash, as a runner does, and stores its outputs. Returns its exit status and
    /// its printed text.
    fn step(&mut self, name: &str) -> (i32, String) {
        let step = steps(&self.action).iter().find(|step| step["name"] == name).unwrap().clone();
        self.world.write("temp/script.sh", step["run"].as_str().unwrap());
        self.world.write("temp/output", "");
        let path = format!("{}:/usr/bin:/bin", self.world.path("tools").display());
        let mut command = Command::new("bash");
        command
            .args(["--noprofile", "--norc", "-e", "-o", "pipefail"])
            .arg(self.world.path("temp/script.sh"))
            .current_dir(
                self.world.path(&self.fill(step["working-directory"].as_str().unwrap_or("."))),
            )
            .env_clear()
            .env("PATH", path)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_ACTION_PATH", env!("CARGO_MANIFEST_DIR"))
            .env("GITHUB_WORKSPACE", self.world.dir())
            .env("GITHUB_OUTPUT", self.world.path("temp/output"))
            .env("GITHUB_STEP_SUMMARY", self.world.path("temp/summary.md"))
            .env("RUNNER_TEMP", self.world.path("temp"))
            .envs([("RUNNER_OS", "Linux"), ("RUNNER_ARCH", "X64"), ("HOME", "/nonexistent")]);
        for (name, value) in step["env"].as_object().into_iter().flatten() {
            command.env(name, self.fill(value.as_str().unwrap()));
        }
        let output = command.output().expect("bash runs");
        if let Some(id) = step["id"].as_str() {
            for line in String::from_utf8(self.world.read("temp/output")).unwrap().lines() {
                let (name, value) = line.split_once('=').expect("NAME=VALUE");
                self.outputs.insert(format!("{id}.{name}"), value.to_owned());
            }
        }
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code().unwrap(), said.into_owned())
    }

    fn output(&self, name: &str) -> &str {
        let value = self.action["outputs"][name]["value"].as_str().unwrap();
        let name = value.trim_start_matches("${{ steps.").trim_end_matches(" }}");
        &self.outputs[&name.replacen(".outputs", "", 1)]
    }
}

/// Puts a program into the runner's PATH.
fn tool(world: &World, name: &str, script: &str) {
    let path = format!("tools/{name}");
    world.write(&path, script);
    fs::set_permissions(world.path(&path), fs::Permissions::from_mode(0o755)).unwrap();
}

/// A fake `cargo` that records its arguments and installs the program under test.
fn tools(world: &World) {
    tool(world, "rustup", "#!/bin/bash\necho \"rustup $*\" >> \"$RUNNER_TEMP/called\"\n");
    tool(
        world,
        "cargo",
        &format!(
            "#!/bin/bash\nset -e\necho \"cargo $*\" >> \"$RUNNER_TEMP/called\"\n[ -f Cargo.toml ]\n\
             mkdir -p \"$ROOT/bin\"\nln -s '{}' \"$ROOT/bin/natsync\"\n",
            env!("CARGO_BIN_EXE_natsync")
        ),
    );
}

#[test]
fn the_steps_of_the_action_apply_a_manifest() {
    let world = World::new().serve_numbered(3);
    tools(&world);
    world.set_manifest(
        "sub/a.yaml",
        "sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..3}, http: {retries: 0}}]\n",
    );
    world.set_manifest("sub/b.yaml", "dest: two\nsources: [{url: \"$BASE/1.txt\"}]\n");
    world.origin.always("/2.txt", Answer::status(403));
    let inputs = [
        ("working-directory", "sub"),
        ("manifest", "a.yaml\n  b.yaml\n"),
        ("args", " -v  --only *.txt --only $(touch${IFS}forged);x"),
    ];
    // No shell may expand these words; the second pattern, taken literally, matches no entry.
    let mut runner = Runner::new(&world, &inputs);
    assert_eq!(runner.step("Hash the sources of the program"), (0, String::new()));
    let key = runner.outputs["program.key"].clone();
    assert!(key.starts_with("natsync-Linux-X64-") && key.len() == 34, "{key}");
    let (status, said) = runner.step("Build the program");
    assert_eq!(status, 0, "{said}");
    let called = String::from_utf8(world.read("temp/called")).unwrap();
    let root = world.path("temp/natsync");
    assert!(called.starts_with("rustup toolchain install 1."), "{called}");
    assert!(
        called.contains(&format!("install --locked --path . --root {}", root.display())),
        "{called}"
    );
    let (status, said) = runner.step("Apply");
    assert_eq!(status, 0, "{said}");
    assert_eq!(runner.output("status"), "2", "{said}");
    assert!(!world.exists("sub/forged") && said.contains("$(touch${IFS}forged);x"), "{said}");

    runner.inputs.insert("args".to_owned(), "-v --only *.txt".to_owned());
    let (status, said) = runner.step("Apply");
    assert_eq!(status, 0, "{said}");
    let counts = |runner: &Runner<'_>| {
        let names = ["status", "changed", "entries", "downloaded", "unchanged", "failed", "pruned"];
        names.map(|name| runner.output(name).to_owned()).join(" ")
    };
    assert_eq!(counts(&runner), "1 true 4 3 0 1 0", "{said}");
    assert!(said.contains("::error file=sub/a.yaml,line="), "{said}");
    assert_eq!(runner.step("Fail if natsync failed").0, 1);
    assert_eq!(world.files("sub/out").len() + world.files("sub/two").len(), 3);

    world.origin.always("/2.txt", Answer::file());
    runner.step("Apply");
    assert_eq!(counts(&runner), "0 true 4 1 3 0 0");
    runner.step("Apply");
    assert_eq!(counts(&runner), "0 false 4 0 4 0 0");
    assert!(world.exists("temp/summary.md"));
}

#[test]
fn the_action_builds_with_the_installed_cargo() {
    let world = World::new();
    tools(&world);
    world.delete("tools/rustup");
    let mut runner = Runner::new(&world, &[]);
    runner.step("Hash the sources of the program");
    let (status, said) = runner.step("Build the program");
    assert_eq!(status, 0, "{said}");
    let called = String::from_utf8(world.read("temp/called")).unwrap();
    assert!(called.starts_with("cargo install --locked"), "{called}");
}

fn skip(program: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: there is no {program}");
}

/// The code blocks of a page, by their language.
fn blocks(page: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language.to_owned(), block.join("\n") + "\n"));
        }
    }
    blocks
}

#[test]
fn every_snippet_parses() {
    let page = file("docs/ci.md");
    let of = |wanted: &str| -> Vec<String> {
        let blocks = blocks(&page).into_iter();
        blocks.filter(|(language, _)| language == wanted).map(|(_, block)| block).collect()
    };
    for block in of("yaml") {
        assert!(yaml(&block).is_object(), "{block}");
    }
    for block in of("json") {
        assert!(block.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{block}");
    }
    let world = World::new();
    let mut scripts = of("sh");
    assert_eq!(scripts.len(), 4);
    let action = yaml(&file("action.yml"));
    let steps = steps(&action).iter().filter_map(|step| step["run"].as_str());
    scripts.extend(steps.map(|step| format!("set -eo pipefail\n{step}")));
    assert_eq!(scripts.len(), 8);
    for (number, script) in scripts.iter().enumerate() {
        let name = format!("{number}.sh");
        world.write(&name, script);
        let judged = |program: &str, args: &[&str]| {
            Command::new(program).args(args).arg(world.path(&name)).output().ok()
        };
        let read = judged("bash", &["-n"]).expect("there is a bash");
        assert!(read.status.success(), "{}\n{script}", String::from_utf8_lossy(&read.stderr));
        match judged("shellcheck", &["--shell=bash"]) {
            Some(read) => {
                assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stdout));
            }
            None => skip("shellcheck"),
        }
    }
}

/// The metrics and flags in `docs/ci.md` are exactly those of the program.
#[test]
fn the_page_lists_every_metric_and_flag() {
    let page = file("docs/ci.md");
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &[]);
    world.origin.always("/1.txt", Answer::status(403));
    world.run(["apply", "--metrics", "natsync.prom"]).code(1);
    world.origin.always("/1.txt", Answer::file());
    world.run(["lock", "--metrics", "natsync.prom"]).success();
    let metrics = String::from_utf8(world.read("natsync.prom")).unwrap();
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let written: BTreeSet<_> = types.collect();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `natsync_"));
    let told: BTreeSet<_> =
        rows.map(|row| format!("natsync_{}", row.split('`').next().unwrap())).collect();
    // The failure samples are from `apply`; `lock` keeps the samples of other commands.
    assert_eq!(written, told.iter().map(String::as_str).collect());
    for (flag, command) in [("junit", "verify"), ("metrics", "verify"), ("failed", "lock")] {
        let help = world.run([command, "--help"]).success().stdout;
        assert!(
            help.contains(&format!("--{flag} <FILE>"))
                && page.contains(&format!("`--{flag} FILE`"))
        );
    }
}

#[test]
fn systemd_accepts_the_units() {
    let world = World::new();
    let mut units = Vec::new();
    for (_, unit) in
        blocks(&file("docs/ci.md")).into_iter().filter(|(language, _)| language == "ini")
    {
        let name = unit.lines().next().unwrap().rsplit('/').next().unwrap().to_owned();
        // The units name a path where the program is not installed here.
        let unit = unit.replace("/usr/local/bin/natsync", env!("CARGO_BIN_EXE_natsync"));
        world.write(&name, unit.replace("Documentation=man:natsync(1)\n", ""));
        units.push(world.path(&name));
    }
    assert_eq!(units.len(), 2);
    let Ok(output) = Command::new("systemd-analyze").arg("verify").args(&units).output() else {
        return skip("systemd-analyze");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let about_ours: Vec<_> = said.lines().filter(|line| line.contains("natsync")).collect();
    assert!(output.status.success() && about_ours.is_empty(), "{said}");
}
