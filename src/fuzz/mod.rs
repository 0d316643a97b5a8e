//! The laws of all parsers of untrusted input: no parser panics, and what it accepts satisfies the
//! parser's invariants.
//!
//! One table lists them. The unit test feeds each law with mutations of the files in `tests/corpus`;
//! the package in `fuzz/` feeds the same laws with inputs that libFuzzer finds by coverage. A law
//! panics when it is violated, and does nothing else with its input.
//!
//! By default the unit test makes up to 3000 inputs for each law, which are the same in every run.
//! `NATSYNC_FUZZ=1000000` sets another number.

#![cfg_attr(
    not(feature = "internals"),
    allow(unreachable_pub, reason = "the feature `internals` makes the laws reachable")
)]
#![allow(
    clippy::disallowed_methods,
    reason = "some laws are about files, and the test reads its setting from the environment"
)]

mod answers;
mod files;
mod texts;

#[cfg(test)]
mod mutations;

/// A law about one kind of input.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    /// The name of the law, which is the name of its target in `fuzz/`.
    pub name: &'static str,
    /// The folder of its inputs in `tests/corpus`, or none where the inputs are made by the law.
    pub corpus: &'static str,
    /// The unit test divides the number of its inputs by this, for a slow law.
    pub share: u64,
    /// Checks the law with one input.
    ///
    /// # Panics
    /// When the law is violated.
    pub check: fn(&[u8]),
}

/// All laws.
pub const LAWS: &[Law] = &[
    law("manifests", "manifest", 3, texts::manifests),
    law("templates", "template", 1, texts::templates),
    law("ranges", "range", 1, texts::ranges),
    law("quantities", "quantity", 1, texts::quantities),
    law("urls", "url", 1, texts::urls),
    law("init_inputs", "init", 10, texts::init_inputs),
    law("locks", "lock", 3, files::locks),
    law("saved_plans", "plan", 1, files::saved_plans),
    law("checksum_lists", "list", 1, files::checksum_lists),
    law("netrc_files", "netrc", 1, files::netrc_files),
    law("part_notes", "part", 3, files::part_notes),
    law("states", "state", 30, files::states),
    law("response_heads", "answer", 1, answers::response_heads),
    law("content_ranges", "content-range", 1, answers::content_ranges),
    law("dates", "retry-after", 1, answers::dates),
];

const fn law(name: &'static str, corpus: &'static str, share: u64, check: fn(&[u8])) -> Law {
    Law { name, corpus, share, check }
}

/// Checks one law with one input, for the targets of `fuzz/`.
///
/// # Panics
/// When there is no law of that name, or when the law is violated.
#[cfg(feature = "internals")]
pub fn check(name: &str, input: &[u8]) {
    let law = LAWS.iter().find(|law| law.name == name).expect("a law of that name");
    (law.check)(input);
}

/// Text as a reader of text gets it.
fn text(input: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(input)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(name: &str) {
        let law = LAWS.iter().find(|law| law.name == name).expect("a law of that name");
        mutations::feed(law);
    }

    macro_rules! laws {
        ($($name:ident)*) => {
            const TESTED: &[&str] = &[$(stringify!($name)),*];
            $(#[test] fn $name() { holds(stringify!($name)); })*
        };
    }

    laws! {
        manifests templates ranges quantities urls init_inputs locks saved_plans checksum_lists
        netrc_files part_notes states response_heads content_ranges dates
    }

    #[test]
    fn each_law_has_a_test_and_a_target() {
        let names: Vec<_> = LAWS.iter().map(|law| law.name).collect();
        assert_eq!(names, TESTED);
        let manifest = include_str!("../../fuzz/Cargo.toml");
        let mut targets: Vec<_> = manifest
            .lines()
            .filter_map(|line| line.strip_prefix("path = \"targets/")?.strip_suffix(".rs\""))
            .collect();
        let mut expected = names;
        targets.sort_unstable();
        expected.sort_unstable();
        assert_eq!(targets, expected);
    }
}
