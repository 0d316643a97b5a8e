//! `natsync init`: makes a starter manifest from URLs, curl globs or the lists of other programs.
//!
//! The generated manifest must expand to exactly the given files: their URLs, and the mirrors, paths,
//! sizes and digests that were stated. The text is parsed and expanded again before it is returned;
//! if the inferred templates fail that check, every file is declared on its own. What a manifest
//! cannot hold is refused with its line. Nothing here reads or writes files.

mod aria2;
mod escape;
mod expected;
mod find;
mod given;
mod glob;
mod lists;
mod merge;
mod metalink;
mod mirrors;
mod numbers;
mod other;
mod pattern;
mod pooch;
mod secrets;
mod sums;
mod urls;
mod yaml;

use std::path::Path;

use crate::manifest::template::encode_literal;
use crate::manifest::{LoadOptions, Manifest};
use crate::ops::error::RunError;
use expected::Expected;
pub(crate) use given::Given;
pub(crate) use lists::{Format, read_list};
pub(crate) use pattern::{Pattern, Values};

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
pub(crate) struct Source {
    pub(crate) files: Files,
    /// Templates.
    pub(crate) mirrors: Vec<String>,
}

/// The files of a source.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Files {
    Pattern(Pattern),
    /// Their own mirrors are those of the source.
    Listed(Vec<Given>),
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
            None => input.files.push(urls::given(&glob::unescaped(argument))?),
        }
    }
    Ok(input)
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

/// Makes a manifest that declares exactly the given files. `file` is the name of the manifest, which
/// decides its default name.
///
/// # Errors
/// When the input is empty or contradictory, or no manifest declares exactly its files.
pub(crate) fn make(input: Input, frame: &Frame, file: &Path) -> Result<Made, RunError> {
    let Input { files, globs, mut notes } = input;
    frame.check(file)?;
    let files = expected::without_globs(files, &globs, &mut notes);
    let files = given::distinct(files, &mut notes)?;
    if files.is_empty() && globs.is_empty() {
        return Err(wrong(
            "no URL was given",
            "write `natsync init URL...`, or pipe a list into `natsync init -`",
        ));
    }
    let expected = Expected::of(&files, &globs)?;
    let globs: Vec<_> = globs
        .into_iter()
        .map(|glob| Source { files: Files::Pattern(glob), mirrors: Vec::new() })
        .collect();
    let groups = mirrors::grouped(&files, false);
    let listed = |groups: Vec<mirrors::Group>| -> Vec<Source> {
        let of_group =
            |mirrors::Group { mirrors, files }| Source { files: Files::Listed(files), mirrors };
        globs.iter().cloned().chain(groups.into_iter().map(of_group)).collect()
    };
    let found = groups.iter().flat_map(|group| {
        find::find(&group.files)
            .into_iter()
            .map(|files| Source { files, mirrors: group.mirrors.clone() })
    });
    let mut attempts =
        vec![(globs.iter().cloned().chain(found).collect(), true), (listed(groups), false)];
    if files.iter().any(|given| !given.mirrors.is_empty()) {
        attempts.push((listed(mirrors::grouped(&files, true)), false));
    }
    // Why no portable manifest declares the files, and the last reason.
    let (mut unportable, mut last) = (String::new(), String::new());
    for (sources, is_inferred) in attempts {
        for (portable, path) in
            [true, false].into_iter().flat_map(|portable| PATHS.map(|path| (portable, path)))
        {
            let text = yaml::write(frame, &sources, path, portable);
            match expected.check(&text, file) {
                Ok(entries) => {
                    let unportable = (!portable).then_some(unportable.as_str());
                    describe(&sources, path, unportable, is_inferred, &mut notes);
                    let sources = sources.len() as u64;
                    return Ok(Made { text, entries, sources, notes });
                }
                Err(why) => {
                    if portable {
                        unportable.clone_from(&why);
                    }
                    last = why;
                }
            }
        }
    }
    Err(wrong(
        format!("no manifest declares exactly these URLs: {last}"),
        "check the URLs; `natsync init -o - URL` tries a single one",
    ))
}

impl Frame {
    /// Checks name and destination with a manifest of one file.
    fn check(&self, file: &Path) -> Result<(), RunError> {
        let env = |_: &str| None;
        let options = LoadOptions { env: &env, ..LoadOptions::default() };
        let usual = Self { name: None, dest: "mirror".to_owned() };
        let parts = [
            ("--name", self.name.as_ref(), Self { name: self.name.clone(), ..usual.clone() }),
            ("--dest", Some(&self.dest), Self { dest: self.dest.clone(), ..usual }),
        ];
        for (flag, value, frame) in parts {
            let Some(value) = value else { continue };
            let url = Pattern::of_url("http://h.example/a".to_owned());
            let source = Source { files: Files::Pattern(url), mirrors: Vec::new() };
            let text = yaml::write(&frame, &[source], None, true);
            if let Err(problems) = Manifest::parse(file, &text, &options) {
                let why = problems.iter().next().map(|problem| problem.message.as_str());
                let message =
                    format!("`{flag} {value}` cannot be used: {}", why.unwrap_or_default());
                return Err(RunError::usage(message));
            }
        }
        Ok(())
    }
}

/// A URL percent-encoded as a manifest encodes it, so that two spellings compare equal.
fn normal(url: &str) -> String {
    let mut encoded = String::with_capacity(url.len());
    encode_literal(url, &mut encoded);
    encoded
}

/// At most this many sources are described.
const MOST_DESCRIBED: usize = 20;

/// Adds notes for the user about the sources and settings of the generated manifest.
fn describe(
    sources: &[Source],
    path: Option<&str>,
    unportable: Option<&str>,
    is_inferred: bool,
    notes: &mut Vec<String>,
) {
    for source in sources.iter().take(MOST_DESCRIBED) {
        notes.push(match &source.files {
            Files::Pattern(pattern) => {
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
            Files::Listed(files) => match files.len() {
                1 => "1 URL by itself".to_owned(),
                count => format!("{count} URLs without a pattern, one by one"),
            },
        });
    }
    if MOST_DESCRIBED < sources.len() {
        notes.push(format!("and {} more sources", sources.len() - MOST_DESCRIBED));
    }
    if let Some(path) = path {
        let path = path.replace(yaml::NUMBERED, "source-N/{index}");
        notes.push(format!("paths are `{path}`, because simpler paths would collide"));
    }
    if let Some(why) = unportable {
        notes.push(format!("the manifest has `portable: false`, because {why}"));
    }
    if !is_inferred {
        notes.push("no template produced exactly these URLs".to_owned());
    }
}

#[cfg(test)]
mod law;
#[cfg(test)]
mod tests;
