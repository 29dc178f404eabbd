"""Race stage 01's engine against the package micrograd, and print the ratio of their speeds.

Both compute the same MLP, forward and backward, in turn. bench.py starts this program.
"""

import json
import random
import statistics
import time

from stages import load_stage

from micrograd.engine import Value as Micrograd

Value = load_stage("01_micrograd", "engine").Value
SIZES, ROUNDS, PASSES = (2, 16, 16, 1), 7, 20


def make_weights(kind):
    """The same weights in numbers of any kind: list[layer] of list[n_out] of (weights, bias)."""
    rng = random.Random(1)
    return [
        [([kind(rng.uniform(-1, 1)) for _ in range(n_in)], kind(0.0)) for _ in range(n_out)]
        for n_in, n_out in zip(SIZES, SIZES[1:])
    ]


def forward(layers, x):
    for layer in layers:
        x = [sum((wi * xi for wi, xi in zip(w, x)), b) for w, b in layer]
        x = [xi.relu() for xi in x] if layer is not layers[-1] else x
    return x[0]


def seconds(kind, layers):
    """The mean time of a forward and a backward pass."""
    x = [kind(0.3), kind(-0.7)]
    begin = time.perf_counter()
    for _ in range(PASSES):
        out = forward(layers, x)
        out.backward()
    return (time.perf_counter() - begin) / PASSES


def main():
    ours, theirs = make_weights(Value), make_weights(Micrograd)
    assert forward(ours, [0.3, -0.7]).data == forward(theirs, [0.3, -0.7]).data
    # In both, a product, a sum or a ReLU is one node, so the ratio is that of nodes per second.
    rounds = [(seconds(Micrograd, theirs), seconds(Value, ours)) for _ in range(ROUNDS)]
    print(json.dumps({"ratio": statistics.median(slow / fast for slow, fast in rounds)}))


if __name__ == "__main__":
    main()
