//! HTTP/2 connections of one origin: at most one for each thread.
//!
//! A connection's task lives on the thread that opened it. A transfer of another thread would cause
//! a cross-thread wake-up for each frame, so each thread has its own connection.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use tokio::sync::Mutex;

use crate::http::Connection;

/// Held by the transfer that opens a connection; concurrent ones of the same thread wait for it.
pub(super) type Turn = Arc<Mutex<()>>;

/// The shared connections of one origin.
#[derive(Debug, Default)]
pub(super) struct Shared {
    open: Vec<(ThreadId, Connection)>,
    turns: Vec<(ThreadId, Turn)>,
    /// The origin uses HTTP/1.1, or could not be reached: transfers do not wait for each other.
    none: bool,
}

impl Shared {
    /// A handle of this thread's connection, if there is one that takes requests.
    pub(super) fn get(&mut self) -> Option<Connection> {
        let here = thread::current().id();
        let found = self.open.iter().position(|(thread, _)| *thread == here)?;
        let handle = self.open[found].1.share();
        if handle.is_none() {
            self.open.swap_remove(found);
        }
        handle
    }

    /// The turn to open a connection that may become a shared one. None if there is no reason to
    /// wait for it.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        let here = thread::current().id();
        if self.none {
            return None;
        }
        if let Some((_, turn)) = self.turns.iter().find(|(thread, _)| *thread == here) {
            return Some(Arc::clone(turn));
        }
        let turn = Turn::default();
        self.turns.push((here, Arc::clone(&turn)));
        Some(turn)
    }

    /// Records a connection that was opened.
    pub(super) fn opened(&mut self, connection: &Connection) {
        let here = thread::current().id();
        self.none = !connection.is_shared();
        if let Some(handle) = connection.share()
            && !self.open.iter().any(|(thread, _)| *thread == here)
        {
            self.open.push((here, handle));
        }
    }

    /// Records that no connection could be opened.
    pub(super) fn not_opened(&mut self) {
        self.none = true;
    }

    /// Forgets a connection that takes no more requests.
    pub(super) fn retire(&mut self, connection: &Connection) {
        self.open.retain(|(_, open)| !open.is_same(connection));
    }
}
