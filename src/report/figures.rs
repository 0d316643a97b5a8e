//! The summary of a plan in one sentence.

use super::units::{Bytes, Count};
use crate::plan::{Action, Counts};

/// The numbers of the sentence.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) counts: Counts,
    /// The entries of `counts.fetch` that cannot be fetched because of a path conflict.
    pub(super) conflicts: u64,
    pub(super) known_bytes: u64,
    pub(super) unknown_sizes: u64,
}

impl Figures {
    /// `338 entries: 300 to fetch (not on disk), 38 to keep, sizes unknown`. `reason` may give the
    /// reason that all entries with an action have in common.
    pub(super) fn describe<'a>(&self, reason: impl Fn(Action) -> Option<&'a str>) -> String {
        let Counts { fetch, replace, revalidate, keep, absent, prune } = self.counts;
        let fetch = fetch.saturating_sub(self.conflicts);
        let entries = Count::entries(self.counts.entries());
        if fetch + replace + revalidate + prune + self.conflicts == 0 {
            return match absent {
                0 => format!("{entries}: nothing to do"),
                _ => format!("{entries} ({absent} absent): nothing to do"),
            };
        }
        let counts = [
            (fetch, Action::Fetch, "to fetch"),
            (replace, Action::Replace, "to replace"),
            (revalidate, Action::Revalidate, "to revalidate"),
            (keep, Action::Keep, "to keep"),
            (absent, Action::Absent, "absent"),
            (prune, Action::Prune, "to prune"),
        ];
        let mut parts: Vec<String> = Vec::new();
        for (count, action, words) in counts.into_iter().filter(|(count, ..)| 0 < *count) {
            parts.push(match reason(action) {
                Some(reason) => format!("{count} {words} ({reason})"),
                None => format!("{count} {words}"),
            });
        }
        if 0 < self.conflicts {
            parts.push(Count(self.conflicts, "conflict", "conflicts").to_string());
        }
        parts.extend(self.size(fetch + replace));
        format!("{entries}: {}", parts.join(", "))
    }

    fn size(&self, transfers: u64) -> Option<String> {
        let unknown = self.unknown_sizes.saturating_sub(self.conflicts);
        match (self.known_bytes, unknown) {
            _ if transfers == 0 => None,
            (known, 0) => Some(Bytes(known).to_string()),
            (0, _) => {
                Some(if transfers == 1 { "size unknown" } else { "sizes unknown" }.to_owned())
            }
            (known, _) => Some(format!("at least {}", Bytes(known))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(counts: Counts, conflicts: u64, known_bytes: u64, unknown_sizes: u64, expected: &str) {
        let figures = Figures { counts, conflicts, known_bytes, unknown_sizes };
        assert_eq!(figures.describe(|_| None), expected);
    }

    const NONE: Counts =
        Counts { fetch: 0, replace: 0, revalidate: 0, keep: 0, absent: 0, prune: 0 };

    #[test]
    fn a_plan_is_one_sentence() {
        check(Counts { fetch: 338, ..NONE }, 0, 0, 338, "338 entries: 338 to fetch, sizes unknown");
        check(Counts { fetch: 1, ..NONE }, 0, 0, 1, "1 entry: 1 to fetch, size unknown");
        check(
            Counts { fetch: 2, replace: 1, ..NONE },
            0,
            45_100_000,
            0,
            "3 entries: 2 to fetch, 1 to replace, 45.1 MB",
        );
        check(
            Counts { fetch: 2, keep: 5, ..NONE },
            0,
            900,
            1,
            "7 entries: 2 to fetch, 5 to keep, at least 900 B",
        );
        check(
            Counts { revalidate: 9, absent: 3, ..NONE },
            0,
            0,
            0,
            "12 entries: 9 to revalidate, 3 absent",
        );
    }

    #[test]
    fn a_plan_without_work_says_nothing_to_do() {
        check(NONE, 0, 0, 0, "0 entries: nothing to do");
        check(Counts { keep: 338, ..NONE }, 0, 0, 0, "338 entries: nothing to do");
        check(
            Counts { keep: 300, absent: 38, ..NONE },
            0,
            0,
            0,
            "338 entries (38 absent): nothing to do",
        );
    }

    #[test]
    fn a_conflict_does_not_count_as_a_fetch() {
        check(
            Counts { fetch: 3, ..NONE },
            1,
            0,
            3,
            "3 entries: 2 to fetch, 1 conflict, sizes unknown",
        );
        check(Counts { fetch: 2, keep: 1, ..NONE }, 2, 0, 2, "3 entries: 1 to keep, 2 conflicts");
    }

    #[test]
    fn a_common_reason_appears_once() {
        let figures = Figures {
            counts: Counts { fetch: 2, keep: 1, ..NONE },
            known_bytes: 5000,
            ..Figures::default()
        };
        let reason = |action| (action == Action::Fetch).then_some("not on disk");
        assert_eq!(
            figures.describe(reason),
            "3 entries: 2 to fetch (not on disk), 1 to keep, 5.0 kB"
        );
    }
}
