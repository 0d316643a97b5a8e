//! Sends requests elsewhere than to the URLs that the manifest declares.
//!
//! A rewrite changes only the requested URL. Paths, lock and state keep the declared one, so the
//! same manifest has the same result behind a company's proxy, or with a copy of the origin.

use std::borrow::Cow;
use std::fmt;

/// Some `PREFIX=PREFIX` rules. Where several fit a URL, the longest prefix wins, and among equal
/// ones the first.
///
/// ```
/// use natsync::ops::{Rewrite, Rewrites};
///
/// let rule = Rewrite::parse("https://example.org/=http://127.0.0.1:8080/")?;
/// let rewrites = Rewrites::new(vec![rule]);
/// assert_eq!(rewrites.apply("https://example.org/a.jpg"), "http://127.0.0.1:8080/a.jpg");
/// # Ok::<(), natsync::ops::RewriteError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rewrites {
    /// Longest first.
    rules: Vec<Rewrite>,
}

impl Rewrites {
    /// Those rules; earlier ones stand above later ones with the same prefix.
    #[must_use]
    pub fn new(mut rules: Vec<Rewrite>) -> Self {
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.from.len()));
        Self { rules }
    }

    /// The URL to ask for in place of `url`.
    #[must_use]
    pub fn apply<'a>(&self, url: &'a str) -> Cow<'a, str> {
        self.rules
            .iter()
            .find_map(|rule| {
                let rest = url.strip_prefix(rule.from.as_str())?;
                Some(Cow::Owned(format!("{}{rest}", rule.to)))
            })
            .unwrap_or(Cow::Borrowed(url))
    }

    /// Whether no URL is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// One rule: a URL that begins with the first text is asked for at the second.
///
/// The second may hold a password, so neither prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Rewrite {
    from: String,
    to: String,
}

impl Rewrite {
    /// Reads `PREFIX=PREFIX`.
    ///
    /// The `=` that parts them is the one before the second `http://` or `https://`, so that either
    /// prefix may hold others. A prefix that is a bare origin means all of that origin and nothing
    /// else: `http://a.example` does not fit `http://a.example.org/`.
    ///
    /// # Errors
    /// When there is no `=`, or a side does not begin like an http or https URL. The message does
    /// not repeat the text.
    pub fn parse(text: &str) -> Result<Self, RewriteError> {
        let (from, to) = split(text).ok_or(RewriteError::NoEquals)?;
        let after_from = after_scheme(from).ok_or(RewriteError::NoUrl { side: "first" })?;
        let after_to = after_scheme(to).ok_or(RewriteError::NoUrl { side: "second" })?;
        let (mut from, mut to) = (from.to_owned(), to.to_owned());
        let whole_origin = !after_from.contains('/');
        if whole_origin {
            from.push('/');
        }
        if !after_to.contains('/') || whole_origin && !to.ends_with('/') {
            to.push('/');
        }
        Ok(Self { from, to })
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rewrite(***)")
    }
}

/// Why a text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Nothing parts the two prefixes.
    #[error("`=` is missing between two prefixes, as in PREFIX=PREFIX")]
    NoEquals,
    /// A side is not how a URL begins.
    #[error("the {side} prefix must begin with `http://` or `https://` and a host")]
    NoUrl {
        /// Which of the two.
        side: &'static str,
    },
}

const SCHEMES: [&str; 2] = ["http://", "https://"];

fn split(text: &str) -> Option<(&str, &str)> {
    let before_second_url = SCHEMES
        .iter()
        .filter_map(|scheme| {
            let at = text.find(&format!("={scheme}"))?;
            Some((&text[..at], &text[at + 1..]))
        })
        .min_by_key(|(from, _)| from.len());
    before_second_url.or_else(|| text.split_once('='))
}

/// What follows the scheme, where there is one and a host after it.
fn after_scheme(prefix: &str) -> Option<&str> {
    let rest = SCHEMES.iter().find_map(|scheme| prefix.strip_prefix(scheme))?;
    let host_follows = !rest.starts_with(['/', '?', '#']) && !rest.is_empty();
    host_follows.then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rules: &[&str], url: &str, expected: &str) {
        let rules = rules.iter().map(|text| Rewrite::parse(text).unwrap()).collect();
        assert_eq!(Rewrites::new(rules).apply(url), expected);
    }

    #[test]
    fn a_prefix_is_exchanged() {
        check(
            &["http://a.example/=http://127.0.0.1:80/"],
            "http://a.example/x/y.jpg",
            "http://127.0.0.1:80/x/y.jpg",
        );
        check(
            &["http://a.example/img/=https://p/m/"],
            "http://a.example/img/y.jpg",
            "https://p/m/y.jpg",
        );
        check(&["http://a.example/=http://p/"], "https://a.example/x", "https://a.example/x");
        check(&[], "http://a.example/x", "http://a.example/x");
    }

    #[test]
    fn a_bare_origin_is_that_origin_alone() {
        check(&["http://a.example=http://p"], "http://a.example/x", "http://p/x");
        check(&["http://a.example=http://p/m"], "http://a.example/x", "http://p/m/x");
        check(&["http://a.example=http://p"], "http://a.example.org/x", "http://a.example.org/x");
        check(&["http://a.example=http://p"], "http://a.example:8080/x", "http://a.example:8080/x");
        check(&["http://a.example/=http://p"], "http://a.example/x", "http://p/x");
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_first() {
        let rules = ["http://a/=http://p/", "http://a/deep/=http://q/", "http://a/=http://r/"];
        check(&rules, "http://a/deep/x", "http://q/x");
        check(&rules, "http://a/x", "http://p/x");
    }

    #[test]
    fn prefixes_may_hold_equals_signs() {
        check(&["http://a/get?id==http://p/id/"], "http://a/get?id=7", "http://p/id/7");
        check(&["https://a/=http://p/?u=https://a/"], "https://a/x", "http://p/?u=https://a/x");
    }

    #[test]
    fn what_is_no_rule_is_refused_without_repeating_it() {
        let no_url = |side| Err(RewriteError::NoUrl { side });
        assert_eq!(Rewrite::parse("http://a/"), Err(RewriteError::NoEquals));
        assert_eq!(Rewrite::parse("a=http://p/"), no_url("first"));
        assert_eq!(Rewrite::parse("http://=http://p/"), no_url("first"));
        assert_eq!(Rewrite::parse("http://a/=ftp://p/"), no_url("second"));
        assert_eq!(Rewrite::parse("http://a/="), no_url("second"));
        assert_eq!(Rewrite::parse("http://a/=http:///"), no_url("second"));
        let rule = Rewrite::parse("http://a/=http://user:canary@p/").unwrap();
        assert!(!format!("{rule:?}").contains("canary"));
    }
}
