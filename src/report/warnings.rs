//! The texts of events that are warnings.

use std::borrow::Cow;

use super::units::Bytes;
use crate::event::Event;

/// The message of a warning, unescaped. `None` for other events.
pub(super) fn warning(event: &Event) -> Option<Cow<'_, str>> {
    match event {
        Event::Warning { message } => Some(Cow::Borrowed(message)),
        Event::LackingSpace { dest, needed, free } => Some(Cow::Owned(format!(
            "the transfers need {}, and `{dest}` has room for {}",
            Bytes(*needed),
            Bytes(*free)
        ))),
        _ => None,
    }
}
