//! Connections that several transfers share (HTTP/2): one for an origin and a thread.
//!
//! A connection's task lives on the thread that opened it. Transfers of another thread would be woken
//! across, so each thread has its own.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use tokio::sync::Mutex;

use super::Dispatch;
use crate::http::Connection;

/// Whose turn it is to open one: the others wait, and use it too.
pub(in crate::transfer) type Turn = Arc<Mutex<()>>;

/// What is known of an origin's shared connections.
#[derive(Debug, Default)]
pub(in crate::transfer) struct Shared {
    open: Vec<(ThreadId, Connection)>,
    turns: Vec<(ThreadId, Turn)>,
    /// Whether it shares none, or could not be reached: then nobody waits for anybody.
    none: bool,
}

impl Dispatch<'_> {
    /// A place in this thread's shared connection to an origin, if there is one that takes requests.
    pub(in crate::transfer) fn shared(&self, lane: usize) -> Option<Connection> {
        let here = thread::current().id();
        let mut inner = self.lock();
        let open = &mut inner.lanes[lane].shared.open;
        let found = open.iter().position(|(thread, _)| *thread == here)?;
        let place = open[found].1.share();
        if place.is_none() {
            open.swap_remove(found);
        }
        place
    }

    /// Whose turn it is to open a connection that may become a shared one. None where there is no reason
    /// to wait for that.
    pub(in crate::transfer) fn turn(&self, lane: usize) -> Option<Turn> {
        let here = thread::current().id();
        let mut inner = self.lock();
        let shared = &mut inner.lanes[lane].shared;
        if shared.none {
            return None;
        }
        if let Some((_, turn)) = shared.turns.iter().find(|(thread, _)| *thread == here) {
            return Some(Arc::clone(turn));
        }
        let turn = Turn::default();
        shared.turns.push((here, Arc::clone(&turn)));
        Some(turn)
    }

    /// A connection was opened.
    pub(in crate::transfer) fn opened(&self, lane: usize, connection: &Connection) {
        let here = thread::current().id();
        let mut inner = self.lock();
        let shared = &mut inner.lanes[lane].shared;
        shared.none = !connection.is_shared();
        if let Some(place) = connection.share()
            && !shared.open.iter().any(|(thread, _)| *thread == here)
        {
            shared.open.push((here, place));
        }
    }

    /// No connection could be opened. Those who waited for it try for themselves.
    pub(in crate::transfer) fn not_opened(&self, lane: usize) {
        self.lock().lanes[lane].shared.none = true;
    }

    /// A shared connection takes no more requests.
    pub(in crate::transfer) fn retire(&self, lane: usize, connection: &Connection) {
        let mut inner = self.lock();
        inner.lanes[lane].shared.open.retain(|(_, open)| !open.is_same(connection));
    }
}
