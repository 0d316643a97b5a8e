//! URLs as text.

/// Whether a URL can be asked for.
pub(super) fn check_url(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("`{}:` is not supported", parsed.scheme()));
    }
    // Parsers make up what is missing here (WHATWG URL, section 4.4); in a manifest it is a slip.
    let begins_well = url.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.eq_ignore_ascii_case(parsed.scheme()) && !rest.starts_with(['/', '\\'])
    });
    if !begins_well || parsed.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    Ok(())
}

/// The host of a URL, with its port where that is not the usual one; none where the text does not reach so far.
#[must_use]
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (authority, _) = rest.split_once('/')?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}
