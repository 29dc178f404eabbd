"""Mixtures: the probabilities of the targets, the windows, the weight, and a complete run."""

import json
import math
import random
import sys

import pytest
import torch

import mixtures
import modern_gpt
import modern_names
from stages import load_stage

stage = load_stage("06_shakespeare_gpt")
names = load_stage("05_microgpt", "names")
twin = load_stage("05_microgpt", "torch_twin")

TEXT = "".join(random.Random(1).choices(["hear me speak\n", "speak, speak\n", "you all\n"], k=90))
NAMES = ["".join(random.Random(i).choices("abcde", k=1 + i % 9)) for i in range(60)]


def text_model(block_size=12):
    torch.manual_seed(1)
    config = modern_gpt.Config(n_embd=16, n_head=2, n_layer=1, block_size=block_size)
    return modern_gpt.make_model(config, stage.Tokenizer(TEXT)).eval()


def names_model():
    torch.manual_seed(1)
    config = modern_names.Config(n_embd=16, n_head=2, n_layer=1, block_size=8)
    return modern_names.make_model(config, names.Tokenizer(NAMES)).eval()


def test_blocks_are_stage_06s_loss():
    model = text_model()
    for text in (TEXT[:200], TEXT[:133], TEXT[:13], TEXT[:5]):
        probs = mixtures.Shakespeare().probs(model, text, "blocks")
        assert len(probs) == len(text) - 1
        expected = stage.evaluate(model, torch.tensor(model.tokenizer.encode(text)))
        assert mixtures.nats(probs) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("length", [200, 133, 18, 13, 7, 2])
def test_a_window_shows_every_character_half_a_context(length):
    model, text = text_model(), TEXT[:length]
    probs = mixtures.Shakespeare().probs(model, text, "sliding window")
    assert len(probs) == len(text) - 1
    tokens = model.tokenizer.encode(text)
    for i in range(1, len(text)):
        start = max(0, (i - 1) // 6 * 6 - 6)  # two halves of 6: the one with i, and the one before
        logits = model(torch.tensor([tokens[start:i]]))[0, -1]
        assert probs[i - 1].item() == pytest.approx(logits.softmax(0)[tokens[i]].item(), abs=1e-5)


def test_names_are_modern_names_loss():
    model = names_model()
    probs = mixtures.Names().probs(model, NAMES, "")
    expected = modern_names.evaluate(model, *twin.pad_docs(NAMES, model.tokenizer, 8))
    assert mixtures.nats(probs) == pytest.approx(expected, abs=1e-5)
    rows = [row for name in NAMES for row in modern_names.log_probs(model, name)]
    targets = [token for name in NAMES for token in model.tokenizer.encode(name)[1:]]
    assert probs.log().tolist() == pytest.approx(
        [row[target] for row, target in zip(rows, targets)], abs=1e-4
    )


def test_the_counted_probabilities_are_those_of_the_ngram():
    task, model = mixtures.Names(), names_model()
    counted = task.count(NAMES, model.tokenizer)
    probs = task.counted_probs(counted, ["abc", "e"])
    grams = ["\na", "\nab", "\nabc", "\nabc\n", "\ne", "\ne\n"]
    expected = [counted.probability(gram[:-1], gram[-1]) for gram in grams]
    assert probs.tolist() == pytest.approx(expected)


def test_the_weight_is_the_best_of_all_hundredths():
    """By hand: two targets, 0.8 and 0.1 by the model, 0.2 and 0.5 by the counts."""
    probs, counted = torch.tensor([0.8, 0.1]), torch.tensor([0.2, 0.5])
    weight = mixtures.best_weight(probs, counted)
    # The product (0.8 - 0.6 w) (0.1 + 0.4 w) is largest where its derivative 0.26 - 0.48 w is 0.
    assert weight == round(0.26 / 0.48, 2)
    mixed = mixtures.mix(probs, counted, 0.25)
    assert mixed.tolist() == pytest.approx([0.65, 0.2])
    assert mixtures.nats(mixed) == pytest.approx(-math.log(0.65 * 0.2) / 2)


def test_held_out_is_a_tenth_of_train_and_nothing_else():
    splits = {"train": NAMES, "val": ["zoe"], "test": ["zac"]}
    rest, held_out = mixtures.Names().hold_out(splits)
    assert sorted(rest + held_out) == sorted(NAMES) and len(held_out) == 6
    rest, held_out = mixtures.Shakespeare().hold_out({"train": TEXT, "val": "val"})
    assert rest + held_out == TEXT and len(held_out) == pytest.approx(len(TEXT) / 10, abs=1)


def test_a_run_trains_what_is_missing(monkeypatch, tmp_path, capfd):
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    given = ["--task=names", f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'out'}"]
    monkeypatch.setattr(sys, "argv", ["mixtures.py", *given, "--steps=1", "--seeds=2"])
    mixtures.main()
    table = json.loads((tmp_path / "out/mixtures/table.json").read_text(encoding="utf-8"))
    assert table["seeds"] == [42, 43] and 0 <= table["weight"] <= 1
    whats = [row["what"] for row in table["val"]]
    assert whats == [
        "one model", "one model, 6-gram", "2 seeds averaged", "2 seeds averaged, 6-gram",
        "6-gram alone",
    ]  # fmt: skip
    one, _, average, *_ = (row["loss"]["mean"] for row in table["val"])
    assert average <= one  # -log is convex
    losses = [
        json.loads((tmp_path / "out" / name / "result.json").read_text(encoding="utf-8"))["loss"]
        for name in ("modern", "mixtures/seed_43")
    ]
    for split in ("val", "test"):
        mean = sum(loss[split] for loss in losses) / 2
        assert table[split][0]["loss"]["mean"] == pytest.approx(mean, abs=1e-5)

    def none(*args, **kwargs):
        raise AssertionError("it trains again")

    monkeypatch.setattr(mixtures.subprocess, "run", none)
    mixtures.main()


def test_missing_names_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["mixtures.py", "--task=names", f"--data={tmp_path / 'no'}"])
    with pytest.raises(mixtures.common.BadInput, match="No such file"):
        mixtures.main()
