//! The step summary, which GitHub Actions shows on the page of a workflow run: Markdown that is
//! appended to a file.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::ended::{Account, Ended, EndedWith};
use super::error::hint_of;
use super::escape::Untrusted;
use super::merging;
use super::names::Names;
use super::tee::Closing;
use super::troubles::{Trouble, Troubles};
use super::units::{Bytes, Elapsed, Rate};
use super::workflow::cut;
use crate::event::{Event, Reporter};
use crate::manifest::{Manifest, Shard};
use crate::ops::error::{ExitStatus, RunError};

/// The file that `GITHUB_STEP_SUMMARY` names.
#[derive(Debug)]
pub(crate) struct StepSummary {
    file: PathBuf,
    command: &'static str,
    /// The first write error.
    error: Option<io::Error>,
}

/// Bound in bytes: GitHub shows nothing of a longer summary.
const MOST_BYTES: u64 = 1 << 20;
/// Longer paths and messages are cut, in bytes.
const LONGEST: usize = 300;
/// Number of problems of a manifest that are listed.
const MOST_PROBLEMS: usize = 20;

impl StepSummary {
    /// A summary of `command` in `file`.
    #[must_use]
    pub(crate) fn new(file: PathBuf, command: &'static str) -> Self {
        Self { file, command, error: None }
    }

    /// A reporter that appends the section about one manifest, or about a shard of it.
    pub(crate) fn of<'a>(
        &'a mut self,
        manifest: &'a Manifest,
        shard: Option<Shard>,
    ) -> impl for<'e> Closing<Ended<'e>> + 'a {
        Part { troubles: Troubles::new(Names::new(manifest)), summary: self, shard }
    }

    /// Appends a section about a manifest that cannot be used.
    pub(crate) fn refused(&mut self, file: &Path, error: &RunError) {
        let file = Untrusted::path(file);
        let mut text = format!("### natsync {}: {}\n\n", self.command, Text(&file));
        write_error(&mut text, ExitStatus::Usage, error);
        self.append(&text);
    }

    /// The first write error, if any.
    #[must_use]
    pub(crate) fn finish(self) -> Option<io::Error> {
        self.error
    }

    fn append(&mut self, text: &str) {
        if let Err(error) = append(&self.file, text) {
            self.error.get_or_insert(error);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the runner reads this file while natsync appends to it"
)]
fn append(file: &Path, text: &str) -> io::Result<()> {
    let mut file = File::options().append(true).create(true).open(file)?;
    if MOST_BYTES < file.metadata()?.len() + text.len() as u64 {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it would be larger than 1 MiB"));
    }
    file.write_all(text.as_bytes())
}

/// The section about one manifest.
struct Part<'a> {
    summary: &'a mut StepSummary,
    troubles: Troubles<'a>,
    shard: Option<Shard>,
}

impl Reporter for Part<'_> {
    fn event(&mut self, event: &Event) {
        self.troubles.event(event);
    }
}

impl Closing<Ended<'_>> for Part<'_> {
    fn close(&mut self, ended: &Ended<'_>) {
        let manifest = self.troubles.names().manifest();
        let command = self.summary.command;
        let shard = self.shard.map_or(String::new(), |shard| format!(", shard {shard}"));
        let mut text = format!("### natsync {command}: {}{shard}\n\n", Text(manifest.name()));
        match &ended.with {
            EndedWith::Account(account) => {
                write_verdict(&mut text, ended, account);
                write_account(&mut text, account);
                if let Account::Merged(report) = account {
                    let _ = writeln!(text, "{}.\n", merging::describe(report));
                }
            }
            EndedWith::Error(error) => write_error(&mut text, ended.status, error),
            EndedWith::NotBegun => {
                text.push_str("**Not begun**: a signal ended the run before.\n\n");
            }
        }
        write_troubles(&mut text, manifest, &self.troubles.list());
        self.summary.append(&text);
    }
}

/// `**Done**: all is as declared. 0.9 s, 1.2 MB at 1.3 MB/s.`
fn write_verdict(text: &mut String, ended: &Ended<'_>, account: &Account) {
    let (word, what) = match (ended.status, account) {
        (ExitStatus::Ok, Account::Planned(counts)) if counts.is_drift() => {
            ("Planned", "there is something to do")
        }
        (ExitStatus::Ok, Account::Planned(_)) => ("Planned", "there is nothing to do"),
        (ExitStatus::Ok, Account::Verified(_)) => ("Verified", "no file is modified or gone"),
        (ExitStatus::Ok, Account::Applied(_) | Account::Merged(_)) => {
            ("Done", "all is as declared")
        }
        (ExitStatus::Drift, _) => ("Different", "there is something to do"),
        (ExitStatus::Interrupted | ExitStatus::Terminated, _) => {
            ("Interrupted", "a signal ended the run")
        }
        (ExitStatus::Storage, _) => ("Failed", "the destination cannot be used"),
        (_, Account::Verified(_)) => ("Failed", "files are modified or gone"),
        _ => ("Failed", "not all is as declared"),
    };
    let _ = write!(text, "**{word}**: {what}. {}", Elapsed(ended.elapsed));
    match account.bytes() {
        0 => {}
        bytes => {
            let _ = write!(text, ", {} at {}", Bytes(bytes), Rate::of(bytes, ended.elapsed));
        }
    }
    let _ = writeln!(text, ". Exit status {}.\n", ended.status as u8);
}

fn write_account(text: &mut String, account: &Account) {
    let mut columns = vec![("entries", account.entries())];
    columns.extend(account.parts());
    if !matches!(account, Account::Verified(_)) {
        columns.push(if matches!(account, Account::Planned(_)) {
            ("prune", account.pruned())
        } else {
            ("pruned", account.pruned())
        });
    }
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    text.push_str(&row(columns.iter().map(|(name, _)| (*name).to_owned()).collect()));
    text.push_str(&row(columns.iter().map(|_| "---:".to_owned()).collect()));
    text.push_str(&row(columns.iter().map(|(_, count)| count.to_string()).collect()));
    text.push('\n');
}

fn write_error(text: &mut String, status: ExitStatus, error: &RunError) {
    let _ = writeln!(text, "**Failed** with exit status {}.\n", status as u8);
    let hint = |hint: Option<&str>| hint.map_or(String::new(), |hint| format!(" ({})", Text(hint)));
    if let RunError::Manifest(problems) = error {
        for problem in problems.iter().take(MOST_PROBLEMS) {
            let place =
                format!("{}:{}:{}", Untrusted::path(&problem.file), problem.line, problem.column);
            let hint = hint(problem.hint.as_deref());
            let _ = writeln!(text, "- {}: {}{hint}", Text(&place), Text(&problem.message));
        }
        match problems.iter().count().saturating_sub(MOST_PROBLEMS) {
            0 => {}
            more => {
                let _ = writeln!(text, "- and {more} more");
            }
        }
        text.push('\n');
    } else {
        let _ = writeln!(text, "- {}{}\n", Text(&error.to_string()), hint(hint_of(error)));
    }
}

fn write_troubles(text: &mut String, manifest: &Manifest, troubles: &[Trouble]) {
    if troubles.is_empty() {
        return;
    }
    text.push_str("| what | why | where | hint |\n| --- | --- | --- | --- |\n");
    for trouble in troubles {
        let kind = trouble.kind.map_or(String::new(), |kind| format!(" ({kind})"));
        let why = trouble.why.as_deref().unwrap_or_default();
        let mut places: Vec<String> = Vec::new();
        for (path, why) in &trouble.first {
            let why = why.as_ref().map_or(String::new(), |why| format!(": {}", Text(why)));
            places.push(format!("<code>{}</code>{why}", Text(path)));
        }
        if 0 < trouble.more {
            places.push(format!("and {} more", trouble.more));
        }
        if let Some(source) = trouble.source {
            let source = &manifest.sources()[source];
            let place = format!("{}:{}", Untrusted::path(manifest.file()), source.line);
            places.push(format!("declared at {} (source {})", Text(&place), Text(&source.name)));
        }
        let _ = writeln!(
            text,
            "| {}{} | {} | {} | {} |",
            Text(&trouble.what),
            Text(&kind),
            Text(why),
            places.join("<br>"),
            Text(trouble.hint.as_deref().unwrap_or_default())
        );
    }
    text.push('\n');
}

/// Text that Markdown and HTML show literally. Characters that could start markup, a link, a
/// mention or a table cell are written as character references.
struct Text<'a>(&'a str);

impl std::fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = Untrusted(self.0).escaped();
        let short = cut(&shown, LONGEST);
        for character in short.chars() {
            let is_plain = matches!(character, ' ' | '-' | ',' | '/' | '(' | ')' | '=' | '%' | '?');
            if character.is_ascii_punctuation() && !is_plain {
                write!(f, "&#{};", u32::from(character))?;
            } else {
                f.write_char(character)?;
            }
        }
        f.write_str(if short.len() < shown.len() { "…" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::event::{Outcome, Summary};
    use crate::failure::{ErrorKind, Failure};
    use crate::manifest::entry::EntryIndex;
    use crate::ops::MergeReport;
    use crate::plan::Counts;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn written(command: &'static str, events: &[Event], ended: &Ended<'_>) -> String {
        written_of(command, None, events, ended)
    }

    fn written_of(
        command: &'static str,
        shard: Option<Shard>,
        events: &[Event],
        ended: &Ended<'_>,
    ) -> String {
        let folder = tempfile::tempdir().unwrap();
        let manifest = manifest(WALLPAPERS);
        let mut summary = StepSummary::new(folder.path().join("summary.md"), command);
        let mut part = summary.of(&manifest, shard);
        for event in events {
            part.event(event);
        }
        part.close(ended);
        drop(part);
        assert!(summary.finish().is_none());
        std::fs::read_to_string(folder.path().join("summary.md")).unwrap()
    }

    fn ended(status: ExitStatus, with: EndedWith<'_>) -> Ended<'_> {
        Ended { status, elapsed: Duration::from_millis(950), with }
    }

    fn failed(entry: u64, failure: Failure) -> Event {
        let outcome = Outcome::Failed(failure);
        Event::Finished { entry: EntryIndex(entry), outcome, attempts: 1, received: 0 }
    }

    #[test]
    fn an_apply() {
        let hostile = "answered <b>503</b> | `x`\n# [link](http://evil.example) @all";
        let busy = Failure::new(ErrorKind::HttpStatus, hostile).with_hint("wait *a bit*");
        let mut events: Vec<_> = (0..5).map(|entry| failed(entry, busy.clone())).collect();
        let failure = Failure::new(ErrorKind::HttpStatus, "9 of 9 entries are missing");
        events.push(Event::SourceFailed { source: 1, failure });
        let summary = Summary {
            entries: 347,
            downloaded: 333,
            absent: 9,
            failed: 5,
            bytes: 3_800_000,
            ..Summary::default()
        };
        let account = EndedWith::Account(Account::Applied(summary));
        assert_snapshot!(written("apply", &events, &ended(ExitStatus::Failed, account)), @r"
        ### natsync apply: natgeo

        **Failed**: not all is as declared. 0.9 s, 3.8 MB at 4.0 MB/s. Exit status 1.

        | entries | downloaded | updated | unchanged | kept | absent | failed | skipped | pruned |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 347 | 333 | 0 | 0 | 0 | 9 | 5 | 0 | 0 |

        | what | why | where | hint |
        | --- | --- | --- | --- |
        | 5 entries failed (http&#95;status) | answered &#60;b&#62;503&#60;/b&#62; &#124; &#96;x&#96;&#92;u&#123;a&#125;&#35; &#91;link&#93;(http&#58;//evil&#46;example) &#64;all | <code>0817-1&#46;jpg</code><br><code>0817-2&#46;jpg</code><br><code>0817-3&#46;jpg</code><br>and 2 more<br>declared at natgeo&#46;yaml&#58;5 (source wallpapers) | wait &#42;a bit&#42; |
        | source posters failed (http&#95;status) | 9 of 9 entries are missing | declared at natgeo&#46;yaml&#58;8 (source posters) |  |
        ");
    }

    #[test]
    fn a_plan() {
        let counts = Counts { fetch: 3, keep: 300, prune: 1, ..Counts::default() };
        let account = EndedWith::Account(Account::Planned(counts));
        assert_snapshot!(written("plan", &[], &ended(ExitStatus::Ok, account)), @r"
        ### natsync plan: natgeo

        **Planned**: there is something to do. 0.9 s. Exit status 0.

        | entries | fetch | replace | revalidate | keep | absent | prune |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 303 | 3 | 0 | 0 | 300 | 0 | 1 |
        ");
    }

    #[test]
    fn a_shard_and_a_merge() {
        let account = EndedWith::Account(Account::Applied(Summary::default()));
        let ok = ended(ExitStatus::Ok, account);
        let text = written_of("apply", Shard::new(2, 16).ok(), &[], &ok);
        assert!(text.starts_with("### natsync apply: natgeo, shard 2/16\n"), "{text}");
        let report = MergeReport {
            summary: Summary { entries: 9, downloaded: 9, bytes: 3_800_000, ..Summary::default() },
            shards: 4,
            missing: "2".to_owned(),
            runs: vec![(1, 2000), (3, 9000), (4, 2100)],
            ..MergeReport::default()
        };
        let account = EndedWith::Account(Account::Merged(report));
        assert_snapshot!(written("merge", &[], &ended(ExitStatus::Failed, account)), @r"
        ### natsync merge: natgeo

        **Failed**: not all is as declared. 0.9 s, 3.8 MB at 4.0 MB/s. Exit status 1.

        | entries | downloaded | updated | unchanged | kept | absent | failed | skipped | pruned |
        | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
        | 9 | 9 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |

        3 shards merged, which took 2.0 s to 9.0 s; slower than twice the median: shard 3 (9.0 s); missing: 2 of 4.
        ");
    }

    #[test]
    fn an_error_and_a_manifest_that_never_began() {
        let busy = RunError::Busy { dest: "out|<x>".into(), shard: None, holder: None };
        assert_snapshot!(written("lock", &[], &ended(ExitStatus::Busy, EndedWith::Error(&busy))), @r"
        ### natsync lock: natgeo

        **Failed** with exit status 4.

        - another run holds &#96;out&#124;&#60;x&#62;&#96; (use --wait to start after that run has ended)
        ");
        let text = written("apply", &[], &ended(ExitStatus::Interrupted, EndedWith::NotBegun));
        assert!(text.contains("**Not begun**"), "{text}");
    }

    #[test]
    fn nothing_is_appended_to_a_full_summary() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("summary.md");
        std::fs::write(&file, " ".repeat((1 << 20) - 30)).unwrap();
        let mut summary = StepSummary::new(file.clone(), "apply");
        summary.refused(Path::new("a.yaml"), &RunError::usage("no"));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), (1 << 20) - 30);
        assert!(summary.finish().is_some());
    }
}
