"""The loss and its gradient against PyTorch, and what is learned against what stage 02 counts."""

import json
import math
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import ROOT, load_stage

main, names = load_stage("03_bigram_learned"), load_stage("03_bigram_learned", "names")
Bigram, Config, evaluate, pairs = main.Bigram, main.Config, main.evaluate, main.pairs
cross_entropy, forward, logits_gradient = main.cross_entropy, main.forward, main.logits_gradient
sample, softmax = main.sample, main.softmax
Tokenizer, load_splits = names.Tokenizer, names.load_splits
MAIN = ROOT / "03_bigram_learned" / "main.py"
NAMES = load_splits(ROOT / "data" / "names.txt")
TOKENIZER = Tokenizer(sum(NAMES.values(), []))


@st.composite
def batches(draw):
    """Logits (N, V) in float64 and targets (N,)."""
    N, V = draw(st.integers(1, 5)), draw(st.integers(1, 6))
    row = st.lists(st.floats(-30, 30), min_size=V, max_size=V)
    logits = draw(st.lists(row, min_size=N, max_size=N))
    ys = draw(st.lists(st.integers(0, V - 1), min_size=N, max_size=N))
    return torch.tensor(logits, dtype=torch.float64), torch.tensor(ys)


def count(docs):
    """Stage 02's unsmoothed table of the pairs, and how often each row occurs."""
    xs, ys = pairs(docs, TOKENIZER)
    V = TOKENIZER.vocab_size
    counts = torch.bincount(xs * V + ys, minlength=V * V).view(V, V).double()
    occurs = counts.sum(dim=1)
    return counts / occurs[:, None], occurs / occurs.sum()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One run with the default flags: the model, the result and what was printed."""
    out = tmp_path_factory.mktemp("trained")
    command = [sys.executable, MAIN, "--out", out]
    process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr
    result = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return main.load(out), result, process.stdout


# ---- data ------------------------------------------------------------------------------------
def test_pairs_worked_out_by_hand():
    """a is 0, b is 1, BOS is 2."""
    xs, ys = pairs(["ab", "b", "aab"], Tokenizer(["ab"]))
    assert xs.tolist() == [2, 0, 1, 2, 1, 2, 0, 0, 1]
    assert ys.tolist() == [0, 1, 2, 1, 2, 0, 0, 1, 2]


# ---- model -----------------------------------------------------------------------------------
@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=1, max_size=20))
def test_forward_picks_the_rows_of_w(xs):
    W = torch.randn(7, 7, generator=torch.Generator().manual_seed(1))
    assert torch.equal(forward(W, torch.tensor(xs)), torch.stack([W[x] for x in xs]))


def test_only_the_rows_that_were_read_get_a_gradient():
    W = torch.randn(5, 5, requires_grad=True)
    cross_entropy(forward(W, torch.tensor([1, 3, 3])), torch.tensor([0, 2, 4])).backward()
    assert W.grad.abs().sum(dim=1).gt(0).tolist() == [False, True, False, True, False]


@settings(deadline=None)
@given(batches())
def test_softmax_equals_pytorch(batch):
    logits, _ = batch
    torch.testing.assert_close(softmax(logits), logits.softmax(dim=1), rtol=1e-12, atol=1e-15)


def test_softmax_of_huge_logits_neither_overflows_nor_forgets():
    logits = torch.tensor([[1000.0, 999.0, -1000.0], [-1000.0, -1000.0, -1000.0]])
    expected = torch.tensor([[1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0.0], [1 / 3] * 3])
    torch.testing.assert_close(softmax(logits), expected)
    torch.testing.assert_close(softmax(logits), logits.softmax(dim=1))


@settings(deadline=None)
@given(batches())
def test_cross_entropy_equals_pytorch(batch):
    torch.testing.assert_close(
        cross_entropy(*batch), F.cross_entropy(*batch), rtol=1e-9, atol=1e-12
    )


def test_cross_entropy_worked_out_by_hand():
    """Probabilities of 1/4 and 3/4, then 1/2 and 1/2."""
    logits = torch.tensor([[0.0, math.log(3)], [7.0, 7.0]], dtype=torch.float64)
    loss = cross_entropy(logits, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-12)


def test_the_gradient_of_the_logits_worked_out_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [7.0, 7.0]], dtype=torch.float64)
    gradient = logits_gradient(logits, torch.tensor([1, 0]))
    expected = torch.tensor([[1 / 4, -1 / 4], [-1 / 2, 1 / 2]], dtype=torch.float64) / 2
    torch.testing.assert_close(gradient, expected)


@settings(deadline=None)
@given(batches())
def test_the_gradient_of_the_logits_equals_autograd(batch):
    logits, ys = batch
    logits.requires_grad_()
    (by_pytorch,) = torch.autograd.grad(F.cross_entropy(logits, ys), logits)
    (by_backward,) = torch.autograd.grad(cross_entropy(logits, ys), logits)
    by_hand = logits_gradient(logits, ys)
    torch.testing.assert_close(by_hand, by_pytorch, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(by_hand, by_backward, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(batches())
def test_the_gradient_of_the_logits_equals_finite_differences(batch):
    logits, ys = batch
    gradient = logits_gradient(logits, ys)
    for index in range(logits.numel()):
        step = torch.zeros_like(logits)
        step.view(-1)[index] = 1e-5
        slope = (cross_entropy(logits + step, ys) - cross_entropy(logits - step, ys)) / 2e-5
        assert gradient.view(-1)[index].item() == pytest.approx(slope.item(), abs=1e-7)


# ---- training --------------------------------------------------------------------------------
def test_training_takes_the_steps_of_plain_gradient_descent():
    """All pairs are the same one, so that any batch is; the learning rate falls linearly to 0."""
    xs, ys = torch.tensor([1] * 6), torch.tensor([2] * 6)
    W = torch.randn(4, 4, generator=torch.Generator().manual_seed(2)).requires_grad_()
    row = W.detach()[1].double()
    others = W.detach()[[0, 2, 3]].clone()
    config = Config(steps=20, learning_rate=0.5, batch_size=3)
    losses = []
    log = main.train(config, W, {"train": (xs, ys), "val": (xs[:2], ys[:2])})
    for step in range(20):
        p = row.softmax(dim=0)
        losses.append(-math.log(p[2]))
        row = row - 0.5 * (1 - step / 20) * (p - torch.tensor([0.0, 0.0, 1.0, 0.0]))
    losses.append(-math.log(row.softmax(dim=0)[2]))

    torch.testing.assert_close(W[1].detach().double(), row, rtol=1e-5, atol=1e-5)
    assert torch.equal(W.detach()[[0, 2, 3]], others)
    curve = log.curve
    assert log.done == 20
    assert [row[0] for row in curve] == [0, *range(2, 21, 2)]
    assert [row[2] for row in curve] == pytest.approx(losses[::2], abs=1e-5)
    # The train column is the mean of the batch losses since the row before.
    means = [(a + b) / 2 for a, b in zip(losses[0:20:2], losses[1:20:2])]
    assert curve[0][1] is None
    assert [row[1] for row in curve[1:]] == pytest.approx(means, abs=1e-5)


def test_untrained_is_nearly_a_uniform_guess(trained):
    _, result, printed = trained
    step, _, val_loss = result["curve"][0]
    assert step == 0
    assert val_loss == pytest.approx(math.log(27), abs=0.1)
    assert abs(val_loss - math.log(27)) > 1e-6  # W is random, not zero
    difference = float(printed.split("differ by at most ")[1].split()[0])
    assert difference < 1e-8


def test_training_converges_to_the_loss_of_counting(trained):
    model, result, _ = trained
    W = model.W
    P, _ = count(NAMES["train"])
    xs, ys = pairs(NAMES["train"], TOKENIZER)
    counted = -P[xs, ys].log().mean().item()
    assert counted == pytest.approx(2.45426, abs=5e-6)
    # No table of probabilities has a lower train loss than the counts.
    assert counted < result["loss"]["train"] < counted + 0.002
    assert result["loss"]["train"] == pytest.approx(evaluate(W, xs, ys), abs=1e-6)
    assert result["loss"]["val"] == pytest.approx(evaluate(W, *pairs(NAMES["val"], TOKENIZER)))


def test_the_rows_of_softmax_approach_the_rows_of_counts(trained):
    """Total variation: half the sum of the differences, 0 for equal rows and 1 for disjoint."""
    P, occurs = count(NAMES["train"])
    variation = (softmax(trained[0].W.double()) - P).abs().sum(dim=1) / 2
    assert (variation * occurs).sum() < 0.02
    assert variation[occurs > 0.02].max() < 0.03


def test_the_lesson_names_the_largest_rate_that_settles():
    """Along the most curved direction c of the loss at its minimum a step shrinks if rate < 2/c."""
    names = load_splits(ROOT / "data" / "names.txt")
    tokenizer = Tokenizer(sum(names.values(), []))
    xs, ys = pairs(names["train"], tokenizer)
    counts = torch.zeros(27, 27)
    counts.index_put_((xs, ys), torch.ones(len(xs)), accumulate=True)
    share = counts.sum(dim=1) / counts.sum()  # (27,): how often each row is read
    P = counts / counts.sum(dim=1, keepdim=True)  # (27, 27)
    # Second derivatives of -log p_t with respect to the logits of a row: diag(p) - p p^T.
    curvature = share[:, None, None] * (torch.diag_embed(P) - P[:, :, None] * P[:, None, :])
    limit = (2 / torch.linalg.eigvalsh(curvature).max()).item()
    assert 71.5 < limit < 72
    lesson = (MAIN.parent / "README.md").read_text(encoding="utf-8")
    assert "the limit $2 / c$ is nearly 72" in lesson


def test_the_result_counts_what_was_read(trained):
    _, result, printed = trained
    assert (result["params"], result["steps"]) == (27 * 27, 2000)
    assert result["chars_seen"] == 2000 * 4096
    assert "num params: 729" in printed


# ---- evaluation ------------------------------------------------------------------------------
def test_evaluate_takes_every_pair_once():
    W = torch.randn(27, 27, generator=torch.Generator().manual_seed(3))
    xs, ys = pairs(NAMES["val"], TOKENIZER)
    table = W.double().log_softmax(dim=1)
    direct = -sum(table[x, y].item() for x, y in zip(xs.tolist(), ys.tolist())) / len(xs)
    assert evaluate(W, xs, ys) == pytest.approx(direct, abs=1e-5)


def test_log_probs_are_the_log_softmax_of_the_rows(trained):
    model, result, _ = trained
    rows = torch.tensor(main.log_probs(model, "emma"))
    tokens = TOKENIZER.encode("emma")
    torch.testing.assert_close(rows, model.W.log_softmax(dim=1)[tokens[:-1]])
    losses = [row[t] for name in NAMES["val"][:200] for row, t in zip(
        main.log_probs(model, name), TOKENIZER.encode(name)[1:])]
    whole = evaluate(model.W, *pairs(NAMES["val"][:200], TOKENIZER))
    assert -sum(losses) / len(losses) == pytest.approx(whole, abs=1e-5)


# ---- samples ---------------------------------------------------------------------------------
def test_weights_that_allow_one_name_give_that_name():
    W = torch.zeros(4, 4)
    for x, y in zip([3, 1, 2, 0], [1, 2, 0, 3]):  # BOS b c a BOS
        W[x, y] = 1000
    assert {sample(Bigram(W, Tokenizer(["abc"]))) for _ in range(20)} == {"bca"}


def test_a_name_without_end_is_cut():
    W = torch.tensor([[0.0, -1000.0], [0.0, -1000.0]])
    assert sample(Bigram(W, Tokenizer(["a"]))) == "a" * 100
    assert sample(Bigram(W, Tokenizer(["a"])), longest=7) == "a" * 7


def test_samples_follow_the_softmax_of_their_row():
    """Half of all names end at once, and each a is followed by another with probability 3/4."""
    torch.manual_seed(4)
    W = torch.tensor([[math.log(3), 0.0], [0.0, 0.0]])
    lengths = [len(sample(Bigram(W, Tokenizer(["a"])))) for _ in range(3000)]
    assert lengths.count(0) / 3000 == pytest.approx(1 / 2, abs=0.04)
    assert lengths.count(1) / 3000 == pytest.approx(1 / 8, abs=0.03)
    assert lengths.count(2) / 3000 == pytest.approx(3 / 32, abs=0.03)


def test_a_temperature_divides_the_logits():
    """exp(log 3 / 0.5) is 9: each a is followed by another with probability 9/10."""
    torch.manual_seed(5)
    W = torch.tensor([[math.log(3), 0.0], [0.0, -1000.0]])
    model = Bigram(W, Tokenizer(["a"]))
    lengths = [len(sample(model, temperature=0.5)) for _ in range(2000)]
    assert lengths.count(1) / 2000 == pytest.approx(0.1, abs=0.03)
    assert sum(lengths) / 2000 == pytest.approx(10, abs=0.8)


# ---- large alphabets -------------------------------------------------------------------------
@pytest.mark.parametrize("V", [3, 256, 257, 300])
def test_rows_looked_up_are_those_of_the_product_with_one_hot_rows(V):
    torch.manual_seed(0)
    W = torch.randn(V, V, requires_grad=True)
    xs = torch.randint(V, (40,))
    logits = forward(W, xs)
    assert torch.equal(logits, F.one_hot(xs, V).float() @ W)
    out = torch.randn(40, V)
    (gradient,) = torch.autograd.grad(logits, W, out)
    expected = F.one_hot(xs, V).float().T @ out
    assert torch.allclose(gradient, expected, atol=1e-5)


def test_a_large_alphabet_is_never_multiplied_out(monkeypatch):
    """100,000 pairs of 2,000 characters: their logits would take 800 MB, a table of all 16."""
    V = 2000
    torch.manual_seed(0)
    W, xs, ys = torch.randn(V, V), torch.randint(V, (100_000,)), torch.randint(V, (100_000,))
    sizes, log_softmax = [], main.log_softmax
    watched = lambda logits: sizes.append(logits.numel()) or log_softmax(logits)  # noqa: E731
    monkeypatch.setattr(main, "log_softmax", watched)
    loss = evaluate(W, xs, ys)
    assert max(sizes) <= V * V
    assert loss == pytest.approx(F.cross_entropy(W[xs[:2000]], ys[:2000]).item(), abs=0.1)
    expected = -W.log_softmax(1).double()[xs, ys].mean().item()
    assert loss == pytest.approx(expected, abs=1e-5)
