//! The rules of a source: which combinations of values an `exclude` or an override applies to.
//!
//! A rule has a condition on the values of some dimensions. Rules on a single dimension are
//! painted: a table has the first rule for each value. A rule on several dimensions is a candidate
//! at the values of one of them, and its other conditions are then tested. So a question costs
//! about as much with a hundred thousand rules as with one.

use std::collections::BTreeMap;

use super::Space;
use crate::manifest::vars::Run;

/// What a rule changes of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The entry is left out.
    Skip,
    Url,
    Path,
    /// The digests.
    Pin,
}

const EFFECTS: usize = 4;

/// Several effects, one bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Effects(u8);

/// A condition: in each of these dimensions, the value has one of these indices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition(Vec<(usize, Vec<Run>)>);

/// The most steps that rules may take in all, when they are read and when all entries are made.
pub(crate) const MOST_STEPS: u64 = 2_000_000_000;

/// Larger sets are not listed value by value.
const LISTED: u64 = 1 << 16;
/// The largest dimension for which a table is painted: 1 GiB.
const LONGEST: u64 = 1 << 28;
/// The largest memory for sets of values, in bits.
const MOST_BITS: u64 = 1 << 32;

/// All rules of a source. An earlier rule precedes a later one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exceptions {
    effects: Effects,
    dimensions: BTreeMap<usize, Dimension>,
    /// The rules on several dimensions.
    joint: Vec<Joint>,
    /// Those of `joint` that are tested at every position.
    everywhere: Vec<u32>,
}

/// The rules that are found by the value of one dimension.
#[derive(Clone, Debug, Default)]
struct Dimension {
    painted: [Option<Painted>; EFFECTS],
    /// Index of the value and position in `joint`, sorted.
    candidates: Vec<(u64, u32)>,
}

#[derive(Clone, Debug)]
struct Joint {
    /// Its position among all rules.
    rule: u32,
    effects: Effects,
    sets: Vec<(usize, Set)>,
}

/// No rule.
const NONE: u32 = u32::MAX;

/// The first rule for each value of a dimension.
#[derive(Clone, Debug)]
enum Painted {
    /// The start of each stretch of values with the same rule.
    Stretches(Vec<(u64, u32)>),
    Each(Vec<u32>),
}

/// Indices of values.
#[derive(Clone, Debug)]
enum Set {
    Run(Run),
    Listed(Vec<u64>),
    Bits(Vec<u64>),
}

/// The rules take too many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManySteps;

impl Effects {
    pub(crate) fn with(self, effect: Effect) -> Self {
        Self(self.0 | 1 << effect as u8)
    }

    pub(crate) fn has(self, effect: Effect) -> bool {
        self.0 & 1 << effect as u8 != 0
    }
}

impl Condition {
    /// Requires that a dimension has one of these indices. Returns the number of steps it took.
    pub(crate) fn add(&mut self, dimension: usize, runs: Vec<Run>) -> u64 {
        let Some((_, before)) = self.0.iter_mut().find(|(other, _)| *other == dimension) else {
            self.0.push((dimension, runs));
            return 0;
        };
        // Two variables share the dimension: both must match.
        let (a, b) = (sorted(before), sorted(&runs));
        let steps = (a.len() + b.len()) as u64;
        let both = a.into_iter().filter(|index| b.binary_search(index).is_ok());
        *before = both.map(|index| Run { start: index, step: 1, count: 1 }).collect();
        steps
    }

    /// Whether it matches no combination at all.
    pub(crate) fn is_never(&self) -> bool {
        self.0.iter().any(|(_, runs)| runs.is_empty())
    }
}

fn sorted(runs: &[Run]) -> Vec<u64> {
    let mut indices: Vec<_> = runs.iter().flat_map(|run| run.iter()).collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

fn count(runs: &[Run]) -> u64 {
    runs.iter().fold(0, |sum, run| sum.saturating_add(run.count))
}

impl Exceptions {
    /// Makes the rules of a space from the conditions and effects of each.
    ///
    /// # Errors
    /// When finding the rules of all entries would take too long.
    pub(crate) fn new(
        space: &Space,
        conditions: &[(Condition, Effects)],
    ) -> Result<Self, TooManySteps> {
        let mut rules = Self::default();
        let mut steps = 0u64;
        let mut bits = 0;
        let mut single: Vec<Vec<usize>> = vec![Vec::new(); space.dimensions().len()];
        for (position, (condition, effects)) in conditions.iter().enumerate() {
            rules.effects.0 |= effects.0;
            match &condition.0[..] {
                _ if condition.is_never() => {}
                [(dimension, _)] => single[*dimension].push(position),
                all => {
                    let candidate = rules.joint.len();
                    let rule = to_id(position)?;
                    steps = steps.saturating_add(rules.place(space, all, to_id(candidate)?));
                    let mut sets = Vec::with_capacity(all.len());
                    for (dimension, runs) in all {
                        sets.push((*dimension, Set::new(runs, space, *dimension, &mut bits)?));
                    }
                    rules.joint.push(Joint { rule, effects: *effects, sets });
                }
            }
            if MOST_STEPS < steps {
                return Err(TooManySteps);
            }
        }
        for (dimension, positions) in single.iter().enumerate().filter(|(_, all)| !all.is_empty()) {
            let length = space.dimensions()[dimension].0;
            let found = rules.dimensions.entry(dimension).or_default();
            for effect in [Effect::Skip, Effect::Url, Effect::Path, Effect::Pin] {
                let of_effect: Vec<_> = positions
                    .iter()
                    .filter(|&&position| conditions[position].1.has(effect))
                    .map(|&position| (position, &conditions[position].0.0[0].1[..]))
                    .collect();
                if !of_effect.is_empty() {
                    found.painted[effect as usize] =
                        Some(Painted::new(length, &of_effect, &mut steps)?);
                }
            }
        }
        for found in rules.dimensions.values_mut() {
            found.candidates.sort_unstable();
            steps = steps.saturating_add(space.count() / 8);
        }
        if MOST_STEPS < steps { Err(TooManySteps) } else { Ok(rules) }
    }

    /// Makes a rule on several dimensions a candidate where it can match. Returns how often it will
    /// be tested.
    fn place(&mut self, space: &Space, sets: &[(usize, Vec<Run>)], candidate: u32) -> u64 {
        let tests = |dimension: usize, runs: &[Run]| {
            let length = space.dimensions()[dimension].0.max(1);
            count(runs).min(length).saturating_mul((space.count() / length).max(1))
        };
        let listed = sets.iter().filter(|(_, runs)| count(runs) <= LISTED);
        let Some((dimension, runs)) = listed.min_by_key(|(at, runs)| tests(*at, runs)) else {
            self.everywhere.push(candidate);
            return space.count();
        };
        let tests = tests(*dimension, runs);
        let places = sorted(runs).into_iter().map(|index| (index, candidate));
        self.dimensions.entry(*dimension).or_default().candidates.extend(places);
        tests
    }

    /// Whether at least one rule has this effect.
    pub(crate) fn has(&self, effect: Effect) -> bool {
        self.effects.has(effect)
    }

    /// The first rule with an effect that applies to the combination at a position.
    pub(crate) fn first(&self, space: &Space, position: u64, effect: Effect) -> Option<usize> {
        if !self.has(effect) {
            return None;
        }
        let mut first = NONE;
        let mut test = |candidate: u32| {
            let joint = &self.joint[candidate as usize];
            #[cfg(test)]
            tests::count();
            if joint.rule < first && joint.effects.has(effect) && joint.matches(space, position) {
                first = joint.rule;
            }
            // Candidates come in the order of their rules.
            first <= joint.rule
        };
        for &candidate in &self.everywhere {
            if test(candidate) {
                break;
            }
        }
        for (&dimension, found) in &self.dimensions {
            let index = space.along(dimension, position);
            let from = found.candidates.partition_point(|&(other, _)| other < index);
            let here = found.candidates[from..].iter().take_while(|&&(other, _)| other == index);
            for &(_, candidate) in here {
                if test(candidate) {
                    break;
                }
            }
        }
        for (&dimension, found) in &self.dimensions {
            if let Some(painted) = &found.painted[effect as usize] {
                first = first.min(painted.get(space.along(dimension, position)));
            }
        }
        (first != NONE).then_some(first as usize)
    }
}

fn to_id(position: usize) -> Result<u32, TooManySteps> {
    u32::try_from(position).ok().filter(|&id| id != NONE).ok_or(TooManySteps)
}

impl Joint {
    fn matches(&self, space: &Space, position: u64) -> bool {
        self.sets.iter().all(|(dimension, set)| set.contains(space.along(*dimension, position)))
    }
}

impl Painted {
    #[expect(clippy::cast_possible_truncation, reason = "LONGEST bounds the indices")]
    fn new(length: u64, rules: &[(usize, &[Run])], steps: &mut u64) -> Result<Self, TooManySteps> {
        if LONGEST < length {
            return Err(TooManySteps);
        }
        let mut table = vec![NONE; length as usize];
        // The first rule is painted last, over those that it precedes.
        for (position, runs) in rules.iter().rev() {
            let id = to_id(*position)?;
            for run in *runs {
                if run.step == 1 {
                    // Filling a stretch takes a fraction of a step a value.
                    *steps = steps.saturating_add(1 + run.count / 16);
                    let start = run.start as usize;
                    table[start..start + run.count as usize].fill(id);
                } else {
                    *steps = steps.saturating_add(run.count);
                    run.iter().for_each(|index| table[index as usize] = id);
                }
                if MOST_STEPS < *steps {
                    return Err(TooManySteps);
                }
            }
        }
        let stretches = 1 + table.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if table.len() / 4 < stretches {
            return Ok(Self::Each(table));
        }
        let mut starts: Vec<(u64, u32)> = Vec::with_capacity(stretches);
        for (index, &id) in table.iter().enumerate() {
            if starts.last().is_none_or(|&(_, last)| last != id) {
                starts.push((index as u64, id));
            }
        }
        Ok(Self::Stretches(starts))
    }

    #[expect(clippy::cast_possible_truncation, reason = "LONGEST bounds the indices")]
    fn get(&self, index: u64) -> u32 {
        match self {
            Self::Stretches(starts) => {
                starts[starts.partition_point(|&(start, _)| start <= index) - 1].1
            }
            Self::Each(rules) => rules[index as usize],
        }
    }
}

impl Set {
    #[expect(clippy::cast_possible_truncation, reason = "MOST_BITS bounds the indices")]
    fn new(
        runs: &[Run],
        space: &Space,
        dimension: usize,
        bits: &mut u64,
    ) -> Result<Self, TooManySteps> {
        if let [run] = runs {
            return Ok(Self::Run(*run));
        }
        if count(runs) <= 64 {
            return Ok(Self::Listed(sorted(runs)));
        }
        let length = space.dimensions()[dimension].0;
        *bits += length;
        if MOST_BITS < *bits {
            return Err(TooManySteps);
        }
        let mut set = vec![0u64; length.div_ceil(64) as usize];
        for index in runs.iter().flat_map(|run| run.iter()) {
            set[(index / 64) as usize] |= 1 << (index % 64);
        }
        Ok(Self::Bits(set))
    }

    fn contains(&self, index: u64) -> bool {
        match self {
            Self::Run(run) => run.contains(index),
            Self::Listed(indices) => indices.binary_search(&index).is_ok(),
            Self::Bits(bits) => {
                usize::try_from(index / 64).is_ok_and(|word| bits[word] & 1 << (index % 64) != 0)
            }
        }
    }
}

#[cfg(test)]
mod tests;
