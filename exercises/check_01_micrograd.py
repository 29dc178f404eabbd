"""The checks of the exercises of stage 01. How to write such a file: tools/learn/checking.py."""

import math
import random
import time

from learn.checking import NOTHING_RETURNED

LESSON = "the lesson's example"
BY_HAND = "worked out by hand"
NUDGED = "by nudging to both sides"


def slopes(f, point, h=1e-6):
    """The derivative of f(*point) with respect to each number, measured as in the lesson."""
    result = []
    for i in range(len(point)):
        high, low = list(point), list(point)
        high[i] += h
        low[i] -= h
        result.append((f(*high) - f(*low)) / (2 * h))
    return result


def value(learner, check, function, call, mistakes=None):
    """Call a function that must return a Value, and return that Value."""
    result = check.run(function, call=call, mistakes=mistakes)
    words = "A plain number does not remember how it was made: return a Value."
    if result is None:
        words = NOTHING_RETURNED
    elif not isinstance(result, (int, float)):
        words = "It should return one Value."
    is_value = isinstance(result, learner.engine.Value)
    check.true(is_value, words, call=call, came=repr(result)[:100], expected="a Value")
    return result


# --- engine: the operations ---


def operation(learner, check, make, numbers, call, mistakes=None):
    """Compute make(*Values of the numbers). Returns (data, derivative for each of the Values)."""
    leaves = [learner.engine.Value(number) for number in numbers]
    result = value(learner, check, lambda: make(*leaves), call, mistakes)
    check.true(
        not any(result is leaf for leaf in leaves),
        "This is the very Value that it was called on: make a new one, which remembers it as its "
        "child.",
        call=call, came="the same Value", expected="a new Value",
    )  # fmt: skip
    children, local_grads = result.children, result.local_grads
    call = f"({call})" if " " in call else call
    for name, part in [("children", children), ("local_grads", local_grads)]:
        check.true(
            isinstance(part, (tuple, list)),
            f"{name} should be a tuple, even for one child. Brackets alone do not make a tuple: "
            "the comma does.",
            call=f"{call}.{name}", came=repr(part), expected="a tuple",
        )  # fmt: skip
    check.true(
        all(any(child is leaf for child in children) for leaf in leaves),
        "Each Value that it was computed from should be one of its children. They come second, "
        "after the number, and the derivatives come third.",
        call=f"{call}.children", came=repr(children)[:100], expected=repr(tuple(leaves)),
    )  # fmt: skip
    check.true(
        not any(isinstance(part, learner.engine.Value) for part in local_grads),
        "The derivatives should be plain numbers: a Value has its number in data.",
        call=f"{call}.local_grads", came=repr(local_grads)[:100], expected="numbers",
    )  # fmt: skip
    check.true(
        len(children) == len(local_grads), "Each child needs a derivative, and only one.",
        call=f"{call}.local_grads", came=f"{len(local_grads)} for {len(children)} children",
        expected=f"{len(children)} for {len(children)} children",
    )  # fmt: skip
    pairs = list(zip(children, local_grads))
    return result.data, [sum(grad for child, grad in pairs if child is leaf) for leaf in leaves]


def name_of(learner, check, make, name, call):
    def op():
        return make(learner.engine.Value(0.5)).op

    check.equal(
        op, (), name, call=f"{call}.op",
        mistakes={
            "The name of the operation is missing: it comes last.": "",
            f"This is another spelling of the name: it is {name!r}.": check.either(
                name.upper(), name.capitalize(), "ReLU"
            ),
            f"The operation has another name: the last argument is {name!r}.": op,
        },
    )  # fmt: skip


def multiply(learner, check):
    def product(a, b):
        return a * b

    call = "Value(2.0) * Value(-3.0)"
    data, derivatives = operation(
        learner, check, product, (2.0, -3.0), call,
        mistakes={
            "self * other calls __mul__ again, and so on without end: multiply the numbers that "
            "the two Values hold.": RecursionError,
        },
    )  # fmt: skip
    check.equal(
        lambda: data, (), -6.0, call=f"({call}).data", by=BY_HAND,
        mistakes={"This is the sum: multiply.": -1.0},
    )  # fmt: skip
    check.equal(
        lambda: derivatives, (), [-3.0, 2.0], call=f"({call}).local_grads",
        by="how far it moves per nudge of the 2, and of the -3",
        mistakes={
            "The two derivatives are swapped. If you nudge the 2 by 0.1, how far does 2 * -3 "
            "move?": [2.0, -3.0],
            "These are the derivatives of a sum. If you nudge the 2 by 0.1, how far does 2 * -3 "
            "move?": [1.0, 1.0],
            "This is the product. How far does the product move when only one of the two numbers "
            "moves?": [-6.0, -6.0],
        },
    )  # fmt: skip
    name_of(learner, check, lambda a: a * a, "*", "(Value(0.5) * Value(0.5))")

    data, derivatives = operation(
        learner, check, lambda a: a * 3, (4.0,), "Value(4.0) * 3",
        mistakes={
            "other may be a plain number, which has no data: make a Value of it, as __add__ "
            "does.": AttributeError("no attribute 'data'"),
        },
    )  # fmt: skip
    check.equal(
        lambda: [data, *derivatives], (), [12.0, 3.0], by=BY_HAND,
        call="data and derivative of Value(4.0) * 3",
    )  # fmt: skip
    for point in [(0.5, 4.0), (-1.5, 0.0), (7.0, -0.25)]:
        data, derivatives = operation(learner, check, product, point, call)
        check.equal(
            lambda data=data, derivatives=derivatives: [data, *derivatives], (),
            [product(*point), *slopes(product, point)], by=NUDGED,
            call="data and derivatives of Value({}) * Value({})".format(*point),
        )  # fmt: skip


def one_child(learner, check, name, x, data, derivative, by=BY_HAND, wrong_data=(), wrong=()):
    """Check an operation such as Value(0.5).tanh(). wrong: mistakes with the derivative."""
    call = f"Value({x}).{name}()"
    got, derivatives = operation(
        learner, check, lambda a: getattr(a, name)(), (x,), call,
        mistakes={
            f"math.{name} takes a plain number: a Value has it in data.": (
                TypeError("must be real number")
            ),
            "A Value cannot be compared with a number: take its data.": check.either(
                TypeError("and 'Value'"), TypeError("of 'Value' and")
            ),
            "The textbook formula overflows a float for large numbers; math.tanh does not.": (
                OverflowError
            ),
        },
    )  # fmt: skip
    check.equal(lambda: got, (), data, call=f"{call}.data", by=by, mistakes=dict(wrong_data))
    check.equal(
        lambda: derivatives, (), [derivative], call=f"{call}.local_grads", by=by,
        mistakes=dict(wrong),
    )  # fmt: skip


def tanh(learner, check):
    t = math.tanh(0.5)
    one_child(
        learner, check, "tanh", 0.5, t, 1 - t * t,
        wrong_data={"This is tan: tanh is another function.": math.tan(0.5)},
        wrong={
            "This is 1 - x ** 2, made of the input: the formula uses the result, tanh of x.": (
                [0.75]
            ),
            "This is 1 - tanh(x): something is missing in the formula.": [1 - t],
            "This is tanh itself: the derivative says how steep it is.": [t],
            "This is 1: tanh is as steep as that only at 0.": [1.0],
            "The sign is wrong: tanh rises everywhere, so its derivative is above 0.": [t * t - 1],
            "You took tanh twice: the result is already tanh of x.": [1 - math.tanh(t) ** 2],
        },
    )  # fmt: skip
    name_of(learner, check, lambda a: a.tanh(), "tanh", "Value(0.5).tanh()")
    for x in (0.0, -1.5, 3.0):
        one_child(learner, check, "tanh", x, math.tanh(x), *slopes(math.tanh, [x]), by=NUDGED)
    overflow = {
        "The textbook formula overflows a float for large numbers, and inf / inf is nan; "
        "math.tanh does not.": math.nan,
    }
    one_child(learner, check, "tanh", 1000.0, 1.0, 0.0, wrong_data=overflow)
    one_child(learner, check, "tanh", -1000.0, -1.0, 0.0, wrong_data=overflow)


def relu(learner, check):
    one_child(
        learner, check, "relu", 3.0, 3.0, 1.0,
        wrong_data={
            "Numbers above 0 stay as they are.": 0.0,
            "The sign is wrong: numbers above 0 stay as they are.": -3.0,
        },
        wrong={
            "This is the number itself. Above 0, relu is a line as steep as y = x.": [3.0],
            "The derivative is 0, but above 0 each nudge moves the result by as much.": [0.0],
        },
    )  # fmt: skip
    one_child(
        learner, check, "relu", -3.0, 0.0, 0.0,
        wrong_data={
            "Below 0, the result is 0.": check.either(-3.0, 3.0),
        },
        wrong={
            "The derivative is 1 everywhere. Below 0 the result stays 0, however you nudge it.": (
                [1.0]
            ),
            "Below 0 the result stays 0, however you nudge it: its derivative is 0.": (
                check.either([-3.0], [-1.0])
            ),
        },
    )  # fmt: skip
    one_child(
        learner, check, "relu", 0.0, 0.0, 0.0, by="agreed, since there is a corner at 0",
        wrong={"At 0 itself, let the derivative be 0: it is 1 only above 0.": [1.0]},
    )  # fmt: skip
    name_of(learner, check, lambda a: a.relu(), "relu", "Value(0.5).relu()")
    for x in (0.5, 20.0, -0.01):
        expected = max(x, 0.0), *slopes(lambda x: max(x, 0.0), [x])
        one_child(
            learner, check, "relu", x, *expected, by=NUDGED,
            wrong={"The derivative is 1 for every number above 0, not only from 1 on.": [0.0]},
        )  # fmt: skip


def power(learner, check):
    power_and_slope = learner.engine.power_and_slope
    check.equal(
        power_and_slope, (3.0, 2), (9.0, 6.0), by="the lesson: the slope of x ** 2 at 3 is 2x = 6",
        mistakes={
            "The power alone came back: return both, (power, slope).": 9.0,
            "The two are swapped: the power comes first.": (6.0, 9.0),
            "The slope lacks the factor n.": (9.0, 3.0),
            "The slope has the power n, and it should have one less.": (9.0, 18.0),
            "a and n are swapped: this is n ** a.": check.either((8.0, 12.0), (8.0, 6.0)),
        },
    )  # fmt: skip
    for a, n in [(2.0, -1), (-2.0, 3), (4.0, 0.5), (1.5, 4), (-0.5, -3)]:
        check.equal(
            power_and_slope, (a, n), (a**n, *slopes(lambda a, n=n: a**n, [a])), by=NUDGED,
            mistakes={
                "An error came where none is due: a negative number has powers too, if n is a "
                "whole number.": ValueError,
            },
        )  # fmt: skip
    for a in (5.0, 0.0):
        check.equal(
            power_and_slope, (a, 0), (1.0, 0.0), by="a ** 0 is always 1",
            mistakes={
                "Here n is 0. The usual formula for the slope needs 0 ** -1, which does not exist; "
                "but a ** 0 is 1 everywhere, so how steep is it?": (
                    check.either(ValueError, ZeroDivisionError)
                ),
            },
        )  # fmt: skip
    check.equal(power_and_slope, (0.0, 1), (0.0, 1.0), by=BY_HAND)
    check.equal(power_and_slope, (0.0, 2), (0.0, 0.0), by=BY_HAND)

    complex_root = (-4.0) ** 0.5, 0.5 * (-4.0) ** -0.5
    for a, n, by in [
        (0.0, -1, "1 / 0"), (-4.0, 0.5, "no real number has the square -4"),
        (1e200, 2, "1e400 is too large for a float"), (0.0, 0.5, "infinitely steep at 0"),
    ]:  # fmt: skip
        check.raises(
            power_and_slope, (a, n), ValueError, by=by,
            mistakes={
                "The error has the wrong class: a ValueError should say what is wrong. Which "
                "errors can come, and where do you catch them?": ArithmeticError,
                "This is a complex number: math.pow raises an error instead.": complex_root,
                "Here the power is finite, but the slope is not: raise a ValueError for either.": (
                    check.either((0.0, 0.0), (0.0, math.inf))
                ),
            },
        )  # fmt: skip
    message = error_text(power_and_slope, -4.0, 0.5)
    check.true(
        "-4" in message and "0.5" in message,
        "The message should name both numbers, so that the reader sees where it went wrong.",
        call="power_and_slope(-4.0, 0.5)", came=f"ValueError: {message}",
        expected="a ValueError whose text has -4.0 and 0.5 in it",
    )  # fmt: skip


def error_text(function, *args):
    try:
        function(*args)
    except ValueError as error:
        return str(error)


# --- engine: backward ---


def backward(learner, check):
    Value = learner.engine.Value

    def numbers(*nodes):
        return [node.grad for node in nodes]

    def example(calls=1):
        a, b = Value(2.0), Value(-3.0)
        c = a * b
        d = c + a
        L = d**2
        for _ in range(calls):
            L.backward()
        return numbers(a, b, c, d, L)

    check.equal(
        example, (), [16.0, -16.0, -8.0, -8.0, 1.0], by=LESSON,
        call="c = a * b; d = c + a; L = d**2; L.backward(), then grad of a, b, c, d, L",
        mistakes={
            "The gradient of L itself is missing: it is 1, and everything starts from it.": (
                [0.0] * 5
            ),
            "Nothing is passed on from L to the nodes it was computed from.": (
                [0.0, 0.0, 0.0, 0.0, 1.0]
            ),
            "Only d got something from L. A node can pass on only what it has: walk from L to the "
            "leaves, not from the leaves to L.": [0.0, 0.0, 0.0, -8.0, 1.0],
            "a is used twice, but has only one of its two shares: gradients add up, use +=.": (
                check.either([24.0, -16.0, -8.0, -8.0, 1.0], [-8.0, -16.0, -8.0, -8.0, 1.0])
            ),
            "Each child got its derivative alone. Along a path, multiply: what is the gradient of "
            "the node that passes on?": [-2.0, 2.0, 1.0, -8.0, 1.0],
            "The gradients were passed on as they are. Along a path, multiply by the derivative of "
            "each step.": [2.0, 1.0, 1.0, 1.0, 1.0],
            "All gradients are 1. Only L begins with 1; does backward() of each child begin with 1 "
            "again?": [1.0] * 5,
            "The leaves are right, but the nodes between are 0 again. Clear them before the walk, "
            "so that one can look at them after it.": (
                check.either([16.0, -16.0, 0, 0, 0], [16.0, -16.0, 0, 0, 1.0])
            ),
            "The gradients were multiplied by data: the derivatives are in local_grads.": (
                check.either([40.0, -72.0, 24.0, -4.0, 1.0], [320.0, 384.0, -64.0, 16.0, 1.0])
            ),
            "children and local_grads belong together, in pairs: zip gives the pairs.": (
                TypeError("can't multiply sequence")
            ),
            "It calls itself without end. Does each call go on to the children?": RecursionError,
        },
    )  # fmt: skip

    def twice_the_same():
        a = Value(3.0)
        (a + a).backward()
        return a.grad

    check.equal(
        twice_the_same, (), 2.0, call="a = Value(3.0); (a + a).backward(), then a.grad",
        by=LESSON,
        mistakes={"The gradient of a + a is 1: gradients add up, use +=.": 1.0},
    )  # fmt: skip

    def two_ways():
        x = Value(3.0)
        b = x + 1
        L = b + b * 5
        L.backward()
        return x.grad

    def two_ways_turned():
        x = Value(3.0)
        b = x + 1
        L = b * 5 + b
        L.backward()
        return x.grad

    for function, formula, first, second in [
        (two_ways, "b + b * 5", 1.0, 5.0), (two_ways_turned, "b * 5 + b", 5.0, 1.0)
    ]:  # fmt: skip
        check.equal(
            function, (), 6.0, by=LESSON,
            call=f"b = x + 1; L = {formula}; L.backward(), then x.grad",
            mistakes={
                "b passed its gradient on before it was complete: only one of its two shares "
                "reached x. In which order should the nodes have their turn?": (
                    check.either(first, second)
                ),
                "b passed on its first share twice: once by itself, and once more with the second "
                "share. A node may pass on once, when its gradient is complete.": (
                    check.either(2 * first + second, 2 * second + first)
                ),
                "b passed on its whole gradient twice, once for each use: each node should have "
                "one turn only.": 12.0,
            },
        )  # fmt: skip
    check.equal(
        lambda: alone(Value), (), 1.0, by="the gradient of a result with respect to itself",
        call="x = Value(3.0); x.backward(), then x.grad",
    )  # fmt: skip
    repeated(check, Value, example)
    random_graphs(check, Value)
    quickly(check, Value)


def alone(Value):
    x = Value(3.0)
    x.backward()
    return x.grad


def repeated(check, Value, example):
    """What a second call adds to, and what it clears."""

    def twice():
        a = Value(3.0)
        y = a + a
        y.backward()
        y.backward()
        return a.grad

    kept = (
        "The second walk began with gradients of the first one. Those of all nodes but the leaves "
        "should be 0 when a walk begins."
    )
    lost = "A leaf lost what the first call gave it: each call adds to the leaves."
    check.equal(
        twice, (), 4.0, call="y = a + a; y.backward(); y.backward(), then a.grad", by=LESSON,
        mistakes={lost: 2.0, kept: 6.0},
    )  # fmt: skip
    check.equal(
        example, (2,), [32.0, -32.0, -8.0, -8.0, 1.0], by=BY_HAND,
        call="c = a * b; d = c + a; L = d**2; L.backward() twice, then grad of a, b, c, d, L",
        mistakes={
            kept: check.either([72, -64, -24, -16, 1], [88, -80, -32, -24, 2]),
            "The leaves are right, but the nodes between have the sum of both walks. Their "
            "gradients start from 0 at each call.": check.either(
                [32, -32, -16, -16, 2], [32, -32, -16, -16, 1]
            ),
        },
    )  # fmt: skip

    def shared():
        a = Value(7.0)
        b = a * 2
        first, second = b * 3, b * 5
        first.backward()
        second.backward()
        return a.grad

    check.equal(
        shared, (), 16.0, by="3 * 2 + 5 * 2",
        call="b = a * 2; (b * 3).backward(); (b * 5).backward(), then a.grad",
        mistakes={
            "b still had its gradient from the first walk, 3, and passed it on again: clear what "
            "two results share, except for the leaves.": 22.0,
            lost: 10.0,
        },
    )  # fmt: skip


def random_graphs(check, Value):
    """Gradients of random formulas, compared with those from nudges of plain numbers."""

    def apply(name, a, b):
        if name == "tanh":
            return a.tanh() if isinstance(a, Value) else math.tanh(a)
        return a + b if name == "+" else a * b

    def compute(steps, *numbers):
        nodes = list(numbers)
        for name, i, j in steps:
            nodes.append(apply(name, nodes[i], nodes[j]))
        return nodes[-1]

    def gradients(steps, numbers):
        leaves = [Value(number) for number in numbers]
        compute(steps, *leaves).backward()
        return [leaf.grad for leaf in leaves]

    for count in (3, 4, 5, 6, 7, 8, 8, 8):
        numbers = [round(random.uniform(-1.5, 1.5), 1) for _ in range(3)]
        steps, names = [], "abcdefghijk"
        words = ["a, b, c = " + ", ".join(f"Value({number})" for number in numbers)]
        for size in range(3, 3 + count):
            # One of the latest nodes and any other, so that most nodes are used.
            i, j = random.sample([random.randrange(size - 2, size), random.randrange(size)], 2)
            name = random.choice(["+", "*", "*", "tanh"])
            steps.append((name, i, j))
            formula = f"{names[i]} {name} {names[j]}" if name != "tanh" else f"{names[i]}.tanh()"
            words.append(f"{names[size]} = {formula}")
        check.equal(
            gradients, (steps, numbers),
            lambda steps, numbers: slopes(lambda *x: compute(steps, *x), numbers),
            by=NUDGED, atol=1e-5,
            call=f"{'; '.join(words)}; {names[2 + count]}.backward(), then grad of a, b, c",
        )  # fmt: skip


def quickly(check, Value):
    """Neither walk every path nor search in a list."""

    def doubled():
        y = Value(1.0)
        for _ in range(20):
            y = y + y
        return seconds(y.backward)

    def wide():
        level = [Value(1.0) for _ in range(6000)]
        while len(level) > 1:
            level = [a + b for a, b in zip(level[::2], level[1::2])] + level[len(level) // 2 * 2 :]
        return seconds(level[0].backward)

    check.between(
        doubled, (), 0.0, 0.1, by="there are only 21 nodes",
        call="y = y + y, 20 times; the seconds that y.backward() takes",
        mistakes={
            "The gradients are right, but every path is walked by itself, and here the number of "
            "paths doubles 20 times. Let each node have one turn.": (0.1, math.inf),
        },
    )  # fmt: skip
    check.between(
        wide, (), 0.0, 0.25, by="a step of the training has more nodes",
        call="the seconds that backward() takes for a sum of 6,000 Values",
        mistakes={
            "The gradients are right, but it takes too long. Do you look for a node in a list? "
            "That reads the whole list; a set finds it at once.": (0.25, math.inf),
        },
    )  # fmt: skip


def seconds(function):
    """Processor time of a call, or of the faster of two, because something may get in between."""
    times = []
    while len(times) < 2 and sum(times) < 0.5:
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


# --- network ---


def make_neuron(learner, weights, bias, linear=False):
    Value, neuron = learner.engine.Value, learner.nn.Neuron(len(weights), linear)
    neuron.w, neuron.b = [Value(weight) for weight in weights], Value(bias)
    return neuron


def neuron(learner, check):
    weights, bias, x = [0.5, -1.0], 1.0, [3.0, 1.25]
    linear = make_neuron(learner, weights, bias, linear=True)
    call = f"neuron({x}) with w = {weights}, b = {bias}, linear"
    result = value(
        learner, check, lambda: linear(x), call,
        mistakes={
            "The inputs may be plain numbers, which have no data: a Value times a number is a "
            "Value.": AttributeError("no attribute 'data'"),
            "A list cannot be multiplied: take its elements one by one.": (
                TypeError("can't multiply sequence")
            ),
        },
    )  # fmt: skip
    check.equal(
        lambda: result.data, (), 1.25, call=call, by="0.5 * 3 - 1 * 1.25 + 1",
        mistakes={
            "The bias is missing.": 0.25,
            "Two things. The bias is missing; and this neuron is linear, so leave the sum as it "
            "is, without tanh.": math.tanh(0.25),
            "The bias is subtracted: add it.": -0.75,
            "The products are subtracted: add them.": 0.75,
            "The bias should be added once, not with each product.": check.either(2.25, 3.25),
            "This neuron is linear: leave the sum as it is, without tanh.": math.tanh(1.25),
            "Only the last product was kept: add up all of them.": -0.25,
            "Only the first product was used: add up all of them.": 2.5,
            "The weights and inputs were added: multiply each pair.": 4.75,
            "The inputs have no effect: multiply each of them by its weight.": 0.5,
        },
    )  # fmt: skip
    bent = make_neuron(learner, weights, bias)
    call = f"neuron({x}) with w = {weights}, b = {bias}, not linear"
    result = value(learner, check, lambda: bent(x), call)
    check.equal(
        lambda: result.data, (), math.tanh(1.25), call=call, by="tanh of 1.25",
        mistakes={
            "tanh is missing: this neuron is not linear.": 1.25,
            "tanh comes last: the bias belongs inside.": math.tanh(0.25) + 1,
            "tanh was taken of each product: add up first.": (
                math.tanh(1.5) + math.tanh(-1.25) + 1
            ),
        },
    )  # fmt: skip
    check.equal(
        lambda: bent(x).data, (), math.tanh(1.25), call=f"{call}, called again",
        by="the same as the first time",
        mistakes={
            "The second call answers something else, because the first one changed self.b. Add up "
            "in a variable of your own.": math.tanh(1.5),
        },
    )  # fmt: skip
    gradient_of_neuron(learner, check, bent, x)
    whole_network(check, learner.nn.MLP)


def gradient_of_neuron(learner, check, neuron, x):
    x = [learner.engine.Value(number) for number in x]

    def gradients():
        for leaf in [*neuron.w, neuron.b, *x]:
            leaf.grad = 0.0
        neuron(x).backward()
        return [leaf.grad for leaf in [*neuron.w, neuron.b, *x]]

    steep = 1 - math.tanh(1.25) ** 2
    right = [3 * steep, 1.25 * steep, steep, 0.5 * steep, -steep]
    check.equal(
        gradients, (), right, by=BY_HAND,
        call="neuron(x).backward(), then grad of w[0], w[1], b, x[0], x[1]",
        mistakes={
            "No gradient gets through: compute with the Values themselves, not with their "
            "data.": [0.0] * 5,
            "No gradient reaches the weights: use them as Values, without data.": (
                [0.0, 0.0, *right[2:]]
            ),
            "No gradient reaches the bias: use it as a Value, without data.": (
                [*right[:2], 0.0, *right[3:]]
            ),
            "No gradient reaches the inputs, so the layer before this one could not learn: use "
            "them as Values, without data.": [*right[:3], 0.0, 0.0],
            "No gradient gets through from one of the products.": check.either(
                [right[0], 0.0, right[2], right[3], 0.0], [0.0, right[1], right[2], 0.0, right[4]]
            ),
        },
    )  # fmt: skip


def whole_network(check, MLP):
    model = MLP([2, 3, 1])
    for layer in model.layers:
        for neuron in layer.neurons:
            neuron.b.data = random.gauss(0, 1)

    def by_plain_numbers(*x):
        for layer in model.layers:
            sums = [
                sum(w.data * xi for w, xi in zip(neuron.w, x)) + neuron.b.data
                for neuron in layer.neurons
            ]
            x = sums if layer is model.layers[-1] else [math.tanh(number) for number in sums]
        return x[0]

    for x in [(0.5, -1.0), (2.0, 0.25)]:
        check.equal(
            lambda *x: model(x)[0].data, x, by_plain_numbers, by="computed with plain numbers",
            call=f"MLP([2, 3, 1])({x})",
        )  # fmt: skip


# --- training ---


def point_loss(learner, check):
    Value, point_loss = learner.engine.Value, learner.main.point_loss

    def loss(score, label):
        """(the loss, its derivative with respect to the score)"""
        score = Value(score)
        result = point_loss(score, label)
        if not isinstance(result, Value):
            return result, None
        result.backward()
        return result.data, score.grad

    call = "point_loss(Value(2.0), 1)"
    value(
        learner, check, lambda: point_loss(Value(2.0), 1), call,
        mistakes={
            "math.exp and math.log take plain numbers: a Value has methods exp() and log().": (
                TypeError("must be real number")
            ),
            "score.data is a plain number, which has no methods and no gradient: compute with the "
            "Value, score.": AttributeError("'float' object has no attribute"),
        },
    )  # fmt: skip

    def exact(score, label):
        """log(1 + e ** -ys) and its derivative -y / (1 + e ** ys)."""
        ys = label * score
        return math.log1p(math.exp(-ys)), -label / (1 + math.exp(ys))

    for score, label, by in [
        (2.0, 1, "log(1 + e ** -2)"), (2.0, -1, "log(1 + e ** 2)"), (-0.5, 1, "log(1 + e ** 0.5)")
    ]:  # fmt: skip
        right, other = exact(score, label), exact(score, -label)
        ignored = {"The label is ignored: it tells which answer would be right.": other[0]}
        check.equal(
            lambda score, label: loss(score, label)[0], (score, label), right[0], by=by,
            call=f"point_loss(Value({score}), {label})",
            mistakes={
                **(ignored if label < 0 else {}),
                "The sign of label * score is wrong: this is the loss for the other label. A score "
                "that is sure and right should cost little, and one that is sure and wrong should "
                "cost much.": other[0],
                "This is the probability of the right label: the loss is minus its "
                "logarithm.": math.exp(-right[0]),
                "This is the probability of the wrong label: the loss is minus the logarithm of "
                "the right label's.": math.exp(-other[0]),
                "The minus is missing: a probability is below 1, so its logarithm is below 0, but "
                "a loss is above 0.": -right[0],
                "This is in bits: the loss is in nats, with the natural logarithm.": (
                    right[0] / math.log(2)
                ),
                "This is the squared distance of score and label: the loss is minus the logarithm "
                "of the right label's probability.": (score - label) ** 2,
                "The 1 is missing: the probability is 1 / (1 + exp(...)).": check.either(
                    -label * score, label * score
                ),
                "This is the hinge loss, max(0, 1 - ys): here the loss is minus the logarithm of "
                "the right label's probability.": max(0.0, 1 - label * score),
            },
        )  # fmt: skip
    check.equal(
        lambda score, label: loss(score, label)[0], (0.0, 1), math.log(2), atol=1e-3,
        call="point_loss(Value(0.0), 1)", by="either label has 1/2: log 2",
    )  # fmt: skip
    for score, label in [(0.5, 1), (-2.0, 1), (1.5, -1), (-3.0, -1)]:
        right = exact(score, label)[1]
        check.equal(
            lambda score, label: loss(score, label)[1], (score, label), right,
            by="-y / (1 + e ** ys)", call=f"the gradient of point_loss(Value({score}), {label})",
            mistakes={
                "No gradient reaches the score: compute with the Value itself, not with its "
                "data.": 0.0,
                "The sign of the gradient is wrong: is score.data in use where score should "
                "be?": -right,
            },
        )  # fmt: skip
    large(check, loss)


def large(check, loss):
    """Scores at which exp overflows."""
    overflow = (
        "e ** 1000 is more than a float holds. In which form of the formula do the powers stay "
        "small?"
    )
    for score, label, right in [
        (-1000.0, 1, 1000.0), (1000.0, 1, 0.0), (1000.0, -1, 1000.0), (-1000.0, -1, 0.0)
    ]:  # fmt: skip
        call = f"point_loss(Value({score}), {label})"
        check.equal(
            lambda score, label: loss(score, label)[0], (score, label), right, call=call,
            mistakes={
                f"It became inf: {overflow}": math.inf,
                f"It became nan, as inf - inf or inf / inf does: {overflow}": math.nan,
                f"The probability became 0, which has no logarithm: {overflow}": (
                    ValueError("log of 0")
                ),
                f"It cannot be computed: {overflow}": ArithmeticError,
            },
        )  # fmt: skip
        slope = -label if right else 0.0
        check.equal(
            lambda score, label: loss(score, label)[1], (score, label), slope, by=BY_HAND,
            call=f"the gradient of {call}",
            mistakes={
                "The loss is right, but its gradient is not a number: an inf is still in the "
                "graph, and 0 * inf is nan.": math.nan,
                "No gradient gets through, so the model could not learn from this point: compute "
                "with the Value itself for large scores, too.": 0.0,
            },
        )  # fmt: skip


def evaluate(learner, check):
    Value, evaluate = learner.engine.Value, learner.main.evaluate

    def first_number(point):
        """A model whose score is the x of a point."""
        return [Value(point[0])]

    def loss(score):
        return math.log1p(math.exp(-score))

    points = [((2.0, 9.0), 1), ((-1.5, 9.0), -1), ((-3.0, 9.0), 1), ((0.5, 9.0), 1)]
    losses = [loss(2), loss(1.5), loss(-3), loss(0.5)]
    mean = sum(losses) / 4
    check.equal(
        lambda points: evaluate(first_number, points), (points,), (mean, 0.75),
        call="evaluate(model, points) for the scores 2, -1.5, -3, 0.5 and the labels 1, -1, 1, 1",
        by="only -3 is on the wrong side of 0",
        mistakes={
            "The two are swapped: the loss comes first.": (0.75, mean),
            "This is the sum of the losses: take the mean.": (sum(losses), 0.75),
            "This is how many are right: the accuracy is their share.": (mean, 3),
            "These are two sums over the points: divide both by the number of points.": (
                sum(losses), 3
            ),
            "The accuracy is in percent: a share lies between 0 and 1.": (mean, 75.0),
            "This is the share of wrong points: the accuracy is the share of right ones.": (
                mean, 0.25
            ),
            "A score above 0 is right only if the label is 1. And a score of -1.5, if the label is "
            "-1?": (mean, 0.5),
            "A score has the label's sign if it is on the same side of 0; it need not be equal to "
            "the label.": check.either((mean, 0.0), (mean, 0)),
            "The accuracy is missing: return both.": mean,
            "A point has two parts, ((x, y), label): the model takes the first as it is.": (
                check.either(
                    ValueError("not enough values to unpack"),
                    TypeError("'float' object is not subscriptable"),
                )
            ),
            "A Value cannot be compared with a number: compare its data.": (
                TypeError("not supported between")
            ),
            "The model returns a list with one Value: take its first element.": check.either(
                AttributeError("'list' object"), TypeError("bad operand"), TypeError("'list'"),
                TypeError("can't multiply sequence"),
            ),
            "Only one point was measured: is there a return inside the loop?": check.either(
                (losses[0], 1.0), (losses[0] / 4, 0.25)
            ),
            "The last point alone decides: add up the losses of all of them.": check.either(
                (losses[-1], 0.75), (losses[-1] / 4, 0.75), (losses[-1], 1.0)
            ),
        },
    )  # fmt: skip
    for seed in range(3):
        random.seed(seed)
        model = learner.nn.MLP([2, 3, 1])
        points = [((random.gauss(0, 1), random.gauss(0, 1)), random.choice([-1.0, 1.0]))
                  for _ in range(20 + seed)]  # fmt: skip

        def slowly(points, model=model):
            total = right = 0
            for x, label in points:
                score = model(x)[0].data
                total += math.log(1 + math.exp(-label * score))
                right += (score > 0) == (label > 0)
            return total / len(points), right / len(points)

        check.equal(
            lambda points, model=model: evaluate(model, points), (points,), slowly,
            by="one point at a time", call=f"evaluate(MLP([2, 3, 1]), {20 + seed} random points)",
        )  # fmt: skip


class Line:
    """A model with one weight w: its score for a point is w * x."""

    def __init__(self, Value):
        self.w = Value(0.0)

    def __call__(self, point):
        return [self.w * point[0]]

    def parameters(self):
        return [self.w]


def descend(
    steps, rate=lambda share: 0.3 * (1 - 0.9 * share), sign=1, clear=True, updates=1,
    points=(1, 2, 3),
):  # fmt: skip
    """w after gradient descent on points x with the label 1, computed with plain numbers.

    rate: the learning rate as a function of the share of the steps that is over. The rest are
    mistakes.
    """
    w = total = 0.0
    for step in range(steps):
        for _ in range(updates):
            gradient = sum(-x / (1 + math.exp(w * x)) for x in points) / len(points)
            total = gradient if clear else total + gradient
            w -= sign * rate(step / steps) * total
    return w


def point_by_point(steps):
    """The mistake of an update after each point."""
    w = 0.0
    for step in range(steps):
        for x in (1, 2, 3):
            w += 0.3 * (1 - 0.9 * step / steps) * x / (1 + math.exp(w * x))
    return w


def train(learner, check):
    """First a model with one weight, then moons."""
    main, Log = learner.main, learner.common.Log
    train_points = [((1.0, 0.0), 1), ((2.0, 0.0), 1), ((3.0, 0.0), 1)]
    val_points = [((5.0, 0.0), 1)]
    added, add = [], Log.add

    def note(log, loss):
        if isinstance(loss, learner.engine.Value):
            raise TypeError("log.add got a Value")
        added.append(loss)
        add(log, loss)

    def after(steps):
        """The model after some steps, and what train returned."""
        added.clear()
        model = Line(learner.engine.Value)
        config = main.Config(steps=steps, learning_rate=0.3)
        Log.add = note
        try:
            result = main.train(config, model, {"train": train_points, "val": val_points})
        finally:
            Log.add = add
        return model, result

    call = "train(config, model, points)"
    about = f"{call} for points x = 1, 2, 3 with label 1, score w * x, learning rate 0.3"
    model, result = check.run(
        after, (1,), call=call,
        mistakes={
            "log.add takes a plain number: a Value has it in data.": TypeError("got a Value"),
            "The grad of a leaf is None: set it to 0, a number to which shares can be "
            "added.": TypeError("NoneType"),
            "The loss is a plain number, which does not remember how it was made. evaluate() "
            "returns such numbers: take the mean of point_loss, as a Value.": (
                AttributeError("no attribute 'backward'")
            ),
        },
    )  # fmt: skip
    check.true(
        result is not None, "It returns nothing: leave the line return weights, log at the end.",
        call=call, came="None", expected="weights and the log",
    )  # fmt: skip
    check.true(
        model.w.data != 0 or model.w.grad != 0,
        "w has no gradient, so it stays where it is. Is backward() called, and are the gradients "
        "cleared before that call and not after it?",
        call=f"{about}; then w.grad after 1 step", came="0.0", expected="-1.0",
    )  # fmt: skip
    check.true(
        model.w.data != 0,
        "w has a gradient, but did not move. p = p - ... only gives the name p to another Value: "
        "change the data of this one. Or is the learning rate 0 in step 0?",
        call=f"{about}; then w after 1 step", came="0.0", expected="0.3",
    )  # fmt: skip
    flat = "The learning rate stays the same: let it fall in a straight line to a tenth."
    mistakes = {
        "The loss goes up: move against the gradient.": lambda n: descend(n, sign=-1),
        "The gradients of all steps add up: set them to 0 in each step, before backward().": (
            lambda n: descend(n, clear=False)
        ),
        flat: lambda n: descend(n, rate=lambda share: 0.3),
        f"Two things. The gradients of all steps add up: set them to 0 before backward(). {flat}": (
            lambda n: descend(n, rate=lambda share: 0.3, clear=False)
        ),
        "The learning rate falls to 0: it should fall to a tenth.": (
            lambda n: descend(n, rate=lambda share: 0.3 * (1 - share))
        ),
        "The learning rate does not start at config.learning_rate. What is it in step 0?": (
            check.either(
                lambda n: descend(n, rate=lambda share: 0.03),
                lambda n: descend(n, rate=lambda share: 0.27),
            )
        ),
        "The learning rate is missing.": lambda n: descend(n, rate=lambda share: 1.0),
        "The step follows the sum of the losses: take their mean.": (
            lambda n: descend(n, rate=lambda share: 0.9 * (1 - 0.9 * share))
        ),
        "Only the first point has an effect: use the mean over all train points.": (
            lambda n: descend(n, points=(1,))
        ),
        "Only the last point has an effect: use the mean over all train points.": (
            lambda n: descend(n, points=(3,))
        ),
        "These are steps on the val points: train on the train points.": (
            lambda n: descend(n, points=(5,))
        ),
        "The gradient is twice as large as it should be. Is backward() called twice in a step?": (
            lambda n: descend(n, rate=lambda share: 0.6 * (1 - 0.9 * share))
        ),
        "w moves more than once in a step: one backward() and one update for all points.": (
            check.either(lambda n: descend(n, updates=2), point_by_point)
        ),
    }
    slowly = "computed with plain numbers"
    for steps, by in [(1, "0.3 times the mean of 0.5, 1 and 1.5"), (4, slowly), (10, slowly)]:
        check.equal(
            lambda steps: after(steps)[0].w.data, (steps,), descend(steps), by=by,
            call=f"{about}; then w after {steps} step{'s' * (steps > 1)}", mistakes=mistakes,
        )  # fmt: skip
    check.equal(
        lambda: [after(1), list(added)][1], (), [math.log(2)], by="log 2 at w = 0",
        call="what log.add was given in the first step",
        mistakes={"The log got nothing: call log.add(...) once in each step.": []},
    )  # fmt: skip
    check.between(
        lambda: loss_of_moons(learner), (), 0.0, 0.3, by="a uniform guess has 0.693",
        call="the loss on 20 points of two moons after 80 steps",
        mistakes={"Nothing was learned: every guess is near 1/2.": (0.6, 0.75)},
    )  # fmt: skip


def loss_of_moons(learner):
    """Train on a few points for half a second."""
    points = []
    for i in range(20):
        angle, label = math.pi * random.random(), i % 2 * 2 - 1
        x, y = math.cos(angle), math.sin(angle)
        points.append(((x, y) if label < 0 else (1 - x, 0.5 - y), label))
    model = learner.nn.MLP([2, 8, 8, 1])
    learner.main.train(learner.main.Config(steps=80), model, {"train": points, "val": points[:4]})
    losses = [math.log1p(math.exp(-label * model(x)[0].data)) for x, label in points]
    return sum(losses) / len(losses)
