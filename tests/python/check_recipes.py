#!/usr/bin/env python3
"""Check that the JSON schema of recipes agrees with the program: both accept every example, and of each example with one change,
both say the same. What the schema cannot say is listed in docs/recipes.md and below.

    python check_recipes.py --binary target/debug/knowledge-mixing

Editors check recipes with the schema.
"""
import argparse
import concurrent.futures
import copy
import json
import pathlib
import re
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

# What only the program finds, by its message: the names are those of the list in docs/recipes.md.
EXCEPTIONS = {
    "a key that occurs twice": "duplicate key",
    "keys that exclude or need each other": "exclude each other|needs? (a|max_tokens)|one amount, not both|budget is empty|chats (have|are)"
    "|cannot be measured in|every source is disabled|shares add up|condition is empty|no number is at least|only documents are|the kind decides|documents have no",
    "more than six decimal places": "with at most six decimal places",
    "the range of a number in quotes": "invalid value `(?P<quoted>[^`]*)`: expected (a|whole) (whole )?(numbers? |share )",
    "the form of a location, a path or a limit": "NAME=LIMIT|location|empty path|URL|a column",
}

# Values that take the place of every value of every example.
REPLACEMENTS = [
    None, True, 0, 1, -1, 2.5, 0.1234567, 10**16, "", "qqq", "5", "0", "1.5k", "true", "4,8", [], [5], [[1]], ["qqq"], [None], {}, {"qqq": 1},
]


def paths(node, path=()):
    """The path of every key and item."""
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from paths(value, (*path, key))


def mutants(recipe):
    """The recipe with one change each: what was changed, and its text, which has a duplicate key if no object can."""
    for path in paths(recipe):
        def changed(change):
            copied = copy.deepcopy(recipe)
            parent = copied
            for key in path[:-1]:
                parent = parent[key]
            change(parent, path[-1])
            return json.dumps(copied)

        where = ".".join(map(str, path))
        for value in REPLACEMENTS:
            yield f"{where} = {json.dumps(value)}", changed(lambda parent, key: parent.__setitem__(key, value))
        if isinstance(path[-1], str):
            key = path[-1]
            yield f"{where} misspelled", changed(lambda parent, key: parent.__setitem__(key[:-2] + key[-1], parent.pop(key)))
            # Of two equal keys, Python's parser takes the last one.
            twice = changed(lambda parent, key: parent.__setitem__("TWICE", copy.deepcopy(parent[key])))
            yield f"{where} twice", twice.replace('"TWICE"', json.dumps(key))


def exceptions(message, recipe):
    """The names of the exceptions that a message of the program may be about."""
    found = {name: re.search(pattern, message) for name, pattern in EXCEPTIONS.items()}
    return {name for name, match in found.items() if match and all(json.dumps(value) in recipe for value in match.groupdict().values())}


def disagreements(schema, examples, check):
    """What only one of schema and program accepts, apart from the exceptions; the number of cases; the exceptions that occurred."""
    validator = jsonschema.Draft202012Validator(schema)
    cases = {text: f"{name}: {what}" for name, recipe in examples.items() for what, text in mutants(recipe)}
    found, seen = [], set()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for (text, what), (code, message) in zip(cases.items(), pool.map(check, cases)):
            errors = [line for line in message.splitlines() if line.startswith("error: ")]
            if code == (0 if validator.is_valid(json.loads(text)) else 2):
                continue
            kinds = [exceptions(line, text) for line in errors]
            if code == 2 and all(kinds):
                seen.update(*kinds)
            else:
                found.append(f"{what}: the {'program' if code == 2 else 'schema'} alone rejects it: {message}")
    return found, len(cases), seen


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
    examples = {name: yaml.safe_load(text) for name, text in recipes.items() if name.startswith("examples")}
    found, cases, seen = disagreements(schema, examples, lambda text: program("check", text + "\n")[::2])
    failures += found
    failures += [f"docs/recipes.md does not name the exception: {name}" for name in EXCEPTIONS if f"- {name}" not in page]
    failures += [f"no case has the exception any more: {name}" for name in set(EXCEPTIONS) - seen]
    for line in failures:
        print(line, file=sys.stderr)
    if not failures:
        print(f"schema and program accept {len(recipes)} recipes, reject {len(INVALID)} invalid ones, and agree on {cases} more")
    return 1 if failures else 0


sys.exit(main())
