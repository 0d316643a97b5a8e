//! Digests from the manifest and from response headers are compared with the bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::origin::{Answer, Origin};
use crate::world::World;

const CONTENT: &str = "abc";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const OTHERS: [(&str, &str); 3] = [
    ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("blake3", "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"),
    (
        "sha512",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
];

fn pinned(settings: &[&str]) -> World {
    World::new().serve("/a.txt", CONTENT).source("$BASE/a.txt", settings)
}

#[test]
fn a_file_with_its_digest_needs_no_request() {
    let mut all: Vec<_> = OTHERS.to_vec();
    all.extend([("sha256", SHA256), ("md5", MD5)]);
    for (name, digits) in all {
        let world = pinned(&[&format!("{name}: {digits}")]);
        assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1", "{name}");
        world.origin.forget();
        assert_eq!(world.apply().success().counts(), "entries 1, kept 1", "{name}");
        world.origin.assert_requests(&[]);
        assert_eq!(world.run(["plan", "--json", "-v"]).decision("a.txt").1, "pinned");
    }
}

#[test]
fn upper_case_digests_are_the_same() {
    let world = pinned(&[&format!("sha256: {}", SHA256.to_uppercase())]);
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
}

#[test]
fn every_digest_is_checked() {
    for (name, digits) in OTHERS {
        let wrong = format!("{name}: {}", digits.replace('a', "b"));
        let world = pinned(&[&format!("sha256: {SHA256}"), &wrong]);
        let run = world.apply().code(1);
        let (kind, message) = run.failure("a.txt");
        assert_eq!(kind, "checksum_mismatch", "{name}");
        assert!(message.contains(&digits.replace('a', "b")), "{message}");
        assert!(message.contains(digits) && message.contains("3 bytes"), "{message}");
        assert_eq!(world.names(), [""; 0]);
    }
}

#[test]
fn a_mismatch_is_tried_once_more_past_all_caches() {
    let world = pinned(&[&format!("sha256: {SHA256}")]);
    world.origin.attempts("/a.txt", [Answer::status(200).body("abd")]);
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 1, downloaded 1");
    assert_eq!(run.result("a.txt")["attempts"], 2);
    let caching: Vec<_> = world
        .origin
        .requests()
        .iter()
        .map(|request| request.header("cache-control").map(str::to_owned))
        .collect();
    assert_eq!(caching, [None, Some("no-cache".to_owned())]);
    world.assert_files(&[("a.txt", CONTENT)]);
}

#[test]
fn a_mismatch_that_stays_changes_nothing_on_disk() {
    let world = pinned(&[&format!("md5: {MD5}")]);
    world.apply().success();
    world.write("out/a.txt", "what a person wrote");
    world.origin.always("/a.txt", Answer::status(200).body("<!doctype html><title>Sorry"));
    let run = world.apply().code(1);
    let (kind, message) = run.failure("a.txt");
    assert_eq!(kind, "checksum_mismatch");
    assert!(message.contains("looks like HTML") && message.contains(MD5), "{message}");
    world.assert_files(&[("a.txt", "what a person wrote")]);
    assert_eq!(world.partial_files(), [""; 0]);
    assert_eq!(world.origin.requests().len(), 1 + 2, "one more attempt and no third");
}

#[test]
fn wrong_bytes_send_to_a_mirror_first() {
    let mirror = Origin::new();
    mirror.serve("/a.txt", CONTENT);
    let mirrors = format!("mirrors: [\"{}/{{filename}}\"]", mirror.base());
    let world = pinned(&[&format!("sha256: {SHA256}"), &mirrors]);
    world.origin.always("/a.txt", Answer::status(200).body("abd"));
    assert_eq!(world.apply().success().counts(), "entries 1, downloaded 1");
    assert_eq!((world.origin.count("/a.txt"), mirror.count("/a.txt")), (1, 1));

    // If the mirror has wrong bytes too, all URLs are tried once more.
    mirror.always("/a.txt", Answer::status(200).body("abe"));
    world.delete("out/a.txt");
    let run = world.apply().code(1);
    assert_eq!(run.failure("a.txt").0, "checksum_mismatch");
    assert_eq!((world.origin.count("/a.txt"), mirror.count("/a.txt")), (3, 3));
}

#[test]
fn an_edited_file_with_a_digest_is_replaced() {
    for edit in ["abd", "abcd", ""] {
        let world = pinned(&[&format!("sha256: {SHA256}")]);
        world.apply().success();
        world.write("out/a.txt", edit);
        let (action, reason) = world.plan().decision("a.txt");
        assert_eq!((action.as_str(), reason.as_str()), ("replace", "digest_differs"), "{edit}");
        assert_eq!(world.apply().success().counts(), "entries 1, updated 1");
        world.assert_files(&[("a.txt", CONTENT)]);
    }
}

#[test]
fn a_different_size_is_noticed_without_reading() {
    let world = World::new().serve("/a.txt", CONTENT).manifest(&format!(
        "sources: [{{files: [{{url: $BASE/a.txt, size: 3, sha256: {SHA256}}}]}}]\n"
    ));
    world.write("out/a.txt", "four");
    assert_eq!(world.plan().decision("a.txt").1, "size_differs");
    world.apply().success();
    world.assert_files(&[("a.txt", CONTENT)]);
}

#[test]
fn an_unknown_file_with_the_right_bytes_is_adopted_without_a_request() {
    for digest in [format!("sha256: {SHA256}"), format!("md5: {MD5}")] {
        let world = pinned(&[&digest]);
        world.write("out/a.txt", CONTENT);
        assert_eq!(world.run(["plan", "--json", "-v"]).decision("a.txt").1, "adopted");
        assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
        world.origin.assert_requests(&[]);
        // The apply recorded the file, so that it is no longer adopted.
        assert_eq!(world.run(["plan", "--json", "-v"]).decision("a.txt").1, "pinned");
    }
}

#[test]
fn a_digest_added_later_is_compared_with_the_existing_file() {
    let world = World::new().serve("/a.txt", CONTENT).source("$BASE/a.txt", &[]);
    world.apply().success();
    world.origin.forget();
    let world = world.source("$BASE/a.txt", &[&format!("blake3: {}", OTHERS[1].1)]);
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    let world = world.source("$BASE/a.txt", &[&format!("sha256: {}", "0".repeat(64))]);
    assert_eq!(world.plan().decision("a.txt").1, "digest_differs");
    world.origin.assert_requests(&[]);
}

#[test]
fn single_entries_can_have_their_digest() {
    let world = World::new().serve_numbered(3).serve("/2.txt", CONTENT).source(
        "$BASE/{n}.txt",
        &[
            "vars: {n: 1..3}",
            &format!("overrides: [{{when: {{n: 2}}, sha256: {SHA256}, reason: published apart}}]"),
        ],
    );
    world.apply().success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 3, unchanged 2, kept 1");
    assert_eq!(world.origin.count("/2.txt"), 0);
}

#[test]
fn rehash_finds_silent_corruption() {
    let world = pinned(&[&format!("sha256: {SHA256}")]);
    world.apply().success();
    // Like silent corruption on a disk: the bytes differ, but the recorded stat still matches.
    world.write("out/a.txt", "abd");
    forge_stamp(&world, "a.txt");
    assert_eq!(world.apply().success().counts(), "entries 1, kept 1");
    let run = world.run(["apply", "--json", "--rehash"]).success();
    assert_eq!(run.counts(), "entries 1, updated 1");
    world.assert_files(&[("a.txt", CONTENT)]);
}

/// Changes the state so that the recorded stat of a file matches its current stat.
fn forge_stamp(world: &World, path: &str) {
    // Only an apply records a stamp. So pin and state temporarily get the digest of the new bytes,
    // an apply records the stamp, and the old digest is restored.
    let state = rusqlite::Connection::open(world.state()).unwrap();
    let before: Vec<u8> = state
        .query_row("SELECT sha256 FROM files WHERE path = ?1", [path], |row| row.get(0))
        .unwrap();
    let now = Sha256::digest(world.read(&format!("out/{path}"))).to_vec();
    state.execute("UPDATE files SET sha256 = ?2 WHERE path = ?1", (path, &now)).unwrap();
    drop(state);
    let manifest = String::from_utf8(world.read("natsync.yaml")).unwrap();
    let pin = now.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    world.write("natsync.yaml", manifest.replace(SHA256, &pin));
    world.set_mtime(
        &format!("out/{path}"),
        std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000),
    );
    world.apply().success();
    world.write("natsync.yaml", manifest);
    let state = rusqlite::Connection::open(world.state()).unwrap();
    state.execute("UPDATE files SET sha256 = ?2 WHERE path = ?1", (path, &before)).unwrap();
}

#[test]
fn digests_in_response_headers_are_checked() {
    let right = STANDARD.encode(Sha256::digest(CONTENT));
    let wrong = STANDARD.encode(Sha256::digest("abd"));
    for (field, value) in
        [("Repr-Digest", "sha-256=:$:"), ("Content-Digest", "sha-256=:$:"), ("Digest", "sha-256=$")]
    {
        let world = pinned(&[]);
        let stating = |digest: &str| Answer::file().header(field, &value.replace('$', digest));
        world.origin.always("/a.txt", stating(&right));
        world.apply().success();
        world.delete("out/a.txt");
        world.origin.always("/a.txt", stating(&wrong));
        let (kind, message) = world.apply().code(1).failure("a.txt");
        assert_eq!(kind, "checksum_mismatch", "{field}");
        assert!(message.contains(field), "{message}");
        assert_eq!(world.names(), [""; 0]);
    }
    let world = pinned(&[]);
    world.origin.always("/a.txt", Answer::file().header("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="));
    assert_eq!(world.apply().code(1).failure("a.txt").0, "checksum_mismatch");
    let goog = Answer::file().header("x-goog-hash", "crc32c=AAAAAA==");
    world.origin.always("/a.txt", goog);
    assert_eq!(world.apply().code(1).failure("a.txt").0, "checksum_mismatch");
    world.origin.always("/a.txt", Answer::file().header("x-goog-hash", "crc32c=Nks/tw=="));
    world.apply().success();
}

/// `(field, value)` of digests of other bytes.
const STALE: &[(&str, &str)] = &[
    ("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("x-goog-hash", "crc32c=AAAAAA=="),
    ("Repr-Digest", "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"),
    ("Digest", "MD5=AAAAAAAAAAAAAAAAAAAAAA=="),
];

#[test]
fn a_pin_outranks_a_digest_in_a_header() {
    for &(field, value) in STALE {
        let world = pinned(&[&format!("sha256: {SHA256}")]);
        world.origin.always("/a.txt", Answer::file().header(field, value));
        let run = world.apply().success();
        assert_eq!(world.origin.count("/a.txt"), 1, "{field}");
        let warned = run.stderr.starts_with("warning: ") && run.stderr.contains(field);
        assert!(warned, "{}", run.output());
        world.assert_files(&[("a.txt", CONTENT)]);
    }
}

#[test]
fn one_warning_a_source_tells_of_stale_headers() {
    let world = World::new().serve_numbered(5).source("$BASE/{n}.txt", &["vars: {n: 1..5}"]);
    world.run(["lock"]).success();
    for n in 1..=5 {
        world.delete(&format!("out/{n}.txt"));
    }
    world.origin.everywhere(Answer::file().header(STALE[0].0, STALE[0].1));
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 5, downloaded 5");
    assert_eq!(run.stderr.matches("warning").count(), 1, "{}", run.output());
}

#[test]
fn without_a_pin_a_stale_header_digest_costs_one_retry_and_names_the_way_out() {
    for &(field, value) in STALE {
        let world = pinned(&["http: {retries: 0}"]);
        world.origin.always("/a.txt", Answer::file().header(field, value));
        let run = world.apply().code(1);
        assert_eq!(world.origin.count("/a.txt"), 2, "{field}");
        let (kind, message) = run.failure("a.txt");
        assert_eq!(kind, "checksum_mismatch");
        assert!(message.contains(field), "{message}");
        let hint = "`expect: {header_digests: false}`";
        assert!(run.stderr.contains(hint), "{}", run.output());

        let world = pinned(&["expect: {header_digests: false}"]);
        world.origin.always("/a.txt", Answer::file().header(field, value));
        world.apply().success();
        world.assert_files(&[("a.txt", CONTENT)]);
    }
}

#[test]
fn a_stale_header_digest_of_a_list_names_the_way_out() {
    let list = format!("{SHA256}  a.txt\n");
    let make = |more: &str| {
        let world =
            World::new().serve("/a.txt", CONTENT).serve("/SHA256SUMS", list.as_str()).source(
                "$BASE/a.txt",
                &["checksums: {url: $BASE/SHA256SUMS}", "http: {retries: 0}", more],
            );
        let stale = Answer::file().header(STALE[0].0, STALE[0].1);
        world.origin.always("/SHA256SUMS", stale);
        world
    };
    let world = make("check: always");
    let run = world.apply().code(1);
    assert!(run.output().contains("header_digests"), "{}", run.output());
    assert_eq!(world.origin.count("/SHA256SUMS"), 2);
    make("expect: {header_digests: false}").apply().success();
}

#[test]
fn an_empty_file_is_right_where_its_digest_says_so() {
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let world =
        World::new().serve("/a.txt", "").source("$BASE/a.txt", &[&format!("sha256: {empty}")]);
    world.apply().success();
    world.assert_files(&[("a.txt", "")]);
}

#[test]
fn a_body_without_a_length_is_proven_by_its_digest() {
    let world = pinned(&[&format!("sha256: {SHA256}")]);
    world.origin.always("/a.txt", Answer::file().until_close());
    world.apply().success();
    world.assert_files(&[("a.txt", CONTENT)]);
}
