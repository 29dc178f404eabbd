"""Stage 05: the engine against PyTorch, main.py against twin.py, and the published run."""

import gc
import json
import math
import os
import random
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

import main as stage
import plumbing
import twin
from engine import Value, tape
from main import Config, Tokenizer, evaluate, gpt, init_weights, sample, train
from nn import add, cross_entropy, linear, relu, rmsnorm, softmax

HERE = Path(__file__).resolve().parent
NAMES = [line.strip() for line in (plumbing.ROOT / "data" / "names.txt").open(encoding="utf-8")]
SMALL = Config(block_size=3, n_embd=4, n_head=2, n_layer=2)

numbers = st.floats(-3, 3)
vectors = st.lists(numbers, min_size=1, max_size=6)
few = settings(max_examples=50, deadline=None)


def close(expected):
    return pytest.approx(expected, rel=1e-9, abs=1e-9)


def check(ours, theirs, *lists):
    """The same outputs and, for a weighted sum of them, the same gradients as float64 PyTorch."""
    values = [[Value(x) for x in xs] for xs in lists]
    tensors = [torch.tensor(xs, dtype=torch.float64, requires_grad=True) for xs in lists]
    out, expected = ours(*values), theirs(*tensors)
    assert [v.data for v in out] == close(expected.tolist())
    total = Value(0.0)
    for weight, v in enumerate(out, 1):
        total += v * weight
    total.backward()
    (expected * torch.arange(1, len(out) + 1)).sum().backward()
    for vs, t in zip(values, tensors):
        assert [v.grad for v in vs] == close(t.grad.tolist())


def rows(flat, n_in):
    return [flat[i : i + n_in] for i in range(0, len(flat), n_in)]


def as_floats(weights):
    return {name: [[p.data for p in row] for row in matrix] for name, matrix in weights.items()}


def as_tensors(weights, dtype=torch.float64):
    """Float weights as twin.py has them."""
    return {
        name: torch.tensor(matrix, dtype=dtype, requires_grad=True)
        for name, matrix in weights.items()
    }


def large_weights(config, vocab_size, seed=0):
    """Float weights large enough for attention and every other part to matter."""
    random.seed(seed)
    weights = as_floats(init_weights(config, vocab_size))
    return {name: [[10 * p for p in row] for row in m] for name, m in weights.items()}


def all_logits(config, weights, tokens):
    cache = [([], []) for _ in range(config.n_layer)]
    return [gpt(config, weights, token, i, cache) for i, token in enumerate(tokens)]


def run_main(monkeypatch, *flags):
    monkeypatch.setattr(sys, "argv", ["main.py", *map(str, flags)])
    try:
        return stage.main()
    finally:
        gc.enable()  # which main() has switched off for good


# ---- engine ----------------------------------------------------------------------------------
@few
@given(numbers, numbers)
def test_plus_and_times_agree_with_pytorch(a, b):
    check(
        lambda x, y: [x[0] + y[0], x[0] * y[0], x[0] + 2.5, x[0] * -1.5, y[0] * x[0] + x[0]],
        lambda x, y: torch.cat([x + y, x * y, x + 2.5, x * -1.5, y * x + x]),
        [a],
        [b],
    )


@few
@given(st.floats(0.1, 10), st.sampled_from([-2, -1, -0.5, 0.5, 1, 2, 3]))
def test_power_agrees_with_pytorch(a, n):
    check(lambda x: [x[0] ** n], lambda x: x**n, [a])


@few
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_linear_agrees_with_pytorch(n_in, n_out, data):
    x = data.draw(st.lists(numbers, min_size=n_in, max_size=n_in))
    w = data.draw(st.lists(numbers, min_size=n_in * n_out, max_size=n_in * n_out))
    check(
        lambda x, w: linear(x, rows(w, n_in)),
        lambda x, w: w.view(n_out, n_in) @ x,
        x,
        w,
    )


@few
@given(vectors)
def test_relu_agrees_with_pytorch(xs):
    check(lambda x: [relu(xi) for xi in x], torch.relu, [*xs, 0.0, -1.0, 1.0])


@few
@given(vectors)
def test_softmax_agrees_with_pytorch(xs):
    check(softmax, lambda x: torch.softmax(x, 0), xs)


@few
@given(vectors, st.data())
def test_cross_entropy_agrees_with_pytorch(xs, data):
    target = data.draw(st.integers(0, len(xs) - 1))
    check(
        lambda x: [cross_entropy(x, target)],
        lambda x: F.cross_entropy(x, torch.tensor(target))[None],
        xs,
    )


@few
@given(vectors)
def test_rmsnorm_agrees_with_pytorch(xs):
    check(rmsnorm, lambda x: F.rms_norm(x, x.shape, eps=1e-5), xs)


@few
@given(vectors)
def test_add_agrees_with_pytorch_also_for_one_list_given_twice(xs):
    check(lambda x, y: add(x, add(y, x)), lambda x, y: x + y + x, xs, [2 * x for x in xs])


@few
@given(st.lists(numbers, min_size=4, max_size=4))
def test_nodes_used_several_times_gather_all_their_gradients(xs):
    """Attention of one vector on itself and its norm: every node has many parents."""

    def ours(x):
        keys = [x, rmsnorm(x)]
        return add(linear(softmax(linear(x, keys)), [list(c) for c in zip(*keys)]), x)

    def theirs(x):
        keys = torch.stack([x, F.rms_norm(x, x.shape, eps=1e-5)])
        return torch.softmax(keys @ x, 0) @ keys + x

    check(ours, theirs, xs)


@few
@given(vectors)
def test_functions_on_plain_floats_give_the_same_numbers(xs):
    values = [Value(x) for x in xs]
    w = [xs, xs[::-1]]
    w_values = [[Value(x) for x in row] for row in w]

    def data(out):
        return [v.data for v in out]

    assert linear(xs, w) == data(linear(values, w_values))
    assert add(xs, xs) == data(add(values, values))
    assert [relu(x) for x in xs] == data([relu(v) for v in values])
    assert rmsnorm(xs) == data(rmsnorm(values))
    assert softmax(xs) == data(softmax(values))
    assert cross_entropy(xs, 0) == cross_entropy(values, 0).data
    tape.clear()


def test_plain_floats_leave_nothing_on_the_tape():
    tape.clear()
    x = rmsnorm(add(linear([1.0, 2.0], [[3.0, 4.0]]), [relu(-1.0)]))
    cross_entropy(softmax(x), 0)
    assert tape == []


def test_backward_by_hand():
    """f = a * b + a at a = 3, b = -2: df/da = b + 1, df/db = a."""
    a, b = Value(3.0), Value(-2.0)
    f = a * b + a
    f.backward()
    assert (f.data, a.grad, b.grad, f.grad) == (-3.0, -1.0, 3.0, 1.0)


def test_backward_empties_the_tape_and_a_second_one_changes_nothing():
    x = Value(3.0)
    y = x * x
    assert tape
    y.backward()
    assert tape == []
    y.backward()
    assert x.grad == 6.0


def test_gradients_of_two_graphs_add_up_in_a_shared_leaf():
    x = Value(3.0)
    (x * x).backward()
    (x * 2.0).backward()
    assert x.grad == 8.0


def test_backward_ignores_what_was_computed_beside_the_loss():
    x = Value(3.0)
    y = x * 2.0
    beside = y * 100.0
    y.backward()
    assert x.grad == 2.0 and beside.grad == 0.0 and tape == []


def test_local_gradients_of_cross_entropy_are_p_minus_y():
    logits = [Value(math.log(p)) for p in (0.5, 0.3, 0.2)]
    loss = cross_entropy(logits, 1)
    assert loss.data == close(-math.log(0.3))
    assert list(loss.local_grads) == close([0.5, 0.3 - 1, 0.2])
    loss.backward()
    assert [logit.grad for logit in logits] == close([0.5, -0.7, 0.2])


@pytest.mark.parametrize("target, expected", [(0, 0.0), (1, 2000.0), (2, 1000.0)])
def test_softmax_and_cross_entropy_are_stable_at_logits_of_a_thousand(target, expected):
    numbers = [1000.0, -1000.0, 0.0]
    assert softmax(numbers) == [1.0, 0.0, 0.0]
    assert cross_entropy(numbers, target) == expected
    logits = [Value(number) for number in numbers]
    loss = cross_entropy(logits, target)
    loss.backward()
    assert loss.data == expected
    assert [logit.grad for logit in logits] == [p - (i == target) for i, p in enumerate([1, 0, 0])]


# ---- weights ---------------------------------------------------------------------------------
def expected_shapes(V, T, C, n_layer):
    shapes = {"wte": (V, C), "wpe": (T, C), "lm_head": (V, C)}
    for i in range(n_layer):
        for name in ("wq", "wk", "wv", "wo"):
            shapes[f"layer{i}.attn_{name}"] = (C, C)
        shapes[f"layer{i}.mlp_fc1"] = (4 * C, C)
        shapes[f"layer{i}.mlp_fc2"] = (C, 4 * C)
    return shapes


@pytest.mark.parametrize("changes", [{}, {"n_layer": 3, "n_embd": 8, "block_size": 5}])
def test_names_shapes_and_order_of_the_weights(changes):
    config = replace(Config(), **changes)
    expected = expected_shapes(27, config.block_size, config.n_embd, config.n_layer)
    weights = init_weights(config, 27)
    assert [(n, (len(m), len(m[0]))) for n, m in weights.items()] == list(expected.items())
    assert all(len(row) == len(m[0]) for m in weights.values() for row in m)
    tensors = twin.init_weights(replace(twin.Config(), **changes), 27)
    assert [(n, tuple(w.shape)) for n, w in tensors.items()] == list(expected.items())


def test_4192_parameters_by_default_with_a_spread_of_0_08():
    random.seed(0)
    numbers = [p.data for m in init_weights(Config(), 27).values() for row in m for p in row]
    assert len(numbers) == 4192
    torch.manual_seed(0)
    drawn = torch.cat([w.flatten() for w in twin.init_weights(twin.Config(), 27).values()])
    assert len(drawn) == 4192
    for w in (torch.tensor(numbers), drawn.detach()):
        assert abs(w.mean()) < 0.005
        assert w.std() == pytest.approx(0.08, rel=0.05)


# ---- the two forms of the model --------------------------------------------------------------
@pytest.fixture(scope="module")
def few_names(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "few.txt"
    path.write_text("\n".join(NAMES[:300]), encoding="utf-8")
    return path


@pytest.mark.parametrize("shape", [{}, {"n_layer": 2, "n_head": 2, "block_size": 8}])
def test_weights_written_by_main_give_the_twin_the_same_logits_and_gradients(
    shape, few_names, tmp_path, monkeypatch
):
    flags = [f"--{name}={value}" for name, value in shape.items()]
    status = run_main(
        monkeypatch, f"--data={few_names}", "--no-twin", "--steps=5", f"--out={tmp_path}", *flags
    )
    assert status == 0
    config = Config(**shape)
    floats = json.loads((tmp_path / "weights.json").read_text())["weights"]
    weights = {name: [[Value(p) for p in row] for row in m] for name, m in floats.items()}
    tensors = as_tensors(floats)
    tokenizer = Tokenizer(NAMES[:300])
    loss, expected = Value(0.0), 0.0
    for doc in ("emma", "x", "maximilianalexander"[: config.block_size - 1]):
        tokens = tokenizer.encode(doc)
        logits = all_logits(config, weights, tokens[:-1])
        theirs = twin.gpt(config, tensors, torch.tensor([tokens[:-1]]))[0]
        numbers = [[logit.data for logit in row] for row in logits]
        torch.testing.assert_close(torch.tensor(numbers).double(), theirs, rtol=0, atol=1e-6)
        for row, target in zip(logits, tokens[1:]):
            loss += cross_entropy(row, target)
        expected = expected + F.cross_entropy(theirs, torch.tensor(tokens[1:]), reduction="sum")
    loss.backward()
    expected.backward()
    for name, matrix in weights.items():
        grads = torch.tensor([[p.grad for p in row] for row in matrix], dtype=torch.float64)
        assert grads.abs().max() > 0, name
        torch.testing.assert_close(grads, tensors[name].grad, rtol=1e-6, atol=1e-6, msg=name)


def test_gradients_of_the_whole_model_agree_with_finite_differences():
    tokens = [2, 0, 1, 1]
    config = SMALL
    weights = {
        name: [[Value(p) for p in row] for row in m]
        for name, m in large_weights(config, vocab_size=3).items()
    }

    def loss(weights):
        logits = all_logits(config, weights, tokens[:3])
        total = cross_entropy(logits[0], tokens[1])
        for row, target in zip(logits[1:], tokens[2:]):
            total = total + cross_entropy(row, target)
        return total

    loss(weights).backward()
    for matrix in weights.values():
        p = max((p for row in matrix for p in row), key=lambda p: abs(p.grad))
        x, ends = p.data, []
        for step in (1e-5, -1e-5):
            p.data = x + step
            ends.append(loss(as_floats(weights)))
        p.data = x
        assert p.grad == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_both_forms_train_alike_from_the_same_weights():
    """One document only, so that the twin's random batches of one leave no choice."""
    random.seed(7)
    config = replace(SMALL, steps=10, learning_rate=0.05)
    tokenizer = Tokenizer(["abca"])
    weights = init_weights(config, tokenizer.vocab_size)
    tensors = as_tensors(as_floats(weights))
    xs, ys = twin.rectangle(["abca"], tokenizer, config.block_size)
    xs, ys = xs[:1], ys[:1]  # main.py trains on the first block_size positions of a document
    shape = {name: getattr(config, name) for name in ("block_size", "n_embd", "n_head", "n_layer")}
    twins = twin.Config(steps=10, learning_rate=0.05, batch_size=1, **shape)
    ours = [loss for _, loss, _ in train(config, weights, ["abca"], tokenizer)[0]]
    curve, chars_seen, _ = twin.train(twins, tensors, {"train": (xs, ys), "val": (xs, ys)})
    assert ours == close([loss for _, loss, _ in curve[1:]])
    assert ours[-1] < ours[0] - 0.1
    assert chars_seen == 10 * 3


@pytest.mark.parametrize("changed", range(1, 6))
def test_a_change_of_a_future_character_leaves_earlier_logits_bit_for_bit_the_same(changed):
    config = replace(SMALL, block_size=6)
    weights = large_weights(config, vocab_size=5)
    tokens = [4, 0, 1, 2, 3, 0]
    other = [*tokens]
    other[changed] = 3 - tokens[changed]
    a, b = all_logits(config, weights, tokens), all_logits(config, weights, other)
    assert a[:changed] == b[:changed]
    assert all(x != y for x, y in zip(a[changed:], b[changed:]))
    tensors = as_tensors(weights, torch.float32)
    a, b = (twin.gpt(config, tensors, torch.tensor([t]))[0] for t in (tokens, other))
    assert torch.equal(a[:changed], b[:changed])
    assert ((a[changed:] - b[changed:]).abs().amax(1) > 1e-4).all()


def test_the_same_character_at_another_position_has_other_logits():
    first, second = all_logits(SMALL, large_weights(SMALL, vocab_size=5), [1, 1])
    assert first != second


# ---- training --------------------------------------------------------------------------------
def independent_losses(docs, chars, count):
    """The first losses of the published run, from nothing but random.gauss, tensors and autograd.

    docs are shuffled, weights drawn, then one document a step is learned with Adam.
    """
    rng = random.Random(42)
    docs = [*docs]
    rng.shuffle(docs)
    V, C, T, n_head = len(chars) + 1, 16, 16, 4
    shapes = {"wte": (V, C), "wpe": (T, C), "lm_head": (V, C), "wq": (C, C), "wk": (C, C)}
    shapes |= {"wv": (C, C), "wo": (C, C), "fc1": (4 * C, C), "fc2": (C, 4 * C)}
    w = {
        name: torch.tensor(
            [[rng.gauss(0, 0.08) for _ in range(n_in)] for _ in range(n_out)],
            dtype=torch.float64,
            requires_grad=True,
        )
        for name, (n_out, n_in) in shapes.items()
    }

    def norm(x):
        return x / (x.pow(2).mean(1, keepdim=True) + 1e-5).sqrt()

    def attend(x):
        q, k, v = x @ w["wq"].T, x @ w["wk"].T, x @ w["wv"].T
        future = torch.ones(len(x), len(x)).triu(1).bool()
        heads = []
        for qh, kh, vh in zip(q.chunk(n_head, 1), k.chunk(n_head, 1), v.chunk(n_head, 1)):
            scores = (qh @ kh.T / (C / n_head) ** 0.5).masked_fill(future, -math.inf)
            shares = scores.exp() / scores.exp().sum(1, keepdim=True)
            heads.append(shares @ vh)
        return torch.cat(heads, 1) @ w["wo"].T

    moments = {
        name: (torch.zeros(s).double(), torch.zeros(s).double()) for name, s in shapes.items()
    }
    losses = []
    for step in range(count):
        ids = [V - 1, *(chars.index(ch) for ch in docs[step]), V - 1][: T + 1]
        x = norm(w["wte"][ids[:-1]] + w["wpe"][: len(ids) - 1])
        x = x + attend(norm(x))
        x = x + (norm(x) @ w["fc1"].T).clamp(min=0) @ w["fc2"].T
        logits = x @ w["lm_head"].T
        log_probs = logits - logits.exp().sum(1, keepdim=True).log()
        loss = -sum(log_probs[i, target] for i, target in enumerate(ids[1:])) / (len(ids) - 1)
        losses.append(loss.item())
        grads = torch.autograd.grad(loss, list(w.values()))
        with torch.no_grad():
            for (name, p), g in zip(w.items(), grads):
                m, v = moments[name]
                m.copy_(0.85 * m + 0.15 * g)
                v.copy_(0.99 * v + 0.01 * g**2)
                m_hat, v_hat = m / (1 - 0.85 ** (step + 1)), v / (1 - 0.99 ** (step + 1))
                p -= 0.01 * (1 - step / 1000) * m_hat / (v_hat.sqrt() + 1e-8)
    return losses


def first_losses_of_main(monkeypatch, *flags):
    """Run main() with 20 turns in every loop of Progress; the loss of each step."""
    losses = []
    backward, progress = Value.backward, plumbing.Progress

    def noting(self):
        losses.append(self.data)
        backward(self)

    monkeypatch.setattr(Value, "backward", noting)
    monkeypatch.setattr(plumbing, "Progress", lambda n, **more: progress(min(n, 20), **more))
    run_main(monkeypatch, *flags)
    return losses


def makemore():
    """All of makemore's names, where they can be had without a network."""
    mirror = Path(os.environ.get("ZERO_DATA_MIRROR") or ".", "makemore.txt")
    if not (plumbing.ROOT / "data" / "makemore.txt").exists() and not mirror.is_file():
        pytest.skip("no makemore.txt: run data/prepare.py makemore, or set ZERO_DATA_MIRROR")
    return plumbing.get_data("makemore")


def test_first_losses_of_the_published_run_agree_with_an_independent_computation(
    tmp_path, monkeypatch
):
    docs = makemore().read_text().split()
    assert len(docs) == 32033
    expected = independent_losses(docs, sorted(set("".join(docs))), 20)
    losses = first_losses_of_main(monkeypatch, "--published", f"--out={tmp_path}")
    assert losses == pytest.approx(expected, abs=1e-6)


def test_first_losses_of_the_default_run_agree_with_an_independent_computation(
    tmp_path, monkeypatch
):
    docs = [doc for doc in NAMES if zlib.crc32(doc.encode()) % 10 < 8]
    expected = independent_losses(docs, sorted(set("".join(NAMES))), 20)
    losses = first_losses_of_main(monkeypatch, "--no-twin", f"--out={tmp_path}")
    assert losses == pytest.approx(expected, abs=1e-6)


def test_untrained_loss_is_about_log_27():
    tokenizer = Tokenizer(NAMES)
    random.seed(1)
    curve, *_ = train(Config(steps=1), init_weights(Config(), 27), ["maximilian"], tokenizer)
    assert curve[0][1] == pytest.approx(math.log(27), abs=0.1)
    torch.manual_seed(1)
    xs, ys = twin.rectangle(NAMES[:500], tokenizer, 16)
    untrained = twin.evaluate(twin.Config(), twin.init_weights(twin.Config(), 27), xs, ys)
    assert untrained == pytest.approx(math.log(27), abs=0.1)


def test_one_name_can_be_overfitted():
    random.seed(1)
    config = Config(steps=60)
    tokenizer = Tokenizer(["emma"])
    weights = init_weights(config, tokenizer.vocab_size)
    train(config, weights, ["emma"], tokenizer)
    weights = as_floats(weights)
    assert evaluate(config, weights, ["emma"], tokenizer) < 0.05
    greedy = replace(config, temperature=0.01)
    assert [sample(greedy, weights, tokenizer) for _ in range(5)] == ["emma"] * 5


def test_a_document_longer_than_block_size_is_trained_on_as_far_as_it_fits():
    tokenizer = Tokenizer(["abcb"])
    random.seed(1)
    *_, chars_seen, progress = train(
        replace(SMALL, steps=4), init_weights(SMALL, 4), ["abcb", "a"], tokenizer
    )
    assert (chars_seen, progress.done) == (3 + 2 + 3 + 2, 4)


def test_the_twin_counts_targets_and_not_their_padding():
    tokenizer, config = Tokenizer(["a"]), twin.Config(steps=2, batch_size=3, n_embd=4, n_head=2)
    data = twin.rectangle(["a"], tokenizer, config.block_size)
    weights = twin.init_weights(config, tokenizer.vocab_size)
    _, chars_seen, _ = twin.train(config, weights, {"train": data, "val": data})
    assert chars_seen == 2 * 3 * 2  # steps, names, "a" and its end


def test_two_runs_with_one_seed_give_the_same_losses_and_another_seed_others():
    def losses(seed):
        random.seed(seed)
        config = replace(SMALL, steps=5)
        weights = init_weights(config, 27)
        return train(config, weights, NAMES[:50], Tokenizer(NAMES))[0]

    def losses_of_twin(seed):
        torch.manual_seed(seed)
        config = twin.Config(steps=5, batch_size=4, n_embd=4, n_head=2)
        data = twin.rectangle(NAMES[:50], Tokenizer(NAMES), config.block_size)
        weights = twin.init_weights(config, 27)
        return twin.train(config, weights, {"train": data, "val": data})[0]

    for f in (losses, losses_of_twin):
        assert f(3) == f(3) != f(4)


# ---- evaluation ------------------------------------------------------------------------------
def slow_evaluate(config, weights, docs, tokenizer):
    """One document at a time, one piece of block_size after the other, nothing shared."""
    losses = []
    for doc in docs:
        tokens = tokenizer.encode(doc)
        for i in range(len(tokens) - 1):
            start = i - i % config.block_size
            logits = all_logits(config, weights, tokens[start : i + 1])[-1]
            losses.append(cross_entropy(logits, tokens[i + 1]))
    return math.fsum(losses) / len(losses)


documents = st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=8)


@few
@given(documents, st.integers(1, 4))
def test_evaluate_with_shared_prefixes_equals_one_document_at_a_time(docs, block_size):
    config = replace(SMALL, block_size=block_size, n_layer=1)
    weights, tokenizer = large_weights(config, 4), Tokenizer(["abc"])
    expected = slow_evaluate(config, weights, docs, tokenizer)
    assert evaluate(config, weights, docs, tokenizer) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("dtype, atol", [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_evaluate_equals_the_twins(dtype, atol):
    config = replace(SMALL, block_size=5)  # many names are longer
    weights, tokenizer = large_weights(config, 27), Tokenizer(NAMES)
    docs = NAMES[:300]
    data = twin.rectangle(docs, tokenizer, config.block_size)
    theirs = twin.evaluate(config, as_tensors(weights, dtype), *data)
    assert evaluate(config, weights, docs, tokenizer) == pytest.approx(theirs, abs=atol)


def test_evaluate_of_the_twin_scores_every_row_of_more_than_one_piece():
    """1,024 rows are scored at a time; the mean must not depend on where they are cut."""
    tokenizer = Tokenizer(NAMES)
    torch.manual_seed(0)
    weights = {n: 10 * w.detach() for n, w in twin.init_weights(twin.Config(), 27).items()}
    xs, ys = twin.rectangle(NAMES[:1500], tokenizer, 16)
    log_probs = twin.gpt(twin.Config(), weights, xs).double().log_softmax(2)
    scored = ys >= 0
    expected = -log_probs[scored, ys[scored]].mean().item()
    assert twin.evaluate(twin.Config(), weights, xs, ys) == pytest.approx(expected, abs=1e-5)


def test_evaluate_knows_no_loss_of_no_documents():
    assert evaluate(SMALL, large_weights(SMALL, 4), [], Tokenizer(["abc"])) is None


def test_rectangle_by_hand():
    """BOS is 2; "abb" with its end has four targets, of which block_size 3 takes three."""
    xs, ys = twin.rectangle(["abb", "b"], Tokenizer(["ab"]), 3)
    assert xs.tolist() == [[2, 0, 1], [1, 2, 2], [2, 1, 2]]
    assert ys.tolist() == [[0, 1, 1], [2, -1, -1], [1, 2, -1]]


# ---- samples ---------------------------------------------------------------------------------
def draw(module, number, config, tokenizer):
    """Names from a model whose logits never change: at temperature 1, P(k) grows as k + 1."""
    logits = [math.log(k + 1) for k in range(tokenizer.vocab_size)]
    random.seed(5)
    torch.manual_seed(5)
    with pytest.MonkeyPatch.context() as patch:
        if module is stage:
            patch.setattr(stage, "gpt", lambda *_: logits)
        else:
            patch.setattr(twin, "gpt", lambda *_: torch.tensor([[logits]]))
        return [module.sample(config, {}, tokenizer) for _ in range(number)]


@pytest.mark.parametrize("module", [stage, twin])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(module, temperature):
    """Of a, b, c and BOS a name begins with c, or is over at once, in these shares."""
    config = module.Config(temperature=temperature, block_size=1)
    counts = Counter(draw(module, 3000, config, Tokenizer(["abc"])))
    shares = [k ** (1 / temperature) for k in (1, 2, 3, 4)]
    for name, share in zip(["a", "b", "c", ""], shares):
        assert counts[name] / 3000 == pytest.approx(share / sum(shares), abs=0.04)


@pytest.mark.parametrize("module", [stage, twin])
def test_samples_are_of_block_size_characters_at_most(module):
    config = module.Config(block_size=3, temperature=100)  # all but uniform, so one in four ends
    lengths = Counter(map(len, draw(module, 300, config, Tokenizer(["abc"]))))
    assert set(lengths) == {0, 1, 2, 3}


def test_a_tiny_temperature_gives_the_greedy_name():
    config = Config(n_embd=4, n_head=2, block_size=8, temperature=0.01)
    tokenizer = Tokenizer(NAMES)
    for seed in range(5):
        weights = large_weights(config, 27, seed)
        tokens = [26]
        while len(tokens) <= 8:
            logits = all_logits(config, weights, tokens)[-1]
            tokens.append(logits.index(max(logits)))
            if tokens[-1] == 26:
                break
        expected = tokenizer.decode(token for token in tokens if token != 26)
        assert sample(config, weights, tokenizer) == expected
        assert twin.sample(config, as_tensors(weights), tokenizer) == expected


# ---- whole runs ------------------------------------------------------------------------------
@pytest.mark.slow
def test_published_run_ends_with_the_published_loss_and_samples(tmp_path):
    makemore()
    done = subprocess.run(
        [sys.executable, HERE / "main.py", "--published", "--out", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "num docs: 32,033\nnum params: 4,192\n" in done.stdout
    assert "step 1000 / 1000 | loss 2.6497\n" in done.stdout
    assert "samples: kamon, ann, karai, jaire, vialan," in done.stdout


@pytest.mark.slow
def test_default_run_and_its_twin_reach_their_losses(tmp_path):
    done = subprocess.run([sys.executable, HERE / "main.py", "--out", tmp_path])
    assert done.returncode == 0
    for folder, steps, highest in ((tmp_path, 1000, 2.37), (tmp_path / "twin", 1500, 2.125)):
        result = json.loads((folder / "result.json").read_text())
        assert (result["params"], result["steps"]) == (4192, steps)
        assert result["loss"]["val"] <= highest
        assert len(result["samples"]) == 20


@pytest.mark.slow
def test_preset_best_reaches_its_loss(tmp_path):
    command = [sys.executable, HERE / "twin.py", "--preset", "best", "--out", tmp_path]
    assert subprocess.run(command).returncode == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (result["params"], result["variant"]) == (201088, "best")
    assert result["loss"]["val"] <= 1.97
