//! Scenes in which seeds found faults of the engine.

use super::fault::Fault;
use super::play;
use super::quirk::{Quirk, Refusal, When};
use super::scene::{EXCESS, Scene};
use super::world::Temper;

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
