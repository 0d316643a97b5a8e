//! The reader and the schema accept and reject the same manifests.

use std::path::Path;

use super::*;
use crate::manifest::{LoadOptions, Manifest};

/// Whether the reader accepts a manifest, and whether the schema does.
fn both(text: &str) -> (bool, bool) {
    let env = |_: &str| None;
    let options =
        LoadOptions { today: jiff::civil::date(2026, 1, 31), set: &[], env: &env, dest: None };
    let read = Manifest::parse(Path::new("m.yaml"), text, &options);
    let value: Value = serde_yaml::from_str(text).unwrap();
    let validator = jsonschema::draft202012::new(&schema()).unwrap();
    (read.is_ok(), validator.is_valid(&value))
}

/// A manifest with one setting in the mapping `place`.
fn with(place: &str, setting: &str) -> String {
    let own = if place == "top" { format!("{setting}\n") } else { String::new() };
    let url = if place == "files" {
        ""
    } else {
        "    url: http://h.example/a-{n}\n    vars: {n: [1, 2]}\n"
    };
    let inner = match place {
        "top" => String::new(),
        "source" => format!("    {setting}\n"),
        "files" => format!("    files: [{{url: http://h.example/a, {setting}}}]\n"),
        "override" => format!("    overrides: [{{when: {{n: 1}}, reason: r, {setting}}}]\n"),
        mapping => format!("    {mapping}: {{{setting}}}\n"),
    };
    format!("version: 1\ndest: d\n{own}sources:\n  - name: s\n{url}{inner}")
}

#[track_caller]
fn agree(place: &str, valid: &[&str], invalid: &[&str]) {
    for setting in valid {
        assert_eq!(both(&with(place, setting)), (true, true), "{place}: {setting}");
    }
    for setting in invalid {
        assert_eq!(both(&with(place, setting)), (false, false), "{place}: {setting}");
    }
}

#[test]
fn the_reader_and_the_schema_agree() {
    let digest = |digits: usize| "a".repeat(digits);
    agree(
        "top",
        &[
            "name: natgeo",
            "name: 2024",
            "http: {retries: 3}",
            "prune: off",
            "prune: managed",
            "max_delete: 5",
            "max_delete: 10%",
            "max_delete: 2.5 %",
            "limits: {entries: 5}",
            "portable: false",
            "portable: \"true\"",
        ],
        &[
            "name: [a]",
            "http: 3",
            "prune: true",
            "prune: all",
            "max_delete: -1",
            "max_delete: many",
            "limits: {entries: 0}",
            "limits: {entry: 5}",
            "portable: maybe",
            "colour: red",
        ],
    );
    agree(
        "source",
        &[
            "mirrors: [\"http://m/{+path_}\"]".replace("{+path_}", "{filename}").as_str(),
            "mirrors: http://m/{filename}",
            "alternates: http://h.example/b-{n}",
            "path: \"x/{n}\"",
            "combine: zip",
            "exclude: {n: 1}",
            "exclude: [{n: 1}, {n: [2]}]",
            "on_missing: skip",
            "on_missing: prune",
            "missing_when: {status: 404}",
            "missing_when: {status: [404, 403], content_type: text/html}",
            "missing_ttl: 1d",
            "missing_ttl: 0",
            "missing_ttl: 1h30min",
            "check: never",
            "check: 7d",
            "check: 0",
            "expect: {content_type: image/*, min_size: 0, max_size: 1.5MB, kind: jpeg, unframed: true, header_digests: false}",
            "on_missing: skip\n    max_missing: \" 5 %\"",
            "exclude: [{n: []}]",
            "overrides: [{when: {n: 1}, path: x}]",
            "tags: small",
            "tags: [small, \"1\", 2]",
            "headers: {X-A: b, X-N: 5}",
            "netrc: false",
            "netrc: {file: false, hosts: login.example.org}",
            "netrc: {file: false, hosts: [a, \"b:81\"]}",
            "http: {connections: 1, connections_per_host: auto, requests_per_second: 0.5}",
            "http: {connections_per_host: 8, rate_limit: 2MiB/s, retries: 0, redirects: 0}",
            "http: {max_retry_after: 1min, connect_timeout: 1s, stall_timeout: 500ms, min_rate: 0}",
            "http: {user_agent: me, proxy: none, segments: 4, segment_min_size: 1GiB, http2: never}",
            "http: {connections: \"7\"}",
        ],
        &[
            "mirrors: {a: b}",
            "path: [a]",
            "max_missing: 3",
            "on_missing: fail\n    max_missing: 3",
            "combine: cross",
            "exclude: {}",
            "exclude: 5",
            "on_missing: ignore",
            "missing_when: {status: 200}",
            "missing_when: {status: 404, code: 1}",
            "missing_ttl: 5",
            "missing_ttl: soon",
            "check: sometimes",
            "check: 7",
            "check: true",
            "expect: {content_type: jpeg}",
            "expect: {min_size: -1}",
            "expect: {kind: word}",
            "expect: {min_size: 1XB}",
            "expect: {size: 1}",
            "tags: {a: b}",
            "headers: [a]",
            "headers: {\"a b\": c}",
            "netrc: [a]",
            "netrc: {host: a}",
            "netrc: {hosts: {a: b}}",
            "http: {connections: 0}",
            "http: {connections: 2000}",
            "http: {connections_per_host: many}",
            "http: {requests_per_second: 0}",
            "http: {retries: 101}",
            "http: {retries: -1}",
            "http: {http2: sometimes}",
            "http: {segments: 65}",
            "http: {stall_timeout: 30}",
            "http: {retry: 1}",
            "overrides: {when: {n: 1}}",
            "overrides: [{skip: true, reason: r}]",
            "overrides: [{when: {n: 1}, skip: true}]",
            "overrides: [{when: {n: 1}, md5: 0123456789abcdef0123456789abcdef}]",
            "checksums: {optional: true}",
            "checksums: x",
            "checksums: {url: \"http://h/S\", sidecar: \"http://h/{n}\"}",
            "files: []",
            "mirrors: ftp://m/{n}",
            "alternates: [\"h.example/{n}\"]",
        ],
    );
    agree(
        "files",
        &[
            "path: b",
            "size: 5",
            "size: 5kB",
            &format!("sha256: {}", digest(64)),
            &format!("sha512: {}", digest(128)),
            &format!("sha1: {}", digest(40)),
            &format!("md5: {}", digest(32)),
            &format!("blake3: {}", digest(64)),
        ],
        &["size: large", "sha256: abc", "md5: xyz", "sha3: abc"],
    );
    agree(
        "override",
        &["url: http://h.example/c", "path: c", "skip: true", &format!("md5: {}", digest(32))],
        &["skip: 2", "md5: abc", "name: x"],
    );
    agree(
        "checksums",
        &[
            "url: http://h.example/SUMS",
            "url: http://h/S, algorithm: SHA-256",
            "sidecar: \"{+url}.md5\", algorithm: md5, optional: true",
            "url: http://h/S, pattern: \"(?<digest>[0-9a-f]{64})\"",
        ],
        &[
            "algorithm: sha256",
            "url: http://h/S, algorithm: crc",
            "url: http://h/S, optional: maybe",
        ],
    );
    for (values, valid) in [
        ("1", true),
        ("1..3", true),
        ("[1, a, \"b\", 1..3, true, 1.10]", true),
        ("{from: 1, to: 3}", true),
        ("{from: a, to: c, step: 1}", true),
        ("{value: \"a..b\"}", true),
        ("2024-01-01..today..7d", true),
        ("[{from: 1, to: 2}, {value: x}]", true),
        ("[null, 2]", true),
        ("[]", false),
        ("[[1]]", false),
        ("{from: 1}", false),
        ("{first: 1, last: 2}", false),
        ("{value: [a]}", false),
    ] {
        let text = format!(
            "version: 1\ndest: d\nsources:\n  - url: http://h.example/a-{{n}}\n    vars: {{n: {values}}}\n"
        );
        assert_eq!(both(&text), (valid, valid), "{values}");
    }
    for (rows, valid) in [
        ("[{a: 1, b: x}, {a: 2, b: y}]", true),
        ("[]", false),
        ("[1]", false),
        ("{json: x}", false),
        ("5", false),
    ] {
        let text = format!(
            "version: 1\ndest: d\nsources:\n  - url: http://h/{{a}}-{{b}}\n    rows: {rows}\n"
        );
        assert_eq!(both(&text), (valid, valid), "{rows}");
    }
    for (text, valid) in [
        ("version: 1\ndest: d\nsources: [{url: http://h/a}]\n", true),
        ("version: \"1\"\ndest: d\nsources: [{url: http://h/a}]\n", true),
        ("version: 2\ndest: d\nsources: [{url: http://h/a}]\n", false),
        ("dest: d\nsources: [{url: http://h/a}]\n", false),
        ("version: 1\nsources: [{url: http://h/a}]\n", false),
        ("version: 1\ndest: d\n", false),
        ("version: 1\ndest: d\nsources: []\n", false),
        ("version: 1\ndest: d\nsources: [{name: a}]\n", false),
        ("version: 1\ndest: d\nsources: [{url: http://h/a, files: [{url: http://h/b}]}]\n", false),
        ("version: 1\ndest: d\nsources: [{files: [{path: b}]}]\n", false),
        ("version: 1\ndest: d\nsources: [{files: [{url: http://h/b}], vars: {n: 1}}]\n", false),
    ] {
        assert_eq!(both(text), (valid, valid), "{text}");
    }
}

/// The reader accepts every default and every example of the tables.
#[test]
fn defaults_and_examples_are_valid() {
    let tables = [
        ("top", MANIFEST_MAPPING.table),
        ("source", super::super::tables::SOURCE),
        ("http", super::super::tables::HTTP),
        ("expect", super::super::tables::EXPECT),
    ];
    for (place, table) in tables {
        for field in table {
            for text in [field.default, field.example].into_iter().flatten() {
                // These keys are in the manifest already, or need other keys.
                if ["url", "path", "max_missing", "dest"].contains(&field.name) {
                    continue;
                }
                let quoted = if text.starts_with(['[', '{']) {
                    text.to_owned()
                } else {
                    format!("{text:?}")
                };
                let setting = format!("{}: {quoted}", field.name);
                assert_eq!(both(&with(place, &setting)), (true, true), "{place}: {setting}");
            }
        }
    }
}

#[test]
fn the_reader_accepts_every_word() {
    use super::super::tables::{HTTP, SOURCE};
    for (place, table) in [("top", MANIFEST_MAPPING.table), ("source", SOURCE), ("http", HTTP)] {
        for field in table.iter().filter(|field| field.name != "version") {
            let words = match field.shape {
                Shape::Word(words) | Shape::Duration(words) => words,
                Shape::NumberOr(_, ref word) => std::slice::from_ref(word),
                _ => continue,
            };
            for word in words {
                let setting = format!("{}: {word}", field.name);
                assert_eq!(both(&with(place, &setting)), (true, true), "{place}: {setting}");
            }
        }
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let parts = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for part in parts {
        for (key, property) in part["properties"].as_object().into_iter().flatten() {
            let about = property["description"].as_str().unwrap();
            assert!(about.starts_with(char::is_uppercase) && 4 < about.len(), "{key}: {about}");
        }
    }
    jsonschema::meta::validate(&schema).unwrap();
}
