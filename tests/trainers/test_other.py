"""axolotl and LLaMA-Factory: their own checks for a tokenized dataset accept our files.

    python test_other.py --binary BINARY

Neither package installs beside the other trainers (both pin older versions of the same libraries), so only their published sources are
unpacked, into a temporary folder, and only the functions that judge a dataset run: axolotl's test for a tokenized dataset,
on what the YAML of docs/trainers.md names, and LLaMA-Factory's test for a tokenized path after the three lines of that page.
"""
import ast
import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

import datasets
import docs
import published
import yaml

PACKAGES = ("axolotl==0.19.0", "llamafactory==0.9.5")


def function(source, name, **names):
    """One function of a source file, without the rest of its module."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == name]
    assert found, f"no function {name}"
    found[0].decorator_list = []
    found[0].returns = None
    for argument in [*found[0].args.args, *found[0].args.kwonlyargs]:
        argument.annotation = None
    scope = dict(names)
    exec(compile(ast.Module(body=[found[0]], type_ignores=[]), name, "exec"), scope)
    return scope[name]


def find(folder, name):
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text("utf-8")
        if f"def {name}(" in text:
            return text
    raise AssertionError(f"{name} not found")


def main():
    o = published.arguments(__doc__).parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--dest", str(folder),
                        *PACKAGES], check=True)
        for wheel in folder.glob("*.whl"):
            zipfile.ZipFile(wheel).extractall(folder / wheel.name.split("-")[0])
        docs.mix(o.binary, folder, "tokens,tokens-parquet")

        is_tokenized = function(find(folder / "axolotl", "_is_dataset_already_tokenized"), "_is_dataset_already_tokenized",
                                Dataset=datasets.Dataset, IterableDataset=datasets.IterableDataset)
        (listed,) = yaml.safe_load(docs.blocks("axolotl", "yaml")[0])["datasets"]
        assert listed["type"] is None, "axolotl processes a dataset that has a type"
        for path, kind in ((listed["path"], listed["ds_type"]), (listed["path"].replace(".jsonl", ".parquet"), "parquet")):
            table = datasets.load_dataset(kind, data_files=str(folder / path), split="train")
            assert is_tokenized(table), f"axolotl does not take {path} for tokenized"
        print("ok     axolotl takes both files for tokenized datasets")

        (lines,) = docs.blocks("LLaMA-Factory", "python")
        assert len(lines.strip().splitlines()) == 3, "docs/trainers.md promises three lines"
        docs.run(lines, folder)
        with docs.inside(folder):
            has_tokenized = function(find(folder / "llamafactory", "has_tokenized_data"), "has_tokenized_data", os=os)
            assert has_tokenized("tokenized"), "LLaMA-Factory does not take the folder for tokenized data"
            saved = datasets.load_from_disk("tokenized")
            assert {"input_ids", "labels", "attention_mask"} <= set(saved["train"].column_names)
        print("ok     LLaMA-Factory takes the folder that the three lines save")


if __name__ == "__main__":
    sys.exit(main())
