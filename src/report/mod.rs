//! Tells people and programs about a run. Listens only: nothing here decides or acts.
//!
//! Results go to stdout and talk to stderr, both through [`Console`]. [`Talk`] is the talk of every
//! command: progress, warnings, failures at the end. The results of `apply` are [`Outcomes`], those
//! of `plan` a [`Listing`]; with `--json` both are [`Lines`]. A further kind of report is a further
//! file with one more [`crate::event::Reporter`], put into the [`Tee`].

mod console;
mod error;
mod escape;
mod explanation;
mod failures;
mod figures;
mod findings;
mod json;
mod listing;
mod locking;
mod meter;
mod names;
mod outcomes;
mod output;
mod plain;
mod progress;
mod screen;
mod shares;
mod table;
mod talk;
mod tee;
mod text;
use crate::units;

#[cfg(test)]
pub(crate) mod testing;

pub use console::{Console, Format, Settings, Verbosity, When};
pub use error::{print_bug, print_error, print_usage};
pub use escape::Untrusted;
pub use explanation::print_explanation;
pub use findings::Verdicts;
pub use json::Lines;
pub use listing::Listing;
pub use locking::print_drift;
pub use names::Names;
pub use outcomes::Outcomes;
pub use output::Output;
pub use talk::Talk;
pub use tee::{Closing, Tally, Tee};
pub use text::{Paint, fit, width_of, wrap, wrap_words};

pub(crate) use json::{write_entry, write_made, write_report};
pub(crate) use units::{Bytes, Count, Elapsed, Rate};
