//! Recognises input that is not a list, to say what it is.

use super::wrong;
use crate::ops::error::RunError;

/// Converts input to text.
///
/// # Errors
/// When it is not UTF-8.
pub(super) fn text(content: &[u8]) -> Result<&str, RunError> {
    let hint = "a list is text in UTF-8";
    if content.starts_with(b"\xff\xfe") || content.starts_with(b"\xfe\xff") {
        return Err(wrong("this list is UTF-16, as PowerShell writes it", hint));
    }
    // Of the control characters, text has only those of white space.
    let is_binary = |byte: &u8| matches!(byte, 0..=8 | 14..=26 | 28..=31);
    let beginning = &content[..content.len().min(1024)];
    if content.contains(&0) || beginning.iter().any(is_binary) {
        return Err(wrong("this is binary data, not a list", hint));
    }
    match std::str::from_utf8(content) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}')),
        Err(error) => {
            let before = &content[..error.valid_up_to()];
            let line = 1 + memchr::memchr_iter(b'\n', before).count();
            Err(wrong(format!("line {line}: this is not UTF-8"), hint))
        }
    }
}

/// Options of curl that a configuration file (`curl -K`) may begin with.
const CURL: [&str; 22] = [
    "url",
    "output",
    "output-dir",
    "remote-name",
    "remote-name-all",
    "remote-header-name",
    "create-dirs",
    "location",
    "header",
    "user",
    "user-agent",
    "referer",
    "request",
    "data",
    "cookie",
    "proxy",
    "parallel",
    "next",
    "silent",
    "fail",
    "retry",
    "compressed",
];

/// Says what a line is, if it is neither a URL nor a file name.
///
/// # Errors
/// Always, if it is something known.
pub(super) fn refuse_others(line: &str, may_be_name: bool) -> Result<(), RunError> {
    if line.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("magnet:")) {
        return Err(wrong(
            "a magnet link, which names no server",
            "natsync fetches from http and https URLs",
        ));
    }
    let end = line.find([' ', '\t', '=', ':']).unwrap_or(line.len());
    let (word, rest) = line.split_at(end);
    let rest = rest.trim_start();
    // A file name may begin with a dash.
    let is_option = (line.starts_with('-') && (!may_be_name || line.contains([' ', '='])))
        || (CURL.contains(&word)
            && (rest.starts_with(['=', '"', '\''])
                || (rest.starts_with(':') && !rest.starts_with("://"))));
    if is_option {
        return Err(wrong(
            "this is a configuration file of curl (`curl -K`), not a list",
            "pass its URLs: one on each line",
        ));
    }
    Ok(())
}

/// What a table is told.
pub(super) fn table() -> RunError {
    wrong(
        "this is a row of a table, not a URL",
        "pass the URLs alone; the key `rows` of a manifest reads a CSV file, whose columns are variables",
    )
}

/// The separators of tables.
const SEPARATORS: [char; 4] = ['\t', ';', ',', '|'];

/// Whether a line that is not a URL looks like a row of a table.
pub(super) fn is_row(line: &str) -> bool {
    line.contains('\t')
        || (line.starts_with('"') && line.contains(','))
        || SEPARATORS.iter().any(|&separator| {
            let fields: Vec<_> = line.split(separator).map(str::trim).collect();
            1 < fields.len() && fields.iter().all(|field| !field.contains(char::is_whitespace))
        })
}

/// Whether the lines of a list, which are URLs, have further columns.
pub(super) fn are_rows<'l>(mut urls: impl Iterator<Item = &'l str>) -> bool {
    let Some(first) = urls.next() else { return false };
    let rest: Vec<&str> = urls.collect();
    SEPARATORS.iter().any(|&separator| {
        let columns = |line: &str| path_of(line).matches(separator).count();
        let many = columns(first);
        let (before, after) = path_of(first).split_once(separator).unwrap_or((first, ""));
        let tells = after.split(separator).any(|field| {
            let field = field.trim_matches('"');
            let is_digest = 32 <= field.len() && field.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_digest || field.starts_with("http://") || field.starts_with("https://")
        });
        // Commas and semicolons are characters of a path, so a single number behind one may be part
        // of a file's name. In each line, behind a name with an extension, it is a column.
        let has_columns = !rest.is_empty()
            && !after.contains(['/', '=', '.'])
            && (separator != ','
                || before.rsplit('/').next().is_some_and(|name| name.contains('.')));
        0 < many && (tells || (has_columns && rest.iter().all(|line| columns(line) == many)))
    })
}

/// A URL without its query.
fn path_of(url: &str) -> &str {
    url.split('?').next().unwrap_or(url)
}
