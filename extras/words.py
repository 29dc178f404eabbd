"""A word tokenizer: a word that train has often enough is one token, and any other word is spelled.

Same as byte_pairs.py: the chunks. A chunk is a word with the space before it, other characters in a
row, or a space.
New here: one token, UNKNOWN, for all chunks that are rare in train or not in it at all.
Source: "An Estimate of an Upper Bound for the Entropy of English", Brown et al., 1992.

A model that says "unknown" has not said yet which characters come. So an unknown chunk costs more
than its token: a second model spells it, character by character, up to an end. This is an n-gram of
ngrams.py, counted on the rare chunks of train. Its probabilities of all strings add up to 1, so the
nats of the tokens and of the spelling together are those of the text, and nothing is left out.
(Some of these strings are known chunks, which are never spelled. So the true cost is a little
lower.)
compare_tokens.py trains a GPT on these tokens.
"""

import math
from collections import Counter

import ngrams
from byte_pairs import CHUNK

UNKNOWN = 0  # the id of the token for every chunk that has no id of its own
END = "\0"  # before and after a chunk that is spelled; a stage refuses a text that contains it
N = ngrams.Config().n  # the characters of the longest n-gram in spelling


class Words:
    """Text to token ids, and the cost of the characters that the ids leave open."""

    def __init__(self, train, chars, least):
        """train: the text to learn from. chars: all characters that a text may have.

        least: how often a chunk must occur in train to have an id. With 1, train would have no
        unknown chunk, so a model would never learn to expect one.
        """
        chunks = CHUNK.findall(train)
        known = sorted(chunk for chunk, times in Counter(chunks).items() if times >= least)
        self.stoi = {chunk: i for i, chunk in enumerate(known, UNKNOWN + 1)}
        self.vocab_size = len(known) + 1
        counts = ngrams.count_ngrams([END + chunk + END for chunk in self.unknown(train)], N)
        tokenizer = ngrams.TextTokenizer([END, *chars])
        self.speller = ngrams.NGram(counts, N, "kneser-ney", tokenizer)

    def encode(self, text):
        return [self.stoi.get(chunk, UNKNOWN) for chunk in CHUNK.findall(text)]

    def unknown(self, text):
        """The chunks of a text that become UNKNOWN, in their order."""
        return [chunk for chunk in CHUNK.findall(text) if chunk not in self.stoi]

    def spelling(self, chunk):
        """-log P(chunk | it is unknown): the nats of its characters and of its end."""
        text = END + chunk + END
        return -sum(
            math.log(self.speller.probability(text[max(0, i - N + 1) : i], text[i]))
            for i in range(1, len(text))
        )
