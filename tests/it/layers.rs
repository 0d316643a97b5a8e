//! Holds the layout of the source tree: which way imports may point, which rooms there are, what
//! belongs into one room alone, and how many circles of files there may be.
//!
//! It reads `src` as text. `fuzz/` and code under `#[cfg(test)]` are exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from left to right. Rooms of one group do not import each other, except where they are
/// listed one after the other.
const ROOMS: [&str; 15] = [
    "threads",
    "rel_path",
    "atomic_file",
    "digest",
    "manifest",
    "failure",
    "stop",
    "pin",
    "plan",
    "event",
    "http",
    "dest",
    "transfer",
    "ops",
    "report",
];
/// Right of all rooms.
const EDGE: [&str; 4] = ["cli", "internals", "lib", "main"];

/// Circles of files inside a room that are allowed, each with its reason.
const CIRCLES: [(&[&str], &str); 0] = [];

/// The most names at the top level of `src`.
const NAMES: usize = 22;
/// The most floors that the rooms stand one above the other by their imports.
const FLOORS: usize = 12;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// A source file without its tests.
struct Source {
    /// Below `src`, such as `plan/decide.rs`.
    path: String,
    /// The module path, such as `["plan", "decide"]`.
    module: Vec<String>,
    /// The code without comments, text literals and `#[cfg(test)]` items.
    code: String,
}

impl Source {
    fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root(), &mut paths);
    paths.sort();
    let mut sources: Vec<_> = paths.iter().map(|path| read(path)).collect();
    // Files that only `#[cfg(test)]` declares.
    let hidden: BTreeSet<Vec<String>> = paths.iter().flat_map(|path| tests_of(path)).collect();
    sources.retain(|source| {
        !hidden.iter().any(|module| source.module.starts_with(module)) && source.room() != "fuzz"
    });
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            paths.push(path);
        }
    }
}

fn module_of(path: &Path) -> Vec<String> {
    let below = path.strip_prefix(root()).unwrap().with_extension("");
    let mut module: Vec<_> =
        below.components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|name| name == "mod") {
        module.pop();
    }
    module
}

fn read(path: &Path) -> Source {
    let below = path.strip_prefix(root()).unwrap();
    Source {
        path: below.to_str().unwrap().to_owned(),
        module: module_of(path),
        code: without_tests(&plain(&fs::read_to_string(path).unwrap())),
    }
}

/// The modules that a file declares under `#[cfg(test)]`.
fn tests_of(path: &Path) -> Vec<Vec<String>> {
    let text = plain(&fs::read_to_string(path).unwrap());
    let declared = text.split("#[cfg(test)]").skip(1).filter_map(|rest| {
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("pub(crate) ").unwrap_or(rest);
        let rest = rest.strip_prefix("pub(super) ").unwrap_or(rest);
        let name = rest.strip_prefix("mod ")?.split_once(';')?.0;
        name.chars()
            .all(|letter| letter.is_alphanumeric() || letter == '_')
            .then(|| name.to_owned())
    });
    let module = if path.ends_with("lib.rs") { Vec::new() } else { module_of(path) };
    declared.map(|name| [module.clone(), vec![name]].concat()).collect()
}

/// The text with comments and the content of text literals left out.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(raw) = rest.strip_prefix("r#\"") {
            rest = raw.find("\"#").map_or("", |end| &raw[end + 2..]);
        } else if let Some(literal) = rest.strip_prefix('"') {
            let mut escaped = false;
            let end = literal.find(|letter: char| {
                let is_end = letter == '"' && !escaped;
                escaped = letter == '\\' && !escaped;
                is_end
            });
            rest = end.map_or("", |end| &literal[end + 1..]);
            plain.push_str("\"\"");
        } else if rest.starts_with("'\"'") || rest.starts_with("'{'") || rest.starts_with("'}'") {
            rest = &rest[3..];
        } else {
            plain.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    plain
}

/// The code without the items under `#[cfg(test)]`.
fn without_tests(code: &str) -> String {
    let mut kept = String::new();
    let mut rest = code;
    while let Some((before, after)) = rest.split_once("#[cfg(test)]") {
        kept.push_str(before);
        let end = after.find([';', '{', ',']).unwrap_or(after.len());
        rest = match after[end..].chars().next() {
            Some('{') => {
                let mut depth = 0usize;
                let close = after[end..].char_indices().find_map(|(at, letter)| {
                    match letter {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        _ => {}
                    }
                    (depth == 0).then_some(end + at + 1)
                });
                &after[close.unwrap_or(after.len())..]
            }
            Some(_) => &after[end + 1..],
            None => "",
        };
    }
    kept + rest
}

/// The paths that a file names through `crate::` or `super::`, resolved from the crate's root.
fn paths(source: &Source) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    for (at, _) in source.code.match_indices("crate::") {
        let before = source.code[..at].chars().next_back();
        if before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != '$') {
            expand(&source.code[at + "crate::".len()..], &[], &mut found);
        }
    }
    // `super::super::x` is counted once, from its first `super`.
    for (at, _) in source.code.match_indices("super::") {
        let before = &source.code[..at];
        if before.ends_with("::") || before.ends_with(|letter: char| letter.is_alphanumeric()) {
            continue;
        }
        let mut module = source.module.clone();
        let mut rest = &source.code[at..];
        while let Some(further) = rest.strip_prefix("super::") {
            module.pop();
            rest = further;
        }
        expand(rest, &module, &mut found);
    }
    // A parent uses its own children by name.
    for (at, _) in source.code.match_indices("use ") {
        let rest = &source.code[at + 4..];
        if !rest.starts_with("crate::") && !rest.starts_with("super::") {
            expand(rest, &source.module, &mut found);
        }
    }
    found
}

/// Reads a path as it stands in an import, with its braces.
fn expand(text: &str, base: &[String], found: &mut BTreeSet<Vec<String>>) {
    let word = |text: &str| {
        let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        end.unwrap_or(text.len())
    };
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 1usize;
        let mut item = 0;
        for (at, letter) in group.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && letter == ',') {
                expand(group[item..at].trim(), base, found);
                item = at + 1;
            }
            if depth == 0 {
                return;
            }
        }
        return;
    }
    let end = word(text);
    if end == 0 {
        found.insert(base.to_vec());
        return;
    }
    let path = [base, &[text[..end].to_owned()]].concat();
    match text[end..].strip_prefix("::") {
        Some(rest) => expand(rest, &path, found),
        None => {
            found.insert(path);
        }
    }
}

#[test]
fn imports_point_to_the_left() {
    let place = |room: &str| ROOMS.iter().position(|other| *other == room);
    let mut wrong = Vec::new();
    for source in sources() {
        let room = source.room();
        if EDGE.contains(&room) {
            continue;
        }
        let own = place(room).unwrap_or_else(|| panic!("src/{room} is no room of this list"));
        for path in paths(&source) {
            let Some(target) = path.first() else { continue };
            // A name that is not a room is a re-export of `lib.rs`, which would hide its room.
            if place(target).is_none_or(|there| own < there) {
                wrong.push(format!("src/{} imports {}", source.path, path.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "imports to the right:\n{}", wrong.join("\n"));
}

#[test]
fn the_top_level_is_small_and_the_map_has_every_room() {
    let names: BTreeSet<_> =
        fs::read_dir(root()).unwrap().map(|item| item.unwrap().file_name()).collect();
    assert!(names.len() <= NAMES, "{} names at the top of src: {names:?}", names.len());
    let map = fs::read_to_string(root().join("lib.rs")).unwrap();
    let map = map.split_once("# The map").expect("lib.rs has a map").1;
    let rooms: BTreeSet<_> = sources().iter().map(|source| source.room().to_owned()).collect();
    for room in &rooms {
        let is_named = [format!("`{room}`"), format!("`mod@{room}`")];
        let has_no_line = !["lib", "main"].contains(&room.as_str())
            && !is_named.iter().any(|name| map.contains(name));
        assert!(!has_no_line, "the map in lib.rs has no line for `{room}`");
    }
    let pages = ["docs/architecture.md", "CONTRIBUTING.md"];
    let order: Vec<_> = ROOMS.into_iter().chain(["cli"]).collect();
    for page in pages {
        let text = fs::read_to_string(root().with_file_name(page)).unwrap();
        let shown = text.lines().find(|line| line.contains(" | digest | "));
        let shown: Vec<_> =
            shown.unwrap_or_default().split([' ', '|']).filter(|name| !name.is_empty()).collect();
        assert_eq!(shown, order, "the order of the rooms in {page}");
        for room in rooms.iter().filter(|room| !["lib", "main"].contains(&room.as_str())) {
            assert!(text.contains(room.as_str()), "{page} does not name the room `{room}`");
        }
    }
}

/// How many rooms stand below a room, itself included. A circle of rooms has no end, so counting
/// stops after `most`.
fn floor(room: &str, below: &BTreeMap<String, BTreeSet<String>>, most: usize) -> usize {
    if most == 0 {
        return 0;
    }
    let lower = below.get(room).into_iter().flatten();
    1 + lower.map(|lower| floor(lower, below, most - 1)).max().unwrap_or(0)
}

#[test]
fn the_rooms_stand_on_few_floors() {
    let mut above: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources() {
        let room = source.room().to_owned();
        let targets = paths(&source).into_iter().filter_map(|path| path.into_iter().next());
        let targets = targets.filter(|target| *target != room && ROOMS.contains(&target.as_str()));
        above.entry(room.clone()).or_default().extend(targets);
    }
    let floors = above.keys().map(|room| floor(room, &above, FLOORS + 1)).max().unwrap_or(0);
    assert!(floors <= FLOORS, "the rooms stand on {floors} floors");
}

/// Calls and crates that belong to one room: (pattern, where it is allowed, files that are exempt).
const BANS: [(&str, &[&str], &[&str]); 5] = [
    ("hyper::", &["http"], &[]),
    ("std::env", &["cli", "main"], &[]),
    ("env::var", &["cli", "main"], &[]),
    ("clap::", &["cli"], &[]),
    ("indicatif::", &["report"], &[]),
];

#[test]
fn what_belongs_to_one_room_stays_there() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (pattern, rooms, exempt) in BANS {
            if source.code.contains(pattern)
                && !rooms.contains(&source.room())
                && !exempt.contains(&source.path.as_str())
            {
                wrong.push(format!("src/{} has `{pattern}`", source.path));
            }
        }
        let has_clock = ["Instant::now", "SystemTime::now", "Timestamp::now", "thread::sleep"]
            .iter()
            .find(|call| source.code.contains(**call));
        if let Some(call) = has_clock.filter(|_| source.room() == "transfer") {
            wrong.push(format!("src/{} calls `{call}`: the engine takes its clock", source.path));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_import_each_other_in_no_circle() {
    let sources = sources();
    let by_module: BTreeMap<&[String], usize> =
        sources.iter().enumerate().map(|(at, source)| (&source.module[..], at)).collect();
    let arrows: Vec<BTreeSet<usize>> = sources
        .iter()
        .map(|source| {
            let mut targets: BTreeSet<_> = paths(source)
                .iter()
                .filter_map(|path| file_of(path, &sources, &by_module))
                .collect();
            // A parent is made of its children, and they may use its types.
            targets.retain(|&target| !sources[target].module.starts_with(&source.module));
            targets
        })
        .collect();
    let circles = circles(&arrows);
    let named = circles
        .iter()
        .map(|circle| circle.iter().map(|&at| sources[at].path.as_str()).collect::<BTreeSet<_>>());
    let allowed: Vec<BTreeSet<&str>> =
        CIRCLES.iter().map(|(files, _)| files.iter().copied().collect()).collect();
    let found: Vec<_> = named.filter(|circle| !allowed.contains(circle)).collect();
    assert!(found.is_empty(), "circles of files: {found:#?}");
    assert!(CIRCLES.len() <= 3, "at most three circles inside rooms");
}

/// The file that defines what a path names: re-exports of a `mod.rs` are followed.
fn file_of(
    path: &[String],
    sources: &[Source],
    by_module: &BTreeMap<&[String], usize>,
) -> Option<usize> {
    let (length, at) = (1..=path.len())
        .rev()
        .find_map(|length| Some((length, *by_module.get(&path[..length])?)))?;
    let Some(name) = path.get(length) else { return Some(at) };
    let source = &sources[at];
    let exports = source.code.split("pub").skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix("(crate)").or(rest.strip_prefix("(super)")).unwrap_or(rest);
        rest.trim_start().strip_prefix("use ")
    });
    for export in exports {
        let mut found = BTreeSet::new();
        let export = export.split(';').next().unwrap_or_default();
        match export.strip_prefix("crate::") {
            Some(rest) => expand(rest, &[], &mut found),
            None => expand(export, &source.module, &mut found),
        }
        let named = found.iter().find(|found| found.last() == Some(name) && found[..] != *path);
        if let Some(named) = named {
            return file_of(named, sources, by_module);
        }
    }
    Some(at)
}

/// The strongly connected components with more than one file.
fn circles(arrows: &[BTreeSet<usize>]) -> Vec<BTreeSet<usize>> {
    let reach = |from: usize| {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(at) = waiting.pop() {
            for &next in &arrows[at] {
                if seen.insert(next) {
                    waiting.push(next);
                }
            }
        }
        seen
    };
    let reached: Vec<_> = (0..arrows.len()).map(reach).collect();
    let mut circles = Vec::new();
    for at in 0..arrows.len() {
        if reached[at].contains(&at) {
            let circle: BTreeSet<_> =
                reached[at].iter().copied().filter(|&other| reached[other].contains(&at)).collect();
            if circle.first() == Some(&at) {
                circles.push(circle);
            }
        }
    }
    circles
}

/// The reader of this file itself: a turned arrow is found, whatever form the import has.
#[test]
fn an_arrow_to_the_right_is_found_in_every_form() {
    let paths_of = |code: &str| {
        let code = without_tests(&plain(code));
        paths(&Source { path: "plan/x.rs".into(), module: vec!["plan".into(), "x".into()], code })
    };
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    let forms = [
        "use crate::dest::Dest;",
        "use crate::{digest::Digest, dest::{Dest, Stat}};",
        "fn f(dest: &crate::dest::Dest) {}",
        "pub(crate) use crate::dest::Dest as Other;",
        "use super::super::dest::Dest;",
    ];
    for form in forms {
        assert!(paths_of(form).contains(&path("dest::Dest")), "{form}");
    }
    let harmless = [
        "// use crate::dest::Dest;",
        "const TEXT: &str = \"crate::dest::Dest\";",
        "#[cfg(test)]\nmod tests {\n use crate::dest::Dest; fn f() { if x { y } }\n}",
    ];
    for form in harmless {
        assert!(!paths_of(form).contains(&path("dest::Dest")), "{form}");
    }
    assert!(paths_of("use super::decide;").contains(&path("plan::decide")));
    assert!(paths_of("use crate::{RunError, digest::Digest};").contains(&path("RunError")));
    assert_eq!(circles(&[[1].into(), [2].into(), [0].into(), [0].into()]).len(), 1);
}
