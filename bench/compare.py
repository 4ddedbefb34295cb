#!/usr/bin/env python3
"""Compare two builds of the program side by side: do they take the same time and memory, and write the same bytes?

    python bench/compare.py --before OLD_BINARY --after target/release/knowledge-mixing --tokenizer FOLDER [--runs 20]

The two take turns, each run into an empty folder, after one run each to warm up: wide rows and narrow rows with all columns,
wide rows with the training columns. Prints medians of wall time, CPU time (user and system) and peak memory, and their ratios;
ends with 1 if a ratio exceeds its limit or a training file differs.
"""
import argparse
import filecmp
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
CASES = {"wide": ("wide", 10, []), "narrow": ("narrow", 20, []), "wide, training columns": ("wide", 10, ["--columns", "training"])}
LIMITS = {"wall": 1.05, "cpu": 1.03, "memory": 1.05}


def data(work, shape, docs):
    """The input folder of a size, generated once."""
    folder = work / f"input-{shape}-{docs}"
    if not folder.is_dir():
        subprocess.run([sys.executable, HERE / "generate.py", folder, "--docs", str(docs), "--shape", shape], check=True)
    return folder


def run(binary, arguments, output):
    """One run: wall seconds, CPU seconds, peak memory in MB."""
    shutil.rmtree(output, ignore_errors=True)
    os.sync()
    start = time.perf_counter()
    process = subprocess.Popen([binary, "mix", "--quiet", "--output", output, *arguments], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    if status:
        sys.exit(f"{binary} failed with status {status}")
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "memory": usage.ru_maxrss / 1024}


def same_files(a, b):
    names = sorted(p.name for p in a.glob("combined_cut_*"))
    return names == sorted(p.name for p in b.glob("combined_cut_*")) and not any(filecmp.cmpfiles(a, b, names, shallow=False)[1:])


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--before", required=True, help="the earlier binary")
    a.add_argument("--after", required=True, help="the binary to judge")
    a.add_argument("--tokenizer", required=True, help="folder of the tokenizer")
    a.add_argument("--runs", type=int, default=20, help="measured runs of each binary and case")
    a.add_argument("--work", default=HERE.parent / "target" / "bench", type=pathlib.Path, help="where the input is kept")
    o = a.parse_args()
    failed = False
    print("| case | | before | after | ratio | limit |\n|---|---|---:|---:|---:|---:|")
    o.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=o.work) as scratch:
        outputs = {name: pathlib.Path(scratch) / name for name in ("before", "after")}
        for case, (shape, docs, more) in CASES.items():
            arguments = ["--input", data(o.work, shape, docs), "--tokenizer-model", o.tokenizer, "--cut-sizes", "10,20,30,40,50",
                         "--qa-per-doc", "6", *more]
            results = {"before": [], "after": []}
            for number in range(o.runs + 1):
                for name in ("before", "after") if number % 2 else ("after", "before"):
                    result = run(getattr(o, name), arguments, outputs[name])
                    if number:
                        results[name].append(result)
            for measure, limit in LIMITS.items():
                before, after = (statistics.median(r[measure] for r in results[name]) for name in ("before", "after"))
                unit = "MB" if measure == "memory" else "s"
                digits = 0 if measure == "memory" else 3
                print(f"| {case} | {measure} | {before:.{digits}f} {unit} | {after:.{digits}f} {unit} | {after / before:.3f} | {limit} |",
                      flush=True)
                failed |= after / before > limit
            if not same_files(outputs["before"], outputs["after"]):
                print(f"| {case} | the training files differ | | | | |")
                failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
