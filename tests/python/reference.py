"""What transformers makes of messages: the rendered text and its number of tokens.

The reference for `token_length`: `len(tokenizer.encode(tokenizer.apply_chat_template(messages, tokenize=False)))`. The tokenizer is
what `AutoTokenizer` makes of a folder. By the rules `file`, transformers 5 is asked for `PreTrainedTokenizerFast`, which uses
tokenizer.json as it is; transformers 4 does so by itself.
"""
import datetime as real
import json
import logging
import os
import pathlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import transformers  # noqa: E402
from transformers.utils import chat_template_utils  # noqa: E402

logging.getLogger("transformers").setLevel(logging.ERROR)


def set_date(day):
    """Makes `strftime_now` return the day `YYYY-MM-DD` (midnight): it calls `datetime.now()` of its module when it renders."""
    moment = real.datetime.fromisoformat(day)

    class Fixed(real.datetime):
        @classmethod
        def now(cls, tz=None):
            return moment if tz is None else moment.replace(tzinfo=tz)

    # 5.x imports the name into the module, 4.x may import it inside the function: replace both
    if hasattr(chat_template_utils, "datetime"):
        chat_template_utils.datetime = Fixed
    else:
        real.datetime = Fixed


class Reference:
    """A tokenizer folder, loaded by transformers."""

    def __init__(self, folder, date=None, chat_template=None, rules="auto"):
        folder = pathlib.Path(folder)
        if date:
            set_date(date)
        takes_file = rules == "file" and not transformers.__version__.startswith("4.")
        loader = transformers.PreTrainedTokenizerFast if takes_file else transformers.AutoTokenizer
        self.tokenizer = loader.from_pretrained(str(folder))
        if chat_template:
            self.tokenizer.chat_template = pathlib.Path(chat_template).read_text("utf-8")
        elif not self.tokenizer.chat_template and (folder / "chat_template.json").is_file():
            # transformers reads this name for processors only
            self.tokenizer.chat_template = json.loads((folder / "chat_template.json").read_text("utf-8"))["chat_template"]
        self.counted = {}

    def render(self, messages, tools=None):
        return self.tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)

    def count_text(self, text):
        # the same row occurs in several mixes
        if text not in self.counted:
            self.counted[text] = len(self.tokenizer.encode(text))
        return self.counted[text]

    def count(self, messages, tools=None):
        return self.count_text(self.render(messages, tools))

    def count_document(self, text):
        """The length of a document in a document mix: its text, and an end-of-sequence token unless it ends with one."""
        ids = self.tokenizer.encode(text)
        return len(ids) + (ids[-1:] != [self.tokenizer.eos_token_id])
