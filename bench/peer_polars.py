#!/usr/bin/env python3
"""The peer that works as the notebook does: polars loads everything, then samples, formats, counts and writes each cut separately.

transformers counts tokens row by row, through the `map` of `datasets`; --processes spreads this over processes.

    python bench/peer_polars.py INPUT OUTPUT --tokenizer FOLDER --cuts 10,20,30,40,50 --qa-per-doc 6
"""
import argparse
import json
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import datasets  # noqa: E402
import polars as pl  # noqa: E402
from transformers import PreTrainedTokenizerFast  # noqa: E402

SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]


def load(folder, source):
    frame = pl.concat([pl.read_ndjson(f, infer_schema_length=None) for f in sorted((folder / source).glob("*.jsonl"))], how="diagonal")
    if source == "document_based_qa":
        frame = frame.with_columns(raw_document=pl.col("base_document" if "base_document" in frame.columns else "document"))
    elif "raw_document" not in frame.columns:
        frame = frame.with_columns(raw_document=pl.lit(""))
    return frame


def sampled(frame, cut, qa_per_doc, seed):
    """The rows of `cut` summaries of each raw document, the first pairs of each."""
    summaries = frame.select("raw_document", "document").unique(maintain_order=True)
    chosen = summaries.filter(pl.int_range(pl.len()).shuffle(seed).over("raw_document") < cut)
    return (frame.join(chosen, on=["raw_document", "document"], how="semi", maintain_order="left")
            .filter(pl.int_range(pl.len()).over("raw_document", "document") < qa_per_doc))


def formatted(frame, source):
    """The rows of the training file, without token lengths."""
    def make(row):
        answer = row["response"].replace("[END]", "").replace("[ANSWER]", "").strip()
        outline, question = row["document_outline"], row["question"]
        content = f"In {outline}, {question}" if source == "key_facts_to_qa" else f"{outline}\n{row['document']}\n\n{question}"
        metadata = {"sdg_document": row["document"], "dataset": "document_knowledge_qa", "raw_document": row["raw_document"], "source": source}
        return {
            "question": question, "document_outline": outline, "raw_document": row["raw_document"], "document": row["document"],
            "messages": [{"role": "user", "content": content, "thinking": None},
                         {"role": "assistant", "content": answer, "thinking": ""}],
            "metadata": json.dumps(metadata), "unmask": True,
        }

    columns = ["question", "response", "document_outline", "raw_document", "document"]
    return [make(row) for row in frame.select(columns).iter_rows(named=True)]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("input")
    arguments.add_argument("output")
    arguments.add_argument("--tokenizer", required=True)
    arguments.add_argument("--cuts", default="5,50")
    arguments.add_argument("--qa-per-doc", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=42)
    arguments.add_argument("--processes", type=int, default=1)
    o = arguments.parse_args()
    folder, output = pathlib.Path(o.input), pathlib.Path(o.output)
    output.mkdir(parents=True, exist_ok=True)
    datasets.disable_progress_bars()
    datasets.disable_caching()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(o.tokenizer)

    def count(row):
        text = tokenizer.apply_chat_template(row["messages"], tokenize=False)
        return {"token_length": len(tokenizer.encode(text))}

    frames = {source: load(folder, source) for source in SOURCES if (folder / source).is_dir()}
    for cut in (int(c) for c in o.cuts.split(",")):
        rows = []
        for source, frame in frames.items():
            if source in SOURCES[:2]:
                frame = sampled(frame, cut, o.qa_per_doc, o.seed)
            rows += formatted(frame, source)
        mix = datasets.Dataset.from_list(rows).map(count, num_proc=o.processes if o.processes > 1 else None)
        mix.to_json(output / f"combined_cut_{cut}x.jsonl", force_ascii=False)


if __name__ == "__main__":
    main()
