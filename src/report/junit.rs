//! `--junit`: the results of a run as JUnit XML, for CI systems.
//!
//! Each manifest is a test suite with one case, the command itself, and with all counts as
//! properties. Each of its sources is a suite with a case for every entry that was changed, checked
//! or failed. Entries that were kept without a request have no case: there may be a million of
//! them.

mod xml;

use std::collections::HashMap;
use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, Event as Xml};
use xml::{Case, Mark, Suite, element};

use super::ended::{Account, Ended, EndedWith};
use super::escape::Untrusted;
use super::names::Names;
use super::tee::Closing;
use crate::atomic_file::AtomicFile;
use crate::event::{Event, Finding, Outcome, Reporter};
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::manifest::entry::EntryIndex;
use crate::ops::error::{ExitStatus, RunError};

/// The file of `--junit`.
pub(crate) struct Junit {
    out: Writer<BufWriter<AtomicFile>>,
    command: &'static str,
    /// The first write error. It is reported when the file is published.
    error: Option<io::Error>,
}

impl Junit {
    /// Creates a draft of the file for a run of `command`.
    ///
    /// # Errors
    /// When the draft cannot be created.
    pub(crate) fn create(file: &Path, command: &'static str) -> io::Result<Self> {
        let out = Writer::new_with_indent(BufWriter::new(AtomicFile::create(file)?), b' ', 2);
        let mut junit = Self { out, command, error: None };
        junit.attempt(|out| {
            out.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
            let root = element("testsuites", &[("name", &format!("natsync {command}"))]);
            out.write_event(Xml::Start(root))
        });
        Ok(junit)
    }

    /// A reporter that writes the suites of one manifest.
    pub(crate) fn of<'a>(
        &'a mut self,
        manifest: &'a Manifest,
    ) -> impl for<'e> Closing<Ended<'e>> + 'a {
        Part {
            junit: self,
            names: Names::new(manifest),
            cases: Vec::new(),
            failures: Failures::default(),
            begun: HashMap::new(),
            whole: Vec::new(),
            sources: Vec::new(),
        }
    }

    /// Writes a suite with an error for a manifest that cannot be used.
    pub(crate) fn refused(&mut self, file: &Path, error: &RunError) {
        let command = self.command;
        let name = Untrusted::path(file);
        self.attempt(|out| {
            let suite = Suite { name: &name, tests: 1, errors: 1, ..Suite::default() };
            suite.write(out, None, |out| {
                let case = Case { class: &name, name: command, time: None };
                case.write(out, &[Mark::Error(error.kind(), error.to_string())])
            })
        });
    }

    /// Puts the complete file in place.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn publish(mut self) -> io::Result<()> {
        self.attempt(|out| out.write_event(Xml::End(BytesEnd::new("testsuites"))));
        match self.error {
            Some(error) => Err(error),
            None => {
                let mut out = self.out.into_inner();
                out.write_all(b"\n")?;
                out.into_inner().map_err(IntoInnerError::into_error)?.publish()
            }
        }
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut Writer<BufWriter<AtomicFile>>) -> io::Result<()>,
    ) {
        if self.error.is_none() {
            self.error = write(&mut self.out).err();
        }
    }
}

/// The suites of one manifest.
struct Part<'a> {
    junit: &'a mut Junit,
    names: Names<'a>,
    cases: Vec<EntryCase>,
    failures: Failures,
    /// When the running transfers began.
    begun: HashMap<EntryIndex, Instant>,
    /// Failures of pruning.
    whole: Vec<Failure>,
    /// Failures of whole sources, by the index of the source.
    sources: Vec<(usize, Failure)>,
}

/// A test case. Kept small, because there may be very many.
#[derive(Clone, Copy)]
struct EntryCase {
    entry: EntryIndex,
    millis: u32,
    result: CaseResult,
}

/// The result of an entry.
#[derive(Clone, Copy)]
enum CaseResult {
    Good,
    Absent,
    Skipped,
    Modified,
    Gone,
    Unknown,
    /// The number of the failure in [`Failures`].
    Failed(u32),
}

/// The different failures, each stored once.
#[derive(Default)]
struct Failures {
    all: Vec<Failure>,
    numbers: HashMap<String, u32>,
}

impl Failures {
    fn number(&mut self, failure: &Failure) -> u32 {
        let key = format!("{} {}", failure.kind, failure.message);
        *self.numbers.entry(key).or_insert_with(|| {
            self.all.push(failure.clone());
            // Memory cannot hold 2^32 failures.
            u32::try_from(self.all.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn get(&self, number: u32) -> Option<&Failure> {
        usize::try_from(number).ok().and_then(|number| self.all.get(number))
    }
}

impl Reporter for Part<'_> {
    #[expect(clippy::disallowed_methods, reason = "the time that a test case takes")]
    fn event(&mut self, event: &Event) {
        let (entry, result) = match event {
            Event::Started { entry } => {
                self.begun.entry(*entry).or_insert_with(Instant::now);
                return;
            }
            Event::SourceFailed { source, failure } => {
                return self.sources.push((*source, failure.clone()));
            }
            Event::Unpruned { failure, .. } => {
                // One failure represents all files that were kept for the same reason.
                if !self.whole.contains(failure) {
                    self.whole.push(failure.clone());
                }
                return;
            }
            Event::Finished { entry, outcome, .. } => match outcome {
                Outcome::Kept => return,
                Outcome::Downloaded(_) | Outcome::Updated(_) | Outcome::Unchanged => {
                    (*entry, CaseResult::Good)
                }
                Outcome::Absent => (*entry, CaseResult::Absent),
                Outcome::Skipped => (*entry, CaseResult::Skipped),
                Outcome::Failed(failure) => {
                    (*entry, CaseResult::Failed(self.failures.number(failure)))
                }
            },
            Event::Verified { entry, verified } => match (&verified.failure, verified.finding) {
                (Some(failure), _) => (*entry, CaseResult::Failed(self.failures.number(failure))),
                (None, Finding::Ok) => (*entry, CaseResult::Good),
                (None, Finding::Absent) => (*entry, CaseResult::Absent),
                (None, Finding::Modified) => (*entry, CaseResult::Modified),
                (None, Finding::Gone) => (*entry, CaseResult::Gone),
                (None, Finding::Unknown) => (*entry, CaseResult::Unknown),
            },
            _ => return,
        };
        let took = self.begun.remove(&entry).map_or(Duration::ZERO, |begun| begun.elapsed());
        let millis = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
        self.cases.push(EntryCase { entry, millis, result });
    }
}

impl Closing<Ended<'_>> for Part<'_> {
    fn close(&mut self, ended: &Ended<'_>) {
        // Entries are numbered source by source, so this also groups the cases by source.
        self.cases.sort_unstable_by_key(|case| case.entry.0);
        let Self { junit, names, cases, failures, whole, sources, .. } = self;
        let command = junit.command;
        junit.attempt(|out| {
            write_run(out, command, names.manifest(), whole, ended)?;
            let of = |case: &EntryCase| names.source_index(case.entry);
            let mut rest = &cases[..];
            for source in 0..names.manifest().sources().len() {
                let (these, others) =
                    rest.split_at(rest.partition_point(|case| of(case) <= source));
                rest = others;
                let failed = sources.iter().filter(|(at, _)| *at == source);
                let failed: Vec<_> = failed.map(|(_, why)| why.clone()).collect();
                if !these.is_empty() || !failed.is_empty() {
                    write_source(out, names, source, these, failures, &failed)?;
                }
            }
            Ok(())
        });
    }
}

/// The suite of a manifest.
fn write_run<W: Write>(
    out: &mut Writer<W>,
    command: &str,
    manifest: &Manifest,
    whole: &[Failure],
    ended: &Ended<'_>,
) -> io::Result<()> {
    let marks: Vec<_> = match &ended.with {
        EndedWith::Error(error) => vec![Mark::Error(error.kind(), error.to_string())],
        EndedWith::NotBegun => vec![Mark::Skipped("not begun: a signal ended the run before")],
        EndedWith::Account(_) => match ended.status {
            ExitStatus::Interrupted | ExitStatus::Terminated => {
                vec![Mark::Error("interrupted", "a signal ended the run".to_owned())]
            }
            _ => Mark::of_all(whole).into_iter().collect(),
        },
    };
    let mut properties = vec![("exit_status", (ended.status as u8).to_string())];
    if let EndedWith::Account(account) = &ended.with {
        properties.push(("entries", account.entries().to_string()));
        properties.extend(account.parts().iter().map(|(name, count)| (*name, count.to_string())));
        properties.extend([
            ("pruned", account.pruned().to_string()),
            ("bytes", account.bytes().to_string()),
        ]);
        if matches!(account, Account::Verified(_)) {
            properties.retain(|(name, _)| *name != "pruned");
        }
    }
    let suite = Suite {
        name: manifest.name(),
        tests: 1,
        failures: u64::from(matches!(marks.first(), Some(Mark::Failure(..)))),
        errors: u64::from(matches!(marks.first(), Some(Mark::Error(..)))),
        skipped: u64::from(matches!(marks.first(), Some(Mark::Skipped(_)))),
        time: Some(ended.elapsed),
        properties,
    };
    suite.write(out, Some(Timestamp::now()), |out| {
        let case = Case { class: manifest.name(), name: command, time: Some(ended.elapsed) };
        case.write(out, &marks)
    })
}

/// The suite of a source.
fn write_source<W: Write>(
    out: &mut Writer<W>,
    names: &Names<'_>,
    source: usize,
    cases: &[EntryCase],
    failures: &Failures,
    failed: &[Failure],
) -> io::Result<()> {
    let manifest = names.manifest();
    let source = &manifest.sources()[source];
    let count =
        |is: fn(CaseResult) -> bool| cases.iter().filter(|case| is(case.result)).count() as u64;
    let millis: u64 = cases.iter().map(|case| u64::from(case.millis)).sum();
    let name = format!("{}/{}", manifest.name(), source.name);
    let class = format!("{}.{}", manifest.name(), source.name);
    let whole = u64::from(!failed.is_empty());
    let suite = Suite {
        name: &name,
        tests: cases.len() as u64 + whole,
        failures: count(|result| {
            matches!(result, CaseResult::Failed(_) | CaseResult::Modified | CaseResult::Gone)
        }) + whole,
        errors: 0,
        skipped: count(|result| {
            matches!(result, CaseResult::Absent | CaseResult::Skipped | CaseResult::Unknown)
        }),
        time: Some(Duration::from_millis(millis)),
        properties: Vec::new(),
    };
    suite.write(out, None, |out| {
        if !failed.is_empty() {
            let case = Case { class: &class, name: "the source as a whole", time: None };
            case.write(out, Mark::of_all(failed).as_slice())?;
        }
        for case in cases {
            let mark = match case.result {
                CaseResult::Good => None,
                CaseResult::Absent => {
                    Some(Mark::Skipped("absent: upstream does not have it, which is allowed"))
                }
                CaseResult::Skipped => Some(Mark::Skipped("not tried: the run ended before")),
                CaseResult::Unknown => {
                    Some(Mark::Skipped("neither a pin nor a record to compare with"))
                }
                CaseResult::Modified => {
                    Some(Mark::found("modified", "the file differs from its pin or record"))
                }
                CaseResult::Gone => Some(Mark::found("gone", "the file does not exist")),
                CaseResult::Failed(number) => failures.get(number).map(Mark::failed),
            };
            let time = Some(Duration::from_millis(u64::from(case.millis)));
            let path = names.path(case.entry);
            Case { class: &class, name: &path, time }.write(out, mark.as_slice())?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::digest::Digest;
    use crate::event::{Delivery, Summary, Verified};
    use crate::failure::ErrorKind;
    use crate::ops::Findings;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn written(command: &'static str, events: &[Event], ended: &Ended<'_>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("junit.xml");
        let manifest = manifest(WALLPAPERS);
        let mut junit = Junit::create(&place, command).unwrap();
        let mut part = junit.of(&manifest);
        for event in events {
            part.event(event);
        }
        part.close(ended);
        drop(part);
        junit.publish().unwrap();
        let text = std::fs::read_to_string(place).unwrap();
        let at = text.find(" timestamp=\"").unwrap();
        let end = at + 12 + text[at + 12..].find('"').unwrap();
        assert!(text[at + 12..end].parse::<Timestamp>().is_ok(), "{text}");
        format!("{}{}", &text[..at], &text[end + 1..])
    }

    fn ended(status: ExitStatus, with: EndedWith<'_>) -> Ended<'_> {
        Ended { status, elapsed: Duration::from_millis(950), with }
    }

    fn finished(entry: u64, outcome: Outcome) -> Event {
        Event::Finished { entry: EntryIndex(entry), outcome, attempts: 1, received: 0 }
    }

    #[test]
    fn an_apply() {
        let hostile = "answered <b>503</b> & \"x\"\u{1b}\u{ffff}]]>";
        let busy = Failure::new(ErrorKind::HttpStatus, hostile).with_hint("wait");
        let delivery = Delivery { size: 9, sha256: Digest::of(b"") };
        let events = [
            finished(338, Outcome::Downloaded(delivery)),
            finished(2, Outcome::Failed(busy)),
            finished(0, Outcome::Unchanged),
            finished(1, Outcome::Absent),
            finished(3, Outcome::Kept),
            finished(4, Outcome::Skipped),
            Event::SourceFailed {
                source: 1,
                failure: Failure::new(ErrorKind::HttpStatus, "8 of 9 entries are missing"),
            },
        ];
        let summary = Summary {
            entries: 6,
            downloaded: 1,
            unchanged: 1,
            kept: 1,
            absent: 1,
            failed: 1,
            skipped: 1,
            bytes: 9,
            ..Summary::default()
        };
        let account = EndedWith::Account(Account::Applied(summary));
        assert_snapshot!(written("apply", &events, &ended(ExitStatus::Failed, account)), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="natsync apply">
          <testsuite name="natgeo" tests="1" failures="0" errors="0" skipped="0" time="0.950">
            <properties>
              <property name="exit_status" value="1"/>
              <property name="entries" value="6"/>
              <property name="downloaded" value="1"/>
              <property name="updated" value="0"/>
              <property name="unchanged" value="1"/>
              <property name="kept" value="1"/>
              <property name="absent" value="1"/>
              <property name="failed" value="1"/>
              <property name="skipped" value="1"/>
              <property name="pruned" value="0"/>
              <property name="bytes" value="9"/>
            </properties>
            <testcase classname="natgeo" name="apply" time="0.950"/>
          </testsuite>
          <testsuite name="natgeo/wallpapers" tests="4" failures="1" errors="0" skipped="2" time="0.000">
            <testcase classname="natgeo.wallpapers" name="0817-1.jpg" time="0.000"/>
            <testcase classname="natgeo.wallpapers" name="0817-2.jpg" time="0.000">
              <skipped message="absent: upstream does not have it, which is allowed"/>
            </testcase>
            <testcase classname="natgeo.wallpapers" name="0817-3.jpg" time="0.000">
              <failure type="http_status" message="answered &lt;b&gt;503&lt;/b&gt; &amp; &quot;x&quot;\u{1b}�]]&gt;">answered &lt;b&gt;503&lt;/b&gt; &amp; &quot;x&quot;\u{1b}�]]&gt;; wait</failure>
            </testcase>
            <testcase classname="natgeo.wallpapers" name="0817-5.jpg" time="0.000">
              <skipped message="not tried: the run ended before"/>
            </testcase>
          </testsuite>
          <testsuite name="natgeo/posters" tests="2" failures="1" errors="0" skipped="0" time="0.000">
            <testcase classname="natgeo.posters" name="the source as a whole">
              <failure type="http_status" message="8 of 9 entries are missing">8 of 9 entries are missing</failure>
            </testcase>
            <testcase classname="natgeo.posters" name="poster-1.png" time="0.000"/>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn a_verify() {
        let found = |entry, finding, failure| Event::Verified {
            entry: EntryIndex(entry),
            verified: Verified { finding, sha256: None, failure },
        };
        let unreadable = Failure::new(ErrorKind::Io, "cannot read the file");
        let events = [
            found(0, Finding::Ok, None),
            found(1, Finding::Modified, None),
            found(2, Finding::Gone, None),
            found(3, Finding::Unknown, None),
            found(4, Finding::Unknown, Some(unreadable)),
        ];
        let findings =
            Findings { ok: 1, modified: 1, gone: 1, unknown: 2, bytes: 30, ..Findings::default() };
        let account = EndedWith::Account(Account::Verified(findings));
        assert_snapshot!(written("verify", &events, &ended(ExitStatus::Failed, account)), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="natsync verify">
          <testsuite name="natgeo" tests="1" failures="0" errors="0" skipped="0" time="0.950">
            <properties>
              <property name="exit_status" value="1"/>
              <property name="entries" value="5"/>
              <property name="ok" value="1"/>
              <property name="modified" value="1"/>
              <property name="gone" value="1"/>
              <property name="unknown" value="2"/>
              <property name="absent" value="0"/>
              <property name="bytes" value="30"/>
            </properties>
            <testcase classname="natgeo" name="verify" time="0.950"/>
          </testsuite>
          <testsuite name="natgeo/wallpapers" tests="5" failures="3" errors="0" skipped="1" time="0.000">
            <testcase classname="natgeo.wallpapers" name="0817-1.jpg" time="0.000"/>
            <testcase classname="natgeo.wallpapers" name="0817-2.jpg" time="0.000">
              <failure type="modified" message="the file differs from its pin or record">the file differs from its pin or record; `natsync apply --rehash` repairs that</failure>
            </testcase>
            <testcase classname="natgeo.wallpapers" name="0817-3.jpg" time="0.000">
              <failure type="gone" message="the file does not exist">the file does not exist; `natsync apply --rehash` repairs that</failure>
            </testcase>
            <testcase classname="natgeo.wallpapers" name="0817-4.jpg" time="0.000">
              <skipped message="neither a pin nor a record to compare with"/>
            </testcase>
            <testcase classname="natgeo.wallpapers" name="0817-5.jpg" time="0.000">
              <failure type="io" message="cannot read the file">cannot read the file</failure>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn an_error_of_the_run_is_an_error_of_its_case() {
        let busy = RunError::Busy { dest: "out".into(), shard: None, holder: None };
        let text = written("lock", &[], &ended(ExitStatus::Busy, EndedWith::Error(&busy)));
        assert!(text.contains("errors=\"1\""), "{text}");
        assert!(
            text.contains("<error type=\"busy\" message=\"another run holds `out`\">"),
            "{text}"
        );
        assert!(text.contains("<property name=\"exit_status\" value=\"4\"/>"), "{text}");
    }
}
