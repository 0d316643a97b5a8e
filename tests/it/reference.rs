//! A reference workload: new, changed and deleted files, small and large, in folders, with or
//! without a lock. However a run is disturbed, each path has its complete old or its complete new
//! bytes, and the next normal run completes the work.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::world::{World, content};

/// The number of paths. Without a lock, all but one of them are declared at a time.
pub(crate) const FILES: usize = 20;

fn size(n: usize) -> usize {
    if n == 0 { 700_000 } else { 1000 + n }
}

fn path(n: usize) -> String {
    format!("{}/{n}.bin", n % 3)
}

fn bytes(n: usize, version: usize) -> Vec<u8> {
    content((version * 100 + n) as u64, size(n))
}

/// A world with a current version of its files, some of which exist locally.
pub(crate) struct Reference {
    pub(crate) world: World,
    version: usize,
    /// True if the runs also write a lock.
    locks: bool,
    /// The version in which the state was lost. Natsync does not prune files that it then adopts,
    /// until they change. The file that the next version no longer declares may be one of them.
    lost: Option<usize>,
}

impl Reference {
    pub(crate) fn new(locks: bool) -> Self {
        let mut reference = Self { world: World::in_memory(), version: 0, locks, lost: None };
        reference.change();
        reference.heal("at first");
        reference
    }

    /// The arguments of the run.
    pub(crate) fn args(&self) -> &'static [&'static str] {
        if self.locks { &["lock", "--upgrade", "--json"] } else { &["apply", "--json"] }
    }

    /// True if the path is declared. `lock` deletes nothing, so with a lock all paths are declared.
    fn declares(&self, n: usize) -> bool {
        self.locks || n != 1 + self.version % (FILES - 1)
    }

    /// Records that the state was set aside.
    pub(crate) fn is_lost(&mut self) {
        self.lost = Some(self.version);
    }

    /// True if the state that says which files natsync wrote may be lost, so that the undeclared
    /// file may stay.
    fn may_stay(&self) -> bool {
        self.lost.is_some_and(|lost| self.version <= lost + 1)
    }

    /// Changes every file upstream, stops declaring another file, and deletes one of the three
    /// folders.
    pub(crate) fn change(&mut self) {
        self.version += 1;
        for n in 0..FILES {
            self.world.origin.serve(&format!("/{}", path(n)), bytes(n, self.version));
        }
        let mut text = "prune: managed\nhttp: {retries: 2}\nsources:\n  - files:\n".to_owned();
        for n in (0..FILES).filter(|&n| self.declares(n)) {
            let path = path(n);
            let url = self.world.origin.url(&format!("/{path}"));
            let _ = writeln!(text, "      - {{url: \"{url}\", path: \"{path}\"}}");
        }
        self.world.set_manifest("natsync.yaml", &text);
        let gone = self.world.path("out").join((self.version % 3).to_string());
        let _ = std::fs::remove_dir_all(gone);
    }

    /// Checks that each file has its complete old or new bytes, and that there are no other files.
    #[track_caller]
    pub(crate) fn assert_whole(&self, which: &str) {
        let wanted: BTreeMap<_, _> = (0..FILES).map(|n| (path(n), n)).collect();
        for (path, got) in self.world.files("out") {
            let n = wanted.get(&path).unwrap_or_else(|| panic!("{which}: {path} is no entry"));
            let is_whole = got == bytes(*n, self.version) || got == bytes(*n, self.version - 1);
            assert!(is_whole, "{which}: {path} has {} bytes of neither version", got.len());
        }
    }

    /// Checks that the directory is as declared.
    #[track_caller]
    pub(crate) fn assert_in_sync(&self, which: &str) {
        for n in 0..FILES {
            let path = format!("out/{}", path(n));
            if self.declares(n) {
                assert!(self.world.read(&path) == bytes(n, self.version), "{which}: {path}");
            } else {
                let is_there = self.world.exists(&path);
                assert!(!is_there || self.may_stay(), "{which}: {path} is not declared any more");
            }
        }
    }

    /// Runs without disturbance, and checks the result.
    #[track_caller]
    pub(crate) fn heal(&self, which: &str) {
        let lock = self.lock();
        let run = self.world.run(self.args());
        assert_eq!(run.status, 0, "{which}: {}", run.output());
        self.assert_in_sync(which);
        assert_eq!(self.world.partial_files(), [""; 0], "{which}");
        let names = self.world.files("out/.natsync").into_keys();
        let aside: Vec<_> = names.filter(|name| name.contains("corrupt")).collect();
        assert!(self.may_stay() || aside.is_empty(), "{which}: the state was set aside: {aside:?}");
        for name in aside {
            std::fs::remove_file(self.world.path("out/.natsync").join(name)).expect("it is there");
        }
        // Adopted files are never pruned, so delete them here.
        for n in (0..FILES).filter(|&n| !self.declares(n)) {
            let _ = std::fs::remove_file(self.world.path("out").join(path(n)));
        }
        // The lock before the run was complete too, of the old or the new version.
        if let Some(lock) = lock {
            let lines = lock.lines().filter(|line| line.starts_with('{') && line.ends_with('}'));
            assert_eq!(lines.count(), 1 + FILES, "{which}: {lock}");
        }
    }

    pub(crate) fn lock(&self) -> Option<String> {
        std::fs::read_to_string(self.world.path("natsync.lock")).ok()
    }

    /// The run under strace, which disturbs some of its system calls. It is killed after a minute.
    pub(crate) fn run_injected(&self, calls: &str, inject: &str) -> Output {
        let trace = format!("trace={calls}");
        let inject = format!("inject={calls}:{inject}");
        // An injected fault of `write` may make the event loop sleep for ever.
        let limit = if calls == "write" { "10" } else { "60" };
        let arguments = [
            "-s",
            "KILL",
            limit,
            "strace",
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        let mut command = self.world.command_under("timeout", &arguments);
        command.args(self.args()).output().expect("strace runs")
    }
}

/// True if strace works here; otherwise prints that the test is skipped.
pub(crate) fn is_traceable() -> bool {
    let mut strace = Command::new("strace");
    let is_there = strace.arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        // Bypasses the output capture of the test harness, which would hide the line.
        let _ = writeln!(std::io::stderr(), "skipped: strace is not installed");
    }
    is_there
}
