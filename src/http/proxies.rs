//! Chooses the proxy for an origin: that of the manifest, that of the environment, or none.

use hyper::header::HeaderValue;

use super::no_proxy::NoProxy;
use super::origin::{Origin, Target};
use super::request::basic;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Proxy;

/// The proxy for one origin.
#[derive(Clone, Debug)]
pub(crate) struct Via {
    /// Where it listens.
    pub(crate) origin: Origin,
    /// `Proxy-Authorization`.
    pub(crate) auth: Option<HeaderValue>,
}

/// Chooses proxies: the manifest's, or else those of the environment, less what `NO_PROXY` names.
#[derive(Debug)]
pub(super) struct Proxies {
    /// An unusable proxy fails each request: a direct request would leak what the proxy is to hide.
    http: Result<Option<Via>, Failure>,
    https: Result<Option<Via>, Failure>,
    exempt: NoProxy,
}

impl Proxies {
    /// `env` looks up environment variables.
    pub(super) fn new(declared: &Proxy, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let variables = Variables { env };
        let exempt = variables.first(&["no_proxy", "NO_PROXY"]);
        let exempt = NoProxy::parse(&exempt.map(|(_, list)| list).unwrap_or_default());
        let (http, https) = match declared {
            Proxy::None => (Ok(None), Ok(None)),
            Proxy::Url { url, shown } => {
                let via = via(url.expose(), Some(shown), "`proxy`").map(Some);
                (via.clone(), via)
            }
            Proxy::Environment => (
                variables.proxy(&["http_proxy", "HTTP_PROXY"]),
                variables.proxy(&["https_proxy", "HTTPS_PROXY"]),
            ),
        };
        Self { http, https, exempt }
    }

    /// The proxy for an origin, if it has one.
    pub(super) fn via(&self, origin: &Origin) -> Result<Option<Via>, Failure> {
        if self.exempt.exempts(origin) {
            return Ok(None);
        }
        if origin.secure { self.https.clone() } else { self.http.clone() }
    }
}

struct Variables<'e> {
    env: &'e dyn Fn(&str) -> Option<String>,
}

impl Variables<'_> {
    /// The first of these variables that is set and not empty.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        let set = |name: &&'static str| {
            // CGI programs get the `Proxy:` header of a request, written by a stranger, under this
            // name.
            if *name == "HTTP_PROXY" && (self.env)("REQUEST_METHOD").is_some() {
                return None;
            }
            let value = (self.env)(name)?.trim().to_owned();
            (!value.is_empty()).then_some((*name, value))
        };
        names.iter().find_map(set)
    }

    fn proxy(&self, names: &[&'static str]) -> Result<Option<Via>, Failure> {
        match self.first(names).or_else(|| self.first(&["all_proxy", "ALL_PROXY"])) {
            Some((name, url)) => via(&url, None, &format!("`{name}`")).map(Some),
            None => Ok(None),
        }
    }
}

/// Reads the URL of a proxy. `place` names the setting in messages.
fn via(url: &str, shown: Option<&str>, place: &str) -> Result<Via, Failure> {
    let unusable = |what: &str| {
        let message = format!("the proxy that {place} names cannot be used: {what}");
        Err(Failure::new(ErrorKind::Connect, message).lasting())
    };
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    if !scheme.eq_ignore_ascii_case("http") {
        return unusable("only proxies of the kind `http` are supported");
    }
    let url = format!("http://{rest}");
    let target = match shown {
        Some(shown) => Target::parse_shown(&url, shown),
        None => Target::parse(&url),
    };
    let Ok(target) = target else {
        return unusable("this is no URL");
    };
    let auth = match &target.user {
        Some((user, password)) => Some(basic(user, password.expose())?),
        None => None,
    };
    Ok(Via { origin: target.origin, auth })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Secret;

    type Env<'a> = &'a [(&'a str, &'a str)];

    fn choose(declared: &Proxy, env: Env<'_>, url: &str) -> Result<Option<Via>, Failure> {
        let find = |name: &str| {
            env.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        Proxies::new(declared, &find).via(&Target::parse(url).unwrap().origin)
    }

    /// The proxy's host, or `-` without one.
    #[track_caller]
    fn row(env: Env<'_>, url: &str, expected: &str) {
        let via = choose(&Proxy::Environment, env, url).unwrap();
        let host = via.map_or("-".to_owned(), |via| via.origin.authority());
        assert_eq!(host, expected, "{env:?} {url}");
    }

    const HTTP: &str = "http://h.example/";
    const HTTPS: &str = "https://h.example/";

    #[test]
    fn the_table_of_variables() {
        let (low, up) = (("http_proxy", "http://low:1"), ("HTTP_PROXY", "http://up:2"));
        let (slow, sup) = (("https_proxy", "http://slow:3"), ("HTTPS_PROXY", "http://sup:4"));
        let (alow, aup) = (("all_proxy", "http://alow:5"), ("ALL_PROXY", "http://aup:6"));
        for (env, http, https) in [
            (&[][..], "-", "-"),
            (&[low], "low:1", "-"),
            (&[up], "up:2", "-"),
            (&[low, up], "low:1", "-"),
            (&[slow], "-", "slow:3"),
            (&[sup], "-", "sup:4"),
            (&[slow, sup], "-", "slow:3"),
            (&[alow], "alow:5", "alow:5"),
            (&[aup], "aup:6", "aup:6"),
            (&[alow, aup], "alow:5", "alow:5"),
            (&[low, aup], "low:1", "aup:6"),
            (&[sup, alow], "alow:5", "sup:4"),
            // An empty variable counts as unset.
            (&[("http_proxy", ""), up], "up:2", "-"),
            (&[("http_proxy", " "), ("HTTP_PROXY", ""), alow], "alow:5", "alow:5"),
            (&[("https_proxy", ""), ("ALL_PROXY", "")], "-", "-"),
            // In a CGI program, a stranger controls HTTP_PROXY.
            (&[up, ("REQUEST_METHOD", "GET")], "-", "-"),
            (&[up, aup, ("REQUEST_METHOD", "GET")], "aup:6", "aup:6"),
            (&[low, sup, ("REQUEST_METHOD", "GET")], "low:1", "sup:4"),
        ] {
            row(env, HTTP, http);
            row(env, HTTPS, https);
        }
    }

    #[test]
    fn the_table_of_exemptions() {
        let all = ("ALL_PROXY", "p:1");
        for (no_proxy, url, expected) in [
            ("h.example", HTTP, "-"),
            (" x , .example ", HTTPS, "-"),
            ("h.example:80", HTTP, "-"),
            ("h.example:80", HTTPS, "p:1"),
            ("*", "http://127.0.0.1/", "-"),
            ("10.0.0.0/8", "http://10.9.9.9/", "-"),
            ("::1", "http://[::1]:81/", "-"),
            ("[::1]", "http://[::1]:81/", "-"),
            ("", HTTP, "p:1"),
            // Loopback addresses are no exception.
            ("h.example", "http://localhost/", "p:1"),
            ("h.example", "http://127.0.0.1/", "p:1"),
        ] {
            row(&[all, ("NO_PROXY", no_proxy)], url, expected);
            row(&[all, ("no_proxy", no_proxy), ("NO_PROXY", "")], url, expected);
        }
        row(&[all, ("no_proxy", "x"), ("NO_PROXY", "h.example")], HTTP, "p:1");
        row(&[all, ("no_proxy", ""), ("NO_PROXY", "h.example")], HTTP, "-");
    }

    #[test]
    fn the_manifest_outranks_the_environment() {
        let env = [("http_proxy", "http://env:1"), ("no_proxy", "exempt.example")];
        let proxy = |url: &str| Proxy::Url {
            url: Secret::new(url.to_owned()),
            shown: "http://${WHO}@${PROXY}".to_owned(),
        };
        let declared = proxy("http://me:p%40ss@own.example:8080/");
        let via = choose(&declared, &env, HTTP).unwrap().unwrap();
        assert_eq!(via.origin.authority(), "own.example:8080");
        assert_eq!(via.origin.to_string(), "http://${PROXY}", "it came from the environment");
        assert_eq!(via.auth.unwrap(), "Basic bWU6cEBzcw==");
        assert!(choose(&declared, &env, "https://exempt.example/").unwrap().is_none());
        assert!(choose(&Proxy::None, &env, HTTP).unwrap().is_none());
    }

    #[test]
    fn the_forms_of_a_proxy_url() {
        for (url, expected) in [
            ("proxy.example", "proxy.example"),
            ("proxy.example:3128", "proxy.example:3128"),
            ("HTTP://proxy.example:3128/path", "proxy.example:3128"),
            ("http://[::1]:3128", "[::1]:3128"),
            ("me:secret@proxy.example", "proxy.example"),
        ] {
            row(&[("http_proxy", url)], HTTP, expected);
        }
        let auth = |url| choose(&Proxy::Environment, &[("http_proxy", url)], HTTP);
        let auth = |url| auth(url).unwrap().unwrap().auth;
        assert_eq!(auth("http://me@p").unwrap(), "Basic bWU6");
        assert!(auth("http://me@p").unwrap().is_sensitive());
        assert_eq!(auth("http://p"), None);
    }

    #[test]
    fn an_unusable_proxy_is_not_bypassed() {
        for url in ["socks5://p:1", "https://p:1", "http://", "http://s3cret@:x", "a b"] {
            let env = [("https_proxy", url), ("no_proxy", "exempt")];
            let failure = choose(&Proxy::Environment, &env, HTTPS).unwrap_err();
            assert!(failure.message.contains("`https_proxy`"), "{failure}");
            assert!(!failure.message.contains("s3cret"), "{failure}");
            assert!(choose(&Proxy::Environment, &env, "https://exempt/").unwrap().is_none());
            assert!(choose(&Proxy::Environment, &env, HTTP).unwrap().is_none());
        }
    }
}
