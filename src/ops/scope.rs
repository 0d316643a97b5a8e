//! What an operation works on.

use crate::dest::Dest;
use crate::manifest::Manifest;
use crate::ops::options::Options;
use crate::pin::lookup::Pins;
use crate::stop::Stop;

/// What an operation works on, and how.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) options: &'a Options,
    pub(crate) pins: &'a Pins<'a>,
    /// None if the destination does not exist yet.
    pub(crate) dest: Option<&'a Dest>,
    pub(crate) stop: &'a Stop,
}
