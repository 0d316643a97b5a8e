//! Sources: their locations, paths and overrides. Policies are read in `policies`.

use super::fields::Fields;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::templates::{Uses, default_path};
use super::values::Declared;
use crate::manifest::entry::Form;
use crate::manifest::expect::{Expect, MissingWhen};
use crate::manifest::http::Http;
use crate::manifest::problem::Span;
use crate::manifest::tables::{FILE, SOURCE};
use crate::manifest::template::{Space, Template, UrlParts, Use};
use crate::manifest::types::{Check, File, Locations, OnMissing, Source};
use crate::manifest::url::check_url;

impl Reader<'_> {
    /// Reads a source. Also returns the place of its longest variable.
    pub(super) fn source(
        &mut self,
        node: &Node,
        default_name: &str,
        general: &Http,
    ) -> Option<(Source, Span)> {
        let name = match &node.kind {
            Kind::Mapping(items) => {
                items.iter().find(|(key, _)| key.name == "name").and_then(|(_, value)| value.text())
            }
            _ => None,
        };
        let name = name.unwrap_or(default_name).to_owned();
        let place = format!("source `{name}`");
        let fields = Fields::open(self, node, SOURCE, &place)?;
        if let Some(node) = fields.get("name") {
            self.name(node, "name")?;
        }
        let on_missing =
            fields.get("on_missing").map_or(Some(OnMissing::Fail), |node| self.on_missing(node));
        let max_missing =
            fields.get("max_missing").and_then(|node| self.quota(node, "max_missing"));
        let missing_when = fields
            .get("missing_when")
            .map_or_else(MissingWhen::default, |node| self.missing_when(node));
        let missing_ttl =
            fields.get("missing_ttl").and_then(|node| self.duration(node, "missing_ttl"));
        let check = fields.get("check").map_or(Some(Check::Always), |node| self.check(node));
        let expect = fields.get("expect").map_or_else(Expect::default, |node| self.expect(node));
        let tags = fields.get("tags").map(|node| self.words(node, "tags")).unwrap_or_default();
        let headers = fields.get("headers").map(|node| self.headers(node)).unwrap_or_default();
        let netrc = fields.get("netrc").and_then(|node| self.netrc(node));
        let http =
            fields.get("http").map_or_else(|| general.clone(), |node| self.http(node, general));
        if max_missing.is_some() && on_missing == Some(OnMissing::Fail) {
            let at = fields.item("max_missing").map_or(node.at, |(key, _)| key.at);
            self.problem(
                at,
                "`max_missing` has no meaning while every missing file fails",
                Some("add `on_missing: skip`".to_owned()),
            );
        }
        self.dated.clear();
        for key in ["url", "alternates", "mirrors", "path", "checksums", "overrides"] {
            if let Some(node) = fields.get(key) {
                Self::dated(node, &mut self.dated);
            }
        }
        let mut uses = self.declared(&fields, &name)?;
        let mut checked = Vec::new();
        let locations = self.locations(&fields, &place, &mut uses, &mut checked);
        let mirrors = self.templates(&fields, "mirrors", Use::Mirror, &mut uses);
        let path = match fields.get("path") {
            Some(node) => self.template(node, "path", Use::Path, &mut uses),
            None => Some(default_path()),
        };
        let published = match fields.get("checksums") {
            Some(node) => self.published(node, &mut uses).map(Some),
            None => Some(None),
        };
        let mut conditions = Vec::new();
        let excludes = self.excludes(&fields, &mut uses, &mut conditions);
        let excluded = conditions.len();
        let overrides = self.overrides(&fields, &mut uses, &mut conditions);
        let exceptions = self.exceptions(&fields, &uses, &conditions);
        let (locations, mirrors, path) = (locations?, mirrors?, path?);
        let (mirrors, mirrors_at): (Vec<_>, Vec<_>) = mirrors.into_iter().unzip();
        self.unused(&uses);
        let checksums = self.checksums(&fields);
        if let Some((key, _)) = self.stated(&fields)
            && (uses.declared.space.count() != 1 || fields.get("files").is_some())
        {
            let message = format!("`{}` is for a source of one file", key.name);
            let hint =
                "state it for one of `files`, in `overrides`, or name a list with `checksums`";
            self.problem(key.at, message, Some(hint.to_owned()));
        }
        let path_at = fields
            .get("path")
            .or_else(|| fields.get("url"))
            .or_else(|| fields.get("files"))
            .map_or(node.at, |node| node.at);
        let source = Source {
            name,
            line: self.text.line_of(node.at.start),
            on_missing: on_missing?,
            max_missing,
            missing_when,
            missing_ttl: missing_ttl.unwrap_or_default(),
            check: check?,
            expect,
            tags,
            headers,
            netrc,
            http,
            checksums,
            published: published?,
            space: uses.declared.space,
            locations,
            path,
            path_at,
            mirrors,
            exceptions: exceptions?,
            excludes: excludes.map(|()| excluded)?,
            overrides: overrides?,
        };
        let cause = uses.declared.cause;
        let is_right = self.first_entry(&source, &checked);
        let is_right = self.first_mirrors(&source, &mirrors_at, &fields) && is_right;
        is_right.then_some((source, cause))
    }

    /// The variables of a source. A list of files has none: its only dimension is the list itself.
    fn declared(&mut self, fields: &Fields<'_>, name: &str) -> Option<Uses> {
        let Some(files) = fields.get("files") else {
            let declared = self.space(fields, name)?;
            return Some(Uses::new(declared, self.options.today));
        };
        for key in ["url", "alternates", "vars", "rows", "combine", "exclude", "overrides"] {
            if let Some((key, _)) = fields.item(key) {
                let message = format!("`{}` does not go with `files`", key.name);
                self.problem(key.at, message, Some("put it into a source of its own".to_owned()));
            }
        }
        let Kind::List(items) = &files.kind else {
            self.problem(
                files.at,
                format!("`files` must be a list, this is {}", files.describe()),
                None,
            );
            return None;
        };
        if items.is_empty() {
            self.problem(files.at, "`files` is empty", None);
            return None;
        }
        let space = Space::new(Vec::new(), &[items.len() as u64])?;
        let declared = Declared { space, places: Vec::new(), cause: files.at };
        Some(Uses::new(declared, self.options.today))
    }

    /// Reads the URLs. `checked` gets the place of each template of [`Self::first_entry`].
    fn locations(
        &mut self,
        fields: &Fields<'_>,
        place: &str,
        uses: &mut Uses,
        checked: &mut Vec<Span>,
    ) -> Option<Locations> {
        if let Some(node) = fields.get("files") {
            let Kind::List(items) = &node.kind else {
                return None;
            };
            checked.extend(items.iter().map(|item| item.at));
            let files: Vec<_> = items.iter().map(|item| self.file(item, uses)).collect();
            return files.into_iter().collect::<Option<_>>().map(Locations::Files);
        }
        let alternates = self.templates(fields, "alternates", Use::Url, uses);
        let Some(node) = fields.get("url") else {
            self.problem(
                fields.node.at,
                format!("{place} has no `url`"),
                Some("add `url: TEMPLATE`, or `files`".to_owned()),
            );
            return None;
        };
        let url = self.template(node, "url", Use::Url, uses)?;
        let (alternates, places): (Vec<_>, Vec<_>) = alternates?.into_iter().unzip();
        checked.push(node.at);
        checked.extend(places);
        Some(Locations::Templates { url, alternates })
    }

    fn file(&mut self, node: &Node, uses: &mut Uses) -> Option<File> {
        let fields = Fields::open(self, node, FILE, "a file")?;
        let path = match fields.get("path") {
            Some(node) => Some(self.template(node, "path", Use::Path, uses)?),
            None => None,
        };
        let size = match fields.get("size") {
            Some(node) => Some(self.size(node, "size")?),
            None => None,
        };
        let Some(url) = fields.get("url") else {
            self.problem(node.at, "this file has no `url`", None);
            return None;
        };
        let checksums = self.checksums(&fields);
        let url = self.template(url, "url", Use::Url, uses)?;
        Some(File { url, path, size, checksums, at: node.at })
    }

    /// Checks the URLs of the first entry, or of all items of `files`: most mistakes in a template
    /// show in every entry, and here the problem has its place in the template. `places` has the
    /// place of each.
    fn first_entry(&mut self, source: &Source, places: &[Span]) -> bool {
        let before = self.problems.len();
        let files: Vec<(&Template, u64)> = match &source.locations {
            Locations::Templates { url, alternates } => {
                std::iter::once(url).chain(alternates).map(|url| (url, 0)).collect()
            }
            Locations::Files(files) => {
                files.iter().zip(0..).map(|(file, position)| (&file.url, position)).collect()
            }
        };
        for ((url, position), at) in files.into_iter().zip(places) {
            let render = |form| {
                let mut text = String::new();
                url.render(&source.space, position, form, None, self.options.today, &mut text);
                text
            };
            let (sent, shown) = (render(Form::Sent), render(Form::Shown));
            if !self.is_url(&sent, *at, "this") {
                continue;
            }
            let own = match &source.locations {
                Locations::Files(files) => files
                    .get(usize::try_from(position).unwrap_or(0))
                    .and_then(|file| file.path.as_ref()),
                Locations::Templates { .. } => None,
            };
            let path = own.unwrap_or(&source.path);
            let write = |url: &str| {
                let mut text = String::new();
                path.render(
                    &source.space,
                    position,
                    Form::Sent,
                    Some(&UrlParts::new(url)),
                    self.options.today,
                    &mut text,
                );
                text
            };
            if url.has_secrets() && path.needs_url() && write(&sent) != write(&shown) {
                let message = "the path would contain a value from the environment, or a password";
                self.problem(
                    source.path_at,
                    message,
                    Some("set `path` without the parts of the URL that are secret".to_owned()),
                );
            }
        }
        before == self.problems.len()
    }

    /// Checks the mirrors and the checksum list of the first entry. `places` has the place of each
    /// mirror.
    fn first_mirrors(&mut self, source: &Source, places: &[Span], fields: &Fields<'_>) -> bool {
        let before = self.problems.len();
        let url = match &source.locations {
            Locations::Templates { url, .. } => url,
            Locations::Files(files) => &files[0].url,
        };
        let render = |template: &Template, url: Option<&UrlParts<'_>>| {
            let mut text = String::new();
            template.render(&source.space, 0, Form::Sent, url, self.options.today, &mut text);
            text
        };
        let url = render(url, None);
        let parts = UrlParts::new(&url);
        let mirrors: Vec<_> =
            source.mirrors.iter().map(|mirror| render(mirror, Some(&parts))).collect();
        let list = source.published.as_ref().and_then(|published| published.place.template());
        let list = list.map(|list| render(list, Some(&parts)));
        for (mirror, at) in mirrors.iter().zip(places) {
            self.is_url(mirror, *at, "a mirror");
        }
        if let (Some(list), Some(node)) = (list, fields.get("checksums")) {
            let at = match &node.kind {
                Kind::Mapping(items) => {
                    let place =
                        items.iter().find(|(key, _)| key.name == "url" || key.name == "sidecar");
                    place.map_or(node.at, |(_, value)| value.at)
                }
                _ => node.at,
            };
            self.is_url(&list, at, "the checksum list");
        }
        before == self.problems.len()
    }

    fn is_url(&mut self, url: &str, at: Span, what: &str) -> bool {
        let checked = check_url(url);
        if let Err(why) = &checked {
            self.problem(
                at,
                format!("{what} is not a URL that can be requested: {why}"),
                Some("it begins with `http://` or `https://` and a host".to_owned()),
            );
        }
        checked.is_ok()
    }
}
