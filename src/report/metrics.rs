//! `--metrics`: metrics of a run in the text format of Prometheus, for the textfile collector of
//! node exporter.
//!
//! Several manifests and commands may share one file: a run replaces its own samples and keeps the
//! others. The time of the last success is carried over from the existing file.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::ended::{Account, Ended, EndedWith};
use super::escape::Untrusted;
use super::tee::Closing;
use crate::atomic_file::AtomicFile;
use crate::event::{Event, Outcome, Reporter};
use crate::failure::ErrorKind;
use crate::manifest::Manifest;
use crate::ops::error::ExitStatus;

/// The file of `--metrics`.
pub(crate) struct Metrics {
    file: PathBuf,
    draft: AtomicFile,
    command: &'static str,
    runs: BTreeMap<Key, Run>,
}

/// The values of the labels `manifest` and `command`, escaped.
type Key = (String, String);

/// The samples of the last run about one manifest.
#[derive(Debug, Default)]
struct Run {
    /// The samples of each metric: its other labels, and the value.
    samples: HashMap<&'static str, Vec<(String, String)>>,
}

/// The metrics with their help texts.
const METRICS: [(&str, &str); 8] = [
    (LAST_RUN, "When the last run ended, in seconds since 1970."),
    (LAST_SUCCESS, "When a run last ended with exit status 0, in seconds since 1970."),
    (DURATION, "Duration of the last run in seconds."),
    (EXIT_STATUS, "The exit status of the last run: 0 when all is as declared."),
    (ENTRIES, "Entries by their outcome in the last run."),
    (FAILURES, "Failed entries of the last run by kind of failure."),
    (PRUNED, "Files that the last run deleted."),
    (BYTES, "Bytes that the last run received, or read from the disk for `verify`."),
];

const LAST_RUN: &str = "natsync_last_run_timestamp_seconds";
const LAST_SUCCESS: &str = "natsync_last_success_timestamp_seconds";
const DURATION: &str = "natsync_run_duration_seconds";
const EXIT_STATUS: &str = "natsync_exit_status";
const ENTRIES: &str = "natsync_entries";
const FAILURES: &str = "natsync_failures";
const PRUNED: &str = "natsync_pruned_files";
const BYTES: &str = "natsync_transferred_bytes";

/// An existing file with more bytes was not written by natsync, and is not read.
const MOST_BYTES: u64 = 16 << 20;

impl Metrics {
    /// Creates a draft of the file for a run of `command`.
    ///
    /// # Errors
    /// When the draft cannot be created.
    pub(crate) fn create(file: &Path, command: &'static str) -> io::Result<Self> {
        let draft = AtomicFile::create(file)?;
        Ok(Self { file: file.to_owned(), draft, command, runs: BTreeMap::new() })
    }

    /// A reporter that counts the failures of one manifest.
    pub(crate) fn of<'a>(
        &'a mut self,
        manifest: &'a Manifest,
    ) -> impl for<'e> Closing<Ended<'e>> + 'a {
        let key = self.key(manifest.name(), manifest.file());
        Part { metrics: self, key, failures: BTreeMap::new() }
    }

    /// Adds the samples of a manifest that cannot be used. Its name is unknown, so the file name
    /// stands for it.
    pub(crate) fn refused(&mut self, file: &Path, status: ExitStatus) {
        let name = file.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let key = self.key(name.as_deref().unwrap_or_default(), file);
        let mut run = Run::default();
        run.end(Timestamp::now(), status, Duration::ZERO);
        self.runs.insert(key, run);
    }

    /// The key of a manifest. A second manifest with the same name gets its file name added.
    fn key(&self, name: &str, file: &Path) -> Key {
        let key = (label(name), self.command.to_owned());
        if self.runs.contains_key(&key) {
            (label(&format!("{name} ({})", Untrusted::path(file))), key.1)
        } else {
            key
        }
    }

    /// Puts the complete file in place, readable by all users: node exporter runs as another one.
    ///
    /// # Errors
    /// When the file could not be written.
    pub(crate) fn publish(self) -> io::Result<()> {
        let before = read(&self.file);
        let text = render(before, self.runs);
        let mut draft = self.draft;
        draft.write_all(text.as_bytes())?;
        draft.publish_readable()
    }
}

/// Counts the failures of one manifest.
struct Part<'a> {
    metrics: &'a mut Metrics,
    key: Key,
    failures: BTreeMap<ErrorKind, u64>,
}

impl Reporter for Part<'_> {
    fn event(&mut self, event: &Event) {
        let failure = match event {
            Event::Finished { outcome: Outcome::Failed(failure), .. } => Some(failure),
            Event::Verified { verified, .. } => verified.failure.as_ref(),
            _ => None,
        };
        if let Some(failure) = failure {
            *self.failures.entry(failure.kind).or_default() += 1;
        }
    }
}

impl Closing<Ended<'_>> for Part<'_> {
    fn close(&mut self, ended: &Ended<'_>) {
        let mut run = Run::default();
        run.end(Timestamp::now(), ended.status, ended.elapsed);
        match &ended.with {
            // Not a run of this manifest: keep the samples of the last one.
            EndedWith::NotBegun => return,
            EndedWith::Error(_) => {}
            EndedWith::Account(account) => {
                for (outcome, count) in account.parts() {
                    run.put(ENTRIES, &format!("outcome=\"{outcome}\""), count);
                }
                if !matches!(account, Account::Verified(_)) {
                    run.put(PRUNED, "", account.pruned());
                }
                run.put(BYTES, "", account.bytes());
            }
        }
        for (kind, count) in &self.failures {
            run.put(FAILURES, &format!("kind=\"{kind}\""), count);
        }
        self.metrics.runs.insert(self.key.clone(), run);
    }
}

impl Run {
    fn put(&mut self, metric: &'static str, labels: &str, value: impl fmt::Display) {
        self.samples.entry(metric).or_default().push((labels.to_owned(), value.to_string()));
    }

    fn end(&mut self, now: Timestamp, status: ExitStatus, elapsed: Duration) {
        let at = format!("{}.{:03}", now.as_second(), now.subsec_millisecond());
        if status == ExitStatus::Ok {
            self.put(LAST_SUCCESS, "", &at);
        }
        self.put(LAST_RUN, "", at);
        self.put(DURATION, "", format!("{:.3}", elapsed.as_secs_f64()));
        self.put(EXIT_STATUS, "", status as u8);
    }
}

/// The text of the file: the samples of `runs`, and those of `before` that `runs` does not replace.
fn render(mut before: BTreeMap<Key, Run>, runs: BTreeMap<Key, Run>) -> String {
    for (key, mut run) in runs {
        if !run.samples.contains_key(LAST_SUCCESS)
            && let Some(succeeded) =
                before.get_mut(&key).and_then(|before| before.samples.remove(LAST_SUCCESS))
        {
            run.samples.insert(LAST_SUCCESS, succeeded);
        }
        before.insert(key, run);
    }
    let mut text = String::new();
    for (metric, help) in METRICS {
        let mut samples = String::new();
        for ((manifest, command), run) in &before {
            for (labels, value) in run.samples.get(metric).into_iter().flatten() {
                let comma = if labels.is_empty() { "" } else { "," };
                let _ = writeln!(
                    samples,
                    "{metric}{{manifest=\"{manifest}\",command=\"{command}\"{comma}{labels}}} {value}"
                );
            }
        }
        if !samples.is_empty() {
            let _ = write!(text, "# HELP {metric} {help}\n# TYPE {metric} gauge\n{samples}");
        }
    }
    text
}

/// Escapes the value of a label.
fn label(text: &str) -> String {
    Untrusted(text).escaped().replace('\\', "\\\\").replace('"', "\\\"")
}

/// The samples of an existing file. Empty if the file does not exist or was not written by natsync.
fn read(file: &Path) -> BTreeMap<Key, Run> {
    let mut text = String::new();
    let whole = File::open(file)
        .and_then(|file| file.take(MOST_BYTES).read_to_string(&mut text))
        .map_or("", |_| &text);
    let mut runs: BTreeMap<Key, Run> = BTreeMap::new();
    for sample in whole.lines().filter_map(parse) {
        let run = runs.entry(sample.key).or_default();
        run.put(sample.metric, sample.labels, sample.value);
    }
    runs
}

/// A sample that natsync wrote.
struct Sample<'a> {
    metric: &'static str,
    key: Key,
    labels: &'a str,
    value: &'a str,
}

fn parse(line: &str) -> Option<Sample<'_>> {
    let (name, rest) = line.split_once('{')?;
    let (metric, _) = METRICS.iter().find(|(metric, _)| *metric == name)?;
    let (manifest, rest) = value(rest.strip_prefix("manifest=")?)?;
    let (command, rest) = value(rest.strip_prefix(",command=")?)?;
    let (labels, number) = rest.rsplit_once("} ")?;
    let labels = labels.strip_prefix(',').unwrap_or(labels);
    // natsync writes at most one more label.
    let is_ours = labels.is_empty()
        || labels
            .split_once('=')
            .and_then(|(_, text)| value(text))
            .is_some_and(|(_, rest)| rest.is_empty());
    (is_ours && number.parse::<f64>().is_ok()).then(|| Sample {
        metric,
        key: (manifest.to_owned(), command.to_owned()),
        labels,
        value: number,
    })
}

/// Splits a quoted label value, still escaped, from the text that follows it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('"')?;
    let mut is_escaped = false;
    let end = text.find(|character| {
        let is_end = character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    })?;
    Some((&text[..end], &text[end + 1..]))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::event::Summary;
    use crate::failure::Failure;
    use crate::manifest::entry::EntryIndex;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn run(file: &Path, text: &str, kinds: &[ErrorKind], ended: &Ended<'_>) -> String {
        let manifest = manifest(text);
        let mut metrics = Metrics::create(file, "apply").unwrap();
        let mut part = metrics.of(&manifest);
        for (entry, &kind) in (0..).zip(kinds) {
            let outcome = Outcome::Failed(Failure::new(kind, "no"));
            part.event(&Event::Finished {
                entry: EntryIndex(entry),
                outcome,
                attempts: 1,
                received: 0,
            });
        }
        part.close(ended);
        drop(part);
        metrics.publish().unwrap();
        std::fs::read_to_string(file).unwrap()
    }

    fn ended(status: ExitStatus) -> Ended<'static> {
        let summary =
            Summary { entries: 347, downloaded: 3, kept: 344, bytes: 9, ..Summary::default() };
        let with = EndedWith::Account(Account::Applied(summary));
        Ended { status, elapsed: Duration::from_millis(950), with }
    }

    /// The value of the sample that starts with `beginning`.
    fn sample<'t>(text: &'t str, beginning: &str) -> Option<&'t str> {
        text.lines().find_map(|line| line.strip_prefix(beginning)?.strip_prefix(' '))
    }

    #[test]
    fn a_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("natsync.prom");
        let kinds = [ErrorKind::Timeout, ErrorKind::Dns, ErrorKind::Timeout];
        let before = Timestamp::now().as_second();
        let text = run(&file, WALLPAPERS, &kinds, &ended(ExitStatus::Failed));
        let last_run = sample(
            &text,
            r#"natsync_last_run_timestamp_seconds{manifest="natgeo",command="apply"}"#,
        );
        let last_run = last_run.unwrap();
        let seconds: f64 = last_run.parse().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "seconds of this century")]
        let before = before as f64;
        assert!((before..before + 60.0).contains(&seconds), "{text}");
        assert_snapshot!(text.replace(last_run, "NOW"), @r#"
        # HELP natsync_last_run_timestamp_seconds When the last run ended, in seconds since 1970.
        # TYPE natsync_last_run_timestamp_seconds gauge
        natsync_last_run_timestamp_seconds{manifest="natgeo",command="apply"} NOW
        # HELP natsync_run_duration_seconds Duration of the last run in seconds.
        # TYPE natsync_run_duration_seconds gauge
        natsync_run_duration_seconds{manifest="natgeo",command="apply"} 0.950
        # HELP natsync_exit_status The exit status of the last run: 0 when all is as declared.
        # TYPE natsync_exit_status gauge
        natsync_exit_status{manifest="natgeo",command="apply"} 1
        # HELP natsync_entries Entries by their outcome in the last run.
        # TYPE natsync_entries gauge
        natsync_entries{manifest="natgeo",command="apply",outcome="downloaded"} 3
        natsync_entries{manifest="natgeo",command="apply",outcome="updated"} 0
        natsync_entries{manifest="natgeo",command="apply",outcome="unchanged"} 0
        natsync_entries{manifest="natgeo",command="apply",outcome="kept"} 344
        natsync_entries{manifest="natgeo",command="apply",outcome="absent"} 0
        natsync_entries{manifest="natgeo",command="apply",outcome="failed"} 0
        natsync_entries{manifest="natgeo",command="apply",outcome="skipped"} 0
        # HELP natsync_failures Failed entries of the last run by kind of failure.
        # TYPE natsync_failures gauge
        natsync_failures{manifest="natgeo",command="apply",kind="dns"} 1
        natsync_failures{manifest="natgeo",command="apply",kind="timeout"} 2
        # HELP natsync_pruned_files Files that the last run deleted.
        # TYPE natsync_pruned_files gauge
        natsync_pruned_files{manifest="natgeo",command="apply"} 0
        # HELP natsync_transferred_bytes Bytes that the last run received, or read from the disk for `verify`.
        # TYPE natsync_transferred_bytes gauge
        natsync_transferred_bytes{manifest="natgeo",command="apply"} 9
        "#);
    }

    #[test]
    fn the_last_success_is_carried_over() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("natsync.prom");
        let success =
            r#"natsync_last_success_timestamp_seconds{manifest="natgeo",command="apply"}"#;
        let other = WALLPAPERS.replace("name: natgeo", "name: other");
        let first = run(&file, WALLPAPERS, &[], &ended(ExitStatus::Ok));
        let succeeded = sample(&first, success).unwrap();
        let second = run(&file, &other, &[], &ended(ExitStatus::Ok));
        assert_eq!(sample(&second, success), Some(succeeded), "{second}");
        let third = run(&file, WALLPAPERS, &[], &ended(ExitStatus::Failed));
        assert_eq!(sample(&third, success), Some(succeeded), "{third}");
        let status = r#"natsync_exit_status{manifest="natgeo",command="apply"}"#;
        assert_eq!(sample(&third, status), Some("1"));
        assert_eq!(third.matches("# TYPE natsync_exit_status gauge").count(), 1);
        assert_eq!(third.matches("\nnatsync_exit_status{").count(), 2, "{third}");
        let busy =
            crate::ops::error::RunError::Busy { dest: "out".into(), shard: None, holder: None };
        let with = EndedWith::Error(&busy);
        let busy = Ended { status: ExitStatus::Busy, elapsed: Duration::ZERO, with };
        let fourth = run(&file, WALLPAPERS, &[], &busy);
        assert_eq!(sample(&fourth, success), Some(succeeded), "{fourth}");
        assert_eq!(sample(&fourth, status), Some("4"));
        assert!(!fourth.contains(r#"natsync_entries{manifest="natgeo""#), "{fourth}");
    }

    #[test]
    fn foreign_lines_are_not_carried_over() {
        for line in [
            "",
            "# HELP natsync_entries x",
            "other{manifest=\"a\",command=\"apply\"} 1",
            "natsync_entries{manifest=\"a\"} 1",
            "natsync_entries{manifest=\"a\",command=\"apply\"} one",
            "natsync_entries{manifest=\"a\",command=\"apply\",x} 1",
            "natsync_entries{manifest=\"a\",command=\"apply\",outcome=\"b\",c=\"d\"} 1",
            "natsync_entries{manifest=\"a\\\",command=\"apply\"} 1",
        ] {
            assert!(parse(line).is_none(), "{line}");
        }
        let line = r#"natsync_entries{manifest="a\\\"}{ \\",command="apply",outcome="kept"} 7"#;
        let sample = parse(line).unwrap();
        assert_eq!(
            (sample.key.0.as_str(), sample.labels, sample.value),
            (r#"a\\\"}{ \\"#, "outcome=\"kept\"", "7")
        );
    }

    #[test]
    fn manifests_with_the_same_name_have_samples_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("natsync.prom");
        let mut metrics = Metrics::create(&file, "apply").unwrap();
        let manifest = manifest(WALLPAPERS);
        metrics.of(&manifest).close(&ended(ExitStatus::Ok));
        metrics.of(&manifest).close(&ended(ExitStatus::Ok));
        metrics.refused(Path::new("x/a\"b\n.yaml"), ExitStatus::Usage);
        metrics.publish().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for manifest in ["natgeo", "natgeo (natgeo.yaml)", r#"a\"b\\u{a}"#] {
            let status =
                format!("natsync_exit_status{{manifest=\"{manifest}\",command=\"apply\"}}");
            assert!(sample(&text, &status).is_some(), "{text}");
        }
        let run = |name: &str| read(&file).contains_key(&(name.to_owned(), "apply".to_owned()));
        assert!(run("natgeo") && run("natgeo (natgeo.yaml)"));
    }
}
