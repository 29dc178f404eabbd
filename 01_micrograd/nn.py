"""Neurons made of Values, layers of neurons, and a network of layers."""

import random

from engine import Value


class Neuron:
    """tanh(w . x + b), or only w . x + b if the neuron is linear."""

    def __init__(self, n_in, linear=False):
        # Dividing by sqrt(n_in) gives the sum of n_in products the same spread for any n_in.
        self.w = [Value(random.gauss(0, 1) / n_in**0.5) for _ in range(n_in)]
        self.b = Value(0.0)
        self.linear = linear

    def __call__(self, x):  # list[n_in] of Value or float -> Value
        total = self.b
        for wi, xi in zip(self.w, x):
            total = total + wi * xi
        return total if self.linear else total.tanh()

    def parameters(self):
        return [*self.w, self.b]


class Layer:
    """n_out neurons that all read the same n_in numbers."""

    def __init__(self, n_in, n_out, linear=False):
        self.neurons = [Neuron(n_in, linear) for _ in range(n_out)]

    def __call__(self, x):  # list[n_in] -> list[n_out] of Value
        return [neuron(x) for neuron in self.neurons]

    def parameters(self):
        return [p for neuron in self.neurons for p in neuron.parameters()]


class MLP:
    """A stack of layers: each layer reads the outputs of the layer before it.

    MLP([2, 8, 8, 1]) reads 2 numbers, has two layers of 8 neurons and returns 1 number. The
    last layer is linear, so the answer can be any number.
    """

    def __init__(self, sizes):
        self.layers = [
            Layer(n_in, n_out, linear=i == len(sizes) - 2)
            for i, (n_in, n_out) in enumerate(zip(sizes, sizes[1:]))
        ]

    def __call__(self, x):  # list[sizes[0]] -> list[sizes[-1]] of Value
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self):
        return [p for layer in self.layers for p in layer.parameters()]
