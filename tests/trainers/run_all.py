#!/usr/bin/env python3
"""Run the published trainers on the program's files.

    python run_all.py --binary BINARY [--transformers4 PYTHON] [--tokenizers FOLDER] [--light]

--light runs what needs no torch: the published data processing, and `datasets`. --transformers4 is a Python with transformers 4.57 and
instructlab-training, for --tokenizer-rules file. --tokenizers is a folder with more tokenizers.
The last line counts what passed, failed and was skipped.
"""
import argparse
import pathlib
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers4", type=pathlib.Path)
    arguments.add_argument("--tokenizers", type=pathlib.Path)
    arguments.add_argument("--light", action="store_true")
    o = arguments.parse_args()
    more = ["--tokenizers", o.tokenizers] if o.tokenizers else []
    runs = [(name, sys.executable, ["--rules", "auto", *more]) for name in ("test_rows.py", "test_documents.py")]
    skipped = []
    if o.transformers4:
        runs += [(name, o.transformers4, ["--rules", "file", *more]) for name in ("test_rows.py", "test_documents.py")]
    else:
        skipped.append("test_rows.py and test_documents.py --rules file: no --transformers4")
    if not o.tokenizers:
        skipped.append("the tokenizers of qwen2.5 and phi-3-mini: no --tokenizers")
    runs.append(("test_types.py", sys.executable, []))
    full = ["test_blocks.py", "test_loaders.py", "test_hub.py", "test_trl.py", "test_eos.py", "test_other.py", "test_tools.py"]
    if o.light:
        skipped.append(f"{', '.join(full)}: they need torch and the trainers (make test-trainers)")
    else:
        runs += [(name, sys.executable, []) for name in full]
    passed = failed = 0
    for name, python, flags in runs:
        start = time.monotonic()
        command = [python, HERE / name, "--binary", o.binary.resolve(), *flags]
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        passed, failed = passed + (done.returncode == 0), failed + (done.returncode != 0)
        shown = [line for line in done.stdout.splitlines() if line.startswith(("ok ", "rows:", "--thinking", "instructlab", "stand-ins"))]
        skipped += [line.removeprefix("SKIPPED: ") for line in done.stdout.splitlines() if line.startswith("SKIPPED: ")]
        print(f"--- {name} {' '.join(map(str, flags))} ({time.monotonic() - start:.0f} s)", *shown, sep="\n", flush=True)
        if done.returncode:
            print(f"FAILED {name}", done.stdout[-2000:], done.stderr[-4000:], sep="\n", flush=True)
    for what in skipped:
        print(f"SKIPPED: {what}")
    print(f"trainers: {passed} passed, {failed} failed, {len(skipped)} skipped")
    return 1 if failed else 0


sys.exit(main())
