//! Reads Metalink documents: version 4 (RFC 5854) and its predecessor, version 3.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::urls::checked;
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::ops::error::RunError;

/// A URL with its rank; the lowest rank is tried first.
type Ranked = (u64, String);

/// The `file` element that is being read.
#[derive(Default)]
struct Open {
    name: String,
    size: Option<u64>,
    checksums: Vec<Checksum>,
    urls: Vec<Ranked>,
}

/// Reads a document. URLs with other protocols than http and https are left out.
///
/// # Errors
/// When the text is not a Metalink document, or a file has no http or https URL.
pub(super) fn read(text: &str) -> Result<Input, RunError> {
    let broken = || wrong("this is not a Metalink document", "`--format` sets another format");
    let mut reader = Reader::from_str(text);
    let mut input = Input::default();
    let mut open: Option<Open> = None;
    let mut other_urls = 0;
    // The current element, its attribute that matters, and its text so far.
    let mut element = String::new();
    let mut attribute = String::new();
    let mut content = String::new();
    // `hash` elements inside `pieces` are digests of parts of the file.
    let mut in_pieces = false;
    loop {
        match reader.read_event().map_err(|_| broken())? {
            Event::Eof => break,
            Event::Start(start) => {
                element = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                content.clear();
                match element.as_str() {
                    "file" => {
                        let name = attribute_of(&start, "name").unwrap_or_default();
                        open = Some(Open { name, ..Open::default() });
                    }
                    "pieces" => in_pieces = true,
                    "hash" => attribute = attribute_of(&start, "type").unwrap_or_default(),
                    "url" => {
                        // Version 4 has `priority`, where the lowest comes first; version 3 has
                        // `preference`, where the highest comes first.
                        let rank =
                            attribute_of(&start, "priority").and_then(|rank| rank.parse().ok());
                        let preference = attribute_of(&start, "preference")
                            .and_then(|rank| rank.parse::<u64>().ok())
                            .map(|preference| 1_000_000_u64.saturating_sub(preference));
                        attribute = rank.or(preference).unwrap_or(999_999).to_string();
                    }
                    _ => {}
                }
            }
            Event::Text(text) => content.push_str(&text.decode().map_err(|_| broken())?),
            Event::CData(text) => content.push_str(&String::from_utf8_lossy(&text)),
            Event::GeneralRef(reference) => match &*reference {
                b"amp" => content.push('&'),
                b"lt" => content.push('<'),
                b"gt" => content.push('>'),
                b"quot" => content.push('"'),
                b"apos" => content.push('\''),
                _ => {
                    let character = reference.resolve_char_ref().ok().flatten();
                    content.extend(character);
                }
            },
            Event::End(end) => {
                let name = String::from_utf8_lossy(end.local_name().as_ref()).into_owned();
                match (name.as_str(), &mut open) {
                    ("pieces", _) => in_pieces = false,
                    ("file", _) => {
                        if let Some(open) = open.take() {
                            input.files.push(close(open)?);
                        }
                    }
                    ("size", Some(open)) => open.size = content.trim().parse().ok(),
                    ("hash", Some(open)) if !in_pieces => {
                        let algorithm = Algorithm::named(&attribute);
                        open.checksums.extend(
                            algorithm.and_then(|algorithm| {
                                Checksum::from_hex(algorithm, content.trim())
                            }),
                        );
                    }
                    ("url", Some(open)) => match checked(content.trim()) {
                        Ok(url) => open.urls.push((attribute.parse().unwrap_or(999_999), url)),
                        Err(_) => other_urls += 1,
                    },
                    _ => {}
                }
                if name == element {
                    content.clear();
                }
            }
            _ => {}
        }
    }
    if input.files.is_empty() {
        return Err(wrong(
            "this Metalink document names no file",
            "`--format` sets another format",
        ));
    }
    if 0 < other_urls {
        let urls = if other_urls == 1 { "1 URL" } else { &format!("{other_urls} URLs") };
        input.notes.push(format!("{urls} of other protocols left out"));
    }
    Ok(input)
}

fn close(open: Open) -> Result<Given, RunError> {
    let Open { name, size, checksums, mut urls } = open;
    urls.sort_by_key(|(rank, _)| *rank);
    let mut urls = urls.into_iter().map(|(_, url)| url);
    let Some(url) = urls.next() else {
        return Err(wrong(
            format!("`{name}` has no http or https URL"),
            "each file needs a URL that begins with `http://` or `https://`",
        ));
    };
    let path = (!name.is_empty() && url.rsplit('/').next() != Some(&name)).then_some(name);
    Ok(Given { url, mirrors: urls.collect(), path, size, checksums })
}

fn attribute_of(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok().flatten()?;
    let value = String::from_utf8_lossy(&attribute.value);
    Some(quick_xml::escape::unescape(&value).ok()?.into_owned())
}
