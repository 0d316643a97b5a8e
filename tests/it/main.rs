//! Integration tests of the program with real sockets and real files: one test binary, with one
//! file per feature.
//!
//! `origin` is a server with scriptable answers and a request log; `world` is a directory with a
//! manifest in which the program runs. No test uses the network beyond loopback.

#![allow(
    clippy::disallowed_methods,
    reason = "tests write files, read the environment and the clock"
)]
#![allow(clippy::needless_pass_by_value, reason = "test helpers read better with owned arguments")]

mod action;
mod answers;
mod apply;
mod canaries;
mod chaos;
mod checksums;
mod ci;
mod cli;
mod codings;
mod crashes;
mod crowded;
mod damages;
mod dice;
mod digests;
mod directories;
mod disks;
mod expectations;
mod explain;
mod exports;
mod faults;
mod folders;
mod heads;
mod hidden_dest;
mod hostile;
mod http2;
mod identity;
mod init;
mod inside;
mod json;
mod layers;
mod library;
mod limits;
mod list;
mod listed_names;
mod local_changes;
mod lock;
mod logins;
mod malformed;
mod manifests;
mod mirrors;
mod missing;
mod names;
mod netrc;
mod nginx;
mod origin;
mod output_schema;
mod owners;
mod pages;
mod pauses;
mod pinning;
mod pipes;
mod plan;
mod proxy;
mod prune;
mod questions;
mod redirects;
mod reference;
mod relay;
mod report;
mod resume;
mod rewrite;
mod saved_plans;
mod scale;
mod schema;
mod secrets;
mod secure;
mod segments;
mod servers;
mod signals;
mod soak;
mod state;
mod telling;
mod tls;
mod tour;
mod transfer;
mod unframed;
mod verify;
mod volumes;
mod waiting;
mod world;
