//! Redirects, which natsync follows by its own rules.

use std::time::Duration;

use crate::origin::{Answer, Origin};
use crate::world::{Run, World};

/// One entry whose URL answers with a redirect to that place.
fn redirected(status: u16, location: &str) -> World {
    let world =
        World::new().serve("/target.txt", "here").source("$BASE/a.txt", &["http: {retries: 0}"]);
    world.origin.always("/a.txt", Answer::redirect(status, location));
    world
}

#[track_caller]
fn refused(world: &World) -> Run {
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.txt").0, "redirect", "{}", run.output());
    assert_eq!(world.origin.count("/a.txt"), 1, "a refused redirect is not tried again");
    world.assert_files(&[]);
    run
}

#[test]
fn redirects_of_every_kind_are_followed() {
    for status in [301, 302, 303, 307, 308] {
        let world = redirected(status, "/target.txt");
        let run = world.apply().success();
        assert_eq!(run.result("a.txt")["attempts"], 1, "redirects are no attempts");
        world.assert_files(&[("a.txt", "here")]);
    }
}

#[test]
fn locations_are_resolved_against_the_url() {
    let world = World::new().serve("/deep/target.txt", "here");
    let port = world.origin.port();
    let world = world.source("$BASE/deep/er/a.txt", &[]);
    for location in ["../target.txt", "//127.0.0.1:PORT/deep/target.txt", "/deep/./target.txt#part"]
    {
        world.origin.always(
            "/deep/er/a.txt",
            Answer::redirect(302, &location.replace("PORT", &port.to_string())),
        );
        world.run(["apply", "--force"]).success();
        world.assert_files(&[("a.txt", "here")]);
    }
}

#[test]
fn the_name_comes_from_the_manifest_alone() {
    let world = redirected(302, "/evil.sh");
    world.origin.serve("/evil.sh", "here");
    world.origin.always(
        "/evil.sh",
        Answer::file().header("Content-Disposition", "attachment; filename=\"evil.sh\""),
    );
    world.apply().success();
    world.assert_files(&[("a.txt", "here")]);
}

#[test]
fn a_redirected_file_is_revalidated() {
    let world = redirected(302, "/target.txt");
    world.apply().success();
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    assert_eq!(world.origin.requests_for("/target.txt")[1].status, 304);
}

#[test]
fn headers_of_the_source_are_dropped_at_another_origin() {
    let other = Origin::new();
    other.serve("/target.txt", "here");
    let world = World::new().source(
        "$BASE/a.txt",
        &["headers: {Authorization: Bearer s3cret, Cookie: c00kie, X-Key: k3y}"],
    );
    world.origin.always("/a.txt", Answer::redirect(302, "/b.txt"));
    world.origin.always("/b.txt", Answer::redirect(307, &other.url("/target.txt")));
    world.apply().success();
    for request in world.origin.requests() {
        assert_eq!(request.header("x-key"), Some("k3y"), "{request}");
    }
    let seen = other.requests()[0].text().to_lowercase();
    for word in ["s3cret", "c00kie", "k3y", "authorization", "cookie", "referer"] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
}

#[test]
fn a_password_in_a_url_stays_with_its_origin() {
    let other = Origin::new();
    other.serve("/target.txt", "here");
    let world = World::new();
    let url = format!("http://user:pa55@127.0.0.1:{}/a.txt", world.origin.port());
    let world = world.source(&url, &[]);
    world.origin.always("/a.txt", Answer::redirect(302, &other.url("/target.txt")));
    world.apply().success();
    assert!(
        world.origin.requests()[0]
            .header("authorization")
            .is_some_and(|value| value.starts_with("Basic "))
    );
    assert_eq!(other.requests()[0].header("authorization"), None);
}

#[test]
fn loops_end() {
    let world = redirected(302, "/b.txt");
    world.origin.always("/b.txt", Answer::redirect(302, "/a.txt"));
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.txt").0, "redirect");
    assert!(world.origin.requests().len() <= 12, "{} requests", world.origin.requests().len());
}

#[test]
fn there_are_at_most_so_many_redirects() {
    let world =
        World::new().source("$BASE/0", &["path: a.txt", "http: {retries: 0, redirects: 3}"]);
    for hop in 0..4 {
        world.origin.always(&format!("/{hop}"), Answer::redirect(302, &format!("/{}", hop + 1)));
    }
    world.origin.serve("/3", "here");
    world.origin.serve("/4", "too far");
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.txt").0, "redirect");
    assert_eq!(world.origin.count("/4"), 0);
    world.origin.always("/3", Answer::file());
    world.apply().success();
    world.assert_files(&[("a.txt", "here")]);
}

#[test]
fn no_other_scheme_is_followed() {
    for location in [
        "ftp://127.0.0.1/a.txt",
        "file:///etc/passwd",
        "data:text/plain,hello",
        "javascript:0",
        "unix:/run/x",
    ] {
        refused(&redirected(302, location));
    }
}

#[test]
fn link_local_addresses_are_not_asked() {
    for host in [
        "169.254.169.254",
        "[fe80::1]",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
    ] {
        let run = refused(&redirected(302, &format!("http://{host}/latest/meta-data/")));
        assert!(run.elapsed < Duration::from_secs(8), "{host}: nobody was connected to");
    }
}

#[test]
fn redirects_that_lead_nowhere_fail() {
    refused(&redirected(302, "http://"));
    refused(&redirected(302, "http://[::1"));
    let world = World::new().source("$BASE/a.txt", &["http: {retries: 0}"]);
    world.origin.always("/a.txt", Answer::status(302));
    refused(&world);
}

#[test]
fn a_redirect_may_say_missing() {
    let world = World::new().source("$BASE/a.txt", &["on_missing: skip"]);
    world.origin.always("/a.txt", Answer::redirect(302, "/nothing.txt"));
    assert_eq!(world.apply().success().counts(), "entries 1, absent 1");
}

#[test]
fn control_characters_of_a_server_never_reach_the_terminal() {
    let world = World::new().source(
        "$BASE/{n}.txt",
        &["vars: {n: 0..5}", "expect: {content_type: text/plain}", "http: {retries: 0}"],
    );
    for (half, escape) in
        ["\u{1b}[31mred\u{1b}]0;title\u{7}", "\u{9b}31mred\u{9d}0;title\u{9c}\u{85}"]
            .iter()
            .enumerate()
    {
        let answers = [
            Answer::redirect(302, &format!("ftp://x/{escape}")),
            Answer::redirect(302, &format!("http://169.254.1.1/{escape}")),
            Answer::status(200).header("Content-Type", &format!("image/{escape}")),
        ];
        for (n, answer) in answers.into_iter().enumerate() {
            world.origin.always(&format!("/{}.txt", 3 * half + n), answer);
        }
    }
    for args in [&["apply"][..], &["apply", "-v"], &["apply", "--json"]] {
        let run = world.run(args).code(1);
        let control = |c: char| c.is_control() && c != '\n';
        assert!(
            !run.stdout.contains(control) && !run.stderr.contains(control),
            "{args:?}: {:?}",
            run.output()
        );
    }
}
