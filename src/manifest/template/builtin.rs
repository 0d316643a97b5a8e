//! What a template knows of an entry without being told: its URL and the parts of it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A name that need not be declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// The whole URL.
    Url,
    /// The last segment of its path, decoded.
    Filename,
    /// That without its last ending.
    Stem,
    /// The last ending, without the dot.
    Ext,
    /// The host.
    Host,
    /// The folders of its path, without outer slashes.
    Dir,
    /// The entry's number in its source, from 0.
    Index,
}

impl Builtin {
    /// All of them with their names.
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("url", Self::Url),
        ("filename", Self::Filename),
        ("stem", Self::Stem),
        ("ext", Self::Ext),
        ("host", Self::Host),
        ("dir", Self::Dir),
        ("index", Self::Index),
    ];

    /// The one of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, builtin)| builtin)
    }

    /// Hands its text to `write`.
    pub(super) fn write(self, position: u64, url: Option<&UrlParts<'_>>, write: impl FnOnce(&str)) {
        if self == Self::Index {
            return write(&position.to_string());
        }
        let Some(url) = url else { return };
        match self {
            Self::Url => write(url.whole),
            Self::Filename => write(&url.filename()),
            Self::Stem => write(split_ending(&url.filename()).0),
            Self::Ext => write(split_ending(&url.filename()).1),
            Self::Host => write(url.host()),
            Self::Dir => write(&url.dir()),
            Self::Index => {}
        }
    }
}

/// A URL taken apart as text, since it need not be whole: in its shown form parts may be hidden.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UrlParts<'a> {
    whole: &'a str,
    authority: &'a str,
    path: &'a str,
}

impl<'a> UrlParts<'a> {
    /// Takes a URL apart.
    pub(crate) fn new(whole: &'a str) -> Self {
        // For every entry that has no path of its own: the general searchers of texts take longer to make than this.
        let bytes = whole.as_bytes();
        let scheme = memchr::memchr_iter(b':', bytes).find(|&at| bytes[at..].starts_with(b"://"));
        let rest = &whole[scheme.map_or(0, |at| at + "://".len())..];
        let end = memchr::memchr2(b'?', b'#', rest.as_bytes()).unwrap_or(rest.len());
        let rest = &rest[..end];
        let (authority, path) = match memchr::memchr(b'/', rest.as_bytes()) {
            Some(slash) => (&rest[..slash], &rest[slash + 1..]),
            None => (rest, ""),
        };
        Self { whole, authority, path }
    }

    /// The last segment of the path, decoded. What is not UTF-8 stays encoded.
    pub(crate) fn filename(&self) -> Cow<'a, str> {
        let slash = memchr::memrchr(b'/', self.path.as_bytes());
        decode(&self.path[slash.map_or(0, |slash| slash + 1)..])
    }

    fn dir(&self) -> Cow<'a, str> {
        decode(self.path.rsplit_once('/').map_or("", |(dir, _)| dir).trim_matches('/'))
    }

    fn host(&self) -> &'a str {
        let host = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
        // The colons of an IPv6 address stand within brackets.
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'%', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

fn split_ending(name: &str) -> (&str, &str) {
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (stem, ending),
        _ => (name, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = UrlParts::new("https://me:pw@example.org:8443/a/b%20c/file.tar.gz?x=/y#z");
        assert_eq!(
            (url.filename().as_ref(), url.dir().as_ref(), url.host()),
            ("file.tar.gz", "a/b c", "example.org")
        );
        assert_eq!(split_ending("file.tar.gz"), ("file.tar", "gz"));
        assert_eq!(split_ending(".hidden"), (".hidden", ""));
        for (url, filename, host) in [
            ("http://h", "", "h"),
            ("http://h/", "", "h"),
            ("http://h/a/", "", "h"),
            ("http://h/a%2Fb", "a/b", "h"),
            ("http://[::1]:80/x", "x", "[::1]"),
            ("http://[::1]/x", "x", "[::1]"),
            ("${BASE}/x", "x", "${BASE}"),
        ] {
            let parts = UrlParts::new(url);
            assert_eq!((parts.filename().as_ref(), parts.host()), (filename, host), "{url}");
        }
    }
}
