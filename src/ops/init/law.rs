//! The law of `init`: what a list states is in the manifest, or the list is refused with a line.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::digest::{Algorithm, Checksum};
use crate::manifest::entry::Form;

fn frame() -> Frame {
    Frame { name: None, dest: "mirror".to_owned() }
}

/// Files as a list may state them: URLs, mirrors, paths, sizes and digests, alike or not.
fn stated() -> impl Strategy<Value = Given> {
    let word = prop_oneof![
        Just("a"),
        Just("b2"),
        Just("c d"),
        Just("{n}"),
        Just("100%"),
        Just("$x"),
        Just("\u{fc}"),
        Just("A"),
        Just("no"),
        Just("1e3"),
        Just("x;y"),
        Just("it's"),
        Just("..z"),
        Just("q#r"),
    ];
    let path = prop::collection::vec(word, 1..4).prop_map(|words| words.join("/"));
    let host = prop_oneof![Just("h.example"), Just("m.example"), Just("[::1]:81")];
    let checksum = prop_oneof![
        Just(None),
        (0u8..3).prop_map(|n| Checksum::from_bytes(Algorithm::Sha256, &[n; 32])),
        (0u8..3).prop_map(|n| Checksum::from_bytes(Algorithm::Md5, &[n; 16])),
    ];
    let mirrors = prop_oneof![
        3 => Just(0u8..0),
        2 => Just(0u8..1),
        2 => Just(0u8..2),
        1 => Just(1u8..4),
    ];
    (
        host,
        path.clone(),
        prop::option::of(path),
        mirrors,
        prop::option::of(0u64..5),
        checksum,
        any::<bool>(),
    )
        .prop_map(|(host, at, path, mirrors, size, checksum, alike)| {
            let url = urls::below(&format!("http://{host}/r"), &at);
            let mirror = |n| {
                if alike {
                    urls::below(&format!("http://m{n}.example/x"), &at)
                } else {
                    format!("http://m{n}.example/get?file={}&n={n}", at.len())
                }
            };
            let mirrors = mirrors.map(mirror).collect();
            Given {
                mirrors,
                path,
                size,
                checksums: checksum.into_iter().collect(),
                ..Given::of(url)
            }
        })
}

/// Writes files in a format; what the format cannot state is removed from them.
fn written(format: Format, files: &mut [Given], third: bool) -> String {
    use std::fmt::Write as _;
    let xml = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let mut text = String::new();
    for given in files.iter_mut() {
        if format != Format::Metalink {
            given.size = None;
        }
        if !matches!(format, Format::Metalink | Format::Aria2) {
            given.mirrors.clear();
        }
        let stated = given.checksums.first();
        match format {
            Format::Urls => {
                given.path = None;
                let _ = match given.checksums.first() {
                    Some(checksum) => {
                        writeln!(text, "{}#{}={}", given.url, checksum.algorithm(), checksum.hex())
                    }
                    None => writeln!(text, "{}  # comment", given.url),
                };
            }
            Format::Aria2 => {
                let urls = std::iter::once(&given.url).chain(&given.mirrors);
                let _ = writeln!(text, "{}", urls.cloned().collect::<Vec<_>>().join("\t"));
                let dir = given.path.as_deref().and_then(|path| path.rsplit_once('/'));
                match (dir, &given.path) {
                    (Some((dir, out)), _) => {
                        let _ = writeln!(text, "  dir=./{dir}/\n  out={out}");
                    }
                    (None, Some(path)) => {
                        let _ = writeln!(text, "  out={path}");
                    }
                    _ => {}
                }
                if let Some(checksum) = stated {
                    let name = checksum.algorithm().as_str().replace("sha", "sha-");
                    let _ = writeln!(text, "  checksum={name}={}", checksum.hex());
                }
            }
            Format::Sums | Format::Pooch => {
                // The names are below a base URL.
                let name = given.path.clone().unwrap_or_else(|| "plain".to_owned());
                given.url = urls::below("http://h.example/base", &name);
                given.path = Some(name.clone());
                if given.checksums.is_empty() {
                    given.checksums.extend(Checksum::from_bytes(Algorithm::Sha256, &[7; 32]));
                }
                let checksum = given.checksums[0];
                let _ = match format {
                    Format::Sums => writeln!(text, "{} *./{name}", checksum.hex()),
                    _ => writeln!(text, "\"{name}\" {checksum}"),
                };
            }
            Format::Metalink => {
                let name = given.path.clone().unwrap_or_else(|| given.filename());
                given.path = Some(name.clone());
                let _ = writeln!(text, "<file name=\"{}\">", xml(&name));
                if let Some(size) = given.size {
                    let _ = writeln!(text, "<size>{size}</size>");
                }
                let hash = stated
                    .map(|one| format!("<hash type=\"{}\">{}</hash>", one.algorithm(), one.hex()));
                let hash = hash.unwrap_or_default();
                let url = |(rank, url): (u64, &String)| {
                    let rank = if third {
                        format!("type=\"http\" preference=\"{}\"", 100 - rank)
                    } else {
                        format!("priority=\"{rank}\"")
                    };
                    format!("<url {rank}>{}</url>", xml(url))
                };
                let all = std::iter::once(&given.url).chain(&given.mirrors);
                let mut urls: Vec<_> = (1..).zip(all).map(url).collect();
                urls.reverse();
                let urls = urls.concat();
                let parts = if third {
                    format!("<verification>{hash}</verification><resources>{urls}</resources>")
                } else {
                    format!("{hash}{urls}")
                };
                let _ = writeln!(text, "{parts}</file>");
            }
        }
    }
    match (format, third) {
        (Format::Metalink, true) => format!(
            "<metalink version=\"3.0\" xmlns=\"http://www.metalinker.org/\"><files>{text}</files></metalink>"
        ),
        (Format::Metalink, false) => {
            format!("<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">{text}</metalink>")
        }
        _ => text,
    }
}

/// Whether the entries of a manifest have all that a file states.
fn is_declared(manifest: &Manifest, given: &Given) -> bool {
    manifest.entries().iter().any(|entry| {
        let mirrors: Vec<_> = (1..entry.places())
            .map(|place| normal(&entry.candidate(0, place, Form::Sent)))
            .collect();
        normal(&entry.url(Form::Sent)) == normal(&given.url)
            && given.path.as_ref().is_none_or(|path| path == entry.path().as_str())
            && given.size.is_none_or(|size| entry.size() == Some(size))
            && given.checksums.iter().all(|checksum| entry.checksums().contains(checksum))
            && given.mirrors.iter().all(|mirror| mirrors.contains(&normal(mirror)))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    /// What a list states is in the manifest, or the list is refused and the message names a line.
    #[test]
    fn nothing_that_a_list_states_is_lost(
        mut files in prop::collection::vec(stated(), 1..8),
        format in prop::sample::select(vec![Format::Urls, Format::Aria2, Format::Metalink, Format::Sums, Format::Pooch]),
        third in any::<bool>(),
        named in any::<bool>(),
    ) {
        let text = written(format, &mut files, third);
        let known = named.then_some(format);
        let base = Some("http://h.example/base/").filter(|_| matches!(format, Format::Sums | Format::Pooch));
        let made = read_list(text.as_bytes(), "", known, base)
            .and_then(|input| make(input, &frame(), Path::new("m.yaml")));
        match made {
            Ok(made) => {
                let manifest = Manifest::parse(Path::new("m.yaml"), &made.text, &LoadOptions::default()).unwrap();
                for given in &files {
                    prop_assert!(is_declared(&manifest, given), "{given:?}\n{text}\n{}", made.text);
                }
            }
            Err(error) => {
                let error = error.to_string();
                let begins = error.strip_prefix("line ").and_then(|rest| rest.split(':').next());
                let line = begins.and_then(|line| line.parse::<usize>().ok());
                prop_assert!(line.is_some_and(|line| 0 < line), "{error}\n{text}");
                // Only contradictions are refused: all these files can be declared by themselves.
                for given in &files {
                    let alone = Input { files: vec![given.clone()], ..Input::default() };
                    prop_assert!(make(alone, &frame(), Path::new("m.yaml")).is_ok(), "{error} {given:?}");
                }
            }
        }
    }
}
