"""The n-grams against examples worked out by hand, counting anew, and figures known beforehand."""

import json
import math
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from main import load_splits
from ngram import (
    BOS,
    FALLBACK,
    NGram,
    different_before,
    estimate_discounts,
    evaluate,
    load_text,
    ngrams,
    sample,
)
from plumbing import ROOT, SPLITS, BadInput, get_data

NGRAM = Path(__file__).resolve().parent / "ngram.py"
METHODS = ("witten-bell", "kneser-ney")
texts = st.lists(st.text("abc", min_size=2, max_size=30), min_size=1, max_size=5)


def build(docs, n, method, vocab_size, start=1):
    counts = [ngrams(docs, k, start) for k in range(1, n + 1)]
    return NGram(counts, vocab_size, method)


def run(*flags):
    command = [sys.executable, NGRAM, *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", timeout=300)


@pytest.fixture(scope="module")
def names():
    return load_splits(ROOT / "data" / "names.txt")


@pytest.fixture(scope="module")
def whole_names(names):
    return {split: [BOS + doc + BOS for doc in docs] for split, docs in names.items()}


# ---- counting --------------------------------------------------------------------------------
def test_the_ngrams_of_a_name_worked_out_by_hand():
    assert ngrams(["\nava\n"], 1) == Counter({"a": 2, "v": 1, "\n": 1})
    assert ngrams(["\nava\n"], 3) == Counter({"\na": 1, "\nav": 1, "ava": 1, "va\n": 1})
    assert ngrams(["\n\nava\n"], 3, start=2) == Counter(
        {"\n\na": 1, "\nav": 1, "ava": 1, "va\n": 1}
    )


@settings(deadline=None)
@given(texts, st.integers(1, 6))
def test_every_position_but_the_first_has_one_ngram(docs, n):
    count = ngrams(docs, n)
    assert sum(count.values()) == sum(len(doc) - 1 for doc in docs)
    assert max(map(len, count)) <= n


@settings(deadline=None)
@given(texts, st.integers(1, 4))
def test_different_characters_before_counted_another_way(docs, n):
    count = {gram: times for gram, times in ngrams(docs, n).items() if len(gram) == n}
    before = {gram: 0 for gram in count}
    for gram in count:
        ends = [(doc, i) for doc in docs for i in range(max(1, n - 1), len(doc))]
        starts = [(doc, i - n + 1) for doc, i in ends if doc[i - n + 1 : i + 1] == gram]
        before[gram] = len({doc[i - 1] for doc, i in starts if i > 0})
        before[gram] += sum(i == 0 for _, i in starts)
    assert different_before(count, ngrams(docs, n + 1)) == before


# ---- the blend -------------------------------------------------------------------------------
def test_witten_bell_worked_out_by_hand():
    """In "abac" the targets are b, a, c; after a came b and c, after b came a."""
    model = build(["abac"], 2, "witten-bell", vocab_size=3)
    a, b, c = ((1 + 3 / 3) / (3 + 3) for _ in "abc")  # three targets, three kinds, each once
    assert model.probability("a") == pytest.approx(a) == pytest.approx(1 / 3)
    assert model.probability("ab") == pytest.approx((1 + 2 * b) / (2 + 2)) == pytest.approx(5 / 12)
    assert model.probability("ac") == pytest.approx((1 + 2 * c) / (2 + 2))
    assert model.probability("aa") == pytest.approx(2 * a / (2 + 2)) == pytest.approx(1 / 6)
    assert model.probability("ba") == pytest.approx((1 + 1 * a) / (1 + 1)) == pytest.approx(2 / 3)
    assert model.probability("cb") == pytest.approx(b)  # nothing ever came after c
    loss = -(math.log(5 / 12) + math.log(2 / 3) + math.log(5 / 12)) / 3
    assert evaluate(model, ["abac"], 2) == pytest.approx(loss)


def test_kneser_ney_worked_out_by_hand():
    """In "abab" the pairs are ab twice and ba; a and b each stand after one other character."""
    model = build(["abab"], 2, "kneser-ney", vocab_size=2)
    one, two, _ = FALLBACK  # so short a text has no four kinds of counts
    single = (1 - one + 2 * one / 2) / 2  # 1 kept less its discount, and half of both discounts
    assert model.probability("a") == model.probability("b") == pytest.approx(single)
    assert model.probability("ab") == pytest.approx((2 - two + two * single) / 2)
    assert model.probability("aa") == pytest.approx(two * single / 2)
    assert model.probability("ba") == pytest.approx((1 - one + one * single) / 1)


def test_kneser_ney_knows_what_stands_in_one_place_only():
    """b occurs most, but only after a: after a new character it is not what to expect."""
    docs = ["abababababab", "cdedfdgdhd"]
    kneser_ney, witten_bell = (build(docs, 2, m, vocab_size=9) for m in ("kneser-ney", METHODS[0]))
    assert kneser_ney.probability("xd") > 2 * kneser_ney.probability("xb")
    assert witten_bell.probability("xd") < witten_bell.probability("xb")


def test_discounts_against_the_formula_with_numbers_put_in():
    """Y = 100 / (100 + 2 * 40) = 5/9; 1 - 2Y 40/100, 2 - 3Y 20/40, 3 - 4Y 10/20."""
    discounts = estimate_discounts(Counter({1: 100, 2: 40, 3: 20, 4: 10, 7: 3}))
    assert discounts == pytest.approx((1 - 4 / 9, 2 - 5 / 6, 3 - 10 / 9))
    assert estimate_discounts(Counter({1: 100, 2: 40, 3: 20})) == FALLBACK
    assert estimate_discounts(Counter({1: 10, 2: 40, 3: 2000, 4: 10})) == FALLBACK


@settings(deadline=None)
@given(texts, st.integers(1, 5), st.sampled_from(METHODS), st.text("abcd", max_size=5))
def test_probabilities_of_any_context_are_positive_and_sum_to_1(docs, n, method, context):
    model = build(docs, n, method, vocab_size=4)
    probs = [model.probability(context[len(context) - n + 1 :] + ch) for ch in "abcd"]
    assert min(probs) > 0 and sum(probs) == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(texts, st.integers(2, 5), st.sampled_from(METHODS), st.text("abcd", min_size=1, max_size=5))
def test_after_an_unseen_context_only_the_shorter_one_speaks(docs, n, method, gram):
    model = build(docs, n, method, vocab_size=4)
    assert model.probability("d" + gram) == model.probability(gram)  # no text holds a d


def test_the_uncounted_model_is_the_even_guess():
    model = NGram([], 4, "witten-bell")
    assert model.probability("ab") == 1 / 4
    assert evaluate(model, ["abcd"], 3) == pytest.approx(math.log(4))


@pytest.mark.parametrize("method", METHODS)
def test_without_end_the_counts_decide_alone(method):
    """A chain whose next letter depends on one before: with much of it, all lengths agree."""
    rng = np.random.default_rng(0)
    P = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.25, 0.25, 0.5]])
    state, letters = 0, []
    for draw in rng.random(60_000):
        state = int(np.searchsorted(P[state].cumsum(), draw))
        letters.append("abc"[state])
    model = build(["".join(letters)], 2, method, vocab_size=3)
    for x, row in zip("abc", P):
        assert [model.probability(x + y) for y in "abc"] == pytest.approx(row, abs=0.015)


def test_one_gram_is_letter_frequencies(whole_names):
    """main.py's baseline, smoothed in another way: 2.8147 on val."""
    for method in METHODS:
        model = build(whole_names["train"], 1, method, vocab_size=27)
        assert evaluate(model, whole_names["val"], 1) == pytest.approx(2.8147, abs=5e-5)
    count = Counter("".join(text[1:] for text in whole_names["train"]))
    share = count["a"] / sum(count.values())
    assert model.probability("a") == pytest.approx(share, rel=0.001)


# ---- figures known beforehand ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("n", "val", "test"), [(3, 2.232, 2.2265), (4, 2.0995, 2.087), (5, 2.087, 2.073)]
)
def test_witten_bell_with_names_padded_to_full_contexts(names, n, val, test):
    """Here a name begins with n - 1 BOS, so that an n-gram blends all lengths from its start on."""
    padded = {split: [BOS * (n - 1) + d + BOS for d in docs] for split, docs in names.items()}
    model = build(padded["train"], n, "witten-bell", vocab_size=27, start=n - 1)
    assert evaluate(model, padded["val"], n, start=n - 1) == pytest.approx(val, abs=5e-4)
    assert evaluate(model, padded["test"], n, start=n - 1) == pytest.approx(test, abs=5e-4)


def test_one_bos_and_kneser_ney_are_the_better_choices_on_val(whole_names):
    losses = {m: evaluate(build(whole_names["train"], 5, m, 27), whole_names["val"], 5)
              for m in METHODS}
    assert losses["witten-bell"] == pytest.approx(2.0791, abs=5e-5)  # padded: 2.0872
    assert losses["kneser-ney"] == pytest.approx(2.0219, abs=5e-5)


@pytest.mark.slow
def test_tiny_shakespeare():
    splits = load_text(get_data("tinyshakespeare"))
    losses = {m: evaluate(build(splits["train"], 5, m, 65), splits["val"], 5) for m in METHODS}
    assert losses["witten-bell"] == pytest.approx(1.669, abs=5e-4)
    assert losses["kneser-ney"] == pytest.approx(1.561, abs=5e-4)


# ---- samples ---------------------------------------------------------------------------------
def test_samples_follow_the_counts():
    docs = [BOS + "abc" + BOS] * 500
    model = build(docs, 2, "witten-bell", vocab_size=4)
    rng = np.random.default_rng(1)
    drawn = Counter(sample(model, 2, list("\nabc"), rng, 9, end=BOS) for _ in range(300))
    assert drawn["abc"] > 280
    assert max(map(len, drawn)) <= 9


def test_a_text_has_the_length_that_was_asked_for():
    model = build(["abcabc"], 3, "kneser-ney", vocab_size=3)
    assert len(sample(model, 3, list("abc"), np.random.default_rng(1), 40)) == 40


# ---- the command line ------------------------------------------------------------------------
def test_a_text_is_split_and_counted_as_in_stage_06(tmp_path):
    text = "First Citizen:\nSpeak, speak.\n\n" * 30
    (tmp_path / "play.txt").write_text(text, encoding="utf-8")
    out = tmp_path / "o"
    done = run("--data", tmp_path / "play.txt", "--text", "--n=3", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["play-2", "play-3"]
    result = json.loads((out / "play-3" / "result.json").read_text(encoding="utf-8"))
    train = int(0.9 * len(text))
    assert result["dataset"]["docs"] == {"train": 1, "val": 1}
    assert result["targets"] == {"train": train - 1, "val": len(text) - train - 1}
    assert result["vocab_size"] == len(set(text)) and result["variant"] == "3-gram"
    assert result["loss"]["test"] is None and result["loss"]["val"] < 0.5
    assert result["steps"] == result["config"]["n"] == 3 and not result["interrupted"]
    assert [row[0] for row in result["curve"]] == [0, 1, 2, 3]
    assert result["curve"][-1][1:] == [result["loss"]["train"], result["loss"]["val"]]


def test_names_are_split_as_in_main_and_the_seed_moves_only_the_samples(tmp_path):
    lines = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:300]
    (tmp_path / "few.txt").write_text("\n".join(lines), encoding="utf-8")
    results = []
    for seed in (1, 2):
        flags = ["--data", tmp_path / "few.txt", "--n=2", "--seed", seed, "--out", tmp_path / "o"]
        assert run(*flags).returncode == 0
        path = tmp_path / "o" / "few-2" / "result.json"
        results.append(json.loads(path.read_text(encoding="utf-8")))
    first, other = results
    assert first["samples"] != other["samples"]
    assert first["loss"] == other["loss"]
    splits = load_splits(tmp_path / "few.txt")
    assert first["dataset"]["docs"] == {name: len(splits[name]) for name in SPLITS}
    assert first["targets"]["val"] == sum(len(doc) + 1 for doc in splits["val"])


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--n=1"], "--n 1"),
        (["--smoothing=none"], "--smoothing none"),
        (["--text"], "--text"),
        (["--data=nowhere.txt"], "nowhere.txt"),
        (["--data=nowhere.txt", "--text"], "nowhere.txt"),
        (["--steps=3"], "--steps"),
    ],
)
def test_bad_input_costs_one_line(flags, named, tmp_path):
    done = run(*flags, "--out", tmp_path / "o")
    assert done.returncode == 2 and done.stdout == ""
    assert named in done.stderr and done.stderr.count("\n") == 1


def test_a_text_too_short_to_split_is_named(tmp_path):
    (tmp_path / "short.txt").write_text("abcdefgh", encoding="utf-8")
    with pytest.raises(BadInput, match="val part"):
        load_text(tmp_path / "short.txt")
