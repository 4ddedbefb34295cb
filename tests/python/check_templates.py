#!/usr/bin/env python3
"""Check how transformers renders the template corpus in tests/fixtures/templates against what is recorded there.

    python check_templates.py [--transformers4 PYTHON] [--update]

Every `.jinja` file is rendered with every conversation of conversations.json, and every line of snippets.txt with the first one.
expected.json has the texts of transformers 5 and what 4.57 renders otherwise, so that the program's own tests (`cargo test corpus`)
compare texts without Python. `null` says that transformers raises. --update writes the file anew.
"""
import argparse
import datetime
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "templates"
DAY = "2026-03-07"


def rendered():
    """What this Python's transformers renders: {template: {conversation: text or null}}, and the reasons of errors."""
    from transformers import PreTrainedTokenizerFast
    from tokenizers import Tokenizer, models

    import reference

    reference.set_date(DAY)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE()), bos_token="<s>", eos_token="</s>")
    conversations = json.loads((FOLDER / "conversations.json").read_text("utf-8"))
    templates = {path.name: (path.read_text("utf-8"), conversations) for path in sorted(FOLDER.glob("*.jinja"))}
    first = dict([next(iter(conversations.items()))])
    for line in (FOLDER / "snippets.txt").read_text("utf-8").split("\n"):
        if line:
            templates[line] = (line, first)
    out, reasons = {}, {}
    for name, (template, chats) in templates.items():
        out[name] = {}
        for chat, given in chats.items():
            given = json.loads(json.dumps(given))
            try:
                text = tokenizer.apply_chat_template(given["messages"], tools=given.get("tools"), chat_template=template, tokenize=False)
            except Exception as error:
                text, reasons[f"{name} / {chat}"] = None, f"{type(error).__name__}: {error}"
            out[name][chat] = text
    return out, reasons


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--transformers4", metavar="PYTHON", help="a Python with transformers 4.57")
    arguments.add_argument("--update", action="store_true", help="write expected.json anew (needs --transformers4)")
    arguments.add_argument("--reasons", action="store_true", help="show why transformers raises")
    arguments.add_argument("--dump", action="store_true", help=argparse.SUPPRESS)
    o = arguments.parse_args()
    now, reasons = rendered()
    if o.dump:
        print(json.dumps(now))
        return 0
    if o.reasons:
        for name, reason in reasons.items():
            print(f"{name}\n    {reason}")
    older = None
    if o.transformers4:
        older = json.loads(subprocess.run([o.transformers4, __file__, "--dump"], capture_output=True, text=True, check=True).stdout)
    path = FOLDER / "expected.json"
    recorded = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    if o.update:
        recorded = {}
        for name, texts in now.items():
            others = {chat: text for chat, text in older[name].items() if text != texts[chat]}
            recorded[name] = {"5": texts, **({"4.57": others} if others else {})}
        path.write_text(json.dumps(recorded, ensure_ascii=False, indent=1) + "\n", "utf-8")
    wrong = [f"transformers 5: {name!r} / {chat}" for name, texts in now.items() for chat, text in texts.items() if recorded.get(name, {}).get("5", {}).get(chat, 0) != text]
    for name, texts in (older or {}).items():
        expected = {**recorded.get(name, {}).get("5", {}), **recorded.get(name, {}).get("4.57", {})}
        wrong += [f"transformers 4.57: {name!r} / {chat}" for chat, text in texts.items() if expected.get(chat, 0) != text]
    wrong += [f"not in the corpus: {name!r}" for name in recorded if name not in now]
    print("\n".join(wrong) or f"{sum(map(len, now.values()))} renders as recorded")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
