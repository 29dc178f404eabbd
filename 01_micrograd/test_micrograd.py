"""The engine and its network against PyTorch, finite differences and numbers worked out by hand."""

import gc
import itertools
import math
import random
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine import Value
from main import Config, evaluate, load_lines, make_moons, parse_points, point_loss, train
from nn import MLP, Layer, Neuron
from plumbing import SPLITS, BadInput

HERE = Path(__file__).resolve().parent

# Each operation, and where it is defined and far enough from a kink or a pole to be differenced.
OPERATIONS = {
    "a + b": lambda a, b: True,
    "a - b": lambda a, b: True,
    "a * b": lambda a, b: True,
    "a / b": lambda a, b: abs(b) > 0.1,
    "a ** b": lambda a, b: a > 0.1,
    "a + 2": lambda a, b: True,
    "2 + a": lambda a, b: True,
    "a - 2": lambda a, b: True,
    "2 - a": lambda a, b: True,
    "a * 2": lambda a, b: True,
    "2 * a": lambda a, b: True,
    "a / 2": lambda a, b: True,
    "2 / a": lambda a, b: abs(a) > 0.1,
    "2 ** a": lambda a, b: True,
    "a ** 0": lambda a, b: True,
    "a ** 1": lambda a, b: True,
    "a ** 2": lambda a, b: True,
    "a ** 3": lambda a, b: True,
    "a ** -1": lambda a, b: abs(a) > 0.1,
    "a ** -2.0": lambda a, b: abs(a) > 0.1,
    "a ** 0.5": lambda a, b: a > 0.1,
    "a ** -1.5": lambda a, b: a > 0.1,
    "-a": lambda a, b: True,
    "a.exp()": lambda a, b: True,
    "a.log()": lambda a, b: a > 0.1,
    "a.tanh()": lambda a, b: True,
    "a.relu()": lambda a, b: abs(a) > 0.01,
}
CODE = {text: compile(text, text, "eval") for text in OPERATIONS}


def apply(text, a, b):
    return eval(CODE[text], {"a": a, "b": b})


def calculate(leaves, steps):
    """Every number on the way, the leaves first; each step uses any two of those before it."""
    nodes = list(leaves)
    for text, i, j in steps:
        nodes.append(apply(text, nodes[i], nodes[j]))
    return nodes


@st.composite
def expressions(draw):
    """Leaves and steps whose numbers stay below 20. PyTorch alone decides what is allowed."""
    leaves = draw(st.lists(st.floats(-3, 3), min_size=2, max_size=4))
    nodes, steps = [torch.tensor(x, dtype=torch.float64) for x in leaves], []
    for _ in range(draw(st.integers(1, 12))):
        text = draw(st.sampled_from(sorted(OPERATIONS)))
        i, j = (draw(st.integers(0, len(nodes) - 1)) for _ in "ab")
        a, b = nodes[i], nodes[j]
        if not OPERATIONS[text](a, b) or not apply(text, a, b).abs() < 20:
            text = "a.tanh()"
        steps.append((text, i, j))
        nodes.append(apply(text, a, b))
    return leaves, steps


def with_torch(leaves, steps):
    """The sum of all nodes, so that none is idle, and its gradient in float64."""
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in leaves]
    total = sum(calculate(tensors, steps))
    return total.item(), [grad.item() for grad in torch.autograd.grad(total, tensors)]


def with_values(leaves, steps):
    values = [Value(x) for x in leaves]
    nodes = calculate(values, steps)
    total = sum(nodes)
    total.backward()
    # Where a gradient on the way is huge, float64 itself has no nine digits after the point.
    assume(all(abs(node.grad) < 1e4 for node in nodes))
    return total.data, [value.grad for value in values]


def differences(f, x, width):
    """Central finite differences of f at the point x, one for each coordinate."""
    slopes = []
    for i in range(len(x)):
        high, low = ([*x[:i], x[i] + side, *x[i + 1 :]] for side in (width, -width))
        slopes.append((f(high) - f(low)) / (2 * width))
    return slopes


# ---- every operation -------------------------------------------------------------------------
POINTS = list(itertools.product([-2.2, 0.3, 1.9], [-1.7, 0.4, 2.3]))


@pytest.mark.parametrize(
    "text, a, b", [(text, *p) for text, allows in OPERATIONS.items() for p in POINTS if allows(*p)]
)
def test_operation_equals_pytorch_and_finite_differences(text, a, b):
    x, y = Value(a), Value(b)
    result = apply(text, x, y)
    result.backward()

    s, t = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a, b))
    expected = apply(text, s, t)
    grads = torch.autograd.grad(expected, (s, t), allow_unused=True, materialize_grads=True)
    assert result.data == pytest.approx(expected.item(), rel=1e-12, abs=1e-12)
    assert [x.grad, y.grad] == pytest.approx([grad.item() for grad in grads], rel=1e-9, abs=1e-9)

    slopes = differences(lambda p: apply(text, Value(p[0]), Value(p[1])).data, [a, b], 1e-5)
    assert [x.grad, y.grad] == pytest.approx(slopes, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=300)
@given(expressions())
def test_random_expression_equals_pytorch(expression):
    value, grads = with_values(*expression)
    expected_value, expected_grads = with_torch(*expression)
    assert value == pytest.approx(expected_value, rel=1e-9, abs=1e-9)
    assert grads == pytest.approx(expected_grads, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=150)
@given(expressions())
def test_random_expression_equals_finite_differences(expression):
    leaves, steps = expression
    try:
        wide, narrow = (
            differences(lambda x: sum(calculate(map(Value, x), steps)).data, leaves, width)
            for width in (2e-5, 1e-5)
        )
    except ValueError:  # a step to the side left the domain
        assume(False)
    # Two widths that disagree say that the differences are not to be trusted here, a kink or so.
    assume(wide == pytest.approx(narrow, rel=1e-5, abs=1e-5))
    assert with_values(leaves, steps)[1] == pytest.approx(narrow, rel=1e-4, abs=1e-4)


def test_published_micrograd_example():
    """From the README of micrograd."""
    a = Value(-4.0)
    b = Value(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f}" == "138.8338"
    assert f"{b.grad:.4f}" == "645.5773"


# ---- the edges of the domain -----------------------------------------------------------------
@pytest.mark.parametrize("x", [0.0, -0.0, 1000.0, -1000.0, 1e308, -1e308, math.inf, -math.inf])
@pytest.mark.parametrize("text", ["a.tanh()", "a.exp()", "a.relu()"])
def test_huge_inputs_give_what_pytorch_gives(text, x):
    v = Value(x)
    result = apply(text, v, None)
    result.backward()
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = apply(text, t, None)
    expected.backward()
    assert (result.data, v.grad) == (expected.item(), t.grad.item())


@pytest.mark.parametrize("power", [0, 1, 2, 3.0])
@pytest.mark.parametrize("base", [0.0, -1.5])
def test_whole_powers_of_zero_and_below(base, power):
    v = Value(base)
    result = v**power
    result.backward()
    t = torch.tensor(base, dtype=torch.float64, requires_grad=True)
    expected = t**power
    expected.backward()
    assert (result.data, v.grad) == (expected.item(), t.grad.item())


@pytest.mark.parametrize("x", [0.0, -0.0, -1.5, -math.inf])
def test_log_of_zero_and_below_names_the_value(x):
    with pytest.raises(ValueError, match=f"log of {x}"):
        Value(x).log()


def test_fractional_power_of_a_negative_base_names_the_values():
    with pytest.raises(ValueError, match=r"-8\.0 \*\* 0\.25"):
        Value(-8.0) ** 0.25
    with pytest.raises(ValueError, match=r"-8\.0 \*\* 0\.25"):
        Value(-8.0) ** Value(0.25)


@pytest.mark.parametrize("base", [0.0, -2.0])
def test_an_exponent_has_no_slope_where_its_base_is_not_positive(base):
    with pytest.raises(ValueError, match=rf"{base} \*\* Value\(2\.0\)"):
        Value(base) ** Value(2.0)
    with pytest.raises(ValueError, match=rf"{base} \*\* Value\(2\.0\)"):
        base ** Value(2.0)


def test_repr_shows_data_and_grad():
    v = Value(1.5)
    (v * 2).backward()
    assert repr(v) == "Value(data=1.5000, grad=2.0000)"


# ---- the chain rule --------------------------------------------------------------------------
def test_a_node_used_twice_gets_both_gradients():
    x = Value(3.0)
    (x + x).backward()
    assert x.grad == 2
    y = Value(3.0)
    (y * y).backward()
    assert y.grad == 6


def test_a_node_hands_its_gradient_on_only_when_it_has_all_of_it():
    """b is reached over a short way and a long one; 2x at once would give a wrong sum."""
    x = Value(2.0)
    b = x * x
    long_way = b.tanh() * 1 * 1 * 1
    (b + long_way).backward()
    assert x.grad == pytest.approx(4 * (1 + 1 - math.tanh(4) ** 2), rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(expressions(), st.integers(2, 3))
def test_backward_again_adds_the_same_to_the_leaves_as_retain_graph_does(expression, times):
    leaves, steps = expression
    values = [Value(x) for x in leaves]
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in leaves]
    total, expected = sum(calculate(values, steps)), sum(calculate(tensors, steps))
    for _ in range(times):
        total.backward()
        expected.backward(retain_graph=True)
    grads = [t.grad.item() for t in tensors]
    assume(all(abs(grad) < 1e4 for grad in grads))
    assert [v.grad for v in values] == pytest.approx(grads, rel=1e-9, abs=1e-9)


def test_the_nodes_in_between_show_the_last_backward():
    x = Value(2.0)
    middle = x * 3
    total = middle * middle
    for _ in range(3):
        total.backward()
    assert (middle.grad, total.grad) == (12, 1)
    assert x.grad == 3 * 36


def test_two_results_add_to_a_leaf_and_pass_through_a_node_they_share():
    x = Value(2.0)
    shared = x * x  # d/dx is 4
    first, second = shared * 5, shared + x
    first.backward()
    assert x.grad == 20
    second.backward()
    assert x.grad == 20 + 5
    assert shared.grad == 1


def test_backward_on_a_leaf_adds_1_to_its_own_grad():
    x = Value(2.0)
    (x * 3).backward()
    x.backward()
    assert x.grad == 3 + 1


def test_backward_leaves_what_the_result_was_not_computed_from():
    x, bystander = Value(2.0), Value(3.0)
    bystander_result = bystander * x
    (x * 7).backward()
    assert (x.grad, bystander.grad, bystander_result.grad) == (7, 0, 0)


def test_a_chain_of_100_000_nodes_overflows_no_stack():
    """In another process, as an overflow while the chain is freed would end this one."""
    code = """
from engine import Value
x = y = Value(1.0)
for _ in range(100_000):
    y = y + x
y.backward()
assert (y.data, x.grad) == (100_001, 100_001), (y.data, x.grad)
del y
print("freed")
"""
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=HERE, capture_output=True, text=True, timeout=60
    )
    assert process.stdout == "freed\n", process.stderr[-500:]
    assert process.returncode == 0


def test_a_graph_with_more_paths_than_atoms_is_walked_once_per_node():
    x = y = Value(1.0)
    for _ in range(300):
        y = y + y
    y.backward()
    assert x.grad == 2.0**300


# ---- neurons, layers, networks ---------------------------------------------------------------
@pytest.mark.parametrize(
    "sizes, count", [([2, 8, 8, 1], 105), ([2, 1], 3), ([1, 1, 1], 4), ([3, 5, 2], 32)]
)
def test_parameter_counts(sizes, count):
    parameters = MLP(sizes).parameters()
    assert len(parameters) == count == sum((i + 1) * o for i, o in zip(sizes, sizes[1:]))
    assert len(set(parameters)) == count  # no Value stands twice
    assert len(Neuron(sizes[0]).parameters()) == sizes[0] + 1
    assert len(Layer(*sizes[:2]).parameters()) == (sizes[0] + 1) * sizes[1]


def test_a_neuron_worked_out_by_hand():
    neuron = Neuron(2)
    for p, data in zip(neuron.parameters(), (0.5, -2.0, 0.25)):
        p.data = data
    assert neuron([3.0, 1.0]).data == pytest.approx(math.tanh(0.5 * 3 - 2 + 0.25), rel=1e-15)
    neuron.linear = True
    assert neuron([3.0, 1.0]).data == -0.25


def test_weights_spread_by_one_over_the_root_of_the_inputs():
    random.seed(1)
    for n_in in (1, 100):
        weights = [w.data for neuron in Layer(n_in, 4000 // n_in).neurons for w in neuron.w]
        spread = (sum(w * w for w in weights) / len(weights)) ** 0.5
        assert spread == pytest.approx(n_in**-0.5, rel=0.05)
        assert all(p.data == 0 for p in [neuron.b for neuron in Layer(n_in, 3).neurons])


def as_torch(model, sizes):
    """The same network in PyTorch, with the same numbers, in float64."""
    modules = []
    for layer, n_in, n_out in zip(model.layers, sizes, sizes[1:]):
        linear = torch.nn.Linear(n_in, n_out).double()
        weight = [[w.data for w in neuron.w] for neuron in layer.neurons]
        bias = [neuron.b.data for neuron in layer.neurons]
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(weight, dtype=torch.float64))
            linear.bias.copy_(torch.tensor(bias, dtype=torch.float64))
        modules += [linear, torch.nn.Tanh()]
    return torch.nn.Sequential(*modules[:-1])


def by_neuron(tensors):
    """Weights and biases of PyTorch's layers in the order of MLP.parameters()."""
    rows = [torch.cat([w, b[:, None]], dim=1) for w, b in zip(tensors[::2], tensors[1::2])]
    return torch.cat([row.flatten() for row in rows]).tolist()


def two_networks(sizes):
    """An MLP with random weights and biases, and the same network in PyTorch."""
    model = MLP(sizes)
    for p in model.parameters():
        p.data = random.gauss(0, 1)
    return model, as_torch(model, sizes)


@pytest.mark.parametrize("sizes", [[2, 8, 8, 1], [3, 4, 2], [2, 1]])
def test_network_equals_pytorch(sizes):
    random.seed(3)
    model, reference = two_networks(sizes)
    x = [random.gauss(0, 1) for _ in range(sizes[0])]
    inputs = [Value(xi) for xi in x]
    outputs = model(inputs)
    sum(i * output for i, output in enumerate(outputs, 1)).backward()

    xt = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    expected = reference(xt)
    (expected * torch.arange(1, sizes[-1] + 1)).sum().backward()
    assert [o.data for o in outputs] == pytest.approx(expected.tolist(), rel=1e-9, abs=1e-9)
    grads = by_neuron([p.grad for p in reference.parameters()])
    assert [p.grad for p in model.parameters()] == pytest.approx(grads, rel=1e-9, abs=1e-9)
    assert [v.grad for v in inputs] == pytest.approx(xt.grad.tolist(), rel=1e-9, abs=1e-9)


# ---- data ------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [2, 3, 100, 101])
def test_moons_are_balanced(n):
    labels = [label for _, label in parse_points(make_moons(n, 0.1), "moons")]
    assert len(labels) == n
    assert (labels.count(1), labels.count(-1)) == (n // 2, n - n // 2)


def test_moons_repeat_with_the_seed():
    def seeded(seed):
        random.seed(seed)
        return make_moons(20, 0.1)

    assert seeded(1) == seeded(1)
    assert seeded(1) != seeded(2)


def test_moons_are_half_circles_with_noise_around_them():
    random.seed(5)
    for (x, y), label in parse_points(make_moons(200, 0), "moons"):
        centre_x, centre_y = (1, 0.5) if label == 1 else (0, 0)
        assert math.hypot(x - centre_x, y - centre_y) == pytest.approx(1, abs=1e-5)
        assert y <= 0.5 if label == 1 else y >= 0
    off = [
        math.hypot(x - (label == 1), y - (label == 1) / 2) - 1
        for (x, y), label in parse_points(make_moons(4000, 0.1), "moons")
    ]
    assert (sum(d * d for d in off) / len(off)) ** 0.5 == pytest.approx(0.1, rel=0.1)


def test_parse_points():
    lines = ["1 2 -1", "-0.5\t1e-3   1", "0 0 1.0"]
    expected = [((1.0, 2.0), -1), ((-0.5, 0.001), 1), ((0.0, 0.0), 1)]
    assert parse_points(lines, "points.txt") == expected


@pytest.mark.parametrize(
    "line", ["1 2", "1 2 3", "1 2 0", "1 2 -1 1", "x 2 1", "nan 2 1", "1 inf 1"]
)
def test_parse_points_names_the_line_it_cannot_use(line):
    with pytest.raises(BadInput, match=f"points.txt: '{line}'"):
        parse_points(["1 2 1", line], "points.txt")


def test_lines_of_a_file_are_split_by_their_own_hash_and_folders_used_as_they_are(tmp_path):
    lines = [f"{i} {i} 1" for i in range(100)]
    for name, chosen in zip(SPLITS, (lines[:50], lines[50:60], lines[60:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(chosen), encoding="utf-8")
    assert load_lines(tmp_path) == {"train": lines[:50], "val": lines[50:60], "test": lines[60:]}

    (tmp_path / "all.txt").write_text("\n".join(lines), encoding="utf-8")
    splits = load_lines(tmp_path / "all.txt")
    assert sorted(sum(splits.values(), [])) == sorted(lines)
    for name, buckets in (("train", range(8)), ("val", [8]), ("test", [9])):
        assert splits[name] == [x for x in lines if zlib.crc32(x.encode()) % 10 in buckets]
        assert splits[name]


# ---- training and evaluation -----------------------------------------------------------------
@given(st.floats(-30, 30), st.sampled_from([-1, 1]))
def test_point_loss_is_the_logistic_loss(score, label):
    s = Value(score)
    loss = point_loss(s, label)
    loss.backward()
    t = torch.tensor(score, dtype=torch.float64, requires_grad=True)
    target = torch.tensor((label + 1) / 2, dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(t, target)
    expected.backward()
    assert loss.data == pytest.approx(expected.item(), abs=1e-9)
    assert s.grad == pytest.approx(t.grad.item(), abs=1e-9)


def test_evaluate_worked_out_by_hand():
    """Scores of 2 and -1 with labels 1, -1 and 1: right, right, wrong."""
    points = [((2.0,), 1), ((-1.0,), -1), ((-1.0,), 1)]
    expected = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1)) + math.log1p(math.e)) / 3
    loss, right = evaluate(lambda x: [Value(x[0])], points)
    assert loss == pytest.approx(expected, rel=1e-12)
    assert right == pytest.approx(2 / 3)


def test_training_takes_the_steps_of_plain_gradient_descent():
    """Five steps against torch.optim.SGD, the learning rate falling linearly to a tenth."""
    random.seed(7)
    model, reference = two_networks([2, 4, 1])
    points = parse_points(make_moons(10, 0.1), "moons")
    curve, weights, progress = train(Config(steps=5), model, {"train": points, "val": points[:4]})

    x = torch.tensor([x for x, _ in points], dtype=torch.float64)
    labels = torch.tensor([label for _, label in points], dtype=torch.float64)
    optimizer = torch.optim.SGD(reference.parameters(), lr=2.0)
    losses = []
    for step in range(5):
        optimizer.param_groups[0]["lr"] = 2.0 * (1 - 0.9 * step / 5)
        loss = torch.nn.functional.softplus(-labels * reference(x)[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    expected = by_neuron([p.detach() for p in reference.parameters()])
    assert [p.data for p in model.parameters()] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert progress.done == 5
    assert [row[0] for row in curve] == [step for step, _ in weights] == [0, 1, 2, 3, 4, 5]
    assert weights[-1][1] == [p.data for p in model.parameters()] != weights[-2][1]
    # Row 0 holds the loss before the first step, and so does the first step's own loss.
    assert [row[1] for row in curve] == pytest.approx([losses[0], *losses])
    assert curve[-1][2] == evaluate(model, points[:4])[0]


@pytest.fixture
def quick_garbage_collection():
    """PyTorch's objects, looked through again and again, would double the time of a training."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_the_default_training_learns_the_moons(quick_garbage_collection):
    config = Config()
    random.seed(config.seed)
    moons = {name: make_moons(config.points, config.noise) for name in SPLITS}
    points = {name: parse_points(moons[name], "moons") for name in SPLITS}
    model = MLP([2, config.n_hidden, config.n_hidden, 1])
    before = evaluate(model, points["train"])[0]
    train(config, model, points)
    after, right = evaluate(model, points["train"])
    assert right == 1
    assert after < 0.05 < 0.3 < before
    for name in ("val", "test"):
        assert evaluate(model, points[name])[1] >= 0.95
