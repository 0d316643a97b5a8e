//! Validators: what makes it possible to ask whether a file is still the same (RFC 9110, section 8.8).

use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderName, LAST_MODIFIED};

use crate::pin::Validators;

/// No longer one is kept: it would be sent back with every request.
const LONGEST: usize = 1024;

/// `ETag` and `Last-Modified` of an answer, as they were sent; what is malformed or too long counts
/// as not sent.
pub(crate) fn upstream_validators(headers: &HeaderMap) -> Validators {
    let etag = single(headers, &ETAG).filter(|tag| is_entity_tag(tag));
    let modified = single(headers, &LAST_MODIFIED).filter(|date| http_date(date).is_some());
    Validators { etag: etag.map(str::to_owned), last_modified: modified.map(str::to_owned) }
}

/// The one value of a header that may stand once.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    (values.next().is_none() && value.len() <= LONGEST).then_some(value)
}

/// Seconds since 1970 of a date in any of the three forms of RFC 9110, section 5.6.7.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(i64::wrapping_neg),
    }
}

fn is_entity_tag(tag: &str) -> bool {
    let opaque = tag.strip_prefix("W/").unwrap_or(tag);
    opaque.len() >= 2
        && opaque.starts_with('"')
        && opaque.ends_with('"')
        && opaque[1..opaque.len() - 1]
            .bytes()
            .all(|byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || 0x80 <= byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags() {
        for good in [r#""a""#, r#"W/"a-1""#, r#""""#] {
            assert!(is_entity_tag(good), "{good}");
        }
        for bad in ["a", r#""a"#, r#"w/"a""#, r#""a"b""#, "\"a b\"", "W/a", "\""] {
            assert!(!is_entity_tag(bad), "{bad}");
        }
    }

    #[test]
    fn all_three_forms_of_a_date() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(http_date(text), Some(784_111_777), "{text}");
        }
        assert_eq!(http_date("yesterday"), None);
    }
}
