//! The counts of a plan for each source and for each host.

use std::collections::BTreeMap;

use super::{Action, Counts};

/// The counts of one part of a plan: a source or a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The number of entries for each action.
    pub counts: Counts,
    /// The number of entries that will fail because of an obstacle. They are counted as fetches.
    pub conflicts: u64,
    /// Bytes to transfer, as far as sizes are known.
    pub known_bytes: u64,
    /// The number of entries to transfer whose size is unknown.
    pub unknown_sizes: u64,
}

/// The counts of a plan by source and by host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shares {
    /// One share for each source, in the order of the manifest.
    pub sources: Vec<Share>,
    /// The entries that need a request, by host (with the port unless it is the default one).
    pub hosts: BTreeMap<String, Share>,
    /// The entries that need a request at further hosts, beyond the limit of `hosts`.
    pub other_hosts: Share,
}

/// The maximum number of hosts in [`Shares::hosts`], to bound the memory.
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
    /// Adds the counts of another part.
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

    /// The share of a host, or `other_hosts` beyond the limit.
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
