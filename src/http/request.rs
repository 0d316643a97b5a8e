//! The request: built anew for each hop of a redirect chain, from what belongs to that hop's
//! origin.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, COOKIE, HOST, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, PROXY_AUTHORIZATION, RANGE, USER_AGENT,
};

use super::connection::{Connection, OverProxy};
use super::origin::Target;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Secret;
use crate::pin::Validators;

/// How natsync names itself to servers, unless the manifest says otherwise.
pub(super) const PRODUCT: &str = concat!("natsync/", env!("CARGO_PKG_VERSION"));

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
}

/// Limits a request to the rest of a file or a part of it, provided that the file is still the same
/// one (RFC 9110, sections 13.1.5 and 14.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first byte.
    pub(crate) from: u64,
    /// The end (exclusive); the end of the file if none.
    pub(crate) upto: Option<u64>,
    /// `If-Range`. Without it, the digest of the whole file has to decide.
    pub(crate) validator: Option<String>,
}

/// What all hops of a request share.
#[derive(Clone, Debug)]
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    /// Makes the request conditional (`If-None-Match`, `If-Modified-Since`) where there are some.
    pub(crate) conditions: &'a Validators,
    pub(crate) range: Option<&'a Range>,
    /// Header fields of the source, which only `home`'s origin gets.
    pub(crate) headers: &'a [(String, Secret)],
    /// The first target. Its user and password go to its origin alone.
    pub(crate) home: &'a Target,
    /// Replaces natsync's own `User-Agent`.
    pub(crate) user_agent: Option<&'a str>,
    /// Makes caches revalidate with the origin (RFC 9111, section 5.2.1.4).
    pub(crate) past_caches: bool,
}

/// What one hop of a request carries beside that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Visit {
    /// User and password for a login host, if the hop leads to one.
    pub(crate) login: Option<(String, Secret)>,
    /// The field `Cookie`.
    pub(crate) cookies: Option<Secret>,
}

/// A request in the form for one connection.
#[derive(Debug)]
pub(crate) struct Message(pub(super) hyper::Request<Empty<Bytes>>);

impl Request<'_> {
    /// The request for one hop. A proxy gets the whole URL (RFC 9112, section 3.2.2) and the
    /// proxy's credentials; over HTTP/2 the URL includes the host (RFC 9113, section 8.3.1).
    ///
    /// # Errors
    /// When a part of it cannot be written in HTTP.
    pub(crate) fn message(
        &self,
        target: &Target,
        visit: &Visit,
        connection: &Connection,
    ) -> Result<Message, Failure> {
        self.build(target, visit, connection.over_proxy.as_ref(), connection.is_shared())
            .map(Message)
    }

    fn build(
        &self,
        target: &Target,
        visit: &Visit,
        proxy: Option<&OverProxy>,
        http2: bool,
    ) -> Result<hyper::Request<Empty<Bytes>>, Failure> {
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
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(uri)
            .body(Empty::new())
            .map_err(|_| unusable())?;
        let headers = request.headers_mut();
        let text = |value: &str| HeaderValue::from_str(value).map_err(|_| unusable());
        if !http2 {
            headers.insert(HOST, text(&target.origin.authority())?);
        }
        headers.insert(USER_AGENT, text(self.user_agent.unwrap_or(PRODUCT))?);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        // The stored and hashed bytes are those that the server stores.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(range) = self.range {
            let last = range.upto.map(|upto| upto.saturating_sub(1).to_string());
            let wanted = format!("bytes={}-{}", range.from, last.unwrap_or_default());
            match range.validator.as_deref().map(text) {
                // Without `If-Range` the range could be one of another version: request the whole.
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
        // A validator that no header field can hold comes from a damaged state. Without it the
        // response is the whole file.
        let condition = |value: &Option<String>| text(value.as_deref()?).ok();
        headers.extend(condition(&self.conditions.etag).map(|etag| (IF_NONE_MATCH, etag)));
        headers.extend(
            condition(&self.conditions.last_modified).map(|date| (IF_MODIFIED_SINCE, date)),
        );
        let same_origin = target.origin == self.home.origin;
        let own = self.home.user.as_ref().filter(|_| same_origin);
        let user = target.user.as_ref().or(own).or(visit.login.as_ref());
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
        if let Some(cookies) = &visit.cookies {
            // One field holds all of them (RFC 6265, section 5.4), also those of the source.
            let own = headers.get(COOKIE).and_then(|own| own.to_str().ok());
            let all = own.map_or_else(
                || cookies.expose().to_owned(),
                |own| format!("{own}; {}", cookies.expose()),
            );
            let mut field = HeaderValue::from_bytes(all.as_bytes()).map_err(|_| unusable())?;
            field.set_sensitive(true);
            headers.insert(COOKIE, field);
        }
        if let Some(auth) = proxy.and_then(|proxy| proxy.auth.as_ref()) {
            headers.insert(PROXY_AUTHORIZATION, auth.clone());
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

    const NONE: Validators = Validators { etag: None, last_modified: None };

    fn request<'a>(home: &'a Target, conditions: &'a Validators) -> Request<'a> {
        Request {
            method: Method::Get,
            conditions,
            range: None,
            headers: &[],
            home,
            user_agent: None,
            past_caches: false,
        }
    }

    #[test]
    fn a_damaged_validator_is_left_out() {
        let home = Target::parse("http://home/a").unwrap();
        let is_sent = |etag: &str| {
            let conditions = Validators { etag: Some(etag.to_owned()), ..NONE };
            let built =
                request(&home, &conditions).build(&home, &Visit::default(), None, false).unwrap();
            built.headers().contains_key(IF_NONE_MATCH)
        };
        assert!(is_sent("\"a\""));
        assert!(!is_sent("\u{2}a\""));
        let ranged = |validator: &str| {
            let range = Range { from: 5, upto: None, validator: Some(validator.to_owned()) };
            let request = Request { range: Some(&range), ..request(&home, &NONE) };
            let built = request.build(&home, &Visit::default(), None, false).unwrap();
            (built.headers().contains_key(RANGE), built.headers().contains_key(IF_RANGE))
        };
        assert_eq!(ranged("\"a\""), (true, true));
        assert_eq!(ranged("\u{2}a\""), (false, false));
    }

    #[test]
    fn headers_of_the_source_stay_at_home() {
        let headers = [("X-Token".to_owned(), Secret::new("s3cret".to_owned()))];
        let home = Target::parse("http://home/a").unwrap();
        let request = Request { headers: &headers, ..request(&home, &NONE) };
        let is_sent = |url: &str| {
            let target = Target::parse(url).unwrap();
            request
                .build(&target, &Visit::default(), None, false)
                .unwrap()
                .headers()
                .contains_key("x-token")
        };
        assert!(is_sent("http://home/b"));
        for other in ["https://home/b", "http://home:81/b", "http://www.home/b"] {
            assert!(!is_sent(other), "{other}");
        }
    }
}
