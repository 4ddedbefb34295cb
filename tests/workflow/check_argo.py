#!/usr/bin/env python3
"""Checks pipelines/argo against a strict version of Argo's JSON schema, and runs every command line in it.

    check_argo.py BINARY STEP_02        (STEP_02: a folder of source folders)
"""

import copy
import gzip
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ARGO = ROOT / "pipelines" / "argo"
PREFIX = "io.argoproj.workflow.v1alpha1."


def strict_schema() -> dict:
    """The published schema, changed to reject unknown keys and thus misspelt ones."""
    schema = json.loads(gzip.decompress((ROOT / "tests/fixtures/argo/schema.json.gz").read_bytes()))
    for definition in schema["definitions"].values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    return schema


def errors(schema: dict, document: dict) -> list:
    # The definition of the kind instead of the `oneOf` of all kinds, because its errors say what is wrong.
    chosen = {"$schema": schema["$schema"], "definitions": schema["definitions"]}
    chosen["$ref"] = f"#/definitions/{PREFIX}{document['kind']}"
    validator = jsonschema.validators.validator_for(schema)(chosen)
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(document)]


def documents():
    for path in sorted(ARGO.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            yield path.name, document


def check_that_the_schema_is_strict(schema, template):
    """Misspelt keys must be errors."""
    for spoil in (
        lambda t: t["retryStrategy"].update(retryPolcy="Always"),
        lambda t: t["container"].update(arg=["x"]),
        lambda t: t["container"]["securityContext"].update(readOnlyRootFileSystem=True),
    ):
        broken = copy.deepcopy(template)
        spoil(broken["spec"]["templates"][0])
        assert errors(schema, broken), "the strict schema let a misspelt key through"


def check_conventions(name, template):
    """Requirements on a step that the schema does not express."""
    where = f"{name}: {template['name']}"
    container = template["container"]
    assert container["command"] == ["/usr/local/bin/knowledge-mixing"], where
    assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, where
    assert container["resources"]["requests"] and container["resources"]["limits"], where
    assert template["activeDeadlineSeconds"], where
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for parameter in template.get("outputs", {}).get("parameters", []):
        assert any(parameter["valueFrom"]["path"].startswith(mount + "/") for mount in mounts), where
        assert "default" in parameter["valueFrom"], where
    if "retryStrategy" in template:
        codes = set(map(int, re.search(r"in \[([\d, ]+)\]", template["retryStrategy"]["expression"])[1].split(",")))
        assert codes == {69, 75, 137, 143}, where


def run_mix(binary, step_02, name, template, work):
    """Runs the command line of a template, with its parameters filled in and its mounts replaced by a local folder.

    A second run, with a compressed mix, warns that the trainer does not read it."""
    data, outputs = work / "data", work / "outputs"
    data.mkdir(parents=True)
    (data / "step_02").symlink_to(step_02)
    on_volume = any(mount["mountPath"] == "/data" for mount in template["container"]["volumeMounts"])
    arguments = {
        "input": "step_02" if on_volume else str(step_02),
        "output": "step_03" if on_volume else str(work / "data/step_03"),
        "tokenizer-model": "builtin",
        "cut-sizes": "2,3",
        # Longer than the 128 KiB that Linux accepts in one argument.
        "recipe": "# " + "x" * 200_000 + "\n{}\n",
    }
    values = {p["name"]: arguments.get(p["name"], p.get("value")) for p in template["inputs"]["parameters"]}
    assert None not in values.values(), f"{name}: {template['name']}: a parameter without a value: {values}"

    def fill(text):
        text = re.sub(r"\{\{inputs\.parameters\.([\w-]+)\}\}", lambda m: values[m[1]], text)
        assert "{{" not in text.split("\n")[0], text
        return text.replace("=/data/", f"={data}/").replace("=/outputs", f"={outputs}")

    command_line = []
    for number, argument in enumerate(template["container"]["args"]):
        argument = fill(argument)
        if len(argument) > 128 * 1024:
            # Argo's executor does the same.
            path = work / f"argo_arg_{number}.txt"
            path.write_text(argument)
            argument = f"@{path}"
        command_line.append(argument)
    extra = [] if "recipe" not in values else ["--cut-sizes=2,3"]
    done = subprocess.run([binary, *command_line, *extra], capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, f"{name}: {template['name']}: {done.returncode}\n{command_line}\n{done.stderr[-3000:]}"
    assert "--compression" not in done.stderr, done.stderr
    for parameter in template["outputs"]["parameters"]:
        path = outputs / pathlib.Path(parameter["valueFrom"]["path"]).name
        text = path.read_text()
        assert text == text.strip() and json.loads(text), f"{path}: {text!r}"
        assert path.name == parameter["name"]
    for artifact in template["outputs"].get("artifacts", []):
        path = fill(artifact["path"]).replace("/data/", f"{data}/", 1)
        assert pathlib.Path(path).is_file(), path
    done = subprocess.run([binary, *command_line, *extra, "--compression=gzip"], capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr[-3000:]
    warnings = [line for line in done.stderr.splitlines() if "pass --compression none" in line]
    assert len(warnings) == 1 and "the next step gets a .jsonl.gz file" in warnings[0], f"{template['name']}: {done.stderr}"
    return data / "step_03"


def main(binary, step_02):
    binary, step_02 = str(pathlib.Path(binary).resolve()), pathlib.Path(step_02).resolve()
    schema = strict_schema()
    found = list(documents())
    assert {document["kind"] for _, document in found} == {"WorkflowTemplate", "Workflow"}
    templates = {}
    for name, document in found:
        problems = errors(schema, document)
        assert not problems, f"{name}:\n  " + "\n  ".join(problems)
        if document["kind"] == "WorkflowTemplate":
            check_that_the_schema_is_strict(schema, document)
        for template in document["spec"].get("templates", []):
            if "container" in template:
                check_conventions(name, template)
                templates[template["name"]] = (name, template)
    for name, document in found:
        for template in document["spec"].get("templates", []):
            for step in [step for group in template.get("steps", []) for step in group]:
                target = step["templateRef"]["template"] if "templateRef" in step else step["template"]
                accepted = {p["name"] for p in templates[target][1].get("inputs", {}).get("parameters", [])}
                passed = {p["name"] for p in step.get("arguments", {}).get("parameters", [])}
                assert passed <= accepted, f"{name}: {step['name']}: {passed - accepted}"
        reference = document["spec"].get("workflowTemplateRef")
        if reference:
            assert document["spec"]["entrypoint"] in templates, name
    with tempfile.TemporaryDirectory() as folder:
        for key, (name, template) in templates.items():
            if template["container"]["args"][0] == "mix":
                output = run_mix(binary, step_02, name, template, pathlib.Path(folder) / key)
        verify = templates["verify"][1]["container"]["args"]
        verify = [argument.replace("{{workflow.parameters.output}}", str(output)) for argument in verify]
        subprocess.run([binary, *verify], check=True)
    print(f"argo: {len(found)} documents, {len(templates)} templates, all command lines run")


if __name__ == "__main__":
    main(*sys.argv[1:])
