#!/usr/bin/env python3
"""Checks pipelines/argo against a strict version of Argo's JSON schema, and runs every command line in it. The workflows of
workflows.py (Hera) have to be the same as the YAML files. tests/cluster/ runs them on a real Argo.

    check_argo.py BINARY STEP_02        (STEP_02: a folder of source folders)
"""

import copy
import gzip
import json
import pathlib
import re
import shutil
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
        if path.name != "kustomization.yaml":
            for document in yaml.safe_load_all(path.read_text()):
                yield path.name, document
    yield from overlays()


def overlays():
    """What kustomize makes of the templates: cluster-wide, and with each component. JSON patches name templates by number."""
    if not shutil.which("kubectl"):
        print("SKIPPED: the kustomize components: no kubectl")
        return
    for components in (["hardened"], ["artifacts"], ["hardened", "artifacts"]):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("argo", "argo-cluster-wide"):
                shutil.copytree(ARGO.parent / name, pathlib.Path(folder) / name)
            (pathlib.Path(folder) / "mine").mkdir()
            lines = {"resources": ["../argo-cluster-wide"], "components": [f"../argo/{name}" for name in components]}
            (pathlib.Path(folder) / "mine/kustomization.yaml").write_text(yaml.safe_dump(lines))
            built = subprocess.run(["kubectl", "kustomize", f"{folder}/mine"], check=True, capture_output=True, text=True).stdout
        made = [document for document in yaml.safe_load_all(built) if document["kind"] == "ClusterWorkflowTemplate"]
        assert len(made) == 1, built
        for template in made[0]["spec"]["templates"]:
            name = f"{'+'.join(components)}: {template['name']}"
            hardened = template.get("automountServiceAccountToken") is False and bool(template.get("executor"))
            artifacts = [artifact["name"] for artifact in template.get("outputs", {}).get("artifacts", [])]
            wanted = ["report", "summary", "metrics"] if "artifacts" in components and template["name"].startswith("mix") else []
            assert hardened == ("hardened" in components) and artifacts == wanted, name
        yield "+".join(components), made[0]


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
    assert container["command"], where
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, where
    if container["command"] == ["/usr/local/bin/knowledge-mixing"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True, where
        assert template["activeDeadlineSeconds"], where
        patch = yaml.safe_load(template["podSpecPatch"].replace("{{inputs.parameters.fs-group}}", ""))
        assert [c["name"] for c in patch["initContainers"] + patch["containers"]] == ["init", "wait", "main"], where
        assert set(patch["containers"][1]["resources"]["requests"]) == {"cpu", "memory"}, where
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & set(template["securityContext"]), where
    mounts = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
    for parameter in template.get("outputs", {}).get("parameters", []):
        assert any(parameter["valueFrom"]["path"].startswith(mount + "/") for mount in mounts), where
        assert "default" in parameter["valueFrom"], where
    if "retryStrategy" in template:
        codes = set(map(int, re.search(r"in \[([\d, ]+)\]", template["retryStrategy"]["expression"])[1].split(",")))
        assert codes == {69, 75, 137, 143}, where
        assert "maxDuration" not in template["retryStrategy"]["backoff"], where


def run_template(binary, step_02, name, template, work):
    """Runs the command line of a template, with its parameters filled in and its mounts replaced by a local folder.

    A second mix, compressed, warns that the trainer does not read it."""
    data, outputs = work / "data", work / f"outputs of {template['name']}"
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "step_02").exists():
        (data / "step_02").symlink_to(step_02)
    on_volume = any(mount["mountPath"] == "/data" for mount in template["container"]["volumeMounts"])
    arguments = {
        "input": "step_02" if on_volume else str(step_02),
        "output": "step_03" if on_volume else str(work / "data/step_03"),
        "tokenizer-model": "builtin",
        "cut-sizes": "2,3",
        "mix": "step_03" if on_volume else str(work / "data/step_03"),
        # Longer than the 128 KiB that Linux accepts in one argument.
        "recipe": "# " + "x" * 200_000 + "\n{}\n",
    }
    values = {p["name"]: arguments.get(p["name"], p.get("value")) for p in template["inputs"]["parameters"]}
    assert None not in values.values(), f"{name}: {template['name']}: a parameter without a value: {values}"

    def fill(text):
        text = re.sub(r"\{\{inputs\.parameters\.([\w-]+)\}\}", lambda m: values[m[1]], text)
        assert "{{" not in text.split("\n")[0], text
        return re.sub("(^|=)/data/", rf"\1{data}/", text).replace("=/outputs", f"={outputs}")

    command_line = []
    for number, argument in enumerate(template["container"]["args"]):
        argument = fill(argument)
        if len(argument) > 128 * 1024:
            # Argo's executor does the same.
            path = work / f"argo_arg_{number}.txt"
            path.write_text(argument)
            argument = f"@{path}"
        command_line.append(argument)
    done = subprocess.run([binary, *command_line], capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, f"{name}: {template['name']}: {done.returncode}\n{command_line}\n{done.stderr[-3000:]}"
    assert "--compression" not in done.stderr, done.stderr
    written = {path.name for path in outputs.iterdir()} if outputs.exists() else set()
    reports = {"report.html", "summary.md", "metrics.json"} if template["name"].startswith("mix") else set()
    # Figures that this mix has no use for.
    uncounted = {"loss_tokens", "preflight_dropped", "preflight_steps", "validation_samples"}
    declared = {parameter["name"] for parameter in template.get("outputs", {}).get("parameters", [])}
    assert declared - uncounted == written - reports and reports <= written, f"{template['name']}: {declared} {written}"
    for path in (outputs / each for each in declared - uncounted):
        text = path.read_text()
        assert text == text.strip() and (path.name == "dataset_uri" or json.loads(text)), f"{path}: {text!r}"
    if reports:
        assert pathlib.Path((outputs / "dataset_uri").read_text()) == data / "step_03/combined_cut_3x.jsonl"
        check_that_compression_is_warned_of(binary, command_line, template["name"], work)


def check_that_compression_is_warned_of(binary, command_line, name, work):
    command_line = [argument for argument in command_line if argument != "--compression="]
    done = subprocess.run([binary, *command_line, "--compression=gzip"], capture_output=True, text=True, cwd=work)
    assert done.returncode == 0, done.stderr[-3000:]
    warnings = [line for line in done.stderr.splitlines() if "pass --compression none" in line]
    assert len(warnings) == 1 and "the next step gets a .jsonl.gz file" in warnings[0], f"{name}: {done.stderr}"


def main(binary, step_02):
    binary, step_02 = str(pathlib.Path(binary).resolve()), pathlib.Path(step_02).resolve()
    schema = strict_schema()
    found = list(documents())
    kinds = {document["kind"] for _, document in found} - {"ClusterWorkflowTemplate"}
    assert kinds == {"WorkflowTemplate", "Workflow", "CronWorkflow"}, kinds
    ours, steps = {}, []
    for name, document in found:
        problems = errors(schema, document)
        assert not problems, f"{name}:\n  " + "\n  ".join(problems)
        if document["kind"] == "WorkflowTemplate":
            check_that_the_schema_is_strict(schema, document)
            ours = {template["name"]: template for template in document["spec"]["templates"]}
        for template in document["spec"].get("workflowSpec", document["spec"])["templates"]:
            if "container" in template:
                check_conventions(name, template)
            steps += [(name, step) for group in template.get("steps", []) for step in group if "templateRef" in step]
    for name, step in steps:
        inputs = ours[step["templateRef"]["template"]]["inputs"]["parameters"]
        passed = {parameter["name"] for parameter in step["arguments"]["parameters"]}
        required = {parameter["name"] for parameter in inputs if "value" not in parameter}
        assert required <= passed <= {parameter["name"] for parameter in inputs}, f"{name}: {step['name']}: {passed}"
    check_hera()
    with tempfile.TemporaryDirectory() as folder:
        # In the order of the file: a mix, then what reads it.
        for key, template in ours.items():
            run_template(binary, step_02, "workflow-template.yaml", template, pathlib.Path(folder) / ("volume" if "volume" in key else "url"))
    print(f"argo: {len(found)} documents, {len(ours)} templates, all command lines run; Hera's workflows are the same")


def check_hera():
    sys.path.insert(0, str(ARGO))
    import workflows

    def sorted_templates(document):
        spec = document["spec"].get("workflowSpec", document["spec"])
        spec["templates"].sort(key=lambda template: template["name"])
        return document

    for name, make in workflows.WORKFLOWS.items():
        in_python, in_yaml = yaml.safe_load(make().to_yaml()), yaml.safe_load((ARGO / f"{name}.yaml").read_text())
        assert sorted_templates(in_python) == sorted_templates(in_yaml), f"{name}: {in_python}\n{in_yaml}"


if __name__ == "__main__":
    main(*sys.argv[1:])
