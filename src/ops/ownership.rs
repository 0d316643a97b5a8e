//! Which manifest owns the files below a destination, and what users are told where that is unclear.

use crate::dest::inventory::Unclear;
use crate::dest::state::{Claim, Owner, State};
use crate::event::{Reporter, warn};
use crate::failure::{ErrorKind, Failure};
use crate::manifest::{Manifest, PathHashes, first_half};
use crate::ops::options::Options;
use crate::rel_path::path_hash;

/// The most hashes of shared paths that are searched for the path to name.
const SOME: usize = 64;

/// How the state recognises a manifest.
pub(super) fn claim<'a>(
    manifest: &'a Manifest,
    options: &Options,
    declared: &'a PathHashes,
) -> Claim<'a> {
    Claim {
        name: manifest.name(),
        file: Some(manifest.file()),
        declared: Some(declared),
        is_part: manifest.is_part(),
        take: options.take_ownership,
    }
}

/// Warns of paths that another manifest of the destination declares, too.
pub(super) fn warn_of_shared_paths(
    manifest: &Manifest,
    state: &State,
    declared: &PathHashes,
    reporter: &mut dyn Reporter,
) {
    struct Shared {
        owner: Owner,
        count: u64,
        some: Vec<u64>,
    }
    let mut shared: Vec<Shared> = Vec::new();
    state.claims_of_others(|owner, half| {
        if !declared.has_half(half) {
            return;
        }
        let known = shared.last_mut().filter(|shared| shared.owner == *owner);
        let Some(shared) = known else {
            return shared.push(Shared { owner: owner.clone(), count: 1, some: vec![half] });
        };
        shared.count += 1;
        if shared.some.len() < SOME {
            shared.some.push(half);
        }
    });
    for Shared { owner, count, some } in shared {
        let path = manifest.entries().iter().map(|entry| entry.path()).find(|path| {
            let half = first_half(path_hash(path.as_str()));
            some.contains(&half)
        });
        let Some(path) = path else { continue };
        let paths = match count - 1 {
            0 => format!("`{path}` is declared"),
            more => format!("`{path}` and {more} more are declared"),
        };
        let (name, file) = (manifest.name(), manifest.file().display());
        let mut message = format!(
            "{paths} by two manifests of this destination: `{name}` ({file}) and {owner}; neither prunes what the other one declares"
        );
        if owner.name == manifest.name() {
            message.push_str("; if both are the same manifest, `--take-ownership` says so");
        }
        warn(reporter, Some(message));
    }
}

/// The refusal to delete files of which it is unclear whether this manifest owns them. None if there
/// are none.
pub(super) fn refusal(unclear: &[Unclear]) -> Option<Failure> {
    let files: usize = unclear.iter().map(|unclear| unclear.files.len()).sum();
    let first = unclear.iter().flat_map(|unclear| &unclear.files).map(|file| &file.path).min()?;
    let owners: Vec<_> = unclear.iter().map(|unclear| unclear.owner.to_string()).collect();
    let files = match files - 1 {
        0 => format!("`{first}` is"),
        more => format!("`{first}` and {more} more files are"),
    };
    let message = format!(
        "{files} not declared any more, but written for the manifest {}; it is unclear whether that is this manifest under another name or at another path, so they stay",
        owners.join(" or ")
    );
    let hint = "if it is, `--take-ownership` says so once, and they are this manifest's files";
    Some(Failure::new(ErrorKind::PruneRefused, message).with_hint(hint))
}
