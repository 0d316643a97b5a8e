//! What a seed decides: the manifest, its settings, and the character of the hosts.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::fault::Fault;
use super::quirk::Quirk;
use super::world::{Excess, Temper, World};
use crate::manifest::{LoadOptions, Manifest};

/// Where `connections_per_host: auto` ends (`transfer::limit`).
const MOST_AUTO: usize = 64;
/// Files of a source in a fair scene: more than a breaker takes.
const FILES: u32 = 120;
/// Refusals of an entry that cost no attempt (`transfer::dispatch::health`).
pub(super) const FREE: u32 = 10;
/// Requests that one request of a chain of redirects may become.
const REDIRECTS: u32 = 3;

/// What a seed decides.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    pub(super) text: String,
    pub(super) hosts: Vec<Temper>,
    pub(super) connections: usize,
    per_host: Option<usize>,
    pub(super) retries: u32,
    connect_timeout: Duration,
    stall_timeout: Duration,
    max_retry_after: Duration,
    requests_per_second: Option<u32>,
    /// The files of the only source, at the first host; none if sources are random.
    files: Option<u32>,
    entries: u32,
    /// When the run is asked to stop.
    pub(super) stop_after: Option<Duration>,
    pub(super) fail_fast: bool,
    /// Every file that is not broken for good can be had.
    pub(super) is_fair: bool,
    /// Every so many files are here before the first run.
    pub(super) adopts: Option<u64>,
}

impl Scene {
    pub(super) fn new(seed: u64, segments: usize) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let seconds = |number: u64| Duration::from_secs(number);
        let hosts: Vec<_> = {
            let count = rng.usize(1..5);
            (0..count).map(|host| temper(&mut rng, host, count)).collect()
        };
        let mut scene = Self {
            seed,
            text: String::new(),
            connections: rng.usize(1..20),
            per_host: (rng.u32(0..3) > 0).then(|| rng.usize(1..8)),
            retries: rng.u32(0..5),
            connect_timeout: seconds(rng.u64(1..8)),
            stall_timeout: seconds(rng.u64(1..15)),
            max_retry_after: seconds(rng.u64(0..60)),
            requests_per_second: (rng.u32(0..8) == 0).then(|| rng.u32(1..20)),
            files: None,
            entries: 0,
            stop_after: (rng.u32(0..8) == 0).then(|| Duration::from_millis(rng.u64(0..20_000))),
            fail_fast: rng.u32(0..12) == 0,
            is_fair: false,
            adopts: None,
            hosts,
        };
        scene.text = scene.manifest(&mut rng, segments);
        scene
    }

    /// A scene in which every file that is not broken for good can be had.
    pub(super) fn fair(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let seconds = |number: u64| Duration::from_secs(number);
        let retries = rng.u32(0..5);
        let max_retry_after = rng.u32(0..60);
        let count = rng.usize(1..4);
        let hosts: Vec<_> = (0..count)
            .map(|host| fair_temper(&mut rng, host, count, retries, max_retry_after))
            .collect();
        let mut scene = Self {
            seed,
            text: String::new(),
            connections: rng.usize(1..40),
            per_host: (rng.u32(0..3) > 0).then(|| rng.usize(1..20)),
            retries,
            connect_timeout: seconds(rng.u64(1..8)),
            stall_timeout: seconds(rng.u64(1..15)),
            max_retry_after: seconds(max_retry_after.into()),
            requests_per_second: (rng.u32(0..8) == 0).then(|| rng.u32(1..20)),
            files: None,
            entries: 0,
            stop_after: None,
            fail_fast: false,
            is_fair: true,
            adopts: (rng.u32(0..3) == 0).then(|| rng.u64(1..5)),
            hosts,
        };
        let segments = if rng.bool() { 1 } else { rng.usize(2..6) };
        scene.text = scene.manifest(&mut rng, segments);
        scene
    }

    /// Many files at one host, with default settings but for the connections.
    pub(super) fn of_one(temper: Temper, per_host: Option<usize>) -> Self {
        let mut scene = Self { is_fair: true, per_host, ..Self::fair(0) };
        (scene.hosts, scene.connections) = (vec![temper], 64);
        (scene.requests_per_second, scene.adopts) = (None, None);
        scene.set(4, FILES);
        scene
    }

    /// Sets the retries of a scene with one source, and its files.
    pub(super) fn set(&mut self, retries: u32, files: u32) {
        (self.retries, self.files) = (retries, Some(files));
        self.text = self.manifest(&mut fastrand::Rng::with_seed(0), 1);
    }

    /// Whether a host serves that file, in a fair scene.
    pub(super) fn serves(&self, host: usize, number: u32) -> bool {
        let there = &self.hosts[host];
        let is_broken = there.broken.as_ref().is_some_and(|(files, _)| files.contains(&number));
        let elsewhere = there.leads_to.filter(|_| number.is_multiple_of(2));
        !is_broken && elsewhere.is_none_or(|to| self.serves(to, number))
    }

    /// One host, and that many files of it under these settings of `http`, over at most that many
    /// connections.
    pub(super) fn of_one_host(temper: Temper, http: &str, files: u32, connections: usize) -> Self {
        let mut scene = Self::new(0, 1);
        scene.hosts = vec![temper];
        (scene.connections, scene.per_host, scene.entries) = (connections, None, files);
        (scene.requests_per_second, scene.stop_after, scene.fail_fast) = (None, None, false);
        scene.text = format!(
            "version: 1\ndest: out\nhttp: {{{http}}}\nsources:\n  - url: http://h0.test/{{n}}\n    \
             vars: {{n: 1..{files}}}\n"
        );
        scene
    }

    fn manifest(&mut self, rng: &mut fastrand::Rng, segments: usize) -> String {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let per_host = self.per_host.map_or("auto".to_owned(), |number| number.to_string());
        let mut text = format!(
            "version: 1\ndest: out\nhttp: {{connections: {}, connections_per_host: {per_host}, \
             retries: {}, connect_timeout: {}, stall_timeout: {}, max_retry_after: {}, \
             redirects: {REDIRECTS}, segments: {segments}, segment_min_size: 64KiB",
            self.connections,
            self.retries,
            seconds(self.connect_timeout),
            seconds(self.stall_timeout),
            seconds(self.max_retry_after),
        );
        if let Some(rate) = self.requests_per_second {
            let _ = write!(text, ", requests_per_second: {rate}");
        }
        text.push_str("}\nsources:\n");
        self.entries = 0;
        let sources = if self.files.is_some() { 1 } else { rng.usize(1..4) };
        for source in 0..sources {
            let files = match self.files {
                Some(files) => files,
                None if self.is_fair => FILES,
                None => rng.u32(1..25),
            };
            self.entries += files;
            let home = if self.files.is_some() { 0 } else { rng.usize(0..self.hosts.len()) };
            if !self.is_fair && (self.seed + source as u64).is_multiple_of(4) {
                // At all hosts.
                let last = self.hosts.len() - 1;
                self.entries += files * u32::try_from(last).expect("a few hosts");
                let _ = write!(
                    text,
                    "  - url: http://h{{h}}.test/s{source}/{{h}}/{{n}}\n    \
                     vars: {{h: 0..{last}, n: 1..{files}}}\n    path: \"s{source}/{{h}}/{{n}}\"\n"
                );
                continue;
            }
            let _ = write!(
                text,
                "  - url: http://h{home}.test/s{source}/{{n}}\n    vars: {{n: 1..{files}}}\n    \
                 path: \"s{source}/{{n}}\"\n"
            );
            if rng.u32(0..3) == 0 {
                let mirror = rng.usize(0..self.hosts.len());
                let _ = writeln!(text, "    mirrors: [\"http://h{mirror}.test/s{source}/{{n}}\"]");
            }
            match rng.u32(0..4) {
                0 => text.push_str("    on_missing: skip\n"),
                1 => text.push_str("    on_missing: skip\n    max_missing: 3\n"),
                _ => {}
            }
        }
        text
    }

    pub(super) fn parse(&self, folder: &Path) -> Manifest {
        let today = jiff::civil::date(2026, 1, 1);
        let options = LoadOptions { env: &|_| None, today, dest: None, set: &[] };
        let manifest = Manifest::parse(&folder.join("natsync.yaml"), &self.text, &options);
        let manifest = manifest.unwrap_or_else(|problems| panic!("{problems}\n{}", self.text));
        manifest.check().expect("the paths are distinct");
        manifest
    }

    pub(super) fn world(&self) -> World {
        let per_host = self.per_host.unwrap_or(MOST_AUTO).min(self.connections);
        let bounds = (self.connections, per_host);
        World::new(self.seed, self.hosts.clone(), self.stall_timeout, bounds)
    }

    /// The longest time in which nothing may happen: the longest wait for an origin, or the longest
    /// pause.
    pub(super) fn idle_bound(&self) -> Duration {
        let pause = self.max_retry_after.max(Duration::from_secs(30));
        pause.max(self.stall_timeout).max(self.connect_timeout) + Duration::from_secs(5)
    }

    /// A run ends within this time, whatever the origins do.
    ///
    /// In the worst case one request follows the other. An entry is tried at two places, and at
    /// each of them `retries` more times; a mismatch or a wrong range adds one more round. Each
    /// attempt is a chain of hops; each hop may wait for a connection, for a head, and for a body,
    /// of which the simulated origins send at most seven pieces. Before each attempt stands a
    /// pause.
    pub(super) fn time_bound(&self) -> Duration {
        let attempts = self.entries * 2 * 2 * (self.retries + 1 + FREE);
        let hop = self.connect_timeout + self.stall_timeout * 9 + Duration::from_secs(2);
        let pause = self.max_retry_after.max(Duration::from_secs(30));
        let spacing = self.requests_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(1) / rate * attempts * (REDIRECTS + 1)
        });
        attempts * (hop * (REDIRECTS + 1) + pause) + spacing
    }
}

fn temper(rng: &mut fastrand::Rng, host: usize, count: usize) -> Temper {
    let faults = (0..rng.usize(1..6)).map(|_| Fault::draw(rng, count)).collect();
    let rarely =
        |rng: &mut fastrand::Rng, most| if rng.u32(0..4) == 0 { rng.u32(0..most) } else { 0 };
    let broken = (rng.u32(0..6) == 0).then(|| {
        let begin = rng.u32(1..25);
        (begin..rng.u32(begin..=25), Fault::draw_lasting(rng))
    });
    Temper {
        faults,
        share: [0, 5, 30, 90, 100][rng.usize(0..5)],
        refused: rarely(rng, 101),
        unanswered: rarely(rng, 30),
        limit: (rng.u32(0..5) == 0).then(|| (rng.usize(1..4), EXCESS[rng.usize(..EXCESS.len())])),
        quirk: Quirk::draw(rng),
        broken,
        leads_to: (host + 1 < count && rng.u32(0..6) == 0).then(|| rng.usize(host + 1..count)),
        ..Temper::good()
    }
}

/// What hosts do with connections beyond their limit.
pub(super) const EXCESS: [Excess; 4] =
    [Excess::Close, Excess::Reset, Excess::Status(429), Excess::Status(503)];

/// A host whose files can be had, apart from those that are broken for good.
fn fair_temper(
    rng: &mut fastrand::Rng,
    host: usize,
    count: usize,
    retries: u32,
    most_pause: u32,
) -> Temper {
    // A stretch of broken files has as many good ones behind it, or none.
    let broken = (rng.u32(0..2) == 0).then(|| {
        let begin = rng.u32(1..FILES);
        let end = if FILES / 2 < begin && rng.bool() {
            FILES + 1
        } else {
            begin + rng.u32(1..=(FILES - begin + 1).div_ceil(2))
        };
        // Which files a redirect leads to is known only once they were requested, so that the few
        // probes of a host that stalls may all be for broken ones.
        let fault = Fault::draw_lasting(rng);
        (begin..end, if fault == Fault::Stall && 0 < host { Fault::Close } else { fault })
    });
    // Hosts lead only to later ones. A file may meet faults at both.
    let leads_to = (host + 1 < count && rng.u32(0..3) == 0).then(|| rng.usize(host + 1..count));
    let excess = EXCESS[rng.usize(..EXCESS.len())];
    let has_limit = rng.u32(0..3) == 0;
    // Refusals leave fewer retries for faults.
    let faults_a_file = if has_limit { 0 } else { retries / 4 };
    let faults = (0..rng.usize(1..6)).map(|_| Fault::draw_passing(rng, most_pause)).collect();
    Temper {
        faults,
        share: [0, 30, 100][rng.usize(..3)],
        limit: has_limit.then(|| (rng.usize(1..6), excess)),
        quirk: Quirk::draw(rng),
        broken,
        leads_to,
        faults_a_file,
        ..Temper::good()
    }
}
