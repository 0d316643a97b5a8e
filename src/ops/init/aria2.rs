//! Reads input files of `aria2c --input-file`: the URLs of a file are on one line, its options on
//! the indented lines below.

use super::urls::{at_line, checked, given, located, path, shown, single};
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::ops::error::RunError;

/// A file with its options so far. An option comes with its line.
struct Open {
    given: Given,
    out: Option<(usize, String)>,
    dir: Option<(usize, String)>,
}

/// Reads an input file. Options other than `out`, `dir` and `checksum` are left out, which a note
/// says.
///
/// # Errors
/// When a URL is not allowed in a manifest, an option has no URL before it, or `out`, `dir` or
/// `checksum` cannot be declared.
pub(super) fn read(text: &str) -> Result<Input, RunError> {
    let mut input = Input::default();
    let mut ignored: Vec<&str> = Vec::new();
    let mut open: Option<Open> = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            if let Some(open) = open.take() {
                input.files.push(open.close()?);
            }
            let given = at_line(number, read_urls(line))?;
            open = Some(Open { given: Given { line: number, ..given }, out: None, dir: None });
            continue;
        }
        let Some(open) = &mut open else {
            let error = wrong("an option without a URL before it", "begin with a URL");
            return Err(located(number, error));
        };
        let (key, value) = line.trim().split_once('=').unwrap_or((line.trim(), ""));
        match key {
            "out" => at_line(number, set(&mut open.out, number, key, value))?,
            "dir" => at_line(number, set(&mut open.dir, number, key, value))?,
            "checksum" => {
                let added = read_checksum(value).and_then(|checksum| open.given.add(checksum));
                at_line(number, added)?;
            }
            // Do not copy other options: header fields often contain secrets, and a manifest is
            // usually public.
            other if !ignored.contains(&other) => ignored.push(other),
            _ => {}
        }
    }
    if let Some(open) = open {
        input.files.push(open.close()?);
    }
    if !ignored.is_empty() {
        let names: Vec<_> = ignored.into_iter().map(shown).collect();
        input.notes.push(format!("options that were left out: {}", names.join(", ")));
    }
    Ok(input)
}

/// Reads the line of URLs, which are separated by tabs.
fn read_urls(line: &str) -> Result<Given, RunError> {
    let mut urls = line.split('\t').map(str::trim).filter(|url| !url.is_empty());
    let first = urls.next().unwrap_or_default();
    single(first)?;
    let mut given = given(first)?;
    for url in urls {
        single(url)?;
        given.mirrors.push(checked(url)?);
    }
    Ok(given)
}

fn set(
    option: &mut Option<(usize, String)>,
    line: usize,
    key: &str,
    value: &str,
) -> Result<(), RunError> {
    match option.replace((line, value.to_owned())) {
        None => Ok(()),
        Some(_) => Err(wrong(format!("a second `{key}` of one file"), "remove one of the two")),
    }
}

fn read_checksum(value: &str) -> Result<Checksum, RunError> {
    let checksum = value
        .split_once('=')
        .and_then(|(name, digits)| Checksum::from_hex(Algorithm::named(name)?, digits.trim()));
    checksum.ok_or_else(|| {
        wrong(
            format!("`checksum={}` is not a digest that natsync can check", shown(value)),
            "it is `checksum=sha-256=DIGEST`, or one of sha-512, sha-1 and md5; otherwise remove the line",
        )
    })
}

impl Open {
    /// Joins `dir` and `out` to the path below the destination.
    fn close(self) -> Result<Given, RunError> {
        let Self { mut given, out, dir } = self;
        let out = out.filter(|(_, out)| !out.is_empty());
        let dir = dir.map(|(line, dir)| (line, plain_folder(&dir)));
        let dir = dir.filter(|(_, dir)| !dir.is_empty());
        given.path = match (dir, out) {
            (None, None) => None,
            (None, Some((line, out))) => Some(at_line(line, path(&out))?),
            (Some((line, dir)), out) => {
                let dir = at_line(line, path(&dir))?;
                let (line, name) = match out {
                    Some((line, out)) => (line, at_line(line, path(&out))?),
                    None => (line, given.filename()),
                };
                Some(at_line(line, path(&format!("{dir}/{name}")))?)
            }
        };
        Ok(given)
    }
}

/// A folder without `.` components and slashes at its end.
fn plain_folder(dir: &str) -> String {
    let start = if dir.starts_with('/') { "/" } else { "" };
    let parts: Vec<_> = dir.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("{start}{}", parts.join("/"))
}
