//! Prints the errors, warnings and notes of commands, and chooses between exit statuses.

use crate::ops::error::{ExitStatus, RunError};
use crate::report::{Console, annotate_warning, print_error};

/// Prints an error. Returns the exit status that it stands for.
pub(super) fn fail(console: &Console, error: &RunError) -> ExitStatus {
    print_error(console, error);
    error.exit_status()
}

/// Prints a message that is not a warning. The caller escapes text from outside.
pub(super) fn note(console: &Console, message: &str) {
    let note = console.err_paint().note();
    console.remark(&format!("{note}note:{note:#} {message}\n"));
}

/// Prints a warning.
pub(super) fn warn(console: &Console, message: &str) {
    let warning = console.err_paint().warning();
    console.remark(&format!("{warning}warning:{warning:#} {message}\n"));
    annotate_warning(console, message);
}

/// The more severe of two exit statuses. The order is `Ok`, `Drift`, `Failed`, the statuses of a
/// run that could not go on, and those of a signal. Of two equally severe ones the first counts.
pub(crate) fn worst(first: ExitStatus, second: ExitStatus) -> ExitStatus {
    let weight = |status| match status {
        ExitStatus::Ok => 0,
        ExitStatus::Drift => 1,
        ExitStatus::Failed => 2,
        ExitStatus::Interrupted | ExitStatus::Terminated => 4,
        _ => 3,
    };
    if weight(first) < weight(second) { second } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_status_wins() {
        use ExitStatus::{Busy, Drift, Failed, Interrupted, Ok, Storage, Usage};
        let of =
            |statuses: &[ExitStatus]| statuses.iter().fold(Ok, |one, &other| worst(one, other));
        assert_eq!(of(&[]), Ok);
        assert_eq!(of(&[Ok, Drift, Ok]), Drift);
        assert_eq!(of(&[Failed, Drift]), Failed);
        assert_eq!(of(&[Failed, Busy, Storage]), Busy);
        assert_eq!(of(&[Usage, Failed]), Usage);
        assert_eq!(of(&[Storage, Interrupted, Usage]), Interrupted);
    }
}
