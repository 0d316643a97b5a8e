//! `--retry FILE`: chooses the entries that an earlier run wrote to FILE with `--failed`.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde::Deserialize;

use super::exit::warn;
use crate::manifest::Manifest;
use crate::manifest::select::Selection;
use crate::ops::error::RunError;
use crate::report::{Console, Count, Untrusted};

/// The paths to retry, by the name of their manifest.
#[derive(Debug)]
pub(super) struct Retry(HashMap<String, HashSet<String>>);

/// The fields of a line that are needed here.
#[derive(Deserialize)]
struct Line {
    manifest: String,
    path: String,
}

impl Retry {
    /// # Errors
    /// When the file cannot be read, or a line of it is not a failed entry.
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
                    message: format!("line {number} of `{name}` is not a failed entry"),
                    hint: Some("--retry reads a file that --failed wrote".to_owned()),
                })?;
            paths.entry(manifest).or_default().insert(path);
        }
        Ok(Self(paths))
    }

    /// Reduces a selection to the entries that are to be retried. Warns of entries that the
    /// manifest no longer declares.
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
            warn(console, &format!("`{name}` no longer declares {gone} that failed before"));
        }
        selection.among(named.iter().map(String::as_str))
    }
}
