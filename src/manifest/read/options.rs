//! What a manifest is read with.

use std::path::Path;

/// What a manifest is read with, beside its text.
#[derive(Clone, Copy)]
pub struct LoadOptions<'a> {
    /// What `today` means, for the whole run.
    pub today: jiff::civil::Date,
    /// Values that stand instead of those of the manifest's variables.
    pub set: &'a [(String, String)],
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// The destination, instead of the manifest's; relative to the current directory.
    pub dest: Option<&'a Path>,
}

impl Default for LoadOptions<'_> {
    /// The date of today (UTC), and an empty environment: `${NAME}` in a manifest is an error unless it
    /// has a default. A program that wants the environment of its process passes
    /// `&|name| std::env::var(name).ok()`.
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
