//! Reports for other programs: annotations and summaries of GitHub Actions, test results, metrics,
//! and the file of `--failed`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;
use quick_xml::Reader;
use quick_xml::events::Event;
use rustix::process::Signal;
use serde_json::Value;

use crate::origin::{Answer, Gate};
use crate::world::World;

/// Five files, of which the second is refused and the fourth is missing.
fn five() -> World {
    let world = World::new()
        .serve_numbered(5)
        .source("$BASE/{n}.txt", &["name: numbers", "vars: {n: 1..5}", "http: {retries: 0}"]);
    world.origin.always("/2.txt", Answer::status(403));
    world.origin.always("/4.txt", Answer::status(404));
    world
}

/// The same as a step of a workflow.
fn step(world: World) -> World {
    let (top, summary) = (world.path(""), world.path("summary.md"));
    world
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", top.to_str().unwrap())
        .env("GITHUB_STEP_SUMMARY", summary.to_str().unwrap())
}

fn text(world: &World, path: &str) -> String {
    String::from_utf8(world.read(path)).unwrap()
}

/// The commands that GitHub would find in an output: name, properties and data, as its runner reads them.
fn commands(output: &str) -> Vec<(String, BTreeMap<String, String>, String)> {
    let unescape = |text: &str| {
        let pairs = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
        pairs.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    };
    let parse = |line: &str| {
        assert!(!line.contains("##[") || line.starts_with("::"), "an old command: {line}");
        let (info, data) = line.trim_start().strip_prefix("::")?.split_once("::")?;
        let (name, properties) = info.split_once(' ').unwrap_or((info, ""));
        let properties = properties.split(',').filter_map(|pair| pair.split_once('='));
        let properties = properties.map(|(name, value)| (name.to_owned(), unescape(value)));
        Some((name.to_owned(), properties.collect(), unescape(data)))
    };
    output.lines().filter_map(parse).collect()
}

#[test]
fn failures_are_annotated_where_they_are_declared() {
    let world = step(five());
    let run = world.run(["apply", "-j", "1"]).code(1);
    assert_eq!(commands(&run.stdout), []);
    let commands = commands(&run.stderr);
    assert_eq!(commands.len(), 2, "{}", run.stderr);
    for ((name, properties, data), (status, path)) in
        commands.iter().zip([("403", "2.txt"), ("404", "4.txt")])
    {
        assert_eq!(name, "error");
        assert_eq!(properties["file"], "natsync.yaml");
        assert_eq!(properties["line"], "4");
        assert_eq!(properties["title"], "natsync: 1 entry failed (http_status)");
        assert!(data.contains(status) && data.contains(path), "{data}");
    }
    // Outside of GitHub Actions there are no annotations.
    let world = five();
    let run = world.run(["apply"]).code(1);
    assert!(!run.stderr.contains("::error"), "{}", run.stderr);
}

#[test]
fn a_wrong_manifest_is_annotated_at_its_lines() {
    let world = step(World::new());
    world.set_manifest("m/a.yaml", "sources:\n  - url: http://h/{n}\n    on_mising: skip\n");
    for command in ["apply", "plan", "lock", "verify"] {
        let run = world.run([command, "m/a.yaml", "--json"]).code(2);
        assert!(run.json().iter().all(|line| line["type"] == "error"), "objects alone");
        let told = commands(&run.stderr);
        let places: Vec<_> = told
            .iter()
            .map(|(name, at, _)| format!("{name} {} {}:{}", at["file"], at["line"], at["col"]))
            .collect();
        assert_eq!(places, ["error m/a.yaml 4:19", "error m/a.yaml 5:5"], "{}", run.stderr);
        assert!(text(&world, "summary.md").contains(&format!("### natsync {command}: m/a")));
    }
}

#[test]
fn a_changed_file_and_a_lock_that_would_change_are_annotated() {
    let world = step(World::new().serve_numbered(2).source("$BASE/{n}.txt", &["vars: {n: 1..2}"]));
    world.run(["lock"]).success();
    world.run(["apply"]).success();
    world.write("out/1.txt", "other");
    let run = world.run(["verify"]).code(1);
    let told = commands(&run.stderr);
    assert_eq!(told.len(), 1, "{}", run.stderr);
    assert_eq!(told[0].1["title"], "natsync: 1 file modified");
    world.set_manifest("natsync.yaml", "sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..3}}]\n");
    let run = world.run(["lock", "--check", "-q"]).code(3);
    let told = commands(&run.stderr);
    assert_eq!(told.len(), 1, "{}", run.stderr);
    assert_eq!(told[0].1["file"], "natsync.lock");
    assert!(told[0].2.contains("1 entry not pinned: 3.txt"), "{}", told[0].2);
    let run = world.run(["plan", "--exit-code"]).code(3);
    let told = commands(&run.stderr);
    assert_eq!((told.len(), told[0].0.as_str()), (1, "notice"), "{}", run.stderr);
}

#[test]
fn the_summary_of_a_step_has_an_account_of_each_manifest() {
    let world = step(five());
    world.set_manifest("two.yaml", "dest: two\nsources: [{url: \"$BASE/1.txt\"}]\n");
    world.run(["apply", "-j", "1", "two.yaml", "natsync.yaml"]).code(1);
    world.run(["plan"]).success();
    world.filters().bind(|| {
        assert_snapshot!(text(&world, "summary.md"), @r"
        ### natsync apply: two

        **Done**: all is as declared. TIME, 7 B at RATE. Exit status 0.

        | entries | downloaded | updated | unchanged | kept | absent | failed | skipped | pruned |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |

        ### natsync apply: natsync

        **Failed**: not all is as declared. TIME, 21 B at RATE. Exit status 1.

        | entries | downloaded | updated | unchanged | kept | absent | failed | skipped | pruned |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 5 | 3 | 0 | 0 | 0 | 0 | 2 | 0 | 0 |

        | what | why | where | hint |
        | --- | --- | --- | --- |
        | 1 entry failed (http&#95;status) | the server answers 403 Forbidden | <code>2&#46;txt</code><br>declared at natsync&#46;yaml&#58;4 (source numbers) | &#96;natsync explain natsync&#46;yaml 2&#46;txt&#96; shows what is requested and why |
        | 1 entry failed (http&#95;status) | the server has no such file (404) | <code>4&#46;txt</code><br>declared at natsync&#46;yaml&#58;4 (source numbers) | &#96;on&#95;missing&#58; skip&#96; allows files that do not exist |

        ### natsync plan: natsync

        **Planned**: there is something to do. TIME. Exit status 0.

        | entries | fetch | replace | revalidate | keep | absent | prune |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 5 | 2 | 0 | 3 | 0 | 0 | 0 |
        ");
    });
}

#[test]
fn a_summary_that_cannot_be_written_fails_nothing() {
    let world = five().env("GITHUB_STEP_SUMMARY", "no/such/summary.md");
    world.origin.always("/2.txt", Answer::file());
    world.origin.always("/4.txt", Answer::file());
    let run = world.run(["apply"]).success();
    assert!(
        run.stderr.contains("warning: the file of GITHUB_STEP_SUMMARY cannot be written"),
        "{}",
        run.stderr
    );
    world.assert_files(&[
        ("1.txt", "file 1\n"),
        ("2.txt", "file 2\n"),
        ("3.txt", "file 3\n"),
        ("4.txt", "file 4\n"),
        ("5.txt", "file 5\n"),
    ]);
}

/// A test case: its suite, its name, and its result.
type Case = (String, String, &'static str);

/// Parses test results, and checks that the counts of each suite are those of its cases.
#[track_caller]
fn cases(xml: &str) -> Vec<Case> {
    let mut reader = Reader::from_str(xml);
    reader.config_mut().check_end_names = true;
    let (mut cases, mut suite, mut declared): (Vec<Case>, _, BTreeMap<String, String>) =
        (Vec::new(), String::new(), BTreeMap::new());
    loop {
        let event = reader.read_event().unwrap_or_else(|error| panic!("{error}\n{xml}"));
        let (Event::Start(element) | Event::Empty(element)) = &event else {
            match event {
                Event::End(end) if end.name().as_ref() == b"testsuite" => {
                    let of = |how: &str| {
                        let is =
                            |case: &&Case| case.0 == suite && (how.is_empty() || case.2 == how);
                        cases.iter().filter(is).count().to_string()
                    };
                    assert_eq!(declared["tests"], of(""), "{suite}");
                    assert_eq!(declared["failures"], of("failure"), "{suite}");
                    assert_eq!(declared["errors"], of("error"), "{suite}");
                    assert_eq!(declared["skipped"], of("skipped"), "{suite}");
                }
                Event::Eof => return cases,
                _ => {}
            }
            continue;
        };
        let attributes: BTreeMap<String, String> = element
            .attributes()
            .map(|attribute| {
                let attribute = attribute.expect("a well-formed attribute");
                let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                let value =
                    quick_xml::escape::unescape(std::str::from_utf8(&attribute.value).unwrap());
                (name, value.expect("known references").into_owned())
            })
            .collect();
        match element.name().as_ref() {
            b"testsuite" => {
                suite.clone_from(&attributes["name"]);
                declared = attributes;
            }
            b"testcase" => cases.push((suite.clone(), attributes["name"].clone(), "good")),
            b"failure" => cases.last_mut().unwrap().2 = "failure",
            b"error" => cases.last_mut().unwrap().2 = "error",
            b"skipped" => cases.last_mut().unwrap().2 = "skipped",
            _ => {}
        }
    }
}

fn named<'c>(cases: &'c [Case], suite: &str) -> Vec<(&'c str, &'static str)> {
    let of = cases.iter().filter(|case| case.0 == suite);
    of.map(|case| (case.1.as_str(), case.2)).collect()
}

#[test]
fn test_results_have_a_case_for_each_entry() {
    let world = five();
    world.run(["apply", "--junit", "junit.xml"]).code(1);
    let told = cases(&text(&world, "junit.xml"));
    assert_eq!(named(&told, "natsync"), [("apply", "good")]);
    assert_eq!(
        named(&told, "natsync/numbers"),
        [
            ("1.txt", "good"),
            ("2.txt", "failure"),
            ("3.txt", "good"),
            ("4.txt", "failure"),
            ("5.txt", "good")
        ]
    );
    world.delete("out/1.txt");
    world.write("out/3.txt", "other");
    world.run(["verify", "--junit", "junit.xml"]).code(1);
    let told = cases(&text(&world, "junit.xml"));
    assert_eq!(
        named(&told, "natsync/numbers"),
        [
            ("1.txt", "failure"),
            ("2.txt", "failure"),
            ("3.txt", "failure"),
            ("4.txt", "failure"),
            ("5.txt", "good")
        ]
    );
}

#[test]
fn kept_entries_are_counted_but_have_no_case() {
    let world = World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    world.run(["lock", "--junit", "junit.xml"]).success();
    assert_eq!(cases(&text(&world, "junit.xml")).len(), 4);
    world.run(["apply", "--junit", "junit.xml"]).success();
    let xml = text(&world, "junit.xml");
    assert_eq!(named(&cases(&xml), "natsync"), [("apply", "good")]);
    assert_eq!(cases(&xml).len(), 1, "{xml}");
    assert!(xml.contains("<property name=\"kept\" value=\"3\"/>"), "{xml}");
}

#[test]
fn a_run_that_is_interrupted_or_cannot_begin_is_an_error() {
    let gate = Gate::new();
    let world = World::new().serve_numbered(9).source(
        "$BASE/{n}.txt",
        &["name: numbers", "vars: {n: 1..9}", "http: {connections_per_host: 1}"],
    );
    world.set_manifest("two.yaml", "dest: two\nsources: [{name: one, url: \"$BASE/1.txt\"}]\n");
    world.origin.always("/2.txt", Answer::file().gate(&gate));
    let flags = ["--junit", "junit.xml", "--failed", "failed.jsonl", "--metrics", "natsync.prom"];
    let running = world.spawn([&["apply", "natsync.yaml", "two.yaml"], &flags[..]].concat());
    world.origin.wait_for(2);

    // Meanwhile another run on this destination ends with status 4.
    let other = ["--junit", "b.xml", "--failed", "b.jsonl", "--metrics", "b.prom"];
    world.run([&["apply"], &other[..]].concat()).code(4);
    assert_eq!(cases(&text(&world, "b.xml")), [case("natsync", "apply", "error")]);
    assert_eq!(failed(&world, "b.jsonl").len(), 9, "none of them was tried");
    assert_eq!(samples(&text(&world, "b.prom"))[&status("natsync", "apply")], "4");

    running.signal(Signal::INT);
    running.wait().code(130);
    gate.open();
    let told = cases(&text(&world, "junit.xml"));
    assert_eq!(named(&told, "natsync"), [("apply", "error")]);
    assert_eq!(named(&told, "natsync/numbers")[0], ("1.txt", "good"));
    assert_eq!(named(&told, "natsync/numbers")[8], ("9.txt", "skipped"));
    assert_eq!(named(&told, "two"), [("apply", "skipped")]);
    let failed = failed(&world, "failed.jsonl");
    assert_eq!(failed.len(), 9, "eight of the one, and all of the other");
    assert!(failed.contains(&("two".to_owned(), "1.txt".to_owned(), "skipped".to_owned())));
    let samples = samples(&text(&world, "natsync.prom"));
    assert_eq!(samples[&status("natsync", "apply")], "130");
    assert!(!samples.contains_key(&status("two", "apply")));

    let run = world.run(["apply", "natsync.yaml", "two.yaml", "--retry", "failed.jsonl", "--json"]);
    assert_eq!(run.status, 0, "{}", run.output());
    assert_eq!(world.names().len(), 9);
    assert!(world.exists("two/1.txt"));
}

fn case(suite: &str, name: &str, how: &'static str) -> Case {
    (suite.to_owned(), name.to_owned(), how)
}

/// The lines of a file of `--failed`: manifest, path and outcome.
#[track_caller]
fn failed(world: &World, path: &str) -> Vec<(String, String, String)> {
    let text = text(world, path);
    let lines = text.lines().map(|line| {
        let line: Value = serde_json::from_str(line).expect("an object");
        assert_eq!(line["type"], "failed");
        assert!(line["url"].is_string() && line["source"].is_string(), "{line}");
        assert_eq!(line["error"].is_object(), line["outcome"] == "failed", "{line}");
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        (text("manifest"), text("path"), text("outcome"))
    });
    lines.collect()
}

#[test]
fn failed_entries_are_written_and_retried() {
    let world = five();
    world.run(["apply", "--failed", "failed.jsonl"]).code(1);
    let mut paths: Vec<_> = failed(&world, "failed.jsonl").into_iter().map(|line| line.1).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["2.txt", "4.txt"]);
    let line = text(&world, "failed.jsonl");
    let line: Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
    assert_eq!(line["error"]["kind"], "http_status");
    world.origin.always("/2.txt", Answer::file());
    world.origin.forget();
    let again = ["apply", "--retry", "failed.jsonl", "--failed", "failed.jsonl"];
    world.run(again).code(1);
    assert_eq!(failed(&world, "failed.jsonl").len(), 1);
    world.origin.always("/4.txt", Answer::file());
    world.run(again).success();
    assert_eq!(world.read("failed.jsonl"), b"", "none is left, and the file says so");
}

/// The samples of a metrics file by name and labels. Checks the rules of the format: every sample
/// belongs to the TYPE above it, no series occurs twice, labels are quoted and escaped, values are
/// numbers.
#[track_caller]
fn samples(text: &str) -> BTreeMap<String, String> {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    assert!(text.is_empty() || text.ends_with('\n'), "a line that does not end");
    let (mut samples, mut typed, mut helped) = (BTreeMap::new(), Vec::new(), Vec::new());
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect("a help text");
            assert!(!helped.contains(&name), "HELP of {name} twice");
            helped.push(name);
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert!(is_name(name) && kind == "gauge" && !typed.contains(&name), "{line}");
            typed.push(name);
            continue;
        }
        let (name, mut rest) = line.split_once('{').expect("labels");
        assert_eq!(typed.last(), Some(&name), "a sample outside of its group: {line}");
        assert!(!name.ends_with("_total"), "{name} is a gauge");
        loop {
            let (label, value) = rest.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let mut end = None;
            let mut bytes = value.bytes().enumerate();
            while let Some((at, byte)) = bytes.next() {
                match byte {
                    b'"' => {
                        end = Some(at);
                        break;
                    }
                    b'\\' => {
                        let next = bytes.next().expect("what is escaped").1;
                        assert!(matches!(next, b'\\' | b'"' | b'n'), "{line}");
                    }
                    _ => {}
                }
            }
            rest = &value[end.expect("the end of a label") + 1..];
            match rest.strip_prefix(',') {
                Some(further) => rest = further,
                None => break,
            }
        }
        let value = rest.strip_prefix("} ").expect("a value");
        assert!(value.parse::<f64>().is_ok(), "a number without a timestamp: {line}");
        let series = line.rsplit_once(' ').unwrap().0.to_owned();
        assert!(samples.insert(series, value.to_owned()).is_none(), "twice: {line}");
    }
    assert_eq!(typed, helped);
    samples
}

fn sample(metric: &str, manifest: &str, command: &str) -> String {
    format!("natsync_{metric}{{manifest=\"{manifest}\",command=\"{command}\"}}")
}

fn status(manifest: &str, command: &str) -> String {
    sample("exit_status", manifest, command)
}

#[test]
fn metrics_keep_the_last_success() {
    let world = World::new().serve_numbered(3).source("$BASE/{n}.txt", &["vars: {n: 1..3}"]);
    world.set_manifest("two.yaml", "dest: two\nsources: [{url: \"$BASE/1.txt\"}]\n");
    let run =
        |args: &[&str]| world.run([args, &["--metrics", "metrics/natsync.prom"][..]].concat());
    run(&["apply"]).code(2);
    fs::create_dir(world.path("metrics")).unwrap();
    run(&["apply", "natsync.yaml", "two.yaml"]).success();
    let file = world.path("metrics/natsync.prom");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let first = samples(&text(&world, "metrics/natsync.prom"));
    let success = sample("last_success_timestamp_seconds", "natsync", "apply");
    let last_run = sample("last_run_timestamp_seconds", "natsync", "apply");
    assert_eq!(first[&success], first[&last_run]);
    assert_eq!(first[&status("two", "apply")], "0");
    let entries = |outcome: &str| {
        format!("natsync_entries{{manifest=\"natsync\",command=\"apply\",outcome=\"{outcome}\"}}")
    };
    assert_eq!(first[&entries("downloaded")], "3");
    assert_eq!(first[&sample("transferred_bytes", "natsync", "apply")], "21");

    world.origin.always("/2.txt", Answer::status(403));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    run(&["apply"]).code(1);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let second = samples(&text(&world, "metrics/natsync.prom"));
    assert_eq!(second[&success], first[&success], "it succeeded then");
    let seconds = |text: &str| text.parse::<f64>().unwrap();
    assert!(seconds(&first[&last_run]) <= seconds(&second[&last_run]));
    assert_eq!((&*second[&status("natsync", "apply")], &*second[&entries("failed")]), ("1", "1"));
    let kind = "natsync_failures{manifest=\"natsync\",command=\"apply\",kind=\"http_status\"}";
    assert_eq!(second[kind], "1");
    assert_eq!(
        second[&success.replace("natsync\"", "two\"")],
        first[&success.replace("natsync\"", "two\"")]
    );

    world.write("natsync.yaml", "nonsense");
    run(&["apply"]).code(2);
    let third = samples(&text(&world, "metrics/natsync.prom"));
    assert_eq!((&*third[&status("natsync", "apply")], &third[&success]), ("2", &first[&success]));
    assert_eq!(world.files("metrics").len(), 1, "nothing is left beside it");
}

#[test]
fn remote_names_cannot_forge_workflow_commands() {
    let names = [
        "::add-mask::a",
        "##[error]b",
        "<b>|`c`|</b>",
        "d\"e\\f",
        "]]><!-- & -->",
        "@all #1 https:∕∕x",
        "a,b%0Ac",
        "\u{3000}::stop-commands::g",
    ];
    let values: Vec<_> = names.iter().map(|name| serde_json::to_string(name).unwrap()).collect();
    let world = step(World::new()).manifest(&format!(
        "portable: false\nsources:\n  - name: \"::warning::s\"\n    url: $BASE/{{name}}\n    \
         vars: {{name: [{}]}}\n    path: \"{{+name}}\"\n    http: {{retries: 0}}\n",
        values.iter().map(|value| format!("{{value: {value}}}")).collect::<Vec<_>>().join(", ")
    ));
    world.origin.everywhere(Answer::status(403));
    let flags = ["--junit", "junit.xml", "--failed", "failed.jsonl", "--metrics", "natsync.prom"];
    for more in [&["-v"][..], &["--json"], &["--progress", "always"]] {
        let run = world.run([&["apply"], &flags[..], more].concat()).code(1);
        assert_eq!(commands(&run.stdout), [], "{}", run.stdout);
        let told = commands(&run.stderr);
        assert_eq!(told.len(), 1, "{}", run.stderr);
        assert_eq!((told[0].0.as_str(), told[0].1.len()), ("error", 3), "{told:?}");
    }
    for command in
        [&["list"][..], &["plan"], &["plan", "-v"], &["explain", "natsync.yaml", names[0]]]
    {
        let run = world.run(command);
        assert_eq!(run.status, 0, "{}", run.output());
        assert_eq!(commands(&run.stdout), [], "{}", run.stdout);
        assert_eq!(commands(&run.stderr), [], "{}", run.stderr);
    }
    let run = world.run(["apply", "--x\n::error::forged"]).code(2);
    assert_eq!(commands(&run.stderr), [], "{}", run.stderr);

    let mut expected: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let told = cases(&text(&world, "junit.xml"));
    let in_results: Vec<_> = told.iter().skip(1).map(|case| case.1.clone()).collect();
    assert_eq!(in_results, expected);
    let mut in_failed: Vec<_> =
        failed(&world, "failed.jsonl").into_iter().map(|line| line.1).collect();
    in_failed.sort();
    expected.sort();
    assert_eq!(in_failed, expected);
    samples(&text(&world, "natsync.prom"));
    let summary = text(&world, "summary.md");
    for line in summary.lines().filter(|line| line.contains("entries failed")) {
        assert_eq!(line.matches('|').count(), 5, "{line}");
        assert!(!line.contains("<b>") && !line.contains('`') && !line.contains('@'), "{line}");
    }
}

#[test]
fn an_unwritable_report_fails_before_anything_is_changed() {
    let world = five();
    world.write("a-file", "");
    for (flag, file, expected) in [
        ("--junit", "no/such/junit.xml", "create its folder first"),
        ("--metrics", "a-file/natsync.prom", "--metrics cannot write"),
        ("--failed", "out.d", "it is a directory"),
        ("--junit", "/dev/null", "it is no regular file"),
        ("--failed", "natsync.yaml", "would overwrite"),
    ] {
        fs::create_dir_all(world.path("out.d")).unwrap();
        let run = world.run(["apply", flag, file]).code(2);
        assert!(run.stderr.contains(expected), "{}", run.stderr);
    }
    world.run(["apply", "--junit", "x", "--failed", "x"]).code(2);
    assert_eq!(world.origin.requests().len(), 0);
    assert!(!world.exists("out"));
    assert!(!world.exists("x"));
}

#[test]
fn no_report_holds_a_secret() {
    let world = step(World::new().env("TOKEN", "canary-7")).source(
        "http://user:canary-8@127.0.0.1:$PORT/${TOKEN}/{n}.txt",
        &["vars: {n: 1..2}", "headers: {Authorization: \"Bearer ${TOKEN}\"}", "http: {retries: 0}"],
    );
    world.origin.everywhere(Answer::status(403));
    let flags = ["--junit", "junit.xml", "--failed", "failed.jsonl", "--metrics", "natsync.prom"];
    let run = world.run([&["apply", "-v"], &flags[..]].concat()).code(1);
    assert_eq!(world.origin.requests().len(), 2, "the secret was sent");
    assert!(!run.output().contains("canary-"), "{}", run.output());
    for file in ["junit.xml", "failed.jsonl", "natsync.prom", "summary.md"] {
        let text = text(&world, file);
        assert!(!text.contains("canary-") && !text.is_empty(), "{file}: {text}");
    }
}

/// A file that the user asks for replaces nothing that the command works with.
#[test]
fn output_files_replace_no_input() {
    let world = World::new().serve_numbered(2);
    world.write("ids.txt", "1\n2\n");
    let lists =
        "version: 1\ndest: out\nsources:\n  - url: $BASE/{n}.txt\n    vars: {n: {file: ids.txt}}\n";
    let world = world.manifest(lists);
    world.run(["lock"]).success();
    let inputs = ["natsync.yaml", "ids.txt", "natsync.lock", "out/1.txt", "out/.natsync/state.db"];
    for input in inputs {
        let before = world.read(input);
        for args in [
            &["apply", "--junit"][..],
            &["apply", "--metrics"],
            &["apply", "--failed"],
            &["lock", "--junit"],
            &["verify", "--metrics"],
            &["plan", "--out"],
            &["report", "--html"],
        ] {
            let run = world.run(args.iter().copied().chain([input])).code(2);
            let would = ["would replace", "would overwrite"];
            assert!(would.iter().any(|text| run.stderr.contains(text)), "{args:?}: {}", run.stderr);
            assert!(world.read(input) == before, "{args:?} {input}");
        }
    }
    let linked = world.path("link.xml");
    std::os::unix::fs::symlink(world.path("natsync.lock"), &linked).unwrap();
    world.run(["apply", "--junit", "link.xml"]).code(2);
    world.run(["report", "--html", "out/index.html"]).success();
    assert!(world.exists("out/index.html"));
}
