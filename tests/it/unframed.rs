//! Bodies without a length, which end with the connection: a cut looks like an end, so something
//! else has to prove that they are whole.

use crate::origin::{Answer, Secured};
use crate::world::{World, content};

const SIZE: usize = 40_000;

fn world(settings: &[&str]) -> World {
    let world = World::new()
        .serve("/a.bin", content(1, SIZE))
        .source("$BASE/a.bin", &[&["http: {retries: 0}"], settings].concat());
    world.origin.everywhere(Answer::file().until_close());
    world
}

#[test]
fn two_transfers_of_the_same_bytes_prove_a_body_without_a_length() {
    let world = world(&[]);
    let run = world.apply().success();
    let result = run.result("a.bin");
    assert_eq!((&result["attempts"], &result["outcome"]), (&2.into(), &"downloaded".into()));
    assert_eq!(run.summary()["bytes"], 2 * SIZE);
    assert_eq!(world.read("out/a.bin"), content(1, SIZE));
    assert_eq!(world.origin.count("/a.bin"), 2);
    assert_eq!(world.partial_files(), [""; 0]);
}

#[test]
fn two_transfers_of_different_bytes_fail_and_say_why() {
    let world = world(&[]);
    world.origin.attempts("/a.bin", [Answer::file().until_close().cut_at(9_000)]);
    let run = world.apply().code(1);
    let (kind, message) = run.failure("a.bin");
    assert_eq!(kind, "protocol");
    assert!(message.contains("9000") && message.contains("40000"), "{message}");
    assert!(run.stderr.contains("`expect: {unframed: true}`"), "{}", run.output());
    assert_eq!(world.names(), [""; 0]);
    // With a retry, the third transfer agrees with the second.
    let retries = self::world(&["check: always"]);
    retries.set_manifest("natsync.yaml", "sources:\n  - {url: $BASE/a.bin, http: {retries: 1}}\n");
    retries.origin.attempts("/a.bin", [Answer::file().until_close().cut_at(9_000)]);
    let run = retries.apply().success();
    assert_eq!(run.result("a.bin")["attempts"], 3);
    assert_eq!(retries.read("out/a.bin"), content(1, SIZE));
}

#[test]
fn one_transfer_is_enough_where_something_else_proves_the_body() {
    let digest = crate::world::sha256_of(content(1, SIZE));
    let permitted = world(&["expect: {unframed: true}"]);
    let pinned = world(&[&format!("sha256: {digest}")]);
    let sized = world(&[]);
    sized.set_manifest(
        "natsync.yaml",
        &format!("sources:\n  - files:\n      - {{url: $BASE/a.bin, size: {SIZE}}}\n"),
    );
    let stated = world(&[]);
    let repr = {
        use base64::Engine as _;
        use sha2::Digest as _;
        let digest = sha2::Sha256::digest(content(1, SIZE));
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest))
    };
    stated.origin.everywhere(Answer::file().until_close().header("Repr-Digest", &repr));
    for (world, what) in
        [(permitted, "expect"), (pinned, "pin"), (sized, "size"), (stated, "Repr-Digest")]
    {
        world.apply().success();
        assert_eq!(world.origin.count("/a.bin"), 1, "{what}");
        assert_eq!(world.read("out/a.bin"), content(1, SIZE), "{what}");
    }
}

#[test]
fn the_proper_end_of_tls_proves_a_body_without_a_length() {
    for is_proper in [true, false] {
        let world = world(&[]);
        let secured = if is_proper {
            Secured::closing_properly(world.origin.port())
        } else {
            Secured::new(world.origin.port())
        };
        world.write("ca.pem", secured.authority());
        let url = format!("{}/a.bin", secured.base());
        world.set_manifest(
            "natsync.yaml",
            &format!("http: {{retries: 0, ca_file: ca.pem}}\nsources: [{{url: \"{url}\"}}]\n"),
        );
        let run = world.apply();
        assert_eq!(world.origin.count("/a.bin"), 1, "{}", run.output());
        if is_proper {
            run.success();
            assert_eq!(world.read("out/a.bin"), content(1, SIZE));
        } else {
            assert_eq!(run.code(1).failure("a.bin").0, "truncated");
        }
    }
}

#[test]
fn a_list_without_a_length_needs_two_transfers() {
    let digest = crate::world::sha256_of("listed");
    let list = format!("{digest}  a.bin\n");
    let make = || {
        let world = World::new()
            .serve("/a.bin", "listed")
            .serve("/SHA256SUMS", list.as_str())
            .source("$BASE/a.bin", &["checksums: {url: $BASE/SHA256SUMS}", "http: {retries: 0}"]);
        world.origin.always("/SHA256SUMS", Answer::file().until_close());
        world
    };
    let world = make();
    world.apply().success();
    assert_eq!(world.origin.count("/SHA256SUMS"), 2);
    let world = make();
    world.origin.attempts("/SHA256SUMS", [Answer::file().until_close().cut_at(70)]);
    world.apply().code(1);
    assert_eq!(world.names(), [""; 0]);
}

#[test]
fn chunks_are_a_frame() {
    let world = world(&[]);
    world.origin.everywhere(Answer::file().chunked());
    world.apply().success();
    assert_eq!(world.origin.count("/a.bin"), 1);
}
