"""Stage 05: the engine against PyTorch, main.py against its twin, and the published run."""

import gc
import itertools
import json
import math
import random
import subprocess
import sys
import zlib
from collections import Counter
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from stages import ROOT, load_stage

common = load_stage("05_microgpt", "common")
main = load_stage("05_microgpt")
twin = load_stage("05_microgpt", "torch_twin")
names = load_stage("05_microgpt", "names")
add, attention, cross_entropy, dot = main.add, main.attention, main.cross_entropy, main.dot
linear, relu, rmsnorm, softmax = main.linear, main.relu, main.rmsnorm, main.softmax
Config, Model, Value, tape = main.Config, main.Model, main.Value, main.tape
Tokenizer = names.Tokenizer

FOLDER = ROOT / "05_microgpt"
NAMES = names.read_docs(ROOT / "data" / "names.txt")
SMALL = Config(block_size=3, n_embd=4, n_head=2, n_layer=2)
SHAPE = ("block_size", "n_embd", "n_head", "n_layer")

numbers = st.floats(-3, 3)
vectors = st.lists(numbers, min_size=1, max_size=6)
needs_new_torch = pytest.mark.skipif(
    torch.__version__ < (2, 9), reason="this PyTorch has nothing to compare with"
)
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


def as_values(weights):
    return {name: [[Value(p) for p in row] for row in matrix] for name, matrix in weights.items()}


def as_tensors(weights, dtype=torch.float64):
    """Float weights as the twin has them."""
    return {
        name: torch.tensor(matrix, dtype=dtype, requires_grad=True)
        for name, matrix in weights.items()
    }


def large_model(config, tokenizer, seed=0):
    """A model with float weights large enough for attention and every other part to matter."""
    random.seed(seed)
    weights = as_floats(main.init_weights(config, tokenizer.vocab_size))
    weights = {name: [[10 * p for p in row] for row in m] for name, m in weights.items()}
    return Model(config, weights, tokenizer)


def twin_of(model, dtype=torch.float64, **changes):
    """The twin of one of main.py's models with float weights. changes: more fields of its Config"""
    shape = {name: getattr(model.config, name) for name in SHAPE}
    config = twin.Config(**shape, **changes)
    return twin.Model(config, as_tensors(model.weights, dtype), model.tokenizer)


def all_logits(model, tokens):
    cache = main.empty_cache(model.config)
    return [main.gpt(model, token, i, cache) for i, token in enumerate(tokens)]


def run_main(module, *flags):
    """Run the main() of main.py or of its twin with these flags."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["main.py", *map(str, flags)])
            module.main()
    finally:
        gc.enable()  # main() disables it for good
        common.stop.training_began = False


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


# ---- operations ------------------------------------------------------------------------------
@few
@given(vectors, st.data())
def test_dot_agrees_with_pytorch_also_for_one_list_given_twice(xs, data):
    ys = data.draw(st.lists(numbers, min_size=len(xs), max_size=len(xs)))
    check(
        lambda x, y: [dot(x, y), dot(x, x)],
        lambda x, y: torch.stack([torch.dot(x, y), torch.dot(x, x)]),
        xs,
        ys,
    )


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
@given(st.integers(1, 5), st.integers(1, 5), st.data())
def test_weighted_mean_agrees_with_pytorch(T, n, data):
    vectors = data.draw(st.lists(numbers, min_size=T * n, max_size=T * n))
    weights = data.draw(st.lists(numbers, min_size=T, max_size=T))
    check(
        lambda v, w: main.weighted_mean(rows(v, n), w),
        lambda v, w: w @ v.view(T, n),
        vectors,
        weights,
    )


@few
@given(vectors)
def test_relu_agrees_with_pytorch(xs):
    check(relu, torch.relu, [*xs, 0.0, -1.0, 1.0])


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


@needs_new_torch
@few
@given(vectors)
def test_rmsnorm_agrees_with_pytorch(xs):
    check(rmsnorm, lambda x: F.rms_norm(x, x.shape, eps=1e-5), xs)


@few
@given(vectors)
def test_add_agrees_with_pytorch_also_for_one_list_given_twice(xs):
    check(lambda x, y: add(x, add(y, x)), lambda x, y: x + y + x, xs, [2 * x for x in xs])


@needs_new_torch
@few
@given(st.lists(numbers, min_size=4, max_size=4))
def test_nodes_used_several_times_gather_all_their_gradients(xs):
    """Attention of one vector on itself and its norm: every node has many parents."""

    def ours(x):
        keys = [x, rmsnorm(x)]
        return add(main.weighted_mean(keys, softmax(linear(x, keys))), x)

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

    assert dot(xs, xs[::-1]) == dot(values, values[::-1]).data
    assert linear(xs, w) == data(linear(values, w_values))
    assert main.weighted_mean([*zip(*w)], xs) == data(main.weighted_mean([*zip(*w_values)], values))
    assert add(xs, xs) == data(add(values, values))
    assert relu(xs) == data(relu(values))
    assert rmsnorm(xs) == data(rmsnorm(values))
    assert softmax(xs) == data(softmax(values))
    assert cross_entropy(xs, 0) == cross_entropy(values, 0).data
    (mean, att), (mean_values, att_values) = attention(xs, w, w), attention(values, *[w_values] * 2)
    assert (mean, att) == (data(mean_values), data(att_values))
    tape.clear()


def test_plain_floats_leave_nothing_on_the_tape():
    tape.clear()
    x = rmsnorm(add(linear([1.0, 2.0], [[3.0, 4.0]]), relu([-1.0])))
    x, _ = attention(x, [[1.0], [2.0]], [[3.0], [4.0]])
    cross_entropy(softmax(x), 0)
    assert tape == []


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


# ---- attention -------------------------------------------------------------------------------
@few
@given(st.integers(1, 5), st.integers(1, 4), st.data())
def test_attention_agrees_with_pytorch(T, head_dim, data):
    """The result and, through it, the gradients of query, keys and values."""
    query = data.draw(st.lists(numbers, min_size=head_dim, max_size=head_dim))
    keys, values = (
        data.draw(st.lists(numbers, min_size=T * head_dim, max_size=T * head_dim)) for _ in "kv"
    )
    check(
        lambda q, k, v: attention(q, rows(k, head_dim), rows(v, head_dim))[0],
        lambda q, k, v: F.scaled_dot_product_attention(
            q[None], k.view(T, head_dim), v.view(T, head_dim)
        )[0],
        query,
        keys,
        values,
    )


@few
@given(st.lists(numbers, min_size=8, max_size=8), st.lists(numbers, min_size=8, max_size=8))
def test_the_weights_of_attention_add_up_to_1_and_give_its_result(keys, values):
    keys, values = rows(keys, 2), rows(values, 2)
    mean, att = attention([1.0, -2.0], keys, values)
    assert len(att) == 4 and min(att) > 0 and sum(att) == close(1)
    assert mean == close([sum(w * v[i] for w, v in zip(att, values)) for i in range(2)])


def test_attention_of_the_twin_is_pytorchs_causal_one():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 5, 8, dtype=torch.float64)  # (B, n_head, T, head_dim)
    out, att = twin.attention(q, k, v)
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(att @ v, expected, rtol=1e-12, atol=1e-12)
    assert (att.triu(1) == 0).all() and (att.sum(-1) - 1).abs().max() < 1e-12


def test_both_attentions_agree():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, 1, 6, 4, dtype=torch.float64)
    theirs, att = twin.attention(q, k, v)
    for t in range(6):
        ours, weights = attention(
            q[0, 0, t].tolist(), k[0, 0, : t + 1].tolist(), v[0, 0, : t + 1].tolist()
        )
        assert ours == close(theirs[0, 0, t].tolist())
        assert weights == close(att[0, 0, t, : t + 1].tolist())


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
    weights = main.init_weights(config, 27)
    assert [(n, (len(m), len(m[0]))) for n, m in weights.items()] == list(expected.items())
    assert all(len(row) == len(m[0]) for m in weights.values() for row in m)
    tensors = twin.init_weights(replace(twin.Config(), **changes), 27)
    assert [(n, tuple(w.shape)) for n, w in tensors.items()] == list(expected.items())


def test_4192_parameters_by_default_with_a_spread_of_0_08():
    random.seed(0)
    numbers = [p.data for m in main.init_weights(Config(), 27).values() for row in m for p in row]
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
    shape, few_names, tmp_path
):
    flags = [f"--{name}={value}" for name, value in shape.items()]
    run_main(main, f"--data={few_names}", "--steps=5", f"--out={tmp_path}", *flags)
    saved = main.load(tmp_path)
    model = Model(saved.config, as_values(saved.weights), saved.tokenizer)
    theirs = twin_of(saved)
    assert model.config == replace(Config(**shape), steps=5)
    assert saved.tokenizer.chars == Tokenizer(NAMES[:300]).chars
    loss, expected = Value(0.0), 0.0
    for doc in ("emma", "x", "maximilianalexander"[: model.config.block_size - 1]):
        tokens = model.tokenizer.encode(doc)
        logits = all_logits(model, tokens[:-1])
        tensors = twin.gpt(theirs, torch.tensor([tokens[:-1]]))[0]
        numbers = [[logit.data for logit in row] for row in logits]
        torch.testing.assert_close(torch.tensor(numbers).double(), tensors, rtol=0, atol=1e-6)
        for row, target in zip(logits, tokens[1:]):
            loss += cross_entropy(row, target)
        expected = expected + F.cross_entropy(tensors, torch.tensor(tokens[1:]), reduction="sum")
    loss.backward()
    expected.backward()
    for name, matrix in model.weights.items():
        grads = torch.tensor([[p.grad for p in row] for row in matrix], dtype=torch.float64)
        assert grads.abs().max() > 0, name
        torch.testing.assert_close(grads, theirs.weights[name].grad, rtol=1e-6, atol=1e-6, msg=name)


def test_gradients_of_the_whole_model_agree_with_finite_differences():
    tokens = [2, 0, 1, 1]
    model = large_model(SMALL, Tokenizer(["ab"]))
    model.weights = as_values(model.weights)

    def loss(model):
        logits = all_logits(model, tokens[:3])
        total = cross_entropy(logits[0], tokens[1])
        for row, target in zip(logits[1:], tokens[2:]):
            total = total + cross_entropy(row, target)
        return total

    loss(model).backward()
    for matrix in model.weights.values():
        p = max((p for row in matrix for p in row), key=lambda p: abs(p.grad))
        x, ends = p.data, []
        for step in (1e-5, -1e-5):
            p.data = x + step
            ends.append(loss(replace(model, weights=as_floats(model.weights))))
        p.data = x
        assert p.grad == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5)


def test_both_forms_train_alike_from_the_same_weights():
    """One document only, so that the twin's random batches of one leave no choice."""
    random.seed(7)
    config = replace(SMALL, steps=10, learning_rate=0.05)
    tokenizer = Tokenizer(["abca"])
    model = Model(config, main.init_weights(config, tokenizer.vocab_size), tokenizer)
    start = replace(model, weights=as_floats(model.weights))
    theirs = twin_of(start, steps=10, learning_rate=0.05, batch_size=1)
    xs, ys = twin.pad_docs(["ab"], tokenizer, config.block_size)  # one row
    ours = [loss for _, loss, _ in main.train(model, ["ab"])[0].curve]
    log, chars_seen = twin.train(theirs, {"train": (xs, ys), "val": (xs, ys)})
    assert ours == close([loss for _, loss, _ in log.curve[1:]])
    assert len(ours) == 10 and ours[-1] < ours[0] - 0.1
    assert chars_seen == 10 * 3


@pytest.mark.parametrize("changed", range(1, 6))
def test_a_change_of_a_future_character_leaves_earlier_logits_bit_for_bit_the_same(changed):
    model = large_model(replace(SMALL, block_size=6), Tokenizer(["abcd"]))
    tokens = [4, 0, 1, 2, 3, 0]
    other = [*tokens]
    other[changed] = 3 - tokens[changed]
    a, b = all_logits(model, tokens), all_logits(model, other)
    assert a[:changed] == b[:changed]
    assert all(x != y for x, y in zip(a[changed:], b[changed:]))
    theirs = twin_of(model, torch.float32)
    a, b = (twin.gpt(theirs, torch.tensor([t]))[0] for t in (tokens, other))
    assert torch.equal(a[:changed], b[:changed])
    assert ((a[changed:] - b[changed:]).abs().amax(1) > 1e-4).all()


def test_the_same_character_at_another_position_has_other_logits():
    first, second = all_logits(large_model(SMALL, Tokenizer(["abcd"])), [1, 1])
    assert first != second


# ---- the twin's parts that an ablation swaps -------------------------------------------------
XB = torch.tensor([[26, 3, 1, 4, 1, 5], [26, 9, 2, 6, 5, 3]])


def swapped(weights=None, **parts):
    """The twin's logits of XB with some parts swapped; weights: those that take another's place."""
    torch.manual_seed(0)
    drawn = {name: 5 * w.detach() for name, w in twin.init_weights(twin.Config(), 27).items()}
    model = twin.Model(twin.Config(), drawn | (weights or {}), Tokenizer(NAMES), **parts)
    return twin.gpt(model, XB)


@pytest.mark.parametrize("parts", [
    {"norm": lambda x: x}, {"activation": F.gelu}, {"residual": False},
])  # fmt: skip
def test_a_swapped_part_changes_the_logits_and_only_those_of_its_model(parts):
    before = swapped()
    assert (swapped(**parts) - before).abs().max() > 1e-3
    assert torch.equal(swapped(), before)


def test_the_parts_are_by_default_rmsnorm_relu_and_residuals():
    named = swapped(norm=twin.rmsnorm, activation=torch.relu, residual=True)
    assert torch.equal(named, swapped())


def test_without_residuals_a_silent_mlp_leaves_nothing():
    silent = {"layer0.mlp_fc2": torch.zeros(16, 64)}
    assert (swapped(silent, residual=False) == 0).all()
    assert (swapped(silent) != 0).all()


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
    """Run main() with 20 turns in training and evaluation; the loss of each step."""
    losses = []
    backward, log, steps = Value.backward, common.Log, common.Steps

    def noting(self):
        losses.append(self.data)
        backward(self)

    monkeypatch.setattr(Value, "backward", noting)
    monkeypatch.setattr(common, "Log", lambda n, **more: log(min(n, 20), **more))
    monkeypatch.setattr(common, "Steps", lambda n, what: steps(min(n, 20), what))
    run_main(main, *flags)
    return losses


def makemore():
    """All of makemore's names, if they can be had without a network."""
    try:
        return names.read_docs(ROOT / "data" / "makemore.txt")
    except common.BadInput:
        pytest.skip("no makemore.txt: run data/prepare.py makemore, or set ZERO_DATA_MIRROR")


def test_first_losses_of_the_published_run_agree_with_an_independent_computation(
    tmp_path, monkeypatch
):
    docs = makemore()
    assert len(docs) == 32033
    expected = independent_losses(docs, sorted(set("".join(docs))), 20)
    losses = first_losses_of_main(monkeypatch, "--published", f"--out={tmp_path}")
    assert losses == pytest.approx(expected, abs=1e-6)
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["variant"], result["dataset"]["name"]) == ("published", "makemore")
    assert (result["loss"]["val"], result["loss"]["test"]) == (None, None)


def test_first_losses_of_the_default_run_agree_with_an_independent_computation(
    tmp_path, monkeypatch
):
    docs = [doc for doc in NAMES if zlib.crc32(doc.encode()) % 10 < 8]
    expected = independent_losses(docs, sorted(set("".join(NAMES))), 20)
    losses = first_losses_of_main(monkeypatch, f"--out={tmp_path}")
    assert losses == pytest.approx(expected, abs=1e-6)


def test_num_steps_is_another_name_for_steps(few_names, tmp_path, capsys):
    """The flags of the published demo, as it spells them."""
    run_main(
        main, f"--data={few_names}", f"--out={tmp_path}", "--n_embd", 8, "--n_layer", 1,
        "--block_size", 8, "--num_steps", 12, "--n_head", 4, "--learning_rate", 1e-2, "--seed", 42,
    )  # fmt: skip
    out = capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["steps"], result["config"]["steps"]) == (12, 12)
    steps = [line.split("|")[0] for line in out.splitlines() if line.startswith("step")]
    assert steps == [f"step {step:2} / 12 " for step in range(1, 13)]
    assert [row[0] for row in result["curve"]] == [*range(1, 13), 12]
    assert result["curve"][-1] == [12, None, result["loss"]["val"]]


def test_the_log_looks_after_step_1_and_at_each_tenth(few_names, tmp_path, capsys):
    run_main(main, f"--data={few_names}", f"--out={tmp_path}", "--steps=50", "--n_embd=4")
    steps = [int(x.split()[1]) for x in capsys.readouterr().out.splitlines() if x[:4] == "step"]
    assert steps == [1, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]


def test_untrained_loss_is_about_log_27():
    tokenizer, config = Tokenizer(NAMES), Config(steps=1)
    random.seed(1)
    model = Model(config, main.init_weights(config, 27), tokenizer)
    log, _ = main.train(model, ["maximilian"])
    assert log.curve[0][1] == pytest.approx(math.log(27), abs=0.1)
    torch.manual_seed(1)
    xs, ys = twin.pad_docs(NAMES[:500], tokenizer, 16)
    theirs = twin.Model(twin.Config(), twin.init_weights(twin.Config(), 27), tokenizer)
    assert twin.evaluate(theirs, xs, ys) == pytest.approx(math.log(27), abs=0.1)


def test_one_name_can_be_overfitted():
    random.seed(1)
    config = Config(steps=60)
    tokenizer = Tokenizer(["emma"])
    model = Model(config, main.init_weights(config, tokenizer.vocab_size), tokenizer)
    main.train(model, ["emma"])
    model.weights = as_floats(model.weights)
    assert main.evaluate(model, ["emma"]) < 0.05
    assert [main.sample(model, temperature=0.01) for _ in range(5)] == ["emma"] * 5


def test_a_document_is_cut_like_the_rows_of_the_twin():
    tokenizer, docs = Tokenizer(["abc"]), ["abcbabc", "", "a", "abc", "ab"]
    for block_size in (1, 2, 3, 4, 7, 8, 16):
        xs, ys = twin.pad_docs(docs, tokenizer, block_size)
        pieces = main.cut(docs, tokenizer, block_size)
        lengths = (ys >= 0).sum(dim=1).tolist()
        assert [len(piece) - 1 for piece in pieces] == lengths
        assert [piece[:-1] for piece in pieces] == [x[:n] for x, n in zip(xs.tolist(), lengths)]
        assert [piece[1:] for piece in pieces] == [y[:n] for y, n in zip(ys.tolist(), lengths)]
    assert main.cut(["abc"], tokenizer, 3) == [[3, 0, 1, 2], [2, 3]]


def test_a_document_longer_than_block_size_is_trained_on_to_its_end(monkeypatch):
    random.seed(1)
    config = replace(SMALL, steps=4)
    model = Model(config, main.init_weights(config, 4), Tokenizer(["abcb"]))
    calls, gpt = [], main.gpt
    monkeypatch.setattr(main, "gpt", lambda *args: calls.append(args[1:3]) or gpt(*args))
    log, chars_seen = main.train(model, ["abcb", "a"])
    a, b, c, BOS = range(4)
    abcb = [(BOS, 0), (a, 1), (b, 2), (c, 0), (b, 1)]  # (token, position): the second piece is c, b
    assert calls == [*abcb, (BOS, 0), (a, 1), *abcb[:3]]
    assert (chars_seen, log.done) == (3 + 2 + 2 + 3, 4)


def test_the_end_of_long_documents_is_learned():
    random.seed(1)
    config, docs = replace(SMALL, steps=150, block_size=4, learning_rate=0.05), ["abcabcabc"]
    model = Model(config, main.init_weights(config, 4), Tokenizer(docs))
    main.train(model, docs)
    model.weights = as_floats(model.weights)
    assert main.evaluate(model, docs) < 0.7  # ln 4, for a guess, is 1.39


def test_the_twin_counts_targets_and_not_their_padding():
    tokenizer, config = Tokenizer(["a"]), twin.Config(steps=2, batch_size=3, n_embd=4, n_head=2)
    data = twin.pad_docs(["a"], tokenizer, config.block_size)
    model = twin.Model(config, twin.init_weights(config, tokenizer.vocab_size), tokenizer)
    _, chars_seen = twin.train(model, {"train": data, "val": data})
    assert chars_seen == 2 * 3 * 2  # steps, names, "a" and its end


def test_two_runs_with_one_seed_give_the_same_losses_and_another_seed_others():
    def losses(seed):
        random.seed(seed)
        config = replace(SMALL, steps=5)
        model = Model(config, main.init_weights(config, 27), Tokenizer(NAMES))
        return main.train(model, NAMES[:50])[0].curve

    def losses_of_twin(seed):
        torch.manual_seed(seed)
        config = twin.Config(steps=5, batch_size=4, n_embd=4, n_head=2)
        data = twin.pad_docs(NAMES[:50], Tokenizer(NAMES), config.block_size)
        model = twin.Model(config, twin.init_weights(config, 27), Tokenizer(NAMES))
        return twin.train(model, {"train": data, "val": data})[0].curve

    for f in (losses, losses_of_twin):
        assert f(3) == f(3) != f(4)


# ---- evaluation ------------------------------------------------------------------------------
def slow_evaluate(model, docs):
    """One document at a time, one piece of block_size after the other, nothing shared."""
    T, losses = model.config.block_size, []
    for doc in docs:
        tokens = model.tokenizer.encode(doc)
        for i in range(len(tokens) - 1):
            logits = all_logits(model, tokens[i - i % T : i + 1])[-1]
            losses.append(cross_entropy(logits, tokens[i + 1]))
    return math.fsum(losses) / len(losses)


documents = st.lists(st.text("abc", min_size=1, max_size=8), min_size=1, max_size=8)


@few
@given(documents, st.integers(1, 4))
def test_the_walk_of_the_trie_equals_one_document_at_a_time(docs, block_size):
    config = replace(SMALL, block_size=block_size, n_layer=1)
    model = large_model(config, Tokenizer(["abc"]))
    expected = slow_evaluate(model, docs)
    assert main.evaluate(model, docs) == pytest.approx(expected, abs=1e-12)


def test_the_trie_by_hand():
    """BOS is 4. "eve" needs two pieces of block_size 3, and the second one starts over."""
    trie = main.build_trie(["ema", "eve", "ema"], Tokenizer(["aemv"]), 3)
    a, e, m, v, BOS = range(5)
    assert trie == {
        (BOS,): {e: 3}, (BOS, e): {m: 2, v: 1}, (BOS, e, m): {a: 2}, (BOS, e, v): {e: 1},
        (a,): {BOS: 2}, (e,): {BOS: 1},
    }  # fmt: skip


def test_the_walk_computes_each_beginning_once(monkeypatch):
    model = large_model(replace(SMALL, block_size=16, n_layer=1), Tokenizer(NAMES))
    docs = ["emma", "emil", "emma", "ann", "em"]
    calls, gpt = [], main.gpt
    monkeypatch.setattr(main, "gpt", lambda *args: calls.append(args) or gpt(*args))
    main.evaluate(model, docs)
    beginnings = {doc[:i] for doc in docs for i in range(len(doc) + 1)}
    assert len(calls) == len(beginnings) == 10


@pytest.mark.parametrize("dtype, atol", [(torch.float64, 1e-6), (torch.float32, 1e-5)])
def test_evaluate_equals_the_twins(dtype, atol):
    model = large_model(replace(SMALL, block_size=5), Tokenizer(NAMES))  # many names are longer
    docs = NAMES[:300]
    data = twin.pad_docs(docs, model.tokenizer, model.config.block_size)
    theirs = twin.evaluate(twin_of(model, dtype), *data)
    assert main.evaluate(model, docs) == pytest.approx(theirs, abs=atol)


@pytest.mark.parametrize("V, block_size, most", [(27, 16, 1024), (10_001, 4, 419), (5, 1024, 4)])
def test_the_parts_of_the_twin_have_a_bounded_size(V, block_size, most, monkeypatch):
    """Logits and attention weights of a part are at most 16 million numbers."""
    config = twin.Config(block_size=block_size, n_embd=4, n_head=4)
    model = twin.Model(config, twin.init_weights(config, V), None)
    rows = []

    def gpt(model, xb):
        rows.append(len(xb))
        return torch.zeros(1, 1, V).expand(*xb.shape, V)

    monkeypatch.setattr(twin, "gpt", gpt)
    monkeypatch.setattr(twin.F, "cross_entropy", lambda *_, **__: torch.tensor(1.0))
    N = 2 * most + 1
    xs, ys = torch.zeros(2, N, block_size, dtype=torch.long)
    twin.evaluate(model, xs, ys)
    assert rows == [most, most, 1]


def test_evaluate_of_the_twin_scores_every_row_of_more_than_one_part():
    """1,024 rows are scored at a time; the mean must not depend on where they are cut."""
    tokenizer = Tokenizer(NAMES)
    torch.manual_seed(0)
    weights = {n: 10 * w.detach() for n, w in twin.init_weights(twin.Config(), 27).items()}
    model = twin.Model(twin.Config(), weights, tokenizer)
    xs, ys = twin.pad_docs(NAMES[:1500], tokenizer, 16)
    log_probs = twin.gpt(model, xs).double().log_softmax(2)
    scored = ys >= 0
    expected = -log_probs[scored, ys[scored]].mean().item()
    assert twin.evaluate(model, xs, ys) == pytest.approx(expected, abs=1e-5)


def test_evaluate_knows_no_loss_of_no_documents():
    assert main.evaluate(large_model(SMALL, Tokenizer(["abc"])), []) is None


def test_evaluate_knows_no_loss_after_a_stop(monkeypatch, capsys):
    model, gpt = large_model(SMALL, Tokenizer(["abc"])), main.gpt
    calls = itertools.count()

    def stopping(*args):
        if next(calls) == 1:
            common.stop.training_began = True
            common.stop(None, None)
        return gpt(*args)

    monkeypatch.setattr(common, "stop", common.Stop())
    monkeypatch.setattr(main, "gpt", stopping)
    assert main.evaluate(model, ["abc", "bca", "cab"]) is None
    assert next(calls) == 2
    assert "stopping" in capsys.readouterr().err
    assert main.evaluate(model, ["abc"]) is not None  # the stop does not last


def test_pad_docs_by_hand():
    """BOS is 2; "abb" with its end has four targets, and block_size 3 takes three of them."""
    xs, ys = twin.pad_docs(["abb", "b"], Tokenizer(["ab"]), 3)
    assert xs.tolist() == [[2, 0, 1], [1, 2, 2], [2, 1, 2]]
    assert ys.tolist() == [[0, 1, 1], [2, -1, -1], [1, 2, -1]]


# ---- what every model offers -----------------------------------------------------------------
@pytest.fixture(scope="module", params=["main", "twin"])
def trained(request, few_names, tmp_path_factory):
    """main.py or its twin, a short run of it, and the folder that it wrote to."""
    module, out = {"main": main, "twin": twin}[request.param], tmp_path_factory.mktemp("out")
    flags = ["--steps=30", "--block_size=6", "--n_layer=2", "--n_embd=8", "--n_head=2"]
    run_main(module, f"--data={few_names}", f"--out={out}", *flags)
    return module, module.load(out), out


def evaluated(module, model, docs):
    """The loss of some documents, by the module's own evaluate()."""
    if module is main:
        return main.evaluate(model, docs)
    return twin.evaluate(model, *twin.pad_docs(docs, model.tokenizer, model.config.block_size))


def test_load_gives_back_what_was_saved(trained, few_names):
    module, model, out = trained
    result = json.loads((out / "result.json").read_text())
    assert common.settings(model.config) == result["config"]
    assert model.tokenizer.chars == Tokenizer(NAMES[:300]).chars
    for split, docs in names.load_splits(few_names).items():
        assert evaluated(module, model, docs) == result["loss"][split]
    files = {"result.json", "model.json" if module is main else "model.pt"}
    assert {path.name for path in out.iterdir()} == files


def test_the_model_file_needs_nothing_else(trained, tmp_path):
    module, model, out = trained
    name = "model.json" if module is main else "model.pt"
    (tmp_path / name).write_bytes((out / name).read_bytes())
    assert module.log_probs(module.load(tmp_path), "emma") == module.log_probs(model, "emma")
    saved = json.loads((out / name).read_text()) if module is main else torch.load(out / name)
    assert list(saved) == ["config", "chars", "weights", "earlier"]
    assert saved["chars"] == model.tokenizer.chars
    shapes = expected_shapes(model.tokenizer.vocab_size, T=6, C=8, n_layer=2)
    assert {n: tuple(torch.as_tensor(w).shape) for n, w in saved["weights"].items()} == shapes


def test_the_weights_on_the_way_of_main_give_the_losses_of_its_training(few_names, tmp_path):
    """The loss of a step is that of the weights before it, on the name of that step."""
    losses, backward = [], Value.backward
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Value, "backward", lambda v: losses.append(v.data) or backward(v))
        run_main(main, f"--data={few_names}", "--steps=31", f"--out={tmp_path}")
    kept = json.loads((tmp_path / "result.json").read_text())["kept_steps"]
    assert kept == [0, 1, 3, 10, 30]
    docs = names.load_splits(few_names)["train"]
    random.seed(Config.seed)
    random.shuffle(docs)
    for step in kept:
        assert main.evaluate(main.load(tmp_path, step), [docs[step]]) == pytest.approx(losses[step])


def test_the_weights_on_the_way_of_the_twin_are_those_of_its_curve(few_names, tmp_path):
    run_main(twin, f"--data={few_names}", "--steps=100", "--batch-size=8", f"--out={tmp_path}")
    result = json.loads((tmp_path / "result.json").read_text())
    curve = {step: val for step, _, val in result["curve"] if step in result["kept_steps"]}
    assert result["kept_steps"] == [0, 1, 3, 10, 30] and list(curve) == [0, 10, 30]
    val = names.load_splits(few_names)["val"]
    for step, loss in curve.items():
        assert evaluated(twin, twin.load(tmp_path, step), val) == pytest.approx(loss)


@pytest.mark.parametrize("module", [main, twin])
def test_a_model_file_without_earlier_weights_still_loads(module, few_names, tmp_path):
    run_main(module, f"--data={few_names}", f"--out={tmp_path}", "--steps=2", "--n_embd=4")
    path = tmp_path / ("model.json" if module is main else "model.pt")
    saved = json.loads(path.read_text()) if module is main else torch.load(path)
    del saved["earlier"]
    path.write_text(json.dumps(saved)) if module is main else torch.save(saved, path)
    assert module.log_probs(module.load(tmp_path), "emma")
    with pytest.raises(KeyError):
        module.load(tmp_path, 1)


@pytest.mark.parametrize("module", [main, twin])
def test_a_missing_model_is_an_oserror(module, tmp_path):
    with pytest.raises(OSError):
        module.load(tmp_path)


@pytest.mark.parametrize("module", [main, twin])
def test_an_earlier_model_stays_until_a_run_has_its_result(module, few_names, tmp_path):
    flags = [f"--data={few_names}", f"--out={tmp_path}", "--n_embd=4"]
    run_main(module, *flags, "--steps=2")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "sample", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_main(module, *flags, "--steps=3")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("text", ["", "a", "emma", "annabellalouisa"])
def test_log_probs_have_a_row_for_each_place_and_each_adds_up_to_1(trained, text):
    module, model, _ = trained
    found = module.log_probs(model, text)
    assert len(found) == len(text) + 1
    assert all(isinstance(x, float) for row in found for x in row)
    for row in found:
        assert len(row) == model.tokenizer.vocab_size
        assert math.fsum(map(math.exp, row)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("docs", [["emma"], ["annabellalouisa"], NAMES[:40]])
def test_log_probs_agree_with_evaluate(trained, docs):
    """Also for names longer than block_size, which are read in pieces that start over."""
    module, model, _ = trained
    losses = []
    for doc in docs:
        targets = model.tokenizer.encode(doc)[1:]
        losses += [-row[y] for row, y in zip(module.log_probs(model, doc), targets, strict=True)]
    expected = evaluated(module, model, docs)
    assert math.fsum(losses) / len(losses) == pytest.approx(expected, abs=1e-6)


def test_a_row_of_log_probs_depends_on_the_characters_of_its_piece_only(trained):
    """block_size is 6: BOS and 5 letters, then 6 letters, and so on."""
    module, model, _ = trained
    one, other = (module.log_probs(model, text) for text in ("annab" "ellalo", "ezras" "ellalo"))
    for i, (a, b) in enumerate(zip(one, other)):
        same = i == 0 or i >= 6
        assert (a == pytest.approx(b, abs=1e-6)) == same, i


def test_log_probs_of_both_forms_agree():
    model = large_model(replace(SMALL, block_size=5), Tokenizer(NAMES))
    theirs = twin.log_probs(twin_of(model), "annabella")
    for ours, row in zip(main.log_probs(model, "annabella"), theirs, strict=True):
        assert ours == close(row)


def test_log_probs_of_an_unknown_character_is_a_keyerror(trained):
    module, model, _ = trained
    with pytest.raises(KeyError, match="é"):
        module.log_probs(model, "zoé")


@pytest.mark.parametrize("text", ["", "emma", "annabellalouisa"])
def test_attention_weights_are_causal_and_their_rows_add_up_to_1(trained, text):
    module, model, _ = trained
    found = torch.tensor(module.attention_weights(model, text), dtype=torch.float64)
    T = min(len(text) + 1, 6)  # BOS and the letters, but no more than block_size
    assert found.shape == (2, 2, T, T)
    assert (found.sum(-1) - 1).abs().max() < 1e-6
    assert (found.tril() > 0).sum() == 2 * 2 * T * (T + 1) / 2
    assert (found.triu(1) == 0).all()


def test_attention_weights_of_both_forms_agree_and_are_those_of_the_logits():
    model = large_model(replace(SMALL, block_size=8), Tokenizer(NAMES))
    ours = torch.tensor(main.attention_weights(model, "emma"), dtype=torch.float64)
    theirs = torch.tensor(twin.attention_weights(twin_of(model), "emma"), dtype=torch.float64)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    assert (ours[0, 0] - ours[0, 1]).abs().max() > 1e-3  # heads differ
    # In the first layer they are the softmax of q @ k over the root of head_dim, which is 2.
    w = twin_of(model).weights
    x = w["wte"][model.tokenizer.encode("emma")[:-1]] + w["wpe"][:5]
    x = twin.rmsnorm(twin.rmsnorm(x))
    q, k = (x @ w[f"layer0.attn_{name}"].T for name in ("wq", "wk"))
    scores = (q[:, :2] @ k[:, :2].T) / 2**0.5
    future = torch.ones(5, 5).triu(1).bool()
    expected = scores.masked_fill(future, -math.inf).softmax(-1)
    torch.testing.assert_close(ours[0, 0], expected, rtol=0, atol=1e-9)


def test_asking_for_attention_weights_changes_no_logits():
    model = large_model(SMALL, Tokenizer(["abcd"]))
    cache, attentions = main.empty_cache(model.config), []
    logits = main.gpt(model, 4, 0, cache, attentions)
    assert logits == all_logits(model, [4])[0] and attentions == [[[1.0], [1.0]]] * 2
    theirs, tensors = twin_of(model), []
    logits = twin.gpt(theirs, torch.tensor([[4, 1]]), attentions=tensors)
    assert torch.equal(logits, twin.gpt(theirs, torch.tensor([[4, 1]])))
    assert [tuple(att.shape) for att in tensors] == [(1, 2, 2, 2)] * 2


# ---- samples ---------------------------------------------------------------------------------
def draw(module, number, config, tokenizer, temperature):
    """Names from a model whose logits never change: at temperature 1, P(k) grows as k + 1."""
    logits = [math.log(k + 1) for k in range(tokenizer.vocab_size)]
    random.seed(5)
    torch.manual_seed(5)
    model = module.Model(config, {}, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        if module is main:
            patch.setattr(main, "gpt", lambda *_: logits)
        else:
            patch.setattr(twin, "gpt", lambda *_: torch.tensor([[logits]]))
        return [module.sample(model, temperature) for _ in range(number)]


@pytest.mark.parametrize("module", [main, twin])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_temperature_divides_the_logits(module, temperature):
    """Of a, b, c and BOS a name begins with c, or is over at once, in these shares."""
    config = module.Config(block_size=1)
    counts = Counter(draw(module, 3000, config, Tokenizer(["abc"]), temperature))
    shares = [k ** (1 / temperature) for k in (1, 2, 3, 4)]
    for name, share in zip(["a", "b", "c", ""], shares):
        assert counts[name] / 3000 == pytest.approx(share / sum(shares), abs=0.04)


@pytest.mark.parametrize("module", [main, twin])
def test_samples_are_of_block_size_characters_at_most(module):
    config = module.Config(block_size=3)
    # All but uniform, so one in four ends.
    lengths = Counter(map(len, draw(module, 300, config, Tokenizer(["abc"]), temperature=100)))
    assert set(lengths) == {0, 1, 2, 3}


def test_a_tiny_temperature_gives_the_greedy_name():
    config = Config(n_embd=4, n_head=2, block_size=8)
    tokenizer = Tokenizer(NAMES)
    for seed in range(5):
        model = large_model(config, tokenizer, seed)
        tokens = [26]
        while len(tokens) <= 8:
            logits = all_logits(model, tokens)[-1]
            tokens.append(logits.index(max(logits)))
            if tokens[-1] == 26:
                break
        expected = tokenizer.decode(token for token in tokens if token != 26)
        assert main.sample(model, temperature=0.01) == expected
        assert twin.sample(twin_of(model), temperature=0.01) == expected


@pytest.mark.parametrize("module", [main, twin])
def test_a_run_draws_at_temperature_1_and_at_that_of_its_flag(module, few_names, tmp_path, capsys):
    seen = []

    def sample(model, temperature=1.0):
        seen.append(temperature)
        return "x" if temperature == 1 else "y"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "sample", sample)
        run_main(
            module, f"--data={few_names}", f"--out={tmp_path}", "--steps=0", "--temperature=0.7"
        )
    assert seen == [0.7] * 20 + [1.0] * 20
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["samples"] == ["x"] * 20 and result["samples_at_temperature"] == ["y"] * 20
    printed = capsys.readouterr().out
    assert f"\nsamples: {', '.join(['x'] * 10)} | new: 10 of 10\n" in printed
    assert f"\nsamples at temperature 0.7: {', '.join(['y'] * 10)} | new: 10 of 10\n" in printed


def test_the_published_run_prints_its_samples_as_published(few_names, tmp_path, capsys):
    """At one temperature, and unmarked. few_names takes the place of makemore's names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "ROOT", tmp_path)
        (tmp_path / "data").mkdir()
        (tmp_path / "data/makemore.txt").write_bytes(few_names.read_bytes())
        patch.setattr(main, "sample", lambda model, temperature=1.0: f"at {temperature}")
        run_main(main, "--published", f"--out={tmp_path}", "--steps=0")
    assert f"\nsamples: {', '.join(['at 0.5'] * 10)}\n" in capsys.readouterr().out
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["samples"] == ["at 0.5"] * 20


def test_the_lesson_counts_the_samples_that_are_in_train():
    """Of the reference runs, ten at temperature 0.5: six of the twin's, four of main.py's."""
    train = set(names.load_splits(ROOT / "data/names.txt")["train"])
    for folder, number in (("05_microgpt/twin", 6), ("05_microgpt", 4)):
        text = (ROOT / "results" / folder / "result.json").read_text(encoding="utf-8")
        drawn = json.loads(text)["samples_at_temperature"][:10]
        assert sum(name in train for name in drawn) == number


# ---- whole runs ------------------------------------------------------------------------------
@pytest.mark.parametrize("module", [main, twin])
@pytest.mark.parametrize("flags, problem", [
    (["--n_embd=10"], "--n-embd 10 is not a multiple of --n-head 4"),
    (["--temperature=0"], "--temperature 0.0 is out of range"),
    (["--n-layer=0"], "--n-layer 0 is out of range"),
    (["--twin"], "unrecognized arguments: --twin"),
])  # fmt: skip
def test_bad_flags_cost_one_line(module, flags, problem, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        run_main(module, f"--out={tmp_path}", *flags)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert problem in err and err.count("\n") == 1


@pytest.mark.slow
def test_published_run_ends_with_the_published_loss_and_samples(tmp_path):
    makemore()
    done = subprocess.run(
        [sys.executable, FOLDER / "main.py", "--published", "--out", tmp_path],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "num docs: 32,033\nnum params: 4,192\n" in done.stdout
    assert "step 1,000 / 1,000 | loss 2.6497\n" in done.stdout
    assert "samples: kamon, ann, karai, jaire, vialan," in done.stdout


@pytest.mark.slow
def test_default_run_and_its_twin_reach_their_losses(tmp_path):
    for file, folder, steps, highest in (
        ("main.py", tmp_path, 1000, 2.37), ("torch_twin.py", tmp_path / "twin", 1500, 2.125),
    ):  # fmt: skip
        assert subprocess.run([sys.executable, FOLDER / file, "--out", folder]).returncode == 0
        result = json.loads((folder / "result.json").read_text())
        assert (result["params"], result["steps"]) == (4192, steps)
        assert result["loss"]["val"] <= highest
        assert len(result["samples"]) == 20


@pytest.mark.slow
def test_preset_best_reaches_its_loss(tmp_path):
    command = [sys.executable, FOLDER / "torch_twin.py", "--preset", "best", "--out", tmp_path]
    assert subprocess.run(command).returncode == 0
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert (result["params"], result["variant"]) == (201088, "best")
    assert result["loss"]["val"] <= 1.97
