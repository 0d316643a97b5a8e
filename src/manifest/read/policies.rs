//! Policies of a source: missing files, freshness, expected content, tags and headers.

use super::fields::Fields;
use super::node::{Kind, Node};
use super::reader::Reader;
use super::scalars::parse_duration;
use crate::manifest::expect::{Expect, Kind as FileKind, MediaType, MissingWhen};
use crate::manifest::secret::Secret;
use crate::manifest::tables::{EXPECT, MISSING_WHEN, ON_MISSING, STATUS};
use crate::manifest::types::{Check, OnMissing};

/// Header fields that natsync itself controls, in lower case.
const OWN_HEADERS: [&str; 14] = [
    "host",
    "range",
    "if-range",
    "if-match",
    "if-none-match",
    "if-modified-since",
    "if-unmodified-since",
    "accept-encoding",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "upgrade",
    "proxy-authorization",
];

/// How the names of header fields begin whose values are no secrets.
const PLAIN: [&str; 5] = ["accept", "cache-control", "pragma", "referer", "user-agent"];

impl Reader<'_> {
    pub(super) fn on_missing(&mut self, node: &Node) -> Option<OnMissing> {
        Some(match self.word(node, "on_missing", ON_MISSING)? {
            "skip" => OnMissing::Skip,
            "prune" => OnMissing::Prune,
            _ => OnMissing::Fail,
        })
    }

    pub(super) fn check(&mut self, node: &Node) -> Option<Check> {
        self.parsed(node, "check", "`always`, `never`, or an age such as `1d`", |text| match text {
            "always" => Some(Check::Always),
            "never" => Some(Check::Never),
            _ => parse_duration(text).map(Check::Age),
        })
    }

    pub(super) fn missing_when(&mut self, node: &Node) -> MissingWhen {
        let mut missing = MissingWhen::default();
        let Some(fields) = Fields::open(self, node, MISSING_WHEN, "`missing_when`") else {
            return missing;
        };
        if let Some(node) = fields.get("status") {
            let items = match &node.kind {
                Kind::List(items) => items.iter().collect(),
                _ => vec![node],
            };
            let statuses = items
                .into_iter()
                .filter_map(|item| self.number(item, "status", STATUS.0, STATUS.1));
            missing.status = statuses.filter_map(|status| u16::try_from(status).ok()).collect();
        }
        missing.content_type = fields.get("content_type").and_then(|node| self.media_type(node));
        missing
    }

    fn media_type(&mut self, node: &Node) -> Option<MediaType> {
        self.parsed(
            node,
            "content_type",
            "a media type such as `image/jpeg` or `image/*`",
            MediaType::parse,
        )
    }

    pub(super) fn expect(&mut self, node: &Node) -> Expect {
        let mut expect = Expect::default();
        let Some(fields) = Fields::open(self, node, EXPECT, "`expect`") else {
            return expect;
        };
        expect.content_type = fields.get("content_type").and_then(|node| self.media_type(node));
        if let Some(min_size) = fields.get("min_size").and_then(|node| self.size(node, "min_size"))
        {
            expect.min_size = min_size;
        }
        expect.max_size = fields.get("max_size").and_then(|node| self.size(node, "max_size"));
        if let (Some(max), Some((key, _))) = (expect.max_size, fields.item("max_size"))
            && max < expect.min_size
        {
            self.problem(
                key.at,
                format!("`max_size` ({max}) is less than `min_size` ({})", expect.min_size),
                None,
            );
        }
        if let Some(node) = fields.get("kind") {
            let names: Vec<_> = FileKind::names().collect();
            expect.kind =
                self.parsed(node, "kind", &format!("one of {}", names.join(", ")), FileKind::named);
        }
        if let Some(unframed) = fields.get("unframed").and_then(|node| self.flag(node, "unframed"))
        {
            expect.unframed = unframed;
        }
        if let Some(node) = fields.get("header_digests")
            && let Some(counts) = self.flag(node, "header_digests")
        {
            expect.header_digests = counts;
        }
        expect
    }

    pub(super) fn words(&mut self, node: &Node, what: &str) -> Vec<String> {
        match &node.kind {
            Kind::List(items) => items.iter().filter_map(|item| self.name(item, what)).collect(),
            _ => self.name(node, what).into_iter().collect(),
        }
    }

    pub(super) fn headers(&mut self, node: &Node) -> Vec<(String, Secret)> {
        let Kind::Mapping(items) = &node.kind else {
            self.problem(
                node.at,
                format!("`headers` must be a mapping, this is {}", node.describe()),
                None,
            );
            return Vec::new();
        };
        let mut headers = Vec::new();
        for (key, value) in items {
            if ::http::header::HeaderName::from_bytes(key.name.as_bytes()).is_err() {
                self.problem(key.at, format!("`{}` is not a valid header name", key.name), None);
                continue;
            }
            if OWN_HEADERS.contains(&key.name.to_ascii_lowercase().as_str()) {
                self.problem(
                    key.at,
                    format!("the header `{}` is natsync's own", key.name),
                    Some("leave it out".to_owned()),
                );
                continue;
            }
            let Some(expanded) = self.expand(value, &key.name) else {
                continue;
            };
            if ::http::header::HeaderValue::from_str(expanded.value.expose()).is_err() {
                self.problem(
                    value.at,
                    format!("the value of `{}` has characters that a header cannot have", key.name),
                    None,
                );
                continue;
            }
            let name = key.name.to_ascii_lowercase();
            if !PLAIN.iter().any(|begin| name.starts_with(begin)) {
                // With and without the scheme: `Bearer abc` and `abc`.
                let value = expanded.value.expose();
                let credentials = value.split_once(' ').map_or(value, |(_, rest)| rest);
                let placeholder = format!("(the value of `{}`)", key.name);
                self.hidden.add(value, &placeholder);
                self.hidden.add(credentials, &placeholder);
            }
            headers.push((key.name.clone(), expanded.value));
        }
        headers
    }
}
