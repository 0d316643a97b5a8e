//! Entries, made on demand from their index.
//!
//! An index is a position in the Cartesian product of a source's variables, counted through all
//! sources. Excluded combinations keep their index. So an exclusion does not change the index of
//! other entries, and any entry is computed by division, without the ones before it.

use std::ops::Range;

use crate::digest::Checksum;
pub use crate::manifest::template::Form;
use crate::manifest::template::{Effect, Template, UrlParts};
use crate::manifest::{
    File, Identity, IdentityKey, KeptUrl, Locations, Manifest, Override, Source, UrlDigest,
};
use crate::rel_path::RelPath;

/// The index of an entry in its manifest, from 0. Indices of excluded combinations are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u64);

/// All entries of a manifest. It holds references only: entries are made when they are requested.
#[derive(Clone, Copy, Debug)]
pub struct Entries<'m> {
    manifest: &'m Manifest,
    starts: &'m [u64],
}

/// One declared file. Its URL and path are rendered on demand.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'m> {
    manifest: &'m Manifest,
    source: &'m Source,
    source_index: usize,
    index: EntryIndex,
    position: u64,
}

impl Manifest {
    /// Its entries.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { manifest: self, starts: &self.starts }
    }
}

impl<'m> Entries<'m> {
    /// Exclusive upper bound of the indices. Constant time, unlike [`Self::count`].
    #[must_use]
    pub fn bound(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// The number of entries. It visits all of them if the manifest excludes or skips any.
    #[must_use]
    pub fn count(&self) -> u64 {
        let gaps = self.manifest.sources().iter().any(Source::has_gaps);
        if gaps { self.iter().count() as u64 } else { self.bound() }
    }

    /// The entry with that index; `None` if it is out of bounds, excluded or skipped.
    #[must_use]
    pub fn get(&self, index: EntryIndex) -> Option<Entry<'m>> {
        (index.0 < self.bound())
            .then(|| self.source_of(index))
            .and_then(|source| self.make(source, index))
    }

    /// All entries, in the order of their indices.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'m>> + use<'m> {
        self.within(0..self.bound())
    }

    /// The entries with indices in a range, in order.
    pub fn within(&self, range: Range<u64>) -> impl Iterator<Item = Entry<'m>> + use<'m> {
        let entries = *self;
        let sources = 0..entries.manifest.sources().len();
        sources.flat_map(move |source| {
            let own = entries.source_range(source);
            let chosen = own.start.max(range.start)..own.end.min(range.end);
            chosen.filter_map(move |index| entries.make(source, EntryIndex(index)))
        })
    }

    /// The indices of one source's entries. `source` is its position in the manifest.
    #[must_use]
    pub fn source_range(&self, source: usize) -> Range<u64> {
        self.starts[source]..self.starts[source + 1]
    }

    /// The position in the manifest of the source that an index belongs to.
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
    /// Its index in the manifest.
    #[must_use]
    pub fn index(&self) -> EntryIndex {
        self.index
    }

    /// Its position among the combinations of its source's variables, from 0.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The source that declares it.
    #[must_use]
    pub fn source(&self) -> &'m Source {
        self.source
    }

    /// The position of its source in the manifest.
    #[must_use]
    pub fn source_index(&self) -> usize {
        self.source_index
    }

    /// Its path below the destination.
    ///
    /// # Panics
    /// When the path is invalid, which [`Manifest::check`] would have reported.
    #[must_use]
    pub fn path(&self) -> RelPath {
        let mut path = String::new();
        self.write_path(&mut path);
        RelPath::parse(&path).expect("every path was checked before anything was done")
    }

    /// Appends its path. The text is not checked: see [`Manifest::check`].
    pub fn write_path(&self, into: &mut String) {
        let template = self.path_template();
        if template.needs_url() {
            let url = self.url(Form::Sent);
            self.render(template, Form::Sent, Some(&UrlParts::new(&url)), into);
        } else {
            self.render(template, Form::Sent, None, into);
        }
    }

    /// Its declared URL, on its own origin.
    #[must_use]
    pub fn url(&self, form: Form) -> String {
        // Longer than most URLs, so that the string is rarely reallocated.
        let mut url = String::with_capacity(96);
        self.write_url(form, &mut url);
        url
    }

    /// Appends its declared URL.
    pub fn write_url(&self, form: Form, into: &mut String) {
        self.render(self.url_template(0), form, None, into);
    }

    /// The URL that determines the source's own origin. Overrides are ignored.
    pub(crate) fn home_url(&self) -> String {
        let template = match &self.source.locations {
            Locations::Templates { url, .. } => url,
            Locations::Files(files) => &files[0].url,
        };
        let mut url = String::new();
        self.render(template, Form::Sent, None, &mut url);
        url
    }

    /// The number of names that it may have upstream: its URL and the alternates.
    #[must_use]
    pub fn names(&self) -> usize {
        match &self.source.locations {
            Locations::Templates { alternates, .. } => 1 + alternates.len(),
            Locations::Files(_) => 1,
        }
    }

    /// The number of places where it may be: its own origin and the mirrors.
    #[must_use]
    pub fn places(&self) -> usize {
        1 + self.source.mirrors.len()
    }

    /// The URL of one of its names at one of its places: name 0 is the declared URL, place 0 its
    /// own origin.
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

    /// The identity of its declared URL.
    #[must_use]
    pub(crate) fn identity(&self) -> Identity {
        Identity::new(self.url(Form::Identity))
    }

    /// The identity of one of its names at one of its places, as in [`Self::candidate`].
    #[must_use]
    pub(crate) fn identity_at(&self, name: usize, place: usize) -> Identity {
        Identity::new(self.candidate(name, place, Form::Identity))
    }

    /// The URL of one of its names at one of its places as a file with that key may keep it.
    #[must_use]
    pub(crate) fn kept_at(&self, name: usize, place: usize, key: &IdentityKey) -> KeptUrl {
        let shown = self.candidate(name, place, Form::Shown);
        key.keep(shown, &self.identity_at(name, place))
    }

    /// The identity of the checksum list for this entry, if the list is at a URL.
    #[must_use]
    pub(crate) fn list_identity(&self) -> Option<Identity> {
        self.list_url(Form::Identity).map(Identity::new)
    }

    /// A digest of all that it may be requested from, its checksum list included; none if the text
    /// of the manifest determines that.
    #[must_use]
    pub(crate) fn places_digest(&self, key: &IdentityKey) -> Option<UrlDigest> {
        let source = self.source;
        let list = source.published.as_ref().and_then(|published| published.place.template());
        let names = (0..self.names()).map(|name| self.url_template(name));
        if !names.chain(&source.mirrors).chain(list).any(Template::has_secrets) {
            return None;
        }
        let mut texts = self.list_url(Form::Identity).unwrap_or_default();
        for name in 0..self.names() {
            for place in 0..self.places() {
                texts.push('\n');
                texts.push_str(&self.candidate(name, place, Form::Identity));
            }
        }
        Some(key.digest(&texts))
    }

    /// The URL of the checksum list for this entry, if the list is at a URL.
    #[must_use]
    pub(crate) fn list_url(&self, form: Form) -> Option<String> {
        let template = self.source.published.as_ref()?.place.template()?;
        let url = self.url(form);
        let mut list = String::new();
        self.render(template, form, Some(&UrlParts::new(&url)), &mut list);
        Some(list)
    }

    /// Its length in bytes, if the manifest states it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.file().and_then(|file| file.size)
    }

    /// The digests that the manifest itself states, which may be none.
    #[must_use]
    pub fn checksums(&self) -> &'m [Checksum] {
        if let Some(other) = self.overriding(Effect::Pin) {
            return &other.checksums;
        }
        match self.file() {
            Some(file) => &file.checksums,
            None => &self.source.checksums,
        }
    }

    /// The names of its variables with their values, in the order of declaration.
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

    /// The template of its path: that of an override, of its item in `files`, or of the source.
    pub(crate) fn path_template(&self) -> &'m Template {
        let own = self.overriding(Effect::Path).and_then(|other| other.path.as_ref());
        own.or_else(|| self.file().and_then(|file| file.path.as_ref())).unwrap_or(&self.source.path)
    }

    pub(crate) fn url_template(&self, name: usize) -> &'m Template {
        if name == 0
            && let Some(url) = self.overriding(Effect::Url).and_then(|other| other.url.as_ref())
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

    /// The first override that matches it and has this effect.
    pub(crate) fn overriding(&self, effect: Effect) -> Option<&'m Override> {
        let rule = self.source.exceptions.first(&self.source.space, self.position, effect)?;
        self.source.overrides.get(rule.checked_sub(self.source.excludes)?)
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
        self.source.exceptions.first(&self.source.space, self.position, Effect::Skip).is_some()
    }

    #[expect(clippy::cast_possible_truncation, reason = "the files are in memory")]
    fn file_index(&self) -> usize {
        self.position as usize
    }
}
