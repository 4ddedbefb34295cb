#!/usr/bin/env python3
"""Runs the step with what Kubeflow's real driver handed to it.

    run_kfp_recorded.py IMAGE STEP_02        (STEP_02: a folder of source folders; needs Docker)

The executor inputs in tests/fixtures/kubeflow were recorded on a real backend (Kubeflow 2.17 on Kubernetes 1.36.3). Its launcher mounts
the buckets of artifacts below /s3; here, a folder is mounted there, and the container has the security settings of a hardened cluster.
The backend itself cannot be had here.
"""

import copy
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import engine

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests" / "fixtures" / "kubeflow"
SECURITY = ["--user=1000680000:0", "--read-only", "--cap-drop=ALL", "--network=none", "--tmpfs=/tmp:mode=1777"]


def recorded(name):
    return json.loads((RECORDED / f"{name}.json").read_text())


class Pod:
    """The folders of a pod: the mounted buckets and the files of output parameters."""

    def __init__(self, image):
        self.image, self.root = image, pathlib.Path(tempfile.mkdtemp(prefix="km-recorded-"))
        for name in ["s3", "outputs", "volume"]:
            (self.root / name).mkdir()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.root, ignore_errors=True)

    def path(self, uri):
        assert uri.startswith("s3://"), uri
        return self.root / "s3" / uri.removeprefix("s3://")

    def run(self, executor_input):
        """Runs the step; the parents of its outputs exist, as the launcher makes them."""
        for artifact in executor_input["outputs"]["artifacts"].values():
            self.path(artifact["artifacts"][0]["uri"]).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chmod", "-R", "a+rwX", self.root], check=True)
        mounts = [f"-v={self.root}/s3:/s3", f"-v={self.root}/outputs:/tmp/kfp/outputs", f"-v={self.root}/volume:/volume"]
        command = ["/usr/local/bin/knowledge-mixing", "kfp-step", "--executor-input", json.dumps(executor_input)]
        ran = engine.docker("run", "--rm", *SECURITY, *mounts, self.image, *command, check=False)
        return ran

    def output(self, executor_input):
        """The executor output."""
        ran = self.run(executor_input)
        assert ran.returncode == 0, ran.stderr
        file = executor_input["outputs"]["outputFile"]
        return json.loads((self.root / file.lstrip("/")).read_text())


def check_outputs(pod, executor_input, output):
    """What the launcher checks: every declared parameter, and each URI as it came in."""
    for name, parameter in executor_input["outputs"].get("parameters", {}).items():
        file = pod.root / "outputs" / pathlib.Path(parameter["outputFile"]).name
        value = output["parameterValues"][name]
        assert file.read_text() == (value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))), name
    for name, artifact in executor_input["outputs"]["artifacts"].items():
        sent = artifact["artifacts"][0]
        received = output["artifacts"].get(name, {"artifacts": [sent]})["artifacts"][0]
        assert received["uri"] == sent["uri"], name
        assert None not in received.get("metadata", {}).values(), name


def with_settings(executor_input, **settings):
    changed = copy.deepcopy(executor_input)
    changed["inputs"].setdefault("parameterValues", {}).update(settings)
    return changed


def main(image, step_02):
    step_02 = pathlib.Path(step_02)
    rows = step_02 / "extractive_summary"
    with engine.running():
        # One artifact, also inside a loop: a folder in the mounted bucket.
        for name in ["artifact", "artifact-in-a-loop"]:
            executor_input = with_settings(recorded(name), tokenizer_model="builtin")
            with Pod(image) as pod:
                uri = executor_input["inputs"]["artifacts"]["extractive_summary"]["artifacts"][0]["uri"]
                shutil.copytree(rows, pod.path(uri))
                output = pod.output(executor_input)
                check_outputs(pod, executor_input, output)
                dataset = output["artifacts"]["dataset"]["artifacts"][0]
                assert pod.path(dataset["uri"]).read_bytes().count(b"\n") == output["parameterValues"]["total_samples"] > 0
                assert dataset["metadata"]["artifact_path"] == dataset["uri"]

        # Artifacts of a loop, in every order: the same mix, byte for byte.
        collected = with_settings(recorded("collected"), tokenizer_model="builtin", cut_sizes="2")
        artifacts = collected["inputs"]["artifacts"]["extractive_summary"]["artifacts"]
        lines = b"".join(path.read_bytes() for path in sorted(rows.glob("*.jsonl"))).splitlines(keepends=True)
        mixes = []
        for order in [artifacts, artifacts[::-1], artifacts[1:] + artifacts[:1]]:
            collected["inputs"]["artifacts"]["extractive_summary"]["artifacts"] = order
            with Pod(image) as pod:
                for number, artifact in enumerate(artifacts):
                    part = pod.path(artifact["uri"])
                    part.parent.mkdir(parents=True)
                    part.write_bytes(b"".join(lines[number::3]))
                output = pod.output(collected)
                check_outputs(pod, collected, output)
                folder = pod.path(collected["outputs"]["artifacts"]["mixes"]["artifacts"][0]["uri"])
                files = {path.name: path.read_bytes() for path in folder.iterdir()}
                manifest = json.loads(files.pop("manifest.json"))
                mixes.append((files, {**manifest, "run": None}))
        assert mixes[0] == mixes[1] == mixes[2], "the mix depends on the order of a list"
        assert mixes[0][0]["combined_cut_2x.jsonl"]

        # To a volume, and the retry of the same task. (A bucket needs a network: the storage tests and the cluster have it.)
        for name in ["input-uri", "input-uri-second-attempt"]:
            executor_input = with_settings(recorded(name), input_uri="/volume/step_02", output_uri="/volume/step_03")
            with Pod(image) as pod:
                shutil.copytree(step_02, pod.root / "volume" / "step_02")
                for _ in range(2):
                    output = pod.output(executor_input)
                check_outputs(pod, executor_input, output)
                cut = output["parameterValues"]["selected_cut"]
                dataset = pod.path(output["artifacts"]["dataset"]["artifacts"][0]["uri"]).read_bytes()
                assert dataset == (pod.root / "volume" / "step_03" / f"combined_cut_{cut}x.jsonl").read_bytes()

        # An argument that was cut off on its way.
        cut_off = json.dumps(recorded("collected"))[:1500]
        ran = engine.docker("run", "--rm", *SECURITY, image, "/usr/local/bin/knowledge-mixing", "kfp-step", "--executor-input", cut_off, check=False)
        assert ran.returncode == 2 and "ends in the middle, after 1500 bytes" in ran.stderr and "input_uri" in ran.stderr, ran.stderr
    print("kubeflow's recorded inputs: artifacts, a loop's artifact, collected lists in any order, a volume and its retry, a cut argument passed")


if __name__ == "__main__":
    main(*sys.argv[1:])
