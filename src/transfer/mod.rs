//! Carries out a plan: many transfers at a time, each to its outcome.
//!
//! The workers of a thread share one event loop and nothing else does: a small file is asked for,
//! hashed and staged without being handed from thread to thread. Verified files go to one publisher.
//! The calling thread hands events to the reporter. Nothing here prints.

#![expect(clippy::disallowed_methods, reason = "the engine has no clock of its own yet")]
#![expect(clippy::module_inception, reason = "one transfer, in the room for many")]

mod adopt;
mod ask;
mod breaker;
mod content;
mod dispatch;
mod fetch_list;
mod job;
mod lane;
mod latency;
mod ledger;
mod limit;
mod missing;
mod probe;
mod publish;
mod queue;
mod receive;
mod resume;
mod run;
mod segments;
mod settle;
mod supply;
mod threads;
mod transfer;
mod want;
mod way;

use run::Run;
pub(crate) use run::{Disputed, Executed, Purpose, Work, execute};
