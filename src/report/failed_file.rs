//! `--failed`: the entries that failed or were not tried, as JSON Lines. `apply --retry` reads the
//! file.

use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::Path;

use super::ended::{Ended, EndedWith};
use super::json::write_failed;
use super::names::Names;
use super::tee::Closing;
use crate::atomic_file::AtomicFile;
use crate::event::{Event, Outcome, Reporter};
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::manifest::entry::{Entry, EntryIndex};
use crate::manifest::select::Selection;

/// The file of `--failed`.
pub(crate) struct FailedFile {
    out: BufWriter<AtomicFile>,
    /// The first write error. It is reported when the file is published.
    error: Option<io::Error>,
}

impl FailedFile {
    /// Creates a draft of the file.
    ///
    /// # Errors
    /// When the draft cannot be created.
    pub(crate) fn create(file: &Path) -> io::Result<Self> {
        Ok(Self { out: BufWriter::new(AtomicFile::create(file)?), error: None })
    }

    /// A reporter that writes the chosen entries of one manifest.
    pub(crate) fn of<'a>(
        &'a mut self,
        manifest: &'a Manifest,
        selection: &'a Selection,
    ) -> impl for<'e> Closing<Ended<'e>> + 'a {
        Part { file: self, names: Names::new(manifest), selection, settled: Vec::new() }
    }

    /// Puts the complete file in place.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn publish(self) -> io::Result<()> {
        match self.error {
            Some(error) => Err(error),
            None => self.out.into_inner().map_err(IntoInnerError::into_error)?.publish(),
        }
    }

    fn attempt(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = write(&mut self.out).err();
        }
    }
}

struct Part<'a> {
    file: &'a mut FailedFile,
    names: Names<'a>,
    selection: &'a Selection,
    /// A bit set of the entries that have an outcome.
    settled: Vec<u64>,
}

impl Part<'_> {
    fn settle(&mut self, entry: EntryIndex) {
        let Ok(word) = usize::try_from(entry.0 / 64) else { return };
        if self.settled.len() <= word {
            self.settled.resize(word + 1, 0);
        }
        self.settled[word] |= 1 << (entry.0 % 64);
    }

    fn is_settled(&self, entry: EntryIndex) -> bool {
        let word = usize::try_from(entry.0 / 64).ok().and_then(|word| self.settled.get(word));
        word.is_some_and(|word| word >> (entry.0 % 64) & 1 == 1)
    }

    fn write(&mut self, entry: &Entry<'_>, failure: Option<&Failure>) {
        let manifest = self.names.manifest().name();
        self.file.attempt(|out| write_failed(out, manifest, entry, failure));
    }

    /// Writes the chosen entries without an outcome: a run that an error ended has not tried them.
    fn write_untried(&mut self) {
        let manifest = self.names.manifest();
        let mut path = String::new();
        for entry in manifest.entries().iter() {
            path.clear();
            entry.write_path(&mut path);
            let is_chosen = self.selection.matches(entry.source(), &path);
            if is_chosen && !self.is_settled(entry.index()) {
                self.write(&entry, None);
            }
        }
    }
}

impl Reporter for Part<'_> {
    fn event(&mut self, event: &Event) {
        let Event::Finished { entry, outcome, .. } = event else { return };
        self.settle(*entry);
        match outcome {
            Outcome::Failed(failure) => self.write(&self.names.entry(*entry), Some(failure)),
            Outcome::Skipped => self.write(&self.names.entry(*entry), None),
            _ => {}
        }
    }
}

impl Closing<Ended<'_>> for Part<'_> {
    fn close(&mut self, ended: &Ended<'_>) {
        match ended.with {
            EndedWith::Account(_) => {}
            EndedWith::Error(_) | EndedWith::NotBegun => self.write_untried(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use insta::assert_snapshot;

    use super::*;
    use crate::event::Summary;
    use crate::failure::ErrorKind;
    use crate::ops::error::{ExitStatus, RunError};
    use crate::report::ended::Account;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn written(only: &str, with: EndedWith<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("failed.jsonl");
        let manifest = manifest(WALLPAPERS);
        let selection = Selection::new(&[only.to_owned()], &manifest).unwrap();
        let mut file = FailedFile::create(&place).unwrap();
        let mut part = file.of(&manifest, &selection);
        let busy = Failure::new(ErrorKind::HttpStatus, "answered 503 \"busy\"\u{1b}");
        let outcomes = [
            (338, Outcome::Absent),
            (339, Outcome::Failed(busy.with_status(503))),
            (340, Outcome::Unchanged),
            (341, Outcome::Skipped),
        ];
        for (entry, outcome) in outcomes {
            part.event(&Event::Finished {
                entry: EntryIndex(entry),
                outcome,
                attempts: 1,
                received: 0,
            });
        }
        let status = ExitStatus::Failed;
        part.close(&Ended { status, elapsed: Duration::ZERO, with });
        drop(part);
        assert!(!place.exists());
        file.publish().unwrap();
        std::fs::read_to_string(place).unwrap()
    }

    #[test]
    fn failed_and_skipped_entries_are_written() {
        let account = Account::Applied(Summary::default());
        assert_snapshot!(written("posters", EndedWith::Account(account)), @r#"
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-2.png","url":"http://posters.example/poster-2.png","outcome":"failed","error":{"kind":"http_status","status":503,"message":"answered 503 \"busy\"\u001b"}}
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-4.png","url":"http://posters.example/poster-4.png","outcome":"skipped"}
        "#);
    }

    #[test]
    fn after_an_error_the_untried_entries_are_written_too() {
        let error = RunError::Busy { dest: "out".into(), shard: None, holder: None };
        assert_snapshot!(written("poster-[1-6].png", EndedWith::Error(&error)), @r#"
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-2.png","url":"http://posters.example/poster-2.png","outcome":"failed","error":{"kind":"http_status","status":503,"message":"answered 503 \"busy\"\u001b"}}
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-4.png","url":"http://posters.example/poster-4.png","outcome":"skipped"}
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-5.png","url":"http://posters.example/poster-5.png","outcome":"skipped"}
        {"type":"failed","manifest":"natgeo","source":"posters","path":"poster-6.png","url":"http://posters.example/poster-6.png","outcome":"skipped"}
        "#);
    }

    #[test]
    fn without_a_failure_the_file_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("failed.jsonl");
        FailedFile::create(&place).unwrap().publish().unwrap();
        assert_eq!(std::fs::read(place).unwrap(), b"");
    }
}
