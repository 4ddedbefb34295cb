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
from kfp import components, dsl, local

ROOT = pathlib.Path(__file__).resolve().parents[2]
HELPER = "knowledge-mixing-test-helper:latest"
SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]
OUTPUTS = {"mixes", "dataset", "metrics", "report", "summary"}
PARAMETERS = {"feasible_cuts", "selected_cut", "total_samples", "total_tokens", "dataset_uri"}


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


@dsl.container_component
def read_returned(dataset: dsl.Input[dsl.Dataset], path: str, lines: dsl.OutputPath(int)):
    """A next step that reads both results of the public component: the artifact, as the public trainer does, and the path."""
    script = (
        'set -e; [ -f "$1" ]; n=$(busybox wc -l < "$1"); [ "$n" -gt 0 ]; busybox cmp "$0" "$1";'
        ' busybox mkdir -p "${2%/*}"; busybox printf %s "$n" > "$2"'
    )
    command = ["/bin/busybox", "sh", "-c", script]
    return dsl.ContainerSpec(image=HELPER, command=command, args=[dataset.path, path, lines])


def load(image, file="component.yaml"):
    """A component with another image name."""
    text = (ROOT / file).read_text()
    assert text.count("knowledge-mixing:0.1.0") == 1, file
    return components.load_component_from_text(text.replace("knowledge-mixing:0.1.0", image if ":" in image else f"{image}:latest"))


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
        ("dataset_uri", str),
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
    assert all(isinstance(value, (int, float)) for value in metrics.values()) and len(metrics) <= 20, metrics
    assert metrics["selected_cut"] == cut and metrics["samples"] == samples and metrics["tokens"] == tokens
    assert outputs["dataset_uri"] == outputs["dataset"].uri
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


UpstreamOutputs = NamedTuple(
    "UpstreamOutputs", [("output_path", dsl.Artifact), ("dataset_file", dsl.Dataset), ("Output", str), ("lines", int)]
)


def public_pipeline(knowledge_mixing, rows, **given):
    """The public pipeline around its mixing step: the step's name and arguments are those of the public component."""

    @dsl.pipeline
    def pipeline(
        tokenizer_model_name: str = "builtin", cut_size: str = "1,5,10", qa_per_doc: int = 3, save_gpt_oss_format: bool = False
    ) -> UpstreamOutputs:
        merged = generate_folder(folder=str(rows))
        mixed = knowledge_mixing(
            datasets_path=merged.outputs["rows"],
            tokenizer_model_name=tokenizer_model_name,
            cut_size=cut_size,
            qa_per_doc=qa_per_doc,
            save_gpt_oss_format=save_gpt_oss_format,
        )
        trained = read_returned(dataset=mixed.outputs["dataset_file"], path=mixed.outputs["Output"])
        values = {name: mixed.outputs[name] for name in ["output_path", "dataset_file", "Output"]}
        return UpstreamOutputs(**values, lines=trained.outputs["lines"])

    return pipeline(**given).outputs


def check_upstream(outputs, cut):
    """Checks the outputs of the step with the public component's names; returns the mix of the largest cut."""
    assert set(outputs) == {"output_path", "dataset_file", "Output", "lines"}, sorted(outputs)
    mixes, returned = pathlib.Path(outputs["output_path"].path), pathlib.Path(outputs["Output"])
    assert returned == mixes / f"combined_cut_{cut}x.jsonl" and returned.is_file(), returned
    dataset = pathlib.Path(outputs["dataset_file"].path).read_bytes()
    assert dataset == returned.read_bytes() and len(dataset.splitlines()) == outputs["lines"] > 0
    assert all(json.loads(line)["messages"] for line in dataset.splitlines())
    assert (mixes / "manifest.json").is_file() and outputs["dataset_file"].metadata["cut"] == cut
    return dataset


def largest_feasible(mixes) -> int:
    manifest = json.loads((pathlib.Path(mixes) / "manifest.json").read_text())
    return max(each["cut"] for each in manifest["cuts"] if each["written"])


def compressed_mixes(step, upstream, rows, volume, settings):
    """A compressed mix is a warning in the step's summary where the next step gets that file, and none where it gets a plain `dataset`."""

    def warnings(path):
        return [line for line in pathlib.Path(path).read_text().splitlines() if "pass --compression none" in line]

    compressed = {**settings, "input_uri": str(rows), "compression": "gzip", "formats": "messages,tokens", "select_cut": "2"}
    for select_format, ending in [("messages", ".jsonl.gz"), ("tokens", ".tokens.jsonl.gz")]:
        on_volume = step(output_uri=str(volume / ending), select_format=select_format, **compressed).outputs
        assert on_volume["dataset"].metadata["pvc_path"].endswith(f"combined_cut_2x{ending}")
        assert on_volume["dataset_uri"] == on_volume["dataset"].metadata["pvc_path"]
        raised = warnings(on_volume["summary"].path)
        assert len(raised) == 1 and f"dataset_uri: the next step gets a {ending} file" in raised[0], raised
        as_artifact = step(select_format=select_format, **compressed).outputs
        assert not warnings(as_artifact["summary"].path), "dataset is plain"
        for outputs in [on_volume, as_artifact]:
            rows_of = pathlib.Path(outputs["dataset"].path).read_bytes().splitlines()
            assert len(rows_of) == outputs["dataset"].metadata["samples"] and all(map(json.loads, rows_of))

    # The public component has no input for it, so it comes from a variable of the pod.
    mix_outputs = NamedTuple("Mixed", [("output_path", dsl.Artifact), ("dataset_file", dsl.Dataset), ("Output", str)])

    @dsl.pipeline
    def pipeline() -> mix_outputs:
        merged = generate_folder(folder=str(rows))
        mixed = upstream(datasets_path=merged.outputs["rows"], tokenizer_model_name="builtin", cut_size="2")
        mixed.set_env_variable("KNOWLEDGE_MIXING_COMPRESSION", "gzip")
        return mix_outputs(**{name: mixed.outputs[name] for name in mix_outputs._fields})

    outputs = pipeline().outputs
    raised = warnings(pathlib.Path(outputs["output_path"].path) / "summary.md")
    assert len(raised) == 1 and "Output: the next step gets a .jsonl.gz file" in raised[0], raised
    assert outputs["Output"].endswith("combined_cut_2x.jsonl.gz")
    rows_of = pathlib.Path(outputs["dataset_file"].path).read_bytes().splitlines()
    assert rows_of and all(map(json.loads, rows_of)), "dataset_file is plain"


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

        # To a volume: the metadata say where the files are, and dataset is there all the same.
        volume = root / "volume"
        volume.mkdir(mode=0o777)
        outputs = step(input_uri=str(rows), output_uri=str(volume / "mixes"), **settings).outputs
        path = outputs["dataset"].metadata["pvc_path"]
        assert pathlib.Path(path).read_bytes() == first == pathlib.Path(outputs["dataset"].path).read_bytes()
        assert outputs["dataset_uri"] == path and not pathlib.Path(outputs["mixes"].path).exists()
        assert set(outputs) == OUTPUTS | PARAMETERS

        # Another cut is passed on.
        outputs = step(input_uri=str(rows), select_cut="2", **settings).outputs
        assert outputs["selected_cut"] == 2 and outputs["dataset"].metadata["cut"] == 2

        # The step in the place of the public pipeline's own.
        upstream = load(image, "pipelines/kubeflow/component-upstream.yaml")
        # It has no seed.
        outputs = step(input_uri=str(rows), **{**settings, "seed": ""}).outputs
        largest, same = outputs["selected_cut"], pathlib.Path(outputs["dataset"].path).read_bytes()
        outputs = public_pipeline(upstream, rows, cut_size="2,3")
        assert check_upstream(outputs, largest) == same, "the names of the public component give another mix"
        outputs = public_pipeline(upstream, rows)
        check_upstream(outputs, largest_feasible(outputs["output_path"].path))

        compressed_mixes(step, upstream, rows, volume, settings)

        for number in range(3):
            failing(step, root, rows, number)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    print(
        "kubeflow's local runner: own artifacts, one artifact, a volume, a selected cut, the public component's names, compressed mixes"
        " and failing runs passed"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
