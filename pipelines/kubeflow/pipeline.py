"""A Kubeflow pipeline of generation steps, the mixing step and a training step.

    python pipeline.py                      # compiles to pipeline.yaml next to this file

Import `mix` into a pipeline of your own. `generate` and `train` are placeholders for your generation and training steps: they
run without a GPU, so that you can try the complete pipeline first.
"""

import os
import pathlib
from collections.abc import Iterable

from kfp import compiler, components, dsl

HERE = pathlib.Path(__file__).resolve().parent

# The generated file of this release. If you copied only pipeline.py, set KNOWLEDGE_MIXING_COMPONENT to your component.yaml.
COMPONENT = os.environ.get("KNOWLEDGE_MIXING_COMPONENT", str(HERE.parents[1] / "component.yaml"))

# What the step takes from a secret, for an object store: the first two have to be there.
S3_KEYS = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL"]


def load(lists: Iterable[str] = ()) -> components.YamlComponent:
    """The component. The inputs in `lists` take what `dsl.Collected` gathers from a loop, which the file cannot declare."""
    component = components.load_component_from_file(COMPONENT)
    for name in lists:
        component.component_spec.inputs[name].is_artifact_list = True
    return component


def mix(
    *, cpu: str = "1", memory: str = "2Gi", retries: int = 1, s3_secret: str = "", volume: str = "", mount_path: str = "/data", **inputs
) -> dsl.PipelineTask:
    """Adds the mixing step to the pipeline that is being defined.

    `inputs` are the inputs of component.yaml: `datasets`, or an artifact for each source (`extractive_summary=step.output`, or
    `dsl.Collected(step.output)` after a loop), or `input_uri="s3://bucket/step_02"`; and any setting. The outputs are `mixes`, `dataset`,
    `metrics`, `report`, `summary`, `feasible_cuts`, `selected_cut`, `total_samples`, `total_tokens`, `dataset_uri`.

    `s3_secret` names a secret with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if needed, AWS_REGION and AWS_ENDPOINT_URL; `volume` names
    a claim that is mounted at `mount_path`. Both need the package kfp-kubernetes.
    """
    lists = [name for name, value in inputs.items() if isinstance(value, dsl.Collected) or getattr(value, "is_artifact_list", False)]
    task = load(lists)(**inputs)
    # The SDK takes the items of a component's list for text; a loop over them could not pass them on as integers.
    task.outputs["feasible_cuts"].channel_type = "List[int]"
    # Kubeflow reuses the outputs of an earlier run with the same arguments. It does not notice that the data behind input_uri
    # or the name of a tokenizer have changed, so a cached mix may be stale. A mix takes seconds, so it is never cached.
    task.set_caching_options(False)
    task.set_cpu_request(cpu).set_memory_request(memory).set_memory_limit(memory)
    # Kubeflow repeats every failure, also a hopeless one: its launcher hides the step's exit code.
    task.set_retry(num_retries=retries, backoff_duration="30s", backoff_factor=2, backoff_max_duration="10m")
    if s3_secret or volume:
        from kfp import kubernetes
    if s3_secret:
        kubernetes.use_secret_as_env(task, s3_secret, {key: key for key in S3_KEYS[:2]})
        kubernetes.use_secret_as_env(task, s3_secret, {key: key for key in S3_KEYS[2:]}, optional=True)
    if volume:
        kubernetes.mount_pvc(task, pvc_name=volume, mount_path=mount_path)
    return task


@dsl.component(base_image="python:3.12-slim")
def generate(source: str, rows: dsl.Output[dsl.Dataset], part: int = 0):
    """A placeholder for a generation step: writes a few rows of one source, in the format of the current generator."""
    import json

    with open(rows.path, "w", encoding="utf-8") as file:
        for document in range(2 * part, 2 * part + 2):
            for summary in range(6):
                for pair in range(3):
                    text = f"Plant {document}: summary {summary} of how the pumps are serviced."
                    row = {
                        "document_outline": f"Service manual of plant {document}",
                        "document": text,
                        "raw_document": f"The whole service manual of plant {document}.",
                        "question": f"What does part {pair} of summary {summary} say?",
                        "response": f"It says how pump {pair} of plant {document} is serviced.",
                    }
                    file.write(json.dumps(row) + "\n")


@dsl.component(base_image="python:3.12-slim")
def train(dataset: dsl.Input[dsl.Dataset], samples: int) -> int:
    """A placeholder for the training step: counts the samples and checks that none is missing."""
    import json

    with open(dataset.path, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert len(rows) == samples and all(row["messages"] and row["unmask"] for row in rows)
    return len(rows)


@dsl.pipeline(name="knowledge-tuning", description="Generate question-answer data, mix it, train on the mix.")
def knowledge_tuning(
    tokenizer_model: str = "RedHatAI/Llama-3.1-8B-Instruct",
    cut_sizes: str = "2,5",
    # Empty means unset: the recipe or the default applies.
    qa_per_doc: str = "",
    seed: str = "",
    recipe: str = "",
):
    """One generation step for each source, wired into the mixing step, whose `dataset` is wired into the training step."""
    sources = {}
    for source in ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]:
        sources[source] = generate(source=source).set_display_name(f"generate {source}").output
    mixed = mix(
        **sources,
        tokenizer_model=tokenizer_model,
        cut_sizes=cut_sizes,
        qa_per_doc=qa_per_doc,
        seed=seed,
        recipe=recipe,
    )
    train(dataset=mixed.outputs["dataset"], samples=mixed.outputs["total_samples"])


if __name__ == "__main__":
    compiler.Compiler().compile(knowledge_tuning, str(HERE / "pipeline.yaml"))
