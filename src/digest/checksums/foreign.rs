//! Algorithms that natsync does not compute, and the algorithm that a list's file name states.

use crate::digest::Algorithm;

/// The beginnings of their names, without dashes, dots, slashes and underscores, and the name for
/// messages. A name comes before those that begin it.
const FOREIGN: [(&str, &str); 23] = [
    ("blake2", "BLAKE2"),
    ("b2sum", "BLAKE2"),
    ("sha3224", "SHA-3"),
    ("sha3256", "SHA-3"),
    ("sha3384", "SHA-3"),
    ("sha3512", "SHA-3"),
    ("sha512224", "SHA-512/224"),
    ("sha512256", "SHA-512/256"),
    ("sha224", "SHA-224"),
    ("sha2224", "SHA-224"),
    ("sha384", "SHA-384"),
    ("sha2384", "SHA-384"),
    ("shake", "SHAKE"),
    ("keccak", "Keccak"),
    ("rmd", "RIPEMD-160"),
    ("ripemd", "RIPEMD-160"),
    ("whirlpool", "Whirlpool"),
    ("tiger", "Tiger"),
    ("streebog", "Streebog"),
    ("gost", "GOST"),
    ("skein", "Skein"),
    ("adler32", "Adler-32"),
    ("btih", "BitTorrent"),
];
/// Names that are too short to be compared by their beginning.
const SHORT: [(&str, &str); 6] = [
    ("sha3", "SHA-3"),
    ("sm3", "SM3"),
    ("md2", "MD2"),
    ("md4", "MD4"),
    ("crc32", "CRC-32"),
    ("crc32c", "CRC-32C"),
];

/// The name for messages, if this is the name of an algorithm that natsync does not compute.
pub(super) fn foreign(name: &str) -> Option<&'static str> {
    let plain: String = name
        .chars()
        .filter(|character| !matches!(character, '-' | '_' | '.' | '/'))
        .map(|character| character.to_ascii_lowercase())
        .collect();
    named(&plain, |known| plain.starts_with(known))
}

/// The same for a word of a file name. Names of programs and texts begin with those of algorithms,
/// so that after the name there may only be digits; after that of BLAKE2, also its variant.
fn foreign_word(word: &str) -> Option<&'static str> {
    named(word, |known| {
        let Some(rest) = word.strip_prefix(known) else { return false };
        let is_variant = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
        let variants: &[&str] = if known == "blake2" { &["bp", "sp", "b", "s", ""] } else { &[""] };
        variants.iter().any(|variant| rest.strip_prefix(variant).is_some_and(is_variant))
    })
}

fn named(plain: &str, is: impl Fn(&str) -> bool) -> Option<&'static str> {
    let short = SHORT.iter().find(|(known, _)| plain == *known);
    let found = short.or_else(|| FOREIGN.iter().find(|(known, _)| is(known)));
    found.map(|(_, shown)| *shown)
}

/// What a list's file name says of its digests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Title {
    Known(Algorithm),
    /// The name of an algorithm that natsync does not compute.
    Foreign(&'static str),
}

/// Reads a list's file name, such as `B2SUMS`, `sha3-512sums.txt` or `a.iso.sha256`. The last
/// algorithm in it counts, since the name of a sidecar begins with the name of its file.
pub(super) fn title(name: &str) -> Option<Title> {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let is_last = |at: usize| at + 1 == words.len() && lower.ends_with(&format!(".{}", words[at]));
    for at in (0..words.len()).rev() {
        let word = words[at];
        let stem = word.strip_suffix("sums").or_else(|| word.strip_suffix("sum"));
        let plain = stem.unwrap_or(word);
        // Two letters name an algorithm only as an extension, or before `sums`.
        match plain {
            "b2" if stem.is_some() || is_last(at) => return Some(Title::Foreign("BLAKE2")),
            "b3" if stem.is_some() || is_last(at) => return Some(Title::Known(Algorithm::Blake3)),
            _ => {}
        }
        // `sha3-512sums` and `sha512-256` are two words.
        let pair = at.checked_sub(1).map(|before| format!("{}{plain}", words[before]));
        if let Some(name) =
            pair.filter(|pair| pair.starts_with("sha3") || pair.starts_with("sha512"))
            && plain.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(foreign) = foreign_word(&name)
        {
            return Some(Title::Foreign(foreign));
        }
        if let Some(algorithm) = Algorithm::named(plain) {
            return Some(Title::Known(algorithm));
        }
        if let Some(foreign) = foreign_word(plain) {
            return Some(Title::Foreign(foreign));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_known_by_its_name() {
        use Algorithm::{Blake3, Md5, Sha256, Sha512};
        use Title::{Foreign, Known};
        for (name, expected) in [
            ("B2SUMS", Some(Foreign("BLAKE2"))),
            ("b2sums.txt", Some(Foreign("BLAKE2"))),
            ("a.iso.b2", Some(Foreign("BLAKE2"))),
            ("a.iso.blake2b", Some(Foreign("BLAKE2"))),
            ("a.blake2b-512.txt", Some(Foreign("BLAKE2"))),
            ("BLAKE2BSUMS", Some(Foreign("BLAKE2"))),
            ("SHA3-512SUMS", Some(Foreign("SHA-3"))),
            ("sha3_256sum.txt", Some(Foreign("SHA-3"))),
            ("a.sha3", Some(Foreign("SHA-3"))),
            ("SHA512-256", Some(Foreign("SHA-512/256"))),
            ("SHA384SUMS", Some(Foreign("SHA-384"))),
            ("a.rmd160", Some(Foreign("RIPEMD-160"))),
            ("B3SUMS", Some(Known(Blake3))),
            ("a.b3", Some(Known(Blake3))),
            ("SHA256SUMS", Some(Known(Sha256))),
            ("sha512sum.txt", Some(Known(Sha512))),
            ("model-b2.safetensors.md5", Some(Known(Md5))),
            ("blake2-0.10.crate.sha256", Some(Known(Sha256))),
            ("release-1.0-b2", None),
            ("SHASUMS", None),
            ("CHECKSUM", None),
            ("checksums.txt", None),
            ("a.dmd160", None),
            ("shakespeare-checksums.txt", None),
            ("tigervnc-1.13-SHASUMS", None),
            ("gostscript-SHASUMS", None),
            ("SKEINLIB-checksums.txt", None),
            ("a.ripemd160", Some(Foreign("RIPEMD-160"))),
            ("TIGER192SUMS", Some(Foreign("Tiger"))),
            ("shake256sum.txt", Some(Foreign("SHAKE"))),
            ("a.whirlpool", Some(Foreign("Whirlpool"))),
            ("a.blake2sp", Some(Foreign("BLAKE2"))),
            ("", None),
        ] {
            assert_eq!(title(name), expected, "{name}");
        }
    }
}
