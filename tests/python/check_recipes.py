#!/usr/bin/env python3
"""Check that the JSON schema of recipes agrees with the program: both accept every example, both reject broken recipes.

    python check_recipes.py --binary target/debug/knowledge-mixing

Editors check recipes with the schema. The program also finds contradictions, which a schema cannot, and accepts more ways to write
a number (`cut_sizes: "4,8"`, as in the environment variable).
"""
import argparse
import json
import pathlib
import subprocess
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# Recipes that an editor has to mark as wrong: each differs from a valid recipe in one place.
INVALID = {
    "an unknown key": {"sourcs": {}},
    "an unknown key of a source": {"sources": {"general": {"kind": "messages", "repat": 2}}},
    "an unknown kind": {"sources": {"general": {"kind": "chat"}}},
    "an unknown rule": {"on_shortfall": "warn"},
    "a cut of zero": {"cut_sizes": [0]},
    "cuts that are not numbers": {"cut_sizes": "many"},
    "a word instead of a number": {"qa_per_doc": "three"},
    "a negative seed": {"seed": -1},
    "a split without its fraction": {"split": {}},
    "a repeat that is a list": {"sources": {"general": {"kind": "messages", "repeat": [2]}}},
    "an unknown order": {"order": "random"},
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    binary = arguments.parse_args().binary.resolve()
    failures = []

    def program(*command):
        done = subprocess.run([binary, "recipe", *command], capture_output=True, text=True, cwd=ROOT)
        return done.returncode, done.stdout, done.stderr

    schema = json.loads(program("schema")[1])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    recipes = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted((ROOT / "examples" / "recipes").glob("*.yaml"))}
    if not recipes:
        failures.append("examples/recipes: no recipe found")
    recipes["recipe example"] = program("example")[1]
    # The recipes in the documentation.
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for number, text in enumerate(page.split("```yaml\n")[1:], start=1):
        recipes[f"docs/recipes.md, block {number}"] = text.split("```")[0]
    for name, text in recipes.items():
        failures += [f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(yaml.safe_load(text))]
        code, _, message = program("check", text + "\n")
        if code:
            failures.append(f"{name}: the program rejects it: {message}")
    for name, recipe in INVALID.items():
        if validator.is_valid(recipe):
            failures.append(f"the schema accepts {name}: {recipe}")
        if program("check", json.dumps(recipe))[0] != 2:
            failures.append(f"the program accepts {name}: {recipe}")
    for line in failures:
        print(line, file=sys.stderr)
    if not failures:
        print(f"schema and program accept {len(recipes)} recipes and reject {len(INVALID)} invalid ones")
    return 1 if failures else 0


sys.exit(main())
