//! Finds the manifests below a directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::dest::Dest;
use crate::dest::state::RecordedPaths;
use crate::manifest::{is_manifest, is_yaml};
use crate::ops::error::RunError;

/// What a directory that is given as manifest holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Ordered by path, component by component, as bytes. Never empty.
    pub(crate) candidates: Vec<Candidate>,
    /// YAML files that are not manifests.
    pub(crate) others: Vec<PathBuf>,
    /// Symbolic links with the name of a YAML file.
    pub(crate) links: Vec<PathBuf>,
    /// YAML files that natsync downloaded into a destination below the directory.
    pub(crate) downloads: Vec<PathBuf>,
}

/// A manifest, or an error that may hide one.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) path: PathBuf,
    pub(crate) result: Result<(), RunError>,
}

/// Finds the files `*.yaml` and `*.yml` that have `version` and `sources` at their top level.
///
/// Follows no links below `folder`, and leaves out names that begin with a dot. Also leaves out what
/// natsync downloaded: a server must not be able to declare further downloads. An error does not
/// end the search: whatever cannot be read is a candidate with its error, and so is `folder` itself
/// if nothing was found.
pub(crate) fn find_manifests(folder: &Path) -> Found {
    let mut found = Found::default();
    let mut destinations = Destinations::new(folder);
    let walk = WalkDir::new(folder).sort_by_file_name().into_iter();
    let walk = walk.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry));
    let could_matter = |entry: &walkdir::Result<DirEntry>| {
        entry.as_ref().map_or(true, |entry| is_yaml(entry.path()))
    };
    // The states are opened after all names are known. A run that downloads meanwhile announces its
    // files in the state before they have their names.
    let entries: Vec<_> = walk.filter(could_matter).collect();
    for entry in entries {
        match entry {
            Ok(entry) => found.add(&entry, folder, &mut destinations),
            Err(error) => {
                let path = shown(error.path().unwrap_or(folder), folder);
                let why = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                let message = format!("cannot read the directory `{}`: {why}", path.display());
                found.candidates.push(Candidate { path, result: Err(RunError::usage(message)) });
            }
        }
    }
    if found.candidates.is_empty() {
        let error = RunError::Usage {
            message: format!("there is no manifest in `{}`", folder.display()),
            hint: Some(
                "a manifest is a file `*.yaml` or `*.yml` with `version` and `sources` at its top \
                 level; `natsync init` writes one"
                    .to_owned(),
            ),
        };
        found.candidates.push(Candidate { path: folder.to_owned(), result: Err(error) });
    }
    found
}

impl Found {
    fn add(&mut self, entry: &DirEntry, folder: &Path, destinations: &mut Destinations<'_>) {
        if entry.depth() == 0 || !is_yaml(entry.path()) {
            return;
        }
        let path = shown(entry.path(), folder);
        if entry.path_is_symlink() {
            return self.links.push(path);
        }
        if !entry.file_type().is_file() {
            return;
        }
        let result = match destinations.have_downloaded(entry.path()) {
            Ok(true) => return self.downloads.push(path),
            Ok(false) => match is_manifest(&path) {
                Ok(true) => Ok(()),
                Ok(false) => return self.others.push(path),
                Err(problems) => Err(problems.also_hint(UNREADABLE).into()),
            },
            Err(dest) => return self.candidates.push(unknown_downloads(dest)),
        };
        self.candidates.push(Candidate { path, result });
    }
}

const UNREADABLE: &str = "every YAML file in a directory given as manifest may be a manifest; \
                          names that begin with a dot are left out";

/// The directories at, below and above a search that are destinations, each with what natsync
/// recorded there.
struct Destinations<'a> {
    folder: &'a Path,
    /// The absolute path of `folder`, for the directories above it.
    real: PathBuf,
    /// None for a directory without a state.
    states: HashMap<PathBuf, Option<RecordedPaths>>,
}

impl<'a> Destinations<'a> {
    fn new(folder: &'a Path) -> Self {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Self { folder, real, states: HashMap::new() }
    }

    /// Whether a destination above the file has a record of it.
    ///
    /// # Errors
    /// The destination whose state cannot be used.
    fn have_downloaded(&mut self, file: &Path) -> Result<bool, PathBuf> {
        let below = file.strip_prefix(self.folder).unwrap_or(file);
        let inside = below.ancestors().skip(1).map(|above| match above.as_os_str() {
            root if root.is_empty() => self.folder.to_owned(),
            _ => self.folder.join(above),
        });
        let outside = self.real.ancestors().skip(1).map(Path::to_owned);
        let real = self.real.join(below);
        let places: Vec<_> =
            inside.map(|above| (above, true)).chain(outside.map(|above| (above, false))).collect();
        for (above, is_inside) in places {
            if !self.states.contains_key(&above) {
                self.states.insert(above.clone(), state_of(&above, is_inside)?);
            }
            let file = if is_inside { file } else { &real };
            // Paths of entries are UTF-8.
            if let Some(Some(recorded)) = self.states.get(&above)
                && let Some(path) = file.strip_prefix(&above).ok().and_then(Path::to_str)
                && recorded.has(path).map_err(|_| above)?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// The state in a directory, if there is one.
///
/// # Errors
/// The directory, when its state cannot be used.
fn state_of(folder: &Path, is_inside: bool) -> Result<Option<RecordedPaths>, PathBuf> {
    let dest = match Dest::open(folder) {
        Ok(Some(dest)) => dest,
        Ok(None) => return Ok(None),
        // A user may be allowed to pass through a directory above the search without reading it.
        Err(_) if !is_inside => return Ok(None),
        Err(_) => return Err(folder.to_owned()),
    };
    RecordedPaths::open(&dest).map_err(|_| folder.to_owned())
}

/// The error of a destination whose downloads are not known.
fn unknown_downloads(dest: PathBuf) -> Candidate {
    let error = RunError::Usage {
        message: format!(
            "cannot tell which files in `{}` natsync downloaded: its state cannot be used",
            dest.display()
        ),
        hint: Some("name the manifests instead of a directory".to_owned()),
    };
    Candidate { path: dest, result: Err(error) }
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}

/// The path as users write it: what lies in `.` needs no `./`.
fn shown(path: &Path, folder: &Path) -> PathBuf {
    match path.strip_prefix(".") {
        Ok(below) if folder == Path::new(".") && path != folder => below.to_owned(),
        _ => path.to_owned(),
    }
}
