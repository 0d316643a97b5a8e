//! Merges the new lines of the shards into the lock of the manifest: streams sorted by path become
//! one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;

use super::missing::damaged;
use crate::atomic_file::ReplaceGuard;
use crate::manifest::{Manifest, PathHashes};
use crate::ops::error::RunError;
use crate::ops::read_lock;
use crate::ops::saved_plan::digest_of;
use crate::ops::shards::Left;
use crate::pin::lock::{Lock, LockLine, LockProblem, LockWriter, file_of};
use crate::rel_path::path_hash;
use crate::stop::Stop;

/// What became of the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Merged {
    /// Lines that were not there before.
    pub(super) added: u64,
    /// Lines that another run changed since the shards read the lock. They stay.
    pub(super) overtaken: u64,
}

/// The lines of a lock, and its name for messages.
type Lines<'l> = Box<dyn Iterator<Item = Result<LockLine, LockProblem>> + 'l>;

/// Merges the lines. `declared` is given where lines of other paths are dropped.
///
/// # Errors
/// When the lock or the lines of a shard are wrong, or the lock cannot be written.
pub(super) fn merge(
    manifest: &Manifest,
    shards: &[Left],
    declared: Option<&PathHashes>,
    stop: &Stop,
) -> Result<Merged, RunError> {
    let file = file_of(manifest.file());
    let unwritable = |source: io::Error| RunError::Storage {
        doing: "write the lock",
        path: file.clone(),
        source,
    };
    let new = read(manifest, shards)?;
    if new.is_empty() && declared.is_none() {
        return Ok(Merged::default());
    }
    let guard = ReplaceGuard::acquire(&file, || !stop.is_requested()).map_err(unwritable)?;
    if guard.is_none() {
        return Ok(Merged::default());
    }
    let now = digest_of(&file).map_err(unwritable)?.map(|digest| digest.to_string());
    let old = read_lock(manifest)?;
    let mut old: std::iter::Peekable<Lines<'_>> = match &old {
        Some(lock) => lock.lines()?.peekable(),
        None => (Box::new(std::iter::empty()) as Lines<'_>).peekable(),
    };
    let mut streams = Vec::new();
    for (lock, read_by_shard) in &new {
        // The lines of a shard replace those that it read.
        streams.push((lock.lines()?, *read_by_shard == now));
    }
    let mut queue = Queue::new(streams)?;
    let mut writer = LockWriter::create(&file, manifest.name()).map_err(unwritable)?;
    let mut merged = Merged::default();
    let stays =
        |line: &LockLine| declared.is_none_or(|declared| declared.contains(path_hash(&line.path)));
    loop {
        let next = queue.peek();
        let before = old.next_if(|line| match (line, next) {
            (Ok(line), Some(next)) => line.path.as_str() <= next,
            _ => true,
        });
        let is_same = |line: &LockLine| next == Some(line.path.as_str());
        match before.transpose()? {
            Some(before) if !is_same(&before) => {
                if stays(&before) {
                    writer.write(&before).map_err(unwritable)?;
                }
            }
            before => {
                let Some((line, replaces)) = queue.next()? else { break };
                match before {
                    Some(before) if !replaces => {
                        merged.overtaken += u64::from(before.sha256() != line.sha256());
                        writer.write(&before).map_err(unwritable)?;
                    }
                    before => {
                        merged.added += u64::from(before.is_none());
                        writer.write(&line).map_err(unwritable)?;
                    }
                }
            }
        }
    }
    if 0 < writer.lines() || now.is_some() {
        writer.finish().map_err(unwritable)?;
    }
    Ok(merged)
}

/// The new lines of the shards that have some, each with the digest of the lock that the shard read.
fn read(manifest: &Manifest, shards: &[Left]) -> Result<Vec<(Lock, Option<String>)>, RunError> {
    let mut locks = Vec::new();
    for left in shards {
        let lock = Lock::read(&left.new_lock(), manifest.name())
            .map_err(|problem| damaged(left, manifest, &RunError::from(problem)))?;
        locks.extend(lock.map(|lock| (lock, left.result.lock.clone())));
    }
    Ok(locks)
}

/// The streams of the shards as one, in the order of paths. Their paths are disjoint.
struct Queue<'l> {
    streams: Vec<(Lines<'l>, bool)>,
    heads: BinaryHeap<Reverse<Head>>,
}

/// The next line of a stream, compared by its path.
struct Head {
    line: LockLine,
    stream: usize,
}

impl<'l> Queue<'l> {
    fn new(streams: Vec<(Lines<'l>, bool)>) -> Result<Self, LockProblem> {
        let mut queue = Self { heads: BinaryHeap::with_capacity(streams.len()), streams };
        for stream in 0..queue.streams.len() {
            queue.fill(stream)?;
        }
        Ok(queue)
    }

    fn fill(&mut self, stream: usize) -> Result<(), LockProblem> {
        if let Some(line) = self.streams[stream].0.next().transpose()? {
            self.heads.push(Reverse(Head { line, stream }));
        }
        Ok(())
    }

    fn peek(&self) -> Option<&str> {
        self.heads.peek().map(|Reverse(head)| head.line.path.as_str())
    }

    /// The next line, and whether it replaces one of the same path.
    fn next(&mut self) -> Result<Option<(LockLine, bool)>, LockProblem> {
        let Some(Reverse(Head { line, stream })) = self.heads.pop() else { return Ok(None) };
        self.fill(stream)?;
        Ok(Some((line, self.streams[stream].1)))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.line.path == other.line.path
    }
}

impl Eq for Head {}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.line.path.cmp(&other.line.path)
    }
}
