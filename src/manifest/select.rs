//! The entries that a run works on (`--only`, `--retry`, `--shard`).

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use globset::{GlobBuilder, GlobMatcher};

use crate::manifest::{Manifest, Shard, Source};
use crate::rel_path::path_hash;

/// The placeholder in a list of patterns for a selection by paths, which is not recorded itself.
pub(crate) const AMONG: &str = "--retry";

/// A selection of entries of one manifest: all, or those that at least one pattern matches.
///
/// It records which patterns matched an entry, so that a misspelled pattern is reported as an error
/// instead of being ignored.
#[derive(Debug, Default)]
pub struct Selection {
    patterns: Vec<Pattern>,
    /// If present, only entries whose path has one of these hashes are selected.
    among: Option<Arc<HashSet<u128>>>,
    /// If present, only entries of this shard are selected.
    shard: Option<Shard>,
}

/// Why a pattern cannot select entries: it is not a valid glob, or it matches no entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectError {
    /// What is wrong. It quotes the pattern as the user wrote it, so escape it before printing.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SelectError {}

impl Selection {
    /// Selects every entry.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Selects the entries that at least one pattern matches; all entries if there is no pattern.
    ///
    /// A pattern is `tag:NAME`, the name of a source of that manifest, or otherwise a glob over the
    /// path below the destination, in which `*` and `?` do not match a slash and `**` does.
    ///
    /// ```
    /// # use std::path::Path;
    /// use natsync::manifest::select::Selection;
    /// use natsync::{LoadOptions, Manifest, Options};
    ///
    /// # let text = "{version: 1, dest: d, sources: [{url: 'http://h/{n}.jpg', vars: {n: 1..9}}]}";
    /// # let manifest = Manifest::parse(Path::new("a.yaml"), text, &LoadOptions::default())?;
    /// let selection = Selection::new(&["[1-3].jpg".to_owned()], &manifest)?;
    /// assert!(selection.matches(&manifest.sources()[0], "2.jpg"));
    /// let options = Options { selection, ..Options::default() };
    /// # Ok::<(), natsync::RunError>(())
    /// ```
    ///
    /// # Errors
    /// When a pattern is not a valid glob.
    pub fn new(patterns: &[String], manifest: &Manifest) -> Result<Self, SelectError> {
        let patterns =
            patterns.iter().map(|text| Pattern::parse(text, manifest)).collect::<Result<_, _>>()?;
        Ok(Self { patterns, ..Self::default() })
    }

    /// Restricts the selection to entries with one of these paths.
    #[must_use]
    pub fn among<'p>(self, paths: impl IntoIterator<Item = &'p str>) -> Self {
        let among = paths.into_iter().map(path_hash).collect();
        Self { among: Some(Arc::new(among)), ..self }
    }

    /// Restricts the selection to the entries of a shard, if there is one.
    #[must_use]
    pub fn of_shard(self, shard: Option<Shard>) -> Self {
        Self { shard, ..self }
    }

    /// The shard that it is restricted to.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        self.shard
    }

    /// Whether it has no restriction at all.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.shard.is_none() && self.is_all_of_job()
    }

    /// Whether it has no restriction but that to a shard.
    #[must_use]
    pub fn is_all_of_job(&self) -> bool {
        self.patterns.is_empty() && self.among.is_none()
    }

    /// The patterns as they were written, followed by [`AMONG`] if the selection is restricted to
    /// paths.
    pub(crate) fn patterns(&self) -> Vec<String> {
        let among = self.among.is_some().then(|| AMONG.to_owned());
        self.patterns.iter().map(|pattern| pattern.text.clone()).chain(among).collect()
    }

    /// Whether all (`Some(true)`) or none (`Some(false)`) of a source's entries are selected.
    /// `None` if that depends on their paths.
    #[must_use]
    pub fn sees_source(&self, source: &Source) -> Option<bool> {
        // With a glob, test each path even if another pattern selects the whole source: otherwise
        // the glob could be reported as unmatched.
        let needs_paths = self.patterns.iter().any(|pattern| matches!(pattern.kind, Kind::Glob(_)));
        if needs_paths || self.among.is_some() || self.shard.is_some() {
            return None;
        }
        Some(self.matches(source, ""))
    }

    /// Whether the entry of that source with that path is selected.
    #[must_use]
    pub fn matches(&self, source: &Source, path: &str) -> bool {
        let mut chosen = self.patterns.is_empty();
        for pattern in &self.patterns {
            if pattern.matches(source, path) {
                pattern.note();
                chosen = true;
            }
        }
        chosen && (self.among.is_none() && self.shard.is_none() || self.has_hash(path_hash(path)))
    }

    /// Whether the restrictions to paths and to a shard let the path with that hash pass.
    fn has_hash(&self, hash: u128) -> bool {
        self.among.as_ref().is_none_or(|among| among.contains(&hash))
            && self.shard.is_none_or(|shard| shard.has_hash(hash))
    }

    /// Tests the entries of a manifest until each pattern has matched one, for [`Self::unmatched`].
    pub fn look_at(&self, manifest: &Manifest) {
        for source in manifest.sources() {
            let _ = self.sees_source(source);
        }
        let mut path = String::new();
        for entry in manifest.entries().iter() {
            if self.patterns.iter().all(|pattern| pattern.used.load(Ordering::Relaxed)) {
                return;
            }
            path.clear();
            entry.write_path(&mut path);
            let _ = self.matches(entry.source(), &path);
        }
    }

    /// The error for the first pattern that matched no entry. Valid after [`Self::look_at`], or
    /// after every source was passed to [`Self::sees_source`] or every entry to [`Self::matches`].
    #[must_use]
    pub fn unmatched(&self, manifest: &Manifest) -> Option<SelectError> {
        let pattern = self.patterns.iter().find(|pattern| !pattern.used.load(Ordering::Relaxed))?;
        Some(SelectError {
            message: format!("--only `{}` matches no entry of `{}`", pattern.text, manifest.name()),
            hint: hint(manifest),
        })
    }
}

/// The command-line arguments that select one entry of a manifest, quoted for a shell.
#[must_use]
pub(crate) fn arguments_for(path: &str, manifest: &Path) -> String {
    // With a space, clap would take a value that begins with `-` for another flag.
    let gap = if path.starts_with('-') { '=' } else { ' ' };
    let only = format!("--only{gap}{}", shell_word(&globset::escape(path)));
    if manifest == Path::new("natsync.yaml") {
        return only;
    }
    format!("{only} {}", shell_word(&manifest.to_string_lossy()))
}

/// Quotes a text as one word for a POSIX shell.
#[must_use]
pub(crate) fn shell_word(text: &str) -> String {
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | '+' | ',' | '@');
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

impl Clone for Selection {
    fn clone(&self) -> Self {
        let patterns = self.patterns.iter().map(Pattern::unused).collect();
        Self { patterns, among: self.among.clone(), shard: self.shard }
    }
}

#[derive(Debug)]
struct Pattern {
    text: String,
    kind: Kind,
    used: AtomicBool,
}

#[derive(Clone, Debug)]
enum Kind {
    Tag(String),
    Source(String),
    Glob(GlobMatcher),
}

impl Pattern {
    fn parse(text: &str, manifest: &Manifest) -> Result<Self, SelectError> {
        let kind = if let Some(tag) = text.strip_prefix("tag:") {
            Kind::Tag(tag.to_owned())
        } else if manifest.sources().iter().any(|source| source.name == text) {
            Kind::Source(text.to_owned())
        } else {
            Kind::Glob(glob(text)?)
        };
        Ok(Self { text: text.to_owned(), kind, used: AtomicBool::new(false) })
    }

    fn unused(&self) -> Self {
        Self { text: self.text.clone(), kind: self.kind.clone(), used: AtomicBool::new(false) }
    }

    fn matches(&self, source: &Source, path: &str) -> bool {
        match &self.kind {
            Kind::Tag(tag) => source.tags.contains(tag),
            Kind::Source(name) => source.name == *name,
            Kind::Glob(glob) => glob.is_match(path),
        }
    }

    fn note(&self) {
        // Read first: stores by several threads to one cache line for each entry would be slow.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }
}

fn glob(text: &str) -> Result<GlobMatcher, SelectError> {
    let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| SelectError {
        message: format!("--only `{text}` is not a valid glob: {}", error.kind()),
        hint: "put a backslash before a character that is meant literally".to_owned(),
    })
}

/// Lists the sources that exist, at most 8.
fn hint(manifest: &Manifest) -> String {
    const SHOWN: usize = 8;
    let sources = manifest.sources();
    let names: Vec<_> =
        sources.iter().take(SHOWN).map(|source| format!("`{}`", source.name)).collect();
    let more = match sources.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (noun, verb) = if sources.len() == 1 { ("source", "is") } else { ("sources", "are") };
    format!(
        "the {noun} {verb} {}{more}; in a glob over paths, `*` does not match a slash and `**` does",
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::LoadOptions;

    #[test]
    fn arguments_are_quoted_for_a_shell() {
        let default = Path::new("natsync.yaml");
        assert_eq!(arguments_for("a/b-1.txt", default), "--only a/b-1.txt");
        assert_eq!(arguments_for("a b[1]*.txt", default), "--only 'a b[[]1[]][*].txt'");
        assert_eq!(arguments_for("-v.txt", default), "--only=-v.txt");
        assert_eq!(arguments_for("it's", default), r"--only 'it'\''s'");
        assert_eq!(arguments_for("a", Path::new("my m.yaml")), "--only a 'my m.yaml'");
        let glob = glob("a b[[]1[]][*].txt").unwrap();
        assert!(glob.is_match("a b[1]*.txt") && !glob.is_match("a b1x.txt"));
    }
    const YAML: &str = "version: 1
dest: out
name: many
sources:
  - name: small
    url: http://a.example/s/small-{n}.csv
    vars: {n: 1..2}
    tags: [quick, daily]
  - name: large
    url: http://a.example/l/large-{n}.csv
    vars: {n: 1..2}
";

    fn manifest(text: &str) -> Manifest {
        Manifest::parse(Path::new("m.yaml"), text, &LoadOptions::default()).unwrap()
    }

    fn chosen(patterns: &[&str]) -> (Vec<String>, Option<String>) {
        let manifest = manifest(YAML);
        let patterns: Vec<_> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let selection = Selection::new(&patterns, &manifest).unwrap();
        let mut paths = Vec::new();
        for entry in manifest.entries().iter() {
            let mut path = String::new();
            entry.write_path(&mut path);
            let whole = selection.sees_source(entry.source());
            let one = selection.matches(entry.source(), &path);
            assert!(whole.is_none_or(|whole| whole == one));
            if one {
                paths.push(path);
            }
        }
        (paths, selection.unmatched(&manifest).map(|error| error.to_string()))
    }

    #[test]
    fn without_patterns_every_entry_is_selected() {
        assert_eq!(chosen(&[]).0.len(), 4);
    }

    #[test]
    fn a_pattern_is_a_tag_a_source_or_a_glob() {
        let small = ["small-1.csv", "small-2.csv"];
        assert_eq!(chosen(&["tag:daily"]).0, small);
        assert_eq!(chosen(&["small"]).0, small);
        assert_eq!(chosen(&["small-*"]).0, small);
        assert_eq!(chosen(&["*-[2].csv"]).0, ["small-2.csv", "large-2.csv"]);
        assert_eq!(
            chosen(&["small", "large-1.csv"]),
            (vec![small[0].into(), small[1].into(), "large-1.csv".into()], None)
        );
        assert_eq!(chosen(&["small", "small-1*"]), (vec![small[0].into(), small[1].into()], None));
    }

    #[test]
    fn shards_divide_any_selection() {
        let text = "{version: 1, dest: d, name: m, sources: [{name: one, url: 'http://h/a/{n}.jpg', vars: {n: 1..60}}, {name: two, url: 'http://h/b/{n}.png', vars: {n: 1..60}, tags: [t]}]}";
        let manifest = manifest(text);
        for patterns in [vec![], vec!["one"], vec!["tag:t"], vec!["?.jpg", "two"], vec!["1*"]] {
            let patterns: Vec<_> = patterns.into_iter().map(str::to_owned).collect();
            let whole = Selection::new(&patterns, &manifest).unwrap();
            for total in [1, 2, 3, 5, 16, 1000] {
                let of = |number| Shard::new(number, total).unwrap();
                let shards: Vec<_> =
                    (1..=total).map(|number| whole.clone().of_shard(Some(of(number)))).collect();
                for entry in manifest.entries().iter() {
                    let path = entry.path();
                    let chosen = |selection: &Selection| {
                        let one = selection.matches(entry.source(), path.as_str());
                        let all = selection.sees_source(entry.source());
                        assert!(all.is_none_or(|all| all == one));
                        one
                    };
                    let count = shards.iter().filter(|selection| chosen(selection)).count();
                    assert_eq!(count, usize::from(chosen(&whole)), "{path} {total}");
                }
                assert!(shards.iter().all(|selection| selection.unmatched(&manifest).is_none()));
            }
        }
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_reported() {
        let (paths, error) = chosen(&["small", "smal"]);
        assert_eq!(paths.len(), 2);
        assert_eq!(error.unwrap(), "--only `smal` matches no entry of `many`");
        assert!(chosen(&["tag:weekly"]).1.is_some());
        assert!(chosen(&["**/*.zip"]).1.is_some());
    }

    #[test]
    fn a_star_does_not_match_a_slash() {
        let manifest = manifest(YAML);
        let source = &manifest.sources()[0];
        let matches = |pattern: &str, path| {
            Selection::new(&[pattern.to_owned()], &manifest).unwrap().matches(source, path)
        };
        assert!(!matches("*.csv", "2024/a.csv"));
        assert!(matches("**/*.csv", "2024/a.csv"));
        assert!(matches("**/*.csv", "a.csv"));
        assert!(matches(r"a\[1\].csv", "a[1].csv"));
    }

    #[test]
    fn a_broken_glob_is_a_usage_error() {
        let error = Selection::new(&["[a".to_owned()], &manifest(YAML)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--only `[a` is not a valid glob: unclosed character class; missing ']'"
        );
        assert_eq!(crate::ops::error::RunError::from(error).exit_status() as u8, 2);
    }
}
