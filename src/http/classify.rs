//! What a response means: one pure function from the head of a response to what follows from it.

use hyper::StatusCode;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, LAST_MODIFIED, LOCATION, RETRY_AFTER,
    TRANSFER_ENCODING,
};

use super::coding::applied;
use super::headers::Headers;
use super::retry::RetryAfter;
use super::status::is_transient;
use super::validators::contradict;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::{Expect, MissingWhen};
use crate::pin::Validators;

/// What is known of a file's length before it is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Length {
    /// Only the bounds in the manifest hold.
    Unknown,
    /// In bytes.
    Exactly(u64),
    /// The digest is known, and perhaps the length. The digest decides, whatever length the server
    /// declares.
    Pinned(Option<u64>),
}

/// A file up to this size is received whole even if its length is wrong: its content (an error
/// page, say) tells more about the cause than its length.
const TELLING: u64 = 1024 * 1024;

impl Length {
    /// The number of bytes after which receiving stops.
    pub(crate) fn most(self, expect: &Expect) -> Option<u64> {
        match self {
            Self::Unknown | Self::Pinned(None) => expect.max_size,
            Self::Exactly(size) => Some(size),
            Self::Pinned(Some(size)) => Some(size.max(TELLING)),
        }
    }
}

/// What the request was, as far as it decides what the response means.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The conditions that were sent. Only a request with some can be answered with 304.
    pub(crate) conditions: &'a Validators,
    /// HEAD: no body follows.
    pub(crate) head_only: bool,
    pub(crate) expect: &'a Expect,
    pub(crate) missing: &'a MissingWhen,
    pub(crate) length: Length,
    /// The bytes that are here already, if the request was for a range.
    pub(crate) here: Option<Here<'a>>,
    /// `Content-Encoding` may be a label that the file's name explains, rather than an applied coding.
    pub(crate) is_label: bool,
    /// When the response came, in seconds since 1970.
    pub(crate) now: i64,
}

impl Asked<'_> {
    /// Whether it was a plain GET, with neither conditions nor a range. Only that proves what
    /// upstream has.
    pub(crate) fn is_plain(&self) -> bool {
        !self.head_only && self.conditions.is_empty() && self.here.is_none()
    }
}

/// The beginning of a file that is here already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here<'a> {
    /// Bytes.
    pub(crate) length: u64,
    /// The end (exclusive) of the requested range, if it is not the end of the file.
    pub(crate) upto: Option<u64>,
    /// The length of the whole file, if the server declared it.
    pub(crate) total: Option<u64>,
    /// Those of the response that brought these bytes.
    pub(crate) validators: &'a Validators,
    /// The digest of the whole file decides in the end, so a response may omit the validators.
    pub(crate) pinned: bool,
}

/// The head of a response.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    /// Whether the message itself tells where the body ends: by its length, chunks, or HTTP/2
    /// frames.
    pub(crate) framed: bool,
}

/// What a response that is no failure brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The body is the file. `length` in bytes, if declared.
    Whole { length: Option<u64> },
    /// The body is the rest of the file, `length` bytes long.
    Rest { length: u64 },
    /// It proves nothing of the file, since the request was no plain GET: a plain GET has to decide.
    Unclear,
    /// The copy on disk is current.
    NotModified,
    /// Upstream does not have the file. Only a plain GET is answered so.
    Missing { status: u16 },
}

/// Why a response brings nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoContent {
    Redirect {
        location: String,
    },
    /// It may succeed another time.
    Retry {
        failure: Failure,
        after: Option<RetryAfter>,
    },
    /// Another request would fail in the same way.
    Fail(Failure),
}

impl From<Failure> for NoContent {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

/// The bytes from 0x80 on. `percent_encode` always encodes those; this set adds none.
const NOT_ASCII: &percent_encoding::AsciiSet = &percent_encoding::AsciiSet::EMPTY;

/// Decides what a response means (docs/transfer.md, "Questions and answers").
pub(crate) fn classify(asked: &Asked<'_>, head: &Head) -> Result<Content, NoContent> {
    match meaning(asked, head)? {
        Content::Missing { .. } if !asked.is_plain() => Ok(Content::Unclear),
        content => Ok(content),
    }
}

fn meaning(asked: &Asked<'_>, head: &Head) -> Result<Content, NoContent> {
    let (status, headers) = (head.status, &head.headers);
    let after = headers
        .single(&RETRY_AFTER)
        .and_then(|text| RetryAfter::parse(text, headers.single(&DATE), asked.now));
    // A client that is throttled learns nothing about the file.
    let is_throttled = status == 403 && after.is_some();
    if asked.missing.status.contains(&status) && !is_throttled {
        return Ok(Content::Missing { status });
    }
    match status {
        200 | 203 => whole(asked, head),
        206 if !asked.head_only && whole_range(headers).is_some() => whole(asked, head),
        206 | 412 | 416 if asked.here.is_some() => {
            let here = asked.here.filter(|_| status == 206);
            let rest = here.and_then(|here| rest(asked, &here, head));
            Ok(rest.map_or(Content::Unclear, |length| Content::Rest { length }))
        }
        304 if confirms(asked.conditions, headers) => Ok(Content::NotModified),
        206 | 304 | 412 | 416 if !asked.is_plain() => Ok(Content::Unclear),
        304 => {
            let what = "the server answers 304 to a request that was not conditional";
            Err(protocol(what).with_status(304).into())
        }
        301 | 302 | 303 | 307 | 308 => Err(redirect(status, headers)),
        _ if is_transient(status, after.is_some()) => {
            Err(NoContent::Retry { failure: refused(status), after })
        }
        _ => Err(refused(status).into()),
    }
}

fn redirect(status: u16, headers: &Headers) -> NoContent {
    let Some(location) = headers.0.get(LOCATION) else {
        let problem = "the server redirects and does not say where to";
        return Failure::new(ErrorKind::Redirect, problem).with_status(status).into();
    };
    let location = match std::str::from_utf8(location.as_bytes()) {
        Ok(text) => text.to_owned(),
        // Bytes of another encoding, such as Latin-1: the server knows its own names.
        Err(_) => percent_encoding::percent_encode(location.as_bytes(), NOT_ASCII).to_string(),
    };
    NoContent::Redirect { location }
}

/// The length of the rest, if the response is exactly the requested range of the same file (RFC
/// 9110, section 15.3.7); none in case of doubt.
fn rest(asked: &Asked<'_>, here: &Here<'_>, head: &Head) -> Option<u64> {
    let headers = &head.headers;
    if !asked.is_label && !here.pinned && headers.coding().is_some() {
        return None;
    }
    let (first, last, total) = content_range(headers.single(&CONTENT_RANGE)?)?;
    // Caches that do not know `If-Range` send a range of any version, so the response's own
    // validators have to match.
    let agrees = |ours: &Option<String>, name| match (ours, headers.single(name)) {
        (Some(ours), Some(theirs)) => Some(ours == theirs),
        _ => None,
    };
    let Validators { etag, last_modified } = here.validators;
    let same = match (agrees(etag, &ETAG), agrees(last_modified, &LAST_MODIFIED)) {
        (Some(same), _) => same,
        (None, Some(same)) => same && (here.pinned || etag.is_none()),
        (None, None) => here.pinned,
    };
    let length = last.checked_sub(first)?.checked_add(1)?;
    let declared = declared_length(headers).ok()?;
    let fits = first == here.length
        && last.checked_add(1) == Some(here.upto.unwrap_or(total).min(total))
        && here.total.is_none_or(|known| known == total)
        && declared.is_none_or(|declared| declared == length);
    (same && fits && head.framed).then_some(length)
}

/// Whether a 304 is about the representation that the request named: it states no other validator
/// than those sent. `If-None-Match` compares weakly (RFC 9110, section 13.1.2).
fn confirms(sent: &Validators, headers: &Headers) -> bool {
    !sent.is_empty() && !contradict(sent, &headers.validators())
}

/// The length of the file, if `Content-Range` says that the body is all of it.
fn whole_range(headers: &Headers) -> Option<u64> {
    let (first, last, total) = content_range(headers.single(&CONTENT_RANGE)?)?;
    (first == 0 && last.checked_add(1) == Some(total)).then_some(total)
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

fn whole(asked: &Asked<'_>, head: &Head) -> Result<Content, NoContent> {
    let headers = &head.headers;
    let media_type = headers.single(&CONTENT_TYPE);
    if let (Some(pattern), Some(media_type)) = (&asked.missing.content_type, media_type)
        && pattern.matches(media_type)
    {
        return Ok(Content::Missing { status: head.status });
    }
    let by_range = whole_range(headers);
    if headers.0.contains_key(CONTENT_RANGE) && by_range.is_none() {
        let what = format!("the server answers {} with a part of the file", head.status);
        return Err(protocol(&format!("{what} (Content-Range)")).into());
    }
    // A pin decides on the bytes as they were sent.
    if let Some(coding) = headers.coding()
        && !asked.is_label
        && !matches!(asked.length, Length::Pinned(_))
    {
        return Err(applied(&coding).into());
    }
    if let Some(coding) = transfer_coding(headers) {
        let what = format!("the server applied `Transfer-Encoding: {coding}`");
        return Err(protocol(&format!("{what}, which was not asked for")).into());
    }
    if let Some(expected) = &asked.expect.content_type
        && !media_type.is_some_and(|media_type| expected.matches(media_type))
    {
        let got =
            media_type.map_or_else(|| "none".to_owned(), |media_type| format!("`{media_type}`"));
        let message = format!("the content type is {got}, expected `{expected}`");
        return Err(Failure::new(ErrorKind::UnexpectedContent, message).into());
    }
    let length = match (declared_length(headers)?, by_range) {
        (Some(length), Some(whole)) if length != whole => {
            return Err(protocol("the server declares two lengths of the file").into());
        }
        (length, whole) => length.or(whole),
    };
    if asked.head_only {
        return Ok(Content::Whole { length });
    }
    if let Some(length) = length {
        check_length(length, asked.expect, asked.length)?;
    }
    Ok(Content::Whole { length })
}

/// Compares a length with what the manifest and the pin expect.
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

/// `Content-Length`. Two that differ, or one beside `Transfer-Encoding`, are an attack or a broken
/// server (RFC 9112, section 6.3).
fn declared_length(headers: &Headers) -> Result<Option<u64>, Failure> {
    let mut length = None;
    for value in headers.0.get_all(CONTENT_LENGTH) {
        let parsed = value
            .to_str()
            .ok()
            .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
        match parsed.and_then(|text| text.parse::<u64>().ok()) {
            Some(parsed) if length.is_none_or(|length| length == parsed) => length = Some(parsed),
            _ => return Err(protocol("the server declares a length that cannot be")),
        }
    }
    if length.is_some() && headers.0.contains_key(TRANSFER_ENCODING) {
        return Err(protocol("the server declares a length and sends chunks"));
    }
    Ok(length)
}

/// The transfer codings, if they are not those that frame a body (RFC 9112, section 6.1).
fn transfer_coding(headers: &Headers) -> Option<String> {
    let values = headers.0.get_all(TRANSFER_ENCODING).iter();
    let text: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
    let text = text.join(", ").to_ascii_lowercase();
    let mut codings = text.split(',').map(str::trim).filter(|coding| *coding != "identity");
    let known = matches!((codings.next(), codings.next()), (None | Some("" | "chunked"), None));
    (!known).then_some(text)
}

fn refused(status: u16) -> Failure {
    let known = StatusCode::from_u16(status).ok().and_then(|known| known.canonical_reason());
    let reason = known.map(|reason| format!(" {reason}")).unwrap_or_default();
    let message = format!("the server answers {status}{reason}");
    let failure = Failure::new(ErrorKind::HttpStatus, message).with_status(status);
    match status {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Expect, MissingWhen};
    use std::time::Duration;

    struct Case<'a> {
        conditions: Validators,
        head_only: bool,
        expect: Expect,
        missing: MissingWhen,
        length: Length,
        here: Option<Here<'a>>,
        framed: bool,
    }

    fn plain<'a>() -> Case<'a> {
        Case {
            conditions: Validators::default(),
            head_only: false,
            expect: Expect::default(),
            missing: MissingWhen::default(),
            length: Length::Unknown,
            here: None,
            framed: true,
        }
    }

    fn answer(case: &Case<'_>, status: u16, fields: &[(&str, &str)]) -> Result<Content, NoContent> {
        let asked = Asked {
            conditions: &case.conditions,
            head_only: case.head_only,
            expect: &case.expect,
            missing: &case.missing,
            length: case.length,
            here: case.here,
            is_label: false,
            now: 0,
        };
        classify(&asked, &Head { status, headers: Headers::of(fields), framed: case.framed })
    }

    fn kind(answer: &Result<Content, NoContent>) -> Option<ErrorKind> {
        match answer {
            Err(NoContent::Fail(failure) | NoContent::Retry { failure, .. }) => Some(failure.kind),
            _ => None,
        }
    }

    #[test]
    fn success() {
        assert_eq!(
            answer(&plain(), 200, &[("content-length", "5")]),
            Ok(Content::Whole { length: Some(5) })
        );
        assert_eq!(
            answer(&plain(), 203, &[("transfer-encoding", "chunked")]),
            Ok(Content::Whole { length: None })
        );
        let identity = [("content-length", "5"), ("content-encoding", "identity")];
        assert_eq!(answer(&plain(), 200, &identity), Ok(Content::Whole { length: Some(5) }));
        assert_eq!(
            answer(&plain(), 200, &[("content-length", "5"), ("content-length", "5")]),
            Ok(Content::Whole { length: Some(5) })
        );
    }

    #[test]
    fn the_manifest_defines_missing() {
        assert_eq!(answer(&plain(), 404, &[]), Ok(Content::Missing { status: 404 }));
        assert_eq!(answer(&plain(), 410, &[]), Ok(Content::Missing { status: 410 }));
        assert_eq!(kind(&answer(&plain(), 403, &[])), Some(ErrorKind::HttpStatus));
        let forbidden =
            Case { missing: MissingWhen { status: vec![403], content_type: None }, ..plain() };
        assert_eq!(answer(&forbidden, 403, &[]), Ok(Content::Missing { status: 403 }));
        assert_eq!(kind(&answer(&forbidden, 404, &[])), Some(ErrorKind::HttpStatus));
    }

    const DATE_1: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const DATE_2: &str = "Mon, 07 Nov 1994 08:49:37 GMT";

    fn validators(etag: Option<&str>, date: Option<&str>) -> Validators {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Validators { etag: own(etag), last_modified: own(date) }
    }

    /// The validators that were sent, those of the response, and whether it confirms them.
    type Row<'a> = (Option<&'a str>, Option<&'a str>, &'a [(&'a str, &'a str)], bool);

    #[test]
    fn a_304_is_about_the_validators_that_were_sent() {
        let (one, two, weak) = ("\"1\"", "\"2\"", "W/\"1\"");
        let rows: &[Row<'_>] = &[
            (Some(one), None, &[], true),
            (Some(one), None, &[("etag", one)], true),
            (Some(one), None, &[("etag", weak)], true),
            (Some(weak), None, &[("etag", one)], true),
            (Some(one), None, &[("etag", two)], false),
            (Some(one), None, &[("last-modified", DATE_2)], true),
            (Some(one), Some(DATE_1), &[("etag", one), ("last-modified", DATE_1)], true),
            (Some(one), Some(DATE_1), &[("etag", one), ("last-modified", DATE_2)], false),
            (Some(one), Some(DATE_1), &[("etag", two), ("last-modified", DATE_1)], false),
            (None, Some(DATE_1), &[("etag", two)], true),
            (None, Some(DATE_1), &[("last-modified", DATE_2)], false),
            // The same second in another form.
            (None, Some(DATE_1), &[("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")], true),
        ];
        for &(etag, date, fields, expected) in rows {
            let case = Case { conditions: validators(etag, date), ..plain() };
            let content = if expected { Content::NotModified } else { Content::Unclear };
            assert_eq!(answer(&case, 304, fields), Ok(content), "{etag:?} {date:?} {fields:?}");
        }
        assert_eq!(kind(&answer(&plain(), 304, &[])), Some(ErrorKind::Protocol));
    }

    /// The law of the table: whatever is answered, only a plain GET says that a file is missing.
    #[test]
    fn only_a_plain_get_says_that_a_file_is_missing() {
        let missing = || MissingWhen {
            status: vec![404, 206, 304, 412, 416, 500],
            content_type: crate::manifest::MediaType::parse("text/html"),
        };
        let known = Validators::default();
        let here =
            Here { length: 4, upto: None, total: Some(10), validators: &known, pinned: true };
        let tagged = validators(Some("\"1\""), None);
        let cases = [
            (true, Case { missing: missing(), ..plain() }),
            (false, Case { missing: missing(), head_only: true, ..plain() }),
            (false, Case { missing: missing(), conditions: tagged.clone(), ..plain() }),
            (false, Case { missing: missing(), here: Some(here), ..plain() }),
            (false, Case { missing: missing(), conditions: tagged, here: Some(here), ..plain() }),
        ];
        for (is_plain, case) in &cases {
            for (status, fields) in [
                (404, &[][..]),
                (206, &[("content-range", "bytes 4-9/10")]),
                (206, &[("content-range", "bytes 0-9/10")]),
                (304, &[]),
                (412, &[]),
                (416, &[]),
                (500, &[]),
                (200, &[("content-type", "text/html"), ("content-length", "5")]),
            ] {
                let expected =
                    if *is_plain { Content::Missing { status } } else { Content::Unclear };
                assert_eq!(answer(case, status, fields), Ok(expected), "{status}");
            }
        }
    }

    #[test]
    fn a_content_range_of_all_bytes_is_the_whole_file() {
        let whole = [("content-range", "bytes 0-9/10"), ("content-length", "10")];
        for status in [200, 206] {
            let expected = Ok(Content::Whole { length: Some(10) });
            assert_eq!(answer(&plain(), status, &whole), expected);
            assert_eq!(answer(&plain(), status, &whole[..1]), expected);
            let conditional = Case { conditions: validators(Some("\"1\""), None), ..plain() };
            assert_eq!(answer(&conditional, status, &whole), expected);
            let lying = [whole[0], ("content-length", "9")];
            assert_eq!(kind(&answer(&plain(), status, &lying)), Some(ErrorKind::Protocol));
        }
        for part in
            ["bytes 0-8/10", "bytes 1-9/10", "bytes 0-9/*", "bytes 0-18446744073709551615/0"]
        {
            assert!(answer(&plain(), 206, &[("content-range", part)]).is_err(), "{part}");
        }
    }

    #[test]
    fn transient_statuses_are_retried_and_others_are_not() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(
                matches!(answer(&plain(), status, &[]), Err(NoContent::Retry { after: None, .. })),
                "{status}"
            );
        }
        for status in [400, 401, 403, 405, 406, 409, 411, 416, 451, 501, 505, 507, 204, 205, 206] {
            assert!(matches!(answer(&plain(), status, &[]), Err(NoContent::Fail(_))), "{status}");
        }
        let Err(NoContent::Retry { after, .. }) = answer(&plain(), 503, &[("retry-after", "3")])
        else {
            panic!()
        };
        assert_eq!(after, Some(RetryAfter(Duration::from_secs(3))));
    }

    #[test]
    fn lies_about_the_body_are_refused() {
        let refused: [(&[(&str, &str)], ErrorKind); 12] = [
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
            (&[("transfer-encoding", "gzip")], ErrorKind::Protocol),
            (&[("transfer-encoding", "gzip, chunked")], ErrorKind::Protocol),
            (&[("transfer-encoding", "chunked, chunked")], ErrorKind::Protocol),
        ];
        for (fields, expected) in refused {
            assert_eq!(kind(&answer(&plain(), 200, fields)), Some(expected), "{fields:?}");
        }
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
            Ok(Content::Whole { length: Some(3) })
        );
        let empty = Case { expect: Expect { min_size: 0, ..Expect::default() }, ..plain() };
        assert_eq!(
            answer(&empty, 200, &[("content-length", "0")]),
            Ok(Content::Whole { length: Some(0) })
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
                Err(NoContent::Redirect { location: "/b".to_owned() })
            );
        }
        assert_eq!(kind(&answer(&plain(), 302, &[])), Some(ErrorKind::Redirect));
        assert_eq!(
            kind(&answer(&plain(), 300, &[("location", "/b")])),
            Some(ErrorKind::HttpStatus)
        );
    }

    #[test]
    fn a_range_is_accepted_only_if_it_belongs_to_the_same_file() {
        let last_modified = Some("Sun, 06 Nov 1994 08:49:37 GMT".to_owned());
        let tagged =
            Validators { etag: Some("\"a\"".to_owned()), last_modified: last_modified.clone() };
        let untagged = Validators { etag: None, last_modified };
        let (length, upto, total) = (4, None, Some(10));
        let here = Here { length, upto, total, validators: &tagged, pinned: false };
        let resuming = Case { here: Some(here), ..plain() };
        let range = |range: &'static str| ("content-range", range);
        let rest = [range("bytes 4-9/10"), ("etag", "\"a\""), ("content-length", "6")];
        assert_eq!(answer(&resuming, 206, &rest), Ok(Content::Rest { length: 6 }));
        let unknown = Case { here: Some(Here { total: None, ..here }), ..plain() };
        let longer = [range("bytes 4-11/12"), ("etag", "\"a\"")];
        assert_eq!(answer(&unknown, 206, &longer), Ok(Content::Rest { length: 8 }));
        // A missing validator is acceptable only if the digest of the whole file decides.
        let decided = Case { here: Some(Here { pinned: true, ..here }), ..plain() };
        assert_eq!(answer(&decided, 206, &rest[..1]), Ok(Content::Rest { length: 6 }));
        let dated = Case { here: Some(Here { validators: &untagged, ..here }), ..plain() };
        let same = ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(answer(&dated, 206, &[rest[0], same]), Ok(Content::Rest { length: 6 }));
        let other = ("last-modified", "Sun, 06 Nov 1994 08:49:38 GMT");
        for case in [&dated, &decided, &resuming] {
            assert_eq!(answer(case, 206, &[rest[0], other]), Ok(Content::Unclear));
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
                Ok(Content::Unclear),
                "{status} {headers:?}"
            );
        }
        assert_eq!(
            answer(&resuming, 200, &[("content-length", "10")]),
            Ok(Content::Whole { length: Some(10) })
        );
        // A range in the middle must be exactly the requested one.
        let middle = Case { here: Some(Here { upto: Some(8), ..here }), ..plain() };
        let inner = [range("bytes 4-7/10"), rest[1]];
        assert_eq!(answer(&middle, 206, &inner), Ok(Content::Rest { length: 4 }));
        for other in ["bytes 4-9/10", "bytes 4-6/10", "bytes 4-7/11"] {
            assert_eq!(answer(&middle, 206, &[range(other), rest[1]]), Ok(Content::Unclear));
        }
        // The request had no range.
        assert!(matches!(answer(&plain(), 206, &rest), Err(NoContent::Fail(_))));
        assert!(matches!(answer(&plain(), 416, &[]), Err(NoContent::Fail(_))));
    }
}
