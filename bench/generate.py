#!/usr/bin/env python3
"""Generate step_02 artifacts of any size for benchmarks. The size grows in proportion to --docs.

The text is the project's own: the sentences of scripts/corpus, and sentences built from its word list. Shapes of rows:

    narrow   as sdg_hub 0.9 writes them: 11 to 12 columns, no prompts
    wide     as sdg_hub 0.6 and 0.7 wrote them: every row keeps all prompts and raw replies (10 documents: about 770 MB)

    python bench/generate.py OUT --docs 10 --shape wide
"""
import argparse
import json
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
SOURCES = ["extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"]


def word_sentences(count):
    """Sentences built from the corpus's word list. (The tokenizer's training script has such sentences too, but needs tokenizers.)"""
    r = random.Random("bench")
    lines = [line.split() for line in (ROOT / "scripts" / "corpus" / "words.txt").read_text("utf-8").splitlines()]
    function, nouns, verbs, adjectives, adverbs = lines[:5]
    for _ in range(count):
        a, b, c = r.choice(nouns), r.choice(nouns), r.choice(nouns)
        yield r.choice([
            f"The {r.choice(adjectives)} {a} must {r.choice(verbs)} the {b} before the {c} is {r.choice(adjectives)}.",
            f"{r.choice(adverbs).capitalize()} the {a} of the {b} may {r.choice(verbs)} {r.randint(2, 999)} {c}s within {r.randint(2, 60)} days.",
            f"If the {a} is {r.choice(adjectives)}, {r.choice(verbs)} it, {r.choice(verbs)} the {r.choice(adjectives)} {b} and inform the {c}.",
            f"No {a} should {r.choice(verbs)} a {b} that {r.choice(function)} the {c} had to {r.choice(verbs)} {r.choice(adverbs)}.",
        ])


def prose():
    """Sentences of at least 30 characters."""
    corpus = ROOT / "scripts" / "corpus"
    text = "\n".join((corpus / name).read_text("utf-8") for name in ("prose.txt", "more.txt"))
    found = [s.strip() for line in text.split("\n") if not line.startswith("#") for s in re.split(r"(?<=[.?!]) ", line)]
    found += [line.split(" || ")[0] for line in (corpus / "handbook.txt").read_text("utf-8").split("\n") if " || " in line]
    return [s for s in found if len(s) >= 30] + list(word_sentences(2500))


class Maker:
    def __init__(self, out, shape, seed):
        self.r = random.Random(seed)
        self.sentences = prose()
        self.wide = shape == "wide"
        self.files = {}
        for source in SOURCES:
            (out / source).mkdir(parents=True, exist_ok=True)
            self.files[source] = open(out / source / "gen.jsonl", "w", encoding="utf-8")

    def text(self, low, high):
        return " ".join(self.r.choices(self.sentences, k=self.r.randint(low, high)))

    def question(self, start):
        sentence = self.r.choice(self.sentences)
        return f"{start} {sentence[0].lower()}{sentence[1:].rstrip('.?!')}?"

    def row(self, source, base, raw, summary, question, response, extra=None):
        """Writes one row in the requested shape."""
        r = {}
        if source in SOURCES[:2] or (self.wide and source == "key_facts_to_qa"):
            r["raw_document"] = raw
        r |= base
        context = summary if summary is not None else raw
        ask = lambda task, text: [{"role": "system", "content": "You write training data."}, {"role": "user", "content": f"{task}\n\n{text}"}]  # noqa: E731
        if self.wide:
            if source == "document_based_qa":
                r["base_document"] = raw
            else:
                r[source + "_prompt"] = ask("Write it.", raw)
                r["raw_summary"] = [{"content": context}]
                r[f"extract_{source}_content"] = context
        r["document"] = context
        r |= extra or {}
        if self.wide:
            r["question_generation_prompt"] = ask("Ask questions.", context)
            r["question_list"] = [{"content": f"[QUESTION]\n{question}\n[END]"}]
            r["answer_generation_prompt"] = ask("Answer.", f"{context}\n\n{question}")
            r["response_dict"] = [{"content": response, "reasoning_content": "The document says it: " + response[:60]}]
            r["eval_faithful_prompt"] = ask("Is it faithful?", f"{context}\n\n{response}")
        r["question"] = question
        r["response"] = response
        if source != "key_facts_to_qa":
            r["faithfulness_explanation"] = "Every claim of the answer is stated in the document."
            r["faithfulness_judgment"] = "YES"
        self.files[source].write(json.dumps(r, ensure_ascii=False) + "\n")

    def document(self, number, summaries, qa, facts):
        raw = f"# Chapter {number}\n\n" + "\n\n".join(self.text(5, 9) for _ in range(48))
        base = {"document_outline": f"The handbook of the measured house, chapter {number}", "domain": "measuring",
                "icl_document": self.text(4, 6), "icl_query_1": "What is it?", "icl_query_2": "How?", "icl_query_3": "Why?"}
        for source in SOURCES[:2]:
            for _ in range(summaries):
                summary = "\n".join(self.text(3, 6) for _ in range(self.r.randint(5, 9)))
                for _ in range(self.r.randint(max(1, qa - 2), qa + 2)):
                    self.row(source, base, raw, summary, self.question("According to the text, is it true that"), self.text(2, 6))
        key_facts = [self.r.choice(self.sentences) for _ in range(facts)]
        listed = "\n".join(f"{i}. {fact}" for i, fact in enumerate(key_facts, start=1))
        for fact in key_facts:
            for _ in range(5):
                self.row(SOURCES[2], base, raw, listed, self.question("What follows from this:"), self.text(1, 3), {"key_fact": fact})
        for _ in range(30):
            self.row(SOURCES[3], base, raw, None, self.question("In the document, is it said that"), self.text(2, 5))

    def close(self):
        for file in self.files.values():
            file.close()


def generate(out, docs, shape="narrow", summaries=50, qa=6, facts=70, seed=11):
    maker = Maker(pathlib.Path(out), shape, seed)
    for number in range(docs):
        maker.document(number, summaries, qa, facts)
    maker.close()


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out")
    arguments.add_argument("--docs", type=int, default=20)
    arguments.add_argument("--shape", choices=["narrow", "wide"], default="narrow")
    arguments.add_argument("--summaries", type=int, default=50)
    arguments.add_argument("--qa", type=int, default=6)
    arguments.add_argument("--facts", type=int, default=70)
    arguments.add_argument("--seed", type=int, default=11)
    o = arguments.parse_args()
    generate(o.out, o.docs, o.shape, o.summaries, o.qa, o.facts, o.seed)


if __name__ == "__main__":
    main()
