//! Values from the environment and passwords are sent only to their origin, and never shown or
//! stored.

use crate::origin::Answer;
use crate::world::{Run, World};

const TOKEN: &str = "tok-3f9c1a";
const KEY: &str = "key-77e0b2";
const PASSWORD: &str = "pass-51d8ee";

/// The forms in which secrets could appear: verbatim, percent-encoded, and as Basic credentials.
const FORBIDDEN: [&str; 4] = [TOKEN, KEY, PASSWORD, "dXNlcjpwYXNzLTUxZDhlZQ"];

fn world() -> World {
    let world = World::new().env("TOKEN", TOKEN).env("KEY", KEY).env("PASSWORD", PASSWORD);
    let at = format!("user:${{PASSWORD}}@127.0.0.1:{}", world.origin.port());
    world.serve_numbered(3).manifest(&format!(
        "sources:
  - name: secret
    url: http://{at}/{{n}}.txt?key=${{KEY}}
    mirrors: [\"http://{at}/mirror/{{n}}.txt?key=${{KEY}}\"]
    vars: {{n: 1..3}}
    headers: {{X-Token: \"${{TOKEN}}\"}}
    http: {{retries: 1}}
"
    ))
}

#[track_caller]
fn tells_nothing(world: &World, run: &Run) {
    for secret in FORBIDDEN {
        assert!(!run.output().contains(secret), "{secret} in the output\n{}", run.output());
        if world.exists("out/.natsync") {
            let state = world.state_bytes();
            assert!(
                !state.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
                "{secret} in the state"
            );
        }
    }
}

#[test]
fn secrets_reach_only_their_origin() {
    let world = world();
    let run = world.run(["apply", "-v"]).success();
    tells_nothing(&world, &run);
    let request = &world.origin.requests()[0];
    assert!(request.target.ends_with(&format!("?key={KEY}")), "{request}");
    assert_eq!(request.header("x-token"), Some(TOKEN));
    assert_eq!(request.header("authorization"), Some("Basic dXNlcjpwYXNzLTUxZDhlZQ=="));
    for args in [
        &["apply", "--json", "-v"][..],
        &["plan"],
        &["plan", "--json", "-v"],
        &["plan", "--refresh", "-v"],
        &["list"],
        &["list", "--json"],
        &["list", "--format", "urls"],
    ] {
        tells_nothing(&world, &world.run(args).success());
    }
}

#[test]
fn failures_tell_no_secret() {
    for answer in [
        Answer::status(401),
        Answer::status(500),
        Answer::close(),
        Answer::file().cut_at(2),
        Answer::redirect(302, "ftp://x/"),
        Answer::redirect(302, "?again"),
        Answer::file().gzip_label(),
        Answer::raw("no http at all"),
    ] {
        let world = world();
        world.origin.everywhere(answer.clone());
        for args in [&["apply", "-v"][..], &["apply", "--json", "-v"]] {
            let run = world.run(args).code(1);
            tells_nothing(&world, &run);
            assert!(run.output().contains("1.txt"), "the entry is named all the same: {answer:?}");
        }
    }
}

#[test]
fn a_server_that_repeats_a_secret_does_not_spread_it() {
    let world = world();
    world.origin.everywhere(Answer::redirect(302, &format!("ftp://x/{KEY}?{TOKEN}")));
    // The error message quotes the secret from the server's answer, so only the state is checked
    // here.
    world.run(["apply"]).code(1);
    let state = world.state_bytes();
    for secret in FORBIDDEN {
        assert!(
            !state.windows(secret.len()).any(|bytes| bytes == secret.as_bytes()),
            "{secret} in the state"
        );
    }
}

#[test]
fn a_variable_that_is_not_set_is_an_error_that_names_it() {
    let world = World::new().source("$BASE/a?key=${ABSENT_KEY}", &["path: a"]);
    let run = world.run(["apply"]).code(2);
    assert!(run.stderr.contains("ABSENT_KEY"), "{}", run.stderr);
    assert!(!world.exists("out"));
    let world =
        World::new().serve("/a", "1").source("$BASE/a?key=${ABSENT_KEY:-none}", &["path: a"]);
    world.run(["apply"]).success();
    assert_eq!(world.origin.requests()[0].target, "/a?key=none");
}

#[test]
fn a_dead_host_with_a_password_is_named_without_it() {
    let dead = crate::origin::DeadPort::new();
    let url = dead.base().replace("http://", &format!("http://user:{PASSWORD}@")) + "/a.txt";
    let world = World::new().source(&url, &["http: {retries: 0}"]);
    let run = world.run(["apply", "-v"]).code(1);
    tells_nothing(&world, &run);
    assert!(run.stderr.contains("127.0.0.1"), "{}", run.stderr);
}

#[test]
fn a_host_from_the_environment_is_not_told_either() {
    // A name that does not resolve, and a server that answers with errors.
    let world = World::new()
        .env("HOST", "secret-host.invalid")
        .source("https://${HOST}/a.txt", &["http: {retries: 0, connect_timeout: 2s}"]);
    for args in [&["apply"][..], &["apply", "--json", "-v"], &["plan", "--refresh"]] {
        let run = world.run(args);
        assert!(!run.output().contains("secret-host"), "{}", run.output());
        assert!(run.output().contains("${HOST}"), "{}", run.output());
    }
    let world = World::new();
    let base = world.origin.base().replace("127.0.0.1", "localhost");
    let world = world.env("BASE", &base).source("${BASE}/a.txt", &["http: {retries: 0}"]);
    world.origin.always("/a.txt", Answer::redirect(302, "/b.txt"));
    world.origin.always("/b.txt", Answer::status(500));
    let run = world.run(["apply", "-v"]).code(1);
    assert!(!run.output().contains("localhost"), "{}", run.output());
}
