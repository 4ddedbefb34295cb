#!/usr/bin/env python3
"""Train the tokenizer that is built into the program: assets/builtin-tokenizer.

The training text is the project's own: the files in scripts/corpus (prose, code, some lines in other languages, a list of common
words), and sentences that this script builds from the word list, so that common words are frequent and inflected forms occur.
The same files give the same bytes. Run with --check to see whether assets/builtin-tokenizer is up to date.

    python scripts/train_builtin_tokenizer.py [--check]
"""
import argparse
import json
import pathlib
import random
import sys

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = HERE.parent / "assets" / "builtin-tokenizer"
VOCABULARY = 6000

# The pattern of current byte-level models: contractions, words with one preceding character, numbers of at most three
# digits, punctuation with following line ends, line ends, spaces.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

ENDOFTEXT, IM_START, IM_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

TEMPLATE = """\
{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages and messages[0]['role'] == 'system' %}
        {{- messages[0]['content'] + '\\n\\n' }}
    {%- endif %}
    {{- 'These functions can be called:\\n' }}
    {%- for tool in tools %}
        {{- tool | tojson + '\\n' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if not (tools and loop.first and message['role'] == 'system') %}
        {{- '<|im_start|>' + message['role'] + '\\n' }}
        {%- if message['content'] is string %}
            {{- message['content'] }}
        {%- endif %}
        {%- if message['tool_calls'] is defined and message['tool_calls'] %}
            {%- for call in message['tool_calls'] %}
                {{- '\\n' + (call['function'] if call['function'] is defined else call) | tojson }}
            {%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""


def words():
    """The lines of the word list, split into words. The first line has the most frequent words, in descending order."""
    return [line.split() for line in (HERE / "corpus" / "words.txt").read_text("utf-8").splitlines() if line.strip()]


def inflected(word, kind):
    """The forms of a word that are likely in English text."""
    if kind == "noun":
        plural = word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else (
            word + "es" if word.endswith(("s", "x", "ch", "sh")) else word + "s")
        return [word, word, word, plural, plural, word + "'s"]
    if kind == "verb":
        stem = word[:-1] if word.endswith("e") else word
        third = word[:-1] + "ies" if word.endswith("y") and word[-2] not in "aeiou" else (
            word + "es" if word.endswith(("s", "x", "ch", "sh")) else word + "s")
        past = word[:-1] + "ied" if word.endswith("y") and word[-2] not in "aeiou" else stem + "ed"
        return [word, word, third, past, stem + "ing"]
    if kind == "adjective":
        adverb = word[:-1] + "ily" if word.endswith("y") else word[:-2] + "ly" if word.endswith("le") else word + "ly"
        return [word, word, word, adverb]
    return [word]


def sentences(count, seed=20240517):
    """Sentences from the word list: nonsense, but with words, forms, punctuation and numbers about as often as in prose."""
    r = random.Random(seed)
    function, nouns, verbs, adjectives, adverbs, prepositions, numbers, names, technical = words()
    weights = [1 / (i + 2) for i in range(len(function))]

    def noun():
        return r.choice(inflected(r.choice(technical if r.random() < 0.15 else nouns), "noun"))

    def phrase():
        out = [r.choices(function, weights)[0]]
        if r.random() < 0.5:
            out.append(r.choice(inflected(r.choice(adjectives), "adjective")))
        out.append(noun())
        if r.random() < 0.3:
            out += [r.choice(["of", "for", "in", "with", "to", r.choice(prepositions)]), "the", noun()]
        return out

    for _ in range(count):
        out = phrase() + [r.choices(["is", "was", "may", "must", "can", "should"], [4, 3, 1, 1, 1, 1])[0]]
        out += [r.choice(inflected(r.choice(verbs), "verb"))] + phrase()
        if r.random() < 0.3:
            out += [r.choice(adverbs)] + phrase()
        if r.random() < 0.2:
            out += [r.choice(["within", "after", "at least", "up to", "in"]), r.choice(numbers + [str(r.randint(1, 2100))]), noun()]
        if r.random() < 0.15:
            out += [r.choice(["on", "in", "from", "by"]), r.choice(names)]
        if r.random() < 0.35:
            out.insert(len(out) // 2, r.choice(["and", "or", "because", "if", "that", "who", "which", "so that", "but"]))
        if r.random() < 0.3:
            out[len(out) // 2] += ","
        text = " ".join(out)
        yield text[0].upper() + text[1:] + r.choices([".", "?", ":", ";", "!"], [20, 4, 1, 1, 1])[0]


def corpus():
    """All training texts. Handwritten text is repeated, because its word frequencies are real."""
    read = lambda name: (HERE / "corpus" / name).read_text("utf-8")  # noqa: E731
    for _ in range(6):
        yield read("prose.txt")
        yield read("more.txt")
    for _ in range(3):
        yield read("code.txt")
        yield read("languages.txt")
    made = list(sentences(9000))
    for i in range(0, len(made), 6):
        yield " ".join(made[i:i + 6]) + "\n\n"


def build():
    """The files of the folder, by name."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 3, min_frequency=2, show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), max_token_length=24,
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.add_special_tokens([ENDOFTEXT, IM_START, IM_END])
    data = json.loads(tokenizer.to_str())
    # merges as "a b": every version of the libraries reads this form
    data["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    ids = {token["content"]: token for token in data["added_tokens"]}
    config = {
        "added_tokens_decoder": {
            str(token["id"]): {k: token[k] for k in ("content", "lstrip", "normalized", "rstrip", "single_word", "special")}
            for token in ids.values()
        },
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": IM_END,
        "model_max_length": 32768,
        "pad_token": ENDOFTEXT,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    return {
        "tokenizer.json": json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n",
        "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=2) + "\n",
        "chat_template.jinja": TEMPLATE,
    }


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check = arguments.parse_args().check
    files = build()
    if check:
        stale = [n for n, text in files.items() if not (FOLDER / n).is_file() or (FOLDER / n).read_text("utf-8") != text]
        if stale:
            sys.exit(f"{FOLDER}: out of date: {', '.join(stale)}")
        print("assets/builtin-tokenizer is up to date")
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (FOLDER / name).write_text(text, "utf-8")
        print(name, len(text.encode()), "bytes")


if __name__ == "__main__":
    main()
