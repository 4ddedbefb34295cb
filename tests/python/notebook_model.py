#!/usr/bin/env python3
"""A simple model of the step without sampling: the cut and the number of pairs are as large as the input.

It is written from the description of the data (docs/files.md) and shares nothing with the program. It reads rows of every
sdg_hub version and writes the rows of the one mix that holds everything, in order and without `token_length`;
judge.py --expect compares them with the program's rows.

    python notebook_model.py INPUT... --out FILE [--qa-per-doc N] [--save-gpt-oss-format] [--reasoning auto|none|PATH]
"""
import argparse
import gzip
import io
import json
import pathlib
import sys

SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]
SUMMARY_SOURCES = SOURCES[:2]
REASONING_COLUMNS = [
    "parse_response_dict_reasoning_content", "response_reasoning_content", "extract_answers_reasoning_content",
    "extract_answer_reasoning_content", "reasoning_content", "reasoning",
]
PLACEHOLDERS = ["...", "<question>", "<Insert question here>"]
# Unicode's White_Space; str.strip() would also strip the separators U+001C to U+001F
SPACE = "\t\n\x0b\x0c\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(chr(c) for c in range(0x2000, 0x200B))


class BadRow(Exception):
    """A row that is not allowed."""


def keys_of(folder):
    """The data files of a source's folder in the byte order of their relative paths."""
    found = []
    for path in folder.rglob("*"):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith((".", "_")) for part in parts):
            name = path.name.removesuffix(".gz").removesuffix(".zst")
            if name.endswith((".jsonl", ".ndjson", ".json", ".parquet")):
                found.append(("/".join(parts).encode(), path, name))
    return [(path, name) for _, path, name in sorted(found)]


def read_rows(path, name):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    elif path.suffix == ".zst":
        import zstandard

        data = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
    if name.endswith(".parquet"):
        import pyarrow.parquet

        return pyarrow.parquet.read_table(io.BytesIO(data)).to_pylist()
    text = data.decode("utf-8-sig")
    if name.endswith(".json") and text.lstrip(" \t\r\n").startswith("["):
        return json.loads(text)
    return [json.loads(line) for line in text.split("\n") if line.strip(" \t\r\n")]


def has(row, column):
    return row.get(column) is not None


def required(row, column, where):
    """The value of a required column; None if it is null."""
    if column not in row:
        raise BadRow(f"{where}: column {column!r} not found; the columns are {', '.join(row)}")
    value = row[column]
    if value is not None and not isinstance(value, str):
        raise BadRow(f"{where}: {column!r} is not a string")
    return value


def texts(row, source, where):
    """(raw document, summary) of a row of any sdg_hub version."""
    if source == "document_based_qa":
        summary = required(row, "document", where)
        raw = next((row[c] for c in ("base_document", "raw_document", "document") if has(row, c)), None)
        return raw, summary
    if has(row, "summary") and not has(row, "raw_document"):
        summary, raw_column = required(row, "summary", where), "document"
    else:
        summary, raw_column = required(row, "document", where), "raw_document"
    if source in SUMMARY_SOURCES:
        raw = required(row, raw_column, where)
        if raw is None:
            raise BadRow(f"{where}: {raw_column!r} is null")
        return raw, summary
    return (row[raw_column] if has(row, raw_column) else ""), summary


def reasoning_of(row, how):
    if how == "none":
        return ""
    if how == "auto":
        value = next((row[c] for c in REASONING_COLUMNS if has(row, c)), None)
    else:
        value = row
        for step in how.split("."):
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
                value = value[int(step)]
            else:
                value = None
    return value if isinstance(value, str) else ""


def sample(row, source, where, gpt_oss, reasoning):
    """(reason for dropping the row, None) or (None, output row)"""
    question, response = required(row, "question", where), required(row, "response", where)
    outline = required(row, "document_outline", where)
    raw, summary = texts(row, source, where)
    if gpt_oss and question is not None and any(mark in question for mark in PLACEHOLDERS):
        return "placeholder", None
    if None in (question, response, outline, summary):
        return "null", None
    answer = response.replace("[END]", "").replace("[ANSWER]", "").strip(SPACE)
    if not question or not answer:
        return "empty", None
    content = f"In {outline}, {question}" if source == "key_facts_to_qa" else f"{outline}\n{summary}\n\n{question}"
    metadata = {"sdg_document": summary, "dataset": "document_knowledge_qa", "raw_document": raw, "source": source}
    return None, {
        "question": question, "document_outline": outline, "raw_document": raw, "document": summary,
        "messages": [{"role": "user", "content": content, "thinking": None},
                     {"role": "assistant", "content": answer, "thinking": reasoning_of(row, reasoning)}],
        "metadata": json.dumps(metadata, ensure_ascii=False), "unmask": True,
    }


def mix(inputs, qa_per_doc=3, gpt_oss=False, reasoning="auto"):
    """The rows of the mix that holds everything, and {source: {"read": …, "dropped": …}}."""
    out, counts = [], {}
    for source in SOURCES:
        pairs = {}
        for folder in (pathlib.Path(i) / source for i in inputs):
            if not folder.is_dir():
                continue
            for path, name in keys_of(folder):
                for number, row in enumerate(read_rows(path, name), start=1):
                    count = counts.setdefault(source, {"read": 0, "dropped": {}})
                    count["read"] += 1
                    reason, made = sample(row, source, f"{path}: row {number}", gpt_oss, reasoning)
                    if reason:
                        count["dropped"][reason] = count["dropped"].get(reason, 0) + 1
                        continue
                    if source in SUMMARY_SOURCES:
                        summary = (made["raw_document"], made["document"])
                        pairs[summary] = pairs.get(summary, 0) + 1
                        if pairs[summary] > qa_per_doc:
                            continue
                    out.append(made)
    return out, counts


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("inputs", nargs="+")
    arguments.add_argument("--out", required=True)
    arguments.add_argument("--qa-per-doc", type=int, default=3)
    arguments.add_argument("--save-gpt-oss-format", action="store_true")
    arguments.add_argument("--reasoning", default="auto")
    o = arguments.parse_args()
    try:
        rows, counts = mix(o.inputs, o.qa_per_doc, o.save_gpt_oss_format, o.reasoning)
    except BadRow as error:
        sys.exit(str(error))
    with open(o.out, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{len(rows)} rows", json.dumps(counts))


if __name__ == "__main__":
    main()
