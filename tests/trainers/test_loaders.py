"""The trainers' own datasets, samplers and collators take a tokens file as it is, and do what preflight says.

    python test_loaders.py --binary BINARY

mini-trainer's JsonlDataset and get_data_loader, instructlab-training's TokenDataset; EpochSampler with MaxTokensPerRankCollator of both
packages for 1, 2 and 8 GPUs, against the figures in metrics.json.
"""
import contextlib
import io
import json
import pathlib
import sys
import tempfile

import datasets
import published

SPLIT = "split: {validation: 0.2}"


def mix(binary, output, *flags):
    published.mix(binary, output, "--cut-sizes", "8", "--formats", "messages,tokens", *flags)
    return json.loads((output / "metrics.json").read_text("utf-8"))


def check_datasets(output):
    """Both datasets take the file; mini-trainer without a single `map` call."""
    from instructlab.training.sampler import TokenDataset
    from mini_trainer.sampler import JsonlDataset

    path = output / "combined_cut_8x.tokens.jsonl"
    rows = published.rows_of(path)
    calls = []
    original = datasets.Dataset.map
    datasets.Dataset.map = lambda self, *args, **kwargs: calls.append(args) or original(self, *args, **kwargs)
    try:
        ours = JsonlDataset(path=str(path))
    finally:
        datasets.Dataset.map = original
    assert not calls, f"mini-trainer calls map {len(calls)} times"
    assert len(ours) == len(rows)
    for item, row in zip(ours, rows):
        assert item["num_loss_counted_tokens"] == row["num_loss_counted_tokens"] == sum(label != -100 for label in row["labels"][1:])
        assert item["input_ids"].tolist() == row["input_ids"] and item["labels"].tolist() == row["labels"]
    theirs = TokenDataset(str(path))
    assert len(theirs) == len(rows) and [theirs[n]["len"] for n in range(len(rows))] == [row["len"] for row in rows]
    print(f"ok     datasets: {len(rows)} rows, no map call")


def check_loader(output):
    """An epoch of mini-trainer's data loader with our validation file, for both of two GPUs."""
    from mini_trainer.sampler import get_data_loader

    training, validation = (published.rows_of(output / f"combined_cut_8x{part}.tokens.jsonl") for part in ("", ".validation"))
    loss = {"training": 0, "validation": 0}
    for rank in (0, 1):
        loaders = get_data_loader(
            data_path=str(output / "combined_cut_8x.tokens.jsonl"), batch_size=16, max_tokens_per_gpu=2000, seed=1, rank=rank, world_size=2,
            validation_data_path=str(output / "combined_cut_8x.validation.tokens.jsonl"))
        for part, loader in zip(loss, loaders):
            loss[part] += sum(micro["num_loss_counted_tokens"] for step in loader for micro in step)
    for part, rows in (("training", training), ("validation", validation)):
        assert loss[part] == sum(row["num_loss_counted_tokens"] for row in rows), (part, loss[part])
    print(f"ok     data loader, world size 2: {loss['training']} loss tokens, {loss['validation']} in validation")


def quiet(call, *arguments):
    """Calls without what the packages print."""
    with contextlib.redirect_stdout(io.StringIO()):
        return call(*arguments)


def epoch(package, rows, batch, per_gpu, gpus, seed):
    """Steps, micro-batches of each GPU, loss tokens and the sum of the largest loads of an epoch."""
    import torch

    sampler = package.EpochSampler(len(rows), seed=seed)
    order = list(iter(sampler))
    items = [{"input_ids": torch.tensor(row["input_ids"]), "labels": torch.tensor(row["labels"]), "len": row["len"],
              "num_loss_counted_tokens": row["num_loss_counted_tokens"]} for row in rows]
    collators = [package.MaxTokensPerRankCollator(per_gpu, rank=rank, world_size=gpus) for rank in range(gpus)]
    steps = micro_batches = loss = largest = samples = 0
    for start in range(0, len(order), batch):
        step = [items[number] for number in order[start:start + batch]]
        made = [quiet(collator, step) for collator in collators]
        assert len({len(of_rank) for of_rank in made}) == 1
        steps += 1
        micro_batches += len(made[0])
        for of_ranks in zip(*made):
            tokens = [micro["input_ids"].numel() if micro["num_samples"] else 0 for micro in of_ranks]
            largest += max(tokens)
            loss += sum(micro["num_loss_counted_tokens"] for micro in of_ranks)
            samples += sum(micro["num_samples"] for micro in of_ranks)
    return steps, micro_batches, loss, largest, samples


def check_preflight(binary, folder):
    import instructlab.training.sampler as instructlab
    import mini_trainer.sampler as mini_trainer

    checked = 0
    for gpus in (1, 2, 8):
        for batch, per_gpu, max_seq_len in ((16, 2000, 4096), (32, 400, 420), (7, 390, 400), (500, 700, 410)):
            output = folder / f"{gpus}-{batch}-{per_gpu}"
            metrics = mix(binary, output, "--max-seq-len", max_seq_len, "--max-tokens-per-gpu", per_gpu, "--effective-batch-size", batch,
                          "--gpus", gpus, "--epochs", 3)
            figure = lambda name: metrics[f"cut_8.preflight.{name}"]  # noqa: E731
            rows = published.rows_of(output / "combined_cut_8x.tokens.jsonl")
            messages = published.rows_of(output / "combined_cut_8x.jsonl")
            over = sum(row["len"] > per_gpu for row in rows)
            assert figure("dropped") == len(messages) - len(rows) + over
            for package in (instructlab, mini_trainer):
                for seed in (1, 2, 3):
                    steps, micro_batches, loss, largest, samples = epoch(package, rows, batch, per_gpu, gpus, seed)
                    assert (steps, loss, samples) == (figure("steps_per_epoch"), figure("loss_tokens"), figure("samples"))
                    assert figure("steps") == 3 * steps
                    assert figure("micro_batches_at_least") <= micro_batches <= figure("micro_batches_at_most"), (gpus, batch, per_gpu)
                    balance = 100 * figure("tokens") / (largest * gpus)
                    assert balance >= figure("balance_percent_at_least"), (balance, gpus, batch, per_gpu)
                    checked += 1
    print(f"ok     preflight: {checked} epochs of both packages with 1, 2 and 8 GPUs")


def main():
    o = published.arguments(__doc__).parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        mix(o.binary, folder / "split", "--recipe", SPLIT)
        check_datasets(folder / "split")
        check_loader(folder / "split")
        check_preflight(o.binary, folder)


if __name__ == "__main__":
    sys.exit(main())
