"""EurekaLabs' MLP: contexts on one tape, first weights, and batches in the order of the tape."""

import json
import math
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import eurekalabs_mlp
from eurekalabs_mlp import Config, contexts, make_model
from stages import ROOT, load_stage

common = load_stage("04_embedding_mlp", "common")
names = load_stage("04_embedding_mlp", "names")
stage = load_stage("04_embedding_mlp")
NAMES = names.read_docs(ROOT / "data" / "names.txt")[:200]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run({split: names}, *flags) -> the result of a short training."""

    def run(splits, *flags):
        data = tmp_path / "data"
        data.mkdir(exist_ok=True)
        for part, docs in splits.items():
            (data / f"{part}.txt").write_text("\n".join(docs) + "\n", encoding="utf-8")
        fixed = [f"--data={data}", f"--out={tmp_path / 'out'}", "--steps=20", "--n-hidden=16"]
        monkeypatch.setattr(sys, "argv", ["eurekalabs_mlp.py", *fixed, *flags])
        eurekalabs_mlp.main()
        return json.loads((tmp_path / "out" / "result.json").read_text(encoding="utf-8"))

    yield run
    common.unlock_all()
    common.checkpoint, common.stop.training_began = None, False


def test_contexts_cross_line_ends():
    tokenizer = names.Tokenizer(["ab", "c"])
    xs, ys = contexts(["ab", "c"], tokenizer, 3)
    assert xs.tolist() == [[0, 1, 3], [1, 3, 2]] and ys.tolist() == [2, 3]


def test_sizes_and_first_weights_are_those_of_pytorchs_layers():
    tokenizer = names.Tokenizer(list("abcdefghijklmnopqrstuvwxyz"))
    torch.manual_seed(0)
    model = make_model(Config(), tokenizer)
    layers = nn.Linear(3 * 48, 512), nn.Linear(512, 27)
    expected = [nn.Embedding(27, 48).weight]
    expected += [p for layer in layers for p in (layer.weight.T, layer.bias)]
    for ours, theirs in zip(model.parameters(), expected, strict=True):
        assert ours.shape == theirs.shape and ours.requires_grad
        assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.25)
    for ours, theirs in zip(model.parameters()[1:], expected[1:], strict=True):
        assert ours.abs().max().item() == pytest.approx(theirs.abs().max().item(), rel=0.15)
    assert sum(p.numel() for p in model.parameters()) == 89_387


def test_training_walks_along_the_tape_and_starts_again_at_its_end():
    tokenizer = names.Tokenizer(NAMES)
    chosen = Config(n_hidden=8, n_embd=4, steps=30, batch_size=16)
    tape = [tokenizer.BOS if ch == "\n" else tokenizer.stoi[ch] for ch in "\n".join(NAMES[:20])]
    tape.append(tokenizer.BOS)
    data = {"train": contexts(NAMES[:20], tokenizer, 3), "val": contexts(NAMES[20:], tokenizer, 3)}
    assert 2 * len(tape) < 30 * 16
    torch.manual_seed(7)
    model = make_model(chosen, tokenizer)
    eurekalabs_mlp.train(chosen, model, data)

    torch.manual_seed(7)
    expected = make_model(chosen, tokenizer)
    optimizer = torch.optim.AdamW(expected.parameters(), lr=7e-4, weight_decay=1e-4)
    at = 0
    for step in range(30):
        optimizer.param_groups[0]["lr"] = 7e-4 * 0.5 * (1 + math.cos(math.pi * step / 30))
        rows = []
        for _ in range(16):
            rows.append(tape[at : at + 4])
            at = at + 1 if at + 4 < len(tape) else 0
        xb, yb = torch.tensor(rows)[:, :3], torch.tensor(rows)[:, 3]
        loss = F.cross_entropy(expected(xb), yb)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_the_result_has_the_loss_without_known_names(run):
    splits = {"train": NAMES[:150], "val": NAMES[150:170], "test": NAMES[140:160]}
    result = run(splits)
    assert result["leak"]["share_of_test_names"] == pytest.approx(0.5)
    assert result["leak"]["test_loss_without"] != result["loss"]["test"]
    assert all(2 < result["loss"][part] < 4 for part in splits) and result["steps"] == 20
    result = run({**splits, "test": NAMES[:20]})
    assert result["leak"] == {"share_of_test_names": 1.0, "test_loss_without": None}


def test_a_split_that_is_too_short_is_named(run):
    splits = {"train": NAMES, "val": ["a", "b"], "test": NAMES}
    with pytest.raises(common.BadInput, match="val is not longer than --block-size 5; give more"):
        run(splits, "--block-size=5")
