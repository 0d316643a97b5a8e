//! Cookies of redirects (RFC 6265), for logins.
//!
//! They live in memory, and go back to the host and port that set them alone: the attribute `Domain`
//! never widens where a cookie is sent.

use hyper::header::SET_COOKIE;

use super::headers::Headers;
use super::origin::Target;
use super::validators::http_date;
use crate::manifest::Secret;

/// The most cookies of a jar, and the largest one in bytes: limits against hostile servers.
const MOST: usize = 64;
const LARGEST: usize = 4096;

/// The cookies of a chain of redirects, or of a source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: Secret,
    /// Host and port that set it, as in a URL: the default ports of both schemes are the same.
    authority: String,
    path: String,
    /// It is sent over https alone, since it has the attribute `Secure` or came over https.
    secure: bool,
    /// In seconds since 1970.
    expires: Option<i64>,
}

impl Jar {
    /// Takes the cookies that a response from `from` sets. Reports whether it sets any, also such as
    /// are refused.
    pub(crate) fn take(&mut self, from: &Target, headers: &Headers, now: i64) -> bool {
        let mut sets = false;
        for value in headers.0.get_all(SET_COOKIE) {
            sets = true;
            let text = std::str::from_utf8(value.as_bytes()).ok();
            let Some(cookie) = text.and_then(|text| Cookie::parse(text, from, now)) else {
                continue;
            };
            self.0.retain(|other| !other.is_same(&cookie));
            if MOST <= self.0.len() {
                self.0.remove(0);
            }
            self.0.push(cookie);
        }
        sets
    }

    /// The header field `Cookie` of a request: cookies with longer paths first (RFC 6265, section
    /// 5.4).
    pub(crate) fn field(&self, target: &Target, now: i64) -> Option<Secret> {
        let mut sent: Vec<_> = self.0.iter().filter(|cookie| cookie.is_for(target, now)).collect();
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = sent
            .into_iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value.expose()))
            .collect();
        (!pairs.is_empty()).then(|| Secret::new(pairs.join("; ")))
    }
}

impl Cookie {
    /// RFC 6265, sections 5.2 and 5.3.
    fn parse(text: &str, from: &Target, now: i64) -> Option<Self> {
        let mut parts = text.split(';');
        let (name, value) = parts.next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || LARGEST < name.len() + value.len() || text.contains('\t') {
            return None;
        }
        let mut cookie = Self {
            name: name.to_owned(),
            value: Secret::new(value.to_owned()),
            authority: from.origin.authority(),
            path: default_path(from).to_owned(),
            secure: from.origin.secure,
            expires: None,
        };
        let (mut is_secure, mut has_domain, mut max_age) = (false, false, None);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "secure" => is_secure = true,
                "path" if value.starts_with('/') => value.clone_into(&mut cookie.path),
                "domain" if !value.is_empty() => {
                    has_domain = true;
                    if !is_within(from.origin.bare_host(), value.trim_start_matches('.')) {
                        return None;
                    }
                }
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => cookie.expires = cookie_date(value).or(cookie.expires),
                _ => {}
            }
        }
        if let Some(seconds) = max_age {
            cookie.expires = Some(now.saturating_add(seconds));
        }
        let is_allowed = if name.starts_with("__Host-") {
            is_secure && !has_domain && cookie.path == "/"
        } else {
            is_secure || !name.starts_with("__Secure-")
        };
        // A cookie that is for https alone must not be set over http.
        (is_allowed && (!is_secure || from.origin.secure)).then_some(cookie)
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.authority, &self.path) == (&other.name, &other.authority, &other.path)
    }

    fn is_for(&self, target: &Target, now: i64) -> bool {
        let path = path_of(target);
        let rest = path.strip_prefix(self.path.as_str());
        let is_below = rest.is_some_and(|rest| {
            rest.is_empty() || rest.starts_with('/') || self.path.ends_with('/')
        });
        is_below
            && self.authority == target.origin.authority()
            && (!self.secure || target.origin.secure)
            && self.expires.is_none_or(|expires| now < expires)
    }
}

fn path_of(target: &Target) -> &str {
    target.resource.split('?').next().unwrap_or_default()
}

/// RFC 6265, section 5.1.4.
fn default_path(target: &Target) -> &str {
    match path_of(target).rsplit_once('/') {
        Some((folder, _)) if !folder.is_empty() => folder,
        _ => "/",
    }
}

/// Whether a host is that domain or one below it.
fn is_within(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    let above = host.strip_suffix(&domain).and_then(|host| host.strip_suffix('.'));
    let is_address = host.parse::<std::net::IpAddr>().is_ok();
    host == domain || above.is_some_and(|above| !above.is_empty() && !is_address)
}

/// A date as cookies have it: often with dashes.
fn cookie_date(text: &str) -> Option<i64> {
    http_date(text).or_else(|| http_date(&text.replace('-', " ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_300_000_000;

    /// The cookies that a request to `to` has after a response from `from` set one.
    fn sent(from: &str, set: &str, to: &str) -> Option<String> {
        let mut jar = Jar::default();
        let headers = Headers::of(&[("set-cookie", set)]);
        assert!(jar.take(&Target::parse(from).unwrap(), &headers, NOW));
        let field = jar.field(&Target::parse(to).unwrap(), NOW);
        field.map(|field| field.expose().to_owned())
    }

    #[test]
    fn a_cookie_goes_back_to_its_own_host_port_and_path() {
        for (from, set, to) in [
            ("http://h/a/b", "n=1", "http://h/a/c"),
            ("http://h/a/b", "n=1", "http://h/a"),
            ("http://h/a/b", "n=1; Path=/", "http://h/"),
            ("http://h/a/b", "n=1; path=/x; HttpOnly; SameSite=Lax", "http://h/x/y?z"),
            ("http://h:81/a", "n=1", "http://h:81/b"),
            ("http://h/a", "n=1", "https://h/b"),
            ("https://h/a", "n=1; Secure", "https://h/b"),
            ("https://h/a", "__Host-n=1; Secure; Path=/", "https://h/b"),
            ("http://h.example/a", "n=1; Domain=.example", "http://h.example/b"),
            ("http://h/a", "n=1; Max-Age=5", "http://h/b"),
            ("http://h/a", "n=1; Expires=Fri, 31-Dec-2100 23:59:59 GMT", "http://h/b"),
            ("http://h/a", "n=1; Expires=never", "http://h/b"),
        ] {
            assert!(sent(from, set, to).is_some(), "{from} {set} {to}");
        }
        for (from, set, to) in [
            ("http://h/a/b", "n=1", "http://h/c"),
            ("http://h/a/b", "n=1", "http://h/ab"),
            ("http://h/a", "n=1; Path=/", "http://other/a"),
            ("http://h/a", "n=1; Path=/", "http://h:81/a"),
            ("http://h.example/a", "n=1; Domain=example", "http://other.example/a"),
            ("http://h.example/a", "n=1; Domain=example", "http://example/a"),
            ("http://h/a", "n=1; Domain=other", "http://h/a"),
            ("http://127.0.0.1/a", "n=1; Domain=0.0.1", "http://127.0.0.1/a"),
            ("http://h/a", "n=1; Secure", "http://h/a"),
            ("http://h/a", "n=1; Secure", "https://h/a"),
            ("https://h/a", "n=1", "http://h/a"),
            ("http://h/a", "__Secure-n=1", "http://h/a"),
            ("https://h/a", "__Host-n=1; Secure; Path=/; Domain=h", "https://h/a"),
            ("http://h/a", "n=1; Max-Age=0", "http://h/a"),
            ("http://h/a", "n=1; Expires=Wed, 09-Jun-2010 10:18:14 GMT", "http://h/a"),
            ("http://h/a", "n=1; Max-Age=-1; Expires=Fri, 31 Dec 2100 23:59:59 GMT", "http://h/a"),
            ("http://h/a", "=1", "http://h/a"),
            ("http://h/a", "no value", "http://h/a"),
        ] {
            assert_eq!(sent(from, set, to), None, "{from} {set} {to}");
        }
    }

    #[test]
    fn cookies_replace_each_other_and_longer_paths_come_first() {
        let mut jar = Jar::default();
        let from = Target::parse("http://h/a/b").unwrap();
        for set in ["n=1; Path=/", "m=2; Path=/", "n=3; Path=/a", "n=4; Path=/", "m=; Path=/"] {
            jar.take(&from, &Headers::of(&[("set-cookie", set)]), NOW);
        }
        let field = jar.field(&from, NOW).unwrap();
        assert_eq!(field.expose(), "n=3; n=4; m=");
        assert!(!format!("{jar:?}").contains('3'), "values are not printed");
    }

    #[test]
    fn a_jar_is_bounded() {
        let mut jar = Jar::default();
        let from = Target::parse("http://h/").unwrap();
        for n in 0..1000 {
            jar.take(&from, &Headers::of(&[("set-cookie", &format!("n{n}=1"))]), NOW);
        }
        assert_eq!(jar.0.len(), MOST);
        let large = format!("l={}", "x".repeat(LARGEST));
        assert!(jar.take(&from, &Headers::of(&[("set-cookie", &large)]), NOW));
        assert!(!jar.field(&from, NOW).unwrap().expose().contains("l="));
    }
}
