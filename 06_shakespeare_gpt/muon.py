"""Muon, an optimizer for the matrices inside a network.

Source: K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
torch.optim.Muon computes the same in bfloat16, which costs a CPU without bfloat16 instructions more
than the whole forward and backward pass; this one stays in the dtype of the weights.
"""

import torch


def orthogonalize(matrix, steps=5):
    """The nearest matrix whose singular values are all about 1, by Newton-Schulz. (m, n) -> (m, n)

    Each step applies the odd polynomial ax + bx^3 + cx^5 to the singular values; these coefficients
    drive every value in (0, 1] to between 0.7 and 1.2 in five steps, which is near enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)  # singular values at most 1
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x  # so that x @ x.T is the smaller of the two products
    for _ in range(steps):
        s = x @ x.T
        x = a * x + (b * s + c * s @ s) @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is orthogonalized: all directions change by the same amount."""

    def __init__(self, params, lr=0.02, weight_decay=0.0, momentum=0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                average = self.state[p].setdefault("average", torch.zeros_like(p))
                average.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalize(p.grad.lerp(average, group["momentum"]))  # Nesterov's
                # A tall matrix needs a longer step for its outputs to change as much.
                scale = max(1, p.shape[0] / p.shape[1]) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_(update, alpha=-group["lr"] * scale)
