//! The entries that an earlier run did not bring to a good end (`--failed`, `--retry`).

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::warn;
use crate::manifest::Manifest;
use crate::manifest::select::Selection;
use crate::ops::error::RunError;
use crate::report::{Console, Count, Untrusted};

/// Paths by the name of their manifest.
#[derive(Debug)]
pub(super) struct Retry(HashMap<String, HashSet<String>>);

/// A line of the file, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    manifest: String,
    path: String,
}

impl Retry {
    /// Reads what `--failed FILE` wrote.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub(super) fn read(file: &Path) -> Result<Self, RunError> {
        let name = file.display();
        let unreadable =
            |error: std::io::Error| RunError::usage(format!("cannot read `{name}`: {error}"));
        let mut paths: HashMap<String, HashSet<String>> = HashMap::new();
        let open = File::open(file).map_err(unreadable)?;
        for (number, line) in (1u64..).zip(BufReader::new(open).lines()) {
            let line = line.map_err(unreadable)?;
            let Line { manifest, path } =
                serde_json::from_str(&line).map_err(|_| RunError::Usage {
                    message: format!("line {number} of `{name}` names no failed entry"),
                    hint: Some("--retry takes what --failed wrote".to_owned()),
                })?;
            paths.entry(manifest).or_default().insert(path);
        }
        Ok(Self(paths))
    }

    /// Chooses among the entries of a manifest those that are named. Tells of those that it does not declare.
    pub(super) fn choose(
        &self,
        selection: Selection,
        manifest: &Manifest,
        console: &Console,
    ) -> Selection {
        let nothing = HashSet::new();
        let named = self.0.get(manifest.name()).unwrap_or(&nothing);
        let mut path = String::new();
        let declared = manifest.entries().iter().filter(|entry| {
            path.clear();
            entry.write_path(&mut path);
            named.contains(&path)
        });
        let declared = if named.is_empty() { 0 } else { declared.count() };
        let gone = named.len().saturating_sub(declared) as u64;
        if 0 < gone {
            let (gone, name) = (Count::entries(gone), Untrusted(manifest.name()));
            warn(console, &format!("{gone} to retry that `{name}` no longer declares"));
        }
        selection.among(named.iter().map(String::as_str))
    }
}
