//! The validated manifest and the types of its parts.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::expect::{Expect, MissingWhen};
use super::http::Http;
use super::netrc_file::Credentials;
use super::problem::{Problem, Span};
use super::secret::{Hidden, Secret};
use super::url::host_of;
use crate::digest::checksums::{List, Rules};
use crate::digest::{Checksum, Digest};
use crate::manifest::template::{Effect, Exceptions, Space, Template};

/// A valid manifest: one destination and at least one source.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(super) name: String,
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) dest: PathBuf,
    pub(super) shown_dest: String,
    pub(super) sources: Vec<Source>,
    pub(super) http: Http,
    pub(super) orphans: Orphans,
    pub(super) max_delete: Option<Quota>,
    pub(super) portable: bool,
    pub(crate) today: jiff::civil::Date,
    /// Variables were set from outside.
    pub(super) is_part: bool,
    /// The text is that of the file.
    pub(super) is_loaded: bool,
    /// The files that the manifest names for values, rows and digests.
    pub(super) beside: Vec<Input>,
    /// The values from the environment and of header fields.
    pub(super) hidden: Hidden,
    /// What is not wrong, but probably not intended.
    pub(super) warnings: Vec<Problem>,
    /// Files that no entry may have the path of, besides the manifest and its lock.
    pub(super) protected: Vec<PathBuf>,
    /// The index of each source's first entry; the last item is the number of all entries.
    pub(super) starts: Vec<u64>,
}

/// A file that a manifest was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The path by which it was opened.
    pub file: PathBuf,
    /// The digest of its content. For the manifest itself, a byte order mark is not included.
    pub sha256: Digest,
}

/// One URL template with its variables and policies, or a list of files.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, which `--only` accepts.
    pub name: String,
    /// The line of the manifest on which it begins, from 1.
    pub line: usize,
    /// What to do when a file is missing upstream.
    pub on_missing: OnMissing,
    /// With more missing entries than this, the source fails.
    pub max_missing: Option<Quota>,
    /// Which responses mean that a file is missing.
    pub missing_when: MissingWhen,
    /// TTL of a "missing" response: the file is not requested again before it has passed.
    pub missing_ttl: Duration,
    /// How long a file on disk counts as fresh, that is, needs no request.
    pub check: Check,
    /// What the content of each file must satisfy.
    pub expect: Expect,
    /// The names that `--only tag:NAME` accepts.
    pub tags: Vec<String>,
    /// Header fields that are sent to the source's own origin only, not to mirrors or other
    /// origins.
    pub headers: Vec<(String, Secret)>,
    /// The netrc file, if the source uses one.
    pub(crate) netrc: Option<Credentials>,
    /// The manifest's transport settings with those of the source applied over them.
    pub http: Http,
    /// The stated digests. Empty unless the source has exactly one file.
    pub(crate) checksums: Vec<Checksum>,
    /// Where the publisher's checksum list is.
    pub(crate) published: Option<Published>,
    pub(crate) space: Space,
    pub(crate) locations: Locations,
    pub(crate) path: Template,
    pub(crate) path_at: Span,
    pub(crate) mirrors: Vec<Template>,
    /// The conditions of `exclude`, followed by those of `overrides`.
    pub(crate) exceptions: Exceptions,
    /// The number of conditions of `exclude`.
    pub(crate) excludes: usize,
    pub(crate) overrides: Vec<Override>,
}

/// The URLs of a source's entries.
#[derive(Clone, Debug)]
pub(crate) enum Locations {
    /// One template for all entries. Alternates are other names of the same file at the same
    /// origin.
    Templates { url: Template, alternates: Vec<Template> },
    /// One URL for each entry.
    Files(Vec<File>),
}

/// One item of `files`.
#[derive(Clone, Debug)]
pub(crate) struct File {
    pub(crate) url: Template,
    pub(crate) path: Option<Template>,
    pub(crate) size: Option<u64>,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) at: Span,
}

/// Where a publisher lists the digests of a source's files.
#[derive(Clone, Debug)]
pub(crate) struct Published {
    pub(crate) place: ListPlace,
    pub(crate) rules: Rules,
    pub(crate) matching: Matching,
    /// If true, an entry that is not in the list has no pin; otherwise it fails.
    pub(crate) optional: bool,
}

/// How the names in a list are compared with an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Matching {
    /// By the path relative to the list. A base name counts only if the list has no folders and no
    /// other entry of the list has the same base name.
    #[default]
    Relative,
    /// By the path below the destination.
    Path,
    /// By the whole path, and if the list lacks it by the base name in any folder.
    Name,
}

impl Matching {
    pub(crate) fn named(word: &str) -> Option<Self> {
        match word {
            "relative" => Some(Self::Relative),
            "path" => Some(Self::Path),
            "name" => Some(Self::Name),
            _ => None,
        }
    }
}

/// Where a checksum list is.
#[derive(Clone, Debug)]
pub(crate) enum ListPlace {
    /// In a local file, which was read together with the manifest.
    File { path: PathBuf, list: Arc<List> },
    /// At one URL for all entries.
    Url(Template),
    /// At a URL of its own for each entry.
    Sidecar(Template),
}

impl ListPlace {
    /// The template of its URL; `None` for a local file.
    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Self::File { .. } => None,
            Self::Url(template) | Self::Sidecar(template) => Some(template),
        }
    }
}

/// An exception for the entries that its rule matches.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) url: Option<Template>,
    pub(crate) path: Option<Template>,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) at: Span,
}

/// What to do when a file is missing upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The entry fails.
    #[default]
    Fail,
    /// The entry counts as absent, and the run can succeed. A local file is kept.
    Skip,
    /// The entry counts as absent, and a local file that natsync wrote for it is deleted.
    Prune,
}

/// A limit on a number of files.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quota {
    /// An absolute number of files.
    Count(u64),
    /// A percentage, from 0 to 100.
    Percent(f64),
}

impl Quota {
    /// The limit for that many files.
    #[must_use]
    pub(crate) fn of(self, files: u64) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            clippy::cast_sign_loss,
            reason = "a share of a count is a count"
        )]
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => (files as f64 * percent / 100.0).floor() as u64,
        }
    }
}

/// How long a file without a pin counts as fresh, that is, needs no request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Never fresh: each run makes a conditional request.
    #[default]
    Always,
    /// Always fresh: a file that is there is not requested again.
    Never,
    /// Fresh for this long after the last download or confirmation.
    Age(Duration),
}

/// What to do with files that the manifest no longer declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// Keep and report them.
    #[default]
    Keep,
    /// Delete those that natsync wrote, unless they were changed since.
    Prune,
}

impl Manifest {
    /// Its name: that of the key `name`, else the stem of the file name. The state stores files
    /// under it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The path of the manifest file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The files that were read: the manifest first, then those that it names for values, rows and
    /// digests, with the digests that they had then. A netrc file is left out, because it holds
    /// passwords.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        let own = Input { file: self.file.clone(), sha256: Digest::of(self.text.as_bytes()) };
        std::iter::once(own).chain(self.beside.iter().cloned()).collect()
    }

    /// Whether the text came from the file at [`Self::file`], rather than from a pipe or from the
    /// caller.
    #[must_use]
    pub(crate) fn is_loaded(&self) -> bool {
        self.is_loaded
    }

    /// Whether variables were set from outside (`--set`), so that it probably declares only a part
    /// of its files.
    #[must_use]
    pub(crate) fn is_part(&self) -> bool {
        self.is_part
    }

    /// A text from outside with placeholders for the values that must not be printed: a server may
    /// send back what it was sent.
    #[must_use]
    pub(crate) fn hide(&self, text: &str) -> Option<String> {
        self.hidden.hide(text)
    }

    /// The destination directory.
    #[must_use]
    pub fn dest(&self) -> &Path {
        &self.dest
    }

    /// The destination as it may be printed: values from the environment are shown as `${NAME}`.
    #[must_use]
    pub fn shown_dest(&self) -> &str {
        &self.shown_dest
    }

    /// Its sources, in the order of the manifest.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// The transport settings of the top level. [`Source::http`] has those of a source.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// What to do with files that it no longer declares.
    #[must_use]
    pub fn orphans(&self) -> Orphans {
        self.orphans
    }

    /// How many files a run may delete. `None` stands for the default.
    #[must_use]
    pub fn max_delete(&self) -> Option<Quota> {
        self.max_delete
    }

    /// The netrc files that are readable by users other than their owner, sorted, without
    /// duplicates.
    #[must_use]
    pub fn open_netrcs(&self) -> Vec<&Path> {
        let mut files: Vec<_> = self
            .sources
            .iter()
            .filter_map(|source| source.netrc.as_ref())
            .filter(|credentials| credentials.is_open)
            .map(|credentials| credentials.file.as_path())
            .collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// What is not wrong, but probably not intended: a condition that matches no entry. At most 20,
    /// sorted by place.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// Makes it an error of [`Manifest::check`] if an entry has the path of one of these files:
    /// other manifests that are read in the same run, and their locks.
    pub(crate) fn protect(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.protected.extend(files);
    }

    /// Whether paths that some operating system forbids, or does not distinguish, are errors.
    #[must_use]
    pub fn portable(&self) -> bool {
        self.portable
    }
}

impl Source {
    /// The host of all its entries, as it may be printed; `None` if entries may have different
    /// hosts.
    pub(crate) fn host(&self) -> Option<String> {
        let Locations::Templates { url, .. } = &self.locations else { return None };
        if self.exceptions.has(Effect::Url) {
            return None;
        }
        host_of(url.shown_start()).map(str::to_owned)
    }

    /// Whether the manifest states the size of at least one of its files.
    #[must_use]
    pub fn has_sizes(&self) -> bool {
        match &self.locations {
            Locations::Templates { .. } => false,
            Locations::Files(files) => files.iter().any(|file| file.size.is_some()),
        }
    }

    /// Whether excludes or overrides can leave out entries.
    pub(crate) fn has_gaps(&self) -> bool {
        self.exceptions.has(Effect::Skip)
    }
}
