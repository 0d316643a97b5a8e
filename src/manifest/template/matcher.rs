//! Conditions on combinations of values (`exclude`, and `when` of `overrides`).

use super::Space;
use crate::manifest::vars::Values;

/// A condition on variables: each of them must have one of its named values. Each item is the index
/// of a variable, and a bit set over the values of that variable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matcher(Vec<(usize, Vec<u64>)>);

impl Matcher {
    /// Adds a variable, which must have one of the `named` values. `today` resolves relative dates.
    pub(crate) fn add(
        &mut self,
        space: &Space,
        variable: usize,
        named: &Values,
        today: jiff::civil::Date,
    ) {
        let values = &space.variable(variable).values;
        let mut bits = vec![0u64; usize::try_from(values.len().div_ceil(64)).unwrap_or(0)];
        for (index, value) in values.iter().enumerate() {
            if named.contains(value, today) {
                bits[index / 64] |= 1 << (index % 64);
            }
        }
        self.0.push((variable, bits));
    }

    /// Whether the combination at a position satisfies the condition on every variable.
    pub(crate) fn matches(&self, space: &Space, position: u64) -> bool {
        self.0.iter().all(|(variable, bits)| {
            let index = space.index_of(*variable, position);
            bits[(index / 64) as usize] & 1 << (index % 64) != 0
        })
    }
}
