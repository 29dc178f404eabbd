"""The lecture's bigram on Tiny Shakespeare."""

import json
import math
import random
import sys

import pytest
import torch

import shakespeare_bigram as bigram
from shakespeare_bigram import Bigram, Config, sample
from stages import ROOT, load_stage

stage = load_stage("06_shakespeare_gpt")

SPEECH = """First Citizen:
Before we proceed any further, hear me speak. You are all resolved rather to die than to famish?
"""
TEXT = "".join(random.Random(1).choices(SPEECH.splitlines(keepends=True), k=60))
CHARS = "".join(sorted(set(TEXT)))


def new_model(chars, **changes):
    return Bigram(Config(**changes), stage.Tokenizer(chars))


def run(monkeypatch, tmp_path, module, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    out = tmp_path / module.__name__
    monkeypatch.setattr(
        sys, "argv", ["x.py", f"--data={tmp_path / 'text.txt'}", f"--out={out}", *flags]
    )
    module.main()
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


def test_the_bigram_is_the_lectures_recipe():
    config = Config()
    assert (config.batch_size, config.block_size, config.steps) == (32, 8, 3000)
    assert config.learning_rate == 1e-2
    chars = [chr(ord("A") + i) for i in range(65)]
    assert sum(p.numel() for p in new_model(chars).parameters()) == 65 * 65
    assert config.out == ROOT / "out" / "06_shakespeare_gpt" / "bigram"


def test_the_bigram_looks_at_the_last_character_alone():
    model, xb = new_model("abcde"), torch.tensor([[0, 1, 2], [3, 4, 2]])
    assert torch.equal(model(xb)[0, 2], model(xb)[1, 2])
    assert torch.equal(model(xb)[1, 0], model.table.weight[3])


def test_a_bigram_learns_who_follows_whom():
    """abab...: after a always b; the loss goes to 0, while letter frequencies stay at log 2."""
    data = {name: torch.tensor([0, 1] * 100) for name in ("train", "val")}
    torch.manual_seed(0)
    model = new_model("ab")
    log = bigram.train(Config(steps=300, learning_rate=0.1), model, data)
    assert log.val < 0.01
    assert sample(model, "a", 9, temperature=1.0) == "ab" * 5


def test_a_run_of_the_bigram_lands_in_the_same_table(monkeypatch, tmp_path):
    small = ["--steps=3", "--batch-size=4", "--block-size=8", "--device=cpu"]
    sizes = ["--n-embd=16", "--n-head=2", "--n-layer=1"]
    chars = run(monkeypatch, tmp_path, stage, *small, *sizes)
    table = run(monkeypatch, tmp_path, bigram, "--steps=20", "--batch-size=4")
    for key in ("targets", "dataset", "unit", "vocab_size", "stage", "baselines"):
        assert table[key] == chars[key], key
    assert table["variant"] == "bigram" and table["params"] == len(CHARS) ** 2
    assert table["chars_seen"] == 20 * 4 * 8 and table["curve"][-1][0] == 20
    assert len(table["samples"][0]) == 501 and table["samples"][0][0] == TEXT[0]


def test_a_loaded_model_gives_the_loss_of_its_result(monkeypatch, tmp_path):
    result = run(monkeypatch, tmp_path, bigram, "--steps=20", "--batch-size=4")
    model = bigram.load(tmp_path / bigram.__name__)
    assert model.tokenizer.chars == list(CHARS)
    val = stage.load_text(tmp_path / "text.txt", 8)["val"]
    rows = bigram.log_probs(model, val)
    ids = model.tokenizer.encode(val)
    assert len(rows) == len(val) and all(len(row) == len(CHARS) for row in rows)
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
    mean = -sum(row[i] for row, i in zip(rows, ids[1:])) / (len(ids) - 1)
    assert mean == pytest.approx(result["loss"]["val"], rel=1e-6)
    with pytest.raises(OSError):
        bigram.load(tmp_path)


def test_samples_follow_the_probabilities_and_the_temperature():
    model = new_model("abc")
    with torch.no_grad():
        model.table.weight.copy_(torch.tensor([[0.5, 1.5, 0.0]] * 3))
    torch.manual_seed(0)
    for temperature in (1.0, 0.5):
        expected = (model.table.weight[0] / temperature).softmax(0).tolist()
        drawn = sample(model, "a", 3000, temperature)[1:]
        assert [drawn.count(ch) / 3000 for ch in "abc"] == pytest.approx(expected, abs=0.03)
    assert sample(model, "a", 20, top_k=1) == "a" + "b" * 20
