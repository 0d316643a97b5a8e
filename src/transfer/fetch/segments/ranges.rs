//! Which bytes of a file came, which are claimed, and which are free: the state machine of a
//! segmented transfer, without IO. `docs/transfer.md` has its states and moves as tables.

use std::ops::Range;

use crate::transfer::job::PROGRESS;

/// A claimed range is the remaining bytes divided by the connections and by this number, so that
/// slow connections leave more ranges to fast ones.
const PARTS: u64 = 4;
/// Bounds of the length of a claimed range, in bytes.
const LEAST: u64 = 64 * 1024;
const MOST: u64 = 64 * 1024 * 1024;

/// The bytes of a file from the front to its end, and the helpers that bring ranges of them.
#[derive(Debug)]
pub(super) struct Ranges {
    /// The length of a claimed range.
    size: u64,
    /// The offset of the next byte that the front writes.
    at: u64,
    /// Where the response that the front reads began.
    asked: u64,
    /// From `at` to the end of the file, in order, without gaps, and none of them empty.
    parts: Vec<Part>,
    helpers: Vec<Helper>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    range: Range<u64>,
    holder: Holder,
}

/// The state of a part. A free part behind claimed ones is a hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Free,
    Claimed(HelperId),
    Came,
}

/// The number of a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HelperId(usize);

#[derive(Clone, Copy, Debug)]
struct Helper {
    state: HelperState,
    /// The helper ends at its next step.
    withdrawn: bool,
}

/// What a helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HelperState {
    /// It has no range, and no place that any transfer waits for.
    Looking,
    /// It has one range, of which that many bytes came, and one place.
    Bringing {
        brought: u64,
    },
    Ended(End),
}

/// Why a helper ended. Its range is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Every byte came, is claimed, or will be read by the front soon.
    NothingLeft,
    /// The lane of its origin is down, or is being probed.
    LaneNotUp,
    Withdrawn,
    Lost(Loss),
}

/// Why a claimed range did not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The server sent something else than this range of this file.
    Refused,
    /// The server objects to the number of requests.
    Limited,
    /// Nothing came for `stall_timeout`.
    Silent,
    /// The connection ended.
    Cut,
    Failed,
}

/// What the front does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// It reads up to that many bytes.
    Reads(u64),
    /// It reads nothing until a helper that has a claim ends with it.
    Waits,
    /// It has read the whole file; the end of the response is left.
    AtEnd,
    /// All bytes that it has not read came.
    Complete,
}

impl Ranges {
    /// The bytes from `from` to `total`, for that many connections.
    pub(super) fn new(from: u64, total: u64, connections: u64) -> Self {
        let size = (total.saturating_sub(from) / (connections * PARTS).max(1)).clamp(LEAST, MOST);
        let mut parts = Vec::new();
        if from < total {
            parts.push(Part { range: from..total, holder: Holder::Free });
        }
        Self { size, at: from, asked: from, parts, helpers: Vec::new() }
    }

    /// Adds a helper.
    pub(super) fn add(&mut self) -> HelperId {
        self.helpers.push(Helper { state: HelperState::Looking, withdrawn: false });
        HelperId(self.helpers.len() - 1)
    }

    /// Lets the helper that was added last and has not ended end. Reports whether there was one.
    #[cfg_attr(not(test), expect(dead_code, reason = "the number of connections is fixed"))]
    pub(super) fn withdraw(&mut self) -> bool {
        let is_live = |helper: &&mut Helper| {
            !helper.withdrawn && !matches!(helper.state, HelperState::Ended(_))
        };
        let last = self.helpers.iter_mut().rfind(is_live);
        last.map(|helper| helper.withdrawn = true).is_some()
    }

    /// Whether a helper has to end.
    pub(super) fn is_withdrawn(&self, id: HelperId) -> bool {
        self.helpers[id.0].withdrawn
    }

    /// Whether a helper without a range goes on looking for one. If not, it has ended.
    pub(super) fn looks(&mut self, id: HelperId) -> bool {
        let Helper { state, withdrawn } = self.helpers[id.0];
        let end = match state {
            HelperState::Ended(_) => return false,
            _ if withdrawn => End::Withdrawn,
            _ if self.claimable().is_none() => End::NothingLeft,
            _ => return true,
        };
        self.end(id, end);
        false
    }

    /// Gives a looking helper a range, the last one that is free.
    pub(super) fn claim(&mut self, id: HelperId) -> Option<Range<u64>> {
        if !self.looks(id) {
            return None;
        }
        let (index, range) = self.claimable()?;
        let length = range.end - range.start;
        // No rest that is hardly worth a request.
        let start = if length < self.size + LEAST { range.start } else { range.end - self.size };
        let claimed = start..range.end;
        self.parts[index].range.end = start;
        let part = Part { range: claimed.clone(), holder: Holder::Claimed(id) };
        self.parts.insert(index + 1, part);
        self.helpers[id.0].state = HelperState::Bringing { brought: 0 };
        self.join();
        Some(claimed)
    }

    /// The last free bytes that a helper may claim, and the index of their part. The first bytes
    /// before the front are left to it: its response brings them sooner.
    fn claimable(&self) -> Option<(usize, Range<u64>)> {
        self.parts.iter().enumerate().rev().find_map(|(index, Part { range, holder })| {
            let start =
                if index == 0 { range.start.saturating_add(self.size) } else { range.start };
            (*holder == Holder::Free && start < range.end).then_some((index, start..range.end))
        })
    }

    /// How many bytes of its range a helper may still bring.
    pub(super) fn room(&self, id: HelperId) -> u64 {
        match self.claim_of(id) {
            Some(index) if !self.helpers[id.0].withdrawn => length(&self.parts[index].range),
            _ => 0,
        }
    }

    /// A helper brought the next bytes of its range.
    pub(super) fn brought(&mut self, id: HelperId, bytes: u64) {
        let Some(index) = self.claim_of(id) else { return };
        if let HelperState::Bringing { brought } = &mut self.helpers[id.0].state {
            *brought += bytes;
        }
        let start = self.parts[index].range.start;
        self.parts[index].range.start = start + bytes;
        self.parts.insert(index, Part { range: start..start + bytes, holder: Holder::Came });
        self.join();
    }

    /// A helper ends with its range without a failure.
    pub(super) fn ended_with_range(&mut self, id: HelperId) {
        self.give_back(id);
        self.helpers[id.0].state = HelperState::Looking;
    }

    /// The rest of a helper's range does not come.
    pub(super) fn lost(&mut self, id: HelperId, loss: Loss) {
        self.give_back(id);
        let Helper { state, .. } = &mut self.helpers[id.0];
        let progressed = matches!(state, HelperState::Bringing { brought } if PROGRESS <= *brought);
        if progressed && loss == Loss::Cut {
            *state = HelperState::Looking;
        } else {
            *state = HelperState::Ended(End::Lost(loss));
        }
    }

    /// A looking helper ends.
    pub(super) fn end(&mut self, id: HelperId, end: End) {
        self.give_back(id);
        self.helpers[id.0].state = HelperState::Ended(end);
    }

    /// Whether the server sent a helper something else than its range.
    pub(super) fn was_refused(&self) -> bool {
        let refused = HelperState::Ended(End::Lost(Loss::Refused));
        self.helpers.iter().any(|helper| helper.state == refused)
    }

    /// What the front does next. Claimed ranges alone make it wait: a helper holds one only while
    /// it has a request in progress, whose time is bounded. If none is claimed and bytes are
    /// missing behind some that came, the front reads these once more on the way.
    pub(super) fn front(&mut self) -> Front {
        match self.parts.first() {
            None => return Front::AtEnd,
            Some(Part { range, holder: Holder::Free }) => return Front::Reads(length(range)),
            Some(_) => {}
        }
        if self.parts.iter().any(|part| matches!(part.holder, Holder::Claimed(_))) {
            return Front::Waits;
        }
        let Some(last) = self.parts.iter().rposition(|part| part.holder == Holder::Free) else {
            return Front::Complete;
        };
        for part in &mut self.parts[..last] {
            part.holder = Holder::Free;
        }
        self.join();
        self.front()
    }

    /// The front read the next bytes.
    pub(super) fn front_took(&mut self, bytes: u64) {
        self.at += bytes;
        if let Some(first) = self.parts.first_mut() {
            first.range.start = self.at;
        }
        self.join();
    }

    /// The response of the front was cut. Reports whether it brought so much that another request
    /// may follow at once.
    pub(super) fn front_cut(&mut self) -> bool {
        PROGRESS <= self.at - std::mem::replace(&mut self.asked, self.at)
    }

    /// The end of the bytes that came without a gap.
    pub(super) fn reached(&self) -> u64 {
        match self.parts.first() {
            Some(Part { range, holder: Holder::Came }) => range.end,
            _ => self.at,
        }
    }

    fn claim_of(&self, id: HelperId) -> Option<usize> {
        self.parts.iter().position(|part| part.holder == Holder::Claimed(id))
    }

    fn give_back(&mut self, id: HelperId) {
        if let Some(index) = self.claim_of(id) {
            self.parts[index].holder = Holder::Free;
            self.join();
        }
    }

    /// Drops empty parts, and joins neighbours of one holder.
    fn join(&mut self) {
        self.parts.retain(|part| !part.range.is_empty());
        self.parts.dedup_by(|next, before| {
            let joins = next.holder == before.holder && before.range.end == next.range.start;
            if joins {
                before.range.end = next.range.end;
            }
            joins
        });
    }
}

fn length(range: &Range<u64>) -> u64 {
    range.end - range.start
}

#[cfg(test)]
mod tests;
