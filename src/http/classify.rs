//! What an answer means: one pure function from the head of a response to what to do with it.

use hyper::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED,
    LOCATION, RETRY_AFTER, TRANSFER_ENCODING,
};
use hyper::{HeaderMap, StatusCode};

use super::retry::RetryAfter;
use super::validators::single;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::{Expect, MissingWhen};

/// What is known of a file's length before it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Nothing but what the manifest allows.
    Unknown,
    /// It has so many bytes.
    Exactly(u64),
    /// Its digest is known, and maybe its length: the digest decides, whatever is declared.
    Pinned(Option<u64>),
}

/// Something shorter is received whole even where its length is wrong: what it is says more about
/// what went wrong.
const TELLING: u64 = 1024 * 1024;

impl Length {
    /// More bytes than this are not worth receiving.
    pub(crate) fn most(self, expect: &Expect) -> Option<u64> {
        match self {
            Self::Unknown | Self::Pinned(None) => expect.max_size,
            Self::Exactly(size) => Some(size),
            Self::Pinned(Some(size)) => Some(size.max(TELLING)),
        }
    }
}

/// What was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Whether the request was conditional: only then can 304 be an answer.
    pub(crate) conditional: bool,
    /// Whether no body was asked for (HEAD).
    pub(crate) head_only: bool,
    /// What the manifest expects.
    pub(crate) expect: &'a Expect,
    /// What the manifest counts as missing.
    pub(crate) missing: &'a MissingWhen,
    /// What is known of the file's length.
    pub(crate) length: Length,
    /// What is here already, where only the rest was asked for.
    pub(crate) here: Option<Here<'a>>,
    /// When the answer came, in seconds since 1970.
    pub(crate) now: i64,
}

/// The beginning of a file that is here already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here<'a> {
    /// Bytes.
    pub(crate) length: u64,
    /// The first byte that was not asked for, where not all of the rest was.
    pub(crate) upto: Option<u64>,
    /// The length of the whole, where it was told.
    pub(crate) total: Option<u64>,
    /// What upstream called the whole.
    pub(crate) etag: Option<&'a str>,
    /// Its `Last-Modified`.
    pub(crate) last_modified: Option<&'a str>,
    /// Whether the digest of the whole decides in the end, so that an answer may leave these out.
    pub(crate) pinned: bool,
}

/// The head of a response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    /// The status.
    pub(crate) status: StatusCode,
    /// The header fields.
    pub(crate) headers: &'a HeaderMap,
    /// Whether the connection can tell where the body ends (a length or chunks).
    pub(crate) framed: bool,
}

/// What to do with a response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// The body is the file. `length` in bytes, where it is declared.
    Whole { length: Option<u64> },
    /// The body is the rest of the file, which has so many bytes.
    Rest { length: u64 },
    /// What is here is of no use: the whole file is asked for.
    Restart,
    /// What is on disk is what upstream has.
    NotModified,
    /// Upstream has no such file.
    Missing { status: u16 },
    /// Go and ask there.
    Redirect { location: String },
    /// It failed, but may not the next time.
    Retry { failure: Failure, after: Option<RetryAfter> },
    /// It failed, and asking again is pointless.
    Fail(Failure),
}

/// Statuses that pass: the server is busy or something behind it is (RFC 9110, RFC 6585, RFC 8470).
const PASSING: [u16; 8] = [408, 425, 429, 500, 502, 503, 504, 421];

/// Judges the head of a response.
pub(crate) fn classify(asked: &Asked, head: &Head) -> Answer {
    let status = head.status.as_u16();
    let media_type = single(head.headers, &CONTENT_TYPE);
    if asked.missing.status.contains(&status) {
        return Answer::Missing { status };
    }
    match status {
        200 | 203 => whole(asked, head, media_type),
        206 | 412 | 416 if asked.here.is_some() => {
            let rest = asked.here.filter(|_| status == 206).and_then(|here| rest(&here, head));
            rest.map_or(Answer::Restart, |length| Answer::Rest { length })
        }
        304 if asked.conditional => Answer::NotModified,
        304 => Answer::Fail(
            protocol("the server answers 304 to a request that was not conditional")
                .with_status(304),
        ),
        301 | 302 | 303 | 307 | 308 => {
            match head
                .headers
                .get(LOCATION)
                .map(|location| std::str::from_utf8(location.as_bytes()))
            {
                Some(Ok(location)) => Answer::Redirect { location: location.to_owned() },
                Some(Err(_)) => Answer::Fail(redirect(
                    "the redirect's target has characters that no URL has",
                    status,
                )),
                None => {
                    Answer::Fail(redirect("the server redirects and does not say where to", status))
                }
            }
        }
        _ if PASSING.contains(&status) => Answer::Retry {
            failure: refused(head.status),
            after: single(head.headers, &RETRY_AFTER)
                .and_then(|text| RetryAfter::parse(text, single(head.headers, &DATE), asked.now)),
        },
        _ => Answer::Fail(refused(head.status)),
    }
}

/// The length of the rest, where the answer is exactly that of the same file (RFC 9110, section 15.3.7).
/// None for any doubt.
fn rest(here: &Here<'_>, head: &Head<'_>) -> Option<u64> {
    if applied_encoding(head.headers).is_some() {
        return None;
    }
    let (first, last, total) = content_range(single(head.headers, &CONTENT_RANGE)?)?;
    // Old caches do not know `If-Range`: what comes must itself say that it is the same file.
    let agrees = |ours: Option<&str>, name| match (ours, single(head.headers, name)) {
        (Some(ours), Some(theirs)) => Some(ours == theirs),
        _ => None,
    };
    let same = match (agrees(here.etag, &ETAG), agrees(here.last_modified, &LAST_MODIFIED)) {
        (Some(same), _) => same,
        (None, Some(same)) => same && (here.pinned || here.etag.is_none()),
        (None, None) => here.pinned,
    };
    let length = last.checked_sub(first)?.checked_add(1)?;
    let declared = declared_length(head.headers).ok()?;
    let fits = first == here.length
        && last.checked_add(1) == Some(here.upto.unwrap_or(total).min(total))
        && here.total.is_none_or(|known| known == total)
        && declared.is_none_or(|declared| declared == length);
    (same && fits && head.framed).then_some(length)
}

/// `bytes 5-9/10`: first, last, and the length of the whole.
fn content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| {
        let text = text.trim();
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
    };
    Some((number(first)?, number(last)?, number(total)?))
}

fn whole(asked: &Asked, head: &Head, media_type: Option<&str>) -> Answer {
    if let (Some(pattern), Some(media_type)) = (&asked.missing.content_type, media_type)
        && pattern.matches(media_type)
    {
        return Answer::Missing { status: head.status.as_u16() };
    }
    if head.headers.contains_key(CONTENT_RANGE) {
        return Answer::Fail(protocol(
            "the server answers 200 with a part of the file (Content-Range)",
        ));
    }
    if let Some(encoding) = applied_encoding(head.headers) {
        let message =
            format!("the server applied `Content-Encoding: {encoding}`, which was not asked for");
        return Answer::Fail(Failure::new(ErrorKind::UnexpectedContent, message));
    }
    if let Some(expected) = &asked.expect.content_type
        && !media_type.is_some_and(|media_type| expected.matches(media_type))
    {
        let got =
            media_type.map_or_else(|| "none".to_owned(), |media_type| format!("`{media_type}`"));
        let message = format!("the content type is {got}, expected `{expected}`");
        return Answer::Fail(Failure::new(ErrorKind::UnexpectedContent, message));
    }
    let length = match declared_length(head.headers) {
        Ok(length) => length,
        Err(failure) => return Answer::Fail(failure),
    };
    if asked.head_only {
        return Answer::Whole { length };
    }
    if !head.framed && !asked.expect.unframed && asked.length == Length::Unknown {
        let failure =
            protocol("the server does not say how long the file is, so a cut could not be noticed")
                .with_hint("`expect: {unframed: true}` accepts such answers");
        return Answer::Fail(failure);
    }
    match length {
        Some(length) => match check_length(length, asked.expect, asked.length) {
            Ok(()) => Answer::Whole { length: Some(length) },
            Err(failure) => Answer::Fail(failure),
        },
        None => Answer::Whole { length: None },
    }
}

/// Holds a length against what the manifest expects.
pub(crate) fn check_length(length: u64, expect: &Expect, known: Length) -> Result<(), Failure> {
    match known {
        Length::Exactly(size) if length == size => return Ok(()),
        Length::Exactly(size) => {
            let message = format!("the file has {length} bytes, the manifest says {size}");
            return Err(Failure::new(ErrorKind::UnexpectedContent, message));
        }
        Length::Pinned(Some(size)) if length <= size.max(TELLING) => return Ok(()),
        Length::Pinned(Some(size)) => {
            let message = format!("the file has {length} bytes, its pin says {size}");
            return Err(Failure::new(ErrorKind::ChecksumMismatch, message));
        }
        Length::Pinned(None) | Length::Unknown => {}
    }
    if let Some(max) = expect.max_size
        && max < length
    {
        let message = format!("the file has {length} bytes, more than `max_size` ({max})");
        return Err(Failure::new(ErrorKind::TooLarge, message));
    }
    if length < expect.min_size && known == Length::Unknown {
        let message = if length == 0 {
            "the file is empty".to_owned()
        } else {
            format!("the file has {length} bytes, fewer than `min_size` ({})", expect.min_size)
        };
        let failure = Failure::new(ErrorKind::UnexpectedContent, message);
        return Err(if length == 0 {
            failure.with_hint("`expect: {min_size: 0}` accepts empty files")
        } else {
            failure
        });
    }
    Ok(())
}

/// The declared length. Two different ones, or one beside chunks, are an attack or a broken server
/// (RFC 9112, section 6.3).
fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let parsed = value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        match parsed.and_then(|text| text.parse::<u64>().ok()) {
            Some(parsed) if length.is_none_or(|length| length == parsed) => length = Some(parsed),
            _ => return Err(protocol("the server declares a length that cannot be")),
        }
    }
    if length.is_some() && headers.contains_key(TRANSFER_ENCODING) {
        return Err(protocol("the server declares a length and sends chunks"));
    }
    Ok(length)
}

fn applied_encoding(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
        .find(|value| !value.is_empty() && !value.eq_ignore_ascii_case("identity"))
}

fn refused(status: StatusCode) -> Failure {
    let reason = status.canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default();
    let failure = Failure::new(
        ErrorKind::HttpStatus,
        format!("the server answers {}{reason}", status.as_u16()),
    )
    .with_status(status.as_u16());
    match status.as_u16() {
        401 => failure.with_hint(
            "set `headers: {Authorization: ...}` for the source, with the secret as `${NAME}`, or `netrc: true`",
        ),
        407 => failure.with_hint("give the proxy's user and password in its URL"),
        _ => failure,
    }
}

fn protocol(message: &str) -> Failure {
    Failure::new(ErrorKind::Protocol, message)
}

fn redirect(message: &str, status: u16) -> Failure {
    Failure::new(ErrorKind::Redirect, message).with_status(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Expect, MissingWhen};
    use hyper::header::{HeaderName, HeaderValue};
    use std::time::Duration;

    struct Case {
        conditional: bool,
        expect: Expect,
        missing: MissingWhen,
        length: Length,
        here: Option<Here<'static>>,
        framed: bool,
    }

    fn plain() -> Case {
        Case {
            conditional: false,
            expect: Expect::default(),
            missing: MissingWhen::default(),
            length: Length::Unknown,
            here: None,
            framed: true,
        }
    }

    fn answer(case: &Case, status: u16, fields: &[(&str, &str)]) -> Answer {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let asked = Asked {
            conditional: case.conditional,
            head_only: false,
            expect: &case.expect,
            missing: &case.missing,
            length: case.length,
            here: case.here,
            now: 0,
        };
        classify(
            &asked,
            &Head {
                status: StatusCode::from_u16(status).unwrap(),
                headers: &headers,
                framed: case.framed,
            },
        )
    }

    fn kind(answer: &Answer) -> Option<ErrorKind> {
        match answer {
            Answer::Fail(failure) | Answer::Retry { failure, .. } => Some(failure.kind),
            _ => None,
        }
    }

    #[test]
    fn success() {
        assert_eq!(
            answer(&plain(), 200, &[("content-length", "5")]),
            Answer::Whole { length: Some(5) }
        );
        assert_eq!(
            answer(&plain(), 203, &[("transfer-encoding", "chunked")]),
            Answer::Whole { length: None }
        );
        let identity = [("content-length", "5"), ("content-encoding", "identity")];
        assert_eq!(answer(&plain(), 200, &identity), Answer::Whole { length: Some(5) });
        assert_eq!(
            answer(&plain(), 200, &[("content-length", "5"), ("content-length", "5")]),
            Answer::Whole { length: Some(5) }
        );
    }

    #[test]
    fn missing_is_what_the_manifest_says() {
        assert_eq!(answer(&plain(), 404, &[]), Answer::Missing { status: 404 });
        assert_eq!(answer(&plain(), 410, &[]), Answer::Missing { status: 410 });
        assert_eq!(kind(&answer(&plain(), 403, &[])), Some(ErrorKind::HttpStatus));
        let forbidden =
            Case { missing: MissingWhen { status: vec![403], content_type: None }, ..plain() };
        assert_eq!(answer(&forbidden, 403, &[]), Answer::Missing { status: 403 });
        assert_eq!(kind(&answer(&forbidden, 404, &[])), Some(ErrorKind::HttpStatus));
    }

    #[test]
    fn only_a_conditional_request_can_be_answered_by_304() {
        assert_eq!(answer(&Case { conditional: true, ..plain() }, 304, &[]), Answer::NotModified);
        assert_eq!(kind(&answer(&plain(), 304, &[])), Some(ErrorKind::Protocol));
    }

    #[test]
    fn what_passes_is_retried_and_what_does_not_is_not() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(
                matches!(answer(&plain(), status, &[]), Answer::Retry { after: None, .. }),
                "{status}"
            );
        }
        for status in [400, 401, 403, 405, 406, 409, 411, 416, 451, 501, 505, 507, 204, 205, 206] {
            assert!(matches!(answer(&plain(), status, &[]), Answer::Fail(_)), "{status}");
        }
        let Answer::Retry { after, .. } = answer(&plain(), 503, &[("retry-after", "3")]) else {
            panic!()
        };
        assert_eq!(after, Some(RetryAfter(Duration::from_secs(3))));
    }

    #[test]
    fn lies_about_the_body_are_refused() {
        let refused: [(&[(&str, &str)], ErrorKind); 9] = [
            (&[("content-length", "5"), ("content-length", "6")], ErrorKind::Protocol),
            (&[("content-length", "+5")], ErrorKind::Protocol),
            (&[("content-length", "5,5")], ErrorKind::Protocol),
            (&[("content-length", "-1")], ErrorKind::Protocol),
            (&[("content-length", "99999999999999999999")], ErrorKind::Protocol),
            (&[("content-length", "5"), ("transfer-encoding", "chunked")], ErrorKind::Protocol),
            (&[("content-length", "5"), ("content-range", "bytes 0-4/10")], ErrorKind::Protocol),
            (
                &[("content-length", "5"), ("content-encoding", "gzip")],
                ErrorKind::UnexpectedContent,
            ),
            (&[("content-length", "0")], ErrorKind::UnexpectedContent),
        ];
        for (fields, expected) in refused {
            assert_eq!(kind(&answer(&plain(), 200, fields)), Some(expected), "{fields:?}");
        }
    }

    #[test]
    fn a_body_without_an_end_is_accepted_only_where_that_is_said() {
        let open = Case { framed: false, ..plain() };
        assert_eq!(kind(&answer(&open, 200, &[])), Some(ErrorKind::Protocol));
        let allowed = Case {
            expect: Expect { unframed: true, ..Expect::default() },
            framed: false,
            ..plain()
        };
        assert_eq!(answer(&allowed, 200, &[]), Answer::Whole { length: None });
        let known = Case { length: Length::Exactly(5), framed: false, ..plain() };
        assert_eq!(answer(&known, 200, &[]), Answer::Whole { length: None });
    }

    #[test]
    fn sizes_are_held_against_the_manifest() {
        let expect = Expect { min_size: 3, max_size: Some(5), ..Expect::default() };
        let bounded = Case { expect, ..plain() };
        assert_eq!(
            kind(&answer(&bounded, 200, &[("content-length", "6")])),
            Some(ErrorKind::TooLarge)
        );
        assert_eq!(
            kind(&answer(&bounded, 200, &[("content-length", "2")])),
            Some(ErrorKind::UnexpectedContent)
        );
        assert_eq!(
            answer(&bounded, 200, &[("content-length", "3")]),
            Answer::Whole { length: Some(3) }
        );
        let empty = Case { expect: Expect { min_size: 0, ..Expect::default() }, ..plain() };
        assert_eq!(
            answer(&empty, 200, &[("content-length", "0")]),
            Answer::Whole { length: Some(0) }
        );
        let sized = Case { length: Length::Exactly(4), ..plain() };
        assert_eq!(
            kind(&answer(&sized, 200, &[("content-length", "5")])),
            Some(ErrorKind::UnexpectedContent)
        );
    }

    #[test]
    fn a_redirect_says_where_to() {
        for status in [301, 302, 303, 307, 308] {
            assert_eq!(
                answer(&plain(), status, &[("location", "/b")]),
                Answer::Redirect { location: "/b".to_owned() }
            );
        }
        assert_eq!(kind(&answer(&plain(), 302, &[])), Some(ErrorKind::Redirect));
        assert_eq!(
            kind(&answer(&plain(), 300, &[("location", "/b")])),
            Some(ErrorKind::HttpStatus)
        );
    }

    #[test]
    fn the_rest_is_taken_only_where_it_is_that_of_the_same_file() {
        let etag = Some("\"a\"");
        let (last_modified, pinned) = (Some("Sun, 06 Nov 1994 08:49:37 GMT"), false);
        let (length, upto, total) = (4, None, Some(10));
        let here = Here { length, upto, total, etag, last_modified, pinned };
        let resuming = Case { here: Some(here), ..plain() };
        let range = |range: &'static str| ("content-range", range);
        let rest = [range("bytes 4-9/10"), ("etag", "\"a\""), ("content-length", "6")];
        assert_eq!(answer(&resuming, 206, &rest), Answer::Rest { length: 6 });
        let unknown = Case { here: Some(Here { total: None, ..here }), ..plain() };
        let longer = [range("bytes 4-11/12"), ("etag", "\"a\"")];
        assert_eq!(answer(&unknown, 206, &longer), Answer::Rest { length: 8 });
        // Only a digest of the whole makes up for a validator that is not there.
        let decided = Case { here: Some(Here { pinned: true, ..here }), ..plain() };
        assert_eq!(answer(&decided, 206, &rest[..1]), Answer::Rest { length: 6 });
        let dated = Case { here: Some(Here { etag: None, ..here }), ..plain() };
        let same = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer(&dated, 206, &[rest[0], same]), Answer::Rest { length: 6 });
        let other = ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT");
        for case in [&dated, &decided, &resuming] {
            assert_eq!(answer(case, 206, &[rest[0], other]), Answer::Restart);
        }
        for (status, headers) in [
            (206, vec![range("bytes 4-9/10"), ("etag", "\"b\"")]),
            (206, vec![range("bytes 4-9/10")]),
            (206, vec![range("bytes 4-9/10"), ("etag", "\"a\""), ("content-length", "5")]),
            (206, vec![range("bytes 4-9/10"), rest[1], ("content-encoding", "gzip")]),
            (206, vec![range("bytes 3-9/10"), rest[1]]),
            (206, vec![range("bytes 5-9/10"), rest[1]]),
            (206, vec![range("bytes 4-8/10"), rest[1]]),
            (206, vec![range("bytes 4-10/11"), rest[1]]),
            (206, vec![range("bytes 4-9/*"), rest[1]]),
            (206, vec![range("bytes 9-4/10"), rest[1]]),
            (206, vec![range("bytes 4-18446744073709551615/18446744073709551616"), rest[1]]),
            (206, vec![range("items 4-9/10"), rest[1]]),
            (206, vec![("content-type", "multipart/byteranges; boundary=x")]),
            (206, vec![]),
            (412, vec![]),
            (416, vec![range("bytes */10")]),
        ] {
            assert_eq!(
                answer(&resuming, status, &headers),
                Answer::Restart,
                "{status} {headers:?}"
            );
        }
        assert_eq!(
            answer(&resuming, 200, &[("content-length", "10")]),
            Answer::Whole { length: Some(10) }
        );
        // In the middle, exactly what was asked for.
        let middle = Case { here: Some(Here { upto: Some(8), ..here }), ..plain() };
        let inner = [range("bytes 4-7/10"), rest[1]];
        assert_eq!(answer(&middle, 206, &inner), Answer::Rest { length: 4 });
        for other in ["bytes 4-9/10", "bytes 4-6/10", "bytes 4-7/11"] {
            assert_eq!(answer(&middle, 206, &[range(other), rest[1]]), Answer::Restart);
        }
        // Nobody asked for a part.
        assert!(matches!(answer(&plain(), 206, &rest), Answer::Fail(_)));
        assert!(matches!(answer(&plain(), 416, &[]), Answer::Fail(_)));
    }
}
