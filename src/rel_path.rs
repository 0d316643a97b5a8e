//! Relative paths that cannot leave the destination, and hashes and folded forms of them.
//!
//! Paths are checked as text only. That no symbolic link on the disk leads out of the destination is
//! ensured by `dest`.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

/// A relative path of plain names, joined by `/`. A text with anything else is an error and is
/// never normalized: it is more likely an attack or a mistake than what the author wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelPath(String);

/// Why a text is not a path below a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelPathError {
    /// The text is empty.
    #[error("it is empty")]
    Empty,
    /// It begins with a slash.
    #[error("it is absolute")]
    Absolute,
    /// Two slashes in a row, or one at the end.
    #[error("it has an empty component")]
    EmptyComponent,
    /// A component is `.` or `..`.
    #[error("it has a `.` or `..` component, and could leave the destination")]
    Dots,
    /// It has a control character, or a formatting character that changes how a name is displayed.
    #[error("it has a control character")]
    Control,
    /// A component is longer than file systems allow.
    #[error("a component has more than 255 bytes")]
    LongComponent,
    /// It is longer than operating systems allow.
    #[error("it has more than 4096 bytes")]
    Long,
    /// It is in `.natsync`, the directory with natsync's own files.
    #[error("`.natsync` is natsync's own folder")]
    Reserved,
    /// It is not valid on every operating system.
    #[error("{0}")]
    NotPortable(NotPortable),
}

/// Why a path is not portable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPortable {
    /// A component is a device name such as `CON`, `NUL` or `COM1`, with any extension.
    #[error("a component is a name that Windows reserves")]
    Reserved,
    /// It has one of `< > : " | ? * \`.
    #[error("it has a character that Windows forbids")]
    Character,
    /// A component ends in a dot or a space, which Windows removes.
    #[error("a component ends in a dot or a space")]
    Ending,
}

impl RelPath {
    /// Checks a path.
    ///
    /// # Errors
    /// When it is not relative, has empty, `.` or `..` components or control characters, is too
    /// long, or is in natsync's own directory.
    pub fn parse(text: &str) -> Result<Self, RelPathError> {
        check(text).map(|()| Self(text.to_owned()))
    }

    /// The whole path, with `/` between components.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its components, from the destination down.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// Its last component.
    #[must_use]
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }

    /// The path of its folder; `None` if that is the destination itself.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.0.rsplit_once('/').map(|(parent, _)| parent)
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// As [`RelPath::parse`], without a copy of the text.
pub(crate) fn check(text: &str) -> Result<(), RelPathError> {
    if text.is_empty() {
        return Err(RelPathError::Empty);
    }
    if text.starts_with('/') {
        return Err(RelPathError::Absolute);
    }
    if 4096 < text.len() {
        return Err(RelPathError::Long);
    }
    if text.chars().any(steers) {
        return Err(RelPathError::Control);
    }
    for (number, component) in text.split('/').enumerate() {
        match component {
            "" => return Err(RelPathError::EmptyComponent),
            "." | ".." => return Err(RelPathError::Dots),
            _ if 255 < component.len() => return Err(RelPathError::LongComponent),
            _ if number == 0 && component.len() <= 32 && fold(component) == ".natsync" => {
                return Err(RelPathError::Reserved);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a path is valid on every common operating system. It must have passed [`check`].
pub(crate) fn check_portable(text: &str) -> Result<(), RelPathError> {
    let refuse = |why| Err(RelPathError::NotPortable(why));
    if text.contains(['<', '>', ':', '"', '|', '?', '*', '\\']) {
        return refuse(NotPortable::Character);
    }
    for component in text.split('/') {
        if component.ends_with(['.', ' ']) {
            return refuse(NotPortable::Ending);
        }
        if is_device(component) {
            return refuse(NotPortable::Reserved);
        }
    }
    Ok(())
}

/// Whether a character can control a terminal, or change the direction in which text is displayed.
fn steers(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Windows reserves device names with any extension, also with superscript digits.
fn is_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or_default().trim_end_matches(' ');
    let upper = stem.to_ascii_uppercase();
    if matches!(upper.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let digit = upper.strip_prefix("COM").or_else(|| upper.strip_prefix("LPT"));
    digit.is_some_and(|digit| {
        matches!(
            digit,
            "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "\u{b9}" | "\u{b2}" | "\u{b3}"
        )
    })
}

/// A form that is equal for names which some file systems do not distinguish: those that differ
/// only in case, or in Unicode normalization.
#[must_use]
pub(crate) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let lower: String = text.nfc().flat_map(char::to_lowercase).collect();
    lower.nfc().collect()
}

/// A 128-bit hash of a path, which is the same in every run and on every machine. It multiplies and
/// folds eight bytes at a time in two lanes. It is not cryptographic: paths come from the author of
/// the manifest, who has no reason to construct collisions.
#[must_use]
pub fn path_hash(path: &str) -> u128 {
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const SECOND: u64 = 0xd6e8_feb8_6659_fd93;
    let bytes = path.as_bytes();
    let mut lanes = (FIRST ^ bytes.len() as u64, SECOND);
    for block in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..block.len()].copy_from_slice(block);
        let word = u64::from_le_bytes(word);
        lanes.0 = mix(lanes.0 ^ word, FIRST);
        lanes.1 = mix(lanes.1.rotate_left(23) ^ word, SECOND);
    }
    let first = mix(lanes.0 ^ lanes.1.rotate_left(32), SECOND);
    let second = mix(lanes.1 ^ first, FIRST);
    u128::from(first) << 64 | u128::from(second)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves of the product are folded together"
)]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64 ^ a.rotate_left(17)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_paths_are_not_changed() {
        for text in [
            "a",
            "a/b.c",
            ".hidden",
            "...",
            "~root/x",
            "a b",
            "ü/日本",
            ".natsync.txt",
            "a/.natsync",
        ] {
            assert_eq!(RelPath::parse(text).unwrap().as_str(), text);
        }
        let path = RelPath::parse("a/b/c.d").unwrap();
        assert_eq!(
            (path.parent(), path.file_name(), path.components().count()),
            (Some("a/b"), "c.d", 3)
        );
    }

    #[test]
    fn paths_that_leave_the_destination_or_deceive_are_rejected() {
        use RelPathError::{
            Absolute, Control, Dots, Empty, EmptyComponent, Long, LongComponent, Reserved,
        };
        let long = "a".repeat(256);
        let deep = "a/".repeat(2100);
        for (text, error) in [
            ("", Empty),
            ("/a", Absolute),
            ("//a", Absolute),
            ("a//b", EmptyComponent),
            ("a/", EmptyComponent),
            ("..", Dots),
            ("a/../b", Dots),
            ("./a", Dots),
            ("a/.", Dots),
            ("a\0", Control),
            ("a\n", Control),
            ("\u{9b}31m", Control),
            ("a\u{202e}gpj.exe", Control),
            (&*long, LongComponent),
            (&*deep, Long),
            (".natsync", Reserved),
            (".NatSync/x", Reserved),
        ] {
            assert_eq!(RelPath::parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn names_that_windows_forbids_are_not_portable() {
        for text in [
            "CON",
            "nul.txt",
            "a/com1",
            "COM\u{b9}.log",
            "a.",
            "b ",
            "a:b",
            "a\\b",
            "what?",
            "x/<y>",
        ] {
            assert!(check_portable(text).is_err(), "{text}");
        }
        for text in ["console", "com", "com10", "lpt0", "a.b", ".a", "nulls.txt"] {
            assert!(check_portable(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn folding_ignores_case_and_normalization() {
        assert_eq!(fold("Logo.PNG"), fold("logo.png"));
        assert_eq!(fold("caf\u{e9}"), fold("CAFE\u{301}"));
        assert_ne!(fold("a"), fold("b"));
    }

    proptest! {
        #[test]
        fn a_valid_path_never_leaves_the_destination(text in "\\PC{0,40}") {
            if let Ok(path) = RelPath::parse(&text) {
                prop_assert!(path.components().all(|name| !name.is_empty() && name != "." && name != ".."));
                prop_assert!(!text.starts_with('/'));
            }
        }

        #[test]
        fn different_paths_have_different_hashes(a in "[a-c/]{0,24}", b in "[a-c/]{0,24}") {
            prop_assert_eq!(a == b, path_hash(&a) == path_hash(&b));
        }
    }
}
