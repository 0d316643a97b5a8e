use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::manifest::template::Variable;
use crate::manifest::vars::{Values, range_of};

thread_local! {
    static TESTS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the tests of single rules.
pub(super) fn count() {
    TESTS.set(TESTS.get() + 1);
}

fn space(lengths: &[u64]) -> Space {
    let variables = lengths.iter().enumerate().map(|(dimension, length)| {
        let mut values = Values::default();
        let today = jiff::civil::date(2026, 1, 31);
        values.push(range_of("1", &length.to_string(), None, today).unwrap());
        Variable { name: format!("v{dimension}"), values, dimension }
    });
    Space::new(variables.collect(), lengths).unwrap()
}

fn condition(sets: &[(usize, Vec<Run>)]) -> Condition {
    let mut condition = Condition::default();
    for (dimension, runs) in sets {
        condition.add(*dimension, runs.clone());
    }
    condition
}

fn one(index: u64) -> Vec<Run> {
    vec![Run { start: index, step: 1, count: 1 }]
}

#[test]
fn a_question_tests_few_rules_however_many_there_are() {
    let space = space(&[1000, 1000]);
    let skip = Effects::default().with(Effect::Skip);
    for rules in [1000, 8000] {
        let pairs = (0..rules).map(|n| condition(&[(0, one(n % 1000)), (1, one(n / 1000))]));
        let singles = (0..1000).map(|n| condition(&[(1, one(n))]));
        let all: Vec<_> = pairs.chain(singles).map(|condition| (condition, skip)).collect();
        let all = Exceptions::new(&space, &all).unwrap();
        TESTS.set(0);
        for position in (0..1_000_000).step_by(997) {
            let rule = all.first(&space, position, Effect::Skip).unwrap() as u64;
            let pair = position % 1000 * 1000 + position / 1000;
            assert_eq!(rule, if pair < rules { pair } else { rules + position % 1000 });
        }
        // Eight times as many rules: of each pair, at most eight are candidates.
        assert!(TESTS.get() <= 1004 * (rules / 1000), "{} tests", TESTS.get());
    }
}

#[test]
fn rules_that_would_take_too_long_are_refused() {
    let space = space(&[100_000, 3000]);
    let half = vec![Run { start: 0, step: 2, count: 50_000 }];
    let rule = condition(&[(0, half), (1, vec![Run { start: 0, step: 2, count: 1500 }])]);
    let skip = Effects::default().with(Effect::Skip);
    assert!(Exceptions::new(&space, &vec![(rule.clone(), skip); 10]).is_ok());
    assert_eq!(Exceptions::new(&space, &vec![(rule, skip); 20]).unwrap_err(), TooManySteps);
}

fn set(length: u64) -> impl Strategy<Value = Vec<Run>> {
    let run = (0..length, 1u64..4, 1u64..30).prop_map(move |(start, step, count)| Run {
        start,
        step,
        count: count.min((length - 1 - start) / step + 1),
    });
    prop::collection::vec(run, 0..4)
}

proptest! {
    #[test]
    fn the_first_rule_is_the_one_that_a_search_of_all_finds(
        rules in prop::collection::vec(
            (prop::option::of(set(90)), prop::option::of(set(7)), prop::option::of(set(2)), 1u8..16),
            0..30,
        ),
    ) {
        let space = space(&[90, 7, 2]);
        let rules: Vec<_> = rules
            .into_iter()
            .map(|(a, b, c, effects)| {
                let sets = [(0, a), (1, b), (2, c)];
                let sets: Vec<_> =
                    sets.into_iter().filter_map(|(at, set)| Some((at, set?))).collect();
                (sets, Effects(effects))
            })
            .filter(|(sets, _)| !sets.is_empty())
            .collect();
        let made: Vec<_> =
            rules.iter().map(|(sets, effects)| (condition(sets), *effects)).collect();
        let made = Exceptions::new(&space, &made).unwrap();
        for effect in [Effect::Skip, Effect::Url, Effect::Path, Effect::Pin] {
            for position in 0..space.count() {
                let expected = rules.iter().position(|(sets, effects)| {
                    let meets = |(at, runs): &(usize, Vec<Run>)| {
                        let index = space.along(*at, position);
                        runs.iter().any(|run| run.iter().any(|other| other == index))
                    };
                    effects.has(effect) && sets.iter().all(meets)
                });
                prop_assert_eq!(made.first(&space, position, effect), expected);
            }
        }
    }
}
