//! Reads checksum lists, such as SHA256SUMS, whose files are in the folder of one URL.

use super::urls::checked;
use super::{Given, Input, wrong};
use crate::digest::checksums::{List, Rules};
use crate::ops::error::RunError;

/// Reads a list. `base` is the URL of the folder of the files.
///
/// # Errors
/// When the content is not a list of names with digests.
pub(super) fn read(content: &[u8], base: &str) -> Result<Input, RunError> {
    let list = List::parse(content, "", &Rules::default()).map_err(|problem| {
        wrong(format!("this is not a checksum list: {problem}"), "`--format` sets another format")
    })?;
    let mut input = Input::default();
    for (name, checksum, _) in list.files() {
        let Some(checksum) = checksum else { continue };
        let Ok(name) = std::str::from_utf8(name) else {
            input.notes.push("a name that is not UTF-8 was left out".to_owned());
            continue;
        };
        let name = name.trim_start_matches("./");
        let url = checked(&below(base, name))?;
        match input.files.last_mut().filter(|last| last.url == url) {
            Some(last) => last.checksums.push(checksum),
            None => {
                let path = name.contains('/').then(|| name.to_owned());
                input.files.push(Given { path, checksums: vec![checksum], ..Given::of(url) });
            }
        }
    }
    if input.files.is_empty() {
        return Err(wrong(
            "this checksum list names no file",
            "each line needs a digest and a file name",
        ));
    }
    Ok(input)
}

/// The URL of the file `name` in the folder `base`.
pub(super) fn below(base: &str, name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// Percent-encode everything except the unreserved characters of RFC 3986 and the slash.
    const NAME: AsciiSet =
        NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    format!("{}/{}", base.trim_end_matches('/'), utf8_percent_encode(name, &NAME))
}
