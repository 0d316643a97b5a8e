//! The key `http`: transport settings.

use std::path::PathBuf;

use super::fields::Fields;
use super::node::Node;
use super::reader::Reader;
use crate::manifest::http::{Http, Http2, PerHost, Proxy};
use crate::manifest::shape::Bounds;
use crate::manifest::tables::{CONNECTIONS, HTTP, HTTP2, REDIRECTS, RETRIES, SEGMENTS};

impl Reader<'_> {
    /// Reads transport settings. Keys that are absent have the values of `general`.
    pub(super) fn http(&mut self, node: &Node, general: &Http) -> Http {
        let mut http = general.clone();
        let Some(fields) = Fields::open(self, node, HTTP, "`http`") else {
            return http;
        };
        let number = |this: &mut Self, key: &str, (least, most): Bounds| {
            fields.get(key).and_then(|node| this.number(node, key, least, most))
        };
        if let Some(connections) = number(self, "connections", CONNECTIONS) {
            http.connections = usize::try_from(connections).unwrap_or(1);
        }
        if let Some(node) = fields.get("connections_per_host")
            && let Some(per_host) = self.parsed(
                node,
                "connections_per_host",
                &format!("`auto`, or a whole number from {} to {}", CONNECTIONS.0, CONNECTIONS.1),
                |text| match text {
                    "auto" => Some(PerHost::Auto),
                    _ => text
                        .parse()
                        .ok()
                        .filter(|number| {
                            (CONNECTIONS.0..=CONNECTIONS.1).contains(&(*number as u64))
                        })
                        .map(PerHost::Fixed),
                },
            )
        {
            http.connections_per_host = per_host;
        }
        if let Some(node) = fields.get("requests_per_second") {
            http.requests_per_second =
                self.parsed(node, "requests_per_second", "a number above 0", |text| {
                    text.parse().ok().filter(|rate: &f64| rate.is_finite() && 0.001 <= *rate)
                });
        }
        if let Some(node) = fields.get("rate_limit") {
            http.rate_limit = self.size(node, "rate_limit").filter(|&rate| 0 < rate);
            if http.rate_limit.is_none() && self.problems.is_empty() {
                self.problem(
                    node.at,
                    "`rate_limit` cannot be 0",
                    Some("leave it out for no limit".to_owned()),
                );
            }
        }
        if let Some(retries) = number(self, "retries", RETRIES) {
            http.retries = u32::try_from(retries).unwrap_or(0);
        }
        if let Some(redirects) = number(self, "redirects", REDIRECTS) {
            http.redirects = u32::try_from(redirects).unwrap_or(0);
        }
        for (key, setting) in [
            ("max_retry_after", &mut http.max_retry_after),
            ("connect_timeout", &mut http.connect_timeout),
            ("stall_timeout", &mut http.stall_timeout),
        ] {
            if let Some(node) = fields.get(key)
                && let Some(duration) = self.duration(node, key)
            {
                if duration.is_zero() && key != "max_retry_after" {
                    self.problem(node.at, format!("`{key}` cannot be 0"), None);
                }
                *setting = duration;
            }
        }
        if let Some(min_rate) = fields.get("min_rate").and_then(|node| self.size(node, "min_rate"))
        {
            http.min_rate = min_rate;
        }
        if let Some(node) = fields.get("segments")
            && let Some(segments) = self.number(node, "segments", SEGMENTS.0, SEGMENTS.1)
        {
            http.segments = usize::try_from(segments).unwrap_or(1);
        }
        if let Some(node) = fields.get("segment_min_size")
            && let Some(size) = self.size(node, "segment_min_size")
        {
            http.segment_min_size = size;
        }
        if let Some(node) = fields.get("user_agent") {
            http.user_agent =
                self.parsed(node, "user_agent", "a text that can stand in a header", |text| {
                    ::http::header::HeaderValue::from_str(text).is_ok().then(|| text.to_owned())
                });
        }
        if let Some(proxy) = fields.get("proxy").and_then(|node| self.proxy(node)) {
            http.proxy = proxy;
        }
        if let Some(node) = fields.get("ca_file") {
            http.ca_file = self.ca_file(node);
        }
        if let Some(node) = fields.get("http2") {
            http.http2 = self.http2(node);
        }
        http
    }

    /// A file with certificates. TLS may be used late in a run, so a wrong file is an error now.
    fn ca_file(&mut self, node: &Node) -> Option<PathBuf> {
        let name = self.text(node, "ca_file")?.to_owned();
        let file = self.path_of(node, &name)?;
        let is_regular = std::fs::metadata(&file).map(|metadata| metadata.is_file());
        let content = match is_regular {
            Ok(true) => std::fs::read(&file),
            Ok(false) => Err(std::io::Error::other("it is not a regular file")),
            Err(error) => Err(error),
        };
        match content {
            Ok(content) if memchr::memmem::find(&content, b"-----BEGIN ").is_some() => Some(file),
            Ok(_) => {
                let hint = "it is a file in PEM format, with `-----BEGIN CERTIFICATE-----`";
                let message = format!("`{name}` has no certificate");
                self.problem(node.at, message, Some(hint.to_owned()));
                None
            }
            Err(error) => {
                self.unreadable(node, &name, &error);
                None
            }
        }
    }

    fn proxy(&mut self, node: &Node) -> Option<Proxy> {
        if node.text() == Some("none") {
            return Some(Proxy::None);
        }
        let expanded = self.expand(node, "proxy")?;
        let url = url::Url::parse(expanded.value.expose())
            .ok()
            .filter(|url| url.scheme() == "http" && url.has_host());
        if url.is_none() {
            self.problem(
                node.at,
                "`proxy` is not the URL of an HTTP proxy",
                Some("such as `http://proxy.example.org:3128`, or `none`".to_owned()),
            );
            return None;
        }
        Some(Proxy::Url { url: expanded.value, shown: expanded.shown })
    }

    fn http2(&mut self, node: &Node) -> Http2 {
        match self.word(node, "http2", HTTP2) {
            Some("never") => Http2::Never,
            Some("always") => Http2::Always,
            _ => Http2::Auto,
        }
    }
}
