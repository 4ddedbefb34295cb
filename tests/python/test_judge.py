#!/usr/bin/env python3
"""Check that judge.py accepts a correct mix and finds errors: run with `python test_judge.py`.

A mix built from the model's rows takes the place of the program's output; each test changes one thing in it.
"""
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOKENIZERS = ROOT / "tests" / "fixtures" / "tokenizers"
sys.path.insert(0, str(HERE))

import judge  # noqa: E402
import notebook_model  # noqa: E402
from reference import Reference  # noqa: E402

DATE = "2025-03-09"


def run(*arguments):
    done = subprocess.run([sys.executable, HERE / "judge.py", *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def write(folder, rows, name="combined_cut_50x.jsonl", columns="full"):
    """Writes a mix of one file and its manifest."""
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    if name.endswith(".gz"):
        data = gzip.compress(data)
    elif name.endswith(".zst"):
        import zstandard

        data = zstandard.ZstdCompressor().compress(data)
    from blake3 import blake3

    tokens = sum(row["token_length"] for row in rows)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / name).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps({
        "settings": {"columns": columns, "thinking": "always"}, "tokenizer": {"chat_template_date": DATE, "rules": "auto"}, "sources": [], "cuts": [],
        "outputs": [{"name": name, "bytes": len(data), "digest": blake3(data).hexdigest(), "rows": len(rows), "tokens": tokens}]}))


def with_chats(rows, chats, reference):
    """The rows of a mix that also has chats, with tools first."""
    out = list(rows)
    for chat in chats:
        messages = [{"role": m["role"], "content": m["content"], **{k: v for k, v in m.items() if k not in ("role", "content")}}
                    for m in chat["messages"]]
        metadata = {"sdg_document": "", "dataset": "messages", "raw_document": "", "source": "replay"}
        out.append({"question": "", "document_outline": "", "raw_document": "", "document": "", "messages": messages,
                    "metadata": json.dumps(metadata), **({"tools": json.dumps(chat["tools"])} if chat.get("tools") else {}),
                    "unmask": chat.get("unmask", True), "token_length": reference.count(messages, chat.get("tools"))})
    return sorted(out, key=lambda row: "tools" not in row)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model, counts = notebook_model.mix([ROOT / "examples" / "step_02"])
        assert counts["extractive_summary"]["dropped"] == {"empty": 1}, counts
        model = model[::9]  # some rows of each source
        expect = folder / "expect.jsonl"
        expect.write_text("".join(json.dumps(row) + "\n" for row in model))
        out = folder / "out"
        for name in ("chatml", "llama3", "spm", "gptoss"):
            reference = Reference(TOKENIZERS / name, date=DATE)
            rows = [{**row, "token_length": reference.count(row["messages"])} for row in model]
            write(out, rows)
            code, text = run(out, TOKENIZERS / name, "--expect", expect)
            assert code == 0, text
            print(text, end="")
        training = [{k: row[k] for k in judge.TRAINING} for row in rows]
        for name in ("combined_cut_5x.jsonl.gz", "combined_cut_5x.jsonl.zst", "combined_cut_5x.validation.jsonl"):
            write(out, training, name, "training")
            code, text = run(out, TOKENIZERS / "gptoss")
            assert code == 0, text
        write(out, training, columns="training")
        code, text = run(out, TOKENIZERS / "gptoss", "--expect", expect)
        assert code == 0, text

        chats = [json.loads(line) for name in ("tools", "general", "unmask")
                 for line in (ROOT / "examples" / "chats" / f"{name}.jsonl").read_text("utf-8").splitlines()]
        write(out, with_chats(rows, chats[::4], reference))
        code, text = run(out, TOKENIZERS / "gptoss")
        assert code == 0, text
        print("with chats:", text, end="")

        def finds(change, message, **options):
            changed = json.loads(json.dumps(rows))
            change(changed)
            write(out, changed, **options)
            code, text = run(out, TOKENIZERS / "gptoss", "--expect", expect)
            assert code == 1 and message in text, (message, text)
            print("found:", text.strip().splitlines()[-1][:110])

        finds(lambda r: r[3].update(token_length=r[3]["token_length"] + 1), "50x.jsonl:4: token_length is")
        finds(lambda r: r[2].update(unmask=False), "50x.jsonl:3: unmask")
        finds(lambda r: r[5].pop("metadata"), "50x.jsonl:6: columns are")
        finds(lambda r: r[0].update(metadata=json.dumps({**json.loads(r[0]["metadata"]), "source": "document_based"})), "metadata is")
        finds(lambda r: r[1]["messages"][0].pop("thinking"), "50x.jsonl:2: a message has the keys")
        finds(lambda r: r.pop(), "rows, the model has")
        finds(lambda r: r.insert(0, r.pop(1)), "50x.jsonl:1: question is")
        write(out, rows)
        (out / "combined_cut_50x.jsonl").open("a").write(json.dumps(rows[0]) + "\n")
        code, text = run(out, TOKENIZERS / "gptoss")
        assert code == 1 and "the manifest says" in text, text
        (out / "manifest.json").unlink()
        code, text = run(out, TOKENIZERS / "gptoss")
        assert code == 1 and "manifest.json not found" in text, text
    print("judge.py accepts correct mixes and finds every error")


if __name__ == "__main__":
    main()
