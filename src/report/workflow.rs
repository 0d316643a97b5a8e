//! Workflow commands of GitHub Actions, which reads them from the output of a step.
//!
//! Writes the commands for annotations, and escapes other output that would be read as a command.

use std::borrow::Cow;
use std::cell::Cell;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};

use super::escape::Untrusted;

/// The workflow step that this process is part of.
#[derive(Debug)]
pub(super) struct Workflow {
    workspace: Option<PathBuf>,
    /// How many more annotations of each level GitHub will show.
    left: [Cell<usize>; 3],
}

/// Severity of an annotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    Warning,
    Notice,
}

/// A remark that GitHub shows beside a line of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Annotation<'a> {
    pub(super) level: Level,
    pub(super) title: &'a str,
    pub(super) file: Option<&'a Path>,
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    /// May have several lines.
    pub(super) message: &'a str,
}

/// Number of annotations per level that GitHub shows for a step.
pub(super) const MOST: usize = 10;
/// Bound in bytes. GitHub cuts messages at 4096 bytes.
const LONGEST: usize = 4000;
const LONGEST_TITLE: usize = 200;

impl Level {
    fn command(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

impl<'a> Annotation<'a> {
    /// An annotation without a file.
    pub(super) fn new(level: Level, title: &'a str, message: &'a str) -> Self {
        Self { level, title, file: None, line: None, column: None, message }
    }
}

impl Workflow {
    /// The step, if the environment says that there is one.
    pub(super) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Option<Self> {
        (variable("GITHUB_ACTIONS")? == "true").then(|| Self {
            workspace: variable("GITHUB_WORKSPACE").filter(|path| !path.is_empty()).map(Into::into),
            left: [const { Cell::new(MOST) }; 3],
        })
    }

    pub(super) fn left(&self, level: Level) -> usize {
        self.left[level as usize].get()
    }

    /// The command for an annotation. `None` if GitHub would not show any more of its level.
    pub(super) fn command(&self, annotation: &Annotation<'_>) -> Option<String> {
        let left = &self.left[annotation.level as usize];
        left.set(left.get().checked_sub(1)?);
        let mut command = format!("::{} ", annotation.level.command());
        if let Some(file) = annotation.file {
            let _ = write!(command, "file={},", Property(&Untrusted::path(&self.below(file))));
        }
        for (name, place) in [("line", annotation.line), ("col", annotation.column)] {
            if let Some(place) = place {
                let _ = write!(command, "{name}={place},");
            }
        }
        let title = Untrusted(annotation.title).escaped();
        let _ = write!(command, "title={}::", Property(cut(&title, LONGEST_TITLE)));
        for (number, line) in annotation.message.lines().enumerate() {
            let line = Untrusted(line).escaped();
            let room = LONGEST.saturating_sub(command.len());
            let end = if number == 0 { "" } else { "%0A" };
            let _ = write!(command, "{end}{}", Data(cut(&line, room / 3)));
        }
        command.push('\n');
        Some(command)
    }

    /// The path of a file relative to the top of the repository, if the file is inside.
    fn below(&self, file: &Path) -> PathBuf {
        let whole = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
        let below = self.workspace.as_deref().and_then(|workspace| {
            Some(whole(file).ok()?.strip_prefix(whole(workspace).ok()?).ok()?.to_owned())
        });
        below.unwrap_or_else(|| file.to_owned())
    }
}

/// The longest prefix of at most `longest` bytes.
pub(super) fn cut(text: &str, longest: usize) -> &str {
    &text[..text.floor_char_boundary(longest)]
}

/// Escapes the message of a command.
struct Data<'a>(&'a str);

/// Escapes the value of a property of a command.
struct Property<'a>(&'a str);

impl fmt::Display for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, &['%', '\r', '\n'])
    }
}

impl fmt::Display for Property<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, &['%', '\r', '\n', ':', ','])
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str, special: &[char]) -> fmt::Result {
    for character in text.chars() {
        if special.contains(&character) {
            write!(f, "%{:02X}", u32::from(character))?;
        } else {
            f.write_char(character)?;
        }
    }
    Ok(())
}

/// Finds workflow commands the way the runner does: `::` at the start of a line, or the older form
/// `##[` anywhere in a line.
///
/// The runner skips blanks before a command, and its culture-aware string comparisons ignore
/// invisible characters. So only visible ASCII characters end the search for `::`.
pub(super) struct Lookout {
    is_begin: bool,
    hashes: u8,
}

impl Lookout {
    pub(super) fn within_line() -> Self {
        Self { is_begin: false, hashes: 0 }
    }

    /// Whether the next character would complete a command, so that it must be escaped.
    pub(super) fn forges(&mut self, character: char) -> bool {
        let forges = (self.is_begin && character == ':') || (2 <= self.hashes && character == '[');
        match character {
            '\n' | '\r' => *self = Self { is_begin: true, hashes: 0 },
            '#' => *self = Self { is_begin: false, hashes: self.hashes.saturating_add(1) },
            character if character.is_ascii_graphic() => *self = Self::within_line(),
            _ => {}
        }
        forges
    }
}

/// Escapes the characters that would complete a workflow command as `\u{..}`.
pub(super) fn harmless(lines: &str) -> Cow<'_, str> {
    let mut safe: Option<String> = None;
    let mut copied = 0;
    let mut lookout = Lookout { is_begin: true, hashes: 0 };
    for (at, character) in lines.char_indices() {
        if lookout.forges(character) {
            let safe = safe.get_or_insert_default();
            let _ = write!(safe, "{}{}", &lines[copied..at], character.escape_unicode());
            copied = at + character.len_utf8();
        }
    }
    match safe {
        None => Cow::Borrowed(lines),
        Some(safe) => Cow::Owned(safe + &lines[copied..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(workspace: &str) -> Workflow {
        let variable = |name: &str| match name {
            "GITHUB_ACTIONS" => Some("true".into()),
            "GITHUB_WORKSPACE" => Some(workspace.into()),
            _ => None,
        };
        Workflow::of(variable).unwrap()
    }

    fn plain() -> Annotation<'static> {
        Annotation::new(Level::Error, "natgeo", "no")
    }

    #[test]
    fn a_workflow_is_recognised_by_its_variable() {
        for value in [None, Some(""), Some("false"), Some("1")] {
            assert!(Workflow::of(|_| value.map(Into::into)).is_none(), "{value:?}");
        }
    }

    #[test]
    fn properties_and_messages_are_escaped() {
        let annotation = Annotation {
            level: Level::Warning,
            title: "a,col=9::b:c%0A\u{1b}",
            file: Some(Path::new("x:y,z%\n.yaml")),
            line: Some(12),
            column: Some(3),
            message: "one%0Atwo\rthree\nfour::error::five",
        };
        assert_eq!(
            workflow("/w").command(&annotation).unwrap(),
            "::warning file=x%3Ay%2Cz%25\\u{a}.yaml,line=12,col=3,\
             title=a%2Ccol=9%3A%3Ab%3Ac%250A\\u{1b}::\
             one%250Atwo\\u{d}three%0Afour::error::five\n"
        );
    }

    #[test]
    fn a_path_is_relative_to_the_top_of_the_repository() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("manifests/a.yaml");
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "").unwrap();
        let command = |workspace: &str| {
            let annotation = Annotation { file: Some(&file), ..plain() };
            workflow(workspace).command(&annotation).unwrap()
        };
        let top = folder.path().to_str().unwrap();
        assert_eq!(command(top), "::error file=manifests/a.yaml,title=natgeo::no\n");
        let elsewhere = format!("{top}/other");
        assert_eq!(
            command(&elsewhere),
            format!("::error file={top}/manifests/a.yaml,title=natgeo::no\n")
        );
    }

    #[test]
    fn there_are_at_most_ten_annotations_per_level() {
        let workflow = workflow("");
        let shown = (0..20).filter_map(|_| workflow.command(&plain())).count();
        assert_eq!(
            (shown, workflow.left(Level::Error), workflow.left(Level::Warning)),
            (10, 0, 10)
        );
    }

    #[test]
    fn a_long_message_is_cut() {
        let long = "%é".repeat(5000);
        let lines = format!("{long}\n{long}\n{long}");
        let annotation = Annotation { title: &long, message: &lines, ..plain() };
        let command = workflow("").command(&annotation).unwrap();
        assert!(command.len() < 4096, "{}", command.len());
        assert_eq!(command.matches('\n').count(), 1);
    }

    #[test]
    fn lines_that_look_like_commands_are_escaped() {
        for (lines, expected) in [
            ("::error::x\n", "\\u{3a}:error::x\n"),
            ("a\n  \u{3000}::add-mask::x", "a\n  \u{3000}\\u{3a}:add-mask::x"),
            ("\u{feff}\u{ad}::error::x", "\u{feff}\u{ad}\\u{3a}:error::x"),
            ("a\r::error::x", "a\r\\u{3a}:error::x"),
            ("  ! failed  ##[add-mask]x", "  ! failed  ##\\u{5b}add-mask]x"),
            ("###[error]#\u{ad}#\u{200b}[b]", "###\\u{5b}error]#\u{ad}#\u{200b}\\u{5b}b]"),
        ] {
            assert_eq!(harmless(lines), expected);
        }
        for fine in ["natgeo: a::b", "# [x] #[y] a##b[c]\n", "", "über: x", "-> ::"] {
            assert!(matches!(harmless(fine), Cow::Borrowed(same) if same == fine), "{fine}");
        }
    }
}
