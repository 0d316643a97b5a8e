//! Checks URLs, and reads lists with one URL per line.

use super::{Given, Input, wrong};
use crate::ops::error::RunError;

/// Checks that a manifest may declare this URL, and returns it without its fragment.
///
/// # Errors
/// When it is not an http or https URL, or contains a user, a token or a password.
pub(super) fn checked(url: &str) -> Result<String, RunError> {
    let hint = "a URL begins with `http://` or `https://` and a host";
    let rest = url.split_once("://").filter(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some((_, rest)) = rest else {
        return Err(wrong(format!("`{url}` is not an http or https URL"), hint));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        // The message must not quote the URL, because it contains a secret.
        let what = if user.contains(':') { "a password" } else { "a user or a token" };
        return Err(wrong(
            format!("a URL contains {what}, which the manifest would make public"),
            "leave it out, and write `netrc: true` or `headers: {Authorization: \"${NAME}\"}` into the manifest",
        ));
    }
    if authority.is_empty() || url.chars().any(char::is_control) {
        return Err(wrong(format!("`{}` names no host", url.escape_default()), hint));
    }
    if url.contains("${") {
        return Err(wrong(
            format!("`{url}` contains `${{`, which would insert an environment variable"),
            "write `%24{` instead",
        ));
    }
    // A fragment is never sent to the server.
    Ok(url.split('#').next().unwrap_or(url).to_owned())
}

/// Reads a list; empty lines and lines that begin with `#` are ignored.
///
/// # Errors
/// When a line is not a URL that a manifest may declare.
pub(super) fn read(text: &str) -> Result<Input, RunError> {
    let mut input = Input::default();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        input.files.push(Given::of(at_line(number, checked(line))?));
    }
    Ok(input)
}

/// Puts the line number before the message of a usage error.
pub(super) fn at_line<T>(line: usize, result: Result<T, RunError>) -> Result<T, RunError> {
    result.map_err(|error| match error {
        RunError::Usage { message, hint } => {
            RunError::Usage { message: format!("line {line}: {message}"), hint }
        }
        other => other,
    })
}
