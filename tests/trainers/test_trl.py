"""TRL's SFTTrainer takes our tokens file, as JSON lines and as Parquet, packed and not: two steps, and labels equal ours. The same for the
lines of docs/trainers.md, to which only what a machine without a GPU needs is added.

    python test_trl.py --binary BINARY
"""
import pathlib
import sys
import tempfile

import datasets
import docs
import published
import tiny


def check(path, kind, packing, folder):
    from trl import SFTConfig, SFTTrainer

    table = datasets.load_dataset(kind, data_files=str(path), split="train")
    config = SFTConfig(output_dir=str(folder / "trl"), max_steps=2, per_device_train_batch_size=4, use_cpu=True, report_to=[], packing=packing,
                       max_length=1024, bf16=False, gradient_checkpointing=False, save_strategy="no", logging_strategy="no",
                       **({"packing_strategy": "wrapped"} if packing else {}))
    trainer = SFTTrainer(model=tiny.model(), args=config, train_dataset=table, processing_class=tiny.tokenizer())
    assert trainer.train().global_step == 2
    ours = published.rows_of(path.with_suffix("").with_suffix(".tokens.jsonl"))
    made = trainer.train_dataset
    if packing:
        joined = [label for row in ours for label in row["labels"]]
        packed = [label for row in made for label in row["labels"]]
        assert packed == joined[:len(packed)] and len(packed) > len(joined) // 2
    else:
        assert [row["labels"] for row in made] == [row["labels"] for row in ours]
        batch = trainer.data_collator([made[number] for number in range(4)])
        for number in range(4):
            labels = [label for label, seen in zip(batch["labels"][number].tolist(), batch["attention_mask"][number].tolist()) if seen] \
                if "attention_mask" in batch else batch["labels"][number].tolist()[:ours[number]["len"]]
            assert labels == ours[number]["labels"], f"row {number}"
    print(f"ok     TRL: two steps on {path.name}, {'packed' if packing else 'not packed'}, labels equal", flush=True)


def check_docs(binary, folder):
    output = docs.mix(binary, folder, "tokens")
    tiny.model().save_pretrained(folder / "model")
    tiny.tokenizer().save_pretrained(folder / "model")
    code, config = docs.blocks("TRL", "python")[0], "SFTConfig("
    assert code.count(config) == 1
    code = code.replace(config, f"{config}use_cpu=True, bf16=False, max_steps=2, report_to=[], ")
    trainer = docs.run(code, folder, MODEL=str(folder / "model"))["trainer"]
    with docs.inside(folder):
        assert trainer.train().global_step == 2
    rows = published.rows_of(output / "combined_cut_50x.tokens.jsonl")
    assert [(row["input_ids"], row["labels"]) for row in trainer.train_dataset] == [(row["input_ids"], row["labels"]) for row in rows]
    print(f"ok     TRL: the lines of docs/trainers.md train: two steps on {len(rows)} rows, labels equal", flush=True)


def main():
    o = published.arguments(__doc__).parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        published.mix(o.binary, folder / "out", "--cut-sizes", "4", "--formats", "tokens,tokens-parquet")
        for name, kind in (("combined_cut_4x.tokens.jsonl", "json"), ("combined_cut_4x.tokens.parquet", "parquet")):
            for packing in (False, True):
                check(folder / "out" / name, kind, packing, folder)
        check_docs(o.binary, folder)


if __name__ == "__main__":
    sys.exit(main())
