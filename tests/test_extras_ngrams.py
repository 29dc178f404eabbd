"""The n-grams against examples worked out by hand, a second way to count, and known figures."""

import json
import math
import random
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ngrams
from ngrams import (
    BOS,
    FALLBACK,
    NGram,
    TextTokenizer,
    continuation_counts,
    count_ngrams,
    count_of_length,
    estimate_discounts,
    evaluate,
    load,
    load_text,
    log_probs,
    sample,
)
from stages import ROOT, load_stage

common = load_stage("02_bigram_counts", "common")
names = load_stage("02_bigram_counts", "names")
SPLITS, BadInput, load_splits = common.SPLITS, common.BadInput, names.load_splits
SCRIPT = ROOT / "extras" / "ngrams.py"
METHODS = ("witten-bell", "kneser-ney")
LETTERS = names.Tokenizer("abcdefghijklmnopqrstuvwxyz")
texts = st.lists(st.text("abc", min_size=2, max_size=30), min_size=1, max_size=5)


def build(docs, n, method, chars):
    tokenizer = chars if isinstance(chars, names.Tokenizer) else TextTokenizer(chars)
    return NGram(count_ngrams(docs, n), n, method, tokenizer)


def P(model, gram):
    """P(the last character of gram | the others)."""
    return model.probability(gram[:-1], gram[-1])


def run(*flags, cwd=None):
    command = [sys.executable, SCRIPT, *map(str, flags)]
    return subprocess.run(
        command, capture_output=True, text=True, encoding="utf-8", timeout=300, cwd=cwd
    )


@pytest.fixture(scope="module")
def splits():
    return load_splits(ROOT / "data" / "names.txt")


@pytest.fixture(scope="module")
def whole_names(splits):
    return {split: [BOS + doc + BOS for doc in docs] for split, docs in splits.items()}


# ---- counting --------------------------------------------------------------------------------
def test_the_ngrams_of_a_name_worked_out_by_hand():
    assert count_ngrams(["\nava\n"], 1) == Counter({"a": 2, "v": 1, "\n": 1})
    assert count_ngrams(["\nava\n"], 3) == Counter({"\na": 1, "\nav": 1, "ava": 1, "va\n": 1})


@settings(deadline=None)
@given(texts, st.integers(1, 6))
def test_every_position_but_the_first_has_one_ngram(docs, n):
    count = count_ngrams(docs, n)
    assert sum(count.values()) == sum(len(doc) - 1 for doc in docs)
    assert max(map(len, count)) <= n


@settings(deadline=None)
@given(texts, st.integers(1, 6), st.integers(1, 6))
def test_the_longest_ngrams_contain_the_counts_of_all_shorter_ones(docs, n, length):
    expected = {g: times for g, times in count_ngrams(docs, length).items() if len(g) == length}
    assert count_of_length(count_ngrams(docs, max(n, length)), length) == expected


@settings(deadline=None)
@given(texts, st.integers(1, 4))
def test_different_characters_before_counted_another_way(docs, n):
    count = count_of_length(count_ngrams(docs, n), n)
    before = {gram: 0 for gram in count}
    for gram in count:
        ends = [(doc, i) for doc in docs for i in range(max(1, n - 1), len(doc))]
        starts = [(doc, i - n + 1) for doc, i in ends if doc[i - n + 1 : i + 1] == gram]
        before[gram] = len({doc[i - 1] for doc, i in starts if i > 0})
        before[gram] += sum(i == 0 for _, i in starts)
    longer = count_of_length(count_ngrams(docs, n + 1), n + 1)
    assert continuation_counts(count, longer) == before


# ---- the blend -------------------------------------------------------------------------------
def test_witten_bell_worked_out_by_hand():
    """In "abac" the targets are b, a, c; after a came b and c, after b came a."""
    model = build(["abac"], 2, "witten-bell", "abc")
    a, b, c = ((1 + 3 / 3) / (3 + 3) for _ in "abc")  # three targets, three kinds, each once
    assert P(model, "a") == pytest.approx(a) == pytest.approx(1 / 3)
    assert P(model, "ab") == pytest.approx((1 + 2 * b) / (2 + 2)) == pytest.approx(5 / 12)
    assert P(model, "ac") == pytest.approx((1 + 2 * c) / (2 + 2))
    assert P(model, "aa") == pytest.approx(2 * a / (2 + 2)) == pytest.approx(1 / 6)
    assert P(model, "ba") == pytest.approx((1 + 1 * a) / (1 + 1)) == pytest.approx(2 / 3)
    assert P(model, "cb") == pytest.approx(b)  # nothing ever came after c
    loss = -(math.log(5 / 12) + math.log(2 / 3) + math.log(5 / 12)) / 3
    assert evaluate(model, ["abac"]) == pytest.approx(loss)


def test_kneser_ney_worked_out_by_hand():
    """In "abab" the pairs are ab twice and ba; a and b each follow one other character."""
    model = build(["abab"], 2, "kneser-ney", "ab")
    one, two, _ = FALLBACK  # no n-gram of this short text occurs 3 or 4 times
    single = (1 - one + 2 * one / 2) / 2  # 1 kept less its discount, and half of both discounts
    assert P(model, "a") == P(model, "b") == pytest.approx(single)
    assert P(model, "ab") == pytest.approx((2 - two + two * single) / 2)
    assert P(model, "aa") == pytest.approx(two * single / 2)
    assert P(model, "ba") == pytest.approx((1 - one + one * single) / 1)


def test_kneser_ney_knows_what_follows_one_character_only():
    """b occurs most, but only after a, so it is unlikely after a new character."""
    docs = ["abababababab", "cdedfdgdhd"]
    kneser_ney, witten_bell = (build(docs, 2, m, "abcdefghi") for m in ("kneser-ney", METHODS[0]))
    assert P(kneser_ney, "xd") > 2 * P(kneser_ney, "xb")
    assert P(witten_bell, "xd") < P(witten_bell, "xb")


def test_discounts_against_the_formula_with_numbers_put_in():
    """Y = 100 / (100 + 2 * 40) = 5/9; 1 - 2Y 40/100, 2 - 3Y 20/40, 3 - 4Y 10/20."""
    discounts = estimate_discounts(Counter({1: 100, 2: 40, 3: 20, 4: 10, 7: 3}))
    assert discounts == pytest.approx((1 - 4 / 9, 2 - 5 / 6, 3 - 10 / 9))
    assert estimate_discounts(Counter({1: 100, 2: 40, 3: 20})) == FALLBACK
    assert estimate_discounts(Counter({1: 10, 2: 40, 3: 2000, 4: 10})) == FALLBACK


@settings(deadline=None)
@given(texts, st.integers(1, 5), st.sampled_from(METHODS), st.text("abcd", max_size=5))
def test_probabilities_of_any_context_are_positive_and_sum_to_1(docs, n, method, context):
    model = build(docs, n, method, "abcd")
    probs = [P(model, context[len(context) - n + 1 :] + ch) for ch in "abcd"]
    assert min(probs) > 0 and sum(probs) == pytest.approx(1, abs=1e-12)


@settings(deadline=None)
@given(texts, st.integers(2, 5), st.sampled_from(METHODS), st.text("abcd", min_size=1, max_size=5))
def test_after_an_unseen_context_only_the_shorter_one_counts(docs, n, method, gram):
    model = build(docs, n, method, "abcd")
    assert P(model, "d" + gram) == P(model, gram)  # no text contains a d


def test_the_uncounted_model_is_the_even_guess():
    model = NGram({}, 3, "witten-bell", TextTokenizer("abcd"))
    assert P(model, "ab") == 1 / 4
    assert evaluate(model, ["abcd"]) == pytest.approx(math.log(4))


@pytest.mark.parametrize("method", METHODS)
def test_with_many_counts_smoothing_changes_little(method):
    """A chain of letters in which each depends only on the one before."""
    rng = np.random.default_rng(0)
    chain = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.25, 0.25, 0.5]])
    state, letters = 0, []
    for draw in rng.random(60_000):
        state = int(np.searchsorted(chain[state].cumsum(), draw))
        letters.append("abc"[state])
    model = build(["".join(letters)], 2, method, "abc")
    for x, row in zip("abc", chain):
        assert [P(model, x + y) for y in "abc"] == pytest.approx(row, abs=0.015)


def test_one_gram_is_letter_frequencies(whole_names):
    """main.py's baseline, smoothed in another way: 2.8147 on val."""
    for method in METHODS:
        model = build(whole_names["train"], 1, method, LETTERS)
        assert evaluate(model, whole_names["val"]) == pytest.approx(2.8147, abs=5e-5)
    count = Counter("".join(text[1:] for text in whole_names["train"]))
    share = count["a"] / sum(count.values())
    assert P(model, "a") == pytest.approx(share, rel=0.001)


# ---- known figures ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("n", "val", "test"), [(3, 2.232, 2.2265), (4, 2.0995, 2.087), (5, 2.087, 2.073)]
)
def test_witten_bell_with_names_padded_to_full_contexts(splits, n, val, test):
    """Here a name begins with n - 1 BOS, so that its first n-gram blends all lengths, too."""
    padded = {split: [BOS * (n - 1) + d + BOS for d in docs] for split, docs in splits.items()}
    counts = {
        split: Counter(doc[i - n + 1 : i + 1] for doc in docs for i in range(n - 1, len(doc)))
        for split, docs in padded.items()
    }
    model = NGram(counts["train"], n, "witten-bell", LETTERS)
    for split, known in (("val", val), ("test", test)):
        total = sum(times * math.log(P(model, gram)) for gram, times in counts[split].items())
        assert -total / sum(counts[split].values()) == pytest.approx(known, abs=5e-4)


def test_one_bos_and_kneser_ney_are_the_better_choices_on_val(whole_names):
    losses = {
        method: evaluate(build(whole_names["train"], 5, method, LETTERS), whole_names["val"])
        for method in METHODS
    }
    assert losses["witten-bell"] == pytest.approx(2.0791, abs=5e-5)  # padded: 2.0872
    assert losses["kneser-ney"] == pytest.approx(2.0219, abs=5e-5)


@pytest.mark.parametrize("n, val", [(4, 2.0800), (6, 2.0176)])
def test_names_against_the_committed_results(whole_names, n, val):
    model = build(whole_names["train"], n, "kneser-ney", LETTERS)
    assert evaluate(model, whole_names["val"]) == pytest.approx(val, abs=5e-5)
    path = ROOT / f"results/02_bigram_counts/ngram/names-{n}/result.json"
    result = json.loads(path.read_text(encoding="utf-8"))
    assert len(model.kept) == result["params"]
    for split, docs in whole_names.items():
        assert evaluate(model, docs) == pytest.approx(result["loss"][split], abs=5e-5)


@pytest.mark.slow
def test_tiny_shakespeare():
    splits = load_text(ROOT / "data" / "tinyshakespeare.txt")
    losses = {
        method: evaluate(build([splits["train"]], 5, method, splits.values()), [splits["val"]])
        for method in METHODS
    }
    assert losses["witten-bell"] == pytest.approx(1.669, abs=5e-4)
    assert losses["kneser-ney"] == pytest.approx(1.561, abs=5e-4)


# ---- samples ---------------------------------------------------------------------------------
def test_samples_follow_the_counts():
    docs = [BOS + "abc" + BOS] * 500
    model = build(docs, 2, "witten-bell", names.Tokenizer(["abc"]))
    random.seed(1)
    drawn = Counter(sample(model, longest=9) for _ in range(300))
    assert drawn["abc"] > 280
    assert max(map(len, drawn)) <= 9


@pytest.mark.parametrize("method", METHODS)
def test_samples_follow_the_probabilities_and_the_temperature(method, whole_names):
    model = build(whole_names["train"], 3, method, LETTERS)
    row = np.array(model.probabilities(BOS))
    random.seed(2)
    for temperature in (1.0, 0.5):
        expected = row ** (1 / temperature) / (row ** (1 / temperature)).sum()
        first = Counter(sample(model, temperature)[:1] or BOS for _ in range(2000))
        shares = [first[ch] / 2000 for ch in model.symbols]
        assert shares == pytest.approx(expected, abs=0.04)
    assert len({sample(model, 1e-6) for _ in range(5)}) == 1  # always the likeliest character


def test_a_text_has_the_length_that_was_asked_for():
    model = build(["abcabc"], 3, "kneser-ney", "abc")
    assert len(sample(model, longest=40)) == 40


def test_a_text_has_line_ends_and_a_name_has_none():
    text = "ab\nab\nab\nab\n"
    random.seed(3)
    assert "\n" in sample(build([text], 3, "kneser-ney", text), longest=40)
    model = build([BOS + "ab" + BOS], 3, "kneser-ney", names.Tokenizer(["ab"]))
    assert all(BOS not in sample(model) for _ in range(50))


# ---- the protocol ----------------------------------------------------------------------------
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_log_probs_of_names_agree_with_the_loss(method, n, splits, whole_names):
    model = build(whole_names["train"], n, method, LETTERS)
    docs, total, count = splits["val"][:100], 0.0, 0
    for doc in docs:
        rows = log_probs(model, doc)
        assert len(rows) == len(doc) + 1 and all(len(row) == 27 for row in rows)
        assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows))
        targets = model.tokenizer.encode(doc)[1:]
        total -= sum(row[target] for row, target in zip(rows, targets, strict=True))
        count += len(rows)
    assert total / count == pytest.approx(evaluate(model, [BOS + d + BOS for d in docs]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [1, 2, 4])
def test_log_probs_of_a_text_agree_with_the_loss(method, n):
    train, val = "so it goes\nand so on\n" * 5, "and so it goes on"
    model = build([train], n, method, [train, val])
    rows = log_probs(model, val)
    assert len(rows) == len(val) and all(len(row) == model.tokenizer.vocab_size for row in rows)
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows))
    targets = model.tokenizer.encode(val)[1:]  # the last row is for what follows the whole text
    mean = -sum(row[target] for row, target in zip(rows, targets)) / len(targets)
    assert mean == pytest.approx(evaluate(model, [val]))
    assert model.tokenizer.decode(model.tokenizer.encode(val)) == val


@pytest.mark.parametrize("method", METHODS)
def test_a_loaded_model_gives_the_losses_of_its_result(method, tmp_path):
    lines = (ROOT / "data" / "names.txt").read_text(encoding="utf-8").split()[:300]
    (tmp_path / "few.txt").write_text("\n".join(lines), encoding="utf-8")
    for flags in ([], ["--text"]):
        out = tmp_path / f"o{len(flags)}"
        flags = ["--data", tmp_path / "few.txt", "--n=4", f"--smoothing={method}", *flags]
        assert run(*flags, "--out", out).returncode == 0
        for n in (2, 3, 4):
            model = load(out / f"few-{n}")
            path = out / f"few-{n}" / "result.json"
            result = json.loads(path.read_text(encoding="utf-8"))
            if model.end:
                splits = load_splits(tmp_path / "few.txt")
                parts = {s: [BOS + doc + BOS for doc in docs] for s, docs in splits.items()}
            else:
                parts = {s: [text] for s, text in load_text(tmp_path / "few.txt").items()}
            assert model.n == n and len(model.kept) == result["params"]
            for split, part in parts.items():
                assert evaluate(model, part) == pytest.approx(result["loss"][split], abs=1e-12)


def test_there_is_no_model_to_load_without_a_run(tmp_path):
    with pytest.raises(OSError):
        load(tmp_path)


# ---- the command line ------------------------------------------------------------------------
def test_a_text_is_split_and_counted_as_in_stage_06(tmp_path):
    text = "First Citizen:\nSpeak, speak.\n\n" * 30
    (tmp_path / "play.txt").write_text(text, encoding="utf-8")
    out = tmp_path / "o"
    done = run("--data=play.txt", "--text", "--n=3", "--out", out, cwd=tmp_path)
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


def test_a_stop_keeps_the_lengths_counted_so_far(tmp_path, monkeypatch):
    class Stopped(common.Steps):
        def __iter__(self):
            for step in super().__iter__():
                if step == 2:
                    signal.raise_signal(signal.SIGINT)
                yield step

    numbers = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGINT)}
    handlers = {number: signal.getsignal(number) for number in numbers}
    monkeypatch.setattr(common, "Steps", Stopped)
    monkeypatch.setattr(sys, "argv", ["ngrams.py", "--n=5", f"--out={tmp_path}"])
    with pytest.raises(SystemExit) as ended:
        common.run(ngrams.main)
    for number, handler in handlers.items():
        signal.signal(number, handler)
    common.stop.count, common.stop.training_began = 0, False
    assert ended.value.code == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names-2", "names-3"]
    assert load(tmp_path / "names-3").n == 3


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (["--n=1"], "--n 1"),
        (["--smoothing=none"], "--smoothing none is unknown"),
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
