//! Reports a run to people and programs. Reporters only listen to events: nothing here decides or
//! acts.
//!
//! Results go to stdout, messages to stderr, both through [`Console`]. [`Talk`] writes the messages
//! of every command: progress, warnings, and the failures at the end. Results are [`Outcomes`] for
//! `apply`, [`Listing`] for `plan`, [`Verdicts`] for `verify`, and [`Lines`] with `--json`. A new
//! kind of report is one more [`crate::event::Reporter`] in the [`Tee`].
//!
//! Reports for other programs listen beside these, and are closed with [`Ended`] however the run
//! ended: [`Annotations`] and [`StepSummary`] for GitHub Actions, [`Junit`], [`Metrics`], and
//! [`FailedFile`].

mod annotations;
mod console;
mod ended;
mod error;
mod escape;
mod explanation;
mod failed_file;
mod failures;
mod figures;
mod findings;
mod json;
mod junit;
mod listing;
mod locking;
mod merging;
mod meter;
mod metrics;
mod names;
mod outcomes;
mod output;
pub(crate) mod page;
mod plain;
mod progress;
mod screen;
mod shares;
mod step_summary;
mod table;
mod talk;
mod tee;
mod text;
mod troubles;
pub(crate) mod units;
mod warnings;
mod workflow;

#[cfg(test)]
pub(crate) mod testing;

pub(crate) use annotations::Annotations;
pub(crate) use console::{Console, Format, Settings, Verbosity, When};
pub(crate) use ended::{Account, Ended, EndedWith};
pub(crate) use error::{print_bug, print_error, print_usage};
pub(crate) use escape::Untrusted;
pub(crate) use explanation::print_explanation;
pub(crate) use failed_file::FailedFile;
pub(crate) use findings::Verdicts;
pub(crate) use json::Lines;
pub(crate) use junit::Junit;
pub(crate) use listing::Listing;
pub(crate) use locking::print_drift;
pub(crate) use metrics::Metrics;
pub(crate) use outcomes::Outcomes;
pub(crate) use step_summary::StepSummary;
pub(crate) use talk::Talk;
pub(crate) use tee::{Closing, Tally, Tee};
pub(crate) use text::{fit, width_of};

pub(crate) use annotations::annotate_warning;
pub(crate) use json::{write_entry, write_made, write_report};
pub(crate) use units::{Bytes, Count};
