//! The validated manifest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::expect::{Expect, MissingWhen};
use super::http::Http;
use super::netrc_file::Credentials;
use super::problem::Span;
use super::secret::Secret;
use super::url::host_of;
use crate::digest::checksums::{List, Rules};
use crate::digest::{Checksum, Digest};
use crate::manifest::template::{Matcher, Space, Template};

/// A manifest that was read and found valid: one destination, one or more sources.
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
    /// What was read beside it.
    pub(super) beside: Vec<Input>,
    /// The index of each source's first entry, and at the end the number of all.
    pub(super) starts: Vec<u64>,
}

/// A file that a manifest was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Where it is.
    pub file: PathBuf,
    /// The digest of what was read, without a byte order mark.
    pub sha256: Digest,
}

/// What is declared together: one URL template with its variables and policies, or a list of files.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, by which `--only` chooses it.
    pub name: String,
    /// The line of the manifest that it begins on, from 1.
    pub line: usize,
    /// What a missing file means.
    pub on_missing: OnMissing,
    /// More missing entries than this, and the source failed.
    pub max_missing: Option<Quota>,
    /// What counts as missing.
    pub missing_when: MissingWhen,
    /// How long a missing file is not asked for again.
    pub missing_ttl: Duration,
    /// How long a file on disk counts as fresh.
    pub check: Check,
    /// What the content must be like.
    pub expect: Expect,
    /// Words that `--only tag:NAME` chooses by.
    pub tags: Vec<String>,
    /// Header fields for the source's own origin alone.
    pub headers: Vec<(String, Secret)>,
    /// The netrc file with its users and passwords.
    pub(crate) netrc: Option<Credentials>,
    /// Transport settings.
    pub http: Http,
    /// The digests of the only file of a source with one.
    pub(crate) checksums: Vec<Checksum>,
    /// Where the publisher lists digests.
    pub(crate) published: Option<Published>,
    pub(crate) space: Space,
    pub(crate) locations: Locations,
    pub(crate) path: Template,
    pub(crate) path_at: Span,
    pub(crate) mirrors: Vec<Template>,
    pub(crate) excludes: Vec<Matcher>,
    pub(crate) overrides: Vec<Override>,
}

/// Where a source's entries are.
#[derive(Clone, Debug)]
pub(crate) enum Locations {
    /// One template for all, and other names of the same.
    Templates { url: Template, url_at: Span, alternates: Vec<Template> },
    /// One by one.
    Files(Vec<File>),
}

/// One file of a list.
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
    /// Whether an entry may be missing in the list.
    pub(crate) optional: bool,
}

/// Where a checksum list is.
#[derive(Clone, Debug)]
pub(crate) enum ListPlace {
    /// In a file beside the manifest, which was read with it.
    File { folder: PathBuf, list: Arc<List> },
    /// At a URL.
    Url(Template),
    /// At a URL for each entry.
    Sidecar(Template),
}

impl ListPlace {
    /// The template of its URL, where it has one.
    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Self::File { .. } => None,
            Self::Url(template) | Self::Sidecar(template) => Some(template),
        }
    }
}

/// Single entries that differ.
#[derive(Clone, Debug)]
pub(crate) struct Override {
    pub(crate) when: Matcher,
    pub(crate) url: Option<Template>,
    pub(crate) path: Option<Template>,
    pub(crate) checksums: Vec<Checksum>,
    pub(crate) skip: bool,
    pub(crate) at: Span,
}

/// What a missing file means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// The entry failed.
    #[default]
    Fail,
    /// The entry is absent, and the run succeeds. What is here stays.
    Skip,
    /// The entry is absent, and what natsync wrote for it is deleted.
    Prune,
}

/// How many missing entries are allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quota {
    /// So many.
    Count(u64),
    /// So many in a hundred of the source's entries.
    Percent(f64),
}

/// How long a file without a pin counts as fresh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// Not at all: each run asks.
    #[default]
    Always,
    /// For ever.
    Never,
    /// So long after it was last confirmed.
    Age(Duration),
}

/// What becomes of files that the manifest no longer declares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// They stay, and are reported.
    #[default]
    Keep,
    /// Those that natsync wrote go, if they are still what it wrote.
    Prune,
}

impl Manifest {
    /// Its name; the state knows its files by it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file it was read from.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The files that it was made from: its own first, then those that it names for values, rows and
    /// digests, as they were when they were read. A netrc file, which holds passwords, is not among them.
    #[must_use]
    pub fn inputs(&self) -> Vec<Input> {
        let own = Input { file: self.file.clone(), sha256: Digest::of(self.text.as_bytes()) };
        std::iter::once(own).chain(self.beside.iter().cloned()).collect()
    }

    /// The destination directory.
    #[must_use]
    pub fn dest(&self) -> &Path {
        &self.dest
    }

    /// The destination as it may be printed: what came from the environment stands as `${NAME}`.
    #[must_use]
    pub fn shown_dest(&self) -> &str {
        &self.shown_dest
    }

    /// Its sources, in order.
    #[must_use]
    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Transport settings for all sources.
    #[must_use]
    pub fn http(&self) -> &Http {
        &self.http
    }

    /// What becomes of files that it no longer declares.
    #[must_use]
    pub fn orphans(&self) -> Orphans {
        self.orphans
    }

    /// How many files a run may delete; none for the default.
    #[must_use]
    pub fn max_delete(&self) -> Option<Quota> {
        self.max_delete
    }

    /// The netrc files that others than their owner can read, each once.
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

    /// Whether names that not every system tells apart are errors.
    #[must_use]
    pub fn portable(&self) -> bool {
        self.portable
    }
}

impl Source {
    /// The host of all its entries, as it may be printed; none where they may differ.
    pub(crate) fn host(&self) -> Option<String> {
        let Locations::Templates { url, .. } = &self.locations else { return None };
        if self.overrides.iter().any(|other| other.url.is_some()) {
            return None;
        }
        host_of(url.shown_start()).map(str::to_owned)
    }

    /// Whether the manifest knows the size of some of its files.
    #[must_use]
    pub fn has_sizes(&self) -> bool {
        match &self.locations {
            Locations::Templates { .. } => false,
            Locations::Files(files) => files.iter().any(|file| file.size.is_some()),
        }
    }

    /// Whether anything is excluded or skipped.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.excludes.is_empty() || self.overrides.iter().any(|other| other.skip)
    }
}
