"""The component runs in the SDK's local runner: needs Docker, the image, and rows in KNOWLEDGE_MIXING_ROWS."""

import os
import pathlib
import sys

import pytest
from kfp import local

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from component import knowledge_mixing  # noqa: E402

ROWS = os.environ.get("KNOWLEDGE_MIXING_ROWS")


@pytest.mark.skipif(not ROWS, reason="KNOWLEDGE_MIXING_ROWS names no folder of step_02 rows")
def test_it_makes_a_mix(tmp_path):
    tmp_path.chmod(0o777)
    local.init(
        local.DockerRunner(volumes=None) if False else local.DockerRunner(),
        pipeline_root=str(tmp_path),
        raise_on_error=True,
    )
    task = knowledge_mixing(input_uri=ROWS, tokenizer_model="builtin", cut_sizes="2", infeasible_cuts="keep")
    assert task.outputs["total_samples"] > 0
