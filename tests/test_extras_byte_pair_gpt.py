"""The GPT on byte pairs: its losses are those of characters, and its model is kept."""

import json
import math
import random
import signal
import sys

import pytest
import torch

import byte_pair_gpt as tokens
from byte_pairs import BytePairs, learn_merges
from stages import ROOT, load_stage

stage = load_stage("06_shakespeare_gpt")
common = load_stage("06_shakespeare_gpt", "common")

SPEECH = """First Citizen:
Before we proceed any further, hear me speak. You are all resolved rather to die than to famish?
"""
TEXT = "".join(random.Random(1).choices(SPEECH.splitlines(keepends=True), k=60))
CHARS = "".join(sorted(set(TEXT)))
TOKENIZER = BytePairs(CHARS, learn_merges(TEXT, 60))
SMALL = ["--steps=3", "--batch-size=4", "--block-size=8", "--device=cpu"]
SIZES = ["--n-embd=16", "--n-head=2", "--n-layer=1"]


def run(monkeypatch, tmp_path, module, *flags):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    out = tmp_path / module.__name__
    monkeypatch.setattr(
        sys, "argv", ["x.py", f"--data={tmp_path / 'text.txt'}", f"--out={out}", *flags]
    )
    module.main()
    return json.loads((out / "result.json").read_text(encoding="utf-8"))


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


def test_a_loaded_model_is_the_best_one_and_gives_its_loss_per_character(monkeypatch, tmp_path):
    flags = ["--vocab-size=60", "--eval-every=1", "--seed=5"]
    result = run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, *flags)
    folder = tmp_path / tokens.__name__
    assert sorted(path.name for path in folder.iterdir()) == ["model.pt", "result.json"]
    model = tokens.load(folder)
    assert not model.training and model.tokenizer.chars == list(CHARS)
    val = stage.load_text(tmp_path / "text.txt", 8)["val"]
    ids = tokens.encode(model.tokenizer, val)
    with tokens.devices.autocast("cpu", result["dtype"]):
        loss = stage.evaluate(model, ids) * tokens.tokens_per_char(ids, val)
    assert loss == pytest.approx(result["best"]["val"], rel=1e-6)
    saved = torch.load(folder / "model.pt", weights_only=True)
    assert saved["step"] == result["best"]["step"] and saved["config"]["vocab_size"] == 60


def test_the_protocol_speaks_of_tokens(monkeypatch, tmp_path):
    run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, "--vocab-size=60")
    model = tokens.load(tmp_path / tokens.__name__)
    text = "hear me speak. You are all"
    ids = model.tokenizer.encode(text)
    rows = tokens.log_probs(model, text)
    assert len(rows) == len(ids) < len(text)
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(ids), abs=1e-5)
    nats = -sum(row[i] for row, i in zip(rows[:8], ids[1:9])) / 8
    assert nats == pytest.approx(stage.evaluate(model, torch.tensor(ids[:9])), abs=1e-5)
    torch.manual_seed(1)
    drawn = tokens.sample(model, "First", length=5)
    torch.manual_seed(1)
    new = model.generate(model.tokenizer.encode("First"), 5, 0.8)
    assert drawn == "First" + model.tokenizer.decode(new)
    with pytest.raises(OSError):
        tokens.load(tmp_path)


def test_nothing_is_written_before_the_end(monkeypatch, tmp_path):
    """A run that fails in its training leaves the model and the result of the run before it."""
    result = run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, "--vocab-size=60")
    folder = tmp_path / tokens.__name__
    before = (folder / "model.pt").read_bytes()
    seen = []

    def fail(*arguments):
        seen.append(arguments)
        if len(seen) == 3:
            raise MemoryError
        return get_batch(*arguments)

    get_batch = stage.get_batch
    monkeypatch.setattr(stage, "get_batch", fail)
    with pytest.raises(MemoryError):
        run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, "--vocab-size=50", "--eval-every=1")
    assert (folder / "model.pt").read_bytes() == before
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == result


def test_a_stop_keeps_model_and_result(monkeypatch, tmp_path):
    seen = []

    def stop_in_the_second_step(*arguments):
        seen.append(arguments)
        if len(seen) == 2:
            common.stop(signal.SIGINT, None)
        return get_batch(*arguments)

    get_batch = stage.get_batch
    monkeypatch.setattr(stage, "get_batch", stop_in_the_second_step)
    result = run(monkeypatch, tmp_path, tokens, *SMALL, *SIZES, "--vocab-size=60")
    common.stop.count, common.stop.training_began = 0, False
    assert result["interrupted"] and result["steps"] == 2
    assert result["loss"]["val"] == pytest.approx(result["curve"][-1][2])
    assert tokens.load(tmp_path / tokens.__name__).tokenizer.vocab_size == 60


def test_a_part_with_too_few_tokens_is_named(monkeypatch, tmp_path):
    with pytest.raises(common.BadInput, match="val part has [0-9]+ tokens, .* --block-size 250"):
        run(monkeypatch, tmp_path, tokens, "--block-size=250", "--vocab-size=200")


def test_a_prompt_with_an_unknown_character_is_named(monkeypatch, tmp_path):
    with pytest.raises(common.BadInput, match="--prompt holds 'é'"):
        run(monkeypatch, tmp_path, tokens, *SMALL, "--prompt=é")


def test_the_defaults_are_those_of_main_py():
    ours, main = vars(tokens.Config()), vars(stage.Config())
    assert {name for name in ours if ours[name] != main.get(name)} == {"vocab_size", "steps", "out"}
    assert ours["vocab_size"] == 512
    kept = ROOT / "results/06_shakespeare_gpt/tokens/result.json"
    share = json.loads(kept.read_text(encoding="utf-8"))["tokens_per_char"]["train"]
    assert ours["steps"] / share == pytest.approx(main["steps"], rel=0.1)  # as many characters
    assert ours["out"] == ROOT / "out" / "06_shakespeare_gpt" / "tokens"
