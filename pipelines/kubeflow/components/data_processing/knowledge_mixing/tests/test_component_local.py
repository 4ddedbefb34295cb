"""Runs the component in the SDK's local runner. Needs Docker, the image, and rows in the folder KNOWLEDGE_MIXING_ROWS."""

import os
import pathlib
import shutil
import sys

import pytest
from kfp import local

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from component import knowledge_mixing  # noqa: E402

ROWS = os.environ.get("KNOWLEDGE_MIXING_ROWS")


@pytest.mark.skipif(not ROWS, reason="KNOWLEDGE_MIXING_ROWS is not set to a folder of step_02 rows")
def test_it_writes_a_mix(tmp_path):
    # The runner only mounts the pipeline root, and the user of the image must be able to write to it.
    shutil.copytree(ROWS, tmp_path / "step_02")
    local.init(local.DockerRunner(user=f"{os.getuid()}:0"), pipeline_root=str(tmp_path), raise_on_error=True)
    task = knowledge_mixing(input_uri=str(tmp_path / "step_02"), tokenizer_model="builtin", cut_sizes="2")
    assert task.outputs["total_samples"] > 0
