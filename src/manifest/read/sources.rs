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
use crate::manifest::tables::{FILE, OVERRIDE, SOURCE};
use crate::manifest::template::{Space, Template, UrlParts, Use};
use crate::manifest::types::{Check, File, Locations, OnMissing, Override, Source};
use crate::manifest::url::check_url;

impl Reader<'_> {
    pub(super) fn source(
        &mut self,
        node: &Node,
        default_name: &str,
        general: &Http,
    ) -> Option<Source> {
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
        let mut uses = self.declared(&fields, &name)?;
        let locations = self.locations(&fields, &place, &mut uses);
        let mirrors = self.templates(&fields, "mirrors", Use::Mirror, &mut uses);
        let path = match fields.get("path") {
            Some(node) => self.template(node, "path", Use::Path, &mut uses),
            None => Some(default_path()),
        };
        let published = match fields.get("checksums") {
            Some(node) => self.published(node, &mut uses).map(Some),
            None => Some(None),
        };
        let excludes = self.excludes(&fields, &uses);
        let overrides = self.overrides(&fields, &mut uses);
        let (locations, mirrors, path) = (locations?, mirrors?, path?);
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
            excludes: excludes?,
            overrides: overrides?,
        };
        self.first_entry(&source).then_some(source)
    }

    /// The variables of a source. A list of files has none: its only dimension is the list itself.
    fn declared(&mut self, fields: &Fields<'_>, name: &str) -> Option<Uses> {
        let Some(files) = fields.get("files") else {
            let declared = self.space(fields, name)?;
            let used = vec![false; declared.places.len()];
            return Some(Uses { declared, used });
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
        Some(Uses { declared: Declared { space, places: Vec::new() }, used: Vec::new() })
    }

    fn locations(
        &mut self,
        fields: &Fields<'_>,
        place: &str,
        uses: &mut Uses,
    ) -> Option<Locations> {
        if let Some(node) = fields.get("files") {
            let Kind::List(items) = &node.kind else {
                return None;
            };
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
        Some(Locations::Templates { url, url_at: node.at, alternates: alternates? })
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

    fn excludes(
        &mut self,
        fields: &Fields<'_>,
        uses: &Uses,
    ) -> Option<Vec<crate::manifest::template::Matcher>> {
        let Some(node) = fields.get("exclude") else {
            return Some(Vec::new());
        };
        let items = match &node.kind {
            Kind::List(items) => items.iter().collect(),
            _ => vec![node],
        };
        let rules: Vec<_> = items
            .into_iter()
            .map(|item| self.matcher(item, &uses.declared.space, "`exclude`"))
            .collect();
        rules.into_iter().collect()
    }

    fn overrides(&mut self, fields: &Fields<'_>, uses: &mut Uses) -> Option<Vec<Override>> {
        let Some(node) = fields.get("overrides") else {
            return Some(Vec::new());
        };
        let Kind::List(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`overrides` must be a list, this is {}", node.describe()),
                None,
            );
            return None;
        };
        let overrides: Vec<_> = items.iter().map(|item| self.override_of(item, uses)).collect();
        overrides.into_iter().collect()
    }

    fn override_of(&mut self, node: &Node, uses: &mut Uses) -> Option<Override> {
        let fields = Fields::open(self, node, OVERRIDE, "an override")?;
        let Some(when) = fields.get("when") else {
            self.problem(
                node.at,
                "an override needs `when`",
                Some("such as `when: {n: 7}`".to_owned()),
            );
            return None;
        };
        let when = self.matcher(when, &uses.declared.space, "`when`");
        let url = fields.get("url").map(|node| self.template(node, "url", Use::Url, uses));
        let path = fields.get("path").map(|node| self.template(node, "path", Use::Path, uses));
        let skip = fields.get("skip").map_or(Some(false), |node| self.flag(node, "skip"));
        let reason = fields.get("reason").map(|node| self.name(node, "reason"));
        if skip == Some(true) && reason.is_none() {
            self.problem(
                node.at,
                "a skipped entry needs a `reason`",
                Some("say why it is left out".to_owned()),
            );
        }
        let stated = self.stated(&fields);
        if stated.is_some() && reason.is_none() {
            self.problem(
                node.at,
                "a digest of a single entry needs a `reason`",
                Some("say why it is stated here".to_owned()),
            );
        }
        if url.is_none() && path.is_none() && fields.get("skip").is_none() && stated.is_none() {
            self.problem(
                node.at,
                "this override changes nothing",
                Some("give it `url`, `path`, `skip` or a digest".to_owned()),
            );
        }
        let checksums = self.checksums(&fields);
        let url = match url {
            Some(url) => Some(url?),
            None => None,
        };
        let path = match path {
            Some(path) => Some(path?),
            None => None,
        };
        Some(Override { when: when?, url, path, checksums, skip: skip?, at: node.at })
    }

    /// Checks the URLs of the first entry, or of all items of `files`: most mistakes in a template
    /// show in every entry, and here the problem has its place in the template.
    fn first_entry(&mut self, source: &Source) -> bool {
        let before = self.problems.len();
        let files: Vec<(&Template, Span, u64)> = match &source.locations {
            Locations::Templates { url, url_at, alternates } => {
                std::iter::once(url).chain(alternates).map(|url| (url, *url_at, 0)).collect()
            }
            Locations::Files(files) => files
                .iter()
                .zip(0..)
                .map(|(file, position)| (&file.url, file.at, position))
                .collect(),
        };
        for (url, at, position) in files {
            let render = |form| {
                let mut text = String::new();
                url.render(&source.space, position, form, None, self.options.today, &mut text);
                text
            };
            let (sent, shown) = (render(Form::Sent), render(Form::Shown));
            if let Err(why) = check_url(&sent) {
                self.problem(
                    at,
                    format!("this is not a URL that can be requested: {why}"),
                    Some("it begins with `http://` or `https://` and a host".to_owned()),
                );
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
        let lists = source.published.as_ref().and_then(|published| published.place.template());
        let others = source.mirrors.iter().map(|mirror| (mirror, "a mirror"));
        for (mirror, what) in others.chain(lists.map(|list| (list, "the checksum list"))) {
            let mut url = String::new();
            match &source.locations {
                Locations::Templates { url: own, .. } => {
                    own.render(&source.space, 0, Form::Sent, None, self.options.today, &mut url);
                }
                Locations::Files(files) => files[0].url.render(
                    &source.space,
                    0,
                    Form::Sent,
                    None,
                    self.options.today,
                    &mut url,
                ),
            }
            let mut mirrored = String::new();
            mirror.render(
                &source.space,
                0,
                Form::Sent,
                Some(&UrlParts::new(&url)),
                self.options.today,
                &mut mirrored,
            );
            if let Err(why) = check_url(&mirrored) {
                self.problem(
                    source.path_at,
                    format!("{what} is not a URL that can be requested: {why}"),
                    Some("it begins with `http://` or `https://` and a host".to_owned()),
                );
            }
        }
        before == self.problems.len()
    }
}
