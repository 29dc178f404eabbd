"""Text from files, folder names and learners' programs, made safe to print."""

import re


# Same as visible() in every stage's common.py; no tool needs a stage for it.
def visible(text, keep=""):
    """The text with an escape such as \\x1b for each character that a terminal obeys.

    Such characters move the cursor, end a line or turn text round. keep: those to leave alone.
    """
    obeyed = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
    return re.sub(obeyed, lambda at: at[0] if at[0] in keep else ascii(at[0])[1:-1], text)
