//! Many files from several origins with random faults: a single run must succeed.

use std::fmt::Write as _;

use crate::origin::{Answer, Origin, Request};
use crate::world::{World, content, sha256_of};

const ORIGINS: usize = 4;
const FILES: usize = 500;

/// Deterministic pseudo-random numbers.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % sides
    }
}

/// The size of a file: from two to six kilobytes.
fn file(origin: usize, n: usize) -> Vec<u8> {
    let seed = (origin * FILES + n) as u64;
    content(seed, 2000 + usize::try_from(seed * 7919 % 4000).unwrap())
}

/// One answer in five is a fault.
fn faulty(dice: &mut Dice, request: &Request) -> Option<Answer> {
    if request.path() == "/SUMS" || dice.roll(5) != 0 {
        return None;
    }
    let at = usize::try_from(dice.roll(2000)).unwrap();
    Some(match dice.roll(14) {
        0 => Answer::status(500),
        1 => Answer::status(502),
        2 => Answer::status(503),
        3 => Answer::status(504),
        4 => Answer::status(429).retry_after("0"),
        5 => Answer::status(408),
        6 => Answer::file().cut_at(at),
        7 => Answer::file().rst_at(at),
        8 => Answer::close(),
        9 => Answer::file().stall_at(at),
        10 => Answer::file().no_final_chunk(),
        11 => Answer::file().content_lengths(&["7000"]),
        12 => Answer::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        _ => Answer::file().chunked().cut_at(at),
    })
}

fn soak(seed: u64) {
    let origins: Vec<_> = (0..ORIGINS).map(|_| Origin::new()).collect();
    let mut manifest = "http: {retries: 8, stall_timeout: 400ms}\nsources:\n".to_owned();
    for (number, origin) in origins.iter().enumerate() {
        let mut sums = String::new();
        for n in 1..=FILES {
            let bytes = file(number, n);
            let _ = writeln!(sums, "{}  {n}.bin", sha256_of(&bytes));
            origin.serve(&format!("/{n}.bin"), bytes);
        }
        origin.serve("/SUMS", sums);
        let mut dice = Dice::new(seed * ORIGINS as u64 + number as u64 + 1);
        origin.decide(move |request| faulty(&mut dice, request));
        // Every second origin has a checksum list.
        let sums = if number % 2 == 0 { ", checksums: {url: BASE/SUMS}" } else { "" };
        let source = format!(
            "  - {{name: s{number}, url: \"BASE/{{n}}.bin\", path: \"{number}/{{n}}.bin\", vars: {{n: 1..{FILES}}}{sums}}}\n"
        );
        manifest.push_str(&source.replace("BASE", &origin.base()));
    }
    let world = World::new().manifest(&manifest);
    let run = world.apply();
    assert_eq!(run.status, 0, "seed {seed}: {}", run.stderr);
    assert_eq!(run.counts(), "entries 2000, downloaded 2000");
    let files = world.files("out");
    assert_eq!(files.len(), ORIGINS * FILES);
    let mut requests = 0;
    for (number, origin) in origins.iter().enumerate() {
        for n in 1..=FILES {
            assert!(
                files[&format!("{number}/{n}.bin")] == file(number, n),
                "seed {seed}: {number}/{n}"
            );
        }
        requests += origin.requests().len();
    }
    assert!(requests < ORIGINS * FILES * 5 / 2, "seed {seed}: {requests} requests");
    assert_eq!(world.partial_files(), [""; 0]);
}

macro_rules! soaks {
    ($($name:ident: $seed:expr),+) => {
        $(#[test]
        fn $name() {
            soak($seed);
        })+
    };
}

soaks! {
    seed_1: 1, seed_2: 2, seed_3: 3, seed_4: 4, seed_5: 5,
    seed_6: 6, seed_7: 7, seed_8: 8, seed_9: 9, seed_10: 10
}

#[test]
fn randomly_closed_connections_cost_no_attempt() {
    let world = World::new()
        .serve_numbered(5000)
        .manifest("http: {retries: 0}\nsources: [{url: \"$BASE/{n}.txt\", vars: {n: 1..5000}}]\n");
    let mut dice = Dice::new(11);
    world.origin.decide(move |_| match dice.roll(6) {
        // The connection is closed without `Connection: close`, perhaps while the next request is
        // on its way.
        0 | 1 => Some(Answer::file().close_after()),
        _ => None,
    });
    let run = world.apply().success();
    assert_eq!(run.counts(), "entries 5000, downloaded 5000");
    assert!(run.results().iter().all(|result| result["attempts"] == 1));
}
