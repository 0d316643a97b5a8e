//! What an entry is wanted to be: its pin, and what an answer says of itself.

use std::path::Path;

use hyper::HeaderMap;

use super::Run;
use crate::dest::state::FileRecord;
use crate::dest::{Staged, VerifyError};
use crate::digest::{Algorithms, Checksum, Digests};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Length, Stated, stated_digests};
use crate::manifest::entry::Entry;
use crate::manifest::select::arguments_for;
use crate::pin::lock::LockProblem;
use crate::pin::{Pin, PinFrom, Pinned};
use crate::rel_path::RelPath;

/// What an entry must be, as far as anybody has said it.
#[derive(Debug)]
pub(super) struct Want {
    pin: Option<Pin>,
    /// Whether it must not be had: what should vouch for it does not exist.
    unvouched: bool,
    /// Whether the run pins it.
    writes: bool,
}

impl Want {
    /// Looks up what is said of an entry.
    pub(super) fn of(run: &Run<'_>, entry: &Entry<'_>) -> Result<Self, Failure> {
        let path = entry.path();
        let pins = run.work.pins;
        let lost = |error: LockProblem| Failure::new(ErrorKind::Io, error.to_string());
        let pinned = pins.of(entry, path.as_str()).map_err(lost)?;
        let writes = pins.writes(entry, path.as_str()).map_err(lost)?;
        let unvouched = pinned == Pinned::Unvouched;
        let pin = match pinned {
            Pinned::To(pin) => Some(pin),
            _ => None,
        };
        Ok(Self { pin, unvouched, writes })
    }

    /// Whether it must not be had: all that matters is whether it is there.
    pub(super) fn is_unvouched(&self) -> bool {
        self.unvouched
    }

    /// Whether what is held counts: where the run pins an entry, only what upstream served does.
    pub(super) fn believes(&self, held: &FileRecord) -> bool {
        held.provenance.is_witnessed() || !self.writes
    }

    /// Whether a file that natsync did not write may be taken for what upstream has.
    pub(super) fn adopts(&self) -> bool {
        !self.writes
    }

    /// Whether the digest of the whole decides in the end.
    pub(super) fn is_pinned(&self) -> bool {
        self.pin.as_ref().is_some_and(|pin| !pin.checksums.is_empty())
    }

    /// The digests that it must have, as text.
    pub(super) fn digests(&self) -> Vec<String> {
        let checksums = self.pin.iter().flat_map(|pin| &pin.checksums);
        checksums.map(Checksum::to_string).collect()
    }

    /// What must be computed to tell whether it has them.
    pub(super) fn algorithms(&self) -> Algorithms {
        self.pin.as_ref().map_or_else(Algorithms::default, Pin::algorithms)
    }

    /// Whether a content with these digests is what it must be.
    pub(super) fn is_met_by(&self, digests: &Digests) -> bool {
        self.is_pinned() && self.pin.as_ref().is_some_and(|pin| pin.holds(digests) == Some(true))
    }

    /// What is known of its length.
    pub(super) fn length(&self) -> Length {
        match &self.pin {
            None => Length::Unknown,
            Some(pin) if pin.checksums.is_empty() => {
                pin.size.map_or(Length::Unknown, Length::Exactly)
            }
            Some(pin) => Length::Pinned(pin.size),
        }
    }

    /// What to do about a failure to get what the lock pins.
    pub(super) fn advise(&self, mut failure: Failure, path: &RelPath, manifest: &Path) -> Failure {
        if !self.is_locked() {
            return failure;
        }
        let entry = arguments_for(path.as_str(), manifest);
        let advice = format!("; `natsync lock --upgrade {entry}` accepts what upstream has now");
        failure.message.push_str(&advice);
        failure
    }

    /// Whether the lock says that there is such a file.
    pub(super) fn is_locked(&self) -> bool {
        self.pin.as_ref().is_some_and(|pin| pin.from == PinFrom::Lock)
    }

    /// What the bytes of an answer with these header fields must have. Where it has only the rest of
    /// them, only what is said of the whole counts, and what can be computed still.
    pub(super) fn proof(&self, headers: &HeaderMap, begun: Option<&Staged>) -> Proof<'_> {
        let checksums = self.pin.as_ref().map_or(&[][..], |pin| &pin.checksums);
        let mut stated = stated_digests(headers);
        if let Some(begun) = begun {
            let digests = begun.digests();
            stated.retain(|stated| {
                stated.is_of_whole() && digests.get(stated.checksum.algorithm()).is_some()
            });
        }
        Proof { pin: self.pin.as_ref(), checksums, stated }
    }
}

/// The digests that the bytes of one answer must have.
pub(super) struct Proof<'w> {
    pin: Option<&'w Pin>,
    checksums: &'w [Checksum],
    stated: Vec<Stated>,
}

impl Proof<'_> {
    /// All of them. Those of the pin come first: they say more.
    pub(super) fn checksums(&self) -> Vec<Checksum> {
        let stated = self.stated.iter().map(|stated| stated.checksum);
        self.checksums.iter().copied().chain(stated).collect()
    }

    /// What must be computed for that.
    pub(super) fn algorithms(&self) -> Algorithms {
        self.checksums().iter().map(Checksum::algorithm).collect()
    }

    /// Puts into words that the bytes are not what they should be.
    pub(super) fn explain(&self, error: VerifyError, bytes: u64, html: bool) -> Failure {
        let (expected, got) = match error {
            VerifyError::Disk(error) => return Failure::disk("write the file", &error),
            VerifyError::Mismatch(mismatch) => (mismatch.expected, mismatch.got),
        };
        let got = got.map_or_else(|| "nothing".to_owned(), |got| got.to_string());
        let got = got.strip_prefix(&format!("{}:", expected.algorithm())).unwrap_or(&got);
        let looks = if html { "; it looks like HTML" } else { "" };
        let by_pin = self.pin.filter(|_| self.checksums.contains(&expected));
        let who = match by_pin {
            Some(pin) => format!("{} says", pin.from),
            None => {
                let field = self.stated.iter().find(|stated| stated.checksum == expected);
                format!("the server's `{}` says", field.map_or("Digest", |stated| stated.field))
            }
        };
        let size = match by_pin.and_then(|pin| pin.size) {
            Some(size) if size != bytes => format!("{bytes} bytes instead of {size}"),
            _ => format!("{bytes} bytes"),
        };
        let message = format!(
            "the bytes are not the expected ones: {who} {expected}, they have {got} ({size}){looks}"
        );
        Failure::new(ErrorKind::ChecksumMismatch, message)
    }
}
