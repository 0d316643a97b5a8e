//! `netrc`: users and passwords from a file, sent where they belong and nowhere else.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::origin::{Answer, Origin};
use crate::world::{Run, World};

const NETRC: &str = "machine 127.0.0.1 login me password n3trc-s3cret\n";
/// `me:n3trc-s3cret`
const BASIC: &str = "Basic bWU6bjN0cmMtczNjcmV0";

fn world(setting: &str, settings: &[&str]) -> World {
    let mut lines = vec![setting];
    lines.extend(settings);
    let world = World::new().serve("/a.txt", "a").source("$BASE/a.txt", &lines);
    private(&world, ".netrc", NETRC);
    world
}

fn private(world: &World, name: &str, text: &str) {
    world.write(name, text);
    set_permissions(world.path(name), Permissions::from_mode(0o600)).unwrap();
}

#[track_caller]
fn tells_nothing(run: &Run) {
    for secret in ["n3trc-s3cret", "bWU6bjN0cmMtczNjcmV0"] {
        assert!(!run.output().contains(secret), "{}", run.output());
    }
}

fn sent(origin: &Origin) -> Vec<Option<String>> {
    let requests = origin.requests();
    requests.iter().map(|request| request.header("authorization").map(str::to_owned)).collect()
}

#[test]
fn the_users_file_is_read_if_a_source_asks_for_it() {
    let world = world("netrc: true", &[]);
    let run = world.run(["apply", "-v"]).success();
    tells_nothing(&run);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
    assert_eq!(sent(&world.origin), [Some(BASIC.to_owned())]);
}

#[test]
fn no_file_is_read_without_netrc_in_the_manifest() {
    for settings in ["check: always", "netrc: false"] {
        let world = world(settings, &[]);
        private(&world, ".netrc", "what is this");
        world.apply().success();
        assert_eq!(sent(&world.origin), [None]);
    }
}

#[test]
fn another_file_can_be_named() {
    let by_variable = world("netrc: true", &[]).env("NETRC", "other");
    let by_path = world("netrc: other", &[]);
    for world in [by_variable, by_path] {
        private(&world, "other", "default login you password 2");
        world.apply().success();
        assert_eq!(sent(&world.origin), [Some("Basic eW91OjI=".to_owned())]);
    }
}

#[test]
fn the_manifest_takes_precedence_over_netrc() {
    let header = world("netrc: true", &["headers: {authorization: Bearer x}"]);
    header.apply().success();
    assert_eq!(sent(&header.origin), [Some("Bearer x".to_owned())]);
    let world = World::new().serve("/a.txt", "a");
    let url = format!("http://you:2@127.0.0.1:{}/a.txt", world.origin.port());
    let world = world.source(&url, &["netrc: true"]);
    private(&world, ".netrc", NETRC);
    world.apply().success();
    assert_eq!(sent(&world.origin), [Some("Basic eW91OjI=".to_owned())]);
}

#[test]
fn a_host_without_an_entry_is_asked_all_the_same() {
    let world = world("netrc: true", &[]);
    private(&world, ".netrc", "machine other.example login me password n3trc-s3cret");
    world.apply().success();
    assert_eq!(sent(&world.origin), [None]);
}

#[test]
fn only_the_sources_own_origin_gets_the_password() {
    // A netrc file sees the same host in all of them, but the origin (with its port) decides.
    let (mirror, alternate, overriding, target) =
        (Origin::new(), Origin::new(), Origin::new(), Origin::new());
    let others = [&mirror, &alternate, &overriding, &target];
    for other in others {
        for n in 1..=4 {
            other.serve(&format!("/{n}.txt"), "elsewhere");
            other.serve(&format!("/{n}.alt"), "elsewhere");
        }
    }
    let world = World::new().serve("/back.txt", "here").manifest(&format!(
        "sources:
  - url: \"$BASE/{{n}}.txt\"
    vars: {{n: 1..4}}
    netrc: true
    alternates: [\"{}/{{n}}.alt\"]
    mirrors: [\"{}/{{n}}.txt\"]
    overrides: [{{when: {{n: 3}}, url: \"{}/3.txt\"}}]
    http: {{retries: 0}}
",
        alternate.base(),
        mirror.base(),
        overriding.base()
    ));
    private(&world, ".netrc", NETRC);
    world.origin.always("/1.txt", Answer::status(500));
    world.origin.always("/2.txt", Answer::status(404));
    world.origin.always("/4.txt", Answer::redirect(302, &target.url("/4.txt")));
    assert_eq!(world.apply().success().counts(), "entries 4, downloaded 4");
    for other in others {
        assert_eq!(sent(other), [None]);
    }
    assert_eq!(sent(&world.origin), vec![Some(BASIC.to_owned()); 3]);
    // A redirect to the same origin, or back to it, is still at the own origin.
    target.always("/4.txt", Answer::redirect(302, &world.origin.url("/back.txt")));
    world.origin.forget();
    target.forget();
    world.run(["apply", "--only", "**/4.txt", "--force"]).success();
    assert_eq!(sent(&target), [None]);
    assert_eq!(sent(&world.origin), vec![Some(BASIC.to_owned()); 2]);
}

#[test]
fn a_file_that_is_wrong_is_an_error_that_quotes_nothing_of_it() {
    let world = world("netrc: true", &[]);
    private(&world, ".netrc", "machine 127.0.0.1 login me\npassword n3trc-s3cret two-words\n");
    let run = world.run(["apply"]).code(2);
    tells_nothing(&run);
    assert!(!run.output().contains("two-words"), "{}", run.output());
    assert!(run.stderr.contains(".netrc` has an error on line 2"), "{}", run.stderr);
    assert!(run.stderr.contains("natsync.yaml:5:12"), "{}", run.stderr);
    world.delete(".netrc");
    let run = world.run(["apply"]).code(2);
    assert!(run.stderr.contains("cannot read the netrc file"), "{}", run.stderr);
    assert!(!world.exists("out"));
}

#[test]
fn a_file_that_others_can_read_is_warned_of_once() {
    let world = World::new().serve_numbered(2).manifest(
        "sources:
  - {url: $BASE/1.txt, netrc: true}
  - {url: $BASE/2.txt, netrc: .netrc}
",
    );
    world.write(".netrc", NETRC);
    set_permissions(world.path(".netrc"), Permissions::from_mode(0o640)).unwrap();
    for args in [&["apply"][..], &["apply", "--json"]] {
        let run = world.run(args).success();
        let warnings = run.stderr.lines().filter(|line| line.contains("chmod 600")).count();
        assert_eq!(warnings, 1, "{}", run.stderr);
        tells_nothing(&run);
    }
    assert!(world.run(["apply", "-q"]).success().stderr.is_empty());
}
