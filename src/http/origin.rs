//! The target of a request: an origin (scheme, host, port) and a resource there.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use url::{Host, Url};

use crate::failure::{ErrorKind, Failure};
use crate::manifest::Secret;

/// Scheme, host and port. Secrets are bound to an origin, and limits count by it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// HTTPS.
    pub(crate) secure: bool,
    /// In lower case; an IPv6 address has brackets.
    pub(crate) host: String,
    /// The port, also if it is the default of the scheme.
    pub(crate) port: u16,
    /// The printed form, if a part of the origin came from the environment.
    shown: Option<Arc<str>>,
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        (self.secure, self.port, &self.host) == (other.secure, other.port, &other.host)
    }
}

impl Eq for Origin {}

impl Hash for Origin {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.secure, self.port, &self.host).hash(state);
    }
}

/// A URL taken apart for a request.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) origin: Origin,
    /// Path and query.
    pub(crate) resource: String,
    /// User and password from the URL, for Basic authentication (RFC 7617).
    pub(crate) user: Option<(String, Secret)>,
    /// For resolving references. Its path has [`MARK`] where dots are percent-encoded.
    url: Url,
}

/// Follows a path segment of percent-encoded dots (`%2e%2e`), which the URL parser would remove
/// although the server may know such a name.
const MARK: &str = "!as-written!";

/// The same URL or reference with such segments marked.
fn marked(url: &str) -> Cow<'_, str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let is_dots = |segment: &str| {
        matches!(segment.to_ascii_lowercase().as_str(), "%2e" | "%2e%2e" | ".%2e" | "%2e.")
    };
    if !path.contains("%2") || !path.split('/').any(is_dots) {
        return url.into();
    }
    let mark = |segment: &str| format!("{segment}{}", if is_dots(segment) { MARK } else { "" });
    let segments: Vec<_> = path.split('/').map(mark).collect();
    (segments.join("/") + &url[path.len()..]).into()
}

fn unmarked(url: &str) -> String {
    url.replace(MARK, "")
}

impl Origin {
    /// `host` or `host:port`, as in the `Host` header (RFC 9110, section 7.2).
    pub(crate) fn authority(&self) -> String {
        let default = if self.secure { 443 } else { 80 };
        if self.port == default {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The beginning of a URL of this origin. It may contain a secret and must not be printed.
    pub(crate) fn url(&self) -> String {
        format!("http{}://{}", if self.secure { "s" } else { "" }, self.authority())
    }

    /// The host in its printed form.
    pub(crate) fn shown_host(&self) -> &str {
        match &self.shown {
            Some(shown) => shown.split_once("://").map_or(shown, |(_, host)| host),
            None => self.bare_host(),
        }
    }

    /// Host and port in their printed form.
    pub(crate) fn shown_authority(&self) -> String {
        if self.shown.is_some() { self.shown_host().to_owned() } else { self.authority() }
    }

    /// The host without the brackets of an IPv6 address.
    pub(crate) fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => f.write_str(shown),
            None => f.write_str(&self.url()),
        }
    }
}

impl Target {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// When it is not a URL, not http or https, or has no host. The message does not quote it.
    pub(crate) fn parse(url: &str) -> Result<Self, Failure> {
        let url = Url::parse(&marked(url)).map_err(|error| {
            Failure::new(ErrorKind::Protocol, format!("the URL cannot be used: {error}"))
        })?;
        Self::from_url(url)
    }

    /// The same for a URL whose shown form hides parts: its origin is printed as in that form.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub(crate) fn parse_shown(url: &str, shown: &str) -> Result<Self, Failure> {
        let mut target = Self::parse(url)?;
        let origin = |url: &str| {
            let (scheme, rest) = url.split_once("://")?;
            let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            Some(format!("{scheme}://{host}"))
        };
        // If the beginning of the URL came from the environment, the shown form has no scheme.
        let printed =
            origin(shown).unwrap_or_else(|| shown.split('/').next().unwrap_or(shown).to_owned());
        if origin(url).as_ref() != Some(&printed) {
            target.origin.shown = Some(printed.into());
        }
        Ok(target)
    }

    /// Resolves a reference relative to this URL (RFC 3986, section 5).
    pub(crate) fn join(&self, reference: &str) -> Result<Self, Failure> {
        let url = self.url.join(&marked(reference)).map_err(|error| {
            Failure::new(ErrorKind::Redirect, format!("the redirect's target is no URL: {error}"))
        })?;
        let mut target = Self::from_url(url)?;
        if target.origin == self.origin {
            target.origin.shown.clone_from(&self.origin.shown);
        }
        Ok(target)
    }

    fn from_url(mut url: Url) -> Result<Self, Failure> {
        let secure = match url.scheme() {
            "http" => false,
            "https" => true,
            other => {
                let message = format!("`{other}:` is not supported, only http and https");
                return Err(Failure::new(ErrorKind::Redirect, message));
            }
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Failure::new(ErrorKind::Protocol, "the URL names no host"));
        };
        let origin = Origin { secure, host: host.to_ascii_lowercase(), port, shown: None };
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
        };
        let user = (!url.username().is_empty() || url.password().is_some()).then(|| {
            (decode(url.username()), Secret::new(url.password().map(decode).unwrap_or_default()))
        });
        let mut resource = unmarked(url.path());
        if let Some(query) = url.query() {
            resource.push('?');
            resource.push_str(query);
        }
        // A relative redirect must not inherit user and password.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { origin, resource, user, url })
    }

    /// The URL, without user and password.
    pub(crate) fn to_url(&self) -> String {
        unmarked(self.url.as_str())
    }

    /// The last segment of the path, decoded.
    pub(crate) fn file_name(&self) -> String {
        let path = self.resource.split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned()
    }

    /// Whether the host is a link-local address. At such addresses clouds serve credentials to the
    /// machine.
    pub(crate) fn is_link_local(&self) -> bool {
        match self.url.host() {
            Some(Host::Ipv4(address)) => is_link_local(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => is_link_local(IpAddr::V6(address)),
            _ => false,
        }
    }
}

/// Whether an address is link-local (RFC 3927; RFC 4291, section 2.5.6), also if mapped into IPv6,
/// or the IPv6 address of the metadata service of AWS.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local() || address == METADATA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = Target::parse("https://me:p%40ss@Example.ORG:8443/a%20b/c?d=e#f").unwrap();
        assert_eq!(target.origin.to_string(), "https://example.org:8443");
        assert_eq!(target.resource, "/a%20b/c?d=e");
        let (user, password) = target.user.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me", "p@ss"));
        assert_eq!(Target::parse("http://[::1]/").unwrap().origin.bare_host(), "::1");
        assert!(Target::parse("ftp://h/x").is_err());
    }

    #[test]
    fn percent_encoded_dots_stay() {
        for (url, reference, resource) in [
            ("http://h/a/%2e%2e/b?q=/%2e/", "", "/a/%2e%2e/b?q=/%2e/"),
            ("http://h/a/%2E/b", "c", "/a/%2E/c"),
            ("http://h/a", "/x/.%2e/y/%2e./%2e", "/x/.%2e/y/%2e./%2e"),
            ("http://h/a/../b/./c", "", "/b/c"),
            ("http://h/a/%2e%2e/b", "../c", "/a/c"),
            ("http://h/", "%2e%2e#%2e", "/%2e%2e"),
        ] {
            let target = Target::parse(url).unwrap().join(reference).unwrap();
            assert_eq!(target.resource, resource, "{url} {reference}");
            assert_eq!(target.to_url().split('#').next().unwrap(), format!("http://h{resource}"));
        }
    }

    #[test]
    fn parts_from_the_environment_are_not_printed() {
        let sent = "https://me:pw@internal.example:8443/a";
        for (shown, printed) in [
            ("https://me:***@${HOST}:8443/a", "https://${HOST}:8443"),
            ("${BASE}/a", "${BASE}"),
            ("https://me:***@internal.example:8443/a", "https://internal.example:8443"),
        ] {
            let target = Target::parse_shown(sent, shown).unwrap();
            assert_eq!(target.origin.to_string(), printed);
            assert_eq!(target.join("/b").unwrap().origin.to_string(), printed);
            assert_eq!(target.origin, Target::parse(sent).unwrap().origin);
            assert_eq!(target.origin.url(), "https://internal.example:8443");
        }
    }

    #[test]
    fn a_redirect_inherits_no_password() {
        let target = Target::parse("http://me:secret@h/a/b").unwrap().join("../c").unwrap();
        assert_eq!((target.resource.as_str(), target.user.is_none()), ("/c", true));
    }

    #[test]
    fn link_local_addresses_are_recognised_in_every_form() {
        for url in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://[::ffff:169.254.0.1]/",
            "http://0xa9fea9fe/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(Target::parse(url).unwrap().is_link_local(), "{url}");
        }
        assert!(!Target::parse("http://127.0.0.1/").unwrap().is_link_local());
    }
}
