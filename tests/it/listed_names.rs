//! Which entries a checksum list vouches for, by the names in it. A list that does not name a file
//! says nothing about it, whatever files of the same base name it does name.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::world::{World, sha256_of};

/// The content of the file at a path of the origin.
fn content(at: &str) -> String {
    format!("content of {at}")
}

/// One checksum list, and the entries whose pins are looked up in it.
struct Case<'a> {
    about: &'a str,
    /// The value of `checksums`; `SUMS` stands for the list.
    checksums: &'a str,
    /// The path of the list at the origin. A list without a slash is a local file instead.
    list: &'a str,
    /// Names in the list, each with the path of the file whose digest it states.
    lines: &'a [(&'a str, &'a str)],
    /// Path of the URL, path below the destination, and the outcome or the kind of failure.
    entries: &'a [(&'a str, &'a str, &'a str)],
    /// Whether each entry is a source of its own.
    apart: bool,
}

const URL: &str = "{url: $BASE/r/SUMS}";

impl Default for Case<'_> {
    fn default() -> Self {
        Self { about: "", checksums: URL, list: "/r/SUMS", lines: &[], entries: &[], apart: false }
    }
}

impl Case<'_> {
    fn check(&self) {
        let world = World::new();
        let text: String = self
            .lines
            .iter()
            .map(|(name, of)| match *name {
                "" => format!("{}\n", sha256_of(content(of))),
                name => format!("{}  {name}\n", sha256_of(content(of))),
            })
            .collect();
        if self.list.contains('/') {
            world.origin.serve(self.list, text);
        } else {
            world.write(self.list, text);
        }
        let mut manifest = "portable: false\nsources:\n".to_owned();
        let head = |manifest: &mut String, number: usize| {
            let _ = writeln!(
                manifest,
                "  - name: s{number}\n    checksums: {}\n    files:",
                self.checksums
            );
        };
        if !self.apart {
            head(&mut manifest, 0);
        }
        for (number, (at, path, _)) in self.entries.iter().enumerate() {
            if self.apart {
                head(&mut manifest, number);
            }
            world.origin.serve(at.split('?').next().unwrap(), content(at));
            let _ = writeln!(manifest, "      - {{url: '$BASE{at}', path: '{path}'}}");
        }
        let world = world.manifest(&manifest);
        let run = world.apply();
        let told: BTreeMap<_, _> = self
            .entries
            .iter()
            .map(|(_, path, _)| match run.outcomes()[*path].as_str() {
                "failed" => (*path, run.failure(path).0),
                other => (*path, other.to_owned()),
            })
            .collect();
        let expected: BTreeMap<_, _> =
            self.entries.iter().map(|(_, path, kind)| (*path, (*kind).to_owned())).collect();
        assert_eq!(told, expected, "{}\n{}", self.about, run.output());
    }
}

const OK: &str = "downloaded";
const UNLISTED: &str = "unlisted";

#[test]
fn a_list_vouches_for_the_files_that_it_names() {
    let none = Case::default;
    for case in [
        Case {
            about: "a list without folders, and two files of that base name",
            lines: &[("a.bin", "/r/v1/a.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", UNLISTED),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
            ],
            ..none()
        },
        Case {
            about: "the same with a source for each file",
            lines: &[("a.bin", "/r/v1/a.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", UNLISTED),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
            ],
            apart: true,
            ..none()
        },
        Case {
            about: "the file beside the list, and another one of its base name",
            lines: &[("a.bin", "/r/a.bin")],
            entries: &[("/r/a.bin", "a.bin", OK), ("/r/v2/a.bin", "v2/a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "the file of another folder",
            lines: &[("v1/a.bin", "/r/v1/a.bin")],
            entries: &[("/r/v1/a.bin", "v1/a.bin", OK), ("/r/v2/a.bin", "v2/a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "a list without folders, and unique base names",
            lines: &[("a.bin", "/r/v2/a.bin"), ("b.bin", "/r/v3/b.bin")],
            entries: &[("/r/v2/a.bin", "v2/a.bin", OK), ("/r/v3/b.bin", "v3/b.bin", OK)],
            ..none()
        },
        Case {
            about: "a list with one folder is no list of base names",
            lines: &[("a.bin", "/r/v2/a.bin"), ("docs/x", "/r/docs/x")],
            entries: &[("/r/v2/a.bin", "v2/a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "files that are stored without their folders",
            lines: &[("a.bin", "/r/a.bin"), ("v2/a.bin", "/r/v2/a.bin")],
            entries: &[("/r/v2/a.bin", "a.bin", OK)],
            ..none()
        },
        Case {
            about: "a file that is stored under the name of another listed file",
            lines: &[("a.bin", "/r/v2/a.bin")],
            entries: &[("/r/v2/b.bin", "a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "`./` and a star before names",
            lines: &[("./v1/a.bin", "/r/v1/a.bin"), ("././v2//b.bin", "/r/v2/b.bin")],
            entries: &[("/r/v1/a.bin", "v1/a.bin", OK), ("/r/v2/b.bin", "b.bin", OK)],
            ..none()
        },
        Case {
            about: "a list above the files",
            list: "/SUMS",
            checksums: "{url: $BASE/SUMS}",
            lines: &[("r/v1/a.bin", "/r/v1/a.bin")],
            entries: &[("/r/v1/a.bin", "a.bin", OK), ("/r/v2/a.bin", "v2/a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "a list in a folder beside the files",
            list: "/r/sums/SUMS",
            checksums: "{url: $BASE/r/sums/SUMS}",
            lines: &[("../v1/a.bin", "/r/v1/a.bin")],
            entries: &[("/r/v1/a.bin", "a.bin", OK), ("/r/v2/a.bin", "v2/a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "a list elsewhere, with names as below the destination",
            list: "/sums/SUMS",
            checksums: "{url: $BASE/sums/SUMS}",
            lines: &[("v1/a.bin", "/r/v1/a.bin"), ("b.bin", "/r/b.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", OK),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
                ("/r/v3/b.bin", "b.bin", UNLISTED),
            ],
            ..none()
        },
        Case {
            about: "absolute names",
            lines: &[("/build/r/a.bin", "/r/a.bin")],
            entries: &[("/r/a.bin", "a.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "backslashes of Windows",
            lines: &[(r"v1\a.bin", "/r/v1/a.bin"), (r".\b.bin", "/r/b.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", OK),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
                ("/r/b.bin", "b.bin", OK),
            ],
            ..none()
        },
        Case {
            about: "a digest without a name, and two files",
            lines: &[("", "/r/a.bin")],
            entries: &[("/r/a.bin", "a.bin", UNLISTED), ("/r/b.bin", "b.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "a digest without a name, and one file",
            lines: &[("", "/r/a.bin")],
            entries: &[("/r/a.bin", "a.bin", OK)],
            ..none()
        },
        Case {
            about: "one sidecar for two files",
            checksums: "{sidecar: $BASE/r/SUMS}",
            lines: &[("a.bin", "/r/a.bin")],
            entries: &[("/r/a.bin", "a.bin", OK), ("/r/b.bin", "b.bin", UNLISTED)],
            ..none()
        },
        Case {
            about: "URLs whose query names the file",
            lines: &[("1.bin", "/get?id=1")],
            entries: &[("/get?id=1", "1.bin", OK)],
            ..none()
        },
        Case {
            about: "a local list",
            checksums: "{file: SUMS}",
            list: "SUMS",
            lines: &[("v1/a.bin", "/r/v1/a.bin"), ("out/b.bin", "/r/b.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", OK),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
                ("/r/b.bin", "b.bin", OK),
            ],
            ..none()
        },
        Case {
            about: "a local list without folders",
            checksums: "{file: SUMS}",
            list: "SUMS",
            lines: &[("a.bin", "/r/v1/a.bin"), ("b.bin", "/r/x/b.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", UNLISTED),
                ("/r/v2/a.bin", "v2/a.bin", UNLISTED),
                ("/r/x/b.bin", "x/b.bin", OK),
            ],
            ..none()
        },
        Case {
            about: "`match: name` compares base names alone",
            checksums: "{url: $BASE/r/SUMS, match: name}",
            lines: &[("/build/a.bin", "/r/v1/a.bin")],
            entries: &[
                ("/r/v1/a.bin", "v1/a.bin", OK),
                ("/r/v2/a.bin", "v2/a.bin", "checksum_mismatch"),
            ],
            ..none()
        },
        Case {
            about: "`match: path` compares paths below the destination alone",
            checksums: "{url: $BASE/r/SUMS, match: path}",
            lines: &[("here/a.bin", "/r/v1/a.bin"), ("v2/b.bin", "/r/v2/b.bin")],
            entries: &[("/r/v1/a.bin", "here/a.bin", OK), ("/r/v2/b.bin", "b.bin", UNLISTED)],
            ..none()
        },
    ] {
        case.check();
    }
}

#[test]
fn an_unlisted_file_says_how_names_are_compared() {
    let world = World::new();
    world.origin.serve("/r/SUMS", format!("{}  v1/a.bin\n", sha256_of("x")));
    let world = world.source("$BASE/r/v2/a.bin", &["checksums: {url: $BASE/r/SUMS}"]);
    let run = world.run(["apply"]).code(1);
    assert!(run.stderr.contains("`checksums: {match: name}`"), "{}", run.output());
}
