#!/usr/bin/env python3
"""Prints the crates that a cold release build spends most time on, for the table in CONTRIBUTING.md.

    build_time.py [REPORT.html]    (a report of `cargo build --timings`; without one, builds into an empty folder first)
"""

import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]


def cold_build(folder) -> pathlib.Path:
    started = time.monotonic()
    command = ["cargo", "build", "--release", "--locked", "--timings", "--target-dir", folder]
    subprocess.run(command, cwd=ROOT, check=True)
    print(f"cold release build: {time.monotonic() - started:.0f} s")
    return pathlib.Path(folder) / "cargo-timings" / "cargo-timing.html"


def print_table(report) -> None:
    units = json.loads(re.search(r"UNIT_DATA = (\[.*?\]);\n", report.read_text(), re.S)[1])
    seconds = collections.Counter()
    for unit in units:
        seconds[unit["name"]] += unit["duration"]
    print(f"{sum(seconds.values()):.0f} s in {len(units)} units")
    for name, duration in seconds.most_common(15):
        print(f"| {name} | {duration:.0f} |")


if sys.argv[1:]:
    print_table(pathlib.Path(sys.argv[1]))
else:
    with tempfile.TemporaryDirectory(prefix="km-build-time-") as target:
        print_table(cold_build(target))
