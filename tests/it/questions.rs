//! Questions and answers (docs/transfer.md): only a plain GET, without `Range` and without
//! conditions, proves what upstream has. Whatever else a server answers to another request leads to
//! one plain GET, which is no retry: all tests run with `retries: 0`.

use std::time::Duration;

use crate::origin::{Answer, Origin, Request};
use crate::world::{World, content};

const SIZE: usize = 5000;
const SETTINGS: &[&str] = &[
    "on_missing: prune",
    "missing_when: {status: [404, 410, 403], content_type: text/html}",
    "http: {retries: 0}",
];

fn old(n: usize) -> Vec<u8> {
    content(1000 + n as u64, SIZE)
}

fn new(n: usize) -> Vec<u8> {
    content(n as u64, SIZE)
}

pub(crate) fn is_plain(request: &Request) -> bool {
    let special = ["range", "if-none-match", "if-modified-since"];
    request.method == "GET" && special.iter().all(|name| request.header(name).is_none())
}

/// Answers that are not one of the right ones to a HEAD, a condition, or a range.
fn odd_answers() -> Vec<(String, Answer)> {
    let part = |range: &str| Answer::status(206).header("Content-Range", range).body("01234");
    let page = Answer::status(200).header("Content-Type", "text/html").body("<html>gone</html>");
    let mut answers = vec![
        ("304, another tag", Answer::status(304).header("ETag", "\"other\"")),
        (
            "304, another date",
            Answer::status(304).header("Last-Modified", "Mon, 17 Aug 1998 12:00:00 GMT"),
        ),
        ("a part", part("bytes 1-5/5000")),
        ("a part of another file", part("bytes 2500-2504/9000")),
        ("parts", Answer::status(206).header("Content-Type", "multipart/byteranges; boundary=x")),
        (
            "a part in a 200",
            Answer::status(200).header("Content-Range", "bytes 5-9/5000").body("56789"),
        ),
        ("a page that counts as missing", page),
        ("a redirect to nowhere", Answer::status(302)),
        ("a redirect to itself", Answer::redirect(302, "?")),
        ("a coding", Answer::file().gzip_label()),
        ("two lengths", Answer::file().content_lengths(&["5000", "1"])),
        ("the end of the connection", Answer::close()),
        ("no HTTP", Answer::raw("SSH-2.0-OpenSSH_9.9\r\n")),
        ("an immediate pause", Answer::status(503).retry_after("0")),
        ("a pause beyond all patience", Answer::status(429).retry_after("100000")),
    ]
    .into_iter()
    .map(|(name, answer)| (name.to_owned(), answer))
    .collect::<Vec<_>>();
    for status in [
        204, 300, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 414, 416, 417, 421, 425,
        429, 431, 451, 500, 501, 502, 503, 504, 505, 599,
    ] {
        answers.push((status.to_string(), Answer::status(status)));
    }
    answers
}

/// A world with one entry for each odd answer, at `/N.bin`.
struct Table {
    world: World,
    names: Vec<String>,
}

impl Table {
    fn new() -> Self {
        let names: Vec<_> = odd_answers().into_iter().map(|(name, _)| name).collect();
        let vars = format!("vars: {{n: 0..{}}}", names.len() - 1);
        let world = World::new().source("$BASE/{n}.bin", &[&[vars.as_str()], SETTINGS].concat());
        Self { world, names }
    }

    fn serve(&self, bytes: fn(usize) -> Vec<u8>) {
        for n in 0..self.names.len() {
            self.world.origin.serve(&format!("/{n}.bin"), bytes(n));
        }
    }

    /// From now on, each request that is no plain GET gets its odd answer.
    fn turn_odd(&self) {
        let answers = odd_answers();
        self.world.origin.forget();
        self.world.origin.decide(move |request| {
            let n: usize = request.path().trim_matches('/').split('.').next()?.parse().ok()?;
            (!is_plain(request)).then(|| answers[n].1.clone())
        });
    }

    /// Each entry was asked about by at most one other request and one plain GET, which came last.
    fn assert_few_requests(&self) {
        for (n, name) in self.names.iter().enumerate() {
            let requests = self.world.origin.requests_for(&format!("/{n}.bin"));
            let asked = requests.iter().filter(|request| request.target.find('?').is_none());
            let plain: Vec<_> = asked.map(is_plain).collect();
            // A connection that was idle before it ended says nothing: its request is sent again.
            let is_repeated = ["a redirect to itself", "the end of the connection"];
            let is_repeated = is_repeated.contains(&name.as_str());
            assert!(
                plain.last() == Some(&true)
                    && plain.iter().filter(|plain| **plain).count() == 1
                    && (plain.len() <= 2 || is_repeated),
                "{name}: {plain:?}"
            );
        }
    }

    fn assert_files(&self, what: &str) {
        for (n, name) in self.names.iter().enumerate() {
            let bytes = self.world.read(&format!("out/{n}.bin"));
            assert!(bytes == new(n), "{what}, {name}: not the bytes of the plain GET");
        }
    }

    /// One run, in which plain GETs decide.
    fn assert_plain_gets_decide(self, what: &str, outcome: &str) {
        self.turn_odd();
        let run = self.world.apply();
        for (n, name) in self.names.iter().enumerate() {
            let result = run.result(&format!("{n}.bin"));
            assert_eq!(result["outcome"], outcome, "{what}, {name}: {result}");
        }
        run.success();
        self.assert_files(what);
        self.assert_few_requests();
        assert_eq!(self.world.partial_files(), [""; 0]);
    }

    fn updated(&self) {
        self.serve(old);
        self.world.apply().success();
        self.serve(new);
    }

    /// The beginning of each file is here.
    fn begun(&self) {
        self.serve(new);
        self.world.origin.everywhere(Answer::file().cut_at(2500));
        self.world.apply().code(1);
        assert_eq!(self.world.partial_files().len(), 2 * self.names.len());
        self.world.origin.behave();
    }

    /// Other files stand at all paths, and natsync did not write them.
    fn strange(&self) {
        self.serve(new);
        for n in 0..self.names.len() {
            self.world.write(&format!("out/{n}.bin"), "shorter");
        }
    }
}

#[test]
fn a_conditional_get_without_its_answer_leads_to_a_plain_one() {
    let table = Table::new();
    table.updated();
    table.assert_plain_gets_decide("conditional", "updated");
}

#[test]
fn a_get_of_the_rest_without_its_answer_leads_to_a_plain_one() {
    let table = Table::new();
    table.begun();
    table.assert_plain_gets_decide("rest", "downloaded");
}

#[test]
fn a_head_without_its_answer_leads_to_a_plain_get() {
    let table = Table::new();
    table.strange();
    table.assert_plain_gets_decide("HEAD", "updated");
}

#[test]
fn a_refreshed_plan_follows_the_same_table() {
    let table = Table::new();
    table.strange();
    table.turn_odd();
    let plan = table.world.run(["plan", "--refresh", "--json"]);
    for (n, name) in table.names.iter().enumerate() {
        let decided = plan.decision(&format!("{n}.bin"));
        let expected = ("replace".to_owned(), "size_differs".to_owned());
        assert_eq!(decided, expected, "{name}");
    }
    table.assert_few_requests();
}

#[test]
fn a_plain_get_that_says_missing_is_believed_after_every_other_answer() {
    type Prepare = fn(&Table);
    for prepare in [Table::updated as Prepare, Table::begun, Table::strange] {
        let table = Table::new();
        prepare(&table);
        for n in 0..table.names.len() {
            table.world.origin.remove(&format!("/{n}.bin"));
        }
        table.turn_odd();
        let run = table.world.apply().success();
        assert_eq!(run.summary()["absent"], table.names.len(), "{}", run.output());
        table.assert_few_requests();
    }
}

/// No answer ever proves that the file is gone, so nothing is pruned.
#[test]
fn where_plain_gets_fail_too_the_file_stays() {
    let table = Table::new();
    table.updated();
    table.turn_odd();
    let answers = odd_answers();
    table.world.origin.decide(move |request| {
        let n: usize = request.path().trim_matches('/').split('.').next()?.parse().ok()?;
        Some(if is_plain(request) { Answer::status(500) } else { answers[n].1.clone() })
    });
    let run = table.world.apply().code(1);
    assert_eq!(run.summary()["failed"], table.names.len());
    for n in 0..table.names.len() {
        assert_eq!(table.world.read(&format!("out/{n}.bin")), old(n));
    }
}

#[test]
fn a_file_without_its_sidecar_is_missing_only_by_a_plain_get() {
    let world = World::new().serve("/a.bin", "here").source(
        "$BASE/a.bin",
        &["on_missing: skip", "checksums: {sidecar: \"{+url}.sha256\"}", "http: {retries: 0}"],
    );
    for head in [Answer::status(404), Answer::status(500), Answer::close()] {
        world.origin.behave();
        world.origin.always("HEAD /a.bin", head);
        let run = world.apply().code(1);
        assert_eq!(run.failure("a.bin").0, "unlisted");
    }
}

#[test]
fn a_list_is_missing_only_by_a_plain_get() {
    for odd in [404, 400, 412, 500, 503] {
        let bytes = "listed";
        let list = format!("{}  a.bin\n", crate::world::sha256_of(bytes));
        let world = World::new()
            .serve("/a.bin", bytes)
            .serve("/SHA256SUMS", list.as_str())
            .source("$BASE/a.bin", &["checksums: {url: $BASE/SHA256SUMS}", "http: {retries: 0}"]);
        world.apply().success();
        world.origin.decide(move |request| {
            let is_odd = request.path() == "/SHA256SUMS" && !is_plain(request);
            is_odd.then(|| Answer::status(odd))
        });
        world.origin.forget();
        let run = world.apply().success();
        assert_eq!(run.counts(), "entries 1, kept 1", "{odd}");
        assert_eq!(world.origin.count("/SHA256SUMS"), 2, "{odd}");
    }
}

#[test]
fn a_head_that_hangs_is_followed_by_a_get() {
    let world = World::new()
        .serve("/a.bin", "all of it")
        .source("$BASE/a.bin", &["http: {retries: 0, stall_timeout: 2s}"]);
    world.write("out/a.bin", "shorter");
    world.origin.always("HEAD /a.bin", Answer::file().delay(Duration::from_mins(5)));
    let run = world.apply().success();
    assert_eq!(run.result("a.bin")["attempts"], 2);
    world.assert_files(&[("a.bin", "all of it")]);
    world.origin.assert_requests(&["HEAD /a.bin", "GET /a.bin"]);
}

fn with_a_part(settings: &[&str]) -> World {
    let world = World::new()
        .serve("/a.bin", new(1))
        .source("$BASE/a.bin", &[&["http: {retries: 0}"], settings].concat());
    world.origin.everywhere(Answer::file().cut_at(2500));
    world.apply().code(1);
    world.origin.behave();
    world.origin.forget();
    world
}

#[test]
fn a_part_is_kept_until_the_plain_get_has_succeeded() {
    let failures = [
        Answer::status(503),
        Answer::close(),
        // The shorter of two parts goes.
        Answer::file().cut_at(1500),
    ];
    for failure in failures {
        for refusal in [500, 416] {
            let (world, failure) = (with_a_part(&[]), failure.clone());
            world.origin.decide(move |request| {
                Some(if is_plain(request) { failure.clone() } else { Answer::status(refusal) })
            });
            world.apply().code(1);
            world.origin.behave();
            world.origin.forget();
            world.apply().success();
            assert_eq!(world.read("out/a.bin"), new(1));
            let requests = world.origin.requests();
            assert_eq!(requests.len(), 1);
            assert_eq!(requests[0].header("range"), Some("bytes=2500-"));
            assert_eq!(world.partial_files(), [""; 0]);
        }
    }
}

#[test]
fn a_part_of_the_origin_outlasts_its_mirror() {
    let mirror = Origin::new();
    mirror.always("/a.bin", Answer::status(500));
    let world = with_a_part(&[&format!("mirrors: [\"{}/a.bin\"]", mirror.base())]);
    world.origin.everywhere(Answer::status(503));
    world.apply().code(1);
    world.origin.behave();
    world.origin.forget();
    world.apply().success();
    assert_eq!(world.origin.requests()[0].header("range"), Some("bytes=2500-"));
}

#[test]
fn force_does_not_resume() {
    let world = with_a_part(&[]);
    world.run(["apply", "--force"]).success();
    assert_eq!(world.read("out/a.bin"), new(1));
    assert!(world.origin.requests().iter().all(is_plain), "{:?}", world.origin.requests());
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn a_content_range_of_the_whole_file_is_the_whole_file() {
    for status in [200, 206] {
        let whole =
            || Answer::status(status).header("Content-Range", "bytes 0-4999/5000").body(new(1));
        let fresh = World::new().source("$BASE/a.bin", &["http: {retries: 0}"]);
        fresh.origin.everywhere(whole());
        fresh.apply().success();
        assert_eq!(fresh.read("out/a.bin"), new(1));

        let begun = with_a_part(&[]);
        begun.origin.everywhere(whole());
        begun.apply().success();
        assert_eq!(begun.read("out/a.bin"), new(1));
        assert_eq!(begun.origin.requests().len(), 1);

        let updated =
            World::new().serve("/a.bin", old(1)).source("$BASE/a.bin", &["http: {retries: 0}"]);
        updated.apply().success();
        updated.origin.everywhere(whole());
        updated.apply().success();
        assert_eq!(updated.read("out/a.bin"), new(1));
    }
}

#[test]
fn the_same_strong_tag_and_length_need_no_body() {
    let size = 300_000;
    let world = World::new()
        .serve("/a.bin", content(1, size))
        .source("$BASE/a.bin", &["http: {retries: 0}"]);
    world.apply().success();
    let answer = |tag: &str, bytes: Vec<u8>| Answer::status(200).header("ETag", tag).body(bytes);
    let tag = format!("\"v1-{size}\"");
    world.origin.everywhere(answer(&tag, content(1, size)));
    let run = world.apply().success();
    let result = run.result("a.bin");
    assert_eq!((&result["outcome"], &run.summary()["bytes"]), (&"unchanged".into(), &0.into()));
    // A weak tag, another length and another tag prove nothing.
    for (tag, bytes) in [
        (format!("W/{tag}"), content(1, size)),
        (tag.clone(), content(1, size - 1)),
        ("\"other\"".to_owned(), content(1, size)),
    ] {
        world.origin.everywhere(answer(&tag, bytes.clone()));
        let run = world.apply().success();
        assert_eq!(run.summary()["bytes"], bytes.len(), "{tag}");
        assert_eq!(world.read("out/a.bin"), bytes);
        world.origin.everywhere(answer("\"v1-300000\"", content(1, size)));
        world.apply().success();
    }
}

#[test]
fn a_not_modified_about_a_weak_form_of_the_tag_is_one() {
    let world = World::new().serve("/a.bin", "a").source("$BASE/a.bin", &["http: {retries: 0}"]);
    world.apply().success();
    for tag in ["\"v1-1\"", "W/\"v1-1\""] {
        world.origin.everywhere(Answer::status(304).header("ETag", tag));
        assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    }
}
