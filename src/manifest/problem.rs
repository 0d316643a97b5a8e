//! Errors in a manifest: the place, what is wrong there, and how to correct it.

use std::cell::OnceCell;
use std::fmt;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};

/// Problems that are shown. A manifest with more usually has one cause for all.
const SHOWN: usize = 20;
/// A longer line is shown only in part, in bytes.
const LINE: usize = 160;
/// Of a longer line nothing is shown: looking for secrets in it would take time for each problem.
const LONGEST_LINE: usize = 64 * 1024;
/// Problems of one manifest that are kept. Further ones are only counted.
const KEPT: usize = 1000;

/// A range of bytes of the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// One problem, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, as a lowercase fragment. It may quote the manifest: print it escaped.
    pub message: String,
    /// The path of the manifest.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// How to correct it.
    pub hint: Option<String>,
    /// The line as it may be shown, and the start and end of the marked part in bytes.
    excerpt: Option<(String, usize, usize)>,
}

/// The problems of one manifest, sorted by place: at least one, at most 1000, and the number of
/// further ones.
#[derive(Clone, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
}

/// The problems of a manifest while it is read. Lines and excerpts are made at the end, for those
/// that are kept: a manifest may have a problem in each of a million keys.
#[derive(Debug, Default)]
pub(crate) struct Found {
    kept: Vec<Finding>,
    count: usize,
}

#[derive(Debug)]
struct Finding {
    at: Span,
    message: String,
    hint: Option<String>,
    /// The problem itself, if its place is in another file. Then `at` is where the manifest names
    /// that file.
    elsewhere: Option<Problem>,
}

impl Found {
    pub(crate) fn add(&mut self, at: Span, message: String, hint: Option<String>) {
        self.keep(Finding { at, message, hint, elsewhere: None });
    }

    /// Adds a problem in a file that the manifest names at `at`.
    pub(crate) fn add_elsewhere(&mut self, at: Span, problem: Problem) {
        self.keep(Finding { at, message: String::new(), hint: None, elsewhere: Some(problem) });
    }

    /// Puts a text before the messages of all problems but the first `before` ones.
    pub(crate) fn begin_with(&mut self, before: usize, start: &str) {
        for finding in self.kept.iter_mut().skip(before) {
            if finding.elsewhere.is_none() {
                finding.message.insert_str(0, start);
            }
        }
    }

    fn keep(&mut self, finding: Finding) {
        self.count += 1;
        if self.kept.len() < KEPT {
            self.kept.push(finding);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether a further problem would only be counted.
    pub(crate) fn is_full(&self) -> bool {
        KEPT <= self.count
    }

    /// The first problems by place, at most `most`.
    pub(crate) fn first(self, text: &Text<'_>, most: usize) -> Vec<Problem> {
        let mut problems = self.into_problems(text).kept;
        problems.truncate(most);
        problems
    }

    pub(crate) fn into_problems(self, text: &Text<'_>) -> Problems {
        let Self { mut kept, count } = self;
        let more = count - kept.len();
        kept.sort_by_key(|finding| finding.at.start);
        kept.dedup_by(|a, b| a.at == b.at && a.message == b.message && a.elsewhere == b.elsewhere);
        let problem = |finding: Finding| {
            let Finding { at, message, hint, elsewhere } = finding;
            elsewhere.unwrap_or_else(|| Problem { hint, ..text.problem(at, message) })
        };
        Problems { kept: kept.into_iter().map(problem).collect(), more }
    }
}

/// A manifest's text, which turns byte offsets into lines and columns.
#[derive(Clone, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) file: &'a Path,
    pub(crate) source: &'a str,
    /// The offset of each line.
    lines: OnceCell<Vec<usize>>,
}

impl<'a> Text<'a> {
    pub(crate) fn new(file: &'a Path, source: &'a str) -> Self {
        Self { file, source, lines: OnceCell::new() }
    }

    /// Makes a problem at a place.
    pub(crate) fn problem(&self, at: Span, message: impl Into<String>) -> Problem {
        let start = at.start.min(self.source.len());
        let line = self.line_of(start);
        let line_start = self.lines()[line - 1];
        let line_end = self.lines().get(line).map_or(self.source.len(), |&next| next);
        let line_end =
            line_start + self.source[line_start..line_end].trim_end_matches(['\n', '\r']).len();
        let end = at.end.clamp(start, line_end.max(start));
        let shown = start.max(line_end);
        Problem {
            message: shortened(message.into()),
            file: self.file.to_owned(),
            line,
            column: self.source[line_start..start].chars().count() + 1,
            hint: None,
            excerpt: excerpt(&self.source[line_start..shown], start - line_start, end - line_start),
        }
    }

    /// The line of a byte offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.lines().partition_point(|&start| start <= offset)
    }

    fn lines(&self) -> &[usize] {
        self.lines.get_or_init(|| {
            let ends = self.source.match_indices('\n').map(|(newline, _)| newline + 1);
            std::iter::once(0).chain(ends).collect()
        })
    }

    /// The place of a line and a column, both from 1; the column counts characters.
    pub(crate) fn at(&self, line: usize, column: usize) -> Span {
        let start = self.lines().get(line - 1).map_or(self.source.len(), |&start| start);
        let offset: usize = self.source[start..].chars().take(column - 1).map(char::len_utf8).sum();
        self.clip(start + offset, start + offset)
    }

    /// A span that is extended to character boundaries.
    pub(crate) fn clip(&self, start: usize, end: usize) -> Span {
        let start = self.source.floor_char_boundary(start);
        Span { start, end: self.source.ceil_char_boundary(end).max(start) }
    }
}

/// Cuts out the middle of a message, which may quote a long value.
fn shortened(message: String) -> String {
    const LONGEST: usize = 600;
    if message.len() <= LONGEST {
        return message;
    }
    let start = message.floor_char_boundary(LONGEST / 2);
    let end = message.ceil_char_boundary(message.len() - LONGEST / 2);
    format!("{}…{}", &message[..start], &message[end..])
}

/// A header whose name contains one of these words has a secret value.
const SECRETIVE: [&str; 6] = ["authorization", "cookie", "token", "secret", "password", "api-key"];

/// Replaces possible secrets in a line with stars: a password in a URL, and everything after
/// `headers: {NAME:` or after the name of a header such as `Authorization`. One star replaces one
/// character, so the length changes if a secret has multi-byte characters.
fn without_secrets(line: &str) -> String {
    let mut hidden = vec![false; line.len()];
    let lower = line.to_ascii_lowercase();
    for (found, _) in line.match_indices("://") {
        let start = found + 3;
        let end = line[start..]
            .find(['/', '?', '#', '"', '\'', ' '])
            .map_or(line.len(), |end| start + end);
        if let Some(at) = line[start..end].rfind('@')
            && let Some(colon) = line[start..start + at].find(':')
        {
            hidden[start + colon + 1..start + at].fill(true);
        }
    }
    let colon = |from: usize| line[from..].find(':').map(|colon| from + colon + 1);
    let named = SECRETIVE.iter().filter_map(|word| colon(lower.find(word)?));
    let headers = lower.find("headers").and_then(|name| colon(colon(name)?));
    if let Some(start) = named.chain(headers).min() {
        hidden[start..].fill(true);
    }
    let show = |(place, character): (usize, char)| {
        if hidden[place] && !character.is_whitespace() { '*' } else { character }
    };
    line.char_indices().map(show).collect()
}

/// The line as it may be shown, with the start and end of the marked part in it. `None` if it is
/// blank.
fn excerpt(line: &str, start: usize, end: usize) -> Option<(String, usize, usize)> {
    if LONGEST_LINE < line.len() {
        return None;
    }
    let masked = without_secrets(line);
    // If stars replaced multi-byte characters, offsets in the line are wrong: show no part of it.
    let line = if masked.len() == line.len() { masked.as_str() } else { "(a line with a secret)" };
    let (start, end) = (start.min(line.len()), end.min(line.len()));
    let mut shown = String::new();
    let (mut from, mut to) = (None, None);
    // A long line is shown from a little before the place.
    let first = if line.len() <= LINE {
        0
    } else {
        line.floor_char_boundary(start.saturating_sub(LINE / 2))
    };
    if 0 < first {
        shown.push('…');
    }
    for (offset, character) in line[first..].char_indices() {
        let offset = first + offset;
        if offset == start {
            from = Some(shown.len());
        }
        if offset == end {
            to = Some(shown.len());
        }
        if LINE < shown.len() {
            shown.push('…');
            break;
        }
        match character {
            '\t' => shown.push_str("    "),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    let from = from.unwrap_or(shown.len());
    let to = to.unwrap_or(shown.len()).max(from);
    (!shown.trim().is_empty()).then_some((shown, from, to))
}

impl Problem {
    /// Adds a hint how to correct it.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Makes a problem that concerns the whole file.
    pub(crate) fn of_file(file: &Path, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            file: file.to_owned(),
            line: 1,
            column: 1,
            hint: None,
            excerpt: None,
        }
    }

    fn render(&self, renderer: &Renderer) -> String {
        let file = escape(&self.file.display().to_string());
        let message = escape(&self.message);
        let title = Level::ERROR.primary_title(message.as_str());
        let hint = self.hint.as_deref().map(escape);
        let place = format!("{file}:{}:{}", self.line, self.column);
        match &self.excerpt {
            Some((line, start, end)) => {
                // The renderer marks nothing for an empty span: mark at least one character.
                let end = line[*start..]
                    .chars()
                    .next()
                    .map_or(*end, |first| (*end).max(start + first.len_utf8()));
                let snippet = Snippet::source(line.as_str())
                    .path(file.as_str())
                    .line_start(self.line)
                    .annotation(AnnotationKind::Primary.span(*start..end));
                let mut group = title.element(snippet);
                if let Some(hint) = &hint {
                    group = group.element(Level::HELP.message(hint.as_str()));
                }
                let rendered = renderer.render(&[group]);
                self.with_own_column(rendered, &file)
            }
            None => {
                let group = annotate_snippets::Group::with_title(title);
                let mut rendered = format!("{}\n --> {place}", renderer.render(&[group]));
                if let Some(hint) = hint {
                    rendered.extend(["\n  = help: ", &hint]);
                }
                rendered
            }
        }
    }

    /// Replaces the column that the renderer computed from the excerpt, which may be cut and has
    /// expanded tabs, with the column in the file.
    fn with_own_column(&self, rendered: String, file: &str) -> String {
        let own = format!("{file}:{}:", self.line);
        let Some(start) = rendered.find(&own) else {
            return rendered;
        };
        let digits = start + own.len();
        let end = rendered[digits..]
            .find(|character: char| !character.is_ascii_digit())
            .map_or(rendered.len(), |end| digits + end);
        format!("{}{}{}", &rendered[..digits], self.column, &rendered[end..])
    }
}

/// Escapes control characters and bidirectional formatting characters of untrusted text, which
/// could otherwise control a terminal.
fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => shown.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                shown.extend(character.escape_unicode());
            }
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

impl Problems {
    /// Sorts the problems and removes duplicates. `problems` must not be empty.
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        let more = problems.len().saturating_sub(KEPT);
        problems.truncate(KEPT);
        Self { kept: problems, more }
    }

    /// The same problems, each with this hint after its own.
    #[cfg(feature = "cli")]
    #[must_use]
    pub(crate) fn also_hint(mut self, hint: &str) -> Self {
        for problem in &mut self.kept {
            problem.hint = Some(match problem.hint.take() {
                Some(own) => format!("{own}; {hint}"),
                None => hint.to_owned(),
            });
        }
        self
    }

    /// The problems, sorted by place, at most 1000.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.kept.iter()
    }

    /// Formats at most 20 problems for a terminal, each with its line and a mark under the place,
    /// and the number of further ones. `width` is in columns. Untrusted text is escaped.
    #[must_use]
    pub fn render(&self, color: bool, width: usize) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.term_width(width.max(40));
        let mut rendered: Vec<_> =
            self.kept.iter().take(SHOWN).map(|problem| problem.render(&renderer)).collect();
        let more = self.kept.len().saturating_sub(SHOWN) + self.more;
        if 0 < more {
            rendered.push(format!("error: and {more} more problems"));
        }
        rendered.join("\n\n")
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false, 100))
    }
}

/// As [`Display`](fmt::Display): this is what a `main` that returns the error prints.
impl fmt::Debug for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Problems {}
