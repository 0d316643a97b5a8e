//! Scenes in which seeds found faults of the engine.

use super::fault::Fault;
use super::quirk::{Quirk, Refusal, When};
use super::scene::{EXCESS, Scene};
use super::world::Temper;
use super::{Stage, event_loop, folder, plan, play};
use crate::dest::Dest;
use crate::event::Outcome;
use crate::plan::{Action, Decision, Reason};

/// Files of a source: more than a breaker takes.
const FILES: u32 = 50;

/// All ways to refuse requests.
fn refusals() -> impl Iterator<Item = Refusal> {
    let statuses = [400, 403, 404, 405, 410, 412, 416, 429, 500, 501, 503].map(Refusal::Status);
    let others = [Refusal::Later(503, 1_000_000_000), Refusal::Silence, Refusal::Close];
    statuses.into_iter().chain(others)
}

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
        for refusal in refusals() {
            for retries in [0, 4] {
                let quirk = Some(Quirk::Refuse(when, refusal));
                assert_all_come(Temper { quirk, ..Temper::good() }, retries, when == When::Head);
            }
        }
    }
}

#[test]
fn refused_ranges_cost_no_file() {
    for refusal in refusals() {
        let quirk = Some(Quirk::Refuse(When::Range, refusal));
        let (faults, share, faults_a_file) = (vec![Fault::CutBody], 100, 1);
        assert_all_come(Temper { quirk, faults, share, faults_a_file, ..Temper::good() }, 4, false);
    }
}

#[test]
fn refused_requests_at_a_host_that_limits_connections_cost_no_file() {
    for when in [When::Condition, When::Head] {
        for refusal in refusals() {
            for excess in EXCESS {
                let (quirk, limit) = (Some(Quirk::Refuse(when, refusal)), Some((2, excess)));
                assert_all_come(Temper { quirk, limit, ..Temper::good() }, 4, when == When::Head);
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
