//! The record of a job of several shards, made from the records of their runs.

use serde::{Deserialize, Serialize};

use super::{Counts, Exit, Flow, Past, Timeline, Transfer};
use crate::event::Summary;
use crate::manifest::Shard;

/// The most failures and transfers that a record has.
const MOST: usize = 1000;

/// The run of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The number of the shard, from 1.
    pub(crate) number: u32,
    /// The number of shards of the job. Some may be missing, if only a part was merged.
    pub(crate) total: u32,
    /// The start of its run, in milliseconds since the start of the job.
    pub(crate) start: u64,
    /// The length of its run, in milliseconds.
    pub(crate) elapsed: u64,
    pub(crate) entries: u64,
    pub(crate) failed: u64,
}

/// The record of a job; none without shards.
pub(crate) fn merged(shards: &[(Shard, &Past)]) -> Option<Past> {
    let first = shards.first()?.1;
    let began = shards.iter().map(|(_, past)| past.began).min()?;
    let start = |past: &Past| u64::try_from(past.began - began).unwrap_or(0);
    let end = |past: &Past| start(past).saturating_add(past.elapsed);
    let exit = |wanted| shards.iter().any(|(_, past)| past.exit == wanted).then_some(wanted);
    let mut counts = Counts::default();
    for (_, past) in shards {
        counts.add(&past.counts);
    }
    let failures = shards.iter().flat_map(|(_, past)| &past.failures);
    Some(Past {
        began,
        elapsed: shards.iter().map(|(_, past)| end(past)).max().unwrap_or(0),
        command: first.command.clone(),
        only: first.only.clone(),
        bound: first.bound,
        exit: exit(Exit::Stopped).or(exit(Exit::Failed)).unwrap_or(Exit::Ok),
        counts,
        failed: shards.iter().map(|(_, past)| past.failed).sum(),
        failures: failures.take(MOST).cloned().collect(),
        timeline: timeline(shards.iter().map(|(_, past)| (start(past), *past))),
        shards: shards
            .iter()
            .map(|&(shard, past)| Part {
                number: shard.number(),
                total: shard.total(),
                start: start(past),
                elapsed: past.elapsed,
                entries: past.counts.entries,
                failed: past.counts.failed,
            })
            .collect(),
    })
}

impl Past {
    /// Takes over what `merge` found out about all shards together.
    pub(crate) fn amend(&mut self, summary: &Summary) {
        self.counts.pruned = summary.pruned;
        self.failed += summary.failed.saturating_sub(self.counts.failed);
        (self.counts.absent, self.counts.failed) = (summary.absent, summary.failed);
        if self.exit == Exit::Ok && 0 < summary.failed {
            self.exit = Exit::Failed;
        }
    }
}

/// The transfers of all shards. Where there are too many, each shard keeps an even part of them.
fn timeline<'a>(pasts: impl Iterator<Item = (u64, &'a Past)>) -> Option<Timeline> {
    let lines: Vec<_> =
        pasts.filter_map(|(start, past)| Some((start, past.timeline.as_ref()?))).collect();
    let known: usize = lines.iter().map(|(_, line)| line.transfers.len()).sum();
    let every = known.div_ceil(MOST).max(1);
    let mut all = Timeline::default();
    let mut flow = Flow::default();
    for (start, line) in &lines {
        let shift = u32::try_from(*start).unwrap_or(u32::MAX);
        all.total += line.total;
        all.transfers.extend(line.transfers.iter().step_by(every).map(|one| Transfer {
            start: one.start.saturating_add(shift),
            end: one.end.saturating_add(shift),
            ..one.clone()
        }));
        for (place, &(bytes, files)) in (0..).zip(line.flow.parts()) {
            let at = line.flow.width().saturating_mul(place).saturating_add(shift);
            flow.add(at, bytes, files);
        }
    }
    all.transfers.sort_by_key(|one| (one.start, one.end));
    all.flow = flow;
    (0 < all.total).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(began: i64, elapsed: u64, exit: Exit, transfers: u32) -> Past {
        let counts = Counts { entries: 5, downloaded: 4, failed: 1, ..Counts::default() };
        let mut flow = Flow::default();
        flow.add(150, 10, 2);
        let transfers: Vec<_> = (0..transfers)
            .map(|number| Transfer {
                path: number.to_string(),
                start: number,
                end: number + 1,
                bytes: 1,
                outcome: "downloaded".to_owned(),
            })
            .collect();
        let total = transfers.len() as u64;
        Past {
            began,
            elapsed,
            command: "apply".to_owned(),
            only: Vec::new(),
            bound: 9,
            exit,
            counts,
            failed: 1,
            failures: Vec::new(),
            timeline: (0 < total).then_some(Timeline { total, transfers, flow }),
            shards: Vec::new(),
        }
    }

    fn shard(number: u64) -> Shard {
        Shard::new(number, 10).unwrap()
    }

    #[test]
    fn a_job_lasts_from_the_first_start_to_the_last_end() {
        let (one, two) = (past(1000, 500, Exit::Ok, 2), past(4000, 100, Exit::Failed, 0));
        let job = merged(&[(shard(1), &one), (shard(2), &two)]).unwrap();
        assert_eq!((job.began, job.elapsed, job.exit), (1000, 3100, Exit::Failed));
        assert_eq!((job.counts.entries, job.counts.downloaded, job.failed), (10, 8, 2));
        assert_eq!(
            job.shards,
            [
                Part { number: 1, total: 10, start: 0, elapsed: 500, entries: 5, failed: 1 },
                Part { number: 2, total: 10, start: 3000, elapsed: 100, entries: 5, failed: 1 },
            ]
        );
        assert!(merged(&[]).is_none());
    }

    #[test]
    fn the_transfers_of_many_shards_are_an_even_sample_in_their_order() {
        let pasts: Vec<_> = (0..10).map(|number| past(number * 1000, 10, Exit::Ok, 1000)).collect();
        let shards: Vec<_> = (1..).map(shard).zip(&pasts).collect();
        let line = merged(&shards).unwrap().timeline.unwrap();
        assert_eq!((line.total, line.transfers.len()), (10_000, 1000));
        assert!(line.transfers.is_sorted_by_key(|one| one.start));
        assert_eq!(line.transfers.last().unwrap().start, 9990);
        let files: u64 = line.flow.parts().iter().map(|part| part.1).sum();
        assert_eq!(files, 20);
    }
}
