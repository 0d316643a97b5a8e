//! The output of `explain` for people: the evidence about one entry, then the decision.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::console::Console;
use super::escape::Untrusted;
use super::json::write_explanation;
use super::text::{Paint, wrap_words};
use crate::digest::Digest;
use crate::manifest::entry::{Entry, Form};
use crate::manifest::{Check, Manifest, OnMissing};
use crate::ops::{Explanation, FileRecord, Listed, Locked, Provenance};
use crate::pin::{PinFrom, Pinned};
use crate::plan::{Action, Decision, Found, OnDisk, Reason, Step};
use crate::report::units::{Bytes, Elapsed};

/// Prints what is known about an entry. Ages are relative to `now`.
pub(crate) fn print_explanation(
    console: &Console,
    manifest: &Manifest,
    explanation: &Explanation,
    now: Timestamp,
) {
    let Some(entry) = manifest.entries().get(explanation.entry) else { return };
    if console.is_json() {
        return write_explanation(console, manifest, &entry, explanation);
    }
    let mut page =
        Page { text: String::new(), paint: console.out_paint(), width: console.out_width() };
    page.head(&entry);
    page.declared(manifest, &entry);
    page.said(&entry, explanation);
    page.found(explanation, now);
    page.decided(&entry, explanation);
    console.result(&page.text);
}

struct Page {
    text: String,
    paint: Paint,
    width: Option<usize>,
}

/// Width of the labels, in columns.
const LABEL: usize = 11;

impl Page {
    fn head(&mut self, entry: &Entry<'_>) {
        let bold = self.paint.bold();
        let path = entry.path();
        let _ = writeln!(self.text, "{bold}{}{bold:#}", Untrusted(path.as_str()));
    }

    fn line(&mut self, label: &str, text: &str) {
        let dim = self.paint.dim();
        let text = self.wrapped(text);
        let _ = writeln!(self.text, "  {dim}{label:<LABEL$}{dim:#}{text}");
    }

    /// Wraps a text into the column beside the labels.
    fn wrapped(&self, text: &str) -> String {
        wrap_words(&Untrusted(text).escaped(), self.width, 2 + LABEL, 2 + LABEL)
    }

    fn declared(&mut self, manifest: &Manifest, entry: &Entry<'_>) {
        let source = entry.source();
        let file = manifest.file().display();
        self.line(
            "declared",
            &format!("{file}:{}, source {}, entry {}", source.line, source.name, entry.index().0),
        );
        let variables = entry.variables();
        if !variables.is_empty() {
            let values: Vec<_> =
                variables.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            self.line("variables", &values.join(", "));
        }
        for name in 0..entry.names() {
            let label = if name == 0 { "url" } else { "alternate" };
            self.line(label, &entry.candidate(name, 0, Form::Shown));
        }
        for place in 1..entry.places() {
            self.line("mirror", &entry.candidate(0, place, Form::Shown));
        }
        let mut policy = vec![match source.check {
            Check::Always => "check: always".to_owned(),
            Check::Never => "check: never".to_owned(),
            Check::Age(age) => format!("check: {}", Elapsed(age)),
        }];
        policy.push(
            match source.on_missing {
                OnMissing::Fail => "on_missing: fail",
                OnMissing::Skip => "on_missing: skip",
                OnMissing::Prune => "on_missing: prune",
            }
            .to_owned(),
        );
        if source.missing_ttl != Duration::ZERO {
            policy.push(format!("missing_ttl: {}", Elapsed(source.missing_ttl)));
        }
        if !source.tags.is_empty() {
            policy.push(format!("tags: {}", source.tags.join(", ")));
        }
        self.line("policy", &policy.join(", "));
    }

    /// What the lock, the checksum list and the manifest require of the content.
    fn said(&mut self, entry: &Entry<'_>, explanation: &Explanation) {
        match &explanation.locked {
            None => {}
            Some(Locked::Unpinned) => self.line("lock", "does not pin it"),
            Some(Locked::Missing) => self.line("lock", "pins it as missing upstream"),
            Some(Locked::File { url, size, sha256, published }) => {
                let by = if *published { "as published upstream" } else { "as first downloaded" };
                self.line("lock", &format!("{}, {by}", content(*size, *sha256)));
                if *url != entry.url(Form::Shown) {
                    self.line("", &format!("pinned while the entry was declared as {url}"));
                }
            }
        }
        if let Some(listed) = &explanation.listed {
            let list = entry.list_url(Form::Shown).unwrap_or_else(|| "the list".to_owned());
            let said = match listed {
                Listed::Unfetched if explanation.noted.failed.is_some() => {
                    "no run has fetched a list that can be used; see `failed`".to_owned()
                }
                Listed::Unfetched => "not fetched by any run yet".to_owned(),
                Listed::Unlisted => "does not name it".to_owned(),
                Listed::Ambiguous => "several of its lines could mean this file".to_owned(),
                Listed::Unusable => "cannot be used".to_owned(),
                Listed::Checksums(checksums) => {
                    let checksums: Vec<_> = checksums.iter().map(ToString::to_string).collect();
                    checksums.join(", ")
                }
            };
            self.line("checksums", &format!("{list}: {said}"));
        }
        let pin = match &explanation.pinned {
            Pinned::Free if explanation.listed == Some(Listed::Unfetched) => {
                "none yet: its checksum list is not known".to_owned()
            }
            Pinned::Free => "none: any content that upstream serves is accepted".to_owned(),
            Pinned::Missing => "missing upstream, according to the lock".to_owned(),
            Pinned::Unlisted => "none: its checksum list does not name it".to_owned(),
            Pinned::Unvouched => "none: its checksum sidecar does not exist".to_owned(),
            Pinned::Ambiguous => "none: its checksum list is ambiguous".to_owned(),
            Pinned::NoList => "none: its checksum list cannot be used".to_owned(),
            Pinned::To(pin) => {
                let from = match pin.from {
                    PinFrom::Manifest => "from the manifest",
                    PinFrom::Lock => "from the lock",
                    PinFrom::List => "from the checksum list",
                };
                let mut parts: Vec<_> = pin.checksums.iter().map(ToString::to_string).collect();
                parts.extend(pin.size.map(|size| format!("{size} bytes")));
                parts.push(from.to_owned());
                parts.join(", ")
            }
        };
        self.line("pin", &pin);
    }

    /// What is on disk and in the state.
    fn found(&mut self, explanation: &Explanation, now: Timestamp) {
        match explanation.on_disk.found {
            Found::Nothing => self.line("on disk", "nothing"),
            Found::Obstacle(what) => self.line("on disk", what.describe()),
            Found::File(size) => {
                let modified = explanation.modified.map(|modified| {
                    format!(", modified {}", modified.strftime("%Y-%m-%d %H:%M:%S UTC"))
                });
                self.line("on disk", &format!("{}{}", Bytes(size), modified.unwrap_or_default()));
                if let Some(digests) = &explanation.on_disk.digests {
                    self.line("", &format!("read: sha256:{}", digests.sha256()));
                }
            }
        }
        match &explanation.noted.file {
            None => self.line("state", "no file is recorded"),
            Some(noted) => self.noted(noted, &explanation.on_disk, now),
        }
        if let Some(since) = explanation.noted.missing_since {
            self.line("", &format!("missing upstream at {}", ago(since, now)));
        }
        if let Some(failed) = &explanation.noted.failed {
            let when = ago(failed.run, now);
            self.line(
                "failed",
                &format!("in the run of {when}: {} ({})", failed.message, failed.kind),
            );
        }
    }

    fn noted(&mut self, noted: &FileRecord, on_disk: &OnDisk, now: Timestamp) {
        let by = match noted.provenance {
            Provenance::Downloaded => "natsync wrote it",
            Provenance::Confirmed => "natsync found it here, and upstream confirmed it",
            Provenance::MatchedPin => "natsync found it here, and it matched its pin",
            Provenance::Adopted => "natsync found it here, and adopted it unconfirmed",
        };
        self.line("state", &format!("{by}; {}", content(noted.size, noted.digests.sha256())));
        if let Some(checked) = noted.checked {
            self.line("", &format!("served or confirmed {}", ago(checked, now)));
        }
        if noted.served.shown() != noted.url.shown() {
            self.line("", &format!("served by {}", noted.served.shown()));
        }
        let etag = noted.validators.etag.as_ref().map(|etag| format!("ETag {etag}"));
        let modified =
            noted.validators.last_modified.as_ref().map(|at| format!("Last-Modified {at}"));
        let validators: Vec<_> = etag.into_iter().chain(modified).collect();
        if validators.is_empty() {
            self.line("", "no ETag or Last-Modified: a check must download the file");
        } else {
            self.line("", &validators.join(", "));
        }
        if on_disk.found != Found::Nothing {
            self.line(
                "",
                if on_disk.record.as_ref().is_some_and(|record| record.stat.is_proof()) {
                    "size, times and inode are as recorded, so the file was not read"
                } else {
                    "size, times or inode differ from the record, or were recorded too soon after a change"
                },
            );
        }
    }

    fn decided(&mut self, entry: &Entry<'_>, explanation: &Explanation) {
        let (paint, decision) = (self.paint, explanation.step);
        let (style, word, why) = match decision {
            Step::None => (paint.dim(), "nothing", "the plan was interrupted".to_owned()),
            Step::Obstructed(obstacle) => (paint.error(), "fail", obstacle.describe().to_owned()),
            Step::Do(decision) => {
                let style = match decision.action {
                    Action::Fetch => paint.added(),
                    Action::Replace => paint.changed(),
                    Action::Revalidate => paint.note(),
                    Action::Keep | Action::Absent => paint.dim(),
                    Action::Prune => paint.error(),
                };
                let why = reason(decision, entry, explanation);
                (style, decision.action.as_str(), format!("{}: {why}", decision.reason.as_str()))
            }
        };
        let dim = paint.dim();
        let label = "decision";
        let why = self.wrapped(&format!("{word}, {why}"));
        let why = why.strip_prefix(word).unwrap_or(&why);
        let _ = writeln!(self.text, "  {dim}{label:<LABEL$}{dim:#}{style}{word}{style:#}{why}");
    }
}

/// The reason of a decision, as a sentence about this entry.
fn reason(decision: Decision, entry: &Entry<'_>, explanation: &Explanation) -> String {
    let noted = explanation.noted.file.as_ref();
    let text = match decision.reason {
        Reason::NotOnDisk => "there is no such file on disk",
        Reason::Unexpected => "the file on disk does not meet `expect`",
        Reason::SizeDiffers => "the file on disk does not have the pinned size",
        Reason::DigestDiffers => "the file on disk does not have the pinned digest",
        Reason::ModifiedLocally => "the file was changed since natsync recorded it",
        Reason::UrlChanged => {
            let url = noted.map_or("another URL", |noted| noted.url.shown());
            // The shown form hides the values that differ.
            let hidden = if url == entry.url(Form::Shown) {
                ", with another value from the environment"
            } else {
                ""
            };
            return format!("the file on disk came from {url}{hidden}");
        }
        Reason::Forced => "--force downloads every file again",
        Reason::Stale if noted.is_none() => {
            "natsync has no record of the file on disk, so upstream must confirm it"
        }
        Reason::Stale => match entry.source().check {
            Check::Always => "it has no pin, and `check: always` asks upstream on each run",
            _ => "it has no pin, and was last checked longer ago than `check` allows",
        },
        Reason::Fresh => "it has no pin, and was last checked recently enough for `check`",
        Reason::Pinned => "the file on disk matches its pin, so no request is needed",
        Reason::Adopted => "natsync did not write the file on disk, but it matches its pin",
        Reason::MissingUpstream if explanation.pinned == Pinned::Missing => {
            "the lock pins it as missing"
        }
        Reason::MissingUpstream => "it was missing upstream less than `missing_ttl` ago",
        Reason::NotInManifest => "the manifest does not declare it",
    };
    text.to_owned()
}

fn content(size: u64, sha256: Digest) -> String {
    format!("{size} bytes, sha256:{sha256}")
}

/// `2026-11-23 13:00:00 UTC (3 min 5 s ago)`
fn ago(then: Timestamp, now: Timestamp) -> String {
    let shown = then.strftime("%Y-%m-%d %H:%M:%S UTC");
    match now.duration_since(then) {
        age if age < SignedDuration::ZERO => format!("{shown} (in the future)"),
        age => {
            format!("{shown} ({} ago)", Elapsed(Duration::from_secs(age.unsigned_abs().as_secs())))
        }
    }
}
