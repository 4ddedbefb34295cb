#!/usr/bin/env python3
"""Generate examples/step_02, examples/chats, examples/texts and examples/one_file from scripts/corpus/handbook.txt and the sentences below.

The organisation, its rules and all conversations are invented. The same text gives the same files; --check reports whether
the examples are up to date.

Each line of the handbook is a sentence, a question that it answers, and a short answer. An extractive summary is a selection of
sentences; a detailed summary retells the chapter with an introduction. The pairs of a summary ask about its sentences.
"""
import argparse
import gzip
import json
import pathlib
import random
import sys

HERE = pathlib.Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
SUMMARY_COUNTS = [12, 9, 8, 7, 6, 8]  # per chapter, in each of the two summary sources
ICL = {
    "icl_document": "The tool library lends five tools at a time. A tool is lent for one week.",
    "icl_query_1": "How many tools may be lent at a time?",
    "icl_query_2": "Who lends the tools?",
    "icl_query_3": "For how long is a tool lent?",
}
FAITHFUL = "Every claim of the answer is stated in the document."


def chapters():
    """[{title, outline, paragraphs: [[(sentence, question, answer)]], text}]"""
    out = []
    for block in ("\n" + (HERE / "corpus" / "handbook.txt").read_text("utf-8")).split("\n# ")[1:]:
        title, outline, *rest = block.split("\n")
        paragraphs = [[tuple(line.split(" || ")) for line in paragraph.split("\n") if line]
                      for paragraph in "\n".join(rest).strip().split("\n\n")]
        assert all(len(fact) == 3 for paragraph in paragraphs for fact in paragraph), title
        text = f"# {title}\n\n" + "\n\n".join(" ".join(fact[0] for fact in paragraph) for paragraph in paragraphs)
        out.append({"title": title, "outline": outline, "paragraphs": paragraphs, "text": text})
    return out


def lower(text):
    """A sentence to continue another one: starts with a small letter, unless it starts with a name."""
    first = text.split()[0]
    return text if first in {"Ostrand", "Tern", "Gannet", "Monday", "Islanders"} else text[0].lower() + text[1:]


def extractive(chapter, r, taken):
    facts = [fact for paragraph in chapter["paragraphs"] for fact in paragraph]
    while True:
        chosen = sorted(r.sample(range(len(facts)), r.randint(4, 7)))
        if tuple(chosen) not in taken:
            taken.add(tuple(chosen))
            return " ".join(facts[i][0] for i in chosen), [facts[i] for i in chosen]


def detailed(chapter, r, taken):
    topic = chapter["title"].lower()
    while True:
        parts, facts = [], []
        order = [p for p in chapter["paragraphs"] if r.random() < 0.8]
        lead = r.choice([
            f"This chapter of the handbook is about {topic}.",
            f"The chapter on {topic} sets out what crews, members and passengers can rely on.",
            f"Under the heading of {topic}, the cooperative explains its rules and the reasons for them.",
        ])
        for paragraph in order:
            some = [fact for fact in paragraph if r.random() < 0.75] or paragraph[:1]
            opener = r.choice(["In this context, ", "In addition, ", "It is also laid down that ", "The handbook says that ", ""])
            text = " ".join(fact[0] for fact in some)
            parts.append(opener + (lower(text) if opener else text))
            facts += some
        key = (lead, *parts)
        if len(facts) >= 4 and key not in taken:
            taken.add(key)
            return lead + "\n\n" + "\n\n".join(parts), facts


def pairs_of(facts, r, number):
    """Pairs that the summary answers; some questions and answers refer to the handbook."""
    out = []
    for sentence, question, answer in r.sample(facts, min(number, len(facts))):
        if r.random() < 0.3:
            question = "According to the handbook, " + lower(question)
        if r.random() < 0.4:
            answer = f"{answer} The handbook puts it like this: {sentence}"
        out.append((question, answer))
    return out


def base(chapter):
    return {"document_outline": chapter["outline"], "domain": "transport", **ICL}


def row_09(chapter, summary, question, response):
    """A row as sdg_hub 0.9 writes it."""
    return {"raw_document": chapter["text"], **base(chapter), "document": summary, "question": question,
            "response": response, "faithfulness_explanation": FAITHFUL, "faithfulness_judgment": "YES"}


def row_07(chapter, summary, question, response, kind):
    """A row as sdg_hub 0.7 wrote it: with every prompt and raw reply; the reasoning is inside a reply."""
    ask = lambda text: [{"role": "system", "content": "You write training data."}, {"role": "user", "content": text}]  # noqa: E731
    return {
        "raw_document": chapter["text"], **base(chapter), "base_document": chapter["text"],
        f"{kind}_prompt": ask("Summarise the document.\n\n" + chapter["text"]), "raw_summary": [{"content": summary}],
        f"extract_{kind}_content": summary, "document": summary,
        "question_generation_prompt": ask("Ask questions.\n\n" + summary),
        "question_list": [{"content": f"[QUESTION]\n{question}\n[END]"}],
        "extract_questions_content": f"[QUESTION]\n{question}\n[END]", "question": question,
        "answer_generation_prompt": ask(f"Answer.\n\n{summary}\n\n{question}"),
        "response_dict": [{"content": response, "reasoning_content": f"The summary is about {chapter['title'].lower()}; "
                                                                     "I look for the sentence that answers this."}],
        "extract_answers_content": response, "response": response,
        "eval_faithful_prompt": ask(f"Is it faithful?\n\n{response}"),
        "eval_faithful_response_dict": [{"content": "[Start of Answer]\nYES\n[End of Answer]"}],
        "faithfulness_explanation": FAITHFUL, "faithfulness_judgement": "YES",
    }


def row_renamed(chapter, summary, question, response):
    """A row of the renamed schema: `summary` is the summary, `document` the raw document."""
    return {"document": chapter["text"], **base(chapter), "question": question, "response": response,
            "parse_response_dict_reasoning_content": "The user asks: " + question,
            "faithfulness_explanation": FAITHFUL, "faithfulness_judgment": "YES", "summary": summary}


def rough(rows):
    """Adds what teachers sometimes leave behind: markers, placeholders, an empty answer."""
    for i, row in enumerate(rows):
        if i % 17 == 5:
            row["response"] = f"[ANSWER]\n{row['response']}\n[END]"
        if i % 23 == 7:
            row["response"] += " [END]"
    if len(rows) > 60:
        rows[20]["question"] = "<Insert question here>"
        rows[41]["question"] = "What does the chapter say about ..."
        rows[55]["response"] = "[ANSWER] [END]"
    return rows


def step_02():
    """{path below examples/step_02: rows}"""
    r = random.Random("step_02")
    files = {}
    every = chapters()
    for kind, make in (("extractive_summary", extractive), ("detailed_summary", detailed)):
        for number, (chapter, count) in enumerate(zip(every, SUMMARY_COUNTS)):
            taken = set()
            for _ in range(count):
                summary, facts = make(chapter, r, taken)
                for question, response in pairs_of(facts, r, r.randint(2, 4 if number < 4 else 3)):
                    if kind == "extractive_summary" and number == 4:
                        path, row = "earlier/chapter-5.jsonl", row_07(chapter, summary, question, response, kind)
                    elif kind == "extractive_summary" and number == 5:
                        path, row = "renamed/chapter-6.jsonl.gz", row_renamed(chapter, summary, question, response)
                    else:
                        path, row = "gen.jsonl", row_09(chapter, summary, question, response)
                    files.setdefault(f"{kind}/{path}", []).append(row)
    for chapter in every:
        facts = [fact for paragraph in chapter["paragraphs"] for fact in paragraph]
        key_facts = sorted(r.sample(range(len(facts)), 4))
        text = "\n".join(f"{i}. {facts[k][0]}" for i, k in enumerate(key_facts, start=1))
        for k in key_facts:
            sentence, question, answer = facts[k]
            pairs = [(question, answer), ("According to the cooperative, " + lower(question), sentence)]
            if r.random() < 0.6:
                pairs.append(("Which rule does the handbook state here: " + lower(question), sentence))
            reply = "\n".join(f"[QUESTION]\n{q}\n[END]\n[ANSWER]\n{a}\n[END]" for q, a in pairs)
            for question, response in pairs:
                files.setdefault("key_facts_to_qa/gen.jsonl", []).append({
                    **base(chapter), "document": text, "key_fact": sentence,
                    "raw_key_fact_qa": [{"content": reply, "reasoning_content": "One fact, so the questions stay close to it."}],
                    "question": question, "response": response})
        for question, response in pairs_of(facts, r, 4):
            files.setdefault("document_based_qa/gen.jsonl", []).append({
                "document": chapter["text"], **base(chapter), "question": question, "response": response,
                "faithfulness_explanation": FAITHFUL, "faithfulness_judgment": "YES"})
    return {f"step_02/{path}": rough(rows) for path, rows in files.items()}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather at a place", "parameters": {
        "type": "object", "properties": {"place": {"type": "string"}, "day": {"type": "string"}}, "required": ["place"]}}}
CONVERT = {"type": "function", "function": {
    "name": "convert_unit", "description": "Convert a quantity from one unit to another", "parameters": {
        "type": "object", "properties": {"value": {"type": "number"}, "from": {"type": "string"}, "to": {"type": "string"}},
        "required": ["value", "from", "to"]}}}
CALENDAR = {"type": "function", "function": {
    "name": "add_event", "description": "Put an event into the calendar", "parameters": {
        "type": "object", "properties": {"title": {"type": "string"}, "date": {"type": "string"}, "minutes": {"type": "integer"}}}}}

SMALL_TALK = [
    ("How do I keep cut flowers fresh for longer?", "Cut the stems at an angle, change the water every other day, remove leaves below the water line and keep the vase away from fruit and direct sun."),
    ("What is the difference between weather and climate?", "Weather is what the air does today and this week. Climate is the average of it, with its extremes, over several decades."),
    ("Can you explain recursion to a ten-year-old?", "Imagine a box, and in it a smaller box, and in that a smaller one. To find the sweet you do the same thing each time: open the box. If there is a box inside, start again with that; if there is the sweet, you are done. Doing a task by doing a smaller piece of the same task is recursion."),
    ("Suggest a name for a small bakery next to a railway station.", "\"The Second Platform\" would do: it tells people where you are, and it promises something to have while they wait."),
    ("Why does bread go stale?", "The starch slowly turns back into crystals and gives off water, so the crumb becomes firm. Cold speeds it up, which is why bread keeps better in a bread box than in the refrigerator."),
    ("Give me three tips for a job interview.", "1. Prepare two stories in which you solved a problem.\n2. Ask a question that shows you know what the company does.\n3. Arrive ten minutes early, and use them to breathe."),
    ("What does 'to burn the midnight oil' mean?", "It means to work or study until late at night. It comes from the time when lamps burned oil."),
    ("How many sides does a dodecagon have?", "Twelve."),
    ("Is a tomato a fruit or a vegetable?", "For a botanist it is a fruit, a berry in fact; for a cook it is a vegetable."),
    ("How can I fall asleep more easily?", "Get up at the same time every day, keep the room cool and dark, put screens away an hour before bed, and if you lie awake for long, get up and read something dull."),
    ("Translate 'Where is the nearest pharmacy?' into German.", "Wo ist die nächste Apotheke?"),
    ("Translate 'The train is late again' into French.", "Le train est encore en retard."),
    ("Write a haiku about a lighthouse.", "Night leans on the rock.\nOne slow arm of light goes round,\ncounting home the boats."),
    ("What is compound interest?", "Interest that is paid on earlier interest too. With five percent a year, 100 becomes 105 after one year and 110.25 after two, because the second five percent is taken of 105."),
    ("How do I reverse a list in Python?", "`items[::-1]` gives a reversed copy, and `items.reverse()` reverses the list itself:\n\n```python\nitems = [1, 2, 3]\nitems.reverse()\nprint(items)  # [3, 2, 1]\n```"),
    ("What is the SQL to count the rows of each city?", "```sql\nSELECT city, COUNT(*) AS customers\nFROM customers\nGROUP BY city\nORDER BY customers DESC;\n```"),
    ("Which is heavier, a kilogram of feathers or a kilogram of iron?", "Neither: both have a mass of one kilogram."),
    ("My plant has yellow leaves. What is wrong?", "Most often it stands too wet. Let the upper two centimetres of soil dry before you water again, and check that the pot has a hole. If only old leaves turn yellow one by one, that is normal."),
    ("Explain the water cycle in two sentences.", "The sun turns water into vapour, which rises, cools and becomes clouds. The clouds give rain and snow, which flow back to the sea through rivers and the ground."),
    ("Could you shorten this: 'Due to the fact that it was raining, we made the decision to stay at home.'", "Because it was raining, we stayed at home."),
    ("What should I put into a first aid kit for hiking?", "Plasters, a bandage, sterile pads, tape, a pair of scissors, tweezers, painkillers, a rescue blanket and gloves. Add what you need personally, and a note with emergency numbers."),
    ("Why is the sky blue?", "Air scatters short, blue waves of light much more than long, red ones, so blue light reaches us from all sides."),
    ("How long do I boil an egg?", "From boiling water: about six minutes for a soft yolk, eight for a waxy one, ten for a hard one."),
    ("What is a good password?", "A long one that you use nowhere else. Four or five random words are easier to remember than a short mess of signs; a password manager remembers it for you."),
]
TOPICS = ["a village fair", "an old bicycle", "the first snow", "a borrowed book", "a quiet harbour", "two rival gardeners",
          "a lost key", "a night train", "the last apple", "a clock that runs backwards"]
PLACES = ["Ostrand", "Hale", "Merrow", "Little Quay", "Northwick", "Sandholm"]
SYSTEMS = ["You are a helpful assistant.", "You answer briefly and plainly.", "You are a patient teacher.",
           "You are an assistant for office work. If you do not know something, say so."]


def general_chats(r):
    """Everyday questions, arithmetic and short texts, with one to three turns."""
    for question, answer in SMALL_TALK:
        yield {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
    for question, answer in SMALL_TALK[::2]:
        yield {"messages": [{"role": "system", "content": r.choice(SYSTEMS)}, {"role": "user", "content": question},
                            {"role": "assistant", "content": answer}, {"role": "user", "content": "Thanks, that helps."},
                            {"role": "assistant", "content": "You are welcome. Ask again if something is unclear."}]}
    for _ in range(76):
        a, b, c = r.randint(2, 60), r.randint(2, 60), r.randint(2, 9)
        kind = r.randrange(4)
        if kind == 0:
            q, s = f"What is {a} times {b}?", f"{a} times {b} is {a * b}."
        elif kind == 1:
            q, s = (f"A crate holds {a} bottles. How many bottles are in {c} crates, if {c} bottles are broken?",
                    f"{c} crates hold {c} × {a} = {c * a} bottles. Without the {c} broken ones, {c * a - c} are left.")
        elif kind == 2:
            q, s = (f"I walk {c} kilometres every day. How far is that in {a} days?", f"{c} km × {a} = {c * a} km.")
        else:
            q, s = (f"Sort these numbers: {b}, {a}, {c}.", "In ascending order: " + ", ".join(map(str, sorted([a, b, c]))) + ".")
        yield {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": s}]}
    for topic in TOPICS:
        yield {"messages": [
            {"role": "system", "content": "You write short stories."},
            {"role": "user", "content": f"Give me the opening of a story about {topic}."},
            {"role": "assistant", "content": f"Everyone in the street had an opinion about {topic}, and only Ida had the facts. She kept "
                                             "them in a shoebox under the stairs, and on a Tuesday in March somebody took the box."},
            {"role": "user", "content": "Now as a single headline."},
            {"role": "assistant", "content": f"THE TRUTH ABOUT {topic.upper()}: SHOEBOX MISSING"}]}
    for place in PLACES:
        for thing in ("a library", "a swimming pool", "a repair café", "a night bus"):
            yield {"messages": [
                {"role": "user", "content": f"Write a polite email asking the council of {place} for {thing}."},
                {"role": "assistant", "content": f"Subject: A proposal for {thing} in {place}\n\nDear council members,\n\nmany people in {place} would "
                                                 f"use {thing}, and several have offered to help with it. Could the question be put on the agenda of "
                                                 "your next meeting? We would be glad to present our plans.\n\nKind regards\nThe neighbours' association"}]}


def tool_chats(r):
    """Chats that call a function; the tools differ between rows."""
    for i in range(36):
        place, place2 = r.sample(PLACES, 2)
        degrees = r.randint(-3, 27)
        call = lambda name, arguments, n=i: {"role": "assistant", "content": "", "tool_calls": [  # noqa: E731
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}]}
        if i % 3 == 0:
            yield {"tools": [WEATHER], "messages": [
                {"role": "user", "content": f"Do I need a coat in {place} today?"}, call("get_weather", {"place": place, "day": "today"}),
                {"role": "tool", "content": json.dumps({"degrees": degrees, "rain": degrees < 10}), "tool_call_id": f"call_{i}"},
                {"role": "assistant", "content": f"It is {degrees} degrees in {place}" + (" and it rains: take a coat." if degrees < 10 else " and dry: no coat needed.")}]}
        elif i % 3 == 1:
            miles = r.randint(2, 90)
            yield {"tools": [CONVERT, WEATHER], "messages": [
                {"role": "system", "content": "Use the functions where they help."},
                {"role": "user", "content": f"How many kilometres are {miles} miles?"},
                call("convert_unit", {"value": miles, "from": "mile", "to": "kilometre"}),
                {"role": "tool", "content": f"{miles * 1.609344:.2f}", "tool_call_id": f"call_{i}"},
                {"role": "assistant", "content": f"{miles} miles are {miles * 1.609344:.2f} kilometres."}]}
        else:
            yield {"tools": [CALENDAR], "messages": [
                {"role": "user", "content": f"Put a meeting in {place2} into my calendar, 12 May, one hour."},
                call("add_event", {"title": f"Meeting in {place2}", "date": "2025-05-12", "minutes": 60}),
                {"role": "tool", "content": "ok", "tool_call_id": f"call_{i}"},
                {"role": "assistant", "content": f"Done: a meeting in {place2} on 12 May for one hour."}]}


def masked_chats(r):
    """Chats that set `unmask` themselves."""
    for i, (question, answer) in enumerate(r.sample(SMALL_TALK, 18)):
        turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer},
                 {"role": "user", "content": "Say it in other words, please."},
                 {"role": "assistant", "content": "In other words: " + answer[0].lower() + answer[1:]}]
        yield {"messages": turns, "unmask": i % 2 == 0}


def chats():
    r = random.Random("chats")
    return {"chats/general.jsonl": list(general_chats(r)), "chats/tools.jsonl": list(tool_chats(r)),
            "chats/unmask.jsonl": list(masked_chats(r))}


def texts():
    """General text, for a document mix: the everyday questions and answers as plain paragraphs."""
    paragraphs = [f"{question} {answer}" for question, answer in SMALL_TALK]
    return {"texts/general.jsonl": [{"id": number, "text": "\n\n".join(paragraphs[number::7])} for number in range(7)]}


def one_file(sources):
    """Two chapters of all four sources in one file, distinguished by `dataset_type`, with a judgement; a few rows are of a kind of their own."""
    types = {"extractive_summary": "summary_extractive", "detailed_summary": "summary_detailed",
             "key_facts_to_qa": "summary_atomic_facts", "document_based_qa": "base_document"}
    outlines = [chapter["outline"] for chapter in chapters()[:2]]
    columns = ["raw_document", "document_outline", "document", "question", "response"]
    rows, pairs = [], {}
    for source, kind in types.items():
        for row in (row for path, some in sources.items() if path.split("/")[-2:-1] == [source] and path.endswith("gen.jsonl") for row in some):
            key = (kind, row["document"])
            if row["document_outline"] not in outlines or pairs.get(key, 0) == 2 or not all(isinstance(row.get(c, ""), str) for c in columns):
                continue
            pairs[key] = pairs.get(key, 0) + 1
            score = "1.0" if len(rows) % 12 == 11 else "2.0"
            rows.append({**{column: row[column] for column in columns if column in row}, "dataset_type": kind, "relevancy_score": score})
    rows += [{**row, "dataset_type": "summary_outline"} for row in rows[:3]]
    return {"one_file/mixed/gen.jsonl": rows}


def build():
    files = {}
    sources = step_02()
    for path, rows in {**sources, **chats(), **texts(), **one_file(sources)}.items():
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        files[path] = (rows, gzip.compress(data, 9, mtime=0) if path.endswith(".gz") else data)
    return files


def same(path, data):
    if not path.is_file():
        return False
    existing = path.read_bytes()
    return gzip.decompress(existing) == gzip.decompress(data) if path.suffix == ".gz" else existing == data


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    check = arguments.parse_args().check
    files = build()
    if check:
        stale = [path for path, (_, data) in files.items() if not same(EXAMPLES / path, data)]
        if stale:
            sys.exit("out of date: " + ", ".join(stale))
        print("the examples are up to date")
        return
    for path, (rows, data) in files.items():
        target = EXAMPLES / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        print(f"{path}: {len(rows)} rows, {len(data)} bytes")
    print("total", sum(len(data) for _, data in files.values()), "bytes")


if __name__ == "__main__":
    main()
