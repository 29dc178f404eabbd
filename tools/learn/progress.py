"""my/progress.json: what has passed, which hints were read, what was predicted.

check rewrites what has passed, so a file that was lost or edited by hand does no harm.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field

from atomic_write import write_atomically


@dataclass
class Record:
    """What is remembered about one stage."""

    passed: list = field(default_factory=list)  # names of exercises
    explained: list = field(default_factory=list)  # those whose explanation was shown
    hints: dict = field(default_factory=dict)  # name of an exercise -> how many hints were shown
    predictions: list = field(default_factory=list)  # an answer, or None, for each question
    checked: str = ""  # fingerprint of the code that passed


def read_all(my):
    """The whole file as a dict. Anything unreadable counts as nothing."""
    try:
        content = json.loads((my / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read(my, stage):
    """The Record of a stage; what has the wrong type counts as missing."""
    record, found = Record(), read_all(my).get(stage)
    for name, default in asdict(record).items():
        value = found.get(name) if isinstance(found, dict) else None
        if isinstance(value, type(default)):
            setattr(record, name, value)
    record.passed = [name for name in record.passed if isinstance(name, str)]
    record.explained = [name for name in record.explained if isinstance(name, str)]
    record.hints = {name: n for name, n in record.hints.items() if isinstance(n, int)}
    return record


def save(my, stage, **fields):
    """Change some fields of a stage's Record and write the file."""
    content = read_all(my)
    content[stage] = {**asdict(read(my, stage)), **fields}
    write_atomically(my / "progress.json", json.dumps(content, indent=1) + "\n")


def fingerprint(folder):
    """A hash of the learner's code, which tells whether it changed since the last check."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def museum_answers(my):
    """{name of an exhibit: number of the choice} of the failure museum."""
    answers = read_all(my).get("museum")
    if not isinstance(answers, dict):
        return {}
    return {name: answer for name, answer in answers.items() if isinstance(answer, int)}


def save_museum_answer(my, exhibit, answer):
    content = {**read_all(my), "museum": {**museum_answers(my), exhibit: answer}}
    write_atomically(my / "progress.json", json.dumps(content, indent=1) + "\n")
