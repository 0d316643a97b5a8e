//! A whole list: parsed once, searched many times.

use std::borrow::Cow;
use std::sync::OnceLock;

use regex::bytes::Regex;

use super::line::{Said, Stated, digest_of, excerpt, read};
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

/// An error in a list. `line` counts from 1.
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

/// The result of searching a list for an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The entry has these digests, at most one of each algorithm.
    Listed(Vec<Checksum>),
    /// The list has no digest for the entry that natsync can check.
    Unlisted,
    /// Files of this name in different folders have different digests.
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
}

#[derive(Clone, Copy, Debug)]
struct Item {
    start: u32,
    end: u32,
    line: u32,
    digest: Stated,
    /// True for the second item of a line whose name ends in blanks: this one has the name without
    /// them, since they may or may not be part of it.
    trimmed: bool,
}

/// All files whose names have the same last component, represented by one of them.
#[derive(Clone, Copy, Debug)]
struct Base {
    item: u32,
    /// Whether they have different digests.
    ambiguous: bool,
}

impl List {
    /// Parses a list.
    ///
    /// # Errors
    /// When the text is not a checksum list, when a line cannot be parsed, or when one name has two
    /// different digests of one algorithm.
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
        for line in Lines::new(content) {
            let (number, line) = line?;
            let said = match &rules.pattern {
                Some(pattern) => match by_pattern(line, pattern, rules.algorithm) {
                    Some(said) => said,
                    None => continue,
                },
                None => read(line, rules.algorithm),
            };
            let mut said = said.map_err(|message| ListProblem { line: Some(number), message })?;
            // If the manifest names an algorithm, digests of all others are ignored.
            if let (Stated::Known(digest), Some(wanted)) = (said.digest, rules.algorithm)
                && digest.algorithm() != wanted
            {
                said.digest = Stated::Foreign;
            }
            list.add(said, number)?;
        }
        let has_digest = list.items.iter().any(|item| item.digest != Stated::Foreign);
        if !has_digest && list.bare.is_empty() {
            let message = match (&rules.pattern, rules.algorithm) {
                (Some(_), _) => "no line matches `pattern`".to_owned(),
                (None, Some(wanted)) => format!("it has no {wanted} digest"),
                (None, None) => "it has no digest that natsync can check".to_owned(),
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

    /// All names with their digests, sorted by name. Digests of algorithms that natsync does not
    /// compute are left out.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&[u8], Checksum)> {
        self.items.iter().filter_map(|item| match item.digest {
            Stated::Known(checksum) => Some((self.name(item), checksum)),
            Stated::Foreign => None,
        })
    }

    /// Searches for an entry that may be listed under any of these names, in order of preference:
    /// first by whole names, then by their last components, then for digests without a name.
    pub(crate) fn find(&self, names: &[&str]) -> Lookup {
        let exact = names.iter().map(|name| self.named(&normal(name.as_bytes())));
        let by_base = names.iter().map(|name| self.based(base(name.as_bytes())));
        match exact.chain(by_base).flatten().next() {
            Some(found) => found,
            None if self.bare.is_empty() => Lookup::Unlisted,
            None => Lookup::Listed(self.bare.clone()),
        }
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
            trimmed: false,
        };
        self.items.push(whole);
        let trimmed = name.trim_ascii_end().len();
        if 0 < trimmed && trimmed < name.len() {
            self.items.push(Item { end: place(start + trimmed), trimmed: true, ..whole });
        }
        Ok(())
    }

    /// Sorts the items, removes duplicates, and checks that no name has two digests of one
    /// algorithm.
    fn sort(&mut self) -> Result<(), ListProblem> {
        let names = std::mem::take(&mut self.names);
        let name = |item: &Item| &names[item.start as usize..item.end as usize];
        self.items.sort_by(|one, other| {
            let key = |item: &Item| (item.trimmed, item.digest, item.line);
            name(one).cmp(name(other)).then_with(|| key(one).cmp(&key(other)))
        });
        self.items.dedup_by(|later, earlier| {
            let same = (later.trimmed, later.digest) == (earlier.trimmed, earlier.digest);
            // A name that occurs literally takes precedence over a trimmed one.
            let guess = later.trimmed && !earlier.trimmed;
            (same || guess) && name(later) == name(earlier)
        });
        for pair in self.items.windows(2) {
            let [one, other] = pair else { continue };
            let (Stated::Known(first), Stated::Known(second)) = (one.digest, other.digest) else {
                continue;
            };
            let contradict = first.algorithm() == second.algorithm() && first != second;
            if contradict && !other.trimmed && name(one) == name(other) {
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

/// The lines with content, with their numbers from 1. It skips blank lines, comments, and the
/// header and signature of a signed message (RFC 9580, section 7). The signature is not verified.
struct Lines<'c> {
    rest: Option<&'c [u8]>,
    number: usize,
    part: Part,
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    Plain,
    Head,
    Signed,
    Signature,
}

impl<'c> Lines<'c> {
    fn new(content: &'c [u8]) -> Self {
        Self { rest: Some(content), number: 0, part: Part::Plain }
    }

    fn problem(&self, message: &str) -> ListProblem {
        ListProblem { line: Some(self.number), message: message.to_owned() }
    }
}

impl<'c> Iterator for Lines<'c> {
    type Item = Result<(usize, &'c [u8]), ListProblem>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(rest) = self.rest {
            let (line, after) = match rest.iter().position(|&byte| byte == b'\n') {
                Some(end) => (&rest[..end], Some(&rest[end + 1..])),
                None => (rest, None),
            };
            self.rest = after;
            self.number += 1;
            let mut line = line.strip_suffix(b"\r").unwrap_or(line);
            match self.part {
                Part::Plain if line == b"-----BEGIN PGP SIGNED MESSAGE-----" => {
                    self.part = Part::Head;
                    continue;
                }
                Part::Head if line.is_empty() => {
                    self.part = Part::Signed;
                    continue;
                }
                Part::Head if line.starts_with(b"Hash: ") => continue,
                Part::Head => {
                    self.rest = None;
                    return Some(Err(
                        self.problem("the head of a signed message can have only `Hash:` lines")
                    ));
                }
                Part::Signed if line == b"-----BEGIN PGP SIGNATURE-----" => {
                    self.part = Part::Signature;
                    continue;
                }
                Part::Signature => {
                    if line == b"-----END PGP SIGNATURE-----" {
                        self.part = Part::Plain;
                    }
                    continue;
                }
                Part::Signed => line = line.strip_prefix(b"- ").unwrap_or(line),
                Part::Plain => {}
            }
            if !line.trim_ascii().is_empty() && !line.starts_with(b"#") {
                return Some(Ok((self.number, line)));
            }
        }
        if self.part == Part::Plain {
            return None;
        }
        self.part = Part::Plain;
        Some(Err(self.problem("the signed message is cut short")))
    }
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

/// Removes `./` and doubled slashes from a name.
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

/// The last component of a name; empty for `..`.
fn base(name: &[u8]) -> &[u8] {
    let base = name.rsplit(|&byte| byte == b'/').next().unwrap_or(name);
    if base == b".." { b"" } else { base }
}

#[cfg(test)]
mod tests;
