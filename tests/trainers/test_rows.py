"""Ids and labels: the published processing makes of our messages file what our tokens file has.

    python test_rows.py --binary BINARY [--rules auto|file] [--tokenizers FOLDER]

For every tokenizer: mixes of the examples and of cases.py, with unmask true and false, with a template that prints reasoning and one
that does not. `process_messages_into_input_ids` runs on the messages file; its data.jsonl has to equal the tokens file in input_ids,
labels and len. In every row of the examples, the end-of-sequence token has to be trained.
"""
import pathlib
import sys
import tempfile

import cases
import published

NO_LIMIT = 100_000


def mix(binary, output, model, rules, *flags, **source):
    return published.mix(binary, output, "--tokenizer-rules", rules, "--formats", "messages,tokens", *flags, model=model, **source)


def compare(title, ours, theirs):
    assert len(ours) == len(theirs), f"{title}: {len(ours)} rows, the published processing has {len(theirs)}"
    for number, (our, their) in enumerate(zip(ours, theirs), start=1):
        for key in ("input_ids", "labels", "len"):
            assert our[key] == their[key], f"{title}: row {number}: {key} differs: {our[key]} {their[key]}"
        counted = sum(label != -100 for label in their["labels"][1:])
        assert our["num_loss_counted_tokens"] == counted, f"{title}: row {number}: {our['num_loss_counted_tokens']}, expected {counted}"


def limit_of(lengths):
    """A sequence length M for which there are samples of M - 1 and of M tokens; some templates alone have a hundred tokens."""
    edges = [length for length in sorted(lengths) if length - 1 in lengths]
    return edges[len(edges) // 2]


def check(data_process, binary, name, model, rules, work, template):
    """Compares all mixes of one tokenizer; returns how many rows were compared, and the shortest length."""
    compared, shortest = 0, NO_LIMIT
    for reasoning in (False, True):
        inputs, chats = work / f"in-{reasoning}", work / f"chats-{reasoning}.jsonl"
        cases.pairs(inputs, reasoning)
        cases.chats(chats, reasoning)
        for unmask in ("true", "false"):
            title = f"{name}, {template}, reasoning {reasoning}, unmask {unmask}"
            lengths = set()
            for max_seq_len in (NO_LIMIT, None):
                max_seq_len = max_seq_len or limit_of(lengths)
                output = mix(binary, work / "out", model, rules, "--recipe", cases.RECIPE % chats, "--cut-sizes", "2",
                             "--unmask=" + unmask, "--max-seq-len", max_seq_len, source=inputs)
                theirs = published.process(data_process, output / "combined_cut_2x.jsonl", model, max_seq_len, work / "published")
                # The trainer of tokens divides by their number, so rows without a trained token are left out.
                theirs = [row for row in theirs if any(label != -100 for label in row["labels"][1:])]
                compare(title, published.rows_of(output / "combined_cut_2x.tokens.jsonl"), theirs)
                compared += len(theirs)
                found = {row["len"] for row in theirs}
                assert max_seq_len == NO_LIMIT or max_seq_len - 1 in found and max_seq_len not in found and max_seq_len in lengths
                lengths |= found
            shortest = min(shortest, *lengths)
    return compared, shortest


def examples(data_process, binary, name, model, rules, work):
    """In every row of the examples, EOS is trained; returns the number of rows."""
    output = mix(binary, work / "examples", model, rules, "--cut-sizes", "4,8")
    tokenizer = data_process.configure_tokenizer(str(model))
    eos = tokenizer.encode(tokenizer.eos_token, add_special_tokens=False)[0]
    rows = 0
    for cut in (4, 8):
        messages = published.rows_of(output / f"combined_cut_{cut}x.jsonl")
        tokens = published.rows_of(output / f"combined_cut_{cut}x.tokens.jsonl")
        assert len(messages) == len(tokens)
        for number, (row, our) in enumerate(zip(messages, tokens), start=1):
            their = data_process.unmask_sample(row, tokenizer)
            assert eos in their["labels"], f"{name}, cut {cut}, row {number}: the end of the answer is not trained"
            assert (our["input_ids"], our["labels"]) == (their["input_ids"], their["labels"]), f"{name}, cut {cut}, row {number}"
            rows += 1
    return rows


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
            for template in ("its own template", "a template that prints reasoning"):
                if o.only not in f"{name} {template}":
                    continue
                given = None if template == "its own template" else published.TOKENIZERS / "reasoning.jinja"
                work = pathlib.Path(folder) / f"{name}-{bool(given)}"
                work.mkdir()
                model = published.model_folder(tokenizer, model_type, work / "model", given)
                compared, shortest = check(data_process, o.binary, name, model, o.rules, work, template)
                # A chat of 19 tokens is left out; most templates alone are longer, as is that of `spm` with the spaces of its file.
                expected = () if given else ("builtin",) if o.rules == "file" else ("builtin", "spm")
                assert shortest == 20 or name not in expected, f"{name}: the shortest sample has {shortest} tokens"
                compared += examples(data_process, o.binary, name, model, o.rules, work) if not given else 0
                print(f"ok     {name}, {template}: {compared} rows equal", flush=True)
                rows += compared
    print(f"rows: {rows} equal those of the published processing, 0 differ")


if __name__ == "__main__":
    sys.exit(main())
