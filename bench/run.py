#!/usr/bin/env python3
"""Measure the program next to other programs and to the lower bound of the machine.

    python bench/run.py --binary target/release/knowledge-mixing --tokenizer FOLDER [--sizes wide:10,narrow:20] [--runs 5]
    python bench/run.py --chart docs/benchmark.svg --json bench/results.json      (draws only)

The data of each size (shape:documents) is generated once. Every command runs once to warm up; then all commands take turns,
--runs times, each run under hyperfine (time) and /usr/bin/time -v (peak memory) and into an empty folder. Figures are medians.
The lower bound is `cat` of the input, then `cp` of the program's own output: no program that reads all of the input and writes
all of the output can be faster. It is measured again with the flush to disk that the program ends with.

The other programs are peer_duckdb.py (no token counts) and peer_polars.py (works as the notebook does); --python names an
interpreter that has bench/requirements.txt installed. The tables have the format of docs/benchmarks.md.
"""
import argparse
import json
import mmap
import os
import pathlib
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ALL = ["floor", "flushed", "program", "training", "documents", "one-core", "two-cores", "duckdb", "polars"]
LABELS = {
    "floor": "lower bound: cat the input, cp the output", "flushed": "lower bound, flushed to disk",
    "program": "knowledge-mixing", "training": "knowledge-mixing, training columns",
    "documents": "knowledge-mixing, document mix alone",
    "one-core": "… training columns, one core, in memory", "two-cores": "… training columns, two cores, in memory",
    "duckdb": "DuckDB, no token counts", "polars": "polars + transformers",
    "small": "examples, built-in tokenizer", "small-tokenizer": "examples, this tokenizer", "load-tokenizer": "transformers: load this tokenizer",
}


def machine():
    """The processor, cores and memory of this machine."""
    def first(file, key):
        try:
            return next((line.split(":", 1)[1].strip() for line in open(file) if line.startswith(key)), "")
        except OSError:
            return ""
    memory = first("/proc/meminfo", "MemTotal").split()
    return {"processor": first("/proc/cpuinfo", "model name") or platform.machine(), "cores": os.cpu_count(),
            "memory_gb": round(int(memory[0]) / 1e6, 1) if memory else None, "system": f"{platform.system()} {platform.machine()}"}


def touch_memory(gigabytes):
    """Touches this much memory once. A virtual machine may get a page from its host only when it is first touched, which takes
    much longer than writing to it and would be charged to whichever command runs first."""
    with mmap.mmap(-1, int(gigabytes * (1 << 30))) as memory:
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1


def megabytes(folder):
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6


class Bench:
    def __init__(self, o):
        self.o = o
        self.work = pathlib.Path(o.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.hyperfine = shutil.which("hyperfine")
        self.gnu_time = "/usr/bin/time" if os.path.exists("/usr/bin/time") else None
        if not (self.hyperfine and self.gnu_time):
            print("hyperfine or /usr/bin/time not found: measuring with Python's own clock instead", file=sys.stderr)

    def data(self, shape, docs):
        """The input folder of a size: generated once, and marked when it is complete."""
        folder = self.work / f"input-{shape}-{docs}"
        made = self.work / f"{folder.name}.made"
        if not (made.is_file() and folder.is_dir()):
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, HERE / "generate.py", folder, "--docs", str(docs), "--shape", shape], check=True)
            made.write_text("")
        return folder

    def mix(self, input_folder, output, tokenizer, cuts, qa, *more):
        return [self.o.binary, "mix", "--input", input_folder, "--output", output, "--tokenizer-model", tokenizer,
                "--cut-sizes", cuts, "--qa-per-doc", qa, "--quiet", *more]

    def commands(self, data, peers):
        o, python = self.o, self.o.python
        # One core against two is measured in memory if the machine has such a folder: a disk would be the limit.
        memory = pathlib.Path("/dev/shm/knowledge-mixing-bench") if os.access("/dev/shm", os.W_OK) else self.work
        out = lambda name: (memory if name in ("one-core", "two-cores") else self.work) / f"output-{name}"  # noqa: E731
        quoted = lambda path: shlex.quote(str(path))  # noqa: E731
        floor = lambda name: f"find {quoted(data)} -type f -exec cat {{}} + > /dev/null && cp {quoted(out('kept'))}/* {quoted(out(name))}/"  # noqa: E731
        common = ["--cuts", o.cuts, "--qa-per-doc", o.qa_per_doc]
        every = {
            "floor": ["sh", "-c", floor("floor")],
            # The program flushes its output to disk; this does the same for the output of cp.
            "flushed": ["sh", "-c", f"{floor('flushed')} && sync {quoted(out('flushed'))}/*"],
            "program": self.mix(data, out("program"), o.tokenizer, o.cuts, o.qa_per_doc),
            "training": self.mix(data, out("training"), o.tokenizer, o.cuts, o.qa_per_doc, "--columns", "training"),
            "documents": self.mix(data, out("documents"), o.tokenizer, o.cuts, o.qa_per_doc, "--documents=only"),
            # The affinity limits the cores, not --threads: reading and writing have threads of their own.
            "one-core": ["taskset", "-c", "0", *self.mix(data, out("one-core"), o.tokenizer, o.cuts, o.qa_per_doc, "--columns", "training")],
            "two-cores": ["taskset", "-c", "0,1", *self.mix(data, out("two-cores"), o.tokenizer, o.cuts, o.qa_per_doc, "--columns", "training")],
            "duckdb": [python, HERE / "peer_duckdb.py", data, out("duckdb"), *common],
            "polars": [python, HERE / "peer_polars.py", data, out("polars"), "--tokenizer", o.tokenizer, "--processes", o.processes, *common],
        }
        return {name: [str(part) for part in every[name]] for name in peers}, out

    def once(self, command, prepare=None):
        """Runs a command once; returns (seconds, peak memory in MB)."""
        if prepare:
            prepare()
        with tempfile.TemporaryDirectory() as folder:
            memory, result = os.path.join(folder, "memory"), os.path.join(folder, "result.json")
            if self.hyperfine and self.gnu_time:
                line = shlex.join([self.gnu_time, "-v", "-o", memory, *command])
                done = subprocess.run([self.hyperfine, "--shell=none", "--warmup=0", "--runs=1", "--style=none", "--export-json", result, line],
                                      capture_output=True, text=True)
                if done.returncode:
                    again = subprocess.run(command, capture_output=True, text=True)
                    raise SystemExit(f"failed: {shlex.join(command)}\n{again.stdout[-1500:]}{again.stderr[-3000:]}")
                seconds = json.load(open(result))["results"][0]["times"][0]
                peak = next(int(x.rsplit(":", 1)[1]) for x in open(memory) if "Maximum resident set size" in x) / 1000
                return seconds, peak
            start = time.perf_counter()
            child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            if status:
                raise SystemExit(f"failed: {shlex.join(command)}")
            return time.perf_counter() - start, usage.ru_maxrss / 1000

    def measure(self, commands, prepare):
        """Runs each command once to warm up, then all of them in turn."""
        runs = {name: [] for name in commands}
        for name, command in commands.items():
            self.once(command, prepare(name))
        for number in range(self.o.runs):
            for name, command in commands.items():
                runs[name].append(self.once(command, prepare(name)))
                print(f"  run {number + 1} of {self.o.runs}: {name} {runs[name][-1][0]:.2f} s", file=sys.stderr)
        return {name: {"seconds": statistics.median(s for s, _ in r), "min": min(s for s, _ in r), "max": max(s for s, _ in r),
                       "peak_mb": statistics.median(m for _, m in r), "runs": [round(s, 4) for s, _ in r]} for name, r in runs.items()}

    def size(self, shape, docs, peers):
        data = self.data(shape, docs)
        commands, out = self.commands(data, peers)

        def prepare(name):
            def empty():
                shutil.rmtree(out(name), ignore_errors=True)
                out(name).mkdir(parents=True)
                subprocess.run(["sync"], check=True)  # do not charge this run for what earlier runs left to write
            return empty

        copies = bool({"floor", "flushed"} & set(peers))
        if copies:  # of the program's own output
            shutil.rmtree(out("kept"), ignore_errors=True)
            only = () if "program" in peers else ("--columns", "training")
            subprocess.run([str(part) for part in self.mix(data, out("kept"), self.o.tokenizer, self.o.cuts, self.o.qa_per_doc, *only)], check=True)
        results = self.measure(commands, prepare)
        record = {"shape": shape, "docs": docs, "input_mb": round(megabytes(data), 1), "results": results}
        if copies:
            record["output_mb"] = round(megabytes(out("kept")), 1)
        for name in [*peers, "kept"]:
            shutil.rmtree(out(name), ignore_errors=True)
        if not self.o.keep:
            shutil.rmtree(data)
        return record

    def small(self):
        """Measures the examples from start to finish, and how long transformers takes just to load the tokenizer."""
        examples, out = HERE.parent / "examples" / "step_02", self.work / "output-small"
        load = ("import os,time;os.environ['HF_HUB_OFFLINE']='1';from transformers import AutoTokenizer;t=time.perf_counter();"
                "AutoTokenizer.from_pretrained(%r);print(time.perf_counter()-t)" % str(self.o.tokenizer))
        commands = {name: [str(p) for p in self.mix(examples, out, tokenizer, "2,5", 3)]
                    for name, tokenizer in (("small", "builtin"), ("small-tokenizer", self.o.tokenizer))}

        def prepare(_):
            return lambda: shutil.rmtree(out, ignore_errors=True)

        results = self.measure(commands, prepare)
        times = [float(subprocess.run([self.o.python, "-c", load], check=True, capture_output=True, text=True).stdout) for _ in range(self.o.runs + 1)][1:]
        results["load-tokenizer"] = {"seconds": statistics.median(times), "min": min(times), "max": max(times), "peak_mb": None,
                                     "runs": [round(t, 4) for t in times]}
        shutil.rmtree(out, ignore_errors=True)
        return {"shape": "examples", "docs": 6, "input_mb": round(megabytes(examples), 1), "results": results}


def table(record):
    """The lines of one size's table, in the format of docs/benchmarks.md."""
    results = record["results"]
    base = next((results[name]["seconds"] for name in ("program", "training", "small") if name in results), None)
    title = "Examples" if record["shape"] == "examples" else f"{record['shape'].capitalize()} rows, {record['docs']} raw documents"
    title += f": {record['input_mb']:.0f} MB in"
    if "output_mb" in record:
        title += f", {record['output_mb']:.0f} MB out"
    if "training" in results and "program" not in results:
        title += " (training columns only)"
    lines = ["", title, "", "| | median | fastest to slowest | peak memory | relative time |", "|---|---:|---:|---:|---:|"]
    for name in (n for n in LABELS if n in results):
        r = results[name]
        ratio = f"{r['seconds'] / base:.2f}" if base else ""
        peak = f"{r['peak_mb']:.0f} MB" if r["peak_mb"] else ""
        lines.append(f"| {LABELS[name]} | {r['seconds']:.2f} s | {r['min']:.2f} to {r['max']:.2f} s | {peak} | {ratio} |")
    return lines


def check_targets(records):
    """One line per performance target: whether it is met, and what was measured."""
    out = []

    def target(text, value, limit, more=False, unit=""):
        met = value >= limit if more else value <= limit
        out.append(f"{'met   ' if met else 'MISSED'}  {text}: {value:.2f}{unit} ({'at least' if more else 'at most'} {limit:g}{unit})")

    for record in records:
        r = {name: result["seconds"] for name, result in record["results"].items()}
        size = f"{record['shape']} {record['docs']}"
        if {"program", "duckdb"} <= r.keys() and record["shape"] == "wide":
            target(f"{size}: time relative to DuckDB", r["program"] / r["duckdb"], 0.3)
        if {"program", "polars"} <= r.keys() and record["shape"] == "wide":
            target(f"{size}: speed-up over polars + transformers", r["polars"] / r["program"], 30, more=True)
        if {"program", "floor"} <= r.keys():
            target(f"{size}: time relative to the lower bound", r["program"] / r["floor"], 2)
        for name in ("program", "training"):
            if name in r:
                target(f"{size}: peak memory, {LABELS[name]}", record["results"][name]["peak_mb"], 350, unit=" MB")
        if {"program", "training"} <= r.keys():
            target(f"{size}: training columns, time relative to all columns", r["training"] / r["program"], 0.6)
        if {"documents", "training"} <= r.keys():
            target(f"{size}: document mix, time relative to training columns", r["documents"] / r["training"], 1)
        if {"one-core", "two-cores"} <= r.keys():
            target(f"{size}: speed-up of two cores over one", r["one-core"] / r["two-cores"], 1.7, more=True)
        if "small" in r:
            target("examples, built-in tokenizer", r["small"], 0.2, unit=" s")
            target("examples with this tokenizer, time relative to loading it in transformers", r["small-tokenizer"] / r["load-tokenizer"], 1)
    # Does time grow faster than the lower bound?
    by_shape = {}
    for record in records:
        for name in ("program", "training"):
            # The lower bound copied the output with all columns if that was measured, else the training columns.
            if {"floor", name} <= record["results"].keys() and (name == "program" or "program" not in record["results"]):
                by_shape.setdefault(record["shape"], []).append((record["docs"], record["results"][name]["seconds"] / record["results"]["floor"]["seconds"]))
    for shape, some in by_shape.items():
        if len(some) > 1:
            out.append(f"        {shape}: time relative to the lower bound: " + ", ".join(f"{docs} documents {ratio:.2f}" for docs, ratio in sorted(some)))
    return out


def draw(records, about, file):
    """Draws time against input size as SVG, both on logarithmic scales."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "knowledge-mixing", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10})
    import matplotlib.pyplot as plt

    shape = max({r["shape"] for r in records if r["shape"] != "examples"}, key=lambda s: sum(r["shape"] == s for r in records))
    some = sorted((r for r in records if r["shape"] == shape), key=lambda r: r["input_mb"])
    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    styles = {"polars": ("#b8863b", "s"), "duckdb": ("#7a7f87", "^"), "program": ("#0b6e4f", "o"), "training": ("#54a67f", "o"), "floor": ("#222222", "_")}
    for name, (colour, mark) in styles.items():
        # A lower bound that copied the training columns only is not part of this line.
        drawn = [r for r in some if name in r["results"] and (name != "floor" or "program" in r["results"])]
        points = [(r["input_mb"], r["results"][name]["seconds"]) for r in drawn]
        if points:
            axes.plot(*zip(*points), color=colour, marker=mark, linestyle="--" if name == "floor" else "-", linewidth=1.8, label=LABELS[name])
            axes.annotate(f"{points[-1][1]:.2g} s" if points[-1][1] < 1 else f"{points[-1][1]:.1f} s", points[-1], textcoords="offset points", xytext=(6, -3), color=colour, fontsize=9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("input, MB")
    axes.set_ylabel("seconds")
    sizes = [r["input_mb"] for r in some]
    axes.set_xticks(sizes, [f"{size:,.0f}" for size in sizes])
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    axes.yaxis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(min(sizes) * 0.8, max(sizes) * 1.5)
    axes.grid(True, which="major", linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(f"{shape} rows, cuts {about['cuts']}; {about['machine']['processor']}, {about['machine']['cores']} cores", fontsize=9, loc="left")
    pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, metadata={"Date": None, "Creator": None})
    print(f"chart written to {file}")


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--binary", help="the program to measure; without it, --chart draws the figures of --json")
    a.add_argument("--tokenizer", help="a tokenizer folder, for the program and for peer_polars.py")
    a.add_argument("--sizes", default="wide:10,narrow:20", help="shape:documents, comma-separated; shape:documents:command+command selects the commands for one size (training without program: the lower bound copies the training columns)")
    a.add_argument("--cuts", default="10,20,30,40,50")
    a.add_argument("--qa-per-doc", default="6")
    a.add_argument("--runs", type=int, default=5)
    a.add_argument("--peers", default=",".join(ALL), help="commands to measure: " + ", ".join(ALL))
    a.add_argument("--no-small", action="store_true", help="skip the runs on examples/step_02")
    a.add_argument("--processes", default="1", help="number of processes of peer_polars.py")
    a.add_argument("--python", default=sys.executable, help="an interpreter with bench/requirements.txt")
    a.add_argument("--work", default="target/bench", help="folder for inputs and outputs")
    a.add_argument("--touch-memory", type=float, default=0, metavar="GB", help="touch this much memory first (for virtual machines that get their memory on demand)")
    a.add_argument("--keep", action="store_true", help="keep the generated inputs for the next time")
    a.add_argument("--json", default="target/bench/results.json", help="file for the figures")
    a.add_argument("--chart", help="draw time against input size into this SVG file")
    a.add_argument("--strict", action="store_true", help="exit with 1 if a target is missed")
    o = a.parse_args()
    if o.binary:
        if not o.tokenizer:
            a.error("--tokenizer is needed to measure")
        o.binary = str(pathlib.Path(o.binary).resolve())
        o.tokenizer = str(pathlib.Path(o.tokenizer).resolve())
        if o.touch_memory:
            touch_memory(o.touch_memory)
        bench = Bench(o)
        records = []
        for size in o.sizes.split(","):
            shape, docs, *own = size.split(":")
            peers = [p for p in ALL if p in (own[0].split("+") if own else o.peers.split(","))]
            print(f"{shape}, {docs} documents", file=sys.stderr)
            records.append(bench.size(shape, int(docs), peers))
        if not o.no_small:
            records.append(bench.small())
        about = {"machine": machine(), "cuts": o.cuts, "qa_per_doc": o.qa_per_doc, "runs": o.runs, "tokenizer": pathlib.Path(o.tokenizer).name}
        pathlib.Path(o.json).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(o.json).write_text(json.dumps({**about, "sizes": records}, indent=1) + "\n")
    else:
        about = json.loads(pathlib.Path(o.json).read_text())
        records = about["sizes"]
    m = about["machine"]
    print(f"{m['processor']}, {m['cores']} cores, {m['memory_gb']} GB; tokenizer {about['tokenizer']}; cuts {about['cuts']}; medians of {about['runs']} runs")
    for record in records:
        print("\n".join(table(record)))
    print()
    targets = check_targets(records)
    print("\n".join(targets))
    if o.chart:
        draw(records, about, o.chart)
    if o.strict and any(line.startswith("MISSED") for line in targets):
        sys.exit(1)


if __name__ == "__main__":
    main()
