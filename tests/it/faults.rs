//! The table of faults: whatever a server sends, a path has its old bytes, its complete new bytes,
//! or no file, and the error has the right kind.
//!
//! Each fault happens to a new file, to a resumed file and to an update; with and without a pin;
//! over plain HTTP and over TLS. Afterwards the fault stops, and one normal run must succeed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::dice::Dice;
use crate::origin::{Answer, Secured};
use crate::world::{Run, World, content, sha256_of, side_by_side};

const SIZE: usize = 20_000;
const MIDDLE: usize = 9_000;

struct Fault {
    name: &'static str,
    answer: Answer,
    /// The allowed error kinds. Empty if the fault is harmless.
    kinds: &'static [&'static str],
}

fn fault(name: &'static str, answer: Answer, kinds: &'static [&'static str]) -> Fault {
    Fault { name, answer, kinds }
}

const CUT: &[&str] = &["truncated", "connect"];
const BROKEN: &[&str] = &["protocol", "truncated", "connect", "too_large"];
const STATUS: &[&str] = &["http_status"];
const CONTENT: &[&str] = &["unexpected_content", "checksum_mismatch"];
const DIGEST: &[&str] = &["checksum_mismatch"];
const REDIRECT: &[&str] = &["redirect"];
const SILENT: &[&str] = &["timeout", "stalled"];

/// A verbatim head, followed by `body`.
fn raw(head: &str, body: &[u8]) -> Answer {
    let mut bytes = format!("HTTP/1.1 {head}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    Answer::raw(bytes)
}

/// Faults in answers, from an origin that can be reached.
fn answers() -> Vec<Fault> {
    let body = content(99, SIZE);
    let mut faults = vec![
        // Framing.
        fault("cut before the first byte", Answer::file().cut_at(0), CUT),
        fault("cut after the first byte", Answer::file().cut_at(1), CUT),
        fault("cut in the middle", Answer::file().cut_at(5000), CUT),
        fault("reset in the middle", Answer::file().rst_at(5000), CUT),
        fault("reset before the first byte", Answer::file().rst_at(0), CUT),
        fault("chunks without an end", Answer::file().no_final_chunk(), CUT),
        fault("cut within a chunk", Answer::file().chunked().cut_at(1500), CUT),
        fault("cut within a chunk's size", Answer::file().chunked().cut_at(1), BROKEN),
        fault(
            "a chunk of size zz",
            raw("200 OK\r\nTransfer-Encoding: chunked", b"zz\r\nabc"),
            BROKEN,
        ),
        fault(
            "a chunk longer than numbers go",
            raw("200 OK\r\nTransfer-Encoding: chunked", b"10000000000000000\r\nabc"),
            BROKEN,
        ),
        fault(
            "a chunk of negative size",
            raw("200 OK\r\nTransfer-Encoding: chunked", b"-5\r\nabc"),
            BROKEN,
        ),
        fault("two lengths", Answer::file().content_lengths(&["20000", "19999"]), BROKEN),
        fault("a length with a sign", Answer::file().content_lengths(&["+20000"]), BROKEN),
        fault("a negative length", Answer::file().content_lengths(&["-1"]), BROKEN),
        fault("a length that is a word", Answer::file().content_lengths(&["many"]), BROKEN),
        fault("an empty length", Answer::file().content_lengths(&[""]), BROKEN),
        fault(
            "a length beyond all numbers",
            Answer::file().content_lengths(&["99999999999999999999999"]),
            BROKEN,
        ),
        fault(
            "a length beyond all disks",
            Answer::file().content_lengths(&["4611686018427387904"]),
            &["no_space", "checksum_mismatch", "protocol", "truncated", "too_large"],
        ),
        fault(
            "a length that is too large",
            Answer::file().content_lengths(&["30000"]),
            BROKEN_OR_PIN,
        ),
        fault("no length at all", Answer::file().until_close(), BROKEN),
        fault("no length, and a reset", Answer::file().until_close().rst_at(5000), BROKEN),
        fault(
            "more than was announced",
            Answer::file().surplus("HTTP/1.1 200 OK\r\n\r\nevil"),
            &[],
        ),
        fault(
            "length and chunks",
            raw(
                "200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                b"3\r\nabc\r\n0\r\n\r\n",
            ),
            &["protocol", "truncated", "connect", "checksum_mismatch", "unexpected_content"],
        ),
        fault(
            "an unknown transfer coding",
            raw("200 OK\r\nTransfer-Encoding: gzip", b"abc"),
            BROKEN_OR_PIN,
        ),
        // Content codings that natsync did not request.
        fault("gzip", Answer::file().gzip_label(), CONTENT),
        fault("br", Answer::file().header("Content-Encoding", "br"), CONTENT),
        fault("two encodings", Answer::file().header("Content-Encoding", "gzip, br"), CONTENT),
        fault("an unknown encoding", Answer::file().header("Content-Encoding", "x-own"), CONTENT),
        // Heads.
        fault("noise", Answer::raw("no HTTP at all\r\n\r\n"), BROKEN),
        fault("half a status line", Answer::raw("HTTP/1.1 2"), BROKEN),
        fault("a status of two digits", raw("20 OK\r\nContent-Length: 0", b""), BROKEN),
        fault("another protocol", Answer::raw("SSH-2.0-OpenSSH_9.9\r\n"), BROKEN),
        fault("an old protocol", Answer::raw("<html>hello</html>"), BROKEN),
        fault(
            "a head without end",
            Answer::raw(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20))),
            BROKEN,
        ),
        fault(
            "too many fields",
            raw(&format!("200 OK\r\n{}X: y", "X: y\r\n".repeat(5000)), b""),
            BROKEN,
        ),
        fault(
            "control bytes in a length",
            raw("200 OK\r\nContent-Length: 3\u{1}", b"abc"),
            &["protocol", "truncated", "connect", "checksum_mismatch", "unexpected_content"],
        ),
        // Success statuses.
        fault("an empty file", Answer::status(200).body(""), CONTENT),
        fault("nothing", Answer::status(204), &["http_status", "unexpected_content", "protocol"]),
        fault("an unrequested part", part("bytes 0-4/20000", "01234"), PARTIAL),
        fault("another part than the one asked for", part("bytes 1-5/20000", "12345"), PARTIAL),
        fault("a part in a 200", whole_but_a_part(), &["protocol"]),
        fault("parts in a 206", multipart(), PARTIAL),
        fault("a web page", page(), CONTENT),
        fault("not modified", Answer::status(304), &["protocol"]),
        fault("the digest of something else", Answer::file().header("Repr-Digest", REPR), DIGEST),
        fault("the MD5 of something else", Answer::file().header("Content-MD5", MD5), DIGEST),
        fault(
            "the checksum of something else",
            Answer::file().header("x-goog-hash", "crc32c=AAAAAA=="),
            DIGEST,
        ),
        // Redirects.
        fault("a redirect to nowhere", Answer::status(302), REDIRECT_OR_STATUS),
        fault("a redirect to a file", Answer::redirect(302, "file:///etc/passwd"), REDIRECT),
        fault("a redirect to ftp", Answer::redirect(307, "ftp://127.0.0.1/x"), REDIRECT),
        fault("a redirect to data", Answer::redirect(302, "data:text/plain,x"), REDIRECT),
        fault(
            "a redirect to metadata",
            Answer::redirect(302, "http://169.254.169.254/x"),
            REDIRECT,
        ),
        fault("a redirect to itself", Answer::redirect(301, "?"), REDIRECT),
        fault("a redirect that cannot be read", Answer::redirect(302, "http://[::1"), REDIRECT),
        fault("several choices", Answer::status(300), REDIRECT_OR_STATUS),
        // Lies about the length only show against a pin.
        fault("other bytes", Answer::status(200).body(body), OTHER),
    ];
    for status in [
        400, 401, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 416, 417, 418, 421,
        422, 423, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 507, 508, 511, 520,
        599,
    ] {
        faults.push(fault("a status", Answer::status(status), STATUS));
    }
    faults
}

const BROKEN_OR_PIN: &[&str] =
    &["protocol", "truncated", "connect", "too_large", "checksum_mismatch", "unexpected_content"];
const PARTIAL: &[&str] = &["protocol", "http_status"];
const REDIRECT_OR_STATUS: &[&str] = &["redirect", "http_status"];
/// Without a pin, other bytes count as the upstream content.
const OTHER: &[&str] = &["checksum_mismatch", ""];
const REPR: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
const MD5: &str = "1B2M2Y8AsgTpgAmY7PhCfg==";

fn part(range: &str, body: &str) -> Answer {
    Answer::status(206).header("Content-Range", range).body(body)
}

fn whole_but_a_part() -> Answer {
    Answer::status(200).header("Content-Range", "bytes 5-9/10").body("56789")
}

fn multipart() -> Answer {
    Answer::status(206)
        .header("Content-Type", "multipart/byteranges; boundary=x")
        .body("--x\r\nContent-Range: bytes 0-2/20000\r\n\r\nabc\r\n--x--\r\n")
}

fn page() -> Answer {
    Answer::status(200).header("Content-Type", "text/html").body("<html>sign in, please</html>")
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Case {
    /// The file does not exist.
    Fresh,
    /// The beginning of the file was downloaded.
    Begun,
    /// The file exists, and upstream has other bytes.
    Update,
}

fn old(index: usize) -> Vec<u8> {
    content(1000 + index as u64, SIZE)
}

fn new(index: usize) -> Vec<u8> {
    content(index as u64, SIZE)
}

fn path(index: usize) -> String {
    format!("/{index}.bin")
}

struct Table {
    world: World,
    /// A TLS relay in front of the origin, in tests over TLS.
    secured: Option<Secured>,
    faults: Vec<Fault>,
    case: Case,
    is_pinned: bool,
    /// The `stall_timeout`. Too short a value would treat a busy machine as a silent server.
    patience: &'static str,
}

impl Table {
    fn new(faults: Vec<Fault>, case: Case, is_pinned: bool, over_tls: bool) -> Self {
        let world = World::new();
        let secured = over_tls.then(|| Secured::new(world.origin.port()));
        let mut table = Self { world, secured, faults, case, is_pinned, patience: "30s" };
        table.prepare();
        table
    }

    /// Writes the manifest, with pins of these contents if given.
    fn write_manifest(&self, pins: Option<fn(usize) -> Vec<u8>>) {
        let mut text = format!("http: {{retries: 0, stall_timeout: {}, min_rate: 0", self.patience);
        let base = match &self.secured {
            Some(secured) => {
                self.world.write("ca.pem", secured.authority());
                text += ", ca_file: ca.pem";
                secured.base()
            }
            None => self.world.origin.base(),
        };
        text += "}\nsources:\n  - files:\n";
        for index in 0..self.faults.len() {
            let pin = pins
                .map_or(String::new(), |bytes| format!(", sha256: {}", sha256_of(bytes(index))));
            let _ = writeln!(text, "      - {{url: \"{base}{}\"{pin}}}", path(index));
        }
        self.world.set_manifest("natsync.yaml", &text);
    }

    /// Prepares the case, still without faults.
    fn prepare(&mut self) {
        let pins = |bytes: fn(usize) -> Vec<u8>| self.is_pinned.then_some(bytes);
        let origin = &self.world.origin;
        let serve = |bytes: fn(usize) -> Vec<u8>| {
            for index in 0..self.faults.len() {
                origin.serve(&path(index), bytes(index));
            }
        };
        match self.case {
            Case::Fresh => serve(new),
            Case::Begun => {
                serve(new);
                self.write_manifest(pins(new));
                origin.everywhere(Answer::file().cut_at(MIDDLE));
                self.world.apply().code(1);
                assert_eq!(self.world.partial_files().len(), 2 * self.faults.len());
            }
            Case::Update => {
                serve(old);
                self.write_manifest(pins(old));
                self.world.apply().success();
                serve(new);
            }
        }
        self.write_manifest(pins(new));
        origin.behave();
    }

    /// Runs once with all faults, and then once without faults.
    fn check(mut self) {
        for (index, fault) in self.faults.iter().enumerate() {
            self.world.origin.always(&path(index), fault.answer.clone());
        }
        let run = self.world.apply();
        let files = self.world.files("out");
        for (index, fault) in self.faults.iter().enumerate() {
            self.check_one(index, fault, &run, &files);
        }
        self.world.origin.behave();
        self.patience = "30s";
        self.write_manifest(self.is_pinned.then_some(new));
        let healed = self.world.apply();
        assert_eq!(healed.status, 0, "{:?}: {}", self.case, healed.output());
        for index in 0..self.faults.len() {
            let name = self.faults[index].name;
            let got = self.world.read(&format!("out{}", path(index)));
            assert!(got == new(index), "{:?}, {name}: not put right", self.case);
        }
        assert_eq!(self.world.partial_files(), [""; 0]);
    }

    fn check_one(&self, index: usize, fault: &Fault, run: &Run, files: &BTreeMap<String, Vec<u8>>) {
        let Self { case, is_pinned, .. } = self;
        let which = format!(
            "{case:?}, pinned: {is_pinned}, tls: {}: {} ({index})",
            self.secured.is_some(),
            fault.name
        );
        let path = path(index);
        let result = run.result(&path[1..]);
        let file = files.get(&path[1..]);
        if result["outcome"] == "failed" {
            let kind = result["error"]["kind"].as_str().unwrap();
            assert!(fault.kinds.contains(&kind), "{which}: {result}");
            assert_eq!(
                file.cloned(),
                (*case == Case::Update).then(|| old(index)),
                "{which}: the file"
            );
            assert!(!result["error"]["message"].as_str().unwrap().is_empty());
        } else {
            let harmless = fault.kinds.is_empty() || !is_pinned && fault.kinds.contains(&"");
            // Some faults have no effect in some cases; then the bytes must be right.
            let bytes = file.unwrap_or_else(|| panic!("{which}: {result}"));
            // A 304 to a conditional request is legitimate, and the old file stays.
            let believed = fault.name == "not modified" && *case == Case::Update && !is_pinned;
            let right = *bytes == new(index) || believed && *bytes == old(index);
            assert!(harmless || right, "{which}: {result}");
        }
    }
}

#[test]
fn there_are_enough_of_them() {
    assert!(60 <= answers().len(), "{}", answers().len());
}

fn with_and_without_pins(case: Case, over_tls: bool) {
    side_by_side([false, true], |is_pinned| {
        Table::new(answers(), case, is_pinned, over_tls).check();
    });
}

#[test]
fn on_a_fresh_file() {
    with_and_without_pins(Case::Fresh, false);
}

#[test]
fn on_the_rest_of_a_file() {
    with_and_without_pins(Case::Begun, false);
}

#[test]
fn on_an_update() {
    with_and_without_pins(Case::Update, false);
}

#[test]
fn over_tls() {
    side_by_side([Case::Fresh, Case::Begun, Case::Update], |case| {
        with_and_without_pins(case, true);
    });
}

/// Faults of a silent origin. Each has its own world, because natsync gives up such an origin.
#[test]
fn of_an_origin_that_does_not_answer() {
    let faults: [fn() -> Fault; 5] = [
        || fault("closed before the head", Answer::close(), BROKEN),
        || {
            fault(
                "silence before the head",
                Answer::raw("").delay(std::time::Duration::from_secs(5)),
                SILENT,
            )
        },
        || fault("silence before the body", Answer::file().stall_at(0), SILENT),
        || fault("silence in the body", Answer::file().stall_at(5000), SILENT),
        || fault("silence at the end", Answer::file().stall_at(10_999), SILENT),
    ];
    side_by_side(faults, |one| {
        for case in [Case::Fresh, Case::Begun, Case::Update] {
            for is_pinned in [false, true] {
                let mut table = Table::new(vec![one()], case, is_pinned, false);
                table.patience = "700ms";
                table.write_manifest(is_pinned.then_some(new));
                table.check();
            }
        }
    });
}

/// All kinds of failures.
const KINDS: &[&str] = &[
    "protocol",
    "http_status",
    "redirect",
    "checksum_mismatch",
    "unexpected_content",
    "too_large",
    "truncated",
    "connect",
    "stalled",
    "timeout",
    "no_space",
];

impl Dice {
    fn one_of<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    /// A random combination of valid and invalid parts of an answer.
    fn answer(&mut self, right: &[u8]) -> Answer {
        const FIELDS: &[(&str, &[&str])] = &[
            (
                "Content-Length",
                &["20000", "0", "19999", "20001", "-1", "x", "18446744073709551615"],
            ),
            ("Transfer-Encoding", &["chunked", "gzip", "chunked, chunked", "identity"]),
            (
                "Content-Range",
                &[
                    "bytes 0-19999/20000",
                    "bytes 9000-19999/20000",
                    "bytes */20000",
                    "bytes 1-0/1",
                    "?",
                ],
            ),
            ("Content-Encoding", &["gzip", "identity", "", "br, br"]),
            ("Content-Type", &["text/html", "multipart/byteranges; boundary=x", "", "a/b"]),
            ("ETag", &["\"v1-20000\"", "\"v2-20000\"", "W/\"a\"", "a", "\"\""]),
            (
                "Last-Modified",
                &["Mon, 17 Aug 2009 12:00:00 GMT", "never", "Fri, 31 Dec 9999 23:59:59 GMT"],
            ),
            ("Date", &["Mon, 17 Aug 2009 12:00:00 GMT", "0"]),
            ("Retry-After", &["0", "-1", "99999999999999999999", "x"]),
            ("Location", &["?", "file:///", "//", "http://[", ""]),
            ("Accept-Ranges", &["bytes", "none"]),
            ("Repr-Digest", &["sha-256=:AAAA:", "x", REPR]),
            ("Connection", &["close", "keep-alive", "upgrade"]),
        ];
        const STATUSES: &[&str] = &[
            "200", "200", "200", "200", "206", "206", "304", "204", "416", "412", "302", "404",
            "500", "503", "100", "101", "199", "299", "600", "000",
        ];
        let mut head = format!("HTTP/1.1 {} X\r\n", self.one_of(STATUSES));
        for (name, values) in FIELDS {
            let times = [0, 0, 0, 1, 1, 2][self.roll(6)];
            for _ in 0..times {
                let _ = write!(head, "{name}: {}\r\n", self.one_of(values));
            }
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        match self.roll(6) {
            0 => bytes.extend_from_slice(right),
            1 => bytes.extend_from_slice(&right[9000..]),
            2 => bytes.extend_from_slice(b"4e20\r\n"),
            3 => bytes.extend_from_slice(b"0\r\n\r\n"),
            4 => {
                let length = self.roll(30_000);
                bytes.resize(bytes.len() + length, b'x');
            }
            _ => {}
        }
        if self.roll(4) == 0 {
            let length = self.roll(bytes.len());
            bytes.truncate(length);
        }
        Answer::raw(bytes)
    }
}

#[test]
fn whatever_comes_a_pinned_path_holds_old_or_new_bytes() {
    let cases = [(1, Case::Fresh), (2, Case::Begun), (3, Case::Update), (4, Case::Begun)];
    side_by_side(cases, |(seed, case)| {
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ seed);
        let any = |index| fault("anything", dice.answer(&new(index)), KINDS);
        let faults: Vec<_> = (0..150).map(any).collect();
        Table::new(faults, case, true, false).check();
    });
}
