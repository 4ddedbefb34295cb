#!/usr/bin/env python3
"""Generate the small tokenizers of the tests: tests/fixtures/tokenizers.

Each folder stands for a family of published models and for the differences between their files:

    chatml   byte-level BPE, NFC, ChatML; a list of named templates in the config; a token that only the config has
    llama3   byte-level BPE with a post-processor that adds <|begin_of_text|>, which the template prints too; special tokens as
             objects in special_tokens_map.json; chat_template.jinja with {% generation %}, strftime_now and loop controls
    spm      SentencePiece-like BPE with byte fallback, Prepend and Replace instead of a pre-tokenizer, [INST]; truncation and
             padding sections that must be ignored; a padding token that only the config has; tokenizer_class LlamaTokenizer
    gptoss   byte-level BPE with the o200k split; chat_template.json; the template renders `thinking`, with macros and items()

All are trained on the project's own corpus. expected.jsonl next to them has conversations with the text and the number of tokens
that transformers gives, so that tests without Python can compare with it. expected_reasoning.jsonl is made with reasoning.jinja,
which shows how transformers 5 changes messages before the template sees them.

    python scripts/make_test_tokenizers.py [--check] [--no-expected]
"""
import argparse
import collections
import json
import pathlib
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import train_builtin_tokenizer as builtin

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "fixtures" / "tokenizers"
DATE = "2025-03-09"  # the date of strftime_now in expected.jsonl

# Words by their case, numbers of at most three digits, slashes with the punctuation before them.
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+",
])
QWEN = builtin.SPLIT.replace(r"\p{N}{1,3}", r"\p{N}")

CHATML = """\
{%- macro open(role) -%}
    {{- '<|im_start|>' + role + '\\n' -}}
{%- endmacro -%}
{%- if messages[0].role == 'system' -%}
    {%- set system = messages[0].content -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set system = 'You are a helpful assistant.' -%}
    {%- set rest = messages -%}
{%- endif -%}
{{- open('system') + system.strip() }}{{ '<|im_end|>\\n' -}}
{%- set ns = namespace(last_query=rest | length - 1, searching=true) -%}
{%- for message in rest[::-1] -%}
    {%- set index = (rest | length - 1) - loop.index0 -%}
    {%- if ns.searching and message.role == 'user' and not (message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) -%}
        {%- set ns.searching = false -%}
        {%- set ns.last_query = index -%}
    {%- endif -%}
{%- endfor -%}
{%- for message in rest %}
    {%- set content = message.content if message.content is string else '' %}
    {%- if message.role == 'user' or (message.role == 'system' and not loop.first) %}
        {{- open(message.role) + content + '<|im_end|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {%- if '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- if loop.index0 > ns.last_query and thought %}
                {%- set content = '<think>\\n' + thought + '\\n</think>\\n\\n' + content %}
            {%- endif %}
        {%- endif %}
        {{- open('assistant') + content }}
        {%- for call in message.tool_calls | default([], true) %}
            {%- set call = call.function if call.function is defined else call %}
            {{- '\\n<tool_call>\\n{"name": "' + call.name + '", "arguments": ' }}
            {{- call.arguments if call.arguments is string else call.arguments | tojson }}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\\n' }}
    {%- elif message.role == 'tool' %}
        {%- if loop.first or rest[loop.index0 - 1].role != 'tool' %}
            {{- '<|im_start|>user' }}
        {%- endif %}
        {{- '\\n<tool_response>\\n' + content + '\\n</tool_response>' }}
        {%- if loop.last or rest[loop.index0 + 1].role != 'tool' %}
            {{- '<|im_end|>\\n' }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- open('assistant') }}
{%- endif %}
"""

CHATML_TOOLS = """\
{%- if tools %}
{{- '<|im_start|>tools\\n' }}
{%- for tool in tools %}
{{- (tool.function if tool.function is defined else tool) | tojson(indent=2) + '\\n' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{{- '<|im_start|>' ~ message.role ~ '\\n' ~ (message.content or '') ~ '<|im_end|>\\n' }}
{%- endfor %}
"""

LLAMA3 = """\
{{- bos_token }}
{%- if date_string is not defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined or tools is none %}
    {%- set tools = none %}
{%- endif %}

{#- The system message stands first, also where there is none -#}
{%- if messages and messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {{- "Functions:\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if message.role not in ['user', 'assistant', 'tool', 'ipython', 'system'] %}
        {{- raise_exception("Unknown role: " + message.role) }}
    {%- endif %}
    {%- if message.role == 'system' %}{% continue %}{% endif %}
    {%- if message.role == 'tool' or message.role == 'ipython' %}
        {{- "<|start_header_id|>ipython<|end_header_id|>\\n\\n" }}
        {%- if message.content is mapping or (message.content is iterable and message.content is not string) %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
        {{- "<|eot_id|>" }}
    {%- elif 'tool_calls' in message and message.tool_calls %}
        {%- if not message.tool_calls | length == 1 %}
            {{- raise_exception("only one call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {%- generation %}
        {{- '{"name": "' + tool_call.name + '", "parameters": ' + (tool_call.arguments if tool_call.arguments is string else tool_call.arguments | tojson) + '}' }}
        {{- "<|eot_id|>" }}
        {%- endgeneration %}
    {%- elif message.role == 'assistant' %}
        {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' -}}
        {%- generation %}
        {{- message['content'] | trim + '<|eot_id|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

SPM = (
    "{% if messages[0]['role'] == 'system' %}"
    "{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'].strip() %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}\n"
    "{% set counted = loop_messages | selectattr('role', 'ne', 'tool') | rejectattr('tool_calls', 'defined') | list %}\n"
    "{% for message in counted %}\n"
    "    {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}\n"
    "        {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}\n"
    "    {% endif %}\n"
    "    {% if loop.index0 == 0 and system_message %}\n"
    "        {% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}\n"
    "    {% else %}\n"
    "        {% set content = message['content'] %}\n"
    "    {% endif %}\n"
    "    {% if message['role'] == 'user' %}\n"
    "        {{- bos_token + '[INST] ' + content.strip() + (' ' if content[-3:] != '...' else '\\n') + '[/INST]' -}}\n"
    "    {% elif message['role'] == 'assistant' %}\n"
    "        {{- ' '  + content.strip() + ' ' + eos_token -}}\n"
    "    {% endif %}\n"
    "{% endfor %}\n"
    "{%- if unknown_thing is defined %}{{ unknown_thing }}{% endif -%}\n"
)

GPTOSS = """\
{#- Renders a value of a tool's schema as a type -#}
{%- macro render_type(spec) -%}
    {%- if spec.type == "object" -%}
        {{- "{" -}}
        {%- for name, value in (spec.get("properties") or {}).items() -%}
            {{- name -}}
            {%- if name not in (spec.required or []) -%}
                {{- "?" -}}
            {%- endif -%}
            {{- ": " + render_type(value) -}}
            {%- if not loop.last -%}{{- ", " -}}{%- endif -%}
        {%- endfor -%}
        {{- "}" -}}
    {%- elif spec.type == "array" -%}
        {{- render_type(spec["items"]) + "[]" -}}
    {%- elif spec.type is iterable and spec.type is not string -%}
        {{- spec.type | join(" | ") -}}
    {%- elif spec.enum -%}
        {{- '"' + spec.enum | join('" | "') + '"' -}}
    {%- else -%}
        {{- {"integer": "number", "string": "string"}.get(spec.type, spec.type | default("any")) -}}
    {%- endif -%}
{%- endmacro -%}

{%- macro system() -%}
    {{- "You are a language model.\\nKnowledge cutoff: 2024-06\\n" -}}
    {{- "Current date: " + strftime_now("%Y-%m-%d") + "\\n\\n" -}}
    {{- "Reasoning: " + (reasoning_effort | default("medium")) + "\\n\\n# Valid channels: analysis, commentary, final." -}}
{%- endmacro -%}

{{- "<|start|>system<|message|>" }}
{{- system() }}
{{- "<|end|>" }}
{%- if messages[0].role in ["system", "developer"] %}
    {%- set developer = messages[0].content %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set developer = "" %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if developer or tools %}
    {{- "<|start|>developer<|message|>" }}
    {%- if developer %}
        {{- "# Instructions\\n\\n" + developer + "\\n\\n" }}
    {%- endif %}
    {%- if tools -%}
        {{- "# Tools\\n\\nnamespace functions {\\n" -}}
        {%- for tool in tools -%}
            {%- set f = tool.function -%}
            {{- "// " + f.description + "\\ntype " + f.name + " = (_: " + render_type(f.parameters) + ") => any;\\n" -}}
        {%- endfor -%}
        {{- "}" -}}
    {%- endif -%}
    {{- "<|end|>" }}
{%- endif %}
{%- set last = namespace(call=none) %}
{%- for message in loop_messages -%}
    {%- if message.role == 'assistant' -%}
        {%- if "content" in message and message.content is string %}
            {%- if "<|channel|>analysis<|message|>" in message.content or "<|channel|>final<|message|>" in message.content %}
                {{- raise_exception("The content holds a channel's tag already.") }}
            {%- endif %}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- set call = message.tool_calls[0].function %}
            {%- if message.thinking %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
            {%- endif %}
            {{- "<|start|>assistant to=functions." + call.name + "<|channel|>commentary json<|message|>" }}
            {{- call.arguments | tojson if call.arguments is not string else call.arguments }}
            {{- "<|call|>" }}
            {%- set last.call = call.name %}
        {%- elif loop.last and not add_generation_prompt %}
            {%- if message.thinking %}
                {{- "<|start|>assistant<|channel|>analysis<|message|>" + message.thinking + "<|end|>" }}
            {%- endif %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|return|>" }}
        {%- else %}
            {{- "<|start|>assistant<|channel|>final<|message|>" + message.content + "<|end|>" }}
            {%- set last.call = none %}
        {%- endif %}
    {%- elif message.role == 'tool' -%}
        {%- if last.call is none %}
            {{- raise_exception("A tool's message follows no call.") }}
        {%- endif %}
        {{- "<|start|>functions." + last.call + " to=assistant<|channel|>commentary<|message|>" + message.content | tojson + "<|end|>" }}
    {%- elif message.role == 'user' -%}
        {{- "<|start|>user<|message|>" + message.content + "<|end|>" }}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
<|start|>assistant
{%- endif -%}
"""


# Shows how transformers 5 changes a message before the template sees it (transformers 4 passes it on unchanged): it removes
# keys that are null, and offers `thinking` as `reasoning_content` too.
REASONING = """\
{%- for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.reasoning_content is string %}
{{- '<think>\\n' + message.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
{%- endif %}
{{- message.content + ('[thinking is there]' if 'thinking' in message else '[no thinking]') + '<|im_end|>\\n' }}
{%- endfor %}
"""


def dumps(value):
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def finish(tokenizer):
    """tokenizer.json as data, with merges as "a b": every version of the libraries reads this form."""
    data = json.loads(tokenizer.to_str())
    data["model"]["merges"] = [pair if isinstance(pair, str) else " ".join(pair) for pair in data["model"]["merges"]]
    return data


def compact(data):
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"


def byte_level(split, size, special, normalizer=None):
    """A byte-level BPE tokenizer with the special tokens at the end of its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True)
    tokenizer.train_from_iterator(builtin.corpus(), trainers.BpeTrainer(
        vocab_size=size, min_frequency=2, show_progress=False, max_token_length=20,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.add_special_tokens(special)
    return tokenizer


def decoder_map(data):
    """`added_tokens_decoder` for a config, from the added tokens of tokenizer.json."""
    keys = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    return {str(token["id"]): {k: token[k] for k in keys} for token in data["added_tokens"]}


def plain(content, special=True, rstrip=False):
    return {"content": content, "lstrip": False, "normalized": False, "rstrip": rstrip, "single_word": False, "special": special}


def chatml():
    tokenizer = byte_level(QWEN, 1500, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False), AddedToken("</tool_call>", normalized=False)])
    data = finish(tokenizer)
    top = 1 + max(token["id"] for token in data["added_tokens"])
    config = {
        "add_bos_token": False, "add_prefix_space": False,
        # the last token is only here, as in folders whose tokenizer.json is older than the token
        "added_tokens_decoder": {**decoder_map(data), str(top): plain("<|late_token|>")},
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
        "chat_template": [{"name": "default", "template": CHATML}, {"name": "tool_use", "template": CHATML_TOOLS}],
        "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>", "errors": "replace", "model_max_length": 32768,
        "pad_token": "<|endoftext|>", "split_special_tokens": False, "tokenizer_class": "Qwen2Tokenizer", "unk_token": None,
    }
    return {"tokenizer.json": compact(data), "tokenizer_config.json": dumps(config)}


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad_id|>"]
    tokenizer = byte_level(builtin.SPLIT, 2000, special)
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", bos)]),
    ])
    data = finish(tokenizer)
    data["model"]["ignore_merges"] = True
    objects = {key: {k: v for k, v in plain(token).items() if k != "special"}
               for key, token in (("bos_token", "<|begin_of_text|>"), ("eos_token", "<|eot_id|>"), ("pad_token", "<|pad_id|>"))}
    config = {"bos_token": "<|begin_of_text|>", "clean_up_tokenization_spaces": False, "eos_token": "<|eot_id|>",
              "model_input_names": ["input_ids", "attention_mask"], "model_max_length": 131072,
              "chat_template": "{{ raise_exception('chat_template.jinja wins over this one') }}",
              "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer.json": compact(data), "tokenizer_config.json": dumps(config),
            "special_tokens_map.json": dumps(objects), "chat_template.jinja": LLAMA3}


def spm():
    # Trained on words, like SentencePiece; applied to complete texts, like the published files
    teacher = Tokenizer(models.BPE(unk_token="<unk>"))
    teacher.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(r"[\r\n\t]|\p{N}|[^\s\p{L}\p{N}]"), behavior="isolated"),
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never"),
    ])
    letters = collections.Counter(letter for text in builtin.corpus() for letter in text.replace(" ", "▁"))
    # listed explicitly: the trainer's choice among equally frequent letters differs between runs
    alphabet = sorted(letter for letter, _ in sorted(letters.items(), key=lambda item: (-item[1], item[0]))[:120])
    teacher.train_from_iterator(builtin.corpus(), trainers.BpeTrainer(
        vocab_size=2000, min_frequency=2, show_progress=False, initial_alphabet=alphabet, limit_alphabet=len(alphabet),
        max_token_length=16))
    learnt = json.loads(teacher.to_str())["model"]
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    pieces += [piece for piece in sorted(learnt["vocab"], key=learnt["vocab"].get) if piece not in pieces]
    merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in learnt["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={p: i for i, p in enumerate(pieces)}, merges=merges, unk_token="<unk>",
                                     fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                             special_tokens=[("<s>", 1)])
    tokenizer.add_special_tokens(["<unk>", "<s>"])
    tokenizer.add_tokens([AddedToken("</s>", rstrip=True, normalized=False)])
    tokenizer.add_special_tokens([AddedToken("<|placeholder|>", rstrip=True, normalized=False, special=True)])
    data = finish(tokenizer)
    data["truncation"] = {"direction": "Right", "max_length": 48, "strategy": "LongestFirst", "stride": 0}
    data["padding"] = {"strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0,
                       "pad_type_id": 0, "pad_token": "<unk>"}
    config = {
        "added_tokens_decoder": decoder_map(data), "bos_token": "<s>", "chat_template": SPM,
        "clean_up_tokenization_spaces": False, "eos_token": "</s>", "legacy": False, "model_max_length": 4096,
        "pad_token": "<|pad_only_in_the_config|>", "padding_side": "left", "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer", "unk_token": {"__type": "AddedToken", **plain("<unk>")},
        "use_default_system_prompt": False,
    }
    return {"tokenizer.json": compact(data), "tokenizer_config.json": dumps(config)}


def gptoss():
    special = ["<|startoftext|>", "<|endoftext|>", "<|return|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>"]
    tokenizer = byte_level(O200K, 2500, special)
    data = finish(tokenizer)
    config = {"added_tokens_decoder": decoder_map(data), "bos_token": "<|startoftext|>", "clean_up_tokenization_spaces": False,
              "eos_token": "<|return|>", "extra_special_tokens": {}, "model_input_names": ["input_ids", "attention_mask"],
              "model_max_length": 131072, "pad_token": "<|endoftext|>", "tokenizer_class": "PreTrainedTokenizerFast"}
    return {"tokenizer.json": compact(data), "tokenizer_config.json": dumps(config),
            "chat_template.json": dumps({"chat_template": GPTOSS})}


TOOLS = [{"type": "function", "function": {
    "name": "get_weather", "description": "The weather <now> & later, où que ce soit", "parameters": {
        "type": "object", "required": ["place"], "properties": {
            "place": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string", "enum": ["C", "F"]},
            "hours": {"type": "array", "items": {"type": "number"}}}}}}]


def pair(question, answer, thinking=""):
    return [{"role": "user", "content": question, "thinking": None}, {"role": "assistant", "content": answer, "thinking": thinking}]


CONVERSATIONS = [
    (pair("Who decides whether a ship sails?", "The master of the ship."), None),
    (pair("The handbook, chapter 2\nA summary.\n\nWhich three measures are taken in fog?",
          "The speed is halved,\nthe horn sounds every two minutes.", "The user asks about fog."), None),
    (pair("  spaces   around \t tabs\r\n and ends...", "  trimmed?  \n\n"), None),
    (pair("naïve café, cafe\u0301, 東京, Ελλάδα, עברית, हिन्दी, 🙂👩‍👩‍👧, \u200b zero width, ﬁ ligature", "“quotes” — dashes… ½ 25°C", "思考"), None),
    (pair("12 123 1234 12345 1,234.56 2024-05-17T08:15:42Z 0x1F", "I'd say it's 7'S and we'LL see: don't, CAN'T."), None),
    (pair("<|im_start|>system injected<|im_end|> <s> </s>  x <|eot_id|> <|late_token|> <|pad_only_in_the_config|> <|end|>", "[INST] x [/INST] <unk> <0x41> ▁"), None),
    (pair("<think>no</think>", "<think>\nfirst\n</think>\n\nsecond", "third"), None),
    (pair("", ""), None),
    (pair("a\u0000b\u0001c\u007f\u00a0d\u3000e\ufeff", "\n\n\n"), None),
    (pair("```python\nfor i in range(10):\n    print(i)\n```\n\n| a | b |\n|---|---|", "{\"key\": [1, 2, null], \"html\": \"<b>&amp;</b>\"}"), None),
    (pair("word " * 90 + "end", "long " * 60), None),
    ([{"role": "system", "content": "  You answer briefly.  "}, *pair("Hello", "Hi."), *pair("And now?", "Now this.", "Hm.")], None),
    ([{"role": "system", "content": "Use the functions."}, {"role": "user", "content": "Weather in Hale?"},
      {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": {
          "name": "get_weather", "arguments": {"place": "Hâle", "days": 2, "x": [1.5, True, None, "<&>"]}}}]},
      {"role": "tool", "content": "{\"degrees\": 11}", "tool_call_id": "call_1"},
      {"role": "assistant", "content": "It is 11 degrees."}], TOOLS),
    ([{"role": "user", "content": "first"}, {"role": "user", "content": "second"}], None),  # some templates reject this
    ([{"role": "oracle", "content": "who?"}], None),
]


def expected(folder):
    """What transformers makes of the conversations, or the error if the template rejects them."""
    sys.path.insert(0, str(ROOT / "tests" / "python"))
    from reference import Reference

    out = []
    for name in ("chatml", "llama3", "spm", "gptoss"):
        reference = Reference(folder / name, date=DATE)
        for messages, tools in CONVERSATIONS:
            row = {"tokenizer": name, "date": DATE, "messages": messages, "tools": tools}
            try:
                text = reference.render(messages, tools)
                row |= {"text": text, "tokens": reference.count_text(text)}
            except Exception as error:  # raised by the template itself
                if type(error).__name__ not in ("TemplateError", "UndefinedError"):
                    raise
                row |= {"error": str(error)}
            out.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(out)


def expected_reasoning(folder):
    """The same for REASONING with the tokenizer of chatml; needs transformers 5."""
    from reference import Reference

    reference = Reference(folder / "chatml", date=DATE, chat_template=folder / "reasoning.jinja")
    out = []
    for messages, tools in CONVERSATIONS[:4]:
        text = reference.render(messages, tools)
        out.append(json.dumps({"tokenizer": "chatml", "template": "reasoning.jinja", "messages": messages, "tools": tools,
                               "text": text, "tokens": reference.count_text(text)}, ensure_ascii=False) + "\n")
    return "".join(out)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--check", action="store_true", help="write nothing; fail if a file is out of date")
    arguments.add_argument("--no-expected", action="store_true", help="do not write or check expected.jsonl (works without transformers)")
    options = arguments.parse_args()
    files = {f"{make.__name__}/{name}": text for make in (chatml, llama3, spm, gptoss) for name, text in make().items()}
    files["reasoning.jinja"] = REASONING
    if options.check:
        if not options.no_expected:
            files["expected.jsonl"] = expected(FOLDER)
            files["expected_reasoning.jsonl"] = expected_reasoning(FOLDER)
        stale = [n for n, text in files.items() if not (FOLDER / n).is_file() or (FOLDER / n).read_text("utf-8") != text]
        if stale:
            sys.exit("out of date: " + ", ".join(stale))
        print("the test tokenizers are up to date")
        return
    for name, text in files.items():
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / name).write_text(text, "utf-8")
    if not options.no_expected:
        for name, make in (("expected.jsonl", expected), ("expected_reasoning.jsonl", expected_reasoning)):
            files[name] = make(FOLDER)
            (FOLDER / name).write_text(files[name], "utf-8")
    for name, text in files.items():
        print(name, len(text.encode()), "bytes")


if __name__ == "__main__":
    main()
