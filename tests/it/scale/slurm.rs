//! A Slurm cluster of one node: munged, slurmctld and slurmd of the system's packages, in a
//! temporary directory and on free ports.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{find, skipped};

/// How long a daemon or a job may take. Slurm's scheduler works in steps of seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running cluster. It is stopped when this value is dropped.
pub(super) struct Slurm {
    /// In the order in which they were started.
    daemons: Vec<Child>,
    dir: TempDir,
}

impl Slurm {
    /// `None` if Slurm is not installed; prints a line that says so.
    pub(super) fn start() -> Option<Self> {
        let programs = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel"];
        if let Some(program) = programs.iter().find(|program| find(program).is_none()) {
            skipped(&format!("Slurm: {program} is not installed"));
            return None;
        }
        // Another process may take a free port before the daemon uses it.
        let started = (0..3).map(|_| Self::try_start()).find(Result::is_ok);
        let started = started.unwrap_or_else(Self::try_start);
        Some(started.unwrap_or_else(|log| panic!("Slurm does not start\n{log}")))
    }

    /// The error is what the daemons logged.
    fn try_start() -> Result<Self, String> {
        let dir = TempDir::with_prefix("natsync-slurm-").expect("a temporary directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("our directory");
        let mut cluster = Self { daemons: Vec::new(), dir };
        cluster.configure();
        let at = |name: &str| cluster.dir.path().join(name).display().to_string();
        let munged = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            format!("--key-file={}", at("munge.key")),
            format!("--socket={}", at("munge.socket")),
            format!("--pid-file={}", at("munge.pid")),
            format!("--log-file={}", at("munge.log")),
            format!("--seed-file={}", at("munge.seed")),
        ];
        let host = host();
        let controller = ["-D".to_owned()];
        let node = ["-D".to_owned(), "-N".to_owned(), host];
        cluster.daemon("munged", &munged);
        cluster.reaches("munged", |cluster| cluster.dir.path().join("munge.socket").exists())?;
        cluster.daemon("slurmctld", &controller);
        cluster.daemon("slurmd", &node);
        cluster.reaches("the node", |cluster| {
            let states = cluster.command("sinfo").args(["-h", "-o", "%t"]).output();
            states.is_ok_and(|states| states.stdout == b"idle\n")
        })?;
        Ok(cluster)
    }

    fn configure(&self) {
        let dir = self.dir.path().display();
        let user = user();
        let host = host();
        let ports: Vec<_> = (0..2)
            .map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback"))
            .collect();
        let port = |n: usize| ports[n].local_addr().expect("the address of a listener").port();
        let text = format!(
            "ClusterName=natsync
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={}
SlurmdPort={}
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
MpiDefault=none
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
",
            port(0),
            port(1),
        );
        fs::write(self.conf(), text).expect("its configuration");
        for folder in ["state", "spool"] {
            fs::create_dir(self.dir.path().join(folder)).expect("its folders");
        }
        let key = self.dir.path().join("munge.key");
        fs::write(&key, [7; 128]).expect("a key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("our key");
    }

    pub(super) fn conf(&self) -> PathBuf {
        self.dir.path().join("slurm.conf")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(find(program).expect("it was found at the start"));
        command.env("SLURM_CONF", self.conf()).stdin(Stdio::null());
        command
    }

    fn daemon(&mut self, program: &str, arguments: &[String]) {
        let log = fs::File::create(self.dir.path().join(format!("{program}.out"))).expect("a log");
        let child = self
            .command(program)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdout(log.try_clone().expect("its log"))
            .stderr(log)
            .spawn()
            .expect("the daemon can be started");
        self.daemons.push(child);
    }

    /// Waits until something is so.
    #[track_caller]
    pub(super) fn until(&mut self, what: &str, is_so: impl FnMut(&Self) -> bool) {
        self.reaches(what, is_so).unwrap_or_else(|log| panic!("{log}"));
    }

    /// Waits until something is so. An error if a daemon ended before.
    fn reaches(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        while !is_so(self) {
            let ended = |daemon: &mut Child| daemon.try_wait().is_ok_and(|status| status.is_some());
            if end < Instant::now() || self.daemons.iter_mut().any(ended) {
                return Err(format!("waited in vain for {what}\n{}", self.logs()));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits until a job has left the queue.
    #[track_caller]
    pub(super) fn wait_for(&mut self, job: &str) {
        self.until(&format!("job {job}"), |cluster| {
            let queue = cluster.command("squeue").args(["-h", "-j", job]).output();
            let queue = queue.expect("squeue runs");
            let unknown = String::from_utf8_lossy(&queue.stderr).contains("Invalid job id");
            (queue.status.success() && queue.stdout.is_empty()) || unknown
        });
    }

    /// Ends a running task of the array with this name.
    pub(super) fn cancel(&self, name: &str, task: &str) {
        let mut queue = self.command("squeue");
        let queue = queue.args(["-h", "-n", name, "-t", "running", "-o", "%F_%K"]).output();
        let queue = String::from_utf8(queue.expect("squeue runs").stdout).expect("numbers");
        let found = queue.lines().find(|id| id.split('_').nth(1) == Some(task));
        let found = found.unwrap_or_else(|| panic!("{name} {task} does not run: {queue}"));
        let cancelled = self.command("scancel").arg(found).status();
        assert!(cancelled.expect("scancel runs").success());
    }

    /// The last lines that each daemon logged.
    fn logs(&self) -> String {
        let names = ["munged.out", "munge.log", "slurmctld.out", "slurmctld.log", "slurmd.log"];
        let last = names.map(|name| {
            let log = fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            format!("--- {name}\n{}\n", lines[lines.len().saturating_sub(20)..].join("\n"))
        });
        last.concat()
    }

    fn has_jobs(&self) -> bool {
        let queue = self.command("squeue").arg("-h").output();
        queue.is_ok_and(|queue| queue.status.success() && !queue.stdout.is_empty())
    }
}

impl Drop for Slurm {
    /// Ends the jobs first: they belong to processes of their own, which outlive slurmd.
    fn drop(&mut self) {
        if self.has_jobs() {
            let _ = self.command("scancel").args(["--user", &user()]).output();
            let end = Instant::now() + Duration::from_secs(20);
            while self.has_jobs() && Instant::now() < end {
                thread::sleep(Duration::from_millis(50));
            }
        }
        for daemon in self.daemons.iter_mut().rev() {
            stop(daemon);
        }
    }
}

fn stop(daemon: &mut Child) {
    let _ = kill_process(Pid::from_child(daemon), Signal::TERM);
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        if daemon.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = daemon.kill();
    let _ = daemon.wait();
}

/// The name by which slurmctld knows its own machine.
fn host() -> String {
    let name = said("uname", "-n").expect("a machine has a name");
    name.split('.').next().unwrap_or_default().to_owned()
}

/// The user of this process, by number if the system has no name for it.
fn user() -> String {
    said("id", "-un").unwrap_or_else(|| rustix::process::getuid().as_raw().to_string())
}

fn said(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// Says what a job printed.
#[track_caller]
pub(super) fn printed(dir: &Path, job: &str) -> String {
    let path = dir.join(format!("slurm-{job}.out"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
