//! Exports the entries of a manifest in the formats of other programs.
//!
//! An export is written entry by entry, in constant memory. URLs must be in their shown form, so
//! that no secret from the environment is exported.

mod aria2;
mod metalink;
mod sums;

use crate::digest::{Algorithm, Checksum};
use crate::manifest::entry::{Entry, Form};
use crate::pin::Pin;

/// An export format.
pub(crate) trait Export {
    /// The text before the first entry.
    fn begin(&self) -> String {
        String::new()
    }

    /// The text for one entry, or `None` if the format cannot express it.
    fn entry(&self, file: &Exported) -> Option<String>;

    /// The text after the last entry.
    fn end(&self) -> String {
        String::new()
    }
}

pub(crate) use aria2::Aria2;
pub(crate) use metalink::Metalink;
pub(crate) use sums::Sha256Sums;

/// An entry with the values of its pin.
#[derive(Clone, Debug)]
pub(crate) struct Exported {
    pub(crate) path: String,
    /// The URL, then the mirrors.
    pub(crate) urls: Vec<String>,
    pub(crate) size: Option<u64>,
    pub(crate) checksums: Vec<Checksum>,
}

impl Exported {
    pub(crate) fn new(entry: &Entry<'_>, pin: Option<&Pin>) -> Self {
        let urls = (0..entry.places()).map(|place| entry.candidate(0, place, Form::Shown));
        let (size, checksums) =
            pin.map_or((None, Vec::new()), |pin| (pin.size, pin.checksums.clone()));
        Self { path: entry.path().as_str().to_owned(), urls: urls.collect(), size, checksums }
    }

    /// The checksum of the first of the `preferred` algorithms for which there is one.
    fn checksum(&self, preferred: &[Algorithm]) -> Option<Checksum> {
        preferred.iter().find_map(|algorithm| {
            self.checksums.iter().find(|checksum| checksum.algorithm() == *algorithm).copied()
        })
    }
}

/// The name of an algorithm in the IANA registry of hash function textual names, which both aria2
/// and Metalink use. `None` if the algorithm is not registered.
fn registered(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Sha256 => Some("sha-256"),
        Algorithm::Sha512 => Some("sha-512"),
        Algorithm::Sha1 => Some("sha-1"),
        Algorithm::Md5 => Some("md5"),
        Algorithm::Blake3 | Algorithm::Crc32c => None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::digest::Digest;

    fn files() -> Vec<Exported> {
        let file = |path: &str, urls: &[&str], checksums| Exported {
            path: path.to_owned(),
            urls: urls.iter().map(|&url| url.to_owned()).collect(),
            size: Some(3),
            checksums,
        };
        let md5 = Checksum::from_hex(Algorithm::Md5, "900150983cd24fb0d6963f7d28e17f72").unwrap();
        vec![
            file("a/b.bin", &["http://h/b?x=1&y=2", "http://m/b"], vec![Digest::of(b"abc").into()]),
            file("back\\slash <&\">", &["http://h/c"], vec![md5]),
            Exported { size: None, ..file("plain", &["http://h/d"], Vec::new()) },
        ]
    }

    fn export(form: &dyn Export) -> String {
        let entries = files().iter().filter_map(|file| form.entry(file)).collect::<String>();
        form.begin() + &entries + &form.end()
    }

    #[test]
    fn sha256sum_lines() {
        assert_snapshot!(export(&Sha256Sums), @r"
        ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a/b.bin
        ");
        let odd = Exported { checksums: vec![Digest::of(b"").into()], ..files()[1].clone() };
        assert!(Sha256Sums.entry(&odd).unwrap().starts_with("\\e3b0"));
    }

    #[test]
    fn aria2_input_file() {
        assert_snapshot!(export(&Aria2), @r#"
        http://h/b?x=1&y=2	http://m/b
          out=a/b.bin
          checksum=sha-256=ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
        http://h/c
          out=back\slash <&">
          checksum=md5=900150983cd24fb0d6963f7d28e17f72
        http://h/d
          out=plain
        "#);
    }

    #[test]
    fn metalink_document() {
        assert_snapshot!(export(&Metalink), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <metalink xmlns="urn:ietf:params:xml:ns:metalink">
          <file name="a/b.bin">
            <size>3</size>
            <hash type="sha-256">ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad</hash>
            <url priority="1">http://h/b?x=1&amp;y=2</url>
            <url priority="2">http://m/b</url>
          </file>
          <file name="back\slash &lt;&amp;&quot;&gt;">
            <size>3</size>
            <hash type="md5">900150983cd24fb0d6963f7d28e17f72</hash>
            <url priority="1">http://h/c</url>
          </file>
          <file name="plain">
            <url priority="1">http://h/d</url>
          </file>
        </metalink>
        "#);
    }
}
