"""Byte pairs: learning by hand and against the plainest form, and the tokenizer."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from byte_pairs import CHUNK, BytePairs, count_pairs, learn_merges, merge, most_frequent
from stages import load_stage

BadInput = load_stage("06_shakespeare_gpt", "common").BadInput

SPEECH = """First Citizen:
Before we proceed any further, hear me speak. You are all resolved rather to die than to famish?
"""
TEXT = "".join(random.Random(1).choices(SPEECH.splitlines(keepends=True), k=60))
CHARS = "".join(sorted(set(TEXT)))
few = settings(max_examples=50, deadline=None)
TOKENIZER = BytePairs(CHARS, learn_merges(TEXT, 60))


# ---- learning --------------------------------------------------------------------------------
def test_merging_by_hand():
    """aaabdaaabac: aa occurs 4 times; then aa-a and a-b twice each, and the later one in the
    alphabet goes first; then aaa-b twice: aaab d aaab a c.
    """
    merges = learn_merges("aaabdaaabac", 4 + 3)
    assert merges == [("a", "a"), ("aa", "a"), ("aaa", "b")]
    tokenizer = BytePairs("abcd", merges)
    assert tokenizer.tokens == ["a", "b", "c", "d", "aa", "aaa", "aaab"]
    assert tokenizer.encode("aaabdaaabac") == [6, 3, 6, 0, 2]
    assert tokenizer.encode("aab") == [4, 1]


def test_merge_goes_from_left_to_right():
    assert merge(list("aaaba"), ("a", "a")) == ["aa", "a", "b", "a"]
    assert merge(["a", "b", "ab", "a"], ("a", "b")) == ["ab", "ab", "a"]


def test_pairs_are_counted_as_often_as_their_chunk_occurs():
    counts = Counter()
    count_pairs(list("abab"), 3, counts)
    assert counts == {("a", "b"): 6, ("b", "a"): 3} and most_frequent(counts) == ("a", "b")
    count_pairs(list("bab"), 3, counts)
    assert counts == {("a", "b"): 9, ("b", "a"): 6}
    count_pairs(["ba"], 3, counts)  # no neighbours, no pairs
    assert most_frequent({("a", "b"): 2, ("b", "a"): 2, ("c", "c"): 1}) == ("b", "a")


def naive_merges(text, vocab_size):
    """Counts all pairs again for every merge."""
    chunks, merges, known = [list(chunk) for chunk in CHUNK.findall(text)], [], set(text)
    while len(known) < vocab_size:
        pairs = Counter(pair for chunk in chunks for pair in pairwise(chunk))
        if not pairs:
            break
        merges.append(max(pairs, key=lambda pair: (pairs[pair], pair)))
        known.add("".join(merges[-1]))
        chunks = [merge(chunk, merges[-1]) for chunk in chunks]
    return merges, chunks


@few
@given(st.text(alphabet="ab c.\n", max_size=60), st.integers(0, 20))
def test_counting_only_what_changed_gives_the_same_merges(text, vocab_size):
    assert learn_merges(text, vocab_size) == naive_merges(text, vocab_size)[0]


# ---- the tokenizer ---------------------------------------------------------------------------
def test_encoding_the_training_text_ends_where_training_ended():
    merges, chunks = naive_merges(TEXT, 60)
    assert TOKENIZER.merges == merges and len(TOKENIZER.tokens) == 60
    ids = TOKENIZER.encode(TEXT)
    assert [TOKENIZER.tokens[i] for i in ids] == [token for chunk in chunks for token in chunk]
    assert len(ids) < 0.7 * len(TEXT)


@few
@given(st.text(alphabet=CHARS))
def test_decoding_gives_back_every_text_of_known_characters(text):
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


@few
@given(st.text())
def test_every_character_falls_into_one_chunk(text):
    assert "".join(CHUNK.findall(text)) == text


def test_no_token_reaches_over_the_end_of_a_word():
    tokenizer = BytePairs("ab ,", learn_merges("ab ab, ab ab, " * 9, 99))
    assert tokenizer.encode("ab ab, ") == [tokenizer.stoi[t] for t in ("ab", " ab", ",", " ")]


def test_two_merges_may_make_the_same_token():
    tokenizer = BytePairs("abc", [("a", "b"), ("b", "c"), ("ab", "c"), ("a", "bc")])
    assert tokenizer.tokens == ["a", "b", "c", "ab", "bc", "abc"] and tokenizer.vocab_size == 6


def test_an_unknown_character_is_named():
    with pytest.raises(BadInput, match="'é'"):
        TOKENIZER.encode("Citizén")


def test_a_tokenizer_made_of_the_same_characters_and_merges_encodes_alike():
    again = BytePairs(TOKENIZER.chars, [list(pair) for pair in TOKENIZER.merges])
    assert again.tokens == TOKENIZER.tokens and again.encode(TEXT) == TOKENIZER.encode(TEXT)
