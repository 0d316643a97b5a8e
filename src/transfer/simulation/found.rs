//! Scenes in which seeds found faults of the engine.

use super::fault::Fault;
use super::quirk::{Quirk, Refusal, When};
use super::scene::{EXCESS, Scene};
use super::world::{Excess, Temper};
use super::{Stage, event_loop, folder, plan, play};
use crate::dest::Dest;
use crate::event::Outcome;
use crate::plan::{Action, Decision, Reason};

/// Files of a source: more than a breaker takes.
const FILES: u32 = 50;

/// Ways to refuse requests.
const REFUSALS: [Refusal; 7] = [
    Refusal::Close,
    Refusal::Silence,
    Refusal::Status(404),
    Refusal::Status(412),
    Refusal::Status(429),
    Refusal::Status(500),
    Refusal::Later(503, 1_000_000_000),
];

/// A host all of whose files can be had, and are here before if `is_here`.
fn assert_all_come(temper: Temper, retries: u32, is_here: bool) {
    let (quirk, limit) = (temper.quirk, temper.limit);
    let mut scene = Scene::of_one(temper, None);
    scene.set(retries, FILES);
    scene.adopts = is_here.then_some(1);
    assert_eq!(play(&scene), [""; 0], "{quirk:?}, {limit:?}, {retries} retries");
}

#[test]
fn refused_conditions_and_heads_cost_no_file() {
    for when in [When::Condition, When::Head] {
        for refusal in REFUSALS {
            for retries in [0, 4] {
                let quirk = Some(Quirk::Refuse(when, refusal));
                assert_all_come(Temper { quirk, ..Temper::good() }, retries, when == When::Head);
            }
        }
    }
}

#[test]
fn refused_ranges_cost_no_file() {
    for refusal in REFUSALS {
        let quirk = Some(Quirk::Refuse(When::Range, refusal));
        let (faults, share, faults_a_file) = (vec![Fault::CutBody], 100, 1);
        assert_all_come(Temper { faults, share, quirk, faults_a_file, ..Temper::good() }, 4, false);
    }
}

#[test]
fn refused_requests_at_a_host_that_limits_connections_cost_no_file() {
    for when in [When::Condition, When::Head] {
        for refusal in REFUSALS {
            for excess in [Excess::Close, Excess::Status(429)] {
                let (quirk, limit) = (Some(Quirk::Refuse(when, refusal)), Some((2, excess)));
                assert_all_come(Temper { limit, quirk, ..Temper::good() }, 4, when == When::Head);
            }
        }
    }
}

#[test]
fn redirects_show_that_a_host_serves_others() {
    for excess in EXCESS {
        for seed in 0..2 {
            let limit = Some((2, excess));
            let temper = Temper { limit, leads_to: Some(1), ..Temper::good() };
            let mut scene = Scene::of_one(temper, None);
            scene.hosts.push(Temper::good());
            scene.seed = seed;
            scene.set(0, FILES);
            assert_eq!(play(&scene), [""; 0], "{excess:?}, {seed}");
        }
    }
}

#[test]
fn a_host_that_limits_connections_serves_all_files_without_retries() {
    for excess in EXCESS {
        for most in [1, 2, 5] {
            for seed in 0..2 {
                let limit = Some((most, excess));
                let mut scene = Scene::of_one(Temper { limit, ..Temper::good() }, None);
                scene.seed = seed;
                scene.set(0, FILES);
                assert_eq!(play(&scene), [""; 0], "{excess:?}, {most}, {seed}");
            }
        }
    }
}

/// A host that falls silent after each megabyte and a half is slow, not ill.
#[test]
fn a_large_file_comes_while_its_requests_progress() {
    const STEP: usize = 3 << 19;
    let faults = vec![Fault::StallAfter(STEP)];
    let mut scene = Scene::of_one(Temper { faults, share: 100, ..Temper::good() }, Some(1));
    scene.set(4, 1);
    let folder = folder();
    let manifest = scene.parse(folder.path());
    let dest = Dest::create(&manifest).expect("a destination");
    event_loop().block_on(async {
        let world = scene.world();
        for entry in manifest.entries().iter() {
            world.put(&format!("/{}", entry.path().as_str()), vec![7; 20 * STEP]);
        }
        let stage = Stage { scene: &scene, world: &world, manifest: &manifest, dest: &dest };
        let plan = plan(&manifest, Decision::new(Action::Fetch, Reason::NotOnDisk));
        let outcomes = stage.fetch(&plan).await.expect("no law is broken");
        for entry in manifest.entries().iter() {
            let outcome = outcomes.of(entry.index());
            assert!(matches!(outcome, Some(Outcome::Downloaded(_))), "{outcome:?}");
        }
    });
}
