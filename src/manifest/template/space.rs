//! The combinations of a source's variables, addressed by position.

use std::collections::HashMap;

use crate::manifest::vars::{Value, Values};

/// A variable of a source.
#[derive(Clone, Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) values: Values,
    /// The index of its dimension. Variables of one row, and zipped variables, share a dimension.
    pub(crate) dimension: usize,
}

/// The Cartesian product of dimensions. The last one varies fastest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space {
    variables: Vec<Variable>,
    names: HashMap<String, usize>,
    /// Length and stride of each dimension.
    dimensions: Vec<(u64, u64)>,
    count: u64,
}

impl Space {
    /// Makes a space with dimensions of these lengths. `None` if their product overflows.
    pub(crate) fn new(variables: Vec<Variable>, lengths: &[u64]) -> Option<Self> {
        let mut stride = 1u64;
        let mut dimensions: Vec<_> = Vec::with_capacity(lengths.len());
        for &length in lengths.iter().rev() {
            dimensions.push((length, stride));
            stride = stride.checked_mul(length)?;
        }
        dimensions.reverse();
        let names = variables.iter().enumerate().rev();
        let names = names.map(|(variable, declared)| (declared.name.clone(), variable)).collect();
        Some(Self { variables, names, dimensions, count: stride })
    }

    /// The number of combinations.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The variables, in the order of declaration.
    pub(crate) fn variables(&self) -> &[Variable] {
        &self.variables
    }

    pub(crate) fn variable(&self, variable: usize) -> &Variable {
        &self.variables[variable]
    }

    /// The index of the variable with that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// Length and stride of each dimension, the slowest first.
    pub(crate) fn dimensions(&self) -> &[(u64, u64)] {
        &self.dimensions
    }

    /// The index of a variable's value in the combination at a position.
    pub(crate) fn index_of(&self, variable: usize, position: u64) -> u64 {
        self.along(self.variables[variable].dimension, position)
    }

    /// The index along a dimension of the combination at a position.
    pub(crate) fn along(&self, dimension: usize, position: u64) -> u64 {
        let (length, stride) = self.dimensions[dimension];
        position / stride % length
    }

    /// A variable's value in the combination at a position.
    pub(crate) fn value(&self, variable: usize, position: u64) -> Value<'_> {
        self.variables[variable].values.get(self.index_of(variable, position))
    }
}
