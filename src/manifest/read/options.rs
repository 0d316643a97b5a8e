//! The inputs of reading a manifest, besides its text.

use std::path::Path;

/// The inputs of reading a manifest, besides its text.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// The date that `today` stands for, constant for the whole run.
    pub today: jiff::civil::Date,
    /// Variables and the values that replace those of the manifest (`--set`). The last one of a
    /// name wins.
    pub set: &'a [(String, String)],
    /// Looks up an environment variable, for `${NAME}` and the default netrc file.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A destination that replaces the manifest's, relative to the current directory.
    pub dest: Option<&'a Path>,
}

impl Default for LoadOptions<'_> {
    /// The current date in UTC, and an empty environment: `${NAME}` in a manifest is an error unless
    /// it has a default. To use the environment of the process, pass
    /// `&|name| std::env::var(name).ok()` as `env`.
    fn default() -> Self {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        Self { today, set: &[], env: &|_| None, dest: None }
    }
}

impl std::fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadOptions")
            .field("today", &self.today)
            .field("set", &self.set)
            .field("dest", &self.dest)
            .finish_non_exhaustive()
    }
}
