"""The published data processing of training_hub: `instructlab.training.data_process`, with or without torch.

It only needs torch to be importable. Where torch is not installed, stand-ins for torch and the packages around it take its place;
everything that makes ids and labels is the published code.
"""
import argparse
import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import types

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("HF_DATASETS_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets  # noqa: E402  both decide at import whether torch is there
import transformers  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOKENIZERS = ROOT / "tests" / "fixtures" / "tokenizers"
STAND_INS = ("torch", "accelerate", "peft", "aiofiles", "cpuinfo", "numba", "trl")


class Anything(type):
    """A class whose every attribute is another such class: `torch.nn.Module` can be named, inherited from and called."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return anything(name)


def anything(name):
    return Anything(name, (), {"__init__": lambda self, *a, **k: None, "__call__": lambda self, *a, **k: a[0] if a else None})


class StandIn(types.ModuleType):
    """A module in which every name is a class that does nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, anything(name))
        return getattr(self, name)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return StandIn(spec.name)

    def exec_module(self, module):
        pass


def load():
    """The module `instructlab.training.data_process`; reports what stands in."""
    missing = [name for name in STAND_INS if importlib.util.find_spec(name) is None]
    if missing:
        finder = Finder()
        finder.names = missing
        sys.meta_path.append(finder)
        print(f"stand-ins for {', '.join(missing)}: not installed")
    from instructlab.training import data_process

    datasets.disable_progress_bars()
    logging.disable(logging.WARNING)
    transformers.logging.set_verbosity_error()
    return data_process


def arguments(doc):
    """A test's command line: the binary; a test can add more."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True)
    return parser


def mix(binary, output, *flags, source=ROOT / "examples" / "step_02", model="builtin"):
    """Runs the program on a folder of artifacts, the examples if none is given; returns `output`."""
    command = [binary, "mix", "--quiet", "--input", source, "--output", output, "--tokenizer-model", model, *flags]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return output


def families(extra=None):
    """Yields name, folder and model type of every tokenizer: the built-in one, the fixtures, and the folders in `extra`."""
    yield "builtin", ROOT / "assets" / "builtin-tokenizer", "llama"
    for name in ("chatml", "llama3", "spm", "gptoss"):
        yield name, TOKENIZERS / name, "gpt_oss" if name == "gptoss" else "llama"
    if extra:
        for folder in sorted(pathlib.Path(extra).iterdir()):
            yield folder.name, folder, "qwen2" if "qwen" in folder.name else "llama"


def model_folder(folder, model_type, target, chat_template=None):
    """A copy of a tokenizer's folder as the trainers need it: with `config.json`, and the template where transformers looks for it."""
    shutil.copytree(folder, target)
    (target / "config.json").write_text(json.dumps({"model_type": model_type}))
    if chat_template:
        (target / "chat_template.jinja").write_text(pathlib.Path(chat_template).read_text("utf-8"))
    elif (target / "chat_template.json").is_file():
        (target / "chat_template.jinja").write_text(json.loads((target / "chat_template.json").read_text("utf-8"))["chat_template"])
    return target


def rows_of(path):
    # Not splitlines(), which also splits at line separators within a text.
    return [json.loads(line) for line in pathlib.Path(path).read_bytes().splitlines()]


def process(data_process, messages, model, max_seq_len, work):
    """The rows that the published processing makes of a messages file."""
    import contextlib
    import io

    shutil.rmtree(work, ignore_errors=True)
    # It prints samples of its own.
    with contextlib.redirect_stdout(io.StringIO()):
        data_process.process_messages_into_input_ids(
            data_path=str(messages), data_output_path=str(work), max_seq_len=max_seq_len, model_path=str(model), num_cpu_procs=1)
    return rows_of(pathlib.Path(work) / "data.jsonl")
