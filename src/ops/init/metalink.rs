//! Reads Metalink documents: version 4 (RFC 5854) and its predecessor, version 3.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

use super::urls::{at_line, checked, given, is_url, located, path, shown};
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::ops::error::RunError;

/// The rank of a URL without one; the lowest rank is tried first (RFC 5854, section 4.2.16.1).
const LAST: u64 = 999_999;

/// The `file` element that is being read.
#[derive(Default)]
struct Open {
    line: usize,
    name: String,
    size: Option<u64>,
    checksums: Vec<Checksum>,
    /// Algorithms of digests that natsync does not compute, with their lines.
    foreign: Vec<(usize, String)>,
    /// URLs with their ranks and lines.
    urls: Vec<(u64, usize, String)>,
}

/// An element of the document that is not closed yet.
struct Element {
    /// Its name, if it is in the namespace of the document.
    name: Option<String>,
    line: usize,
    /// The attributes that matter: `type`, `priority` and `preference`.
    kind: String,
    rank: u64,
}

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    /// The last place that was asked for, and its line.
    known: (usize, usize),
}

impl Lines<'_> {
    /// The line of an offset, from 1. Offsets do not decrease.
    fn at(&mut self, offset: u64) -> usize {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX).min(self.text.len());
        let (from, line) = self.known;
        let more = &self.text.as_bytes()[from.min(offset)..offset];
        self.known = (offset, line + memchr::memchr_iter(b'\n', more).count());
        self.known.1
    }
}

/// Reads a document. It takes the http and https resources of its files; resources of other
/// protocols are left out, which a note says. Elements of other namespaces are not about its files.
///
/// # Errors
/// When the text is not a Metalink document, or a file, size or digest cannot be declared.
pub(super) fn read(text: &str) -> Result<Input, RunError> {
    let mut reader = NsReader::from_str(text);
    let mut lines = Lines { text, known: (0, 1) };
    let mut input = Input::default();
    let mut namespace: Option<Vec<u8>> = None;
    let mut elements: Vec<Element> = Vec::new();
    let mut open: Option<Open> = None;
    let mut content = String::new();
    let mut others: Vec<usize> = Vec::new();
    let mut torrents: Vec<usize> = Vec::new();
    loop {
        let before = lines.at(reader.buffer_position());
        let event = reader.read_event();
        let after = lines.at(reader.buffer_position());
        let malformed = || {
            if elements.first().is_some_and(|root| root.name.as_deref() == Some("metalink")) {
                located(after, wrong("this is not well-formed XML", "correct the document"))
            } else {
                not_metalink(text, None)
            }
        };
        match event.map_err(|_| malformed())? {
            Event::Eof => break,
            Event::Start(start) => {
                let element = element(&reader, &start, before, &mut namespace);
                if elements.is_empty() && element.name.as_deref() != Some("metalink") {
                    return Err(not_metalink(text, Some(&start)));
                }
                elements.push(element);
                if place(&elements) == Place::File {
                    if open.is_some() {
                        let error = wrong("a `file` within a `file`", "close the first one");
                        return Err(located(before, error));
                    }
                    let name = match start.try_get_attribute("name") {
                        Ok(None) => String::new(),
                        _ => attribute_of(&start, "name").ok_or_else(|| {
                            let error = wrong(
                                "the name of this `file` has an entity that natsync does not read",
                                "write the name without it",
                            );
                            located(before, error)
                        })?,
                    };
                    open = Some(Open { line: before, name, ..Open::default() });
                }
                content.clear();
            }
            Event::Empty(start) => {
                let element = element(&reader, &start, before, &mut namespace);
                if elements.is_empty() {
                    return Err(not_metalink(text, Some(&start)));
                }
                elements.push(element);
                if matches!(place(&elements), Place::File | Place::Nested) {
                    let error = wrong("this `file` has no URL", "remove it, or add its `url`");
                    return Err(located(before, error));
                }
                elements.pop();
            }
            Event::Text(text) => content.push_str(&text.decode().map_err(|_| malformed())?),
            Event::CData(text) => content.push_str(&String::from_utf8_lossy(&text)),
            Event::GeneralRef(reference) => match resolved(&reference) {
                Some(character) => content.push(character),
                None => return Err(malformed()),
            },
            Event::End(_) => {
                let here = place(&elements);
                if here == Place::Meta {
                    torrents.extend(elements.last().map(|element| element.line));
                }
                let Some(element) = elements.pop() else { return Err(not_metalink(text, None)) };
                if let Some(open) = &mut open {
                    let taken = open.take(here, &element, content.trim(), &mut others);
                    at_line(element.line, taken)?;
                }
                if here == Place::File
                    && let Some(open) = open.take()
                {
                    input.files.push(at_line(open.line, open.close(&mut input.notes))?);
                }
                content.clear();
            }
            _ => {}
        }
    }
    if !elements.is_empty() {
        return Err(located(lines.known.1, wrong("the document is cut short", "fetch it again")));
    }
    if namespace.is_none() {
        return Err(not_metalink(text, None));
    }
    if input.files.is_empty() {
        return Err(wrong(
            "this Metalink document names no file",
            "`--format` sets another format",
        ));
    }
    if let [first, rest @ ..] = &others[..] {
        let urls = if rest.is_empty() { "1 URL" } else { &format!("{} URLs", others.len()) };
        let more = if rest.is_empty() { "" } else { " and later" };
        input.notes.push(format!("{urls} of other protocols left out (line {first}{more})"));
    }
    if let [first, rest @ ..] = &torrents[..] {
        let more = if rest.is_empty() { "" } else { " and later" };
        input.notes.push(format!("`metaurl` was left out (line {first}{more})"));
    }
    Ok(input)
}

/// The part of the document that an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    File,
    /// A `file` within a `file`.
    Nested,
    Size,
    Hash,
    Url,
    /// A description of the file for other programs, such as a torrent.
    Meta,
    Other,
}

/// Version 3 has `files`, `resources` and `verification` in between.
fn place(elements: &[Element]) -> Place {
    let names: Option<Vec<&str>> =
        elements.iter().skip(1).map(|element| element.name.as_deref()).collect();
    let Some(names) = names else { return Place::Other };
    let names = names.strip_prefix(&["files"]).unwrap_or(&names);
    match names {
        ["file"] => Place::File,
        ["file", "file"] => Place::Nested,
        ["file", "size"] => Place::Size,
        ["file", "hash"] | ["file", "verification", "hash"] => Place::Hash,
        ["file", "url"] | ["file", "resources", "url"] => Place::Url,
        ["file", "metaurl"] => Place::Meta,
        _ => Place::Other,
    }
}

/// Begins an element. The first one decides the namespace of the document.
fn element(
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    line: usize,
    document: &mut Option<Vec<u8>>,
) -> Element {
    let (resolved, local) = reader.resolver().resolve_element(start.name());
    let own = match resolved {
        ResolveResult::Bound(namespace) => namespace.as_ref().to_vec(),
        ResolveResult::Unbound | ResolveResult::Unknown(_) => Vec::new(),
    };
    let is_own = *document.get_or_insert_with(|| own.clone()) == own
        && !matches!(resolved, ResolveResult::Unknown(_));
    let number = |name: &str| attribute_of(start, name).and_then(|rank| rank.trim().parse().ok());
    // Version 4 has `priority`, where the lowest comes first; version 3 has `preference`, where the
    // highest comes first.
    let preference = number("preference").map(|preference: u64| LAST.saturating_sub(preference));
    Element {
        name: is_own.then(|| String::from_utf8_lossy(local.as_ref()).into_owned()),
        line,
        kind: attribute_of(start, "type").unwrap_or_default(),
        rank: number("priority").or(preference).unwrap_or(LAST),
    }
}

impl Open {
    /// Takes the content of an element that ended.
    fn take(
        &mut self,
        place: Place,
        element: &Element,
        content: &str,
        others: &mut Vec<usize>,
    ) -> Result<(), RunError> {
        match place {
            Place::Size => {
                let size = content.parse().map_err(|_| {
                    wrong(
                        format!("`{}` is not a size in bytes", shown(content)),
                        "correct or remove it",
                    )
                })?;
                self.size = Some(size);
            }
            Place::Hash => match Algorithm::named(&element.kind) {
                Some(algorithm) => {
                    let checksum = Checksum::from_hex(algorithm, content).ok_or_else(|| {
                        wrong(
                            format!("`{}` is not a {algorithm} digest", shown(content)),
                            "correct or remove it",
                        )
                    })?;
                    self.checksums.push(checksum);
                }
                None => self.foreign.push((element.line, element.kind.clone())),
            },
            // The type of a resource is that of version 3. A torrent may be at an http URL.
            Place::Url
                if is_url(content)
                    && ["", "http", "https"]
                        .contains(&element.kind.to_ascii_lowercase().as_str()) =>
            {
                self.urls.push((element.rank, element.line, checked(content)?));
            }
            Place::Url => others.push(element.line),
            Place::File | Place::Nested | Place::Meta | Place::Other => {}
        }
        Ok(())
    }

    fn close(self, notes: &mut Vec<String>) -> Result<Given, RunError> {
        let Self { line, name, size, checksums, foreign, mut urls } = self;
        urls.sort_by_key(|(rank, ..)| *rank);
        let mut urls = urls.into_iter().map(|(.., url)| url);
        let Some(url) = urls.next() else {
            return Err(wrong(
                format!("`{}` has no http or https URL", shown(&name)),
                "each file needs a URL that begins with `http://` or `https://`",
            ));
        };
        if let Some((at, kind)) = foreign.first() {
            if checksums.is_empty() {
                let error = wrong(
                    format!(
                        "natsync does not compute `{}`, and the file has no other digest",
                        shown(kind)
                    ),
                    "remove the `hash`, or add one with `type=\"sha-256\"`",
                );
                return Err(located(*at, error));
            }
            notes.push(format!("line {at}: a digest of type `{}` was left out", shown(kind)));
        }
        let path = if name.is_empty() { None } else { Some(path(&name)?) };
        let mut given = Given { mirrors: urls.collect(), path, size, line, ..given(&url)? };
        for checksum in checksums {
            given.add(checksum)?;
        }
        Ok(given)
    }
}

/// Says what a document is.
fn not_metalink(text: &str, root: Option<&BytesStart<'_>>) -> RunError {
    let root = root.map(|root| String::from_utf8_lossy(root.local_name().as_ref()).into_owned());
    let start: String = text.trim_start().chars().take(15).collect::<String>().to_ascii_lowercase();
    let is_page = start.starts_with("<!doctype html") || start.starts_with("<html");
    let hint = "pass a list of URLs, or a Metalink document";
    match root {
        Some(root) if !is_page && !root.eq_ignore_ascii_case("html") => {
            wrong(format!("this is XML with `{}`, not a Metalink document", shown(&root)), hint)
        }
        None if !is_page => wrong("this is not a Metalink document", hint),
        _ => wrong("this is a web page, not a list of URLs", hint),
    }
}

fn resolved(reference: &BytesRef<'_>) -> Option<char> {
    match &**reference {
        b"amp" => Some('&'),
        b"lt" => Some('<'),
        b"gt" => Some('>'),
        b"quot" => Some('"'),
        b"apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

fn attribute_of(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok().flatten()?;
    let value = String::from_utf8_lossy(&attribute.value);
    Some(quick_xml::escape::unescape(&value).ok()?.into_owned())
}
