#!/usr/bin/env python3
"""Compares the speed of natsync with that of other downloaders, on loopback.

    benches/peers.py [--rounds 5] [--only W1,W3] [--peers natsync,curl] [--markdown FILE]

Requires Linux, Python 3.9, nginx and the Rust toolchain. Of curl, aria2, wget2, rclone, rhash and perl it
measures those that are installed (Debian has packages of all of them). All files are in memory (/dev/shm, up
to 9 GiB) and are deleted at the end. The contenders run alternately, each round starts with a different one, and
the output has the medians of all rounds. After each run the script checks the number of files and bytes, and the
SHA-256 of each file.
"""

import argparse
import hashlib
import os
import random
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


# --- The machine and the origin -------------------------------------------------------------------


class Origin:
    """An nginx on a free port that serves a folder of files. `relay` is the program built from benches/delay.rs."""

    def __init__(self, work, location="", relay=ROOT / "target/release/examples/delay", address="127.0.0.1"):
        self.work, self.relay = work, relay
        self.root = work / "origin"
        self.root.mkdir()
        self.certificate = work / "ca.pem"
        self.port, self.tls_port = free_port(), free_port()
        self._certify()
        config = work / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 2; pid {work}/nginx.pid; error_log stderr crit;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; default_type application/octet-stream;
  keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_temp_path {work}/t1; proxy_temp_path {work}/t2; fastcgi_temp_path {work}/t3;
  uwsgi_temp_path {work}/t4; scgi_temp_path {work}/t5;
  http2_max_concurrent_streams 256;
  server {{ listen {address}:{self.port} reuseport backlog=4096; root {self.root}; {location} }}
  server {{ listen 127.0.0.1:{self.tls_port} ssl http2 reuseport backlog=4096; root {self.root};
            ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; }}
}}
""")
        path = os.environ["PATH"] + ":/usr/sbin"
        self.process = subprocess.Popen(
            ["nginx", "-p", str(work), "-e", "stderr", "-c", str(config)],
            env={**os.environ, "PATH": path},
        )
        self.relays = []
        wait_for(self.port)

    def _certify(self):
        """Creates a certificate authority and a server certificate signed by it."""
        (self.work / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
        key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        for command in (
            f"req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=Bench",
            f"req {key} -keyout key.pem -out request.pem -subj /CN=localhost",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
        ):
            subprocess.run(["openssl", *command.split()], cwd=self.work, check=True, capture_output=True)

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def far(self, milliseconds, tls=False):
        """The URL of a relay to this origin that adds a round-trip time of this many milliseconds."""
        target = self.tls_port if tls else self.port
        relay = subprocess.Popen(
            [self.relay, f"127.0.0.1:{target}", str(milliseconds)],
            stdout=subprocess.PIPE, text=True,
        )
        self.relays.append(relay)
        port = int(relay.stdout.readline())
        return f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"

    def fill(self, name, folders, files, size):
        """Creates files `name/FOLDER/FILE.bin` with random bytes, and returns their digests by path."""
        noise = random.Random(name)
        digests = {}
        for folder in range(folders):
            (self.root / name / str(folder)).mkdir(parents=True)
            for file in range(files):
                digest, left = hashlib.sha256(), size
                with open(self.root / name / str(folder) / f"{file}.bin", "wb") as out:
                    while left:
                        piece = noise.randbytes(min(left, 1 << 20))
                        digest.update(piece)
                        out.write(piece)
                        left -= len(piece)
                digests[f"{folder}/{file}.bin"] = digest.hexdigest()
        age = time.time() - 86_400
        for path in (self.root / name).rglob("*.bin"):
            os.utime(path, (age, age))
        return digests

    def stop(self):
        for process in [*self.relays, self.process]:
            process.send_signal(signal.SIGTERM)
            process.wait()


def free_port():
    import socket
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for(port):
    import socket
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.01)
    sys.exit("nginx does not answer")


# --- One run ---------------------------------------------------------------------------------------


class Figures:
    """The cost of one run: wall time and CPU time in seconds, peak memory in bytes, context switches."""

    def __init__(self, wall, cpu, memory, switches):
        self.wall, self.cpu, self.memory, self.switches = wall, cpu, memory, switches


def measure(command, cwd):
    """Runs a command and measures it together with its child processes. A small launcher forks it: the peak memory of a
    process includes the time before `exec`, so forking from this large process would distort the figure."""
    with tempfile.TemporaryFile() as errors:
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)],
            cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True)
        wall, cpu, memory, switches, status = ran.stdout.split()
        if status != "0":
            errors.seek(0)
            text = errors.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{shlex.join(map(str, command))}: exit {status}\n{text}")
    return Figures(float(wall), float(cpu), int(memory) * 1024, int(switches))


LAUNCHER = """
import os, sys, time
null = os.open(os.devnull, os.O_WRONLY)
start = time.perf_counter()
child = os.fork()
if child == 0:
    os.dup2(null, 1)
    os.execvp(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
wall = time.perf_counter() - start
switches = usage.ru_nvcsw + usage.ru_nivcsw
print(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss, switches, os.waitstatus_to_exitcode(status))
"""


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(file.read()).hexdigest()


def check(folder, digests, who):
    """Exits with a message unless the folder has exactly the files with these digests."""
    found = {}
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name != ".natsync"]
        for name in files:
            path = Path(base) / name
            found[str(path.relative_to(folder))] = path
    if set(found) != set(digests):
        odd = sorted(set(found) ^ set(digests))
        raise SystemExit(f"{who}: {len(found)} files instead of {len(digests)}, such as {odd[:3]}")
    with ThreadPoolExecutor(2) as pool:
        for (path, expected), digest in zip(digests.items(), pool.map(digest_of, map(found.get, digests))):
            if digest != expected:
                raise SystemExit(f"{who}: {path} has wrong bytes")


# --- Contenders ------------------------------------------------------------------------------------


class Contender:
    """A program to measure. Only the run of `command(dest)` is timed, `prepare(dest)` is not."""

    def __init__(self, name, command, prepare=None, checks=True):
        self.name, self.command = name, command
        self.prepare = prepare or (lambda dest: None)
        self.checks = checks


class Work:
    """A workload: files of one size, and the contenders that process them."""

    def __init__(self, key, title, unit, amount, limit=None):
        self.key, self.title, self.unit, self.amount, self.limit = key, title, unit, amount, limit
        self.contenders, self.digests, self.keeps = [], None, False

    def add(self, name, command, **more):
        if shutil.which(name.split()[0].strip(",")) or name.startswith("natsync"):
            self.contenders.append(Contender(name, command, **more))
        else:
            print(f"{self.key}: {name} is not installed", file=sys.stderr)


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, work
        self.natsync = str(Path(arguments.natsync).resolve())
        self.origin = Origin(work)
        self.data = {}

    def files(self, name, folders, files, size):
        if name not in self.data:
            self.data[name] = self.origin.fill(name, folders, files, size)
        return self.data[name]

    # The manifests and lists for the programs.

    def manifest(self, name, base, folders, files, tls=False, more=""):
        path = self.work / f"{name}-{abs(hash(base)) % 100_000}.yaml"
        trust = f"http: {{ca_file: {self.origin.certificate}}}\n" if tls else ""
        path.write_text(f"""version: 1
dest: unused
{trust}sources:
  - name: files
    url: {base}/{name}/{{folder}}/{{file}}.bin
    vars: {{folder: 0..{folders - 1}, file: 0..{files - 1}}}
    path: "{{folder}}/{{file}}.bin"
{more}""")
        return path

    def list_for(self, kind, name, base, dest, digests, extra=""):
        path = self.work / f"{kind}.list"
        with open(path, "w") as out:
            for file, digest in digests.items():
                url = f"{base}/{name}/{file}"
                if kind == "curl":
                    out.write(f'url = "{url}"\noutput = "{dest}/{file}"\n')
                elif kind == "curl-newer":
                    out.write(f'url = "{url}"\noutput = "{dest}/{file}"\ntime-cond = "{dest}/{file}"\n')
                elif kind == "aria2":
                    out.write(f"{url}\n  out={file}\n{extra.format(digest=digest)}")
                elif kind == "rclone":
                    out.write(f"{file}\n")
                else:
                    out.write(f"{url}\n")
        return path

    @staticmethod
    def folders_for(dest, digests):
        for folder in {str(Path(file).parent) for file in digests}:
            (dest / folder).mkdir(parents=True, exist_ok=True)

    def downloads(self, work, name, base, folders, files, jobs, tls=False, default=False):
        """Adds all contenders that can download a list of files."""
        digests = work.digests
        manifest = self.manifest(name, base, folders, files, tls)

        def number(*flags):
            return [] if default else [flag.format(jobs) for flag in flags]

        def listed(kind):
            return lambda dest: self.list_for(kind, name, base, dest, digests)

        work.add("natsync", lambda dest: [
            self.natsync, "apply", manifest, "--dest", dest, "-q", *number("-j{}")])

        def curl_list(dest):
            self.folders_for(dest, digests)
            self.list_for("curl", name, base, dest, digests)

        curl_trust = ["--cacert", self.origin.certificate] if tls else []
        work.add("curl", lambda dest: [
            "curl", "-sSfZ", "--http2" if tls else "--http1.1", *curl_trust,
            *number("--parallel-max", "{}"), "-K", self.work / "curl.list"], prepare=curl_list)
        wget2_trust = [f"--ca-certificate={self.origin.certificate}"] if tls else []
        work.add("wget2", lambda dest: [
            "wget2", "-q", "-nH", "-x", "--cut-dirs=1", "--no-config", *number("--max-threads={}"), *wget2_trust,
            "--http2=on" if tls else "--http2=off", "-i", self.work / "wget2.list", "-P", dest],
            prepare=listed("wget2"))
        if tls or "W4" in work.key:
            return  # aria2 and rclone do not use HTTP/2 here, and are much slower on a long path
        work.add("aria2c", lambda dest: [
            "aria2c", "-q", "--no-conf", *number("-j{}"), "--file-allocation=none",
            "-i", self.work / "aria2.list", "-d", dest], prepare=listed("aria2"))
        work.add("rclone", lambda dest: [
            "rclone", "copy", "-q", "--config", "/dev/null", *number("--transfers", "{}", "--checkers", "{}"),
            "--no-traverse", "--files-from-raw", self.work / "rclone.list",
            "--http-url", f"{base}/{name}/", ":http:", dest], prepare=listed("rclone"))

    # The workloads.

    def w1(self):
        work = Work("W1", "20,000 × 4 KiB, HTTP/1.1, 64 at a time", "files/s", 20_000)
        work.digests = self.files("w1", 20, 1000, 4096)
        self.downloads(work, "w1", self.origin.url(), 20, 1000, 64)
        return work

    def w2(self):
        work = Work("W2", "2,000 × 256 KiB, HTTP/1.1, 64 at a time", "files/s", 2_000)
        work.digests = self.files("w2", 4, 500, 262_144)
        self.downloads(work, "w2", self.origin.url(), 4, 500, 64)
        return work

    def w3(self):
        work = Work("W3", "4 × 512 MiB with SHA-256", "MB/s", 4 * 512 * 1.048576)
        digests = work.digests = self.files("w3", 1, 4, 512 << 20)
        base = self.origin.url()
        sums = self.work / "w3.sha256"
        sums.write_text("".join(f"{digest}  {file}\n" for file, digest in digests.items()))
        manifest = self.manifest("w3", base, 1, 4, more=f"    checksums: {{file: {sums}}}\n")
        work.add("natsync", lambda dest: [self.natsync, "apply", manifest, "--dest", dest, "-q", "-j", "4"])

        def curl_list(dest):
            self.folders_for(dest, digests)
            self.list_for("curl", "w3", base, dest, digests)

        work.add("aria2c with checksum",
                 lambda dest: ["aria2c", "-q", "--no-conf", "-j4", "--file-allocation=none", "-i",
                               self.work / "aria2.list", "-d", dest],
                 prepare=lambda dest: self.list_for("aria2", "w3", base, dest, digests,
                                                    "  checksum=sha-256={digest}\n"))
        fetch = f"curl -sSfZ --parallel-max 4 -K {self.work}/curl.list"
        work.add("curl, then sha256sum",
                 lambda dest: ["sh", "-c", f"{fetch} && cd {dest} && split -n l/2 --filter='sha256sum -c --quiet' {sums}"],
                 prepare=curl_list)
        work.add("curl unverified", lambda dest: shlex.split(fetch), prepare=curl_list)
        work.add("aria2c unverified",
                 lambda dest: ["aria2c", "-q", "--no-conf", "-j4", "--file-allocation=none", "-i",
                               self.work / "aria2.list", "-d", dest],
                 prepare=lambda dest: self.list_for("aria2", "w3", base, dest, digests))
        work.add("wget2 unverified",
                 lambda dest: ["wget2", "-q", "-nH", "-x", "--cut-dirs=1", "--no-config", "--max-threads=4",
                               "-i", self.work / "wget2.list", "-P", dest],
                 prepare=lambda dest: self.list_for("wget2", "w3", base, dest, digests))
        work.add("rclone unverified",
                 lambda dest: ["rclone", "copy", "-q", "--config", "/dev/null", "--transfers", "4", "--no-traverse",
                               "--files-from-raw", self.work / "rclone.list",
                               "--http-url", f"{base}/w3/", ":http:", dest],
                 prepare=lambda dest: self.list_for("rclone", "w3", base, dest, digests))
        return work

    def far(self, key, title, jobs, tls=False, default=False):
        work = Work(key, f"2,000 × 16 KiB over 50 ms, {title}", "files/s", 2_000)
        work.digests = self.files("w4", 4, 500, 16_384)
        base = self.origin.far(50, tls)
        self.downloads(work, "w4", base, 4, 500, jobs, tls, default)
        return work

    def w4(self):
        return [
            self.far("W4a", "HTTP/1.1, 64 at a time", 64),
            self.far("W4b", "HTTP/1.1, 256 at a time", 256),
            self.far("W4c", "HTTP/1.1, as they come", 0, default=True),
            self.far("W4d", "HTTP/2 over TLS, 64 at a time", 64, tls=True),
            self.far("W4e", "HTTP/2 over TLS, 256 at a time", 256, tls=True),
            self.far("W4f", "HTTP/2 over TLS, as they come", 0, tls=True, default=True),
        ]

    def w5a(self):
        work = Work("W5a", "20,000 files unchanged, by conditional requests", "files/s", 20_000)
        digests = work.digests = self.files("w1", 20, 1000, 4096)
        work.keeps = True
        base = self.origin.url()
        manifest = self.manifest("w1", base, 20, 1000)
        apply = lambda dest: [self.natsync, "apply", manifest, "--dest", dest, "-q", "-j", "64"]
        work.add("natsync", apply, prepare=lambda dest: measure(apply(dest), self.work))

        def wget2_list(dest):
            self.list_for("wget2", "w1", base, dest, digests)
            measure(wget2(dest), self.work)

        wget2 = lambda dest: ["wget2", "-q", "-N", "-nH", "-x", "--cut-dirs=1", "--no-config", "--max-threads=64",
                              "--http2=off", "-i", self.work / "wget2.list", "-P", dest]
        work.add("wget2", wget2, prepare=wget2_list)

        def curl_list(dest):
            self.folders_for(dest, digests)
            for file in digests:
                source = self.origin.root / "w1" / file
                if not (dest / file).exists():
                    shutil.copy2(source, dest / file)
            self.list_for("curl-newer", "w1", base, dest, digests)

        work.add("curl", lambda dest: ["curl", "-sSfZ", "--parallel-max", "64", "-K", self.work / "curl-newer.list"],
                 prepare=curl_list)
        return work

    def verify(self, key, title, name, folders, files, size, unit, amount):
        work = Work(key, title, unit, amount)
        digests = work.digests = self.files(name, folders, files, size)
        work.keeps = True
        base = self.origin.url()
        sums = self.work / f"{name}.sha256"
        sums.write_text("".join(f"{digest}  {file}\n" for file, digest in digests.items()))
        manifest = self.manifest(name, base, folders, files, more=f"    checksums: {{file: {sums}}}\n")
        work.add("natsync", lambda dest: [self.natsync, "verify", manifest, "--dest", dest, "-q"],
                 prepare=lambda dest: measure([self.natsync, "apply", manifest, "--dest", dest, "-q"], self.work))

        def copy(dest):
            self.folders_for(dest, digests)
            for file in digests:
                if not (dest / file).exists():
                    shutil.copy2(self.origin.root / name / file, dest / file)

        two = f"split -n l/2 --filter='cat >sums.$FILE' {sums} && "
        for tool, call in (("sha256sum", "sha256sum -c --quiet"), ("rhash", "rhash -c --sha256 --skip-ok")):
            def parts(dest, call=call):
                copy(dest)
                lines = sums.read_text().splitlines(keepends=True)
                for part in range(2):
                    (self.work / f"{name}.{part}").write_text("".join(lines[part::2]))
            work.add(f"{tool} ×2",
                     lambda dest, call=call: ["sh", "-c", f"cd {dest}; {call} {self.work}/{name}.0 & a=$!; "
                                              f"cd {dest}; {call} {self.work}/{name}.1 && wait $a"], prepare=parts)
        return work

    def w5b(self):
        return [
            self.verify("W5b small", "verify 20,000 × 4 KiB", "w1", 20, 1000, 4096, "files/s", 20_000),
            self.verify("W5b large", "verify 4 × 512 MiB", "w3", 1, 4, 512 << 20, "MB/s", 4 * 512 * 1.048576),
        ]

    def w5c(self):
        """A million files, pinned by a lock. They have one byte each, because this workload reads only names and stats."""
        dest = self.work / "million"
        manifest = self.work / "million.yaml"
        manifest.write_text("""version: 1
dest: million
sources:
  - name: files
    url: http://127.0.0.1:9/{folder}/{file}.bin
    vars: {folder: 0..999, file: 0..999}
    path: "{folder}/{file}.bin"
    expect: {min_size: 0}
""")
        if not dest.exists():
            digest = hashlib.sha256(b"x").hexdigest()
            with open(self.work / "million.lock", "w") as lock:
                lock.write('{"natsync_lock":1,"manifest":"million"}\n')
                for path in sorted(f"{folder}/{file}.bin" for folder in range(1000) for file in range(1000)):
                    lock.write(f'{{"path":"{path}","url":"http://127.0.0.1:9/{path}","size":1,"sha256":"{digest}"}}\n')
            for folder in range(1000):
                (dest / str(folder)).mkdir(parents=True)
                for file in range(1000):
                    with open(dest / str(folder) / f"{file}.bin", "wb") as out:
                        out.write(b"x")
            time.sleep(2.1)  # natsync reads files younger than two seconds again
            measure([self.natsync, "apply", manifest, "-q", "--offline"], self.work)
        works = []
        for command in ("plan", "apply"):
            work = Work(f"W5c {command}", f"1,000,000 pinned files, nothing to do: {command}", "files/s", 1_000_000)
            work.keeps = True
            work.add("natsync", lambda _, command=command: [self.natsync, command, manifest, "-q"], checks=False)
            work.add("find -printf", lambda _: ["find", dest, "-type", "f", "-printf", "%p %s %T@\\n"], checks=False)
            if command == "plan":
                work.add("rclone size", lambda _: ["rclone", "size", "--config", "/dev/null", dest], checks=False)
                work.add("rsync --list-only", lambda _: ["rsync", "-r", "--list-only", f"{dest}/"], checks=False)
            works.append(work)
        return works

    def w6(self):
        manifest = self.work / "ten.yaml"
        manifest.write_text("""version: 1
dest: ten
sources:
  - url: http://example.org/data/{folder:04}/{file:04}.bin
    vars: {folder: 0..3161, file: 0..3161}
    path: "{folder:04}/{file:04}.bin"
""")
        entries = 3162 * 3162
        urls = Work("W6 list", f"{entries:,} URLs printed", "URLs/s", entries)
        urls.keeps = True
        urls.add("natsync", lambda _: [self.natsync, "list", manifest, "--format", "urls"], checks=False)
        loop = ('for $a (0..3161) { for $b (0..3161) { '
                'printf "http://example.org/data/%04d/%04d.bin\\n", $a, $b } }')
        urls.add("perl", lambda _: ["perl", "-e", loop], checks=False)
        urls.add("seq -f", lambda _: ["seq", "-f", "http://example.org/data/%08.0f.bin", str(entries)], checks=False)
        plan = Work("W6 plan", f"{entries:,} entries planned into an empty folder", "entries/s", entries)
        plan.keeps = True
        plan.add("natsync", lambda _: [self.natsync, "plan", manifest, "-q"], checks=False)
        return [urls, plan]

    # Rounds.

    def run(self, work):
        chosen = self.arguments.peers.split(",") if self.arguments.peers else None
        contenders = [each for each in work.contenders if not chosen or each.name.split()[0] in chosen]
        figures = {each.name: [] for each in contenders}
        for round_ in range(self.arguments.rounds + 1):
            turn = round_ % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                name = contender.name.replace(" ", "-").replace(",", "") if work.keeps else "round"
                dest = self.work / f"{work.key.split()[0]}-{name}-{work.unit.split('/')[0]}"
                if not (work.keeps and dest.exists()):
                    dest.mkdir(exist_ok=True)
                    contender.prepare(dest)
                elif "list" in contender.name:
                    contender.prepare(dest)
                figure = measure(contender.command(dest), self.work)
                if contender.checks and (round_ == 0 or not work.keeps):
                    check(dest, work.digests, f"{work.key}: {contender.name}")
                if not work.keeps:
                    shutil.rmtree(dest)
                if round_ > 0:  # the first round is a warm-up
                    figures[contender.name].append(figure)
        return table(work, figures)


def table(work, figures):
    lines = [f"### {work.key}: {work.title}", "",
             f"| | {work.unit} | wall s | CPU s | peak MiB | natsync is faster by |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    ours = figures.get("natsync")
    for name, runs in figures.items():
        wall, cpu = (statistics.median(getattr(run, what) for run in runs) for what in ("wall", "cpu"))
        ratio = statistics.median(run.wall / our.wall for run, our in zip(runs, ours)) if ours else 0
        memory = max(run.memory for run in runs) / (1 << 20)
        mark = "" if name == "natsync" else f"{ratio:.2f}×"
        lines.append(f"| {name} | {work.amount / wall:,.0f} | {wall:.3f} | {cpu:.3f} | {memory:.0f} | {mark} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="W1,W2,W3,W4,W5a,W5b,W5c,W6")
    parser.add_argument("--peers", default="", help="only these programs, such as natsync,curl")
    parser.add_argument("--natsync", default=ROOT / "target/release/natsync")
    parser.add_argument("--work", default="/dev/shm")
    parser.add_argument("--markdown", help="also write the tables to this file")
    arguments = parser.parse_args()
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", "delay"], cwd=ROOT, check=True)
    if not Path(arguments.natsync).exists():
        subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    chosen = arguments.only.lower().split(",") if arguments.only else ["w1", "w2", "w3", "w4", "w5a", "w5b", "w5c", "w6"]
    tables = []
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="natsync-bench-") as work:
        os.chmod(work, 0o755)  # nginx reads as another user
        bench = Bench(arguments, Path(work))
        try:
            for key in chosen:
                works = getattr(bench, key)()
                for each in works if isinstance(works, list) else [works]:
                    text = bench.run(each)
                    print(text, flush=True)
                    tables.append(text)
        finally:
            bench.origin.stop()
    if arguments.markdown:
        Path(arguments.markdown).write_text("\n".join(tables))


if __name__ == "__main__":
    main()
