//! The text of the events that warn.

use std::borrow::Cow;

use super::Bytes;
use crate::event::Event;

/// What an event warns of, unescaped; none for the events that warn of nothing.
pub(super) fn warning(event: &Event) -> Option<Cow<'_, str>> {
    match event {
        Event::Warning { message } => Some(Cow::Borrowed(message)),
        Event::LackingSpace { dest, needed, free } => Some(Cow::Owned(format!(
            "{} are to be transferred, and `{dest}` has room for {}",
            Bytes(*needed),
            Bytes(*free)
        ))),
        _ => None,
    }
}
