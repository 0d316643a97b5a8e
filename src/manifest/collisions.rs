//! The check of all entries before any request: each path is valid and belongs to one entry only,
//! no file has the path of a folder, and each URL can be requested.
//!
//! Paths are compared by 128-bit hashes: the paths of millions of entries would need too much memory.
//! For a message, the entries concerned are rendered again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::path_hashes::PathHashes;
use super::problem::{Problem, Problems, Text};
use super::types::{Locations, Manifest};
use super::url::check_url;
use crate::manifest::entry::{Entries, Entry, Form};
use crate::manifest::template::{Effect, UrlParts};
use crate::rel_path::{check, check_portable, fold, path_hash};

/// At most this many problems of one kind are reported.
const NAMED: usize = 5;

/// The result of one thread's pass over a range of entries.
#[derive(Default)]
struct Found {
    /// The hash of each path.
    exact: Vec<u128>,
    /// The hash of each path's case-folded form, if that differs from the path.
    folded: Vec<u128>,
    /// The hashes of all parent folders of the paths, case-folded too.
    folders: HashSet<u128>,
    problems: Vec<Problem>,
}

impl Manifest {
    /// Renders and checks every path once, on several cores. Call it before any other use of
    /// entries.
    ///
    /// # Errors
    /// When a path is invalid, is not portable although the manifest requires it, or belongs to two
    /// entries; when one entry's path is a folder of another's; when an entry's URL cannot be
    /// requested.
    pub fn check(&self) -> Result<PathHashes, Problems> {
        let entries = self.entries();
        let halves = split(entries.bound());
        let own = self.own_files();
        let found: Vec<Found> = std::thread::scope(|scope| {
            let look = |range| {
                let own = &own;
                scope.spawn(move || self.look(&entries, range, own))
            };
            let threads: Vec<_> = halves.into_iter().map(look).collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let mut all = Found::default();
        for mut part in found {
            if all.exact.is_empty() {
                all.exact = part.exact;
            } else {
                all.exact.append(&mut part.exact);
            }
            all.folded.append(&mut part.folded);
            all.folders.extend(part.folders);
            all.problems.append(&mut part.problems);
        }
        all.problems.truncate(4 * NAMED);
        all.exact.sort_unstable();
        if all.problems.is_empty() {
            self.twins(&entries, &mut all);
        }
        if all.problems.is_empty() {
            Ok(PathHashes::new(all.exact))
        } else {
            Err(Problems::new(all.problems))
        }
    }

    fn look(
        &self,
        entries: &Entries<'_>,
        range: std::ops::Range<u64>,
        own: &HashSet<String>,
    ) -> Found {
        let mut found = Found {
            exact: Vec::with_capacity(usize::try_from(range.end - range.start).unwrap_or(0)),
            ..Found::default()
        };
        let mut path = String::new();
        let mut parent = String::new();
        for entry in entries.within(range) {
            path.clear();
            entry.write_path(&mut path);
            if let Err(problem) = self.look_at(&entry, &path, own) {
                if found.problems.len() < NAMED {
                    found.problems.push(*problem);
                }
                continue;
            }
            found.exact.push(path_hash(&path));
            let key = self.key(&path);
            if let Some(key) = &key {
                found.folded.push(path_hash(key));
            }
            // Consecutive entries are mostly in the same folder: hash it once.
            let path = key.as_deref().unwrap_or(&path);
            if let Some((folder, _)) = path.rsplit_once('/')
                && folder != parent
            {
                parent.clear();
                parent.push_str(folder);
                let mut rest = folder;
                while found.folders.insert(path_hash(rest))
                    && let Some((above, _)) = rest.rsplit_once('/')
                {
                    rest = above;
                }
            }
        }
        found
    }

    fn look_at(
        &self,
        entry: &Entry<'_>,
        path: &str,
        own: &HashSet<String>,
    ) -> Result<(), Box<Problem>> {
        let refuse = |message: String, hint: &str| {
            let text = self.text();
            Err(Box::new(text.problem(place_of(entry), message).hint(hint)))
        };
        if let Err(error) = check(path) {
            let url = entry.url(Form::Shown);
            return match error {
                crate::rel_path::RelPathError::Empty => refuse(
                    format!("the path of {url} is empty"),
                    "the URL ends without a file name: set `path`",
                ),
                _ => refuse(
                    format!("the path `{path}` of {url} cannot be used: {error}"),
                    "set `path` so that it is a plain path below `dest`",
                ),
            };
        }
        if self.portable
            && let Err(error) = check_portable(path)
        {
            return refuse(
                format!("the path `{path}` is not portable: {error}"),
                "`portable: false` allows it",
            );
        }
        if !own.is_empty() && own.contains(self.key(path).as_deref().unwrap_or(path)) {
            return refuse(
                format!("the path `{path}` is that of a manifest or of its lock"),
                "set `path`, or another `dest`",
            );
        }
        // An encoded slash in the URL (`%2F`) would create a folder that the manifest does not
        // name.
        if entry.path_template().uses_filename() {
            let url = entry.url(Form::Sent);
            if url.contains('%') && UrlParts::new(&url).filename().contains('/') {
                return refuse(
                    format!("the file name of {} has a slash", entry.url(Form::Shown)),
                    "set `path` without `{filename}`",
                );
            }
        }
        if let Locations::Templates { url, .. } = &entry.source().locations
            && url.literal_start().splitn(4, '/').count() == 4
            && entry.overriding(Effect::Url).is_none()
        {
            return Ok(());
        }
        match check_url(&entry.url(Form::Sent)) {
            Ok(()) => Ok(()),
            Err(why) => refuse(
                format!("{} is not a URL that can be requested: {why}", entry.url(Form::Shown)),
                "it begins with `http://` or `https://` and a host",
            ),
        }
    }

    /// The case-folded form of a path, which is equal for two paths that some file systems do not
    /// distinguish. `None` if it is the path itself, or if the manifest is not portable.
    fn key(&self, path: &str) -> Option<String> {
        if !self.portable || path.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
        {
            return None;
        }
        Some(fold(path)).filter(|folded| folded != path)
    }

    fn twins(&self, entries: &Entries<'_>, found: &mut Found) {
        let mut twins: Vec<u128> = same_neighbours(&found.exact).collect();
        let mut all = std::mem::take(&mut found.folded);
        if !all.is_empty() {
            all.extend_from_slice(&found.exact);
            all.sort_unstable();
            twins.extend(same_neighbours(&all));
        }
        let files = if all.is_empty() { &found.exact } else { &all };
        let within: Vec<u128> = found
            .folders
            .iter()
            .copied()
            .filter(|folder| files.binary_search(folder).is_ok())
            .collect();
        twins.sort_unstable();
        twins.dedup();
        for &twin in twins.iter().take(NAMED) {
            found.problems.extend(self.explain_twins(entries, twin));
        }
        for &folder in within.iter().take(NAMED) {
            found.problems.extend(self.explain_folder(entries, folder));
        }
    }

    fn explain_twins(&self, entries: &Entries<'_>, hash: u128) -> Option<Problem> {
        let mut pair = entries.iter().filter(|entry| {
            let path = path_of(entry);
            path_hash(&path) == hash || self.key(&path).is_some_and(|key| path_hash(&key) == hash)
        });
        let (first, second) = (pair.next()?, pair.next()?);
        let (one, two) = (path_of(&first), path_of(&second));
        let urls = format!("{} and {}", first.url(Form::Shown), second.url(Form::Shown));
        let problem = if one == two {
            let message = format!("two entries have the path `{one}`: {urls}");
            self.text()
                .problem(place_of(&second), message)
                .hint("set `path` so that each entry has its own path, for example with all variables in it")
        } else {
            let message =
                format!("`{one}` and `{two}` differ only by case or Unicode form: {urls}");
            self.text()
                .problem(place_of(&second), message)
                .hint("some file systems do not distinguish them; `portable: false` allows it")
        };
        Some(problem)
    }

    fn explain_folder(&self, entries: &Entries<'_>, hash: u128) -> Option<Problem> {
        let keyed = |entry: &Entry<'_>| {
            let path = path_of(entry);
            self.key(&path).unwrap_or(path)
        };
        let file = entries.iter().find(|entry| path_hash(&keyed(entry)) == hash)?;
        let below = format!("{}/", keyed(&file));
        let inner = entries.iter().find(|entry| keyed(entry).starts_with(&below))?;
        let message = format!(
            "`{}` would be a file and a folder: {} and {}",
            path_of(&file),
            file.url(Form::Shown),
            inner.url(Form::Shown)
        );
        Some(
            self.text()
                .problem(place_of(&inner), message)
                .hint("set `path` so that no file has the path of a folder"),
        )
    }

    /// The manifest, other protected files, and the locks of all, as paths below the destination.
    /// With `portable`, case-folded.
    fn own_files(&self) -> HashSet<String> {
        let Ok(dest) = self.dest.canonicalize() else {
            return HashSet::new();
        };
        let below = |file: PathBuf| file.strip_prefix(&dest).ok().map(Path::to_owned);
        let key = |path: &Path| {
            let path = path.to_string_lossy().into_owned();
            self.key(&path).unwrap_or(path)
        };
        std::iter::once(&self.file)
            .chain(&self.protected)
            .flat_map(|file| places_of(file))
            .filter_map(below)
            .flat_map(|file| [key(&file), key(&file.with_extension("lock"))])
            .collect()
    }

    /// Whether a file, or its lock, may have the path of an entry.
    #[cfg(feature = "cli")]
    pub(crate) fn may_overwrite(&self, file: &Path) -> bool {
        self.dest
            .canonicalize()
            .is_ok_and(|dest| places_of(file).iter().any(|file| file.starts_with(&dest)))
    }

    fn text(&self) -> Text<'_> {
        Text::new(&self.file, &self.text)
    }
}

fn place_of(entry: &Entry<'_>) -> super::problem::Span {
    let own = entry.overriding(Effect::Path).map(|other| other.at);
    own.or_else(|| entry.file().map(|file| file.at)).unwrap_or(entry.source().path_at)
}

/// Where a file is, and where its name is: these differ for a symbolic link.
pub(crate) fn places_of(file: &Path) -> Vec<PathBuf> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new(".")).canonicalize();
    let named = folder.ok().zip(file.file_name()).map(|(folder, name)| folder.join(name));
    file.canonicalize().into_iter().chain(named).collect()
}

fn path_of(entry: &Entry<'_>) -> String {
    let mut path = String::new();
    entry.write_path(&mut path);
    path
}

fn same_neighbours(sorted: &[u128]) -> impl Iterator<Item = u128> {
    sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// Splits the indices into one range for each core, at most 8; a small number stays in one piece.
fn split(bound: u64) -> Vec<std::ops::Range<u64>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let parts = if bound < 10_000 { 1 } else { cores.min(8) };
    let size = bound.div_ceil(parts.max(1)).max(1);
    (0..parts).map(|part| (part * size).min(bound)..((part + 1) * size).min(bound)).collect()
}
