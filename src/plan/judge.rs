//! The two comparisons that all stages share: a file with its state row, and a file with its pin.
//! Pure, as all of `plan`.

use crate::digest::Digests;
use crate::pin::Pin;

/// The comparison of a file's size, times and inode with the recorded ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatMatch {
    /// They agree, so the file has the recorded bytes.
    Same,
    /// They agree, but the file changed less than two seconds before it was recorded: a later
    /// change within the same tick of the clock does not show (the racy-timestamp rule of git's
    /// index).
    Racy,
    /// They differ, or there is no file.
    Differs,
}

impl StatMatch {
    /// Combines the comparison of the stamps with the racy flag of the record.
    #[must_use]
    pub fn of(stamps_agree: bool, racy: bool) -> Self {
        match (stamps_agree, racy) {
            (true, false) => Self::Same,
            (true, true) => Self::Racy,
            (false, _) => Self::Differs,
        }
    }

    /// True if the file certainly has the recorded bytes and need not be read.
    #[must_use]
    pub fn is_proof(self) -> bool {
        self == Self::Same
    }

    /// True if size, times and inode show no change. A racy record may hide one.
    #[must_use]
    pub fn looks_same(self) -> bool {
        self != Self::Differs
    }
}

/// The comparison of a file with its pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinMatch {
    /// Size and digests are the pinned ones.
    Meets,
    /// The size differs from the pinned one.
    SizeDiffers,
    /// A digest differs from the pinned one.
    DigestDiffers,
    /// A pinned digest of the file is not known yet: the file must be read.
    Unknown,
}

/// Compares a file of `size` bytes with its pin. `digests` are the known digests of the file. A pin
/// without digests is met by the size alone.
#[must_use]
pub fn compare_with_pin(pin: &Pin, size: u64, digests: Option<&Digests>) -> PinMatch {
    if pin.size.is_some_and(|pinned| pinned != size) {
        return PinMatch::SizeDiffers;
    }
    if pin.checksums.is_empty() {
        return PinMatch::Meets;
    }
    match digests.and_then(|digests| pin.holds(digests)) {
        None => PinMatch::Unknown,
        Some(false) => PinMatch::DigestDiffers,
        Some(true) => PinMatch::Meets,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Algorithm, Checksum, Digest};
    use crate::pin::PinFrom;

    #[test]
    fn only_equal_stamps_of_a_settled_file_are_proof() {
        let table = [
            (true, false, StatMatch::Same, true, true),
            (true, true, StatMatch::Racy, false, true),
            (false, false, StatMatch::Differs, false, false),
            (false, true, StatMatch::Differs, false, false),
        ];
        for (agree, racy, expected, proof, same) in table {
            let found = StatMatch::of(agree, racy);
            assert_eq!((found, found.is_proof(), found.looks_same()), (expected, proof, same));
        }
    }

    #[test]
    fn a_pin_is_met_by_all_that_it_names() {
        let sha256 = |byte| Digest::from_bytes([byte; 32]);
        let digests = Digests::new(sha256(1), Vec::new());
        let md5 = Checksum::from_hex(Algorithm::Md5, &"a".repeat(32)).unwrap();
        let pin = |size, checksums: &[Checksum]| Pin {
            size,
            checksums: checksums.to_vec(),
            from: PinFrom::Lock,
            published: false,
        };
        let (one, two) = (Checksum::from(sha256(1)), Checksum::from(sha256(2)));
        let table = [
            (pin(None, &[one]), Some(&digests), PinMatch::Meets),
            (pin(Some(10), &[one]), Some(&digests), PinMatch::Meets),
            (pin(Some(9), &[one]), Some(&digests), PinMatch::SizeDiffers),
            (pin(Some(9), &[]), None, PinMatch::SizeDiffers),
            (pin(Some(10), &[]), None, PinMatch::Meets),
            (pin(None, &[two]), Some(&digests), PinMatch::DigestDiffers),
            (pin(None, &[one]), None, PinMatch::Unknown),
            (pin(None, &[one, md5]), Some(&digests), PinMatch::Unknown),
            (pin(None, &[md5, two]), Some(&digests), PinMatch::DigestDiffers),
        ];
        for (pin, digests, expected) in table {
            assert_eq!(compare_with_pin(&pin, 10, digests), expected, "{pin:?}");
        }
    }
}
