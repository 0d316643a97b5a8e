//! Escapes literal text for templates.

/// Doubles braces, so that a template does not read them as an insertion.
pub(super) fn escaped(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
