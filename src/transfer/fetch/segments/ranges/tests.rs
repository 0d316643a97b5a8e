use super::*;

const K: u64 = 1024;
const M: u64 = 1024 * K;

/// The ways in which a helper can end, and one in which it does not.
const HELPER_ENDS: [HelperEnd; 9] = [
    HelperEnd::Never,
    HelperEnd::Ends(End::LaneNotUp),
    HelperEnd::Ends(End::Withdrawn),
    HelperEnd::Ends(End::NothingLeft),
    HelperEnd::Ends(End::Lost(Loss::Refused)),
    HelperEnd::Ends(End::Lost(Loss::Limited)),
    HelperEnd::Ends(End::Lost(Loss::Silent)),
    HelperEnd::Ends(End::Lost(Loss::Cut)),
    HelperEnd::Ends(End::Lost(Loss::Failed)),
];

/// When a helper ends, counted in ranges that it brought whole, and in bytes of the next one.
const MOMENTS: [(u32, u64); 4] = [(0, 0), (0, 10), (1, 0), (2, PROGRESS - 1)];

#[derive(Clone, Copy, Debug, PartialEq)]
enum HelperEnd {
    Never,
    Ends(End),
}

/// The ways in which the front can end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum FrontEnd {
    /// Its response goes on to the end.
    Finishes,
    /// Its response is cut there, once.
    CutAt(u64),
    /// The run is stopped when the front is there.
    StopAt(u64),
}

const FRONT_ENDS: [FrontEnd; 6] = [
    FrontEnd::Finishes,
    FrontEnd::CutAt(0),
    FrontEnd::CutAt(PROGRESS - 1),
    FrontEnd::CutAt(PROGRESS),
    FrontEnd::StopAt(0),
    FrontEnd::StopAt(3 * M),
];

/// Every part of the file has one holder, and a helper has a range exactly while it brings one.
fn check(ranges: &Ranges, total: u64) {
    let mut at = ranges.at;
    for part in &ranges.parts {
        assert!(part.range.start == at && at < part.range.end, "{ranges:?}");
        at = part.range.end;
    }
    assert_eq!(at, total, "{ranges:?}");
    for (number, helper) in ranges.helpers.iter().enumerate() {
        let id = Holder::Claimed(HelperId(number));
        let claims = ranges.parts.iter().filter(|part| part.holder == id).count();
        match helper.state {
            HelperState::Bringing { .. } => assert!(claims <= 1, "{ranges:?}"),
            _ => assert_eq!(claims, 0, "{ranges:?}"),
        }
    }
    let separate = |pair: &[Part]| pair[0].holder != pair[1].holder;
    assert!(ranges.parts.windows(2).all(separate), "{ranges:?}");
}

/// A helper of a played transfer: it brings `PIECE` bytes a turn.
struct Player {
    id: HelperId,
    end: HelperEnd,
    whole: u32,
    of_this: u64,
}

const PIECE: u64 = 128 * K;

impl Player {
    /// One turn. Reports whether it is still there.
    fn play(&mut self, ranges: &mut Ranges, moment: (u32, u64)) -> bool {
        let ends = self.whole == moment.0 && self.of_this == moment.1;
        if ends && let HelperEnd::Ends(end) = self.end {
            match end {
                End::Withdrawn => ranges.helpers[self.id.0].withdrawn = true,
                End::Lost(loss) => ranges.lost(self.id, loss),
                // A helper that brings a range does not look at the lane.
                other => ranges.end(self.id, other),
            }
        }
        if ranges.claim_of(self.id).is_none() && ranges.claim(self.id).is_none() {
            return false;
        }
        let mut bytes = PIECE.min(ranges.room(self.id));
        if matches!(self.end, HelperEnd::Ends(_))
            && self.whole == moment.0
            && self.of_this < moment.1
        {
            bytes = bytes.min(moment.1 - self.of_this);
        }
        ranges.brought(self.id, bytes);
        self.of_this += bytes;
        if ranges.room(self.id) == 0 {
            ranges.ended_with_range(self.id);
            (self.whole, self.of_this) = (self.whole + 1, 0);
        }
        true
    }
}

/// Plays a transfer with these helpers. Reports the end of the bytes without a gap, and whether the
/// transfer is complete.
fn play(total: u64, ends: &[HelperEnd], moment: (u32, u64), front: FrontEnd) -> (u64, bool) {
    let mut ranges = Ranges::new(0, total, ends.len() as u64 + 1);
    let mut helpers: Vec<_> =
        ends.iter().map(|&end| Player { id: ranges.add(), end, whole: 0, of_this: 0 }).collect();
    let mut cut = false;
    for _ in 0..100_000 {
        check(&ranges, total);
        let at = ranges.at;
        match front {
            FrontEnd::StopAt(stop) if stop <= at => return (ranges.reached(), false),
            FrontEnd::CutAt(end) if !cut && end <= at => {
                cut = true;
                if !ranges.front_cut() {
                    return (ranges.reached(), false);
                }
            }
            _ => {}
        }
        match ranges.front() {
            Front::AtEnd | Front::Complete => return (ranges.reached(), true),
            Front::Reads(most) => {
                let next = match front {
                    FrontEnd::CutAt(end) | FrontEnd::StopAt(end) if at < end => end - at,
                    _ => PIECE,
                };
                ranges.front_took(PIECE.min(most).min(next));
            }
            Front::Waits => assert!(!helpers.is_empty(), "it waits for no helper: {ranges:?}"),
        }
        check(&ranges, total);
        helpers.retain_mut(|helper| helper.play(&mut ranges, moment));
    }
    panic!("it does not end: {ranges:?}");
}

#[test]
fn however_helpers_and_front_end_the_transfer_ends() {
    let total = 16 * M;
    for first in HELPER_ENDS {
        for second in HELPER_ENDS {
            for moment in MOMENTS {
                for front in FRONT_ENDS {
                    let what = format!("{first:?}, {second:?} at {moment:?}, {front:?}");
                    let (reached, complete) = play(total, &[first, second], moment, front);
                    let expected = match front {
                        FrontEnd::Finishes => true,
                        // Less than `PROGRESS` before the cut: the job is tried again by its rules.
                        FrontEnd::CutAt(at) => PROGRESS <= at,
                        FrontEnd::StopAt(_) => false,
                    };
                    assert_eq!(complete, expected, "{what}");
                    assert_eq!(complete, reached == total, "{what}");
                }
            }
        }
    }
}

#[test]
fn without_helpers_the_front_brings_all() {
    for front in FRONT_ENDS {
        let (reached, complete) = play(16 * M, &[], (0, 0), front);
        assert_eq!(complete, reached == 16 * M, "{front:?}");
    }
}

/// Random moves of helpers that come, go, and are withdrawn. No byte has two writers at a time, and
/// the front never writes before a byte that a helper may still write.
#[test]
fn helpers_may_come_and_go_at_any_time() {
    for seed in 0..500 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let total = rng.u64(1..40 * M);
        let mut ranges = Ranges::new(rng.u64(0..total), total, rng.u64(1..9));
        let mut live: Vec<HelperId> = Vec::new();
        let mut moves = 0;
        loop {
            moves += 1;
            assert!(moves < 100_000, "seed {seed}: it does not end");
            check(&ranges, total);
            match rng.u32(0..12) {
                0 if live.len() < 6 && moves < 2000 => live.push(ranges.add()),
                1 => {
                    ranges.withdraw();
                }
                2..5 => match ranges.front() {
                    Front::AtEnd | Front::Complete => break,
                    Front::Reads(most) => ranges.front_took(rng.u64(1..=most.min(M))),
                    Front::Waits => {
                        let is_claimed = |id: &HelperId| ranges.claim_of(*id).is_some();
                        assert!(live.iter().any(is_claimed), "seed {seed}: {ranges:?}");
                    }
                },
                5..11 if !live.is_empty() => {
                    let index = rng.usize(0..live.len());
                    let id = live[index];
                    if ranges.claim_of(id).is_none() {
                        if ranges.claim(id).is_none() {
                            live.swap_remove(index);
                        }
                        continue;
                    }
                    let bytes = ranges.room(id).min(rng.u64(1..3 * M));
                    ranges.brought(id, bytes);
                    if ranges.room(id) == 0 {
                        ranges.ended_with_range(id);
                    }
                }
                11 if !live.is_empty() => {
                    let index = rng.usize(0..live.len());
                    let losses =
                        [Loss::Refused, Loss::Limited, Loss::Silent, Loss::Cut, Loss::Failed];
                    if ranges.claim_of(live[index]).is_some() {
                        ranges.lost(live[index], losses[rng.usize(0..losses.len())]);
                    }
                    if !ranges.looks(live[index]) {
                        live.swap_remove(index);
                    }
                }
                _ => {}
            }
        }
        assert_eq!(ranges.reached(), total, "seed {seed}");
    }
}

#[test]
fn both_ends_meet() {
    let mut ranges = Ranges::new(0, M, 2);
    let helper = ranges.add();
    assert_eq!(ranges.claim(helper), Some(896 * K..M));
    assert_eq!(ranges.front(), Front::Reads(896 * K));
    ranges.front_took(896 * K);
    assert_eq!(ranges.front(), Front::Waits);
    assert_eq!(ranges.reached(), 896 * K);
    ranges.brought(helper, 100 * K);
    assert_eq!((ranges.front(), ranges.reached()), (Front::Waits, 996 * K));
    ranges.brought(helper, 28 * K);
    ranges.ended_with_range(helper);
    assert!(!ranges.looks(helper));
    assert_eq!((ranges.front(), ranges.reached()), (Front::Complete, M));
}

#[test]
fn the_range_of_a_helper_that_failed_is_claimed_by_another_or_read_by_the_front() {
    let mut ranges = Ranges::new(0, M, 3);
    let (one, other) = (ranges.add(), ranges.add());
    let last = ranges.claim(one).unwrap();
    let before = ranges.claim(other).unwrap();
    assert_eq!(before.end, last.start);
    ranges.brought(one, 10);
    ranges.lost(one, Loss::Cut);
    assert_eq!(ranges.claim(one), None, "it has ended");
    ranges.brought(other, before.end - before.start);
    ranges.ended_with_range(other);
    assert_eq!(ranges.claim(other), Some(last.start + 10..M));
    ranges.lost(other, Loss::Silent);
    // What came before the missing bytes is read once more.
    ranges.front_took(before.start);
    assert_eq!(ranges.front(), Front::Reads(M - before.start));
}

#[test]
fn a_cut_after_much_progress_ends_no_helper() {
    let mut ranges = Ranges::new(0, 100 * M, 2);
    let helper = ranges.add();
    for (brought, loss, goes_on) in
        [(PROGRESS, Loss::Cut, true), (PROGRESS, Loss::Cut, true), (PROGRESS - 1, Loss::Cut, false)]
    {
        ranges.claim(helper).unwrap();
        ranges.brought(helper, brought);
        ranges.lost(helper, loss);
        assert_eq!(ranges.looks(helper), goes_on);
    }
    let silent = ranges.add();
    ranges.claim(silent).unwrap();
    ranges.brought(silent, PROGRESS);
    ranges.lost(silent, Loss::Silent);
    assert!(!ranges.looks(silent));
    assert!(!ranges.was_refused());
}
