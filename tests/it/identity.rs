//! A URL with `${..}` names another file when the value changes, unless the value is a credential:
//! nothing that a run kept of one file is used for another one, and all of it for the same one.

use rusqlite::Connection;

use crate::origin::{Answer, Origin};
use crate::world::{Run, World, content, sha256_of};

const SIZE: usize = 200_000;
const CUT: usize = 80_000;

/// The first and the second value of each variable, which may appear in no file and no output.
const VALUES: [[&str; 2]; 3] = [
    ["cnry-dir-one", "cnry-dir-two"],
    ["cnry-sig-one", "cnry-sig-two"],
    ["cnry-pw-one", "cnry-pw-two"],
];

/// A way to write a URL, in which `NAME` stands for the name of the file, `A` and `B` for the
/// authorities of two origins.
struct Way {
    url: &'static str,
    /// Variables with their values in the first and in the second run.
    env: &'static [(&'static str, &'static str, &'static str)],
}

/// The second run means another file.
const MOVED: [Way; 6] = [
    Way { url: "http://${HOST}/NAME", env: &[("HOST", "A", "B")] },
    Way { url: "http://127.0.0.1:${PORT}/NAME", env: &[("PORT", "PORT-A", "PORT-B")] },
    Way {
        url: "${BASE}/NAME",
        env: &[("BASE", "http://me:cnry-pw-one@A", "http://me:cnry-pw-one@B")],
    },
    Way { url: "http://A/${DIR}/NAME", env: &[("DIR", "cnry-dir-one", "cnry-dir-two")] },
    Way { url: "http://A/${DIR}/NAME?dir=${DIR}", env: &[("DIR", "cnry-dir-one", "cnry-dir-two")] },
    Way {
        url: "http://${HOST}/NAME?sig=${SIG}",
        env: &[("HOST", "A", "B"), ("SIG", "cnry-sig-one", "cnry-sig-one")],
    },
];

/// The second run means the same file.
const SAME: [Way; 6] = [
    Way {
        url: "http://A/NAME${QUERY}",
        env: &[("QUERY", "?sig=cnry-sig-one", "?sig=cnry-sig-two")],
    },
    Way { url: "http://A/NAME?sig=${SIG}", env: &[("SIG", "cnry-sig-one", "cnry-sig-two")] },
    Way { url: "http://me:${PW}@A/NAME", env: &[("PW", "cnry-pw-one", "cnry-pw-two")] },
    Way {
        url: "http://${PW}@A/NAME?x=1&sig=${SIG}",
        env: &[("PW", "cnry-pw-one", "cnry-pw-two"), ("SIG", "cnry-sig-one", "cnry-sig-two")],
    },
    Way {
        url: "${BASE}/NAME",
        env: &[("BASE", "http://me:cnry-pw-one@A", "http://me:cnry-pw-two@A")],
    },
    Way {
        url: "http://A/${DIR}/NAME?sig=${SIG}",
        env: &[("DIR", "cnry-dir-one", "cnry-dir-one"), ("SIG", "cnry-sig-one", "cnry-sig-two")],
    },
];

/// Every way, and whether its second run means another file.
fn ways() -> impl Iterator<Item = (&'static Way, bool)> {
    MOVED.iter().map(|way| (way, true)).chain(SAME.iter().map(|way| (way, false)))
}

/// Two origins with different files of the same length and with the same validators.
struct Scene {
    world: World,
    other: Origin,
    way: &'static Way,
}

impl Scene {
    /// `name` is the file that moves, `two` are its contents.
    fn new(way: &'static Way, name: &str, two: [&[u8]; 2]) -> Self {
        let (world, other) = (World::new(), Origin::new());
        for path in ["/", "/cnry-dir-one/"] {
            world.origin.serve(&format!("{path}{name}"), two[0].to_vec());
        }
        world.origin.serve(&format!("/cnry-dir-two/{name}"), two[1].to_vec());
        other.serve(&format!("/{name}"), two[1].to_vec());
        Self { world, other, way }.with(0)
    }

    fn filled(&self, text: &str) -> String {
        let (a, b) = (self.world.origin.port().to_string(), self.other.port().to_string());
        text.replace("PORT-A", &a)
            .replace("PORT-B", &b)
            .replace("//A", &format!("//127.0.0.1:{a}"))
            .replace("@A", &format!("@127.0.0.1:{a}"))
            .replace("@B", &format!("@127.0.0.1:{b}"))
    }

    /// The same scene with the first or the second values.
    fn with(mut self, run: usize) -> Self {
        for &(name, one, two) in self.way.env {
            let value = match [one, two][run] {
                "A" => format!("127.0.0.1:{}", self.world.origin.port()),
                "B" => format!("127.0.0.1:{}", self.other.port()),
                value => self.filled(value),
            };
            self.world = self.world.env(name, &value);
        }
        self.world.origin.forget();
        self.other.forget();
        self
    }

    fn url(&self, name: &str) -> String {
        self.filled(self.way.url).replace("NAME", name)
    }

    /// Declares `a.bin` at the URL that moves.
    fn declared(mut self, settings: &[&str]) -> Self {
        let url = self.url("a.bin");
        // The default would be a part of the URL that has a value from the environment.
        let settings = [&["path: a.bin"], settings].concat();
        self.world = self.world.source(&format!("\"{url}\""), &settings);
        self
    }

    /// Declares `a.bin` at a URL that always fails, with the one that moves as its mirror.
    fn mirrored(mut self) -> Self {
        self.world.origin.always("/broken/a.bin", Answer::status(500));
        let mirrors = format!("mirrors: [\"{}\"]", self.url("a.bin"));
        self.world = self.world.source("$BASE/broken/a.bin", &[&mirrors, "http: {retries: 0}"]);
        self
    }

    /// Runs the program, whose output and files must not have a secret.
    fn run(&self, args: &[&str]) -> Run {
        let run = self.world.run(args);
        let mut told = run.output().into_bytes();
        told.extend(self.world.state_bytes());
        for file in ["p.plan", "natsync.lock"] {
            if self.world.exists(file) {
                told.extend(self.world.read(file));
            }
        }
        for secret in VALUES.as_flattened() {
            let found = told.windows(secret.len()).any(|bytes| bytes == secret.as_bytes());
            assert!(!found, "{secret} was told or stored\n{}", run.output());
        }
        run
    }

    fn apply(&self) -> Run {
        self.run(&["apply", "--json"])
    }

    /// The status and the header fields that refer to earlier bytes of each request for a file.
    fn asked(&self, name: &str) -> Vec<(u16, bool)> {
        let mut requests = self.world.origin.requests();
        requests.extend(self.other.requests());
        requests.retain(|request| {
            let path = request.path();
            path.ends_with(&format!("/{name}")) && !path.starts_with("/broken")
        });
        let fields = ["range", "if-range", "if-none-match", "if-modified-since"];
        let refers = |request: &crate::origin::Request| {
            fields.iter().any(|field| request.header(field).is_some())
        };
        requests.iter().map(|request| (request.status, refers(request))).collect()
    }

    /// Makes the first transfer of `a.bin` end early.
    fn cut(&self) {
        let (origin, cut) = (&self.world.origin, Answer::file().cut_at(CUT));
        for path in ["/a.bin", "/cnry-dir-one/a.bin"] {
            origin.attempts(path, [cut.clone()]);
        }
    }
}

fn two() -> [Vec<u8>; 2] {
    [content(1, SIZE), content(2, SIZE)]
}

fn scene(way: &'static Way) -> Scene {
    let [one, two] = two();
    Scene::new(way, "a.bin", [&one, &two])
}

#[test]
fn a_complete_file_stands_for_its_own_url_alone() {
    for (way, moved) in ways() {
        let scene = scene(way).declared(&["check: never"]);
        scene.apply().success();
        let scene = scene.with(1);
        let run = scene.apply().success();
        let expected = if moved { vec![(200, false)] } else { vec![] };
        assert_eq!(scene.asked("a.bin"), expected, "{}\n{}", way.url, run.output());
        assert!(scene.world.read("out/a.bin") == two()[usize::from(moved)], "{}", way.url);
    }
}

#[test]
fn a_conditional_request_goes_to_the_url_that_sent_the_validators() {
    for (way, moved) in ways() {
        for mirrored in [false, true] {
            let scene = scene(way);
            let scene = if mirrored { scene.mirrored() } else { scene.declared(&[]) };
            scene.apply().success();
            let scene = scene.with(1);
            let run = scene.apply().success();
            let expected = if moved { (200, false) } else { (304, true) };
            assert_eq!(scene.asked("a.bin"), [expected], "{}\n{}", way.url, run.output());
            assert!(scene.world.read("out/a.bin") == two()[usize::from(moved)], "{}", way.url);
            let refreshed = scene.run(&["plan", "--refresh", "--json"]).success();
            assert_eq!(refreshed.counts(), "entries 1, keep 1", "{}", way.url);
        }
    }
}

#[test]
fn a_part_is_completed_at_the_url_that_sent_it() {
    for (way, moved) in ways() {
        for mirrored in [false, true] {
            let scene = scene(way);
            let scene = if mirrored { scene.mirrored() } else { scene.declared(&[]) };
            scene.cut();
            scene.run(&["apply", "--json", "--retries", "0"]).code(1);
            let scene = scene.with(1);
            let run = scene.apply().success();
            let expected = if moved { (200, false) } else { (206, true) };
            assert_eq!(scene.asked("a.bin"), [expected], "{}\n{}", way.url, run.output());
            assert!(scene.world.read("out/a.bin") == two()[usize::from(moved)], "{}", way.url);
        }
    }
}

#[test]
fn a_missing_file_is_missing_at_its_own_url_alone() {
    for (way, moved) in ways() {
        let scene = scene(way).declared(&["on_missing: skip", "missing_ttl: 1h"]);
        for path in ["/a.bin", "/cnry-dir-one/a.bin"] {
            scene.world.origin.remove(path);
        }
        scene.apply().success();
        let scene = scene.with(1);
        let told = scene.run(&["explain", "natsync.yaml", "a.bin", "--json"]).success().stdout;
        assert_eq!(told.contains("\"missing_since\":\"2"), !moved, "{}\n{told}", way.url);
        let found = scene.run(&["verify", "--json"]);
        assert_eq!(found.stdout.contains("\"absent\":1"), !moved, "{}\n{}", way.url, found.stdout);
        let run = scene.apply().success();
        let expected = if moved { vec![(200, false)] } else { vec![] };
        assert_eq!(scene.asked("a.bin"), expected, "{}\n{}", way.url, run.output());
    }
}

#[test]
fn a_saved_plan_is_carried_out_at_the_urls_that_it_was_made_for() {
    for (way, moved) in ways() {
        for mirrored in [false, true] {
            let scene = scene(way);
            let scene = if mirrored { scene.mirrored() } else { scene.declared(&[]) };
            // A first run, so that a plan of the second run would be the same one.
            scene.apply().success();
            scene.world.delete("out/a.bin");
            scene.run(&["plan", "--out", "p.plan"]).success();
            let scene = scene.with(1);
            let run = scene.run(&["apply", "--plan", "p.plan"]);
            if moved {
                let run = run.code(2);
                assert!(run.stderr.contains("other values of `${..}`"), "{}", run.stderr);
                assert_eq!(scene.asked("a.bin"), [], "{}", way.url);
            } else {
                run.success();
                assert_eq!(scene.asked("a.bin"), [(200, false)], "{}", way.url);
            }
        }
    }
}

#[test]
fn a_saved_plan_knows_its_destination() {
    let plan = |world: World| {
        let world = world.manifest("dest: \"${DIR}\"\nsources:\n  - url: $BASE/a.bin\n");
        world.serve("/a.bin", "a").env("DIR", "cnry-dir-one")
    };
    let world = plan(World::new());
    world.run(["plan", "--out", "p.plan"]).success();
    let saved = world.read("p.plan");
    assert!(!saved.windows(12).any(|bytes| bytes == b"cnry-dir-one"));
    let world = world.env("DIR", "cnry-dir-two");
    let run = world.run(["apply", "--plan", "p.plan"]).code(2);
    assert!(run.stderr.contains("destination"), "{}", run.stderr);
    assert!(!world.exists("cnry-dir-two"));
    world.env("DIR", "cnry-dir-one").run(["apply", "--plan", "p.plan"]).success();
}

#[test]
fn a_kept_list_is_the_list_of_its_own_url_alone() {
    let [one, two] = two();
    let lines = [&one, &two].map(|bytes| format!("{}  f.bin\n", sha256_of(bytes)));
    for (way, moved) in ways() {
        let scene = Scene::new(way, "SUMS", [lines[0].as_bytes(), lines[1].as_bytes()]);
        let checksums = format!("checksums: {{url: \"{}\"}}", scene.url("SUMS"));
        let world = scene.world.serve("/f.bin", one.clone()).source("$BASE/f.bin", &[&checksums]);
        let scene = Scene { world, ..scene };
        scene.apply().success();
        let scene = scene.with(1);
        let told = scene.run(&["explain", "natsync.yaml", "f.bin", "--json"]).success().stdout;
        let listed = if moved { "unfetched" } else { "listed" };
        assert!(told.contains(&format!("\"checksums\":\"{listed}\"")), "{}\n{told}", way.url);
        let run = scene.apply();
        let expected = if moved { (200, false) } else { (304, true) };
        // A list that contradicts the bytes is fetched once more.
        assert_eq!(scene.asked("SUMS")[0], expected, "{}\n{}", way.url, run.output());
        if moved {
            assert_eq!(run.failure("f.bin").0, "checksum_mismatch");
        } else {
            assert_eq!(run.success().counts(), "entries 1, kept 1", "{}", way.url);
        }
    }
}

#[test]
fn two_lists_of_one_shown_form_are_two_lists() {
    let (a, b) = ("aaaa", "bbbb");
    let world = World::new()
        .serve("/x/a.bin", a)
        .serve("/y/b.bin", b)
        .serve("/x/SUMS", format!("{}  a.bin\n", sha256_of(a)))
        .serve("/y/SUMS", format!("{}  b.bin\n", sha256_of(b)))
        .manifest(
            "sources:
  - {name: x, url: \"$BASE/x/a.bin\", checksums: {url: \"$BASE/${DIR:-x}/SUMS\"}}
  - {name: y, url: \"$BASE/y/b.bin\", checksums: {url: \"$BASE/${DIR:-y}/SUMS\"}}
",
        );
    world.apply().success();
    world.origin.forget();
    assert_eq!(world.apply().success().counts(), "entries 2, kept 2");
    let statuses: Vec<_> = world.origin.requests().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [304, 304]);
}

#[test]
fn a_value_that_is_written_out_is_the_same_url() {
    let world = World::new().serve("/x/a.bin", "a").env("DIR", "x");
    let world = world.source("\"$BASE/${DIR}/a.bin\"", &["check: never"]);
    world.apply().success();
    for url in ["$BASE/x/a.bin", "\"$BASE/${OTHER:-x}/a.bin\"", "\"$BASE/${DIR}/a.bin\""] {
        world
            .set_manifest("natsync.yaml", &format!("sources:\n  - url: {url}\n    check: never\n"));
        assert_eq!(world.apply().success().counts(), "entries 1, kept 1", "{url}");
    }
}

#[test]
fn the_lock_gives_validators_of_public_urls_alone() {
    // The lock is shared: on another machine the variable may have another value.
    for (url, refers) in [("$BASE/${DIR}/a.bin", false), ("$BASE/one/a.bin?sig=${DIR}", true)] {
        let world = World::new()
            .serve("/one/a.bin", content(1, 100))
            .serve("/two/a.bin", content(2, 100))
            .env("DIR", "one")
            .source(&format!("\"{url}\""), &[]);
        world.run(["lock"]).success();
        std::fs::remove_dir_all(world.path("out/.natsync")).unwrap();
        let world = world.env("DIR", "two");
        world.run(["apply"]).success();
        world.origin.forget();
        world.run(["lock", "--upgrade"]).success();
        let last = world.origin.requests().pop().unwrap();
        assert_eq!(last.header("if-none-match").is_some(), refers, "{url}");
        assert_eq!(world.read("out/a.bin") == content(1, 100), refers, "{url}");
    }
}

#[test]
fn a_record_without_identity_costs_a_request_only_where_a_value_is_part_of_it() {
    for (url, requests) in [
        ("$BASE/a.bin", 0),
        ("$BASE/a.bin?sig=${SIG}", 0),
        ("http://${SIG}@127.0.0.1:$PORT/a.bin", 0),
        ("http://127.0.0.1:${PORT}/a.bin", 1),
    ] {
        let world = World::new().serve("/a.bin", "a").env("SIG", "one");
        let port = world.origin.port().to_string();
        let world = world.env("PORT", &port).source(&format!("\"{url}\""), &["check: never"]);
        world.apply().success();
        let state = Connection::open(world.state()).unwrap();
        state.execute("UPDATE files SET identity = NULL, served_identity = NULL", []).unwrap();
        drop(state);
        world.origin.forget();
        world.apply().success();
        assert_eq!(world.origin.requests().len(), requests, "{url}");
    }
}
