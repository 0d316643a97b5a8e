//! Decides where a redirect may lead. Pure, one hop at a time.

use super::origin::Target;
use crate::failure::{ErrorKind, Failure};

/// The chain of redirects so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hop {
    seen: Vec<String>,
}

/// The next target. Its origin alone decides which headers are sent there, so those of the source
/// do not follow a redirect.
///
/// # Errors
/// When the target is not an http or https URL, would leave https, is link-local or was requested
/// before, or the chain is too long.
pub(crate) fn next_hop(
    hop: &mut Hop,
    from: &Target,
    location: &str,
    most: u32,
) -> Result<Target, Failure> {
    let target = from.join(location)?;
    let fail = |message: String| Err(Failure::new(ErrorKind::Redirect, message));
    let asked = format!("{}{}", from.origin.url(), from.resource);
    hop.seen.push(asked);
    if from.origin.secure && !target.origin.secure {
        return fail(format!("{} redirects from https to http", from.origin));
    }
    if target.is_link_local() {
        return fail(format!("{} redirects to a link-local address", from.origin));
    }
    if hop.seen.contains(&format!("{}{}", target.origin.url(), target.resource)) {
        return fail(format!("{} redirects in a circle", from.origin));
    }
    if most < u32::try_from(hop.seen.len()).unwrap_or(u32::MAX) {
        return fail(format!("more than {most} redirects"));
    }
    Ok(target)
}

impl Hop {
    /// How many redirects were followed.
    pub(crate) fn count(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(from: &str, location: &str) -> Result<Target, Failure> {
        next_hop(&mut Hop::default(), &Target::parse(from).unwrap(), location, 10)
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
        let b = next_hop(&mut way, &a, "/b", 10).unwrap();
        assert!(next_hop(&mut way, &b, "/a", 10).unwrap_err().message.contains("circle"));
        let mut way = Hop::default();
        let b = next_hop(&mut way, &a, "/b", 1).unwrap();
        assert!(next_hop(&mut way, &b, "/c", 1).unwrap_err().message.contains("more than 1"));
    }
}
