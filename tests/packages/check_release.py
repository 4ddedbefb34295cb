#!/usr/bin/env python3
"""The workflow that makes a release: GitHub's schema, actionlint if Go is installed, and the versions that are pinned elsewhere, too.

    check_release.py
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"


def run(*command) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"


def main() -> None:
    run(pathlib.Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    checked = "GitHub's schema"
    if shutil.which("go"):
        run("go", "run", ACTIONLINT, WORKFLOW)
        checked += " and actionlint"
    else:
        print("NOT RUN: actionlint: Go not found", flush=True)
    text = WORKFLOW.read_text()
    rust = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]["rust-version"]
    assert f"toolchain install {rust} " in text and f'rust-toolchain: "{rust}"' in text, f"release.yml does not build with Rust {rust}"
    assert f"ARG RUST_VERSION={rust}\n" in (ROOT / "Dockerfile").read_text(), f"Dockerfile does not build with Rust {rust}"
    maturin = re.search(r"^maturin==(.+)$", (ROOT / "tests/packages/requirements.txt").read_text(), flags=re.M)[1]
    assert f"maturin-version: v{maturin}\n" in text, f"release.yml does not build with the tested maturin {maturin}"
    print(f"ok     release.yml: {checked}; Rust {rust} and maturin {maturin}, as tested", flush=True)


main()
