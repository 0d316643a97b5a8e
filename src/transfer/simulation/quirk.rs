//! What a simulated origin always does that is not quite right, and that costs no file.

use super::fault::Act;
use super::message::{Request, response, split, unframed, whole};

/// A kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Head,
    Range,
    /// With `If-None-Match`.
    Condition,
}

/// How a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Status(u16),
    /// With `Retry-After`, in seconds.
    Later(u16, u64),
    Silence,
    Close,
}

/// What an origin always does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quirk {
    /// Requests of that kind are refused; a plain GET is not.
    Refuse(When, Refusal),
    /// A conditional request gets a 304 about another file.
    OtherNotModified,
    /// A whole file has a `Content-Range`, under this status.
    RangeOfAll(u16),
    /// A body ends with its connection.
    Unframed,
    /// Fields that are no HTTP, but frame nothing.
    BadFields,
    /// A conditional request gets the whole file.
    NoConditions,
    /// The date of a file is not as HTTP has it.
    OddDate,
}

impl Quirk {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Option<Self> {
        if rng.bool() {
            return None;
        }
        let when = [When::Head, When::Range, When::Condition][rng.usize(..3)];
        let statuses = [400, 403, 404, 405, 410, 412, 416, 429, 500, 501, 503];
        let status = statuses[rng.usize(..statuses.len())];
        Some(match rng.u32(0..12) {
            0..4 => Self::Refuse(when, Refusal::Status(status)),
            4 => Self::Refuse(when, Refusal::Later(503, 1_000_000_000)),
            5 => Self::Refuse(when, [Refusal::Silence, Refusal::Close][rng.usize(..2)]),
            6 => Self::OtherNotModified,
            7 => Self::RangeOfAll([200, 206][rng.usize(..2)]),
            8 => Self::Unframed,
            9 => Self::NoConditions,
            10 => Self::OddDate,
            _ => Self::BadFields,
        })
    }

    /// The steps that answer a request for these bytes under this tag; none if it is answered
    /// rightly.
    pub(super) fn acts(self, request: &Request, bytes: &[u8], tag: &str) -> Option<Vec<Act>> {
        let send = |text: String| vec![Act::Send(text.into_bytes())];
        let empty = "Content-Length: 0\r\n\r\n";
        let is_plain = request.is_plain();
        Some(match self {
            Self::Refuse(when, refusal) => {
                let is_meant = match when {
                    When::Head => request.is_head,
                    When::Range => request.has_range(),
                    When::Condition => request.is_conditional(),
                };
                match refusal {
                    _ if !is_meant => return None,
                    Refusal::Status(status) => send(format!("HTTP/1.1 {status} No\r\n{empty}")),
                    Refusal::Later(status, seconds) => {
                        send(format!("HTTP/1.1 {status} No\r\nRetry-After: {seconds}\r\n{empty}"))
                    }
                    Refusal::Silence => vec![Act::Hang],
                    Refusal::Close => vec![Act::Close],
                }
            }
            Self::OtherNotModified if request.is_conditional() => {
                send("HTTP/1.1 304 Not Modified\r\nETag: \"other\"\r\n\r\n".to_owned())
            }
            Self::RangeOfAll(status) if is_plain && !bytes.is_empty() => {
                let (_, body) = split(whole(request, bytes, tag));
                let (length, last) = (body.len(), body.len() - 1);
                let head = format!(
                    "HTTP/1.1 {status} All\r\nETag: {tag}\r\nContent-Length: {length}\r\n\
                     Content-Range: bytes 0-{last}/{length}\r\n\r\n"
                );
                vec![Act::Send(head.into_bytes()), Act::Send(body)]
            }
            Self::Unframed if is_plain => {
                vec![Act::Send(unframed(bytes, tag)), Act::Close]
            }
            Self::BadFields => {
                let (head, body) = split(response(request, bytes, tag));
                let (status, rest) = head.split_once("\r\n")?;
                let bad = "X-Powered-By : x\r\nPHP Warning: y\r\nnothing\r\n";
                vec![Act::Send(format!("{status}\r\n{bad}{rest}").into_bytes()), Act::Send(body)]
            }
            Self::NoConditions if request.is_conditional() => {
                vec![Act::Send(whole(request, bytes, tag))]
            }
            Self::OddDate => {
                let (head, body) = split(response(request, bytes, tag));
                let head = head.replace("01 Jan 2015 00:00:00 GMT", "1 Jan 2015 00:00:00 +0000");
                vec![Act::Send(head.into_bytes()), Act::Send(body)]
            }
            Self::OtherNotModified | Self::RangeOfAll(_) | Self::Unframed | Self::NoConditions => {
                return None;
            }
        })
    }
}
