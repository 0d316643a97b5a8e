//! A starter manifest from what people have: URLs, globs, lists of other programs.
//!
//! Whatever is made expands to exactly the URLs that were given. That is checked before anything is written, and what
//! a clever template gets wrong is declared file by file.

mod aria2;
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

/// What a list is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One URL a line
    Urls,
    /// An input file of aria2c
    Aria2,
    /// A Metalink document (RFC 5854)
    Metalink,
    /// A checksum list, such as SHA256SUMS
    Sums,
    /// A registry of pooch
    Pooch,
}

/// A file that is to be declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Given {
    pub(crate) url: String,
    pub(crate) mirrors: Vec<String>,
    /// Where it goes, where that was said.
    pub(crate) path: Option<String>,
    pub(crate) size: Option<u64>,
    pub(crate) checksums: Vec<Checksum>,
}

impl Given {
    pub(crate) fn of(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// Whether its URL is all that is known of it.
    fn is_plain(&self) -> bool {
        self.mirrors.is_empty()
            && self.path.is_none()
            && self.size.is_none()
            && self.checksums.is_empty()
    }
}

/// What was given, read.
#[derive(Debug, Default)]
pub(crate) struct Input {
    /// Files one by one.
    pub(crate) files: Vec<Given>,
    /// Globs, each a template of its own.
    pub(crate) globs: Vec<Pattern>,
    /// What of it was not taken over, for the user to know.
    pub(crate) notes: Vec<String>,
}

/// A source as it is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Pattern(Pattern),
    Files(Vec<Given>),
}

/// What the manifest is to say beside its sources.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Its name; none for the file's stem.
    pub(crate) name: Option<String>,
    /// Its destination.
    pub(crate) dest: String,
}

/// A manifest that was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// Its text.
    pub(crate) text: String,
    /// How many entries it declares.
    pub(crate) entries: u64,
    /// How many sources it has.
    pub(crate) sources: u64,
    /// What was found and what was left out, a line each.
    pub(crate) notes: Vec<String>,
}

/// What is wrong with what was given.
pub(crate) fn wrong(message: impl Into<String>, hint: &str) -> RunError {
    RunError::Usage { message: message.into(), hint: Some(hint.to_owned()) }
}

/// Reads URLs and globs from the command line.
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

/// Reads a list.
pub(crate) fn read_list(
    content: &[u8],
    format: Option<Format>,
    base: Option<&str>,
) -> Result<Input, RunError> {
    let text = String::from_utf8_lossy(content);
    let text = text.trim_start_matches('\u{feff}');
    let based = || match base {
        Some(base) => urls::checked(base),
        None => {
            Err(wrong("this list has names, not URLs", "say where the files are: `--base-url URL`"))
        }
    };
    match format.unwrap_or_else(|| recognise(text)) {
        Format::Urls => urls::read(text),
        Format::Aria2 => aria2::read(text),
        Format::Metalink => metalink::read(text),
        Format::Sums => sums::read(content, &based()?),
        Format::Pooch => pooch::read(text, base),
    }
}

/// What a list looks like.
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

/// How paths may be made, the plainest first. What collides with one of them is parted by the next.
///
/// The last one needs nothing but the number of the source.
const PATHS: [Option<&str>; 5] = [
    None,
    Some("{dir}/{filename}"),
    Some("{host}/{dir}/{filename}"),
    Some("{host}/{dir}/{index}-{filename}"),
    Some(yaml::NUMBERED),
];

/// Makes a manifest that declares exactly what was given. `file` is where it is to be.
///
/// # Errors
/// When nothing was given, or what was given cannot be declared at all.
pub(crate) fn make(input: Input, frame: &Frame, file: &Path) -> Result<Made, RunError> {
    let Input { files, globs, mut notes } = input;
    let mut files = without_twins(files, &mut notes);
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
        notes.push("mirrors were left out: no template gives them".to_owned());
    }
    let found = find::find(&files);
    let wanted = wanted(&files, &globs)?;
    let globs: Vec<_> = globs.into_iter().map(Source::Pattern).collect();
    let clever: Vec<_> = globs.iter().cloned().chain(found).collect();
    let plain: Vec<_> =
        globs.into_iter().chain((!files.is_empty()).then_some(Source::Files(files))).collect();
    let mut last = None;
    for (sources, is_clever) in [(clever, true), (plain, false)] {
        for (portable, path) in
            [true, false].into_iter().flat_map(|portable| PATHS.map(|path| (portable, path)))
        {
            let text = yaml::write(frame, &sources, path, portable, mirror.as_deref());
            match check(&text, file, &wanted) {
                Ok(entries) => {
                    tell(&sources, path, portable, is_clever, &mut notes);
                    let sources = sources.len() as u64;
                    return Ok(Made { text, entries, sources, notes });
                }
                Err(why) => last = Some(why),
            }
        }
    }
    Err(wrong(
        format!("what was given cannot be declared: {}", last.unwrap_or_default()),
        "look at the URLs; `natsync init -o - URL` tries one of them",
    ))
}

/// What a manifest must declare.
enum Wanted {
    /// Just these URLs.
    Urls(BTreeSet<String>),
    /// So many, of globs that are too large to be written out beside the template.
    Count(u64),
}

/// So many URLs are written out to be compared.
const MOST_COMPARED: u64 = 1_000_000;
/// A manifest expands to so many at most, unless it says otherwise.
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

/// Reads the text back, and holds what it declares against what was given.
fn check(text: &str, file: &Path, wanted: &Wanted) -> Result<u64, String> {
    let env = |_: &str| None;
    let options = LoadOptions { env: &env, ..LoadOptions::default() };
    let manifest =
        Manifest::parse(file, text, &options).map_err(|problems| problems.to_string())?;
    manifest.check().map_err(|problems| problems.to_string())?;
    let wanted = match wanted {
        Wanted::Urls(urls) => urls,
        Wanted::Count(count) if manifest.entries().count() == *count => return Ok(*count),
        Wanted::Count(_) => return Err("the template expands to something else".to_owned()),
    };
    let mut seen = 0;
    let mut left: HashSet<&str> = wanted.iter().map(String::as_str).collect();
    for entry in manifest.entries().iter() {
        seen += 1;
        if !left.remove(normal(&entry.url(Form::Sent)).as_str()) {
            return Err("the template expands to something else".to_owned());
        }
    }
    if left.is_empty() { Ok(seen) } else { Err("the template leaves something out".to_owned()) }
}

/// A URL as a manifest would ask for it.
fn normal(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    encode_literal(url, &mut encoded);
    encoded
}

/// Each URL once. What is said of it the first time stands.
fn without_twins(files: Vec<Given>, notes: &mut Vec<String>) -> Vec<Given> {
    let before = files.len();
    let mut seen = HashSet::new();
    let files: Vec<_> = files.into_iter().filter(|given| seen.insert(normal(&given.url))).collect();
    let twins = before - files.len();
    if 0 < twins {
        let urls = if twins == 1 { "1 URL was" } else { &format!("{twins} URLs were") };
        notes.push(format!("{urls} there twice"));
    }
    files
}

/// The template for the mirrors of files of which nothing else is known; they are taken from these.
fn common_mirror(files: &mut [Given]) -> Option<String> {
    let is_plain = |given: &Given| Given { mirrors: Vec::new(), ..given.clone() }.is_plain();
    let mirror = yaml::mirrors(files).filter(|_| files.iter().all(is_plain))?;
    for given in files {
        given.mirrors.clear();
    }
    Some(mirror)
}

fn tell(
    sources: &[Source],
    path: Option<&str>,
    portable: bool,
    clever: bool,
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
        notes.push(format!("paths are `{path}`, since plainer ones would collide"));
    }
    if !portable {
        notes.push("names differ by case alone, so `portable: false`".to_owned());
    }
    if !clever {
        notes.push("no template gave exactly these URLs".to_owned());
    }
}

#[cfg(test)]
mod tests;
