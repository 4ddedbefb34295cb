"""Chats with tools load beside question-answer pairs, and the public chat templates print them.

    python test_tools.py --binary BINARY

A mix of the examples and of tool chats, as JSON lines and as Parquet, loaded by `datasets.load_dataset`, whose every row
`apply_chat_template` renders with the templates of Llama 3.1, Qwen 2.5, Qwen 3 (files of the installed trl) and Hermes 3 (a file of
llama_cpp_python's source package; two templates by name, of which transformers takes `tool_use` for rows with tools). The text has the
tool's name, its arguments and the answer, its token count is the row's `token_length`, and question-answer pairs render as they do in a mix
without tool chats.
"""
import importlib.util
import json
import pathlib
import subprocess
import sys
import tarfile
import tempfile

import cases
import datasets
import published
import transformers

HERMES = "llama_cpp_python==0.3.36", "NousResearch-Hermes-3-Llama-3.1-8B-tool_use.jinja"
# Arguments of every type, also of different types under one key: a table of columns could not hold them.
ARGUMENTS = [{"place": "Merrow", "days": 3}, {"place": "霧の港 \"☔️\"", "days": "three"}, {"place": None, "at": {"hour": 7.5, "exact": True}},
             {"places": ["Merrow", 1, None], "options": {}}, {}]
# No type `null`: the template of Hermes recurses without end on it, also in transformers.
PROPERTIES = {"place": {"type": ["string", "integer"], "description": " Where? \n"}, "days": {"type": "integer", "minimum": 1},
              "places": {"type": "array", "items": {"type": "string"}, "description": "Several <places> & 'more'"},
              "options": {"type": "object", "additionalProperties": {"type": "number"}}}


def tool(name, *parameters):
    properties = {parameter: PROPERTIES[parameter] for parameter in parameters}
    return {"type": "function", "function": {"name": name, "description": f"Does \"{name}\".",
                                             "parameters": {"type": "object", "properties": properties, "required": list(parameters)}}}


def chats():
    """Tool chats as they are published: without content, or with an empty one, beside a call; arguments as objects, or as JSON in a string."""
    for number, given in enumerate(ARGUMENTS * 3):
        name, call = f"tool_{number}", f"call{number:05}"
        arguments = json.dumps(given, ensure_ascii=False) if number % 2 else given
        asked = {"role": "assistant", **({"content": ""} if number % 3 else {}),
                 "tool_calls": [{"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}]}
        yield {"tools": [tool(name, *PROPERTIES), *([tool(f"other_{number}")] if number % 4 == 0 else [])],
               "messages": [{"role": "system", "content": "Use the tools."}, {"role": "user", "content": f"What is {number}?"}, asked,
                            {"role": "tool", "tool_call_id": call, "name": name, "content": json.dumps({"result": number})},
                            {"role": "assistant", "content": f"It is number {number}."}]}


def hermes(folder):
    """The file of the published package, or None if it cannot be downloaded."""
    package, name = HERMES
    done = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:",
                           "--dest", str(folder), package], capture_output=True, text=True)
    if done.returncode:
        print(f"SKIPPED: Hermes 3: {package} cannot be downloaded: {(done.stderr.strip().splitlines() or ['pip says nothing'])[-1]}", flush=True)
        return None
    with tarfile.open(next(folder.glob("llama_cpp_python-*.tar.gz"))) as archive:
        member = next(member for member in archive if member.name.endswith("/" + name))
        (folder / name).write_bytes(archive.extractfile(member).read())
    return folder / name


def models(folder):
    """Yields the name of a model and its folder: a small tokenizer with the public template."""
    public = pathlib.Path(importlib.util.find_spec("trl").submodule_search_locations[0]) / "chat_templates"
    for name, file, tokenizer in (("Llama 3.1", "llama3_1", "llama3"), ("Qwen 2.5", "qwen2_5", "chatml"), ("Qwen 3", "qwen3", "chatml")):
        yield name, published.model_folder(published.TOKENIZERS / tokenizer, "llama", folder / file, public / f"{file}.jinja")
    template = hermes(folder)
    if template:
        default = published.ROOT / "assets" / "builtin-tokenizer" / "chat_template.jinja"
        model = published.model_folder(published.TOKENIZERS / "chatml", "llama", folder / "hermes", default)
        (model / "additional_chat_templates").mkdir()
        (model / "additional_chat_templates" / "tool_use.jinja").write_text(template.read_text("utf-8"))
        yield "Hermes 3", model


def render(output, kind, tokenizer):
    """Yields row, tools and text of every row as a trainer makes them; `tools` is JSON, as TRL reads it."""
    path = output / f"combined_cut_4x.{'jsonl' if kind == 'json' else kind}"
    for row in datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(output / f"cache-{kind}")):
        tools = json.loads(row["tools"]) if row.get("tools") else None
        text = tokenizer.apply_chat_template(row["messages"], tools=tools, tokenize=False)
        assert len(tokenizer.encode(text)) == row["token_length"], f"{path.name}: {row['token_length']} is not the count of {text}"
        yield row, tools, text


def check(binary, name, model, chat_file, expected, folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(model))
    assert name != "Hermes 3" or sorted(tokenizer.chat_template) == ["default", "tool_use"], tokenizer.chat_template
    flags = ["--cut-sizes", "4", "--formats", "messages,messages-parquet"]
    beside = published.mix(binary, folder / "beside", *flags, "--recipe", cases.RECIPE % chat_file, model=model)
    alone = published.mix(binary, folder / "alone", *flags, model=model)
    for kind in ("json", "parquet"):
        rows = list(render(beside, kind, tokenizer))
        with_tools = [(row, tools, text) for row, tools, text in rows if tools]
        assert [tools for _, tools, _ in with_tools] == [chat["tools"] for chat in expected]
        for (row, _, text), chat, arguments in zip(with_tools, expected, ARGUMENTS * 3):
            call = next(message for message in row["messages"] if message.get("tool_calls"))["tool_calls"][0]["function"]
            assert call["arguments"] == arguments and text.count(chat["tools"][0]["function"]["name"]) >= 2, text
            assert json.dumps(arguments, ensure_ascii=False) in text and chat["messages"][-1]["content"] in text, text
            # A message has its own keys and no others; content is always there, null beside a call that has none.
            assert [set(message) for message in row["messages"]] == [{"content", *message} for message in chat["messages"]], row["messages"]
        pairs = [text for _, tools, text in rows if not tools]
        assert pairs == [text for _, _, text in render(alone, kind, tokenizer)], f"{name}, {kind}: pairs render differently beside tool chats"
        print(f"ok     {name}, {kind}: {len(with_tools)} tool chats and {len(pairs)} pairs load, render and have their token counts", flush=True)


def main():
    o = published.arguments(__doc__).parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        expected = list(chats())
        chat_file = folder / "tools.jsonl"
        chat_file.write_text("".join(json.dumps(chat, ensure_ascii=False) + "\n" for chat in expected), "utf-8")
        for name, model in models(folder):
            work = folder / f"{model.name}-mixes"
            work.mkdir()
            check(o.binary, name, model, chat_file, expected, work)


if __name__ == "__main__":
    sys.exit(main())
