use std::path::Path;

use jiff::Timestamp;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::event::history::{Counts, Exit, Failed, Part, Past, Timeline, Transfer, standing};
use crate::ops::failures::Groups;
use crate::ops::overview::{Condition, Facts, Survey};
use crate::report::testing::manifest;

const HOSTILE: &str = "a<script>alert(1)</script>\"'&\u{202e}gpj\n\u{1b}[2J.jpg";

fn facts(condition: Condition) -> Facts {
    Facts {
        condition,
        remark: None,
        size: matches!(condition, Condition::Present).then_some(1234),
        changed: None,
        checked: None,
        digest: Some(Digest::of(b"x")),
        pinned: true,
    }
}

fn past() -> Past {
    let failed = Failed {
        path: Some(HOSTILE.to_owned()),
        source: "s".to_owned(),
        kind: "http_status".to_owned(),
        status: Some(503),
        message: format!("`{HOSTILE}` is wrong"),
        hint: Some(HOSTILE.to_owned()),
        origin: Some(HOSTILE.to_owned()),
    };
    let transfer = |number| Transfer {
        path: HOSTILE.to_owned(),
        start: number,
        end: 2 * number,
        bytes: 7,
        outcome: HOSTILE.to_owned(),
    };
    let timeline =
        Timeline { total: 9, transfers: (0..9).map(transfer).collect(), ..Timeline::default() };
    Past {
        began: 1_700_000_000_000,
        elapsed: 1500,
        command: HOSTILE.to_owned(),
        only: vec![HOSTILE.to_owned()],
        bound: 3,
        exit: Exit::Failed,
        counts: Counts { entries: 3, failed: 1, kept: 2, ..Counts::default() },
        failed: 1,
        failures: vec![failed],
        timeline: Some(timeline),
        shards: Vec::new(),
    }
}

fn page(links: Option<&Links>) -> String {
    let manifest = manifest(
        "version: 1\nname: \"<b>&'\\\"\"\ndest: out\nsources:\n  - {name: \"</style><img src=x>\", url: \"http://h/{n}\", vars: {n: [\"<i>\", \"\\\"'&\", c]}}\n",
    );
    let runs = vec![past()];
    let groups = {
        let (standing, unnamed) = standing(&runs, 3, |_, _| true);
        Groups::new(standing, unnamed)
    };
    let mut survey = Survey::new(&manifest, groups, runs, Timestamp::UNIX_EPOCH);
    survey.warn(HOSTILE.to_owned());
    let conditions = [Condition::Present, Condition::Failed, Condition::Absent];
    for (entry, condition) in manifest.entries().iter().zip(conditions) {
        let failure = survey.claim(HOSTILE, None);
        assert_eq!(failure.is_some(), condition == Condition::Present);
        survey.see(&entry, HOSTILE, Facts { remark: failure, ..facts(condition) });
    }
    render(&survey.finish(), links, HOSTILE).unwrap()
}

/// The names of all tags, and all attributes of the page. Panics unless the page is well-formed
/// XML.
fn read(page: &str) -> (Vec<String>, Vec<(String, String)>) {
    let mut reader = Reader::from_str(page);
    reader.config_mut().check_end_names = true;
    let (mut tags, mut attributes, mut depth) = (Vec::new(), Vec::new(), 0_i32);
    loop {
        let event = reader.read_event().unwrap();
        depth += match event {
            Event::Start(_) => 1,
            Event::End(_) => -1,
            _ => 0,
        };
        match event {
            Event::Start(tag) | Event::Empty(tag) => {
                tags.push(String::from_utf8(tag.name().as_ref().to_vec()).unwrap());
                for attribute in tag.attributes() {
                    let attribute = attribute.unwrap();
                    let name = String::from_utf8(attribute.key.as_ref().to_vec()).unwrap();
                    let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                    attributes.push((name, value));
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    (tags, attributes)
}

#[test]
fn text_from_outside_is_never_markup() {
    let links = Links::between(Path::new("/a"), Path::new("/a/out"));
    let page = page(Some(&links));
    let (tags, attributes) = read(&page);
    let count = |name: &str| tags.iter().filter(|tag| *tag == name).count();
    assert_eq!((count("script"), count("style"), count("img"), count("i")), (1, 1, 1, 0));
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(!page.contains(['\u{202e}', '\u{1b}']));
    let of = |name: &str| -> Vec<_> {
        attributes.iter().filter(|one| one.0 == name).map(|one| one.1.as_str()).collect()
    };
    assert!(attributes.iter().all(|(name, _)| !name.starts_with("on") && name != "style"));
    for place in of("src").iter().chain(&of("href")) {
        let is_own = place.starts_with("out&#x2f;a%3Cscript%3E") || place.starts_with("data:");
        assert!(is_own, "{place}");
    }
    assert_eq!(of("src").len(), 1);
}

#[test]
fn the_shards_of_the_last_run_are_shown() {
    let manifest = manifest("version: 1\ndest: out\nsources: [{url: http://h/a}]\n");
    let part = |number| Part {
        number,
        total: 16,
        start: 10,
        elapsed: if number == 7 { 9000 } else { 1000 },
        entries: 5,
        failed: u64::from(number == 3),
    };
    let timeline = past().timeline.map(|line| Timeline { total: 100, ..line });
    let job = Past { shards: (1..=16).map(part).collect(), timeline, ..past() };
    let show = |runs| {
        let survey = Survey::new(&manifest, Groups::default(), runs, Timestamp::UNIX_EPOCH);
        render(&survey.finish(), None, "natsync apply x.yaml").unwrap()
    };
    let page = show(vec![job.clone(), past()]);
    let (_, attributes) = read(&page);
    let charts = attributes.iter().filter(|(name, value)| name == "class" && value == "shards");
    assert_eq!(charts.count(), 1);
    for text in [
        "<b>16 shards</b>",
        "<title>shard 7 of 16",
        "Slower than twice the median: 7 (9.0 s).",
        "With failed entries: 3.",
        "<th scope=\"col\">Shards</th>",
        "<td>16</td>",
        "a sample of those of each shard",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // The chart is about the last run, the column about all.
    let page = show(vec![past(), job]);
    assert!(page.contains("<td>16</td>") && !page.contains("<b>16 shards</b>"));
    let page = show(vec![past()]);
    read(&page);
    assert!(!page.contains("<th scope=\"col\">Shards</th>"));
}

#[test]
fn the_policy_allows_only_the_style_and_the_script_of_the_page() {
    let page = page(None);
    let between = |from: &str, to: &str| {
        let begin = page.find(from).unwrap() + from.len();
        page[begin..begin + page[begin..].find(to).unwrap()].to_owned()
    };
    let policy = between("http-equiv=\"Content-Security-Policy\" content=\"", "\"")
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/");
    for text in [between("<style>", "</style>"), between("<script>", "</script>")] {
        assert!(policy.contains(&hash_of(&text)), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"));
    // XML and HTML parse `<` and `&` in scripts and styles differently, so there must be none.
    assert!(!SCRIPT.contains(['<', '&']) && !STYLE.contains(['<', '&']));
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn without_links_files_are_named_and_not_shown() {
    let page = page(None);
    let (tags, attributes) = read(&page);
    assert!(!tags.contains(&"img".to_owned()));
    let hrefs: Vec<_> = attributes.iter().filter(|one| one.0 == "href").collect();
    assert!(hrefs.iter().all(|one| one.1.starts_with("data:")), "{hrefs:?}");
    assert!(page.contains("Files are not linked"));
}

#[test]
fn a_page_before_the_first_run_shows_the_command() {
    let manifest = manifest("version: 1\ndest: out\nsources: [{url: http://h/a}]\n");
    let mut survey = Survey::new(&manifest, Groups::default(), Vec::new(), Timestamp::UNIX_EPOCH);
    for entry in manifest.entries().iter() {
        let untried = Facts { digest: None, pinned: false, ..facts(Condition::Untried) };
        survey.see(&entry, "a", untried);
    }
    let page = render(&survey.finish(), None, "natsync apply x.yaml").unwrap();
    read(&page);
    for text in ["Nothing fetched yet: 1 entry", "<code>natsync apply x.yaml</code>", "No runs yet"]
    {
        assert!(page.contains(text), "{text}");
    }
}
