//! Tests of the origin itself, with hand-written requests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{Answer, DeadPort, File, Gate, Origin, PATIENCE};

fn connect(origin: &Origin) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", origin.port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn ask(stream: &mut TcpStream, request: &str) {
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
}

/// Sends a request, shuts down the write side, and returns everything up to the end of the
/// connection.
fn whole(origin: &Origin, method_and_path: &str, headers: &str) -> String {
    let mut stream = connect(origin);
    stream
        .write_all(format!("{method_and_path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes())
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}

fn field<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Reads one head and a body of known length, and leaves the connection open.
fn read_one(stream: &mut TcpStream, body: usize) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let mut rest = vec![0; body];
    stream.read_exact(&mut rest).unwrap();
    text.extend(rest);
    String::from_utf8(text).unwrap()
}

#[test]
fn a_file_has_validators_that_move_when_it_changes() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    let first = whole(&origin, "GET /a", "");
    assert_eq!((status(&first), body(&first)), ("200", "one"));
    assert_eq!(field(&first, "Content-Length"), Some("3"));
    assert_eq!(field(&first, "Last-Modified"), Some("Mon, 17 Aug 2009 12:00:00 GMT"));
    origin.serve("/a", "two");
    let second = whole(&origin, "GET /a", "");
    assert_eq!(body(&second), "two");
    assert_ne!(field(&first, "ETag"), field(&second, "ETag"));
    assert_eq!(field(&second, "Last-Modified"), Some("Tue, 18 Aug 2009 12:00:00 GMT"));
    origin.remove("/a");
    assert_eq!(status(&whole(&origin, "GET /a", "")), "404");
    origin.assert_requests(&["GET /a", "GET /a", "GET /a"]);
}

#[test]
fn conditions_are_answered_by_tag_first_and_else_by_date() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    origin.serve("/weak", File::new("one").weak_etag());
    origin.serve("/bare", File::new("one").no_etag().no_last_modified());
    let status_of = |path: &str, headers: &str| {
        status(&whole(&origin, &format!("GET {path}"), headers)).to_owned()
    };
    assert_eq!(status_of("/a", "If-None-Match: \"v1-3\"\r\n"), "304");
    assert_eq!(status_of("/a", "If-None-Match: \"x\", W/\"v1-3\"\r\n"), "304");
    assert_eq!(
        status_of(
            "/a",
            "If-None-Match: \"x\"\r\nIf-Modified-Since: Mon, 17 Aug 2009 12:00:00 GMT\r\n"
        ),
        "200"
    );
    assert_eq!(status_of("/a", "If-Modified-Since: Mon, 17 Aug 2009 12:00:00 GMT\r\n"), "304");
    assert_eq!(status_of("/a", "If-Modified-Since: Mon, 17 Aug 2009 11:59:59 GMT\r\n"), "200");
    assert_eq!(status_of("/weak", "If-None-Match: W/\"v1-3\"\r\n"), "304");
    assert_eq!(status_of("/bare", "If-Modified-Since: Mon, 17 Aug 2009 12:00:00 GMT\r\n"), "200");
    assert!(
        origin
            .requests()
            .iter()
            .filter(|request| request.status == 304)
            .all(|request| request.sent == 0)
    );
}

#[test]
fn head_tells_the_length_and_sends_nothing() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    let answer = whole(&origin, "HEAD /a", "");
    assert_eq!(
        (status(&answer), field(&answer, "Content-Length"), body(&answer)),
        ("200", Some("3"), "")
    );
    origin.always("HEAD /a", Answer::status(405));
    assert_eq!(status(&whole(&origin, "HEAD /a", "")), "405");
    assert_eq!(status(&whole(&origin, "GET /a", "")), "200");
}

#[test]
fn ranges_are_cut_out_where_their_condition_holds() {
    let origin = Origin::new();
    origin.serve("/a", "0123456789");
    let part = whole(&origin, "GET /a", "Range: bytes=4-\r\nIf-Range: \"v1-10\"\r\n");
    assert_eq!((status(&part), body(&part)), ("206", "456789"));
    assert_eq!(field(&part, "Content-Range"), Some("bytes 4-9/10"));
    assert_eq!(body(&whole(&origin, "GET /a", "Range: bytes=2-3\r\n")), "23");
    assert_eq!(body(&whole(&origin, "GET /a", "Range: bytes=-2\r\n")), "89");
    assert_eq!(
        body(&whole(&origin, "GET /a", "Range: bytes=4-\r\nIf-Range: \"old\"\r\n")),
        "0123456789"
    );
    let outside = whole(&origin, "GET /a", "Range: bytes=10-\r\n");
    assert_eq!((status(&outside), field(&outside, "Content-Range")), ("416", Some("bytes */10")));
}

#[test]
fn attempts_are_used_up_one_by_one() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    origin.attempts("/a", [Answer::status(503).retry_after("1"), Answer::redirect(302, "/b")]);
    let first = whole(&origin, "GET /a", "");
    assert_eq!((status(&first), field(&first, "Retry-After")), ("503", Some("1")));
    assert_eq!(field(&whole(&origin, "GET /a", ""), "Location"), Some("/b"));
    assert_eq!(body(&whole(&origin, "GET /a", "")), "one");
    origin.always("/a", Answer::file().gzip_label());
    assert_eq!(field(&whole(&origin, "GET /a?x=1", ""), "Content-Encoding"), Some("gzip"));
    origin.behave();
    assert_eq!(field(&whole(&origin, "GET /a", ""), "Content-Encoding"), None);
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    let mut stream = connect(&origin);
    for _ in 0..3 {
        ask(&mut stream, "GET /a");
        assert!(read_one(&mut stream, 3).ends_with("one"));
    }
    assert_eq!((origin.connections_used(), origin.count("/a")), (1, 3));
    origin.always("/a", Answer::file().close_after());
    ask(&mut stream, "GET /a");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("one") && field(&rest, "Connection").is_none());
    origin.wait_until_alone();
    assert_eq!(origin.most_connections(), 1);
}

#[test]
fn a_request_that_comes_in_pieces_is_understood() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    let mut stream = connect(&origin);
    stream.set_nodelay(true).unwrap();
    for piece in ["GE", "T /a HTTP/1.1\r\nHost: x\r", "\n\r", "\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
        thread::yield_now();
    }
    assert!(read_one(&mut stream, 3).ends_with("one"));
}

#[test]
fn bodies_break_where_they_are_told_to() {
    let origin = Origin::new();
    origin.serve("/a", "0123456789");
    origin.attempts(
        "/a",
        [Answer::file().cut_at(4), Answer::file().chunked(), Answer::file().no_final_chunk()],
    );
    let cut = whole(&origin, "GET /a", "");
    assert_eq!((field(&cut, "Content-Length"), body(&cut)), (Some("10"), "0123"));
    assert_eq!(body(&whole(&origin, "GET /a", "")), "a\r\n0123456789\r\n0\r\n\r\n");
    assert_eq!(body(&whole(&origin, "GET /a", "")), "a\r\n0123456789\r\n");
    origin.attempts(
        "/a",
        [
            Answer::file().content_lengths(&["10", "11"]),
            Answer::file().surplus("more"),
            Answer::file().until_close(),
            Answer::raw("nonsense"),
        ],
    );
    assert_eq!(whole(&origin, "GET /a", "").matches("Content-Length").count(), 2);
    assert_eq!(body(&whole(&origin, "GET /a", "")), "0123456789more");
    let old = whole(&origin, "GET /a", "");
    assert!(old.starts_with("HTTP/1.0 200") && field(&old, "Content-Length").is_none(), "{old}");
    assert_eq!(whole(&origin, "GET /a", ""), "nonsense");
    origin.attempts("/a", [Answer::close()]);
    assert_eq!(whole(&origin, "GET /a", ""), "");
}

#[test]
fn a_reset_is_a_reset() {
    let origin = Origin::new();
    origin.serve("/a", "0123456789");
    origin.attempts("/a", [Answer::file().rst_at(4)]);
    let mut stream = connect(&origin);
    ask(&mut stream, "GET /a");
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_slow_body_comes_in_pieces_and_a_stall_ends_with_its_reader() {
    let origin = Origin::new();
    origin.serve("/a", "0123456789");
    origin.attempts(
        "/a",
        [Answer::file().drip(5, Duration::from_millis(10)), Answer::file().stall_at(2)],
    );
    let begun = Instant::now();
    assert_eq!(body(&whole(&origin, "GET /a", "")), "0123456789");
    assert!(Duration::from_millis(20) <= begun.elapsed());
    let mut stream = connect(&origin);
    ask(&mut stream, "GET /a");
    assert!(read_one(&mut stream, 2).ends_with("01"));
    origin.wait_in_flight(1);
    drop(stream);
    origin.wait_until_alone();
}

#[test]
fn a_gate_holds_answers_in_flight() {
    let origin = Origin::new();
    let gate = Gate::new();
    origin.serve("/a", "one");
    origin.always("/a", Answer::file().gate(&gate));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut stream = connect(&origin);
                ask(&mut stream, "GET /a");
                assert_eq!(body(&read_one(&mut stream, 3)), "one");
            });
        }
        origin.wait_in_flight(3);
        gate.open();
    });
    assert_eq!((origin.most_in_flight(), origin.most_connections()), (3, 3));
    origin.wait_until_alone();
    origin.forget();
    assert_eq!((origin.most_in_flight(), origin.requests().len()), (0, 0));
}

#[test]
fn a_held_body_shows_its_beginning() {
    let origin = Origin::new();
    let gate = Gate::new();
    origin.serve("/a", "0123456789");
    origin.always("/a", Answer::file().gate_at(6, &gate));
    let mut stream = connect(&origin);
    ask(&mut stream, "GET /a");
    assert!(read_one(&mut stream, 6).ends_with("012345"));
    gate.open();
    let mut rest = [0; 4];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"6789");
    assert_eq!(origin.bytes_sent(), 10);
}

#[test]
fn dropping_an_origin_releases_held_answers() {
    let origin = Origin::new();
    origin.serve("/a", "one");
    origin.always("/a", Answer::file().gate(&Gate::new()));
    let mut stream = connect(&origin);
    ask(&mut stream, "GET /a");
    origin.wait_in_flight(1);
    drop(origin);
    assert!(matches!(stream.read(&mut [0; 8]), Ok(0) | Err(_)));
}

#[test]
fn a_dead_port_refuses() {
    let dead = DeadPort::new();
    let address = dead.base().replace("http://", "");
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
}
