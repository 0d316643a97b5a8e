//! A response whose body is being received.

use crate::failure::Failure;
use crate::http::{Body, BodyRules, Connection, Pace, Receiver, receive};
use crate::transfer::slot::Slot;

/// A body that is still to come, with its connection and the place of that.
pub(super) struct Answer<'r> {
    pub(super) slot: Slot<'r>,
    pub(super) connection: Connection,
    pub(super) body: Body,
}

impl<'r> Answer<'r> {
    /// Receives the body until its end, or until `to` wants no more.
    ///
    /// # Errors
    /// Those of [`receive`].
    pub(super) async fn receive(
        &mut self,
        rules: &BodyRules<'_>,
        paces: &[&Pace],
        to: &mut impl Receiver,
        progress: impl FnMut(u64),
    ) -> Result<(), Failure> {
        receive(&mut self.connection, &mut self.body, rules, paces, to, progress).await
    }

    /// The place, with the connection if the body was read to its end and the connection can be used
    /// again.
    pub(super) async fn into_slot(self) -> Slot<'r> {
        let Self { mut slot, mut connection, body } = self;
        drop(body);
        if connection.is_reusable().await {
            slot.connection = Some(connection);
        }
        slot
    }
}
