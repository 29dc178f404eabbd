"""A byte-pair tokenizer: pairs of characters that often occur together become one token.

New here: tokens that are longer than a character, learned from a text.
Source: "Neural Machine Translation of Rare Words with Subword Units", Sennrich et al., 2016.

Learning repeats three steps: count the pairs of neighbours, find the most frequent pair, merge it
into a token. Here the first tokens are characters, not bytes. As in GPT-2, a token never crosses
the end of a word: the text is cut into chunks first, and pairs are merged within a chunk.
byte_pair_gpt.py trains a GPT on these tokens.
"""

import re
from collections import Counter
from itertools import pairwise

from stage_code import load_stage

common = load_stage("06_shakespeare_gpt", "common")

# A chunk is a word with the space before it, a run of other characters, or a space. Every character
# of a text is in one chunk.
CHUNK = re.compile(r" ?\w+|[^\w ]+| ")


# ---- learning --------------------------------------------------------------------------------
def count_pairs(tokens, times, counts):
    """Add the pairs of neighbours in a chunk that occurs `times` times. counts: pair -> int"""
    for pair in pairwise(tokens):
        counts[pair] += times


def most_frequent(counts):
    """The pair with the highest count; in a tie, the last one in alphabetical order."""
    return max(counts, key=lambda pair: (counts[pair], pair))


def merge(tokens, pair):
    """The tokens with every occurrence of the pair joined into one token, from left to right."""
    merged = []
    for token in tokens:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged


def learn_merges(text, vocab_size):
    """The pairs to merge, in this order, until there are vocab_size tokens. -> list of (str, str)

    The characters of the text count as tokens. There are fewer if no pair is left to merge.
    """
    times = Counter(CHUNK.findall(text))  # chunk -> how often it occurs
    chunks = {chunk: list(chunk) for chunk in times}  # chunk -> its tokens so far
    counts = Counter()
    for chunk, tokens in chunks.items():
        count_pairs(tokens, times[chunk], counts)

    merges, vocabulary = [], set(text)
    while len(vocabulary) < vocab_size and any(counts.values()):
        pair = most_frequent(counts)
        new = "".join(pair)
        merges.append(pair)
        vocabulary.add(new)
        # Only chunks that contain the new token can change. Counting all chunks again would give
        # the same counts and take ten times as long.
        for chunk in [chunk for chunk in chunks if new in chunk]:
            count_pairs(chunks[chunk], -times[chunk], counts)
            chunks[chunk] = merge(chunks[chunk], pair)
            count_pairs(chunks[chunk], times[chunk], counts)
    return merges


# ---- tokenizer -------------------------------------------------------------------------------
class BytePairs:
    """Text to token ids and back, by the merges in the order in which they were learned."""

    def __init__(self, chars, merges):
        self.chars, self.merges = list(chars), [tuple(pair) for pair in merges]
        # Two merges can make the same token: a + bc and ab + c.
        self.tokens = list(dict.fromkeys([*self.chars, *map("".join, self.merges)]))
        self.stoi = {token: i for i, token in enumerate(self.tokens)}
        self.vocab_size = len(self.tokens)
        self.ranks = {pair: i for i, pair in enumerate(self.merges)}
        self.known_chunks = {}  # chunk -> its tokens; the same words occur often

    def split(self, chunk):
        """The tokens of a chunk. Of the learned pairs in it, merge the one that was learned first,
        and repeat this until no learned pair is left.
        """
        tokens = list(chunk)
        while True:
            pairs = [pair for pair in pairwise(tokens) if pair in self.ranks]
            if not pairs:
                return tokens
            tokens = merge(tokens, min(pairs, key=self.ranks.get))

    def encode(self, text):
        """The token ids of a text. Raises BadInput for a character that is not in chars."""
        unknown = set(text) - set(self.chars)
        if unknown:
            problem = f"the text contains {min(unknown)!r}, which the tokenizer has never seen"
            raise common.BadInput(problem)
        ids = []
        for chunk in CHUNK.findall(text):
            if chunk not in self.known_chunks:
                self.known_chunks[chunk] = [self.stoi[token] for token in self.split(chunk)]
            ids += self.known_chunks[chunk]
        return ids

    def decode(self, ids):
        return "".join(self.tokens[i] for i in ids)
