"""BatchNorm against PyTorch's own, and what it is for."""

import json
import sys

import pytest
import torch

import batchnorm
import main
import plumbing
from batchnorm import BatchNorm, Config, NormMLP

SMALL = Config(block_size=3, n_embd=4, n_hidden=6)


def small_model():
    torch.manual_seed(3)
    model = NormMLP(SMALL, vocab_size=9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) / 3)
    return model


@pytest.mark.parametrize("shape", [(2, 5), (32, 5), (7, 4, 5)])
def test_training_and_evaluation_equal_those_of_pytorch(shape):
    """Three batches, so that the running statistics have something to run over."""
    torch.manual_seed(1)
    ours, reference = BatchNorm(5), torch.nn.BatchNorm1d(5)
    ours.gain = torch.randn(5).requires_grad_()
    ours.shift = torch.randn(5).requires_grad_()
    reference.weight.data, reference.bias.data = ours.gain.data.clone(), ours.shift.data.clone()
    weights = torch.randn(shape)  # a plain sum would have no gradient with respect to x
    for _ in range(3):
        x = (torch.randn(shape) * 3 + 2).requires_grad_()
        x2 = x.detach().clone().requires_grad_()
        y = ours(x)
        y2 = reference(x2.view(-1, 5)).view(shape)
        torch.testing.assert_close(y, y2, rtol=0, atol=1e-5)
        gradients = torch.autograd.grad((y * weights).sum(), [x, ours.gain, ours.shift])
        inputs = [x2, reference.weight, reference.bias]
        expected = torch.autograd.grad((y2 * weights).sum(), inputs)
        for gradient, gradient2 in zip(gradients, expected):
            torch.testing.assert_close(gradient, gradient2, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.running_mean, reference.running_mean)
        torch.testing.assert_close(ours.running_var, reference.running_var)

    reference.eval()
    x = torch.randn(shape)
    before = ours.running_mean.clone()
    with torch.no_grad():
        expected = reference(x.view(-1, 5)).view(shape)
        torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)
    assert torch.equal(ours.running_mean, before)


def test_a_batch_comes_out_with_mean_0_and_variance_1():
    y = BatchNorm(4)(torch.randn(500, 4, generator=torch.Generator().manual_seed(2)) * 7 + 3)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(4), rtol=0, atol=1e-4)


def test_evaluation_of_one_example_does_not_hang_on_its_company_and_training_does():
    model = small_model()
    xb = torch.randint(9, (20, 3), generator=torch.Generator().manual_seed(4))
    in_training = model(xb)  # also moves the running statistics away from 0 and 1
    with torch.no_grad():
        together = model(xb)
        alone = torch.cat([model(x[None]) for x in xb])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    assert (model(xb[:10]) - in_training[:10]).abs().max() > 0.01


def test_a_constant_added_to_every_sum_changes_nothing():
    """So the layer before BatchNorm needs no bias."""
    norm, x = BatchNorm(4), torch.randn(10, 4)
    torch.testing.assert_close(norm(x + 5.0), norm(x), rtol=0, atol=1e-5)


def test_parameters_state_and_logits():
    model = NormMLP(Config(), 27)
    # main.py's 26,275 less the 256 of mlp_bias, with a gain and a shift for each neuron.
    assert sum(p.numel() for p in model.parameters()) == 26275 - 256 + 2 * 256
    assert all(p.requires_grad for p in model.parameters())
    state = model.state()
    assert "mlp_bias" not in state and state["norm.running_var"].shape == (256,)
    for p in model.parameters():
        assert any(p is value for value in state.values())
    assert model(torch.randint(27, (5, 3))).shape == (5, 27)


def test_one_training_step_moves_every_parameter():
    model = small_model()
    before = [p.detach().clone() for p in model.parameters()]
    data = torch.randint(9, (50, 3)), torch.randint(9, (50,))
    config = Config(steps=1, batch_size=40, weight_decay=0)
    main.train(config, model, {"train": data, "val": data})
    for p, old in zip(model.parameters(), before):
        assert not torch.equal(p, old)


def test_weights_a_hundred_times_too_large_leave_tanh_alive():
    """What BatchNorm is for: without it such weights saturate nearly every neuron."""
    torch.manual_seed(5)
    x, weights = torch.randn(200, 30), 100 * torch.randn(30, 50)
    assert (torch.tanh(x @ weights).abs() > 0.99).float().mean() > 0.95
    assert (torch.tanh(BatchNorm(50)(x @ weights)).abs() > 0.99).float().mean() < 0.02


def test_a_run_writes_its_result_and_weights_that_give_the_same_loss(tmp_path, monkeypatch):
    names = plumbing.read_docs(plumbing.ROOT / "data" / "names.txt")[:300]
    (tmp_path / "names.txt").write_text("\n".join(names), encoding="utf-8")
    flags = ["--steps=20", "--batch-size=64", "--n-hidden=16", f"--data={tmp_path / 'names.txt'}"]
    monkeypatch.setattr(sys, "argv", ["batchnorm.py", *flags, f"--out={tmp_path}"])
    assert batchnorm.main() == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (result["variant"], result["steps"]) == ("batchnorm", 20)

    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    splits = main.load_splits(tmp_path / "names.txt")
    tokenizer = main.Tokenizer(sum(splits.values(), []))
    assert saved["chars"] == "".join(tokenizer.chars)
    model = NormMLP(Config(n_hidden=16), tokenizer.vocab_size)
    with torch.no_grad():
        for name, value in model.state().items():
            value.copy_(saved["weights"][name])
    loss = main.evaluate(model, *main.contexts(splits["val"], tokenizer, 3))
    assert loss == pytest.approx(result["loss"]["val"], abs=1e-6)


def test_a_batch_of_one_is_refused():
    with pytest.raises(plumbing.BadInput, match="--batch-size 1"):
        Config(batch_size=1)


@pytest.mark.slow
def test_a_full_run_reaches_its_loss(tmp_path):
    script = plumbing.ROOT / plumbing.STAGE / "batchnorm.py"
    assert plumbing.call(script, "--out", tmp_path) == 0
    loss = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["loss"]
    assert 1.9 < loss["val"] < 2.13
    assert loss["train"] < loss["val"]
