//! Tests the natgeo manifest with a real server, nginx.
//!
//! The assertions use nginx's access log, which says what the server really sent.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tempfile::TempDir;

use crate::origin::{PATIENCE, first_modified};
use crate::world::{Run, World};

const FOLDER: &str = "tree/photo-contest/2009/img/wallpaper";

const WEEKS: [&str; 13] = [
    "0817", "0824", "0831", "0907", "0914", "0921", "0928", "1005", "1013", "1019", "1026", "1102",
    "1109",
];

/// A running nginx that serves the folder `tree` of its own directory.
struct Nginx {
    child: Child,
    dir: TempDir,
    port: u16,
}

/// A line of its access log.
#[derive(Debug)]
struct Seen {
    method: String,
    status: u16,
    bytes: usize,
    path: String,
}

impl Nginx {
    /// `None` if nginx is not installed; prints a line that says so.
    fn start() -> Option<Self> {
        let Some(program) = find() else {
            skipped();
            return None;
        };
        // Another process may take the free port before nginx uses it.
        let nginx = (0..5).find_map(|_| Self::try_start(&program));
        Some(nginx.expect("nginx starts on one of five ports"))
    }

    fn try_start(program: &Path) -> Option<Self> {
        let dir = TempDir::with_prefix("natsync-nginx-").expect("a temporary directory");
        fs::create_dir_all(dir.path().join(FOLDER)).expect("the tree");
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .ok()?
            .port();
        let prefix = dir.path().display().to_string();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("    {name}_temp_path {prefix}/{name};\n"))
            .concat();
        let configuration = format!(
            "daemon off;
master_process off;
pid {prefix}/nginx.pid;
error_log {prefix}/error.log;
events {{ worker_connections 512; }}
http {{
{temporary}    types {{ image/jpeg jpg; }}
    log_format seen '$request_method $status $body_bytes_sent $request_uri';
    access_log {prefix}/access.log seen;
    server {{
        listen 127.0.0.1:{port};
        root {prefix}/tree;
    }}
}}
"
        );
        fs::write(dir.path().join("nginx.conf"), configuration).expect("its configuration");
        let child = Command::new(program)
            .args([
                "-p",
                &prefix,
                "-c",
                &format!("{prefix}/nginx.conf"),
                "-e",
                &format!("{prefix}/error.log"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx can be started");
        let mut nginx = Self { child, dir, port };
        nginx.answers().then_some(nginx)
    }

    /// Waits until nginx accepts connections; `false` if it exited instead.
    fn answers(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }

    fn put(&self, name: &str, body: &[u8], modified: SystemTime) {
        let path = self.file(name);
        fs::write(&path, body).expect("a file of the tree");
        let file = fs::File::options().write(true).open(path).expect("that file");
        file.set_modified(modified).expect("its time");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(FOLDER).join(name)
    }

    fn rewrite(&self) -> String {
        format!("http://ngm.nationalgeographic.com/=http://127.0.0.1:{}/", self.port)
    }

    /// The log lines since the last call. Waits until nginx has logged all of them.
    fn seen(&self) -> Vec<Seen> {
        // The single worker handles requests in order, so all earlier requests are logged before
        // this one.
        let mark = format!(
            "/mark-{}",
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos()
        );
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("nginx listens");
        stream.write_all(format!("GET {mark} HTTP/1.0\r\n\r\n").as_bytes()).expect("nginx reads");
        stream.read_to_end(&mut Vec::new()).expect("nginx answers");
        let log = self.dir.path().join("access.log");
        let end = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if text.contains(&mark) {
                fs::File::options()
                    .write(true)
                    .open(&log)
                    .and_then(|file| file.set_len(0))
                    .expect("a new log");
                return text
                    .lines()
                    .filter(|line| !line.contains(&mark))
                    .map(Seen::parse)
                    .collect();
            }
            assert!(Instant::now() < end, "nginx logs our own request");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let mut word = || words.next().expect("four words a line").to_owned();
        let (method, status, bytes, path) = (word(), word(), word(), word());
        Self {
            method,
            status: status.parse().expect("a status"),
            bytes: bytes.parse().expect("bytes"),
            path,
        }
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.is_file())
}

fn skipped() {
    // Bypasses the output capture of the test harness, which would hide the line in a passing test.
    let _ = writeln!(std::io::stderr(), "skipped: nginx is not installed");
}

fn names() -> Vec<String> {
    WEEKS
        .iter()
        .flat_map(|week| (1..=26).map(move |n| format!("{week}wallpaper-{n}_1600.jpg")))
        .collect()
}

/// The two dozen pictures that are missing upstream.
fn is_absent(index: usize) -> bool {
    index % 14 == 9
}

fn picture(name: &str, version: u32) -> Vec<u8> {
    let mut bytes = b"\xff\xd8\xff\xe0".to_vec();
    bytes.extend(format!("{name} in version {version}. ").repeat(20).into_bytes());
    bytes
}

fn natgeo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/natgeo.yaml")
}

/// Runs a command with `--json` on a manifest, with this nginx instead of the real host.
fn run(world: &World, nginx: &Nginx, command: &str, manifest: &Path) -> Run {
    let dest = world.path("mirror");
    world.run([
        command.as_ref(),
        manifest.as_os_str(),
        "--json".as_ref(),
        "--rewrite".as_ref(),
        nginx.rewrite().as_ref(),
        "--dest".as_ref(),
        dest.as_os_str(),
    ])
}

#[test]
fn natgeo_is_mirrored_from_nginx() {
    let Some(nginx) = Nginx::start() else { return };
    let world = World::new();
    let (absent, present): (Vec<_>, Vec<_>) =
        names().into_iter().enumerate().partition(|&(index, _)| is_absent(index));
    let present: Vec<String> = present.into_iter().map(|(_, name)| name).collect();
    assert_eq!(present.len() + absent.len(), 338);
    for name in &present {
        nginx.put(name, &picture(name, 1), first_modified());
    }
    let manifest = natgeo();
    let apply = |manifest: &Path| run(&world, &nginx, "apply", manifest);
    let plan = |manifest: &Path| run(&world, &nginx, "plan", manifest);

    // The first apply downloads every existing picture.
    assert_eq!(plan(&manifest).success().counts(), "entries 338, fetch 338");
    assert!(
        nginx.seen().is_empty() && !world.exists("mirror"),
        "a plan makes no requests and writes nothing"
    );
    let first = apply(&manifest).success();
    assert_eq!(
        first.counts(),
        format!("entries 338, downloaded {}, absent {}", present.len(), absent.len())
    );
    let files = world.files("mirror");
    assert_eq!(files.len(), present.len());
    for name in &present {
        assert!(files[name] == picture(name, 1), "{name}");
    }
    assert_eq!(world.mtime(&format!("mirror/{}", present[0])), first_modified());
    let seen = nginx.seen();
    assert_eq!(seen.len(), 338, "each is asked for once");
    assert!(seen.iter().all(|line| line.method == "GET" && [200, 404].contains(&line.status)));

    // The second apply downloads no picture.
    let second = apply(&manifest).success();
    assert_eq!(
        second.counts(),
        format!("entries 338, unchanged {}, absent {}", present.len(), absent.len())
    );
    let seen = nginx.seen();
    let unchanged: Vec<_> = seen.iter().filter(|line| line.status == 304).collect();
    assert_eq!(unchanged.len(), present.len());
    assert!(unchanged.iter().all(|line| line.bytes == 0));
    assert!(seen.iter().all(|line| [304, 404].contains(&line.status)), "{seen:#?}");

    // With `check: never` there is no request for an existing file.
    let text = fs::read_to_string(&manifest).expect("the manifest");
    let never = text.replace(
        "    on_missing: skip\n",
        "    on_missing: skip\n    check: never\n    missing_ttl: 1d\n",
    );
    assert_ne!(never, text);
    world.write("natgeo.yaml", never);
    let never = world.path("natgeo.yaml");
    let run = apply(&never).success();
    assert_eq!(
        run.counts(),
        format!("entries 338, kept {}, absent {}", present.len(), absent.len())
    );
    let seen = nginx.seen();
    assert!(seen.is_empty(), "{seen:#?}");

    changes(&world, &nginx, &present, &manifest);
}

/// Local and upstream changes, each with its action and its outcome.
fn changes(world: &World, nginx: &Nginx, present: &[String], manifest: &Path) {
    let [touched, truncated, edited, deleted, changed, vanished] =
        [3, 50, 100, 150, 200, 250].map(|index: usize| &present[index]);
    let local = |name: &str| format!("mirror/{name}");
    world.touch(&local(touched));
    world.write(&local(truncated), &picture(truncated, 1)[..100]);
    let mut bytes = picture(edited, 1);
    bytes.reverse();
    world.write(&local(edited), bytes);
    world.set_mtime(&local(edited), first_modified());
    world.delete(&local(deleted));
    nginx.put(changed, &picture(changed, 2), first_modified() + Duration::from_hours(24));
    fs::remove_file(nginx.file(vanished)).expect("a file of the tree");

    let plan = run(world, nginx, "plan", manifest).success();
    assert!(nginx.seen().is_empty());
    for (name, action, reason) in [
        (touched, "revalidate", "stale"),
        (truncated, "replace", "modified_locally"),
        (edited, "replace", "modified_locally"),
        (deleted, "fetch", "not_on_disk"),
        (changed, "revalidate", "stale"),
        (vanished, "revalidate", "stale"),
    ] {
        assert_eq!(plan.decision(name), (action.to_owned(), reason.to_owned()), "{name}");
    }
    assert_eq!(plan.summary()["replace"], 2);

    let outcomes = run(world, nginx, "apply", manifest).success().outcomes();
    for (name, outcome) in [
        (touched, "unchanged"),
        (truncated, "updated"),
        (edited, "updated"),
        (deleted, "downloaded"),
        (changed, "updated"),
        (vanished, "absent"),
    ] {
        assert_eq!(outcomes[name], outcome, "{name}");
    }
    let others = outcomes.values().filter(|outcome| *outcome == "unchanged").count();
    assert_eq!(others, present.len() - 5, "everything else is as it was");
    let seen = nginx.seen();
    let bodies: Vec<_> =
        seen.iter().filter(|line| line.status == 200).map(|line| line.path.clone()).collect();
    assert_eq!(bodies.len(), 4, "{bodies:?}");

    let files = world.files("mirror");
    for name in present {
        let version = if name == changed { 2 } else { 1 };
        assert!(files[name] == picture(name, version), "{name}");
    }
    assert_eq!(files.len(), present.len(), "what vanished upstream stays here");
}

#[test]
fn nginx_itself_serves_and_logs() {
    let Some(nginx) = Nginx::start() else { return };
    nginx.put("a.jpg", b"\xff\xd8\xff\xe0", first_modified());
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, nginx.port)).expect("nginx listens");
    stream
        .write_all(b"GET /photo-contest/2009/img/wallpaper/a.jpg HTTP/1.0\r\n\r\n")
        .expect("nginx reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("nginx answers");
    assert!(answer.ends_with(b"\r\n\r\n\xff\xd8\xff\xe0"));
    let seen = nginx.seen();
    assert_eq!((seen.len(), seen[0].status, seen[0].bytes), (1, 200, 4));
    assert!(seen[0].path.ends_with("/a.jpg"));
    assert!(nginx.seen().is_empty());
}
