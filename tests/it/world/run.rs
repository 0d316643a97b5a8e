//! Starts the program, and reads its status and output.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::origin::PATIENCE;

/// A run that takes longer than this counts as hanging. The longest runs take about ten seconds in a
/// debug build on an idle machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(3);

/// The counts that make up `entries`.
const PLAN_PARTS: &[&str] = &["fetch", "replace", "revalidate", "keep", "absent"];
const APPLY_PARTS: &[&str] =
    &["downloaded", "updated", "unchanged", "kept", "absent", "failed", "skipped"];

/// A command for the program with a clean environment that does not depend on the machine.
pub(super) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_natsync"));
    command.current_dir(dir).env_clear().stdin(Stdio::null());
    command.envs([("TZ", "UTC"), ("LANG", "C.UTF-8"), ("COLUMNS", "80"), ("NO_COLOR", "1")]);
    command.env("HOME", dir).env("PATH", "/usr/bin:/bin");
    command
}

/// A finished run.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The exit status; minus the number of the signal that ended it, if one did.
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) elapsed: Duration,
}

impl Run {
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        self.code(0)
    }

    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.status, expected, "exit status\n{}", self.output());
        self
    }

    /// Both streams, for messages of tests.
    pub(crate) fn output(&self) -> String {
        format!("--- stdout\n{}--- stderr\n{}---", self.stdout, self.stderr)
    }

    /// The lines of stdout, each of which must be JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<Value> {
        let parse = |line: &str| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("`{line}` is no JSON: {error}\n{}", self.output()),
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The JSON lines of one type.
    #[track_caller]
    pub(crate) fn lines(&self, kind: &str) -> Vec<Value> {
        let mut lines = self.json();
        lines.retain(|line| line["type"] == kind);
        lines
    }

    #[track_caller]
    pub(crate) fn results(&self) -> Vec<Value> {
        self.lines("result")
    }

    /// The line of one entry of `apply --json`.
    #[track_caller]
    pub(crate) fn result(&self, path: &str) -> Value {
        let found = self.results().into_iter().find(|line| line["path"] == path);
        found.unwrap_or_else(|| panic!("no result for {path}\n{}", self.output()))
    }

    /// The one summary line, whose counts must sum to its entries.
    #[track_caller]
    pub(crate) fn summary(&self) -> Value {
        let mut summaries = self.lines("summary");
        assert_eq!(summaries.len(), 1, "summary lines\n{}", self.output());
        let summary = summaries.remove(0);
        let parts = if summary["command"] == "plan" { PLAN_PARTS } else { APPLY_PARTS };
        let sum: Option<u64> = parts.iter().map(|part| summary[*part].as_u64()).sum();
        assert_eq!(sum, summary["entries"].as_u64(), "sum of {parts:?}\n{}", self.output());
        summary
    }

    /// The counts of the summary that are not 0, as in `entries 3, downloaded 2, failed 1`.
    #[track_caller]
    pub(crate) fn counts(&self) -> String {
        let summary = self.summary();
        let counted = |name: &str| summary[name].as_u64().is_some_and(|count| count != 0);
        let names = [
            "entries",
            "fetch",
            "replace",
            "revalidate",
            "keep",
            "downloaded",
            "updated",
            "unchanged",
            "kept",
            "absent",
            "prune",
            "pruned",
            "failed",
            "skipped",
        ];
        let shown: Vec<_> = names
            .into_iter()
            .filter(|name| counted(name))
            .map(|name| format!("{name} {}", summary[name]))
            .collect();
        shown.join(", ")
    }

    /// The outcome of each entry that `apply --json` names, by path.
    #[track_caller]
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        by_path(&self.results(), "outcome")
    }

    /// The action of each entry that `plan --json` names, by path.
    #[track_caller]
    pub(crate) fn actions(&self) -> BTreeMap<String, String> {
        by_path(&self.lines("action"), "action")
    }

    /// Action and reason of one entry of `plan --json`.
    #[track_caller]
    pub(crate) fn decision(&self, path: &str) -> (String, String) {
        let found = self.lines("action").into_iter().find(|line| line["path"] == path);
        let line = found.unwrap_or_else(|| panic!("no action for {path}\n{}", self.output()));
        (text(&line["action"]), text(&line["reason"]))
    }

    /// Kind and message of the failure of an entry in `apply --json`.
    #[track_caller]
    pub(crate) fn failure(&self, path: &str) -> (String, String) {
        let line = self.result(path);
        assert_eq!(line["outcome"], "failed", "{path}\n{}", self.output());
        (text(&line["error"]["kind"]), text(&line["error"]["message"]))
    }
}

fn by_path(lines: &[Value], field: &str) -> BTreeMap<String, String> {
    let map: BTreeMap<_, _> =
        lines.iter().map(|line| (text(&line["path"]), text(&line[field]))).collect();
    assert_eq!(map.len(), lines.len(), "each path has one line");
    map
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// A running process, which is killed when this value is dropped.
pub(crate) struct Running {
    child: Child,
    begun: Instant,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    pub(super) fn start(
        mut command: Command,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Self {
        command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().expect("the program can be started");
        let stdout = Captured::of(child.stdout.take().expect("a pipe"));
        let stderr = Captured::of(child.stderr.take().expect("a pipe"));
        Self { child, begun, stdout, stderr }
    }

    pub(crate) fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the process can be signalled");
    }

    /// Waits until a file of that name is open in the process.
    #[track_caller]
    pub(crate) fn wait_until_it_reads(&self, name: &str) {
        let folder = format!("/proc/{}/fd", self.child.id());
        let is_open = || {
            let links = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            links
                .filter_map(|link| std::fs::read_link(link.path()).ok())
                .any(|to| to.ends_with(name))
        };
        let end = Instant::now() + LIMIT;
        while !is_open() {
            assert!(Instant::now() < end, "it does not read {name}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until stderr has this text.
    #[track_caller]
    pub(crate) fn wait_stderr_contains(&self, text: &str) {
        let came = self.stderr.wait(|seen, _| seen.contains(text));
        let seen = self.stderr.text();
        assert!(came, "waited in vain for `{text}` on stderr\n{seen}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Waits for the end of the run, which must come within a minute.
    #[track_caller]
    pub(crate) fn wait(self) -> Run {
        self.wait_at_most(LIMIT)
    }

    /// Waits for the end of the run, which must come within that time.
    #[track_caller]
    pub(crate) fn wait_at_most(mut self, limit: Duration) -> Run {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be asked") {
                break status;
            }
            if end < Instant::now() {
                let _ = self.child.kill();
                let (stdout, stderr) = (self.stdout.text(), self.stderr.text());
                panic!(
                    "not finished within {limit:?}\n--- stdout\n{stdout}--- stderr\n{stderr}---"
                );
            }
            thread::sleep(Duration::from_millis(3));
        };
        let elapsed = self.begun.elapsed();
        Run {
            status: number(status),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
            elapsed,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
fn number(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().unwrap_or_else(|| -status.signal().unwrap_or(0))
}

/// A stream that a thread reads continuously.
struct Captured(Arc<Stream>);

#[derive(Default)]
struct Stream {
    seen: Mutex<Seen>,
    more: Condvar,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    ended: bool,
}

impl Captured {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let stream = Arc::<Stream>::default();
        let captured = Self(Arc::clone(&stream));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let read = pipe.read(&mut buffer).unwrap_or(0);
                let mut seen = stream.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.bytes.extend_from_slice(&buffer[..read]);
                seen.ended = read == 0;
                stream.more.notify_all();
                if seen.ended {
                    return;
                }
            }
        });
        captured
    }

    fn text(&self) -> String {
        let seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&seen.bytes).into_owned()
    }

    /// Waits for the end of the stream, and returns its text.
    fn whole(&self) -> String {
        self.wait(|_, ended| ended);
        self.text()
    }

    fn wait(&self, reached: impl Fn(&str, bool) -> bool) -> bool {
        let end = Instant::now() + PATIENCE;
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if reached(&String::from_utf8_lossy(&seen.bytes), seen.ended) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if seen.ended || left.is_zero() {
                return false;
            }
            seen = self.0.more.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
