#!/usr/bin/env python3
"""Prints an SBOM (CycloneDX 1.6, JSON) of the binary for a target: the packages that are compiled into it, none that only builds or tests
it. Format: <https://cyclonedx.org/docs/1.6/json/>.

    make_sbom.py [TARGET] > knowledge-mixing.cdx.json
"""

import json
import pathlib
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]


def cargo(*arguments: str) -> str:
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def component(package: dict, checksum: str | None) -> dict:
    purl = f"pkg:cargo/{package['name']}@{package['version']}"
    part = {"type": "library", "bom-ref": purl, "name": package["name"], "version": package["version"], "purl": purl}
    if package["license"]:
        # Old crates write a slash for OR.
        part["licenses"] = [{"expression": package["license"].replace(" / ", " OR ").replace("/", " OR ")}]
    if checksum:
        part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return part


def main() -> None:
    arguments = ["--locked", "--format-version", "1"]
    arguments += ["--filter-platform", sys.argv[1]] if len(sys.argv) > 1 else []
    metadata = json.loads(cargo("metadata", *arguments))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    # Cargo's graph of the workspace has more features, and so more packages, than the binary: its tree has exactly those.
    target = ["--target", sys.argv[1]] if len(sys.argv) > 1 else []
    tree = cargo("tree", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p}", *target)
    compiled = {tuple(line.split()[:2]) for line in tree.splitlines()}

    def is_compiled(package: dict) -> bool:
        return (package["name"], f"v{package['version']}") in compiled

    def needed(node: dict) -> list[str]:
        kinds = [(dep["pkg"], kind["kind"]) for dep in node["deps"] for kind in dep["dep_kinds"]]
        return sorted({pkg for pkg, kind in kinds if kind is None and is_compiled(packages[pkg])})

    locked = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))["package"]
    checksums = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    parts = {
        id: component(package, checksums[package["name"], package["version"]])
        for id, package in packages.items()
        if is_compiled(package)
    }
    program = {**parts.pop(root), "type": "application"}
    refs = {id: part["bom-ref"] for id, part in {**parts, root: program}.items()}
    edges = [{"ref": refs[id], "dependsOn": [refs[other] for other in needed(nodes[id])]} for id in sorted(refs)]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": {"component": program}}
    bom |= {"components": [parts[id] for id in sorted(parts)], "dependencies": edges}
    print(json.dumps(bom, indent=1))


main()
