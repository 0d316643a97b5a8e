//! natsync keeps a directory equal to a set of remote files that a YAML manifest declares.
//!
//! # From a program
//!
//! Read a [`Manifest`], [`plan()`] what there is to do or [`apply`] it, and listen with a [`Reporter`]. Nothing is
//! printed, nothing is global, and everything ends in good order soon after a [`Stop`] was asked for. The functions
//! block, and use threads of their own; call them from a thread that may wait.
//!
//! ```
//! use natsync::{Event, LoadOptions, Manifest, Options, Outcome, Reporter, Stop};
//!
//! /// Collects what was fetched.
//! #[derive(Default)]
//! struct Fetched(Vec<u64>);
//!
//! impl Reporter for Fetched {
//!     fn event(&mut self, event: &Event) {
//!         if let Event::Finished { outcome: Outcome::Downloaded(file), .. } = event {
//!             self.0.push(file.bytes);
//!         }
//!     }
//! }
//!
//! # use std::io::{Read, Write};
//! # let origin = std::net::TcpListener::bind("127.0.0.1:0")?;
//! # let host = origin.local_addr()?;
//! # std::thread::spawn(move || {
//! #     for stream in origin.incoming().flatten() {
//! #         std::thread::spawn(move || {
//! #             let mut stream = stream;
//! #             let mut seen = Vec::new();
//! #             let mut buffer = [0; 4096];
//! #             while let Ok(read @ 1..) = stream.read(&mut buffer) {
//! #                 seen.extend_from_slice(&buffer[..read]);
//! #                 if seen.ends_with(b"\r\n\r\n") {
//! #                     seen.clear();
//! #                     let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"1\"\r\n\r\nabc");
//! #                 }
//! #             }
//! #         });
//! #     }
//! # });
//! # let folder = std::env::temp_dir().join(format!("natsync-doc-{}", std::process::id()));
//! # std::fs::create_dir_all(&folder)?;
//! let file = folder.join("shards.yaml");
//! std::fs::write(&file, format!("
//! version: 1
//! dest: shards
//! sources:
//!   - url: http://{host}/shard-{{n:03}}.bin
//!     vars: {{n: 1..4}}
//! "))?;
//!
//! let manifest = Manifest::load(&file, &LoadOptions::default())?;
//! let (options, stop) = (Options::default(), Stop::default());
//!
//! // What would be done? This asks nobody and writes nothing.
//! let plan = natsync::plan(&manifest, &options, &stop, &mut natsync::Silent)?;
//! assert_eq!(plan.counts().fetch, 4);
//!
//! // Do it.
//! let mut fetched = Fetched::default();
//! let summary = natsync::apply(&manifest, &options, &stop, &mut fetched)?;
//! assert!(summary.is_success());
//! assert_eq!(fetched.0, [3, 3, 3, 3]);
//! assert_eq!(std::fs::read(folder.join("shards/shard-001.bin"))?, b"abc");
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! An entry that fails is an outcome, not an error: look at [`Summary::is_success`], and at [`Outcome::Failed`] among the
//! events. A [`RunError`] means that the run itself could not be; its text is for people, holds no secret, and has a
//! stable [`kind`](RunError::kind).
//!
//! Any thread may end a run:
//!
//! ```
//! use natsync::{Stop, StopReason};
//!
//! let stop = Stop::default();
//! let other = stop.clone();
//! std::thread::spawn(move || other.request(StopReason::Interrupted)).join().unwrap();
//! assert!(stop.is_requested());
//! ```
//!
//! # The map
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
//! - `vars`, `template`: bounded ranges and values; templates parsed once, rendered many times
//! - [`entry`]: entries on demand by index
//! - [`rel_path`], [`digest`]: a path that cannot climb out; digests and the hasher
//! - `parts`: finding a hash among many
//! - `netrc`: users and passwords by host, read from their file's text
//! - [`pin`]: what an entry must be, as far as somebody has said it
//! - [`mod@plan`]: actions, reasons, and the decision for one entry; no IO at all
//! - [`event`], [`error`]: what happens and what goes wrong, as plain data
//! - [`plan_file`]: a plan on disk, to be carried out later or not at all
//! - `history`, `overview`: what a run was, and what a destination looks like, in bounded memory
//! - [`select`], [`rewrite`]: which entries a run is about, and where they are asked for instead
//!
//! Effects:
//!
//! - `dest`: the only way below a destination: stage, publish, walk, the run guard
//! - `draft`: files outside of destinations that appear whole or not at all
//! - `state`, `inventory`: what this machine wrote; one walk joined with that
//! - `fetch`: HTTP connections, and pure decisions about answers, redirects and retries
//! - `survey`: finds out what is to be done
//! - `execute`: carries out a plan
//! - [`workspace`]: where the stages meet: [`ops::plan`], [`ops::apply`] and the others
//! - [`stop`]: ending a run early
//!
//! - `init`: a starter manifest from URLs, globs and lists of other programs
//!
//! The edge: `cli`, `commands` and `report` turn arguments into calls and events into lines, and `page` an
//! overview into an HTML page; [`run`] is what the binary calls.
//!
//! What holds throughout: a final path has its old content or its whole, verified new content; the
//! state never claims what is not on the disk; every planned entry ends in exactly one outcome; secrets
//! and control characters from outside are never printed. `docs/architecture.md` has the reasons.

#![cfg_attr(
    test,
    allow(
        clippy::disallowed_methods,
        reason = "unit tests write files and read the environment and the clock"
    )
)]

mod atomic_file;
#[doc(hidden)]
pub mod cli;
mod dest;
pub mod digest;
pub mod event;
pub mod failure;
#[cfg(test)]
mod fuzz;
mod http;
pub mod manifest;
pub mod ops;
pub mod pin;
pub mod plan;
pub mod rel_path;
pub mod report;
pub mod stop;
mod threads;
mod transfer;

pub use cli::run::run;
pub use event::{Event, Outcome, Reporter, Silent, Summary};
pub use failure::{ErrorKind, Failure};
pub use manifest::{LoadOptions, Manifest};
pub use ops::{ExitStatus, Options, RunError, apply, explain, lock, plan, verify};
pub use stop::{Stop, StopReason};

/// How natsync names itself to servers.
pub(crate) const USER_AGENT: &str = concat!("natsync/", env!("CARGO_PKG_VERSION"));
