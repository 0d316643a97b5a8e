//! One entry explained, for people: every piece of evidence, then the decision.

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

/// Tells what is known of an entry. `now` is what ages are counted to.
pub fn print_explanation(
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

/// Columns of the labels.
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

    /// The text beside a label, in its own column.
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

    /// What is said about it.
    fn said(&mut self, entry: &Entry<'_>, explanation: &Explanation) {
        match &explanation.locked {
            None => {}
            Some(Locked::Unpinned) => self.line("lock", "does not pin it"),
            Some(Locked::Missing) => self.line("lock", "pins it as missing upstream"),
            Some(Locked::File { url, size, sha256, published }) => {
                let by =
                    if *published { "stated by a publisher" } else { "the first bytes that came" };
                self.line("lock", &format!("{}, {by}", content(*size, *sha256)));
                if *url != entry.url(Form::Shown) {
                    self.line("", &format!("pinned when it was declared as {url}"));
                }
            }
        }
        if let Some(listed) = &explanation.listed {
            let list = entry.list_url(Form::Shown).unwrap_or_else(|| "the list".to_owned());
            let said = match listed {
                Listed::Unfetched => "not fetched by any run yet".to_owned(),
                Listed::Unlisted => "does not name it".to_owned(),
                Listed::Ambiguous => "names several files that it could be".to_owned(),
                Listed::Unusable => "cannot be used".to_owned(),
                Listed::Checksums(checksums) => {
                    let checksums: Vec<_> = checksums.iter().map(ToString::to_string).collect();
                    checksums.join(", ")
                }
            };
            self.line("checksums", &format!("{list}: {said}"));
        }
        let pin = match &explanation.pinned {
            Pinned::Free => "none: it is whatever upstream has".to_owned(),
            Pinned::Missing => "missing upstream, says the lock".to_owned(),
            Pinned::Unlisted => "none, and a checksum list should name it".to_owned(),
            Pinned::Unvouched => "none: it has no sidecar, and should have one".to_owned(),
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

    /// What there is.
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
            None => self.line("state", "knows no file here"),
            Some(noted) => self.noted(noted, &explanation.on_disk, now),
        }
        if let Some(since) = explanation.noted.missing_since {
            self.line("", &format!("upstream had none {}", ago(since, now)));
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
            Provenance::Confirmed => "it was here, and upstream confirmed it",
            Provenance::Adopted | Provenance::MatchedPin => {
                "it was here, and was taken for what upstream has"
            }
        };
        self.line("state", &format!("{by}; {}", content(noted.size, noted.digests.sha256())));
        if let Some(checked) = noted.checked {
            self.line("", &format!("served or confirmed {}", ago(checked, now)));
        }
        if noted.served != noted.url {
            self.line("", &format!("served by {}", noted.served));
        }
        let etag = noted.validators.etag.as_ref().map(|etag| format!("ETag {etag}"));
        let modified =
            noted.validators.last_modified.as_ref().map(|at| format!("Last-Modified {at}"));
        let validators: Vec<_> = etag.into_iter().chain(modified).collect();
        if validators.is_empty() {
            self.line("", "no validators, so a question costs a whole transfer");
        } else {
            self.line("", &validators.join(", "));
        }
        if on_disk.found != Found::Nothing {
            self.line(
                "",
                if on_disk.record.as_ref().is_some_and(|record| record.stat.is_proof()) {
                    "size, times and inode are as they were noted, so it was not read"
                } else {
                    "size, times or inode are not as they were noted, or were noted too soon after a change"
                },
            );
        }
    }

    fn decided(&mut self, entry: &Entry<'_>, explanation: &Explanation) {
        let (paint, decision) = (self.paint, explanation.step);
        let (style, word, why) = match decision {
            Step::None => (paint.dim(), "nothing", "the plan was cut short".to_owned()),
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

/// Why that follows from what is known.
fn reason(decision: Decision, entry: &Entry<'_>, explanation: &Explanation) -> String {
    let noted = explanation.noted.file.as_ref();
    let text = match decision.reason {
        Reason::NotOnDisk => "nothing is there",
        Reason::SizeDiffers => "the length on disk is not the pinned one",
        Reason::DigestDiffers => "the bytes on disk are not the pinned ones",
        Reason::ModifiedLocally => "somebody changed it since natsync noted it",
        Reason::UrlChanged => {
            return format!(
                "what is there came from {}",
                noted.map_or("another URL", |noted| noted.url.as_str())
            );
        }
        Reason::Forced => "--force fetches everything anew",
        Reason::Stale if noted.is_none() => {
            "natsync did not write what is there, so upstream is asked whether it is the same"
        }
        Reason::Stale => match entry.source().check {
            Check::Always => "it has no pin, and `check: always` asks upstream on each run",
            _ => "it has no pin, and what is known of it is older than `check` allows",
        },
        Reason::Fresh => "it has no pin, and what is known of it is young enough for `check`",
        Reason::Pinned => "it is what its pin says; nobody is asked",
        Reason::Adopted => "natsync did not write it, and it is what its pin says",
        Reason::MissingUpstream if explanation.pinned == Pinned::Missing => {
            "the lock pins it as missing"
        }
        Reason::MissingUpstream => "upstream had none, less than `missing_ttl` ago",
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
