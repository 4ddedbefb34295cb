#!/usr/bin/env python3
"""The recipes' JSON schema says what the program says: of every example that it is one, of broken ones that they are none.

    python check_recipes.py --binary target/debug/knowledge-mixing

The schema is what editors check with. The program also finds contradictions, which no schema can, and is milder in how a
number may be written (`cut_sizes: "4,8"`, as in the variable).
"""
import argparse
import json
import pathlib
import subprocess
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent

# What an editor has to underline, each a change of a recipe that is right.
WRONG = {
    "an unknown key": {"sourcs": {}},
    "an unknown key of a source": {"sources": {"general": {"kind": "messages", "repat": 2}}},
    "an unknown kind": {"sources": {"general": {"kind": "chat"}}},
    "an unknown rule": {"on_shortfall": "warn"},
    "a cut of nothing": {"cut_sizes": [0]},
    "cuts that are words": {"cut_sizes": "many"},
    "a word for a number": {"qa_per_doc": "three"},
    "a negative seed": {"seed": -1},
    "a split without its part": {"split": {}},
    "a repeat that is a list": {"sources": {"general": {"kind": "messages", "repeat": [2]}}},
    "an unknown order": {"order": "random"},
}


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    binary = arguments.parse_args().binary.resolve()
    wrong = []

    def program(*command):
        done = subprocess.run([binary, "recipe", *command], capture_output=True, text=True, cwd=ROOT)
        return done.returncode, done.stdout, done.stderr

    schema = json.loads(program("schema")[1])
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    recipes = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sorted((ROOT / "examples" / "recipes").glob("*.yaml"))}
    if not recipes:
        wrong.append("examples/recipes holds no recipe")
    recipes["recipe example"] = program("example")[1]
    # The recipes that the page shows.
    page = (ROOT / "docs" / "recipes.md").read_text("utf-8")
    for number, text in enumerate(page.split("```yaml\n")[1:], start=1):
        recipes[f"docs/recipes.md, block {number}"] = text.split("```")[0]
    for name, text in recipes.items():
        wrong += [f"{name}: {error.json_path}: {error.message}" for error in validator.iter_errors(yaml.safe_load(text))]
        code, _, told = program("check", text + "\n")
        if code:
            wrong.append(f"{name}: the program refuses it: {told}")
    for name, recipe in WRONG.items():
        if validator.is_valid(recipe):
            wrong.append(f"the schema takes {name}: {recipe}")
        if program("check", json.dumps(recipe))[0] != 2:
            wrong.append(f"the program takes {name}: {recipe}")
    for line in wrong:
        print(line, file=sys.stderr)
    if not wrong:
        print(f"{len(recipes)} recipes are what the schema says, {len(WRONG)} broken ones are not")
    return 1 if wrong else 0


sys.exit(main())
