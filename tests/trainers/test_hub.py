"""training_hub accepts the calls of docs/trainers.md as they stand, and hands our files on to its trainers.

    python test_hub.py --binary BINARY

The blocks below `training_hub` run in a folder with the files that they name. All of `sft`, `osft` and their backends is the published code,
data processing included; only `torchrun` is not started. Its command line has to have every value of the call, and each keyword has to be
one that the packages know, because instructlab-training ignores others.
"""
import ast
import contextlib
import inspect
import io
import pathlib
import re
import subprocess
import sys
import tempfile

import docs
import published
import tiny

# Names of the documented keywords on the command lines of the two trainers; others have their own name.
COMMAND_LINES = {
    "sft": {"model_path": "model_name_or_path", "ckpt_output_dir": "output_dir", "max_tokens_per_gpu": "max_batch_len"},
    "osft": {"model_path": "model_name_or_path", "ckpt_output_dir": "output_dir", "effective_batch_size": "batch_size", "num_epochs": "max_epochs",
             "unfreeze_rank_ratio": "osft_unfreeze_rank_ratio"},
}
# Steps before torchrun use them up.
USED_UP = {"data_path", "data_output_dir", "max_seq_len", "process_data", "use_processed_dataset"}


class Process:
    """Takes the place of the process that the trainers start."""

    def __init__(self, commands, log, command):
        pairs = (re.fullmatch(r"--([\w-]+)=(.*)", part) for part in command)
        commands.append({pair[1].replace("-", "_"): pair[2] for pair in pairs if pair})

    def listen(self):
        pass

    def wait(self, timeout=None):
        return 0

    poll = wait


def started(code, folder):
    """Runs lines of the page; returns for each call its name, its keywords and the command line of its trainer."""
    import instructlab.training.main_ds as sft_trainer
    import mini_trainer.api_train as osft_trainer
    import training_hub
    from instructlab.training import TrainingArgs
    from instructlab.training.model import Model

    commands, model = [], str(folder / "model")
    for trainer in (sft_trainer, osft_trainer):
        trainer.StreamablePopen = lambda log, command: Process(commands, log, command)
    # It asks for a GPU and for flash-attn.
    Model.check_flash_attn_enabled = lambda disabled: False
    with contextlib.redirect_stdout(io.StringIO()):
        docs.run(code, folder, MODEL=model, sft=training_hub.sft)
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    assert len(calls) == len(commands), f"{len(calls)} calls, {len(commands)} trainers"
    for call, command in zip(calls, commands):
        name, given = call.func.id, {keyword.arg: keyword.value for keyword in call.keywords}
        known = set(inspect.signature(getattr(training_hub, name)).parameters) | (set(TrainingArgs.model_fields) if name == "sft" else set())
        assert set(given) <= known, f"{name} does not know {set(given) - known}"
        values = {key: model if key == "model_path" else ast.literal_eval(value) for key, value in given.items()}
        for key in set(given) - USED_UP:
            assert command[COMMAND_LINES[name].get(key, key)] == str(values[key]), f"{name}: {key} does not arrive: {command}"
        yield name, values, command


def main():
    o = published.arguments(__doc__).parse_args()
    published.load()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        output = docs.mix(o.binary, folder, "messages,tokens")
        published.model_folder(published.ROOT / "assets" / "builtin-tokenizer", "llama", folder / "model")
        tiny.model().save_pretrained(folder / "model")
        ours = (output / "combined_cut_50x.tokens.jsonl").read_bytes()
        first, processed = docs.blocks("training_hub", "python")
        subprocess.run(["sh", "-ec", docs.blocks("training_hub", "sh")[0]], cwd=folder, check=True)
        calls = list(started(first, folder)) + list(started(processed, folder))
        assert [name for name, _, _ in calls] == ["sft", "osft", "sft"]
        # What the trainer reads: the rows of the messages file, processed; the tokens file itself; the copy of it.
        keys = ("input_ids", "labels", "len")
        made, expected = ([[row[key] for key in keys] for row in published.rows_of(path)]
                          for path in (folder / calls[0][2]["data_path"], output / "combined_cut_50x.tokens.jsonl"))
        assert made == expected, "the processed messages are not the tokens file"
        for name, given, command in calls[1:]:
            assert (folder / command["data_path"]).read_bytes() == ours, f"{name} reads {command['data_path']}"
        from mini_trainer import train

        assert {"data_path", "validation_data_path"} <= set(inspect.signature(train.main).parameters)
        for name, given, command in calls:
            print(f"ok     training_hub.{name}({pathlib.Path(given['data_path']).name}) starts its trainer on {command['data_path']}")


if __name__ == "__main__":
    sys.exit(main())
