//! What an entry must be: its pin, and the digests that a response states.

use std::path::Path;

use crate::dest::state::Answered;
use crate::dest::{Staged, VerifyError};
use crate::digest::{Algorithms, Checksum, Digests};
use crate::failure::{ErrorKind, Failure};
use crate::http::{Headers, Length, OUT_OF_DATE, Stated, stated_digests};
use crate::manifest::entry::Entry;
use crate::manifest::select::arguments_for;
use crate::pin::lock::LockProblem;
use crate::pin::lookup::Pins;
use crate::pin::{Pin, PinFrom, Pinned};
use crate::rel_path::RelPath;

/// What an entry must be.
#[derive(Debug, Default)]
pub(super) struct Want {
    pin: Option<Pin>,
    /// Its sidecar does not exist, so it must not be fetched.
    unvouched: bool,
    /// The run writes a pin for it.
    writes: bool,
}

impl Want {
    /// Looks up the pin of an entry.
    pub(super) fn of(pins: &Pins<'_>, entry: &Entry<'_>) -> Result<Self, Failure> {
        let path = entry.path();
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

    /// Whether it must not be fetched: only its existence matters.
    pub(super) fn is_unvouched(&self) -> bool {
        self.unvouched
    }

    /// Whether a record of the state counts. A pin may be made only of bytes that upstream served.
    pub(super) fn believes(&self, held: &Answered) -> bool {
        held.provenance.is_witnessed() || !self.writes
    }

    /// Whether a local file that natsync did not write may be taken for a copy of the remote one.
    pub(super) fn adopts(&self) -> bool {
        !self.writes
    }

    /// Whether the digest of the whole file decides in the end.
    pub(super) fn is_pinned(&self) -> bool {
        self.pin.as_ref().is_some_and(|pin| !pin.checksums.is_empty())
    }

    /// The digests that it must have, as text.
    pub(super) fn digests(&self) -> Vec<String> {
        let checksums = self.pin.iter().flat_map(|pin| &pin.checksums);
        checksums.map(Checksum::to_string).collect()
    }

    /// The algorithms of these digests.
    pub(super) fn algorithms(&self) -> Algorithms {
        self.pin.as_ref().map_or_else(Algorithms::default, Pin::algorithms)
    }

    /// Whether a file with these digests matches the pin.
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

    /// Adds what the user can do if the lock does not match upstream any more.
    pub(super) fn advise(&self, mut failure: Failure, path: &RelPath, manifest: &Path) -> Failure {
        if !self.is_locked() {
            return failure;
        }
        let entry = arguments_for(path.as_str(), manifest);
        let advice = format!("; `natsync lock --upgrade {entry}` accepts what upstream has now");
        failure.message.push_str(&advice);
        failure
    }

    /// Whether the lock pins it.
    pub(super) fn is_locked(&self) -> bool {
        self.pin.as_ref().is_some_and(|pin| pin.from == PinFrom::Lock)
    }

    /// The digests that the bytes of a response must have. If it continues an incomplete file, only
    /// digests of the whole file count, and only under the algorithms computed so far.
    /// `believed`: whether digests in header fields count.
    pub(super) fn proof(
        &self,
        headers: &Headers,
        begun: Option<&Staged>,
        believed: bool,
    ) -> Proof<'_> {
        let checksums = self.pin.as_ref().map_or(&[][..], |pin| &pin.checksums);
        let mut stated = if believed { stated_digests(headers) } else { Vec::new() };
        if let Some(begun) = begun {
            let digests = begun.digests();
            stated.retain(|stated| {
                stated.is_of_whole() && digests.get(stated.checksum.algorithm()).is_some()
            });
        }
        Proof { pin: self.pin.as_ref(), checksums, stated }
    }
}

/// The digests that the bytes of one response must have.
pub(super) struct Proof<'w> {
    pin: Option<&'w Pin>,
    checksums: &'w [Checksum],
    stated: Vec<Stated>,
}

impl Proof<'_> {
    /// Those that decide: a pin outranks what header fields state, which may be out of date.
    pub(super) fn checksums(&self) -> Vec<Checksum> {
        if self.checksums.is_empty() {
            self.stated.iter().map(|stated| stated.checksum).collect()
        } else {
            self.checksums.to_vec()
        }
    }

    /// The algorithms of all digests, those that do not decide included.
    pub(super) fn algorithms(&self) -> Algorithms {
        let stated = self.stated.iter().map(|stated| stated.checksum);
        self.checksums.iter().copied().chain(stated).map(|one| one.algorithm()).collect()
    }

    /// The header field that states another digest than the proven bytes have.
    pub(super) fn out_of_date(&self, digests: &Digests) -> Option<&'static str> {
        let differs = |stated: &&Stated| {
            let digest = digests.get(stated.checksum.algorithm());
            digest.is_some_and(|digest| digest != stated.checksum)
        };
        self.stated.iter().find(differs).map(|stated| stated.field)
    }

    /// The failure for bytes that do not have these digests.
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
        let failure = Failure::new(ErrorKind::ChecksumMismatch, message);
        if by_pin.is_some() { failure } else { failure.with_hint(OUT_OF_DATE) }
    }
}
