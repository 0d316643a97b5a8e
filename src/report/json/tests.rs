//! The objects as they are printed.

use insta::assert_snapshot;

use super::*;
use crate::digest::Digest;
use crate::event::Delivery;
use crate::failure::ErrorKind;
use crate::plan::{Reason, Step};
use crate::report::escape::is_hostile;
use crate::report::testing::{Captured, WALLPAPERS, manifest};
use crate::report::{Format, Settings, Verbosity};

fn captured(verbosity: Verbosity) -> Captured {
    Captured::new(Settings { format: Format::Json, verbosity, ..Settings::default() }, None)
}

fn applied(verbosity: Verbosity) -> String {
    let manifest = manifest(WALLPAPERS);
    let captured = captured(verbosity);
    let mut lines = Lines::of_apply(&captured.console, &manifest);
    let delivery = Delivery { size: 123, sha256: Digest::from_bytes([0xab; 32]) };
    let failure =
        Failure::new(ErrorKind::HttpStatus, "answered 503 \"busy\"\u{1b}[2J").with_status(503);
    let outcomes = [
        Outcome::Downloaded(delivery.clone()),
        Outcome::Updated(delivery),
        Outcome::Unchanged,
        Outcome::Kept,
        Outcome::Absent,
        Outcome::Failed(failure.at_origin("http://ngm.example").with_hint("wait")),
        Outcome::Skipped,
    ];
    for (index, outcome) in (0..).zip(outcomes) {
        lines.event(&Event::Finished {
            entry: EntryIndex(index),
            outcome,
            attempts: 1,
            received: 0,
        });
    }
    let failure = Failure::new(ErrorKind::HttpStatus, "9 of 9 entries are missing");
    lines.event(&Event::SourceFailed { source: 1, failure });
    let elapsed = Duration::from_micros(950_400);
    let summary = Summary {
        entries: 7,
        downloaded: 1,
        updated: 1,
        unchanged: 1,
        kept: 1,
        absent: 1,
        failed: 1,
        skipped: 1,
        bytes: 246,
        elapsed,
        ..Summary::default()
    };
    lines.close(&summary);
    assert_eq!(captured.err(), "");
    captured.out()
}

#[test]
fn the_lines_of_an_apply() {
    assert_snapshot!(applied(Verbosity::Normal), @r#"
    {"type":"result","outcome":"downloaded","source":"wallpapers","path":"0817-1.jpg","url":"http://ngm.example/img/0817-1.jpg","bytes":0,"size":123,"sha256":"abababababababababababababababababababababababababababababababab","attempts":1}
    {"type":"result","outcome":"updated","source":"wallpapers","path":"0817-2.jpg","url":"http://ngm.example/img/0817-2.jpg","bytes":0,"size":123,"sha256":"abababababababababababababababababababababababababababababababab","attempts":1}
    {"type":"result","outcome":"unchanged","source":"wallpapers","path":"0817-3.jpg","url":"http://ngm.example/img/0817-3.jpg","bytes":0,"size":null,"sha256":null,"attempts":1}
    {"type":"result","outcome":"absent","source":"wallpapers","path":"0817-5.jpg","url":"http://ngm.example/img/0817-5.jpg","bytes":0,"size":null,"sha256":null,"attempts":1}
    {"type":"result","outcome":"failed","source":"wallpapers","path":"0817-6.jpg","url":"http://ngm.example/img/0817-6.jpg","bytes":0,"size":null,"sha256":null,"attempts":1,"error":{"kind":"http_status","status":503,"message":"answered 503 \"busy\"\u001b[2J"}}
    {"type":"result","outcome":"skipped","source":"wallpapers","path":"0817-7.jpg","url":"http://ngm.example/img/0817-7.jpg","bytes":0,"size":null,"sha256":null,"attempts":1}
    {"type":"error","kind":"http_status","message":"9 of 9 entries are missing","file":"natgeo.yaml","line":8,"column":null}
    {"type":"summary","command":"apply","manifest":"natgeo","entries":7,"downloaded":1,"updated":1,"unchanged":1,"kept":1,"absent":1,"pruned":0,"failed":1,"skipped":1,"bytes":246,"elapsed_ms":950}
    "#);
}

#[test]
fn kept_results_come_when_asked_for() {
    let kept: Vec<_> = applied(Verbosity::Verbose)
        .lines()
        .filter(|line| line.contains("kept\","))
        .map(str::to_owned)
        .collect();
    assert_snapshot!(kept.join("\n"), @r#"{"type":"result","outcome":"kept","source":"wallpapers","path":"0817-4.jpg","url":"http://ngm.example/img/0817-4.jpg","bytes":0,"size":null,"sha256":null,"attempts":1}"#);
}

#[test]
fn the_lines_of_a_plan() {
    let manifest = manifest(WALLPAPERS);
    let captured = captured(Verbosity::Normal);
    let mut lines = Lines::of_plan(&captured.console, &manifest);
    let mut plan = Plan::with_bound(manifest.entries().bound());
    let decisions = [
        (Action::Fetch, Reason::NotOnDisk, Some(345_678)),
        (Action::Keep, Reason::Fresh, None),
        (Action::Fetch, Reason::NotOnDisk, None),
        (Action::Absent, Reason::MissingUpstream, None),
    ];
    for (index, (action, reason, size)) in (0..).zip(decisions) {
        let (entry, decision) = (EntryIndex(index), Decision::new(action, reason));
        plan.set(entry, Step::Do(decision));
        lines.event(&Event::Action { entry, decision, size });
        if index == 2 {
            let failure =
                Failure::new(ErrorKind::PathConflict, "a symbolic link stands at this path");
            lines.event(&Event::Finished {
                entry,
                outcome: Outcome::Failed(failure),
                attempts: 0,
                received: 0,
            });
        }
    }
    lines.close(&plan);
    assert_snapshot!(captured.out(), @r#"
    {"type":"action","action":"fetch","reason":"not_on_disk","source":"wallpapers","path":"0817-1.jpg","url":"http://ngm.example/img/0817-1.jpg","size":345678}
    {"type":"action","action":"fetch","reason":"not_on_disk","source":"wallpapers","path":"0817-3.jpg","url":"http://ngm.example/img/0817-3.jpg","size":null}
    {"type":"error","kind":"path_conflict","message":"a symbolic link stands at this path","file":"natgeo.yaml","line":5,"column":null,"path":"0817-3.jpg"}
    {"type":"action","action":"absent","reason":"missing_upstream","source":"wallpapers","path":"0817-4.jpg","url":"http://ngm.example/img/0817-4.jpg","size":null}
    {"type":"summary","command":"plan","manifest":"natgeo","entries":4,"fetch":2,"replace":0,"revalidate":0,"keep":1,"absent":1,"prune":0}
    "#);
}

#[test]
fn errors_have_a_place_where_there_is_one() {
    let captured = captured(Verbosity::Normal);
    write_error(&captured.console, &RunError::usage("--only `x*` matches no entry"));
    assert_snapshot!(captured.out(), @r#"
    {"type":"error","kind":"usage","message":"--only `x*` matches no entry","file":null,"line":null,"column":null}
    "#);
}

#[test]
fn strings_are_json_and_harmless() {
    let captured = captured(Verbosity::Normal);
    let hostile = "q\" b\\ \u{1b}[2J\u{7f}\u{9b}31m \u{202e}gpj\u{2028} é😀\n\0";
    write_plain_error(&captured.console, "usage", hostile);
    let line = captured.out();
    assert!(!line.trim_end().contains(is_hostile));
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["message"], hostile);
}
