//! Heads of responses that are not quite HTTP: fields that frame nothing are ignored, and a head
//! that leaves the end of its body in doubt is refused.

use std::time::Duration;

use crate::origin::{Answer, File};
use crate::world::World;

/// Lines of a head that frame nothing, each of which breaks the grammar of RFC 9112, section 5.
const HARMLESS: [&[u8]; 16] = [
    b"X-Powered-By : PHP/5.2",
    b"X-Tab\t: a",
    b"PHP Warning:  mysql_connect() in /srv/www/index.php on line 5",
    b"<b>Warning</b>: session_start()",
    b"a line without a colon",
    b": a value without a name",
    b"X-Folded: one\r\n two\r\n\tthree",
    b" folded before any field",
    b"P\xf6wered: by",
    b"\xe2\x82\xac: euro",
    b"X-Control: a\x01b",
    b"X-Nul: a\0b",
    b"X(paren): a",
    b"X-Bare: a\rb",
    b"Set Cookie: a=b",
    b"HTTP/1.1 200 OK",
];

fn entries(answers: Vec<Vec<u8>>) -> World {
    let last = answers.len() - 1;
    let world = World::new().manifest(&format!(
        "http: {{retries: 0}}\nsources: [{{url: \"$BASE/{{n}}.txt\", vars: {{n: 0..{last}}}}}]\n"
    ));
    for (n, answer) in answers.into_iter().enumerate() {
        world.origin.always(&format!("/{n}.txt"), Answer::raw(answer));
    }
    world
}

/// A head with a line before, between or after its sound fields, and a body.
fn with_line(line: &[u8], place: usize) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = vec![b"HTTP/1.1 200 OK", b"Content-Length: 5", b"ETag: \"a\""];
    lines.insert(1 + place, line);
    [&lines.join(&b"\r\n"[..]), &b"\r\n\r\nright"[..]].concat()
}

#[test]
fn malformed_fields_that_frame_nothing_are_ignored() {
    let places = HARMLESS.iter().flat_map(|line| (0..3).map(|place| with_line(line, place)));
    // ` folded before any field` would belong to `Content-Length` at another place.
    let answers: Vec<_> = places
        .filter(|answer| !answer.windows(12).any(|window| window == b"gth: 5\r\n fol"))
        .collect();
    let count = answers.len();
    let world = entries(answers);
    let run = world.apply().success();
    assert_eq!(run.counts(), format!("entries {count}, downloaded {count}"), "{}", run.output());
    for n in 0..count {
        assert_eq!(world.read(&format!("out/{n}.txt")), b"right", "{n}");
    }
}

#[test]
fn a_head_may_come_in_pieces_of_any_size() {
    for size in [1, 3, 50] {
        let world = World::new().source("$BASE/a.txt", &[]);
        let answer = Answer::file().header("X-Powered-By ", "PHP").header("X", "a\r\n b");
        world.origin.serve("/a.txt", "right");
        world.origin.always("/a.txt", answer.drip(size, Duration::ZERO));
        world.apply().success();
        world.assert_files(&[("a.txt", "right")]);
    }
}

#[test]
fn malformed_fields_that_frame_the_body_are_refused_by_their_line() {
    let lines: [&[u8]; 16] = [
        b"Content-Length : 5",
        b"Content-Length\t: 5",
        b" Content-Length: 5",
        b"Content Length: 5",
        b"Content-Length 5",
        b"Content-Length: 5 5",
        b"Content-Length: +5",
        b"Content-Length: 0x5",
        b"Content-Length:",
        b"Content-Length: 5\r\n 5",
        b"\x0bContent-Length: 5",
        b"Transfer-Encoding : chunked",
        b"Transfer-Encoding: chunked\r\n , identity",
        b"Transfer-Encoding: xchunked",
        b"Connection : close",
        b"X-A: b\rContent-Length: 9",
    ];
    let answers = lines.iter().map(|line| {
        let head = [b"HTTP/1.1 200 OK\r\nETag: \"a\"\r\n", *line].concat();
        [head, b"\r\n\r\nright".to_vec()].concat()
    });
    let world = entries(answers.collect());
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 16, failed 16");
    world.assert_files(&[]);
    for (n, line) in lines.iter().enumerate() {
        let (kind, message) = run.failure(&format!("{n}.txt"));
        let line = String::from_utf8_lossy(line).replace("\r\n", "");
        let line = line.replace(char::is_control, " ");
        assert_eq!(kind, "protocol", "{line}: {message}");
        assert!(message.contains(&format!("{}`", line.trim())), "{line}: {message}");
    }
}

#[test]
fn the_identity_transfer_coding_is_as_if_absent() {
    for coding in ["identity", "Identity", " identity "] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\nContent-Length: 5\r\n\r\nright"
        );
        let world = World::new().source("$BASE/a.txt", &["http: {retries: 0}"]);
        world.origin.always("/a.txt", Answer::raw(answer));
        world.apply().success();
        world.assert_files(&[("a.txt", "right")]);
    }
    // Its body has the declared length, so that a cut is noticed.
    let world = World::new().source("$BASE/a.txt", &["http: {retries: 0}"]);
    let cut = "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nrig";
    world.origin.always("/a.txt", Answer::raw(cut));
    assert_eq!(world.apply().code(1).failure("a.txt").0, "truncated");
}

#[test]
fn unusual_dates_are_read_and_sent_back_as_they_came() {
    let dates = [
        "Mon, 17 Aug 2009 12:00:00 +0000",
        "Mon, 17 Aug 2009 12:00:00 UTC",
        "Mon, 17 Aug 2009 12:00:00 UT",
        "Mon, 17 Aug 2009 14:00:00 +0200",
        "17 Aug 2009 12:00:00 GMT",
        "Mon, 3 Aug 2009 12:00:00 GMT",
    ];
    let world = World::new().manifest("sources: [{url: \"$BASE/{n}.txt\", vars: {n: 0..5}}]\n");
    for (n, date) in dates.iter().enumerate() {
        let path = format!("/{n}.txt");
        world.origin.serve(&path, File::new("right").no_etag());
        world.origin.always(&path, Answer::file().header("Last-Modified", date));
    }
    world.apply().success();
    let noon = crate::origin::first_modified();
    for (n, date) in dates[..5].iter().enumerate() {
        assert_eq!(world.mtime(&format!("out/{n}.txt")), noon, "{date}");
    }
    assert_eq!(world.mtime("out/5.txt"), noon - Duration::from_hours(14 * 24));
    world.origin.forget();
    world.apply().success();
    for (n, date) in dates.iter().enumerate() {
        let request = &world.origin.requests_for(&format!("/{n}.txt"))[0];
        assert_eq!(request.header("if-modified-since"), Some(*date));
    }
}

#[test]
fn locations_with_raw_bytes_are_percent_encoded() {
    let cases: [(&[u8], &str); 6] = [
        (b"/f\xfcr.txt", "/f%FCr.txt"),
        ("/für.txt".as_bytes(), "/f%C3%BCr.txt"),
        (b"/\xff\xfe.txt?q=\xe9", "/%FF%FE.txt?q=%E9"),
        (b"/a/%2e%2e/b.txt", "/a/%2e%2e/b.txt"),
        (b"/a/%2E/b.txt", "/a/%2E/b.txt"),
        (b"/a/.%2e/c d.txt", "/a/.%2e/c%20d.txt"),
    ];
    for (location, requested) in cases {
        let world = World::new().source("$BASE/a.txt", &["http: {retries: 0}"]);
        let head =
            [b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ", location, b"\r\n\r\n"]
                .concat();
        world.origin.always("/a.txt", Answer::raw(head));
        world.origin.serve(requested, "right");
        world.apply().success();
        world.origin.assert_requests(&["GET /a.txt", &format!("GET {requested}")]);
    }
}

#[test]
fn percent_encoded_dots_of_a_declared_url_are_sent_as_written() {
    let world = World::new().serve("/a/%2e%2e/b.txt", "right");
    let world = world.source("$BASE/a/%2e%2e/b.txt", &["path: b.txt"]);
    world.apply().success();
    world.origin.assert_requests(&["GET /a/%2e%2e/b.txt"]);
}
