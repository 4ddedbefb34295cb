"""`datasets` takes a file's columns from its first 10 MB; a key that only rows behind them have is not lost, and does not fail the load.

    python test_types.py --binary BINARY

A mix of more than 12 MB, in which four rows near the end of the input have reasoning and the last three are chats with tools, loaded by
`datasets.load_dataset` from JSON lines and from Parquet: every row has exactly its own reasoning or tools, and no other row has any.
"""
import json
import pathlib
import sys
import tempfile

import cases
import datasets
import published

ROWS, INFERRED = 4000, 10 << 20
WITH_REASONING = (ROWS - 90, ROWS - 40, ROWS - 39, ROWS - 2)
ARGUMENTS = [{"place": "Merrow"}, {"place": 7, "at": [1.5, None]}, {}]


def chat(number, arguments):
    call = {"id": f"call{number}", "type": "function", "function": {"name": f"tool{number}", "arguments": arguments}}
    return {"tools": [{"type": "function", "function": {"name": f"tool{number}", "parameters": {"type": "object", "properties": {}}}}],
            "messages": [{"role": "user", "content": "Call it."}, {"role": "assistant", "content": "", "tool_calls": [call]},
                         {"role": "tool", "content": "7", "tool_call_id": f"call{number}"}, {"role": "assistant", "content": "Seven."}]}


CHATS = [chat(number, arguments) for number, arguments in enumerate(ARGUMENTS)]


def mix(binary, folder):
    source = folder / "in" / "key_facts_to_qa"
    source.mkdir(parents=True)
    with (source / "gen.jsonl").open("w", encoding="utf-8") as file:
        for number in range(ROWS):
            row = {"question": f"Question {number}?", "response": f"Answer {number}. " + f"It rained on day {number} in Merrow. " * 100,
                   "document_outline": "Merrow", "raw_document": "d", "document": "s"}
            if number in WITH_REASONING:
                row["reasoning"] = f"First I look at {number}."
            file.write(json.dumps(row) + "\n")
    chats = folder / "chats.jsonl"
    chats.write_text("".join(json.dumps(row) + "\n" for row in CHATS), "utf-8")
    model = published.model_folder(published.TOKENIZERS / "chatml", "llama", folder / "model", published.TOKENIZERS / "reasoning.jinja")
    return published.mix(binary, folder / "out", "--cut-sizes", "1", "--columns", "training", "--recipe", cases.RECIPE % chats,
                         "--formats", "messages,messages-parquet", source=source.parent, model=model)


def check(path, kind):
    table = datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(path.parent / f"cache-{kind}"))
    pairs, tool_chats = [], []
    for row in table:
        if row["tools"]:
            tool_chats.append({"tools": json.loads(row["tools"]), "messages": row["messages"]})
            continue
        user, assistant = row["messages"]
        number = int(user["content"].split()[-1].rstrip("?"))
        keys = {"role", "content"} | ({"reasoning_content"} if number in WITH_REASONING else set())
        assert set(user) == {"role", "content"} and set(assistant) == keys, f"{path.name}: row {number}: {row['messages']}"
        assert assistant["content"].startswith(f"Answer {number}. ")
        assert number not in WITH_REASONING or assistant["reasoning_content"] == f"First I look at {number}."
        pairs.append(number)
    # The first row with a key comes first, everything else keeps its order.
    first = WITH_REASONING[0]
    assert pairs == [first, *(number for number in range(ROWS) if number != first)], f"{path.name}: {pairs[:3]}"
    assert tool_chats == CHATS, f"{path.name}: {tool_chats}"
    print(f"ok     {path.name}: {len(pairs)} pairs, {len(WITH_REASONING)} with their reasoning, {len(tool_chats)} chats with their tools")


def main():
    o = published.arguments(__doc__).parse_args()
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        output = mix(o.binary, pathlib.Path(folder))
        lines = (output / "combined_cut_1x.jsonl").read_bytes()
        assert len(lines) > 12 << 20 and lines.count(b"First I look at", 0, INFERRED) == 1 and lines.count(b"First I look at") == 4, len(lines)
        check(output / "combined_cut_1x.jsonl", "json")
        check(output / "combined_cut_1x.parquet", "parquet")


if __name__ == "__main__":
    sys.exit(main())
