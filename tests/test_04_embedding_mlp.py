"""The contexts, the model and its training against other ways to the same numbers."""

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

main, names = load_stage("04_embedding_mlp"), load_stage("04_embedding_mlp", "names")
MLP, Config, contexts, evaluate, sample = (
    main.MLP, main.Config, main.contexts, main.evaluate, main.sample
)  # fmt: skip
Tokenizer, load_splits = names.Tokenizer, names.load_splits
MAIN = ROOT / "04_embedding_mlp" / "main.py"
NAMES = load_splits(ROOT / "data" / "names.txt")
TOKENIZER = Tokenizer(sum(NAMES.values(), []))
SMALL = Config(block_size=3, n_embd=4, n_hidden=6)

words = st.text(st.characters(categories=["L"]), min_size=1, max_size=8)  # letters of any script


def alphabet(vocab_size):
    """A tokenizer with this many ids, including BOS."""
    return Tokenizer("abcdefghijklmnopqrstuvwxyz"[: vocab_size - 1])


def untrained(config, seed=1, vocab_size=27):
    torch.manual_seed(seed)
    return MLP(config, alphabet(vocab_size))


def random_model(config, vocab_size):
    """A model whose every number is random, also the biases that start at 0."""
    model = untrained(config, vocab_size=vocab_size)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) / 2)
    return model


def random_batch(n, block_size=3, vocab_size=27):
    generator = torch.Generator().manual_seed(5)
    xb = torch.randint(vocab_size, (n, block_size), generator=generator)
    return xb, torch.randint(vocab_size, (n,), generator=generator)


# ---- data ------------------------------------------------------------------------------------
def test_contexts_worked_out_by_hand():
    """a is 0, b is 1, BOS is 2."""
    xs, ys = contexts(["ab", "b"], Tokenizer(["ab"]), block_size=3)
    assert xs.tolist() == [[2, 2, 2], [2, 2, 0], [2, 0, 1], [2, 2, 2], [2, 2, 1]]
    assert ys.tolist() == [0, 1, 2, 1, 2]


def test_a_name_longer_than_the_block_loses_its_first_characters():
    xs, ys = contexts(["abcd"], Tokenizer(["abcd"]), block_size=2)
    assert xs.tolist() == [[4, 4], [4, 0], [0, 1], [1, 2], [2, 3]]
    assert ys.tolist() == [0, 1, 2, 3, 4]


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=5), st.integers(1, 10))
def test_contexts_equal_windows_cut_from_padded_text(docs, block_size):
    tokenizer = Tokenizer(docs)
    xs, ys = contexts(docs, tokenizer, block_size)
    stand_in = "\n"  # for BOS, since no name holds it
    expected = []
    for doc in docs:
        padded = stand_in * block_size + doc + stand_in
        for end in range(block_size, len(padded)):
            expected.append((padded[end - block_size : end], padded[end]))
    characters = {**tokenizer.itos, tokenizer.BOS: stand_in}
    read = ["".join(characters[token] for token in row) for row in xs.tolist()]
    assert list(zip(read, [characters[token] for token in ys.tolist()])) == expected
    assert (xs.dtype, ys.dtype) == (torch.int64, torch.int64)


def test_every_character_and_every_end_is_a_target():
    xs, ys = contexts(NAMES["val"], TOKENIZER, 3)
    assert xs.shape == (len(ys), 3)
    assert len(ys) == sum(len(name) + 1 for name in NAMES["val"])
    assert (ys == TOKENIZER.BOS).sum() == len(NAMES["val"])


# ---- model -----------------------------------------------------------------------------------
class Reference(torch.nn.Module):
    """The same network out of PyTorch's own layers."""

    def __init__(self, model):
        super().__init__()
        names = ("wte", "mlp_fc1", "mlp_bias", "lm_head", "lm_bias")
        tensors = {n: torch.nn.Parameter(getattr(model, n).detach().clone()) for n in names}
        self.wte = torch.nn.Embedding(*model.wte.shape)
        self.fc1 = torch.nn.Linear(*model.mlp_fc1.shape)
        self.lm_head = torch.nn.Linear(*model.lm_head.shape)
        self.wte.weight = tensors["wte"]
        self.fc1.weight = torch.nn.Parameter(tensors["mlp_fc1"].T)  # Linear keeps (out, in)
        self.fc1.bias = tensors["mlp_bias"]
        self.lm_head.weight = torch.nn.Parameter(tensors["lm_head"].T)
        self.lm_head.bias = tensors["lm_bias"]

    def forward(self, xb):
        x = torch.cat([self.wte(xb[:, t]) for t in range(xb.shape[1])], dim=1)
        return self.lm_head(torch.tanh(self.fc1(x)))

    def gradients(self):
        """In the order of MLP.parameters()."""
        fc1, head = self.fc1, self.lm_head
        return [
            self.wte.weight.grad,
            fc1.weight.grad.T,
            fc1.bias.grad,
            head.weight.grad.T,
            head.bias.grad,
        ]


@pytest.mark.parametrize("block_size, n_embd, n_hidden", [(3, 4, 6), (1, 1, 1), (8, 5, 3)])
def test_forward_and_backward_equal_a_torch_module(block_size, n_embd, n_hidden):
    config = Config(block_size=block_size, n_embd=n_embd, n_hidden=n_hidden)
    model = random_model(config, vocab_size=9)
    reference = Reference(model)
    xb, yb = random_batch(20, block_size, vocab_size=9)
    logits, expected = model(xb), reference(xb)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-6)
    F.cross_entropy(logits, yb).backward()
    F.cross_entropy(expected, yb).backward()
    for p, gradient in zip(model.parameters(), reference.gradients()):
        torch.testing.assert_close(p.grad, gradient, rtol=0, atol=1e-6)


@pytest.mark.parametrize("block_size, count", [(3, 26275), (8, 56995)])
def test_parameter_counts(block_size, count):
    parameters = MLP(Config(block_size=block_size), alphabet(27)).parameters()
    assert sum(p.numel() for p in parameters) == count
    assert all(p.requires_grad for p in parameters)


def test_every_place_of_the_context_has_weights_of_its_own():
    model = random_model(SMALL, 27)
    logits = model(torch.tensor([[1, 2, 3], [3, 2, 1], [1, 2, 3]]))
    assert torch.equal(logits[0], logits[2])
    assert (logits[0] - logits[1]).abs().max() > 0.1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("block_size", [3, 8])
def test_the_first_loss_is_that_of_a_uniform_guess(seed, block_size):
    model = untrained(Config(block_size=block_size), seed)
    loss = evaluate(model, *contexts(NAMES["val"], TOKENIZER, block_size))
    assert loss == pytest.approx(math.log(27), abs=0.05)


@pytest.mark.parametrize("block_size", [1, 3, 8])
def test_tanh_is_neither_saturated_nor_asleep_at_the_start(block_size):
    """An lm_head that is the identity shows the hidden layer as logits."""
    model = untrained(Config(block_size=block_size))
    model.lm_head, model.lm_bias = torch.eye(256), torch.zeros(256)
    with torch.no_grad():
        h = model(contexts(NAMES["val"], TOKENIZER, block_size)[0])
    assert (h.abs() > 0.99).float().mean() < 0.2
    assert h.std() > 0.5


# ---- training --------------------------------------------------------------------------------
def test_training_takes_the_steps_of_adamw():
    """All examples are the same one, so that any batch is; the rate falls linearly to 0."""
    model = random_model(SMALL, 27)
    reference = random_model(SMALL, 27)
    xs, ys = torch.tensor([[1, 2, 3]] * 6), torch.tensor([4] * 6)
    config = Config(steps=20, batch_size=3, learning_rate=0.01, weight_decay=0.5)
    log = main.train(config, model, {"train": (xs, ys), "val": (xs[:2], ys[:2])})

    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in reference.parameters()]
    losses = []
    for step in range(20):
        loss = F.cross_entropy(reference(xs[:1]), ys[:1])
        losses.append(loss.item())
        gradients = torch.autograd.grad(loss, reference.parameters())
        rate = 0.01 * (1 - step / 20)
        with torch.no_grad():
            for p, g, (m, v) in zip(reference.parameters(), gradients, moments):
                p -= rate * 0.5 * p
                m += 0.1 * (g - m)
                v += 0.001 * (g * g - v)
                corrected = m / (1 - 0.9 ** (step + 1))
                p -= rate * corrected / ((v / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8)
    losses.append(F.cross_entropy(reference(xs[:1]), ys[:1]).item())

    for p, expected in zip(model.parameters(), reference.parameters()):
        torch.testing.assert_close(p, expected, rtol=0, atol=1e-5)
    curve = log.curve
    assert log.done == 20
    assert [row[0] for row in curve] == [0, *range(2, 21, 2)]
    assert [row[2] for row in curve] == pytest.approx(losses[::2], abs=1e-5)
    # The train column is the mean of the batch losses since the row before.
    means = [(a + b) / 2 for a, b in zip(losses[0:20:2], losses[1:20:2])]
    assert curve[0][1] is None
    assert [row[1] for row in curve[1:]] == pytest.approx(means, abs=1e-5)


def test_32_different_contexts_can_be_learned_by_heart():
    xs, ys = contexts(NAMES["train"][:200], TOKENIZER, 3)
    last = {tuple(x): i for i, x in enumerate(xs.tolist())}
    chosen = torch.tensor(list(last.values())[:32])
    data = (xs[chosen], ys[chosen])
    assert len(data[0].unique(dim=0)) == 32 and len(data[1].unique()) > 5
    model = untrained(Config())
    main.train(Config(steps=200, batch_size=32), model, {"train": data, "val": data})
    assert evaluate(model, *data) < 0.01


def test_two_trainings_with_one_seed_give_the_same_losses():
    data = {name: contexts(NAMES[name][:300], TOKENIZER, 3) for name in ("train", "val")}

    def losses(seed):
        model = untrained(Config(), seed)
        return main.train(Config(steps=30, batch_size=64), model, data).curve

    assert losses(1) == losses(1)
    assert losses(1) != losses(2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, block_size, bound", [([], 3, 2.13), (["--block-size", "8"], 8, 2.02)]
)
def test_a_full_run_reaches_its_loss(tmp_path, flags, block_size, bound):
    """Measured: 2.094 with 3 characters of context, 2.000 with 8; the counts of 02 have 2.4554."""
    command = [sys.executable, MAIN, *flags, "--out", tmp_path]
    process = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    assert process.returncode == 0, process.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert 1.9 < result["loss"]["val"] <= bound
    assert result["loss"]["test"] <= bound

    model = main.load(tmp_path)
    assert model.block_size == block_size
    for name in ("train", "val", "test"):
        loss = evaluate(model, *contexts(NAMES[name], TOKENIZER, block_size))
        assert loss == pytest.approx(result["loss"][name], abs=1e-5)


# ---- evaluation ------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [1, 100, 8191, 8192, 8193, 16390])
def test_evaluating_in_pieces_equals_evaluating_at_once(n):
    """A mean of means would weigh a short last piece too much; pieces have 8192 contexts."""
    model = random_model(SMALL, 27)
    xs, ys = random_batch(n)
    ys[8192:] = 0  # so that the pieces differ
    with torch.no_grad():
        at_once = F.cross_entropy(model(xs).double(), ys).item()
    assert evaluate(model, xs, ys) == pytest.approx(at_once, abs=1e-5)


def test_log_probs_agree_with_the_loss_and_with_what_was_saved(tmp_path):
    config = Config(block_size=2, n_embd=3, n_hidden=5)
    model = random_model(config, 27)
    weights = [p.detach() for p in model.parameters()]
    fields = {"block_size": 2, "n_embd": 3, "n_hidden": 5}
    saved = {"config": fields, "chars": model.tokenizer.chars, "weights": weights}
    torch.save(saved, tmp_path / "model.pt")
    loaded = main.load(tmp_path)
    docs, total, n = NAMES["val"][:50], 0.0, 0
    for name in docs:
        rows, targets = main.log_probs(loaded, name), TOKENIZER.encode(name)[1:]
        assert len(rows) == len(targets)
        assert [sum(map(math.exp, row)) for row in rows] == pytest.approx([1] * len(rows), abs=1e-5)
        total -= sum(row[target] for row, target in zip(rows, targets))
        n += len(rows)
    assert total / n == pytest.approx(evaluate(model, *contexts(docs, TOKENIZER, 2)), abs=1e-5)


# ---- samples ---------------------------------------------------------------------------------
class Cycle:
    """Stands in for a model: sure of a after BOS, of b after a, and so on, and of BOS after stop.

    It reads the last token only and keeps what it was shown.
    """

    def __init__(self, block_size, stop=None):
        self.block_size, self.tokenizer = block_size, Tokenizer(["abc"])
        self.stop, self.shown = stop, []

    def __call__(self, xb):
        self.shown.append(xb.tolist())
        last, bos = xb[0, -1].item(), self.tokenizer.BOS
        follows = bos if last == self.stop else (last + 1) % bos if last != bos else 0
        return F.one_hot(torch.tensor([follows]), bos + 1) * 1000.0


def test_sampling_shows_the_model_the_last_block_size_tokens():
    model = Cycle(block_size=2, stop=2)
    assert sample(model) == "abc"
    assert model.shown == [[[3, 3]], [[3, 0]], [[0, 1]], [[1, 2]]]


def test_a_name_without_end_is_cut():
    assert sample(Cycle(block_size=3)) == "abc" * 33 + "a"
    assert sample(Cycle(block_size=3), longest=5) == "abcab"


class Coin:
    """Replaces a model: it only knows a, and the odds that another a follows are 3 to 1."""

    block_size, tokenizer = 3, Tokenizer(["a"])

    def __call__(self, xb):
        return torch.tensor([[math.log(3), 0.0]])


def test_samples_follow_the_probabilities_of_the_model():
    torch.manual_seed(6)
    lengths = [len(sample(Coin())) for _ in range(3000)]
    assert lengths.count(0) / 3000 == pytest.approx(1 / 4, abs=0.03)
    assert lengths.count(1) / 3000 == pytest.approx(3 / 16, abs=0.03)
    assert sum(lengths) / 3000 == pytest.approx(3, abs=0.25)


def test_a_temperature_divides_the_logits():
    torch.manual_seed(7)
    lengths = [len(sample(Coin(), temperature=0.5)) for _ in range(2000)]  # 9 to 1
    assert sum(lengths) / 2000 == pytest.approx(9, abs=0.8)
