"""The counts, the splits and the loss against hand-made examples, PyTorch and published figures."""

import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import ROOT, load_stage

main, names = load_stage("02_bigram_counts"), load_stage("02_bigram_counts", "names")
Bigram, Config, evaluate, pairs = main.Bigram, main.Config, main.evaluate, main.pairs
letter_frequencies, probabilities = main.letter_frequencies, main.probabilities
Tokenizer, load_splits = names.Tokenizer, names.load_splits
MAIN = ROOT / "02_bigram_counts" / "main.py"
NAMES = load_splits(ROOT / "data" / "names.txt")
TINY = ["ab", "b", "aab"]  # a worked example: a is 0, b is 1, BOS is 2

words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)  # letters of any script
tables = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 99), min_size=n, max_size=n), min_size=n, max_size=n)
)


def count(docs, tokenizer):
    """The pairs of all docs, counted by another way than train()."""
    counts = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    np.add.at(counts, pairs(docs, tokenizer), 1)
    return counts


def run_stage(*flags):
    process = subprocess.run(
        [sys.executable, MAIN, *flags], capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def makemore():
    """The names of the lecture, which are not committed."""
    folders = [Path(os.environ.get("ZERO_DATA_MIRROR", "")), ROOT / "data"]
    for path in (folder / "makemore.txt" for folder in folders):
        if path.is_file():
            return path
    pytest.skip("makemore.txt is not here; python data/prepare.py makemore gets it")


# ---- data ------------------------------------------------------------------------------------
@settings(deadline=None)
@given(st.lists(words, min_size=1))
def test_tokenizer_round_trip(docs):
    tokenizer = Tokenizer(docs)
    assert tokenizer.vocab_size == len(set("".join(docs))) + 1
    for doc in docs:
        first, *inner, last = tokenizer.encode(doc)
        assert first == last == tokenizer.BOS == tokenizer.vocab_size - 1
        assert all(0 <= token < tokenizer.BOS for token in inner)
        assert tokenizer.decode(inner) == doc


def test_tokens_are_in_the_order_of_the_characters():
    tokenizer = Tokenizer(["hgfe", "dcba"])
    assert tokenizer.chars == list("abcdefgh")
    assert tokenizer.encode("cab") == [8, 2, 0, 1, 8]


def test_pairs_worked_out_by_hand():
    xs, ys = pairs(TINY, Tokenizer(TINY))
    assert xs.tolist() == [2, 0, 1, 2, 1, 2, 0, 0, 1]
    assert ys.tolist() == [0, 1, 2, 1, 2, 0, 0, 1, 2]


def test_the_split_of_the_committed_names():
    assert {name: len(docs) for name, docs in NAMES.items()} == {
        "train": 23871,
        "val": 2938,
        "test": 2884,
    }
    train_docs, val, test = (set(NAMES[name]) for name in NAMES)
    assert not (train_docs & val or train_docs & test or val & test)
    lines = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()
    assert sorted(sum(NAMES.values(), [])) == sorted(lines)


@settings(deadline=None)
@given(st.lists(words))
def test_a_name_falls_where_its_own_hash_says_as_often_as_it_stands(docs):
    """Ava, Emma and Noah fall on one side each, as a side without a name is refused."""
    docs = [*docs, *docs, "ava", "emma", "noah"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "names.txt"
        path.write_text("\n".join(docs), encoding="utf-8")
        splits = load_splits(path)
    buckets = {"train": range(8), "val": [8], "test": [9]}
    for name in NAMES:
        assert splits[name] == [d for d in docs if zlib.crc32(d.encode()) % 10 in buckets[name]]


def test_a_folder_is_used_as_it_is(tmp_path):
    """Even where a hash would say otherwise, or a name stands in two of its files."""
    expected = {"train": ["adam", "eva"], "val": ["anna"], "test": ["eva", "maria", "adam"]}
    for name, docs in expected.items():
        (tmp_path / f"{name}.txt").write_text("\n".join(docs) + "\n", encoding="utf-8")
    assert load_splits(tmp_path) == expected


# ---- model -----------------------------------------------------------------------------------
@settings(deadline=None)
@given(tables, st.floats(0.001, 1000))
def test_rows_of_probabilities_sum_to_1(table, smoothing):
    P = probabilities(np.array(table, dtype=float), smoothing)
    assert (P > 0).all()
    assert P.sum(axis=1) == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(tables)
def test_unsmoothed_rows_are_the_counts_over_their_sum_or_stay_zero(table):
    P = probabilities(np.array(table, dtype=float), 0)
    for row, counts in zip(P, table):
        assert row == pytest.approx([c / sum(counts) if sum(counts) else 0 for c in counts])


def test_three_tiny_names_worked_out_by_hand():
    tokenizer = Tokenizer(TINY)
    counts, log = main.train(Config(), TINY, TINY, tokenizer)
    assert log.done == 3
    assert counts.tolist() == [[1, 2, 0], [0, 0, 3], [2, 1, 0]]
    assert probabilities(counts, 0).tolist() == [[1 / 3, 2 / 3, 0], [0, 0, 1], [2 / 3, 1 / 3, 0]]
    smoothed = [[2 / 6, 3 / 6, 1 / 6], [1 / 6, 1 / 6, 4 / 6], [3 / 6, 2 / 6, 1 / 6]]
    assert probabilities(counts, 1).tolist() == smoothed
    # 9 pairs: 4 of probability 2/3, 2 of 1/3 and 3 that are certain.
    loss = (4 * math.log(3 / 2) + 2 * math.log(3)) / 9
    assert evaluate(probabilities(counts, 0), *pairs(TINY, tokenizer)) == pytest.approx(loss)


# ---- training --------------------------------------------------------------------------------
@pytest.mark.parametrize("steps", [0, 1, 25, 100, 10**6])
def test_train_counts_the_first_names(steps):
    docs, tokenizer = NAMES["train"][:150], Tokenizer(NAMES["train"])
    counts, log = main.train(Config(steps=steps), docs, NAMES["val"][:9], tokenizer)
    done, curve = min(steps, 150), log.curve
    assert log.done == done
    assert counts.tolist() == count(docs[:done], tokenizer).tolist() if done else not counts.any()
    looks = {n for n in (1, 10, 100) if n <= done} | {0, done}
    assert [row[0] for row in curve] == sorted(looks)
    val = evaluate(probabilities(counts, 0.1), *pairs(NAMES["val"][:9], tokenizer))
    assert curve[-1][2] == val
    if done:
        seen = pairs(docs[:done], tokenizer)
        assert curve[-1][1] == evaluate(probabilities(counts, 0.1), *seen)


def test_untrained_is_a_uniform_guess_among_27():
    tokenizer = Tokenizer(NAMES["train"])
    counts, log = main.train(Config(steps=0), NAMES["train"], NAMES["val"], tokenizer)
    assert log.curve == [[0, None, pytest.approx(math.log(27), abs=1e-12)]]
    P = probabilities(counts, Config.smoothing)
    assert evaluate(P, *pairs(NAMES["test"], tokenizer)) == pytest.approx(math.log(27), abs=1e-12)


# ---- evaluation ------------------------------------------------------------------------------
@settings(deadline=None)
@given(tables, st.floats(0.01, 10), st.data())
def test_evaluate_is_the_mean_negative_log_likelihood_of_pytorch(table, smoothing, data):
    P = probabilities(np.array(table, dtype=float), smoothing)
    tokens = st.lists(st.integers(0, len(P) - 1), min_size=1, max_size=20)
    xs, ys = (np.array(column) for column in zip(*zip(data.draw(tokens), data.draw(tokens))))
    expected = torch.nn.functional.nll_loss(torch.tensor(P).log()[xs], torch.tensor(ys)).item()
    assert evaluate(P, xs, ys) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_unsmoothed_val_loss_is_infinite_where_a_pair_is_new():
    tokenizer = Tokenizer(["ab", "ba"])
    P = probabilities(count(["ab"], tokenizer), 0)
    assert evaluate(P, *pairs(["ab"], tokenizer)) == 0
    assert evaluate(P, *pairs(["ba"], tokenizer)) == math.inf
    assert evaluate(P, *pairs(["ab", "ba"], tokenizer)) == math.inf


def test_letter_frequencies_worked_out_by_hand():
    letters = letter_frequencies(np.array([[1.0, 2.0], [3.0, 4.0]]), 0)
    assert letters.tolist() == [[0.4, 0.6], [0.4, 0.6]]


@pytest.mark.parametrize("smoothing", [0, 0.1, 5])
def test_letter_frequencies_against_counting_characters(smoothing):
    tokenizer = Tokenizer(NAMES["train"])
    letters = letter_frequencies(count(NAMES["train"], tokenizer), smoothing)
    assert letters.shape == (27, 27)
    assert (letters == letters[0]).all()
    seen = Counter("".join(name + "." for name in NAMES["train"]))
    total = sum(seen.values()) + 27 * smoothing
    direct = [(seen[ch] + smoothing) / total for ch in "abcdefghijklmnopqrstuvwxyz."]
    assert letters[0] == pytest.approx(direct, rel=1e-12)
    text = "".join(name + "." for name in NAMES["val"])
    loss = -sum(math.log((seen[ch] + smoothing) / total) for ch in text) / len(text)
    assert evaluate(letters, *pairs(NAMES["val"], tokenizer)) == pytest.approx(loss, rel=1e-9)


def test_all_of_makemore_unsmoothed_is_the_published_loss(makemore):
    """2.454 in the lecture; more digits by counting again."""
    docs = makemore.read_text(encoding="utf-8").split()
    tokenizer = Tokenizer(docs)
    loss = evaluate(probabilities(count(docs, tokenizer), 0), *pairs(docs, tokenizer))
    assert len(docs) == 32033
    assert loss == pytest.approx(2.45401, abs=5e-6)


def test_log_probs_are_the_rows_of_the_table():
    tokenizer = Tokenizer(TINY)
    P = probabilities(count(TINY, tokenizer), 0.5)
    rows = main.log_probs(Bigram(P, tokenizer), "ba")
    assert np.exp(rows) == pytest.approx(P[[tokenizer.BOS, 1, 0]])
    unsmoothed = Bigram(probabilities(count(TINY, tokenizer), 0), tokenizer)
    assert main.log_probs(unsmoothed, "b")[1] == [-math.inf, -math.inf, 0.0]


# ---- samples ---------------------------------------------------------------------------------
def test_samples_that_are_real_names_say_which_split_has_them():
    splits = {"train": ["ann", "bo", "ann"], "val": ["cy", "bo"], "test": ["di", "cy"]}
    line = names.mark_known(["bo", "zed", "di", "ann", "cy", "zed"], splits)
    assert line == "bo (train), zed, di (test), ann (train), cy (val), zed | new: 2 of 6"
    assert names.mark_known(["zed"], splits) == "zed | new: 1 of 1"
    assert names.mark_known(["bo"], {"train": ["bo"], "val": [], "test": []}).endswith("0 of 1")


def test_a_run_marks_ten_of_its_samples(tmp_path):
    printed = run_stage("--out", tmp_path)
    samples = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["samples"]
    assert f"samples: {names.mark_known(samples[:10], NAMES)}\n" in printed
    assert re.search(r"\(train\).* \| new: 9 of 10\n", printed)


def draw(P, tokenizer, seed, **options):
    random.seed(seed)
    return main.sample(Bigram(P, tokenizer), **options)


def test_a_table_that_allows_one_name_gives_that_name():
    tokenizer = Tokenizer(["abc"])
    P = probabilities(count(["bca"], tokenizer), 0)
    assert {draw(P, tokenizer, seed) for seed in range(20)} == {"bca"}


def test_a_name_without_end_is_cut():
    tokenizer = Tokenizer(["a"])
    P = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert draw(P, tokenizer, 0) == "a" * 100
    assert draw(P, tokenizer, 0, longest=7) == "a" * 7


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_samples_have_the_probability_of_their_characters(temperature):
    """Chi-square over all names of at most 3 characters and the rest, which counts as one."""
    tokenizer = Tokenizer(["ab"])
    P = np.array([[0.2, 0.5, 0.3], [0.4, 0.0, 0.6], [0.5, 0.4, 0.1]])
    random.seed(1)
    drawn = Counter(main.sample(Bigram(P, tokenizer), temperature) for _ in range(4000))
    P = P ** (1 / temperature)
    P /= P.sum(axis=1, keepdims=True)
    expected, frontier = {}, {"": 1.0}
    for _ in range(4):
        grown = {}
        for name, probability in frontier.items():
            a, b, end = P[tokenizer.encode(name)[-2]] * probability
            expected[name] = end
            grown |= {name + "a": a, name + "b": b}
        frontier = {name: probability for name, probability in grown.items() if probability}
    cells = [(drawn[name], 4000 * p) for name, p in expected.items()]
    cells.append((4000 - sum(n for n, _ in cells), 4000 * sum(frontier.values())))
    chi_square = sum((n - mean) ** 2 / mean for n, mean in cells)
    # With 11 degrees of freedom a right sampler stays below 31.3 in 999 of 1000 seeds.
    assert len(cells) == 12
    assert chi_square < 31.3


def test_a_low_temperature_takes_the_likeliest_even_of_tiny_probabilities():
    tokenizer = Tokenizer(["ab"])
    P = np.array([[1e-9, 1e-9, 2e-9]] * 3)
    assert draw(P, tokenizer, 0, temperature=0.01) == ""


# ---- the command line ------------------------------------------------------------------------
def test_the_default_run_gives_the_losses_of_the_table(tmp_path):
    printed = run_stage("--out", tmp_path)
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert {name: round(loss, 4) for name, loss in result["loss"].items()} == {
        "train": 2.4543,
        "val": 2.4554,
        "test": 2.4548,
    }
    assert result["params"] == 27 * 27
    assert result["chars_seen"] == sum(len(name) + 1 for name in NAMES["train"])
    assert "loss in nats/char: train 2.4543, val 2.4554, test 2.4548" in printed
    assert "letter frequencies alone: val 2.8147" in printed
    model = main.load(tmp_path)
    for name, docs in NAMES.items():
        assert evaluate(model.P, *pairs(docs, model.tokenizer)) == result["loss"][name]


def test_the_command_line_prints_the_published_loss(makemore, tmp_path):
    printed = run_stage("--data", makemore, "--out", tmp_path)
    assert "all 32,033 names counted and scored, no smoothing: 2.45401\n" in printed


# ---- large alphabets -------------------------------------------------------------------------
@pytest.mark.parametrize("V", [5, 1000, 1001])
def test_a_table_of_any_size_comes_back_from_its_file(V):
    rng = np.random.default_rng(0)
    counts = np.zeros((V, V))
    counts[rng.integers(0, V - 1, 300), rng.integers(0, V, 300)] += rng.integers(1, 9, 300)
    text = json.dumps(main.to_rows(counts))
    assert np.array_equal(main.from_rows(json.loads(text)), counts)
    assert len(text) < 6 * 300 + 6 * V or V <= 1000  # the last row is empty


def test_a_run_on_more_than_1000_characters_is_saved_without_its_zeros(tmp_path, monkeypatch):
    chars = [chr(0x4E00 + i) for i in range(1100)]
    names = [chars[i] + chars[(7 * i) % 1100] + "a" for i in range(1100)]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    flags = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["main.py", *flags])
    main.main()
    assert (tmp_path / "out/model.json").stat().st_size < 200_000  # not 1101 * 1101 * 5 bytes
    model = main.load(tmp_path / "out")
    splits = load_splits(tmp_path / "names.txt")
    xs, ys = main.pairs(splits["val"], model.tokenizer)
    result = json.loads((tmp_path / "out/result.json").read_text(encoding="utf-8"))
    assert result["vocab_size"] == 1102
    assert main.evaluate(model.P, xs, ys) == pytest.approx(result["loss"]["val"], rel=1e-12)
    assert len(main.log_probs(model, chars[0])[0]) == 1102
