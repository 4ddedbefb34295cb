#!/usr/bin/env python3
"""`cargo install`: the crate has what the program is compiled from and nothing else, and the installed program runs.

    check_crate.py
"""

import pathlib
import re
import subprocess
import tempfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDED = re.compile(r'include_(?:str|bytes)!\((?:concat!\()?"([^"]+)"')


def run(*command) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def main() -> None:
    listed = set(run("cargo", "package", "--list", "--allow-dirty", "--offline").splitlines())
    sources = {str(file.relative_to(ROOT)) for file in (ROOT / "src").rglob("*.rs")}
    embedded = {
        str((file.parent / name).resolve().relative_to(ROOT))
        for file in (ROOT / "src").rglob("*.rs")
        for name in INCLUDED.findall(file.read_text("utf-8"))
    }
    # A name that `concat!` completes is a folder.
    missing = {name for name in embedded | sources if not any(path == name or path.startswith(f"{name}/") for path in listed)}
    assert not missing, f"not in the crate: {missing}"
    assert {"LICENSE", "README.md", "Cargo.lock"} <= listed, listed
    others = {path.split("/")[0] for path in listed} & {".ci", ".github", "bench", "docs", "pipelines", "scripts", "tests"}
    assert not others, f"in the crate, but not needed: {others}"
    with tempfile.TemporaryDirectory(prefix="km-crate-") as folder:
        # --locked: the versions of Cargo.lock, which are compiled already.
        run("cargo", "install", "--quiet", "--offline", "--locked", "--no-track", "--path", ".", "--root", folder)
        version = run(pathlib.Path(folder) / "bin" / "knowledge-mixing", "--version").splitlines()[0]
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    assert package["repository"] and package["homepage"] and package["license"], package
    print(f"ok     crate: {len(listed)} files; cargo install gives {version}", flush=True)


main()
