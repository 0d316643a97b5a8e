//! Reads a manifest: the file becomes YAML nodes, and the nodes become a [`Manifest`] or a list of
//! everything that is wrong.
//!
//! `node` is the only file that uses the YAML library. `reader` holds what all other files share:
//! they add methods to [`Reader`], one group of keys in each file, and report problems through it.
//! Reading goes on after a problem, so that one run reports all independent problems. `recognise`
//! tells a manifest from other YAML.

mod checksums;
mod environment;
mod exceptions;
mod fields;
mod lists;
mod netrc;
mod node;
mod options;
mod policies;
mod reader;
#[cfg(feature = "cli")]
mod recognise;
mod rows;
pub(crate) mod scalars;
mod slips;
mod sources;
mod templates;
mod text;
mod transport;
mod values;

pub use options::LoadOptions;
#[cfg(feature = "cli")]
pub(crate) use recognise::is_manifest;
#[cfg(feature = "cli")]
pub(crate) use slips::range_in_brackets;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::manifest::http::Http;
use crate::manifest::problem::{Found, Problems, Span, Text};
use crate::manifest::secret::Hidden;
use crate::manifest::tables::{LIMITS, MANIFEST, MOST_ENTRIES, PRUNE};
use crate::manifest::types::{Manifest, Orphans, Source};
use fields::{Fields, nearest};
use node::{Kind, Node};
use reader::{LIMIT_HINT, Reader};
use text::{read_text, without_mark};

/// Default of `limits: {entries: ..}`.
const ENTRIES: u64 = 10_000_000;

impl Manifest {
    /// Reads a manifest file, and the files that it names.
    ///
    /// # Errors
    /// When the file cannot be read or is not a valid manifest. All problems that do not follow
    /// from another one are returned.
    pub fn load(file: &Path, options: &LoadOptions<'_>) -> Result<Self, Problems> {
        let manifest = Self::parse(file, &read_text(file)?, options)?;
        Ok(Self { is_loaded: file.is_file(), ..manifest })
    }

    /// Reads a manifest from its text. `file` is its path: relative paths in the text are resolved
    /// against its parent directory.
    ///
    /// ```
    /// use std::path::Path;
    /// use natsync::manifest::entry::Form;
    /// use natsync::{LoadOptions, Manifest};
    ///
    /// let text = "
    /// version: 1
    /// dest: mirror
    /// sources:
    ///   - url: https://example.org/{week:%m%d}-{n:02}.jpg
    ///     vars: {week: 2009-08-17..2009-08-31..7d, n: 1..26}
    /// ";
    /// let manifest = Manifest::parse(Path::new("a.yaml"), text, &LoadOptions::default())?;
    /// let entry = manifest.entries().iter().nth(27).unwrap();
    /// assert_eq!(entry.url(Form::Shown), "https://example.org/0824-02.jpg");
    /// assert_eq!(entry.path().as_str(), "0824-02.jpg");
    ///
    /// // Problems have a place and a hint.
    /// let text = "version: 1\nsource: []\n";
    /// let wrong = Manifest::parse(Path::new("a.yaml"), text, &LoadOptions::default());
    /// assert!(wrong.unwrap_err().to_string().contains("did you mean `sources`?"));
    /// # Ok::<(), natsync::manifest::Problems>(())
    /// ```
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn parse(file: &Path, text: &str, options: &LoadOptions<'_>) -> Result<Self, Problems> {
        let text = without_mark(text);
        let place = Text::new(file, text);
        let node = node::parse(&place)?;
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        let mut reader = Reader {
            text: place,
            folder,
            options,
            problems: Found::default(),
            limit: ENTRIES,
            beside: Vec::new(),
            hidden: Hidden::default(),
            dated: HashSet::new(),
            warnings: Found::default(),
        };
        let manifest = reader.manifest(&node);
        match manifest {
            Some(manifest) if reader.problems.is_empty() => Ok(manifest),
            _ => Err(reader.problems.into_problems(&reader.text)),
        }
    }
}

impl Reader<'_> {
    fn manifest(&mut self, node: &Node) -> Option<Manifest> {
        if matches!(node.kind, Kind::Empty) {
            self.problem(
                node.at,
                "the manifest is empty",
                Some("it needs `version: 1`, `dest` and `sources`".to_owned()),
            );
            return None;
        }
        let fields = Fields::open(self, node, MANIFEST, "the manifest")?;
        self.version(&fields);
        let name = self.manifest_name(&fields);
        self.limits(&fields);
        let dest = self.dest(&fields);
        let http =
            fields.get("http").map_or_else(Http::default, |node| self.http(node, &Http::default()));
        let orphans = fields.get("prune").map_or(Some(Orphans::Keep), |node| self.orphans(node));
        let max_delete = fields.get("max_delete").and_then(|node| self.quota(node, "max_delete"));
        let portable =
            fields.get("portable").map_or(Some(true), |node| self.flag(node, "portable"));
        let read = self.sources(&fields, name.as_deref().unwrap_or_default(), &http);
        let (sources, causes): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let starts = self.count(&sources, &causes);
        self.set_variables(&fields, &sources);
        let (dest, shown_dest) = dest?;
        Some(Manifest {
            name: name?,
            file: self.text.file.to_owned(),
            text: self.text.source.to_owned(),
            dest,
            shown_dest,
            sources,
            http,
            orphans: orphans?,
            max_delete,
            portable: portable?,
            today: self.options.today,
            is_part: !self.options.set.is_empty(),
            is_loaded: false,
            beside: std::mem::take(&mut self.beside),
            hidden: std::mem::take(&mut self.hidden),
            warnings: std::mem::take(&mut self.warnings).first(&self.text, 20),
            protected: Vec::new(),
            starts,
        })
    }

    fn version(&mut self, fields: &Fields<'_>) {
        match fields.get("version") {
            None => self.problem(
                Span { start: 0, end: 0 },
                "`version` is missing",
                Some("begin with `version: 1`".to_owned()),
            ),
            Some(node) => {
                let text = self.text(node, "version").map(str::to_owned);
                if let Some(text) = text
                    && text != "1"
                {
                    self.problem(
                        node.at,
                        format!("`version: {text}` is not known"),
                        Some("this natsync reads `version: 1`".to_owned()),
                    );
                }
            }
        }
    }

    fn manifest_name(&mut self, fields: &Fields<'_>) -> Option<String> {
        let Some(node) = fields.get("name") else {
            let stem = self.text.file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
            return Some(stem.unwrap_or_else(|| "natsync".to_owned()));
        };
        self.name(node, "name")
    }

    /// A name: not blank, and without control characters.
    pub(super) fn name(&mut self, node: &Node, what: &str) -> Option<String> {
        let text = self.text(node, what)?.to_owned();
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            self.problem(node.at, format!("`{what}` must be a word"), None);
            return None;
        }
        Some(text)
    }

    fn limits(&mut self, fields: &Fields<'_>) {
        let Some(node) = fields.get("limits") else {
            return;
        };
        let Some(fields) = Fields::open(self, node, LIMITS, "`limits`") else {
            return;
        };
        if let Some(node) = fields.get("entries")
            && let Some(limit) = self.number(node, "entries", 1, MOST_ENTRIES)
        {
            self.limit = limit;
        }
    }

    fn dest(&mut self, fields: &Fields<'_>) -> Option<(PathBuf, String)> {
        let declared = fields.get("dest").map(|node| (node, self.expand(node, "dest")));
        if let Some(dest) = self.options.dest {
            let shown = dest.display().to_string();
            let dest = match dest.to_str().filter(|text| text.starts_with("~/")) {
                Some(text) => self.below_home(fields.node.at, text)?,
                None => dest.to_owned(),
            };
            return Some((dest, shown));
        }
        let Some((node, expanded)) = declared else {
            self.problem(
                Span { start: 0, end: 0 },
                "`dest` is missing",
                Some("add `dest: DIRECTORY`, relative to the manifest".to_owned()),
            );
            return None;
        };
        let expanded = expanded?;
        let text = expanded.value.expose();
        if text.is_empty() || text.contains('\0') || text == "~" {
            self.problem(
                node.at,
                "`dest` is not a directory name",
                Some(
                    "`.` is the manifest's own folder, `~/NAME` is below the home directory"
                        .to_owned(),
                ),
            );
            return None;
        }
        let dest = self.path_of(node, text)?;
        // Show the path relative to the current directory, too, unless it has a value from the
        // environment or names the home directory.
        let shown = if text == expanded.shown && !text.starts_with("~/") {
            dest.display().to_string()
        } else {
            expanded.shown
        };
        Some((dest, shown))
    }

    fn orphans(&mut self, node: &Node) -> Option<Orphans> {
        Some(match self.word(node, "prune", PRUNE)? {
            "managed" => Orphans::Prune,
            _ => Orphans::Keep,
        })
    }

    /// The sources, each with the place of its longest variable.
    fn sources(&mut self, fields: &Fields<'_>, manifest: &str, http: &Http) -> Vec<(Source, Span)> {
        let Some(node) = fields.get("sources") else {
            self.problem(
                Span { start: 0, end: 0 },
                "`sources` is missing",
                Some("it is the list of sources whose files the destination holds".to_owned()),
            );
            return Vec::new();
        };
        let Kind::List(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`sources` must be a list, this is {}", node.describe()),
                Some("begin each source with `- `".to_owned()),
            );
            return Vec::new();
        };
        if items.is_empty() {
            self.problem(
                node.at,
                "`sources` is empty",
                Some("declare at least one source".to_owned()),
            );
        }
        let mut sources = Vec::new();
        let mut lines = HashMap::new();
        for (number, item) in items.iter().enumerate() {
            let default = if items.len() == 1 {
                manifest.to_owned()
            } else {
                format!("source-{}", number + 1)
            };
            let Some((source, cause)) = self.source(item, &default, http) else {
                continue;
            };
            if let Some(first) = lines.insert(source.name.clone(), source.line) {
                let message = format!("two sources are named `{}`", source.name);
                self.problem(item.at, message, Some(format!("another one is on line {first}")));
            }
            sources.push((source, cause));
        }
        sources
    }

    /// Each variable of `--set` must be declared by a source.
    fn set_variables(&mut self, fields: &Fields<'_>, sources: &[Source]) {
        let names = || {
            sources
                .iter()
                .flat_map(|source| source.space.variables())
                .map(|declared| declared.name.as_str())
        };
        // After a problem, the source that declares the variable may be missing from `sources`.
        if !self.problems.is_empty() {
            return;
        }
        let declared: HashSet<&str> = names().collect();
        for (name, _) in self.options.set {
            if !declared.contains(name.as_str()) {
                let hint = nearest(name, names()).map(|near| format!("did you mean `{near}`?"));
                let at = fields.item("sources").map_or(fields.node.at, |(key, _)| key.at);
                self.problem(
                    at,
                    format!("`--set {name}=..`: no source declares a variable `{name}`"),
                    hint,
                );
            }
        }
    }

    /// The index of each source's first entry, followed by the number of all entries. `causes` are
    /// the places of the longest variables.
    fn count(&mut self, sources: &[Source], causes: &[Span]) -> Vec<u64> {
        let mut starts = vec![0u64];
        for source in sources {
            let before = starts.last().copied().unwrap_or(0);
            starts.push(before.saturating_add(source.space.count()));
        }
        let total = starts.last().copied().unwrap_or(0);
        if self.limit < total {
            let largest = sources.iter().zip(causes).max_by_key(|(source, _)| source.space.count());
            let at = largest.map_or(Span { start: 0, end: 0 }, |(_, at)| *at);
            let message =
                format!("the manifest expands to {total} entries, more than {}", self.limit);
            self.problem(at, message, Some(LIMIT_HINT.to_owned()));
        }
        starts
    }
}
