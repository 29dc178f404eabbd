"""Words as tokens: nothing of a text gets lost, and the spelling is a distribution over strings."""

import math
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import words
from byte_pairs import CHUNK
from words import UNKNOWN, Words

few = settings(max_examples=50, deadline=None)
TRAIN = "to be, or not to be, that is the question:\nto be, to be\n"
CHARS = sorted(set(TRAIN) | set("xyz"))
TOKENIZER = Words(TRAIN, CHARS, 2)


def rebuild(tokenizer, ids, unknown):
    """The text that these ids and the spelled chunks stand for."""
    itos, spelled = {i: chunk for chunk, i in tokenizer.stoi.items()}, iter(unknown)
    text = "".join(next(spelled) if i == UNKNOWN else itos[i] for i in ids)
    assert next(spelled, None) is None
    return text


# ---- tokens ----------------------------------------------------------------------------------
def test_only_chunks_that_train_has_often_enough_have_an_id():
    assert CHUNK.findall("to be, to be\n") == ["to", " be", ",", " to", " be", "\n"]
    assert sorted(TOKENIZER.stoi) == [" be", " to", ",", "to"]  # and not "\n" or ":\n"
    assert sorted(TOKENIZER.stoi.values()) == [1, 2, 3, 4] and TOKENIZER.vocab_size == 5
    assert set(Words(TRAIN, CHARS, 3).stoi) == {" be", ","}
    assert set(Words(TRAIN, CHARS, 5).stoi) == set()


def test_a_text_by_hand():
    stoi = TOKENIZER.stoi
    assert TOKENIZER.encode("to be, xyz to") == [
        stoi["to"], stoi[" be"], stoi[","], UNKNOWN, stoi[" to"]
    ]  # fmt: skip
    assert TOKENIZER.unknown("to be, xyz to") == [" xyz"]


@few
@given(st.one_of(st.text(), st.text("tobe, \n'"), st.lists(st.sampled_from(TRAIN)).map("".join)))
def test_ids_and_spelled_chunks_give_back_every_text(text):
    unknown = TOKENIZER.unknown(text)
    assert rebuild(TOKENIZER, TOKENIZER.encode(text), unknown) == text
    assert not set(unknown) & set(TOKENIZER.stoi)


# ---- spelling --------------------------------------------------------------------------------
def strings(alphabet, length):
    return map("".join, product(alphabet, repeat=length))


@pytest.mark.parametrize("train", ["a b ab aab bb aa", "ab ab ab", "ba"])
def test_the_probabilities_of_all_strings_add_up_to_one(train):
    """Of all strings up to a length, plus those of beginnings that have not ended by then."""
    tokenizer = Words(train, "ab ", 2)
    ended = {}
    for length in range(6):
        ended[length] = sum(math.exp(-tokenizer.spelling(s)) for s in strings("ab ", length))
        unfinished = 0
        for s in strings("ab ", length):
            context = (words.END + s)[-(words.N - 1) :]
            end = tokenizer.speller.probability(context, words.END)
            unfinished += math.exp(-tokenizer.spelling(s)) * (1 - end) / end
        assert sum(ended.values()) + unfinished == pytest.approx(1)
    assert unfinished < 0.5


def test_without_a_rare_chunk_all_characters_and_the_end_are_equally_likely():
    tokenizer = Words("ab ab ab", "ab ", 1)
    assert tokenizer.unknown("ab ab ab") == []
    assert tokenizer.spelling("ab") == pytest.approx(3 * math.log(4))  # a, b and the end


def test_chunks_that_occur_often_do_not_teach_spelling():
    tokenizer = Words(" no no no qa qb", "abnoq ", 2)
    assert set(tokenizer.stoi) == {" no"}
    assert tokenizer.spelling(" qa") < tokenizer.spelling(" no")


def test_a_character_that_train_does_not_have_can_be_spelled():
    assert 0 < TOKENIZER.spelling("xyz") < math.inf
    assert TOKENIZER.spelling(" is") < TOKENIZER.spelling("xyz")


def test_a_long_chunk_is_spelled_as_well():
    assert TOKENIZER.spelling("x" * 5000) > TOKENIZER.spelling("x" * 4999)
