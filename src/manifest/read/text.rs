//! The text of a manifest's file.

use std::io::Read as _;
use std::path::Path;

use crate::manifest::problem::{Problem, Problems, Span, Text};

/// Largest accepted manifest, in bytes. YAML is slow to parse; tables of this size have files of
/// their own.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Reads a manifest's file.
///
/// # Errors
/// When the file cannot be read, is not a regular file, is too large, or is not UTF-8.
pub(super) fn read_text(file: &Path) -> Result<String, Problems> {
    let fail = |message: String, hint: Option<&str>| {
        let problem = Problem::of_file(file, message);
        Problems::new(vec![match hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }])
    };
    let metadata = std::fs::metadata(file).map_err(|error| {
        let hint = (error.kind() == std::io::ErrorKind::NotFound).then_some(
            "name a manifest or a directory of manifests, or create `natsync.yaml` here",
        );
        fail(format!("cannot read the manifest: {error}"), hint)
    })?;
    if !metadata.is_file() {
        return Err(fail("the manifest is not a regular file".to_owned(), None));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(file)
        .and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes))
        .map_err(|error| fail(format!("cannot read the manifest: {error}"), None))?;
    if LARGEST < bytes.len() as u64 {
        let hint =
            "put the values into files that it names: `{file: ids.txt}`, `rows: {csv: rows.csv}`";
        return Err(fail(format!("the manifest has more than {LARGEST} bytes"), Some(hint)));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
            let text = Text::new(file, &text);
            let problem = text.problem(
                Span { start: valid, end: valid },
                "the manifest is not UTF-8 from here on",
            );
            Err(Problems::new(vec![problem.hint("save it as UTF-8")]))
        }
    }
}

/// The text without a byte order mark at its start. Offsets in problems refer to the returned text.
pub(super) fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
