//! Escapes untrusted text, so that it can steer neither a terminal nor the reader of a log.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::path::Path;

/// Text from outside the program: a path, a URL, a message that quotes a server.
///
/// `Display` writes every character that could steer a terminal or reorder a line as `\u{..}`:
/// control characters, including newlines, and the invisible marks of text direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untrusted<'a>(pub &'a str);

impl<'a> Untrusted<'a> {
    /// The escaped text.
    #[must_use]
    pub(crate) fn escaped(self) -> Cow<'a, str> {
        if self.is_plain() { Cow::Borrowed(self.0) } else { Cow::Owned(self.to_string()) }
    }

    /// The escaped form of a file system path. Bytes that are not UTF-8 become `\x..`.
    #[must_use]
    pub(crate) fn path(path: &Path) -> String {
        let mut escaped = String::new();
        for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
            let _ = write!(escaped, "{}", Untrusted(chunk.valid()));
            for byte in chunk.invalid() {
                let _ = write!(escaped, "\\x{byte:02x}");
            }
        }
        escaped
    }

    fn is_plain(self) -> bool {
        self.0.bytes().all(|byte| matches!(byte, b' '..=b'~')) || !self.0.contains(is_hostile)
    }
}

impl fmt::Display for Untrusted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(is_hostile) {
            f.write_str(&rest[..at])?;
            let mut chars = rest[at..].chars();
            if let Some(hostile) = chars.next() {
                write!(f, "{}", hostile.escape_unicode())?;
            }
            rest = chars.as_str();
        }
        f.write_str(rest)
    }
}

/// Whether a character controls the terminal or the layout of a line instead of showing something.
pub(super) fn is_hostile(character: char) -> bool {
    // C0, DEL and C1.
    let control = character.is_control();
    // Marks, embeddings, overrides and isolates of the Unicode Bidirectional Algorithm (UAX #9).
    let bidi = matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    // Some programs end a line at the Unicode line and paragraph separators.
    control || bidi || matches!(character, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Untrusted(text).to_string(), expected);
        assert_eq!(Untrusted(text).escaped(), expected);
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        check("2024/Ünïcode 😀 {a}-[1] 100 %.jpg", "2024/Ünïcode 😀 {a}-[1] 100 %.jpg");
        check("", "");
    }

    #[test]
    fn control_characters_are_escaped() {
        check("a\u{1b}[2Jb", r"a\u{1b}[2Jb");
        check("\u{1b}]52;c;aGk=\u{7}", r"\u{1b}]52;c;aGk=\u{7}");
        check("one\ntwo\r\t\0", r"one\u{a}two\u{d}\u{9}\u{0}");
        check("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}");
        check("gpj.\u{202e}exe\u{2066}\u{200f}", r"gpj.\u{202e}exe\u{2066}\u{200f}");
    }

    #[cfg(unix)]
    #[test]
    fn a_path_that_is_not_utf_8_is_escaped() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(OsStr::from_bytes(b"a\xff\x1bb"));
        assert_eq!(Untrusted::path(path), r"a\xff\u{1b}b");
    }
}
