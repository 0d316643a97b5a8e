//! Strings that must not be printed, and texts that may contain them.

use std::fmt;

/// A string whose `Debug` and `Display` print `***`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps a string.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The string itself, to be sent and never to be printed or stored.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Values with the placeholders that stand for them in print.
#[derive(Clone, Debug, Default)]
pub(super) struct Hidden(Vec<(Secret, String)>);

/// A shorter value is also part of ordinary words and numbers.
const SHORTEST: usize = 6;

impl Hidden {
    pub(super) fn add(&mut self, value: &str, placeholder: &str) {
        let value = value.trim();
        let is_known = self.0.iter().any(|(known, _)| known.expose() == value);
        if SHORTEST <= value.len() && !is_known {
            self.0.push((Secret::new(value.to_owned()), placeholder.to_owned()));
            // A value may be part of another one.
            self.0.sort_by_key(|(value, _)| std::cmp::Reverse(value.expose().len()));
        }
    }

    /// The text with placeholders; none if it contains no value.
    pub(super) fn hide(&self, text: &str) -> Option<String> {
        let mut hidden: Option<String> = None;
        for (value, placeholder) in &self.0 {
            let now = hidden.as_deref().unwrap_or(text);
            if now.contains(value.expose()) {
                hidden = Some(now.replace(value.expose(), placeholder));
            }
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_replaced_by_their_placeholders() {
        let mut hidden = Hidden::default();
        hidden.add("secret", "${A}");
        hidden.add("Bearer secret-2", "(the value of `Authorization`)");
        hidden.add("8080", "${PORT}");
        let shown = |text| hidden.hide(text);
        assert_eq!(
            shown("the content type is `text/secret`").unwrap(),
            "the content type is `text/${A}`"
        );
        assert_eq!(shown("`Bearer secret-2`").unwrap(), "`(the value of `Authorization`)`");
        assert_eq!(shown("no answer from h:8080"), None);
        assert!(!format!("{hidden:?}").contains("secret"));
    }
}
