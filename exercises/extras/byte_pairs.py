"""Byte-pair encoding: two tokens that often follow each other become one new token.

A text is a list of ids. The first ids are those of the characters or bytes, and each merge makes
the next one. extras/byte_pairs.py does the same with texts in place of ids.
"""


def count_pairs(ids):
    """How often each pair of neighbours occurs. [1, 2, 1, 2] -> {(1, 2): 2, (2, 1): 1}"""
    counts = {}
    for pair in zip(ids, ids[1:]):
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def merge(ids, pair, new_id):
    """The ids with new_id in place of every occurrence of the pair, from left to right."""
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == tuple(pair):
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def learn_merges(ids, vocab_size, count):
    """Merge the most frequent pair, `count` times. -> {pair: new id} in this order

    The first new id is vocab_size, and each further one is 1 more. Of pairs that are equally
    frequent, the smallest is merged, as (1, 2) before (2, 1). Ends early if no pair is left.
    """
    merges = {}
    while len(merges) < count and len(ids) > 1:
        counts = count_pairs(ids)
        pair = min(counts, key=lambda pair: (-counts[pair], pair))
        merges[pair] = vocab_size + len(merges)
        ids = merge(ids, pair, merges[pair])
    return merges


def encode(ids, merges):
    """Apply learned merges to another text, in the order in which they were learned. -> ids"""
    for pair, new_id in merges.items():
        ids = merge(ids, pair, new_id)
    return ids
