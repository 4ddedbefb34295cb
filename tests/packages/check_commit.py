#!/usr/bin/env python3
"""`--version` shows the commit that a binary was built from, and a build without git shows none.

    check_commit.py
"""

import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
VARIABLE = "KNOWLEDGE_MIXING_COMMIT"


def run(*command, **variables) -> str:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE} | variables
    done = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def version(**variables) -> list[str]:
    """What `--version` prints. Only the binary is compiled anew, not the library."""
    run("cargo", "build", "--locked", "--release", "--bin", "knowledge-mixing", **variables)
    return run(ROOT / "target" / "release" / "knowledge-mixing", "--version").splitlines()


def of_make(**variables) -> str:
    """The commit that `make static` would build with."""
    return re.search(rf'{VARIABLE}="(\w*)" cargo', run("make", "--dry-run", "static", **variables))[1]


def main() -> None:
    assert version(**{VARIABLE: "0123abc"})[1] == "commit 0123abc"
    for none in ({VARIABLE: ""}, {}):
        lines = version(**none)
        assert len(lines) == 2 and "commit" not in lines[1], lines
    # No repository, as in an unpacked archive.
    assert of_make(GIT_DIR="/nowhere") == ""
    if shutil.which("git") and (ROOT / ".git").exists():
        assert of_make() == run("git", "rev-parse", "--short", "HEAD").strip()
    workflow = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    for job in ("binaries", "wheels"):
        text = re.search(rf"^  {job}:\n(.*?)^  \w+:\n", workflow, flags=re.M | re.S)[1]
        assert f"{VARIABLE}=$(git rev-parse --short HEAD)" in text, f"release.yml: {job} are built without their commit"
    assert '--build-arg "REVISION=$GITHUB_SHA"' in workflow
    builder = (ROOT / "Dockerfile").read_text().split(" AS builder\n")[1].split("\nFROM ")[0]
    assert re.search(rf'^ARG REVISION=$.*{VARIABLE}="\$\(printf %.7s "\$REVISION"\)".* cargo build', builder, flags=re.M | re.S)
    print("ok     --version: the commit of a build that knows it, none without git", flush=True)


main()
