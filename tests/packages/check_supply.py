#!/usr/bin/env python3
"""What the program is made of: every dependency has a license that deny.toml allows, none is banned or from another registry, and the SBOM
names exactly the packages that are compiled into the binary.

    check_supply.py
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
RULES = tomllib.loads((ROOT / "deny.toml").read_text("utf-8"))
CRATES_IO = "registry+https://github.com/rust-lang/crates.io-index"
TARGETS = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"]


def run(*command) -> str:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}"
    return done.stdout


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression (old crates write `/` for OR) can be met with allowed licenses alone."""
    tokens = re.findall(r"[()]|[^\s()]+", expression.replace("/", " OR ").replace(" WITH ", "_WITH_"))

    def either() -> bool:
        met = both()
        while tokens and tokens[0] == "OR":
            tokens.pop(0)
            met = both() or met
        return met

    def both() -> bool:
        met = single()
        while tokens and tokens[0] == "AND":
            tokens.pop(0)
            met = single() and met
        return met

    def single() -> bool:
        token = tokens.pop(0)
        if token != "(":
            return token.replace("_WITH_", " WITH ") in RULES["licenses"]["allow"]
        met = either()
        assert tokens.pop(0) == ")", expression
        return met

    met = either()
    assert not tokens, expression
    return met


def check_rules() -> int:
    packages = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1"))["packages"]
    others = [package for package in packages if package["source"]]
    banned = {rule["name"] for rule in RULES["bans"]["deny"]}
    wrong = [f"{p['name']}: license {p['license']}" for p in others if not p["license"] or not is_allowed(p["license"])]
    wrong += [f"{p['name']}: banned" for p in others if p["name"] in banned]
    wrong += [f"{p['name']}: from {p['source']}" for p in others if p["source"] != CRATES_IO]
    assert not wrong, "deny.toml refuses:\n" + "\n".join(wrong)
    return len(others)


def check_with_cargo_deny() -> None:
    """The same rules, as their own tool reads them."""
    if not shutil.which("cargo-deny"):
        print("SKIPPED: deny.toml as cargo-deny reads it: cargo install --locked cargo-deny", flush=True)
        return
    run("cargo-deny", "--locked", "check", "licenses", "bans", "sources")


def check_sbom() -> int:
    names = set()
    for target in TARGETS:
        sbom = json.loads(run(sys.executable, "scripts/make_sbom.py", target))
        assert sbom["bomFormat"] == "CycloneDX" and sbom["metadata"]["component"]["name"] == "knowledge-mixing"
        listed = {(part["name"], part["version"]) for part in sbom["components"]}
        tree = run("cargo", "tree", "--locked", "--edges", "normal", "--target", target, "--prefix", "none", "--format", "{p}")
        compiled = {(name, version) for name, version in re.findall(r"^(\S+) v(\S+)", tree, re.M)} - {
            (sbom["metadata"]["component"]["name"], sbom["metadata"]["component"]["version"])
        }
        assert listed == compiled, f"{target}: {listed ^ compiled}"
        licensed = [part["name"] for part in sbom["components"] if not part.get("licenses")]
        assert not licensed, f"without a license: {licensed}"
        names |= listed
    locked = {(p["name"], p["version"]) for p in tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))["package"]}
    assert names <= locked and len(names) < len(locked), "tests bring packages of their own"
    assert not names & {package for package in locked if package[0] in ("insta", "proptest", "criterion", "tempfile")}
    return len(names)


def check_locked() -> None:
    """Whatever builds something that is shipped takes the versions of Cargo.lock."""
    for name in ["Dockerfile", ".github/workflows/release.yml", ".ci/run"]:
        commands = re.findall(r"^[^#\n]*\bcargo (?:build|install|metadata|run|rustc)\b.*$", (ROOT / name).read_text("utf-8"), re.M)
        assert commands and all("--locked" in line for line in commands), f"{name}: {commands}"
    recipes = re.findall(r"^\t.*\bcargo (?:build|test|clippy|rustc|bench)\b.*$", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert recipes and all("--locked" in line for line in recipes), recipes
    assert tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["maturin"]["locked"] is True


assert is_allowed("(MIT OR GPL-3.0) AND Zlib") and not is_allowed("GPL-3.0 OR (MIT AND LGPL-2.1)") and is_allowed("MIT/X")
check_locked()
check_with_cargo_deny()
print(f"supply: {check_rules()} packages are allowed, {check_sbom()} are in the SBOMs", flush=True)
