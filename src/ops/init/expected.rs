//! Compares what a manifest declares with what was given.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::{Given, Pattern, normal, wrong};
use crate::manifest::entry::{Entry, Form};
use crate::manifest::{LoadOptions, Manifest};
use crate::ops::error::RunError;

/// The entries that the generated manifest must declare.
pub(super) enum Expected {
    /// Exactly these files, by their URLs.
    Files(HashMap<String, Vec<Given>>),
    /// A number of entries: the globs are too large to compare every URL.
    Count(u64),
}

/// Globs with more URLs than this are compared by their count alone, to bound memory.
const MOST_COMPARED: u64 = 1_000_000;
/// The default limit on the entries of a manifest.
const MOST: u64 = 10_000_000;

impl Expected {
    /// # Errors
    /// When there are more entries than a manifest can have.
    pub(super) fn of(files: &[Given], globs: &[Pattern]) -> Result<Self, RunError> {
        let of_globs = globs.iter().map(Pattern::count).fold(0, u64::saturating_add);
        let count = of_globs.saturating_add(files.len() as u64);
        if MOST < count {
            let message = format!("this expands to {count} URLs, more than {MOST}");
            return Err(wrong(message, "narrow the globs"));
        }
        if MOST_COMPARED < of_globs {
            return Ok(Self::Count(count));
        }
        let mut expected: HashMap<String, Vec<Given>> = HashMap::new();
        for url in globs.iter().flat_map(Pattern::expand) {
            // A URL of two globs, or of a glob and a list, is one entry.
            expected.entry(normal(&url)).or_insert_with(|| vec![Given::of(url)]);
        }
        for given in files {
            expected.entry(normal(&given.url)).or_default().push(given.clone());
        }
        Ok(Self::Files(expected))
    }

    /// Parses the generated text and compares its entries with the expected ones. Returns their
    /// number.
    pub(super) fn check(&self, text: &str, file: &Path) -> Result<u64, String> {
        let env = |_: &str| None;
        let options = LoadOptions { env: &env, ..LoadOptions::default() };
        let first = |problems: &crate::manifest::Problems| {
            problems.iter().next().map(|problem| problem.message.clone()).unwrap_or_default()
        };
        let manifest =
            Manifest::parse(file, text, &options).map_err(|problems| first(&problems))?;
        manifest.check().map_err(|problems| first(&problems))?;
        let expected = match self {
            Self::Files(expected) => expected,
            Self::Count(count) if manifest.entries().count() == *count => return Ok(*count),
            Self::Count(_) => return Err("the template expands to other URLs".to_owned()),
        };
        let mut left: HashMap<&str, Vec<&Given>> =
            expected.iter().map(|(url, files)| (url.as_str(), files.iter().collect())).collect();
        let mut seen = 0;
        for entry in manifest.entries().iter() {
            seen += 1;
            let url = normal(&entry.url(Form::Sent));
            let Some(files) = left.get_mut(url.as_str()) else {
                return Err("the template expands to other URLs".to_owned());
            };
            // A file with a path of its own comes before one that may be anywhere.
            let path = entry.path();
            let own = |given: &&Given| given.path.as_deref() == Some(path.as_str());
            let found = files
                .iter()
                .position(own)
                .or_else(|| files.iter().position(|given| given.path.is_none()));
            let Some(given) = found.map(|found| files.swap_remove(found)) else {
                return Err("the template expands to other paths".to_owned());
            };
            if !agrees(&entry, given) {
                return Err("the template expands to other mirrors, sizes or digests".to_owned());
            }
        }
        if left.values().all(Vec::is_empty) {
            Ok(seen)
        } else {
            Err("the template leaves out some of the URLs".to_owned())
        }
    }
}

/// Removes plain files that a glob declares, too.
pub(super) fn without_globs(
    mut files: Vec<Given>,
    globs: &[Pattern],
    notes: &mut Vec<String>,
) -> Vec<Given> {
    let count = globs.iter().map(Pattern::count).fold(0, u64::saturating_add);
    if files.is_empty() || MOST_COMPARED < count {
        return files;
    }
    let declared: HashSet<String> =
        globs.iter().flat_map(Pattern::expand).map(|url| normal(&url)).collect();
    let before = files.len();
    files.retain(|given| !given.is_plain() || !declared.contains(&normal(&given.url)));
    match before - files.len() {
        0 => {}
        1 => notes.push("1 URL is one of a glob, too".to_owned()),
        many => notes.push(format!("{many} URLs are those of a glob, too")),
    }
    files
}

fn agrees(entry: &Entry<'_>, given: &Given) -> bool {
    let has_mirrors = entry.places() == 1 + given.mirrors.len()
        && (1..).zip(&given.mirrors).all(|(place, mirror)| {
            normal(&entry.candidate(0, place, Form::Sent)) == normal(mirror)
        });
    let digests = entry.checksums();
    has_mirrors
        && entry.size() == given.size
        && digests.len() == given.checksums.len()
        && given.checksums.iter().all(|checksum| digests.contains(checksum))
}
