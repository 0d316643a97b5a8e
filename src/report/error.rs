//! Prints the error that ends a run.

use std::fmt::Write as _;

use super::annotations::annotate_error;
use super::console::Console;
use super::escape::Untrusted;
use super::json::{write_error, write_plain_error};
use crate::ops::error::RunError;

/// Columns for excerpts of a manifest if stderr is not a terminal.
const USUAL_WIDTH: usize = 120;

/// Prints an error to stderr, with `--json` also as a JSON line to stdout, and in a workflow also
/// as an annotation.
pub(crate) fn print_error(console: &Console, error: &RunError) {
    if console.is_json() {
        write_error(console, error);
    }
    if let RunError::Manifest(problems) = error {
        let width = console.err_width().unwrap_or(USUAL_WIDTH);
        let problems = problems.render(console.err_paint().is_on(), width);
        console.say(&format!("{}\n", problems.trim_end()));
    } else {
        say_error(console, &error.to_string(), hint_of(error));
    }
    annotate_error(console, error, hint_of(error));
}

/// The hint of an error. The problems of a manifest have their own hints.
pub(super) fn hint_of(error: &RunError) -> Option<&str> {
    match error {
        RunError::Usage { hint, .. } => hint.as_deref(),
        RunError::Lock(problem) => problem.hint,
        RunError::StalePlan { .. } => Some("make and review a new plan: `natsync plan --out FILE`"),
        RunError::ShardsMissing { .. } => {
            Some("run these shards (again), then merge; `--partial` merges the others already")
        }
        RunError::Busy { .. } => Some("use --wait to start after that run has ended"),
        _ => None,
    }
}

/// Prints that a bug in natsync ended the run. `place` is a place in the source.
pub(crate) fn print_bug(console: &Console, place: &str) {
    let message = format!("this is a bug in natsync ({place})");
    if console.is_json() {
        write_plain_error(console, "bug", &message);
    }
    let hint = "please report it with the command line and the manifest; every file in place is complete, and running the command again continues the work";
    say_error(console, &message, Some(hint));
}

/// Prints an error of the command line as a JSON line. clap has printed it to stderr already.
pub(crate) fn print_usage(console: &Console, message: &str) {
    write_plain_error(console, "usage", message);
}

fn say_error(console: &Console, message: &str, hint: Option<&str>) {
    let paint = console.err_paint();
    let (error, note) = (paint.error(), paint.note());
    let mut lines = format!("{error}error:{error:#} {}\n", Untrusted(message));
    if let Some(hint) = hint {
        let _ = writeln!(lines, "{note}hint:{note:#} {}", Untrusted(hint));
    }
    console.say(&lines);
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::testing::Captured;
    use crate::report::{Settings, When};

    #[test]
    fn an_error_has_its_hint_below() {
        let captured = Captured::new(Settings::default(), Some(80));
        print_error(
            &captured.console,
            &RunError::Busy { dest: "out\u{1b}".into(), shard: None, holder: None },
        );
        print_error(
            &captured.console,
            &RunError::Usage { message: "no".into(), hint: Some("yes".into()) },
        );
        print_bug(&captured.console, "src/plan/mod.rs:7");
        assert_eq!(captured.out(), "");
        assert_snapshot!(captured.err(), @r"
        error: another run holds `out\u{1b}`
        hint: use --wait to start after that run has ended
        error: no
        hint: yes
        error: this is a bug in natsync (src/plan/mod.rs:7)
        hint: please report it with the command line and the manifest; every file in place is complete, and running the command again continues the work
        ");
    }

    #[test]
    fn only_the_label_of_an_error_is_coloured() {
        let captured =
            Captured::new(Settings { color: When::Always, ..Settings::default() }, Some(80));
        print_error(&captured.console, &RunError::usage("no"));
        assert!(captured.err().contains("error:\u{1b}[0m no\n"), "{:?}", captured.err());
    }
}
