"""A byte-pair tokenizer: characters that often stand together become one token.

Here the pairs begin as characters, not bytes; otherwise this is GPT-2's way. Merges stay within a
chunk: a word with the space before it, or a run of characters that belong to no word.
Source: Sennrich et al., 2016, "Neural machine translation of rare words with subword units".
"""

import functools
import json
import re
from collections import Counter, defaultdict
from itertools import pairwise

import plumbing
from plumbing import BadInput

CHUNK = re.compile(r" ?\w+|[^\w ]+| ")  # every character of a text falls into one chunk


def merge(tokens, pair):
    """The tokens with each occurrence of the pair, from left to right, made one token."""
    merged = []
    for token in tokens:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged


def learn_merges(text, vocab_size):
    """Merge the commonest pair of neighbours (of equals the last in alphabetical order) and count
    again, until there are vocab_size tokens, characters included. -> list of (str, str)
    """
    often = Counter(CHUNK.findall(text))
    chunks = {chunk: list(chunk) for chunk in often}  # chunk -> its tokens so far
    pairs, where = Counter(), defaultdict(set)  # pair -> how often, and chunks that held it

    def count(chunk, sign):
        for pair in pairwise(chunks[chunk]):
            pairs[pair] += sign * often[chunk]
            where[pair].add(chunk)

    for chunk in chunks:
        count(chunk, 1)
    merges, tokens = [], set(text)
    while len(tokens) < vocab_size:
        pair = max(pairs, key=lambda pair: (pairs[pair], pair), default=None)
        if not pairs[pair]:  # none is left
            break
        merges.append(pair)
        tokens.add("".join(pair))
        for chunk in where.pop(pair):  # only these change, which saves counting all anew
            count(chunk, -1)
            chunks[chunk] = merge(chunks[chunk], pair)
            count(chunk, 1)
    return merges


class BytePairs:
    """Text to token ids and back, by the merges in the order in which they were learned."""

    def __init__(self, chars, merges):
        self.chars, self.merges = chars, [tuple(pair) for pair in merges]
        self.tokens = list(dict.fromkeys([*chars, *map("".join, self.merges)]))
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.ranks = {pair: i for i, pair in enumerate(self.merges)}
        self.split = functools.cache(self.split)  # the same words come again and again

    def split(self, chunk):
        """A chunk's tokens: of the pairs in it the earliest learned is merged, then the next."""
        tokens = list(chunk)
        while known := [pair for pair in pairwise(tokens) if pair in self.ranks]:
            tokens = merge(tokens, min(known, key=self.ranks.get))
        return tokens

    def encode(self, text):
        """The text's token ids. BadInput for a character that is not in chars."""
        if unknown := set(text) - set(self.chars):
            raise BadInput(f"the text holds {min(unknown)!r}, which the tokenizer has never seen")
        return [self.ids[t] for chunk in CHUNK.findall(text) for t in self.split(chunk)]

    def decode(self, ids):
        return "".join(self.tokens[i] for i in ids)

    def save(self, path):
        """Write {"chars", "merges"} as JSON: BytePairs(**json.loads(...)) is the same again."""
        content = json.dumps({"chars": self.chars, "merges": self.merges})
        plumbing.write_atomically(path, content.encode("utf-8"))
