//! The outcomes of a shard's entries as a file, one JSON line each, so that `merge` can hand them to
//! the same reporters that a single run has.
//!
//! Entries that were kept without a request have no line: there may be millions of them, and their
//! number is in the result.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::digest::{Algorithm, Checksum};
use crate::event::{Delivery, Event, Outcome, Reporter};
use crate::failure::Failure;
use crate::manifest::entry::EntryIndex;

/// One line. `entry` is absent for the failure of a whole source.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entry: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<usize>,
    outcome: Word,
    #[serde(default, skip_serializing_if = "is_zero")]
    attempts: u32,
    #[serde(default, skip_serializing_if = "is_none")]
    received: u64,
    #[serde(default, skip_serializing_if = "is_none")]
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Failure>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Downloaded,
    Updated,
    Unchanged,
    Absent,
    Failed,
    #[default]
    Skipped,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(number: &u64) -> bool {
    *number == 0
}

/// The file that is being written.
pub(in crate::ops) struct Outcomes(BufWriter<File>);

impl Outcomes {
    pub(super) fn new(file: File) -> Self {
        Self(BufWriter::new(file))
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let line = match event {
            Event::Finished { entry, outcome, attempts, received } => {
                let line = Line {
                    entry: Some(entry.0),
                    attempts: *attempts,
                    received: *received,
                    ..Line::default()
                };
                let delivered = |outcome, delivery: &Delivery| {
                    let sha256 = Some(delivery.sha256.to_string());
                    (outcome, Line { size: delivery.size, sha256, ..Line::default() })
                };
                let plain = |outcome| (outcome, Line::default());
                let (outcome, with) = match outcome {
                    Outcome::Kept => return Ok(()),
                    Outcome::Downloaded(delivery) => delivered(Word::Downloaded, delivery),
                    Outcome::Updated(delivery) => delivered(Word::Updated, delivery),
                    Outcome::Unchanged => plain(Word::Unchanged),
                    Outcome::Absent => plain(Word::Absent),
                    Outcome::Skipped => plain(Word::Skipped),
                    Outcome::Failed(failure) => {
                        let failure = Some(failure.clone());
                        (Word::Failed, Line { failure, ..Line::default() })
                    }
                };
                let Line { size, sha256, failure, .. } = with;
                Line { outcome, size, sha256, failure, ..line }
            }
            Event::SourceFailed { source, failure } => Line {
                source: Some(*source),
                outcome: Word::Failed,
                failure: Some(failure.clone()),
                ..Line::default()
            },
            _ => return Ok(()),
        };
        serde_json::to_writer(&mut self.0, &line)?;
        self.0.write_all(b"\n")
    }

    /// Makes the file durable.
    pub(super) fn finish(self) -> io::Result<()> {
        let file = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()
    }
}

/// Hands the events of a file to a reporter.
///
/// # Errors
/// When the file cannot be read or is damaged.
pub(in crate::ops) fn replay(file: &Path, reporter: &mut dyn Reporter) -> io::Result<()> {
    let mut from = BufReader::with_capacity(1 << 18, File::open(file)?);
    let mut text = String::new();
    loop {
        text.clear();
        if from.read_line(&mut text)? == 0 {
            return Ok(());
        }
        let line: Line = serde_json::from_str(&text)?;
        let damaged = || io::Error::other("the outcomes of the shard are damaged");
        reporter.event(&event_of(line).ok_or_else(damaged)?);
    }
}

fn event_of(line: Line) -> Option<Event> {
    let Line { entry, source, outcome, attempts, received, size, sha256, failure } = line;
    if let Some(source) = source {
        return Some(Event::SourceFailed { source, failure: failure? });
    }
    let delivery = || {
        let sha256 = Checksum::from_hex(Algorithm::Sha256, sha256.as_deref()?)?.sha256()?;
        Some(Delivery { size, sha256 })
    };
    let outcome = match outcome {
        Word::Downloaded => Outcome::Downloaded(delivery()?),
        Word::Updated => Outcome::Updated(delivery()?),
        Word::Unchanged => Outcome::Unchanged,
        Word::Absent => Outcome::Absent,
        Word::Skipped => Outcome::Skipped,
        Word::Failed => Outcome::Failed(failure?),
    };
    Some(Event::Finished { entry: EntryIndex(entry?), outcome, attempts, received })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::failure::ErrorKind;

    #[test]
    fn every_outcome_comes_back_as_it_was() {
        let delivery = Delivery { size: 3, sha256: Digest::of(b"abc") };
        let failure = Failure::new(ErrorKind::HttpStatus, "the server answered 503")
            .with_status(503)
            .with_hint("wait")
            .at_origin("http://h:80")
            .not_requested();
        let outcomes = [
            Outcome::Downloaded(delivery.clone()),
            Outcome::Updated(Delivery { size: 0, ..delivery }),
            Outcome::Unchanged,
            Outcome::Absent,
            Outcome::Skipped,
            Outcome::Failed(failure.clone()),
        ];
        let mut events: Vec<_> = outcomes
            .into_iter()
            .zip(0..)
            .map(|(outcome, number)| Event::Finished {
                entry: EntryIndex(number),
                outcome,
                attempts: u32::from(number % 2 == 0),
                received: number * 7,
            })
            .collect();
        events.push(Event::SourceFailed { source: 1, failure });
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("outcomes.jsonl");
        let mut outcomes = Outcomes::new(File::create_new(&file).unwrap());
        for event in &events {
            outcomes.event(event).unwrap();
        }
        let kept = Event::Finished {
            entry: EntryIndex(9),
            outcome: Outcome::Kept,
            attempts: 0,
            received: 0,
        };
        outcomes.event(&kept).unwrap();
        outcomes.event(&Event::Stopping).unwrap();
        outcomes.finish().unwrap();
        let mut read: Vec<Event> = Vec::new();
        replay(&file, &mut read).unwrap();
        assert_eq!(read, events);
        std::fs::write(&file, "{\"entry\":1,\"outcome\":\"downloaded\"}\n").unwrap();
        assert!(replay(&file, &mut read).is_err());
    }
}
