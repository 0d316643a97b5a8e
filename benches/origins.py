#!/usr/bin/env python3
"""Measures whether the time of a run grows in proportion to its origins.

    benches/origins.py [--natsync FILE] [--work /dev/shm] [--origins 10000,30000,100000]

Each entry has an origin of its own: an address of 127.0.0.0/8, all of them served by one nginx. The script fails if the CPU
time per entry of the largest run is more than half as large again as that of the smallest. Has the requirements of peers.py.
"""

import argparse
import os
import tempfile
from pathlib import Path

import peers

MOST_GROWTH = 1.5


def manifest(path, port, origins, dest):
    path.write_text(f"""version: 1
dest: {dest}
sources:
  - url: http://127.{{a}}.{{b}}.{{c}}:{port}/x
    vars: {{a: 1..{origins // 10000}, b: 0..99, c: 1..100}}
    path: "{{a}}/{{b}}/{{c}}"
""")
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--natsync", default=peers.ROOT / "target/release/natsync")
    parser.add_argument("--work", default="/dev/shm")
    parser.add_argument("--origins", default="10000,30000,100000", help="multiples of 10,000")
    arguments = parser.parse_args()
    natsync = str(Path(arguments.natsync).resolve())
    with tempfile.TemporaryDirectory(dir=arguments.work, prefix="natsync-origins-") as work:
        work = Path(work)
        os.chmod(work, 0o755)
        origin = peers.Origin(work, "location / { return 200 x; }", address="0.0.0.0")
        each = []
        try:
            print("| origins | wall s | CPU s | CPU µs per entry | peak MiB |\n| ---: | ---: | ---: | ---: | ---: |")
            for number in map(int, arguments.origins.split(",")):
                plan = manifest(work / f"{number}.yaml", origin.port, number, f"dest-{number}")
                figures = peers.measure([natsync, "apply", plan, "-q"], work)
                there = sum(len(names) for base, _, names in os.walk(work / f"dest-{number}") if ".natsync" not in base)
                if there != number:
                    raise SystemExit(f"there are {there} files instead of {number}")
                each.append(figures.cpu / number * 1e6)
                print(f"| {number:,} | {figures.wall:.2f} | {figures.cpu:.2f} | {each[-1]:.0f} | {figures.memory / (1 << 20):.0f} |", flush=True)
        finally:
            origin.stop()
    if each[0] * MOST_GROWTH < each[-1]:
        raise SystemExit(f"an entry takes {each[-1]:.0f} µs instead of {each[0]:.0f} µs")


if __name__ == "__main__":
    main()
