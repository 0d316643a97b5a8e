//! Logins by redirect: a data host redirects to a login host, which takes a user and a password,
//! sets a cookie, and leads back.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;

use crate::origin::{Answer, Origin, Request};
use crate::world::{Run, World};

/// `me:n3trc-s3cret`
const BASIC: &str = "Basic bWU6bjN0cmMtczNjcmV0";
const NETRC: &str = "machine localhost login me password n3trc-s3cret\n";
/// Cookies, codes and passwords that belong to one host each.
const SECRETS: [&str; 5] =
    ["n3trc-s3cret", "bWU6bjN0cmMtczNjcmV0", "l0gin-c00kie", "data-c00kie", "0ne-time"];

fn cookie(request: &Request) -> &str {
    request.header("cookie").unwrap_or_default()
}

/// A data host with files that need a session, and the login host that it redirects to.
struct Site {
    world: World,
    login: Origin,
}

impl Site {
    fn new(count: usize, netrc: &str, more: &str) -> Self {
        let login = Origin::new();
        let world = World::new().serve_numbered(count);
        // Another host than that of the data, by its name.
        let entrance = format!("http://localhost:{}/authorize?client=data", login.port());
        let back = world.origin.url("/login?code=0ne-time");
        let netrc = netrc.replace("LOGIN", &format!("localhost:{}", login.port()));
        let world = world.manifest(&format!(
            "http: {{retries: 0, connections: 1}}
sources:
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..{count}}}, netrc: {netrc}{more}}}
"
        ));
        world.write(".netrc", NETRC);
        set_permissions(world.path(".netrc"), Permissions::from_mode(0o600)).unwrap();
        world.origin.decide({
            let mut wanted = String::new();
            move |request| {
                if request.path() == "/login" {
                    let answer = Answer::redirect(302, &wanted);
                    return Some(answer.header("Set-Cookie", "sid=data-c00kie; Path=/; HttpOnly"));
                }
                if cookie(request).contains("sid=data-c00kie") {
                    return None;
                }
                wanted.clone_from(&request.target);
                Some(Answer::redirect(302, &entrance))
            }
        });
        login.decide(move |request| {
            let is_known = request.header("authorization") == Some(BASIC)
                || cookie(request).contains("user=l0gin-c00kie");
            Some(if is_known {
                Answer::redirect(302, &back)
                    .header("Set-Cookie", "user=l0gin-c00kie; Path=/; Domain=localhost")
            } else {
                Answer::status(401).header("WWW-Authenticate", "Basic realm=\"log in\"")
            })
        });
        Self { world, login }
    }

    /// Fails if a secret reached another host than its own, the output or a file.
    #[track_caller]
    fn keeps_secrets(&self, runs: &[&Run]) {
        for request in self.world.origin.requests() {
            let text = request.text();
            for secret in ["n3trc-s3cret", "bWU6bjN0cmMtczNjcmV0", "l0gin-c00kie"] {
                assert!(!text.contains(secret), "{secret} at the data host: {text}");
            }
        }
        for request in self.login.requests() {
            let text = request.text();
            assert!(!text.contains("data-c00kie"), "at the login host: {text}");
        }
        for run in runs {
            for secret in SECRETS {
                assert!(!run.output().contains(secret), "{secret} in {}", run.output());
            }
        }
        let mut folders = vec![self.world.path("out")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                    continue;
                }
                let bytes = std::fs::read(entry.path()).unwrap();
                for secret in SECRETS {
                    let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
                    assert!(!found, "{secret} in {}", entry.path().display());
                }
            }
        }
    }
}

#[test]
fn a_login_host_that_the_manifest_names_gets_the_password() {
    for netrc in ["{hosts: [localhost]}", "{file: .netrc, hosts: LOGIN}", "{hosts: [LocalHost]}"] {
        let site = Site::new(1, netrc, "");
        let run = site.world.run(["apply", "--json", "-v"]).success();
        assert_eq!(run.counts(), "entries 1, downloaded 1");
        assert_eq!(run.result("1.txt")["attempts"], 1, "redirects are no attempts");
        site.world.assert_files(&[("1.txt", "file 1\n")]);
        assert_eq!(site.login.requests()[0].header("authorization"), Some(BASIC));
        let again = site.world.run(["apply", "-v"]).success();
        site.keeps_secrets(&[&run, &again]);
    }
}

#[test]
fn a_session_serves_the_further_entries_of_a_run_and_no_other_run() {
    let site = Site::new(20, "{hosts: [localhost]}", "");
    site.world.apply().success();
    assert_eq!(site.login.requests().len(), 1);
    assert_eq!(site.world.origin.requests().len(), 20 + 2, "two more for the login");
    // Nothing is stored: another run has to log in again.
    site.login.forget();
    let run = site.world.apply().success();
    assert_eq!(run.counts(), "entries 20, unchanged 20");
    assert_eq!(site.login.requests().len(), 1);
    site.keeps_secrets(&[&run]);
}

#[test]
fn a_host_that_the_manifest_does_not_name_gets_nothing() {
    for netrc in ["true", "{hosts: [other.example]}", "{hosts: [\"localhost:1\"]}", "{file: true}"]
    {
        let site = Site::new(1, netrc, "");
        let run = site.world.apply().code(1);
        for request in site.login.requests() {
            assert_eq!(request.header("authorization"), None, "{netrc}");
        }
        let failed = run.result("1.txt");
        assert_eq!(failed["error"]["status"], 401);
        let told = format!("{}{}", run.stderr, failed);
        let advice = format!("netrc: {{hosts: [localhost:{}]}}", site.login.port());
        assert!(told.contains(&advice), "{told}");
        site.keeps_secrets(&[&run]);
    }
}

#[test]
fn a_password_that_is_refused_is_named_as_the_cause() {
    let site = Site::new(1, "{hosts: [localhost]}", "");
    let write = |text: &str| {
        site.world.write(".netrc", text);
        set_permissions(site.world.path(".netrc"), Permissions::from_mode(0o600)).unwrap();
    };
    write("machine localhost login me password wrong");
    let run = site.world.apply().code(1);
    assert!(run.stderr.contains("refused the user and password"), "{}", run.stderr);
    write("machine other.example login me password n3trc-s3cret");
    let run = site.world.apply().code(1);
    assert!(run.stderr.contains("has no `machine localhost`"), "{}", run.stderr);
    site.keeps_secrets(&[&run]);
}

#[test]
fn advice_never_shows_a_host_from_the_environment() {
    let world = World::new();
    let host = format!("127.0.0.1:{}", world.origin.port());
    let world = world.env("SECRETHOST", &host).manifest(
        "sources:\n  - {url: \"http://${SECRETHOST}/a.txt\", netrc: {hosts: [other.example]}}\n",
    );
    world.write(".netrc", NETRC);
    set_permissions(world.path(".netrc"), Permissions::from_mode(0o600)).unwrap();
    world.origin.always("/a.txt", Answer::redirect(302, "/login"));
    world.origin.always("/login", Answer::status(401));
    let run = world.run(["apply"]).code(1);
    assert!(run.output().contains("${SECRETHOST} is where one logs in"), "{}", run.output());
    assert!(!run.output().contains(&host), "{}", run.output());
}

#[test]
fn an_url_is_requested_once_more_with_the_cookie_that_it_set() {
    let world = World::new().serve("/a.txt", "a").source("$BASE/a.txt", &[]);
    world.origin.decide(|request| {
        let answer = Answer::redirect(302, "/a.txt").header("Set-Cookie", "seen=1");
        (cookie(request) != "seen=1").then_some(answer)
    });
    world.apply().success();
    assert_eq!(world.origin.requests().len(), 2);
}

#[test]
fn a_circle_that_sets_a_cookie_says_so() {
    for (set, requests, told) in [
        ("n=1", 2, "sets a cookie"),
        // These do not come back, so the URL would answer the same.
        ("n=1; Secure", 1, "sets a cookie that"),
        ("n=1; Domain=other.example", 1, "sets a cookie that"),
        ("n=1; Path=/elsewhere", 1, "sets a cookie that"),
    ] {
        let world = World::new().source("$BASE/a.txt", &[]);
        world.origin.always("/a.txt", Answer::redirect(302, "/a.txt").header("Set-Cookie", set));
        let run = world.apply().code(1);
        let (kind, message) = run.failure("a.txt");
        assert_eq!(kind, "redirect");
        assert!(message.contains("redirects in a circle") && message.contains(told), "{message}");
        assert_eq!(world.origin.requests().len(), requests, "{set}");
    }
    // Cookies that change with each answer do not prolong it.
    let world = World::new().source("$BASE/a.txt", &["http: {redirects: 50}"]);
    let mut count = 0;
    world.origin.decide(move |_| {
        count += 1;
        let cookie = format!("n={count}");
        Some(Answer::redirect(302, "/a.txt").header("Set-Cookie", &cookie))
    });
    world.apply().code(1);
    assert_eq!(world.origin.requests().len(), 2);
}

#[test]
fn a_cookie_goes_back_to_its_host_alone() {
    let other = Origin::new();
    let world = World::new().serve("/c.txt", "c").source("$BASE/a.txt", &[]);
    let there = other.url("/b.txt");
    world.origin.always(
        "/a.txt",
        Answer::redirect(302, &there).header("Set-Cookie", "sid=data-c00kie; Path=/"),
    );
    let back = world.origin.url("/c.txt");
    other.always(
        "/b.txt",
        Answer::redirect(302, &back).header("Set-Cookie", "user=l0gin-c00kie; Path=/"),
    );
    world.apply().success();
    assert_eq!(other.requests()[0].header("cookie"), None);
    assert_eq!(world.origin.requests_for("/c.txt")[0].header("cookie"), Some("sid=data-c00kie"));
}

#[test]
fn cookies_of_the_manifest_and_of_a_server_go_together() {
    let settings = ["headers: {Cookie: own=1}"];
    let world = World::new().serve("/b.txt", "b").source("$BASE/a.txt", &settings);
    let answer = Answer::redirect(302, "/b.txt").header("Set-Cookie", "sid=2");
    world.origin.always("/a.txt", answer);
    world.apply().success();
    assert_eq!(world.origin.requests_for("/a.txt")[0].header("cookie"), Some("own=1"));
    assert_eq!(world.origin.requests_for("/b.txt")[0].header("cookie"), Some("own=1; sid=2"));
}
