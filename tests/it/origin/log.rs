//! The request log of an origin.

use std::fmt;
use std::time::Instant;

/// One request, and a summary of its answer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// In the order received.
    pub(crate) headers: Vec<(String, String)>,
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) at: Instant,
    /// The status of the answer; 0 until there is one, and for answers that are not HTTP.
    pub(crate) status: u16,
    /// The number of bytes after the head of the answer.
    pub(crate) sent: usize,
}

impl Request {
    /// Parses the head of a request; `None` if it is not HTTP.
    pub(super) fn parse(head: &[u8], connection: usize) -> Option<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { method, target, headers, connection, at: Instant::now(), status: 0, sent: 0 })
    }

    /// The value of a header; names are case-insensitive.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// The complete head as text, for searches.
    pub(crate) fn text(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| format!("{name}: {value}"));
        let lines: Vec<_> = [self.to_string()].into_iter().chain(headers).collect();
        lines.join("\n")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.method, self.target)
    }
}
