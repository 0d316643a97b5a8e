//! Which digests in a checksum list are those of an entry.
//!
//! A name in a list is relative to the list. A base name alone says which file is meant only if the
//! list names files without their folders, and no other entry of the list has the same base name.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash as _, Hasher as _};
use std::path::Path;

use crate::digest::checksums::{List, Lookup};
use crate::manifest::entry::{Entry, Form};
use crate::manifest::template::UrlParts;
use crate::manifest::{ListPlace, Manifest, Matching, Published};
use crate::rel_path::RelPath;

/// The names under which a list may have an entry.
#[derive(Debug)]
struct Names {
    /// Names with their folders, the most specific first.
    whole: Vec<String>,
    bases: Vec<String>,
}

/// What the entries of a manifest have in common. It is a set of hashes, so it is small unless most
/// entries have the same base names.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    /// The lists of several entries.
    lists: HashSet<u64>,
    /// The base names of several entries of a list, with the list.
    bases: HashSet<u64>,
}

/// Looks up an entry in its list. `sharing` is called only where it decides.
pub(super) fn look_up<'s>(
    list: &List,
    manifest: &Manifest,
    entry: &Entry<'_>,
    path: &str,
    published: &Published,
    sharing: impl Fn() -> &'s Sharing,
) -> Lookup {
    let key = list_key(entry, published);
    let names = Names::of(manifest, entry, path, published, key.as_deref());
    let whole: Vec<&str> = names.whole.iter().map(String::as_str).collect();
    let list_hash = hash(key.as_deref(), None);
    let by_base = || {
        names.bases.iter().find_map(|base| match published.matching {
            Matching::Path => None,
            Matching::Name => list.find_base(base),
            Matching::Relative if list.has_folders() => None,
            Matching::Relative => list
                .find(&[base.as_str()])
                .filter(|_| !sharing().bases.contains(&hash(key.as_deref(), Some(base)))),
        })
    };
    let nameless = || list.nameless().filter(|_| !sharing().lists.contains(&list_hash));
    list.find(&whole).or_else(by_base).or_else(nameless).unwrap_or(Lookup::Unlisted)
}

impl Sharing {
    /// Reads all entries with a list.
    pub(super) fn of(manifest: &Manifest) -> Self {
        let (mut lists, mut bases) = (Vec::new(), Vec::new());
        let mut sharing = Self::default();
        let mut path = String::new();
        let entries = manifest.entries();
        for (number, source) in manifest.sources().iter().enumerate() {
            let Some(published) = &source.published else { continue };
            for entry in entries.within(entries.source_range(number)) {
                path.clear();
                entry.write_path(&mut path);
                let key = list_key(&entry, published);
                let list = hash(key.as_deref(), None);
                // Most lists are those of many entries in a row.
                if lists.last() == Some(&list) {
                    sharing.lists.insert(list);
                } else {
                    lists.push(list);
                }
                let names = Names::of(manifest, &entry, &path, published, key.as_deref());
                let first = bases.len();
                for base in &names.bases {
                    let base = hash(key.as_deref(), Some(base));
                    if !bases[first..].contains(&base) {
                        bases.push(base);
                    }
                }
            }
        }
        sharing.lists.extend(repeated(lists));
        sharing.bases.extend(repeated(bases));
        sharing
    }
}

/// The numbers that occur more than once.
fn repeated(mut numbers: Vec<u64>) -> impl Iterator<Item = u64> {
    numbers.sort_unstable();
    let pairs: Vec<u64> =
        numbers.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    pairs.into_iter()
}

fn hash(list: Option<&str>, base: Option<&str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (list, base).hash(&mut hasher);
    hasher.finish()
}

/// The URL of the list, or the path of a local one.
fn list_key(entry: &Entry<'_>, published: &Published) -> Option<String> {
    match &published.place {
        ListPlace::File { path, .. } => Some(path.to_string_lossy().into_owned()),
        ListPlace::Url(_) | ListPlace::Sidecar(_) => entry.list_url(Form::Sent),
    }
}

impl Names {
    /// `list` is the URL of the list, if it is at a URL.
    fn of(
        manifest: &Manifest,
        entry: &Entry<'_>,
        path: &str,
        published: &Published,
        list: Option<&str>,
    ) -> Self {
        let url = entry.url(Form::Sent);
        let filename = filename(&url);
        let base = base_of(path);
        let relative = match &published.place {
            ListPlace::File { path: file, .. } => {
                // The folder of the list may be above the destination.
                let folder = file.parent().unwrap_or(Path::new(""));
                let below = manifest.dest().strip_prefix(folder).ok();
                below.map(|below| below.join(path).to_string_lossy().into_owned())
            }
            ListPlace::Url(_) | ListPlace::Sidecar(_) => list.and_then(|list| relative(list, &url)),
        };
        let is_local = matches!(published.place, ListPlace::File { .. });
        // A local list may have been made of the destination. In another one, the path of the entry
        // is a name only if the URL names no file, or is not below the list and names the same.
        let is_named = filename.is_some() && !url.contains('?');
        let is_below = relative.as_ref().is_some_and(|relative| !relative.starts_with("../"));
        let path_counts = is_local
            || !is_named
            || (!is_below && path.contains('/') && filename.as_deref() == Some(base));
        let mut names = Self { whole: Vec::new(), bases: Vec::new() };
        match published.matching {
            Matching::Path => names.whole.push(path.to_owned()),
            Matching::Name => {
                names.whole.extend(relative);
                names.whole.push(path.to_owned());
                names.bases.extend(filename);
                names.bases.push(base.to_owned());
            }
            Matching::Relative => {
                names.whole.extend(relative);
                if path_counts && (is_local || path.contains('/')) {
                    names.whole.push(path.to_owned());
                }
                names.bases.extend(filename);
                if is_local || !is_named {
                    names.bases.push(base.to_owned());
                }
            }
        }
        names
    }
}

/// The last component of the URL's path. `None` if it cannot be a file name.
fn filename(url: &str) -> Option<String> {
    let name = UrlParts::new(url).filename().into_owned();
    // A percent-encoded slash in the last component would name another folder.
    (RelPath::parse(&name).is_ok() && !name.contains('/')).then_some(name)
}

fn base_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, base)| base)
}

/// The path of a URL relative to the folder of a list, with `..` where it is not below. `None` if
/// they are at different origins.
fn relative(list: &str, url: &str) -> Option<String> {
    let (list_origin, list_path) = split(list)?;
    let (origin, path) = split(url)?;
    if list_origin != origin {
        return None;
    }
    let list: Vec<String> = list_path.split('/').map(decoded).collect();
    let path: Vec<String> = path.split('/').map(decoded).collect();
    let (folders, segments) = (&list[..list.len() - 1], &path[..path.len() - 1]);
    let common = folders.iter().zip(segments).take_while(|(one, other)| one == other).count();
    let up = std::iter::repeat_n("..", folders.len() - common);
    Some(up.chain(path[common..].iter().map(String::as_str)).collect::<Vec<_>>().join("/"))
}

/// The origin and the path of a URL, without its query.
fn split(url: &str) -> Option<(String, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some((format!("{scheme}://{host}").to_ascii_lowercase(), path))
}

/// A segment, percent-decoded unless that would make a slash or is not UTF-8.
fn decoded(segment: &str) -> String {
    match percent_encoding::percent_decode_str(segment).decode_utf8() {
        Ok(text) if !text.contains('/') => text.into_owned(),
        _ => segment.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_list() {
        for (list, url, expected) in [
            ("http://h/SUMS", "http://h/a", Some("a")),
            ("http://h/r/SUMS", "http://h/r/v/a%20b?x=/y", Some("v/a b")),
            ("http://h/r/SUMS?x=/", "http://u:p@H/r/a", Some("a")),
            ("http://h/r/s/SUMS", "http://h/r/v/a", Some("../v/a")),
            ("http://h/%72/SUMS", "http://h/r/a", Some("a")),
            ("http://h/r/SUMS", "http://h/r2/a", Some("../r2/a")),
            ("http://h/r/SUMS", "http://h/r/v%2Fa", Some("v%2Fa")),
            ("http://h/SUMS", "https://h/a", None),
            ("http://h:81/SUMS", "http://h/a", None),
        ] {
            assert_eq!(relative(list, url).as_deref(), expected, "{list} {url}");
        }
    }

    #[test]
    fn repeated_numbers_are_found() {
        let mut found: Vec<_> = repeated(vec![3, 1, 2, 3, 3, 1]).collect();
        found.dedup();
        assert_eq!(found, [1, 3]);
    }
}
