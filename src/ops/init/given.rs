//! A file as a list states it, and the files of all lists together.

use std::collections::{HashMap, HashSet};

use super::{normal, wrong};
use crate::digest::Checksum;
use crate::manifest::template::UrlParts;
use crate::ops::error::RunError;

/// A file to declare in the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) url: String,
    pub(crate) mirrors: Vec<String>,
    /// The path below the destination, if the list gives one.
    pub(crate) path: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) checksums: Vec<Checksum>,
    /// Its line in the list, from 1; 0 if it is an argument.
    pub(crate) line: usize,
}

impl Given {
    pub(crate) fn of(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// The last component of its URL, which is its path unless something else is stated.
    pub(super) fn filename(&self) -> String {
        UrlParts::new(&self.url).filename().into_owned()
    }

    /// True if it has no size and no digest, and its path is the usual one.
    pub(super) fn is_plain(&self) -> bool {
        let is_usual = |path: &String| *path == self.filename();
        self.mirrors.is_empty()
            && self.size.is_none()
            && self.checksums.is_empty()
            && self.path.as_ref().is_none_or(is_usual)
    }

    /// The place of the file in the user's input, for a message.
    pub(super) fn place(&self) -> String {
        match self.line {
            0 => String::new(),
            line => format!("line {line}: "),
        }
    }

    /// Adds a digest.
    ///
    /// # Errors
    /// When it has another digest of the same algorithm.
    pub(super) fn add(&mut self, checksum: Checksum) -> Result<(), RunError> {
        let algorithm = checksum.algorithm();
        match self.checksums.iter().find(|own| own.algorithm() == algorithm) {
            Some(own) if *own == checksum => Ok(()),
            Some(_) => Err(wrong(
                format!("this file has two {algorithm} digests, which differ"),
                "remove one of them",
            )),
            None => {
                self.checksums.push(checksum);
                Ok(())
            }
        }
    }

    /// Takes over what another statement about the same file adds. Returns whether it adds something.
    fn merge(&mut self, other: Self) -> Result<bool, RunError> {
        let line = self.line;
        let contradicts = |what: &str| {
            let message = format!("{}another {what} of this file is on line {line}", other.place());
            Err(wrong(message, "one URL and path is one file: remove one of the lines"))
        };
        let before = (self.mirrors.len(), self.checksums.len(), self.size, self.path.is_some());
        match (self.size, other.size) {
            (Some(own), Some(size)) if own != size => return contradicts("size"),
            (own, size) => self.size = own.or(size),
        }
        for checksum in &other.checksums {
            if self.add(*checksum).is_err() {
                return contradicts(checksum.algorithm().as_str());
            }
        }
        for mirror in &other.mirrors {
            if !self.mirrors.contains(mirror) {
                self.mirrors.push(mirror.clone());
            }
        }
        self.path = self.path.take().or(other.path);
        let after = (self.mirrors.len(), self.checksums.len(), self.size, self.path.is_some());
        Ok(before != after)
    }
}

/// Merges repeated files, which have the same URL and path.
///
/// # Errors
/// When two statements contradict each other, or two files would be at one path.
pub(super) fn distinct(files: Vec<Given>, notes: &mut Vec<String>) -> Result<Vec<Given>, RunError> {
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut distinct: Vec<Given> = Vec::new();
    let mut repeated = 0;
    for given in files {
        let path = given.path.clone().unwrap_or_else(|| given.filename());
        match places.entry((normal(&given.url), path)) {
            std::collections::hash_map::Entry::Occupied(known) => {
                repeated += usize::from(!distinct[*known.get()].merge(given)?);
            }
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert(distinct.len());
                distinct.push(given);
            }
        }
    }
    if 0 < repeated {
        let urls = if repeated == 1 {
            "1 repeated URL was"
        } else {
            &format!("{repeated} repeated URLs were")
        };
        notes.push(format!("{urls} left out"));
    }
    check_paths(&distinct)?;
    Ok(distinct)
}

/// Checks that no stated path is that of two files, or a folder of another one.
fn check_paths(files: &[Given]) -> Result<(), RunError> {
    let mut paths: HashMap<&str, &Given> = HashMap::new();
    let stated = || files.iter().filter_map(|given| Some((given.path.as_deref()?, given)));
    let hint = "give each file a path of its own";
    for (path, given) in stated() {
        if let Some(other) = paths.insert(path, given) {
            let message = format!(
                "{}`{path}` is also the path of the file on line {}",
                given.place(),
                other.line
            );
            return Err(wrong(message, hint));
        }
    }
    let mut seen: HashSet<&str> = HashSet::new();
    for (path, given) in stated() {
        let folders = path.match_indices('/').map(|(slash, _)| &path[..slash]);
        for folder in folders.filter(|&folder| seen.insert(folder)) {
            if let Some(other) = paths.get(folder) {
                let message = format!(
                    "{}`{folder}` is a folder of `{path}`, which is on line {}",
                    other.place(),
                    given.line
                );
                return Err(wrong(message, hint));
            }
        }
    }
    Ok(())
}
