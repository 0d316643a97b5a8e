//! `apply`: makes the destination hold what the manifest declares.

use super::Options;
use super::run::{Job, run};
use crate::event::{Reporter, Summary};
use crate::manifest::Manifest;
use crate::ops::error::RunError;
use crate::ops::saved_plan::SavedPlan;
use crate::stop::Stop;

/// Makes the destination hold what the manifest declares.
///
/// Failed entries are outcomes: look at [`Summary::is_success`].
///
/// # Errors
/// When entries of the manifest collide, the options select no entry, another run holds the
/// destination, or the destination is not writable.
pub fn apply(
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Summary, RunError> {
    apply_as(manifest, options, None, stop, reporter)
}

/// Does exactly what a saved plan says. `manifest` and `options` are those of its
/// [recipe](crate::ops::saved_plan::Recipe).
///
/// # Errors
/// As [`apply`]. [`RunError::StalePlan`] when the manifest, the lock or a planned file has changed
/// since the plan was saved; then nothing was touched.
pub fn apply_saved(
    saved: &SavedPlan,
    manifest: &Manifest,
    options: &Options,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Summary, RunError> {
    saved.check_inputs()?;
    saved.check_values(manifest)?;
    apply_as(manifest, options, Some(saved), stop, reporter)
}

fn apply_as(
    manifest: &Manifest,
    options: &Options,
    saved: Option<&SavedPlan>,
    stop: &Stop,
    reporter: &mut dyn Reporter,
) -> Result<Summary, RunError> {
    let job = Job { manifest, options, saved, stop, locks: false };
    run(job, reporter, |done, reporter| {
        if done.pins.is_extending() { super::lock::extend(job, done, reporter) } else { Ok(()) }
    })
}
