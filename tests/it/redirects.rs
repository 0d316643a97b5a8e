//! Redirects, and natsync's rules for following them.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::origin::{Answer, Origin};
use crate::world::{Run, World};

/// One entry whose URL redirects to `location`.
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
fn a_pause_of_a_redirect_target_does_not_delay_other_hosts() {
    let (busy, other) = (Origin::new(), Origin::new());
    let world = World::new();
    for n in 1..=8 {
        let path = format!("/{n}.txt");
        world.origin.always(&path, Answer::redirect(302, &busy.url(&path)));
        busy.serve(&path, "here");
    }
    // The first two concurrent requests get a `Retry-After`.
    for n in 1..=2 {
        busy.attempts(&format!("/{n}.txt"), [Answer::status(429).retry_after("60")]);
    }
    for n in 1..=30 {
        other.serve(&format!("/{n}.dat"), "there");
    }
    let world = world.manifest(&format!(
        "http: {{connections: 2}}
sources:
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..8}}}}
  - {{url: \"{}/{{n}}.dat\", vars: {{n: 1..30}}}}
",
        other.base()
    ));
    let running = world.spawn(["apply", "--json"]);
    busy.wait_for(1);
    other.wait_for(30);
    running.wait_stderr_contains("asks for a pause");
    running.signal(Signal::INT);
    running.wait().code(130);
    assert!(busy.requests().len() <= 2, "the pause is not over");
}

/// A port that closes and counts all connections. It stays open until the process ends.
fn hanging_up() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            counted.fetch_add(1, Ordering::AcqRel);
        }
    });
    (port, count)
}

#[test]
fn a_dead_host_that_redirects_lead_to_is_found_out_once() {
    let (port, count) = hanging_up();
    let world = World::new().manifest(
        "http: {retries: 1, connections: 2}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..40}}]\n",
    );
    for n in 1..=40 {
        let location = format!("https://127.0.0.1:{port}/{n}.txt");
        world.origin.always(&format!("/{n}.txt"), Answer::redirect(302, &location));
    }
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 40, failed 40");
    let connects = count.load(Ordering::Acquire);
    assert!(connects <= 6, "{connects} connections to a dead host");
    for result in run.results() {
        let message = result["error"]["message"].as_str().unwrap();
        assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    }
    let told = run.stderr.lines().filter(|line| line.contains(&port.to_string())).count();
    assert_eq!(told, 1, "{}", run.stderr);
}

#[test]
fn a_file_of_ones_own_is_compared_also_where_the_host_of_a_redirect_is_full() {
    let other = Origin::new();
    let world = World::new().manifest(
        "http: {connections: 6, connections_per_host: 1}
sources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..12}}]
",
    );
    for n in 1..=12 {
        let path = format!("/{n}.txt");
        world.origin.always(&path, Answer::redirect(302, &other.url(&path)));
        // If a server refuses HEAD, the GET starts again at the first origin.
        other.always(&format!("HEAD {path}"), Answer::status(405));
        other.serve(&path, "here");
        world.write(&format!("out{path}"), "my own");
    }
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 12, updated 12");
    for result in run.results() {
        assert_eq!(result["attempts"], 2, "HEAD, then GET");
    }
    assert_eq!((world.origin.requests().len(), other.requests().len()), (24, 24));
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
fn the_number_of_redirects_is_limited() {
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
        // A connection that is attempted would be a failure of another kind.
        refused(&redirected(302, &format!("http://{host}/latest/meta-data/")));
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
