//! The request that is sent: built whole for each hop, from what belongs to that hop's origin.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, HOST, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE, USER_AGENT,
};

use super::connection::{Connection, OverProxy};
use super::origin::Target;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Secret;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// The file.
    Get,
    /// What is known of the file.
    Head,
}

/// Asks for the file only if it is no longer this one (RFC 9110, section 13.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// `If-None-Match`.
    pub(crate) etag: Option<String>,
    /// `If-Modified-Since`.
    pub(crate) last_modified: Option<String>,
}

impl Conditions {
    /// Whether nothing is asked.
    pub(crate) fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// Asks for the rest of a file only, or for a part of that, if it still is the same one (RFC 9110, sections 13.1.5 and 14.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// Bytes that are here already.
    pub(crate) from: u64,
    /// The first byte that is not wanted, where not all of the rest is.
    pub(crate) upto: Option<u64>,
    /// `If-Range`. Without it the digest of the whole has to tell.
    pub(crate) validator: Option<String>,
}

/// What every hop of a request shares.
#[derive(Clone, Debug)]
pub(crate) struct RequestPlan<'a> {
    /// GET or HEAD.
    pub(crate) method: Method,
    /// Conditions, for the first origin and what it redirects to.
    pub(crate) conditions: &'a Conditions,
    /// Only the rest.
    pub(crate) range: Option<&'a Range>,
    /// Header fields of the source.
    pub(crate) headers: &'a [(String, Secret)],
    /// What is asked for first. Only its origin gets them, and its user and password.
    pub(crate) home: &'a Target,
    /// `User-Agent`.
    pub(crate) user_agent: &'a str,
    /// Whether caches on the way must ask the origin (RFC 9111, section 5.2.1.4).
    pub(crate) past_caches: bool,
}

impl RequestPlan<'_> {
    /// The request for one hop. A proxy gets the whole URL (RFC 9112, section 3.2.2) and is
    /// told who asks; HTTP/2 has the host in it, too (RFC 9113, section 8.3.1).
    pub(crate) fn build(
        &self,
        target: &Target,
        connection: &Connection,
    ) -> Result<Request<Empty<Bytes>>, Failure> {
        self.build_for(target, connection.over_proxy.as_ref(), connection.is_shared())
    }

    fn build_for(
        &self,
        target: &Target,
        proxy: Option<&OverProxy>,
        http2: bool,
    ) -> Result<Request<Empty<Bytes>>, Failure> {
        let uri = if http2 || proxy.is_some() {
            format!("{}{}", target.origin.url(), target.resource)
        } else {
            target.resource.clone()
        };
        let method = match self.method {
            Method::Get => hyper::Method::GET,
            Method::Head => hyper::Method::HEAD,
        };
        let unusable = || Failure::new(ErrorKind::Protocol, "the URL cannot be put into a request");
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .body(Empty::new())
            .map_err(|_| unusable())?;
        let headers = request.headers_mut();
        let text = |value: &str| HeaderValue::from_str(value).map_err(|_| unusable());
        if !http2 {
            headers.insert(HOST, text(&target.origin.authority())?);
        }
        headers.insert(USER_AGENT, text(self.user_agent)?);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // Bytes are bytes: what is stored and hashed is what the server has.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = self.range {
            let last = range.upto.map(|upto| upto.saturating_sub(1).to_string());
            let wanted = format!("bytes={}-{}", range.from, last.unwrap_or_default());
            match range.validator.as_deref().map(text) {
                // Nothing may be gone on with on trust: the whole content is asked for.
                Some(Err(_)) => {}
                validator => {
                    headers.insert(RANGE, text(&wanted)?);
                    headers.extend(validator.and_then(Result::ok).map(|value| (IF_RANGE, value)));
                }
            }
        }
        if self.past_caches {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        // One that can stand in no header never came in one: what noted it is damaged, and without it the whole
        // content comes.
        let condition = |value: &Option<String>| text(value.as_deref()?).ok();
        headers.extend(condition(&self.conditions.etag).map(|etag| (IF_NONE_MATCH, etag)));
        headers.extend(
            condition(&self.conditions.last_modified).map(|date| (IF_MODIFIED_SINCE, date)),
        );
        let same_origin = target.origin == self.home.origin;
        let user = target.user.as_ref().or(self.home.user.as_ref().filter(|_| same_origin));
        if let Some((user, password)) = user {
            headers.insert(AUTHORIZATION, basic(user, password.expose())?);
        }
        if same_origin {
            for (name, value) in self.headers {
                let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unusable())?;
                let mut value = text(value.expose())?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        if let Some(auth) = proxy.and_then(|proxy| proxy.auth.as_ref()) {
            headers.insert(hyper::header::PROXY_AUTHORIZATION, auth.clone());
        }
        Ok(request)
    }
}

/// Basic authentication (RFC 7617).
pub(super) fn basic(user: &str, password: &str) -> Result<HeaderValue, Failure> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let mut value = HeaderValue::from_str(&format!("Basic {encoded}"))
        .map_err(|_| Failure::new(ErrorKind::Protocol, "the user cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_validator_is_left_out() {
        let home = Target::parse("http://home/a").unwrap();
        let built = |etag: &str| {
            let conditions = Conditions { etag: Some(etag.to_owned()), ..Conditions::default() };
            let plan = RequestPlan {
                method: Method::Get,
                conditions: &conditions,
                range: None,
                headers: &[],
                home: &home,
                user_agent: "natsync",
                past_caches: false,
            };
            let request = plan.build_for(&home, None, false).unwrap();
            request.headers().contains_key(IF_NONE_MATCH)
        };
        assert!(built("\"a\""));
        let ranged = |validator: &str| {
            let range = Range { from: 5, upto: None, validator: Some(validator.to_owned()) };
            let plan = RequestPlan {
                method: Method::Get,
                conditions: &Conditions::default(),
                range: Some(&range),
                headers: &[],
                home: &home,
                user_agent: "natsync",
                past_caches: false,
            };
            let request = plan.build_for(&home, None, false).unwrap();
            (request.headers().contains_key(RANGE), request.headers().contains_key(IF_RANGE))
        };
        assert_eq!(ranged("\"a\""), (true, true));
        assert_eq!(ranged("\u{2}a\""), (false, false));
        assert!(!built("\u{2}a\""));
    }

    #[test]
    fn headers_of_the_source_stay_at_home() {
        let headers = [("X-Token".to_owned(), Secret::new("s3cret".to_owned()))];
        let home = Target::parse("http://home/a").unwrap();
        let plan = RequestPlan {
            method: Method::Get,
            conditions: &Conditions::default(),
            range: None,
            headers: &headers,
            home: &home,
            user_agent: "natsync",
            past_caches: false,
        };
        let sent = |url: &str| {
            plan.build_for(&Target::parse(url).unwrap(), None, false)
                .unwrap()
                .headers()
                .contains_key("x-token")
        };
        assert!(sent("http://home/b"));
        for other in ["https://home/b", "http://home:81/b", "http://www.home/b"] {
            assert!(!sent(other), "{other}");
        }
    }
}
