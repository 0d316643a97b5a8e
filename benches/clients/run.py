#!/usr/bin/env python3
"""Compares natsync's HTTP connections with reqwest, and natsync's walk with walkdir.

    benches/clients/run.py [--pairs 9] [--only W1,W4,walk,count,size] [--profile release] [--markdown FILE]

Requires Linux, Python 3.9, nginx and the Rust toolchain; `count` also valgrind and strace. All files are in memory
(/dev/shm) and are deleted at the end. The clients run alternately, each round starts with the next one. A ratio is
calculated for each round from runs that follow one another; the tables have the median of all rounds, and the
smallest and largest ratio.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import instructions  # noqa: E402
import peers  # noqa: E402

TARGET = peers.ROOT / "target/clients"
# The crates that src/http is written with.
OWN = ["hyper", "h2", "hyper-util", "http-body-util", "tokio", "tokio-rustls", "rustls", "rustls-platform-verifier",
       "rustls-webpki", "webpki-root-certs", "futures-util", "bytes", "url", "percent-encoding", "httpdate", "base64"]
COLUMNS = ["wall s", "CPU s", "peak MiB", "context switches", "connections"]


def build(profile, *more):
    """Builds programs and returns their directory."""
    command = ["cargo", "build", "--quiet", "--locked", "--profile", profile, "--target-dir", TARGET, *more]
    subprocess.run(command, cwd=HERE, check=True)
    return TARGET / profile


class Bench:
    def __init__(self, arguments, work):
        self.arguments, self.work = arguments, work
        self.programs = build(arguments.profile)
        self.origin = peers.Origin(work, "location = /status { stub_status; }", relay=self.programs / "delay")
        self.data = {}

    def files(self, name, folders, files, size):
        if name not in self.data:
            self.data[name] = self.origin.fill(name, folders, files, size)
        return self.data[name]

    def accepted(self):
        """The number of connections that nginx has accepted."""
        with urllib.request.urlopen(f"{self.origin.url()}/status") as status:
            return int(re.search(r"\n\s*(\d+)", status.read().decode())[1])

    def command(self, client, runtime, name, digests, base, jobs, dest):
        """Makes the directories for the files, and the command that downloads them."""
        peers.Bench.folders_for(dest, digests)
        listed = self.work / "files.sha256"
        listed.write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
        return [self.programs / "clients", client, runtime, listed, f"{base}/{name}", dest, jobs]

    def download(self, client, runtime, name, digests, base, jobs, checks):
        dest = self.work / "dest"
        command = self.command(client, runtime, name, digests, base, jobs, dest)
        before = self.accepted()
        figures = peers.measure(command, self.work)
        connections = self.accepted() - before - 1  # the last one asked for the status
        if checks:
            peers.check(dest, digests, client)
        shutil.rmtree(dest)
        return [figures.wall, figures.cpu, figures.memory / (1 << 20), figures.switches, connections]

    def alternate(self, title, contenders, columns, run):
        """Measures contenders alternately. `run(contender, is_first)` returns a figure for each column."""
        rounds = {each: [] for each in contenders}
        for number in range(self.arguments.pairs + 1):
            turn = number % len(contenders)
            for contender in contenders[turn:] + contenders[:turn]:
                figures = run(contender, number == 0)
                if number > 0:  # the first round is a warm-up
                    rounds[contender].append(figures)
        lines = [f"### {title}", "", f"| | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
        for contender, runs in rounds.items():
            medians = [statistics.median(column) for column in zip(*runs)]
            lines.append(f"| {contender} | {' | '.join(map(shown, medians))} |")
        first, *others = contenders
        for other in others:
            cells = []
            for place in range(len(columns)):
                pairs = zip(rounds[other], rounds[first])
                ratios = [theirs[place] / ours[place] for theirs, ours in pairs if ours[place]]
                cells.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
            lines.append(f"| {other} / {first} | {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def downloads(self, title, runtime, clients, name, digests, base, jobs):
        return self.alternate(
            title, clients, COLUMNS,
            lambda client, first: self.download(client, runtime, name, digests, base, jobs, first))

    def w1(self):
        digests, base = self.files("w1", 20, 1000, 4096), self.origin.url()
        title = "W1: 20,000 × 4 KiB, 64 at a time"
        clients = ["natsync", "reqwest"]
        yield self.downloads(f"{title}, one event loop", "one", clients, "w1", digests, base, 64)
        yield self.downloads(f"{title}, an event loop for each core", "threads", [*clients, "reqwest-shared"],
                             "w1", digests, base, 64)

    def w4(self):
        digests, base = self.files("w4", 4, 500, 16_384), self.origin.far(50)
        yield self.downloads("W4: 2,000 × 16 KiB over 50 ms, 64 at a time, an event loop for each core", "threads",
                             ["natsync", "reqwest"], "w4", digests, base, 64)

    def count(self):
        """Instructions and system calls for each file: the difference between 2,200 files and 200, divided by 2,000."""
        # Valgrind offers no SHA instructions to programs, so larger files would hide the clients behind the digest.
        all_files = list(self.files("tiny", 3, 1000, 16).items())
        lines = ["### One file of 16 bytes, one event loop, 8 at a time", "",
                 "| | instructions | system calls |", "| --- | ---: | ---: |"]
        for client in ("natsync", "reqwest"):
            counts = []
            for amount in (200, 2200):
                dest = self.work / "dest"
                command = self.command(client, "one", "tiny", dict(all_files[:amount]), self.origin.url(), 8, dest)
                counts.append((instructions.instructions(command, self.work), system_calls(command, self.work)))
                shutil.rmtree(dest)
            each = [(more - few) / 2000 for few, more in zip(*counts)]
            lines.append(f"| {client} | {each[0]:,.0f} | {each[1]:.1f} |")
        yield "\n".join(lines) + "\n"

    def walk(self):
        tree = self.work / "tree"
        for folder in range(200):
            (tree / str(folder)).mkdir(parents=True)
            for file in range(1000):
                (tree / str(folder) / f"{file}.bin").touch()
        commands = {"natsync, 1 thread": ("natsync", 1), "natsync, 2 threads": ("natsync", 2), "walkdir": ("walkdir", 1)}

        def run(contender, _):
            figures = peers.measure([self.programs / "walks", *commands[contender], tree], self.work)
            return [figures.wall, figures.cpu, figures.memory / (1 << 20), figures.switches]

        yield self.alternate("A walk over 200,000 files in 200 directories", list(commands), COLUMNS[:4], run)
        shutil.rmtree(tree)

    def size(self):
        """The size of a program with one client, and the crates of that client."""
        crates = {"natsync": set().union(*(tree("-p", name) for name in OWN)), "reqwest": tree("-p", "reqwest")}
        lines = ["### Size", "", "| | stripped program, MiB | crates | of these not in the other |",
                 "| --- | ---: | ---: | ---: |"]
        for client, other in (("natsync", "reqwest"), ("reqwest", "natsync")):
            programs = build(self.arguments.profile, "--no-default-features", "--features", client, "--bin", "clients")
            alone = self.work / "alone"
            subprocess.run(["strip", "-o", alone, programs / "clients"], check=True)
            lines.append(f"| {client} | {alone.stat().st_size / (1 << 20):.2f} | {len(crates[client])} "
                         f"| {len(crates[client] - crates[other])} |")
        build(self.arguments.profile)
        yield "\n".join(lines) + "\n"


def tree(*arguments):
    """The crates that cargo compiles into a package, without those that run at build time only."""
    command = ["cargo", "tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", *arguments]
    listed = subprocess.run(command, cwd=HERE, check=True, stdout=subprocess.PIPE, text=True).stdout
    return {line.split()[0] for line in listed.splitlines() if line}


def system_calls(command, work):
    counts = work / "calls"
    subprocess.run(["strace", "-f", "-c", "-U", "calls,name", "-o", counts, *map(str, command)], cwd=work, check=True,
                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return int(re.search(r"(\d+)\s+total", counts.read_text())[1])


def shown(figure):
    return f"{figure:,.0f}" if figure >= 100 or figure == int(figure) else f"{figure:.3f}" if figure < 10 else f"{figure:.1f}"


def machine():
    """Processor, kernel, servers and the load before the measurement."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    path = os.environ["PATH"] + ":/usr/sbin"
    nginx = subprocess.run(["nginx", "-v"], env={**os.environ, "PATH": path}, stderr=subprocess.PIPE, text=True).stderr
    kernel = ".".join(os.uname().release.split("-")[0].split(".")[:2])
    return (f"{os.cpu_count()} cores of {model[1] if model else 'an unknown processor'}, Linux {kernel}, "
            f"{nginx.strip().split(': ')[-1]}, load average before the runs {os.getloadavg()[0]:.1f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--only", default="W1,W4,walk,count,size")
    parser.add_argument("--profile", default="release", help="release, or lto as natsync is released")
    parser.add_argument("--work", default="/dev/shm")
    parser.add_argument("--markdown", help="also write the tables to this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="natsync-clients-") as work:
        os.chmod(work, 0o755)  # nginx reads as another user
        bench = Bench(arguments, Path(work))
        texts = []
        try:
            for text in [machine() + "\n", *arguments.only.lower().split(",")]:
                for part in getattr(bench, text)() if hasattr(bench, text) else [text]:
                    print(part, flush=True)
                    texts.append(part)
        finally:
            bench.origin.stop()
    if arguments.markdown:
        Path(arguments.markdown).write_text("\n".join(texts))


if __name__ == "__main__":
    main()
