//! Groups failures, so that a hundred thousand equal failures take a few lines and little memory.

use std::fmt::Write as _;

use super::escape::Untrusted;
use super::names::Names;
use super::text::{Paint, fit, width_of, wrap_words};
use super::units::Count;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::entry::{EntryIndex, Form};
use crate::manifest::select::shell_word;

/// The failures of a run, grouped by kind, origin and HTTP status.
#[derive(Debug, Default)]
pub(super) struct Failures {
    groups: Vec<Group>,
    ungrouped: u64,
    sources: Vec<(usize, Failure)>,
    /// Whether the run received anything that the next one does not need again.
    received: bool,
}

/// Failures with the same kind, origin and HTTP status.
#[derive(Debug)]
pub(super) struct Group {
    /// The first failure, which represents the group.
    pub(super) failure: Failure,
    /// The first entries, each with its message.
    pub(super) first: Vec<(EntryIndex, String)>,
    pub(super) count: u64,
    /// Whether all failures have the same message.
    pub(super) same_message: bool,
    /// How many of the entries were not requested, because their host fails.
    not_requested: u64,
    /// The index of the source of the first entry.
    pub(super) source: usize,
    more_sources: bool,
}

/// Number of entries that are named per group.
const NAMED: usize = 3;
/// Number of groups that are kept. Failures that fit none of them are only counted.
const MOST_GROUPS: usize = 16;

impl Failures {
    /// Adds the failure of an entry.
    pub(super) fn add(&mut self, entry: EntryIndex, source: usize, failure: &Failure) {
        if let Some(group) = self.groups.iter_mut().find(|group| group.takes(failure)) {
            group.add(entry, source, failure);
        } else if self.groups.len() < MOST_GROUPS {
            self.groups.push(Group {
                failure: failure.clone(),
                first: vec![(entry, failure.message.clone())],
                count: 1,
                same_message: true,
                not_requested: u64::from(failure.not_requested),
                source,
                more_sources: false,
            });
        } else {
            self.ungrouped += 1;
        }
    }

    /// Advice by the kind of a group's failure, unless the failure has a hint of its own.
    pub(super) fn next_step(&self, group: &Group, names: &Names<'_>) -> Option<String> {
        let (entry, _) = group.first.first()?;
        next_step(&group.failure, names, *entry, self.received)
            .filter(|_| group.failure.hint.is_none())
    }

    /// Records that bytes of a file came, which the next run keeps.
    pub(super) fn received(&mut self) {
        self.received = true;
    }

    /// Adds the failure of a whole source.
    pub(super) fn add_source(&mut self, source: usize, failure: &Failure) {
        self.sources.push((source, failure.clone()));
    }

    /// The groups, the largest first.
    pub(super) fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.groups.iter().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        groups
    }

    /// Number of failures beyond the last group.
    pub(super) fn ungrouped(&self) -> u64 {
        self.ungrouped
    }

    /// The sources that failed as a whole, by index.
    pub(super) fn sources(&self) -> &[(usize, Failure)] {
        &self.sources
    }

    /// The lines about all failures, wrapped to `width` columns if given.
    pub(super) fn render(&self, names: &Names<'_>, paint: Paint, width: Option<usize>) -> String {
        let mut lines = String::new();
        let mut next_steps: Vec<String> = Vec::new();
        for group in self.groups() {
            group.write(&mut lines, names, paint, width);
            // The same advice for several groups is printed once, at the end.
            next_steps.extend(self.next_step(group, names));
        }
        if 0 < self.ungrouped {
            let error = paint.error();
            let _ = writeln!(
                lines,
                "{error}failed:{error:#} {} more, for other reasons",
                Count::entries(self.ungrouped)
            );
        }
        for (source, failure) in &self.sources {
            let error = paint.error();
            let message = Untrusted(&failure.message);
            let name = &names.manifest().sources()[*source].name;
            let _ = writeln!(
                lines,
                "{error}failed:{error:#} source {}, {message} ({})",
                Untrusted(name),
                failure.kind
            );
            write_place(&mut lines, names, *source, false);
            write_hint(&mut lines, failure.hint.as_deref(), "    ", paint);
        }
        next_steps.sort_unstable();
        next_steps.dedup_by_key(|step| step.split('`').next().map(str::to_owned));
        for step in next_steps {
            write_hint(&mut lines, Some(&step), "", paint);
        }
        lines
    }
}

impl Group {
    fn takes(&self, failure: &Failure) -> bool {
        self.failure.kind == failure.kind
            && self.failure.status == failure.status
            && self.failure.origin == failure.origin
    }

    fn add(&mut self, entry: EntryIndex, source: usize, failure: &Failure) {
        self.count += 1;
        self.more_sources |= source != self.source;
        self.same_message &= failure.cause() == self.failure.cause();
        self.not_requested += u64::from(failure.not_requested);
        if self.first.len() < NAMED {
            self.first.push((entry, failure.message.clone()));
        }
    }

    fn write(&self, lines: &mut String, names: &Names<'_>, paint: Paint, width: Option<usize>) {
        let error = paint.error();
        let entries = Count::entries(self.count);
        let kind = self.failure.kind;
        if kind == ErrorKind::Interrupted {
            let line = format!("{entries}, the run ended during their transfer");
            let _ = writeln!(lines, "{error}interrupted:{error:#} {line}");
            return self.write_names(lines, names, width);
        }
        if self.same_message {
            let message = self.failure.cause();
            // The origin is left out if the message names its host.
            let at = match &self.failure.origin {
                Some(origin) if !message.contains(host_of(origin)) => format!(" at {origin}"),
                None if kind == ErrorKind::NoSpace => {
                    format!(" in {}", names.manifest().shown_dest())
                }
                _ => String::new(),
            };
            let rest = match self.not_requested {
                0 => String::new(),
                count => format!("; {count} of them were not requested"),
            };
            let line = Untrusted(&format!("{entries}{at}, {message} ({kind}){rest}")).to_string();
            // The label `failed: ` takes eight columns.
            let line = wrap_words(&line, width, 8, 4);
            let _ = writeln!(lines, "{error}failed:{error:#} {line}");
            self.write_names(lines, names, width);
        } else {
            let at = self
                .failure
                .origin
                .as_deref()
                .map(|origin| format!(" at {}", Untrusted(origin)))
                .unwrap_or_default();
            let _ = writeln!(lines, "{error}failed:{error:#} {entries}{at} ({kind})");
            for (entry, message) in &self.first {
                let _ = writeln!(
                    lines,
                    "    {}: {}",
                    Untrusted(&names.path(*entry)),
                    Untrusted(message)
                );
            }
            if 0 < self.unnamed() {
                let _ = writeln!(lines, "    and {} more", self.unnamed());
            }
        }
        self.write_url(lines, names);
        write_place(lines, names, self.source, self.more_sources);
        write_hint(lines, self.failure.hint.as_deref(), "    ", paint);
    }

    /// Names the URL of the first entry, unless the failure is about the local disk.
    fn write_url(&self, lines: &mut String, names: &Names<'_>) {
        let about_disk = matches!(
            self.failure.kind,
            ErrorKind::PathConflict | ErrorKind::Io | ErrorKind::NoSpace
        );
        if let Some((entry, _)) = self.first.first().filter(|_| !about_disk) {
            let url = names.entry(*entry).url(Form::Shown);
            let _ = writeln!(lines, "    {}", Untrusted(&url));
        }
    }

    /// Number of failures that are not among `first`.
    pub(super) fn unnamed(&self) -> u64 {
        self.count - self.first.len() as u64
    }

    /// Writes the paths on one line if they fit, else one per line.
    fn write_names(&self, lines: &mut String, names: &Names<'_>, width: Option<usize>) {
        let paths: Vec<_> = self
            .first
            .iter()
            .map(|(entry, _)| Untrusted(&names.path(*entry)).to_string())
            .collect();
        let more = if 0 < self.unnamed() {
            format!(" and {} more", self.unnamed())
        } else {
            String::new()
        };
        let line = format!("    {}{more}", paths.join(", "));
        let Some(width) = width.filter(|&width| width < width_of(&line)) else {
            let _ = writeln!(lines, "{line}");
            return;
        };
        for path in &paths {
            let _ = writeln!(lines, "    {}", fit(path, width - 4));
        }
        if !more.is_empty() {
            let _ = writeln!(lines, "   {more}");
        }
    }
}

fn host_of(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

/// Advice about failures of this kind.
fn next_step(
    failure: &Failure,
    names: &Names<'_>,
    entry: EntryIndex,
    received: bool,
) -> Option<String> {
    use ErrorKind::{
        Connect, HttpStatus, Interrupted, Protocol, Redirect, Stalled, Timeout, Truncated,
        UnexpectedContent,
    };
    let manifest = shell_word(&names.manifest().file().to_string_lossy());
    match (failure.kind, failure.status) {
        (Connect | Timeout | Stalled | Truncated | Interrupted, _)
        | (HttpStatus, Some(408 | 425 | 429 | 500..)) => {
            let again = "run the command again";
            let kept = ": complete files are not downloaded again";
            Some(format!("{again}{}", if received { kept } else { "" }))
        }
        (HttpStatus | Protocol | Redirect | UnexpectedContent, _) => {
            let path = shell_word(&names.path(entry));
            Some(format!("`natsync explain {manifest} {path}` shows what is requested and why"))
        }
        _ => None,
    }
}

fn write_place(lines: &mut String, names: &Names<'_>, source: usize, more: bool) {
    let manifest = names.manifest();
    let source = &manifest.sources()[source];
    let others = if more { " and others" } else { "" };
    let file = Untrusted::path(manifest.file());
    let _ = writeln!(
        lines,
        "    declared at {file}:{} (source {}{others})",
        source.line,
        Untrusted(&source.name)
    );
}

fn write_hint(lines: &mut String, hint: Option<&str>, indent: &str, paint: Paint) {
    if let Some(hint) = hint {
        let note = paint.note();
        let _ = writeln!(lines, "{indent}{note}hint:{note:#} {}", Untrusted(hint));
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::report::testing::{WALLPAPERS, manifest};

    fn connect() -> Failure {
        Failure::new(ErrorKind::Connect, "cannot connect to http://ngm.example: connection refused")
            .at_origin("http://ngm.example")
            .with_hint("is the host up? a proxy is set by `http: {proxy: ..}`")
    }

    fn render(failures: &Failures, width: Option<usize>) -> String {
        let manifest = manifest(WALLPAPERS);
        failures.render(&Names::new(&manifest), Paint::new(false), width)
    }

    #[test]
    fn many_failures_of_one_host_are_a_few_lines() {
        let mut failures = Failures::default();
        for index in 0..26 {
            failures.add(EntryIndex(index), 0, &connect());
        }
        let status = Failure::new(
            ErrorKind::HttpStatus,
            "http://posters.example answered 503 Service Unavailable",
        );
        failures.add(
            EntryIndex(340),
            1,
            &status.with_status(503).at_origin("http://posters.example"),
        );
        assert_snapshot!(render(&failures, Some(80)), @r"
        failed: 26 entries, cannot connect to http://ngm.example: connection refused
            (connect)
            0817-1.jpg, 0817-2.jpg, 0817-3.jpg and 23 more
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers)
            hint: is the host up? a proxy is set by `http: {proxy: ..}`
        failed: 1 entry, http://posters.example answered 503 Service Unavailable
            (http_status)
            poster-3.png
            http://posters.example/poster-3.png
            declared at natgeo.yaml:8 (source posters)
        hint: run the command again
        ");
        assert_snapshot!(render(&failures, Some(40)), @r"
        failed: 26 entries, cannot connect to
            http://ngm.example: connection
            refused (connect)
            0817-1.jpg
            0817-2.jpg
            0817-3.jpg
            and 23 more
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers)
            hint: is the host up? a proxy is set by `http: {proxy: ..}`
        failed: 1 entry, http://posters.example
            answered 503 Service Unavailable
            (http_status)
            poster-3.png
            http://posters.example/poster-3.png
            declared at natgeo.yaml:8 (source posters)
        hint: run the command again
        ");
    }

    #[test]
    fn different_messages_are_all_printed() {
        let mut failures = Failures::default();
        for (index, source) in [(0, 0), (1, 0), (338, 1), (339, 1)] {
            let message = format!("the body ended after {index} of 200 bytes");
            let failure =
                Failure::new(ErrorKind::Truncated, message).at_origin("http://ngm.example");
            failures.add(EntryIndex(index), source, &failure);
        }
        assert_snapshot!(render(&failures, Some(80)), @r"
        failed: 4 entries at http://ngm.example (truncated)
            0817-1.jpg: the body ended after 0 of 200 bytes
            0817-2.jpg: the body ended after 1 of 200 bytes
            poster-1.png: the body ended after 338 of 200 bytes
            and 1 more
            http://ngm.example/img/0817-1.jpg
            declared at natgeo.yaml:5 (source wallpapers and others)
        hint: run the command again
        ");
    }

    #[test]
    fn entries_that_were_not_requested_are_counted() {
        let mut failures = Failures::default();
        let failure =
            Failure::new(ErrorKind::Connect, "connection refused").at_origin("http://example.org");
        failures.add(EntryIndex(0), 0, &failure);
        for index in 1..40 {
            failures.add(EntryIndex(index), 0, &failure.clone().not_requested());
        }
        let lines = render(&failures, None);
        let first = lines.lines().next().unwrap_or_default();
        assert_eq!(
            first,
            "failed: 40 entries at http://example.org, connection refused (connect); \
             39 of them were not requested"
        );
    }

    #[test]
    fn a_failed_source_is_named() {
        let mut failures = Failures::default();
        let failure = Failure::new(
            ErrorKind::HttpStatus,
            "9 of 9 entries are missing, and `max_missing` allows 2",
        );
        failures.add_source(1, &failure);
        assert_snapshot!(render(&failures, None), @r"
        failed: source posters, 9 of 9 entries are missing, and `max_missing` allows 2 (http_status)
            declared at natgeo.yaml:8 (source posters)
        ");
    }

    #[test]
    fn a_flood_of_failures_stays_small() {
        let mut failures = Failures::default();
        for index in 0..100_000 {
            let failure = Failure::new(ErrorKind::Connect, format!("cannot connect, try {index}"));
            failures.add(
                EntryIndex(index % 338),
                0,
                &failure.at_origin(&format!("http://host-{}.example", index % 40)),
            );
        }
        let lines = render(&failures, None);
        assert!(lines.lines().count() <= 120);
        assert!(lines.contains("\nfailed: 60000 entries more, for other reasons\n"), "{lines}");
    }

    #[test]
    fn text_from_outside_is_escaped() {
        let mut failures = Failures::default();
        let failure = Failure::new(ErrorKind::Redirect, "redirect to \u{1b}]0;x\u{7}")
            .at_origin("http://\u{202e}");
        failures.add(EntryIndex(0), 0, &failure.with_hint("\u{9b}31m"));
        assert!(!render(&failures, None).contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']));
    }
}
