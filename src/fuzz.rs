//! Fuzz tests of all parsers of untrusted input. Inputs are mutations of the files in
//! `tests/corpus`. No parser may panic, and what it accepts must satisfy the parser's invariants.
//!
//! By default each parser gets up to 3000 inputs, which are the same in every run.
//! `NATSYNC_FUZZ=1000000` sets another number.

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use jiff::civil::date;

use crate::dest::Dest;
use crate::dest::state::State;
use crate::digest::checksums::{List, Rules};
use crate::http::{
    Asked, Content, Head, Headers, Here, Length, NoContent, RetryAfter, Target, classify, http_date,
};
use crate::manifest::entry::Form;
use crate::manifest::netrc_file::Netrc;
use crate::manifest::read::scalars;
use crate::manifest::template;
use crate::manifest::vars::parse_range;
use crate::manifest::{Expect, LoadOptions, Manifest, MissingWhen};
use crate::pin::Validators;
use crate::pin::lock::Lock;
use crate::rel_path::RelPath;

/// A pseudorandom generator (xorshift) with a fixed seed, so that a failure can be reproduced.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits") % sides.max(1)
    }

    fn byte(&mut self) -> u8 {
        const TELLING: &[u8] = b"\0\n\r\t \"'#%&*,-./:;<=>?@[\\]^_`{|}~019aZ\x7f\x80\xc3\xff";
        if self.roll(2) == 0 {
            TELLING[self.roll(TELLING.len())]
        } else {
            self.roll(256).to_le_bytes()[0]
        }
    }

    /// Makes an input by one to five mutations of a file of the corpus.
    fn input(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.roll(corpus.len())].clone();
        for _ in 0..=self.roll(5) {
            let at = self.roll(bytes.len() + 1);
            let end = (at + self.roll(12)).min(bytes.len());
            match self.roll(9) {
                0 => bytes.truncate(at),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.insert(at, self.byte()),
                3 if at < bytes.len() => bytes[at] = self.byte(),
                4 if at < bytes.len() => bytes[at] ^= 1 << self.roll(8),
                5 => {
                    let copy = bytes[at..end].repeat(1 + self.roll(20));
                    bytes.splice(at..at, copy);
                }
                6 => {
                    let other = &corpus[self.roll(corpus.len())];
                    let from = self.roll(other.len() + 1);
                    let upto = (from + self.roll(40)).min(other.len());
                    bytes.splice(at..end, other[from..upto].to_vec());
                }
                7 => {
                    let numbers =
                        ["0", "-1", "18446744073709551615", "18446744073709551616", "1e999", "007"];
                    bytes.splice(at..end, numbers[self.roll(numbers.len())].bytes());
                }
                _ => {
                    let noise: Vec<u8> = (0..self.roll(8)).map(|_| self.byte()).collect();
                    bytes.splice(at..end, noise);
                }
            }
            bytes.truncate(1 << 16);
        }
        bytes
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(name);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a corpus")
        .map(|item| item.expect("an item").path())
        .collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).expect("an input")).collect()
}

/// Calls `reader` with each file of the corpus and with mutations of them. `share` divides the
/// number of mutations, for a slow reader.
fn feed(corpus: &[Vec<u8>], share: u64, reader: impl Fn(&[u8])) {
    assert!(!corpus.is_empty(), "an empty corpus");
    let asked = std::env::var("NATSYNC_FUZZ").ok().and_then(|count| count.parse().ok());
    let count = asked.unwrap_or(3000_u64) / share;
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let made = (0..count).map(|_| dice.input(corpus));
    for input in corpus.iter().cloned().chain(made) {
        let read = catch_unwind(AssertUnwindSafe(|| reader(&input)));
        assert!(read.is_ok(), "after this input: {}", input.escape_ascii());
    }
}

fn with_text(reader: impl Fn(&str)) -> impl Fn(&[u8]) {
    move |bytes| reader(&String::from_utf8_lossy(bytes))
}

fn manifest(text: &str) -> Option<Manifest> {
    let options = LoadOptions {
        today: date(2026, 1, 1),
        set: &[],
        env: &|name| (name.len() < 9).then(|| format!("value of {name}")),
        dest: None,
    };
    Manifest::parse(Path::new("/nowhere/natsync.yaml"), text, &options).ok()
}

/// Every entry has a path below the destination and an `http` or `https` URL.
fn entries_are_sound(manifest: &Manifest) {
    // A large manifest takes long and tests nothing more.
    if 10_000 < manifest.entries().bound() || manifest.check().is_err() {
        return;
    }
    for entry in manifest.entries().iter().take(50) {
        let path = entry.path();
        assert!(RelPath::parse(path.as_str()).is_ok(), "{path:?}");
        let url = entry.url(Form::Sent);
        let scheme = url.split("://").next().unwrap_or_default().to_ascii_lowercase();
        assert!(url.contains("://") && ["http", "https"].contains(&scheme.as_str()), "{url}");
        assert!(!url.contains(['\n', '\r', ' ']), "{url:?}");
    }
}

#[test]
fn manifests() {
    let mut inputs = corpus("manifest");
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests");
    for item in std::fs::read_dir(examples).expect("examples") {
        inputs.push(std::fs::read(item.expect("an item").path()).expect("a manifest"));
    }
    feed(
        &inputs,
        3,
        with_text(|text| {
            if let Some(manifest) = manifest(text) {
                entries_are_sound(&manifest);
            }
        }),
    );
}

#[test]
fn templates() {
    feed(
        &corpus("template"),
        1,
        with_text(|text| {
            for environment in [false, true] {
                let _ = template::parse(text, environment);
            }
            let mut quoted = String::from("version: 1\ndest: out\nsources: [{url: ");
            let _ = write!(
                quoted,
                "{}, vars: {{a: 1, b: x, n: 1..3}}}}]",
                serde_json::json!(format!("http://h/{text}"))
            );
            if let Some(manifest) = manifest(&quoted) {
                entries_are_sound(&manifest);
            }
        }),
    );
}

#[test]
fn ranges() {
    feed(
        &corpus("range"),
        1,
        with_text(|text| {
            let _ = parse_range(text, date(2026, 1, 1));
            let quoted = format!(
                "version: 1\ndest: out\nsources: [{{url: \"http://h/{{n}}\", vars: {{n: {}}}}}]",
                serde_json::json!(text)
            );
            if let Some(manifest) = manifest(&quoted) {
                entries_are_sound(&manifest);
            }
        }),
    );
}

#[test]
fn locks() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("natsync.lock");
    feed(&corpus("lock"), 3, |bytes| {
        std::fs::write(&file, bytes).expect("a file");
        let Ok(Some(lock)) = Lock::read(&file, "m") else { return };
        let lines: Vec<_> = lock.lines().expect("it was read before").collect();
        for line in lines.into_iter().flatten() {
            let found = lock.find(&line.path).expect("it was read before");
            assert_eq!(found.expect("each line is found").path, line.path);
        }
    });
}

#[test]
fn saved_plans() {
    feed(&corpus("plan"), 1, |bytes| {
        for plan in crate::ops::saved_plan::parse(bytes, "p.plan").into_iter().flatten() {
            assert!(plan.counts().entries() < u64::MAX);
        }
    });
}

#[test]
fn inputs_of_init() {
    use crate::ops::init::{Format, Frame, make, read_arguments, read_list};
    let frame = Frame { name: None, dest: "d".to_owned() };
    let formats = [Format::Urls, Format::Aria2, Format::Metalink, Format::Sums, Format::Pooch];
    let formats = formats.map(Some);
    feed(&corpus("init"), 10, |bytes| {
        for format in formats.into_iter().chain([None]) {
            if let Ok(input) = read_list(bytes, format, Some("http://h.example/")) {
                // `make` itself compares its result with the input.
                let _ = make(input, &frame, Path::new("m.yaml"));
            }
        }
        let glob = String::from_utf8_lossy(bytes).into_owned();
        let _ = read_arguments(&[glob]);
    });
}

#[test]
fn checksum_lists() {
    let pattern = regex::bytes::Regex::new("(?i)sha256: (?<digest>[0-9a-f]+)").expect("a pattern");
    feed(&corpus("list"), 1, |bytes| {
        for (pattern, whole) in [(None, false), (None, true), (Some(pattern.clone()), false)] {
            let rules = Rules { algorithm: None, pattern, whole };
            if let Ok(list) = List::parse(bytes, &rules) {
                let _ = list.find(&["a.txt", "b/c.bin"]);
                let _ = list.find(&[""]);
            }
        }
    });
}

/// Parses a status in the first line and header fields in the others. Fields that a connection would
/// reject are skipped.
fn head_of(bytes: &[u8]) -> Option<Head> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let status = std::str::from_utf8(lines.next()?).ok()?.trim().parse().ok()?;
    let mut headers = Headers::default();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        headers.add(&line[..colon], line[colon + 1..].trim_ascii());
    }
    (100..1000).contains(&status).then_some(Head { status, headers, framed: true })
}

#[test]
fn response_heads() {
    let (expect, missing) = (Expect::default(), MissingWhen::default());
    let validators = Validators { etag: Some("\"a\"".to_owned()), last_modified: None };
    let (upto, total) = (None, Some(12));
    let here = Here { length: 5, upto, total, validators: &validators, pinned: false };
    feed(&corpus("answer"), 1, |bytes| {
        let Some(head) = head_of(bytes) else { return };
        let status = head.status;
        for (conditional, here) in
            [(false, None), (true, None), (false, Some(here)), (true, Some(here))]
        {
            for length in [
                Length::Unknown,
                Length::Exactly(12),
                Length::Pinned(None),
                Length::Pinned(Some(12)),
            ] {
                let asked = Asked {
                    conditional,
                    head_only: false,
                    expect: &expect,
                    missing: &missing,
                    length,
                    here,
                    now: 1_300_000_000,
                };
                match classify(&asked, &head) {
                    Ok(Content::Whole { .. }) => assert!([200, 203].contains(&status)),
                    Ok(Content::Rest { length }) => {
                        assert!(here.is_some() && status == 206 && 5 < length);
                    }
                    Ok(Content::NotModified) => assert!(conditional && status == 304),
                    Ok(Content::Missing { status }) => assert!([404, 410].contains(&status)),
                    Err(NoContent::Redirect { .. }) => assert!((300..400).contains(&status)),
                    _ => {}
                }
            }
        }
    });
}

#[test]
fn retry_after_and_dates() {
    feed(
        &corpus("retry-after"),
        1,
        with_text(|text| {
            let _ = http_date(text);
            let _ = RetryAfter::parse(text, None, 0);
            let _ = RetryAfter::parse(text, Some(text), i64::MAX);
            let _ = RetryAfter::parse("Mon, 17 Aug 2009 00:00:00 GMT", Some(text), i64::MIN);
        }),
    );
}

#[test]
fn urls() {
    feed(
        &corpus("url"),
        1,
        with_text(|text| {
            if let Ok(target) = Target::parse(text) {
                let _ = target.join(text);
                let _ = target.join("../x?y");
            }
            let quoted = format!(
                "version: 1\ndest: out\nsources: [{{files: [{}]}}]",
                serde_json::json!(text)
            );
            if let Some(manifest) = manifest(&quoted) {
                entries_are_sound(&manifest);
            }
        }),
    );
}

#[test]
fn quantities() {
    feed(
        &corpus("quantity"),
        1,
        with_text(|text| {
            let _ = scalars::parse_size(text);
            let _ = scalars::parse_duration(text);
        }),
    );
}

#[test]
fn netrc_files() {
    feed(
        &corpus("netrc"),
        1,
        with_text(|text| {
            if let Ok(netrc) = Netrc::parse(text) {
                let _ = netrc.credentials("h");
            }
        }),
    );
}

#[test]
fn states() {
    let folder = tempfile::tempdir().expect("a folder");
    let dest = Dest::create(folder.path()).expect("a destination");
    State::open(&dest, "m").expect("a state").value.close();
    let file = folder.path().join(".natsync/state.db");
    let fresh = std::fs::read(&file).expect("the state");
    feed(&[fresh], 30, |bytes| {
        std::fs::write(&file, bytes).expect("a file");
        let looked = State::look(&dest, "m");
        drop(looked.value.map(|state| state.read(|_| {}, |_, _, _| {})));
        let state = State::open(&dest, "m").expect("a state can always be begun").value;
        if state.read(|_| {}, |_, _, _| {}).is_err() {
            let state = state.renew(&dest).expect("a state can always be begun").value;
            state.read(|_| {}, |_, _, _| {}).expect("a new state can be read");
        }
        for item in std::fs::read_dir(folder.path().join(".natsync")).expect("the folder").flatten()
        {
            if item.file_name().to_string_lossy().contains("corrupt") {
                std::fs::remove_file(item.path()).expect("it is there");
            }
        }
    });
}
