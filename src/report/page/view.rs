//! The data for the template: escaped texts, and numbers.

use serde::Serialize;

use super::charts::{Rect, bar, class_of};
use super::coverage::{Coverage, name};
use super::format::{entries, grouped, iso, minute, moment, text};
use super::links::Links;
use super::runs::{Run, Transfers, run, transfers};
use super::shards::{Shards, shards};
use crate::ops::failures::Group;
use crate::ops::overview::{Ages, Condition, Overview, Sizes, Tally};
use crate::report::units::Bytes;

/// Number of paths that are named per group of failures.
const MEMBERS: usize = 500;

/// The content of the page.
#[derive(Debug, Serialize)]
pub(super) struct View {
    name: String,
    dest: String,
    made: String,
    made_at: String,
    tone: &'static str,
    verdict: String,
    /// The command to run, if nothing was fetched yet.
    first: Option<String>,
    figures: Vec<Figure>,
    share: Vec<Rect>,
    legend: Vec<Kind>,
    warnings: Vec<String>,
    coverage: Coverage,
    failures: Vec<Failures>,
    unnamed: Option<String>,
    runs: Vec<Run>,
    /// Whether a run in `runs` was a job of shards.
    any_shards: bool,
    /// The shards of the last run, if it was such a job.
    shards: Option<Shards>,
    transfers: Option<Transfers>,
    histograms: Vec<Histogram>,
    pictures: Vec<Picture>,
    all_pictures: String,
    /// Whether `pictures` are all pictures of the destination.
    every_picture: bool,
    /// Whether there are files that the page does not link.
    unlinked: bool,
}

#[derive(Debug, Serialize)]
struct Figure {
    label: &'static str,
    value: String,
    note: Option<String>,
}

#[derive(Debug, Serialize)]
struct Kind {
    class: &'static str,
    name: &'static str,
    count: String,
}

#[derive(Debug, Serialize)]
struct Failures {
    count: String,
    kind: String,
    at: String,
    status: Option<u16>,
    message: Option<String>,
    hint: Option<String>,
    when: String,
    members: Vec<Member>,
    more: usize,
    open: bool,
}

#[derive(Debug, Serialize)]
struct Member {
    path: String,
    /// `None` if all of the group have the same message.
    message: Option<String>,
}

#[derive(Debug, Serialize)]
struct Histogram {
    title: &'static str,
    of: &'static str,
    bars: Vec<BarView>,
}

#[derive(Debug, Serialize)]
struct BarView {
    label: String,
    count: String,
    width: f64,
}

#[derive(Debug, Serialize)]
struct Picture {
    href: String,
    path: String,
}

impl View {
    pub(super) fn new(overview: &Overview, links: Option<&Links>, command: &str) -> Self {
        let tally = &overview.tally;
        let pictures = overview
            .pictures
            .iter()
            .filter_map(|path| Some(Picture { href: links?.to(path), path: text(path) }));
        let newest = overview.runs.iter().find_map(|run| Some((run, run.timeline.as_ref()?)));
        let groups = overview.failures.sorted();
        Self {
            name: text(&overview.name),
            dest: text(&overview.dest),
            made: minute(overview.made),
            made_at: iso(overview.made),
            tone: tone(overview),
            verdict: sentence(overview, grouped),
            first: (is_untouched(tally) && overview.runs.is_empty()).then(|| text(command)),
            figures: figures(overview),
            share: super::charts::tally(tally),
            legend: legend(tally),
            warnings: overview.warnings.iter().map(|warning| text(warning)).collect(),
            coverage: Coverage::new(&overview.sources, links),
            failures: groups
                .iter()
                .enumerate()
                .map(|(number, group)| failures(group, number == 0))
                .collect(),
            unnamed: (0 < overview.failures.unnamed).then(|| grouped(overview.failures.unnamed)),
            runs: overview.runs.iter().map(run).collect(),
            any_shards: overview.runs.iter().any(|run| !run.shards.is_empty()),
            shards: overview.runs.first().and_then(shards),
            transfers: newest.map(|(run, timeline)| transfers(run, timeline)),
            histograms: histograms(overview),
            pictures: pictures.collect(),
            all_pictures: grouped(overview.all_pictures),
            every_picture: overview.pictures.len() as u64 == overview.all_pictures,
            unlinked: links.is_none() && 0 < overview.bytes,
        }
    }
}

/// The condition of the destination in one sentence, without a full stop, for a terminal.
pub(crate) fn verdict(overview: &Overview) -> String {
    sentence(overview, |count| count.to_string())
}

fn sentence(overview: &Overview, number: impl Fn(u64) -> String) -> String {
    let tally = &overview.tally;
    let total = tally.total();
    if is_untouched(tally) && overview.runs.is_empty() {
        return format!("nothing fetched yet: {} declared", entries(total, &number));
    }
    let mut parts = vec![match tally.present() {
        present if present == total => format!("all {} present", number(total)),
        present => format!("{} of {} present", number(present), number(total)),
    }];
    let others = [Condition::Absent, Condition::Differs, Condition::Gone, Condition::Untried];
    for condition in others {
        if 0 < tally.of(condition) {
            parts.push(format!("{} {}", number(tally.of(condition)), name(condition)));
        }
    }
    parts.push(match (tally.of(Condition::Failed), overview.failures.sorted().is_empty()) {
        (0, true) => "none failed".to_owned(),
        (0, false) => "a whole source or a deletion failed".to_owned(),
        (failed, _) => format!("{} failed", number(failed)),
    });
    parts.join(", ")
}

/// Whether no entry was ever fetched, tried or found on disk.
fn is_untouched(tally: &Tally) -> bool {
    tally.of(Condition::Untried) == tally.total()
}

fn tone(overview: &Overview) -> &'static str {
    let tally = &overview.tally;
    if 0 < tally.of(Condition::Failed) || !overview.failures.sorted().is_empty() {
        "bad"
    } else if tally.is_right() {
        "good"
    } else if is_untouched(tally) {
        "empty"
    } else {
        "look"
    }
}

fn figures(overview: &Overview) -> Vec<Figure> {
    let tally = &overview.tally;
    let total = tally.total();
    let plain = |label, value: u64| Figure { label, value: grouped(value), note: None };
    let files = overview.tally.present() + tally.of(Condition::Differs);
    let mut figures = vec![
        Figure {
            label: "Present",
            value: grouped(tally.present()),
            note: Some(format!("of {}", grouped(total))),
        },
        Figure {
            label: "On disk",
            value: Bytes(overview.bytes).to_string(),
            note: overview
                .bytes
                .checked_div(files)
                .filter(|mean| 0 < *mean)
                .map(|mean| format!("{} a file", Bytes(mean))),
        },
        plain("Absent upstream", tally.of(Condition::Absent)),
        plain("Failed", tally.of(Condition::Failed)),
        Figure {
            label: "Pinned",
            value: grouped(overview.pinned),
            note: (overview.pinned == 0).then(|| "no lock, no digests".to_owned()),
        },
    ];
    if let Some(run) = overview.runs.first() {
        figures.push(Figure {
            label: "Last run",
            value: run.exit.as_str().to_owned(),
            note: Some(moment(run.began).0),
        });
    }
    figures
}

fn legend(tally: &Tally) -> Vec<Kind> {
    let kind = |condition| {
        let count = tally.of(condition);
        (0 < count).then(|| Kind {
            class: class_of(condition),
            name: name(condition),
            count: grouped(count),
        })
    };
    Condition::ALL.into_iter().filter_map(kind).collect()
}

fn failures(group: &Group, is_first: bool) -> Failures {
    let member = |(path, message): &(Option<String>, String)| Member {
        path: path.as_deref().map_or_else(|| "all of it".to_owned(), text),
        message: group.message.is_none().then(|| text(message)),
    };
    let members: Vec<_> = group.members.iter().take(MEMBERS).map(member).collect();
    Failures {
        count: grouped(group.members.len() as u64),
        kind: text(&group.kind),
        at: text(&group.at),
        status: group.status,
        message: group.message.as_deref().map(text),
        hint: group.hint.as_deref().map(text),
        when: moment(group.run).0,
        more: group.members.len() - members.len(),
        open: is_first && members.len() <= 12,
        members,
    }
}

fn histograms(overview: &Overview) -> Vec<Histogram> {
    let all = [
        ("Size", "a file", sizes(&overview.sizes)),
        ("Fetched", "ago", ages(&overview.arrived)),
        ("Confirmed upstream", "ago", ages(&overview.confirmed)),
    ];
    all.into_iter()
        .filter(|(.., bars)| !bars.is_empty())
        .map(|(title, of, bars)| Histogram { title, of, bars })
        .collect()
}

fn sizes(sizes: &Sizes) -> Vec<BarView> {
    let bars = sizes.bars();
    let greatest = bars.iter().map(|bar| bar.count).max().unwrap_or(0);
    let view = |one: &crate::ops::overview::Bar| BarView {
        label: match (one.from, one.to) {
            (0, 1) => "empty".to_owned(),
            (from, to) if to - from == 1 => Bytes(from).to_string(),
            (from, to) => format!("{} – {}", Bytes(from), Bytes(to)),
        },
        count: grouped(one.count),
        width: bar(one.count, greatest),
    };
    bars.iter().map(view).collect()
}

fn ages(ages: &Ages) -> Vec<BarView> {
    let bars = ages.bars();
    let greatest = bars.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let view = |&(label, count): &(&str, u64)| BarView {
        label: label.to_owned(),
        count: grouped(count),
        width: bar(count, greatest),
    };
    bars.iter().map(view).collect()
}
