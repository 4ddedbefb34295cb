#!/usr/bin/env python3
"""`pip install .`: builds the wheel, installs it in a fresh venv, and runs what it has put there.

    check_wheel.py

Needs maturin in the venv of this Python. The wheel takes its binary from target/release, so nothing is compiled again after `make build`.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = "knowledge-mixing"


def run(*command, **options) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def build(folder) -> pathlib.Path:
    """What `pip install .` does first, but with the maturin and the crates that are here instead of downloads."""
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "CARGO_NET_OFFLINE": "true"}
    run(sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, ".", cwd=ROOT, env=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def check_content(wheel, package) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(name for name in names if name.endswith(".dist-info/METADATA"))).decode()
    fields = set(metadata.split("\n\n")[0].splitlines())
    expected = {f"Name: {PROGRAM}", f"Version: {package['version']}", f"License-Expression: {package['license']}", f"Summary: {package['description']}"}
    assert expected <= fields, f"{expected - fields} not in {fields}"
    assert f"Project-URL: Repository, {package['repository']}" in fields, fields
    others = [name for name in names if ".dist-info/" not in name]
    assert [name.rsplit("/", 2)[1:] for name in others] == [["scripts", PROGRAM]], others


def main() -> None:
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    with tempfile.TemporaryDirectory(prefix="km-wheel-") as scratch:
        scratch = pathlib.Path(scratch)
        wheel = build(scratch)
        check_content(wheel, package)
        venv.create(scratch / "venv", with_pip=True)
        bin_folder = scratch / "venv" / "bin"
        run(bin_folder / "python", "-m", "pip", "install", "--no-index", "--disable-pip-version-check", wheel)
        # As in a shell in which the venv is active, anywhere else than in the checkout.
        inside = {"env": {"PATH": f"{bin_folder}{os.pathsep}/usr/bin:/bin"}, "cwd": scratch}
        version = run(PROGRAM, "--version", **inside).split()
        assert version[:2] == [PROGRAM, package["version"]], version
        run(PROGRAM, "mix", "--input", ROOT / "examples" / "step_02", "--tokenizer-model", "builtin", "--cut-sizes", "4", "--quiet", **inside)
        run(PROGRAM, "verify", "output/step_03", **inside)
        rows = len((scratch / "output/step_03/combined_cut_4x.jsonl").read_text().splitlines())
        print(f"ok     {wheel.name}: installed in a fresh venv, {' '.join(version[:2])}, a mix of {rows} rows", flush=True)


main()
