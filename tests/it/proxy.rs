//! Proxies: which requests use one, and which do not.

use crate::origin::{Answer, Origin};
use crate::relay::{Manner, Relay};
use crate::secure::{FILE, Secure, authority, params};
use crate::world::World;

#[test]
fn a_declared_proxy_gets_whole_urls_and_its_own_password() {
    let proxy = Relay::start();
    let world = World::new().serve_numbered(2);
    let setting = format!("http: {{proxy: \"{}\"}}", proxy.url("me:${PROXY_PASSWORD}@"));
    let world = world
        .env("PROXY_PASSWORD", "pr0xy-s3cret")
        .source("$BASE/{n}.txt", &["vars: {n: 1..2}", &setting]);
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 2, downloaded 2");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    for head in &heads {
        assert!(head.starts_with(&format!("GET {}", world.origin.url("/"))), "{head}");
        assert!(
            head.to_lowercase().contains("proxy-authorization: basic bwu6chiwehktcznjcmv0"),
            "{head}"
        );
    }
    for secret in ["pr0xy-s3cret", "bWU6cHIweHktczNjcmV0"] {
        assert!(
            !run.output().contains(secret)
                && !String::from_utf8_lossy(&world.state_bytes()).contains(secret)
        );
    }
}

#[test]
fn sources_at_one_origin_may_have_different_proxies() {
    let proxy = Relay::start();
    let world = World::new().serve_numbered(20);
    for n in 1..=20 {
        world.origin.serve(&format!("/{n}.dat"), "by the proxy");
    }
    let world = world.manifest(&format!(
        "http: {{connections: 4}}
sources:
  - {{url: \"$BASE/{{n}}.dat\", vars: {{n: 1..20}}, http: {{proxy: \"{}\"}}}}
  - {{url: \"$BASE/{{n}}.txt\", vars: {{n: 1..20}}, headers: {{Authorization: Bearer s3cret}}}}
",
        proxy.url("")
    ));
    assert_eq!(world.apply().success().counts(), "entries 40, downloaded 40");
    let heads = proxy.heads();
    assert_eq!(heads.len(), 20);
    for head in heads {
        assert!(head.contains(".dat HTTP") && !head.contains("s3cret"), "{head}");
    }
}

#[test]
fn the_environments_proxy_is_used_but_for_what_it_exempts() {
    let proxy = Relay::start();
    let world =
        World::new().serve_numbered(1).env("http_proxy", &proxy.url("")).source("$BASE/1.txt", &[]);
    world.apply().success();
    assert_eq!(proxy.heads().len(), 1);
    let world = world.env("no_proxy", "localhost,127.0.0.1");
    world.run(["apply", "--force"]).success();
    assert_eq!(proxy.heads().len(), 1, "the second apply asks the origin itself");
}

#[test]
fn a_proxy_that_opens_no_tunnel_is_named() {
    let proxy = Relay::start();
    let setting = format!("http: {{proxy: \"{}\", retries: 0}}", proxy.url("me:pr0xy-s3cret@"));
    let run = World::new().source("https://example.invalid/a.txt", &[&setting]).apply().code(1);
    assert_eq!(run.failure("a.txt").0, "connect");
    assert!(run.stderr.contains("the proxy http://127.0.0.1:"), "{}", run.stderr);
    assert!(run.stderr.contains("502"), "{}", run.stderr);
    assert!(!run.output().contains("pr0xy-s3cret"));
    assert!(proxy.heads()[0].starts_with("CONNECT example.invalid:443 "));
}

/// One entry, requested through a proxy; `https` needs a tunnel. The timeouts are short only where
/// the proxy is silent: a busy machine may take a second for an answer.
fn through(proxy: &Relay, https: bool, is_silent: bool) -> World {
    let world = World::new().serve("/a.txt", "content");
    let scheme = if https { "https" } else { "http" };
    let setting = format!(
        "http: {{proxy: \"{}\", retries: 0{}}}",
        proxy.url(""),
        if is_silent { ", connect_timeout: 1s, stall_timeout: 1s" } else { "" },
    );
    let url = format!("{scheme}://127.0.0.1:{}/a.txt", world.origin.port());
    world.source(&url, &[&setting])
}

fn answer(status: &str, body: &str) -> Manner {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    Manner::Say(format!("{head}Content-Type: text/html\r\n\r\n{body}").into_bytes())
}

#[test]
fn errors_of_a_proxy_name_the_proxy() {
    const PAGE: &str = "<html>The upstream is down</html>";
    for (manner, https, kind, part) in [
        (answer("407 Who Are You", ""), true, "connect", "407 Proxy Authentication Required"),
        (answer("407 Who Are You", ""), false, "http_status", "407 Proxy Authentication Required"),
        (answer("502 Bad Gateway", PAGE), true, "connect", "502 Bad Gateway"),
        (answer("502 Bad Gateway", PAGE), false, "http_status", "502 Bad Gateway"),
        (Manner::Endless, true, "connect", "its head is too large"),
        (Manner::Endless, false, "protocol", "its head is too large"),
        (Manner::Silent, true, "timeout", "opened no tunnel"),
        (Manner::Silent, false, "timeout", "no answer within 1 s"),
        (Manner::Say(b"SSH-2.0-x\r\n".to_vec()), true, "connect", "not HTTP/1.1"),
        (Manner::Say(Vec::new()), true, "connect", "the connection was lost"),
        (Manner::Say(Vec::new()), false, "connect", "the connection was lost"),
        (Manner::Cut(3), false, "truncated", "3 of 7 bytes"),
    ] {
        let proxy = Relay::of(manner.clone());
        let world = through(&proxy, https, matches!(manner, Manner::Silent));
        let run = world.apply().code(1);
        let (seen, message) = run.failure("a.txt");
        assert_eq!(seen, kind, "{manner:?}: {message}");
        assert!(message.contains(&format!("the proxy {}", proxy.url(""))), "{message}");
        assert!(message.contains(part), "{message}");
        world.assert_files(&[]);
        assert!(world.origin.requests().is_empty() || matches!(manner, Manner::Cut(_)));
    }
}

#[test]
fn a_proxy_that_refuses_is_not_asked_again() {
    for (status, requests) in [("407 No", 1), ("403 No", 1), ("502 No", 3)] {
        let proxy = Relay::of(answer(status, ""));
        let setting = format!("http: {{proxy: \"{}\", retries: 2}}", proxy.url(""));
        let world = World::new()
            .source("https://127.0.0.1:9/{n}", &["vars: {n: 1..5}", "path: \"{n}\"", &setting]);
        let run = world.apply().code(1);
        assert_eq!(run.counts(), "entries 5, failed 5");
        let asked = proxy.heads().len();
        assert!(requests <= asked && asked < requests + 5, "{status}: {asked}");
    }
}

#[test]
fn an_error_page_of_a_proxy_with_status_200_is_rejected() {
    let proxy = Relay::of(answer("200 OK", "<html>Please log in</html>"));
    let world = through(&proxy, true, false);
    let run = world.apply().code(1);
    assert!(["tls", "connect"].contains(&run.failure("a.txt").0.as_str()), "{}", run.output());
    assert!(run.failure("a.txt").1.contains("the proxy"), "{}", run.output());
    world.assert_files(&[]);
}

#[test]
fn a_tunnel_carries_what_is_asked_of_the_origin() {
    let proxy = Relay::of(Manner::Tunnel);
    let issuer = authority();
    let secure = Secure::start(&issuer, &params("localhost"), FILE);
    let setting = format!("http: {{proxy: \"{}\", ca_file: ca.pem}}", proxy.url("me:s3cret@"));
    let world = World::new().source(&secure.url("localhost"), &[&setting]);
    world.write("ca.pem", issuer.pem());
    world.apply().success();
    world.assert_files(&[("file.txt", "secret")]);
    let heads = proxy.heads();
    assert!(heads.iter().all(|head| head.starts_with("CONNECT localhost:")), "{heads:?}");
    assert!(!secure.heads()[0].to_lowercase().contains("proxy-authorization"));
}

#[test]
fn a_redirect_to_a_host_that_is_exempt_goes_there_directly() {
    let proxy = Relay::start();
    let other = Origin::new();
    other.serve("/b.txt", "direct");
    let world = World::new();
    world.origin.always("/a.txt", Answer::redirect(302, &other.url("/b.txt")));
    let exempt = format!("example.org, 127.0.0.1:{}", other.port());
    let world = world
        .env("HTTP_PROXY", &proxy.url("me:s3cret@"))
        .env("NO_PROXY", &exempt)
        .source("$BASE/a.txt", &[]);
    world.apply().success();
    world.assert_files(&[("a.txt", "direct")]);
    assert_eq!(proxy.heads().len(), 1);
    assert!(proxy.heads()[0].contains("/a.txt HTTP/1.1"));
    let seen = other.requests()[0].text().to_lowercase();
    assert!(seen.starts_with("get /b.txt") && !seen.contains("proxy-"), "{seen}");
}

#[test]
fn a_manifest_can_do_without_the_environments_proxy() {
    let proxy = Relay::start();
    let world = World::new()
        .serve_numbered(1)
        .env("ALL_PROXY", &proxy.url(""))
        .source("$BASE/1.txt", &["http: {proxy: none}"]);
    world.apply().success();
    assert!(proxy.heads().is_empty());
}

#[test]
fn an_unsupported_proxy_is_an_error_and_not_bypassed() {
    let world = World::new()
        .serve_numbered(1)
        .env("ALL_PROXY", "socks5://me:s3cret@127.0.0.1:9")
        .source("$BASE/1.txt", &[]);
    let run = world.apply().code(1);
    let (kind, message) = run.failure("1.txt");
    assert_eq!(kind, "connect");
    assert!(message.contains("`all_proxy`") || message.contains("`ALL_PROXY`"), "{message}");
    assert!(!run.output().contains("s3cret"));
    assert!(world.origin.requests().is_empty());
}
