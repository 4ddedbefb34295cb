#!/usr/bin/env python3
"""Checks component.yaml, the pipeline and the component folder with Kubeflow's SDK.

    check_component.py [BINARY]        (with a binary: also checks that component.yaml is what it prints)
"""

import pathlib
import subprocess
import sys
import tempfile

import yaml
from kfp import compiler, components, dsl

ROOT = pathlib.Path(__file__).resolve().parents[2]
KUBEFLOW = ROOT / "pipelines" / "kubeflow"
sys.path.insert(0, str(KUBEFLOW))


def compiled(what):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "out.yaml"
        compiler.Compiler().compile(what, str(path))
        return yaml.safe_load(path.read_text())


def comparable(document):
    """The document without the parts that depend on the version of the SDK."""
    document = dict(document, sdkVersion=None)
    for executor in document["deploymentSpec"]["executors"].values():
        if "kfp==" in str(executor["container"].get("command")):
            executor["container"]["command"] = None
    return document


def check_component():
    component = components.load_component_from_file(str(ROOT / "component.yaml"))
    spec = compiled(component)
    inputs = spec["components"]["comp-knowledge-mixing"]["inputDefinitions"]
    for name in ["datasets", "extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]:
        artifact = inputs["artifacts"][name]
        assert artifact["isOptional"] and artifact["artifactType"]["schemaTitle"] == "system.Dataset", name
    for name, parameter in inputs["parameters"].items():
        assert parameter["isOptional"] and "defaultValue" not in parameter, name
        # An unset Integer breaks the SDK's local runner.
        assert parameter["parameterType"] in ("STRING", "BOOLEAN"), name
    outputs = spec["components"]["comp-knowledge-mixing"]["outputDefinitions"]
    kinds = {name: each["artifactType"]["schemaTitle"] for name, each in outputs["artifacts"].items()}
    assert kinds == {
        "mixes": "system.Dataset",
        "dataset": "system.Dataset",
        "metrics": "system.Metrics",
        "report": "system.HTML",
        "summary": "system.Markdown",
    }, kinds
    kinds = {name: each["parameterType"] for name, each in outputs["parameters"].items()}
    assert kinds == {
        "feasible_cuts": "LIST",
        "selected_cut": "NUMBER_INTEGER",
        "total_samples": "NUMBER_INTEGER",
        "total_tokens": "NUMBER_INTEGER",
        "dataset_uri": "STRING",
    }, kinds
    # The SDK writes the names of parameters unquoted, and the backend's YAML 1.1 reads these as booleans.
    names = [*inputs["parameters"], *inputs["artifacts"], *outputs["parameters"], *outputs["artifacts"]]
    assert not {"n", "y", "no", "yes", "on", "off", "true", "false"} & {name.lower() for name in names}, names
    container = spec["deploymentSpec"]["executors"]["exec-knowledge-mixing"]["container"]
    assert container["command"] == ["/usr/local/bin/knowledge-mixing", "kfp-step"]
    assert container["args"] == ["--executor-input", "{{$}}"]


def check_upstream_component():
    """The interface of the mixing component in the public knowledge-tuning pipeline: names, types and defaults."""
    component = components.load_component_from_file(str(KUBEFLOW / "component-upstream.yaml"))
    spec = compiled(component)["components"]["comp-knowledge-mixing"]
    inputs, outputs = spec["inputDefinitions"], spec["outputDefinitions"]
    artifacts = [{name: each["artifactType"]["schemaTitle"] for name, each in side["artifacts"].items()} for side in (inputs, outputs)]
    assert artifacts == [{"datasets_path": "system.Artifact"}, {"output_path": "system.Artifact", "dataset_file": "system.Dataset"}], artifacts
    parameters = {name: (each["parameterType"], each["defaultValue"]) for name, each in inputs["parameters"].items()}
    assert parameters == {
        "tokenizer_model_name": ("STRING", "RedHatAI/Llama-3.1-8B-Instruct"),
        "cut_size": ("STRING", "1,5,10"),
        "qa_per_doc": ("NUMBER_INTEGER", 3),
        "save_gpt_oss_format": ("BOOLEAN", False),
    }, parameters
    # That of a Python component that returns a str.
    returned = {name: each["parameterType"] for name, each in outputs["parameters"].items()}
    assert returned == {"Output": "STRING"}, returned


def check_pipeline():
    import pipeline

    current, file = compiled(pipeline.knowledge_tuning), yaml.safe_load((KUBEFLOW / "pipeline.yaml").read_text())
    assert comparable(current) == comparable(file), "pipeline.yaml is stale: run pipelines/kubeflow/pipeline.py"
    task = current["root"]["dag"]["tasks"]["knowledge-mixing"]
    assert not task["cachingOptions"].get("enableCache"), "the step must not be cached"
    assert task["retryPolicy"]["maxRetryCount"] == 1

    # The importable part, in another pipeline.
    @dsl.pipeline(name="other")
    def other(input_uri: str):
        pipeline.mix(input_uri=input_uri, cut_sizes="5,50", save_gpt_oss_format=True)

    assert "knowledge-mixing" in compiled(other)["root"]["dag"]["tasks"]


def check_examples():
    """What the examples are about is in the compiled pipelines."""
    import examples

    def example(name):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "out.yaml"
            compiler.Compiler().compile(examples.PIPELINES[name], str(path))
            documents = list(yaml.safe_load_all(path.read_text()))
        return documents[0], (documents[1:] or [{}])[0].get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})

    spec, platform = example("bucket")
    tasks = spec["root"]["dag"]["tasks"]
    uri = tasks["importer"]["inputs"]["parameters"]["uri"]["taskOutputParameter"]
    assert uri == {"outputParameterKey": "dataset_uri", "producerTask": "knowledge-mixing"}, uri
    keys = {
        each["secretKey"]: secret.get("optional", False)
        for secret in platform["exec-knowledge-mixing"]["secretAsEnv"]
        for each in secret["keyToEnv"]
    }
    expected = {"AWS_ACCESS_KEY_ID": False, "AWS_SECRET_ACCESS_KEY": False, "AWS_REGION": True, "AWS_ENDPOINT_URL": True}
    assert keys == expected, keys

    spec, platform = example("volume")
    for executor in ["exec-knowledge-mixing", "exec-train-on-volume"]:
        assert platform[executor]["pvcMount"][0]["mountPath"] == "/data", platform[executor]

    spec, _ = example("loops")
    artifacts = spec["components"]["comp-knowledge-mixing"]["inputDefinitions"]["artifacts"]
    lists = {name for name, each in artifacts.items() if each.get("isArtifactList")}
    assert lists == {"extractive_summary"}, lists
    # The items of the list of cuts are integers: the backend refuses texts for an integer ("type mismatch").
    loop = next(each for name, each in spec["components"].items() if "train-cut" in each.get("dag", {}).get("tasks", {}))
    kinds = {name: each["parameterType"] for name, each in loop["inputDefinitions"]["parameters"].items()}
    assert kinds["pipelinechannel--knowledge-mixing-feasible_cuts-loop-item"] == "NUMBER_INTEGER", kinds


def check_component_folder():
    """The folder's own tests; its local test is run_kfp_local.py's business."""
    folder = KUBEFLOW / "components" / "data_processing" / "knowledge_mixing"
    subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests"], check=True)


def main(binary=None):
    check_component()
    check_examples()
    check_component_folder()
    check_upstream_component()
    check_pipeline()
    subprocess.run([sys.executable, str(KUBEFLOW / "make_component.py"), "--check"], check=True)
    if binary:
        for options, file in [([], ROOT / "component.yaml"), (["--upstream"], KUBEFLOW / "component-upstream.yaml")]:
            command = [binary, "component", *options]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            assert printed == file.read_text(), f"{file.name} is stale: run `knowledge-mixing {' '.join(command[1:])} > {file.name}`"
    print("kubeflow: component.yaml and component-upstream.yaml load, pipeline.py compiles, all generated files are up to date")


if __name__ == "__main__":
    main(*sys.argv[1:])
