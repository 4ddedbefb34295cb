#!/usr/bin/env python3
"""Runs examples/Knowledge_Mixing.ipynb as it is, then with a model and a stand-in for the trainer.

    check_notebook.py BINARY

The binary is on the PATH of the kernel, as in a workbench. The stand-in keeps the call that it gets: it has to be that of
docs/trainers.md, which tests/trainers runs with the published trainer, on the file that the notebook has written.
"""

import ast
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "examples" / "Knowledge_Mixing.ipynb"
STAND_IN = """
import json
def sft(**call):
    rows = sum(1 for _ in open(call["data_path"]))
    print("STAND-IN for training_hub:", json.dumps({**call, "rows": rows}))
"""


def read() -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type != "code" or (not cell.outputs and cell.execution_count is None), "the notebook is stored with outputs: clear them"
    return notebook


def run(notebook, folder) -> list[str]:
    """Runs the notebook in a copy of its folder; returns what each code cell shows."""
    shutil.copytree(ROOT / "examples" / "step_02", folder / "step_02")
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    shown = []
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        parts = [output.get("text") or output["data"].get("text/html") or output["data"]["text/plain"] for output in cell.outputs]
        shown.append("".join(parts))
    return shown


def documented() -> dict:
    """The first call of `sft` in docs/trainers.md, without the names that a reader fills in."""
    page = (ROOT / "docs" / "trainers.md").read_text("utf-8")
    call = ast.parse(re.search(r"^sft\(.*?\)$", page, flags=re.M | re.S)[0]).body[0].value
    return {each.arg: ast.literal_eval(each.value) for each in call.keywords if each.arg not in ("model_path", "data_path")}


def check_as_it_is(folder) -> None:
    notebook = read()
    _, mixed, report, loaded, sample, trained = run(notebook, folder)
    metrics = json.loads((folder / "output" / "step_03" / "metrics.json").read_text())
    samples, tokens = metrics["cut_8.samples"], metrics["cut_8.tokens"]
    assert "<iframe" in report and "&lt;html" in report, report[:500]
    assert "cuts: cut_8x cut_4x" in loaded or "cuts: cut_4x cut_8x" in loaded, loaded
    assert f"num_rows: {samples}" in loaded, loaded
    assert sample.startswith(f"{samples:,} samples, {tokens:,} tokens\n") and "\nASSISTANT\n" in sample, sample
    assert trained == "not trained: MODEL is not set\n", trained
    print(f"ok     notebook: {len(notebook.cells)} cells; mixed {samples} samples, showed the report, loaded them; not trained", flush=True)


def check_training(folder) -> None:
    notebook = read()
    (settings,) = [cell for cell in notebook.cells if "MODEL = None" in cell.source]
    model = ROOT / "assets" / "builtin-tokenizer"
    settings.source = settings.source.replace("MODEL = None", f"MODEL = {str(model)!r}")
    (folder / "training_hub.py").write_text(STAND_IN)
    trained = run(notebook, folder)[-1]
    call = json.loads(trained.split("training_hub: ")[1])
    rows = json.loads((folder / "output" / "step_03" / "metrics.json").read_text())["cut_8.samples"]
    expected = {**documented(), "model_path": str(model), "data_path": "output/step_03/combined_cut_8x.jsonl", "rows": rows}
    assert call == expected, f"{call}\n{expected}"
    print(f"ok     notebook, with a model: calls training_hub.sft on {rows} rows (STAND-IN: the trainer is not run)", flush=True)


def main(binary) -> None:
    with tempfile.TemporaryDirectory(prefix="km-notebook-") as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "bin").mkdir()
        (scratch / "bin" / "knowledge-mixing").symlink_to(pathlib.Path(binary).resolve())
        os.environ["PATH"] = f"{scratch / 'bin'}{os.pathsep}{os.environ['PATH']}"
        os.environ |= {"HF_HOME": str(scratch / "cache"), "HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(scratch / "ipython")}
        for name, check in [("as-it-is", check_as_it_is), ("training", check_training)]:
            (scratch / name).mkdir()
            check(scratch / name)


main(*sys.argv[1:])
