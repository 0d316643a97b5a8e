//! A whole list: read once, looked up many times.

use std::borrow::Cow;

use regex::bytes::Regex;

use super::line::{Said, Stated, digest_of, excerpt, read};
use crate::digest::{Algorithm, Checksum};

/// How a list is to be read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The algorithm; else that of the tag, or the usual one of the digest's length.
    pub(crate) algorithm: Option<Algorithm>,
    /// What finds the digest in a line (a group `digest`), and maybe the name (`name`). Lines that do
    /// not match are passed over.
    pub(crate) pattern: Option<Regex>,
    /// The list is about one file alone: a single digest holds whatever name stands beside it.
    pub(crate) whole: bool,
}

/// What is wrong with a list, and on which line, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListProblem {
    pub(crate) line: Option<usize>,
    pub(crate) message: String,
}

impl std::fmt::Display for ListProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// What a list says of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// All of these digests.
    Listed(Vec<Checksum>),
    /// Nothing.
    Unlisted,
    /// Different things, of files in different folders.
    Ambiguous,
}

/// A checksum list.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// All names, one after the other.
    names: Vec<u8>,
    /// In the order of names.
    items: Vec<Item>,
    /// The same by the last component of names; made when it is needed first.
    by_base: std::sync::OnceLock<Vec<u32>>,
    /// Digests that stand alone, or that belong to the only name of a list about one file.
    bare: Vec<Checksum>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    start: u32,
    end: u32,
    line: u32,
    digest: Stated,
    /// The name without the blanks at its end, which may be part of it or not.
    trimmed: bool,
}

impl List {
    /// Reads a list.
    ///
    /// # Errors
    /// When it is none, when a line is not understood, when it contradicts itself.
    pub(crate) fn parse(content: &[u8], rules: &Rules) -> Result<Self, ListProblem> {
        let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
        let problem = |message: &str| ListProblem { line: None, message: message.to_owned() };
        if content.trim_ascii().is_empty() {
            return Err(problem("it is empty"));
        }
        if let Some(at) = content.iter().position(|&byte| byte == 0) {
            let line = content[..at].split(|&byte| byte == b'\n').count();
            let message = "it is a binary file, not a checksum list".to_owned();
            return Err(ListProblem { line: Some(line), message });
        }
        if rules.pattern.is_none() && content.trim_ascii_start().starts_with(b"<") {
            let message = "it is a web page, not a checksum list".to_owned();
            return Err(ListProblem { line: Some(1), message });
        }
        if u32::try_from(content.len()).is_err() {
            return Err(problem("it is larger than any checksum list"));
        }
        let mut list = Self::default();
        for (number, line) in lines(content) {
            let said = match &rules.pattern {
                Some(pattern) => match by_pattern(line, pattern, rules.algorithm) {
                    Some(said) => said,
                    None => continue,
                },
                None => read(line, rules.algorithm),
            };
            let said = said.map_err(|message| ListProblem { line: Some(number), message })?;
            // Of several algorithms the manifest may have chosen one.
            if let (Stated::Known(digest), Some(wanted)) = (said.digest, rules.algorithm)
                && digest.algorithm() != wanted
            {
                continue;
            }
            list.add(said, number)?;
        }
        if list.items.is_empty() && list.bare.is_empty() {
            let message = match (&rules.pattern, rules.algorithm) {
                (Some(_), _) => "no line matches `pattern`".to_owned(),
                (None, Some(wanted)) => format!("it has no {wanted}"),
                (None, None) => "it has no digest".to_owned(),
            };
            return Err(ListProblem { line: None, message });
        }
        list.sort()?;
        if rules.whole {
            list.take_as_whole();
        }
        Ok(list)
    }

    /// What it says of an entry that may be listed under any of these names, the best first: by the
    /// whole name, then by the last component alone.
    pub(crate) fn find(&self, names: &[&str]) -> Lookup {
        let exact = names.iter().map(|name| self.named(&normal(name.as_bytes())));
        let by_base = names.iter().map(|name| self.based(base(name.as_bytes())));
        for found in exact.chain(by_base) {
            if found != Lookup::Unlisted {
                return found;
            }
        }
        if self.bare.is_empty() { Lookup::Unlisted } else { Lookup::Listed(self.bare.clone()) }
    }

    fn named(&self, name: &[u8]) -> Lookup {
        let from = self.items.partition_point(|item| self.name(item) < name);
        let same = self.items[from..].iter().take_while(|item| self.name(item) == name);
        lookup(same)
    }

    fn based(&self, wanted: &[u8]) -> Lookup {
        if wanted.is_empty() {
            return Lookup::Unlisted;
        }
        let base_of = |&place: &u32| base(self.name(&self.items[place as usize]));
        let places = self.by_base.get_or_init(|| {
            let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
            let mut places: Vec<u32> = (0..count).collect();
            places.sort_by(|one, other| base_of(one).cmp(base_of(other)));
            places
        });
        let from = places.partition_point(|place| base_of(place) < wanted);
        let same = places[from..].iter().take_while(|place| base_of(place) == wanted);
        // Files in several folders count as one only where the list says the same of each.
        let mut found = None;
        for &place in same {
            let said = self.named(self.name(&self.items[place as usize]));
            match &found {
                None => found = Some(said),
                Some(other) if *other == said => {}
                Some(_) => return Lookup::Ambiguous,
            }
        }
        found.unwrap_or(Lookup::Unlisted)
    }

    fn add(&mut self, said: Said, number: usize) -> Result<(), ListProblem> {
        let Some(name) = said.name else {
            let Stated::Known(digest) = said.digest else { return Ok(()) };
            let other = self.bare.iter().find(|bare| bare.algorithm() == digest.algorithm());
            return match other {
                Some(other) if *other == digest => Ok(()),
                Some(_) => Err(ListProblem {
                    line: Some(number),
                    message: "a second digest without a name, and another one".to_owned(),
                }),
                None => {
                    self.bare.push(digest);
                    Ok(())
                }
            };
        };
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let start = self.names.len();
        let name = normal(&name);
        self.names.extend_from_slice(&name);
        let whole = Item {
            start: place(start),
            end: place(self.names.len()),
            line: place(number),
            digest: said.digest,
            trimmed: false,
        };
        self.items.push(whole);
        let trimmed = name.trim_ascii_end().len();
        if 0 < trimmed && trimmed < name.len() {
            self.items.push(Item { end: place(start + trimmed), trimmed: true, ..whole });
        }
        Ok(())
    }

    /// Brings the items into order, and makes sure that they do not contradict each other.
    fn sort(&mut self) -> Result<(), ListProblem> {
        let names = std::mem::take(&mut self.names);
        let name = |item: &Item| &names[item.start as usize..item.end as usize];
        self.items.sort_by(|one, other| {
            let rest = (one.trimmed, one.line).cmp(&(other.trimmed, other.line));
            name(one).cmp(name(other)).then(rest)
        });
        // A name that is there as it is needs no guess.
        let mut before: Option<Item> = None;
        self.items.retain(|item| {
            let is_guess = item.trimmed
                && before.is_some_and(|before| !before.trimmed && name(&before) == name(item));
            if !is_guess {
                before = Some(*item);
            }
            !is_guess
        });
        let mut first = 0;
        for at in 1..self.items.len() {
            if name(&self.items[first]) != name(&self.items[at]) {
                first = at;
                continue;
            }
            let Stated::Known(digest) = self.items[at].digest else { continue };
            let contradicted = self.items[first..at].iter().find(|item| {
                matches!(item.digest, Stated::Known(other)
                    if other.algorithm() == digest.algorithm() && other != digest)
            });
            if let Some(earlier) = contradicted {
                let name = excerpt(name(earlier));
                let message =
                    format!("`{name}` is listed with another digest on line {}", earlier.line);
                return Err(ListProblem { line: Some(self.items[at].line as usize), message });
            }
        }
        self.names = names;
        Ok(())
    }

    /// A list about one file, whatever name it had where the list was made.
    fn take_as_whole(&mut self) {
        let whole: Vec<_> = self.items.iter().filter(|item| !item.trimmed).collect();
        let names = whole.windows(2).any(|pair| self.name(pair[0]) != self.name(pair[1]));
        if !names && self.bare.is_empty() {
            let digests = self.items.iter().filter_map(|item| match item.digest {
                Stated::Known(digest) => Some(digest),
                Stated::Foreign => None,
            });
            self.bare = digests.collect();
            self.bare.dedup();
        }
    }

    fn name(&self, item: &Item) -> &[u8] {
        &self.names[item.start as usize..item.end as usize]
    }
}

fn lookup<'i>(items: impl Iterator<Item = &'i Item>) -> Lookup {
    let mut digests: Vec<Checksum> = Vec::new();
    for item in items {
        let Stated::Known(digest) = item.digest else { continue };
        match digests.iter().find(|other| other.algorithm() == digest.algorithm()) {
            Some(other) if *other == digest => {}
            Some(_) => return Lookup::Ambiguous,
            None => digests.push(digest),
        }
    }
    if digests.is_empty() { Lookup::Unlisted } else { Lookup::Listed(digests) }
}

/// Lines that say something, with their numbers: no blank ones, no comments, not the wrapper of a
/// signed message (RFC 9580, section 7), whose signature is somebody else's to check.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut part = Part::Plain;
    let numbered = (1..).zip(content.split(|&byte| byte == b'\n'));
    numbered.filter_map(move |(number, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match part {
            Part::Plain if line == b"-----BEGIN PGP SIGNED MESSAGE-----" => {
                part = Part::Head;
                return None;
            }
            Part::Head => {
                if line.is_empty() {
                    part = Part::Signed;
                }
                return None;
            }
            Part::Signed if line == b"-----BEGIN PGP SIGNATURE-----" => {
                part = Part::Signature;
                return None;
            }
            Part::Signature => {
                if line == b"-----END PGP SIGNATURE-----" {
                    part = Part::Plain;
                }
                return None;
            }
            Part::Plain | Part::Signed => {}
        }
        let line = match part {
            Part::Signed => line.strip_prefix(b"- ").unwrap_or(line),
            _ => line,
        };
        let is_said = !line.trim_ascii().is_empty() && !line.starts_with(b"#");
        is_said.then_some((number, line))
    })
}

#[derive(Clone, Copy)]
enum Part {
    Plain,
    Head,
    Signed,
    Signature,
}

fn by_pattern(
    line: &[u8],
    pattern: &Regex,
    algorithm: Option<Algorithm>,
) -> Option<Result<Said, String>> {
    let found = pattern.captures(line)?;
    let word = found.name("digest")?.as_bytes().trim_ascii();
    let name = found.name("name").map(|name| name.as_bytes().to_vec());
    let digest = digest_of(word, algorithm).or_else(|message| {
        let text = std::str::from_utf8(word).unwrap_or_default();
        algorithm.and_then(|algorithm| Checksum::from_base64(algorithm, text)).ok_or(message)
    });
    Some(digest.map(|digest| Said { name, digest: Stated::Known(digest) }))
}

/// Without `./` and doubled slashes.
fn normal(name: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = !name.starts_with(b"./")
        && !name.windows(2).any(|pair| pair == b"//")
        && !name.windows(3).any(|part| part == b"/./");
    if is_plain {
        return Cow::Borrowed(name);
    }
    let absolute = name.starts_with(b"/");
    let parts: Vec<_> =
        name.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    let mut normal = if absolute { b"/".to_vec() } else { Vec::new() };
    normal.extend_from_slice(&parts.join(&b'/'));
    Cow::Owned(normal)
}

/// The last component. What leads out of a folder has none.
fn base(name: &[u8]) -> &[u8] {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    if base == b".." { b"" } else { base }
}

#[cfg(test)]
mod tests;
