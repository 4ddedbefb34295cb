#!/usr/bin/env python3
"""Measure tokens files next to the published data processing that they replace.

    python bench/trainers.py --binary target/release/knowledge-mixing --tokenizer FOLDER [--shape narrow] [--docs 40] [--runs 5]

The data is generated once. The program writes messages, tokens, and both; the peer is
`process_messages_into_input_ids` of instructlab-training, with one process, on the messages file. Each takes turns, --runs times (the
peer once, it takes minutes). Figures are medians of the wall time, and the largest peak of resident memory. The Python that runs
this needs what tests/trainers/test_rows.py needs.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TRAINERS = HERE.parent / "tests" / "trainers"
PEER = """
import sys
sys.path.insert(0, sys.argv[1])
import published
rows = published.process(published.load(), sys.argv[2], sys.argv[3], 100_000, sys.argv[4])
print(len(rows))
"""


def measure(command):
    """Seconds, and peak resident memory in MB."""
    start = time.monotonic()
    child = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.monotonic() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{command} ends with {child.returncode}"
    return seconds, usage.ru_maxrss / 1000


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    arguments.add_argument("--tokenizer", type=pathlib.Path, required=True)
    arguments.add_argument("--shape", default="narrow", choices=["narrow", "wide"])
    arguments.add_argument("--docs", type=int, default=40)
    arguments.add_argument("--runs", type=int, default=5)
    o = arguments.parse_args()
    sys.path.insert(0, str(TRAINERS))
    import published

    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model = published.model_folder(o.tokenizer, "llama", folder / "model")
        subprocess.run([sys.executable, HERE / "generate.py", folder / "input", "--docs", str(o.docs), "--shape", o.shape], check=True)
        runs = {"messages": [], "messages,tokens": [], "tokens": []}
        for number in range(o.runs + 1):
            for formats, figures in runs.items():
                output = folder / f"out-{formats}"
                shutil.rmtree(output, ignore_errors=True)
                figure = measure([o.binary.resolve(), "mix", "--quiet", "--input", folder / "input", "--output", output, "--cut-sizes", "50",
                                  "--infeasible-cuts", "keep", "--tokenizer-model", model, "--formats", formats])
                # The first round warms up.
                figures.extend([figure] if number else [])
        mix = folder / "out-messages" / "combined_cut_50x.jsonl"
        rows = sum(1 for _ in mix.open("rb"))
        peer, peer_memory = measure([sys.executable, "-c", PEER, TRAINERS, mix, model, folder / "published"])
    print(f"{rows} {o.shape} rows, {o.tokenizer.name}, median of {o.runs} runs\n")
    print("| | seconds | peak MB |\n|---|---:|---:|")
    seconds = {formats: statistics.median(figure[0] for figure in figures) for formats, figures in runs.items()}
    memory = {formats: max(figure[1] for figure in figures) for formats, figures in runs.items()}
    for formats in runs:
        print(f"| knowledge-mixing, {formats.replace(',', ' and ')} | {seconds[formats]:.2f} | {memory[formats]:.0f} |")
    print(f"| published processing of the messages file, one process | {peer:.1f} | {peer_memory:.0f} |\n")
    print(f"tokens file against the published processing: {peer / seconds['tokens']:.0f} times as fast")
    print(f"memory with tokens against without: {memory['messages,tokens'] / memory['messages']:.2f}")


if __name__ == "__main__":
    main()
