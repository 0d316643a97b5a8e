//! `natsync init`: makes a starter manifest from URLs, curl globs or the lists of other programs.
//!
//! The generated manifest must expand to exactly the given URLs. The text is parsed and expanded
//! again before it is returned; if the inferred templates fail that check, every file is declared
//! on its own. Nothing here reads or writes files.

mod aria2;
mod escape;
mod find;
mod glob;
mod merge;
mod metalink;
mod numbers;
mod pattern;
mod pooch;
mod sums;
mod urls;
mod yaml;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use crate::digest::Checksum;
use crate::manifest::entry::Form;
use crate::manifest::template::encode_literal;
use crate::manifest::{LoadOptions, Manifest};
use crate::ops::error::RunError;
pub(crate) use pattern::{Pattern, Values};

/// The format of a list of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// One URL a line.
    Urls,
    /// An input file of aria2c.
    Aria2,
    /// A Metalink document (RFC 5854).
    Metalink,
    /// A checksum list, such as SHA256SUMS.
    Sums,
    /// A registry of pooch.
    Pooch,
}

/// A file to declare in the manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) url: String,
    pub(crate) mirrors: Vec<String>,
    /// The path below the destination, if the list gives one.
    pub(crate) path: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) checksums: Vec<Checksum>,
}

impl Given {
    pub(crate) fn of(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// True if nothing but the URL is known.
    fn is_plain(&self) -> bool {
        self.mirrors.is_empty()
            && self.path.is_none()
            && self.size.is_none()
            && self.checksums.is_empty()
    }
}

/// The parsed input.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) files: Vec<Given>,
    /// Each glob becomes one source with a template.
    pub(crate) globs: Vec<Pattern>,
    /// Messages for the user about input that was left out.
    pub(crate) notes: Vec<String>,
}

/// A source of the generated manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Pattern(Pattern),
    Files(Vec<Given>),
}

/// The top-level keys of the generated manifest.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// `None` writes no `name`, so that the manifest takes the stem of its file name.
    pub(crate) name: Option<String>,
    pub(crate) dest: String,
}

/// A generated manifest.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) text: String,
    pub(crate) entries: u64,
    pub(crate) sources: u64,
    /// One line for each pattern that was found and for each part of the input that was left out.
    pub(crate) notes: Vec<String>,
}

/// A usage error about the input of `natsync init`.
pub(crate) fn wrong(message: impl Into<String>, hint: &str) -> RunError {
    RunError::Usage { message: message.into(), hint: Some(hint.to_owned()) }
}

/// Reads URLs and globs from the command line.
///
/// # Errors
/// When a glob is malformed or a URL is not allowed in a manifest.
pub(crate) fn read_arguments(arguments: &[String]) -> Result<Input, RunError> {
    let mut input = Input::default();
    for argument in arguments {
        match glob::parse(argument)? {
            Some(pattern) => input.globs.push(pattern),
            None => input.files.push(Given::of(urls::checked(&glob::unescaped(argument))?)),
        }
    }
    Ok(input)
}

/// Reads a list of files. Without `format`, the format is guessed from the content. `base` is the
/// URL of the folder of the files, for lists that have names instead of URLs.
///
/// # Errors
/// When a line is malformed, or the list needs a `base` and there is none.
pub(crate) fn read_list(
    content: &[u8],
    format: Option<Format>,
    base: Option<&str>,
) -> Result<Input, RunError> {
    let text = String::from_utf8_lossy(content);
    let text = text.trim_start_matches('\u{feff}');
    let based = || match base {
        Some(base) => urls::checked(base),
        None => Err(wrong(
            "this list has names, not URLs",
            "pass the URL of their folder: `--base-url URL`",
        )),
    };
    match format.unwrap_or_else(|| recognise(text)) {
        Format::Urls => urls::read(text),
        Format::Aria2 => aria2::read(text),
        Format::Metalink => metalink::read(text),
        Format::Sums => sums::read(content, &based()?),
        Format::Pooch => pooch::read(text, base),
    }
}

/// Guesses the format of a list from its first lines.
fn recognise(text: &str) -> Format {
    if text.trim_start().starts_with('<') {
        return Format::Metalink;
    }
    let lines = || text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let first = lines().next().unwrap_or_default();
    if first.contains("://") && !first.trim_end().contains(' ') {
        let has_options = lines()
            .any(|line| line.contains('\t') || (line.starts_with(' ') && line.contains('=')));
        return if has_options { Format::Aria2 } else { Format::Urls };
    }
    let mut words = first.split_whitespace();
    let (one, two) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_digest = |word: &str| {
        let hex = word.rsplit(':').next().unwrap_or(word);
        32 <= hex.len() && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    match (is_digest(one), is_digest(two)) {
        (false, true) => Format::Pooch,
        (true, _) => Format::Sums,
        _ if first.contains(" = ") || first.contains(")=") => Format::Sums,
        _ => Format::Urls,
    }
}

/// Path templates, the simplest first. If the paths of one template collide, the next one is tried.
///
/// The last template uses only the numbers of source and entry, so its paths never collide.
const PATHS: [Option<&str>; 5] = [
    None,
    Some("{dir}/{filename}"),
    Some("{host}/{dir}/{filename}"),
    Some("{host}/{dir}/{index}-{filename}"),
    Some(yaml::NUMBERED),
];

/// Makes a manifest that declares exactly the given URLs. `file` is the name of the manifest; it is
/// used in messages and for the default name.
///
/// # Errors
/// When the input is empty, or no manifest declares exactly its URLs.
pub(crate) fn make(input: Input, frame: &Frame, file: &Path) -> Result<Made, RunError> {
    let Input { files, globs, mut notes } = input;
    let mut files = deduplicated(files, &mut notes);
    if files.is_empty() && globs.is_empty() {
        return Err(wrong(
            "no URL was given",
            "write `natsync init URL...`, or pipe a list into `natsync init -`",
        ));
    }
    let mirror = if globs.is_empty() { common_mirror(&mut files) } else { None };
    if mirror.is_none()
        && files.iter().any(|given| !given.mirrors.is_empty())
        && yaml::mirrors(&files).is_none()
    {
        notes.push("mirrors were left out: no template describes them".to_owned());
    }
    let found = find::find(&files);
    let wanted = wanted(&files, &globs)?;
    let globs: Vec<_> = globs.into_iter().map(Source::Pattern).collect();
    let inferred: Vec<_> = globs.iter().cloned().chain(found).collect();
    let listed: Vec<_> =
        globs.into_iter().chain((!files.is_empty()).then_some(Source::Files(files))).collect();
    let mut last = None;
    for (sources, is_inferred) in [(inferred, true), (listed, false)] {
        for (portable, path) in
            [true, false].into_iter().flat_map(|portable| PATHS.map(|path| (portable, path)))
        {
            let text = yaml::write(frame, &sources, path, portable, mirror.as_deref());
            match check(&text, file, &wanted) {
                Ok(entries) => {
                    describe(&sources, path, portable, is_inferred, &mut notes);
                    let sources = sources.len() as u64;
                    return Ok(Made { text, entries, sources, notes });
                }
                Err(why) => last = Some(why),
            }
        }
    }
    Err(wrong(
        format!("no manifest declares exactly these URLs: {}", last.unwrap_or_default()),
        "check the URLs; `natsync init -o - URL` tries a single one",
    ))
}

/// The entries that the generated manifest must declare.
enum Wanted {
    /// Exactly these URLs.
    Urls(BTreeSet<String>),
    /// A number of entries: the globs are too large to compare every URL.
    Count(u64),
}

/// Globs with more URLs than this are compared by their count alone, to bound memory.
const MOST_COMPARED: u64 = 1_000_000;
/// The default limit on the entries of a manifest.
const MOST: u64 = 10_000_000;

fn wanted(files: &[Given], globs: &[Pattern]) -> Result<Wanted, RunError> {
    let of_globs = globs.iter().map(Pattern::count).fold(0, u64::saturating_add);
    let count = of_globs.saturating_add(files.len() as u64);
    if MOST < count {
        let message = format!("this expands to {count} URLs, more than {MOST}");
        return Err(wrong(message, "narrow the globs"));
    }
    if MOST_COMPARED < of_globs {
        return Ok(Wanted::Count(count));
    }
    let mut urls: BTreeSet<String> = files.iter().map(|given| normal(&given.url)).collect();
    for glob in globs {
        urls.extend(glob.expand().iter().map(|url| normal(url)));
    }
    Ok(Wanted::Urls(urls))
}

/// Parses the generated text and compares its entries with the wanted ones. Returns their number.
fn check(text: &str, file: &Path, wanted: &Wanted) -> Result<u64, String> {
    let env = |_: &str| None;
    let options = LoadOptions { env: &env, ..LoadOptions::default() };
    let manifest =
        Manifest::parse(file, text, &options).map_err(|problems| problems.to_string())?;
    manifest.check().map_err(|problems| problems.to_string())?;
    let wanted = match wanted {
        Wanted::Urls(urls) => urls,
        Wanted::Count(count) if manifest.entries().count() == *count => return Ok(*count),
        Wanted::Count(_) => return Err("the template expands to other URLs".to_owned()),
    };
    let mut seen = 0;
    let mut left: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    for entry in manifest.entries().iter() {
        seen += 1;
        if !left.remove(normal(&entry.url(Form::Sent)).as_str()) {
            return Err("the template expands to other URLs".to_owned());
        }
    }
    if left.is_empty() {
        Ok(seen)
    } else {
        Err("the template leaves out some of the URLs".to_owned())
    }
}

/// A URL percent-encoded as a manifest encodes it, so that two spellings compare equal.
fn normal(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    encode_literal(url, &mut encoded);
    encoded
}

/// Drops repeated URLs; the first occurrence and its attributes are kept.
fn deduplicated(files: Vec<Given>, notes: &mut Vec<String>) -> Vec<Given> {
    let before = files.len();
    let mut seen = HashSet::new();
    let files: Vec<_> = files.into_iter().filter(|given| seen.insert(normal(&given.url))).collect();
    let repeated = before - files.len();
    if 0 < repeated {
        let urls = if repeated == 1 {
            "1 repeated URL was"
        } else {
            &format!("{repeated} repeated URLs were")
        };
        notes.push(format!("{urls} left out"));
    }
    files
}

/// The template for the mirrors of all files, if each file has only a URL and mirrors. The mirrors
/// are then removed from the files, so that the files can become patterns.
fn common_mirror(files: &mut [Given]) -> Option<String> {
    let is_plain = |given: &Given| Given { mirrors: Vec::new(), ..given.clone() }.is_plain();
    let mirror = yaml::mirrors(files).filter(|_| files.iter().all(is_plain))?;
    for given in files {
        given.mirrors.clear();
    }
    Some(mirror)
}

/// Adds notes for the user about the sources and settings of the generated manifest.
fn describe(
    sources: &[Source],
    path: Option<&str>,
    portable: bool,
    is_inferred: bool,
    notes: &mut Vec<String>,
) {
    for source in sources {
        notes.push(match source {
            Source::Pattern(pattern) => {
                let variables: Vec<_> = pattern
                    .variables
                    .iter()
                    .map(|(name, values)| format!("{name}: {}", yaml::values(values, 5)))
                    .collect();
                let count = pattern.count();
                let entries = if count == 1 { "1 URL" } else { &format!("{count} URLs") };
                let of = if variables.is_empty() {
                    String::new()
                } else {
                    format!(" with {}", variables.join(", "))
                };
                format!("{entries}: {}{of}", pattern.template())
            }
            Source::Files(files) => match files.len() {
                1 => "1 URL by itself".to_owned(),
                count => format!("{count} URLs without a pattern, one by one"),
            },
        });
    }
    if let Some(path) = path {
        let path = path.replace(yaml::NUMBERED, "source-N/{index}");
        notes.push(format!("paths are `{path}`, because simpler paths would collide"));
    }
    if !portable {
        notes.push(
            "some names differ only in case, so the manifest has `portable: false`".to_owned(),
        );
    }
    if !is_inferred {
        notes.push("no template produced exactly these URLs".to_owned());
    }
}

#[cfg(test)]
mod tests;
