//! Reads checksum lists, such as SHA256SUMS, whose files are in the folder of one URL.

use super::urls::{at_line, located, named};
use super::{Given, Input, wrong};
use crate::digest::checksums::{List, Rules};
use crate::ops::error::RunError;

/// Reads a list. `base` is the URL of the folder of the files, `title` the file name of the list.
///
/// # Errors
/// When the content is not a list of names with digests, or a file has no digest that natsync can
/// check.
pub(super) fn read(text: &str, title: &str, base: &str) -> Result<Input, RunError> {
    let list = List::parse(text.as_bytes(), title, &Rules::default()).map_err(|problem| {
        let message = format!("this is not a checksum list: {}", problem.message);
        let error = wrong(message, "`--format` sets another format");
        match problem.line {
            Some(line) => located(line, error),
            None => error,
        }
    })?;
    let mut input = Input::default();
    for (name, checksum, line) in list.files() {
        let name = String::from_utf8_lossy(name);
        let given = at_line(line, named(base, &name))?;
        match input.files.last_mut().filter(|last| last.path == given.path) {
            Some(last) => last.checksums.extend(checksum),
            None => {
                let checksums = checksum.into_iter().collect();
                input.files.push(Given { checksums, line, ..given });
            }
        }
    }
    if input.files.is_empty() {
        return Err(wrong(
            "this checksum list names no file",
            "each line needs a digest and a file name",
        ));
    }
    if let Some(given) = input.files.iter().find(|given| given.checksums.is_empty()) {
        let error = wrong(
            "this file has no digest that natsync can check",
            "remove the line, or pass the names alone with `--format urls`",
        );
        return Err(located(given.line, error));
    }
    Ok(input)
}
