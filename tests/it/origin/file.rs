//! The content of an origin at a path, and the answers of a correct server.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::log::Request;

/// The content at a path. By default it has a strong `ETag` and a `Last-Modified` in August 2009;
/// both change each time the path gets new content.
#[derive(Clone, Debug)]
pub(crate) struct File {
    bytes: Arc<Vec<u8>>,
    etag: Tag,
    modified: Modified,
    content_type: String,
}

#[derive(Clone, Debug)]
enum Tag {
    Automatic,
    Weak,
    Fixed(String),
    None,
}

#[derive(Clone, Copy, Debug)]
enum Modified {
    Automatic,
    At(SystemTime),
    None,
}

/// The requested part of the content.
enum Range {
    Whole,
    Part(std::ops::Range<usize>),
    Outside,
}

impl File {
    pub(crate) fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: Arc::new(bytes.into()),
            etag: Tag::Automatic,
            modified: Modified::Automatic,
            content_type: "application/octet-stream".to_owned(),
        }
    }

    /// The complete header field, including quotes.
    pub(crate) fn etag(mut self, etag: &str) -> Self {
        self.etag = Tag::Fixed(etag.to_owned());
        self
    }

    pub(crate) fn weak_etag(mut self) -> Self {
        self.etag = Tag::Weak;
        self
    }

    pub(crate) fn no_etag(mut self) -> Self {
        self.etag = Tag::None;
        self
    }

    pub(crate) fn modified(mut self, at: SystemTime) -> Self {
        self.modified = Modified::At(at);
        self
    }

    pub(crate) fn no_last_modified(mut self) -> Self {
        self.modified = Modified::None;
        self
    }

    pub(crate) fn content_type(mut self, content_type: &str) -> Self {
        content_type.clone_into(&mut self.content_type);
        self
    }

    /// Sets the validators for the `version`th content at this path.
    pub(super) fn published(mut self, version: u32) -> Self {
        self.etag = match self.etag {
            Tag::Automatic => Tag::Fixed(format!("\"v{version}-{}\"", self.bytes.len())),
            Tag::Weak => Tag::Fixed(format!("W/\"v{version}-{}\"", self.bytes.len())),
            settled => settled,
        };
        if let Modified::Automatic = self.modified {
            self.modified =
                Modified::At(first_modified() + Duration::from_hours(24) * (version - 1));
        }
        self
    }

    fn etag_field(&self) -> Option<&str> {
        match &self.etag {
            Tag::Fixed(etag) => Some(etag),
            _ => None,
        }
    }

    fn last_modified(&self) -> Option<String> {
        match self.modified {
            Modified::At(at) => Some(httpdate::fmt_http_date(at)),
            _ => None,
        }
    }

    /// Status, headers and body according to RFC 9110.
    pub(super) fn answer(&self, request: &Request) -> (u16, Vec<(String, String)>, Vec<u8>) {
        let mut headers = vec![("Content-Type".to_owned(), self.content_type.clone())];
        headers.push(("Accept-Ranges".to_owned(), "bytes".to_owned()));
        if let Some(etag) = self.etag_field() {
            headers.push(("ETag".to_owned(), etag.to_owned()));
        }
        if let Some(modified) = self.last_modified() {
            headers.push(("Last-Modified".to_owned(), modified));
        }
        if self.is_what_they_have(request) {
            return (304, headers, Vec::new());
        }
        let total = self.bytes.len();
        match self.range_for(request) {
            Range::Whole => (200, headers, self.bytes.to_vec()),
            Range::Outside => {
                headers.push(("Content-Range".to_owned(), format!("bytes */{total}")));
                (416, headers, Vec::new())
            }
            Range::Part(part) => {
                let field = format!("bytes {}-{}/{total}", part.start, part.end - 1);
                headers.push(("Content-Range".to_owned(), field));
                (206, headers, self.bytes[part].to_vec())
            }
        }
    }

    /// `If-None-Match` takes precedence; dates are compared only without it (RFC 9110, 13.2.2).
    fn is_what_they_have(&self, request: &Request) -> bool {
        if let Some(wanted) = request.header("if-none-match") {
            let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
            return self.etag_field().is_some_and(|etag| {
                wanted.trim() == "*" || wanted.split(',').any(|tag| opaque(tag) == opaque(etag))
            });
        }
        let since = request
            .header("if-modified-since")
            .and_then(|date| httpdate::parse_http_date(date).ok());
        let modified = self.last_modified().and_then(|date| httpdate::parse_http_date(&date).ok());
        matches!((modified, since), (Some(modified), Some(since)) if modified <= since)
    }

    fn range_for(&self, request: &Request) -> Range {
        if let Some(condition) = request.header("if-range") {
            let strong = |etag: &&str| !etag.starts_with("W/");
            let same_tag = self.etag_field().filter(strong) == Some(condition);
            if !same_tag && self.last_modified().as_deref() != Some(condition) {
                return Range::Whole;
            }
        }
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            return Range::Whole;
        };
        let total = self.bytes.len();
        let (first, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
            (Ok(first), Ok(last)) => (first, total.min(last.saturating_add(1))),
            (Ok(first), Err(_)) => (first, total),
            (Err(_), Ok(suffix)) => (total.saturating_sub(suffix), total),
            (Err(_), Err(_)) => return Range::Whole,
        };
        if first < end { Range::Part(first..end) } else { Range::Outside }
    }
}

/// Monday, 17 August 2009, 12:00 UTC, the date of the first wallpapers.
pub(crate) fn first_modified() -> SystemTime {
    httpdate::parse_http_date("Mon, 17 Aug 2009 12:00:00 GMT").expect("a date")
}

impl From<&str> for File {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for File {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&[u8]> for File {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for File {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}
