"""EurekaLabs' n-gram: windows on one tape, its loss, and the choice on val."""

import json
import math
import sys
from collections import Counter

import pytest

import eurekalabs_ngram
from eurekalabs_ngram import evaluate, kneser_ney_loss, name_windows, tape_windows
from stages import ROOT, load_stage

common = load_stage("02_bigram_counts", "common")
names = load_stage("02_bigram_counts", "names")
NAMES = names.read_docs(ROOT / "data" / "names.txt")[:400]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run({split: names}) -> the result."""

    def run(splits):
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for part, docs in splits.items():
            (data / f"{part}.txt").write_text("\n".join(docs) + "\n", encoding="utf-8")
        flags = [f"--data={data}", f"--out={tmp_path / 'out'}"]
        monkeypatch.setattr(sys, "argv", ["eurekalabs_ngram.py", *flags])
        eurekalabs_ngram.main()
        return json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))

    yield run
    common.unlock_all()
    common.stop.training_began = False


def test_windows_on_the_tape_cross_line_ends():
    assert tape_windows(["ab", "c", "ab"], 3) == Counter(
        ["ab\n", "b\nc", "\nc\n", "c\na", "\nab", "ab\n"]
    )
    assert tape_windows([], 3) == Counter()


def test_windows_of_single_names_begin_with_line_ends():
    assert name_windows(["ab", "c"], 3) == Counter(["\n\na", "\nab", "ab\n", "\n\nc", "\nc\n"])


@pytest.mark.parametrize("n, smoothing", [(2, 1.0), (3, 0.1), (4, 0.03)])
def test_the_loss_is_that_of_a_table_of_all_contexts(n, smoothing):
    """One target after another, with a row of counts for every context, as ngram.py does it."""
    train, test = NAMES[:200], NAMES[150:250]
    chars = sorted(set("\n".join(NAMES)))
    rows = {}
    tape = "\n".join(train) + "\n"
    for i in range(n - 1, len(tape)):
        row = rows.setdefault(tape[i - n + 1 : i], dict.fromkeys(chars, smoothing))
        row[tape[i]] += 1
    total, tape = [], "\n".join(test) + "\n"
    for i in range(n - 1, len(tape)):
        row = rows.get(tape[i - n + 1 : i], dict.fromkeys(chars, smoothing))
        assert sum(row.values()) > 0
        total.append(-math.log(row[tape[i]] / sum(row.values())))
    ours = evaluate(tape_windows(train, n), smoothing, len(chars), tape_windows(test, n))
    assert ours == pytest.approx(sum(total) / len(total))
    assert len(total) == len(tape) - n + 1


def test_no_window_has_no_loss():
    counts = tape_windows(NAMES, 3)
    assert evaluate(counts, 0.1, 27, Counter()) is None


def test_kneser_ney_is_that_of_ngrams_py():
    import ngrams

    tokenizer = names.Tokenizer(NAMES)
    train, test = (["\n" + doc + "\n" for doc in docs] for docs in (NAMES[:300], NAMES[300:]))
    model = ngrams.NGram(ngrams.count_ngrams(train, 4), 4, "kneser-ney", tokenizer)
    ours = kneser_ney_loss(4, tokenizer, NAMES[:300], NAMES[300:], [])
    assert ours == [ngrams.evaluate(model, test), None]


def test_val_chooses_and_test_is_scored_once(run):
    splits = {"train": NAMES[:300], "val": NAMES[300:340], "test": NAMES[295:330]}
    result = run(splits)
    tried = result["tried"]
    assert len(tried) == 12 and len({(row["n"], row["smoothing"]) for row in tried}) == 12
    best = min(tried, key=lambda row: row["val"])
    assert result["chosen"] == {"n": best["n"], "smoothing": best["smoothing"]}
    n, smoothing = best["n"], best["smoothing"]
    vocab_size = len(set("".join(sum(splits.values(), [])))) + 1
    for part in splits:
        loss = evaluate(tape_windows(NAMES[:300], n), smoothing, vocab_size,
                        tape_windows(splits[part], n))  # fmt: skip
        assert result["loss"][part] == pytest.approx(loss), part
    unseen = evaluate(tape_windows(NAMES[:300], n), smoothing, vocab_size,
                      tape_windows(NAMES[300:330], n))  # fmt: skip
    assert result["leak"]["share_of_test_names"] == pytest.approx(5 / 35)
    assert result["leak"]["test_loss_without"] == pytest.approx(unseen)


def test_test_names_that_are_all_known_have_no_loss_without_them(run):
    result = run({"train": NAMES[:100], "val": NAMES[:50], "test": NAMES[:50]})
    assert result["leak"] == {"share_of_test_names": 1.0, "test_loss_without": None}
    assert [row["test_without"] for row in result["kneser_ney"].values()] == [None] * len(
        result["kneser_ney"]
    )


def test_a_split_that_is_too_short_is_named(run):
    with pytest.raises(common.BadInput, match="val is too short; give more lines"):
        run({"train": NAMES[:100], "val": ["ab"], "test": NAMES[:50]})
