//! `verify`: is the directory right?

use super::{Prepared, prepare};
use crate::dest::Dest;
use crate::dest::inventory::Inventory;
use crate::dest::state::State;
use crate::event::{Reporter, warn};
use crate::manifest::Manifest;
use crate::ops::error::RunError;
use crate::ops::options::Options;
pub use crate::ops::verify_all::Findings;
use crate::ops::verify_all::Verification;
use crate::pin::checksum_lists::Lists;
use crate::pin::lookup::Pins;
use crate::stop::Stop;

/// Reads every chosen file on disk and holds it against its pin, or against what natsync noted when it
/// wrote it. Asks nobody and changes nothing. `quick` looks at size and times alone.
///
/// # Errors
/// When the manifest's entries collide, the options choose nothing, the lock is wrong, or the
/// destination cannot be read.
pub fn verify(
    manifest: &Manifest,
    options: &Options,
    quick: bool,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Findings, RunError> {
    let Prepared { hashes, lock, .. } = prepare(manifest, options, reporter)?;
    let dest = Dest::open(manifest.dest())?;
    let state = dest.as_ref().and_then(|dest| {
        let opened = State::look(dest, manifest.name());
        warn(reporter, opened.warning);
        opened.value
    });
    let known = Inventory::of_state(state.as_ref(), &hashes);
    let pins = Pins::new(manifest, lock.as_ref())
        .with_lists(Lists::kept(state.as_ref().map(|state| state as _)));
    let work = Verification {
        manifest,
        options,
        pins: &pins,
        dest: dest.as_ref(),
        known: &known,
        stop,
        quick,
    };
    crate::ops::verify_all::verify(&work, reporter)
}
