"""Where a sample begins and ends: the texts of --prompt, --prompt-file and --stop.

Nothing here learns or draws, so read it last.
"""

import re
import unicodedata
from pathlib import Path

from common import BadInput, read_text

DEFAULT = "\n"  # a sample starts on a new line
ESCAPES = {r"\n": "\n", r"\t": "\t", r"\\": "\\"}


def unescape(text):
    r"""What was typed, with a line end for \n, a tab for \t and a single backslash for \\."""
    return re.sub(r"\\[nt\\]", lambda found: ESCAPES[found[0]], text)


def known_form(flag, text, chars):
    """The text in a form that a model of these characters can read.

    An accent may be part of its letter, or follow it as a character of its own. Raises BadInput
    for a character that the model has never seen. flag: what gave the text, for the message.
    """
    forms = [text, *(unicodedata.normalize(form, text) for form in ("NFC", "NFD"))]
    for form in forms:
        if chars.issuperset(form):
            return form
    problem = f"{flag} holds {min(set(text) - chars)!r}, which the model has never seen"
    if chars.issuperset(text.lower()) and not any(ch.isupper() for ch in chars):
        problem += f"; its text is all in lower case: give {text.lower()!r}"
    raise BadInput(problem)


def read_prompt(prompt, chars, file=""):
    """The text to continue: that of --prompt or, if given, of the file of --prompt-file.

    A text of one line has no line end to start on. Then a space replaces the default prompt, or
    the first of its characters if it has no space either.
    """
    chars = set(chars)
    if file and prompt != DEFAULT:
        raise BadInput("--prompt and --prompt-file exclude each other: give one of them")
    if file:
        return known_form("--prompt-file", read_text(Path(file), "--prompt-file"), chars)
    if prompt == DEFAULT:
        return next(ch for ch in (DEFAULT, " ", min(chars)) if ch in chars)
    return known_form("--prompt", unescape(prompt), chars)
