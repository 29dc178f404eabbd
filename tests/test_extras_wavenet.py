"""The tree: which inputs meet on which level, and its sums against PyTorch's convolutions."""

import json
import math
import subprocess
import sys

import pytest
import torch

import wavenet
from stages import ROOT, load_stage
from wavenet import Config, Tree

stage = load_stage("04_embedding_mlp")
names = load_stage("04_embedding_mlp", "names")
SMALL = Config(block_size=8, n_embd=3, n_hidden=5)


def tokenizer(vocab_size):
    """One with that many ids, BOS included."""
    return names.Tokenizer("abcdefghijklmnopqrstuvwxyz"[: vocab_size - 1])


def small_tree(config=SMALL, vocab_size=9):
    """A tree in evaluation mode. All its numbers are random, and its norms have seen a batch."""
    torch.manual_seed(3)
    model = Tree(config, tokenizer(vocab_size))
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) / 3)
    model(torch.randint(vocab_size, (64, config.block_size)))  # sets the running statistics
    model.eval()
    return model


def levels(model, xb):
    """The output of every level, (B, T, H), worked out one pair at a time."""
    x, found = model.wte[xb], []
    for fc, norm in zip(model.fc, model.norms):
        columns = range(0, x.shape[1], 2)
        sums = [torch.cat([x[:, i], x[:, i + 1]], dim=1) @ fc for i in columns]
        x = torch.tanh(norm(torch.stack(sums, dim=1)))
        found.append(x)
    return found


def test_parameter_count_is_the_lectures():
    model = Tree(Config(), tokenizer(27))
    assert sum(p.numel() for p in model.parameters()) == 76579
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("block_size, count", [(2, 1), (4, 2), (8, 3), (16, 4)])
def test_levels_and_shapes(block_size, count):
    config = Config(block_size=block_size, n_embd=3, n_hidden=5)
    model = small_tree(config)
    assert len(model.fc) == len(model.norms) == count
    with torch.no_grad():
        assert model(torch.randint(9, (6, block_size))).shape == (6, 9)


@torch.no_grad()
def test_logits_equal_those_put_together_pair_by_pair():
    model = small_tree()
    xb = torch.randint(9, (10, 8))
    expected = levels(model, xb)[-1][:, 0] @ model.lm_head + model.lm_bias
    torch.testing.assert_close(model(xb), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_logits_equal_those_of_strided_convolutions():
    model = small_tree()
    xb = torch.randint(9, (10, 8))
    x = model.wte[xb].transpose(1, 2)  # (B, T, C) -> (B, C, T)
    for fc, norm in zip(model.fc, model.norms):
        kernel = fc.view(2, -1, fc.shape[1]).permute(2, 1, 0)  # (2 * C, H) -> (H, C, 2)
        x = torch.nn.functional.conv1d(x, kernel, stride=2)
        mean, var = norm.running_mean, norm.running_var
        scale = (norm.gain, norm.shift)
        x = torch.nn.functional.batch_norm(x, mean, var, *scale, training=False).tanh()
    expected = x[:, :, 0] @ model.lm_head + model.lm_bias
    torch.testing.assert_close(model(xb), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_every_input_reaches_the_output():
    model = small_tree()
    xb = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    before = model(xb)
    for place in range(8):
        changed = xb.clone()
        changed[0, place] = 0
        assert (model(changed) - before).abs().max() > 1e-3, place


@torch.no_grad()
def test_a_change_travels_up_one_branch_only():
    """Input 5 is in pair 2, in the group of four 1, and in the whole."""
    model = small_tree()
    xb = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]])
    changed = xb.clone()
    changed[0, 5] = 0
    found = zip(levels(model, xb), levels(model, changed))
    moved = [(a - b).abs().amax(dim=2)[0].nonzero().flatten().tolist() for a, b in found]
    assert moved == [[2], [1], [0]]


@torch.no_grad()
def test_the_order_within_a_pair_and_of_the_pairs_matters():
    model = small_tree()
    straight = model(torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8]]))
    for order in ([2, 1, 3, 4, 5, 6, 7, 8], [3, 4, 1, 2, 5, 6, 7, 8], [5, 6, 7, 8, 1, 2, 3, 4]):
        assert (model(torch.tensor([order])) - straight).abs().max() > 1e-3


def test_evaluation_of_one_example_does_not_depend_on_its_batch():
    model = small_tree()
    xb = torch.randint(9, (20, 8))
    with torch.no_grad():
        alone = torch.cat([model(x[None]) for x in xb])
        torch.testing.assert_close(alone, model(xb), rtol=0, atol=1e-6)


def test_train_and_eval_switch_all_levels():
    model = small_tree()
    assert not model.training and not any(norm.training for norm in model.norms)
    model.train()
    assert model.training and all(norm.training for norm in model.norms)
    state = {tensor.data_ptr() for tensor in model.state()}
    buffers = [buffer for norm in model.norms for buffer in norm.buffers()]
    assert state == {tensor.data_ptr() for tensor in (*model.parameters(), *buffers)}


def test_gradients_agree_with_finite_differences():
    model = small_tree(Config(block_size=4, n_embd=2, n_hidden=3), vocab_size=5)
    model.train()
    xb = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 1], [2, 2, 2, 2], [1, 0, 3, 4], [0, 0, 0, 4]])
    inputs = [p.detach().double().requires_grad_() for p in model.parameters()]

    def forward(*parameters):
        n = len(model.fc)
        model.wte, model.fc = parameters[0], list(parameters[1 : 1 + n])
        for i, norm in enumerate(model.norms):
            norm.gain, norm.shift = parameters[1 + n + 2 * i : 3 + n + 2 * i]
            norm.running_mean = norm.running_mean.double()
            norm.running_var = norm.running_var.double()
        model.lm_head, model.lm_bias = parameters[-2:]
        return model(xb).log_softmax(dim=1)

    assert torch.autograd.gradcheck(forward, inputs)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags) -> result, of a short training; its model is in the same folder."""

    def run(*flags):
        docs = names.read_docs(ROOT / "data" / "names.txt")[:300]
        (tmp_path / "names.txt").write_text("\n".join(docs), encoding="utf-8")
        small = ["--steps=20", "--batch-size=64", "--n-hidden=16"]
        folders = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path}"]
        monkeypatch.setattr(sys, "argv", ["wavenet.py", *small, *folders, *flags])
        wavenet.main()
        return json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))

    return run


@pytest.mark.parametrize("block_size", [3, 6, 12])
def test_a_block_size_that_is_no_power_of_two_is_refused(block_size, run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(f"--block-size={block_size}")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "--block-size" in error and f" {block_size} " in error and error.count("\n") == 1


@pytest.mark.parametrize("block_size", [4, 8])
def test_a_run_writes_its_result_and_a_model_that_gives_the_same_losses(block_size, run, tmp_path):
    result = run(f"--block-size={block_size}")
    assert (result["variant"], result["steps"]) == ("wavenet", 20)
    assert result["stage"] == "04_embedding_mlp" and not result["interrupted"]

    model = wavenet.load(tmp_path)
    splits = names.load_splits(tmp_path / "names.txt")
    assert model.tokenizer.chars == names.Tokenizer(sum(splits.values(), [])).chars
    assert not model.training and model.block_size == block_size
    for name, docs in splits.items():
        loss = wavenet.evaluate(model, *stage.contexts(docs, model.tokenizer, block_size))
        assert loss == pytest.approx(result["loss"][name], abs=1e-6)


def test_log_probs_agree_with_the_loss(run, tmp_path):
    loss = run()["loss"]["val"]
    model = wavenet.load(tmp_path)
    rows, targets = [], []
    for doc in names.load_splits(tmp_path / "names.txt")["val"]:
        rows += wavenet.log_probs(model, doc)
        targets += model.tokenizer.encode(doc)[1:]
    assert len(rows) == len(targets)
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
    mean = -sum(row[target] for row, target in zip(rows, targets)) / len(rows)
    assert mean == pytest.approx(loss, abs=1e-5)


def test_samples_are_drawn_with_torchs_random_numbers(run, tmp_path):
    run()
    model, drawn = wavenet.load(tmp_path), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append([wavenet.sample(model) for _ in range(5)])
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.slow
def test_a_full_run_reaches_its_loss(tmp_path):
    script = ROOT / "extras" / "wavenet.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], cwd=tmp_path, check=True)
    loss = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["loss"]
    assert 1.9 < loss["val"] < 2.02
