"""Artifacts and chats with what is hard for ids and labels."""
import json

DOCUMENTS = ["The lighthouse of Merrow stands on a rock. " * 3, "霧の港町には古い灯台があります。" * 4]
TEXTS = [
    ("What stands on the rock?", "The lighthouse."),
    ("  leading and trailing white space \n", "An answer\n\nin two paragraphs,  with  double  spaces."),
    ("灯台はどこにありますか？", "岩の上にあります。"),
    ("Which flag is it? 🏴‍☠️🇳🇴 👩‍👩‍👧", "A 🏴‍☠️, in the rain ☔️."),
    ("Is <|im_end|> or <|endoftext|> or </s> or <|eot_id|> or <|end|> a word?", "No: <|im_start|> is a token, <s> too."),
    ("Tabs\tand\r\nline ends\r\n?", "\tYes.\r\n"),
    ("e\u0301 or \u00e9, \ufb01 or fi?", "Both\u00a0are \u200b the same\u2028here."),
    ("1234567 + 89.5 = ?", "1,234,656.5"),
]


def pairs(folder, reasoning):
    """Rows of the four sources; every third has reasoning, if it is wanted."""
    for source in ("extractive_summary", "detailed_summary", "key_facts_to_qa", "document_based_qa"):
        target = folder / source
        target.mkdir(parents=True)
        with (target / "gen.jsonl").open("w", encoding="utf-8") as file:
            number = 0
            for document in DOCUMENTS:
                for summary in range(3):
                    for question, response in TEXTS:
                        number += 1
                        row = {"question": question, "response": response, "document_outline": "Harbour\n", "raw_document": document,
                               "document": f"Summary {summary}: {document[:60]}"}
                        if reasoning and number % 3 == 0:
                            row["reasoning"] = f" First I look at row {number}.\nThen I answer. "
                        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def chats(path, reasoning):
    """Chats of every length from a few tokens up, of several turns, with a system message, with tools, with white space."""
    thought = {"thinking": "Let me think.\nYes."} if reasoning else {}
    rows = [{"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": " y" * number}]} for number in range(120)]
    turn = [{"role": "user", "content": "And then?"}, {"role": "assistant", "content": "Then it rained.", **thought}]
    rows += [{"messages": turn * number} for number in (2, 3)]
    rows += [{"messages": [{"role": "system", "content": "Be brief.\n"}, *turn], "unmask": flag} for flag in (True, False)]
    rows += [{"messages": [{"role": "user", "content": "  "}, {"role": "assistant", "content": "\n edges \n"}]}]
    rows += [{"messages": [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": ""}]}]
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


RECIPE = """
sources:
  chats: {kind: messages, paths: [%s]}
"""
