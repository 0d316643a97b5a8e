//! HTTP/2: many transfers over one connection, and the effects when the connection breaks.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use h2::Reason;

use crate::origin::{Asked, Say, Second, Secured};
use crate::world::{Run, World, content, numbered, sha256_of, side_by_side};

const SIZE: usize = 300_000;

type Script = fn(&Asked) -> Say;
type Fault = fn(Vec<u8>) -> Say;

/// A world that mirrors `count` files of a server, with further `http` settings.
fn world(server: &Second, count: usize, http: &str) -> World {
    let world = World::new().manifest(&format!(
        "http: {{ca_file: ca.pem{http}}}\nsources: [{{url: \"{}/{{n}}.txt\", vars: {{n: 1..{count}}}}}]\n",
        server.base()
    ));
    world.write("ca.pem", server.authority());
    world
}

fn number(asked: &Asked) -> usize {
    asked.path.trim_matches(['/', '.', 't', 'x']).parse().unwrap()
}

fn file(asked: &Asked) -> Say {
    Say::File(numbered(number(asked)).into_bytes())
}

#[track_caller]
fn all_are_right(world: &World, count: usize) {
    for n in 1..=count {
        assert_eq!(world.read(&format!("out/{n}.txt")), numbered(n).into_bytes(), "{n}");
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

/// True if every entry succeeded at its first attempt.
fn at_no_cost(run: &Run) -> bool {
    run.results().iter().all(|result| result["attempts"] == 1)
}

#[test]
fn many_files_come_over_one_connection_a_thread() {
    let server = Second::new(file);
    let world = world(&server, 300, "");
    let run = world.apply().success();
    all_are_right(&world, 300);
    assert!(at_no_cost(&run));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    assert!(server.connections() <= threads, "{}", server.connections());
    let asked = server.asked();
    assert_eq!(asked.len(), 300);
    let names: Vec<_> = asked[0].headers.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.contains(&"accept-encoding") && !names.contains(&"host"), "{names:?}");
}

#[test]
fn goaway_and_refused_streams_cost_no_attempt() {
    let scripts: [(&str, Script); 4] = [
        ("goodbye every few requests", |asked| match file(asked) {
            Say::File(body) if asked.number == 5 => Say::Goodbye(body),
            say => say,
        }),
        ("some are refused once", |asked| {
            let refused = asked.before == 0 && number(asked).is_multiple_of(3);
            if refused { Say::Reset(Reason::REFUSED_STREAM) } else { file(asked) }
        }),
        ("the connection is lost now and then", |asked| {
            if asked.number == 40 { Say::Gone } else { file(asked) }
        }),
        ("goodbye in anger", |asked| {
            if asked.number == 20 { Say::Anger(Reason::INTERNAL_ERROR) } else { file(asked) }
        }),
    ];
    for (name, script) in scripts {
        let server = Second::new(script);
        let world = world(&server, 100, "");
        let run = world.apply();
        assert_eq!(run.status, 0, "{name}: {}", run.output());
        all_are_right(&world, 100);
        if !name.contains("lost") && !name.contains("anger") {
            assert!(at_no_cost(&run), "{name}: {}", run.output());
        }
    }
}

#[test]
fn endless_answers_are_given_up() {
    let scripts: [(&str, Script, &[&str]); 5] = [
        ("always refused", |_| Say::Reset(Reason::REFUSED_STREAM), &["connect", "protocol"]),
        ("always asked for calm", |_| Say::Reset(Reason::ENHANCE_YOUR_CALM), &["connect"]),
        ("always angry", |_| Say::Anger(Reason::NO_ERROR), &["connect"]),
        ("always gone", |_| Say::Gone, &["connect"]),
        ("always broken", |_| Say::Reset(Reason::INTERNAL_ERROR), &["protocol", "connect"]),
    ];
    side_by_side(scripts, |(name, script, kinds)| {
        let server = Second::new(script);
        let world = world(&server, 2, ", retries: 1");
        let run = world.apply().code(1);
        for path in ["1.txt", "2.txt"] {
            let kind = run.failure(path).0;
            assert!(kinds.contains(&kind.as_str()), "{name}: {kind}");
        }
        assert!(server.asked().len() <= 40, "{name}: {}", server.asked().len());
    });
}

#[test]
fn a_broken_body_is_no_file() {
    let scripts: [(&str, Script, &[&str]); 8] = [
        (
            "reset without a reason",
            |_| Say::ResetAfter(content(1, SIZE), 50_000, Reason::NO_ERROR),
            &["truncated"],
        ),
        (
            "reset without a reason or a length",
            |_| Say::UnmeasuredAndReset(content(1, 50_000), Reason::NO_ERROR),
            &["truncated"],
        ),
        ("reset", |_| Say::ResetAfter(content(1, SIZE), 50_000, Reason::CANCEL), &["truncated"]),
        (
            "reset for another reason",
            |_| Say::ResetAfter(content(1, SIZE), 50_000, Reason::INTERNAL_ERROR),
            &["truncated"],
        ),
        (
            "shorter than announced",
            |_| Say::Length(SIZE + 9, content(1, SIZE)),
            &["protocol", "truncated"],
        ),
        (
            "longer than announced",
            |_| Say::Length(SIZE - 9, content(1, SIZE)),
            &["protocol", "truncated"],
        ),
        ("empty", |_| Say::File(Vec::new()), &["unexpected_content"]),
        ("silent", |_| Say::Silence, &["timeout", "stalled"]),
    ];
    for (name, script, kinds) in scripts {
        let server = Second::new(script);
        let patience = if name == "silent" { ", stall_timeout: 1s" } else { "" };
        let world = world(&server, 1, &format!(", retries: 0{patience}"));
        let run = world.apply().code(1);
        let kind = run.failure("1.txt").0;
        assert!(kinds.contains(&kind.as_str()), "{name}: {kind}");
        assert!(!world.exists("out/1.txt"), "{name}");
    }
}

#[test]
fn a_reset_body_goes_on_where_it_stopped() {
    let server = Second::new(|asked| match (&asked.range, asked.before) {
        (None, 0) => Say::ResetAfter(content(2, SIZE), 100_000, Reason::INTERNAL_ERROR),
        _ => Say::File(content(2, SIZE)),
    });
    let world = world(&server, 1, "");
    let run = world.apply().success();
    assert_eq!(run.result("1.txt")["sha256"], sha256_of(content(2, SIZE)));
    let range = server.asked()[1].range.clone().unwrap();
    assert!(range.starts_with("bytes=") && range != "bytes=0-", "{range}");
}

#[test]
fn a_body_without_a_length_is_whole_when_it_is_said_to_be() {
    let server = Second::new(|_| Say::Unmeasured(content(3, SIZE)));
    let world = world(&server, 1, "");
    world.apply().success();
    assert!(world.read("out/1.txt") == content(3, SIZE));
}

#[test]
fn large_bodies_side_by_side_arrive_whole() {
    let bodies: Vec<_> = (1..=8).map(|n| content(n, 3_000_000)).collect();
    let server = Second::new(move |asked| Say::File(bodies[number(asked) - 1].clone()));
    let world = world(&server, 8, "");
    world.apply().success();
    for n in 1..=8 {
        assert!(world.read(&format!("out/{n}.txt")) == content(n, 3_000_000), "{n}");
    }
}

#[test]
fn statuses_have_their_usual_meaning() {
    let server = Second::new(|asked| match number(asked) {
        1 => Say::Status(404),
        2 => Say::Status(503),
        3 => Say::Status(403),
        _ => file(asked),
    });
    let world = world(&server, 4, ", retries: 0");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 4, downloaded 1, failed 3");
    for path in ["1.txt", "2.txt", "3.txt"] {
        assert_eq!(run.failure(path).0, "http_status");
    }
}

#[test]
fn http2_never_and_always_are_obeyed() {
    // A server that offers only HTTP/1.1.
    let world = World::new().serve_numbered(2);
    let secured = Secured::new(world.origin.port());
    world.write("ca.pem", secured.authority());
    let source = format!("{}/{{n}}.txt", secured.base());
    let with = |world: World, http2: &str| {
        let http = format!("http: {{ca_file: ca.pem, http2: {http2}}}");
        world.source(&source, &["vars: {n: 1..2}", &http])
    };
    let world = with(world, "always");
    let run = world.apply().code(1);
    assert_eq!(run.failure("1.txt").0, "tls");
    assert!(run.output().contains("does not offer HTTP/2"), "{}", run.output());
    let world = with(world, "auto");
    assert_eq!(world.apply().success().counts(), "entries 2, downloaded 2");

    // A server that offers only HTTP/2.
    let server = Second::new(file);
    let world = self::world(&server, 2, ", http2: always");
    assert_eq!(world.apply().success().counts(), "entries 2, downloaded 2");
    let world = self::world(&server, 2, ", http2: never");
    assert_eq!(world.apply().code(1).failure("1.txt").0, "tls");
}

/// Faults that do not break the connection, and their allowed error kinds.
fn faults() -> Vec<(&'static str, Fault, &'static [&'static str])> {
    const BROKEN: &[&str] = &["truncated", "protocol", "connect"];
    const STATUS: &[&str] = &["http_status"];
    const LENGTH: &[&str] = &["protocol", "truncated", "checksum_mismatch"];
    vec![
        ("refused for ever", |_| Say::Reset(Reason::REFUSED_STREAM), BROKEN),
        ("asked for calm", |_| Say::Reset(Reason::ENHANCE_YOUR_CALM), BROKEN),
        ("an inner error", |_| Say::Reset(Reason::INTERNAL_ERROR), BROKEN),
        ("cancelled", |_| Say::Reset(Reason::CANCEL), BROKEN),
        ("no HTTP/2, please", |_| Say::Reset(Reason::HTTP_1_1_REQUIRED), &["tls"]),
        ("cancelled in the body", |body| Say::ResetAfter(body, 5000, Reason::CANCEL), BROKEN),
        (
            "an error in the body",
            |body| Say::ResetAfter(body, 5000, Reason::INTERNAL_ERROR),
            BROKEN,
        ),
        ("an end without a reason", |body| Say::ResetAfter(body, 5000, Reason::NO_ERROR), BROKEN),
        ("the same before the body", |body| Say::ResetAfter(body, 0, Reason::NO_ERROR), BROKEN),
        (
            "an end without a reason or a length",
            |body| Say::UnmeasuredAndReset(body[..5000].to_vec(), Reason::NO_ERROR),
            BROKEN,
        ),
        ("shorter than announced", |body| Say::Length(body.len() + 1, body), LENGTH),
        ("longer than announced", |body| Say::Length(body.len() - 1, body), LENGTH),
        ("empty", |_| Say::File(Vec::new()), &["unexpected_content", "checksum_mismatch"]),
        ("a part", |_| Say::Status(206), &["protocol", "http_status", "unexpected_content"]),
        ("nothing new", |_| Say::Status(304), &["protocol"]),
        ("no content", |_| Say::Status(204), &["http_status", "protocol", "unexpected_content"]),
        ("moved to nowhere", |_| Say::Status(302), &["redirect"]),
        ("not found", |_| Say::Status(404), STATUS),
        ("forbidden", |_| Say::Status(403), STATUS),
        ("too many", |_| Say::Status(429), STATUS),
        ("broken", |_| Say::Status(500), STATUS),
        ("busy", |_| Say::Status(503), STATUS),
    ]
}

/// The behaviour of the server for all requests.
const WELL: usize = 0;
const CUT: usize = 1;
const ILL: usize = 2;

#[test]
fn whatever_goes_wrong_a_path_holds_old_or_new_bytes() {
    side_by_side(["fresh", "begun", "update"], |case| {
        side_by_side([false, true], |is_pinned| holds_old_or_new_bytes(case, is_pinned));
    });
}

fn holds_old_or_new_bytes(case: &str, is_pinned: bool) {
    const LENGTH: usize = 20_000;
    let mood = Arc::new(AtomicUsize::new(WELL));
    let version = Arc::new(AtomicUsize::new(0));
    let (now, which) = (Arc::clone(&mood), Arc::clone(&version));
    let bytes = |n: usize, version: usize| content((version * 1000 + n) as u64, LENGTH);
    let server = Second::new(move |asked| {
        let n = number(asked);
        let body = bytes(n, which.load(Ordering::SeqCst));
        match now.load(Ordering::SeqCst) {
            WELL => Say::File(body),
            CUT => Say::ResetAfter(body, 9000, Reason::CANCEL),
            _ => faults()[n].1(body),
        }
    });
    let count = faults().len();
    let manifest = |version: usize| {
        let mut text = "http: {ca_file: ca.pem, retries: 0}\nsources:\n  - files:\n".to_owned();
        for n in 0..count {
            let pin = format!(", sha256: {}", sha256_of(bytes(n, version)));
            let pin = if is_pinned { pin } else { String::new() };
            let _ = writeln!(text, "      - {{url: \"{}/{n}.txt\"{pin}}}", server.base());
        }
        text
    };
    let world = World::new();
    world.write("ca.pem", server.authority());
    world.set_manifest("natsync.yaml", &manifest(0));
    match case {
        "begun" => {
            mood.store(CUT, Ordering::SeqCst);
            world.apply().code(1);
        }
        "update" => {
            world.apply().success();
            version.store(1, Ordering::SeqCst);
            world.set_manifest("natsync.yaml", &manifest(1));
        }
        _ => {}
    }
    let version = version.load(Ordering::SeqCst);
    mood.store(ILL, Ordering::SeqCst);
    let run = world.apply();
    for (n, (name, _, kinds)) in faults().iter().enumerate() {
        let which = format!("{case}, pinned: {is_pinned}, {name}");
        let result = run.result(&format!("{n}.txt"));
        let file = world.files("out").remove(&format!("{n}.txt"));
        let old = (case == "update").then(|| bytes(n, 0));
        if result["outcome"] == "failed" {
            let kind = result["error"]["kind"].as_str().unwrap();
            assert!(kinds.contains(&kind), "{which}: {result}");
            assert_eq!(file, old, "{which}");
        } else {
            // A 304 to a conditional request is legitimate.
            let believed = *name == "nothing new" && case == "update" && !is_pinned;
            assert!(believed && file == old, "{which}: {result}");
        }
    }
    mood.store(WELL, Ordering::SeqCst);
    world.apply().success();
    for n in 0..count {
        assert!(world.read(&format!("out/{n}.txt")) == bytes(n, version), "{case}: {n}");
    }
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn existing_files_stay_when_the_server_goes_silent() {
    let mood = Arc::new(AtomicUsize::new(WELL));
    let now = Arc::clone(&mood);
    let server = Second::new(move |asked| match now.load(Ordering::SeqCst) {
        WELL => file(asked),
        _ => Say::Silence,
    });
    let patient = world(&server, 3, "");
    patient.apply().success();
    mood.store(ILL, Ordering::SeqCst);
    let text = std::fs::read_to_string(patient.path("natsync.yaml")).unwrap();
    patient.set_manifest(
        "natsync.yaml",
        &text.replace("ca.pem", "ca.pem, stall_timeout: 800ms, retries: 0"),
    );
    let run = patient.apply().code(1);
    for n in 1..=3 {
        let kind = run.failure(&format!("{n}.txt")).0;
        assert!(["timeout", "stalled"].contains(&kind.as_str()), "{kind}");
    }
    all_are_right(&patient, 3);
    mood.store(WELL, Ordering::SeqCst);
    patient.set_manifest("natsync.yaml", &text);
    patient.apply().success();
    all_are_right(&patient, 3);
}

#[test]
fn an_origin_that_requires_http1_gets_it_at_no_cost() {
    for by_goaway in [false, true] {
        let server = Second::offering(&[b"h2", b"http/1.1"], move |asked| match file(asked) {
            say if asked.over_one => say,
            _ if by_goaway => Say::Anger(Reason::HTTP_1_1_REQUIRED),
            _ => Say::Reset(Reason::HTTP_1_1_REQUIRED),
        });
        let world = world(&server, 100, ", retries: 0");
        let run = world.apply().success();
        all_are_right(&world, 100);
        assert!(at_no_cost(&run));
        // After the first answers it is not asked over HTTP/2 again.
        let second = server.asked().iter().filter(|asked| !asked.over_one).count();
        assert!(second <= 64, "{second} requests over HTTP/2");
    }
}

#[test]
fn an_origin_that_requires_http1_fails_where_only_http2_is_allowed() {
    let server = Second::new(|_| Say::Reset(Reason::HTTP_1_1_REQUIRED));
    let world = world(&server, 1, ", retries: 0, http2: always");
    let (kind, message) = world.apply().code(1).failure("1.txt");
    assert_eq!(kind, "protocol");
    assert!(message.contains("HTTP/1.1") && message.contains("http2: always"), "{message}");
}
