//! The files that a command line asks for, such as reports: none of them may replace a file that the
//! command works with.

use std::path::{Path, PathBuf};

use crate::dest::CONTROL;
use crate::manifest::{Manifest, places_of};
use crate::ops::error::RunError;
use crate::pin::lock::file_of;
use crate::report::Untrusted;

/// Refuses a file that is an input of a manifest, its lock, a file that it declares, or one of
/// natsync's own files below its destination. `flag` names the file.
///
/// # Errors
/// A usage error that says which file would be replaced.
pub(super) fn check(flag: &str, file: &Path, manifest: &Manifest) -> Result<(), RunError> {
    let places = places_of(file);
    let is_at = |other: &Path| places_of(other).iter().any(|other| places.contains(other));
    let what = if is_at(manifest.file()) {
        Some("the manifest")
    } else if manifest.inputs().iter().any(|input| is_at(&input.file)) {
        Some("a file that the manifest names")
    } else if is_at(&file_of(manifest.file())) {
        Some("the lock")
    } else {
        below(manifest, &places)
    };
    let Some(what) = what else { return Ok(()) };
    Err(RunError::Usage {
        message: format!("{flag} would replace {what}: `{}`", Untrusted::path(file)),
        hint: Some(format!("give {flag} the name of a file that nothing else uses")),
    })
}

/// What a file below the destination is for the manifest.
fn below(manifest: &Manifest, places: &[PathBuf]) -> Option<&'static str> {
    let dest = manifest.dest().canonicalize().ok()?;
    let below = places.iter().find_map(|place| place.strip_prefix(&dest).ok())?;
    if below.starts_with(CONTROL) {
        return Some("one of natsync's own files");
    }
    let below = below.to_str()?;
    let mut path = String::new();
    let is_declared = manifest.entries().iter().any(|entry| {
        path.clear();
        entry.write_path(&mut path);
        path == below
    });
    is_declared.then_some("a file that the manifest declares")
}
