//! A run that has everything: files that are new, changed and deleted, small and large, in folders, with or
//! without a lock. Whatever is done to it, a path holds whole old bytes or whole new ones, and the next plain run puts
//! everything right.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use crate::world::{World, content};

/// How many paths there are; all but one of them are declared at a time, where no lock is written.
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

/// A world whose files are in some version, some of them already there.
pub(crate) struct Reference {
    pub(crate) world: World,
    version: usize,
    /// Whether the run is one that writes a lock too.
    locks: bool,
    /// The version in which the state was lost. Files that are adopted then are nobody's until they change, so the
    /// one that is no longer declared in the next version may be one of them.
    lost: Option<usize>,
}

impl Reference {
    pub(crate) fn new(locks: bool) -> Self {
        let mut reference = Self { world: World::in_memory(), version: 0, locks, lost: None };
        reference.change();
        reference.heal("at first");
        reference
    }

    /// What the run is called with.
    pub(crate) fn args(&self) -> &'static [&'static str] {
        if self.locks { &["lock", "--upgrade", "--json"] } else { &["apply", "--json"] }
    }

    /// Whether that path is declared now. A lock deletes nothing, so with it all of them are.
    fn declares(&self, n: usize) -> bool {
        self.locks || n != 1 + self.version % (FILES - 1)
    }

    /// The state was set aside.
    pub(crate) fn is_lost(&mut self) {
        self.lost = Some(self.version);
    }

    /// Whether natsync may not know any more that the file that is no longer declared is its own.
    fn may_stay(&self) -> bool {
        self.lost.is_some_and(|lost| self.version <= lost + 1)
    }

    /// Every file changes upstream, another one is no longer declared, and a folder of them is not there each time.
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

    /// Whole old bytes, or whole new ones, and nothing else.
    #[track_caller]
    pub(crate) fn assert_whole(&self, which: &str) {
        let wanted: BTreeMap<_, _> = (0..FILES).map(|n| (path(n), n)).collect();
        for (path, got) in self.world.files("out") {
            let n = wanted.get(&path).unwrap_or_else(|| panic!("{which}: {path} is no entry"));
            let is_whole = got == bytes(*n, self.version) || got == bytes(*n, self.version - 1);
            assert!(is_whole, "{which}: {path} has {} bytes of neither version", got.len());
        }
    }

    /// All that is declared is there, as it should be.
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

    /// The plain run.
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
        // What is nobody's is for the user to delete.
        for n in (0..FILES).filter(|&n| !self.declares(n)) {
            let _ = std::fs::remove_file(self.world.path("out").join(path(n)));
        }
        // What was there before is whole too: of this version or of another.
        if let Some(lock) = lock {
            let lines = lock.lines().filter(|line| line.starts_with('{') && line.ends_with('}'));
            assert_eq!(lines.count(), 1 + FILES, "{which}: {lock}");
        }
    }

    pub(crate) fn lock(&self) -> Option<String> {
        std::fs::read_to_string(self.world.path("natsync.lock")).ok()
    }

    /// The run, while some of its system calls are not what they should be. It is killed after a minute.
    pub(crate) fn run_injected(&self, calls: &str, inject: &str) -> Output {
        let trace = format!("trace={calls}");
        let inject = format!("inject={calls}:{inject}");
        let arguments = [
            "-s",
            "KILL",
            "60",
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

/// Whether system calls can be seen and changed here; if not, a line says so.
pub(crate) fn is_traceable() -> bool {
    let mut strace = Command::new("strace");
    let is_there = strace.arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !is_there {
        // Written past the capture of the test harness, which would hide it.
        let _ = writeln!(std::io::stderr(), "skipped: strace is not installed");
    }
    is_there
}
