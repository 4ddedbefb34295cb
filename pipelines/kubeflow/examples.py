"""The mixing step in other pipelines: from bucket to bucket, on a volume, after a loop, before a loop.

    python examples.py NAME OUT.yaml        # compiles one of the pipelines below
"""

import sys

from kfp import compiler, dsl

from pipeline import generate, mix, train


@dsl.pipeline(name="mix-in-a-bucket")
def bucket(input_uri: str, output_uri: str):
    """The step reads and writes the bucket itself; a later pipeline, or a step that gets no artifact of this one, imports it from there."""
    mixed = mix(input_uri=input_uri, output_uri=output_uri, cut_sizes="5,50", s3_secret="knowledge-mixing-s3")
    # Kubeflow downloads it into the pod of the next step, with the credentials that its config map `kfp-launcher` has for this scheme
    # (`providers`). Within a pipeline, `mixed.outputs["dataset"]` needs none.
    imported = dsl.importer(artifact_uri=mixed.outputs["dataset_uri"], artifact_class=dsl.Dataset, reimport=True)
    train(dataset=imported.output, samples=mixed.outputs["total_samples"])


@dsl.component(base_image="python:3.12-slim")
def train_on_volume(path: str, samples: int) -> int:
    """A placeholder for a training step that has the volume mounted: reads the mix at its path."""
    with open(path, encoding="utf-8") as file:
        rows = sum(1 for _ in file)
    assert rows == samples
    return rows


@dsl.pipeline(name="mix-on-a-volume")
def volume(claim: str = "knowledge-tuning"):
    """The step reads and writes a volume; the next step mounts it, too."""
    from kfp import kubernetes

    mixed = mix(input_uri="/data/step_02", output_uri="/data/step_03", cut_sizes="5,50", volume=claim)
    trained = train_on_volume(path=mixed.outputs["dataset_uri"], samples=mixed.outputs["total_samples"])
    kubernetes.mount_pvc(trained, pvc_name=claim, mount_path="/data")


@dsl.component(base_image="python:3.12-slim")
def train_cut(mixes: dsl.Input[dsl.Dataset], cut: int):
    """A placeholder for a training step of one cut."""
    with open(f"{mixes.path}/combined_cut_{cut}x.jsonl", encoding="utf-8") as file:
        assert file.readline()


@dsl.pipeline(name="mix-between-loops")
def loops(cut_sizes: str = "2,5"):
    """A loop generates the rows in parts; a second one trains on each feasible cut."""
    with dsl.ParallelFor([0, 1], parallelism=2) as part:
        generated = generate(source="extractive_summary", part=part)
    facts = generate(source="key_facts_to_qa")
    mixed = mix(
        extractive_summary=dsl.Collected(generated.outputs["rows"]), key_facts_to_qa=facts.outputs["rows"], cut_sizes=cut_sizes
    )
    with dsl.ParallelFor(mixed.outputs["feasible_cuts"], parallelism=2) as cut:
        train_cut(mixes=mixed.outputs["mixes"], cut=cut)


PIPELINES = {"bucket": bucket, "volume": volume, "loops": loops}

if __name__ == "__main__":
    compiler.Compiler().compile(PIPELINES[sys.argv[1]], sys.argv[2])
