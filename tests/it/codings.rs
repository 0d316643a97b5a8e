//! `Content-Encoding` on files whose names end as the coding: Apache's `AddEncoding` labels them
//! although no coding was applied.

use crate::origin::Answer;
use crate::world::{World, sha256_of};

const GZIP: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03right";
const COMPRESS: &[u8] = b"\x1f\x9d\x90right";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfdright";
const PLAIN: &[u8] = b"right";

/// One entry, whose response has this coding and these bytes.
fn world(name: &str, coding: &str, bytes: &[u8], settings: &[&str]) -> World {
    let mut lines = vec!["http: {retries: 0}"];
    lines.extend(settings);
    let world = World::new().source(&format!("$BASE/{name}"), &lines);
    let answer = Answer::status(200).body(bytes).header("Content-Encoding", coding);
    world.origin.always(&format!("/{name}"), answer);
    world
}

#[test]
fn a_label_that_name_and_bytes_confirm_is_ignored() {
    for (name, coding, bytes) in [
        ("a.gz", "gzip", GZIP),
        ("a.tar.gz", "x-gzip", GZIP),
        ("a.TGZ", "GZip", GZIP),
        ("a.svgz", "gzip", GZIP),
        ("a.Z", "compress", COMPRESS),
        ("a.Z", "x-compress", COMPRESS),
        ("a.zst", "zstd", ZSTD),
        ("a.br", "br", PLAIN),
        // `AddEncoding` looks at every extension of a name.
        ("a.gz.txt", "x-gzip", PLAIN),
    ] {
        let world = world(name, coding, bytes, &[]);
        world.apply().success();
        assert_eq!(world.read(&format!("out/{name}")), bytes, "{name} {coding}");
    }
}

#[test]
fn a_coding_that_was_applied_is_refused() {
    for (name, coding, bytes) in [
        ("a.txt", "gzip", GZIP),
        ("a.gz", "gzip", PLAIN),
        ("a.gz", "br", GZIP),
        ("a.gz", "zstd", ZSTD),
        ("a.zst", "gzip", GZIP),
        ("a.Z", "gzip", GZIP),
        ("a.br", "gzip", GZIP),
        ("a.gz", "gzip, gzip", GZIP),
        ("a.gz", "deflate", GZIP),
        ("a.gz.txt", "gzip", GZIP),
        ("agz", "gzip", GZIP),
        ("a", "compress", COMPRESS),
    ] {
        let world = world(name, coding, bytes, &[]);
        let (kind, message) = world.apply().code(1).failure(name);
        assert_eq!(kind, "unexpected_content", "{name} {coding}");
        assert!(message.contains(coding), "{name} {coding}: {message}");
        world.assert_files(&[]);
    }
}

#[test]
fn a_pin_decides_on_the_bytes_as_sent() {
    for (name, coding) in
        [("a.gz", "gzip"), ("a.txt", "gzip"), ("a.gz", "br"), ("a.bin", "gzip, br"), ("a", "x")]
    {
        for bytes in [GZIP, PLAIN] {
            let digest = format!("sha256: {}", sha256_of(bytes));
            let good = world(name, coding, bytes, &[&digest]);
            good.apply().success();
            assert_eq!(good.read(&format!("out/{name}")), bytes, "{name} {coding}");
            let other = world(name, coding, b"other", &[&digest]);
            assert_eq!(other.apply().code(1).failure(name).0, "checksum_mismatch");
        }
    }
}

#[test]
fn a_labelled_file_is_adopted_resumed_and_listed() {
    let label = || Answer::file().header("Content-Encoding", "x-gzip");
    let mut bytes = GZIP.to_vec();
    bytes.extend(crate::world::content(1, 300_000));
    // A transfer that was cut is resumed.
    let world = World::new().serve("/a.gz", bytes.clone()).source("$BASE/a.gz", &[]);
    world.origin.attempts("/a.gz", [label().cut_at(100_000)]);
    world.origin.always("/a.gz", label());
    world.apply().success();
    assert!(world.read("out/a.gz") == bytes);
    assert_eq!(world.origin.requests_for("/a.gz")[1].status, 206);
    // A copy that is here already is adopted by its length and date.
    let world = World::new().serve("/a.gz", bytes.clone()).source("$BASE/a.gz", &[]);
    world.write("out/a.gz", &bytes);
    world.origin.always("/a.gz", label());
    assert_eq!(world.apply().success().counts(), "entries 1, unchanged 1");
    // A sidecar of a compressed file carries the label of its inner extension.
    let setting = "checksums: {sidecar: \"{+url}.sha256\"}";
    let world = World::new().serve("/a.gz", bytes.clone()).source("$BASE/a.gz", &[setting]);
    world.origin.serve("/a.gz.sha256", format!("{}  a.gz\n", sha256_of(&bytes)));
    world.origin.always("/a.gz", label());
    world.origin.always("/a.gz.sha256", label());
    world.apply().success();
    assert!(world.read("out/a.gz") == bytes);
}
