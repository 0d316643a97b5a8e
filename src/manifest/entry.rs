//! Entries, made on demand from their index.
//!
//! An index is a position in the product of the source's variables, counted over all sources, with
//! excluded combinations included: so an exclusion changes no other entry's number, and any entry can
//! be made by division, without the ones before it.

use std::ops::Range;

use crate::digest::Checksum;
pub use crate::manifest::template::Form;
use crate::manifest::template::{Template, UrlParts};
use crate::manifest::{File, Locations, Manifest, Override, Source};
use crate::rel_path::RelPath;

/// The number of an entry in its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u64);

/// All entries of a manifest.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'m> {
    manifest: &'m Manifest,
    starts: &'m [u64],
}

/// One declared file.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'m> {
    manifest: &'m Manifest,
    source: &'m Source,
    source_index: usize,
    index: EntryIndex,
    position: u64,
}

impl Manifest {
    /// Its entries, made on demand.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { manifest: self, starts: &self.starts }
    }
}

impl<'m> Entries<'m> {
    /// Every index is below this.
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        let gaps = self.manifest.sources().iter().any(Source::has_gaps);
        if gaps { self.iter().count() as u64 } else { self.bound() }
    }

    /// The entry with that number; none where the combination is excluded or skipped.
    #[must_use]
    pub fn get(&self, index: EntryIndex) -> Option<Entry<'m>> {
        (index.0 < self.bound())
            .then(|| self.source_of(index))
            .and_then(|source| self.make(source, index))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'m>> + use<'m> {
        self.within(0..self.bound())
    }

    /// Those with numbers in a range, in order.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Entry<'m>> + use<'m> {
        let entries = *self;
        let sources = 0..entries.manifest.sources().len();
        sources.flat_map(move |source| {
            let own = entries.source_range(source);
            let chosen = own.start.max(range.start)..own.end.min(range.end);
            chosen.filter_map(move |index| entries.make(source, EntryIndex(index)))
        })
    }

    /// The numbers of one source's entries.
    #[must_use]
    pub fn source_range(&self, source: usize) -> Range<u64> {
        self.starts[source]..self.starts[source + 1]
    }

    /// Which source an entry belongs to.
    #[must_use]
    pub fn source_of(&self, index: EntryIndex) -> usize {
        self.starts
            .partition_point(|&start| start <= index.0)
            .saturating_sub(1)
            .min(self.manifest.sources().len() - 1)
    }

    fn make(&self, source_index: usize, index: EntryIndex) -> Option<Entry<'m>> {
        let source = &self.manifest.sources()[source_index];
        let position = index.0 - self.starts[source_index];
        let entry = Entry { manifest: self.manifest, source, source_index, index, position };
        (!source.has_gaps() || !entry.is_left_out()).then_some(entry)
    }
}

impl<'m> Entry<'m> {
    /// Its number.
    #[must_use]
    pub fn index(&self) -> EntryIndex {
        self.index
    }

    /// Its place among the combinations of its source's variables, from 0.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Its source.
    #[must_use]
    pub fn source(&self) -> &'m Source {
        self.source
    }

    /// The position of its source in the manifest.
    #[must_use]
    pub fn source_index(&self) -> usize {
        self.source_index
    }

    /// Where it goes below the destination.
    ///
    /// # Panics
    /// When the manifest was not checked, and the path is none.
    #[must_use]
    pub fn path(&self) -> RelPath {
        let mut path = String::new();
        self.write_path(&mut path);
        RelPath::parse(&path).expect("every path was checked before anything was done")
    }

    /// Appends its path.
    pub fn write_path(&self, into: &mut String) {
        let template = self.path_template();
        if template.needs_url() {
            let url = self.url(Form::Sent);
            self.render(template, Form::Sent, Some(&UrlParts::new(&url)), into);
        } else {
            self.render(template, Form::Sent, None, into);
        }
    }

    /// Its declared URL.
    #[must_use]
    pub fn url(&self, form: Form) -> String {
        // As long as most: what grows is copied several times.
        let mut url = String::with_capacity(96);
        self.write_url(form, &mut url);
        url
    }

    /// Appends its declared URL.
    pub fn write_url(&self, form: Form, into: &mut String) {
        self.render(self.url_template(0), form, None, into);
    }

    /// The URL that says what its source's own origin is, whatever an override says.
    pub(crate) fn home_url(&self) -> String {
        let template = match &self.source.locations {
            Locations::Templates { url, .. } => url,
            Locations::Files(files) => &files[0].url,
        };
        let mut url = String::new();
        self.render(template, Form::Sent, None, &mut url);
        url
    }

    /// How many names it may have upstream: its URL, then its alternates.
    #[must_use]
    pub fn names(&self) -> usize {
        match &self.source.locations {
            Locations::Templates { alternates, .. } => 1 + alternates.len(),
            Locations::Files(_) => 1,
        }
    }

    /// How many places it may be at: its own origin, then its mirrors.
    #[must_use]
    pub fn places(&self) -> usize {
        1 + self.source.mirrors.len()
    }

    /// The URL of one of its names at one of its places.
    #[must_use]
    pub fn candidate(&self, name: usize, place: usize, form: Form) -> String {
        let mut url = String::new();
        self.render(self.url_template(name), form, None, &mut url);
        let Some(mirror) = place.checked_sub(1).and_then(|mirror| self.source.mirrors.get(mirror))
        else {
            return url;
        };
        let mut mirrored = String::new();
        self.render(mirror, form, Some(&UrlParts::new(&url)), &mut mirrored);
        mirrored
    }

    /// The URL of the checksum list that names it, where that is at one.
    #[must_use]
    pub(crate) fn list_url(&self, form: Form) -> Option<String> {
        let template = self.source.published.as_ref()?.place.template()?;
        let url = self.url(form);
        let mut list = String::new();
        self.render(template, form, Some(&UrlParts::new(&url)), &mut list);
        Some(list)
    }

    /// Its length in bytes, where the manifest says it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.file().and_then(|file| file.size)
    }

    /// The digests that the manifest states.
    #[must_use]
    pub fn checksums(&self) -> &'m [Checksum] {
        if self.source.overrides.iter().any(|other| !other.checksums.is_empty())
            && let Some(other) = self.overriding().find(|other| !other.checksums.is_empty())
        {
            return &other.checksums;
        }
        match self.file() {
            Some(file) => &file.checksums,
            None => &self.source.checksums,
        }
    }

    /// Its variables and their values.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'m str, String)> {
        let space = &self.source.space;
        let value = |variable| {
            let mut text = String::new();
            space.value(variable, self.position).write(&mut text);
            text
        };
        space
            .variables()
            .iter()
            .enumerate()
            .map(|(variable, declared)| (declared.name.as_str(), value(variable)))
            .collect()
    }

    /// The path as a template, for what is wrong with it.
    pub(crate) fn path_template(&self) -> &'m Template {
        let own = self.overriding().find_map(|other| other.path.as_ref());
        own.or_else(|| self.file().and_then(|file| file.path.as_ref())).unwrap_or(&self.source.path)
    }

    pub(crate) fn url_template(&self, name: usize) -> &'m Template {
        if name == 0
            && let Some(url) = self.overriding().find_map(|other| other.url.as_ref())
        {
            return url;
        }
        match &self.source.locations {
            Locations::Files(files) => &files[self.file_index()].url,
            Locations::Templates { url, alternates, .. } => {
                name.checked_sub(1).and_then(|name| alternates.get(name)).unwrap_or(url)
            }
        }
    }

    pub(crate) fn file(&self) -> Option<&'m File> {
        match &self.source.locations {
            Locations::Files(files) => files.get(self.file_index()),
            Locations::Templates { .. } => None,
        }
    }

    /// The overrides that are about it.
    pub(crate) fn overriding(&self) -> impl Iterator<Item = &'m Override> {
        self.source
            .overrides
            .iter()
            .filter(|other| other.when.matches(&self.source.space, self.position))
    }

    pub(crate) fn render(
        &self,
        template: &Template,
        form: Form,
        url: Option<&UrlParts<'_>>,
        into: &mut String,
    ) {
        template.render(&self.source.space, self.position, form, url, self.manifest.today, into);
    }

    fn is_left_out(&self) -> bool {
        self.source.excludes.iter().any(|rule| rule.matches(&self.source.space, self.position))
            || self.overriding().any(|other| other.skip)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the files are in memory")]
    fn file_index(&self) -> usize {
        self.position as usize
    }
}
