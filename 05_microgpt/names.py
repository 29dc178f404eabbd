"""Names: reading them, splitting them, and turning their characters into numbers.

Stages 02 to 05 have the same file. Lesson 02 explains it.
"""

import zlib

from common import SPLITS, BadInput, is_folder, read_text, visible


def read_docs(path):
    """The documents of a file, one per line, without surrounding spaces and blank lines."""
    return [line.strip() for line in read_text(path).split("\n") if line.strip()]


def split_of(doc):
    """The split of a document: 8 in 10 are train, 1 in 10 is val, 1 in 10 is test.

    The hash of the document decides, so the order of the file does not matter, and duplicates land
    in the same split.
    """
    bucket = zlib.crc32(doc.encode()) % 10
    if bucket == 8:
        return "val"
    if bucket == 9:
        return "test"
    return "train"


def load_splits(path):
    """{"train": docs, "val": docs, "test": docs}, each a list of str.

    A folder's train.txt, val.txt and test.txt are used as they are. Raises BadInput for an empty
    split.
    """
    if is_folder(path):
        splits = {name: read_docs(path / f"{name}.txt") for name in SPLITS}
    else:
        splits = {name: [] for name in SPLITS}
        for doc in read_docs(path):
            splits[split_of(doc)].append(doc)
    for name, docs in splits.items():
        if not docs:
            raise BadInput(f"--data {path}: the {name} split is empty; give more different lines")
    return splits


def count_docs(splits):
    """How many documents and targets each split has. Targets are characters and document ends."""
    docs = {name: len(split) for name, split in splits.items()}
    targets = {name: sum(len(doc) + 1 for doc in split) for name, split in splits.items()}
    return {"docs": docs, "targets": targets}


def mark_known(samples, splits):
    """The samples as one line: the split of each one that is a real name, and how many are new.

    "emma (train), emmalo, ella (val) | new: 1 of 3"
    """
    # Train comes last, so that a name in several splits counts as one from train.
    known = {doc: name for name in reversed(SPLITS) for doc in splits[name]}
    marked = [f"{doc} ({known[doc]})" if doc in known else doc for doc in samples]
    new = sum(doc not in known for doc in samples)
    return f"{visible(', '.join(marked))} | new: {new} of {len(samples)}"


class Tokenizer:
    """Characters to ids and back. BOS, the last id, marks where a document begins and ends."""

    def __init__(self, docs):
        self.chars = sorted(set("".join(docs)))
        self.stoi = {ch: i for i, ch in enumerate(self.chars)}
        self.itos = dict(enumerate(self.chars))
        self.BOS = len(self.chars)
        self.vocab_size = len(self.chars) + 1

    def encode(self, doc):
        """ "ab" -> [BOS, a, b, BOS]"""
        return [self.BOS, *(self.stoi[ch] for ch in doc), self.BOS]

    def decode(self, tokens):
        """The text of these ids. None of them may be BOS."""
        return "".join(self.itos[token] for token in tokens)
