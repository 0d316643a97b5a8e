//! The manifests of a command: files, those below directories, or the default.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::exit::note;
use crate::ops::error::RunError;
use crate::ops::find_manifests::{Candidate, Found, find_manifests};
use crate::report::{Console, Untrusted};

pub(super) const DEFAULT_MANIFEST: &str = "natsync.yaml";
/// Read if there is no [`DEFAULT_MANIFEST`].
pub(super) const OTHER_DEFAULT: &str = "natsync.yml";

/// Paths that a note names; it counts the others.
const SHOWN: usize = 3;

/// The manifests that the arguments name, in their order. A directory stands for the manifests below
/// it, and a manifest that is named twice counts at its first place.
pub(super) fn named(args: &[PathBuf], console: &Console) -> Vec<Candidate> {
    if args.is_empty() {
        return vec![default()];
    }
    let mut named = Found::default();
    for path in args {
        // A path that cannot be looked at fails later, as a manifest that cannot be read.
        if path.is_dir() {
            let Found { candidates, others, links, downloads } = find_manifests(path);
            named.candidates.extend(candidates);
            named.others.extend(others);
            named.links.extend(links);
            named.downloads.extend(downloads);
        } else {
            named.candidates.push(Candidate { path: path.clone(), result: Ok(()) });
        }
    }
    let mut seen = HashSet::new();
    named.candidates.retain(|candidate| seen.insert(place(&candidate.path)));
    for paths in [&mut named.others, &mut named.links, &mut named.downloads] {
        paths.retain(|path| seen.insert(place(path)));
    }
    let Found { candidates, others, links, downloads } = named;
    tell(&others, ["YAML file is not a manifest", "YAML files are not manifests"], console);
    tell(&links, ["symbolic link is not followed", "symbolic links are not followed"], console);
    tell(
        &downloads,
        ["downloaded YAML file is not read", "downloaded YAML files are not read"],
        console,
    );
    candidates
}

/// What a manifest is known by, however it is named: its real directory, and its own name there. A
/// manifest and a link to it are two, since lock and destination lie beside either.
pub(super) fn place(file: &Path) -> PathBuf {
    let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
        return file.to_owned();
    };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.canonicalize().map_or_else(|_| file.to_owned(), |folder| folder.join(name))
}

fn default() -> Candidate {
    // A file that cannot be looked at is not absent: reading it tells the reason.
    let is_there = |name: &str| Path::new(name).try_exists().unwrap_or(true);
    let problem = match (is_there(DEFAULT_MANIFEST), is_there(OTHER_DEFAULT)) {
        (true, false) => return Candidate { path: DEFAULT_MANIFEST.into(), result: Ok(()) },
        (false, true) => return Candidate { path: OTHER_DEFAULT.into(), result: Ok(()) },
        (true, true) => format!("there are both `{DEFAULT_MANIFEST}` and `{OTHER_DEFAULT}` here"),
        (false, false) => format!("there is no `{DEFAULT_MANIFEST}` here"),
    };
    let error = RunError::Usage {
        message: format!("{problem}, and no manifest was given"),
        hint: Some("write `natsync COMMAND MANIFEST`".to_owned()),
    };
    Candidate { path: DEFAULT_MANIFEST.into(), result: Err(error) }
}

/// Prints a note about files that are left out, if there are any.
fn tell(paths: &[PathBuf], [one, many]: [&str; 2], console: &Console) {
    if paths.is_empty() {
        return;
    }
    let names: Vec<_> = paths.iter().take(SHOWN).map(|path| Untrusted::path(path)).collect();
    let what = if paths.len() == 1 { one } else { many };
    let more = match paths.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    note(console, &format!("{} {what}: {}{more}", paths.len(), names.join(", ")));
}
