//! natsync keeps a directory equal to a set of remote files that a YAML manifest declares.
//!
//! # From a program
//!
//! Read a [`Manifest`], [`plan()`] or [`apply`] it, and listen with a [`Reporter`]. The library prints
//! nothing and changes no global state, and a run ends in good order soon after its [`Stop`] is
//! requested. The functions block and use threads of their own: call them from a thread that may wait.
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
//!             self.0.push(file.size);
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
//! // What would be done? This makes no request and writes nothing.
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
//! # Features
//!
//! `cli` (on by default) is the binary: the command line, the reporters for people and programs, the
//! HTML report. A program that uses the library takes `default-features = false` and compiles none of
//! that.
//!
//! # The map
//!
//! The flow, from left to right; no stage knows what stands to its right:
//!
//! ```text
//! manifest ─► expand ─► entries ┐
//! lock, checksum lists ─► pins ─┼─► planner (pure) ─► plan ─► transfer ─► outcomes ─► state, lock
//! walk + state ─► inventory ────┘                               │
//!                                                               └─► events ─► reporters
//! ```
//!
//! One room a line. A file imports only from its own room and from rooms above it:
//!
//! - `rel_path`, `atomic_file`, `threads`: a path that cannot leave its directory; a file that appears
//!   whole or not at all; work on all cores
//! - `digest`: digests, hashers, the grammars of checksum lists
//! - [`manifest`]: YAML text becomes a valid [`Manifest`], and an index becomes an entry
//! - `failure`, [`stop`]: why one entry failed; ending a run early
//! - `pin`: what an entry must be, as the manifest, the lock and checksum lists say
//! - [`mod@plan`]: the decision for each entry; pure, no IO at all
//! - [`event`]: what happens in a run, as data; what a run was
//! - `http`: one exchange with one origin
//! - `dest`: what is here: directory, staging area, state, inventory
//! - `transfer`: many exchanges become verified files
//! - [`ops`]: one file for each command; the only room that knows all stages
//! - `report`: events become lines, JSON, XML, HTML
//! - `cli`: arguments, environment, exit status
//! - `internals`: entries for `benches/clients`, behind a feature of the same name; not a public API
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
#![cfg_attr(
    not(feature = "cli"),
    allow(dead_code, reason = "the commands that use the rest are left out")
)]

mod atomic_file;
#[cfg(feature = "cli")]
mod cli;
mod dest;
mod digest;
pub mod event;
mod failure;
#[cfg(any(test, feature = "internals"))]
mod fuzz;
mod http;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals;
pub mod manifest;
pub mod ops;
mod pin;
pub mod plan;
mod rel_path;
#[cfg(feature = "cli")]
mod report;
pub mod stop;
mod threads;
mod transfer;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use cli::run::run;
pub use digest::{Algorithm, Algorithms, Checksum, Digest, Digests};
pub use event::{Event, Outcome, Reporter, Silent, Summary};
pub use failure::{ErrorKind, Failure};
pub use manifest::{LoadOptions, Manifest};
pub use ops::{ExitStatus, Options, RunError, apply, explain, lock, plan, verify};
pub use pin::lock::LockProblem;
pub use pin::{Pin, PinFrom, Pinned, Validators};
pub use rel_path::{RelPath, RelPathError};
pub use stop::{Stop, StopReason};

#[doc(hidden)]
pub use rel_path::path_hash;
