//! Errors that end a run, told at the end.

use std::fmt::Write as _;

use super::annotations::annotate_error;
use super::console::Console;
use super::escape::Untrusted;
use super::json::{write_error, write_plain_error};
use crate::ops::error::RunError;

/// Excerpts of a manifest are laid out for this many columns where there is no terminal.
const USUAL_WIDTH: usize = 120;

/// Tells why a run ended: to people on stderr, and with `--json` to programs on stdout too.
pub fn print_error(console: &Console, error: &RunError) {
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

/// What to do about it, where that is not said with each problem.
pub(super) fn hint_of(error: &RunError) -> Option<&str> {
    match error {
        RunError::Usage { hint, .. } => hint.as_deref(),
        RunError::Lock(problem) => problem.hint,
        RunError::StalePlan { .. } => {
            Some("look at it and save it again: `natsync plan --out FILE`")
        }
        RunError::Busy { .. } => Some("use --wait to begin when it has ended"),
        _ => None,
    }
}

/// Tells that the program itself is at fault, and where.
pub fn print_bug(console: &Console, place: &str) {
    let message = format!("natsync failed by a mistake of its own ({place})");
    if console.is_json() {
        write_plain_error(console, "bug", &message);
    }
    let hint = "please report it, with the command line and the manifest; what was put in place is whole, and running it again goes on from there";
    say_error(console, &message, Some(hint));
}

/// Tells programs that the command line could not be read. People were told already.
pub fn print_usage(console: &Console, message: &str) {
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
        print_error(&captured.console, &RunError::Busy { dest: "out\u{1b}".into(), holder: None });
        print_error(
            &captured.console,
            &RunError::Usage { message: "no".into(), hint: Some("yes".into()) },
        );
        print_bug(&captured.console, "src/plan/mod.rs:7");
        assert_eq!(captured.out(), "");
        assert_snapshot!(captured.err(), @r"
        error: another run holds `out\u{1b}`
        hint: use --wait to begin when it has ended
        error: no
        hint: yes
        error: natsync failed by a mistake of its own (src/plan/mod.rs:7)
        hint: please report it, with the command line and the manifest; what was put in place is whole, and running it again goes on from there
        ");
    }

    #[test]
    fn colour_stands_before_the_words() {
        let captured =
            Captured::new(Settings { color: When::Always, ..Settings::default() }, Some(80));
        print_error(&captured.console, &RunError::usage("no"));
        assert!(captured.err().contains("error:\u{1b}[0m no\n"), "{:?}", captured.err());
    }
}
