#!/usr/bin/env python3
"""Measures time and memory of each natsync command with a million files and more.

    benches/scale.py [--entries 1000000] [--natsync FILE] [--work /dev/shm]

Every file has one byte and comes from nginx on loopback. Has the requirements of peers.py, and needs about 6 GiB of memory
for a million files. "bytes per entry" is the difference between the peak and that of the same command with ten entries,
divided by the number of entries.
"""

import argparse
import os
import tempfile
from pathlib import Path

import peers

SETTINGS = "http: {connections_per_host: 64}\nmax_delete: 100%\n"


def manifest(path, base, folders, files, dest, more=""):
    path.write_text(f"""version: 1
dest: {dest}
prune: managed
{SETTINGS}sources:
  - url: {base}/{{folder}}/{{file}}.bin
    vars: {{folder: 0..{folders - 1}, file: 0..{files - 1}}}
    path: "{{folder}}/{{file}}.bin"
    check: never
{more}""")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--natsync", default=peers.ROOT / "target/release/natsync")
    parser.add_argument("--work", default="/dev/shm")
    arguments = parser.parse_args()
    natsync = str(Path(arguments.natsync).resolve())
    folders, files = arguments.entries // 1000, 1000
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="natsync-scale-") as work:
        work = Path(work)
        os.chmod(work, 0o755)
        origin = peers.Origin(work, "location / { return 200 x; }")
        base = origin.url()
        try:
            rows = []
            small = manifest(work / "small.yaml", base, 1, 10, "small")
            large = manifest(work / "large.yaml", base, folders, files, "large")
            commands = [("plan, nothing there", "plan"), ("apply, nothing there", "apply"),
                        ("apply, all there", "apply"), ("verify", "verify"), ("lock", "lock"),
                        ("plan with the lock", "plan"), ("apply with the lock", "apply")]
            for title, command in commands:
                of_few = peers.measure([natsync, command, small, "-q"], work)
                rows.append((title, peers.measure([natsync, command, large, "-q"], work), of_few))
                print(title, rows[-1][1].wall, flush=True)
            # From now on the manifest declares only half of the files.
            (work / "large.lock").unlink()
            manifest(work / "large.yaml", base, folders // 2, files, "large")
            before = peers.measure([natsync, "apply", small, "-q"], work)
            rows.append(("apply, half of it pruned", peers.measure([natsync, "apply", large, "-q"], work), before))
            there = sum(len(names) for base, _, names in os.walk(work / "large") if ".natsync" not in base)
            if there != folders // 2 * files:
                raise SystemExit(f"there are {there} files instead of {folders // 2 * files}")
            ten = manifest(work / "ten.yaml", "http://example.org", 10 * folders, files, "ten", "limits: {entries: 20000000}\n")
            for title, command in (("list, ten times as many", ["list", "--format", "urls"]), ("plan, ten times as many", ["plan"])):
                of_few = peers.measure([natsync, command[0], small, "-q", *command[1:]], work)
                rows.append((title, peers.measure([natsync, command[0], ten, "-q", *command[1:]], work), of_few))
            print("| | wall s | CPU s | peak MiB | bytes per entry |\n| --- | ---: | ---: | ---: | ---: |")
            for title, figures, of_few in rows:
                entries = folders * files * (10 if "ten" in title else 1)
                each = max(0, figures.memory - of_few.memory) / entries
                print(f"| {title} | {figures.wall:.2f} | {figures.cpu:.2f} | {figures.memory / (1 << 20):.0f} | {each:.0f} |")
        finally:
            origin.stop()


if __name__ == "__main__":
    main()
