#!/usr/bin/env python3
"""Loads mixes by their folder alone: the dataset card tells `datasets` which file is which split of which mix.

    python check_card.py --binary BINARY
"""
import argparse
import json
import pathlib
import subprocess
import tempfile

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples" / "step_02"
# Flags, and the names of the mixes; the first one is what `load_dataset` returns without a name.
CASES = [
    (["--cut-sizes", "2,4"], ["cut_4x", "cut_2x"]),
    (["--cut-sizes", "2,4", "--select-cut", "2"], ["cut_2x", "cut_4x"]),
    (["--cut-sizes", "2", "--recipe", "split: {validation: 0.2}", "--compression", "gzip"], ["cut_2x"]),
    (["--cut-sizes", "2", "--formats", "messages,tokens,messages-parquet", "--thinking", "always"], ["cut_2x", "cut_2x_tokens"]),
    (["--cut-sizes", "2", "--formats", "messages,tokens", "--select-format", "tokens"], ["cut_2x_tokens", "cut_2x"]),
    (["--cut-sizes", "2", "--formats", "messages-parquet,tokens", "--recipe", "split: {validation: 0.2}"], ["cut_2x"]),
]


def expected(folder, name, format_of) -> dict:
    """Rows of each split, as the manifest tells."""
    manifest = json.loads((folder / "manifest.json").read_text())
    cut, tokens = int(name.split("_")[1].rstrip("x")), name.endswith("_tokens")
    kinds = {"mix": "train", "validation": "validation"}
    return {
        kinds[file["kind"]]: file["rows"]
        for file in manifest["outputs"]
        if file["kind"] in kinds and file["cut"] == cut and file["format"] == ("tokens" if tokens else format_of)
    }


def main() -> None:
    import datasets

    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--binary", required=True)
    o = a.parse_args()
    for flags, names in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            folder, cache = pathlib.Path(scratch) / "step_03", str(pathlib.Path(scratch) / "cache")
            command = [o.binary, "mix", "--quiet", "--input", EXAMPLES, "--output", folder, "--tokenizer-model", "builtin", *flags]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            format_of = "messages-parquet" if "messages-parquet,tokens" in flags else "messages"
            found = datasets.get_dataset_config_names(str(folder))
            assert sorted(found) == sorted(names), (flags, found)
            for name in [None, *names]:
                splits = datasets.load_dataset(str(folder), name, cache_dir=cache)
                rows = {split: table.num_rows for split, table in splits.items()}
                assert rows == expected(folder, name or names[0], format_of), (flags, name, rows)
    print(f"dataset cards: {len(CASES)} folders loaded by datasets {datasets.__version__}, every mix and split")


if __name__ == "__main__":
    main()
