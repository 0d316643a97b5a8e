//! Reads input files of `aria2c --input-file`: the URLs of a file are on one line, its options on
//! the indented lines below.

use super::urls::{at_line, checked};
use super::{Given, Input, wrong};
use crate::digest::{Algorithm, Checksum};
use crate::ops::error::RunError;

/// Reads an input file. Options other than `out`, `dir` and `checksum` are left out.
///
/// # Errors
/// When a URL is not allowed in a manifest, or an option has no URL before it.
pub(super) fn read(text: &str) -> Result<Input, RunError> {
    let mut input = Input::default();
    let mut ignored: Vec<&str> = Vec::new();
    let mut folders: Vec<Option<String>> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            let mut urls = line.split('\t').map(str::trim).filter(|url| !url.is_empty());
            let url = at_line(number, checked(urls.next().unwrap_or_default()))?;
            let mirrors = urls.map(|url| at_line(number, checked(url)));
            let mirrors = mirrors.collect::<Result<_, _>>()?;
            input.files.push(Given { mirrors, ..Given::of(url) });
            folders.push(None);
            continue;
        }
        let (Some(given), Some(folder)) = (input.files.last_mut(), folders.last_mut()) else {
            let error = wrong("an option without a URL before it", "begin with a URL");
            return at_line(number, Err(error));
        };
        let (key, value) = line.trim().split_once('=').unwrap_or((line.trim(), ""));
        match key {
            "out" => given.path = Some(value.to_owned()),
            "dir" => *folder = Some(value.trim_end_matches('/').to_owned()),
            "checksum" => {
                let checksum = value.split_once('=').and_then(|(name, digits)| {
                    Checksum::from_hex(Algorithm::named(name)?, digits.trim())
                });
                match checksum {
                    Some(checksum) => given.checksums.push(checksum),
                    None if !ignored.contains(&"checksum") => ignored.push("checksum"),
                    None => {}
                }
            }
            // Do not copy other options: header fields often contain secrets, and a manifest is
            // usually public.
            other if !ignored.contains(&other) => ignored.push(other),
            _ => {}
        }
    }
    place(&mut input.files, &folders);
    if !ignored.is_empty() {
        input.notes.push(format!("options that were left out: {}", ignored.join(", ")));
    }
    Ok(input)
}

/// Applies the `dir` options. If all files have the same folder it is dropped, because it stands
/// for the destination; otherwise the folders become part of the paths.
fn place(files: &mut [Given], folders: &[Option<String>]) {
    let is_one = folders.windows(2).all(|pair| pair[0] == pair[1]);
    for (given, folder) in files.iter_mut().zip(folders) {
        let own = given.url.rsplit('/').next().unwrap_or_default();
        let own = own.split('?').next().unwrap_or_default().to_owned();
        if let (false, Some(folder)) = (is_one, folder) {
            let folder = folder.trim_start_matches(['/', '.']);
            let name = given.path.clone().unwrap_or(own);
            given.path = Some(if folder.is_empty() { name } else { format!("{folder}/{name}") });
        } else if given.path.as_deref() == Some(&own) {
            // The path equals the default, the last component of the URL.
            given.path = None;
        }
    }
}
