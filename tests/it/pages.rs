//! The pages for contributors name files of the repository, and pages link to each other: both exist.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn pages(folder: &str) -> Vec<PathBuf> {
    let found = fs::read_dir(root().join(folder)).unwrap().map(|item| item.unwrap().path());
    found.filter(|file| file.extension().is_some_and(|ending| ending == "md")).collect()
}

#[test]
fn links_lead_to_files() {
    let link = Regex::new(r"\]\(([^)#\s]+)(#[^)]*)?\)").unwrap();
    let mut seen = 0;
    for page in [pages("."), pages("docs"), pages("docs/decisions")].concat() {
        let text = fs::read_to_string(&page).unwrap();
        for found in link.captures_iter(&text) {
            let target = &found[1];
            if target.contains("://") {
                continue;
            }
            seen += 1;
            let file = page.parent().unwrap().join(target);
            assert!(file.exists(), "{} links to `{target}`", page.display());
        }
    }
    assert!(50 < seen, "{seen} links");
}

#[test]
fn named_files_exist() {
    let path = Regex::new(r"`((?:src|tests|docs|benches)/[a-z0-9_./-]+)`").unwrap();
    let mut pages = pages("docs/decisions");
    pages.push(root().join("CONTRIBUTING.md"));
    for page in pages {
        for found in path.captures_iter(&fs::read_to_string(&page).unwrap()) {
            assert!(root().join(&found[1]).exists(), "{} names `{}`", page.display(), &found[1]);
        }
    }
}

/// The last column of each table names modules below `src/`, or links to a page.
#[test]
fn the_glossary_names_modules_that_exist() {
    let name = Regex::new(r"`([a-z][a-z0-9_/]*(?:\.rs)?)`").unwrap();
    let text = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let mut seen = 0;
    for row in text.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let place = row.trim_end_matches([' ', '|']).rsplit(" | ").next().unwrap();
        for found in name.captures_iter(place) {
            seen += 1;
            assert!(root().join("src").join(&found[1]).exists(), "`{}`: {row}", &found[1]);
        }
    }
    assert!(50 < seen, "{seen} modules");
}
