//! `natsync report`: the page shows the actual state, and needs no other resources.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use quick_xml::Reader;
use quick_xml::events::Event;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::origin::{Answer, Gate};
use crate::world::World;

/// A page parsed as XML: all elements with their attributes, and the texts below them.
struct Page {
    text: String,
    elements: Vec<Element>,
}

struct Element {
    name: String,
    attributes: BTreeMap<String, String>,
}

impl Page {
    #[track_caller]
    fn of(world: &World) -> Self {
        let run = world.run(["report", "--html", "page.html"]).success();
        assert_eq!(run.stderr, "", "{}", run.output());
        Self::read(String::from_utf8(world.read("page.html")).unwrap())
    }

    #[track_caller]
    fn read(text: String) -> Self {
        let mut reader = Reader::from_str(&text);
        reader.config_mut().check_end_names = true;
        let mut elements = Vec::new();
        loop {
            match reader.read_event().unwrap_or_else(|error| panic!("{error}\n{text}")) {
                Event::Start(tag) | Event::Empty(tag) => {
                    let attributes = tag.attributes().map(|attribute| {
                        let attribute = attribute.unwrap();
                        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
                        (name, unescaped(&String::from_utf8_lossy(&attribute.value)))
                    });
                    let name = String::from_utf8_lossy(tag.name().as_ref()).into_owned();
                    elements.push(Element { name, attributes: attributes.collect() });
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let page = Self { text, elements };
        page.needs_nothing();
        page
    }

    /// Checks that the page loads only pictures of the destination, and runs only its own script.
    #[track_caller]
    fn needs_nothing(&self) {
        for element in &self.elements {
            for (name, value) in &element.attributes {
                assert!(
                    !name.starts_with("on") && name != "style" && name != "srcset",
                    "{name}={value}"
                );
                if name == "src" || name == "href" {
                    let is_own = value.starts_with("data:image/svg+xml,")
                        || !value.contains(':') && !value.starts_with('/');
                    assert!(is_own, "{name}={value}");
                }
            }
        }
        assert!(!self.text.contains("@import") && !self.text.contains("url("));
        let count = |name| self.elements.iter().filter(|element| element.name == name).count();
        assert_eq!((count("script"), count("style"), count("iframe")), (1, 1, 0));
    }

    /// The number of cells of each class.
    fn cells(&self) -> BTreeMap<String, usize> {
        let mut cells = BTreeMap::new();
        for element in self.links().filter(|element| element.attributes.contains_key("class")) {
            *cells.entry(element.attributes["class"].clone()).or_default() += 1;
        }
        cells
    }

    #[track_caller]
    fn has_cells(&self, expected: &[(&str, usize)]) {
        let expected = expected.iter().map(|&(class, count)| (class.to_owned(), count));
        assert_eq!(self.cells(), expected.collect(), "{}", self.text);
    }

    /// Class, link and tooltip of the cell of a path.
    #[track_caller]
    fn cell(&self, path: &str) -> (&str, Option<&str>, &str) {
        let of_path = |element: &&Element| {
            let title = element.attributes.get("title");
            title.is_some_and(|title| title.lines().next() == Some(path))
        };
        let Some(cell) = self.links().find(of_path) else {
            panic!("no cell of {path}\n{}", self.text)
        };
        let attribute = |name: &str| cell.attributes.get(name).map(String::as_str);
        (attribute("class").unwrap(), attribute("href"), attribute("title").unwrap())
    }

    fn links(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter().filter(|element| element.name == "a")
    }

    fn pictures(&self) -> Vec<&str> {
        let pictures = self.elements.iter().filter(|element| element.name == "img");
        pictures.map(|element| element.attributes["src"].as_str()).collect()
    }

    #[track_caller]
    fn says(&self, words: &str) {
        assert!(unescaped(&self.text).contains(words), "no `{words}`\n{}", self.text);
    }
}

fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// Twelve entries; upstream does not have the fourth and the eighth.
fn twelve(settings: &[&str]) -> World {
    let world = World::new().serve_numbered(12);
    world.origin.remove("/4.txt");
    world.origin.remove("/8.txt");
    let mut all = vec!["vars: {n: 1..12}", "on_missing: skip", "http: {retries: 0}"];
    all.extend(settings);
    world.source("$BASE/{n}.txt", &all)
}

#[test]
fn before_the_first_run_it_says_how_to_begin() {
    let world = twelve(&[]);
    let run = world.run(["report", "--html", "page.html"]).success();
    assert!(
        run.stdout.starts_with("page.html: nothing fetched yet: 12 entries declared ("),
        "{}",
        run.output()
    );
    assert_eq!((run.stdout.lines().count(), run.stderr.as_str()), (1, ""));
    let page = Page::of(&world);
    page.has_cells(&[("u", 12)]);
    page.says("<code>natsync apply</code>");
    assert!(!world.exists("out"), "a report writes its page alone");
    world.origin.assert_requests(&[]);
}

#[test]
fn every_state_has_its_cell() {
    let world = twelve(&[]);
    world.apply().success();
    let page = Page::of(&world);
    page.says("10 of 12 present, 2 absent upstream, none failed");
    // With only one run, nothing counts as new.
    page.has_cells(&[("a", 2), ("p", 10)]);
    world.origin.serve("/2.txt", "changed upstream\n");
    world.origin.always("/3.txt", Answer::status(503));
    world.apply().code(1);
    world.delete("out/5.txt");
    world.write("out/6.txt", "changed here, and longer than it was");
    world.origin.forget();
    let before = world.files("out");
    let page = Page::of(&world);
    page.has_cells(&[("a", 2), ("d", 1), ("f", 1), ("g", 1), ("n", 1), ("p", 6)]);
    page.says("7 of 12 present, 2 absent upstream, 1 changed here, 1 deleted here, 1 failed");
    let (class, link, title) = page.cell("2.txt");
    assert_eq!((class, link), ("n", Some("out/2.txt")));
    let digest = crate::world::sha256_of("changed upstream\n");
    for words in ["17 B", "fetched 20", "confirmed 20", &digest] {
        assert!(title.contains(words), "{words}: {title}");
    }
    let (class, link, title) = page.cell("3.txt");
    assert_eq!((class, link), ("f", Some("out/3.txt")));
    assert!(title.contains("503") && title.contains("an older copy is on disk"), "{title}");
    assert_eq!((page.cell("4.txt").0, page.cell("4.txt").1), ("a", None));
    assert_eq!((page.cell("5.txt").0, page.cell("5.txt").1), ("g", None));
    assert_eq!(page.cell("6.txt").0, "d");
    page.says("503 Service Unavailable");
    assert_eq!(world.files("out"), before, "a report changes nothing");
    world.origin.assert_requests(&[]);
}

#[test]
fn a_failure_stands_until_a_run_that_concerns_it_puts_it_right() {
    let world = twelve(&[]);
    world.origin.always("/1.txt", Answer::status(503));
    world.origin.always("/2.txt", Answer::status(503));
    world.apply().code(1);
    Page::of(&world).has_cells(&[("a", 2), ("f", 2), ("p", 8)]);
    // A run over other entries does not change it.
    world.run(["apply", "--only", "3.txt"]).success();
    Page::of(&world).has_cells(&[("a", 2), ("f", 2), ("p", 8)]);
    world.origin.serve("/1.txt", "1");
    world.origin.always("/1.txt", Answer::file());
    world.run(["apply", "--only", "1.txt"]).success();
    let page = Page::of(&world);
    page.has_cells(&[("a", 2), ("f", 1), ("n", 1), ("p", 8)]);
    page.says("only <code>1.txt</code>");
    world.origin.always("/2.txt", Answer::file());
    world.apply().success();
    Page::of(&world).has_cells(&[("a", 2), ("n", 1), ("p", 9)]);
}

#[test]
fn the_last_twenty_runs_are_there() {
    let world = World::new().serve_numbered(1).source("$BASE/1.txt", &["check: never"]);
    for _ in 0..22 {
        world.apply().success();
    }
    let page = Page::of(&world);
    page.says("The last 20 runs, newest first");
    // None of the 20 remaining runs made a request.
    assert!(!page.text.contains("class=\"timeline\""));
    let state = rusqlite::Connection::open(world.state()).unwrap();
    let rows: u64 = state.query_row("SELECT count(*) FROM runs", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 20);
}

#[test]
fn a_lock_run_and_its_pins_are_there() {
    let world = twelve(&[]);
    world.run(["lock"]).success();
    let page = Page::of(&world);
    page.has_cells(&[("a", 2), ("p", 10)]);
    assert!(page.cell("1.txt").2.contains(", pinned"), "{}", page.cell("1.txt").2);
    page.says("<td class=\"word\">lock</td>");
    // The lock records that upstream has no fourth file, so that this is known without the state
    // too.
    fs::remove_dir_all(world.path("out/.natsync")).unwrap();
    let page = Page::of(&world);
    page.has_cells(&[("a", 2), ("p", 10)]);
    page.says("No runs yet");
}

#[test]
fn a_run_that_is_stopped_is_noted() {
    let gate = Gate::new();
    let world = twelve(&[]);
    world.origin.always("/12.txt", Answer::file().gate(&gate));
    let running = world.spawn(["apply", "--json"]);
    world.origin.wait_in_flight(1);
    running.signal(Signal::TERM);
    assert_eq!(running.wait().status, 143);
    gate.open();
    let page = Page::of(&world);
    page.says("</span> stopped</span>");
    assert_eq!(page.cell("12.txt").0, "u");
}

#[test]
fn a_selection_is_what_the_page_is_about() {
    let world = twelve(&[]);
    world.apply().success();
    world.run(["report", "--html", "page.html", "--only", "[1-3].txt"]).success();
    let page = Page::read(String::from_utf8(world.read("page.html")).unwrap());
    page.has_cells(&[("p", 3)]);
    page.says("All 3 present, none failed");
    world.run(["report", "--html", "page.html", "--only", "x*"]).code(2);
}

#[test]
fn hostile_names_are_text() {
    let names =
        ["<script>alert(1)<", "\\\"'&quot;.jpg", "a b#c?d%e.png", "javascript:alert(1).gif"];
    let files: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(n, name)| format!("{{url: \"$BASE/{n}\", path: \"{name}\"}}"))
        .collect();
    let world = World::new().manifest(&format!(
        "name: \"</title><b>\"\nportable: false\nsources:\n  - {{name: \"<i>'\", files: [{}]}}\n",
        files.join(", ")
    ));
    for n in 0..names.len() {
        world.origin.serve(&format!("/{n}"), "x");
    }
    world.apply().success();
    let page = Page::of(&world);
    page.has_cells(&[("p", 4)]);
    assert_eq!(page.cell(names[0]).1, Some("out/%3Cscript%3Ealert%281%29%3C"));
    let mut pictures = page.pictures();
    pictures.sort_unstable();
    assert_eq!(
        pictures,
        [
            "out/%22%27%26quot%3B.jpg",
            "out/a%20b%23c%3Fd%25e.png",
            "out/javascript%3Aalert%281%29.gif"
        ]
    );
    assert!(!page.elements.iter().any(|element| ["b>", "i"].contains(&element.name.as_str())));
}

#[test]
fn links_lead_from_the_page_to_the_files() {
    let world = twelve(&[]);
    world.apply().success();
    for (file, link) in [
        ("deep/er/page.html", "../../out/1.txt"),
        ("out/page.html", "1.txt"),
        ("page.html", "out/1.txt"),
    ] {
        fs::create_dir_all(world.path(file).parent().unwrap()).unwrap();
        world.run(["report", "--html", file]).success();
        let page = Page::read(String::from_utf8(world.read(file)).unwrap());
        assert_eq!(page.cell("1.txt").1, Some(link), "{file}");
        assert!(world.path(file).parent().unwrap().join(link).exists());
    }
}

#[test]
fn a_destination_from_the_environment_is_not_named() {
    let world = World::new()
        .serve_numbered(1)
        .env("PLACE", "cnry-place")
        .manifest("dest: ${PLACE}/files\nsources: [{url: $BASE/1.txt, path: 1.jpg}]\n");
    world.run(["apply"]).success();
    let page = Page::of(&world);
    assert!(!page.text.contains("cnry-place"));
    page.says("<code>${PLACE}/files</code>");
    page.says("Files are not linked");
    assert_eq!((page.cell("1.jpg").1, page.pictures().len()), (None, 0));
    world.run(["report", "--html", "cnry-place/files/page.html"]).success();
    let page = Page::read(String::from_utf8(world.read("cnry-place/files/page.html")).unwrap());
    assert!(!page.text.contains("cnry-place"));
    assert_eq!(page.pictures(), ["1.jpg"]);
}

#[test]
fn html_to_standard_output_and_json() {
    let world = twelve(&[]);
    world.apply().success();
    let run = world.run(["report", "--html", "-"]).success();
    let page = Page::read(run.stdout);
    assert_eq!(page.cell("1.txt").1, Some("out/1.txt"));
    let line = world.run(["report", "--html", "page.html", "--json"]).success().json().remove(0);
    let number = |name: &str| line[name].as_u64().unwrap();
    assert_eq!(
        (line["command"].as_str(), line["file"].as_str()),
        (Some("report"), Some("page.html"))
    );
    assert_eq!((number("entries"), number("present"), number("absent")), (12, 10, 2));
    assert_eq!(number("bytes"), world.read("page.html").len() as u64);
    world.run(["report", "--html", "-", "--json"]).code(2);
    assert_eq!(world.run(["report", "--html", "page.html", "-q"]).success().stdout, "");
}

#[test]
fn a_failed_report_keeps_the_old_page() {
    let world = twelve(&[]);
    world.write("page.html", "old");
    assert_eq!(world.run(["report"]).status, 2, "it asks where to");
    world.run(["report", "absent.yaml", "--html", "page.html"]).code(2);
    world.run(["report", "natsync.yaml", "natsync.yaml", "--html", "page.html"]).code(2);
    assert_eq!(world.read("page.html"), b"old");
    let run = world.run(["report", "--html", "no/such/folder/page.html"]).code(5);
    assert!(run.stderr.contains("cannot write the report"), "{}", run.stderr);
    fs::create_dir(world.path("folder")).unwrap();
    world.run(["report", "--html", "folder"]).code(5);
    let names: Vec<_> =
        fs::read_dir(world.dir()).unwrap().map(|one| one.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".page")), "{names:?}");
}

#[test]
fn a_damaged_history_is_ignored() {
    let world = twelve(&[]);
    world.apply().success();
    let state = rusqlite::Connection::open(world.state()).unwrap();
    state.execute("UPDATE runs SET record = '{\"began\": \"never\"}'", []).unwrap();
    drop(state);
    let page = Page::of(&world);
    page.says("No runs yet");
    page.has_cells(&[("a", 2), ("p", 10)]);
}

#[test]
fn a_hundred_thousand_entries_fit_a_page() {
    let world = World::new().manifest(
        "sources:\n  - {name: flat, url: \"$BASE/{n}.bin\", vars: {n: 1..100000}}\n  - {name: table, url: \"$BASE/{a}/{b}.dat\", path: \"{a}/{b}\", vars: {a: 1..300, b: 1..300}}\n",
    );
    world.write("out/17.bin", "17");
    world.run(["report", "--html", "page.html"]).success();
    let page = Page::read(String::from_utf8(world.read("page.html")).unwrap());
    assert!(page.text.len() < 3_000_000, "{}", page.text.len());
    let cells: usize = page.cells().values().sum();
    assert!((2000..=6000).contains(&cells), "{cells}");
    page.says("1 of 190");
}

#[test]
fn ten_thousand_sources_fit_a_page() {
    let mut text = "sources:\n".to_owned();
    for number in 0..10_000 {
        let _ = writeln!(text, "  - {{url: \"$BASE/{number}.bin\"}}");
    }
    let world = World::new().manifest(&text);
    let page = Page::of(&world);
    assert!(page.text.len() < 1_000_000, "{}", page.text.len());
    page.says("more sources");
}

/// The DOM that a browser makes of a page, with its console messages. `None` without a browser;
/// prints a line that says so.
fn browsed(world: &World, file: &str) -> Option<(String, String)> {
    let found = ["chromium", "chromium-browser", "google-chrome"].iter().find(|program| {
        let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    });
    let Some(program) = found else {
        let _ = writeln!(std::io::stderr(), "skipped: chromium is not installed");
        return None;
    };
    let profile = TempDir::with_prefix("natsync-browser-").unwrap();
    let output = Command::new(program)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0", "--dump-dom"])
        .arg("--virtual-time-budget=2000")
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", world.path(file).display()))
        .env("HOME", profile.path())
        .stdin(Stdio::null())
        .output()
        .expect("the browser runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((text(&output.stdout), text(&output.stderr)))
}

#[test]
fn a_browser_runs_its_script_and_has_nothing_to_complain_about() {
    let world = twelve(&["path: \"{n}.svg\""]);
    let picture = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"8\" height=\"8\"/>";
    for n in [1, 2] {
        world.origin.serve(&format!("/{n}.txt"), picture);
    }
    world.apply().success();
    world.run(["report", "--html", "page.html"]).success();
    let Some((page, complaints)) = browsed(&world, "page.html") else { return };
    assert!(page.contains("data-ready=\"yes\""), "its script ran\n{complaints}");
    assert!(page.contains("aria-pressed=\"false\"") && page.contains("tabindex=\"0\""));
    assert!(!page.contains("title=\"1.svg"), "tooltips became words for everybody");
    let console: Vec<_> = complaints.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(console, [""; 0]);
    // The policy is active: injected content is refused.
    let text = String::from_utf8(world.read("page.html")).unwrap();
    world.write(
        "other.html",
        text.replace("</body>", "<script>document.title = 'x'</script></body>"),
    );
    let (_, complaints) = browsed(&world, "other.html").unwrap();
    assert!(complaints.contains("Content Security Policy"), "{complaints}");
}
