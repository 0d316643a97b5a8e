//! Exports Metalink 4 (RFC 5854).

use std::borrow::Cow;
use std::fmt::Write as _;

use super::{Export, Exported, registered};

/// One document for all entries.
pub(crate) struct Metalink;

impl Export for Metalink {
    fn begin(&self) -> String {
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">\n"
            .to_owned()
    }

    fn entry(&self, file: &Exported) -> Option<String> {
        let mut text = format!("  <file name=\"{}\">\n", escaped(&file.path));
        if let Some(size) = file.size {
            let _ = writeln!(text, "    <size>{size}</size>");
        }
        for checksum in &file.checksums {
            if let Some(name) = registered(checksum.algorithm()) {
                let _ = writeln!(text, "    <hash type=\"{name}\">{}</hash>", checksum.hex());
            }
        }
        for (priority, url) in (1..).zip(&file.urls) {
            let _ = writeln!(text, "    <url priority=\"{priority}\">{}</url>", escaped(url));
        }
        text.push_str("  </file>\n");
        Some(text)
    }

    fn end(&self) -> String {
        "</metalink>\n".to_owned()
    }
}

/// Escapes a text for XML content or attributes (XML 1.0, section 2.4). Paths and URLs contain no
/// character that XML forbids.
fn escaped(text: &str) -> Cow<'_, str> {
    let special = |c| matches!(c, '&' | '<' | '>' | '"');
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}
