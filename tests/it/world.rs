//! A directory with a manifest and an origin, in which tests run the program.

mod run;
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rusqlite::Connection;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use tempfile::TempDir;

pub(crate) use run::{Run, Running};

use crate::origin::{File, Origin};

/// Does this for each of them at the same time, because most of the time of a run is waiting.
pub(crate) fn side_by_side<T: Send>(all: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    let check = &check;
    std::thread::scope(|scope| {
        for one in all {
            scope.spawn(move || check(one));
        }
    });
}

/// The result of a run.
pub(crate) struct Output {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the program in any directory.
pub(crate) fn natsync(args: &[&str], dir: &Path) -> Output {
    let Run { status, stdout, stderr, .. } = Running::start(run::command(dir), args).wait();
    Output { status, stdout, stderr }
}

/// A directory, an origin, and the environment for runs.
///
/// In manifests, `$BASE` is replaced by the origin's URL and `$PORT` by its port. The manifest is
/// `natsync.yaml`, the default of the program; the destination is `out`, unless a manifest says
/// otherwise.
pub(crate) struct World {
    pub(crate) origin: Origin,
    dir: TempDir,
    env: Vec<(String, String)>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = TempDir::with_prefix("natsync-test-").expect("a temporary directory");
        Self { origin: Origin::new(), dir, env: Vec::new() }
    }

    /// A world on a memory file system if there is one, where frequent syncs are fast.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let Ok(dir) = TempDir::with_prefix_in("natsync-test-", memory) else {
            return Self::new();
        };
        Self { origin: Origin::new(), dir, env: Vec::new() }
    }

    /// Serves content at a path of the origin.
    pub(crate) fn serve(self, path: &str, file: impl Into<File>) -> Self {
        self.origin.serve(path, file);
        self
    }

    /// Serves `/1.txt` to `/count.txt`, each with `file N` in it.
    pub(crate) fn serve_numbered(self, count: usize) -> Self {
        for n in 1..=count {
            self.origin.serve(&format!("/{n}.txt"), numbered(n));
        }
        self
    }

    /// Writes `natsync.yaml`; adds `version: 1` and `dest: out` if they are missing.
    pub(crate) fn manifest(self, text: &str) -> Self {
        self.set_manifest("natsync.yaml", text);
        self
    }

    /// Writes a manifest with one source: this URL and these further lines.
    pub(crate) fn source(self, url: &str, settings: &[&str]) -> Self {
        let mut text = format!("sources:\n  - url: {url}\n");
        for setting in settings {
            text.push_str("    ");
            text.push_str(setting);
            text.push('\n');
        }
        self.manifest(&text)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a manifest with this name; replaces an existing one.
    pub(crate) fn set_manifest(&self, name: &str, text: &str) {
        let mut whole = String::new();
        for (key, line) in [("version:", "version: 1\n"), ("dest:", "dest: out\n")] {
            if !text.lines().any(|line| line.starts_with(key)) {
                whole.push_str(line);
            }
        }
        whole.push_str(text);
        let whole = whole
            .replace("$BASE", &self.origin.base())
            .replace("$PORT", &self.origin.port().to_string());
        self.write(name, whole);
    }

    // Runs.

    pub(crate) fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Run {
        self.spawn(args).wait()
    }

    pub(crate) fn apply(&self) -> Run {
        self.run(["apply", "--json"])
    }

    pub(crate) fn plan(&self) -> Run {
        self.run(["plan", "--json"])
    }

    pub(crate) fn spawn<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Running {
        Running::start(self.command(), args)
    }

    /// A command for the program, to which a test can add arguments and streams.
    pub(crate) fn command(&self) -> std::process::Command {
        let mut command = run::command(self.dir.path());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// As `command`, but started by another program with these arguments.
    pub(crate) fn command_under(&self, program: &str, arguments: &[&str]) -> std::process::Command {
        let inner = self.command();
        let mut command = std::process::Command::new(program);
        command.args(arguments).arg(inner.get_program()).current_dir(self.dir.path());
        command.env_clear().stdin(std::process::Stdio::null());
        let variables = inner.get_envs();
        command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        command
    }

    /// Filters for snapshots of output, which replace the port, the directory, times and rates.
    pub(crate) fn filters(&self) -> insta::Settings {
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(&format!(":{}\\b", self.origin.port()), ":PORT");
        settings.add_filter(&regex_of(self.dir.path()), "DIR");
        settings.add_filter(r"\b[0-9.]+ [kMG]?B/s", "RATE");
        settings.add_filter(r"\b[0-9]+ min [0-9]+ s\b|\b[0-9.]+ m?s\b", "TIME");
        settings.add_filter(r#""elapsed_ms":[0-9]+"#, r#""elapsed_ms":0"#);
        settings
    }

    // Files, by paths below the world's directory.

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.path(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
    }

    /// Writes a file, and creates its parent folders.
    #[track_caller]
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folders above a file");
        fs::write(path, bytes).expect("a file in the world");
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) {
        fs::remove_file(self.path(path)).expect("a file to delete");
    }

    #[track_caller]
    pub(crate) fn mtime(&self, path: &str) -> SystemTime {
        let metadata =
            self.path(path).metadata().unwrap_or_else(|error| panic!("no stat of {path}: {error}"));
        metadata.modified().expect("a system with mtimes")
    }

    #[track_caller]
    pub(crate) fn set_mtime(&self, path: &str, at: SystemTime) {
        let file = fs::File::options().write(true).open(self.path(path)).expect("a file to touch");
        file.set_modified(at).expect("a time that the file system can hold");
    }

    /// Sets the file's time to now and leaves its content.
    #[track_caller]
    pub(crate) fn touch(&self, path: &str) {
        self.set_mtime(path, SystemTime::now());
    }

    /// Every file below a directory, without natsync's own folder.
    #[track_caller]
    pub(crate) fn files(&self, dest: &str) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let root = self.path(dest);
        if root.exists() {
            collect(&root, &root, &mut files);
        }
        files.retain(|path, _| path != ".natsync" && !path.starts_with(".natsync/"));
        files
    }

    /// The names of the files below `out`.
    #[track_caller]
    pub(crate) fn names(&self) -> Vec<String> {
        self.files("out").into_keys().collect()
    }

    /// Fails unless `out` has exactly these files.
    #[track_caller]
    pub(crate) fn assert_files(&self, expected: &[(&str, &str)]) {
        let files = self.files("out");
        let seen: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (path.clone(), String::from_utf8_lossy(bytes).into_owned()))
            .collect();
        let mut expected: Vec<_> =
            expected.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        expected.sort();
        assert_eq!(seen, expected, "files in the destination");
    }

    /// The names of the partial files in natsync's own folder.
    #[track_caller]
    pub(crate) fn partial_files(&self) -> Vec<String> {
        self.files("out/.natsync/partial").into_keys().collect()
    }

    /// Waits until this many partial files can be resumed by another run.
    #[track_caller]
    pub(crate) fn wait_for_parts(&self, count: usize) {
        let end = std::time::Instant::now() + crate::origin::PATIENCE;
        let noted = || {
            let is_noted = |name: &String| {
                let note = self.path("out/.natsync/partial").join(name);
                name.contains(".part")
                    && fs::read_to_string(note).is_ok_and(|text| 1 < text.lines().count())
            };
            self.partial_files().iter().filter(|name| is_noted(name)).count()
        };
        while noted() < count {
            assert!(std::time::Instant::now() < end, "waited in vain for {count} parts");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a file exists.
    #[track_caller]
    pub(crate) fn wait_for_file(&self, path: &str) {
        let end = std::time::Instant::now() + crate::origin::PATIENCE;
        while !self.exists(path) {
            assert!(std::time::Instant::now() < end, "waited in vain for {path}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts a run that waits because another one holds the destination, and returns when it has
    /// found that.
    #[track_caller]
    pub(crate) fn spawn_waiting<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
    ) -> Running {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        let guard = self.path("out/.natsync/run.lock");
        inotify::add_watch(&watch, &guard, inotify::WatchFlags::CLOSE_WRITE).unwrap();
        let running = self.spawn(args);
        // A run that finds the guard held closes it, and tries again later.
        let patience = crate::origin::PATIENCE.try_into().unwrap();
        let closed = poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&patience)).unwrap();
        assert_eq!(closed, 1, "the run does not try to take the destination");
        running
    }

    /// Waits until a file in the staging area has this many bytes.
    #[track_caller]
    pub(crate) fn wait_for_staged(&self, bytes: usize) {
        let end = std::time::Instant::now() + crate::origin::PATIENCE;
        let staged = || {
            let files = self.files("out/.natsync/partial");
            files.values().map(Vec::len).max().unwrap_or(0)
        };
        while staged() < bytes {
            assert!(std::time::Instant::now() < end, "waited in vain for {bytes} bytes");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The path of the state database.
    pub(crate) fn state(&self) -> PathBuf {
        self.path("out/.natsync/state.db")
    }

    /// Every byte of natsync's own folder.
    #[track_caller]
    pub(crate) fn state_bytes(&self) -> Vec<u8> {
        let mut files = BTreeMap::new();
        let root = self.path("out/.natsync");
        collect(&root, &root, &mut files);
        files.into_values().flatten().collect()
    }

    /// Makes all records of the state older by `age`.
    #[track_caller]
    pub(crate) fn age_state(&self, age: Duration) {
        self.age_state_of("out", age);
    }

    /// As `age_state`, for another destination.
    #[track_caller]
    pub(crate) fn age_state_of(&self, dest: &str, age: Duration) {
        let state = self.path(dest).join(".natsync/state.db");
        let state = Connection::open(state).expect("the state opens");
        for times in
            ["UPDATE files SET checked = checked - ?", "UPDATE missing SET since = since - ?"]
        {
            state.execute(times, [age.as_secs()]).expect("the state keeps these times");
        }
    }

    /// Sets the state's version, as a program of another version would.
    #[track_caller]
    pub(crate) fn set_state_version(&self, version: i32) {
        let state = Connection::open(self.state()).expect("the state opens");
        state.pragma_update(None, "user_version", version).expect("the state takes a version");
    }
}

/// The content that `serve_numbered` serves at `/N.txt`.
pub(crate) fn numbered(n: usize) -> String {
    format!("file {n}\n")
}

/// Pseudo-random bytes without repeating sections.
pub(crate) fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..size).map(|_| next()).collect()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// The SHA-256 of a content, in hexadecimal digits.
pub(crate) fn sha256_of(content: impl AsRef<[u8]>) -> String {
    use sha2::Digest as _;
    hex(&sha2::Sha256::digest(content))
}

/// A path as a regular expression that matches only this path.
fn regex_of(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .map(|c| if c.is_alphanumeric() || c == '/' { c.to_string() } else { format!("\\{c}") })
        .collect()
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder to list") {
        let path = entry.expect("an entry of a folder").path();
        let kind = path.symlink_metadata().expect("its stat").file_type();
        let name =
            path.strip_prefix(root).expect("a path below the root").to_string_lossy().into_owned();
        if kind.is_dir() {
            collect(root, &path, files);
        } else if kind.is_file() {
            files.insert(name, fs::read(&path).expect("its content"));
        } else {
            files.insert(name, Vec::new());
        }
    }
}
