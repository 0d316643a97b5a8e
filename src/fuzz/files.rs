//! Laws of files: the lock, saved plans, checksum lists, netrc, notes of parts, the state.

use std::path::Path;
use std::sync::LazyLock;

use super::text;
use crate::dest::Dest;
use crate::dest::state::{Claim, State};
use crate::digest::Algorithms;
use crate::digest::checksums::{List, Rules};
use crate::manifest::netrc_file::Netrc;
use crate::pin::lock::Lock;

/// Runs `law` with a folder that all inputs of a thread share.
fn in_folder(law: impl FnOnce(&Path)) {
    thread_local! {
        static FOLDER: tempfile::TempDir = tempfile::tempdir().expect("a folder");
    }
    FOLDER.with(|folder| law(folder.path()));
}

pub(super) fn locks(input: &[u8]) {
    in_folder(|folder| {
        let file = folder.join("natsync.lock");
        std::fs::write(&file, input).expect("a file");
        let Ok(Some(lock)) = Lock::read(&file, "m") else { return };
        let lines: Vec<_> = lock.lines().expect("it was read before").collect();
        for line in lines.into_iter().flatten() {
            let found = lock.find(&line.path).expect("it was read before");
            assert_eq!(found.expect("each line is found").path, line.path);
        }
    });
}

pub(super) fn saved_plans(input: &[u8]) {
    for plan in crate::ops::saved_plan::parse(input, "p.plan").into_iter().flatten() {
        assert!(plan.counts().entries() < u64::MAX);
    }
}

pub(super) fn checksum_lists(input: &[u8]) {
    static PATTERN: LazyLock<regex::bytes::Regex> = LazyLock::new(|| {
        regex::bytes::Regex::new("(?i)sha256: (?<digest>[0-9a-f]+)").expect("a pattern")
    });
    for (pattern, whole) in [(None, false), (None, true), (Some(PATTERN.clone()), false)] {
        let rules = Rules { algorithm: None, pattern, whole };
        if let Ok(list) = List::parse(input, "SUMS", &rules) {
            let _ = list.find(&["a.txt", "b/c.bin"]);
            let _ = list.find_base("");
            assert!(list.files().all(|(name, _, line)| !name.is_empty() && 0 < line));
        }
    }
}

pub(super) fn netrc_files(input: &[u8]) {
    if let Ok(netrc) = Netrc::parse(&text(input)) {
        let _ = netrc.credentials("h");
    }
}

/// A note is read as it is, whatever stands in it. What it vouches for is never more than the bytes
/// that are there.
pub(super) fn part_notes(input: &[u8]) {
    const BYTES: &[u8] = b"abcdefg";
    in_folder(|folder| {
        let dest = Dest::create(folder.join("parts").as_path()).expect("a destination");
        let staging = folder.join("parts/.natsync/partial");
        std::fs::write(staging.join("p"), BYTES).expect("a part");
        std::fs::write(staging.join("p.part"), input).expect("a note");
        let parts = dest.parts().expect("the staging area can be read");
        if let Some(part) = parts.take("a", |note| note.path == "a")
            && let Ok(found) = dest.take_up(&part)
            && let Ok(Some(begun)) = found.read(Algorithms::default(), 4, u64::MAX, || true)
        {
            assert!(begun.staged.length() <= BYTES.len() as u64);
        }
        dest.clear_parts(&parts, |_| false, |_| false);
    });
}

/// A state can always be opened or begun anew, and is readable then.
pub(super) fn states(input: &[u8]) {
    in_folder(|folder| {
        let dest = Dest::create(folder.join("state").as_path()).expect("a destination");
        std::fs::write(crate::dest::state::file_of(dest.path()), input).expect("a file");
        let looked = State::look(&dest, &Claim::named("m"));
        drop(looked.value.map(|state| state.read(|_| {}, |_, _, _| {})));
        let state =
            State::open(&dest, &Claim::named("m")).expect("a state can always be begun").value;
        if state.read(|_| {}, |_, _, _| {}).is_err() {
            let state =
                state.renew(&dest, &Claim::named("m")).expect("a state can always be begun").value;
            state.read(|_| {}, |_, _, _| {}).expect("a new state can be read");
        }
        let control = folder.join("state/.natsync");
        for item in std::fs::read_dir(control).expect("the folder").flatten() {
            if item.file_name().to_string_lossy().contains("corrupt") {
                std::fs::remove_file(item.path()).expect("it is there");
            }
        }
    });
}
