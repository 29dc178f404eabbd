"""The engine and its network against PyTorch, finite differences and numbers worked out by hand."""

import hashlib
import itertools
import json
import math
import random
import re
import subprocess
import sys
import zlib

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stages import ROOT, load_stage

STAGE = "01_micrograd"
main = load_stage(STAGE)
common = load_stage(STAGE, "common")
engine = load_stage(STAGE, "engine")
nn = load_stage(STAGE, "nn")

BadInput, SPLITS, Value = common.BadInput, common.SPLITS, engine.Value
MLP, Layer, Neuron = nn.MLP, nn.Layer, nn.Neuron
Config, evaluate, train, point_loss = main.Config, main.evaluate, main.train, main.point_loss
make_moons, load_lines, parse_points = main.make_moons, main.load_lines, main.parse_points

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
    with pytest.raises(ValueError, match=r"log of -8\.0: "):  # a ** b = e ** (b * log a)
        Value(-8.0) ** Value(0.25)


@pytest.mark.parametrize("base, power", [(0.0, -1), (0.0, 0.5), (1e200, 2), (1e-200, -1.7)])
def test_a_power_with_an_infinite_result_or_slope_names_the_values(base, power):
    with pytest.raises(ValueError, match=re.escape(f"{base} ** {power} or its derivative")):
        Value(base) ** power


def test_division_by_zero_names_the_value():
    with pytest.raises(ValueError, match=r"0\.0 \*\* -1"):
        Value(3.0) / Value(0.0)


@pytest.mark.parametrize("base", [0.0, -2.0])
def test_an_exponent_has_no_slope_if_its_base_is_not_positive(base):
    with pytest.raises(ValueError, match=f"log of {base}: "):
        Value(base) ** Value(2.0)
    with pytest.raises(ValueError, match=f"log of {base}: "):
        base ** Value(2.0)


def test_repr_shows_data_and_grad():
    v = Value(1.5)
    (v * 2).backward()
    assert repr(v) == "Value(data=1.5000, grad=2.0000)"


def test_nodes_know_their_operation():
    a, b = Value(2.0), Value(3.0)
    assert [v.op for v in (a, a + b, a * b, a**2, a**-0.5)] == ["", "+", "*", "**2", "**-0.5"]
    ops = [v.op for v in (a.exp(), a.log(), a.tanh(), a.relu())]
    assert ops == ["exp", "log", "tanh", "relu"]


def test_the_graph_shows_what_an_operation_is_made_of():
    """As text, from op, children and data alone."""

    def show(v):
        if not v.children:
            return f"{v.data:g}"
        return f"{v.op}({', '.join(show(child) for child in v.children)})"

    a, b = Value(2.0), Value(3.0)
    assert show(a * b + a) == "+(*(2, 3), 2)"
    assert show(a - b) == "+(2, *(3, -1))"
    assert show(a / b) == "*(2, **-1(3))"
    assert show(1 / a) == "*(**-1(2), 1)"
    assert show(a**b) == "exp(*(3, log(2)))"
    assert show(sum([a, b])) == "+(+(2, 0), 3)"


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
        [sys.executable, "-c", code], cwd=ROOT / STAGE, capture_output=True, text=True, timeout=60
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


def test_the_default_points_are_those_of_the_reference_run():
    config = Config()
    random.seed(config.seed)
    text = main.moons_text(config)
    reference = json.loads((ROOT / "results" / STAGE / "result.json").read_text(encoding="utf-8"))
    assert hashlib.sha256(text.encode()).hexdigest() == reference["dataset"]["sha256"]


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


def test_an_empty_split_is_named(tmp_path):
    lines = [f"{i} {i} 1" for i in range(100)]
    train_only = [x for x in lines if zlib.crc32(x.encode()) % 10 < 8]
    (tmp_path / "few.txt").write_text("\n".join(train_only), encoding="utf-8")
    with pytest.raises(BadInput, match="few.txt: the val split is empty"):
        load_lines(tmp_path / "few.txt")


# ---- training and evaluation -----------------------------------------------------------------
@settings(deadline=None)
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
    weights, log = train(Config(steps=5), model, {"train": points, "val": points[:4]})

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
    losses.append(torch.nn.functional.softplus(-labels * reference(x)[:, 0]).mean().item())

    expected = by_neuron([p.detach() for p in reference.parameters()])
    assert [p.data for p in model.parameters()] == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert log.done == 5
    assert [row[0] for row in log.curve] == [step for step, _ in weights] == [0, 1, 2, 3, 4, 5]
    assert weights[-1][1] == [p.data for p in model.parameters()] != weights[-2][1]
    # Row 0 holds the loss before the first step, the last row the one after the last step.
    assert [row[1] for row in log.curve] == pytest.approx(losses)
    assert log.val == log.curve[-1][2] == evaluate(model, points[:4])[0]


def test_a_row_of_the_curve_is_measured_on_the_weights_kept_with_it():
    random.seed(8)
    points = {name: parse_points(make_moons(6, 0.1), "moons") for name in SPLITS}
    model = MLP([2, 3, 1])
    weights, log = train(Config(steps=30), model, points)
    assert [step for step, _ in weights] == [row[0] for row in log.curve] == [*range(0, 31, 3)]
    for (_, kept), (_, train_loss, val_loss) in zip(weights, log.curve):
        main.set_weights(model, kept)
        assert [p.data for p in model.parameters()] == kept
        assert evaluate(model, points["train"])[0] == train_loss
        assert evaluate(model, points["val"])[0] == val_loss


def test_the_default_training_learns_the_moons():
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


# ---- a whole run -----------------------------------------------------------------------------
@pytest.fixture
def run(tmp_path, monkeypatch):
    """run(*flags) runs main() into tmp_path / "out" and returns that folder and the result."""

    def run(*flags):
        out = tmp_path / "out"
        monkeypatch.setattr(sys, "argv", ["main.py", f"--out={out}", *flags])
        main.main()
        return out, json.loads((out / "result.json").read_text(encoding="utf-8"))

    return run


def points_of(path):
    return parse_points(path.read_text(encoding="utf-8").split("\n"), path)


def test_load_gives_back_the_trained_model_and_its_earlier_weights(run):
    out, result = run("--steps=20", "--points=10", "--n-hidden=3")
    assert sorted(path.name for path in out.iterdir()) == [
        "model.json", "moons.txt", "result.json",
    ]  # fmt: skip
    model, weights = main.load(out)
    moons = points_of(out / "moons.txt")
    points = {"train": moons[:10], "val": moons[10:20], "test": moons[20:]}
    for name in SPLITS:
        expected = (result["loss"][name], result["accuracy"][name])
        assert evaluate(model, points[name]) == expected
    assert result["curve"][-1] == [20, result["loss"]["train"], result["loss"]["val"]]

    assert [step for step, _ in weights] == [row[0] for row in result["curve"]]
    assert weights[-1][1] == [p.data for p in model.parameters()]
    main.set_weights(model, weights[0][1])
    assert evaluate(model, points["train"])[0] == result["curve"][0][1]


def test_the_model_file_holds_config_layers_and_weights(run):
    out, result = run("--steps=2", "--points=4", "--n-hidden=2")
    saved = json.loads((out / "model.json").read_text(encoding="utf-8"))
    assert list(saved) == ["config", "layers", "weights"]
    assert (saved["config"], saved["layers"]) == (result["config"], [2, 2, 2, 1])
    assert [len(weights) for _, weights in saved["weights"]] == [result["params"]] * 3


def test_a_run_reads_the_points_that_it_wrote(run):
    out, result = run("--steps=0", "--points=5", "--seed=3")
    random.seed(3)
    lines = [line for _ in SPLITS for line in make_moons(5, 0.1)]
    untrained = [p.data for p in MLP([2, 8, 8, 1]).parameters()]  # drawn after the points
    content = (out / "moons.txt").read_bytes()
    assert content == "\n".join(lines).encode()
    assert result["dataset"]["name"] == "moons"
    assert result["dataset"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert result["dataset"]["docs"] == dict.fromkeys(SPLITS, 5)
    model, weights = main.load(out)
    assert [p.data for p in model.parameters()] == untrained
    assert weights == [[0, untrained]]


def test_load_without_a_run_is_an_oserror(tmp_path):
    with pytest.raises(OSError):
        main.load(tmp_path)
