//! Checksum lists and sidecars, in the places where publishers put them.

use std::fmt::Write as _;
use std::process::Command;

use md5::Digest as _;

use crate::origin::Answer;
use crate::world::{World, hex, numbered, sha256_of};

/// A list of such files, as `sha256sum` writes it.
fn sums(files: &[(&str, &str)]) -> String {
    let lines: Vec<_> =
        files.iter().map(|(name, content)| format!("{}  {name}\n", sha256_of(content))).collect();
    lines.concat()
}

/// The list of the three files, with the digest of `second` for the second.
fn sums_of_three(second: &str) -> String {
    sums(&[("1.txt", &numbered(1)), ("2.txt", second), ("3.txt", &numbered(3))])
}

/// `/d/1.txt` to `/d/3.txt` with their list at `/d/SHA256SUMS`.
fn listed(settings: &[&str]) -> World {
    let world = World::new();
    for n in 1..=3 {
        world.origin.serve(&format!("/d/{n}.txt"), numbered(n));
    }
    world.origin.serve("/d/SHA256SUMS", sums_of_three(&numbered(2)));
    let mut lines = vec!["vars: {n: 1..3}", "checksums: {url: $BASE/d/SHA256SUMS}"];
    lines.extend(settings);
    world.source("$BASE/d/{n}.txt", &lines)
}

fn sidecars(optional: bool) -> World {
    let world = World::new();
    for n in 1..=3 {
        let content = numbered(n);
        world
            .origin
            .serve(&format!("/{n}.txt.sha256"), format!("{}  {n}.txt\n", sha256_of(&content)));
        world.origin.serve(&format!("/{n}.txt"), content);
    }
    let sidecar = format!("checksums: {{sidecar: \"{{+url}}.sha256\", optional: {optional}}}");
    world.source("$BASE/{n}.txt", &["vars: {n: 1..3}", &sidecar])
}

#[test]
fn a_list_is_asked_for_once_and_files_not_again() {
    let world = listed(&[]);
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
    assert_eq!(world.origin.requests().len(), 4);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&["GET /d/SHA256SUMS"]);
    let request = &world.origin.requests()[0];
    assert!(request.header("if-none-match").is_some(), "on condition");
    assert_eq!(request.status, 304);
}

#[test]
fn a_new_list_replaces_files_that_differ() {
    let world = listed(&[]);
    world.apply().success();
    world.origin.serve("/d/2.txt", "new\n");
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3", "the list decides");
    world.origin.serve("/d/SHA256SUMS", sums_of_three("new\n"));
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, updated 1, kept 2");
    world.origin.assert_requests(&["GET /d/SHA256SUMS", "GET /d/2.txt"]);
}

#[test]
fn a_plan_uses_the_list_of_the_last_run_and_reports_a_missing_one() {
    let world = listed(&[]);
    let run = world.run(["plan"]).success();
    assert!(run.stderr.contains("checksum lists that no run has fetched yet"), "{}", run.output());
    world.apply().success();
    world.write("out/1.txt", "edited");
    world.origin.forget();
    let run = world.plan().success();
    assert_eq!(run.decision("1.txt").1, "digest_differs");
    assert_eq!(run.stderr, "");
    world.run(["verify"]).code(1);
    world.origin.assert_requests(&[]);
}

#[test]
fn a_sidecar_is_asked_for_beside_each_file() {
    let world = sidecars(false);
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
    assert_eq!(world.origin.requests().len(), 6);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&["GET /1.txt.sha256", "GET /2.txt.sha256", "GET /3.txt.sha256"]);
    assert_eq!(world.origin.bytes_sent(), 0);
}

#[test]
fn a_sidecar_may_have_any_name_in_it() {
    let world = sidecars(false);
    let digest = sha256_of(numbered(2));
    for text in [
        format!("{digest}\n"),
        format!("{digest}  /home/build/artefact.txt\n"),
        format!("SHA256 (x/2.txt) = {}\n", digest.to_uppercase()),
    ] {
        world.origin.serve("/2.txt.sha256", text.clone());
        assert_eq!(world.apply().success().summary()["failed"], 0, "{text}");
    }
}

#[test]
fn a_missing_sidecar_is_an_error_unless_it_is_optional() {
    let world = sidecars(false);
    world.origin.remove("/2.txt.sha256");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, downloaded 2, failed 1");
    assert_eq!(run.failure("2.txt").0, "unlisted");
    assert_eq!(world.origin.count("/2.txt"), 0, "a request for an unlisted file");

    let world = sidecars(true);
    world.origin.remove("/2.txt.sha256");
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 1, kept 2");
}

#[test]
fn an_unlisted_file_is_an_error_unless_the_list_is_optional() {
    let list = format!("{}  1.txt\n", sha256_of(numbered(1)));
    let world = listed(&[]);
    world.origin.serve("/d/SHA256SUMS", list.clone());
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, downloaded 1, failed 2");
    assert_eq!(run.failure("2.txt").0, "unlisted");

    let world = listed(&[]);
    world.origin.serve("/d/SHA256SUMS", list);
    let world = world.source(
        "$BASE/d/{n}.txt",
        &["vars: {n: 1..3}", "checksums: {url: $BASE/d/SHA256SUMS, optional: true}"],
    );
    assert_eq!(world.apply().success().counts(), "entries 3, downloaded 3");
}

#[test]
fn a_text_that_is_not_a_list_fails_only_its_source() {
    let page = "<!doctype html><title>Please log in</title>";
    for (answer, word) in [
        (Answer::status(200).body(page), "web page"),
        (Answer::status(200).body(""), "it is empty"),
        (Answer::status(200).body(b"\0\x01\x02".as_slice()), "binary file"),
        (Answer::status(200).body("abc  1.txt\n"), "line 1:"),
        (Answer::status(404), "no such file (404)"),
        (Answer::status(403), "403"),
        (Answer::file().cut_at(5), "5 of"),
    ] {
        let world = listed(&[]);
        world.origin.serve("/x.txt", "x");
        let manifest = String::from_utf8(world.read("natsync.yaml")).unwrap();
        world
            .write("natsync.yaml", manifest + &format!("  - url: {}/x.txt\n", world.origin.base()));
        world.write("out/2.txt", numbered(2));
        world.origin.always("/d/SHA256SUMS", answer);
        let run = world.run(["apply", "--json", "--retries", "0"]).code(1);
        assert_eq!(run.counts(), "entries 4, downloaded 1, failed 3", "{word}\n{}", run.output());
        let (_, message) = run.failure("1.txt");
        assert!(message.contains("/d/SHA256SUMS cannot be used: "), "{message}");
        assert!(message.contains(word), "{word} in {message}");
        assert_eq!(world.origin.count("/d/1.txt"), 0);
        assert_eq!(world.names(), ["2.txt", "x.txt"], "what is there stays");
    }
}

#[test]
fn a_list_in_a_file_is_read_with_the_manifest() {
    let list = sums_of_three(&numbered(2));
    let world = World::new()
        .serve_numbered(3)
        .source("$BASE/{n}.txt", &["vars: {n: 1..3}", "checksums: {file: sums/SHA256SUMS}"]);
    world.write("sums/SHA256SUMS", &list);
    world.apply().success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);

    world.write("sums/SHA256SUMS", list.replace("3.txt", "4.txt"));
    assert_eq!(world.apply().code(1).failure("3.txt").0, "unlisted");
    world.write("sums/SHA256SUMS", list.replacen("  2.txt", "  1.txt", 1));
    let run = world.run(["apply"]).code(2);
    assert!(run.stderr.contains("`sums/SHA256SUMS` cannot be used: line 2:"), "{}", run.output());
}

#[test]
fn lists_from_sha256sum_with_odd_names_are_read() {
    let world = World::new();
    let names = ["a b.bin", "(x) = y", "*star", "b\u{fc}cher.txt"];
    let mut files = String::new();
    for name in names {
        world.write(&format!("made/{name}"), format!("content of {name}"));
        let encoded = name.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
        world.origin.serve(&format!("/{encoded}"), format!("content of {name}"));
        let _ = writeln!(files, "      - {{url: $BASE/{encoded}, path: '{name}'}}");
    }
    for args in [&[][..], &["--tag"], &["--binary"]] {
        let output = Command::new("sha256sum")
            .args(args)
            .args(names)
            .current_dir(world.path("made"))
            .output()
            .unwrap();
        world.write("SUMS", output.stdout);
        world.set_manifest(
            "natsync.yaml",
            &format!(
                "portable: false\nsources:\n  - checksums: {{file: SUMS}}\n    files:\n{files}"
            ),
        );
        let _ = std::fs::remove_dir_all(world.path("out"));
        assert_eq!(world.apply().success().counts(), "entries 4, downloaded 4", "{args:?}");
    }
}

#[test]
fn a_pattern_reads_other_text_formats() {
    let world = World::new();
    let md5 = "900150983cd24fb0d6963f7d28e17f72";
    world.origin.serve("/a.zip", "abc");
    world.origin.serve("/a.zip.meta", format!("size: 3\nmd5: {md5}\nsource: x\n"));
    let world = world.source(
        "$BASE/a.zip",
        &["checksums: {sidecar: '{+url}.meta', pattern: '^md5: (?<digest>\\S+)'}"],
    );
    world.apply().success();
    world.origin.serve("/a.zip", "abd");
    world.delete("out/a.zip");
    let (kind, message) = world.apply().code(1).failure("a.zip");
    assert_eq!(kind, "checksum_mismatch");
    assert!(message.contains("the checksum list says md5:"), "{message}");
}

#[test]
fn wrong_bytes_for_a_listed_file_fail_and_the_list_is_read_once_more() {
    let world = listed(&[]);
    world.origin.serve("/d/2.txt", "FILE 2\n");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, downloaded 2, failed 1");
    assert_eq!(run.failure("2.txt").0, "checksum_mismatch");
    assert_eq!(world.origin.count("/d/SHA256SUMS"), 2);
    assert_eq!(world.origin.count("/d/2.txt"), 2);
    let last = world.origin.requests_for("/d/SHA256SUMS").pop().unwrap();
    assert_eq!(last.header("if-none-match"), None);
    assert_eq!(last.header("cache-control"), Some("no-cache"));
}

#[test]
fn a_list_that_changed_meanwhile_gives_another_attempt() {
    let world = listed(&[]);
    world.origin.serve("/d/2.txt", "new\n");
    let stale = sums_of_three(&numbered(2));
    world.origin.attempts("/d/SHA256SUMS", [Answer::status(200).body(stale)]);
    world.origin.serve("/d/SHA256SUMS", sums_of_three("new\n"));
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 3, downloaded 3");
    assert_eq!(world.read("out/2.txt"), b"new\n");
    assert_eq!(world.origin.count("/d/SHA256SUMS"), 2);
}

#[test]
fn with_a_lock_no_list_is_requested() {
    let world = listed(&[]);
    world.run(["lock"]).success();
    let lock = String::from_utf8(world.read("natsync.lock")).unwrap();
    assert_eq!(lock.matches("\"digest_from\":\"publisher\"").count(), 3);
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    std::fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    world.origin.assert_requests(&[]);
}

#[test]
fn offline_the_lists_of_the_last_run_hold() {
    let world = listed(&[]);
    world.apply().success();
    world.write("out/1.txt", "edited");
    world.origin.forget();
    let run = world.run(["apply", "--json", "--offline"]).code(1);
    assert_eq!(run.counts(), "entries 3, kept 2, failed 1");
    assert_eq!(run.failure("1.txt").0, "offline");
    world.origin.assert_requests(&[]);
}

#[test]
fn names_in_folders_are_told_apart() {
    let world = World::new();
    let mut list = String::new();
    for folder in ["a", "b"] {
        world.origin.serve(&format!("/r/{folder}/x.bin"), format!("in {folder}"));
        let _ = writeln!(list, "{}  ./{folder}/x.bin", sha256_of(format!("in {folder}")));
    }
    world.origin.serve("/r/SHA256SUMS", list);
    let world = world.source(
        "$BASE/r/{f}/x.bin",
        &["vars: {f: [a, b]}", "path: '{f}.bin'", "checksums: {url: $BASE/r/SHA256SUMS}"],
    );
    world.apply().success();
    world.assert_files(&[("a.bin", "in a"), ("b.bin", "in b")]);
    // The last component matches two listed names with different digests.
    let list = "checksums: {url: $BASE/r/SHA256SUMS, match: name}";
    let world = world.source("$BASE/q/x.bin", &[list]);
    let (kind, message) = world.apply().code(1).failure("x.bin");
    assert_eq!(kind, "unlisted");
    assert!(message.contains("several files of this name"), "{message}");
}

#[test]
fn headers_of_the_source_reach_a_list_only_at_its_own_origin() {
    let elsewhere = crate::origin::Origin::new();
    let world = listed(&["headers: {X-Token: s3cret}"]);
    world.apply().success();
    assert!(world.origin.requests().iter().all(|request| request.header("x-token").is_some()));
    elsewhere.serve("/SUMS", sums_of_three(&numbered(2)));
    let world = world.source(
        "$BASE/d/{n}.txt",
        &[
            "vars: {n: 1..3}",
            "headers: {X-Token: s3cret}",
            &format!("checksums: {{url: {}/SUMS}}", elsewhere.base()),
        ],
    );
    world.apply().success();
    assert_eq!(elsewhere.requests()[0].header("x-token"), None);
}

#[test]
fn an_invalid_list_does_not_replace_the_kept_one() {
    let world = listed(&[]);
    world.apply().success();
    world.origin.always("/d/SHA256SUMS", Answer::status(200).body("<html>"));
    assert_eq!(world.apply().code(1).counts(), "entries 3, failed 3");
    world.origin.behave();
    world.origin.forget();
    let run = world.run(["apply", "--json", "--offline"]).success();
    assert_eq!(run.counts(), "entries 3, kept 3");
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    assert_eq!(world.origin.requests()[0].status, 304);
}

#[test]
fn sources_read_the_same_list_by_their_own_rules() {
    let world = World::new();
    world.origin.serve("/1.txt", numbered(1));
    world.origin.serve("/2.txt", numbered(2));
    // The list has lines `NAME=MD5`, for which only one of the sources has a `pattern`.
    let md5 = |content: &str| hex(&md5::Md5::digest(content));
    world
        .origin
        .serve("/SUMS", format!("1.txt={}\n2.txt={}\n", md5(&numbered(1)), md5(&numbered(2))));
    let world = world.manifest(
        "sources:
  - {name: plain, url: $BASE/1.txt, checksums: {url: $BASE/SUMS}}
  - name: matched
    url: $BASE/2.txt
    checksums: {url: $BASE/SUMS, pattern: '^(?<name>[^=]+)=(?<digest>\\w+)$', algorithm: md5}
",
    );
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 2, downloaded 1, failed 1");
    assert_eq!(run.failure("1.txt").0, "unexpected_content");
    assert_eq!(run.result("2.txt")["outcome"], "downloaded");
}

#[test]
fn a_file_without_its_sidecar_is_absent_or_unlisted() {
    let world = World::new();
    for n in [1, 3] {
        world.origin.serve(&format!("/{n}.txt"), numbered(n));
    }
    world.origin.serve("/1.txt.sha256", sha256_of(numbered(1)));
    let world = world.source(
        "$BASE/{n}.txt",
        &["vars: {n: 1..3}", "on_missing: skip", "checksums: {sidecar: \"{+url}.sha256\"}"],
    );
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, downloaded 1, absent 1, failed 1");
    assert_eq!(
        (run.outcomes()["2.txt"].as_str(), run.failure("3.txt").0.as_str()),
        ("absent", "unlisted")
    );
    assert_eq!(world.names(), ["1.txt"]);
    // The file itself was not downloaded.
    assert_eq!(world.origin.requests_for("/3.txt").iter().filter(|r| r.method == "GET").count(), 0);
}

#[test]
fn a_list_that_drips_is_given_up_and_a_limit_holds_for_it() {
    let world = listed(&[]);
    let long = format!("{}{}", sums_of_three(&numbered(2)), "# padding\n".repeat(20_000));
    world.origin.serve("/d/SHA256SUMS", long);
    let run = world.run(["apply", "--json", "--limit-rate", "100k"]).success();
    assert!(1.5 < run.elapsed.as_secs_f32(), "200 kB at 100 kB/s in {:?}", run.elapsed);
}

#[test]
fn a_list_that_cannot_be_stored_is_not_used() {
    let world = listed(&[]);
    world.apply().success();
    let state = rusqlite::Connection::open(world.state()).unwrap();
    state
        .execute_batch(
            "DELETE FROM lists; CREATE TRIGGER t BEFORE INSERT ON lists BEGIN SELECT RAISE(IGNORE); END",
        )
        .unwrap();
    drop(state);
    world.write("out/1.txt", "edited");
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 3, failed 3");
    assert!(run.failure("1.txt").1.contains("could not be stored"), "{}", run.output());
    assert_eq!(world.read("out/1.txt"), b"edited");
}

#[test]
fn a_dispute_has_one_outcome_also_where_the_run_ends_early() {
    let world = listed(&["mirrors: []"]);
    world.origin.serve("/d/2.txt", "disputed\n");
    world.origin.always("/d/3.txt", Answer::status(403));
    for _ in 0..3 {
        let run = world.run(["apply", "--json", "--fail-fast", "-j", "1"]).code(1);
        // `counts` checks that the outcomes sum to the number of entries.
        run.counts();
        let mut paths: Vec<_> =
            run.results().iter().map(|line| line["path"].as_str().unwrap().to_owned()).collect();
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), run.results().len(), "{}", run.output());
    }
}

#[test]
fn a_list_of_another_algorithm_is_refused_by_its_name() {
    let digest = format!("{}{}", sha256_of("a"), sha256_of("b"));
    for (list, line, word) in [
        ("B2SUMS", format!("{digest}  1.txt\n"), "BLAKE2"),
        ("1.txt.b2", format!("{digest}\n"), "BLAKE2"),
        ("1.txt.blake2b", format!("{}\n", sha256_of("a")), "BLAKE2"),
        ("sha3-512sums.txt", format!("{digest}  1.txt\n"), "SHA-3"),
        ("1.txt.rmd160", format!("{}  1.txt\n", &digest[..40]), "RIPEMD"),
        ("sums.txt", format!("BLAKE2b (1.txt) = {digest}\n"), "BLAKE2b"),
        ("sums.txt", format!("blake2b:{digest}  1.txt\n"), "blake2b"),
    ] {
        let world = World::new().serve_numbered(1);
        world.origin.serve(&format!("/{list}"), line.clone());
        let checksums = format!("checksums: {{url: $BASE/{list}}}");
        let world = world.source("$BASE/1.txt", &[&checksums]);
        let (kind, message) = world.apply().code(1).failure("1.txt");
        assert_eq!(kind, "unexpected_content", "{list} {message}");
        assert!(message.contains(word), "{list} {message}");
        world.write(list, line);
        let world = world.source("$BASE/1.txt", &[&format!("checksums: {{file: {list}}}")]);
        let run = world.apply().code(2);
        assert!(run.stderr.contains(word), "{}", run.output());
    }
    // BLAKE3 can be checked, and its lists are known by their name.
    let world = World::new().serve_numbered(1);
    let digest = blake3::hash(numbered(1).as_bytes()).to_hex();
    world.origin.serve("/B3SUMS", format!("{digest}  1.txt\n"));
    let world = world.source("$BASE/1.txt", &["checksums: {url: $BASE/B3SUMS}"]);
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    // The manifest knows better than the name.
    let world = world.source("$BASE/1.txt", &["checksums: {url: $BASE/x.b2, algorithm: sha256}"]);
    world.origin.serve("/x.b2", format!("{}\n", sha256_of(numbered(1))));
    assert_eq!(world.apply().success().summary()["failed"], 0);
}

#[test]
fn a_list_that_cannot_be_read_shows_the_line_and_the_way_out() {
    let world = World::new().serve_numbered(1);
    world.origin.serve("/SUMS", format!("{}  1.txt\nPlease log in first\n", sha256_of("x")));
    let world = world.source("$BASE/1.txt", &["checksums: {url: $BASE/SUMS}"]);
    let run = world.run(["apply"]).code(1);
    for word in ["line 2", "`Please log in first`", "`DIGEST  NAME`", "pattern"] {
        assert!(run.stderr.contains(word), "{word}: {}", run.output());
    }
}

#[test]
fn optional_lists_are_missing_by_the_rules_of_the_source() {
    // A bucket that may not be listed answers 403 where it has no such object.
    for place in
        ["sidecar: \"{+url}.sha256\", optional: true", "url: $BASE/SHA256SUMS, optional: true"]
    {
        let world = World::new().serve_numbered(2);
        for list in ["/1.txt.sha256", "/2.txt.sha256", "/SHA256SUMS"] {
            world.origin.always(list, Answer::status(403));
        }
        let checksums = format!("checksums: {{{place}}}");
        let lines = ["vars: {n: 1..2}", &checksums, "missing_when: {status: [403, 404]}"];
        let world = world.source("$BASE/{n}.txt", &lines);
        assert_eq!(world.apply().success().counts(), "entries 2, downloaded 2", "{place}");
        let lines = ["vars: {n: 1..2}", &checksums];
        let world = world.source("$BASE/{n}.txt", &lines);
        assert_eq!(world.apply().code(1).summary()["failed"], 2, "403 is not missing by default");
    }
    // By its content type, and where the file may be missing too.
    let world = World::new().serve_numbered(1);
    let page = || Answer::status(200).header("Content-Type", "text/html").body("<h1>no</h1>");
    world.origin.always("/1.txt.sha256", page());
    world.origin.always("/2.txt.sha256", Answer::status(403));
    world.origin.always("/2.txt", Answer::status(403));
    let world = world.source(
        "$BASE/{n}.txt",
        &[
            "vars: {n: 1..2}",
            "on_missing: skip",
            "missing_when: {status: 403, content_type: text/html}",
            "checksums: {sidecar: \"{+url}.sha256\"}",
        ],
    );
    let run = world.apply().code(1);
    assert_eq!(run.counts(), "entries 2, absent 1, failed 1");
    assert_eq!(run.failure("1.txt").0, "unlisted");
}

#[test]
fn an_optional_list_that_is_refused_once_on_condition_is_asked_plainly() {
    let list = "checksums: {url: $BASE/d/SHA256SUMS, optional: true}";
    let world = listed(&[]).source("$BASE/d/{n}.txt", &["vars: {n: 1..3}", list]);
    world.apply().success();
    world.origin.decide(|request| {
        let refused =
            request.path() == "/d/SHA256SUMS" && request.header("if-none-match").is_some();
        refused.then(|| Answer::status(404))
    });
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, kept 3");
    assert_eq!(world.origin.count("/d/SHA256SUMS"), 2);
}
