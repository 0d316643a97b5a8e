//! A plan by its parts: what is to be done of each source, and at each host.

use std::collections::BTreeMap;

use super::{Action, Counts};

/// A part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many of its entries have which action.
    pub counts: Counts,
    /// How many of those that count as fetches cannot be fetched, since something stands in their way.
    pub conflicts: u64,
    /// Bytes to transfer, as far as sizes are known.
    pub known_bytes: u64,
    /// Of how many entries to transfer the size is not known.
    pub unknown_sizes: u64,
}

/// A plan by its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// One for each source of the manifest, in its order.
    pub sources: Vec<Share>,
    /// What needs the network, by host (and port, where it is not the usual one).
    pub hosts: BTreeMap<String, Share>,
    /// What needs the network at further hosts, of which there are too many to name.
    pub other_hosts: Share,
}

/// So many hosts are kept apart.
const MOST_HOSTS: usize = 1000;

impl Share {
    pub(crate) fn add(&mut self, action: Action, obstructed: bool, size: Option<u64>) {
        self.counts.add(action);
        self.conflicts += u64::from(obstructed);
        if matches!(action, Action::Fetch | Action::Replace) {
            match size {
                Some(size) => self.known_bytes = self.known_bytes.saturating_add(size),
                None => self.unknown_sizes += 1,
            }
        }
    }
}

impl Share {
    /// Adds another part to it.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.counts.merge(other.counts);
        self.conflicts += other.conflicts;
        self.known_bytes = self.known_bytes.saturating_add(other.known_bytes);
        self.unknown_sizes += other.unknown_sizes;
    }
}

impl Shares {
    pub(crate) fn new(sources: usize) -> Self {
        Self { sources: vec![Share::default(); sources], ..Self::default() }
    }

    /// The share of a host.
    pub(crate) fn host(&mut self, host: &str) -> &mut Share {
        if !self.hosts.contains_key(host) {
            if MOST_HOSTS <= self.hosts.len() {
                return &mut self.other_hosts;
            }
            self.hosts.insert(host.to_owned(), Share::default());
        }
        self.hosts.get_mut(host).unwrap_or(&mut self.other_hosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_hosts_are_one() {
        let mut shares = Shares::new(1);
        for host in 0..MOST_HOSTS + 5 {
            shares.host(&host.to_string()).add(Action::Fetch, false, Some(1));
        }
        shares.host("7").add(Action::Fetch, false, None);
        assert_eq!(shares.hosts.len(), MOST_HOSTS);
        assert_eq!(shares.other_hosts.counts.fetch, 5);
        assert_eq!((shares.hosts["7"].known_bytes, shares.hosts["7"].unknown_sizes), (1, 1));
    }
}
