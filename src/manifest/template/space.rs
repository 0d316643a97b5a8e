//! All combinations of a source's variables, by number.

use crate::manifest::vars::{Value, Values};

/// A variable of a source.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) values: Values,
    /// Which of the space's dimensions it goes along: those of a row, and zipped ones, share one.
    pub(crate) dimension: usize,
}

/// A product of dimensions; the last varies fastest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    variables: Vec<Variable>,
    /// Length and stride of each dimension.
    dimensions: Vec<(u64, u64)>,
    count: u64,
}

impl Space {
    /// With dimensions of these lengths. `None` when their product cannot be counted.
    pub(crate) fn new(variables: Vec<Variable>, lengths: &[u64]) -> Option<Self> {
        let mut stride = 1u64;
        let mut dimensions: Vec<_> = Vec::with_capacity(lengths.len());
        for &length in lengths.iter().rev() {
            dimensions.push((length, stride));
            stride = stride.checked_mul(length)?;
        }
        dimensions.reverse();
        Some(Self { variables, dimensions, count: stride })
    }

    /// How many combinations there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The variables, in the order in which they were declared.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// One of them.
    pub(crate) fn variable(&self, variable: usize) -> &Variable {
        &self.variables[variable]
    }

    /// The one of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|variable| variable.name == name)
    }

    /// Length and stride of each dimension, the slowest first.
    pub(crate) fn dimensions(&self) -> &[(u64, u64)] {
        &self.dimensions
    }

    /// Which of a variable's values belongs to a combination.
    pub(crate) fn index_of(&self, variable: usize, position: u64) -> u64 {
        let (length, stride) = self.dimensions[self.variables[variable].dimension];
        position / stride % length
    }

    /// A variable's value in a combination.
    pub(crate) fn value(&self, variable: usize, position: u64) -> Value<'_> {
        self.variables[variable].values.get(self.index_of(variable, position))
    }
}
