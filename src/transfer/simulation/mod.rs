//! Runs against simulated origins: in virtual time, without sockets, on one thread, from a seed.
//!
//! A seed decides the manifest, its settings and what the origins do wrong (`scene`). The origins
//! (`world`) speak HTTP/1.1 over in-memory streams, so that the whole of `http` but TLS and sockets
//! is in use. After a run the laws (`laws`) are checked.
//!
//! `NATSYNC_SEED=N` runs one seed and prints its scene; `NATSYNC_SEEDS=N` runs the first N seeds.

mod fault;
mod found;
mod laws;
mod line;
mod message;
mod pacing;
mod quirk;
mod scene;
mod world;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::errand::Errand;
use super::execute::alone;
use super::fetch::{Fetch, Files};
use super::planned;
use super::probe::{Probe, Questions};
use super::run::{Run, Work};
use super::supply::MOST_OTHERS;
use crate::dest::Dest;
use crate::dest::state::{Claim, State};
use crate::event::Outcome;
use crate::http::Clock;
use crate::http::rewrite::Rewrites;
use crate::manifest::Manifest;
use crate::pin::lookup::Pins;
use crate::plan::{Action, Decision, Plan, Reason, Step};
use crate::stop::{Stop, StopReason};
use crate::threads::{lock, on_all_cores};
use laws::Outcomes;
use scene::{EXCESS, Scene};
use world::{Arrival, Temper, World};

/// Seeds of a normal test run.
const SEEDS: u64 = 150;

/// The same for scenes in which files can be had, and which have more of them.
const FAIR_SEEDS: u64 = 20;

/// After this many failed seeds no further ones are played.
const MOST_FAILED: usize = 10;

/// A folder in memory, if the system has one.
fn folder() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
        .expect("a folder")
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// Runs a scene: gets the files, probes them, and revalidates them. Returns what broke a law.
fn play(scene: &Scene) -> Vec<String> {
    let folder = folder();
    let manifest = scene.parse(folder.path());
    let dest = Dest::create(&manifest).expect("a destination");
    event_loop().block_on(async {
        let world = scene.world();
        let stage = Stage { scene, world: &world, manifest: &manifest, dest: &dest };
        let mut new = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
        let stale = Decision::new(Action::Revalidate, Reason::Stale);
        let old = plan(&manifest, stale);
        for entry in manifest.entries().iter() {
            if scene.adopts.is_some_and(|every| entry.index().0.is_multiple_of(every)) {
                let path = entry.path();
                let bytes = world.publish(&format!("/{}", path.as_str()));
                let file = dest.path().join(path.as_str());
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
                std::fs::write(file, bytes).expect("a file");
                new.set(entry.index(), Step::Do(stale));
            }
        }
        let all = async {
            stage.fetch(&new).await?;
            stage.probe(&old).await?;
            stage.fetch(&old).await.map(drop)
        };
        all.await.err().unwrap_or_default()
    })
}

/// An event loop with a paused clock.
fn event_loop() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("an event loop")
}

fn plan(manifest: &Manifest, decision: Decision) -> Plan {
    let mut plan = Plan::with_bound(manifest.entries().bound());
    for entry in manifest.entries().iter() {
        plan.set(entry.index(), Step::Do(decision));
    }
    plan
}

/// Where the runs of a scene happen.
#[derive(Clone, Copy)]
struct Stage<'a> {
    scene: &'a Scene,
    world: &'a World,
    manifest: &'a Manifest,
    dest: &'a Dest,
}

impl Stage<'_> {
    /// Gets the files of a plan.
    async fn fetch(self, plan: &Plan) -> Result<Outcomes, Vec<String>> {
        let Self { scene, world, manifest, dest } = self;
        let state = State::open(dest, &Claim::named("simulated")).expect("a state").value;
        let parts = dest.parts().expect("the staging area");
        let mut outcomes = Outcomes::default();
        let looks = AtomicUsize::new(0);
        self.with_work(async |work| {
            let files = Files { plan, dest, state: &state, parts: Some(&parts), disputing: false };
            let supply = planned::supply(&work, plan).counted(&looks);
            let run = Run::new(&work, supply, plan.bound());
            let fetch = Fetch::new(&work, files);
            self.carry_out(&run, &fetch, &mut outcomes).await?;
            fetch.skip_rest(&run, &mut outcomes);
            Ok(())
        })
        .await?;
        state.close();
        let mut broken = laws::broken(scene, world, manifest, dest, plan, &outcomes);
        let (looks, tries) = (looks.into_inner(), world.tries());
        // One for each entry and the end of each source, and a short look for each probe.
        let entries = usize::try_from(plan.counts().entries()).unwrap_or(usize::MAX);
        if entries.saturating_add(8 + MOST_OTHERS * tries) < looks {
            broken.push(format!("{looks} looks at the supply, and {tries} tries"));
        }
        if broken.is_empty() { Ok(outcomes) } else { Err(broken) }
    }

    /// Probes the entries of a plan.
    async fn probe(self, plan: &Plan) -> Result<(), Vec<String>> {
        let state = State::open(self.dest, &Claim::named("simulated")).expect("a state").value;
        let mut outcomes = Outcomes::default();
        let mut probed = Vec::new();
        self.with_work(async |work| {
            let questions = Questions { plan, dest: Some(self.dest), state: Some(&state) };
            let run = Run::new(&work, planned::supply(&work, plan), plan.bound());
            let probe = Probe::new(&work, questions);
            self.carry_out(&run, &probe, &mut outcomes).await?;
            probed = probe.into_probed();
            Ok(())
        })
        .await?;
        state.close();
        let broken = laws::broken_by_probe(self.scene, self.world, plan, &probed, &outcomes);
        if broken.is_empty() { Ok(()) } else { Err(broken) }
    }

    async fn with_work(
        self,
        run: impl AsyncFnOnce(Work<'_>) -> Result<(), String>,
    ) -> Result<(), Vec<String>> {
        let Self { scene, world, manifest, .. } = self;
        let pins = Pins::new(manifest, None);
        let settings: Vec<_> =
            manifest.sources().iter().map(|source| source.http.clone()).collect();
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("an instant");
        let (stop, rewrites) = (Stop::default(), Rewrites::default());
        let work = Work {
            manifest,
            pins: &pins,
            rewrites: &rewrites,
            stop: &stop,
            settings: &settings,
            connections: scene.connections,
            rate_limit: None,
            is_shard: false,
            fail_fast: scene.fail_fast,
            network: world,
            clock: Clock::starting_at(start),
            seed: scene.seed,
        };
        run(work).await.map_err(|broken| vec![broken])
    }

    /// One run, within its bounds of time.
    async fn carry_out(
        self,
        run: &Run<'_>,
        errand: &impl Errand,
        outcomes: &mut Outcomes,
    ) -> Result<(), String> {
        let Self { scene, world, .. } = self;
        let stopping = async {
            match scene.stop_after {
                Some(after) => tokio::time::sleep(after).await,
                None => std::future::pending().await,
            }
            run.work.stop.request(StopReason::Interrupted);
            std::future::pending::<()>().await;
        };
        let (bound, began) = (scene.time_bound(), tokio::time::Instant::now());
        tokio::select! {
            biased;
            () = alone(run, errand, outcomes) => Ok(()),
            () = stopping => Ok(()),
            () = world.idle(scene.idle_bound()) => {
                Err(format!("nothing happens, and the run does not end ({:?})", began.elapsed()))
            }
            () = tokio::time::sleep(bound) => {
                Err(format!("the run does not end within {bound:?}"))
            }
        }
    }
}

/// Downloads the files of a healthy scene, and returns the requests that its hosts saw.
fn download(scene: &Scene) -> Vec<Arrival> {
    let folder = folder();
    let manifest = scene.parse(folder.path());
    let dest = Dest::create(&manifest).expect("a destination");
    event_loop().block_on(async {
        let world = scene.world();
        let stage = Stage { scene, world: &world, manifest: &manifest, dest: &dest };
        let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
        let outcomes = stage.fetch(&plan).await.expect("no law is broken");
        let is_new = |entry| matches!(outcomes.of(entry), Some(Outcome::Downloaded(_)));
        assert!(manifest.entries().iter().all(|entry| is_new(entry.index())), "{outcomes:?}");
        world.arrivals()
    })
}

/// Plays the scenes of these seeds on all cores, and fails with those that break a law.
#[expect(clippy::print_stdout, reason = "seeds that fail are looked at")]
fn play_all(test: &str, seeds: u64, scene: fn(u64) -> Scene) {
    if let Some(seed) = number("NATSYNC_SEED") {
        let scene = scene(seed);
        println!("{scene:#?}\n{}", scene.text);
        assert_eq!(play(&scene), [""; 0]);
        return;
    }
    let seeds = number("NATSYNC_SEEDS").unwrap_or(seeds);
    let next = AtomicU64::new(0);
    let failed = Mutex::new(BTreeMap::new());
    let played =
        on_all_cores(usize::try_from(seeds).unwrap_or(usize::MAX), || -> Result<(), ()> {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seeds <= seed || MOST_FAILED <= lock(&failed).len() {
                    return Ok(());
                }
                let broken = std::panic::catch_unwind(|| play(&scene(seed)))
                    .unwrap_or_else(|_| vec!["a panic".to_owned()]);
                if !broken.is_empty() {
                    println!("seed {seed}: {broken:#?}");
                    lock(&failed).insert(seed, broken);
                }
            }
        });
    assert_eq!(played, Ok(()));
    let failed = lock(&failed);
    assert!(failed.is_empty(), "NATSYNC_SEED=N cargo test --lib simulation::{test}: {failed:#?}");
}

#[test]
fn every_run_keeps_the_laws() {
    play_all("every_run_keeps_the_laws", SEEDS, |seed| Scene::new(seed, 1));
}

#[test]
fn every_file_that_can_be_had_comes() {
    play_all("every_file_that_can_be_had_comes", FAIR_SEEDS, Scene::fair);
}

/// How long a host that limits connections takes: hardly longer than one that is asked for no more.
#[test]
fn a_host_that_limits_connections_is_not_slow() {
    for excess in EXCESS {
        for most in [1, 2, 5] {
            let took = time_of(|temper| temper.limit = Some((most, excess)), None);
            let ideal = time_of(|_| {}, Some(most));
            assert!(took < ideal * 2 + Duration::from_secs(2), "{excess:?}: {took:?}, {ideal:?}");
        }
    }
}

/// The virtual time in which all files of a host come.
fn time_of(change: impl Fn(&mut Temper), per_host: Option<usize>) -> Duration {
    let mut temper = Temper::good();
    change(&mut temper);
    let scene = Scene::of_one(temper, per_host);
    let folder = folder();
    let manifest = scene.parse(folder.path());
    let dest = Dest::create(manifest.dest()).expect("a destination");
    event_loop().block_on(async {
        let (world, began) = (scene.world(), tokio::time::Instant::now());
        let stage = Stage { scene: &scene, world: &world, manifest: &manifest, dest: &dest };
        let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
        stage.fetch(&plan).await.expect("no law is broken");
        began.elapsed()
    })
}

#[test]
fn every_run_with_segments_keeps_the_laws() {
    let test = "every_run_with_segments_keeps_the_laws";
    play_all(test, SEEDS, |seed| Scene::new(seed, 4));
}

/// Without faults, everything is downloaded, with one request for each entry.
#[test]
fn without_faults_one_request_an_entry_is_enough() {
    for seed in 0..20 {
        let mut scene = Scene::new(seed, 1);
        scene.stop_after = None;
        let folder = folder();
        let manifest = scene.parse(folder.path());
        let dest = Dest::create(&manifest).expect("a destination");
        event_loop().block_on(async {
            let world = scene.world();
            world.heal();
            let stage = Stage { scene: &scene, world: &world, manifest: &manifest, dest: &dest };
            let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
            let outcomes = stage.fetch(&plan).await.expect("no law is broken");
            assert_eq!(world.requests() as u64, plan.counts().fetch, "seed {seed}");
            let is_new = |entry| matches!(outcomes.of(entry), Some(Outcome::Downloaded(_)));
            assert!(manifest.entries().iter().all(|entry| is_new(entry.index())), "{outcomes:?}");
        });
    }
}

/// A seed that fails has to fail again.
#[test]
fn the_same_seed_gives_the_same_run() {
    let played = |seed| {
        let scene = Scene::new(seed, 1);
        let folder = folder();
        let manifest = scene.parse(folder.path());
        let dest = Dest::create(&manifest).expect("a destination");
        event_loop().block_on(async {
            let (world, began) = (scene.world(), tokio::time::Instant::now());
            let stage = Stage { scene: &scene, world: &world, manifest: &manifest, dest: &dest };
            let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
            let outcomes = stage.fetch(&plan).await.expect("no law is broken");
            format!("{:?} {} {:?}", outcomes.by_entry, world.requests(), began.elapsed())
        })
    };
    for seed in 0..20 {
        assert_eq!(played(seed), played(seed), "seed {seed}");
    }
}

/// Requests of segments are counted, too.
#[test]
fn all_requests_are_reported() {
    let mut most = 0;
    for seed in 0..20 {
        let mut scene = Scene::new(seed, 4);
        (scene.stop_after, scene.fail_fast) = (None, false);
        let folder = folder();
        let manifest = scene.parse(folder.path());
        let dest = Dest::create(&manifest).expect("a destination");
        event_loop().block_on(async {
            let world = scene.world();
            world.heal();
            let stage = Stage { scene: &scene, world: &world, manifest: &manifest, dest: &dest };
            let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
            let outcomes = stage.fetch(&plan).await.expect("no law is broken");
            let requests = world.requests();
            assert!(
                requests <= outcomes.attempts,
                "seed {seed}: {requests}, {}",
                outcomes.attempts
            );
            most = most.max(requests - manifest.entries().iter().count());
        });
    }
    assert!(0 < most, "no file came in segments");
}
