#!/usr/bin/env python3
"""Builds the image from source with the default stages of the Dockerfile, and checks what a second build reuses.

    check_source.py TAG        (TAG: the name of the image)
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import engine
import stand_in
from engine import ROOT, docker

DEPENDENCIES = "RUN mkdir -p src benches tests/support/src"


def base_image() -> str:
    """The base image of the builder stage."""
    text = (ROOT / "Dockerfile").read_text()
    version = re.search(r"^ARG RUST_VERSION=(\S+)", text, re.M)[1]
    return re.search(r"^FROM (rust:\S+) AS builder", text, re.M)[1].replace("${RUST_VERSION}", version)


def checkout(folder) -> None:
    """Copies the files of a clean checkout, including uncommitted changes."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def build(tag, folder) -> tuple:
    """Returns the seconds that the build took, and whether the dependencies came from the cache."""
    started = time.monotonic()
    done = docker("build", "--network=host", "--progress=plain", *engine.proxies(), "-t", tag, folder)
    progress = done.stdout + done.stderr
    step = re.search(rf"^(#\d+) \[builder .*{re.escape(DEPENDENCIES)}", progress, re.M)
    assert step, f"no step with {DEPENDENCIES!r}:\n{progress[-3000:]}"
    return time.monotonic() - started, bool(re.search(rf"^{step[1]} CACHED$", progress, re.M))


def main(tag="knowledge-mixing:test"):
    base = stand_in.image(base_image(), stand_in.rust)
    with engine.running(), base, tempfile.TemporaryDirectory(prefix="km-source-") as folder:
        folder = pathlib.Path(folder)
        checkout(folder)
        first, cached = build(tag, folder)
        print(f"from source in {first:.0f} s" + (" (an earlier run's dependencies)" if cached else ""), flush=True)
        # After a change to one source file the new program must be built: cargo compares times, and those of a context may be old.
        source = folder / "src/main.rs"
        before, after = "fn main() -> ExitCode {\n", 'fn main() -> ExitCode {\n    eprintln!("another program");\n'
        assert before in source.read_text()
        source.write_text(source.read_text().replace(before, after))
        second, cached = build(f"{tag}-changed", folder)
        try:
            assert cached, "the dependencies were rebuilt"
            assert "another program" in docker("run", "--rm", f"{tag}-changed").stderr, "the changed source was not built"
            assert "another program" not in docker("run", "--rm", tag).stderr
        finally:
            docker("rmi", f"{tag}-changed")
    print(f"source: the Dockerfile builds in {first:.0f} s; after a change, with cached dependencies, in {second:.0f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
