//! The identity of URLs: whether a URL of an earlier run names the same file as one of this run.
//!
//! The shown form cannot tell, because `${BASE}` may have another value by now. The identity has
//! that value filled in, so it may hold a secret. A file keeps the shown form, and beside it a
//! keyed digest of the identity with the key. A reader of the file can test a guess of the secret,
//! but cannot read it, and digests of two files have nothing in common.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::template::remove_user;
use crate::digest::{read_hex, write_hex};

/// What two URLs of the same file have in common: the declared URL in
/// [`Form::Identity`](crate::manifest::entry::Form::Identity). Rewrites and redirects come later.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Identity(String);

/// Bytes that are written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hex<const N: usize>(pub(crate) [u8; N]);

/// The random key of the digests in one file.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdentityKey(Hex<32>);

/// A digest of an identity under the key of its file.
pub(crate) type UrlDigest = Hex<16>;

/// A URL as a file may keep it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptUrl {
    #[serde(rename = "url")]
    shown: String,
    /// None if the shown form determines the identity.
    #[serde(rename = "identity", default, skip_serializing_if = "Option::is_none")]
    keyed: Option<Keyed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Keyed {
    key: IdentityKey,
    digest: UrlDigest,
}

impl Identity {
    pub(crate) fn new(text: String) -> Self {
        Self(text)
    }

    /// The text, to be compared and never to be printed or stored.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl IdentityKey {
    /// A key that no other file has.
    pub(crate) fn random() -> Self {
        let mut key = [0; 32];
        if getrandom::fill(&mut key).is_err() {
            fastrand::fill(&mut key);
        }
        Self(Hex(key))
    }

    pub(crate) fn from_bytes(key: [u8; 32]) -> Self {
        Self(Hex(key))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The digest of a text that may hold secrets.
    pub(crate) fn digest(&self, text: &str) -> UrlDigest {
        let mut digest = [0; 16];
        let hash = blake3::keyed_hash(&self.0.0, text.as_bytes());
        digest.copy_from_slice(&hash.as_bytes()[..16]);
        Hex(digest)
    }

    /// A URL in the form that a file with this key may keep.
    pub(crate) fn keep(&self, shown: String, identity: &Identity) -> KeptUrl {
        let is_public = public_text(&shown).as_deref() == Some(identity.expose());
        let digest = (!is_public).then(|| self.digest(identity.expose()));
        KeptUrl { shown, keyed: digest.map(|digest| Keyed { key: *self, digest }) }
    }

    /// A URL that was read from a file with this key.
    pub(crate) fn kept(&self, shown: String, digest: Option<UrlDigest>) -> KeptUrl {
        KeptUrl { shown, keyed: digest.map(|digest| Keyed { key: *self, digest }) }
    }
}

impl fmt::Debug for IdentityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentityKey")
    }
}

impl KeptUrl {
    /// A URL of a file without keyed digests. Without values from the environment in its host or
    /// path, the shown form is enough to tell whether another URL is the same.
    pub(crate) fn of_shown(shown: String) -> Self {
        Self { shown, keyed: None }
    }

    /// The form that may be printed.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// The digest of its identity; none if the shown form determines the identity.
    pub(crate) fn digest(&self) -> Option<UrlDigest> {
        self.keyed.map(|keyed| keyed.digest)
    }

    /// The bytes of [`Self::digest`].
    pub(crate) fn digest_bytes(&self) -> Option<[u8; 16]> {
        self.digest().map(|digest| digest.0)
    }

    /// Whether it is certain that this is the identity of the URL.
    pub(crate) fn is(&self, identity: &Identity) -> bool {
        match self.keyed {
            Some(Keyed { key, digest }) => key.digest(identity.expose()) == digest,
            None => public_text(&self.shown).as_deref() == Some(identity.expose()),
        }
    }
}

/// The text of the identity of a URL in its shown form; none if a value from the environment is part
/// of it. The user may be such a value, since it is no part.
pub(crate) fn public_text(shown: &str) -> Option<Cow<'_, str>> {
    let mut text = Cow::Borrowed(shown);
    if memchr(b'@', text.as_bytes()).is_some() {
        remove_user(text.to_mut(), 0);
    }
    // A brace of constant text is percent-encoded, so `${` is a value from the environment.
    let is_public = memchr(b'$', text.as_bytes()).is_none() || {
        let past_path = text.find(['?', '#']).unwrap_or(text.len());
        !text[..past_path].contains("${")
    };
    is_public.then_some(text)
}

impl<const N: usize> Hex<N> {
    fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        read_hex(text, &mut bytes)?;
        Some(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::Date;
    use proptest::prelude::*;

    use super::*;
    use crate::manifest::entry::Form;
    use crate::manifest::template::{Space, Template};

    /// A URL whose user, host, path and query are values from the environment.
    fn template(values: &[String; 4]) -> Template {
        let mut template = Template::default();
        for (text, is_value) in [
            ("https://", false),
            (values[0].as_str(), true),
            ("@", false),
            (values[1].as_str(), true),
            (".example/", false),
            (values[2].as_str(), true),
            ("/f?sig=", false),
            (values[3].as_str(), true),
        ] {
            template.push_text(text, is_value.then_some("${X}"));
        }
        template
    }

    fn rendered(values: &[String; 4], form: Form) -> String {
        let mut text = String::new();
        let space = Space::new(Vec::new(), &[1]).unwrap();
        template(values).render(&space, 0, form, None, Date::ZERO, &mut text);
        text
    }

    fn identity(values: &[String; 4]) -> Identity {
        Identity::new(rendered(values, Form::Identity))
    }

    fn values(pattern: &'static str) -> impl Strategy<Value = [String; 4]> {
        [pattern, pattern, pattern, pattern]
    }

    proptest! {
        #[test]
        fn a_credential_is_no_part_of_it(one in values("[a-z]{1,3}"), two in values("[a-z]{1,3}")) {
            let is_same = one[1..3] == two[1..3];
            prop_assert_eq!(identity(&one) == identity(&two), is_same);
        }

        #[test]
        fn a_kept_url_is_that_identity_alone(
            one in values("[ab:/?#@$%{}]{0,3}"),
            two in values("[ab:/?#@$%{}]{0,3}"),
        ) {
            let (same, other) = (identity(&one), identity(&two));
            let kept = IdentityKey::random().keep(rendered(&one, Form::Shown), &same);
            prop_assert!(kept.is(&same));
            prop_assert_eq!(kept.is(&other), same == other);
        }

        #[test]
        fn a_kept_url_tells_no_value(one in values("cnry[a-z]{4}")) {
            let kept = IdentityKey::random().keep(rendered(&one, Form::Shown), &identity(&one));
            let text = serde_json::to_string(&kept).unwrap() + &format!("{kept:?}");
            prop_assert!(!text.contains("cnry"), "{}", text);
            let start = text.rfind("KeptUrl").unwrap();
            let read: KeptUrl = serde_json::from_str(&text[..start]).unwrap();
            prop_assert_eq!(read, kept);
        }
    }

    #[test]
    fn digests_of_two_files_have_nothing_in_common() {
        let identity = Identity::new("https://secret/".to_owned());
        let keep = || IdentityKey::random().keep("https://${X}/".to_owned(), &identity);
        assert!(keep().is(&identity) && keep().digest() != keep().digest());
        assert_eq!(format!("{identity:?}"), "***");
    }

    #[test]
    fn a_shown_form_without_values_is_its_identity() {
        for (shown, text) in [
            ("https://h/x", Some("https://h/x")),
            ("https://me:***@h/x?sig=${SIG}", Some("https://h/x?sig=${SIG}")),
            ("https://${USER}:***@h/x#${Y}", Some("https://h/x#${Y}")),
            ("https://h/${DIR}/x?sig=${SIG}", None),
            ("${BASE}/x", None),
        ] {
            assert_eq!(public_text(shown).as_deref(), text);
            let kept = KeptUrl::of_shown(shown.to_owned());
            assert_eq!(kept.is(&Identity::new(text.unwrap_or(shown).to_owned())), text.is_some());
        }
    }
}
