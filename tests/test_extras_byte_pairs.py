"""Stage 06's other rows: byte pairs, the GPT on them, and the lecture's bigram."""

import json
import math
import random
import sys
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bigram
import main as stage
import tokens
from bigram import Bigram, sample
from bpe import CHUNK, BytePairs, learn_merges, merge
from plumbing import BadInput

SPEECH = """First Citizen:
Before we proceed any further, hear me speak. You are all resolved rather to die than to famish?
"""
TEXT = "".join(random.Random(1).choices(SPEECH.splitlines(keepends=True), k=60))
CHARS = "".join(sorted(set(TEXT)))
few = settings(max_examples=50, deadline=None)
TOKENIZER = BytePairs(CHARS, learn_merges(TEXT, 60))


# ---- byte pairs ------------------------------------------------------------------------------
def test_merging_by_hand():
    """aaabdaaabac: aa stands 4 times; then aa-a and a-b twice each, of which the later in the
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


def naive_merges(text, vocab_size):
    """Counts everything anew for every merge."""
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
    assert tokenizer.encode("ab ab, ") == [tokenizer.ids[t] for t in ("ab", " ab", ",", " ")]


def test_an_unknown_character_is_named():
    with pytest.raises(BadInput, match="'é'"):
        TOKENIZER.encode("Citizén")


def test_a_saved_tokenizer_encodes_alike(tmp_path):
    TOKENIZER.save(tmp_path / "bpe.json")
    again = BytePairs(**json.loads((tmp_path / "bpe.json").read_text(encoding="utf-8")))
    assert again.tokens == TOKENIZER.tokens and again.encode(TEXT) == TOKENIZER.encode(TEXT)


# ---- the GPT on byte pairs -------------------------------------------------------------------
def run(monkeypatch, tmp_path, module, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    shared = [f"--data={tmp_path / 'text.txt'}", f"--out={tmp_path / module.__name__}"]
    monkeypatch.setattr(sys, "argv", ["x.py", *shared, *flags])
    assert module.main() == 0
    return json.loads((tmp_path / module.__name__ / "result.json").read_text(encoding="utf-8"))


class Even(torch.nn.Module):
    """Finds every token equally likely."""

    def __init__(self, vocab_size):
        super().__init__()
        self.vocab_size, self.block_size = vocab_size, 8

    def forward(self, xb):
        return torch.zeros(*xb.shape, self.vocab_size)


@pytest.mark.parametrize("text", [TEXT, TEXT[7:300]])
def test_nats_per_character_are_the_nats_of_all_tokens_over_all_characters(text):
    ids = tokens.encode(TOKENIZER, text)
    assert TOKENIZER.decode(ids.tolist()) == text
    assert TOKENIZER.tokens[ids[0]] == text[0]  # so that what is scored is text[1:]
    total = (len(ids) - 1) * math.log(60)
    per_char = stage.evaluate(Even(60), ids) * tokens.tokens_per_char(ids, text)
    assert per_char == pytest.approx(total / (len(text) - 1), rel=1e-6)


SMALL = ["--steps=3", "--batch-size=4", "--block-size=8", "--device=cpu"]
SIZES = ["--n-embd=16", "--n-head=2", "--n-layer=1"]


def test_a_run_counts_characters_as_main_py_does(monkeypatch, tmp_path):
    chars = run(monkeypatch, tmp_path, stage, *SMALL, *SIZES)
    pairs = run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, "--vocab-size=60")
    for key in ("targets", "dataset", "unit", "vocab_size", "stage"):
        assert pairs[key] == chars[key], key
    assert pairs["variant"] == "byte pairs" and pairs["tokens"] == 60
    assert pairs["params"] - chars["params"] == (60 - len(CHARS)) * (16 + 16 + 1)
    share = pairs["tokens_per_char"]["val"]
    assert 0.2 < share < 0.7
    assert pairs["curve"][0][2] == pytest.approx(math.log(60) * share, rel=0.02)
    assert pairs["curve"][-1][2] == pytest.approx(pairs["loss"]["val"], rel=1e-5)
    assert pairs["best"]["val"] == min(row[2] for row in pairs["curve"])


def test_a_part_with_too_few_tokens_is_named(monkeypatch, tmp_path):
    with pytest.raises(BadInput, match="val part has [0-9]+ tokens, too few for --block-size 250"):
        run(monkeypatch, tmp_path, tokens, "--block-size=250", "--vocab-size=200")


# ---- the bigram ------------------------------------------------------------------------------
def test_the_bigram_is_the_lectures_recipe():
    config = bigram.Config()
    assert (config.batch_size, config.block_size, config.steps) == (32, 8, 3000)
    assert config.learning_rate == 1e-2
    assert sum(p.numel() for p in Bigram(65, 8).parameters()) == 65 * 65


def test_the_bigram_looks_at_the_last_character_alone():
    model, xb = Bigram(5, 8), torch.tensor([[0, 1, 2], [3, 4, 2]])
    assert torch.equal(model(xb)[0, 2], model(xb)[1, 2])
    assert torch.equal(model(xb)[1, 0], model.table.weight[3])


def test_a_bigram_learns_who_follows_whom():
    """abab...: after a always b; the loss goes to 0, where letter frequencies stay at log 2."""
    data = {name: torch.tensor([0, 1] * 100) for name in ("train", "val")}
    torch.manual_seed(0)
    model = Bigram(2, 8)
    curve, _ = bigram.train(bigram.Config(steps=300, learning_rate=0.1), model, data)
    assert curve[-1][2] < 0.01
    assert sample(model, 0, 9) == [0, 1] * 5


def test_a_run_of_the_bigram_lands_in_the_same_table(monkeypatch, tmp_path):
    chars = run(monkeypatch, tmp_path, stage, *SMALL, *SIZES)
    table = run(monkeypatch, tmp_path, bigram, "--steps=20", "--batch-size=4")
    for key in ("targets", "dataset", "unit", "vocab_size", "stage", "baselines"):
        assert table[key] == chars[key], key
    assert table["variant"] == "bigram" and table["params"] == len(CHARS) ** 2
    assert table["chars_seen"] == 20 * 4 * 8 and table["curve"][-1][0] == 20
