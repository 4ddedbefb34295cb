#!/usr/bin/env python3
"""The step in the places where people run it: Kubeflow's SDK, Argo's schema, Docker, Kubeflow's local runner.

    run_all.py BINARY

What needs Docker is skipped, loudly, where there is no engine; with CI=true that is a failure. The last line counts.
"""

import os
import pathlib
import platform
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "examples" / "step_02"
IMAGE = "knowledge-mixing:0.1.0"
TARGET = f"{platform.machine()}-unknown-linux-gnu"


def check(script, *arguments) -> bool:
    print(f"--- {script}", flush=True)
    return subprocess.run([sys.executable, HERE / script, *map(str, arguments)], cwd=ROOT).returncode == 0


def has_docker() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("dockerd")) or (
        bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


def static_binary() -> pathlib.Path:
    """The binary that the image holds: built as the Dockerfile builds it."""
    flags = dict(os.environ, RUSTFLAGS="-C target-feature=+crt-static")
    subprocess.run(["cargo", "build", "--locked", "--release", "--target", TARGET], cwd=ROOT, env=flags, check=True)
    return ROOT / "target" / TARGET / "release" / "knowledge-mixing"


def main(binary):
    results = [check("check_component.py", binary), check("check_argo.py", binary, EXAMPLES)]
    skipped = 0
    if has_docker():
        results.append(check("check_docker.py", static_binary(), EXAMPLES, IMAGE))
        results.append(check("run_kfp_local.py", IMAGE, EXAMPLES))
    else:
        skipped = 2
        print("SKIPPED: check_docker.py, run_kfp_local.py: no Docker engine (apt-get install docker.io busybox-static)", flush=True)
    failed = results.count(False)
    print(f"workflow: {results.count(True)} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed or (skipped and os.environ.get("CI") == "true") else 0


sys.exit(main(*sys.argv[1:]))
