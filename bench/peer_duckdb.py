#!/usr/bin/env python3
"""The fast peer: DuckDB selects the samples and writes the JSON. It counts no tokens and neither checks nor drops rows.

    python bench/peer_duckdb.py INPUT OUTPUT --cuts 10,20,30,40,50 --qa-per-doc 6
"""
import argparse
import json
import pathlib

import duckdb

SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]


def columns_of(file):
    with open(file, encoding="utf-8") as f:
        return set(json.loads(f.readline()))


def select_source(folder, source, order):
    """SQL for the samples of a source; reads only the needed columns."""
    files = sorted(str(p) for p in (folder / source).glob("*.jsonl"))
    present = columns_of(files[0])
    wanted = [c for c in ("question", "response", "document_outline", "document", "raw_document", "base_document") if c in present]
    raw = next((c for c in ("base_document", "raw_document") if c in present), None) if source != "key_facts_to_qa" else (
        "raw_document" if "raw_document" in present else "''")
    raw = raw or "document"
    spec = "{" + ", ".join(f"{c}: 'VARCHAR'" for c in wanted) + "}"
    content = ("'In ' || document_outline || ', ' || question" if source == "key_facts_to_qa"
               else "document_outline || chr(10) || document || chr(10) || chr(10) || question")
    rows = f"""
        SELECT {order} AS source_order, row_number() OVER () AS input_order, question, document_outline, {raw} AS raw_document, document,
               trim(replace(replace(response, '[END]', ''), '[ANSWER]', ''), chr(9) || chr(10) || chr(13) || ' ') AS answer,
               {content} AS content, '{source}' AS source
        FROM read_json({files!r}, format = 'newline_delimited', columns = {spec}, maximum_object_size = 268435456)"""
    if order < 2:  # ranks each summary within its raw document, numbers each pair within its summary
        return f"""
            SELECT *, dense_rank() OVER (PARTITION BY raw_document ORDER BY hash(document, $seed), document) - 1 AS rank,
                   row_number() OVER (PARTITION BY raw_document, document ORDER BY input_order) AS pair
            FROM ({rows})"""
    return f"SELECT *, 0 AS rank, 1 AS pair FROM ({rows})"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("input")
    arguments.add_argument("output")
    arguments.add_argument("--cuts", default="5,50")
    arguments.add_argument("--qa-per-doc", type=int, default=3)
    arguments.add_argument("--seed", type=int, default=42)
    o = arguments.parse_args()
    folder, output = pathlib.Path(o.input), pathlib.Path(o.output)
    output.mkdir(parents=True, exist_ok=True)
    db = duckdb.connect()
    db.execute("SET preserve_insertion_order = true")
    present = [(i, s) for i, s in enumerate(SOURCES) if (folder / s).is_dir()]
    union = "\nUNION ALL\n".join(f"SELECT * FROM ({select_source(folder, s, i)})" for i, s in present)
    db.execute(f"CREATE TABLE samples AS SELECT * FROM ({union.replace('$seed', str(o.seed))}) WHERE answer <> '' AND pair <= {o.qa_per_doc}")
    for cut in (int(c) for c in o.cuts.split(",")):
        db.execute(f"""
            COPY (
                SELECT question, document_outline, raw_document, document,
                       [{{'role': 'user', 'content': content, 'thinking': NULL::VARCHAR}},
                        {{'role': 'assistant', 'content': answer, 'thinking': ''}}] AS messages,
                       to_json({{'sdg_document': document, 'dataset': 'document_knowledge_qa', 'raw_document': raw_document,
                                 'source': source}})::VARCHAR AS metadata,
                       true AS unmask
                FROM samples WHERE rank < {cut} ORDER BY source_order, input_order
            ) TO '{output / f"combined_cut_{cut}x.jsonl"}' (FORMAT JSON)""")


if __name__ == "__main__":
    main()
