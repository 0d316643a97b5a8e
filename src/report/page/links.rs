//! Relative URLs from the page to the files of the destination.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All bytes except the unreserved characters (RFC 3986, section 2.3).
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes relative URLs from the page to the files of a destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Links {
    /// Path from the page to the destination: empty, or with a slash at its end.
    base: String,
}

impl Links {
    /// Links from `folder`, which holds the page, to `dest`. Both paths must be canonical.
    pub(crate) fn between(folder: &Path, dest: &Path) -> Self {
        let (from, to): (Vec<_>, Vec<_>) =
            (folder.components().collect(), dest.components().collect());
        let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
        let mut base = "../".repeat(from.len() - shared);
        for component in &to[shared..] {
            if let Component::Normal(name) = component {
                base.extend(percent_encode(name.as_bytes(), &ENCODED));
                base.push('/');
            }
        }
        Self { base }
    }

    /// Whether the URLs contain the name of a folder, and not only `..`.
    pub(crate) fn names_folders(&self) -> bool {
        self.base.split('/').any(|part| !part.is_empty() && part != "..")
    }

    /// The URL of a path below the destination.
    pub(crate) fn to(&self, path: &str) -> String {
        let mut url = self.base.clone();
        for (number, part) in path.split('/').enumerate() {
            if 0 < number {
                url.push('/');
            }
            url.extend(percent_encode(part.as_bytes(), &ENCODED));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(folder: &str, dest: &str, path: &str) -> String {
        Links::between(Path::new(folder), Path::new(dest)).to(path)
    }

    #[test]
    fn a_link_leads_from_the_page_to_the_file() {
        assert_eq!(link("/a/b", "/a/b/out", "x.jpg"), "out/x.jpg");
        assert_eq!(link("/a/b/c", "/a/out", "d/x.jpg"), "../../out/d/x.jpg");
        assert_eq!(link("/a/out", "/a/out", "x.jpg"), "x.jpg");
        assert_eq!(link("/a/out/reports", "/a/out", "x.jpg"), "../x.jpg");
        assert_eq!(link("/", "/out", "x"), "out/x");
    }

    #[test]
    fn special_characters_are_percent_encoded() {
        let hostile = "javascript:alert(1)/a b?c#d%e\"<>&'/日.jpg";
        assert_eq!(
            link("/a", "/a/o ut", hostile),
            "o%20ut/javascript%3Aalert%281%29/a%20b%3Fc%23d%25e%22%3C%3E%26%27/%E6%97%A5.jpg"
        );
    }

    #[test]
    fn links_upwards_name_no_folders() {
        let names =
            |folder, dest| Links::between(Path::new(folder), Path::new(dest)).names_folders();
        assert!(names("/a", "/a/b") && names("/a/c", "/a/b"));
        assert!(!names("/a", "/a") && !names("/a/b/c", "/a"));
    }
}
