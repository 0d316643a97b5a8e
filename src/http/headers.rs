//! The header fields of a response, and the ones among them that natsync reads.

use hyper::HeaderMap;
use hyper::header::{ACCEPT_RANGES, CONTENT_TYPE, DATE, ETAG, HeaderName, LAST_MODIFIED};

use super::validators::{http_date, is_entity_tag};
use crate::pin::Validators;

/// A longer field value is not used: validators are stored and sent back with every request.
const LONGEST: usize = 1024;

/// The header fields of a response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Headers(pub(super) HeaderMap);

impl Headers {
    /// `ETag` and `Last-Modified`. A malformed or long one counts as absent.
    pub(crate) fn validators(&self) -> Validators {
        let etag = self.single(&ETAG).filter(|tag| is_entity_tag(tag));
        let modified = self.single(&LAST_MODIFIED).filter(|date| http_date(date).is_some());
        Validators { etag: etag.map(str::to_owned), last_modified: modified.map(str::to_owned) }
    }

    /// `Content-Type`, with its parameters.
    pub(crate) fn content_type(&self) -> Option<&str> {
        self.0.get(CONTENT_TYPE)?.to_str().ok()
    }

    /// `Date`, in seconds since 1970.
    pub(crate) fn date(&self) -> Option<i64> {
        self.single(&DATE).and_then(http_date)
    }

    /// Whether the server takes byte ranges of this file (RFC 9110, section 14.3).
    pub(crate) fn accepts_ranges(&self) -> bool {
        self.single(&ACCEPT_RANGES).is_some_and(|unit| unit.trim().eq_ignore_ascii_case("bytes"))
    }

    /// The value of a field that occurs once.
    pub(super) fn single(&self, name: &HeaderName) -> Option<&str> {
        let mut values = self.0.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        (values.next().is_none() && value.len() <= LONGEST).then_some(value)
    }

    /// Adds a field. Reports whether its name and value are such that a connection could bring
    /// them.
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) -> bool {
        let value = hyper::header::HeaderValue::from_bytes(value);
        match (HeaderName::from_bytes(name), value) {
            (Ok(name), Ok(value)) => {
                self.0.append(name, value);
                true
            }
            _ => false,
        }
    }

    #[cfg(test)]
    pub(crate) fn of(fields: &[(&str, &str)]) -> Self {
        let mut headers = Self::default();
        for (name, value) in fields {
            assert!(headers.add(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
        headers
    }
}
