#!/usr/bin/env python3
"""The step where people run it: Kubeflow's SDK, Argo's schema, Docker, Kubeflow's local runner, compose.

    run_all.py BINARY [--from-source]

BINARY is linked statically (`make static`). The image that the checks share is built around it; with --from-source it is built
from the sources, which takes minutes. Checks that need Docker are skipped, with a message, if there is no engine; with CI=true a
skipped check is a failure.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import engine
from stand_in import SKIPPED

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
EXAMPLES = ROOT / "examples" / "step_02"
IMAGE = "knowledge-mixing:0.1.0"


def check(script, *arguments) -> int:
    print(f"--- {script}", flush=True)
    return subprocess.run([sys.executable, HERE / script, *map(str, arguments)], cwd=ROOT).returncode


def has_docker() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("dockerd")) or (
        bool(shutil.which("docker")) and subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    )


def build_around(binary) -> int:
    """Builds the image around the static binary. Returns an exit code, like `check`."""
    print(f"--- image around {binary}", flush=True)
    with engine.running(), tempfile.TemporaryDirectory(prefix="km-image-") as folder:
        try:
            engine.build_image(binary, IMAGE, folder)
        except AssertionError as error:
            print(error, flush=True)
            return 1
    return 0


def main(binary, *options) -> int:
    assert options in ((), ("--from-source",)), __doc__
    codes = [check("check_component.py", binary), check("check_argo.py", binary, EXAMPLES), check("check_engines.py")]
    if not has_docker():
        print("SKIPPED: no Docker engine (apt-get install docker.io docker-compose busybox-static debootstrap)")
        image = SKIPPED
    elif options:
        image = check("check_source.py", IMAGE)
    else:
        print("NOT RUN: check_source.py, the image from source: make test-long", flush=True)
        image = build_around(binary)
    codes.append(image)
    docker = ("check_docker.py", binary, EXAMPLES, IMAGE)
    for each in [docker, ("run_kfp_local.py", IMAGE, EXAMPLES), ("run_kfp_recorded.py", IMAGE, EXAMPLES), ("check_compose.py", IMAGE)]:
        if image == 0:
            codes.append(check(*each))
        else:
            print(f"SKIPPED: {each[0]}: no image", flush=True)
            codes.append(SKIPPED)
    passed, skipped = codes.count(0), codes.count(SKIPPED)
    failed = len(codes) - passed - skipped
    print(f"workflow: {passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed or (skipped and os.environ.get("CI") == "true") else 0


sys.exit(main(*sys.argv[1:]))
