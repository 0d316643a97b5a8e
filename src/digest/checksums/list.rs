//! A whole list: parsed once, searched many times.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::OnceLock;

use regex::bytes::Regex;

use super::foreign::title;
use super::labelled::Labelled;
use super::line::{Said, Stated, Untagged, digest_of, excerpt, read};
use super::lines::Lines;
use super::problem::ListProblem;
use crate::digest::{Algorithm, Checksum};

/// Options for parsing a list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// The algorithm. If absent, it is that of the line's tag, or the usual one of the digest's
    /// length.
    pub(crate) algorithm: Option<Algorithm>,
    /// A pattern that replaces the usual formats. Its group `digest` matches the digest of a line,
    /// its optional group `name` the name. Lines that do not match are ignored.
    pub(crate) pattern: Option<Regex>,
    /// The list belongs to one file: if it has only one name, its digest applies whatever that name
    /// is.
    pub(crate) whole: bool,
}

/// The result of searching a list for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The entry has these digests, at most one of each algorithm.
    Listed(Vec<Checksum>),
    /// The list has no digest for the entry that natsync can check.
    Unlisted,
    /// The list has several digests that may be the entry's.
    Ambiguous,
}

/// A checksum list.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    /// All names, concatenated.
    names: Vec<u8>,
    /// Sorted by name.
    items: Vec<Item>,
    /// One item for each distinct last component of a name, sorted by it. Computed on first use.
    by_base: OnceLock<Vec<Base>>,
    /// Digests of lines without a name, or those of the only name if [`Rules::whole`] is set.
    bare: Vec<Checksum>,
    /// The line of the first digest without a name.
    bare_line: Option<usize>,
    has_folders: bool,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    start: u32,
    end: u32,
    line: u32,
    digest: Stated,
    /// True for the second item of a line whose name can be read in two ways: blanks at its end may
    /// or may not be part of it, and a backslash may be the separator of Windows.
    guess: bool,
}

/// All files whose names have the same last component, represented by one of them.
#[derive(Clone, Copy, Debug)]
struct Base {
    item: u32,
    /// Whether they have different digests.
    ambiguous: bool,
}

impl List {
    /// Parses a list. `name` is its file name, which may state the algorithm of its digests.
    ///
    /// # Errors
    /// When the text is not a checksum list, when a line cannot be parsed, or when one name has two
    /// different digests of one algorithm.
    pub(crate) fn parse(content: &[u8], name: &str, rules: &Rules) -> Result<Self, ListProblem> {
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
        let untagged = Untagged { wanted: rules.algorithm, title: title(name) };
        let mut foreign: Option<String> = None;
        let mut lines = Lines::new(content).peekable();
        while let Some(line) = lines.next() {
            let (number, line) = line?;
            let said = if let Some(pattern) = &rules.pattern {
                match by_pattern(line, pattern, untagged) {
                    Some(said) => said,
                    None => continue,
                }
            } else if let Some(mut labelled) = Labelled::begin(line) {
                while let Some(Ok((_, next))) = lines.peek()
                    && labelled.append(next)
                {
                    lines.next();
                }
                labelled.finish(untagged)
            } else {
                read(line, untagged)
            };
            let mut said = said.map_err(|message| ListProblem { line: Some(number), message })?;
            // If the manifest names an algorithm, digests of all others are ignored.
            if let (Stated::Known(digest), Some(wanted)) = (said.digest, rules.algorithm)
                && digest.algorithm() != wanted
            {
                said.digest = Stated::Foreign;
            }
            foreign = foreign.or_else(|| said.foreign.take());
            list.add(said, number)?;
        }
        let has_digest = list.items.iter().any(|item| item.digest != Stated::Foreign);
        if !has_digest && list.bare.is_empty() {
            let message = match (&rules.pattern, rules.algorithm, foreign) {
                (Some(_), _, _) => "no line matches `pattern`".to_owned(),
                (None, Some(wanted), _) => format!("it has no {wanted} digest"),
                (None, None, Some(name)) => {
                    format!("its digests are `{name}`, which natsync does not compute")
                }
                (None, None, None) => "it has no digest that natsync can check".to_owned(),
            };
            return Err(ListProblem { line: None, message });
        }
        // Otherwise a line that was truncated after its digest would apply to every file.
        if let (Some(_), Some(line)) = (list.items.first(), list.bare_line) {
            let message = "a digest without a name, in a list of names".to_owned();
            return Err(ListProblem { line: Some(line), message });
        }
        list.sort()?;
        if rules.whole {
            list.take_as_whole();
        }
        Ok(list)
    }

    /// All names with their digests and lines, sorted by name. The digest is `None` if natsync does
    /// not compute its algorithm. Blanks at the end of a name are left out, and backslashes that
    /// were not escaped are slashes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&[u8], Option<Checksum>, usize)> {
        let guessed: HashSet<u32> =
            self.items.iter().filter(|item| item.guess).map(|item| item.line).collect();
        self.items.iter().filter_map(move |item| {
            let digest = match item.digest {
                Stated::Known(checksum) => Some(checksum),
                Stated::Foreign => None,
            };
            let counts = item.guess || !guessed.contains(&item.line);
            counts.then(|| (self.name(item), digest, item.line as usize))
        })
    }

    /// Searches for whole names, in order of preference. `None` if the list has none of them.
    pub(crate) fn find(&self, names: &[&str]) -> Option<Lookup> {
        names.iter().find_map(|name| self.named(&normal(name.as_bytes())))
    }

    /// Searches for names whose last component is `base`. `None` if the list has none.
    pub(crate) fn find_base(&self, base: &str) -> Option<Lookup> {
        self.based(self::base(base.as_bytes()))
    }

    /// The digests without a name. `None` if each digest has one.
    pub(crate) fn nameless(&self) -> Option<Lookup> {
        (!self.bare.is_empty()).then(|| Lookup::Listed(self.bare.clone()))
    }

    /// Whether a name in the list has a folder. If not, the names are base names.
    pub(crate) fn has_folders(&self) -> bool {
        self.has_folders
    }

    /// Searches for a name. `Unlisted` if it has no digest that can be checked; `None` if the list
    /// does not contain the name.
    fn named(&self, name: &[u8]) -> Option<Lookup> {
        let from = self.items.partition_point(|item| self.name(item) < name);
        let mut digests: Vec<Checksum> = Vec::new();
        let mut found = false;
        for item in self.items[from..].iter().take_while(|item| self.name(item) == name) {
            found = true;
            let Stated::Known(digest) = item.digest else { continue };
            match digests.iter().find(|other| other.algorithm() == digest.algorithm()) {
                Some(other) if *other == digest => {}
                Some(_) => return Some(Lookup::Ambiguous),
                None => digests.push(digest),
            }
        }
        let lookup = if digests.is_empty() { Lookup::Unlisted } else { Lookup::Listed(digests) };
        found.then_some(lookup)
    }

    fn based(&self, wanted: &[u8]) -> Option<Lookup> {
        let bases = self.by_base.get_or_init(|| self.bases());
        let place = bases.binary_search_by(|other| self.base(other.item).cmp(wanted)).ok()?;
        let Base { item, ambiguous } = bases[place];
        if ambiguous {
            return Some(Lookup::Ambiguous);
        }
        self.named(self.name(&self.items[item as usize]))
    }

    /// Computes `by_base`. A last component that occurs in several folders is ambiguous unless all
    /// these files have the same digests.
    fn bases(&self) -> Vec<Base> {
        let count = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        let mut items: Vec<u32> = (0..count).filter(|&item| !self.base(item).is_empty()).collect();
        items.sort_by(|&one, &other| self.base(one).cmp(self.base(other)).then(one.cmp(&other)));
        let mut bases: Vec<Base> = Vec::new();
        for item in items {
            match bases.last_mut() {
                Some(last) if self.base(last.item) == self.base(item) => {
                    let (one, other) = (self.name_at(last.item), self.name_at(item));
                    last.ambiguous |= one != other && self.named(one) != self.named(other);
                }
                _ => bases.push(Base { item, ambiguous: false }),
            }
        }
        bases
    }

    fn base(&self, item: u32) -> &[u8] {
        base(self.name_at(item))
    }

    fn name_at(&self, item: u32) -> &[u8] {
        self.name(&self.items[item as usize])
    }

    fn add(&mut self, said: Said, number: usize) -> Result<(), ListProblem> {
        let Some(name) = said.name else {
            let Stated::Known(digest) = said.digest else { return Ok(()) };
            self.bare_line.get_or_insert(number);
            let other = self.bare.iter().find(|bare| bare.algorithm() == digest.algorithm());
            return match other {
                Some(other) if *other == digest => Ok(()),
                Some(_) => Err(ListProblem {
                    line: Some(number),
                    message: "a second digest without a name, which differs from the first one"
                        .to_owned(),
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
            guess: false,
        };
        self.items.push(whole);
        let mut guess = name.trim_ascii_end().to_vec();
        if !said.escaped {
            guess.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
        }
        let guess = normal(&guess);
        self.has_folders |= guess.contains(&b'/');
        if !guess.is_empty() && *guess != *name {
            let start = self.names.len();
            self.names.extend_from_slice(&guess);
            let (start, end) = (place(start), place(self.names.len()));
            self.items.push(Item { start, end, guess: true, ..whole });
        }
        Ok(())
    }

    /// Sorts the items, removes duplicates, and checks that no name has two digests of one
    /// algorithm.
    fn sort(&mut self) -> Result<(), ListProblem> {
        let names = std::mem::take(&mut self.names);
        let name = |item: &Item| &names[item.start as usize..item.end as usize];
        self.items.sort_by(|one, other| {
            let key = |item: &Item| (item.guess, item.digest, item.line);
            name(one).cmp(name(other)).then_with(|| key(one).cmp(&key(other)))
        });
        self.items.dedup_by(|later, earlier| {
            let same = (later.guess, later.digest) == (earlier.guess, earlier.digest);
            // A name that occurs literally takes precedence over a guessed one.
            let guess = later.guess && !earlier.guess;
            (same || guess) && name(later) == name(earlier)
        });
        for pair in self.items.windows(2) {
            let [one, other] = pair else { continue };
            let (Stated::Known(first), Stated::Known(second)) = (one.digest, other.digest) else {
                continue;
            };
            let contradict = first.algorithm() == second.algorithm() && first != second;
            if contradict && !other.guess && name(one) == name(other) {
                let (earlier, later) = (one.line.min(other.line), one.line.max(other.line));
                let name = excerpt(name(one));
                let message = format!("`{name}` is listed with another digest on line {earlier}");
                return Err(ListProblem { line: Some(later as usize), message });
            }
        }
        self.names = names;
        Ok(())
    }

    /// Applies [`Rules::whole`]: the publisher may have made the list under another file name.
    fn take_as_whole(&mut self) {
        let whole: Vec<_> = self.items.iter().filter(|item| !item.guess).collect();
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

fn by_pattern(line: &[u8], pattern: &Regex, untagged: Untagged) -> Option<Result<Said, String>> {
    let found = pattern.captures(line)?;
    let word = found.name("digest")?.as_bytes().trim_ascii();
    let name = found.name("name").map(|name| name.as_bytes().to_vec());
    let digest = digest_of(word, untagged).or_else(|message| {
        let text = std::str::from_utf8(word).unwrap_or_default();
        let base64 = untagged.wanted.and_then(|wanted| Checksum::from_base64(wanted, text));
        base64.map(|digest| (Stated::Known(digest), None)).ok_or(message)
    });
    Some(digest.map(|(digest, foreign)| Said { name, digest, escaped: false, foreign }))
}

/// Removes `./`, doubled slashes, and each folder that a `..` follows from a name.
fn normal(name: &[u8]) -> Cow<'_, [u8]> {
    let is_plain = |part: &[u8]| !matches!(part, b"" | b"." | b"..");
    if name.split(|&byte| byte == b'/').all(is_plain) {
        return Cow::Borrowed(name);
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if parts.last().is_some_and(|last| *last != b"..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let absolute = name.starts_with(b"/");
    let mut normal = if absolute { b"/".to_vec() } else { Vec::new() };
    normal.extend_from_slice(&parts.join(&b'/'));
    Cow::Owned(normal)
}

/// The last component of a name; empty for `..`.
fn base(name: &[u8]) -> &[u8] {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    if base == b".." { b"" } else { base }
}

#[cfg(test)]
mod tests;
