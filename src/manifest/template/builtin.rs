//! The built-in names of templates: an entry's URL, the parts of it, and the entry's index.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A name that a template can insert without a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Builtin {
    /// The whole URL.
    Url,
    /// The last segment of the URL's path, percent-decoded.
    Filename,
    /// The file name without its extension.
    Stem,
    /// The extension, without the dot. Of `a.tar.gz` that is `gz`.
    Ext,
    /// The host, without user and port.
    Host,
    /// The folders of the URL's path, percent-decoded, without outer slashes.
    Dir,
    /// The entry's position in its source, from 0.
    Index,
}

impl Builtin {
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("url", Self::Url),
        ("filename", Self::Filename),
        ("stem", Self::Stem),
        ("ext", Self::Ext),
        ("host", Self::Host),
        ("dir", Self::Dir),
        ("index", Self::Index),
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|&(_, builtin)| builtin)
    }

    /// Calls `write` with its text. Without a URL, only `Index` has one.
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

/// A URL split as text. A URL parser cannot be used, because the shown form may have placeholders.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UrlParts<'a> {
    whole: &'a str,
    authority: &'a str,
    path: &'a str,
}

impl<'a> UrlParts<'a> {
    pub(crate) fn new(whole: &'a str) -> Self {
        // This runs for each entry whose path comes from its URL. For such short texts, `str::find`
        // with a string spends more time on preparing its searcher than `memchr` on the search.
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

    /// The last segment of the path, percent-decoded; it stays encoded if the result is not UTF-8.
    pub(crate) fn filename(&self) -> Cow<'a, str> {
        let slash = memchr::memrchr(b'/', self.path.as_bytes());
        decode(&self.path[slash.map_or(0, |slash| slash + 1)..])
    }

    fn dir(&self) -> Cow<'a, str> {
        decode(self.path.rsplit_once('/').map_or("", |(dir, _)| dir).trim_matches('/'))
    }

    fn host(&self) -> &'a str {
        let host = self.authority.rsplit_once('@').map_or(self.authority, |(_, host)| host);
        // The colons of an IPv6 address are inside brackets, so they are not followed by digits
        // only.
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
    fn a_url_is_split_into_its_parts() {
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
