//! Checks URLs and paths, and reads lists with one URL or file name per line.

use super::other::{are_rows, is_row, refuse_others, table};
use super::secrets::secret_parameter;
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::manifest::{check_url, range_in_brackets};
use crate::ops::error::RunError;
use crate::rel_path::RelPath;

/// At most this many characters of the input are quoted in a message.
const QUOTED: usize = 80;

/// Checks that a manifest may declare this URL, and returns it without its fragment.
///
/// # Errors
/// When it is not an http or https URL, or contains a user, a token or a password.
pub(super) fn checked(url: &str) -> Result<String, RunError> {
    let hint = "a URL begins with `http://` or `https://` and a host";
    if !is_url(url) {
        refuse_others(url, false)?;
        // The rest of a command line may hold a password.
        let word = url.split_whitespace().next().unwrap_or_default();
        let rest = if word.len() < url.len() { ".." } else { "" };
        return Err(wrong(
            format!("`{}{rest}` is not an http or https URL", shown(word)),
            "a URL begins with `http://` or `https://`; for file names, pass the URL of their folder: `--base-url URL`",
        ));
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if let Some((user, _)) = authority.rsplit_once('@') {
        // The message must not quote the URL, because it contains a secret.
        let what = if user.contains(':') { "a password" } else { "a user or a token" };
        return Err(wrong(
            format!("a URL contains {what}, which the manifest would make public"),
            "leave it out, and write `netrc: true` or `headers: {Authorization: \"${NAME}\"}` into the manifest",
        ));
    }
    if let Some(name) = secret_parameter(url) {
        return Err(wrong(
            format!(
                "the query of a URL contains `{}`, which the manifest would make public",
                shown(&name)
            ),
            "leave it out, and write it into the manifest as `?NAME=${NAME}`, which takes the value from the environment",
        ));
    }
    if url.chars().any(char::is_control) {
        return Err(wrong("a URL contains a control character", hint));
    }
    if authority.is_empty() {
        return Err(wrong(format!("`{}` names no host", shown(url)), hint));
    }
    if url.contains("${") {
        return Err(wrong(
            format!("`{}` contains `${{`, which would insert an environment variable", shown(url)),
            "write `%24{` instead",
        ));
    }
    if let Some((_, range)) = range_in_brackets(url) {
        return Err(wrong(
            format!("`{}` has the glob `{range}`, which a list cannot have", shown(url)),
            "pass the URL as an argument; brackets that are part of it are written `%5B` and `%5D`",
        ));
    }
    check_url(url).map_err(|why| wrong(format!("`{}` is not a URL: {why}", shown(url)), hint))?;
    // A fragment is never sent to the server.
    Ok(url.split('#').next().unwrap_or(url).to_owned())
}

/// A file at a URL. Its fragment may state a digest, as in the indexes of Python packages.
///
/// # Errors
/// When a manifest may not declare the URL, or the digest is malformed.
pub(super) fn given(url: &str) -> Result<Given, RunError> {
    let mut given = Given::of(checked(url)?);
    let stated = url.split_once('#').and_then(|(_, fragment)| fragment.split_once('='));
    if let Some((name, digits)) = stated
        && let Some(algorithm) = Algorithm::named(name)
    {
        let checksum = Checksum::from_hex(algorithm, digits).ok_or_else(|| {
            wrong(
                format!("the fragment of `{}` has no {algorithm} digest", shown(&given.url)),
                "remove the fragment, or correct its digits",
            )
        })?;
        given.checksums.push(checksum);
    }
    Ok(given)
}

/// Checks a path below the destination, and returns it without `./` at its beginning.
///
/// # Errors
/// When it leads out of the destination, or is none.
pub(super) fn path(text: &str) -> Result<String, RunError> {
    let mut plain = text;
    while let Some(rest) = plain.strip_prefix("./") {
        plain = rest;
    }
    match RelPath::parse(plain) {
        Ok(path) => Ok(path.as_str().to_owned()),
        Err(why) => Err(wrong(
            format!("`{}` cannot be a path below the destination: {why}", shown(text)),
            "correct the path in the list",
        )),
    }
}

/// The URL of the file `name` in the folder `base`.
pub(super) fn below(base: &str, name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// Percent-encode everything except the unreserved characters of RFC 3986 and the slash.
    const NAME: AsciiSet =
        NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("{}/{}", base.trim_end_matches('/'), utf8_percent_encode(name, &NAME))
}

/// The file `name` in the folder `base`.
///
/// # Errors
/// When the name cannot be a path below the destination.
pub(super) fn named(base: &str, name: &str) -> Result<Given, RunError> {
    let path = path(name)?;
    Ok(Given { path: Some(path.clone()), ..Given::of(checked(&below(base, &path))?) })
}

/// Reads a list of URLs; with a `base` also of file names. Empty lines are ignored, and text that
/// begins with `#` at the beginning of a line or after white space.
///
/// # Errors
/// When a line is neither a URL that a manifest may declare nor a file name.
pub(super) fn read(text: &str, base: Option<&str>) -> Result<Input, RunError> {
    let mut input = Input::default();
    let mut fragments = 0;
    for (line, content) in contents(text) {
        let given = match base {
            Some(base) if !content.contains("://") => {
                at_line(line, refuse_others(content, true))?;
                if content.contains('\t') {
                    return Err(located(line, table()));
                }
                at_line(line, named(base, content))?
            }
            _ => {
                at_line(line, single(content))?;
                at_line(line, given(content))?
            }
        };
        fragments +=
            usize::from(content.contains('#') && given.checksums.is_empty() && is_url(content));
        input.files.push(Given { line, ..given });
    }
    let urls = || contents(text).map(|(_, content)| content).filter(|content| is_url(content));
    if are_rows(urls()) {
        let first = contents(text).next().map_or(1, |(line, _)| line);
        return Err(located(first, table()));
    }
    if 0 < fragments {
        let urls = if fragments == 1 { "1 URL" } else { &format!("{fragments} URLs") };
        input.notes.push(format!("{urls} had a fragment, which is never sent and was left out"));
    }
    Ok(input)
}

/// Lines with content, without their comments.
fn contents(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter_map(|(number, line)| {
        let mut before = ' ';
        let comment = line.char_indices().find(|&(_, character)| {
            let begins = character == '#' && before.is_whitespace();
            before = character;
            begins
        });
        let content = line[..comment.map_or(line.len(), |(at, _)| at)].trim();
        (!content.is_empty()).then_some((number, content))
    })
}

/// Checks that there is no text after a URL.
///
/// # Errors
/// When there is white space, or it is a row of a table.
pub(super) fn single(content: &str) -> Result<(), RunError> {
    if !is_url(content) {
        refuse_others(content, false)?;
        return if is_row(content) { Err(table()) } else { Ok(()) };
    }
    let Some(blank) = content.find(char::is_whitespace) else { return Ok(()) };
    let (url, rest) = content.split_at(blank);
    if rest.contains('\t')
        || url.ends_with([',', ';', '|'])
        || rest.trim_start().starts_with(['|', ';', ','])
    {
        return Err(table());
    }
    Err(wrong(
        format!("there is text after the URL `{}`", shown(url)),
        "write one URL on each line, with `%20` for a space; ` # ` begins a comment",
    ))
}

/// Whether a text begins as an http or https URL.
pub(super) fn is_url(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

/// A part of the input for a message: short, without queries and users, which may be secrets.
pub(super) fn shown(text: &str) -> String {
    let (text, cut) = match text.split_once(['?', '#']) {
        Some((before, _)) => (before, true),
        None => (text, false),
    };
    // A user and a password, also in a URL whose slashes are wrong.
    let scheme = text.find(':').map_or(0, |colon| colon + 1);
    let start = scheme + text[scheme..].len() - text[scheme..].trim_start_matches('/').len();
    let authority = text[start..].split('/').next().unwrap_or_default();
    let text = match authority.rfind('@') {
        Some(at) if 0 < scheme => format!("{}***{}", &text[..start], &text[start + at..]),
        _ => text.to_owned(),
    };
    let plain: String = text
        .chars()
        .take(QUOTED)
        .map(|character| if character.is_control() { '\u{b7}' } else { character })
        .collect();
    if cut || plain.len() < text.len() { format!("{plain}..") } else { plain }
}

/// Puts the line number before the message of a usage error.
pub(super) fn located(line: usize, error: RunError) -> RunError {
    match error {
        RunError::Usage { message, hint } if !has_line(&message) => {
            RunError::Usage { message: format!("line {line}: {message}"), hint }
        }
        other => other,
    }
}

/// Whether a message begins with a line, which is closer to the fault than that of its element.
fn has_line(message: &str) -> bool {
    let number = message.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    number.is_some_and(|(number, _)| number.parse::<usize>().is_ok())
}

/// As [`located`], for a result.
pub(super) fn at_line<T>(line: usize, result: Result<T, RunError>) -> Result<T, RunError> {
    result.map_err(|error| located(line, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_quote_no_secret_and_no_control_character() {
        for (text, expected) in [
            ("ftp://h/a?token=x", "ftp://h/a.."),
            ("ftp://u:p@h/a@b", "ftp://***@h/a@b"),
            ("https:/u:p@h/a", "https:/***@h/a"),
            ("https:u:p@h/a", "https:***@h/a"),
            ("https:///u:p@h/a", "https:///***@h/a"),
            ("u:p@h/a", "u:***@h/a"),
            ("a@b", "a@b"),
            ("a\u{1b}[31mb", "a\u{b7}[31mb"),
            ("plain", "plain"),
        ] {
            assert_eq!(shown(text), expected);
        }
        assert_eq!(shown(&"x".repeat(100)).len(), QUOTED + 2);
    }

    #[test]
    fn columns_are_told_from_characters_of_a_path() {
        for (lines, table) in [
            (&["http://h/a.bin,1", "http://h/b.bin,2"][..], true),
            (&["http://h/a;1", "http://h/b;2"], true),
            (&["http://h/a|x", "http://h/b|y"], true),
            (&["http://h/a,http://m/a"], true),
            (&["http://h/tile/1,2", "http://h/tile/1,3"], false),
            (&["http://h/tile/1,2.png", "http://h/tile/1,3.png"], false),
            (&["http://h/a;v=1", "http://h/b;v=1"], false),
            (&["http://h/a;1/x", "http://h/b;1/y"], false),
            (&["http://h/?a,1", "http://h/?b,2"], false),
            (&["http://h/a.bin,1", "http://h/b.bin"], false),
            (&["http://h/a,1"], false),
        ] {
            assert_eq!(are_rows(lines.iter().copied()), table, "{lines:?}");
        }
    }
}
