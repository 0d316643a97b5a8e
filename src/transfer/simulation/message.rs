//! The little HTTP that a simulated origin speaks.

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A request, as far as an origin looks at it.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) is_head: bool,
    pub(super) path: String,
    /// First byte, and the last one if it was given.
    range: Option<(usize, Option<usize>)>,
    if_range: Option<String>,
    if_none_match: Option<String>,
}

impl Request {
    /// Reads a request; none at the end of the stream.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        let mut text = Vec::new();
        let mut buffer = [0; 1024];
        while !text.ends_with(b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(read @ 1..) => text.extend_from_slice(&buffer[..read]),
                _ => return None,
            }
        }
        Self::parse(std::str::from_utf8(&text).ok()?)
    }

    pub(super) fn has_range(&self) -> bool {
        self.range.is_some()
    }

    pub(super) fn is_conditional(&self) -> bool {
        self.if_none_match.is_some()
    }

    /// A GET of a whole file, without a condition.
    pub(super) fn is_plain(&self) -> bool {
        !self.is_head && !self.has_range() && !self.is_conditional()
    }

    /// The number at the end of the path.
    pub(super) fn number(&self) -> u32 {
        self.path.rsplit('/').next().and_then(|name| name.parse().ok()).unwrap_or(0)
    }

    /// The same without `If-Range`.
    pub(super) fn without_condition(&self) -> Self {
        Self { if_range: None, ..self.clone() }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let mut first = lines.next()?.split(' ');
        let is_head = first.next()? == "HEAD";
        let mut request = Self { is_head, path: first.next()?.to_owned(), ..Self::default() };
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "range" => {
                    let (from, to) = value.strip_prefix("bytes=")?.split_once('-')?;
                    request.range = Some((from.parse().ok()?, to.parse().ok()));
                }
                "if-range" => request.if_range = Some(value.to_owned()),
                "if-none-match" => request.if_none_match = Some(value.to_owned()),
                _ => {}
            }
        }
        Some(request)
    }
}

/// Every version of a file has this date.
const DATE: &str = "Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\n";

/// The right response to a request for these bytes.
pub(super) fn response(request: &Request, bytes: &[u8], tag: &str) -> Vec<u8> {
    if request.if_none_match.as_deref() == Some(tag) {
        return format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n").into_bytes();
    }
    let size = bytes.len();
    match request.range {
        Some((from, to)) if request.if_range.as_ref().is_none_or(|wanted| wanted == tag) => {
            if size <= from {
                let head = "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Length: 0\r\n";
                return format!("{head}Content-Range: bytes */{size}\r\n\r\n").into_bytes();
            }
            let last = to.unwrap_or(size).min(size - 1);
            let range = format!("Content-Range: bytes {from}-{last}/{size}\r\n");
            message("206 Partial Content", &range, request, &bytes[from..=last], tag)
        }
        _ => whole(request, bytes, tag),
    }
}

/// The head of a message and its body.
pub(super) fn split(message: Vec<u8>) -> (String, Vec<u8>) {
    let end = message.windows(4).position(|end| end == b"\r\n\r\n").map_or(0, |at| at + 4);
    (String::from_utf8_lossy(&message[..end]).into_owned(), message[end..].to_vec())
}

/// A response with all bytes.
pub(super) fn whole(request: &Request, bytes: &[u8], tag: &str) -> Vec<u8> {
    message("200 OK", "Accept-Ranges: bytes\r\n", request, bytes, tag)
}

/// A response whose body ends with its connection.
pub(super) fn unframed(body: &[u8], tag: &str) -> Vec<u8> {
    let mut message = format!("HTTP/1.0 200 OK\r\nETag: {tag}\r\n\r\n").into_bytes();
    message.extend_from_slice(body);
    message
}

fn message(status: &str, more: &str, request: &Request, body: &[u8], tag: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: {tag}\r\n{DATE}{more}\r\n");
    let mut message = head.into_bytes();
    if !request.is_head {
        message.extend_from_slice(body);
    }
    message
}
