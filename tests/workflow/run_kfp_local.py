#!/usr/bin/env python3
"""Runs the step in Kubeflow's local runner, after small upstream steps, with the real image.

    run_kfp_local.py IMAGE STEP_02        (STEP_02: a folder of source folders; needs Docker and a static busybox)

Because of bug 13332, the runner sometimes reports a container that fails quickly as a success, so the outputs are checked and not
only the status.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

import engine
import yaml
from kfp import components, dsl, local

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELPER = "knowledge-mixing-test-helper:latest"
SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]
OUTPUTS = {"mixes", "dataset", "metrics", "report", "summary"}
PARAMETERS = {"feasible_cuts", "selected_cut", "total_samples", "total_tokens"}


def build_helper():
    """Builds an image that only contains busybox, so that no registry is needed."""
    busybox = shutil.which("busybox")
    assert busybox, "no busybox: apt-get install busybox-static"
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(busybox, pathlib.Path(folder) / "busybox")
        (pathlib.Path(folder) / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/busybox\n")
        engine.docker("build", "-q", "-t", HELPER, folder)


# The runner only knows artifacts that the executor output lists, so the helpers list theirs.
WRITE_EXECUTOR_OUTPUT = """; busybox printf '{"artifacts": {"rows": {"artifacts": [{"name": "rows", "uri": "%s"}]}}}' "$1" > "$2\""""


@dsl.container_component
def generate_folder(rows: dsl.Output[dsl.Dataset], folder: str):
    """Writes a folder, like a generation step with several files."""
    script = 'set -e; busybox mkdir -p "$1"; busybox cp -r "$0"/. "$1"' + WRITE_EXECUTOR_OUTPUT
    args = [folder, rows.path, "{{$.outputs.outputFile}}"]
    return dsl.ContainerSpec(image=HELPER, command=["/bin/busybox", "sh", "-c", script], args=args)


@dsl.container_component
def generate_file(rows: dsl.Output[dsl.Dataset], folder: str):
    """Writes one file without an extension, like the public generation component."""
    script = 'set -e; busybox mkdir -p "${1%/*}"; busybox cat "$0"/*.jsonl > "$1"' + WRITE_EXECUTOR_OUTPUT
    args = [folder, rows.path, "{{$.outputs.outputFile}}"]
    return dsl.ContainerSpec(image=HELPER, command=["/bin/busybox", "sh", "-c", script], args=args)


@dsl.container_component
def count(dataset: dsl.Input[dsl.Dataset], samples: int, lines: dsl.OutputPath(int)):
    """The next step: reads `dataset` as one file, and receives `total_samples` as a number."""
    script = (
        'busybox mkdir -p "${2%/*}"; n=$(busybox wc -l < "$0"); [ "$n" = "$1" ] || exit 9; busybox printf %s "$n" > "$2"'
    )
    command = ["/bin/busybox", "sh", "-c", script]
    return dsl.ContainerSpec(image=HELPER, command=command, args=[dataset.path, samples, lines])


def load(image):
    """component.yaml with another image name."""
    spec = yaml.safe_load((ROOT / "component.yaml").read_text())
    spec["implementation"]["container"]["image"] = image if ":" in image else f"{image}:latest"
    return components.load_component_from_text(yaml.safe_dump(spec))


Outputs = NamedTuple(
    "Outputs",
    [
        ("mixes", dsl.Dataset),
        ("dataset", dsl.Dataset),
        ("metrics", dsl.Metrics),
        ("report", dsl.HTML),
        ("summary", dsl.Markdown),
        ("feasible_cuts", list),
        ("selected_cut", int),
        ("total_samples", int),
        ("total_tokens", int),
        ("lines", int),
    ],
)


def all_outputs(mixed, counted):
    values = {name: mixed.outputs[name] for name in [*OUTPUTS, *PARAMETERS]}
    return Outputs(**values, lines=counted.outputs["lines"])


def check(outputs):
    """Checks that every output exists and agrees with the files."""
    assert set(outputs) == OUTPUTS | PARAMETERS | {"lines"}, sorted(outputs)
    samples, tokens, cut = outputs["total_samples"], outputs["total_tokens"], outputs["selected_cut"]
    assert samples > 0 and tokens > samples and outputs["lines"] == samples
    assert [int(each) for each in outputs["feasible_cuts"]] and cut in outputs["feasible_cuts"]
    for name in OUTPUTS:
        artifact = outputs[name]
        assert artifact.uri and pathlib.Path(artifact.path).exists(), name
    mixes = pathlib.Path(outputs["mixes"].path)
    manifest = json.loads((mixes / "manifest.json").read_text())
    dataset = pathlib.Path(outputs["dataset"].path).read_bytes()
    assert dataset == (mixes / f"combined_cut_{cut}x.jsonl").read_bytes()
    lines = dataset.splitlines()
    assert len(lines) == samples and sum(json.loads(line)["token_length"] for line in lines) == tokens
    metadata = outputs["dataset"].metadata
    digests = {each["name"]: each["digest"] for each in manifest["outputs"]}
    assert (metadata["samples"], metadata["tokens"], metadata["cut"]) == (samples, tokens, cut)
    assert metadata["digest"] == digests[metadata["file"]]
    assert outputs["mixes"].metadata["cuts"] == [each["cut"] for each in manifest["cuts"] if each["written"]]
    metrics = outputs["metrics"].metadata
    assert all(isinstance(value, (int, float)) for value in metrics.values())
    assert metrics[f"cut_{cut}.samples"] == samples and metrics[f"cut_{cut}.tokens"] == tokens
    assert json.loads(pathlib.Path(outputs["metrics"].path).read_text())[f"cut_{cut}.samples"] == samples
    assert "<html" in pathlib.Path(outputs["report"].path).read_text().lower()
    assert pathlib.Path(outputs["summary"].path).read_text().startswith("#")
    return dataset


def own_artifacts(step, rows, settings):
    @dsl.pipeline
    def pipeline() -> Outputs:
        artifacts = {}
        for number, source in enumerate(SOURCES):
            make = generate_file if number == 0 else generate_folder
            artifacts[source] = make(folder=str(rows / source)).outputs["rows"]
        mixed = step(**artifacts, **settings)
        counted = count(dataset=mixed.outputs["dataset"], samples=mixed.outputs["total_samples"])
        return all_outputs(mixed, counted)

    return pipeline().outputs


def one_artifact(step, rows, settings):
    @dsl.pipeline
    def pipeline() -> Outputs:
        mixed = step(datasets=generate_folder(folder=str(rows)).outputs["rows"], **settings)
        counted = count(dataset=mixed.outputs["dataset"], samples=mixed.outputs["total_samples"])
        return all_outputs(mixed, counted)

    return pipeline().outputs


def failing(step, root, rows, number):
    """Checks that a failing step leaves no output, whatever status the runner reports."""
    before = set(root.rglob("*"))
    try:
        outputs = step(input_uri=str(rows), tokenizer_model="builtin", cut_sizes="0").outputs
    except RuntimeError:
        outputs = {}
    assert not outputs, f"a failing step has outputs: {outputs}"
    left = [path for path in set(root.rglob("*")) - before if path.is_file() or path.name in OUTPUTS | PARAMETERS]
    assert not left, f"try {number}: a failing step left {left}"


def main(image, step_02):
    with engine.running():
        run(image, step_02)


def run(image, step_02):
    build_helper()
    step = load(image)
    # The containers see this folder under the same path. They run as a uid that exists nowhere else.
    root = pathlib.Path(tempfile.mkdtemp(prefix="km-kfp-"))
    root.chmod(0o777)
    rows = root / "fixture"
    # Only the first file of each source: one of the upstream steps passes on a single file.
    shutil.copytree(step_02, rows, ignore=lambda folder, names: [n for n in names if pathlib.Path(folder).name in SOURCES and n != "gen.jsonl"])
    subprocess.run(["chmod", "-R", "a+rX", str(rows)], check=True)
    os.umask(0)
    runner = local.DockerRunner(user="12345:0", read_only=True, cap_drop=["ALL"], network_mode="none")
    local.init(runner, pipeline_root=str(root), raise_on_error=True)
    settings = {"tokenizer_model": "builtin", "cut_sizes": "2,3", "seed": "7"}
    try:
        first = check(own_artifacts(step, rows, settings))
        second = check(one_artifact(step, rows, settings))
        assert first == second, "the same rows, wired in two ways, give different mixes"

        # To a volume: nothing is copied, and the metadata say where the files are.
        volume = root / "volume"
        volume.mkdir(mode=0o777)
        outputs = step(input_uri=str(rows), output_uri=str(volume / "mixes"), **settings).outputs
        path = outputs["dataset"].metadata["pvc_path"]
        assert pathlib.Path(path).read_bytes() == first and not pathlib.Path(outputs["dataset"].path).exists()
        assert set(outputs) == OUTPUTS | PARAMETERS

        # Another cut is passed on.
        outputs = step(input_uri=str(rows), select_cut="2", **settings).outputs
        assert outputs["selected_cut"] == 2 and outputs["dataset"].metadata["cut"] == 2

        for number in range(3):
            failing(step, root, rows, number)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print("kubeflow's local runner: own artifacts, one artifact, a volume, a selected cut and failing runs passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
