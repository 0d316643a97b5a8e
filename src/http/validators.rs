//! The grammar of validators and dates (RFC 9110, sections 5.6.7 and 8.8.3).

use crate::pin::Validators;

/// Seconds since 1970 of a date in any of the three forms of RFC 9110, section 5.6.7.
pub(crate) fn http_date(text: &str) -> Option<i64> {
    let time = httpdate::parse_http_date(text.trim()).ok()?;
    match time.duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(i64::wrapping_neg),
    }
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
        assert_eq!(http_date("yesterday"), None);
    }
}
