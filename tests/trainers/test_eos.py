"""Why the end of an answer has to be among the labels: a tiny model is trained on rows of the old and of the new shape.

    python test_eos.py --binary BINARY

The rows of `--thinking always` have `"thinking": ""`, which the published processing takes for reasoning that the chat template should
print; then it does not train the end-of-sequence token. The model that learns from such rows never stops. The one that learns from our
default rows does. Both are trained alike, for a few hundred steps on short answers, until they know these by heart.
"""
import json
import pathlib
import sys
import tempfile

import published
import tiny

STEPS = 400
ANSWERS = ["On a rock.", "It rained all day.", "Blue, with a white stripe.", "Nobody knows.", "Seven.", "In the old harbour.", "Yes.", "Never."]


def rows(data_process, binary, thinking, folder):
    """The ids and labels that the published processing makes of our rows."""
    source = folder / f"in-{thinking}" / "key_facts_to_qa"
    source.mkdir(parents=True)
    with (source / "gen.jsonl").open("w", encoding="utf-8") as file:
        for number, answer in enumerate(ANSWERS):
            file.write(json.dumps({"question": f"Question number {number}?", "response": answer, "document_outline": "Merrow",
                                   "raw_document": "d", "document": "s"}) + "\n")
    output = published.mix(binary, folder / f"out-{thinking}", "--cut-sizes", "1", "--thinking", thinking, source=source.parent)
    model = published.model_folder(published.ROOT / "assets" / "builtin-tokenizer", "llama", folder / f"model-{thinking}")
    tokenizer = data_process.configure_tokenizer(str(model))
    return [data_process.unmask_sample({**row, "unmask": False}, tokenizer) for row in published.rows_of(output / "combined_cut_1x.jsonl")]


def train(samples, pad):
    import torch

    model = tiny.model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    longest = max(sample["len"] for sample in samples)
    padded = lambda key, filler: torch.tensor([sample[key] + [filler] * (longest - sample["len"]) for sample in samples])  # noqa: E731
    ids, labels = padded("input_ids", pad), padded("labels", -100)
    mask = torch.tensor([[1] * sample["len"] + [0] * (longest - sample["len"]) for sample in samples])
    for _ in range(STEPS):
        loss = model(input_ids=ids, labels=labels, attention_mask=mask).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), loss.item()


def ended(model, samples, tokenizer):
    """How many answers end within 64 tokens, and how many of these are the right ones."""
    import torch

    stop = right = 0
    for sample in samples:
        start = next(n for n, label in enumerate(sample["labels"]) if label != -100)
        prompt = torch.tensor([sample["input_ids"][:start]])
        with torch.no_grad():
            made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=64, do_sample=False,
                                  eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)[0, start:].tolist()
        if tokenizer.eos_token_id in made:
            stop += 1
            answer = tokenizer.decode(made[:made.index(tokenizer.eos_token_id)], skip_special_tokens=True).strip()
            right += answer in ANSWERS
    return stop, right


def main():
    o = published.arguments(__doc__).parse_args()
    data_process = published.load()
    tokenizer = tiny.tokenizer()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for thinking in ("always", "auto"):
            samples = rows(data_process, o.binary, thinking, pathlib.Path(folder))
            model, loss = train(samples, tokenizer.pad_token_id)
            results[thinking] = ended(model, samples, tokenizer)
            print(f"--thinking {thinking}: loss {loss:.4f}; {results[thinking][0]} of {len(samples)} answers end, {results[thinking][1]} word for word",
                  flush=True)
    assert results["always"][0] == 0 and results["auto"] == (len(ANSWERS), len(ANSWERS)), results
    print("ok     the end of an answer is learned from our rows, and not from the old ones")


if __name__ == "__main__":
    sys.exit(main())
