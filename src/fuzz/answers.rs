//! Laws of what servers send: heads, ranges, dates.

use super::text;
use crate::http::{
    Asked, Content, Head, Headers, Here, Length, NoContent, RetryAfter, classify, http_date,
};
use crate::manifest::{Expect, MissingWhen};
use crate::pin::Validators;

/// Parses a status in the first line and header fields in the others. Fields that a connection would
/// reject are skipped.
fn head_of(bytes: &[u8]) -> Option<Head> {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let status = std::str::from_utf8(lines.next()?).ok()?.trim().parse().ok()?;
    let mut headers = Headers::default();
    for line in lines {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        headers.add(&line[..colon], line[colon + 1..].trim_ascii());
    }
    (100..1000).contains(&status).then_some(Head { status, headers, framed: true })
}

pub(super) fn response_heads(input: &[u8]) {
    let Some(head) = head_of(input) else { return };
    holds(&head);
}

/// A rest fits what is here: it begins at its end, and ends where the file does.
pub(super) fn content_ranges(input: &[u8]) {
    let mut headers = Headers::default();
    headers.add(b"Content-Range", input);
    headers.add(b"ETag", b"\"a\"");
    for status in [200, 206, 416] {
        holds(&Head { status, headers: headers.clone(), framed: true });
    }
}

/// The class of a response is one that its status and the request allow.
fn holds(head: &Head) {
    let (expect, missing) = (Expect::default(), MissingWhen::default());
    let none = Validators::default();
    let validators = Validators { etag: Some("\"a\"".to_owned()), last_modified: None };
    let (upto, total) = (None, Some(12));
    let here = Here { length: 5, upto, total, validators: &validators, pinned: false };
    let status = head.status;
    for (conditional, here) in
        [(false, None), (true, None), (false, Some(here)), (true, Some(here))]
    {
        for length in
            [Length::Unknown, Length::Exactly(12), Length::Pinned(None), Length::Pinned(Some(12))]
        {
            let asked = Asked {
                conditions: if conditional { &validators } else { &none },
                head_only: false,
                expect: &expect,
                missing: &missing,
                length,
                here,
                is_label: false,
                now: 1_300_000_000,
            };
            match classify(&asked, head) {
                Ok(Content::Whole { .. }) => assert!([200, 203, 206].contains(&status)),
                Ok(Content::Rest { length }) => {
                    assert!(here.is_some() && status == 206 && 5 < length);
                }
                Ok(Content::NotModified) => assert!(conditional && status == 304),
                Ok(Content::Missing { status }) => {
                    assert!(asked.is_plain() && [404, 410].contains(&status));
                }
                Err(NoContent::Redirect { .. }) => assert!((300..400).contains(&status)),
                _ => {}
            }
        }
    }
}

pub(super) fn dates(input: &[u8]) {
    let text = text(input);
    let _ = http_date(&text);
    let _ = RetryAfter::parse(&text, None, 0);
    let _ = RetryAfter::parse(&text, Some(&text), i64::MAX);
    let _ = RetryAfter::parse("Mon, 17 Aug 2009 00:00:00 GMT", Some(&text), i64::MIN);
}
