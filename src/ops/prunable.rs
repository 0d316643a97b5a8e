//! Which files may be deleted, since the manifest no longer declares them or upstream no longer has them, and whether
//! any may.
//!
//! Only files that natsync wrote for this manifest, and that are still what it wrote. When in doubt a file stays.

use crate::dest::{Dest, Stat};
use crate::digest::Digest;
use crate::failure::{ErrorKind, Failure};
use crate::manifest::Quota;
use crate::plan::{Prune, Reason};
use crate::rel_path::RelPath;
use crate::stop::Stop;

/// So many files may be deleted in one run where nobody says otherwise.
const COUNT: u64 = 100;
/// Or so many in a hundred of those that natsync wrote, whichever is more.
const SHARE: f64 = 20.0;

/// What is known of a file that natsync wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Written {
    /// [`Stat::stamp`] when it was noted.
    pub(crate) stamp: u64,
    /// Whether it was noted so soon after its last change that its stat proves nothing.
    pub(crate) racy: bool,
    /// The digest that it had.
    pub(crate) digest: Digest,
}

/// Looks at a file that may go. None where it is not certain that it is what natsync wrote.
pub(crate) fn look(
    dest: &Dest,
    path: &str,
    written: &Written,
    reason: Reason,
    stop: &Stop,
) -> Option<Prune> {
    let checked = RelPath::parse(path).ok()?;
    let stat = dest.stat(&checked).ok().filter(Stat::is_file)?;
    let reads_the_same = || {
        let file = dest.read(&checked).ok()?;
        let (digest, _) = Digest::of_reader(file, || !stop.is_requested()).ok()?;
        Some(digest == written.digest && dest.stat(&checked).ok()? == stat)
    };
    let looks_the_same = stat.stamp() == written.stamp && !written.racy;
    let is_same = looks_the_same || reads_the_same() == Some(true);
    is_same.then(|| Prune { path: path.to_owned(), reason, stamp: stat.stamp() })
}

/// Refuses to delete more files than is allowed, of so many that natsync wrote.
///
/// # Errors
/// `prune_refused`; then none is deleted.
pub(crate) fn check_limit(
    prunes: u64,
    managed: u64,
    allowed: Option<Quota>,
) -> Result<(), Failure> {
    let share = |percent: f64| {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a number of files is no larger than it"
        )]
        let share = (managed as f64 * percent / 100.0).floor() as u64;
        share
    };
    let most = match allowed {
        Some(Quota::Count(count)) => count,
        Some(Quota::Percent(percent)) => share(percent),
        None => COUNT.max(share(SHARE)),
    };
    if prunes <= most {
        return Ok(());
    }
    let message = format!(
        "{prunes} files of {managed} are no longer declared or no longer upstream, and at most {most} may be deleted at a time; none was"
    );
    Err(Failure::new(ErrorKind::PruneRefused, message)
        .with_hint("`--max-delete N` allows more, if that is what you want"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_a_hundred_or_a_fifth() {
        let allowed = |prunes, managed, quota| check_limit(prunes, managed, quota).is_ok();
        assert!(allowed(100, 100, None) && !allowed(101, 101, None));
        assert!(allowed(200, 1000, None) && !allowed(201, 1000, None));
        assert!(allowed(5, 5, Some(Quota::Count(5))) && !allowed(6, 6, Some(Quota::Count(5))));
        assert!(!allowed(1, 1, Some(Quota::Count(0))));
        assert!(allowed(1, 10, Some(Quota::Percent(10.0))));
        assert!(!allowed(2, 10, Some(Quota::Percent(10.0))));
        assert!(!allowed(1, 9, Some(Quota::Percent(10.0))), "nine tenths are none");
    }
}
