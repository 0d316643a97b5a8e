//! Percent-encoding (RFC 3986, section 2; RFC 6570, section 3.2).

use std::ops::Range;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::Encoding;

/// All characters except unreserved ones.
const SIMPLE: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const SLASHES: AsciiSet = SIMPLE.remove(b'/');
/// The characters that cannot occur in a URL.
const LITERAL: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

pub(super) fn encode(text: &str, encoding: Encoding, into: &mut String) {
    match encoding {
        Encoding::None => into.push_str(text),
        Encoding::Simple => into.extend(utf8_percent_encode(text, &SIMPLE)),
        Encoding::Slashes => into.extend(utf8_percent_encode(text, &SLASHES)),
        Encoding::Reserved => encode_literal(text, into),
    }
}

/// Appends a text that is already part of a URL: reserved characters and escapes such as `%41` are
/// kept, and only characters that cannot occur in a URL are encoded.
pub(crate) fn encode_literal(text: &str, into: &mut String) {
    let mut rest = text;
    // A percent sign is kept only if two hexadecimal digits follow it.
    while let Some(place) = rest.find('%') {
        into.extend(utf8_percent_encode(&rest[..place], &LITERAL));
        let after = rest.as_bytes().get(place + 1..place + 3);
        let encodes = after.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        into.push_str(if encodes { "%" } else { "%25" });
        rest = &rest[place + 1..];
    }
    into.extend(utf8_percent_encode(rest, &LITERAL));
}

/// Replaces the password of the URL that begins at `start` with `***`. A user without a password is
/// replaced, too: it is more often a token than a name.
pub(super) fn mask_password(url: &mut String, start: usize) {
    let Some(user) = user_of(url, start) else { return };
    let secret = match url[user.clone()].find(':') {
        Some(colon) => user.start + colon + 1,
        None => user.start,
    };
    if secret < user.end {
        url.replace_range(secret..user.end, "***");
    }
}

/// Removes the user and the password of the URL that begins at `start`.
pub(crate) fn remove_user(url: &mut String, start: usize) {
    if let Some(user) = user_of(url, start) {
        url.replace_range(user.start..=user.end, "");
    }
}

/// The place of the user and the password of the URL that begins at `start`; an `@` follows.
fn user_of(url: &str, start: usize) -> Option<Range<usize>> {
    let authority = start + url[start..].find("://")? + 3;
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |end| authority + end);
    let at = url[authority..end].rfind('@')?;
    Some(authority..authority + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(text: &str, encoding: Encoding) -> String {
        let mut into = String::new();
        encode(text, encoding, &mut into);
        into
    }

    #[test]
    fn values_are_encoded_as_in_rfc_6570() {
        assert_eq!(encoded("a b/c?ü~", Encoding::Simple), "a%20b%2Fc%3F%C3%BC~");
        assert_eq!(encoded("a b/c?ü", Encoding::Reserved), "a%20b/c?%C3%BC");
        assert_eq!(encoded("50%25 %zz", Encoding::Reserved), "50%25%20%25zz");
        assert_eq!(encoded("2024/05 10:00", Encoding::Slashes), "2024/05%2010%3A00");
        assert_eq!(encoded("a/b", Encoding::None), "a/b");
    }

    #[test]
    fn passwords_are_masked() {
        for (url, shown) in [
            ("http://me:secret@h/a@b:c", "http://me:***@h/a@b:c"),
            ("http://token@h/", "http://***@h/"),
            ("http://@h/", "http://@h/"),
            ("http://h/x@y:z", "http://h/x@y:z"),
            ("http://me:p@ss@h", "http://me:***@h"),
        ] {
            let mut text = url.to_owned();
            mask_password(&mut text, 0);
            assert_eq!(text, shown);
        }
    }

    proptest! {
        #[test]
        fn decoding_reverses_encoding(text in "\\PC{0,30}") {
            let decoded = percent_encoding::percent_decode_str(&encoded(&text, Encoding::Simple)).decode_utf8().unwrap().into_owned();
            prop_assert_eq!(decoded, text.clone());
            prop_assert!(encoded(&text, Encoding::Simple).bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
