"""The checks of the exercises of stage 05. How to write such a file: tools/learn/checking.py.

Only causal_mask needs PyTorch, so only it imports PyTorch.
"""

import contextlib
import math
import random
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
LESSON = "the lesson's example"
BY_HAND = "worked out by hand"
NUMERICAL = "measured: each number moved by a little"

SUM_OF_VALUES = (
    "sum() begins with the number 0, and 0 + Value does not work: sum(values, Value(0.0))."
)

# What goes wrong when Values are used like numbers, whatever the exercise.
OPERATORS = {
    "A Value has no division. For a number, multiply by 1 / number; for a Value, multiply by "
    "value ** -1.": TypeError("for /"),
    "A Value has no minus: multiply by -1 and add.": TypeError("for -"),
    "A number on the left of a Value: the Value comes first, as in value * 2.": TypeError(
        "for *: 'float' and 'Value'"
    ),
    SUM_OF_VALUES: TypeError("for +: 'int' and 'Value'"),
    "The functions of math take numbers. The number of a Value is its .data.": TypeError(
        "must be real number, not Value"
    ),
    "max cannot compare Values: compare their numbers, .data.": TypeError(
        "between instances of 'Value' and 'Value'"
    ),
    "These are plain floats, which have no .data: they need a case of their own.": AttributeError(
        "'float' object has no attribute"
    ),
    "* cannot multiply lists. dot, linear and add work on lists.": TypeError("sequence by non-int"),
}


# --- helpers ---


def make(main, numbers):
    """The same nested lists, with a Value in place of each number."""
    if isinstance(numbers, list):
        return [make(main, part) for part in numbers]
    return main.Value(float(numbers))


def data(result):
    """The same nested lists, with the number in place of each Value."""
    if type(result) in (list, tuple):
        return [data(part) for part in result]
    return getattr(result, "data", result)


def flat(numbers):
    """All numbers of nested lists in one list."""
    if isinstance(numbers, list):
        return [number for part in numbers for number in flat(part)]
    return [numbers]


def unflatten(like, numbers):
    """An iterator of numbers in the nested form of another list."""
    if isinstance(like, list):
        return [unflatten(part, numbers) for part in like]
    return next(numbers)


def gradients(main, function, *args):
    """The grad of every number in args after function(*args).backward(), in the form of args."""
    main.tape.clear()
    given = make(main, list(args))
    function(*given).backward()
    grads = [value.grad for value in flat(given)]
    return unflatten(list(args), iter(grads))


def slopes(function, *args, h=1e-5):
    """The same, measured: how much function(*args) of floats changes with each number."""
    numbers = flat(list(args))
    result = []
    for i in range(len(numbers)):
        ends = []
        for step in (h, -h):
            moved = [*numbers[:i], numbers[i] + step, *numbers[i + 1 :]]
            ends.append(function(*unflatten(list(args), iter(moved))))
        result.append((ends[0] - ends[1]) / (2 * h))
    return unflatten(list(args), iter(result))


def assert_value(check, main, result, call):
    """Failed if the result is a plain number."""
    check.true(
        isinstance(result, main.Value),
        "The number is right, but it is a plain number, and no gradient can go through it. "
        "Of Values, make a Value: Value(number, children, local_grads).",
        call=call, came="a number", expected="a Value",
    )  # fmt: skip


def normal(n, spread=1.0):
    return [random.gauss(0, spread) for _ in range(n)]


def grouped(check, mistakes, result):
    """{what to say: the wrong results} of {mistake: what to say}. result(mistake) gives one."""
    return {
        words: check.either(*(result(wrong) for wrong, other in mistakes.items() if other == words))
        for words in mistakes.values()
    }


def weighted_sum(numbers, weights):
    """One number made of many, so that a gradient can be taken of it."""
    terms = [number * weight for number, weight in zip(numbers, weights)]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


# --- engine ---


def backward(learner, check):
    main = learner.main
    check.equal(
        lambda: gradients(main, lambda a, b: a * b, 2.0, 3.0), (), [3.0, 2.0],
        by="d ab / da is b, and the other way round",
        call="c = a * b; c.backward(), then [a.grad, b.grad] for a = 2, b = 3",
        mistakes={
            "tape = ... inside the method makes a new, local name. tape.pop() and tape.clear() "
            "change the list itself.": UnboundLocalError,
            "Nothing arrived. Does self begin with a gradient of 1, and does each child get its "
            "share?": [0.0, 0.0],
            "The local gradient is missing: the chain rule multiplies by it.": [1.0, 1.0],
            "You add the local gradient and the gradient: the chain rule multiplies them.": (
                [4.0, 3.0]
            ),
        },
    )  # fmt: skip
    check.equal(
        lambda: gradients(main, lambda a: a + a, 5.0), (), [2.0], by="a + a is 2a",
        call="c = a + a; c.backward(), then [a.grad] for a = 5",
        mistakes={
            "The gradient of a + a is 2, because a is a child twice: gradients add up. You "
            "assigned, and the second one replaced the first.": [1.0],
        },
    )  # fmt: skip

    def square_of_triple(x):
        y = x * 3.0
        return y * y

    check.equal(
        lambda: gradients(main, square_of_triple, 2.0), (), [36.0], by="z is 9x², with slope 18x",
        call="y = x * 3; z = y * y; z.backward(), then [x.grad] for x = 2",
        mistakes={
            "y passed on its local gradient alone, 3: it has to be multiplied by the gradient of "
            "y, 12.": [3.0],
            "Nothing arrived at x. Did only self pass its gradient on? Or was the tape read from "
            "its beginning, where y has no gradient yet? Go back from its end.": [0.0],
            "The gradient of y is 12, because y is a child twice. You assigned, and the second "
            "share replaced the first.": [18.0],
            "y passed its gradient on twice, the first time before it was complete. A Value's turn "
            "comes once, after everything that used it: go back along the tape.": [54.0],
        },
    )  # fmt: skip
    check.true(
        len(main.tape) == 0,
        "The tape still holds the Values of this pass, and the next backward pass would go through "
        "them again: take each Value off.",
        call="z.backward(), then len(tape)", came=str(len(main.tape)), expected="0",
    )  # fmt: skip

    def twice():
        x = main.Value(2.0)
        (x * 3.0).backward()
        (x * 4.0).backward()
        return x.grad

    check.equal(
        twice, (), 7.0, by="3 + 4: the training clears gradients, backward() does not",
        call="(x * 3).backward(); (x * 4).backward(), then x.grad",
        mistakes={
            "The second pass wiped out the first. backward() adds to the gradients that are "
            "there.": 4.0,
        },
    )  # fmt: skip

    def long_chain(x):
        for _ in range(3000):
            x = x * 1.0
        return x

    check.equal(
        lambda: gradients(main, long_chain, 1.0), (), [1.0],
        call="3000 multiplications by 1, one after the other, then [x.grad]",
        mistakes={
            "A call inside a call, 3000 deep, is too much for Python: a loop along the tape needs "
            "no recursion.": RecursionError,
        },
    )  # fmt: skip

    def mixed(a, b, c):
        d = a * b + c
        e = d * d * a + d**3
        return e * (b * b + 1.0) ** -1 + e * 0.5 + c

    numbers = (0.7, -1.3, 1.9)
    check.equal(
        lambda: gradients(main, mixed, *numbers), (), slopes(mixed, *numbers), by=NUMERICAL,
        call="gradients of a longer formula with +, * and **",
    )  # fmt: skip


# --- operations ---


def dot(learner, check):
    main = learner.main
    dot = main.dot
    a, b = [1.0, 2.0, 3.0], [4.0, 5.0, 6.0]
    mistakes = OPERATORS | {
        "These are the products: the dot product is their sum.": [4.0, 10.0, 18.0],
        "This is the product of the sums: multiply number by number first.": 90.0,
        "This is the sum of all numbers: multiply a[i] by b[i].": 21.0,
        "An operator was used on Values, and each use makes one more Value. Compute the number "
        "from their .data, and then make one Value of it.": TypeError("'Value'"),
    }
    mistakes.pop(SUM_OF_VALUES)  # its advice would not help here
    check.equal(dot, (a, b), 32.0, by="1*4 + 2*5 + 3*6", mistakes=mistakes)
    given = make(main, [a, b])
    before = [list(part) for part in given]
    call = "out = dot(a, b) for Values a = [1, 2, 3], b = [4, 5, 6]"
    check.equal(
        lambda: data(dot(*given)), (), 32.0, call=f"{call}, then out.data", by="1*4 + 2*5 + 3*6",
        mistakes=mistakes,
    )  # fmt: skip
    check.true(
        given == before,
        "Your function changes the list a. a += b and a.extend(b) do that: a + b makes a new list.",
        call=call, came=f"a has length {len(given[0])}", expected="a has length 3 as before",
    )  # fmt: skip
    main.tape.clear()
    assert_value(check, main, dot(*given), call)
    count = len(main.tape)
    check.equal(
        lambda: gradients(main, dot, a, b), (), [b, a], by=LESSON,
        call=f"{call}; out.backward(), then the grads of a and b",
        mistakes={
            "The two are swapped: the derivative with respect to a[i] is b[i].": [a, b],
            "No gradient arrives: the Value needs children, and a local gradient for each.": (
                [[0.0] * 3, [0.0] * 3]
            ),
            "b gets no gradient: both lists need all numbers of a and of b.": [b, [0.0] * 3],
            "a gets no gradient: both lists need all numbers of a and of b.": [[0.0] * 3, a],
            "A local gradient of 1 is that of a sum: the derivative with respect to a[i] is "
            "b[i].": [[1.0] * 3, [1.0] * 3],
            "These are the products: the derivative with respect to a[i] is b[i] alone.": (
                [[4.0, 10.0, 18.0], [4.0, 10.0, 18.0]]
            ),
            "local_grads are plain numbers: take .data.": check.either(
                TypeError("for *: 'Value'"), TypeError("for *: 'float' and 'Value'"),
                TypeError("for +=: 'float' and 'Value'"),
            ),
        },
    )  # fmt: skip
    check.true(
        count == 1,
        "The gradients are right, but the sum was put together from many small Values. Compute the "
        "number first, and then make one Value of it.",
        call=f"{call}, then len(tape)", came=str(count), expected="1",
    )  # fmt: skip
    check.equal(
        lambda: gradients(main, lambda x: dot(x, x), a), (), [[2.0, 4.0, 6.0]],
        by="the slope of x² is 2x", call="dot(x, x).backward(), then the grads of x = [1, 2, 3]",
    )  # fmt: skip
    a, b = normal(16), normal(16)
    slow = sum(x * y for x, y in zip(a, b))
    check.equal(dot, (a, b), slow, by="one product at a time", call="dot of 16 numbers")
    check.equal(
        lambda: gradients(main, dot, a, b), (), [b, a], by=NUMERICAL,
        call="gradients of a dot product of 16 numbers",
    )  # fmt: skip


def slow_rmsnorm(x, center=False, root=True, mean=True, epsilon=1e-5):
    n = len(x)
    if center:
        x = [xi - sum(x) / n for xi in x]
    scale = sum(xi * xi for xi in x) / (n if mean else 1) + epsilon
    return [xi / (math.sqrt(scale) if root else scale) for xi in x]


def rmsnorm(learner, check):
    main = learner.main
    rmsnorm = main.rmsnorm
    check.equal(
        rmsnorm, ([1.0, 7.0],), [0.2, 1.4], by="mean square (1 + 49) / 2 = 25, root 5",
        mistakes=OPERATORS | {
            "The root is missing: divide by the root of the mean square.": [0.04, 0.28],
            "This divides by the root of the sum of the squares: take their mean.": (
                lambda x: slow_rmsnorm(x, mean=False)
            ),
            "The numbers grew: divide by the root, which is ** -0.5, and not ** 0.5.": [5.0, 35.0],
            "This uses the mean of the numbers: square them first.": check.either(
                [0.25, 1.75], [0.5, 3.5]
            ),
            "This subtracts the mean first. That is LayerNorm, of stage 06: RMSNorm only scales.": (
                lambda x: slow_rmsnorm(x, center=True)
            ),
            "This is the scale: multiply every number of x by it.": check.either(0.2, [0.2, 0.2]),
            "The numbers were squared on the way: the result is x itself times one number.": (
                [0.2, 9.8]
            ),
        },
    )  # fmt: skip
    check.equal(
        rmsnorm, ([0.0, 0.0],), [0.0, 0.0],
        by="zeros stay zeros",
        mistakes={
            "The mean square of zeros is 0, and you divide by its root: 1e-5 is added before the "
            "root is taken.": ZeroDivisionError,
        },
    )  # fmt: skip
    tiny = [0.001, -0.003, 0.002]
    check.equal(
        rmsnorm, (tiny,), slow_rmsnorm, by="the root of mean square + 1e-5",
        mistakes={
            "1e-5 is added to the root: add it to the mean square, under the root.": (
                lambda x: [xi / (math.sqrt(sum(y * y for y in x) / len(x)) + 1e-5) for xi in x]
            ),
            "1e-5 is added to the sum of the squares: add it to their mean.": (
                lambda x: slow_rmsnorm(x, epsilon=1e-5 / len(x))
            ),
            "1e-5 is not added: numbers as small as these show it.": (
                lambda x: slow_rmsnorm(x, epsilon=0.0)
            ),
        },
    )  # fmt: skip
    x, weights = normal(5), normal(5)
    check.equal(rmsnorm, (x,), slow_rmsnorm, by="computed one number at a time")
    call = "rmsnorm of 5 Values"
    result = check.run(lambda: rmsnorm(make(main, x)), (), call=call, mistakes=OPERATORS)
    check.equal(
        lambda: data(result), (), slow_rmsnorm(x), by="computed one number at a time", call=call
    )
    assert_value(check, main, result[0], call)
    scale = slow_rmsnorm(x)[0] / x[0]
    check.equal(
        lambda: gradients(main, lambda x: weighted_sum(rmsnorm(x), weights), x), (),
        slopes(lambda x: weighted_sum(slow_rmsnorm(x), weights), x), by=NUMERICAL,
        call=f"{call}, then the gradient of a sum of the results",
        mistakes={
            "The scale is a plain number here, but it depends on x as well: leave it a Value, so "
            "that the gradient goes through it.": [[scale * weight for weight in weights]],
        },
    )  # fmt: skip


def slow_softmax(logits):
    return [1 / sum(math.exp(other - logit) for other in logits) for logit in logits]


def jacobian(main, softmax, logits):
    """Row i: the derivatives of probability i with respect to every logit."""

    def row(i):
        return gradients(main, lambda z: softmax(z)[i], logits)[0]

    return [row(i) for i in range(len(logits))]


def softmax(learner, check):
    main = learner.main
    softmax = main.softmax
    overflow = (
        "e ** 1000 is more than a float holds: subtract the largest logit from all of them first."
    )
    check.equal(
        softmax, ([2.0, 1.0, 0.0],), [0.665, 0.245, 0.090], by="lesson 03's example", atol=6e-4,
        mistakes=OPERATORS | {
            "This is exp of the logits: divide by their sum.": check.either(
                lambda z: [math.exp(x) for x in z], lambda z: [math.exp(x - max(z)) for x in z]
            ),
            "Each logit is divided by the sum of the logits: take exp first.": (
                lambda z: [x / sum(z) for x in z]
            ),
            "These are the logarithms: softmax gives the probabilities themselves.": (
                lambda z: [math.log(p) for p in slow_softmax(z)]
            ),
            "You divide by the largest one: divide by the sum.": (
                lambda z: [math.exp(x - max(z)) / math.exp(max(z)) for x in z]
            ),
            "These are the probabilities of minus the logits: exp(number - highest).": (
                lambda z: slow_softmax([-x for x in z])
            ),
        },
    )  # fmt: skip
    check.equal(
        softmax, ([1000.0, 999.0, -1000.0],), [1 / (1 + 1 / math.e), 1 / (1 + math.e), 0.0],
        by=BY_HAND, mistakes={overflow: OverflowError},
    )  # fmt: skip
    check.equal(
        softmax, ([-1000.0, -1000.0],), [0.5, 0.5], by=BY_HAND,
        mistakes={
            "e ** -1000 rounds to 0, so you divide 0 by 0: subtract the largest logit, and not "
            "its size, so that the largest exp is 1.": ZeroDivisionError,
        },
    )  # fmt: skip
    logits = [math.log(3), 0.0]
    call = "p = softmax(z) for Values z = [log 3, 0]"
    result = check.run(lambda: softmax(make(main, logits)), (), call=call, mistakes=OPERATORS)
    check.equal(lambda: data(result), (), [0.75, 0.25], by="3 to 1", call=call)
    assert_value(check, main, result[0], call)
    p, q = 0.75, 0.25
    check.equal(
        lambda: jacobian(main, softmax, logits), (), [[p * q, -p * q], [-p * q, p * q]],
        by="0.75 * 0.25 = 0.1875",
        call=f"{call}; [[dp0/dz0, dp0/dz1], [dp1/dz0, dp1/dz1]]",
        mistakes={
            "No gradient arrives: the children of every probability are the logits, and each has "
            "its local gradient.": [[0.0, 0.0], [0.0, 0.0]],
            "Each probability depends only on its own logit here. But all of them share one sum: "
            "when the other logit rises, this probability falls.": [[p * q, 0.0], [0.0, p * q]],
            "The sign between different logits is wrong: when the other logit rises, this "
            "probability falls.": [[p * q, p * q], [p * q, p * q]],
            "(i == j) is 1 only where i and j are the same. Where they differ, the last factor is "
            "0 - p[j].": [[p * q, p * p], [q * q, p * q]],
            "The factor p[i] is missing: this is the derivative of log p[i].": (
                [[1 - p, -q], [-p, 1 - q]]
            ),
            "The signs are the wrong way round: a rising logit raises its own probability.": (
                [[-p * q, p * q], [p * q, -p * q]]
            ),
            "In the last factor, p[i] and p[j] are mixed up: subtract the probability of the logit "
            "by which you take the derivative.": [[p * (1 - p), -p * p], [-q * q, q * (1 - q)]],
            "The first factor is p[i], the probability whose derivative you take.": (
                [[p * (1 - p), -q * q], [-p * p, q * (1 - q)]]
            ),
            "This is exp's derivative. The sum below the fraction depends on the logits as well.": (
                [[p, 0.0], [0.0, q]]
            ),
            "A probability has only one child here: its children are all the logits.": (
                [[p * q, 0.0], [-p * q, 0.0]]
            ),
        },
    )  # fmt: skip
    check.equal(
        lambda: jacobian(main, softmax, [0.0, 0.0]), (), [[0.25, -0.25], [-0.25, 0.25]],
        by="0.5 * 0.5 = 0.25", call="the same for z = [0, 0], where p is [0.5, 0.5]",
        mistakes={
            "Two different logits can have the same probability: compare their places, i == j, and "
            "not their numbers.": [[0.25, 0.25], [0.25, 0.25]],
        },
    )  # fmt: skip
    logits, weights = normal(6), normal(6)
    check.equal(softmax, (logits,), slow_softmax, by="computed one number at a time")
    check.equal(
        lambda: gradients(main, lambda z: weighted_sum(softmax(z), weights), logits), (),
        slopes(lambda z: weighted_sum(slow_softmax(z), weights), logits), by=NUMERICAL,
        call="softmax of 6 Values, then the gradient of a sum of the results",
    )  # fmt: skip
    check.equal(
        lambda: data(softmax(make(main, [1000.0, 1000.0]))), (), [0.5, 0.5], by=BY_HAND,
        call="softmax of the Values [1000, 1000]", mistakes={overflow: OverflowError},
    )  # fmt: skip


def slow_cross_entropy(logits, target):
    return -math.log(slow_softmax(logits)[target])


def cross_entropy(learner, check):
    main = learner.main
    cross_entropy = main.cross_entropy
    logits, target = [2.0, 1.0, 0.0], 1
    mistakes = OPERATORS | {
        "The minus is missing: the log of a probability is below 0, and a loss is above.": -1.408,
        "This is the probability: the loss is minus its logarithm.": check.either(0.245, -0.245),
        "This is minus the logit of the target: the sum of all exp belongs to it as well.": -1.0,
        "This is the logarithm of the sum alone, or the loss of another token: the logit of the "
        "target belongs to it.": check.either(0.408, 2.408),
        "The largest logit was subtracted in one place only: it has to leave the sum and the "
        "logit of the target.": check.either(-0.592, 3.408),
        "There is one number for each token: only that of the target counts.": (
            [0.408, 1.408, 2.408]
        ),
        "This is in bits: the loss is in nats, with the natural logarithm.": 1.408 / math.log(2),
    }
    check.equal(
        cross_entropy, (logits, target), 1.408, by="lesson 03's example", atol=6e-4,
        mistakes=mistakes,
    )  # fmt: skip
    check.equal(
        cross_entropy, ([0.0] * 27, 3), math.log(27), by="an even guess among 27: log 27",
    )  # fmt: skip
    check.equal(
        cross_entropy, ([1000.0, 0.0, 1000.0], 1), 1000 + math.log(2), by=BY_HAND,
        mistakes={
            "e ** 1000 is more than a float holds: subtract the largest logit from all of them "
            "first.": OverflowError,
            "A tiny probability rounds to 0, and 0 has no logarithm. log(a / b) = log a - log b: "
            "take the logarithm of the sum.": check.either(ValueError, ZeroDivisionError),
            "A tiny probability rounds to 0, and this is the logarithm of a smallest number that "
            "you put in its place. log(a / b) = log a - log b: take the logarithm of the sum.": (
                check.either(*(-math.log(10.0**-n) for n in range(3, 101)))
            ),
        },
    )  # fmt: skip
    call = "loss = cross_entropy(z, 1) for Values z = [2, 1, 0]"
    result = check.run(
        lambda: cross_entropy(make(main, logits), target), (), call=call, mistakes=OPERATORS
    )
    check.equal(
        lambda: data(result), (), 1.408, by="lesson 03's example", call=call, atol=6e-4,
        mistakes=mistakes,
    )  # fmt: skip
    assert_value(check, main, result, call)
    main.tape.clear()
    cross_entropy(make(main, [0.0] * 27), target)
    count = len(main.tape)
    p = slow_softmax(logits)
    check.equal(
        lambda: gradients(main, lambda z: cross_entropy(z, target), logits)[0], (),
        [0.665, -0.755, 0.090], by="p - y, lesson 03's example", atol=6e-4,
        call=f"{call}; loss.backward(), then the grads of z",
        mistakes={
            "The sign is wrong: this is y - p. A gradient points to more loss.": (
                [-0.665, 0.755, -0.090]
            ),
            "This is p: subtract what happened, 1 at the target.": p,
            "1 was subtracted everywhere: subtract it only at the target.": [x - 1 for x in p],
            "Only the target has a gradient here: the other logits have one as well, p.": (
                [0.0, p[1] - 1, 0.0]
            ),
            "This is -y: what the model said, p, is missing.": [0.0, -1.0, 0.0],
            "No gradient arrives: the children are the logits, and each has its local gradient.": (
                [0.0] * 3
            ),
            "These are the exponentials: divide them by their sum, which makes p.": check.either(
                [math.exp(x) - (i == 1) for i, x in enumerate(logits)],
                [math.exp(x - 2) - (i == 1) for i, x in enumerate(logits)],
            ),
            "These are the logits less y: make probabilities of them first.": [2.0, 0.0, 0.0],
            "The gradient is divided by the number of logits: this is the loss of one prediction, "
            "so nothing has to be divided.": [(x - (i == 1)) / 3 for i, x in enumerate(p)],
            "This is the derivative of the loss with respect to the probability: the children are "
            "the logits, and theirs is p - y.": [0.0, -1 / p[1], 0.0],
        },
    )  # fmt: skip
    check.true(
        count < 27,
        "The gradients are right, but there is a Value on the tape for every logit, and the "
        "backward pass goes through them all. Compute with the numbers, .data, and make one Value "
        "at the end.",
        call="cross_entropy of 27 Values, then len(tape)", came=str(count), expected="1",
    )  # fmt: skip
    logits = normal(7, 2.0)
    check.equal(cross_entropy, (logits, 4), slow_cross_entropy, by="-log of softmax")
    check.equal(
        lambda: gradients(main, lambda z: cross_entropy(z, 4), logits), (),
        slopes(lambda z: slow_cross_entropy(z, 4), logits), by=NUMERICAL,
        call="cross_entropy of 7 Values, then the gradient",
    )  # fmt: skip


# --- model ---


def slow_dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def slow_attention(query, keys, values, scale=None):
    """(mean, weights), one number at a time. scale: what the scores are multiplied by."""
    scale = 1 / math.sqrt(len(query)) if scale is None else scale
    weights = slow_softmax([scale * slow_dot(query, key) for key in keys])
    return slow_mean(weights, values), weights


def slow_mean(weights, values):
    return [slow_dot(weights, [value[i] for value in values]) for i in range(len(values[0]))]


def attention(learner, check):
    attention = learner.main.attention
    query = [2.0, 2.0]
    keys, values = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [[1.0, 3.0], [2.0, 1.0], [3.0, 4.0]]
    call = "mean, weights = attention(query, keys, values) for the a of ema"
    result = check.run(
        attention, (query, keys, values), call=call,
        mistakes=OPERATORS | {
            "linear takes the vector first and the matrix second: linear(x, w).": (
                AttributeError("'list' object has no attribute 'data'")
            ),
            "weighted_mean takes the vectors first and their weights second.": (
                TypeError("'float' object is not iterable")
            ),
            "head_dim is the length of the query, and n_embd is not known here: len(query).": (
                check.either(NameError("'head_dim'"), NameError("config"), NameError("n_embd"))
            ),
        },
    )  # fmt: skip
    check.true(
        result is not None, "It returns nothing. Did you print instead of return?",
        call=call, came="None", expected="two lists",
    )  # fmt: skip
    check.true(
        isinstance(result, (tuple, list)) and len(result) == 2
        and all(isinstance(part, (list, tuple)) for part in result),
        "Return two lists: the mean of the values, and the weights.",
        call=call, came=describe(result), expected="two lists",
    )  # fmt: skip

    def scaled(number):
        return slow_attention(query, keys, values, number)[0]

    scores = [2 / math.sqrt(2), 2 / math.sqrt(2), 4 / math.sqrt(2)]
    check.equal(
        lambda: list(result[0]), (), [2.509, 3.346], by=LESSON, atol=6e-4, call=f"{call}: the mean",
        mistakes={
            "The two are swapped: the mean comes first, then the weights.": [0.164, 0.164, 0.673],
            "The values are averaged without weights: multiply each by its weight.": [2.0, 8 / 3],
            "The values are added up without weights: multiply each by its weight.": [6.0, 8.0],
            "The scores are not divided: by the root of head_dim, the length of the query.": (
                scaled(1.0)
            ),
            "The scores are divided by head_dim: divide by its root.": scaled(1 / 2),
            "The scores are multiplied by the root of head_dim: divide by it.": (
                scaled(math.sqrt(2))
            ),
            "The scores are divided by 4, the root of n_embd. But a head has only head_dim "
            "numbers: divide by the root of the length of the query.": scaled(1 / 4),
            "The scores are divided by the root of the number of keys: divide by the root of the "
            "length of the query.": scaled(1 / math.sqrt(3)),
            "This is the mean of the keys: keys are for finding, values are what is found.": (
                slow_attention(query, keys, keys)[0]
            ),
            "The query is compared with the values: compare it with the keys.": check.either(
                slow_attention(query, values, values)[0], slow_attention(query, values, keys)[0]
            ),
            "The weights are the scores themselves: softmax makes weights of them that add up to "
            "1.": slow_mean(scores, values),
            "The weights are only exponentials: divide them by their sum, so that they add up to "
            "1.": slow_mean([math.exp(score) for score in scores], values),
            "You took the value of the best match alone: take a weighted mean of all.": [3.0, 4.0],
            "The weights are divided after softmax, so they no longer add up to 1: divide the "
            "scores, before softmax.": [number / math.sqrt(2) for number in scaled(1.0)],
        },
    )  # fmt: skip
    check.equal(
        lambda: list(result[1]), (), [0.164, 0.164, 0.673], by=LESSON, atol=6e-4,
        call=f"{call}: the weights",
        mistakes={
            "These are the scores: return what softmax makes of them.": check.either(
                scores, [2.0, 2.0, 4.0]
            ),
        },
    )  # fmt: skip
    for letter, query, mean in (("m", [2.0, 0.0], [1.196, 2.609]), ("e", [0.0, 2.0], [1.0, 3.0])):
        seen = {"m": 2, "e": 1}[letter]
        check.equal(
            lambda *args: list(attention(*args)[0]), (query, keys[:seen], values[:seen]), mean,
            by=LESSON, atol=6e-4,
            call=f"attention(query, keys, values) for the {letter} of ema: the mean",
        )  # fmt: skip
    check.equal(
        lambda *args: list(attention(*args)[0]),
        ([2000.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]]), [1.0, 2.0],
        by="all the weight goes to the best match", call="attention with a score of 1414: the mean",
        mistakes={
            "exp of a large score overflows: use your softmax, which subtracts the largest one.": (
                OverflowError
            ),
        },
    )  # fmt: skip
    attention_of_many(learner.main, check)


def describe(result):
    """What came instead of two results, in a few words."""
    if not isinstance(result, (tuple, list)):
        return f"a {type(result).__name__}"
    inner = sorted({type(part).__name__ for part in result})
    return f"a {type(result).__name__} of {len(result)}: {', '.join(inner)}"


def attention_of_many(main, check):
    """Five random keys and values: first floats, then Values and their gradients."""
    query, keys, values = normal(4), [normal(4) for _ in range(5)], [normal(4) for _ in range(5)]
    weights = normal(4)
    call = "attention of 5 keys and values, head_dim 4"
    check.equal(
        lambda *args: [list(part) for part in main.attention(*args)], (query, keys, values),
        lambda *args: list(slow_attention(*args)), call=f"{call}: the mean and the weights",
        by="computed one number at a time",
        mistakes={
            "The root of 2 belongs to the lesson's example: take that of the length of the "
            "query.": lambda *args: list(slow_attention(*args, 1 / math.sqrt(2))),
        },
    )  # fmt: skip
    call += ", all of them Values"
    mean, att = check.run(
        lambda: main.attention(*make(main, [query, keys, values])), (), call=call,
        mistakes=OPERATORS,
    )  # fmt: skip
    check.equal(
        lambda: [data(list(mean)), data(list(att))], (), list(slow_attention(query, keys, values)),
        call=f"{call}: the mean and the weights", by="computed one number at a time",
    )  # fmt: skip
    for value in (mean[0], att[0]):
        assert_value(check, main, value, call)
    given = (query, keys, values)
    came = gradients(main, lambda *args: weighted_sum(main.attention(*args)[0], weights), *given)
    measured = slopes(lambda *args: weighted_sum(slow_attention(*args)[0], weights), *given)
    for part, name in enumerate(("query", "keys", "values")):
        zeros = unflatten(given[part], iter([0.0] * 20))
        check.equal(
            lambda came: came, (came[part],), measured[part], by=NUMERICAL,
            call=f"{call}: the gradient of the {name}",
            mistakes={
                f"No gradient reaches the {name}: compute with the Values themselves, not with "
                "their numbers.": zeros,
            },
        )  # fmt: skip


def slow_gpt(config, weights, tokens, wrong=""):
    """The logits after the last token. All positions are computed again, and nothing is cached.

    wrong: a known mistake in the layers, one of the texts in LAYER_MISTAKES.
    """

    def times(name, x):
        return [slow_dot(row, x) for row in weights[name]]

    def plus(xs, ys):
        return [[a + b for a, b in zip(x, y)] for x, y in zip(xs, ys)]

    def norm(xs):
        return [slow_rmsnorm(x) for x in xs]

    wte, wpe = ([weights["wte"][token] for token in tokens], weights["wpe"])
    xs = norm(plus(wte, wpe))
    for layer in range(config.n_layer):
        def name_of(name, layer=layer):
            return f"layer{0 if wrong in ('first layer', f'first {name}') else layer}.{name}"

        start = xs
        normed = xs if wrong == "no norm before attention" else norm(xs)
        names = {
            "k and v swapped": ("attn_wq", "attn_wv", "attn_wk"),
            "q and k swapped": ("attn_wk", "attn_wq", "attn_wv"),
            "k like q": ("attn_wq", "attn_wq", "attn_wv"),
            "v like q": ("attn_wq", "attn_wk", "attn_wq"),
            "v like k": ("attn_wq", "attn_wk", "attn_wk"),
            "k like v": ("attn_wq", "attn_wv", "attn_wv"),
            "k and v like q": ("attn_wq", "attn_wq", "attn_wq"),
        }.get(wrong, ("attn_wq", "attn_wk", "attn_wv"))
        q, k, v = ([times(name_of(name), x) for x in normed] for name in names)
        k = normed if wrong in ("cache holds x", "keys hold x") else k
        v = normed if wrong in ("cache holds x", "values hold x") else v
        found = [slow_heads(config, q[t], k[: t + 1], v[: t + 1], wrong) for t in range(len(xs))]
        if wrong != "no wo":
            found = [times(name_of("attn_wo"), x) for x in found]
        residual = normed if wrong in ("normed residuals", "normed residual") else xs
        xs = found if wrong == "no residual of attention" else plus(residual, found)

        normed = xs if wrong == "no norm before the MLP" else norm(xs)
        normed = norm(start) if wrong == "MLP of the old x" else normed
        hidden = [times(name_of("mlp_fc1"), x) for x in normed]
        if wrong != "no relu":
            hidden = [[max(number, 0.0) for number in x] for x in hidden]
        computed = [times(name_of("mlp_fc2"), x) for x in hidden]
        residual = normed if wrong in ("normed residuals", "normed MLP residual") else xs
        residual = start if wrong == "old residual" else residual
        if wrong == "no residual of the MLP":
            xs = computed
        elif wrong != "no MLP":
            xs = plus(residual, computed)
    return times("lm_head", xs[-1])


def slow_heads(config, q, keys, values, wrong=""):
    """What all heads of one position find, side by side. -> list[C]"""
    C, d = config.n_embd, config.n_embd // config.n_head
    heads = {
        "one head": [range(C)],
        "first head": [range(d)] * config.n_head,
        "every n_head-th": [range(h, C, config.n_head) for h in range(config.n_head)],
    }.get(wrong, [range(start, start + d) for start in range(0, C, d)])
    if wrong == "only itself":
        keys, values = keys[-1:], values[-1:]
    found = []
    for h, head in enumerate(heads):
        seen = [*range(len(keys))]
        if wrong == "once in each head":
            seen = seen[:-1] * config.n_head + seen[-1:] * (h + 1)
        q_h, *keys_h = [[x[c] for c in head] for x in (q, *(keys[s] for s in seen))]
        values_h = [[values[s][c] for c in head] for s in seen]
        q_h = q if wrong == "query not cut" else q_h
        keys_h = keys if wrong == "keys not cut" else keys_h
        values_h = values if wrong == "values not cut" else values_h
        found += slow_attention(q_h, keys_h, values_h)[0]
    if wrong == "heads added":
        return [sum(found[c::d]) for c in range(d)]
    return found


LAYER_MATRICES = ("attn_wq", "attn_wk", "attn_wv", "attn_wo", "mlp_fc1", "mlp_fc2")
LAYER_0 = (
    "Every layer uses the weights of layer 0: their names begin with the number of the layer, i."
)
SAME_MATRIX = (
    "A matrix is used twice: queries come from attn_wq, keys from attn_wk, values from attn_wv."
)
LAYER_MISTAKES = {
    "one head": "All numbers of q are compared in one go, as if there were one head: each head "
    "compares only its own head_dim numbers.",
    "first head": "All heads look at the same numbers, the first head_dim: each head has its own "
    "part of q, k and v.",
    "every n_head-th": "A head takes every n_head-th number: it takes head_dim numbers in a row.",
    "only itself": "Every token finds only itself: k and v belong in keys and values, where those "
    "of the earlier tokens are.",
    "once in each head": "A token is in the cache once for each head: append before the heads, not "
    "in each of them.",
    "cache holds x": "keys and values got the vector x itself: append what attn_wk and attn_wv "
    "make of it.",
    "keys hold x": "keys got the vector x itself: append what attn_wk makes of it.",
    "values hold x": "values got the vector x itself: append what attn_wv makes of it.",
    "query not cut": "The query is not cut: a head takes its own head_dim numbers of q, too.",
    "keys not cut": "The keys are not cut: a head takes its own head_dim numbers of each key.",
    "values not cut": "The values are not cut: a head takes its own head_dim numbers of each "
    "value.",
    "heads added": "The results of the heads are added up: put them side by side, one list behind "
    "the other.",
    "k like q": SAME_MATRIX,
    "v like q": SAME_MATRIX,
    "v like k": SAME_MATRIX,
    "k like v": SAME_MATRIX,
    "k and v like q": SAME_MATRIX,
    "k and v swapped": "Keys and values are swapped: keys come from attn_wk, values from attn_wv.",
    "q and k swapped": "Queries and keys are swapped: queries come from attn_wq, keys from "
    "attn_wk.",
    "no wo": "attn_wo is missing: it mixes what the heads found, before the result is added to x.",
    "first layer": LAYER_0,
    **{f"first {name}": LAYER_0 for name in LAYER_MATRICES},
    "no norm before attention": "The norm before attention is missing: q, k and v are made of the "
    "norm of x.",
    "no norm before the MLP": "The norm before the MLP is missing: it reads the norm of x.",
    "normed residuals": "Both results are added to the norm of x: add them to x as it was before "
    "the norm.",
    "normed residual": "The result of attention is added to the norm of x: add it to x as it was "
    "before the norm.",
    "normed MLP residual": "The result of the MLP is added to the norm of x: add it to x as it was "
    "before the norm.",
    "no residual of attention": "The result of attention replaces x: add it to x.",
    "no residual of the MLP": "The result of the MLP replaces x: add it to x.",
    "old residual": "The MLP adds to the x from before attention, and what attention found is "
    "lost: keep the new x.",
    "MLP of the old x": "The MLP reads the x from before attention: it reads the norm of the new "
    "x.",
    "no relu": "The relu between mlp_fc1 and mlp_fc2 is missing.",
    "no MLP": "The MLP is missing, or its result is not used.",
}


def layer(learner, check):
    """First by hand, then two layers of random weights against slow_gpt."""
    main = learner.main
    layer_by_hand(main, learner.names.Tokenizer(["a"]), check)

    config = main.Config(n_embd=6, n_head=2, n_layer=2, block_size=8)
    # Larger than they begin in the training, so that each norm and each part matters.
    weights = {
        name: [[5 * value.data for value in row] for row in rows]
        for name, rows in main.init_weights(config, vocab_size=5).items()
    }
    model = main.Model(config, weights, learner.names.Tokenizer(["abcd"]))
    tokens = [4, 0, 3, 3, 1]
    for count in range(1, len(tokens) + 1):
        check.equal(
            lambda tokens: logits_after(main, model, tokens)[0], (tokens[:count],),
            lambda tokens: slow_gpt(config, weights, tokens),
            by="computed one number at a time",
            call=f"gpt() with 2 layers and 2 heads: the logits after {count} of 5 tokens",
            mistakes=grouped(
                check, LAYER_MISTAKES, lambda wrong: lambda tokens: (
                    slow_gpt(config, weights, tokens, wrong)
                )
            ),
        )  # fmt: skip
    _, cache = logits_after(main, model, tokens[:3])
    check.equal(
        lambda: [[len(keys), len(values)] for keys, values in cache], (), [[3, 3], [3, 3]],
        call="gpt() for 3 tokens, then the number of keys and of values in each layer",
        by="one for each token",
        mistakes={
            "The cache stays empty: keys.append(k) changes the list in the cache, keys + [k] makes "
            "another list.": [[0, 0], [0, 0]],
        },
    )  # fmt: skip
    layer_attentions(main, model, tokens[:3], check)
    layer_gradients(main, model, tokens[:4], check)


def logits_after(main, model, tokens):
    """What the learner's gpt() gives for the last token, and the cache."""
    cache = main.empty_cache(model.config)
    for position, token in enumerate(tokens):
        logits = main.gpt(model, token, position, cache)
    return logits, cache


def layer_by_hand(main, tokenizer, check):
    """Two tokens, (1, 1) and (-1, 1). Their mean square is 1, so the norm does not change them."""
    config = main.Config(n_embd=2, n_head=2, n_layer=1, block_size=4)
    one, zeros = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]]
    weights = {
        "wte": [[1.0, 1.0], [-1.0, 1.0]],
        "wpe": [[0.0, 0.0]] * 4,
        "lm_head": one,
        "layer0.attn_wq": zeros,
        "layer0.attn_wk": [[3.0, 0.0], [0.0, 3.0]],
        "layer0.attn_wv": [[2.0, 0.0], [0.0, 4.0]],
        "layer0.attn_wo": one,
        "layer0.mlp_fc1": [[0.0, 0.0]] * 8,
        "layer0.mlp_fc2": [[0.0] * 8] * 2,
    }

    def logits(tokens, changed=None):
        model = main.Model(config, weights | (changed or {}), tokenizer)
        return logits_after(main, model, tokens)[0]

    plus = "there is add(x, y), because + puts lists one behind the other."
    check.equal(
        lambda: logits([0]), (), [3.0, 5.0], atol=1e-3,
        by="x is (1, 1), its value is (2, 4), and the MLP adds 0",
        call="the logits after one token, if all scores are 0 and the MLP gives 0",
        mistakes=OPERATORS | {
            "A head looks at an empty list. Are this token's key and value appended before the "
            "heads look? And does a head take a part of every key, not of the list of keys?": (
                check.either(IndexError("list index"), ValueError("max()"), ValueError("empty"))
            ),
            f"The result of attention replaces x. Add it to x; {plus}": [2.0, 4.0],
            f"The result of the MLP replaces x. Add it to x; {plus}": [0.0, 0.0],
            "x is as it was before the layer. Is what attention found lost, or were the values not "
            f"made with attn_wv? To add the result to x, {plus}": [1.0, 1.0],
            LAYER_MISTAKES["heads added"]: [7.0, 1.0],
            "Only the first head is in the result: put those of all heads side by side.": (
                [3.0, 1.0]
            ),
            LAYER_MISTAKES["normed MLP residual"]: slow_rmsnorm([3.0, 5.0]),
            LAYER_MISTAKES["cache holds x"]: [2.0, 2.0],
            "Keys and values are swapped, or the values are made with attn_wk: keys come from "
            "attn_wk, values from attn_wv.": [4.0, 4.0],
            LAYER_MISTAKES["first head"]: [3.0, 3.0],
            "A list came where a number was needed. attention() returns two things. The results of "
            "the heads go side by side into one list[C]. And linear takes the vector first and "
            "the matrix second.": check.either(
                TypeError("list"), AttributeError("'list'"), AttributeError("'tuple'"),
                TypeError("tuple"),
            ),
            "attentions is None unless somebody asks for the weights: append to it only if it is "
            "not None.": check.either(AttributeError("'NoneType'"), TypeError("'NoneType'")),
            'A name is such as layer0.attn_wq: f"layer{i}.attn_wq".': KeyError,
        },
    )  # fmt: skip
    check.equal(
        lambda: logits([0, 1]), (), [-1.0, 5.0], atol=1e-3,
        by="x is (-1, 1), and the mean of the values (2, 4) and (-2, 4) is (0, 4)",
        call="the logits after two tokens, if all scores are 0 and the MLP gives 0",
        mistakes={
            "The second token finds only itself: k and v belong in keys and values, where those of "
            "the first token are.": [-3.0, 5.0],
            LAYER_MISTAKES["once in each head"]: [-1 / 3, 5.0],
            "The second token finds only the first. Are its own key and value both in the lists of "
            "the cache, before the heads look?": [1.0, 5.0],
        },
    )  # fmt: skip
    mlp = {
        "layer0.attn_wv": zeros,
        "layer0.mlp_fc1": one + [[0.0, 0.0]] * 6,
        "layer0.mlp_fc2": [[1.0, -1.0] + [0.0] * 6, [0.0, 2.0] + [0.0] * 6],
    }
    check.equal(
        lambda: logits([1], mlp), (), [-2.0, 3.0], atol=1e-3,
        by="fc1 gives (-1, 1), relu makes it (0, 1), fc2 gives (-1, 2), and x is (-1, 1)",
        call="the logits after one token, if all values are 0",
        mistakes={
            "The relu between mlp_fc1 and mlp_fc2 is missing.": [-3.0, 3.0],
            "relu belongs between mlp_fc1 and mlp_fc2. Does it come after both? Or are the two "
            "matrices swapped?": [-1.0, 3.0],
            "x is as it was before the MLP: the result of the MLP is lost.": [-1.0, 1.0],
        },
    )  # fmt: skip


def layer_attentions(main, model, tokens, check):
    """What gpt() hands out when it is asked for the attention weights."""
    cache = main.empty_cache(model.config)
    for position, token in enumerate(tokens):
        attentions = []
        main.gpt(model, token, position, cache, attentions)

    def lengths(part):
        """The lengths of nested lists, from the outermost to the innermost."""
        if type(part) not in (list, tuple):
            return []
        return [len(part), *lengths(part[0])] if part else [0]

    call = "gpt() with attentions = [] for the third token, then attentions"
    check.equal(
        lambda: lengths(attentions), (), [2, 2, 3], call=f"{call}: lengths of the nested lists",
        by="2 layers, each of 2 heads, each of 3 weights",
        mistakes={
            "attentions stays empty: if it is not None, each layer appends its weights.": [0],
            "Every head appends by itself: collect the weights of the heads in a list, and append "
            "this list once in each layer.": [4, 3],
            "Only the weights of one head arrive: collect those of all heads in a list.": [2, 3],
            "The heads' weights are one long list: keep a list for each head.": [2, 6],
        },
    )  # fmt: skip
    check.equal(
        lambda: [[sum(head) for head in heads] for heads in attentions], (), [[1.0, 1.0]] * 2,
        by="weights add up to 1", call=f"{call}: the sum of each head's numbers",
    )  # fmt: skip


def layer_gradients(main, model, tokens, check):
    """Two numbers of every matrix: the gradient that arrives, beside the measured slope."""
    config, floats = model.config, model.weights
    learned = {name: make(main, rows) for name, rows in floats.items()}
    main.tape.clear()
    cache, loss = main.empty_cache(config), main.Value(0.0)
    for position, target in enumerate(tokens[1:]):
        values = main.Model(config, learned, model.tokenizer)
        logits = main.gpt(values, tokens[position], position, cache)
        assert_value(check, main, logits[0], "gpt() with weights that are Values")
        loss = loss + main.cross_entropy(logits, target)
    loss.backward()

    def slow_loss(name, row, column, step):
        rows = [list(numbers) for numbers in floats[name]]
        rows[row][column] += step
        losses = [
            slow_cross_entropy(slow_gpt(config, floats | {name: rows}, tokens[:i]), tokens[i])
            for i in range(1, len(tokens))
        ]
        return sum(losses)

    # From the last matrix to the first: behind a gap, all gradients are wrong.
    for name, rows in reversed(learned.items()):
        came, measured = [], []
        for row, column in ((tokens[1], 1), (len(rows) // 2, 0)):
            came.append(rows[row][column].grad)
            ends = [slow_loss(name, row, column, step) for step in (1e-4, -1e-4)]
            measured.append((ends[0] - ends[1]) / 2e-4)
        check.equal(
            lambda came: came, (came,), measured, by=NUMERICAL, rtol=1e-3, atol=1e-5,
            call=f"gpt() for 3 tokens, then the gradient of two numbers of {name}",
            mistakes={
                "No gradient arrives there: compute with the Values themselves, not with their "
                "numbers.": [0.0, 0.0],
            },
        )  # fmt: skip


# --- training ---


@contextlib.contextmanager
def in_place_of_gpt(main, logits):
    """While this lasts, logits(model) takes the place of the learner's gpt()."""
    gpt = main.gpt
    main.gpt = lambda model, token, position, cache, attentions=None: logits(model)
    try:
        yield
    finally:
        main.gpt = gpt


def slow_adam(start, gradient, steps, wrong=""):
    """The numbers after some steps of Adam. gradient(numbers, step) gives one for each.

    wrong: a known mistake, one of the texts in ADAM_MISTAKES.
    """
    numbers, m, v = list(start), [0.0] * len(start), [0.0] * len(start)
    total = [0.0] * len(start)
    beta1 = 0.99 if wrong in ("betas swapped", "m uses beta2") else 0.85
    beta2 = 0.85 if wrong in ("betas swapped", "v uses beta1") else 0.99
    for step in range(steps):
        learning_rate = 0.01 * (1 if wrong == "rate stays" else 1 - step / steps)
        c1, c2 = 1 - 0.85 ** (step + 1), 1 - 0.99 ** (step + 1)
        if wrong == "corrections swapped":
            c1, c2 = c2, c1
        c1, c2 = (c2 if wrong == "m uses correction2" else c1), c2
        c1, c2 = c1, (c1 if wrong == "v uses correction1" else c2)
        c1 = 1.0 if wrong in ("no corrections", "m not corrected") else c1
        c2 = 1.0 if wrong in ("no corrections", "v not corrected") else c2
        for i, g in enumerate(gradient(numbers, step)):
            total[i] += g
            g = total[i] if wrong == "not cleared" else g
            kept_m = {"old means lost": 0.0, "old m whole": 1.0}.get(wrong, beta1)
            kept_v = {"old means lost": 0.0, "old v whole": 1.0}.get(wrong, beta2)
            new_m, new_v = 1 - beta1, 1 - beta2
            if wrong in ("shares of m swapped", "shares of both swapped"):
                kept_m, new_m = new_m, kept_m
            if wrong in ("shares of v swapped", "shares of both swapped"):
                kept_v, new_v = new_v, kept_v
            new_m = 1.0 if wrong in ("new m whole", "both new whole") else new_m
            new_v = 1.0 if wrong in ("new v whole", "both new whole") else new_v
            m[i] = kept_m * m[i] + new_m * g
            v[i] = kept_v * v[i] + new_v * g * g
            m_hat, v_hat = m[i] / c1, v[i] / c2
            m[i] = 0.0 if wrong == "m not kept" else m[i]
            v[i] = 0.0 if wrong == "v not kept" else v[i]
            if wrong == "corrected means kept":
                m[i], v[i] = m_hat, v_hat
            numbers[i] -= learning_rate * slow_step(m_hat, v_hat, g, wrong)
    return numbers


def slow_step(m_hat, v_hat, g, wrong=""):
    """How far to go, in learning rates."""
    root = v_hat**0.5
    if wrong == "not moved":
        return 0.0
    if wrong == "wrong direction":
        return -m_hat / (root + 1e-8)
    if wrong == "not divided":
        return m_hat
    if wrong == "no root":
        return m_hat / (v_hat + 1e-8)
    if wrong == "latest gradient":
        return g / (root + 1e-8)
    if wrong == "upside down":
        return root / (m_hat + 1e-8)
    if wrong == "no epsilon":
        return m_hat / root
    if wrong == "epsilon under the root":
        return m_hat / (v_hat + 1e-8) ** 0.5
    return m_hat / (root + 1e-8)


SHARES = (
    "The shares are the wrong way round: beta is the share of the old mean, and 1 - beta that of "
    "what is new."
)
MEANS_LOST = "The old means are lost: m[i] and v[i] keep a share of them from step to step."
ADAM_MISTAKES = {
    "not moved": "The parameters did not move: change p.data.",
    "wrong direction": "The step goes with the gradient, to more loss: go against it.",
    "no corrections": "m[i] and v[i] are used without their corrections: at first both are too "
    "small, and not by the same factor.",
    "m not corrected": "The correction of m[i] is missing: the mean starts at 0, and at first it "
    "is too small.",
    "v not corrected": "The correction of v[i] is missing: the mean starts at 0, and in the first "
    "step it is a hundred times too small.",
    "corrections swapped": "The corrections are mixed up: correction1 is for m, correction2 for v.",
    "m uses correction2": "The correction of m[i] is correction1.",
    "v uses correction1": "The correction of v[i] is correction2.",
    "shares of m swapped": SHARES,
    "shares of v swapped": SHARES,
    "shares of both swapped": SHARES,
    "new m whole": "m[i] takes the whole new gradient: take only the share 1 - beta1 of it.",
    "new v whole": "v[i] takes the whole new square: take only the share 1 - beta2 of it.",
    "both new whole": "m[i] and v[i] take what is new whole: take the shares 1 - beta1 and 1 - "
    "beta2 of it.",
    "m not kept": MEANS_LOST,
    "v not kept": MEANS_LOST,
    "rate stays": "The learning rate stays the same: the variable learning_rate falls, and "
    "config.learning_rate is only its first value.",
    "not divided": "This is the learning rate times m_hat: divide by the root of v_hat, so that "
    "the size of the gradients cancels out.",
    "no root": "You divide by v_hat: divide by its root.",
    "not cleared": "The gradients of all steps add up: clear p.grad for the next step.",
    "betas swapped": "The betas are mixed up: beta1 is for m, beta2 for v.",
    "v uses beta1": "v[i] uses beta1: its own is beta2.",
    "m uses beta2": "m[i] uses beta2: its own is beta1.",
    "corrected means kept": "You keep m_hat and v_hat in m[i] and v[i], so the next step corrects "
    "them once more: the running means themselves stay as they are.",
    "old m whole": "The old m[i] is kept whole: keep only the share beta1 of it.",
    "old v whole": "The old v[i] is kept whole: keep only the share beta2 of it.",
    "old means lost": MEANS_LOST,
    "latest gradient": "The latest gradient gives the direction: take m_hat, the mean.",
    "upside down": "m_hat and v_hat are mixed up: the step is m_hat divided by the root of v_hat.",
}


def adam(learner, check):
    """In place of a GPT, a model of three logits, whose gradient p - y is easy to follow."""
    main = learner.main
    tokenizer = learner.names.Tokenizer(["ab"])  # a is 0, b is 1, BOS is 2

    def train(docs, steps, start=(0.0, 0.0, 0.0)):
        """The three logits, as Values, after some steps on these documents."""
        config = main.Config(steps=steps, learning_rate=0.01)
        weights = {"unused": [[main.Value(0.5)]], "row": [[main.Value(x) for x in start]]}
        model = main.Model(config, weights, tokenizer)
        main.tape.clear()
        with in_place_of_gpt(main, lambda model: model.weights["row"][0]):
            main.train(model, docs)
        return weights["row"][0]

    def slow(docs, steps, wrong="", start=(0.0, 0.0, 0.0)):
        def gradient(numbers, step):
            """The mean of p - y over the tokens of this step's document."""
            targets = tokenizer.encode(docs[step % len(docs)])[1:]
            p = slow_softmax(numbers)
            return [p[i] - targets.count(i) / len(targets) for i in range(3)]

        return slow_adam(start, gradient, steps, wrong)

    def mistakes(docs, steps):
        return grouped(
            check, ADAM_MISTAKES, lambda wrong: lambda *args: slow(docs, steps, wrong)
        )

    errors = {
        "m and v are lists: the means of this parameter are m[i] and v[i].": check.either(
            TypeError("sequence by non-int"), TypeError("list")
        ),
        "p is a Value, and its number is p.data: change that.": check.either(
            TypeError("Value"), AttributeError("'float' object")
        ),
        "You divide by 0. Without a gradient v_hat is 0: that is what epsilon is for, and the sum "
        "of the root and epsilon needs parentheses. And in step 0, 1 - beta ** step is 0: "
        "correction1 and correction2 count from 1.": ZeroDivisionError,
        "This is the root of a negative number. v_hat is a mean of squares, so it is never "
        "negative. Is the gradient squared?": ValueError("math domain"),
    }
    docs = ["a"]
    call = "train() for 1 step with gradients (-1/6, 1/3, -1/6), then the parameters"
    params = check.run(train, (docs, 1), call=call, mistakes=errors)
    check.true(
        not any(isinstance(p.data, complex) for p in params),
        "The root of a negative number is a complex number. v_hat is a mean of squares, so it is "
        "never negative, but m_hat can be. Is the gradient squared, and is it the root of v_hat?",
        call=call, came="complex numbers", expected="[0.01, -0.01, 0.01]",
    )  # fmt: skip
    check.equal(
        lambda: [p.data for p in params], (), [0.01, -0.01, 0.01], call=call,
        by="the first step is the learning rate, against the gradient", mistakes=mistakes(docs, 1),
    )  # fmt: skip
    docs = ["a", "bb", "ab", "b", "aaa"]
    for steps in (3, 12):
        check.equal(
            lambda steps: [p.data for p in train(docs, steps)], (steps,), slow(docs, steps),
            call=f"train() for {steps} steps with other names, then the parameters",
            by="computed one number at a time", atol=1e-7, mistakes=errors | mistakes(docs, steps),
        )  # fmt: skip

    # A token with the logit -14 that never comes: its gradient, 4e-7, is small enough for epsilon
    # to matter.
    docs, rare = ["a"], (0.0, -14.0, 0.0)
    check.equal(
        lambda: train(docs, 1, rare)[1].data, (), slow(docs, 1, start=rare)[1], rtol=1e-6,
        call="the parameter -14 after a step with its gradient of 4e-7",
        by="nearly the learning rate as well",
        mistakes={
            "epsilon is under the root: add it to the root of v_hat.": (
                slow(docs, 1, "epsilon under the root", rare)[1]
            ),
            "epsilon is missing.": slow(docs, 1, "no epsilon", rare)[1],
        },
    )  # fmt: skip
    check.between(
        lambda: loss_of_short_training(main, learner.names.Tokenizer), (), 0.6, 2.2,
        by="it begins at 3.4", call="train() with your gpt() on 8 names: the last loss",
        mistakes={
            "The loss is that of an even guess: nothing was learned.": (3.0, 3.6),
            "The loss rises.": (3.6, math.inf),
        },
    )  # fmt: skip


def loss_of_short_training(main, Tokenizer):
    """Train the learner's own GPT for a second on a few names. The mean of the last 12 losses."""
    docs = (DATA / "names.txt").read_text(encoding="utf-8").split()
    tokenizer = Tokenizer(docs)
    config = main.Config(steps=120, n_embd=8, n_head=2, block_size=8)
    model = main.Model(config, main.init_weights(config, tokenizer.vocab_size), tokenizer)
    main.tape.clear()
    log, _ = main.train(model, docs[:: len(docs) // 8][:8])
    return log.curve[-1][1]


# --- the twin ---


def causal_mask(learner, check):
    import torch

    attention = learner.torch_twin.attention
    check.forbid("scaled_dot_product_attention")
    q = torch.tensor([[[[0.0, 2.0], [2.0, 0.0], [2.0, 2.0]]]])
    k = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]])
    v = torch.tensor([[[[1.0, 3.0], [2.0, 1.0], [3.0, 4.0]]]])
    call = "mean, weights = attention(q, k, v) for e, m and a"
    result = check.run(
        attention, (q, k, v), call=call,
        mistakes={
            "The keys have to be transposed, from (T, head_dim) to (head_dim, T): k.mT.": (
                check.either(RuntimeError("Expected size for"), RuntimeError("shapes cannot be"))
            ),
            "* multiplies number by number: the matrix product is @.": (
                RuntimeError("must match the size")
            ),
            "The tensors have four dimensions here, (B, n_head, T, head_dim), and the last two "
            "count.": check.either(RuntimeError("einsum"), ValueError("too many values to unpack")),
        },
    )  # fmt: skip
    check.true(
        result is not None, "It returns nothing. Did you print instead of return?",
        call=call, came="None", expected="two tensors",
    )  # fmt: skip
    check.true(
        isinstance(result, (tuple, list)) and len(result) == 2
        and all(isinstance(part, torch.Tensor) for part in result),
        "Return two tensors: the mean of the values, and the weights.",
        call=call, came=describe(result), expected="two tensors",
    )  # fmt: skip
    mean, att = result
    check.equal(
        lambda: [tuple(mean.shape), tuple(att.shape)], (), [(1, 1, 3, 2), (1, 1, 3, 3)],
        call=f"{call}: their shapes", by="(B, n_head, T, head_dim) and (B, n_head, T, T)",
        mistakes={
            "The two are swapped: the mean comes first, then the weights.": (
                [(1, 1, 3, 3), (1, 1, 3, 2)]
            ),
        },
    )  # fmt: skip
    rows = torch.tensor([[1, 0, 0], [0.804, 0.196, 0], [0.164, 0.164, 0.673]])
    check.equal(
        lambda: att[0, 0], (), rows, call=f"{call}: the weights", by=LESSON, atol=6e-4,
        mistakes=wrong_weights(check, q[0, 0], k[0, 0]),
    )  # fmt: skip
    values = v[0, 0]
    check.equal(
        lambda: mean[0, 0], (), torch.tensor([[1, 3], [1.196, 2.609], [2.509, 3.346]]),
        call=f"{call}: the mean", by=LESSON, atol=6e-4,
        mistakes={
            "This is the mean of the keys: keys are for finding, values are what is found.": (
                att[0, 0] @ k[0, 0]
            ),
            "The values are averaged without weights: multiply the weights by v.": check.either(
                values.mean(dim=0).expand(3, 2),
                values.cumsum(dim=0) / torch.tensor([[1.0], [2.0], [3.0]]),
            ),
            "The weights were transposed: row t of the result is row t of the weights times v.": (
                att[0, 0].mT @ values
            ),
        },
    )  # fmt: skip
    mask_of_many(attention, check)


def wrong_weights(check, q, k):
    """The mistakes that give wrong attention weights, (T, T). q, k: (T, head_dim)"""
    import torch

    scores, d = q @ k.mT, 2  # not yet divided
    ones = torch.ones_like(scores)
    divided = scores / math.sqrt(d)

    def hidden(begin):
        """Minus infinity above the diagonal, from `begin` places to the right of it."""
        return (-math.inf * ones).triu(begin)

    exps = (divided + hidden(1)).exp()

    def after(scores):
        return (scores + hidden(1)).softmax(dim=1)

    return {
        "A later letter changes what an earlier one gets: the mask is missing, so e and m look "
        "into the future.": check.either(divided.softmax(dim=1), scores.softmax(dim=1)),
        "The mask comes after softmax, so the rows no longer add up to 1: mask the scores.": (
            divided.softmax(dim=1).tril()
        ),
        "The masked scores are 0, and exp of 0 is 1, so they still get a weight.": check.either(
            divided.tril().softmax(dim=1), scores.tril().softmax(dim=1)
        ),
        "The columns add up to 1: softmax runs down the columns. Along a row is dim=-1.": (
            check.either((divided + hidden(1)).softmax(dim=0), divided.softmax(dim=0))
        ),
        "Softmax runs over the names or the heads, so that every weight is 1: along a row is "
        "dim=-1.": check.either(ones, torch.where(hidden(1) < 0, math.nan, 1.0)),
        "The wrong half is masked, and positions look only at themselves and the future: row t "
        "keeps columns 0 to t.": (divided + hidden(1).mT).softmax(dim=1),
        "The diagonal is masked as well. A letter no longer sees itself, and e sees nothing at "
        "all, which gives nan.": (divided + hidden(0)).softmax(dim=1),
        "The mask begins one place too far to the right, so a letter sees the next one.": (
            (divided + hidden(2)).softmax(dim=1)
        ),
        "nan comes from 0 times minus infinity: fill a table with minus infinity first, and let "
        "triu() put the zeros.": check.either(
            math.nan * ones, torch.where(ones.tril() > 0, math.nan, 0.0)
        ),
        "The mask is inverted: masked_fill fills where the mask is True, and this filled what a "
        "position may see.": divided.masked_fill(ones.tril() > 0, -math.inf).softmax(dim=1),
        "Each row was divided by another sum: .sum(dim=-1, keepdim=True) keeps the sums below each "
        "other.": exps / exps.sum(dim=1),
        "The keys were not transposed: .view and .reshape cut memory into pieces and exchange no "
        "axes. k.mT does.": after(q @ k.reshape(k.shape[1], k.shape[0]) / math.sqrt(d)),
        "The scores are not divided: by the root of head_dim.": after(scores),
        "The scores are divided by head_dim: divide by its root.": after(scores / d),
        "The scores are multiplied by the root of head_dim: divide by it.": (
            after(scores * math.sqrt(d))
        ),
        "The scores are divided by the root of T: divide by the root of head_dim, the length of a "
        "query.": after(scores / math.sqrt(3)),
        "These are the scores: softmax makes weights of them.": check.either(
            divided + hidden(1), divided
        ),
    }


def mask_of_many(attention, check):
    """2 names, 3 heads, 5 positions, head_dim 4: beside PyTorch's own."""
    import torch
    import torch.nn.functional as F

    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 3, 5, 4, dtype=torch.float64) for _ in range(3))
    call = "attention of 2 names, 3 heads, 5 positions, head_dim 4"
    before = check.run(attention, (q, k, v), call=call)[0]
    other_k, other_v = k.clone(), v.clone()
    other_k[:, :, 4] += 7.0
    other_v[:, :, 4] -= 7.0
    moved = (attention(q, other_k, other_v)[0] - before)[:, :, :4].abs().max().item()
    check.true(
        moved < 1e-9, "A later letter changes what an earlier one gets: look at the mask.",
        call=f"{call}, and again with another last key and value", came=f"a change of {moved:.4f}",
        expected="no change at the earlier positions",
    )  # fmt: skip

    def by_pytorch(q, k, v, scale=None):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)

    mistakes = {
        "Queries and keys are swapped: row t holds the scores of query t.": by_pytorch(k, q, v),
        "The scores are divided by the root of n_embd: a head has only head_dim numbers, the last "
        "number of the shape of q.": by_pytorch(q, k, v, 12**-0.5),
        "The scores are divided by the root of the number of heads: take that of head_dim.": (
            by_pytorch(q, k, v, 3**-0.5)
        ),
        "The root of 2 belongs to the lesson's example: take that of head_dim.": (
            by_pytorch(q, k, v, 2**-0.5)
        ),
    }
    check.equal(  # one head, which makes a picture, and then all of them
        lambda *args: attention(*args)[0][0, 0], (q, k, v), by_pytorch(q, k, v)[0, 0], rtol=1e-5,
        call=f"{call}: the mean of the first head", by="F.scaled_dot_product_attention",
        mistakes={words: wrong[0, 0] for words, wrong in mistakes.items()},
    )  # fmt: skip
    check.equal(
        lambda *args: attention(*args)[0], (q, k, v), by_pytorch, rtol=1e-5, call=call,
        by="F.scaled_dot_product_attention", mistakes=mistakes,
    )  # fmt: skip
    q.requires_grad_()
    check.true(
        attention(q, k, v)[0].requires_grad,
        "No gradient reaches q: leave out .detach(), .data and torch.tensor(...).",
        call="the gradient of q", came="none", expected="a gradient",
    )  # fmt: skip

    def gradient(mean):
        return torch.autograd.grad(mean.square().sum(), q)[0]

    check.equal(
        lambda: gradient(attention(q, k, v)[0]), (), gradient(by_pytorch(q, k, v)), rtol=1e-5,
        call="the gradient of q", by="F.scaled_dot_product_attention",
    )  # fmt: skip
