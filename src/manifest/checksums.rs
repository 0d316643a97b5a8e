//! Digests that a manifest states.

use super::fields::Fields;
use super::node::{Key, Node};
use super::read::Reader;
use crate::digest::{Algorithm, Checksum};

impl Reader<'_> {
    /// The digests among the keys of a mapping.
    pub(super) fn checksums(&mut self, fields: &Fields<'_>) -> Vec<Checksum> {
        Algorithm::DECLARED
            .into_iter()
            .filter_map(|algorithm| {
                let node = fields.get(algorithm.as_str())?;
                let digits = 2 * algorithm.length();
                let wanted = format!("{digits} hexadecimal digits");
                self.parsed(node, algorithm.as_str(), &wanted, |text| {
                    Checksum::from_hex(algorithm, text.trim())
                })
            })
            .collect()
    }

    /// The first key that states a digest.
    #[expect(clippy::unused_self, reason = "it is asked as the other questions are")]
    pub(super) fn stated<'n>(&self, fields: &Fields<'n>) -> Option<(&'n Key, &'n Node)> {
        Algorithm::DECLARED.into_iter().find_map(|algorithm| fields.item(algorithm.as_str()))
    }
}
