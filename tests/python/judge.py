#!/usr/bin/env python3
"""Check a finished mix: does it load with `datasets`, do its rows follow docs/files.md, does transformers count the same tokens?

    python judge.py OUTPUT TOKENIZER_FOLDER [--chat-template FILE] [--expect FILE [--expect-cut N]]

Every combined_cut file (also .cpt, .gz, .zst, .validation) is loaded. Columns, their order and types, messages and metadata are checked,
and every token_length is counted again. manifest.json provides the columns, the template's date and the content of the files.
With --expect (a file written by notebook_model.py), the rows of the largest cut, or of cut N, are compared with it one by one.
On the first difference, the exit code is 1 and a line names the file and the row.
"""
import argparse
import gzip
import io
import json
import os
import pathlib
import re
import sys
import tempfile

os.environ.setdefault("HF_DATASETS_OFFLINE", "1")

FULL = ["question", "document_outline", "raw_document", "document", "messages", "metadata", "unmask", "token_length"]
TRAINING = ["messages", "unmask", "token_length"]
REASONING = ["thinking", "reasoning_content"]
SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]
DOCUMENTS = ["document", "document_outline", "raw_document", "metadata", "token_length"]
NAME = re.compile(r"combined_cut_(\d+)x(\.cpt)?(\.validation)?\.jsonl(\.gz|\.zst)?")


class Difference(Exception):
    """The first difference from what is expected."""


def require(condition, text):
    if not condition:
        raise Difference(text)


def shown(value):
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:300] + "…"


def content_of(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    if path.suffix == ".zst":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    return data


def lines_of(path):
    """Yields (line number, row) for each line; the order of the keys is preserved."""
    data = content_of(path)
    require(not data or data.endswith(b"\n"), f"{path.name}: the last line has no line end")
    for number, line in enumerate(data.decode("utf-8").split("\n")[:-1], start=1):
        try:
            yield number, json.loads(line)
        except ValueError as error:
            raise Difference(f"{path.name}:{number}: not JSON: {error}") from None


def check_pair_row(row, where, training, recipe, thinking):
    """Checks a row of one of the four sources, built from a question and a response. A recipe may omit the document."""
    messages = row["messages"]
    require([m.get("role") for m in messages] == ["user", "assistant"], f"{where}: the roles are not user, assistant")
    for message in messages:
        require(list(message)[:2] == ["role", "content"], f"{where}: a message has the keys {list(message)}")
        require(isinstance(message["content"], str), f"{where}: a message's content is not a string")
    user, assistant = messages
    if thinking == "always":
        require(list(user)[2:] == list(assistant)[2:] == ["thinking"], f"{where}: a message has the keys {list(user)}")
        require(user["thinking"] is None, f"{where}: the user message's thinking is not null")
        require(isinstance(assistant["thinking"], str), f"{where}: the assistant message's thinking is not a string")
    else:
        require(len(user) == 2, f"{where}: a message has the keys {list(user)}")
        allowed = REASONING if thinking == "auto" else []
        require(len(assistant) == 2 or len(assistant) == 3 and list(assistant)[2] in allowed, f"{where}: a message has the keys {list(assistant)}")
        require(all(assistant.values()), f"{where}: a message has an empty value: {shown(assistant)}")
    require(assistant["content"] != "", f"{where}: the answer is empty")
    require(recipe or row["unmask"] is True, f"{where}: unmask is {row['unmask']!r}")
    if training:
        return
    metadata = json.loads(row["metadata"])
    expected = {"sdg_document": row["document"], "dataset": "document_knowledge_qa", "raw_document": row["raw_document"],
                "source": metadata.get("source")}
    require(list(metadata.items()) == list(expected.items()), f"{where}: metadata is {shown(metadata)}, expected {shown(expected)}")
    for column in ("question", "document_outline", "raw_document", "document"):
        require(isinstance(row[column], str), f"{where}: {column} is {shown(row[column])}, expected a string")
    fact = f"In {row['document_outline']}, {row['question']}"
    full = f"{row['document_outline']}\n{row['document']}\n\n{row['question']}"
    if not recipe:
        text = fact if metadata["source"] == "key_facts_to_qa" else full
        require(user["content"] == text, f"{where}: the user's content is {shown(user['content'])}, expected {shown(text)}")


def tools_of(row, where):
    """The tools of a chat as a list, as the template expects them; in the row they are a JSON string."""
    if "tools" not in row:
        return None
    require(isinstance(row["tools"], str) and json.loads(row["tools"]), f"{where}: tools is {shown(row['tools'])}")
    return json.loads(row["tools"])


def check_chat_row(row, where, thinking):
    """Checks a ready chat: messages have only the keys that say something."""
    for message in row["messages"]:
        require(list(message)[:2] == ["role", "content"], f"{where}: a message has the keys {list(message)}")
        empty = [key for key, value in list(message.items())[2:] if value in (None, "", [])]
        require(thinking == "always" or not empty, f"{where}: a message has an empty value: {shown(message)}")
        require("tool_calls" not in message or isinstance(message["tool_calls"], list), f"{where}: tool_calls is not a list")


def check_row(row, where, training, recipe, thinking):
    columns = TRAINING if training else FULL
    require([c for c in row if c != "tools"] == columns, f"{where}: columns are {list(row)}, expected {columns}")
    require(isinstance(row["messages"], list) and row["messages"], f"{where}: no messages")
    require(isinstance(row["unmask"], bool), f"{where}: unmask is not a boolean")
    require(type(row["token_length"]) is int, f"{where}: token_length is not an integer")
    # Without metadata, chats cannot be told from pairs
    chat = training and recipe
    if not training:
        require(isinstance(row["metadata"], str), f"{where}: metadata is not a string")
        chat = json.loads(row["metadata"]).get("dataset") != "document_knowledge_qa"
    if chat:
        check_chat_row(row, where, thinking)
    else:
        check_pair_row(row, where, training, recipe, thinking)


def check_document(row, where, training):
    """Checks a row of a document mix."""
    columns = ["document", "token_length"] if training else DOCUMENTS
    require(list(row) == columns, f"{where}: columns are {list(row)}, expected {columns}")
    require(all(isinstance(row[column], str) for column in columns[:-1]), f"{where}: a column is not a string")
    require(row["document"].strip(), f"{where}: the document is empty")
    require(type(row["token_length"]) is int, f"{where}: token_length is not an integer")
    if not training:
        metadata = json.loads(row["metadata"])
        require(list(metadata) == ["dataset", "source"] and metadata["dataset"] == "document", f"{where}: metadata is {shown(metadata)}")


def without_nulls(value):
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def check_loads(path, rows, cache):
    """`datasets` loads the file and returns the same rows (it fills keys that only other rows have with null)."""
    from datasets import load_dataset

    try:
        table = load_dataset("json", data_files=str(path), split="train", cache_dir=cache)
    except Exception as error:
        raise Difference(f"{path.name}: datasets cannot load it: {error}: {error.__cause__}") from None
    require(len(table) == len(rows), f"{path.name}: datasets loads {len(table)} rows, the file has {len(rows)}")
    for number, (seen, row) in enumerate(zip(table, rows), start=1):
        require(without_nulls(seen) == without_nulls(row), f"{path.name}:{number}: datasets loads a different row: {shown(seen)}")


def check_manifest(output, manifest, totals):
    """The figures in the manifest are those of the files."""
    try:
        from blake3 import blake3
    except ImportError:
        blake3 = None
    named = {entry["name"]: entry for entry in manifest["outputs"]}
    for name, entry in named.items():
        path = output / name
        require(path.is_file(), f"{name}: listed in the manifest, but not found")
        data = path.read_bytes()
        require(len(data) == entry["bytes"], f"{name}: {len(data)} bytes, the manifest says {entry['bytes']}")
        if blake3:
            digest = blake3(data).hexdigest()
            require(digest == entry["digest"], f"{name}: digest {digest}, the manifest says {entry['digest']}")
        if name in totals:
            require(totals[name] == (entry.get("rows"), entry.get("tokens")),
                    f"{name}: {totals[name][0]} rows with {totals[name][1]} tokens, the manifest says {entry.get('rows')} and {entry.get('tokens')}")
    for name in totals:
        require(name in named, f"{name}: not listed in the manifest")
    for source in manifest["sources"]:
        require(source["read"] == source["kept"] + sum(source["dropped"].values()), f"manifest: {source['name']}: read is not the sum of kept and dropped")
    for cut in [*manifest["cuts"], *manifest.get("document_cuts", [])]:
        require(cut["samples"] == sum(s["samples"] for s in cut["sources"]), f"manifest: cut {cut['cut']}: samples do not add up")
        require(cut["tokens"] == sum(s["tokens"] for s in cut["sources"]), f"manifest: cut {cut['cut']}: tokens do not add up")


def compare(name, rows, expect):
    """Compares the rows with those of the model: every column that both have, except token counts."""
    expected = [json.loads(line) for line in open(expect, encoding="utf-8")]
    for number, (row, want) in enumerate(zip(rows, expected), start=1):
        for column in (c for c in row if c != "token_length"):
            have, should = row[column], want.get(column)
            if column == "metadata":
                have, should = list(json.loads(have).items()), list(json.loads(should).items())
            require(have == should, f"{name}:{number}: {column} is {shown(have)}, the model has {shown(should)}")
    require(len(rows) == len(expected), f"{name}: {len(rows)} rows, the model has {len(expected)}")


def judge(o):
    output = pathlib.Path(o.output)
    files = sorted((int(NAME.fullmatch(p.name)[1]), p.name, p) for p in output.iterdir() if NAME.fullmatch(p.name))
    require(files, f"{output}: no combined_cut file found")
    manifest_path = output / "manifest.json"
    require(manifest_path.is_file() or o.no_manifest, f"{output}: manifest.json not found: the mix is not complete")
    manifest = json.loads(manifest_path.read_text("utf-8")) if manifest_path.is_file() else {}
    require(manifest.get("state", "complete") == "complete", f"{output}: the mix is being replaced: it is not complete")
    date = o.strftime_date or manifest.get("tokenizer", {}).get("chat_template_date")

    from reference import Reference

    settings = manifest.get("settings", {})
    thinking = settings.get("thinking", "always")
    rules = manifest.get("tokenizer", {}).get("rules", "file")
    reference = Reference(o.tokenizer, date=date, chat_template=o.chat_template, rules=rules)
    recipe = settings.get("recipe") is not None
    totals, contents = {}, {}
    with tempfile.TemporaryDirectory() as cache:
        for cut, name, path in files:
            rows = []
            for number, row in lines_of(path):
                where = f"{name}:{number}"
                training = settings.get("columns") == "training" if manifest else "question" not in row
                if ".cpt" in name:
                    check_document(row, where, training)
                    count = reference.count_document(row["document"])
                else:
                    check_row(row, where, training, recipe, thinking)
                    count = reference.count(row["messages"], tools_of(row, where))
                require(row["token_length"] == count, f"{where}: token_length is {row['token_length']}, transformers counts {count}")
                rows.append(row)
            if rows:
                check_loads(path, rows, cache)
            totals[name] = (len(rows), sum(row["token_length"] for row in rows))
            contents[name] = (cut, rows)
            print(f"{name}: {totals[name][0]} rows, {totals[name][1]} tokens: ok")
    if manifest:
        check_manifest(output, manifest, totals)
    if o.expect:
        mixes = {cut: name for name, (cut, _) in contents.items() if ".validation" not in name}
        cut = o.expect_cut or max(mixes)
        require(cut in mixes, f"{output}: no mix of cut {cut} found")
        compare(mixes[cut], contents[mixes[cut]][1], o.expect)
        print(f"{mixes[cut]}: every row equals that of {o.expect}")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("output", help="the output folder of the program")
    arguments.add_argument("tokenizer", help="the folder of the tokenizer")
    arguments.add_argument("--chat-template", help="the chat template that the program used")
    arguments.add_argument("--strftime-date", metavar="YYYY-MM-DD", help="the date for strftime_now; default: the date in the manifest")
    arguments.add_argument("--expect", help="the file of notebook_model.py to compare with")
    arguments.add_argument("--expect-cut", type=int, help="the cut to compare; default: the largest")
    arguments.add_argument("--no-manifest", action="store_true", help="accept files without a manifest")
    o = arguments.parse_args()
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import datasets

    datasets.disable_progress_bars()
    try:
        judge(o)
    except Difference as difference:
        print(f"difference: {difference}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
