"""BatchNorm against PyTorch's own, and what it is for."""

import json
import math
import subprocess
import sys

import pytest
import torch

import batchnorm
from batchnorm import BatchNorm, Config, NormMLP
from stages import ROOT, load_stage

stage = load_stage("04_embedding_mlp")
names = load_stage("04_embedding_mlp", "names")
SMALL = Config(block_size=3, n_embd=4, n_hidden=6)
NAMES = names.read_docs(ROOT / "data" / "names.txt")[:300]


def tokenizer(vocab_size):
    """One with that many ids, BOS included."""
    return names.Tokenizer("abcdefghijklmnopqrstuvwxyz"[: vocab_size - 1])


def small_model():
    torch.manual_seed(3)
    model = NormMLP(SMALL, tokenizer(9))
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
    ours.training = False
    x = torch.randn(shape)
    before = [buffer.clone() for buffer in ours.buffers()]
    expected = reference(x.view(-1, 5)).view(shape)
    torch.testing.assert_close(ours(x), expected, rtol=0, atol=1e-5)
    assert all(torch.equal(buffer, old) for buffer, old in zip(ours.buffers(), before))


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_mode_alone_decides_as_in_pytorch_and_not_whether_gradients_are_recorded(
    training, gradients
):
    torch.manual_seed(1)
    ours, reference = BatchNorm(5), torch.nn.BatchNorm1d(5)
    ours.training = training
    reference.train(training)
    with torch.set_grad_enabled(gradients):
        for x in torch.randn(3, 20, 5) * 3 + 2:
            torch.testing.assert_close(ours(x), reference(x), rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.running_mean, reference.running_mean)
    torch.testing.assert_close(ours.running_var, reference.running_var)


def test_train_and_eval_switch_the_model_and_its_batchnorms():
    model = small_model()
    assert model.training and model.norm.training
    model.eval()
    assert not model.training and not model.norm.training
    model.train()
    assert model.training and model.norm.training
    assert model.norms == [model.norm]


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_leaves_the_mode_and_the_running_averages_as_they_were(training):
    model = small_model()
    model.train(training)
    before = [buffer.clone() for buffer in model.buffers()]
    xs, ys = torch.randint(9, (30, 3)), torch.randint(9, (30,))
    batchnorm.evaluate(model, xs, ys)
    batchnorm.log_probs(model, "abc")
    batchnorm.sample(model)
    with pytest.raises(KeyError):
        batchnorm.log_probs(model, "?")
    assert model.training is training and model.norm.training is training
    assert all(torch.equal(buffer, old) for buffer, old in zip(model.buffers(), before))


def test_a_batch_comes_out_with_mean_0_and_variance_1():
    y = BatchNorm(4)(torch.randn(500, 4, generator=torch.Generator().manual_seed(2)) * 7 + 3)
    torch.testing.assert_close(y.mean(0), torch.zeros(4), rtol=0, atol=1e-5)
    torch.testing.assert_close(y.var(0, correction=0), torch.ones(4), rtol=0, atol=1e-4)


def test_evaluation_of_one_example_does_not_depend_on_its_batch_and_training_does():
    model = small_model()
    xb = torch.randint(9, (20, 3), generator=torch.Generator().manual_seed(4))
    in_training = model(xb)  # also moves the running statistics away from 0 and 1
    model.eval()
    together = model(xb)
    alone = torch.cat([model(x[None]) for x in xb])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
    model.train()
    assert (model(xb[:10]) - in_training[:10]).abs().max() > 0.01


def test_a_constant_added_to_every_sum_changes_nothing():
    """So the layer before BatchNorm needs no bias."""
    norm, x = BatchNorm(4), torch.randn(10, 4)
    torch.testing.assert_close(norm(x + 5.0), norm(x), rtol=0, atol=1e-5)


def test_parameters_state_and_logits():
    model = NormMLP(Config(), tokenizer(27))
    # main.py's 26,275 less the 256 of mlp_bias, with a gain and a shift for each neuron.
    assert sum(p.numel() for p in model.parameters()) == 26275 - 256 + 2 * 256
    assert all(p.requires_grad for p in model.parameters())
    assert not hasattr(model, "mlp_bias")
    assert model.norm.running_var.shape == (256,)
    state = {tensor.data_ptr() for tensor in model.state()}
    assert state == {tensor.data_ptr() for tensor in (*model.parameters(), *model.norm.buffers())}
    assert model(torch.randint(27, (5, 3))).shape == (5, 27)


def test_one_training_step_moves_every_parameter():
    model = small_model()
    before = [p.detach().clone() for p in model.parameters()]
    data = torch.randint(9, (50, 3)), torch.randint(9, (50,))
    config = Config(steps=1, batch_size=40, weight_decay=0)
    batchnorm.train(config, model, {"train": data, "val": data})
    for p, old in zip(model.parameters(), before):
        assert not torch.equal(p, old)


class PlainMLP(batchnorm.BatchNormModel, stage.MLP):
    """The MLP of the stage. It has no BatchNorm, so its two modes are the same."""


def test_the_loop_is_that_of_the_stage():
    data = {
        name: stage.contexts(docs, names.Tokenizer(NAMES), 3)
        for name, docs in {"train": NAMES[:200], "val": NAMES[200:]}.items()
    }
    config, curves = Config(steps=30, batch_size=64, n_hidden=16), []
    for model_class, train in ((stage.MLP, stage.train), (PlainMLP, batchnorm.train)):
        torch.manual_seed(7)
        model = model_class(config, names.Tokenizer(NAMES))
        curves.append(train(config, model, data).curve)
    assert curves[0] == curves[1]
    assert curves[0][-1][2] < curves[0][0][2]


def test_weights_a_hundred_times_too_large_leave_tanh_alive():
    """What BatchNorm is for: without it such weights saturate nearly every neuron."""
    torch.manual_seed(5)
    x, weights = torch.randn(200, 30), 100 * torch.randn(30, 50)
    assert (torch.tanh(x @ weights).abs() > 0.99).float().mean() > 0.95
    assert (torch.tanh(BatchNorm(50)(x @ weights)).abs() > 0.99).float().mean() < 0.02


@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags) -> result, of a short training; its model is in the same folder."""

    def run(*flags):
        (tmp_path / "names.txt").write_text("\n".join(NAMES), encoding="utf-8")
        small = ["--steps=20", "--batch-size=64", "--n-hidden=16"]
        folders = [f"--data={tmp_path / 'names.txt'}", f"--out={tmp_path}"]
        monkeypatch.setattr(sys, "argv", ["batchnorm.py", *small, *folders, *flags])
        batchnorm.main()
        return json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))

    return run


def test_a_run_writes_its_result_and_a_model_that_gives_the_same_losses(run, tmp_path):
    result = run()
    assert (result["variant"], result["steps"]) == ("batchnorm", 20)
    assert result["stage"] == "04_embedding_mlp" and not result["interrupted"]

    model = batchnorm.load(tmp_path)
    splits = names.load_splits(tmp_path / "names.txt")
    assert model.tokenizer.chars == names.Tokenizer(sum(splits.values(), [])).chars
    assert not model.training
    for name, docs in splits.items():
        loss = batchnorm.evaluate(model, *stage.contexts(docs, model.tokenizer, 3))
        assert loss == pytest.approx(result["loss"][name], abs=1e-6)


def test_log_probs_agree_with_the_loss(run, tmp_path):
    loss = run()["loss"]["val"]
    model = batchnorm.load(tmp_path)
    rows, targets = [], []
    for doc in names.load_splits(tmp_path / "names.txt")["val"]:
        rows += batchnorm.log_probs(model, doc)
        targets += model.tokenizer.encode(doc)[1:]
    assert len(rows) == len(targets)
    assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
    mean = -sum(row[target] for row, target in zip(rows, targets)) / len(rows)
    assert mean == pytest.approx(loss, abs=1e-5)


def test_samples_are_drawn_with_torchs_random_numbers(run, tmp_path):
    run()
    model, drawn = batchnorm.load(tmp_path), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        drawn.append([batchnorm.sample(model) for _ in range(5)])
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(batchnorm.sample(model, temperature=0.01)) <= 100


def test_there_is_no_model_to_load_without_a_run(tmp_path):
    with pytest.raises(OSError):
        batchnorm.load(tmp_path)


def test_a_batch_of_one_is_refused(run, capsys):
    with pytest.raises(SystemExit) as stopped:
        run("--batch-size=1")
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert "--batch-size 1" in error and error.count("\n") == 1


@pytest.mark.slow
def test_a_full_run_reaches_its_loss(tmp_path):
    script = ROOT / "extras" / "batchnorm.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], cwd=tmp_path, check=True)
    loss = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["loss"]
    assert 1.9 < loss["val"] < 2.13
    assert loss["train"] < loss["val"]
