#!/usr/bin/env python3
"""Check the program against transformers: write mixes of every kind and check each with judge.py and the model.

    python run_all.py --binary target/debug/knowledge-mixing

Also checks that judge.py finds errors (test_judge.py), and that the files in the repository are those that the scripts generate.
The last line counts what passed and failed.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
EXAMPLES = ROOT / "examples" / "step_02"
TOKENIZERS = ROOT / "tests" / "fixtures" / "tokenizers"
EVERYTHING = ["--cut-sizes", "50", "--infeasible-cuts", "keep", "--qa-per-doc", "99"]
CHATS = """
sources:
  general: {kind: messages, paths: [%s], share: 0.1, max_repeat: 4}
""" % (ROOT / "examples" / "chats")


# Classes that transformers 5 builds by rules of its own, over files that a fixture has: (name, fixture, changes of the configuration,
# whether transformers 4.57 knows the class and takes the file as it is)
REBUILT = [
    ("LlamaTokenizer", "spm", {}, True),
    ("LlamaTokenizerFast", "spm", {"legacy": True}, True),
    ("LlamaTokenizer", "spm", {"add_prefix_space": False, "add_bos_token": True, "add_eos_token": True}, False),
    ("CodeLlamaTokenizer", "spm", {}, True),
    ("GemmaTokenizer", "spm", {}, True),
    ("Qwen2Tokenizer", "llama3", {}, True),
    ("Qwen2TokenizerFast", "gptoss", {"add_bos_token": True}, True),
    ("Qwen3_5Tokenizer", "chatml", {}, False),
    ("GPT2Tokenizer", "chatml", {}, True),
    ("GPT2Tokenizer", "llama3", {"add_prefix_space": True}, True),
    ("GPTNeoXTokenizer", "chatml", {}, True),
    ("CohereTokenizer", "gptoss", {}, False),
    ("CodeGenTokenizer", "chatml", {}, True),
    ("LlamaTokenizer", "chatml", {}, False),
    ("PreTrainedTokenizerFast", "llama3", {"add_bos_token": False}, True),
]


def rebuilt(folder):
    """Writes the folders of REBUILT; yields a name and a folder for each."""
    for number, (name, fixture, changes, in_version_4) in enumerate(REBUILT):
        target = folder / f"rebuilt-{number}"
        shutil.copytree(TOKENIZERS / fixture, target)
        config = json.loads((target / "tokenizer_config.json").read_text("utf-8"))
        config = {key: value for key, value in config.items() if key not in ("add_bos_token", "add_eos_token", "legacy")}
        (target / "tokenizer_config.json").write_text(json.dumps({**config, "tokenizer_class": name, **changes}))
        yield f"{name} over {fixture} {changes or ''}".strip(), target, in_version_4


def other_layouts(folder):
    """Folders as older and newer versions of transformers write them; yields a name, a folder, and whether 4.57 is asked, too."""
    target = folder / "added-tokens"
    shutil.copytree(TOKENIZERS / "llama3", target)
    config = json.loads((target / "tokenizer_config.json").read_text("utf-8"))
    special = json.loads((target / "special_tokens_map.json").read_text("utf-8"))
    last = max(token["id"] for token in json.loads((target / "tokenizer.json").read_text("utf-8"))["added_tokens"])
    (target / "tokenizer_config.json").write_text(json.dumps({key: value for key, value in config.items() if key != "added_tokens_decoder"}))
    (target / "special_tokens_map.json").write_text(json.dumps({**special, "sep_token": "harbour"}))
    (target / "added_tokens.json").write_text(json.dumps({" ferry": last + 2, "harbour": last + 1, "the ": last + 3}))
    yield "added_tokens.json", target, True
    target = folder / "tool-use"
    shutil.copytree(TOKENIZERS / "chatml", target)
    config = json.loads((target / "tokenizer_config.json").read_text("utf-8"))
    templates = {template["name"]: template["template"] for template in config["chat_template"]}
    (target / "chat_template.jinja").write_text(templates["default"])
    (target / "additional_chat_templates").mkdir()
    (target / "additional_chat_templates" / "tool_use.jinja").write_text(templates["tool_use"])
    (target / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": "{{ raise_exception('replaced') }}"}))
    yield "additional_chat_templates", target, True


def mixes():
    """Yields name, input folders, tokenizer, flags for the program, and whether the rows are compared with the model."""
    families = {"builtin": ROOT / "assets" / "builtin-tokenizer"}
    families |= {name: TOKENIZERS / name for name in ("chatml", "llama3", "spm", "gptoss")}
    for name, folder in families.items():
        yield f"examples, {name}", [EXAMPLES], folder, ["--cut-sizes", "2,5"], False
        yield f"everything, {name}", [EXAMPLES], folder, [*EVERYTHING, "--thinking", "always"], True
    for name in ("builtin", "llama3", "chatml"):
        yield f"chats, {name}", [EXAMPLES], families[name], ["--cut-sizes", "2,5", "--recipe", CHATS], False
    # The recipe sets the input, the tokenizer (the built-in one) and the cuts; its paths are relative to the repository.
    for recipe in sorted((ROOT / "examples" / "recipes").glob("*.yaml")):
        yield f"recipe {recipe.name}", [], families["builtin"], ["--recipe", recipe], False
    yield "reasoning template", [EXAMPLES], families["chatml"], ["--cut-sizes", "5", "--chat-template", TOKENIZERS / "reasoning.jinja"], False
    yield "training columns, gzip", [EXAMPLES], families["builtin"], ["--cut-sizes", "5", "--columns", "training", "--compression", "gzip"], False
    yield "zstd, shuffled", [EXAMPLES], families["builtin"], ["--cut-sizes", "2,8", "--compression", "zstd", "--shuffle"], False
    yield "placeholders dropped", [EXAMPLES], families["builtin"], [*EVERYTHING, "--save-gpt-oss-format", "--thinking", "always"], True
    for shape in ("narrow", "wide"):
        yield f"generated, {shape}", [shape], families["builtin"], ["--cut-sizes", "3,6"], False
        yield f"generated, {shape}, everything", [shape], families["spm"], [*EVERYTHING, "--thinking", "always"], True


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=ROOT)
    return done.returncode, (done.stdout + done.stderr).strip()


def judge_mix(binary, work, inputs, tokenizer, flags, compared, python=sys.executable):
    """Returns the first error, or None. The judge runs with `python`, whose transformers it asks."""
    output = work / "out"
    given = [part for folder in inputs for part in ("--input", folder)]
    code, text = run(binary, "mix", *given, "--output", output, "--tokenizer-model", tokenizer, "--quiet", *flags)
    if code:
        return text
    expect = []
    if compared:
        model = [flag for flag in flags if flag == "--save-gpt-oss-format"]
        code, text = run(sys.executable, HERE / "notebook_model.py", *inputs, "--out", work / "model.jsonl", "--qa-per-doc", "99", *model)
        if code:
            return text
        expect = ["--expect", work / "model.jsonl"]
    template = flags[flags.index("--chat-template"):][:2] if "--chat-template" in flags else []
    code, text = run(python, HERE / "judge.py", output, tokenizer, *template, *expect)
    if code:
        return text
    code, text = run(binary, "verify", output)
    return text if code else None


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--binary", type=pathlib.Path, required=True)
    arguments.add_argument("--transformers4", type=pathlib.Path, metavar="PYTHON", help="a Python with transformers 4.57, for --tokenizer-rules file")
    arguments.add_argument("--only", default="", metavar="TEXT", help="run only the mixes and checks whose name contains this")
    given = arguments.parse_args()
    binary, only = given.binary.resolve(), given.only
    passed, failed = 0, 0

    def report(name, error):
        nonlocal passed, failed
        passed, failed = passed + (error is None), failed + (error is not None)
        print(f"{'ok    ' if error is None else 'FAILED'} {name}" + (f"\n{error}" if error else ""), flush=True)

    checks = [["tests/python/test_judge.py"], ["tests/python/check_recipes.py", "--binary", binary], ["tests/python/check_card.py", "--binary", binary]]
    checks += [["tests/python/check_templates.py", *(["--transformers4", given.transformers4] if given.transformers4 else [])]]
    checks += [[f"scripts/{script}.py", "--check"] for script in ("train_builtin_tokenizer", "make_test_tokenizers", "make_examples")]
    for check in (check for check in checks if only in check[0]):
        code, text = run(sys.executable, *check)
        report(" ".join(str(part) for part in check), text if code else None)
    with tempfile.TemporaryDirectory() as folder:
        generated = {shape: pathlib.Path(folder) / shape for shape in ("narrow", "wide")}
        for shape, target in generated.items():
            code, text = run(sys.executable, ROOT / "bench" / "generate.py", target, "--docs", 2, "--summaries", 6, "--facts", 10, "--shape", shape)
            if code:
                report(f"generate {shape}", text)
        chosen = (mix for mix in mixes() if only in mix[0])
        for number, (name, inputs, tokenizer, flags, compared) in enumerate(chosen):
            work = pathlib.Path(folder) / str(number)
            work.mkdir()
            inputs = [generated.get(entry, entry) for entry in inputs]
            report(name, judge_mix(binary, work, inputs, tokenizer, flags, compared))
        chats = ["--cut-sizes", "2,5", "--recipe", CHATS]
        families = [*rebuilt(pathlib.Path(folder)), *other_layouts(pathlib.Path(folder))]
        if not given.transformers4:
            print("SKIPPED: --tokenizer-rules file against transformers 4.57: no --transformers4")
        for number, (name, tokenizer, in_version_4) in enumerate(families):
            for rules, python in [("auto", sys.executable), ("file", in_version_4 and given.transformers4)]:
                title = f"rules {rules}, {name}"
                if python and only in title:
                    work = pathlib.Path(folder) / f"{rules}-{number}"
                    work.mkdir()
                    report(title, judge_mix(binary, work, [EXAMPLES], tokenizer, [*chats, "--tokenizer-rules", rules], False, python))
    print(f"judge: {passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
