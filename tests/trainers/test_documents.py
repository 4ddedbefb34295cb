"""Documents: the published processing makes of our documents file what our tokens file has, and counts the same tokens.

    python test_documents.py --binary BINARY [--rules auto|file] [--tokenizers FOLDER]

For every tokenizer: document mixes of the examples and of hard texts, with and without exact duplicates of a document that ends with
the end-of-sequence token itself. `process_documents_for_pretraining` runs on the documents file; its data.jsonl has to equal the tokens
file, byte by byte, and each row's `len` the row's token_length. The number of blocks that preflight says is compared with the
arithmetic of `PretrainingBlockDataset`, copied here because that class needs torch; test_blocks.py asks the class itself.
"""
import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile

import cases
import published

BLOCK_SIZE = 2048
RECIPE = """
sources:
  general: {kind: document, column: text, paths: [%s]}
"""


def general(path, eos):
    """General text with what is hard: white space, special tokens in the text, scripts, and the end-of-sequence token at the end."""
    texts = [text for pair in cases.TEXTS for text in pair] + cases.DOCUMENTS
    texts += [f"It ends with {eos}", f"It ends with {eos} ", f"{eos}", f"{eos}{eos}", f" It has {eos} inside.", "x", "\n", "  "]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


def process(data_process, documents, model, work):
    """The bytes of the data.jsonl that the published processing makes of a documents file."""
    shutil.rmtree(work, ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()):
        data_process.process_documents_for_pretraining(
            data_path=str(documents), data_output_path=str(work), model_path=str(model), num_cpu_procs=1)
    return (pathlib.Path(work) / "data.jsonl").read_bytes()


def blocks_by_arithmetic(rows):
    """What PretrainingBlockDataset.__init__ computes: all documents one after the other, cut into blocks, the last one padded."""
    blocks, remainder = divmod(sum(row["len"] for row in rows), BLOCK_SIZE)
    return blocks + bool(remainder)


def check(data_process, binary, name, model, rules, work):
    """Compares the document mixes of one tokenizer; returns the number of documents."""
    tokenizer = published.transformers.AutoTokenizer.from_pretrained(str(model))
    general(work / "general.jsonl", tokenizer.eos_token)
    output = published.mix(binary, work / "out", "--tokenizer-rules", rules, "--formats", "messages,tokens", "--cut-sizes", "4,8",
                           "--documents", "--raw-documents", "once", "--block-size", BLOCK_SIZE,
                           "--recipe", RECIPE % (work / "general.jsonl"), model=model)
    manifest = json.loads((output / "manifest.json").read_text("utf-8"))
    compared = 0
    for cut in manifest["document_cuts"]:
        documents = output / f"combined_cut_{cut['cut']}x.cpt.jsonl"
        theirs = process(data_process, documents, model, work / "published")
        ours = (output / f"combined_cut_{cut['cut']}x.cpt.tokens.jsonl").read_bytes()
        their_rows = [json.loads(line) for line in theirs.splitlines()]
        rows = published.rows_of(documents)
        assert len(rows) == len(their_rows), f"{name}: {len(rows)} documents, the published processing has {len(their_rows)}"
        for number, (row, our, their) in enumerate(zip(rows, ours.splitlines(), their_rows), start=1):
            assert row["token_length"] == their["len"], f"{name}: document {number}: {row['token_length']}, expected {their['len']}: {row['document']!r}"
            assert json.loads(our) == their, f"{name}: document {number}: {our} {their}"
        assert ours == theirs, f"{name}: the rows are equal, but not the bytes"
        blocks = blocks_by_arithmetic(their_rows)
        assert cut["preflight"]["blocks"] == blocks, f"{name}: {cut['preflight']['blocks']} blocks, expected {blocks}"
        assert cut["tokens"] == sum(row["len"] for row in their_rows)
        compared += len(rows)
    return compared


def main():
    arguments = published.arguments(__doc__)
    arguments.add_argument("--rules", default="auto")
    arguments.add_argument("--tokenizers", help="a folder with more tokenizers")
    arguments.add_argument("--only", default="")
    o = arguments.parse_args()
    data_process = published.load()
    print(f"instructlab-training's data processing, transformers {published.transformers.__version__}, rules {o.rules}")
    rows = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer, model_type in published.families(o.tokenizers):
            if o.only not in name:
                continue
            work = pathlib.Path(folder) / name
            work.mkdir()
            model = published.model_folder(tokenizer, model_type, work / "model")
            compared = check(data_process, o.binary, name, model, o.rules, work)
            print(f"ok     {name}: {compared} documents equal", flush=True)
            rows += compared
    print(f"rows: {rows} documents equal those of the published processing, 0 differ")


if __name__ == "__main__":
    sys.exit(main())
