//! Checks and parts of URLs that need no more than their text.

/// Checks that a URL can be requested: it is absolute, its scheme is `http` or `https`, and it has
/// a host. The error is a fragment that says what is wrong.
pub(crate) fn check_url(url: &str) -> Result<(), String> {
    let parsed = url::Url::parse(url).map_err(|error| error.to_string())?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(format!("`{}:` is not supported", parsed.scheme()));
    }
    // A URL parser repairs missing or extra slashes here (WHATWG URL, section 4.4). In a manifest
    // they are a mistake.
    let begins_well = url.split_once("://").is_some_and(|(scheme, rest)| {
        scheme.eq_ignore_ascii_case(parsed.scheme()) && !rest.starts_with(['/', '\\'])
    });
    if !begins_well || parsed.host_str().is_none_or(str::is_empty) {
        return Err("it names no host".to_owned());
    }
    Ok(())
}

/// The host of a URL and its port, if the URL states one. `None` if no `/` ends the authority: then
/// `url`, the constant beginning of a template, may not contain the whole host.
#[must_use]
pub(crate) fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (authority, _) = rest.split_once('/')?;
    Some(authority.rsplit_once('@').map_or(authority, |(_, host)| host))
}
