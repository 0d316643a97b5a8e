//! URLs, one a line.

use super::{Given, Input, wrong};
use crate::ops::error::RunError;

/// A URL that a manifest may declare.
///
/// # Errors
/// When it is none, or holds a password.
pub(super) fn checked(url: &str) -> Result<String, RunError> {
    let hint = "it begins with `http://` or `https://` and a host";
    let rest = url.split_once("://").filter(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    let Some((_, rest)) = rest else {
        return Err(wrong(format!("`{url}` is no URL that natsync asks for"), hint));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        // The URL is not repeated: it holds what nobody should read.
        let what = if user.contains(':') { "a password" } else { "a user or a token" };
        return Err(wrong(
            format!("a URL holds {what}, which a manifest would give away"),
            "leave it out, and write `netrc: true` or `headers: {Authorization: \"${NAME}\"}` into the manifest",
        ));
    }
    if authority.is_empty() || url.chars().any(char::is_control) {
        return Err(wrong(format!("`{}` names no host", url.escape_default()), hint));
    }
    if url.contains("${") {
        return Err(wrong(
            format!("`{url}` has `${{` in it, which means something else in a manifest"),
            "write `%24{` instead",
        ));
    }
    // What stands behind it is never asked for.
    Ok(url.split('#').next().unwrap_or(url).to_owned())
}

/// Reads a list; blank lines and `#` lines are passed over.
///
/// # Errors
/// When a line is no URL.
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

/// The same, with the line in the message.
pub(super) fn at_line<T>(line: usize, result: Result<T, RunError>) -> Result<T, RunError> {
    result.map_err(|error| match error {
        RunError::Usage { message, hint } => {
            RunError::Usage { message: format!("line {line}: {message}"), hint }
        }
        other => other,
    })
}
