//! The grammar of validators and dates (RFC 9110, sections 5.6.7 and 8.8.3).

use crate::pin::Validators;

/// Seconds since 1970 of a date in any of the three forms of RFC 9110, section 5.6.7, or in one of
/// RFC 5322, section 3.3, which some servers send: with another zone, or without a leading zero.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    let text = text.trim();
    let Ok(time) = httpdate::parse_http_date(text) else { return mail_date(text) };
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(i64::wrapping_neg),
    }
}

fn mail_date(text: &str) -> Option<i64> {
    const PARSER: jiff::fmt::rfc2822::DateTimeParser =
        jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true);
    // RFC 5322 has `UT` and `GMT` alone.
    let zoned = text.strip_suffix(" UTC").map(|date| format!("{date} GMT"));
    PARSER.parse_timestamp(zoned.as_deref().unwrap_or(text)).ok().map(jiff::Timestamp::as_second)
}

/// Whether two sets of validators have one in common that differs: entity tags by their weak
/// comparison (RFC 9110, section 8.8.3.2), dates by their second.
pub(crate) fn contradict(one: &Validators, other: &Validators) -> bool {
    let opaque = |tag: &String| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let tags = one.etag.as_ref().zip(other.etag.as_ref());
    let dates = one.last_modified.as_ref().zip(other.last_modified.as_ref());
    tags.is_some_and(|(one, other)| opaque(one) != opaque(other))
        || dates.is_some_and(|(one, other)| {
            one != other && http_date(one).is_none_or(|at| http_date(other) != Some(at))
        })
}

pub(super) fn is_entity_tag(tag: &str) -> bool {
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
    }

    #[test]
    fn unusual_dates() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sun, 06 Nov 1994 08:49:37 -0000",
            "Sun, 06 Nov 1994 10:49:37 +0200",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 UT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 UTC",
            "6 Nov 1994 08:49:37 GMT",
            " Mon, 06 Nov 1994 08:49:37 +0000 ",
        ] {
            assert_eq!(http_date(text), Some(784_111_777), "{text}");
        }
        for text in ["yesterday", "", "Sun, 31 Feb 1994 08:49:37 UTC", "784111777", "1994-11-06"] {
            assert_eq!(http_date(text), None, "{text}");
        }
    }
}
