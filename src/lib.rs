//! natsync keeps a directory equal to a set of remote files that a YAML manifest declares.
//!
//! The flow, left to right; nothing knows what stands to its right:
//!
//! ```text
//! manifest ─► entries ───────────┐
//! walk + state ─► inventory ─────┼─► planner (pure) ─► plan ─► executor ─► outcomes ─► state
//! policy, now ───────────────────┘                              │
//!                                                               └─► events ─► reporters
//! ```
//!
//! Values, which need nothing but their arguments:
//!
//! - [`manifest`]: the validated manifest, and what is wrong with one that is not
//! - [`vars`], [`template`]: bounded ranges and values; templates parsed once, rendered many times
//! - [`entry`]: entries on demand by index
//! - [`rel_path`], [`digest`]: a path that cannot climb out; digests and the hasher
//! - `parts`: finding a hash among many
//! - `netrc`: users and passwords by host, read from their file's text
//! - [`pin`]: what an entry must be, as far as somebody has said it
//! - [`plan`]: actions, reasons, and the decision for one entry; no IO at all
//! - [`event`], [`error`]: what happens and what goes wrong, as plain data
//! - `history`, `overview`: what a run was, and what a destination looks like, in bounded memory
//! - [`select`], [`rewrite`]: which entries a run is about, and where they are asked for instead
//!
//! Effects:
//!
//! - `dest`: the only way below a destination: stage, publish, walk, the run guard
//! - `state`, `inventory`: what this machine wrote; one walk joined with that
//! - `fetch`: HTTP connections, and pure decisions about answers, redirects and retries
//! - `survey`: finds out what is to be done
//! - `execute`: carries out a plan
//! - [`workspace`]: where the stages meet: [`workspace::plan`], [`workspace::apply`] and the others
//! - [`stop`]: ending a run early
//!
//! The edge: `cli`, `commands` and `report` turn arguments into calls and events into lines, and `page` an
//! overview into an HTML page; [`run`] is what the binary calls.
//!
//! What holds throughout: a final path has its old content or its whole, verified new content; the
//! state never claims what is not on the disk; every planned entry ends in exactly one outcome; secrets
//! and control characters from outside are never printed. `docs/architecture.md` has the reasons.

mod background;
mod checksums;
pub mod cli;
mod commands;
mod descriptors;
mod dest;
pub mod digest;
pub mod entry;
pub mod error;
pub mod event;
mod execute;
mod export;
mod fetch;
#[cfg(test)]
mod fuzz;
mod history;
mod inventory;
mod lists;
pub mod lock;
pub mod manifest;
mod netrc;
mod options;
mod overview;
mod page;
mod parts;
pub mod pin;
mod pins;
pub mod plan;
mod prune;
pub mod rel_path;
pub mod report;
pub mod rewrite;
mod run;
pub mod select;
mod spread;
mod state;
pub mod stop;
mod survey;
mod template;
mod vars;
mod verify;
pub mod workspace;

pub use run::run;

/// How natsync names itself to servers.
pub(crate) const USER_AGENT: &str = concat!("natsync/", env!("CARGO_PKG_VERSION"));
