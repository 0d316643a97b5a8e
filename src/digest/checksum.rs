//! Digests as publishers state them, of any supported algorithm.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Digest;
use super::hex::{read_hex, write_hex};

/// A digest algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// SHA-512 (FIPS 180-4).
    Sha512,
    /// SHA-1 (FIPS 180-4). It detects damage, but an attacker can produce collisions.
    Sha1,
    /// MD5 (RFC 1321). It detects damage, but an attacker can produce collisions.
    Md5,
    /// BLAKE3 with an output of 32 bytes.
    Blake3,
    /// CRC-32C (RFC 3720, appendix B.4), which storage services state in headers. It detects damage
    /// only.
    Crc32c,
}

impl Algorithm {
    /// The algorithms that a manifest and a checksum list can name.
    pub const DECLARED: [Self; 5] =
        [Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5, Self::Blake3];

    /// The name in manifests, locks and JSON output, which does not change.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
            Self::Sha1 => "sha1",
            Self::Md5 => "md5",
            Self::Blake3 => "blake3",
            Self::Crc32c => "crc32c",
        }
    }

    /// The length of a digest in bytes.
    #[must_use]
    pub const fn length(self) -> usize {
        match self {
            Self::Sha256 | Self::Blake3 => 32,
            Self::Sha512 => 64,
            Self::Sha1 => 20,
            Self::Md5 => 16,
            Self::Crc32c => 4,
        }
    }

    /// The algorithm of [`Self::DECLARED`] with that name, as manifests (`sha256`), BSD checksum
    /// lines (`SHA256`) and HTTP fields (`sha-256`) write it. Case and dashes are ignored.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let plain = |byte: &u8| *byte != b'-';
        Self::DECLARED.into_iter().find(|algorithm| {
            let known = algorithm.as_str().bytes();
            known.eq(name.bytes().filter(plain).map(|byte| byte.to_ascii_lowercase()))
        })
    }

    /// The usual algorithm of a digest with `digits` hexadecimal digits. For 64 digits that is
    /// SHA-256: BLAKE3 has the same length and must be named.
    #[must_use]
    pub fn of_hex_length(digits: usize) -> Option<Self> {
        match digits {
            32 => Some(Self::Md5),
            40 => Some(Self::Sha1),
            64 => Some(Self::Sha256),
            128 => Some(Self::Sha512),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A digest with its algorithm. It prints as `sha256:ba78..`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum {
    algorithm: Algorithm,
    bytes: [u8; 64],
}

impl Checksum {
    /// Wraps the bytes of a digest. `None` if the algorithm has another length.
    #[must_use]
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        let mut all = [0; 64];
        (bytes.len() == algorithm.length()).then(|| {
            all[..bytes.len()].copy_from_slice(bytes);
            Self { algorithm, bytes: all }
        })
    }

    /// Parses hexadecimal digits of either case. `None` if they are not digits, or if the algorithm
    /// has another length.
    #[must_use]
    pub fn from_hex(algorithm: Algorithm, text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        read_hex(text, &mut bytes[..algorithm.length()])?;
        Some(Self { algorithm, bytes })
    }

    /// Parses Base64 (RFC 4648, section 4), as HTTP fields use it. `None` if it is not Base64, or
    /// if the algorithm has another length.
    #[must_use]
    pub fn from_base64(algorithm: Algorithm, text: &str) -> Option<Self> {
        Self::from_bytes(algorithm, &STANDARD.decode(text).ok()?)
    }

    /// The algorithm that computed it.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bytes of the digest; [`Algorithm::length`] is their number.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.length()]
    }

    /// Converts it to a [`Digest`], if it is a SHA-256.
    #[must_use]
    pub fn sha256(&self) -> Option<Digest> {
        let bytes = self.as_bytes().try_into().ok()?;
        (self.algorithm == Algorithm::Sha256).then(|| Digest::from_bytes(bytes))
    }

    /// Its lowercase hexadecimal digits, without the algorithm.
    #[must_use]
    pub fn hex(&self) -> String {
        struct Hex<'a>(&'a [u8]);
        impl fmt::Display for Hex<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(self.0, f)
            }
        }
        Hex(self.as_bytes()).to_string()
    }
}

impl From<Digest> for Checksum {
    fn from(digest: Digest) -> Self {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(digest.as_bytes());
        Self { algorithm: Algorithm::Sha256, bytes }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.algorithm)?;
        write_hex(self.as_bytes(), f)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_dashes() {
        for (name, algorithm) in [
            ("sha256", Some(Algorithm::Sha256)),
            ("SHA-512", Some(Algorithm::Sha512)),
            ("sha", None),
            ("BLAKE3", Some(Algorithm::Blake3)),
            ("MD5", Some(Algorithm::Md5)),
            ("crc32c", None),
            ("", None),
        ] {
            assert_eq!(Algorithm::named(name), algorithm, "{name}");
        }
    }

    #[test]
    fn length_and_algorithm_must_agree() {
        let digits = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
        let read = Checksum::from_hex(Algorithm::Sha256, digits).unwrap();
        assert_eq!(read.sha256(), Some(Digest::of(b"abc")));
        assert_eq!(read.to_string(), format!("sha256:{}", digits.to_lowercase()));
        assert_eq!(Checksum::from(Digest::of(b"abc")), read);
        for wrong in [&digits[1..], &digits[2..], "", &digits.replace('B', "g")] {
            assert_eq!(Checksum::from_hex(Algorithm::Sha256, wrong), None, "{wrong}");
        }
        assert_eq!(Checksum::from_hex(Algorithm::Md5, digits), None);
        let base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        assert_eq!(Checksum::from_base64(Algorithm::Sha256, base64), Some(read));
        assert_eq!(Checksum::from_base64(Algorithm::Md5, base64), None);
    }
}
