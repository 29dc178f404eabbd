"""The modern GPT on names: its batches, its loss and its protocol."""

import json
import math
import random
import sys

import pytest
import torch
import torch.nn.functional as F

import modern_gpt
import modern_names
from modern_names import Config, evaluate, make_model, pick_rows
from stages import load_stage

common = load_stage("05_microgpt", "common")
names = load_stage("05_microgpt", "names")
twin = load_stage("05_microgpt", "torch_twin")

NAMES = ["".join(random.Random(i).choices("abcde", k=1 + i % 9)) for i in range(60)]


def tiny(**changes):
    torch.manual_seed(1)
    return make_model(Config(n_embd=16, n_head=2, n_layer=2, block_size=8, **changes),
                      names.Tokenizer(NAMES)).eval()  # fmt: skip


def test_every_epoch_takes_every_name_once():
    config = Config(batch_size=8)
    taken = torch.cat([pick_rows(20, config, step) for step in range(5)])  # 40: two epochs
    assert sorted(taken[:20].tolist()) == sorted(taken[20:].tolist()) == list(range(20))
    assert not torch.equal(taken[:20], taken[20:])
    assert torch.equal(pick_rows(20, config, 3), pick_rows(20, config, 3))
    assert not torch.equal(pick_rows(20, config, 3), pick_rows(20, Config(batch_size=8, seed=1), 3))


def test_a_batch_larger_than_an_epoch():
    rows = pick_rows(3, Config(batch_size=8), 0)
    assert len(rows) == 8 and set(rows[:3].tolist()) == set(rows[3:6].tolist()) == {0, 1, 2}


def test_the_loss_is_the_mean_over_all_characters_and_ends():
    model = tiny()
    xs, ys = twin.pad_docs(NAMES, model.tokenizer, 8)
    total, count = 0.0, 0
    for name in NAMES:  # one at a time, without padding
        tokens = torch.tensor([model.tokenizer.encode(name)])
        for i in range(0, tokens.shape[1] - 1, 8):
            piece = tokens[:, i : i + 9]
            logits = model(piece[:, :-1])[0]
            total += F.cross_entropy(logits, piece[0, 1:], reduction="sum").item()
            count += piece.shape[1] - 1
    assert count == sum(len(name) + 1 for name in NAMES)
    assert evaluate(model, xs, ys) == pytest.approx(total / count, abs=1e-5)


def test_log_probs_add_up_to_one():
    model = tiny()
    rows = modern_names.log_probs(model, "abcdeabcdea")  # longer than block_size
    assert len(rows) == 12
    assert [math.fsum(map(math.exp, row)) for row in rows] == pytest.approx([1.0] * 12, abs=1e-5)


def test_the_size_of_the_real_model_is_within_the_limit():
    tokenizer = names.Tokenizer(["abcdefghijklmnopqrstuvwxyz"])
    model = make_model(Config(), tokenizer)
    assert tokenizer.vocab_size == 27
    assert sum(p.numel() for p in model.parameters()) <= 210_000


def test_a_run_is_loaded_again(monkeypatch, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
    sizes = ["--n-embd=16", "--n-head=2", "--n-layer=2", "--block-size=8", "--batch-size=16"]
    given = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path / 'out'}", "--steps=3"]
    monkeypatch.setattr(sys, "argv", ["modern_names.py", *given, *sizes])
    modern_names.main()
    result = json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))
    model = modern_names.load(tmp_path / "out")
    splits = names.load_splits(tmp_path / "names.txt")
    for split, docs in splits.items():
        loss = evaluate(model, *twin.pad_docs(docs, model.tokenizer, 8))
        assert loss == pytest.approx(result["loss"][split], abs=1e-5)
    assert sum(p.numel() for p in model.parameters()) == result["params"]
    assert set(modern_names.sample(model)) <= set("abcde")


def test_wrong_settings_are_one_line():
    with pytest.raises(common.BadInput, match="there is no swish; choose from rmsnorm, "):
        Config(parts="swish")
    with pytest.raises(common.BadInput, match="--n-embd 10 is not a multiple of --n-head 4"):
        Config(n_embd=10, n_head=4)
    assert modern_gpt.read_parts(Config().parts) < set(modern_gpt.PARTS)
