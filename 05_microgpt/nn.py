"""What the GPT is made of, on lists of numbers; dot products and softmax are single nodes.

Each takes Values, or plain floats where no gradient is wanted (evaluation, samples).
"""

import math
from operator import mul

from engine import Value


def linear(x, w):
    """w @ x, with each dot product one node of many children. list[n_in] -> list[n_out]"""
    if isinstance(x[0], float):
        return [sum(map(mul, row, x)) for row in w]
    x_data = [xi.data for xi in x]
    out = []
    for row in w:
        row_data = [wi.data for wi in row]
        out.append(Value(sum(map(mul, row_data, x_data)), row + x, x_data + row_data))
    return out


def add(x, y):
    return [xi + yi for xi, yi in zip(x, y)]


def relu(x):
    if isinstance(x, float):
        return max(x, 0.0)
    return Value(max(x.data, 0.0), (x,), (1.0 if x.data > 0 else 0.0,))


def rmsnorm(x):
    """Scale x to a mean square of 1 (Zhang and Sennrich, 2019). list[C] -> list[C]"""
    (square,) = linear(x, [x])
    scale = (square * (1 / len(x)) + 1e-5) ** -0.5
    return [xi * scale for xi in x]


def softmax(logits):
    """Probabilities. As nodes: d p_i / d logit_j = p_i * ((i == j) - p_j). list[n] -> list[n]"""
    numbers = logits if isinstance(logits[0], float) else [logit.data for logit in logits]
    highest = max(numbers)
    exps = [math.exp(number - highest) for number in numbers]
    total = sum(exps)
    probs = [e / total for e in exps]
    if numbers is logits:
        return probs
    return [
        Value(p, logits, [p * ((i == j) - q) for j, q in enumerate(probs)])
        for i, p in enumerate(probs)
    ]


def cross_entropy(logits, target):
    """-log P(target) as one node; its local gradients are stage 03's p - y. list[V] -> Value"""
    numbers = logits if isinstance(logits[0], float) else [logit.data for logit in logits]
    highest = max(numbers)
    exps = [math.exp(number - highest) for number in numbers]
    total = sum(exps)
    loss = math.log(total) - (numbers[target] - highest)
    if numbers is logits:
        return loss
    return Value(loss, logits, [e / total - (i == target) for i, e in enumerate(exps)])
