"""The tree: which inputs meet on which level, and its sums against PyTorch's convolutions."""

import json
import sys

import pytest
import torch

import main
import plumbing
import wavenet
from wavenet import Config, Tree

SMALL = Config(block_size=8, n_embd=3, n_hidden=5)


def small_tree(config=SMALL, vocab_size=9):
    """A tree whose every number is random, and whose norms have seen a batch."""
    torch.manual_seed(3)
    model = Tree(config, vocab_size)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) / 3)
    model(torch.randint(vocab_size, (64, config.block_size)))  # sets the running statistics
    return model


def levels(model, xb):
    """What every level hands on, (B, T, H), worked out one pair at a time."""
    x, found = model.wte[xb], []
    for fc, norm in zip(model.fc, model.norm):
        columns = range(0, x.shape[1], 2)
        sums = [torch.cat([x[:, i], x[:, i + 1]], dim=1) @ fc for i in columns]
        x = torch.tanh(norm(torch.stack(sums, dim=1)))
        found.append(x)
    return found


def test_parameter_count_is_the_lectures():
    model = Tree(Config(), 27)
    assert sum(p.numel() for p in model.parameters()) == 76579
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("block_size, count", [(2, 1), (4, 2), (8, 3), (16, 4)])
def test_levels_and_shapes(block_size, count):
    config = Config(block_size=block_size, n_embd=3, n_hidden=5)
    model = small_tree(config)
    assert len(model.fc) == len(model.norm) == count
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
    for fc, norm in zip(model.fc, model.norm):
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
    """Input 5 lies in pair 2, in group of four 1, and in the one whole."""
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


def test_evaluation_of_one_example_does_not_hang_on_its_company():
    model = small_tree()
    xb = torch.randint(9, (20, 8))
    with torch.no_grad():
        alone = torch.cat([model(x[None]) for x in xb])
        torch.testing.assert_close(alone, model(xb), rtol=0, atol=1e-6)


def test_gradients_agree_with_finite_differences():
    model = small_tree(Config(block_size=4, n_embd=2, n_hidden=3), vocab_size=5)
    xb = torch.tensor([[0, 1, 2, 3], [4, 4, 0, 1], [2, 2, 2, 2], [1, 0, 3, 4], [0, 0, 0, 4]])
    inputs = [p.detach().double().requires_grad_() for p in model.parameters()]

    def forward(*parameters):
        n = len(model.fc)
        model.wte, model.fc = parameters[0], list(parameters[1 : 1 + n])
        for i, norm in enumerate(model.norm):
            norm.gain, norm.shift = parameters[1 + n + 2 * i : 3 + n + 2 * i]
            norm.running_mean = norm.running_mean.double()
            norm.running_var = norm.running_var.double()
        model.lm_head, model.lm_bias = parameters[-2:]
        return model(xb).log_softmax(dim=1)

    assert torch.autograd.gradcheck(forward, inputs)


@pytest.mark.parametrize("block_size", [3, 6, 12])
def test_a_block_size_that_is_no_power_of_two_is_refused(block_size):
    with pytest.raises(plumbing.BadInput, match=f"--block-size {block_size}"):
        Config(block_size=block_size)


def test_a_run_writes_its_result_and_weights_that_give_the_same_loss(tmp_path, monkeypatch):
    names = plumbing.read_docs(plumbing.ROOT / "data" / "names.txt")[:300]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    flags = ["--steps=20", "--batch-size=64", "--n-hidden=16", f"--data={tmp_path / 'names.txt'}"]
    monkeypatch.setattr(sys, "argv", ["wavenet.py", *flags, f"--out={tmp_path}"])
    assert wavenet.main() == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (result["variant"], result["steps"]) == ("wavenet", 20)

    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    splits = main.load_splits(tmp_path / "names.txt")
    tokenizer = main.Tokenizer(sum(splits.values(), []))
    model = Tree(Config(n_hidden=16), tokenizer.vocab_size)
    with torch.no_grad():
        for name, value in model.state().items():
            value.copy_(saved["weights"][name])
    loss = main.evaluate(model, *main.contexts(splits["val"], tokenizer, 8))
    assert loss == pytest.approx(result["loss"]["val"], abs=1e-6)


@pytest.mark.slow
def test_a_full_run_reaches_its_loss(tmp_path):
    script = plumbing.ROOT / plumbing.STAGE / "wavenet.py"
    assert plumbing.call(script, "--out", tmp_path) == 0
    loss = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["loss"]
    assert 1.9 < loss["val"] < 2.02
