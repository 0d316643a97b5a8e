#!/usr/bin/env python3
"""Counts the instructions of a few fixed workloads. Unlike times, these counts hardly vary between runs.

    benches/instructions.py            compares with benches/instructions.json; exit status 1 if a count grew by more than a tenth
    benches/instructions.py --write    replaces benches/instructions.json by the new counts

Requires valgrind, nginx and the Rust toolchain. Libraries select different code on different processors, so the
counts are valid only for the machine on which they were written. On another machine, write them before a change and
compare after it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import peers

MEASURE = peers.ROOT / "benches/instructions.json"
NATSYNC = peers.ROOT / "target/release/natsync"


def instructions(command, work):
    """The number of instructions in all threads, counted by callgrind."""
    ran = subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *map(str, command)],
        cwd=work, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    counted = re.search(r"Collected : (\d+)", ran.stderr)
    if ran.returncode != 0 or not counted:
        raise SystemExit(f"{command}: exit {ran.returncode}\n{ran.stderr[-2000:]}")
    return int(counted[1])


def measure(work):
    origin = peers.Origin(work, "location / { return 200 xxxxxxxxxxxxxxxx; }")

    def manifest(name, entries, base):
        path = work / f"{name}.yaml"
        path.write_text(f"""version: 1
dest: {name}
sources:
  - url: {base}/{{n}}.bin
    vars: {{n: 1..{entries}}}
    check: never
    http: {{connections_per_host: 8}}
""")
        return path

    try:
        large = manifest("large", 100_000, "http://example.org")
        small = manifest("small", 2_000, origin.url())
        found = {"version": instructions([NATSYNC, "--version"], work),
                 "list, 100,000 entries": instructions([NATSYNC, "list", large, "--format", "urls"], work),
                 "plan, 100,000 entries": instructions([NATSYNC, "plan", large, "-q"], work),
                 "apply, 2,000 new files": instructions([NATSYNC, "apply", small, "-q"], work)}
        time.sleep(2.1)  # natsync reads files younger than two seconds again
        peers.measure([NATSYNC, "apply", small, "-q"], work)
        found["apply, 2,000 files there"] = instructions([NATSYNC, "apply", small, "-q"], work)
        found["verify, 2,000 files"] = instructions([NATSYNC, "verify", small, "-q"], work)
        return found
    finally:
        origin.stop()


def main():
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=peers.ROOT, check=True)
    with tempfile.TemporaryDirectory(prefix="natsync-count-") as work:
        os.chmod(work, 0o755)
        found = measure(Path(work))
    if "--write" in sys.argv[1:]:
        MEASURE.write_text(json.dumps(found, indent=2) + "\n")
    before = json.loads(MEASURE.read_text())
    grown = False
    for name, count in found.items():
        ratio = count / before.get(name, count)
        grown |= 1.1 < ratio
        mark = "  grew by more than a tenth" if 1.1 < ratio else ""
        print(f"{name:28} {count / 1e6:10,.1f} million  {ratio:5.2f} times before{mark}")
    sys.exit(1 if grown else 0)


if __name__ == "__main__":
    main()
