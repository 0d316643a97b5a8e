//! Decides where a redirect may lead. Pure, one hop at a time.

use super::cookies::Jar;
use super::headers::Headers;
use super::origin::Target;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Secret;

/// The chain of redirects so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hop {
    seen: Vec<Seen>,
    jar: Jar,
    /// A response of the chain set a cookie.
    sets_cookies: bool,
}

/// A request of the chain.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    url: Secret,
    cookies: Option<Secret>,
}

impl Seen {
    fn of(target: &Target, jar: &Jar, now: i64) -> Self {
        let url = format!("{}{}", target.origin.url(), target.resource);
        Self { url: Secret::new(url), cookies: jar.field(target, now) }
    }
}

/// The next target, after a response from `from` with these headers at the time `now`, in seconds
/// since 1970. Its origin alone decides which headers are sent there, so those of the source do not
/// follow a redirect.
///
/// # Errors
/// When the target is not an http or https URL, would leave https, is link-local or was requested
/// before with the same cookies, or the chain is longer than `most`.
pub(crate) fn next_hop(
    hop: &mut Hop,
    from: &Target,
    headers: &Headers,
    location: &str,
    most: u32,
    now: i64,
) -> Result<Target, Failure> {
    hop.seen.push(Seen::of(from, &hop.jar, now));
    hop.sets_cookies |= hop.jar.take(from, headers, now);
    let target = from.join(location)?;
    let fail = |message: String| Err(Failure::new(ErrorKind::Redirect, message));
    if from.origin.secure && !target.origin.secure {
        return fail(format!("{} redirects from https to http", from.origin));
    }
    if target.is_link_local() {
        return fail(format!("{} redirects to a link-local address", from.origin));
    }
    if let Some(why) = hop.circle(&Seen::of(&target, &hop.jar, now)) {
        return fail(format!("{} redirects in a circle{why}", from.origin));
    }
    if most < u32::try_from(hop.seen.len()).unwrap_or(u32::MAX) {
        return fail(format!("more than {most} redirects"));
    }
    Ok(target)
}

impl Hop {
    /// The beginning of a chain, with the cookies of earlier ones.
    pub(crate) fn with(jar: Jar) -> Self {
        Self { jar, ..Self::default() }
    }

    /// The cookies for a request to that target.
    pub(crate) fn cookies(&self, target: &Target, now: i64) -> Option<Secret> {
        self.jar.field(target, now)
    }

    /// What to add to the message if another request would repeat an earlier one. With cookies that
    /// were set meanwhile, a URL may be requested once more.
    fn circle(&self, next: &Seen) -> Option<&'static str> {
        let mut before = self.seen.iter().filter(|seen| seen.url == next.url);
        let first = before.next()?;
        if first.cookies != next.cookies && before.next().is_none() {
            return None;
        }
        Some(match (self.sets_cookies, first.cookies == next.cookies) {
            (false, _) => "",
            (true, true) => ", and sets a cookie that is not for this URL or changes nothing",
            (true, false) => ", and sets a cookie each time",
        })
    }

    /// How many redirects were followed.
    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, location: &str) -> Result<Target, Failure> {
        let from = Target::parse(from).unwrap();
        next_hop(&mut Hop::default(), &from, &Headers::default(), location, 10, 0)
    }

    #[test]
    fn references_are_resolved() {
        assert_eq!(hop("http://h/a/b", "c").unwrap().resource, "/a/c");
        assert_eq!(hop("http://h/a", "//other/b").unwrap().origin.to_string(), "http://other");
        assert_eq!(hop("http://h/a", "https://h/b").unwrap().origin.to_string(), "https://h");
    }

    #[test]
    fn unsafe_targets_are_refused() {
        for (from, location) in [
            ("https://h/a", "http://h/a"),
            ("http://h/a", "file:///etc/passwd"),
            ("http://h/a", "ftp://h/a"),
            ("http://h/a", "http://169.254.169.254/"),
            ("http://h/a", "http://[::ffff:a9fe:a9fe]/"),
            ("http://h/a", "/a"),
        ] {
            assert_eq!(hop(from, location).unwrap_err().kind, ErrorKind::Redirect, "{location}");
        }
    }

    #[test]
    fn circles_and_long_chains_end() {
        let mut way = Hop::default();
        let a = Target::parse("http://h/a").unwrap();
        let none = Headers::default();
        let b = next_hop(&mut way, &a, &none, "/b", 10, 0).unwrap();
        let failure = next_hop(&mut way, &b, &none, "/a", 10, 0).unwrap_err();
        assert!(failure.message.ends_with("redirects in a circle"), "{failure}");
        let mut way = Hop::default();
        let b = next_hop(&mut way, &a, &none, "/b", 1, 0).unwrap();
        let failure = next_hop(&mut way, &b, &none, "/c", 1, 0).unwrap_err();
        assert!(failure.message.contains("more than 1"));
    }

    #[test]
    fn a_url_is_requested_once_more_with_new_cookies() {
        let a = Target::parse("http://h/a").unwrap();
        let (mut way, sets) = (Hop::default(), |n| Headers::of(&[("set-cookie", n)]));
        assert!(next_hop(&mut way, &a, &sets("n=1"), "/a", 10, 0).is_ok());
        assert_eq!(way.cookies(&a, 0).unwrap().expose(), "n=1");
        let failure = next_hop(&mut way, &a, &sets("n=2"), "/a", 10, 0).unwrap_err();
        assert!(failure.message.contains("sets a cookie each time"), "{failure}");
        let mut way = Hop::default();
        let failure = next_hop(&mut way, &a, &sets("n=1; Secure"), "/a", 10, 0).unwrap_err();
        assert!(failure.message.contains("sets a cookie that"), "{failure}");
    }
}
