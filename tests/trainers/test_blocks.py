"""Blocks: the trainer's own `PretrainingBlockDataset` has the number of blocks that preflight says. Needs torch.

    python test_blocks.py --binary BINARY
"""
import json
import pathlib
import sys
import tempfile

import published


def main():
    o = published.arguments(__doc__).parse_args()
    published.load()
    from instructlab.training.sampler import PretrainingBlockDataset

    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for block_size in (64, 2048):
            output = published.mix(o.binary, work / f"out-{block_size}", "--formats", "tokens", "--cut-sizes", "4,8",
                                   "--documents=only", "--block-size", block_size)
            manifest = json.loads((output / "manifest.json").read_text("utf-8"))
            for cut in manifest["cuts"]:
                tokens = output / f"combined_cut_{cut['cut']}x.cpt.tokens.jsonl"
                dataset = PretrainingBlockDataset.from_jsonl_file(str(tokens), block_size, pad_token_id=0)
                preflight = cut["preflight"]
                assert preflight["blocks"] == len(dataset), f"{preflight['blocks']} blocks, the trainer has {len(dataset)}"
                loss = sum(dataset[number]["num_loss_counted_tokens"] for number in range(len(dataset)))
                assert preflight["loss_tokens"] == loss, f"{preflight['loss_tokens']} loss tokens, the trainer has {loss}"
                print(f"ok     cut {cut['cut']}: {len(dataset)} blocks of {block_size}")


if __name__ == "__main__":
    sys.exit(main())
